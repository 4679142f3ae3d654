//! The lines that a user enters at a terminal.

use super::complete::Completer;
use crate::state::{Interactive, Quote};
use crate::syntax::{LinePlace, Lines};
use crate::system::{Errno, Fd, System};
use crate::text::{decode, encode};
use std::rc::Rc;
use std::time::Duration;
use whelk_guest::editor::{Editor, EditorSettings, KeyMap, LineEvent, LinePrompt};

/// Lines of the terminal: edited here, or by the terminal itself under `set +o emacs`.
pub(super) struct TerminalLines {
    system: Rc<dyn System>,
    with_user: Rc<Interactive>,
    input: Fd,
    output: Fd,
    editor: Editor,
    /// The quotes that the lines of the command have left open.
    quote: Quote,
}

/// How reading a line ended without one.
enum End {
    /// There is no more input.
    Input,
    /// SIGINT, or its key.
    Interrupt,
}

impl TerminalLines {
    /// `term`: TERM of the environment. `no_color`: NO_COLOR.
    pub(super) fn new(
        system: Rc<dyn System>,
        with_user: Rc<Interactive>,
        (input, output): (Fd, Fd),
        term: &str,
        no_color: Option<&str>,
    ) -> Self {
        let (columns, rows) = system.terminal_size().unwrap_or_default();
        let editor = Editor::new(EditorSettings::for_terminal(term, columns, rows, no_color));
        Self { system, with_user, input, output, editor, quote: Quote::None }
    }

    /// Takes the signals that have arrived. Whether one of them gives up the line.
    fn takes_interrupt(&mut self) -> bool {
        let mut interrupted = false;
        while let Some(signal) = self.system.next_signal() {
            interrupted |= signal == "INT";
            if signal != "WINCH" {
                self.with_user.signals.borrow_mut().push(signal);
            } else if let Some((columns, rows)) = self.system.terminal_size() {
                self.editor.resize(columns, rows);
            }
        }
        interrupted
    }

    fn show(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.output.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::EINTR) => {}
                // Nobody can be told if the terminal is gone.
                Err(_) => return,
            }
        }
    }

    /// A line as the terminal gives it.
    fn cooked(&mut self, continued: bool) -> Result<String, End> {
        let prompt = if continued { &self.with_user.more } else { &self.with_user.first };
        self.show(&encode(&prompt.borrow()));
        let mut line = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match self.input.read(&mut buffer) {
                Ok(0) if line.is_empty() => return Err(End::Input),
                Ok(0) => {}
                Ok(count) => line.extend_from_slice(&buffer[..count]),
                Err(Errno::EINTR) if self.takes_interrupt() => {
                    self.show(b"\n");
                    return Err(End::Interrupt);
                }
                Err(Errno::EINTR) => {}
                Err(_) => return Err(End::Input),
            }
            if line.last() == Some(&b'\n') {
                return Ok(decode(&line));
            }
        }
    }

    /// A line that is edited here.
    fn edited(&mut self, continued: bool) -> Result<String, End> {
        let history = self.editor.history_mut();
        history.clear();
        self.with_user.history.borrow().iter().for_each(|line| history.push(line.clone()));
        if let Some((columns, rows)) = self.system.terminal_size() {
            self.editor.resize(columns, rows);
        }
        let next = self.with_user.more.borrow().clone();
        let first = if continued { next.clone() } else { self.with_user.first.borrow().clone() };
        self.system.set_raw(true);
        self.editor.settings_mut().keys = if self.with_user.vi.get() { KeyMap::Vi } else { KeyMap::Emacs };
        self.editor.begin(LinePrompt { first, next });
        let known = self.with_user.known.borrow().clone();
        let mut completer = Completer { system: self.system.clone(), known };
        let result = loop {
            match self.next_event(&mut completer) {
                Ok(LineEvent::Line(line)) => break Ok(line + "\n"),
                Ok(LineEvent::EndOfInput) => break Err(End::Input),
                Ok(LineEvent::Interrupt) => break Err(End::Interrupt),
                Ok(LineEvent::EditElsewhere(text)) if !continued => {
                    // The shell starts the editor: for it, the line is empty.
                    *self.with_user.to_edit.borrow_mut() = Some(text);
                    break Ok("\n".to_owned());
                }
                Ok(LineEvent::EditElsewhere(text)) => {
                    // What was entered before is read already.
                    let next = self.with_user.more.borrow().clone();
                    self.editor.begin_with(LinePrompt { first: next.clone(), next }, text);
                }
                // There is no shell to go back to, and what does not fit was not inserted.
                Ok(LineEvent::Suspend | LineEvent::TooLong) => {}
                Err(end) => break Err(end),
            }
        };
        let rest = self.editor.output();
        self.show(&rest);
        self.system.set_raw(false);
        result
    }

    /// A line with what it repeats of the lines before. It is shown as it is executed. After an error nothing is.
    fn with_history(&mut self, line: String, place: LinePlace) -> String {
        if place == LinePlace::First {
            self.quote = Quote::None;
        }
        let Some(how) = self.with_user.expands.get().filter(|_| place != LinePlace::HereDocument) else { return line };
        let expanded = how.expand(&line, &self.with_user.history.borrow(), &mut self.quote);
        match expanded {
            Ok(None) => line,
            Ok(Some(expanded)) => {
                self.show(&encode(&expanded.text));
                if !expanded.is_only_shown {
                    return expanded.text;
                }
                *self.with_user.to_remember.borrow_mut() = Some(expanded.text);
                "\n".to_owned()
            }
            Err(message) => {
                self.show(&encode(&format!("{}: {message}\n", self.with_user.name.borrow())));
                "\n".to_owned()
            }
        }
    }

    /// Waits for keys until one leads to an event. A key at a time is taken: what follows the line is for the command.
    fn next_event(&mut self, completer: &mut Completer) -> Result<LineEvent, End> {
        let mut buffer = [0];
        loop {
            if !self.input.wait_readable(Some(Duration::ZERO)) {
                let shown = self.editor.output();
                self.show(&shown);
            }
            if let Some(timeout) = self.editor.timeout()
                && !self.input.wait_readable(Some(Duration::from_millis(timeout.into())))
            {
                match self.editor.expire(completer) {
                    Some(event) => return Ok(event),
                    None => continue,
                }
            }
            match self.input.read(&mut buffer) {
                Ok(0) => return Err(End::Input),
                Ok(_) => {
                    if let Some(event) = self.editor.feed(&mut &buffer[..], completer) {
                        return Ok(event);
                    }
                }
                Err(Errno::EINTR) if self.takes_interrupt() => return Err(End::Interrupt),
                Err(Errno::EINTR) => {}
                Err(_) => return Err(End::Input),
            }
        }
    }
}

impl Lines for TerminalLines {
    fn next_line(&mut self, place: LinePlace) -> Option<String> {
        let continued = place != LinePlace::First;
        let line = if self.with_user.edits.get() { self.edited(continued) } else { self.cooked(continued) };
        match line {
            Ok(line) => return Some(self.with_history(line, place)),
            Err(End::Input) if !continued => self.show(format!("{}\n", self.with_user.leaving.get()).as_bytes()),
            Err(End::Input) => {}
            Err(End::Interrupt) => self.with_user.interrupted.set(true),
        }
        None
    }
}
