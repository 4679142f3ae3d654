//! How a pattern is read, and what can be wrong with it.

use std::fmt;

/// How a pattern is read and matched.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of regcomp(3) or of a program")]
pub struct Options {
    /// Extended syntax. REG_EXTENDED
    pub extended: bool,
    /// Letters of either case are the same. REG_ICASE
    pub ignore_case: bool,
    /// `^` and `$` match at every line, not only at the ends of the text. REG_NEWLINE has this.
    pub multi_line: bool,
    /// Nothing matches a newline, so that a text of many lines can be searched at once.
    pub single_lines: bool,
    /// `\n`, `\t` and the like are control characters, as in sed.
    pub escapes: bool,
    /// What an operator with nothing to repeat is in an extended pattern.
    pub stray: Stray,
    /// A backslash in brackets makes the character after it ordinary, as in awk.
    pub bracket_escapes: bool,
    /// A parenthesis that closes no group is a character of an extended pattern, as in grep.
    pub lone_close: bool,
    /// The whole pattern must match a word, as with `grep -w`.
    pub whole_words: bool,
    /// The whole pattern must match a line, as with `grep -x`.
    pub whole_lines: bool,
}

/// What an operator with nothing to repeat is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stray {
    /// Nothing, as in grep.
    #[default]
    Ignored,
    /// A character, as in awk.
    Literal,
    /// An error, as in sed.
    Refused,
}

/// What is wrong with a pattern, in glibc's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(pub &'static str);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Error {}
