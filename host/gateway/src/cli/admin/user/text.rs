//! Adds and removes users in the text of a configuration. Every byte outside the user's own lines stays as it is.
//!
//! `toml_edit` finds the places, and the text is cut there: the writer of `toml_edit` drops carriage returns and brings
//! dotted keys of one table together.
//!
//! A user's lines are one of:
//!
//! * The table `[users.NAME]` with the comments in it, the comment lines directly above it, unless it is the first
//!   user, and those directly below its last setting up to a blank line. A line such as `# [users.bob]`, which is a
//!   table that was commented out, ends these comments.
//! * The dotted keys `users.NAME.x`, without comments of their own lines.
//! * The entry in an inline table, with the remark behind it.

use std::ops::Range;

use toml_edit::{Document, InlineTable, Item, Key, Table, Value};

/// The settings of a new user.
#[derive(Debug, Default)]
pub(in crate::cli::admin) struct NewUser {
    pub(in crate::cli::admin) tenant: Option<String>,
    pub(in crate::cli::admin) plugin: Option<String>,
    /// The hash.
    pub(in crate::cli::admin) password: Option<String>,
    /// Lines of OpenSSH's format.
    pub(in crate::cli::admin) keys: Vec<String>,
    /// The path of a key file.
    pub(in crate::cli::admin) authorized_keys: Option<String>,
}

/// The text of a configuration, as far as its users are concerned.
pub(super) struct UsersText<'t> {
    text: &'t str,
    document: Document<&'t str>,
}

/// A header or a setting of the text, in its order.
#[derive(Clone, Debug)]
struct Statement {
    /// From its first byte to its last; a remark behind it is not included.
    span: Range<usize>,
    is_header: bool,
    /// In `users`.
    of_users: bool,
    /// Belongs to the user being edited.
    own: bool,
}

/// An entry of an inline table: from its key to the end of its value.
struct Entry {
    span: Range<usize>,
    own: bool,
}

impl<'t> UsersText<'t> {
    /// `None` if the text is no TOML, or `users` in it no table: the checks of the configuration say why.
    pub(super) fn parse(text: &'t str) -> Option<UsersText<'t>> {
        let document = Document::parse(text).ok()?;
        let is_table = |item: &Item| item.is_table() || item.is_inline_table();
        document.get("users").is_none_or(is_table).then_some(UsersText { text, document })
    }

    /// Whether there is a user of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.document.get("users").and_then(Item::as_table_like).is_some_and(|users| users.contains_key(name))
    }

    /// The text with one more user. There must be none of this name.
    pub(super) fn with(&self, name: &str, user: &NewUser) -> String {
        let newline = if self.text.contains("\r\n") { "\r\n" } else { "\n" };
        if let Some(users) = self.document.get("users").and_then(Item::as_inline_table) {
            return self.with_entry(users, name, user);
        }
        let statements = self.statements(name);
        let last = statements.iter().rposition(|statement| statement.of_users);
        let at_root = |index: usize| !statements.iter().take(index + 1).any(|statement| statement.is_header);
        let (at, added) = match last {
            Some(index) if at_root(index) => {
                let prefix = format!("users.{}.", Key::new(name));
                (self.line_end(statements[index].span.end), settings(user, &prefix, newline))
            }
            Some(index) => (self.below(&statements, index), block(name, user, newline)),
            None => (self.text.len(), block(name, user, newline)),
        };
        let (before, after) = self.text.split_at(at);
        let is_block = added.starts_with('[');
        let end = if before.is_empty() || before.ends_with('\n') { "" } else { newline };
        let is_apart = before.is_empty() || last_line(before).trim().is_empty() && before.ends_with('\n');
        let gap = if is_block && !is_apart { newline } else { "" };
        format!("{before}{end}{gap}{added}{after}")
    }

    /// The text without this user.
    pub(super) fn without(&self, name: &str) -> String {
        let ranges = self.pieces_of(name);
        let mut left = String::with_capacity(self.text.len());
        let mut at = 0;
        for range in ranges {
            left += self.text.get(at..range.start).unwrap_or_default();
            at = at.max(range.end);
        }
        left + &self.text[at..]
    }

    /// The comment lines that [`without`](Self::without) removes.
    pub(super) fn comments_of(&self, name: &str) -> String {
        let pieces = self.pieces_of(name);
        let lines = pieces.into_iter().flat_map(|piece| self.text.get(piece).unwrap_or_default().lines());
        lines.filter(|line| line.trim_start().starts_with('#')).map(|line| format!("{}\n", line.trim_end())).collect()
    }

    /// The pieces of the text that are a user's, in their order.
    fn pieces_of(&self, name: &str) -> Vec<Range<usize>> {
        let mut ranges = match self.document.get("users").and_then(Item::as_inline_table) {
            Some(users) => self.entries_of(users, name),
            None => self.lines_of(name),
        };
        ranges.sort_by_key(|range| range.start);
        ranges
    }

