//! The operations of `${..}` that change text: trimming, replacing, slicing, case, `@`.

use super::parameter::Got;
use crate::pattern::{Pattern, PatternOptions};
use crate::state::{Kind, Run, Shell, Value, Variable};
use crate::syntax::{ParameterOp, Subscript, Word};
use crate::text::{self, quote_always};

/// An operation whose pattern is expanded.
pub(super) enum TextChange {
    Trim { suffix: bool, longest: bool, pattern: Pattern },
    Replace { all: bool, anchor: char, pattern: Pattern, empty: bool, replacement: String },
    Case { op: char, all: bool, pattern: Option<Pattern> },
}

impl Shell {
    pub(super) fn change(&mut self, operation: &ParameterOp) -> Run<TextChange> {
        let options = PatternOptions { extglob: self.is_on("extglob"), fold: false };
        Ok(match operation {
            ParameterOp::Trim { suffix, longest, pattern } => {
                let pattern = Pattern::new(&self.expand_pattern(pattern)?, options);
                TextChange::Trim { suffix: *suffix, longest: *longest, pattern }
            }
            ParameterOp::Replace { all, anchor, pattern, replacement } => {
                let text = self.expand_pattern(pattern)?;
                let fold = self.is_on("nocasematch");
                let pattern = Pattern::new(&text, PatternOptions { fold, ..options });
                let replacement = self.expand_pattern(replacement)?;
                TextChange::Replace { all: *all, anchor: *anchor, empty: text.is_empty(), pattern, replacement }
            }
            ParameterOp::Case { op, all, pattern } => {
                let text = self.expand_pattern(pattern)?;
                let pattern = (!text.is_empty()).then(|| Pattern::new(&text, options));
                TextChange::Case { op: *op, all: *all, pattern }
            }
            _ => TextChange::Case { op: '^', all: false, pattern: Some(Pattern::new("", options)) },
        })
    }

    pub(super) fn apply_change(&self, change: &TextChange, text: &str) -> String {
        match change {
            TextChange::Trim { suffix, longest, pattern } => trim(text, *suffix, *longest, pattern),
            TextChange::Replace { all, anchor, pattern, empty, replacement } => {
                if *empty && *anchor == '/' {
                    return text.to_owned();
                }
                let ampersand = self.is_on("patsub_replacement");
                let new = |found: &str| replaced(replacement, found, ampersand);
                replace(text, *all, *anchor, pattern, &new)
            }
            TextChange::Case { op, all, pattern } => {
                let mut result = String::new();
                for (at, next) in text.chars().enumerate() {
                    let fits = pattern.as_ref().is_none_or(|pattern| pattern.matches(next.encode_utf8(&mut [0; 4])));
                    if !fits || at > 0 && !all {
                        result.push(next);
                        continue;
                    }
                    let lower = *op == ',' || *op == '~' && next.is_uppercase();
                    result.push(if lower { one(next, next.to_lowercase()) } else { one(next, next.to_uppercase()) });
                }
                result
            }
        }
    }

    pub(super) fn slice(
        &mut self,
        (name, subscript): (&str, Option<&Subscript>),
        got: Got,
        offset: &Word,
        length: Option<&Word>,
    ) -> Run<Got> {
        let start = self.arithmetic_word(offset)?;
        let count = length.map(|length| self.arithmetic_word(length)).transpose()?;
        match got {
            Got::One(None) => Ok(Got::One(None)),
            Got::One(Some(text)) => {
                let chars: Vec<char> = text.chars().collect();
                let Some((from, to)) = bounds(start, count, chars.len(), true) else {
                    let count = count.unwrap_or(0);
                    return Err(self.expansion_error(&format!("{count}: substring expression < 0")));
                };
                Ok(Got::One(Some(chars[from..to].iter().collect())))
            }
            Got::Many { values, joined } => {
                if count.is_some_and(|count| count < 0) {
                    let count = count.unwrap_or(0);
                    return Err(self.expansion_error(&format!("{count}: substring expression < 0")));
                }
                let positional = name == "@" || name == "*";
                let mut values = values;
                let mut start = start;
                if positional {
                    values.insert(0, self.name.clone());
                } else if let Some(Value::Indexed(elements)) = self.variable(name).map(|variable| variable.value)
                    && subscript.is_some()
                {
                    // The offset is an index, not a position.
                    let end = elements.last_key_value().map_or(0, |(last, _)| last.saturating_add(1));
                    let from = if start < 0 { start.saturating_add(end) } else { start };
                    if from < 0 {
                        return Ok(Got::Many { values: Vec::new(), joined });
                    }
                    start = i64::try_from(elements.range(..from).count()).unwrap_or(i64::MAX);
                }
                let Some((from, to)) = bounds(start, count, values.len(), false) else {
                    return Ok(Got::Many { values: Vec::new(), joined });
                };
                Ok(Got::Many { values: values[from..to].to_vec(), joined })
            }
        }
    }

