//! What the terminal of this command can show, by its locale.

use std::ffi::OsString;
use std::sync::OnceLock;

use unicode_width::UnicodeWidthStr;

static IS_UTF8: OnceLock<bool> = OnceLock::new();

/// Whether text beyond US-ASCII can be shown: the locale says UTF-8.
pub(in crate::cli) fn is_utf8() -> bool {
    *IS_UTF8.get_or_init(|| says_utf8(|name| std::env::var_os(name)))
}

/// What this command shows is not for its terminal, but for a page in UTF-8. Called before anything is shown.
pub(in crate::cli) fn assume_utf8() {
    let _ = IS_UTF8.set(true);
}

/// The first of these variables that is not empty decides, as in setlocale(3). Without any the locale is `C`.
fn says_utf8(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let mut set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable).filter(|value| !value.is_empty());
    let Some(locale) = set.next() else { return false };
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// A text and spaces, up to this many columns of a terminal.
pub(in crate::cli) fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(text.width())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_decides_about_the_locale() {
        for (expected, set) in [
            (false, &[][..]),
            (false, &[("LANG", "C")]),
            (true, &[("LANG", "de_DE.UTF-8")]),
            (true, &[("LANG", "C.utf8")]),
            (true, &[("LANG", "C"), ("LC_CTYPE", "en_GB.UTF-8")]),
            (true, &[("LANG", "en_GB.UTF-8"), ("LC_ALL", "")]),
            (false, &[("LANG", "en_GB.UTF-8"), ("LC_ALL", "en_GB.ISO-8859-1")]),
        ] {
            let value = |name: &str| set.iter().find(|(one, _)| *one == name).map(|(_, value)| value.into());
            assert_eq!(says_utf8(value), expected, "{set:?}");
        }
    }

    #[test]
    fn a_wide_character_takes_two_columns() {
        assert_eq!(
            (padded("ab", 4).as_str(), padded("漢", 4).as_str(), padded("long", 2).as_str()),
            ("ab  ", "漢  ", "long")
        );
    }
}