    /// Every statement of the text, in its order.
    fn statements(&self, name: &str) -> Vec<Statement> {
        let mut statements = Vec::new();
        gather(self.document.as_table(), &mut Vec::new(), name, &mut statements);
        statements.sort_by_key(|statement| statement.span.start);
        statements
    }

    /// The whole lines of a user, in pieces.
    fn lines_of(&self, name: &str) -> Vec<Range<usize>> {
        let statements = self.statements(name);
        let first_user = statements.iter().position(|statement| statement.of_users);
        let mut pieces = Vec::new();
        let mut index = 0;
        while index < statements.len() {
            let run = statements[index..].iter().take_while(|statement| statement.own).count();
            if run > 0 {
                let (first, last) = (index, index + run - 1);
                let has_header = statements[first..=last].iter().any(|statement| statement.is_header);
                let line = self.line_start(statements[first].span.start);
                // Comments above the first user may be about all users, those above a dotted key about what follows.
                let start = if has_header && first_user != Some(first) { self.above(line) } else { line };
                let end = match has_header {
                    true => self.below(&statements, last),
                    false => self.line_end(statements[last].span.end),
                };
                pieces.push(if has_header { self.with_gap(start..end) } else { start..end });
            }
            index += run.max(1);
        }
        pieces
    }

    /// Also removes one of the two blank lines that would become adjacent.
    fn with_gap(&self, lines: Range<usize>) -> Range<usize> {
        let before = self.text.get(..lines.start).unwrap_or_default();
        let after = self.text.get(lines.end..).unwrap_or_default();
        let next_is_blank = after.lines().next().is_none_or(|line| line.trim().is_empty());
        let previous = last_line(before);
        if previous.trim().is_empty() && !previous.is_empty() && next_is_blank {
            return lines.start - previous.len()..lines.end;
        }
        if before.is_empty() && next_is_blank {
            return lines.start..self.line_end(lines.end);
        }
        lines
    }

    /// Where comment lines begin that stand directly above a line.
    fn above(&self, mut start: usize) -> usize {
        loop {
            let line = last_line(self.text.get(..start).unwrap_or_default());
            if !line.trim_start().starts_with('#') || is_header_in_comment(line) {
                return start;
            }
            start -= line.len();
        }
    }

    /// The end of a statement's line and of the comment lines directly below it, unless they stand directly above the
    /// next statement.
    fn below(&self, statements: &[Statement], index: usize) -> usize {
        let end = self.line_end(statements[index].span.end);
        let mut after = end;
        for line in self.text.get(end..).unwrap_or_default().split_inclusive('\n') {
            if line.trim().is_empty() || is_header_in_comment(line) {
                return after;
            }
            if !line.trim_start().starts_with('#') {
                return end;
            }
            after += line.len();
        }
        after
    }

    fn line_start(&self, at: usize) -> usize {
        self.text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1)
    }

    /// After the line's end.
    fn line_end(&self, at: usize) -> usize {
        self.text.get(at..).and_then(|after| after.find('\n')).map_or(self.text.len(), |end| at + end + 1)
    }

    fn with_entry(&self, users: &InlineTable, name: &str, user: &NewUser) -> String {
        let list = entries(user).map(|(key, value)| format!("{key} = {value}")).collect::<Vec<_>>().join(", ");
        let added = format!("{} = {{ {list} }}", Key::new(name));
        let last = entries_in(users, name).into_iter().map(|entry| entry.span.end).max();
        let (at, added) = match (last, users.span()) {
            (Some(end), _) => (end, format!(", {added}")),
            (None, Some(braces)) => (braces.start + 1, format!(" {added} ")),
            (None, None) => (self.text.len(), added),
        };
        let (before, after) = self.text.split_at(at);
        format!("{before}{added}{after}")
    }

    /// The entries of a user in an inline table, each with one comma.
    fn entries_of(&self, users: &InlineTable, name: &str) -> Vec<Range<usize>> {
        let mut entries = entries_in(users, name);
        entries.sort_by_key(|entry| entry.span.start);
        let mut ranges: Vec<Range<usize>> = Vec::new();
        let mut start = users.span().map_or(0, |braces| braces.start + 1);
        // The comma before, which is removed with the last entry.
        let mut comma = None;
        for Entry { span, own } in entries {
            let next = self.comma_after(span.end);
            let entry_end = next.map_or(span.end, |next| next + 1);
            let after = self.remark_end(entry_end);
            // The remark behind an entry is about it, unless others are before it in the same line.
            let line = self.text.get(self.line_start(span.start)..span.start).unwrap_or_default();
            let end = if line.trim().is_empty() { after } else { entry_end };
            match (own, next, comma) {
                (true, Some(_), _) => ranges.push(start..end),
                (true, None, Some(comma)) => ranges.extend([comma..comma + 1, start..end]),
                (true, None, None) => ranges.push(span.start..end),
                (false, ..) => {}
            }
            comma = if own { comma } else { next };
            start = after;
        }
        ranges
    }

    /// The end of a remark that follows in the same line; the same place if none follows.
    fn remark_end(&self, at: usize) -> usize {
        let line = self.text.get(at..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        if line.trim_start().starts_with('#') { at + line.len() } else { at }
    }

    /// The comma behind an entry of an inline table, which may have several lines and comments.
    fn comma_after(&self, end: usize) -> Option<usize> {
        let mut at = end;
        for line in self.text.get(end..)?.split_inclusive('\n') {
            let code = line.trim_start();
            let start = at + line.len() - code.len();
            match code.as_bytes().first() {
                Some(b',') => return Some(start),
                Some(b'#') | None => at += line.len(),
                Some(_) => return None,
            }
        }
        None
    }
}

