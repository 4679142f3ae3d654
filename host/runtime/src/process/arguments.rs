//! The arguments that a program gets from its program request.

use std::fmt;

use crate::process::pause::{Selection, StartRequest};
use crate::session_types::ProgramRequest;

/// Most words of a command: each takes the host more than the client.
const MOST_WORDS: usize = 4096;

/// Why no arguments can be made of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadCommand {
    /// WASI's arguments are text.
    NotText,
    /// An argument of a C program ends there.
    Nul,
    /// A quote or a backslash at the end.
    Unclosed,
    TooManyWords,
}

impl BadCommand {
    /// The exit status of a shell in this case: 2 for a syntax error, 126 for what cannot be executed.
    pub(super) fn status(self) -> u32 {
        match self {
            Self::Unclosed => 2,
            Self::NotText | Self::Nul | Self::TooManyWords => 126,
        }
    }
}

impl fmt::Display for BadCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotText => "the command is not UTF-8",
            Self::Nul => "the command has a zero byte in it",
            Self::Unclosed => "the command ends inside quotes or after a backslash",
            Self::TooManyWords => "argument list too long",
        })
    }
}

/// The arguments of the program `name`, of which the first is its name. Those of a command are its words, split by the
/// rules of a POSIX shell without any expansion, and a shell gives none, unless the operator says otherwise. A
/// subsystem gives none.
///
/// Where a route or its own first word led from the command to the program, that word named it, and is the first
/// argument: `git status`, routed by `git`. A command that names the program gives its words whatever the operator
/// says: `sh -c x` is not for `sh -c`.
pub(super) fn arguments(
    name: &str,
    wanted: ProgramRequest<'_>,
    request: &StartRequest,
) -> Result<Vec<String>, BadCommand> {
    let named = vec![name.to_owned()];
    let templates = request.arguments.as_deref().filter(|_| request.selection != Selection::Command);
    let (first, rest) = match wanted {
        ProgramRequest::Exec(command) => {
            let command = text(command)?;
            match templates.and_then(|templates| templates.of_command(command)) {
                Some(arguments) => (named, arguments),
                None => {
                    let words = words(command)?;
                    let has_name = matches!(request.selection, Selection::Route | Selection::Command);
                    (if has_name { Vec::new() } else { named }, words)
                }
            }
        }
        ProgramRequest::Shell => (named, templates.map(|templates| templates.shell.clone()).unwrap_or_default()),
        ProgramRequest::Subsystem(_) => (named, Vec::new()),
    };
    Ok(first.into_iter().chain(rest).collect())
}

/// A command as text.
fn text(command: &[u8]) -> Result<&str, BadCommand> {
    let command = str::from_utf8(command).map_err(|_| BadCommand::NotText)?;
    if command.contains('\0') { Err(BadCommand::Nul) } else { Ok(command) }
}

/// The words of a command. A `#` at the beginning of a word begins a comment, as in a shell.
fn words(command: &str) -> Result<Vec<String>, BadCommand> {
    let mut splitter = shlex::Shlex::new(command);
    let words: Vec<String> = splitter.by_ref().take(MOST_WORDS + 1).collect();
    match words.len() {
        _ if splitter.had_error => Err(BadCommand::Unclosed),
        0..=MOST_WORDS => Ok(words),
        _ => Err(BadCommand::TooManyWords),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::plugin::lookup::ArgumentTemplates;
    use crate::session_types::ChannelEvent;

    fn of(
        event: ChannelEvent,
        selection: Selection,
        templates: Option<ArgumentTemplates>,
    ) -> Result<Vec<String>, BadCommand> {
        let request = StartRequest { event, selection, arguments: templates.map(Arc::new) };
        arguments("prog", ProgramRequest::of(&request.event).unwrap(), &request)
    }

    fn exec(command: &[u8], selection: Selection) -> Result<Vec<String>, BadCommand> {
        of(ChannelEvent::Exec(command.to_vec()), selection, None)
    }

    #[test]
    fn a_command_is_split_as_a_shell_splits_it() {
        for (command, words) in [
            (&b""[..], &[][..]),
            (b"  a\tb\n c ", &["a", "b", "c"]),
            (br#"'a  b' "c d"e'' \f\ g"#, &["a  b", "c de", "f g"]),
            (br#"'' """#, &["", ""]),
            (br#""\$HOME \"x\" \z" '$HOME' * ~ ; | &"#, &["$HOME \"x\" \\z", "$HOME", "*", "~", ";", "|", "&"]),
            ("\u{e4} '\u{1f600}'".as_bytes(), &["\u{e4}", "\u{1f600}"]),
            (b"a # b", &["a"]),
            (b"a#b", &["a#b"]),
        ] {
            let expected: Vec<&str> = ["prog"].into_iter().chain(words.iter().copied()).collect();
            assert_eq!(exec(command, Selection::User).unwrap(), expected);
            assert_eq!(exec(command, Selection::HandOver).unwrap(), expected);
            assert_eq!(exec(command, Selection::Route).unwrap(), words);
            assert_eq!(exec(command, Selection::Command).unwrap(), words);
        }
        for event in [ChannelEvent::Shell, ChannelEvent::Subsystem("prog2".to_owned())] {
            assert_eq!(of(event, Selection::Route, None).unwrap(), ["prog"]);
        }
    }

    #[test]
    fn the_operator_says_what_a_program_gets_unless_the_command_names_it() {
        let list = |arguments: &[&str]| arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>();
        let templates = || ArgumentTemplates { exec: Some(list(&["-c", "{command}"])), shell: list(&["-l"]) };
        let command = || ChannelEvent::Exec(b"a 'b  c".to_vec());
        for selection in [Selection::User, Selection::Route, Selection::HandOver] {
            assert_eq!(of(command(), selection, Some(templates())).unwrap(), ["prog", "-c", "a 'b  c"]);
            assert_eq!(of(ChannelEvent::Shell, selection, Some(templates())).unwrap(), ["prog", "-l"]);
            let event = ChannelEvent::Subsystem("sftp".to_owned());
            assert_eq!(of(event, selection, Some(templates())).unwrap(), ["prog"]);
        }
        assert_eq!(of(command(), Selection::Command, Some(templates())), Err(BadCommand::Unclosed));
        let named = ChannelEvent::Exec(b"prog -c 'x y'".to_vec());
        assert_eq!(of(named, Selection::Command, Some(templates())).unwrap(), ["prog", "-c", "x y"]);
        let shell_only = ArgumentTemplates { exec: None, ..templates() };
        let words = ChannelEvent::Exec(b"a b".to_vec());
        assert_eq!(of(words, Selection::User, Some(shell_only)).unwrap(), ["prog", "a", "b"]);
        let not_text = ChannelEvent::Exec(b"\xff".to_vec());
        assert_eq!(of(not_text, Selection::User, Some(templates())), Err(BadCommand::NotText));
    }

    #[test]
    fn a_command_that_no_shell_would_run_has_a_reason_and_a_status() {
        let words = |count: usize| "a ".repeat(count).into_bytes();
        assert_eq!(exec(&words(4096), Selection::Route).unwrap().len(), 4096);
        assert_eq!(exec(&words(4097), Selection::User), Err(BadCommand::TooManyWords));
        for (command, status) in
            [(&b"a 'b"[..], 2), (b"a \"b", 2), (b"a \\", 2), (b"a \xff", 126), (b"a\0b", 126), (b"'\xff", 126)]
        {
            assert_eq!(exec(command, Selection::User).map_err(BadCommand::status), Err(status), "{command:?}");
        }
    }
}
