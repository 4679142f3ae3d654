//! Text that the server's application shows to the client's user, without characters that control a terminal.

/// Which line ends a text keeps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    /// None: it is one line.
    One,
    /// LF.
    Lf,
    /// LF becomes CR LF, as RFC 4252 §5.4 requires.
    CrLf,
}

/// `text` without its control characters except tabs and the line ends that `lines` keeps. At most `most` bytes: longer
/// text is cut between characters.
pub(super) fn printable(text: &str, lines: Lines, most: usize) -> String {
    let mut kept = String::with_capacity(text.len().min(most));
    let printable = |character: &char| match character {
        '\n' => lines != Lines::One,
        '\t' => true,
        character => !character.is_control(),
    };
    for character in text.chars().filter(printable) {
        let returns = usize::from(character == '\n' && lines == Lines::CrLf);
        if kept.len() + returns + character.len_utf8() > most {
            break;
        }
        if returns > 0 {
            kept.push('\r');
        }
        kept.push(character);
    }
    kept
}

/// Text that clients show before login: at most 8 KiB, without characters that control a terminal. RFC 4252 §5.4.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Banner(String);

impl Banner {
    /// Longest banner in bytes. Our limit.
    const BYTES: usize = 8192;

    /// Takes `text` without its control characters except tabs and line ends, which become CR LF as the RFC requires.
    /// Longer text is cut.
    pub fn new(text: &str) -> Banner {
        Banner(printable(text, Lines::CrLf, Self::BYTES))
    }

    /// The text as sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_banner_keeps_text_and_line_ends_only() {
        let banner = Banner::new("one\x1b[31m\r\ntwo\tü\x07\u{9b}2J\0\u{7f}");
        assert_eq!(banner.as_str(), "one[31m\r\ntwo\tü2J");
    }

    #[test]
    fn a_banner_has_at_most_8_kib_and_is_cut_between_characters() {
        let banner = Banner::new(&format!("a{}", "ü".repeat(10_000)));
        assert_eq!(banner.as_str().len(), 8191);
        assert!(Banner::new(&"\n".repeat(10_000)).as_str().len() <= 8192);
    }

    #[test]
    fn a_text_of_one_line_has_no_line_end() {
        assert_eq!(printable("a\nb\r\nc\td", Lines::One, 100), "abc\td");
        assert_eq!(printable("a\nb\r\nc", Lines::Lf, 100), "a\nb\nc");
        assert_eq!(printable("aüb", Lines::Lf, 2), "a");
    }
}
