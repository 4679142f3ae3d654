//! The arguments that a program gets from its program request.

use std::fmt;

use crate::process::pause::Selection;
use crate::session_types::ProgramRequest;

/// Why no arguments can be made of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadCommand {
    /// WASI's arguments are text.
    NotText,
    /// An argument of a C program ends there.
    Nul,
    /// A quote or a backslash at the end.
    Unclosed,
}

impl BadCommand {
    /// The exit status of a shell in this case: 2 for a syntax error, 126 for what cannot be executed.
    pub(super) fn status(self) -> u32 {
        match self {
            Self::Unclosed => 2,
            Self::NotText | Self::Nul => 126,
        }
    }
}

impl fmt::Display for BadCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotText => "the command is not UTF-8",
            Self::Nul => "the command has a zero byte in it",
            Self::Unclosed => "the command ends inside quotes or after a backslash",
        })
    }
}

/// The arguments of the program `name`: those of a command are its words, split by the rules of a POSIX shell without
/// any expansion. A shell and a subsystem give none.
///
/// The first is the program's name. Where the command led to the program, by a route or by the name of a program, the
/// command's first word is the first argument: `git status`, routed by `git`.
pub(super) fn arguments(
    name: &str,
    request: Option<ProgramRequest<'_>>,
    selection: Selection,
) -> Result<Vec<String>, BadCommand> {
    let mut arguments = vec![name.to_owned()];
    if let Some(ProgramRequest::Exec(command)) = request {
        if selection == Selection::Route {
            arguments.clear();
        }
        arguments.extend(words(command)?);
    }
    Ok(arguments)
}

/// The words of a command. A `#` at the beginning of a word begins a comment, as in a shell.
fn words(command: &[u8]) -> Result<Vec<String>, BadCommand> {
    let command = str::from_utf8(command).map_err(|_| BadCommand::NotText)?;
    if command.contains('\0') {
        return Err(BadCommand::Nul);
    }
    shlex::split(command).ok_or(BadCommand::Unclosed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec(command: &[u8], selection: Selection) -> Result<Vec<String>, BadCommand> {
        arguments("prog", Some(ProgramRequest::Exec(command)), selection)
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
        }
        for request in [None, Some(ProgramRequest::Shell), Some(ProgramRequest::Subsystem("prog2"))] {
            assert_eq!(arguments("prog", request, Selection::Route).unwrap(), ["prog"]);
        }
    }

    #[test]
    fn a_command_that_no_shell_would_run_has_a_reason_and_a_status() {
        for (command, status) in
            [(&b"a 'b"[..], 2), (b"a \"b", 2), (b"a \\", 2), (b"a \xff", 126), (b"a\0b", 126), (b"'\xff", 126)]
        {
            assert_eq!(exec(command, Selection::User).map_err(BadCommand::status), Err(status), "{command:?}");
        }
    }
}