/// Whether two texts say the same but for one user. A last check of an edit before it is written.
pub(super) fn differ_in_one_user(before: &str, after: &str, name: &str) -> bool {
    let others = |text: &str| {
        let mut table: toml::Table = text.parse().ok()?;
        let users = table.get_mut("users").and_then(toml::Value::as_table_mut);
        let is_empty = |users: &mut toml::Table| {
            users.remove(name);
            users.is_empty()
        };
        if users.is_some_and(is_empty) {
            table.remove("users");
        }
        Some(table)
    };
    let (before, after) = (others(before), others(after));
    before.is_some() && before == after
}

/// Collects the statements of a table. `path` is that of the table.
fn gather<'d>(table: &'d Table, path: &mut Vec<&'d str>, name: &str, statements: &mut Vec<Statement>) {
    let statement = |path: &[&str], span: Range<usize>, is_header: bool| {
        let of_users = path.first() == Some(&"users");
        Statement { span, is_header, of_users, own: of_users && path.get(1) == Some(&name) }
    };
    if !table.is_implicit() && !table.is_dotted() && !path.is_empty() {
        statements.extend(table.span().map(|span| statement(path, span, true)));
    }
    for (key, item) in table {
        path.push(key);
        match item {
            Item::Table(inner) => gather(inner, path, name, statements),
            Item::ArrayOfTables(tables) => tables.iter().for_each(|inner| gather(inner, path, name, statements)),
            Item::Value(value) => {
                let start = table.key(key).and_then(Key::span).map(|span| span.start);
                let span = start.zip(value.span()).map(|(start, value)| start..value.end);
                statements.extend(span.map(|span| statement(path, span, false)));
            }
            Item::None => {}
        }
        path.pop();
    }
}

/// The entries of an inline table of users.
fn entries_in(users: &InlineTable, name: &str) -> Vec<Entry> {
    fn gather(table: &InlineTable, own: Option<bool>, name: &str, entries: &mut Vec<Entry>) {
        for (key, value) in table {
            let own = own.unwrap_or(key == name);
            match value {
                Value::InlineTable(inner) if inner.is_dotted() => gather(inner, Some(own), name, entries),
                value => {
                    let start = table.key(key).and_then(Key::span).map(|span| span.start);
                    let span = start.zip(value.span()).map(|(start, value)| start..value.end);
                    entries.extend(span.map(|span| Entry { span, own }));
                }
            }
        }
    }
    let mut entries = Vec::new();
    gather(users, None, name, &mut entries);
    entries
}

/// Whether a comment is the header of a table that was commented out.
fn is_header_in_comment(line: &str) -> bool {
    let comment = line.trim_start().strip_prefix('#');
    comment.is_some_and(|comment| comment.trim_start_matches('#').trim_start().starts_with('['))
}

/// The last line of a text, with its end.
fn last_line(text: &str) -> &str {
    text.split_inclusive('\n').next_back().unwrap_or_default()
}

/// A table of its own.
pub(in crate::cli::admin) fn block(name: &str, user: &NewUser, newline: &str) -> String {
    format!("[users.{}]{newline}{}", Key::new(name), settings(user, "", newline))
}

/// A line for each setting; several keys have a line each.
fn settings(user: &NewUser, prefix: &str, newline: &str) -> String {
    let line = |(key, value): (&str, String)| match user.keys.as_slice() {
        keys @ [_, _, ..] if key == "keys" => {
            let keys: String = keys.iter().map(|key| format!("    {},{newline}", quoted(key))).collect();
            format!("{prefix}keys = [{newline}{keys}]{newline}")
        }
        _ => format!("{prefix}{key} = {value}{newline}"),
    };
    entries(user).map(line).collect()
}

/// The settings and their values.
fn entries(user: &NewUser) -> impl Iterator<Item = (&'static str, String)> {
    let keys: Vec<_> = user.keys.iter().map(|key| quoted(key)).collect();
    let text = |value: &Option<String>| value.as_deref().map(quoted);
    [
        ("tenant", text(&user.tenant)),
        ("plugin", text(&user.plugin)),
        ("password", text(&user.password)),
        ("keys", (!keys.is_empty()).then(|| format!("[{}]", keys.join(", ")))),
        ("authorized_keys", text(&user.authorized_keys)),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key, value?)))
}

/// A text as a value of TOML.
pub(in crate::cli::admin) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
