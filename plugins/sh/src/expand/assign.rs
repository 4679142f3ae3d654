//! Assignments to variables, elements and arrays.

use crate::state::{Assoc, Kind, Run, Shell, Stop, Value, Variable};
use crate::syntax::{ArrayItem, Assignment, ParseOptions, Parser, Subscript, TextLines};
use crate::text::{quote, quote_double};
use std::collections::BTreeMap;

impl Shell {
    /// Sets a variable, or an element of one, as its attributes say.
    ///
    /// # Errors
    /// The message, if it is read-only or no number.
    pub(crate) fn assign(&mut self, name: &str, key: Option<&str>, text: String, append: bool) -> Result<(), String> {
        let (name, reference_key) = self.resolve(name);
        let key = key.map(str::to_owned).or(reference_key);
        let name = name.as_str();
        if name.is_empty() || key.as_deref() == Some("@") && !self.is_assoc(name) {
            let subscript = key.map_or(String::new(), |key| format!("[{key}]"));
            return Err(format!("{name}{subscript}: bad array subscript"));
        }
        let found = self.variables.get(name);
        if found.is_some_and(|variable| variable.readonly) {
            return Err(format!("{name}: readonly variable"));
        }
        if self.is_dynamic(name) && self.refuses(name)? {
            return Ok(());
        }
        let variable = self.variables.get(name).cloned().unwrap_or_default();
        let before = match &key {
            Some(key) => self.element(name, key),
            None => variable.text().cloned(),
        };
        let text = if variable.integer {
            let value = self.arithmetic(&text)?;
            let base = if append { self.arithmetic(&before.unwrap_or_default())? } else { 0 };
            base.wrapping_add(value).to_string()
        } else {
            let text = if append { before.unwrap_or_default() + &text } else { text };
            variable.folded(text)
        };
        let all_export = self.is_on("allexport");
        let variable = self.variables.get_mut(name);
        set_value(variable, key.as_deref(), text);
        // Arrays are not exported by `set -a`.
        variable.exported |= all_export && variable.kind == Kind::Scalar;
        self.assigned(name);
        Ok(())
    }

    fn is_assoc(&self, name: &str) -> bool {
        self.variables.get(name).is_some_and(|variable| variable.kind == Kind::Assoc)
    }

    /// Whether an assignment to a computed variable does nothing.
    fn refuses(&mut self, name: &str) -> Result<bool, String> {
        match name {
            "EUID" | "UID" | "PPID" | "SHELLOPTS" | "BASHOPTS" => Err(format!("{name}: readonly variable")),
            "SECONDS" => {
                self.started = self.system.now();
                Ok(false)
            }
            "LINENO" | "EPOCHREALTIME" | "EPOCHSECONDS" | "SRANDOM" => Ok(false),
            _ => Ok(true),
        }
    }

    /// What else an assignment changes.
    fn assigned(&mut self, name: &str) {
        match name {
            "OPTIND" => self.getopts = (0, self.text_of("OPTIND").and_then(|text| text.parse().ok()).unwrap_or(1)),
            "PATH" => self.hashed.clear(),
            "RANDOM" => self.random = self.text_of("RANDOM").and_then(|text| text.parse().ok()).unwrap_or(0),
            "POSIXLY_CORRECT" => {
                self.options.set("posix", true);
            }
            _ => {}
        }
    }

    /// Executes one assignment of a command.
    pub(crate) fn execute_assignment(&mut self, assignment: &Assignment) -> Run<String> {
        if self.variables.get(&assignment.name).is_some_and(|variable| variable.nameref) {
            let (target, subscript) = self.resolve(&assignment.name);
            if target.is_empty() {
                // That was reported.
                self.status = 1;
                return Err(Stop::Discard);
            }
            if let Some(subscript) = subscript.filter(|_| assignment.array.is_some()) {
                return Err(self.assignment_error(&format!("`{target}[{subscript}]': not a valid identifier")));
            }
        }
        if let (Some(Subscript::Index(word)), Some(_)) = (&assignment.subscript, &assignment.array) {
            let message = format!("{}[{}]: cannot assign list to array member", assignment.name, word.raw);
            self.report(&message);
            self.substitution_status = Some(1);
            return Ok(String::new());
        }
        if let Some(items) = &assignment.array {
            let values = self.array_values(&assignment.name, items, assignment.append)?;
            self.set_array(&assignment.name, values).map_err(|message| self.assignment_error(&message))?;
            return Ok(String::new());
        }
        let text = self.expand_assigned(&assignment.value)?;
        let key = match &assignment.subscript {
            Some(Subscript::Index(word)) => {
                let subscript = self.expand_quoted(word)?;
                if subscript.trim().is_empty() {
                    return Err(
                        self.assignment_error(&format!("{}[{}]: bad array subscript", assignment.name, word.raw))
                    );
                }
                let key = self.subscript_key(&assignment.name, &subscript);
                Some(key.map_err(|message| self.assignment_error(&message))?)
            }
            _ => None,
        };
        self.assign(&assignment.name, key.as_deref(), text.clone(), assignment.append)
            .map_err(|message| self.assignment_error(&message))?;
        Ok(text)
    }

