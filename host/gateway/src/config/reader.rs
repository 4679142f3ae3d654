//! Reads a TOML text with the place of every value, and collects errors instead of stopping at the first.
//!
//! It knows TOML and not the meaning of the settings.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problem;
use super::setting::kind;
use crate::config::suggest::{alike, nearest};

/// The errors so far, and the line starts.
pub(super) struct Findings {
    file: PathBuf,
    /// The offset at which each line begins.
    lines: Vec<usize>,
    /// Errors: the file cannot be used.
    pub(super) problems: Vec<Problem>,
    /// Notes: the file can be used.
    pub(super) notes: Vec<Problem>,
    /// Keys that no section asked for.
    pub(super) unknown: Vec<Unknown>,
}

/// A key that no section asked for, and its error.
pub(super) struct Unknown {
    pub(super) name: String,
    /// The index of the error.
    pub(super) problem: usize,
    /// The setting of the same table that it probably means, with other capitals or dashes.
    pub(super) is_spelling: bool,
}

impl Findings {
    pub(super) fn new(file: &Path, text: &str) -> Findings {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(breaks).collect();
        Findings { file: file.to_owned(), lines, problems: Vec::new(), notes: Vec::new(), unknown: Vec::new() }
    }

    /// The file that is being read.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Adds an error at a place of the text. `key` is the full key.
    pub(super) fn add(&mut self, span: &Range<usize>, key: &str, what: impl Into<String>) {
        self.problems.push(Problem::at(&self.file, self.line(span), key, what));
    }

    /// Adds a note.
    pub(super) fn note(&mut self, item: &Item<'_>, what: impl Into<String>) {
        self.note_at(&item.span, &item.key, what);
    }

    /// Adds a note at a place of the text. `key` is the full key.
    pub(super) fn note_at(&mut self, span: &Range<usize>, key: &str, what: impl Into<String>) {
        self.notes.push(Problem::at(&self.file, self.line(span), key, what));
    }

    /// The place of the first occurrence, as the end of a sentence about a duplicate.
    pub(super) fn first(&self, span: &Range<usize>) -> String {
        format!("(first at {})", self.place(span))
    }

    /// A place in the file, such as `whelk.toml:7`.
    pub(super) fn place(&self, span: &Range<usize>) -> String {
        format!("{}:{}", self.file.display(), self.line(span))
    }

    /// Returns the value, or adds the error.
    pub(super) fn keep<T>(&mut self, item: &Item<'_>, read: Result<T, String>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(what) => {
                self.add(&item.span, &item.key, what);
                None
            }
        }
    }

    fn line(&self, span: &Range<usize>) -> usize {
        self.lines.partition_point(|start| *start <= span.start)
    }
}

/// One setting of the file.
#[derive(Clone)]
pub(super) struct Item<'t> {
    /// The last part of the key.
    pub(super) name: String,
    /// The full key.
    pub(super) key: String,
    /// The place of the value, or of the name of a table.
    pub(super) span: Range<usize>,
    pub(super) value: &'t DeValue<'t>,
}

impl<'t> Item<'t> {
    /// The elements of a list, each with the key of the list. Anything else is an error.
    pub(super) fn elements(&self, findings: &mut Findings) -> Vec<Item<'t>> {
        match self.value {
            DeValue::Array(elements) => elements
                .iter()
                .map(|element| Item { span: element.span(), value: element.get_ref(), ..self.clone() })
                .collect(),
            other => {
                let instead = match other {
                    DeValue::String(text) => format!(": write [{text:?}]"),
                    _ => String::new(),
                };
                findings.add(&self.span, &self.key, format!("must be a list, is {}{instead}", kind(other)));
                Vec::new()
            }
        }
    }

    /// The table in this setting. Anything else is an error.
    pub(super) fn section(&self, findings: &mut Findings) -> Option<Section<'t>> {
        match self.value {
            DeValue::Table(table) => {
                Some(Section { key: self.key.clone(), span: self.span.clone(), table, asked: BTreeSet::new() })
            }
            other => {
                findings.add(&self.span, &self.key, format!("must be a table, is {}", kind(other)));
                None
            }
        }
    }
}