    pub(super) fn transform(
        &mut self,
        (name, subscript): (&str, Option<&Subscript>),
        got: Got,
        operator: char,
    ) -> Run<Got> {
        if "aAkK".contains(operator) {
            return Ok(self.describe(name, subscript, got, operator));
        }
        let one = |shell: &mut Self, text: String| match operator {
            'Q' => quote_always(&text),
            'U' => text.to_uppercase(),
            'u' => {
                let mut chars = text.chars();
                chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
            }
            'L' => text.to_lowercase(),
            'E' => unescaped(&text),
            'P' => shell.prompt(&text),
            _ => text,
        };
        if !"QUuLEP".contains(operator) {
            return Err(self.expansion_error(&format!("${{{name}@{operator}}}: bad substitution")));
        }
        Ok(match got {
            Got::One(text) => Got::One(text.map(|text| one(self, text))),
            Got::Many { values, joined } => {
                Got::Many { values: values.into_iter().map(|text| one(self, text)).collect(), joined }
            }
        })
    }

    /// `@a`, `@A`, `@k` and `@K`.
    fn describe(&mut self, name: &str, subscript: Option<&Subscript>, got: Got, operator: char) -> Got {
        let variable = self.variable(name).unwrap_or_default();
        let letters = variable.letters();
        let all = matches!(subscript, Some(Subscript::All | Subscript::Joined));
        if operator == 'a' {
            return match got {
                Got::Many { values, joined } => Got::Many { values: vec![letters; values.len()], joined },
                Got::One(_) => {
                    Got::One((self.variables.get(name).is_some() || self.is_dynamic(name)).then_some(letters))
                }
            };
        }
        if operator == 'A' {
            let (name, _) = self.resolve(name);
            let Got::One(Some(text)) = &got else {
                if !all && variable.value != Value::Unset {
                    return Got::One(Some(format!("declare -{letters} {name}")));
                }
                let Some(text) = super::assign::array_literal_text(&variable.value) else { return Got::One(None) };
                let values = vec!["declare".to_owned(), format!("-{letters}"), format!("{name}={text}")];
                return Got::Many { values, joined: matches!(subscript, Some(Subscript::Joined)) };
            };
            let head = if letters.is_empty() { String::new() } else { format!("declare -{letters} ") };
            return Got::One(Some(format!("{head}{name}={}", quote_always(text))));
        }
        if !all {
            return match got {
                Got::One(text) => Got::One(text.map(|text| quote_always(&text))),
                many @ Got::Many { .. } => many,
            };
        }
        let pairs = pairs_of(&variable);
        if operator == 'k' {
            return Got::Many {
                values: pairs.into_iter().flat_map(|(key, text)| [key, text]).collect(),
                joined: false,
            };
        }
        let one = |(key, text): (String, String)| format!("{key} {}", text::quote_double(&text));
        let mut text = pairs.into_iter().map(one).collect::<Vec<_>>().join(" ");
        if variable.kind == Kind::Assoc {
            text.push(' ');
        }
        Got::One(Some(text))
    }
}

/// The character in another case, if that is one character too.
fn one(next: char, mut folded: impl ExactSizeIterator<Item = char>) -> char {
    if folded.len() == 1 { folded.next().unwrap_or(next) } else { next }
}

