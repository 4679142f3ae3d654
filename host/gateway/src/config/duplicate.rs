//! Finds the first occurrence of a key that occurs twice in the text.
//!
//! The parser reports only the second one.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// The parser's message.
pub(super) const DUPLICATE: &str = "duplicate key";

/// The full key and the place of its first occurrence. `again` is the place of the second. `None` if it cannot be
/// determined, such as in an inline table.
pub(super) fn first(text: &str, table: &DeTable<'_>, again: &Range<usize>) -> Option<(String, Range<usize>)> {
    let path = path(text, again)?;
    let span = place(table, &path).filter(|span| span.start < again.start);
    // Of a table whose header occurs twice the parser keeps the second.
    let span = span.or_else(|| first_head(text.get(..again.start)?, &path)).or_else(|| first_within(table, &path))?;
    (span.start < again.start).then(|| (path.join("."), span))
}

/// The first line that is the header of this table.
fn first_head(before: &str, path: &[String]) -> Option<Range<usize>> {
    let mut start = 0;
    for line in before.split_inclusive('\n') {
        if head(line).is_some_and(|found| found == path) {
            return Some(start..start + line.len());
        }
        start += line.len();
    }
    None
}

/// The first key of this table, where a table without a header begins.
fn first_within(table: &DeTable<'_>, path: &[String]) -> Option<Range<usize>> {
    let (name, rest) = path.split_first()?;
    let DeValue::Table(inner) = table.get(name.as_str())?.get_ref() else { return None };
    match rest {
        [] => inner.keys().map(|key| key.span()).min_by_key(|span| span.start),
        _ => first_within(inner, rest),
    }
}

/// The full path of the key at a place: of a header, or of a setting in a table.
fn path(text: &str, at: &Range<usize>) -> Option<Vec<String>> {
    let start = text.get(..at.start)?.rfind('\n').map_or(0, |end| end + 1);
    let (before, rest) = text.split_at_checked(start)?;
    let line = rest.lines().next()?;
    let path = match head(line) {
        Some(path) => path,
        None => {
            let mut path = before.lines().rev().find_map(head).unwrap_or_default();
            path.extend(key(line)?);
            path
        }
    };
    // In an inline table, another key is the duplicate.
    let name = text.get(at.clone())?.rsplit('.').next()?.trim_matches(['"', '\'', '[', ']', ' ']);
    path.last().is_some_and(|last| last == name).then_some(path)
}

/// The name of the table if a line is its header.
fn head(line: &str) -> Option<Vec<String>> {
    let line = line.trim();
    if !line.starts_with('[') || line.starts_with("[[") {
        return None;
    }
    Some(names(&DeTable::parse(line).ok()?.into_inner()))
}

/// The key of the setting that a line begins with.
fn key(line: &str) -> Option<Vec<String>> {
    let keys = line.match_indices('=').filter_map(|(end, _)| line.get(..end));
    keys.map(|key| format!("{key} = 0")).find_map(|line| Some(names(&DeTable::parse(&line).ok()?.into_inner())))
}

/// The names from a table with one key down to the last.
fn names(table: &DeTable<'_>) -> Vec<String> {
    let Some((name, value)) = table.iter().next() else { return Vec::new() };
    let mut names = vec![name.get_ref().to_string()];
    if let DeValue::Table(inner) = value.get_ref() {
        names.extend(self::names(inner));
    }
    names
}

fn place(table: &DeTable<'_>, path: &[String]) -> Option<Range<usize>> {
    let (name, rest) = path.split_first()?;
    let (key, value) = table.get_key_value(name.as_str())?;
    match value.get_ref() {
        DeValue::Table(inner) if !rest.is_empty() => place(inner, rest),
        _ => rest.is_empty().then(|| key.span()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys that occur twice in a text, and the lines of their first occurrence.
    fn found(text: &str) -> Vec<Option<(String, usize)>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let line = |at: usize| text[..at].matches('\n').count() + 1;
        let twice = errors.iter().filter(|error| error.message() == DUPLICATE);
        let first = twice.map(|error| first(text, table.get_ref(), &error.span().unwrap()));
        first.map(|first| first.map(|(key, span)| (key, line(span.start)))).collect()
    }

    #[test]
    fn a_duplicate_is_reported_with_its_first_occurrence() {
        for (text, expected) in [
            ("state = 1\n\nstate = 2\n", &[Some(("state", 1))][..]),
            (
                "[limits]\nmemory = 1\n[users]\n[limits]\nmemory = 2\n",
                &[Some(("limits", 1)), Some(("limits.memory", 2))],
            ),
            ("# a\n[users.x]\n[ users . \"x\" ]\n", &[Some(("users.x", 2))]),
            ("limits.memory = 1\n[limits]\n", &[Some(("limits", 1))]),
            ("a.b = 1\na.b = 2\n", &[Some(("a.b", 1))]),
            ("[r]\n\"git lfs\" = 1\n\"git lfs\" = 2\n", &[Some(("r.git lfs", 2))]),
            // In an inline table the parser's own message must suffice.
            ("limits = { memory = 1, memory = 2 }\n", &[None]),
        ] {
            let expected: Vec<_> =
                expected.iter().map(|first| first.map(|(key, line): (&str, usize)| (key.to_owned(), line))).collect();
            assert_eq!(found(text), expected, "{text}");
        }
    }
}
