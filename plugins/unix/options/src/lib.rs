//! Options of command lines as getopt_long(3) of GNU takes them, with its messages.
//!
//! ```
//! use options::{Syntax, Take};
//!
//! const SYNTAX: Syntax = Syntax {
//!     name: "head",
//!     usage: "head [OPTION]... [FILE]...",
//!     status: 1,
//!     options: &[('n', "lines", Take::Value), ('q', "quiet", Take::Nothing)],
//!     stops: false,
//! };
//! let words = ["-qn5", "file"].map(str::to_owned).to_vec();
//! let given = SYNTAX.parse(words).unwrap();
//! assert!(given.has('q'));
//! assert_eq!((given.value('n'), given.operands.as_slice()), (Some("5"), ["file".to_owned()].as_slice()));
//! ```

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// Nothing.
    Nothing,
    /// A value: `-n 5`, `-n5`, `--lines 5` or `--lines=5`.
    Value,
    /// A value if it is attached: `--color=always`, `-u5`.
    Attached,
}

/// The options of a program.
#[derive(Debug, Clone, Copy)]
pub struct Syntax {
    /// Its name, for messages.
    pub name: &'static str,
    /// The line after `Usage:` of `--help`.
    pub usage: &'static str,
    /// The exit status of wrong usage.
    pub status: u8,
    /// Each option: its letter, its long name (empty: none), and what it takes. An option with a long name alone has a
    /// letter that nobody types, such as a capital of Greek.
    pub options: &'static [(char, &'static str, Take)],
    /// The first operand ends the options, since it is a command with options of its own.
    pub stops: bool,
}

/// The options and operands of a command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// The options in their order, by their letters, with their values.
    pub options: Vec<(char, Option<String>)>,
    /// What is no option.
    pub operands: Vec<String>,
}

/// Why a program does not run: what it says instead, and its status. A status of 0 goes to standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// With its line end.
    pub message: String,
    /// The exit status.
    pub status: u8,
}

impl Refusal {
    /// Writes the message and returns the status.
    pub fn tell(&self) -> i32 {
        if self.status == 0 {
            print!("{}", self.message);
        } else {
            eprint!("{}", self.message);
        }
        i32::from(self.status)
    }
}

impl Given {
    /// Whether an option was given.
    pub fn has(&self, letter: char) -> bool {
        self.options.iter().any(|(given, _)| *given == letter)
    }

    /// The value of an option, the last if there are several.
    pub fn value(&self, letter: char) -> Option<&str> {
        self.options.iter().rev().find(|(given, _)| *given == letter).and_then(|(_, value)| value.as_deref())
    }

    /// All values of an option.
    pub fn values(&self, letter: char) -> impl Iterator<Item = &str> {
        self.options.iter().filter(move |(given, _)| *given == letter).filter_map(|(_, value)| value.as_deref())
    }
}