fn pairs_of(variable: &Variable) -> Vec<(String, String)> {
    match &variable.value {
        Value::Indexed(elements) => elements.iter().map(|(key, text)| (key.to_string(), text.clone())).collect(),
        Value::Assoc(elements) => elements.list().into_iter().map(|(key, text)| (key.clone(), text.clone())).collect(),
        Value::Scalar(text) => vec![("0".to_owned(), text.clone())],
        Value::Unset => Vec::new(),
    }
}

/// The characters of `text` with the escapes of `$'..'`.
fn unescaped(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        result.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some((value, length)) = text::escape(rest, false) {
            result.push_str(&value);
            rest = &rest[length..];
        } else {
            result.push('\\');
        }
    }
    result + rest
}

/// The beginning and the end of a slice. None if the end is before the beginning.
fn bounds(start: i64, count: Option<i64>, length: usize, text: bool) -> Option<(usize, usize)> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let from = if start < 0 { start.saturating_add(length) } else { start };
    if from < 0 || from > length {
        return Some((0, 0));
    }
    let to = match count {
        None => length,
        Some(count) if count < 0 && text => length.saturating_add(count),
        Some(count) => from.saturating_add(count).min(length),
    };
    (to >= from).then(|| (usize::try_from(from).unwrap_or(0), usize::try_from(to).unwrap_or(0)))
}

fn trim(text: &str, suffix: bool, longest: bool, pattern: &Pattern) -> String {
    if let Some(literal) = pattern.literal() {
        let stripped = if suffix { text.strip_suffix(&literal) } else { text.strip_prefix(&literal) };
        return stripped.unwrap_or(text).to_owned();
    }
    let chars: Vec<char> = text.chars().collect();
    let length = if suffix { pattern.suffix(&chars, longest) } else { pattern.prefix(&chars, longest) };
    let length = length.unwrap_or(0);
    if suffix { chars[..chars.len() - length].iter().collect() } else { chars[length..].iter().collect() }
}

fn replace(text: &str, all: bool, anchor: char, pattern: &Pattern, new: &dyn Fn(&str) -> String) -> String {
    if let (Some(literal), '/') = (pattern.literal(), anchor) {
        let new = new(&literal);
        return if all { text.replace(&literal, &new) } else { text.replacen(&literal, &new, 1) };
    }
    let chars: Vec<char> = text.chars().collect();
    let string = |chars: &[char]| chars.iter().collect::<String>();
    match anchor {
        '#' => match pattern.prefix(&chars, true) {
            Some(length) => new(&string(&chars[..length])) + &string(&chars[length..]),
            None => text.to_owned(),
        },
        '%' => match pattern.suffix(&chars, true) {
            Some(length) => {
                let at = chars.len() - length;
                string(&chars[..at]) + &new(&string(&chars[at..]))
            }
            None => text.to_owned(),
        },
        _ => {
            let mut result = String::new();
            let mut at = 0;
            while at < chars.len() {
                match pattern.prefix(&chars[at..], true) {
                    Some(length) if length > 0 => {
                        result.push_str(&new(&string(&chars[at..at + length])));
                        at += length;
                        if !all {
                            break;
                        }
                    }
                    _ => {
                        result.push(chars[at]);
                        at += 1;
                    }
                }
            }
            result + &string(&chars[at..])
        }
    }
}

/// A replacement, in which an unquoted `&` is what was found. What was quoted has backslashes.
fn replaced(replacement: &str, found: &str, ampersand: bool) -> String {
    let mut result = String::new();
    let mut chars = replacement.chars();
    while let Some(next) = chars.next() {
        match next {
            '\\' => match chars.next() {
                Some('&') => result.push('&'),
                Some(next) if "\\*?[]!-^|()+@".contains(next) => result.push(next),
                Some(next) => {
                    result.push('\\');
                    result.push(next);
                }
                None => result.push('\\'),
            },
            '&' if ampersand => result.push_str(found),
            _ => result.push(next),
        }
    }
    result
}
