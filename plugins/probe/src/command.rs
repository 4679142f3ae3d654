//! Parses the probe's commands from the bytes of an exec request.

use std::str::FromStr;

use whelk_guest::SignalName;

/// The answer to an unknown command.
pub(crate) const USAGE: &str = "usage: cat | sink | discard | lines | zeros N | writes N BYTES | print TEXT | stderr TEXT | env | facts | exit N | signal NAME \
                                | sleep MS | tick N MS | request NAME TEXT | debug TEXT | trap | spin | alloc BYTES \
                                | recurse\n";

/// One command. Times are in milliseconds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    Cat,
    Sink,
    Discard,
    Lines,
    Zeros(u64),
    /// Writes so many times so many zeros.
    Writes(u32, usize),
    Print(&'a [u8]),
    Stderr(&'a [u8]),
    Env,
    Facts,
    Exit(u32),
    Signal(SignalName),
    Sleep(u32),
    Tick(u32, u32),
    Trap,
    Spin,
    Alloc(usize),
    Recurse,
    /// A request to the client: its name and its payload.
    Request(&'a str, &'a [u8]),
    /// A debug message to the client.
    Debug(&'a str),
}

impl<'a> Command<'a> {
    /// Parses a command. Words are separated by single spaces; a text argument takes the rest of the line. `None` if
    /// the command is unknown.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let mut parts = line.splitn(2, |byte| *byte == b' ');
        let (verb, rest) = (parts.next()?, parts.next());
        let words = rest.map(|rest| rest.split(|byte| *byte == b' ').collect::<Vec<_>>()).unwrap_or_default();
        Some(match (verb, words.as_slice()) {
            (b"print", _) => Self::Print(rest.unwrap_or_default()),
            (b"request", [name, ..]) => {
                let payload = rest?.get(name.len() + 1..).unwrap_or_default();
                Self::Request(str::from_utf8(name).ok()?, payload)
            }
            (b"debug", _) => Self::Debug(str::from_utf8(rest.unwrap_or_default()).ok()?),
            (b"stderr", _) => Self::Stderr(rest.unwrap_or_default()),
            (b"cat", []) => Self::Cat,
            (b"sink", []) => Self::Sink,
            (b"discard", []) => Self::Discard,
            (b"lines", []) => Self::Lines,
            (b"zeros", [count]) => Self::Zeros(read(count)?),
            (b"writes", [count, bytes]) => Self::Writes(read(count)?, read(bytes)?),
            (b"env", []) => Self::Env,
            (b"facts", []) => Self::Facts,
            (b"exit", [status]) => Self::Exit(read(status)?),
            (b"signal", [name]) => Self::Signal(read(name)?),
            (b"sleep", [ms]) => Self::Sleep(read(ms)?),
            (b"tick", [count, ms]) => Self::Tick(read(count)?, read(ms)?),
            (b"trap", []) => Self::Trap,
            (b"spin", []) => Self::Spin,
            (b"alloc", [bytes]) => Self::Alloc(read(bytes)?),
            (b"recurse", []) => Self::Recurse,
            _ => return None,
        })
    }
}

fn read<T: FromStr>(word: &[u8]) -> Option<T> {
    str::from_utf8(word).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_read() {
        assert_eq!(Command::parse(b"zeros 8388608"), Some(Command::Zeros(8_388_608)));
        assert_eq!(Command::parse(b"writes 100000 16"), Some(Command::Writes(100_000, 16)));
        assert_eq!(Command::parse(b"tick 3 100"), Some(Command::Tick(3, 100)));
        assert_eq!(Command::parse(b"signal TERM"), Some(Command::Signal(SignalName::Term)));
        assert_eq!(Command::parse(b"cat"), Some(Command::Cat));
    }

    #[test]
    fn a_text_argument_takes_everything_after_the_first_space() {
        assert_eq!(Command::parse(b"print  two  spaces\xff"), Some(Command::Print(b" two  spaces\xff")));
        assert_eq!(Command::parse(b"stderr"), Some(Command::Stderr(b"")));
        assert_eq!(Command::parse(b"request a@b two words"), Some(Command::Request("a@b", b"two words")));
        assert_eq!(Command::parse(b"request a@b"), Some(Command::Request("a@b", b"")));
    }

    #[test]
    fn an_invalid_command_is_none() {
        let lines: [&[u8]; 9] =
            [b"", b" cat", b"cat ", b"cats", b"exit", b"exit -1", b"exit 4294967296", b"zeros 1 2", b"signal \xff"];
        for line in lines {
            assert_eq!(Command::parse(line), None, "{}", line.escape_ascii());
        }
    }
}
