//! `vi`, also as `vim`, `edit` and `editor`, and as `view`, which does not write: the terminal, files and commands.

mod arguments;
mod whelk;

use std::cell::RefCell;
use std::io::{self, Read};
use std::process::ExitCode;
use std::rc::Rc;

use unix_common::report;
use unix_common::tty::{self, Key, Raw};
use vi::Editor;

use crate::arguments::Arguments;
use crate::whelk::Whelk;

whelk_guest::whelk_command!();

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let arguments = match arguments::read(&words, &report::program()) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return ExitCode::SUCCESS,
        Err(message) => {
            report::usage_error(&message);
            return ExitCode::FAILURE;
        }
    };
    let term = std::env::var("TERM").unwrap_or_default();
    if matches!(term.as_str(), "" | "dumb" | "unknown") {
        report::error(&format!(
            "TERM is {term:?}, a terminal whose cursor does not move: set TERM to what yours is, or use sed"
        ));
        return ExitCode::FAILURE;
    }
    match edit(arguments) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            report::error(&report::words(&error));
            ExitCode::FAILURE
        }
    }
}

/// The status of a program that SIGHUP has ended, as shells tell it.
const HANGUP: u8 = 129;

/// Edits until the user ends it: the exit status.
fn edit(arguments: Arguments) -> io::Result<u8> {
    let piped = if arguments.files.iter().any(|file| file == "-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes)?;
        Some(bytes)
    } else {
        None
    };
    let terminal = Rc::new(RefCell::new(Raw::open()?));
    let (columns, rows) = tty::size().unwrap_or((80, 24));
    let mut editor = Editor::new(Box::new(Whelk::new(Rc::clone(&terminal))), columns, rows);
    match piped {
        Some(bytes) => editor.open_bytes(&bytes),
        None => editor.open(arguments.files, arguments.read_only),
    }
    terminal.borrow_mut().catch_termination()?;
    for command in &arguments.commands {
        editor.command(command);
    }
    terminal.borrow_mut().write(whelk::BEGIN)?;
    let result = run(&mut editor, &terminal);
    let ended = matches!(result, Ok(Some(_)));
    // A terminal that is gone shows nothing.
    let _ = terminal.borrow_mut().write(whelk::END);
    match result {
        Ok(Some(status)) => Ok(status),
        other => {
            debug_assert!(!ended, "the editor has ended");
            match editor.rescue() {
                Ok(Some(name)) => report::error(&format!("what was not saved is in {name}")),
                Ok(None) => {}
                Err(message) => report::error(&format!("what was not saved is lost: {message}")),
            }
            other.map(|_| HANGUP)
        }
    }
}

/// Takes keys until the editor ends, or the session: then there is no status.
fn run(editor: &mut Editor, terminal: &Rc<RefCell<Raw>>) -> io::Result<Option<u8>> {
    loop {
        if let Some(status) = editor.exit_status() {
            return Ok(Some(status));
        }
        if !terminal.borrow_mut().has_key() {
            let shown = editor.output();
            terminal.borrow_mut().write(&shown)?;
        }
        let key = terminal.borrow_mut().next_key()?;
        match key {
            Key::Terminate => return Ok(None),
            Key::Resized => {
                if let Some((columns, rows)) = tty::size() {
                    editor.resize(columns, rows);
                }
            }
            key => editor.press(key),
        }
    }
}
