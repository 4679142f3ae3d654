//! Which line of the history is edited. Lines that were changed and left stay changed until one is accepted.

use super::history::History;
use std::collections::BTreeMap;

/// The place in the history. The line after the last is the new one.
#[derive(Debug, Default)]
pub(super) struct Recall {
    at: usize,
    /// The texts of lines that were changed, the new one among them.
    changed: BTreeMap<usize, String>,
    /// The most bytes of changed lines.
    limit: usize,
}

impl Recall {
    pub(super) fn new(history: &History, limit: usize) -> Self {
        Self { at: history.len(), changed: BTreeMap::new(), limit }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Counts on from another line, whose text is shown already.
    pub(super) fn set_at(&mut self, line: usize) {
        self.at = line;
    }

    /// The text of a line, as it was changed.
    pub(super) fn text<'a>(&'a self, history: &'a History, line: usize) -> Option<&'a str> {
        self.changed.get(&line).map(String::as_str).or_else(|| history.get(line))
    }

    /// Goes to another line, leaving a text in the place of this one. Returns the other's text. `None`: there is no
    /// such line, and nothing changes.
    pub(super) fn go(&mut self, history: &History, to: usize, text: &str) -> Option<String> {
        let other = self.text(history, to)?.to_owned();
        self.keep(history, text);
        self.at = to;
        Some(other)
    }

    /// Keeps the text of this line, if it was changed.
    pub(super) fn keep(&mut self, history: &History, text: &str) {
        if self.at < history.len() && history.get(self.at) == Some(text) {
            self.changed.remove(&self.at);
            return;
        }
        self.changed.insert(self.at, text.to_owned());
        // The new line goes last: it is the one that nobody else has.
        while self.changed.values().map(String::len).sum::<usize>() > self.limit && self.changed.len() > 1 {
            self.changed.pop_first();
        }
    }

    /// The nearest line before or after this one with a text in it.
    pub(super) fn with_text(&self, history: &History, backward: bool, text: &str) -> Option<usize> {
        let fits = |line: &usize| self.text(history, *line).is_some_and(|line| line.contains(text));
        if backward { (0..self.at).rev().find(fits) } else { (self.at + 1..=history.len()).find(fits) }
    }

    /// The nearest line before or after this one that begins with a text and is not the same as `than`.
    pub(super) fn with_prefix(&self, history: &History, backward: bool, prefix: &str, than: &str) -> Option<usize> {
        let fits =
            |line: &usize| self.text(history, *line).is_some_and(|text| text.starts_with(prefix) && text != than);
        if backward { (0..self.at).rev().find(fits) } else { (self.at + 1..=history.len()).find(fits) }
    }
}

/// A word of a line, by the rules of quotes that most shells share: the last without a number, the first being 0, from
/// the end if it is negative.
pub(super) fn word(line: &str, number: Option<i32>) -> Option<&str> {
    let words = words(line);
    let index = match number {
        None => words.len().checked_sub(1)?,
        Some(number) if number < 0 => words.len().checked_sub(usize::try_from(number.unsigned_abs()).ok()?)?,
        Some(number) => usize::try_from(number).ok()?,
    };
    words.get(index).copied()
}

fn words(line: &str) -> Vec<&str> {
    let (mut words, mut start, mut quote, mut escaped) = (Vec::new(), None, None, false);
    for (at, sign) in line.char_indices() {
        if sign.is_whitespace() && quote.is_none() && !escaped {
            words.extend(start.take().map(|start| &line[start..at]));
            continue;
        }
        start = start.or(Some(at));
        if std::mem::take(&mut escaped) {
            continue;
        }
        match sign {
            '\\' if quote != Some('\'') => escaped = true,
            '\'' | '"' if quote.is_none() => quote = Some(sign),
            _ if quote == Some(sign) => quote = None,
            _ => {}
        }
    }
    words.extend(start.map(|start| &line[start..]));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_at_blanks_outside_of_quotes() {
        assert_eq!(words(r#"a "b c"d  'e\' f\ g"#), ["a", r#""b c"d"#, r"'e\'", r"f\ g"]);
        assert_eq!(word("cp one two", None), Some("two"));
        assert_eq!(word("cp one two", Some(0)), Some("cp"));
        assert_eq!(word("cp one two", Some(-2)), Some("one"));
        assert_eq!((word("cp", Some(5)), word("cp", Some(-5)), word(" ", None)), (None, None, None));
    }

    #[test]
    fn changed_lines_stay_changed_and_are_bounded() {
        let mut history = History::default();
        ["one", "two"].iter().for_each(|line| assert!(history.add(line)));
        let mut recall = Recall::new(&history, 10);
        assert_eq!(recall.go(&history, 1, "new").as_deref(), Some("two"));
        assert_eq!(recall.go(&history, 0, "two!").as_deref(), Some("one"));
        assert_eq!(recall.go(&history, 3, "one"), None);
        assert_eq!(recall.go(&history, 1, "one").as_deref(), Some("two!"));
        assert_eq!(recall.go(&history, 2, "two!!").as_deref(), Some("new"));
        // The oldest changes give way, and the new line does not.
        assert_eq!(recall.go(&history, 1, "much longer").as_deref(), Some("two!!"));
        assert_eq!((recall.text(&history, 1), recall.text(&history, 2)), (Some("two"), Some("much longer")));
    }
}
