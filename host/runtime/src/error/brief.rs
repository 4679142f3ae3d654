//! Words for the operator that a plugin has a say in, cut to a line of bounded length: the names of its functions, its imports and its
//! exports stand in them, and may have megabytes.

use std::fmt::{self, Display, Write};

/// What was cut ends with this.
const CUT: &str = "...";

/// The words on one line, of at most so many bytes and what says that some were cut. Writing stops there, so more is not made of words that
/// are written piece by piece.
pub(crate) fn brief(words: &(impl Display + ?Sized), most: usize) -> String {
    let mut line = Line { text: String::new(), most, blank: true };
    let whole = write!(line, "{words}").is_ok();
    line.text.truncate(line.text.trim_end().len());
    if whole { line.text } else { line.text + CUT }
}

struct Line {
    text: String,
    most: usize,
    /// Whether the line ends with a blank, or is empty.
    blank: bool,
}

impl Write for Line {
    fn write_str(&mut self, words: &str) -> fmt::Result {
        for letter in words.chars() {
            // Runs of blanks and ends of lines are one blank.
            let blank = letter.is_whitespace();
            if blank && self.blank {
                continue;
            }
            self.blank = blank;
            if self.text.len() + letter.len_utf8() > self.most {
                return Err(fmt::Error);
            }
            self.text.push(if blank { ' ' } else { letter });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_one_line() {
        assert_eq!(brief("  two\n   lines\t here \n", 100), "two lines here");
        assert_eq!(brief("", 100), "");
    }

    #[test]
    fn what_is_too_long_is_cut_between_letters_and_says_so() {
        assert_eq!(brief("1234567890", 10), "1234567890");
        assert_eq!(brief("12345678901", 10), "1234567890...");
        assert_eq!(brief("äöü", 5), "äö...");
    }

    #[test]
    fn writing_stops_where_it_is_cut() {
        struct Endless;
        impl Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("again ")?;
                }
            }
        }
        assert_eq!(brief(&Endless, 8), "again ag...");
    }
}