impl Syntax {
    /// Parses the arguments, without the name of the program.
    ///
    /// # Errors
    /// For wrong usage, and for `--help` and `--version`.
    pub fn parse(&self, words: Vec<String>) -> Result<Given, Refusal> {
        let mut given = Given::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            if word == "--" {
                break;
            }
            if let Some(long) = word.strip_prefix("--") {
                self.long(long, &mut words, &mut given)?;
            } else if word.len() > 1 && word.starts_with('-') {
                self.short(&word[1..], &mut words, &mut given)?;
            } else {
                given.operands.push(word);
                if self.stops {
                    break;
                }
            }
        }
        given.operands.extend(words);
        Ok(given)
    }

    /// Wrong usage: a message, and where to find help.
    pub fn refuse(&self, message: &str) -> Refusal {
        let Self { name, status, .. } = self;
        let message = format!("{name}: {message}\nTry '{name} --help' for more information.\n");
        Refusal { message, status: *status }
    }

    fn long(&self, word: &str, words: &mut impl Iterator<Item = String>, given: &mut Given) -> Result<(), Refusal> {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value.to_owned())));
        let known = self.options.iter().map(|(letter, long, take)| (*letter, *long, *take));
        let known = known.chain([('\u{1}', "help", Take::Nothing), ('\u{2}', "version", Take::Nothing)]);
        let fitting: Vec<_> = known.filter(|(_, long, _)| !long.is_empty() && long.starts_with(name)).collect();
        let exact = fitting.iter().find(|(_, long, _)| *long == name);
        let (letter, long, take) = match (exact, fitting.as_slice()) {
            (Some(found), _) | (None, [found]) => *found,
            (None, []) => return Err(self.refuse(&format!("unrecognized option '--{word}'"))),
            (None, several) => {
                let names: Vec<String> = several.iter().map(|(_, long, _)| format!("'--{long}'")).collect();
                let message = format!("option '--{word}' is ambiguous; possibilities: {}", names.join(" "));
                return Err(self.refuse(&message));
            }
        };
        let value = match (take, value) {
            (Take::Nothing, Some(_)) => {
                return Err(self.refuse(&format!("option '--{long}' doesn't allow an argument")));
            }
            (Take::Value, None) => {
                let value = words.next();
                Some(value.ok_or_else(|| self.refuse(&format!("option '--{long}' requires an argument")))?)
            }
            (_, value) => value,
        };
        match letter {
            '\u{1}' => Err(Refusal { message: format!("Usage: {}\n", self.usage), status: 0 }),
            '\u{2}' => {
                Err(Refusal { message: format!("{} (Whelk) {}\n", self.name, env!("CARGO_PKG_VERSION")), status: 0 })
            }
            _ => {
                given.options.push((letter, value));
                Ok(())
            }
        }
    }

    fn short(&self, letters: &str, words: &mut impl Iterator<Item = String>, given: &mut Given) -> Result<(), Refusal> {
        for (place, letter) in letters.char_indices() {
            let known = self.options.iter().find(|(known, _, _)| *known == letter);
            let Some((_, _, take)) = known else {
                return Err(self.refuse(&format!("invalid option -- '{letter}'")));
            };
            let rest = &letters[place + letter.len_utf8()..];
            let attached = (!rest.is_empty()).then(|| rest.to_owned());
            let value = match take {
                Take::Nothing => {
                    given.options.push((letter, None));
                    continue;
                }
                Take::Attached => attached,
                Take::Value => {
                    let value = attached.or_else(|| words.next());
                    Some(value.ok_or_else(|| self.refuse(&format!("option requires an argument -- '{letter}'")))?)
                }
            };
            given.options.push((letter, value));
            return Ok(());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNTAX: Syntax = Syntax {
        name: "x",
        usage: "x [OPTION]...",
        status: 2,
        options: &[('a', "all", Take::Nothing), ('n', "number", Take::Value), ('c', "color", Take::Attached)],
        stops: false,
    };

    fn parsed(words: &[&str]) -> Result<Given, String> {
        SYNTAX.parse(words.iter().map(|word| (*word).to_owned()).collect()).map_err(|refusal| refusal.message)
    }

    #[test]
    fn options_are_taken_as_getopt_takes_them() {
        let given = parsed(&["-an5", "one", "--col", "--number", "6", "--", "-a"]).unwrap();
        let options = [('a', None), ('n', Some("5".to_owned())), ('c', None), ('n', Some("6".to_owned()))];
        assert_eq!((given.options.as_slice(), given.value('n')), (options.as_slice(), Some("6")));
        assert_eq!(given.operands, ["one", "-a"]);
    }

    #[test]
    fn wrong_ones_are_named_as_getopt_names_them() {
        for (words, message) in [
            (["--frob"].as_slice(), "unrecognized option '--frob'"),
            (&["-q"], "invalid option -- 'q'"),
            (&["-n"], "option requires an argument -- 'n'"),
            (&["--number"], "option '--number' requires an argument"),
            (&["--all=x"], "option '--all' doesn't allow an argument"),
        ] {
            let expected = format!("x: {message}\nTry 'x --help' for more information.\n");
            assert_eq!(parsed(words), Err(expected));
        }
    }
}
