//! History expansion: a line that repeats parts of earlier lines, as in bash. An event (`!!`, `!n`, `!-n`, `!string`,
//! `!?string?`, `!#`) may have words (`!$`, `!^`, `!*`, `!!:2-3`) and modifiers (`:h`, `:t`, `:r`, `:e`, `:p`, `:q`,
//! `:s/old/new/`, `:gs`); `^old^new` repeats the last line with a change.

mod modifier;
mod words;

/// How lines are expanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HistoryExpansion {
    /// Not within double quotes.
    pub(crate) posix: bool,
    /// `!(` is a pattern.
    pub(crate) extglob: bool,
}

/// The quotes that are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quote {
    None,
    Single,
    /// `$'`, in which a backslash quotes.
    Escaped,
    Double,
}

/// A line that repeats earlier ones.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub(crate) text: String,
    /// The modifier `:p`: it is shown and not executed.
    pub(crate) is_only_shown: bool,
}

/// The rest of a line that is read, and the text before it.
struct Scanner<'a> {
    how: HistoryExpansion,
    history: &'a [String],
    line: &'a str,
    at: usize,
    out: String,
    is_only_shown: bool,
}

impl HistoryExpansion {
    /// Expands a line. `None`: it repeats nothing. `quote` is what the lines before have left open.
    ///
    /// # Errors
    /// A message, where there is no such line or word.
    pub(crate) fn expand(self, line: &str, history: &[String], quote: &mut Quote) -> Result<Option<Expanded>, String> {
        let changed;
        let line = if *quote == Quote::None && line.starts_with('^') {
            changed = format!("!!:s{line}");
            changed.as_str()
        } else if line.contains('!') {
            line
        } else {
            skip_quotes(line, quote);
            return Ok(None);
        };
        let mut scanner = Scanner { how: self, history, line, at: 0, out: String::new(), is_only_shown: false };
        let found = scanner.scan(quote)?;
        Ok(found.then_some(Expanded { text: scanner.out, is_only_shown: scanner.is_only_shown }))
    }
}

/// Notes the quotes that a line opens and closes.
fn skip_quotes(line: &str, quote: &mut Quote) {
    let how = HistoryExpansion { posix: true, extglob: false };
    let mut scanner = Scanner { how, history: &[], line, at: 0, out: String::new(), is_only_shown: false };
    // Without a `!` there is nothing to find.
    let _ = scanner.scan(quote);
}

impl Scanner<'_> {
    fn rest(&self) -> &str {
        &self.line[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn advance(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Copies the next character.
    fn copy(&mut self) {
        let next = self.advance();
        self.out.extend(next);
    }

    /// Whether anything was expanded.
    fn scan(&mut self, quote: &mut Quote) -> Result<bool, String> {
        let mut found = false;
        while let Some(next) = self.peek() {
            match (next, *quote) {
                ('\\', Quote::None | Quote::Double | Quote::Escaped) => {
                    self.copy();
                    self.copy();
                }
                ('\'', Quote::None) => {
                    *quote = if self.out.ends_with('$') { Quote::Escaped } else { Quote::Single };
                    self.copy();
                }
                ('"', Quote::None) => {
                    *quote = Quote::Double;
                    self.copy();
                }
                ('\'', Quote::Single | Quote::Escaped) | ('"', Quote::Double) => {
                    *quote = Quote::None;
                    self.copy();
                }
                ('#', Quote::None) if self.out.is_empty() || self.out.ends_with([' ', '\t', ';', '&', '|', '(']) => {
                    self.out.push_str(&self.line[self.at..]);
                    self.at = self.line.len();
                }
                ('!', Quote::None | Quote::Double) if self.is_event(*quote) => {
                    self.event(*quote)?;
                    found = true;
                }
                _ => self.copy(),
            }
        }
        Ok(found)
    }

    /// Whether a `!` begins an event: it means other things in patterns and parameters.
    fn is_event(&self, quote: Quote) -> bool {
        let mut after = self.rest().chars().skip(1);
        let Some(next) = after.next() else { return false };
        let before = &self.out;
        let is_other = match next {
            ' ' | '\t' | '\n' | '\r' | '=' => true,
            '"' => quote == Quote::Double,
            '(' => self.how.extglob && self.rest().contains(')'),
            _ => false,
        };
        !(is_other
            || self.how.posix && quote == Quote::Double
            || before.ends_with('$')
            || before.ends_with('[') && self.rest().contains(']')
            || before.ends_with("${") && self.rest().contains('}'))
    }

    /// Replaces an event with its words and modifiers.
    fn event(&mut self, quote: Quote) -> Result<(), String> {
        let start = self.at;
        self.advance();
        let event = self.find_event(quote);
        let event = event.ok_or_else(|| format!("{}: event not found", &self.line[start..self.at]))?;
        let words = self.words(&event).map_err(|()| format!("{}: bad word specifier", &self.line[start..self.at]))?;
        let text = self.modified(words.unwrap_or(event), start)?;
        self.out.push_str(&text);
        Ok(())
    }

    /// The line that is meant. `None`: there is none.
    fn find_event(&mut self, quote: Quote) -> Option<String> {
        let entry = |back: usize| self.history.len().checked_sub(back).and_then(|at| self.history.get(at)).cloned();
        let rest = self.rest();
        match rest.chars().next()? {
            '!' => {
                let last = entry(1);
                self.at += 1;
                return last;
            }
            ':' | '$' | '*' | '%' | '^' => return entry(1),
            '#' => {
                self.at += 1;
                return Some(self.out.clone());
            }
            _ => {}
        }
        let digits = rest.strip_prefix('-').unwrap_or(rest);
        let count = digits.bytes().take_while(u8::is_ascii_digit).count();
        if count > 0 {
            let number = digits[..count].parse::<usize>().ok();
            let found = if digits.len() < rest.len() {
                number.filter(|number| *number > 0).and_then(entry)
            } else {
                number.and_then(|number| self.history.get(number.checked_sub(1)?)).cloned()
            };
            self.at += rest.len() - digits.len() + count;
            return found;
        }
        if let Some(rest) = rest.strip_prefix('?') {
            let length = rest.find(['?', '\n']).unwrap_or(rest.len());
            let text = &rest[..length];
            let found = self.history.iter().rev().find(|line| line.contains(text)).filter(|_| length > 0).cloned();
            self.at += 1 + length + usize::from(rest[length..].starts_with('?'));
            return found;
        }
        let is_end = |(at, sign): (usize, char)| {
            let ends = sign.is_whitespace() || ":;&()|<>".contains(sign) || quote == Quote::Double && sign == '"';
            ends || at > 0 && "^$*%-".contains(sign)
        };
        let length = rest.char_indices().find(|place| is_end(*place)).map_or(rest.len(), |(at, _)| at);
        let text = &rest[..length];
        let found = self.history.iter().rev().find(|line| line.starts_with(text)).filter(|_| length > 0).cloned();
        self.at += length;
        found
    }
}
