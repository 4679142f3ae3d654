//! Parses the commands for scripts from the bytes of an exec request.

/// The answer to an unknown command.
pub(crate) const USAGE: &str = "usage: kv get KEY | kv set KEY TEXT | kv delete KEY | kv add KEY N | kv list | publish TOPIC TEXT \
                                | subscribe TOPIC\n";

/// One command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    Get(&'a str),
    Set(&'a str, &'a str),
    Delete(&'a str),
    Add(&'a str, u64),
    List,
    Publish(&'a str, &'a str),
    Subscribe(&'a str),
}

impl<'a> Command<'a> {
    /// Parses a command. Words are separated by single spaces; the last argument takes the rest of the line. `None` if
    /// the command is unknown.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let (verb, rest) = str::from_utf8(line).ok()?.split_once(' ')?;
        let (first, second) = rest.split_once(' ').map_or((rest, None), |(first, second)| (first, Some(second)));
        Some(match (verb, first, second) {
            ("kv", "list", None) => Self::List,
            ("kv", "get", Some(key)) => Self::Get(key),
            ("kv", "delete", Some(key)) => Self::Delete(key),
            ("kv", "set", Some(entry)) => {
                let (key, text) = entry.split_once(' ')?;
                Self::Set(key, text)
            }
            ("kv", "add", Some(sum)) => {
                let (key, number) = sum.split_once(' ')?;
                Self::Add(key, number.parse().ok()?)
            }
            ("publish", topic, Some(text)) => Self::Publish(topic, text),
            ("subscribe", topic, None) => Self::Subscribe(topic),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_argument_takes_the_rest_of_the_line() {
        assert_eq!(Command::parse(b"kv set a one  two"), Some(Command::Set("a", "one  two")));
        assert_eq!(Command::parse(b"kv set a "), Some(Command::Set("a", "")));
        assert_eq!(Command::parse(b"publish news it is late"), Some(Command::Publish("news", "it is late")));
    }

    #[test]
    fn an_invalid_command_is_none() {
        let lines: [&[u8]; 9] = [
            b"",
            b"kv",
            b"kv list all",
            b"kv set a",
            b"kv add n",
            b"kv add n -1",
            b"publish a",
            b"subscribe a b",
            b"kv get \xff",
        ];
        for line in lines {
            assert_eq!(Command::parse(line), None, "{}", line.escape_ascii());
        }
    }
}