    /// Reports an assignment that failed.
    pub(crate) fn assignment_error(&mut self, message: &str) -> Stop {
        let stop = self.expansion_error(message);
        let ends = stop == Stop::Discard && self.is_on("errexit") && self.unchecked == 0 && !self.interactive;
        if ends { Stop::Exit } else { stop }
    }

    /// The value of `name=(..)` for a variable.
    pub(crate) fn array_values(&mut self, name: &str, items: &[ArrayItem], append: bool) -> Run<Value> {
        let (target, _) = self.resolve(name);
        let variable = self.variables.get(&target).cloned().unwrap_or_default();
        if variable.kind == Kind::Assoc {
            return self.assoc_values(&variable, items, append);
        }
        let mut elements = match &variable.value {
            Value::Indexed(elements) if append => elements.clone(),
            Value::Scalar(text) if append => BTreeMap::from([(0, text.clone())]),
            _ => BTreeMap::new(),
        };
        let mut next = elements.last_key_value().map_or(0, |(last, _)| last.saturating_add(1));
        for item in items {
            let Some(Subscript::Index(key)) = &item.key else {
                let mut fields = Vec::new();
                self.expand_word(&item.value, &mut fields)?;
                for field in fields {
                    let field = self.attributed(&variable, field)?;
                    elements.insert(next, field);
                    next = next.saturating_add(1);
                }
                continue;
            };
            let expression = self.expand_quoted(key)?;
            let mut index = self.arithmetic(&expression).map_err(|message| self.expansion_error(&message))?;
            if index < 0 {
                index = index.saturating_add(elements.last_key_value().map_or(0, |(last, _)| last.saturating_add(1)));
            }
            let text = self.expand_assigned(&item.value)?;
            let text = self.attributed(&variable, text)?;
            let before = elements.get(&index).cloned().filter(|_| item.append).unwrap_or_default();
            elements.insert(index, before + &text);
            next = index.saturating_add(1);
        }
        Ok(Value::Indexed(elements))
    }

    fn assoc_values(&mut self, variable: &Variable, items: &[ArrayItem], append: bool) -> Run<Value> {
        let mut elements = match &variable.value {
            Value::Assoc(elements) if append => elements.clone(),
            _ => Assoc::default(),
        };
        let mut pairs = Vec::new();
        let mut plain = Vec::new();
        for item in items {
            if let Some(Subscript::Index(key)) = &item.key {
                let key = self.expand_single(key)?;
                let text = self.expand_assigned(&item.value)?;
                let text = self.attributed(variable, text)?;
                let before = elements.get(&key).cloned().filter(|_| item.append).unwrap_or_default();
                pairs.push((key, before + &text));
            } else {
                plain.push(self.expand_single(&item.value)?);
            }
        }
        for (key, text) in pairs {
            elements.insert(key, text);
        }
        for pair in plain.chunks(2) {
            elements.insert(pair[0].clone(), pair.get(1).cloned().unwrap_or_default());
        }
        Ok(Value::Assoc(elements))
    }

    fn attributed(&mut self, variable: &Variable, text: String) -> Run<String> {
        if variable.integer {
            return self
                .arithmetic(&text)
                .map(|value| value.to_string())
                .map_err(|message| self.expansion_error(&message));
        }
        Ok(variable.folded(text))
    }

