//! Command line options, as GNU's getopt_long(3) takes them: options and operands may be mixed, long names may be
//! abbreviated, and errors have its words.

/// Whether an option has an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// It has none.
    None,
    /// It has one, in the same word or the next.
    Required,
    /// It may have one, in the same word.
    Optional,
}

/// One option of a program.
#[derive(Debug, Clone, Copy)]
pub struct Opt<'a> {
    /// Its letters, none for an option that has only a name.
    pub letters: &'a str,
    /// Its name, empty for an option that has only letters.
    pub name: &'a str,
    /// Its argument.
    pub argument: Argument,
}

/// An option without an argument.
pub const fn flag<'a>(letters: &'a str, name: &'a str) -> Opt<'a> {
    Opt { letters, name, argument: Argument::None }
}

/// An option with an argument.
pub const fn value<'a>(letters: &'a str, name: &'a str) -> Opt<'a> {
    Opt { letters, name, argument: Argument::Required }
}

/// An option that may have an argument, in the same word.
pub const fn optional<'a>(letters: &'a str, name: &'a str) -> Opt<'a> {
    Opt { letters, name, argument: Argument::Optional }
}

/// What was found on the command line, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word<'a> {
    /// An option.
    Option(Found<'a>),
    /// Another word.
    Operand(String),
}

/// An option that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<'a> {
    /// Its name, or its letters if it has no name.
    pub id: &'a str,
    /// The letter that it was written with.
    pub letter: Option<char>,
    /// Its argument.
    pub value: Option<String>,
}

impl Found<'_> {
    /// The argument; empty without one.
    pub fn text(&self) -> &str {
        self.value.as_deref().unwrap_or_default()
    }
}

/// What to do at the first operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Options may follow it.
    Any,
    /// All that follows is operands.
    OptionsFirst,
}

/// Takes the words after the program's name apart.
///
/// # Errors
/// The message of getopt_long(3), without the program's name.
pub fn parse<'a>(words: &[String], known: &[Opt<'a>], order: Order) -> Result<Vec<Word<'a>>, String> {
    Words::new(words, known, order).collect()
}

/// The words after the program's name, one after another. An error is the message of getopt_long(3), without the
/// program's name.
#[derive(Debug, Clone)]
pub struct Words<'w, 'a> {
    words: std::slice::Iter<'w, String>,
    known: &'w [Opt<'a>],
    order: Order,
    /// The letters of a word that follow the last one.
    letters: &'w str,
    /// Whether only operands follow.
    has_ended: bool,
}

impl<'w, 'a> Words<'w, 'a> {
    /// Those of a command line.
    pub fn new(words: &'w [String], known: &'w [Opt<'a>], order: Order) -> Self {
        Self { words: words.iter(), known, order, letters: "", has_ended: false }
    }

    fn long_option(&mut self, word: &str) -> Result<Found<'a>, String> {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value.to_owned())));
        let named = || self.known.iter().filter(|option| !option.name.is_empty());
        let option = match named().find(|option| option.name == name) {
            Some(option) => option,
            None => {
                let mut candidates = named().filter(|option| option.name.starts_with(name));
                let Some(option) = candidates.next() else {
                    return Err(format!("unrecognized option '--{name}'"));
                };
                let others: Vec<_> = candidates.collect();
                if !others.is_empty() {
                    let all = [option].into_iter().chain(others).map(|option| format!(" '--{}'", option.name));
                    return Err(format!("option '--{name}' is ambiguous; possibilities:{}", all.collect::<String>()));
                }
                option
            }
        };
        let value = match option.argument {
            Argument::None if value.is_some() => {
                return Err(format!("option '--{}' doesn't allow an argument", option.name));
            }
            Argument::Required if value.is_none() => {
                let next = self.words.next().cloned();
                Some(next.ok_or_else(|| format!("option '--{}' requires an argument", option.name))?)
            }
            _ => value,
        };
        Ok(Found { id: option.name, letter: None, value })
    }

    fn short_option(&mut self, letter: char) -> Result<Found<'a>, String> {
        let rest = &self.letters[letter.len_utf8()..];
        let option = self.known.iter().find(|option| option.letters.contains(letter));
        let option = option.ok_or_else(|| format!("invalid option -- '{letter}'"))?;
        let id = if option.name.is_empty() { option.letters } else { option.name };
        if option.argument == Argument::None {
            self.letters = rest;
            return Ok(Found { id, letter: Some(letter), value: None });
        }
        self.letters = "";
        let attached = Some(rest.to_owned()).filter(|attached| !attached.is_empty());
        let value = match option.argument {
            Argument::Required => {
                let value = attached.or_else(|| self.words.next().cloned());
                Some(value.ok_or_else(|| format!("option requires an argument -- '{letter}'"))?)
            }
            _ => attached,
        };
        Ok(Found { id, letter: Some(letter), value })
    }
}

impl<'a> Iterator for Words<'_, 'a> {
    type Item = Result<Word<'a>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(letter) = self.letters.chars().next() {
            return Some(self.short_option(letter).map(Word::Option));
        }
        let word = self.words.next()?;
        if self.has_ended {
            return Some(Ok(Word::Operand(word.clone())));
        }
        if word == "--" {
            self.has_ended = true;
            return self.next();
        }
        if let Some(long) = word.strip_prefix("--") {
            return Some(self.long_option(long).map(Word::Option));
        }
        if let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            self.letters = letters;
            return self.next();
        }
        self.has_ended = self.order == Order::OptionsFirst;
        Some(Ok(Word::Operand(word.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Opt<'static>; 5] =
        [flag("c", "count"), value("e", "regexp"), optional("", "color"), flag("", "colour"), flag("hx", "")];

    fn parsed(words: &[&str], order: Order) -> Result<Vec<Word<'static>>, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        parse(&words, &KNOWN, order)
    }

    fn option(id: &'static str, letter: Option<char>, value: Option<&str>) -> Word<'static> {
        Word::Option(Found { id, letter, value: value.map(str::to_owned) })
    }

    #[test]
    fn options_and_operands_are_mixed() {
        let words = parsed(&["-ce", "a", "f", "-xeb", "--reg=d", "-", "--", "-c"], Order::Any);
        let operand = |word: &str| Word::Operand(word.to_owned());
        let expected = vec![
            option("count", Some('c'), None),
            option("regexp", Some('e'), Some("a")),
            operand("f"),
            option("hx", Some('x'), None),
            option("regexp", Some('e'), Some("b")),
            option("regexp", None, Some("d")),
            operand("-"),
            operand("-c"),
        ];
        assert_eq!(words, Ok(expected));
        let first = parsed(&["-c", "f", "-c"], Order::OptionsFirst);
        assert_eq!(first, Ok(vec![option("count", Some('c'), None), operand("f"), operand("-c")]));
    }

    #[test]
    fn errors_have_the_words_of_getopt() {
        let message = |words: &[&str]| parsed(words, Order::Any).expect_err("the words are wrong");
        assert_eq!(message(&["-q"]), "invalid option -- 'q'");
        assert_eq!(message(&["--quiet"]), "unrecognized option '--quiet'");
        assert_eq!(message(&["-e"]), "option requires an argument -- 'e'");
        assert_eq!(message(&["--regexp"]), "option '--regexp' requires an argument");
        assert_eq!(message(&["--count=1"]), "option '--count' doesn't allow an argument");
        assert_eq!(message(&["--col"]), "option '--col' is ambiguous; possibilities: '--color' '--colour'");
    }
}
