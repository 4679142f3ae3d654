//! Field splitting (XCU 2.6.5), pathname expansion and quote removal.

use super::pieces::{Mode, Piece};
use crate::pattern;
use crate::state::{Run, Shell};
use crate::syntax::{Part, Word};
use crate::text::is_name;

/// A field that is being put together: texts, and whether they are quoted.
#[derive(Default)]
struct Field {
    texts: Vec<(String, bool)>,
    exists: bool,
}

impl Field {
    fn push(&mut self, text: &str, quoted: bool) {
        self.exists |= quoted || !text.is_empty();
        match self.texts.last_mut() {
            Some((last, is_quoted)) if *is_quoted == quoted => last.push_str(text),
            _ => self.texts.push((text.to_owned(), quoted)),
        }
    }
}

impl Shell {
    /// Expands words to fields.
    pub(crate) fn expand_words(&mut self, words: &[Word]) -> Run<Vec<String>> {
        let mut fields = Vec::new();
        for word in words {
            self.expand_word(word, &mut fields)?;
        }
        Ok(fields)
    }

    /// Expands one word to any number of fields.
    pub(crate) fn expand_word(&mut self, word: &Word, fields: &mut Vec<String>) -> Run {
        if let [Part::Literal(text)] = word.parts.as_slice()
            && !text.contains(['*', '?', '[', '{', '~', '(', '\\'])
        {
            fields.push(text.clone());
            return Ok(());
        }
        if self.is_on("braceexpand") && super::braces::may_expand(word) {
            return self.expand_braces(word, fields);
        }
        self.expand_braceless(word, fields)
    }

    #[inline(never)]
    fn expand_braces(&mut self, word: &Word, fields: &mut Vec<String>) -> Run {
        super::braces::expand(word).iter().try_for_each(|word| self.expand_braceless(word, fields))
    }

    #[inline(never)]
    fn expand_braceless(&mut self, word: &Word, fields: &mut Vec<String>) -> Run {
        let pieces = match self.assignment_pieces(word)? {
            Some(pieces) => pieces,
            None => self.pieces(word, Mode { tilde: true, ..Mode::default() })?,
        };
        if let [Piece::Text { text, quoted, split }] = pieces.as_slice()
            && (*quoted || *split && self.is_one_field(text))
        {
            // The frequent case: one value that is neither split nor a pattern.
            if *quoted || !text.is_empty() {
                fields.extend(pieces.into_iter().map(|piece| match piece {
                    Piece::Text { text, .. } => text,
                    Piece::Break => String::new(),
                }));
            }
            return Ok(());
        }
        for field in self.split(pieces) {
            self.push_names(field, fields)?;
        }
        Ok(())
    }

    /// Whether a value holds no separators and nothing of a pattern.
    fn is_one_field(&self, text: &str) -> bool {
        let separators = self.variables.get("IFS").map_or(Some(" \t\n"), |ifs| ifs.text().map(String::as_str));
        let separators = separators.unwrap_or(" \t\n");
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80 || b"_-./,:=+%@".contains(&byte);
        let ascii = separators.is_ascii();
        ascii && text.bytes().all(|byte| plain(byte) && !separators.as_bytes().contains(&byte))
    }

    /// The pieces of a word `name=~..`, whose tildes bash expands as those of an assignment.
    #[inline(never)]
    fn assignment_pieces(&mut self, word: &Word) -> Run<Option<Vec<Piece>>> {
        let Some((Part::Literal(text), rest)) = word.parts.split_first() else { return Ok(None) };
        let Some(at) = text.find('=').filter(|at| text[*at..].contains('~') && is_name(&text[..*at])) else {
            return Ok(None);
        };
        if self.posix() {
            return Ok(None);
        }
        let (head, value) = text.split_at(at + 1);
        let mut pieces = vec![Piece::Text { text: head.to_owned(), quoted: false, split: false }];
        let parts = std::iter::once(Part::Literal(value.to_owned())).chain(rest.iter().cloned()).collect();
        let value = Word { parts, raw: String::new() };
        pieces.extend(self.pieces(&value, Mode { tilde: true, assignment: true, ..Mode::default() })?);
        Ok(Some(pieces))
    }

    #[inline(never)]
    fn split(&self, pieces: Vec<Piece>) -> Vec<Field> {
        let separators = self.text_of("IFS").unwrap_or_else(|| " \t\n".to_owned());
        let mut fields = Vec::new();
        let mut field = Field::default();
        let mut after_blank = false;
        for piece in pieces {
            let (text, quoted, split) = match piece {
                Piece::Break => {
                    fields.push(std::mem::take(&mut field));
                    after_blank = false;
                    continue;
                }
                Piece::Text { text, quoted, split } => (text, quoted, split),
            };
            if !split || quoted {
                after_blank = after_blank && text.is_empty() && !quoted;
                field.push(&text, quoted);
                continue;
            }
            let mut rest = text.as_str();
            while let Some(next) = rest.chars().next() {
                if !separators.contains(next) {
                    let length = rest.find(|next| separators.contains(next)).unwrap_or(rest.len());
                    field.push(&rest[..length], false);
                    rest = &rest[length..];
                    after_blank = false;
                    continue;
                }
                rest = &rest[next.len_utf8()..];
                if matches!(next, ' ' | '\t' | '\n') {
                    if field.exists {
                        fields.push(std::mem::take(&mut field));
                        after_blank = true;
                    }
                } else if after_blank {
                    after_blank = false;
                } else {
                    field.exists = true;
                    fields.push(std::mem::take(&mut field));
                }
            }
        }
        fields.push(field);
        fields.retain(|field| field.exists);
        fields
    }

    /// Adds the names of the files that a field matches, or the field itself.
    #[inline(never)]
    fn push_names(&mut self, field: Field, fields: &mut Vec<String>) -> Run {
        let extglob = self.is_on("extglob");
        let magic = field.texts.iter().any(|(text, quoted)| !quoted && text.contains(['*', '?', '[', '(', '\\']));
        if magic && !self.is_on("noglob") {
            let mut pattern = String::new();
            for (text, quoted) in &field.texts {
                if *quoted { pattern::escape_into(&mut pattern, text) } else { pattern.push_str(text) }
            }
            if pattern::has_magic(&pattern, extglob) {
                let names = self.glob(&pattern);
                if !names.is_empty() {
                    fields.extend(names);
                    return Ok(());
                }
                if self.is_on("failglob") {
                    let text: String = field.texts.iter().map(|(text, _)| text.as_str()).collect();
                    return Err(self.assignment_error(&format!("no match: {text}")));
                }
                if self.is_on("nullglob") {
                    return Ok(());
                }
            }
        }
        fields.push(field.texts.into_iter().map(|(text, _)| text).collect());
        Ok(())
    }
}