    /// Gives a variable a whole array.
    pub(crate) fn set_array(&mut self, name: &str, value: Value) -> Result<(), String> {
        let (name, _) = self.resolve(name);
        if self.variables.get(&name).is_some_and(|variable| variable.readonly) {
            return Err(format!("{name}: readonly variable"));
        }
        if self.is_dynamic(&name) && self.refuses(&name)? {
            return Ok(());
        }
        let variable = self.variables.get_mut(&name);
        variable.kind = if matches!(value, Value::Assoc(_)) { Kind::Assoc } else { Kind::Indexed };
        variable.value = value;
        Ok(())
    }

    /// `(..)` of an argument `name=(..)` as text that is read again by the declaration that gets it.
    #[inline(never)]
    pub(super) fn array_text(&mut self, items: &[ArrayItem]) -> Run<String> {
        let mut texts = Vec::new();
        for item in items {
            if let Some(Subscript::Index(key)) = &item.key {
                let append = if item.append { "+" } else { "" };
                let (key, value) = (self.expand_single(key)?, self.expand_assigned(&item.value)?);
                texts.push(format!("[{}]{append}={}", quote(&key), quote(&value)));
            } else {
                let mut fields = Vec::new();
                self.expand_word(&item.value, &mut fields)?;
                texts.extend(fields.iter().map(|field| quote(field)));
            }
        }
        Ok(format!("({})", texts.join(" ")))
    }

    /// Reads `(..)` as the elements of an array. None if it is something else.
    pub(crate) fn parse_array(&self, text: &str) -> Option<Vec<ArrayItem>> {
        let text = text.trim();
        if !text.starts_with('(') || !text.ends_with(')') {
            return None;
        }
        let mut lines = TextLines::new(text);
        let mut parser = Parser::new(&mut lines, self.line);
        let options = ParseOptions { expand_aliases: false, ..self.parse_options() };
        parser.array_of(&options).ok()
    }

    /// The next number of RANDOM.
    pub(crate) fn next_random(&mut self) -> u32 {
        // The generator of bash (Park and Miller), so that a seed gives the same numbers.
        let seed = if self.random == 0 { 123_459_876 } else { i64::from(self.random) };
        let next = 16807 * (seed % 127_773) - 2836 * (seed / 127_773);
        let next = if next < 0 { next + 0x7FFF_FFFF } else { next };
        self.random = u32::try_from(next).unwrap_or(1);
        ((self.random >> 16) ^ (self.random & 0xFFFF)) & 0x7FFF
    }
}

fn set_value(variable: &mut Variable, key: Option<&str>, text: String) {
    match (&mut variable.value, key) {
        (Value::Indexed(elements), key) => {
            let index = key.and_then(|key| key.parse().ok()).unwrap_or(0);
            elements.insert(index, text);
        }
        (Value::Assoc(elements), key) => elements.insert(key.unwrap_or("0").to_owned(), text),
        (value, key) => match (variable.kind, key) {
            (Kind::Scalar, None) => *value = Value::Scalar(text),
            (Kind::Assoc, key) => {
                let mut elements = Assoc::default();
                elements.insert(key.unwrap_or("0").to_owned(), text);
                *value = Value::Assoc(elements);
            }
            (_, key) => {
                let mut elements = BTreeMap::new();
                if let Value::Scalar(first) = value {
                    elements.insert(0, std::mem::take(first));
                }
                elements.insert(key.and_then(|key| key.parse().ok()).unwrap_or(0), text);
                *value = Value::Indexed(elements);
                variable.kind = Kind::Indexed;
            }
        },
    }
}

/// An array as `declare -p` shows it.
pub(crate) fn array_literal_text(value: &Value) -> Option<String> {
    match value {
        Value::Indexed(elements) => {
            let one = |(index, text): (&i64, &String)| format!("[{index}]={}", quote_double(text));
            Some(format!("({})", elements.iter().map(one).collect::<Vec<_>>().join(" ")))
        }
        Value::Assoc(elements) => {
            let plain = |key: &str| {
                key.chars().all(|next| next.is_alphanumeric() || "_-./:+,@%".contains(next)) && !key.is_empty()
            };
            let key = |key: &str| if plain(key) { key.to_owned() } else { quote_double(key) };
            let one = |(name, text): (&String, &String)| format!("[{}]={} ", key(name), quote_double(text));
            Some(format!("({})", elements.list().into_iter().map(one).collect::<String>()))
        }
        _ => None,
    }
}
