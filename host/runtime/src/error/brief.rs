//! Cuts texts for the operator that contain names of a plugin's functions, imports or exports, which may have
//! megabytes, to one line of bounded length.

use std::fmt::{self, Display, Write};

/// The mark of a cut text.
const CUT: &str = "...";

/// The text on one line, at most this many bytes plus the mark. Formatting stops there, so long texts are not produced
/// in full.
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
            // Runs of blanks and line ends become one blank.
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
    fn a_text_becomes_one_line() {
        assert_eq!(brief("  two\n   lines\t here \n", 100), "two lines here");
        assert_eq!(brief("", 100), "");
    }

    #[test]
    fn a_long_text_is_cut_between_characters_with_a_mark() {
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
