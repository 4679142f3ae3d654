//! What is changed in an earlier line.

use super::Scanner;

impl Scanner<'_> {
    /// Applies the modifiers that follow the event that began at `start`.
    ///
    /// # Errors
    /// A message: there is no such modifier, or it changes nothing.
    pub(super) fn modified(&mut self, mut text: String, start: usize) -> Result<String, String> {
        let mut last: Option<(String, String)> = None;
        while self.rest().starts_with(':') {
            let colon = self.at;
            self.advance();
            let is_global = self.rest().starts_with(['g', 'a']);
            if is_global {
                self.advance();
            }
            match self.advance() {
                Some('h') => text.truncate(text.rfind('/').unwrap_or(text.len())),
                Some('t') => text = text[text.rfind('/').map_or(0, |at| at + 1)..].to_owned(),
                Some('r') => text.truncate(text.rfind('.').unwrap_or(text.len())),
                Some('e') => text = text[text.rfind('.').unwrap_or(0)..].to_owned(),
                Some('p') => self.is_only_shown = true,
                Some('q') => text = quoted(&text),
                Some('x') => text = text.split_whitespace().map(quoted).collect::<Vec<_>>().join(" "),
                Some('s') => {
                    let substitution = self.substitution(last.as_ref());
                    text = self.substituted(&text, &substitution, is_global, colon)?;
                    last = Some(substitution);
                }
                Some('&') => match &last {
                    Some(substitution) => text = self.substituted(&text, substitution, is_global, colon)?,
                    None => return Err(format!("{}: no previous substitution", &self.line[colon..self.at])),
                },
                _ => {
                    return Err(format!("{}: unrecognized history modifier", &self.line[start..self.at]));
                }
            }
        }
        Ok(text)
    }

    /// Reads `/old/new/` with any delimiter.
    fn substitution(&mut self, last: Option<&(String, String)>) -> (String, String) {
        let Some(delimiter) = self.advance() else { return Default::default() };
        let mut old = self.until(delimiter, false, "");
        if old.is_empty()
            && let Some((before, _)) = last
        {
            old.clone_from(before);
        }
        let new = self.until(delimiter, true, &old);
        (old, new)
    }

    /// Reads up to a delimiter, or to the end of the line. A backslash quotes the delimiter; in a new text `&` stands
    /// for the old one.
    fn until(&mut self, delimiter: char, is_new: bool, old: &str) -> String {
        let mut text = String::new();
        while let Some(next) = self.peek().filter(|next| *next != '\n') {
            self.advance();
            if next == delimiter {
                break;
            }
            let quoted =
                self.peek().filter(|quoted| next == '\\' && (*quoted == delimiter || is_new && *quoted == '&'));
            match quoted {
                Some(quoted) => {
                    self.advance();
                    text.push(quoted);
                }
                None if next == '&' && is_new => text.push_str(old),
                None => text.push(next),
            }
        }
        text
    }

    fn substituted(
        &self,
        text: &str,
        (old, new): &(String, String),
        is_global: bool,
        colon: usize,
    ) -> Result<String, String> {
        if old.is_empty() || !text.contains(old.as_str()) {
            return Err(format!("{}: substitution failed", self.line[colon..self.at].trim_end()));
        }
        Ok(if is_global { text.replace(old.as_str(), new) } else { text.replacen(old.as_str(), new, 1) })
    }
}

/// A text in single quotes.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
