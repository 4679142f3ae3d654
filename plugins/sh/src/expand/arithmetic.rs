//! Arithmetic over the variables of the shell.

use crate::arithmetic::{Values, evaluate};
use crate::state::{Kind, Run, Shell, Value, stack};
use crate::syntax::{Parser, TextLines, Word};

impl Values for Shell {
    fn get(&mut self, name: &str, subscript: Option<&str>) -> Result<Option<String>, String> {
        let text = match subscript {
            None if name == "RANDOM" && self.is_random() => Some(self.next_random().to_string()),
            None => self.text_of(name),
            Some(subscript) => {
                let plain = self.without_quotes(name, subscript);
                let subscript = plain.as_str();
                match self.subscript_key(name, subscript) {
                    Ok(key) => self.element(name, &key),
                    // An index before the first element is reported, and is no value.
                    Err(message) if message.ends_with(": bad array subscript") => {
                        self.report(&message);
                        return Ok(None);
                    }
                    Err(message) => return Err(message),
                }
            }
        };
        if text.is_none() && self.is_on("nounset") {
            return Err(format!("{name}: unbound variable"));
        }
        Ok(text)
    }

    fn set(&mut self, name: &str, subscript: Option<&str>, value: i64) -> Result<(), String> {
        let key = subscript.map(|subscript| {
            let plain = self.without_quotes(name, subscript);
            self.subscript_key(name, &plain)
        });
        let key = key.transpose()?;
        self.assign(name, key.as_deref(), value.to_string(), false)
    }
}

impl Shell {
    /// The value of an expression.
    pub(crate) fn arithmetic(&mut self, expression: &str) -> Result<i64, String> {
        // A subscript is an expression with subscripts of its own.
        if self.stack >= self.system.stack() {
            return Err("expression recursion level exceeded".to_owned());
        }
        self.stack += stack::ARITHMETIC;
        let result = evaluate(expression, self);
        self.stack -= stack::ARITHMETIC;
        result
    }

    pub(crate) fn arithmetic_word(&mut self, word: &Word) -> Run<i64> {
        let expression = self.expand_quoted(word)?;
        self.arithmetic(&expression).map_err(|message| match message.strip_suffix(": unbound variable") {
            Some(rest) => {
                let name = rest.rsplit(' ').next().unwrap_or_default();
                self.fatal_error(&format!("{name}: unbound variable"), 127)
            }
            None => self.expansion_error(&message),
        })
    }

    /// The key of an associative array as it stands in an expression: its quotes are removed.
    fn without_quotes(&mut self, name: &str, subscript: &str) -> String {
        let quoted = subscript.contains(['\'', '"', '\\']);
        let (target, _) = self.resolve(name);
        if quoted && self.variables.get(&target).is_some_and(|variable| variable.kind == Kind::Assoc) {
            return self.expand_subscript(subscript);
        }
        subscript.to_owned()
    }

    /// A subscript that was given as text: its expansions and its quotes count.
    pub(crate) fn expand_subscript(&mut self, text: &str) -> String {
        if !text.contains(['$', '`', '\\', '\'', '"']) {
            return text.to_owned();
        }
        let options = self.parse_options();
        let source = format!("{text}]");
        let mut lines = TextLines::new(&source);
        match Parser::new(&mut lines, self.line).subscript_text(&options) {
            Ok(word) => self.expand_single(&word).unwrap_or_default(),
            Err(_) => text.to_owned(),
        }
    }

    /// The key of an element: the text itself for an associative array, otherwise the value of the expression.
    pub(crate) fn subscript_key(&mut self, name: &str, subscript: &str) -> Result<String, String> {
        let (target, _) = self.resolve(name);
        let variable = self.variables.get(&target);
        if variable.is_some_and(|variable| variable.kind == Kind::Assoc) {
            return Ok(subscript.to_owned());
        }
        let subscript = unquoted(subscript);
        let mut index = self.arithmetic(&subscript)?;
        if index < 0 {
            let value = self.variable(name).map(|variable| variable.value);
            let length = match value {
                Some(Value::Indexed(elements)) => {
                    elements.last_key_value().map_or(0, |(last, _)| last.saturating_add(1))
                }
                Some(Value::Scalar(_)) => 1,
                _ => 0,
            };
            index = index.saturating_add(length);
            if index < 0 {
                return Err(format!("{name}: bad array subscript"));
            }
        }
        Ok(index.to_string())
    }

    /// An element of an array, or of a scalar its only one.
    pub(crate) fn element(&self, name: &str, key: &str) -> Option<String> {
        match self.variable(name)?.value {
            Value::Unset => None,
            Value::Scalar(text) => (key == "0").then_some(text),
            Value::Indexed(elements) => elements.get(&key.parse().ok()?).cloned(),
            Value::Assoc(elements) => elements.get(key).cloned(),
        }
    }
}

/// A subscript without its double quotes, as bash reads it.
fn unquoted(subscript: &str) -> std::borrow::Cow<'_, str> {
    if subscript.contains('"') { subscript.replace('"', "").into() } else { subscript.into() }
}
