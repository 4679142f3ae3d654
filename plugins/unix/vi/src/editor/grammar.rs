//! The commands of the normal mode: counts, registers, operators, and what they are applied to.

/// What is done to a piece of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Delete,
    Change,
    Yank,
    Right,
    Left,
    Lower,
    Upper,
    Toggle,
    Filter,
    Format,
    /// `=`, which is refused.
    Indent,
    Join {
        blanks: bool,
    },
    Replace(char),
}

/// A whole command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) register: Option<char>,
    pub(crate) count: Option<usize>,
    pub(crate) operator: Option<Operator>,
    /// `v`, `V` or Control-V between the operator and the motion.
    pub(crate) force: Option<char>,
    pub(crate) key: char,
    /// The second key of a command of two.
    pub(crate) second: Option<char>,
}

impl Command {
    pub(crate) fn times(&self) -> usize {
        self.count.unwrap_or(1)
    }

    pub(crate) fn is_change(&self) -> bool {
        self.operator == Some(Operator::Change)
    }
}

/// What some keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// The beginning of a command.
    More,
    Whole(Command),
    /// No command.
    Wrong,
}

/// The largest count.
const LARGEST: usize = 99_999_999;

pub(crate) const ESCAPE: char = '\x1b';

/// Reads the keys of the normal mode, or of the visual mode, where operators need no motion.
pub(crate) fn parse(keys: &[char], visual: bool) -> Parsed {
    let mut reader = Reader { keys, at: 0, command: Command::default() };
    reader.command(visual).unwrap_or(Parsed::More)
}

struct Reader<'a> {
    keys: &'a [char],
    at: usize,
    command: Command,
}

impl Reader<'_> {
    /// The next key. None: it has not come yet.
    fn next(&mut self) -> Option<char> {
        let key = *self.keys.get(self.at)?;
        self.at += 1;
        Some(key)
    }

    fn whole(&mut self, key: char, second: Option<char>) -> Parsed {
        Parsed::Whole(Command { key, second, ..std::mem::take(&mut self.command) })
    }

    /// Counts and registers, and the key behind them.
    fn prefix(&mut self) -> Option<char> {
        let mut count: Option<usize> = None;
        loop {
            match self.next()? {
                '"' => match self.next()? {
                    ESCAPE => return Some(ESCAPE),
                    name => self.command.register = Some(name),
                },
                digit @ '0'..='9' if digit != '0' || count.is_some() => {
                    let digit = digit.to_digit(10).unwrap_or_default() as usize;
                    count = Some((count.unwrap_or(0) * 10 + digit).min(LARGEST));
                }
                key => {
                    if let Some(count) = count {
                        let before = self.command.count.unwrap_or(1);
                        self.command.count = Some(before.saturating_mul(count).min(LARGEST));
                    }
                    return Some(key);
                }
            }
        }
    }

    fn command(&mut self, visual: bool) -> Option<Parsed> {
        let key = self.prefix()?;
        if key == ESCAPE && self.at > 1 && !visual {
            return Some(Parsed::Wrong);
        }
        let second = if takes_second(key) || visual && matches!(key, 'i' | 'a') { Some(self.next()?) } else { None };
        if second == Some(ESCAPE) {
            return Some(Parsed::Wrong);
        }
        if visual {
            return Some(self.whole(key, second));
        }
        match operator(key, second) {
            Some(operator) => {
                self.command.operator = Some(operator);
                self.target(key, second)
            }
            None => Some(self.shorthand(key, second)),
        }
    }

    /// What an operator is applied to.
    fn target(&mut self, first: char, with: Option<char>) -> Option<Parsed> {
        loop {
            let key = self.prefix()?;
            if matches!(key, 'v' | 'V' | '\x16') {
                self.command.force = Some(key);
                continue;
            }
            if key == ESCAPE {
                return Some(Parsed::Wrong);
            }
            let doubled = match with {
                None => key == first,
                Some(letter) => key == letter,
            };
            if doubled {
                return Some(self.whole('_', None));
            }
            let second = if takes_second(key) || matches!(key, 'i' | 'a') { Some(self.next()?) } else { None };
            if second == Some(ESCAPE) {
                return Some(Parsed::Wrong);
            }
            if with.is_some() && (key, second) == (first, with) {
                return Some(self.whole('_', None));
            }
            return Some(if operator(key, second).is_some() { Parsed::Wrong } else { self.whole(key, second) });
        }
    }

    /// Commands that are operators with a motion.
    fn shorthand(&mut self, key: char, second: Option<char>) -> Parsed {
        let (operator, motion) = match key {
            'x' => (Operator::Delete, 'l'),
            'X' => (Operator::Delete, 'h'),
            'D' => (Operator::Delete, '$'),
            'C' => (Operator::Change, '$'),
            's' => (Operator::Change, 'l'),
            'S' => (Operator::Change, '_'),
            'Y' => (Operator::Yank, '_'),
            _ => return self.whole(key, second),
        };
        self.command.operator = Some(operator);
        self.whole(motion, None)
    }
}

fn takes_second(key: char) -> bool {
    matches!(key, 'f' | 'F' | 't' | 'T' | 'r' | 'm' | '\'' | '`' | '@' | 'q' | 'g' | 'z' | 'Z' | '[' | ']')
}

fn operator(key: char, second: Option<char>) -> Option<Operator> {
    Some(match (key, second) {
        ('d', _) => Operator::Delete,
        ('c', _) => Operator::Change,
        ('y', _) => Operator::Yank,
        ('>', _) => Operator::Right,
        ('<', _) => Operator::Left,
        ('!', _) => Operator::Filter,
        ('=', _) => Operator::Indent,
        ('g', Some('u')) => Operator::Lower,
        ('g', Some('U')) => Operator::Upper,
        ('g', Some('~')) => Operator::Toggle,
        ('g', Some('q')) => Operator::Format,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(keys: &str) -> Parsed {
        parse(&keys.chars().collect::<Vec<_>>(), false)
    }

    #[test]
    fn commands_are_read_as_their_keys_come() {
        for keys in ["", "2", "\"", "\"a", "d", "2d3", "f", "di", "g", "gu", "m", "\"a2d\"b"] {
            assert_eq!(parsed(keys), Parsed::More, "{keys}");
        }
        for keys in ["d\x1b", "f\x1b", "dy", "di\x1b", "dgu"] {
            assert_eq!(parsed(keys), Parsed::Wrong, "{keys}");
        }
        let whole = |keys, command| assert_eq!(parsed(keys), Parsed::Whole(command), "{keys}");
        let delete = Command { operator: Some(Operator::Delete), ..Command::default() };
        whole(
            "\"a2d3fx",
            Command { register: Some('a'), count: Some(6), key: 'f', second: Some('x'), ..delete.clone() },
        );
        whole("3dd", Command { count: Some(3), key: '_', ..delete.clone() });
        whole("d0", Command { key: '0', ..delete.clone() });
        whole("10x", Command { count: Some(10), key: 'l', ..delete.clone() });
        whole("dVw", Command { force: Some('V'), key: 'w', ..delete });
        let lower = Command { operator: Some(Operator::Lower), key: '_', ..Command::default() };
        whole("guu", lower.clone());
        whole("gugu", lower);
        whole("0", Command { key: '0', ..Command::default() });
    }
}
