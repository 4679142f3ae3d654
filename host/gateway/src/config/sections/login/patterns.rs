//! Patterns of user names: `*@acme`.

use std::fmt;

/// RFC 4252 sets no limit for a user name; this is the longest that can log in.
pub const LONGEST_NAME: usize = 255;

/// A pattern of user names, compared with a whole name byte by byte. Each `*` stands for any text, which may be empty;
/// nothing else has a special meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserPattern {
    /// What stands before the first `*`, between them, and behind the last. One piece: there is no `*`.
    pieces: Vec<String>,
}

impl UserPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// No user name fits it.
    pub(in crate::config) fn parse(text: &str) -> Result<UserPattern, String> {
        let literal = text.bytes().filter(|byte| *byte != b'*').count();
        if text.is_empty() {
            return Err("must be a pattern of user names such as \"*@acme\", is empty".to_owned());
        }
        if literal > LONGEST_NAME {
            return Err(format!("fits no name: a user name has at most {LONGEST_NAME} bytes, and these are {literal}"));
        }
        if text.chars().any(char::is_control) {
            return Err("fits no name: a user name has no control characters".to_owned());
        }
        Ok(UserPattern { pieces: text.split('*').map(str::to_owned).collect() })
    }

    /// Whether a name fits. Takes each piece where it first occurs, so the time is that of one search for each piece.
    pub(crate) fn fits(&self, name: &str) -> bool {
        let Some((first, others)) = self.pieces.split_first() else { return false };
        let Some((last, middle)) = others.split_last() else { return first == name };
        let between = name.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str()));
        let Some(mut rest) = between else { return false };
        for piece in middle {
            let Some((_, behind)) = rest.split_once(piece.as_str()) else { return false };
            rest = behind;
        }
        true
    }

    /// Whether every name that fits the other one fits this. A `*` of the other then meets one of this, as a letter
    /// that occurs in no pattern would.
    pub(in crate::config) fn covers(&self, other: &UserPattern) -> bool {
        self.fits(&other.to_string())
    }

    /// The one name that fits, if there is no `*`.
    pub(in crate::config) fn exact(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [name] => Some(name),
            _ => None,
        }
    }
}

/// As it is written.
impl fmt::Display for UserPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.pieces.join("*"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> UserPattern {
        UserPattern::parse(text).unwrap()
    }

    #[test]
    fn a_star_stands_for_any_text_and_nothing_else_is_special() {
        for (text, fitting, others) in [
            ("*@acme", &["a@acme", "@acme", "b@x@acme"][..], &["a@acme2", "a@ACME", "acme", ""][..]),
            ("ops-*", &["ops-", "ops-a"], &["ops", "xops-a"]),
            ("a*b*c", &["abc", "a1b2c", "abbc", "abcbc"], &["ac", "ab", "bc", "acb"]),
            ("aa*aa", &["aaaa", "aabaa"], &["aaa", "aa"]),
            ("*x*", &["x", "axb"], &["", "ab"]),
            ("*", &["", "anything"], &[]),
            ("**", &["", "anything"], &[]),
            ("alice", &["alice"], &["alice2", "Alice", "malice", ""]),
            ("[a-z]?.%n", &["[a-z]?.%n"], &["b", "a."]),
        ] {
            assert!(fitting.iter().all(|name| pattern(text).fits(name)), "{text}");
            assert!(!others.iter().any(|name| pattern(text).fits(name)), "{text}");
            assert_eq!(pattern(text).to_string(), text);
        }
    }

    #[test]
    fn a_pattern_that_no_name_fits_is_refused() {
        assert!(UserPattern::parse(&format!("*{}", "x".repeat(255))).is_ok());
        for (text, what) in [
            ("", "is empty"),
            (&*"x".repeat(256), "at most 255 bytes, and these are 256"),
            ("a\n*", "control characters"),
        ] {
            assert!(UserPattern::parse(text).unwrap_err().contains(what), "{text}");
        }
    }

    #[test]
    fn a_pattern_covers_those_whose_names_all_fit_it() {
        for (one, other, covers) in [
            ("*", "*@acme", true),
            ("*@acme", "ops-*@acme", true),
            ("*@acme", "alice@acme", true),
            ("*@acme", "*@acme", true),
            ("ops-*@acme", "*@acme", false),
            ("*@acme", "*@*", false),
            ("a*", "*a", false),
            ("alice", "alice*", false),
            ("a*c", "a*b*c", true),
        ] {
            assert_eq!(pattern(one).covers(&pattern(other)), covers, "{one} {other}");
        }
    }

    /// The worst pattern and name that there can be.
    #[test]
    fn the_time_to_compare_is_bounded() {
        let stars = pattern(&"*a".repeat(255));
        assert!(stars.fits(&"a".repeat(255)) && !stars.fits(&"a".repeat(254)));
    }
}