/// A table of settings. A section asks for every key that it knows and then calls [`Section::finish`], which reports
/// the others.
pub(super) struct Section<'t> {
    /// The full key; empty at the top.
    pub(super) key: String,
    /// The place of the table's name.
    pub(super) span: Range<usize>,
    table: &'t DeTable<'t>,
    asked: BTreeSet<&'static str>,
}

impl<'t> Section<'t> {
    pub(super) fn top(table: &'t Spanned<DeTable<'t>>) -> Section<'t> {
        Section { key: String::new(), span: 0..0, table: table.get_ref(), asked: BTreeSet::new() }
    }

    /// The setting of this name, if the file has it.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Item<'t>> {
        self.asked.insert(name);
        let (key, value) = self.table.get_key_value(name)?;
        Some(self.item(key, value))
    }

    /// The same, but a name that is not `expected` here is only found if the file has it, and never suggested.
    pub(super) fn take_if(&mut self, name: &'static str, expected: bool) -> Option<Item<'t>> {
        if expected || self.table.contains_key(name) { self.take(name) } else { None }
    }

    /// Every setting of the table: for tables whose keys are names that the operator chose.
    pub(super) fn all(&self) -> Vec<Item<'t>> {
        self.table.iter().map(|(key, value)| self.item(key, value)).collect()
    }

    /// The full key of a setting of this table.
    pub(super) fn full(&self, name: &str) -> String {
        let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let quoted = if plain { name.to_owned() } else { format!("{name:?}") };
        if self.key.is_empty() { quoted } else { format!("{}.{quoted}", self.key) }
    }

    /// Reports every key that was not asked for.
    pub(super) fn finish(self, findings: &mut Findings) {
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if self.asked.contains(name) {
                continue;
            }
            let spelling = alike(name, self.asked.iter().copied());
            let what = match spelling.or_else(|| nearest(name, self.asked.iter().copied())) {
                Some(meant) => format!("there is no such setting (did you mean `{meant}`?)"),
                None => "there is no such setting".to_owned(),
            };
            let (name, problem) = (name.to_owned(), findings.problems.len());
            findings.unknown.push(Unknown { name, problem, is_spelling: spelling.is_some() });
            findings.add(&key.span(), &self.full(key.get_ref()), what);
        }
    }

    fn item(&self, key: &Spanned<std::borrow::Cow<'_, str>>, value: &'t Spanned<DeValue<'t>>) -> Item<'t> {
        // The span of a table is not contiguous: use that of its name.
        let span = match value.get_ref() {
            DeValue::Table(_) => key.span(),
            _ => value.span(),
        };
        let name: &str = key.get_ref();
        Item { name: name.to_owned(), key: self.full(name), span, value: value.get_ref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str, read: impl FnOnce(&mut Section<'_>, &mut Findings)) -> Vec<String> {
        let table = DeTable::parse(text).unwrap();
        let mut findings = Findings::new(Path::new("w.toml"), text);
        let mut top = Section::top(&table);
        read(&mut top, &mut findings);
        top.finish(&mut findings);
        findings.problems.iter().map(Problem::to_string).collect()
    }

    #[test]
    fn an_unknown_key_is_reported_with_its_line_and_a_suggestion() {
        let found = problems("a = 1\n\nlisen = 2\n\"odd key\" = 3\n", |top, _| {
            top.take("a");
            top.take("listen");
        });
        assert_eq!(
            found,
            [
                "w.toml:3: lisen: there is no such setting (did you mean `listen`?)",
                "w.toml:4: \"odd key\": there is no such setting"
            ]
        );
    }

    #[test]
    fn a_table_is_located_at_its_name_and_a_list_element_at_its_line() {
        let found = problems("list = [\n 1,\n 2,\n]\n[a.b]\n", |top, findings| {
            let list = top.take("list").unwrap();
            let second = list.elements(findings).pop().unwrap();
            findings.add(&second.span, &second.key, "the second");
            let mut a = top.take("a").unwrap().section(findings).unwrap();
            let b = a.take("b").unwrap();
            findings.add(&b.span, &b.key, "the table");
        });
        assert_eq!(found, ["w.toml:3: list: the second", "w.toml:5: a.b: the table"]);
    }
}
