//! The record and its fields.

use std::rc::Rc;

use unix_common::regex::Regex;

use crate::value::Value;

/// How a record is split into fields, and `split` splits.
#[derive(Debug, Clone)]
pub(crate) enum Splitter {
    /// By blanks and newlines; those around the record are none of it.
    Blanks,
    /// By one character.
    Byte(u8),
    Characters,
    /// By what a pattern matches; with newlines too, where records are paragraphs.
    Pattern(Rc<Regex>),
    /// Into what a pattern matches. FPAT
    Contents(Rc<Regex>),
    /// Into widths, in characters. FIELDWIDTHS
    Widths(Vec<usize>),
}

impl Splitter {
    /// The fields, and what is between them.
    pub(crate) fn split<'t>(&self, text: &'t [u8]) -> (Vec<&'t [u8]>, Vec<&'t [u8]>) {
        let (mut fields, mut between) = (Vec::new(), Vec::new());
        match self {
            Self::Blanks => {
                let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n');
                let mut rest = text.trim_ascii_start();
                while !rest.is_empty() {
                    let length = rest.iter().position(blank).unwrap_or(rest.len());
                    let (field, after) = rest.split_at(length);
                    fields.push(field);
                    let gap = after.iter().position(|byte| !blank(byte)).unwrap_or(after.len());
                    if gap < after.len() {
                        between.push(&after[..gap]);
                    }
                    rest = &after[gap..];
                }
            }
            Self::Byte(_) | Self::Pattern(_) if text.is_empty() => {}
            Self::Byte(separator) => {
                fields.extend(text.split(|byte| byte == separator));
                let mut at = 0;
                for field in &fields[..fields.len() - 1] {
                    at += field.len();
                    between.push(&text[at..=at]);
                    at += 1;
                }
            }
            Self::Characters => {
                for chunk in text.utf8_chunks() {
                    fields.extend(
                        chunk
                            .valid()
                            .char_indices()
                            .map(|(at, one)| &chunk.valid().as_bytes()[at..at + one.len_utf8()]),
                    );
                    fields.extend(chunk.invalid().chunks(1));
                }
                between.resize(fields.len().saturating_sub(1), &text[..0]);
            }
            Self::Pattern(regex) => return split_by(regex, text),
            Self::Contents(regex) => fields = contents(regex, text),
            Self::Widths(widths) => fields = of_widths(widths, text),
        }
        (fields, between)
    }
}

/// The fields between the matches of a pattern, and the matches.
fn split_by<'t>(regex: &Regex, text: &'t [u8]) -> (Vec<&'t [u8]>, Vec<&'t [u8]>) {
    let (mut fields, mut between) = (Vec::new(), Vec::new());
    let (mut start, mut at) = (0, 0);
    while let Some((from, to)) = regex.find_at(text, at) {
        if from == to {
            at = to + 1;
            if at > text.len() {
                break;
            }
            continue;
        }
        fields.push(&text[start..from]);
        between.push(&text[from..to]);
        (start, at) = (to, to);
    }
    fields.push(&text[start..]);
    (fields, between)
}

/// The matches of a pattern.
fn contents<'t>(regex: &Regex, text: &'t [u8]) -> Vec<&'t [u8]> {
    let mut fields = Vec::new();
    let mut at = 0;
    while at <= text.len()
        && let Some((from, to)) = regex.find_at(text, at)
    {
        // An empty field is one, but not right after another.
        if from == to && at == from && from > 0 && !fields.is_empty() {
            at = to + 1;
            continue;
        }
        fields.push(&text[from..to]);
        at = if from == to { to + 1 } else { to };
    }
    fields
}

/// Fields of so many characters.
fn of_widths<'t>(widths: &[usize], text: &'t [u8]) -> Vec<&'t [u8]> {
    let mut fields = Vec::new();
    let mut rest = text;
    for width in widths {
        if rest.is_empty() {
            break;
        }
        let (field, after) = rest.split_at(byte_of_character(rest, *width));
        fields.push(field);
        rest = after;
    }
    fields
}

/// The byte at which a character begins, counted from 0; the length if there are fewer.
pub(crate) fn byte_of_character(text: &[u8], count: usize) -> usize {
    let (mut at, mut left) = (0, count);
    for chunk in text.utf8_chunks() {
        for one in chunk.valid().chars() {
            if left == 0 {
                return at;
            }
            at += one.len_utf8();
            left -= 1;
        }
        for _ in chunk.invalid() {
            if left == 0 {
                return at;
            }
            at += 1;
            left -= 1;
        }
    }
    at
}

/// How many characters a text has. A byte that is none counts as one.
pub(crate) fn characters(text: &[u8]) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    text.utf8_chunks().map(|chunk| chunk.valid().chars().count() + chunk.invalid().len()).sum()
}

/// The record, of which the fields are split off when they are asked for.
#[derive(Debug, Default)]
pub(crate) struct Record {
    text: Vec<u8>,
    fields: Vec<Value>,
    /// Whether the fields are those of the text.
    is_split: bool,
    /// Whether the text is that of the fields.
    is_joined: bool,
}

/// The most fields that an assignment may make.
const FIELDS: usize = 1 << 24;

impl Record {
    pub(crate) fn set(&mut self, text: Vec<u8>) {
        *self = Self { text, fields: Vec::new(), is_split: false, is_joined: true };
    }

    pub(crate) fn split(&mut self, splitter: &Splitter) {
        if !self.is_split {
            self.fields = splitter.split(&self.text).0.into_iter().map(Value::input).collect();
            self.is_split = true;
        }
    }

    /// The whole record.
    pub(crate) fn text(&mut self, separator: &[u8]) -> &[u8] {
        if !self.is_joined {
            let fields: Vec<Rc<[u8]>> = self.fields.iter().map(|field| field.bytes(b"%.6g")).collect();
            self.text = fields.join(separator);
            self.is_joined = true;
        }
        &self.text
    }

    /// A field, from 1 on, once the record is split.
    pub(crate) fn field(&self, number: usize) -> Value {
        number.checked_sub(1).and_then(|index| self.fields.get(index)).cloned().unwrap_or_default()
    }

    pub(crate) fn count(&self) -> usize {
        self.fields.len()
    }

    /// Sets a field of the split record, after which there are at least so many. False if that is too many.
    pub(crate) fn set_field(&mut self, number: usize, value: Value) -> bool {
        let Some(index) = number.checked_sub(1).filter(|index| *index < FIELDS) else {
            return false;
        };
        if self.fields.len() <= index {
            self.fields.resize(index + 1, Value::Unset);
        }
        self.fields[index] = value;
        self.is_joined = false;
        true
    }

    /// Sets how many fields there are. False if that is too many.
    pub(crate) fn set_count(&mut self, count: usize) -> bool {
        if count > FIELDS {
            return false;
        }
        self.fields.resize(count, Value::Unset);
        self.is_joined = false;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_split_and_joined() {
        let mut record = Record::default();
        record.set(b"  a b\tc ".to_vec());
        record.split(&Splitter::Blanks);
        assert_eq!(record.count(), 3);
        assert!(record.set_field(5, Value::text(b"e")));
        assert_eq!(record.text(b"-"), b"a-b-c--e");
        assert!(record.set_count(2));
        assert_eq!(record.text(b" "), b"a b");
        assert_eq!(Splitter::Byte(b':').split(b"a::b").0, vec![&b"a"[..], b"", b"b"]);
        assert_eq!(Splitter::Characters.split("aé".as_bytes()).0, vec![&b"a"[..], "é".as_bytes()]);
    }
}
