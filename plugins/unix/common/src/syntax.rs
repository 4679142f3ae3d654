//! A program's options as a table, with `--help`, `--version` and the hint after wrong usage.
//!
//! ```
//! use unix_common::syntax::{Syntax, Take};
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

use crate::options::{Argument, Opt, Order, Word, Words, flag};

/// The options that every program has.
const HELP: &str = "help";
const VERSION: &str = "version";

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
        let letters: Vec<String> = self.options.iter().map(|(letter, ..)| letter.to_string()).collect();
        let own = self.options.iter().zip(&letters).map(|((_, name, take), letters)| {
            let argument = match take {
                Take::Nothing => Argument::None,
                Take::Value => Argument::Required,
                Take::Attached => Argument::Optional,
            };
            Opt { letters, name, argument }
        });
        let known: Vec<Opt<'_>> = own.chain([flag("", HELP), flag("", VERSION)]).collect();
        let order = if self.stops { Order::OptionsFirst } else { Order::Any };
        let mut given = Given::default();
        for word in Words::new(&words, &known, order) {
            match word.map_err(|message| self.refuse(&message))? {
                Word::Operand(operand) => given.operands.push(operand),
                Word::Option(found) => {
                    let is_meant = |(letter, name, _): &&(char, &str, Take)| {
                        found.letter.map_or_else(|| *name == found.id, |given| given == *letter)
                    };
                    match self.options.iter().find(is_meant) {
                        Some((letter, ..)) => given.options.push((*letter, found.value)),
                        None => return Err(self.told(found.id)),
                    }
                }
            }
        }
        Ok(given)
    }

    /// The answer to `--help` or `--version`.
    fn told(&self, option: &str) -> Refusal {
        let message = if option == HELP {
            format!("Usage: {}\n", self.usage)
        } else {
            format!("{} (Whelk) {}\n", self.name, env!("CARGO_PKG_VERSION"))
        };
        Refusal { message, status: 0 }
    }

    /// Wrong usage: a message, and where to find help.
    pub fn refuse(&self, message: &str) -> Refusal {
        let Self { name, status, .. } = self;
        let message = format!("{name}: {message}\nTry '{name} --help' for more information.\n");
        Refusal { message, status: *status }
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
