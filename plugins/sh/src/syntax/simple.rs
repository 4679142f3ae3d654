//! Simple commands (XCU 2.9.1), aliases (XCU 2.3.1) and function definitions.

use super::ast::{ArrayItem, Assignment, Command, CommandKind, Part, Subscript, Word};
use super::parser::{Parsed, Parser};
use super::word::End;
use crate::text::is_name;
use std::rc::Rc;

/// Commands whose arguments `name=(..)` are arrays.
const DECLARATIONS: &[&str] = &["declare", "typeset", "local", "export", "readonly", "eval", "let"];

/// Words that are no aliases where a command begins.
const RESERVED: &[&str] =
    &["!", "{", "}", "case", "do", "done", "elif", "else", "esac", "fi", "for", "if", "in", "then", "until", "while"];

impl Parser<'_> {
    /// Reads a command: aliases first, then a compound command or a simple one.
    pub(super) fn command_here(&mut self) -> Parsed<Command> {
        self.skip_blanks();
        while self.replace_alias(true) {
            self.skip_blanks();
        }
        let line = self.line;
        if let Some(mut command) = self.compound()? {
            command.line = line;
            return Ok(command);
        }
        self.simple_command(line)
    }

    fn simple_command(&mut self, line: u32) -> Parsed<Command> {
        let mut redirects = Vec::new();
        let mut assignments = Vec::new();
        let mut words: Vec<Word> = Vec::new();
        loop {
            self.skip_blanks();
            let prefixed = words.is_empty() && !(assignments.is_empty() && redirects.is_empty());
            if prefixed {
                while self.replace_alias(true) {
                    self.skip_blanks();
                }
            }
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            if words.is_empty()
                && let Some(assignment) = self.assignment()?
            {
                assignments.push(assignment);
                continue;
            }
            match self.peek() {
                None | Some('\n' | ';' | '&' | '|' | ')') => break,
                Some('(') => {
                    if let ([word], true) = (words.as_slice(), assignments.is_empty() && redirects.is_empty()) {
                        let name = word.literal().unwrap_or(&word.raw).to_owned();
                        return self.function(name, line);
                    }
                    return Err(self.unexpected());
                }
                Some(_) => {}
            }
            let declares = words.first().and_then(Word::literal).is_some_and(|name| DECLARATIONS.contains(&name))
                || words.len() > 1 && words[0].literal() == Some("builtin")
                || words.len() > 1 && words[0].literal() == Some("command");
            if declares && let Some(assignment) = self.array_argument()? {
                words.push(assignment);
                continue;
            }
            words.push(self.word(End::Word)?);
        }
        if words.is_empty() && assignments.is_empty() && redirects.is_empty() {
            return Err(self.unexpected());
        }
        Ok(Command { kind: CommandKind::Simple { assignments, words }, redirects, line })
    }

    /// `name()` and its body.
    fn function(&mut self, name: String, line: u32) -> Parsed<Command> {
        self.advance();
        self.skip_blanks();
        if !self.take(')') {
            return Err(self.unexpected());
        }
        let bad = if self.options.posix { !is_name(&name) } else { name.contains(['$', '"', '\'', '`']) };
        if bad {
            return Err(self.error(format!("`{name}': not a valid identifier")));
        }
        self.function_body(name, line)
    }

    pub(super) fn function_body(&mut self, name: String, line: u32) -> Parsed<Command> {
        self.skip_newlines()?;
        let body_line = self.line;
        let body = self.nested(Self::compound)?;
        let Some(mut body) = body else { return Err(self.unexpected()) };
        body.line = body_line;
        Ok(Command { kind: CommandKind::Function { name, body: Rc::new(body) }, redirects: Vec::new(), line })
    }

    /// Puts the text of an alias in the place of the word that is next, if that is the name of one. `as_command`: a
    /// command begins here, so that reserved words are no aliases.
    pub(super) fn replace_alias(&mut self, as_command: bool) -> bool {
        if !self.options.expand_aliases || self.options.aliases.is_empty() {
            return false;
        }
        let Some(_) = self.peek() else { return false };
        let at = self.at;
        self.active_aliases.retain(|(_, end)| *end > at || *end == usize::MAX);
        let rest = self.rest();
        let end = rest.find(|next: char| " \t\n;&|()<>".contains(next)).unwrap_or(rest.len());
        let name = &rest[..end];
        if name.is_empty() || name.contains(['\\', '"', '\'', '$', '`', '=']) {
            return false;
        }
        let is_number = name.bytes().all(|byte| byte.is_ascii_digit()) && rest[end..].starts_with(['<', '>']);
        if is_number || as_command && RESERVED.contains(&name) {
            return false;
        }
        if self.active_aliases.iter().any(|(active, _)| active == name) {
            return false;
        }
        let Some(value) = self.options.aliases.get(name).cloned() else { return false };
        let name = name.to_owned();
        self.text.replace_range(at..at + end, &value);
        self.replaced = true;
        for (_, active_end) in &mut self.active_aliases {
            *active_end = *active_end + value.len() - end.min(*active_end);
        }
        // The character after the text belongs to the alias too: a word that ends there is still inside of it.
        self.active_aliases.push((name, at + value.len() + 1));
        self.alias_next = value.ends_with([' ', '\t']).then(|| {
            let after = &self.text[at + value.len()..];
            at + value.len() + (after.len() - after.trim_start_matches([' ', '\t']).len())
        });
        true
    }

    /// `name=value`, `name+=value`, `name[subscript]=value` or `name=(..)`, if it is next.
    fn assignment(&mut self) -> Parsed<Option<Assignment>> {
        let (at, line) = (self.at, self.line);
        let Some((name, subscript, append)) = self.assignment_head()? else {
            (self.at, self.line) = (at, line);
            return Ok(None);
        };
        if self.peek() == Some('(') && !self.options.posix {
            let array = self.array_items()?;
            return Ok(Some(Assignment { name, subscript, append, value: Word::default(), array: Some(array) }));
        }
        let value = self.word(End::Word)?;
        Ok(Some(Assignment { name, subscript, append, value, array: None }))
    }

    fn assignment_head(&mut self) -> Parsed<Option<(String, Option<Subscript>, bool)>> {
        let name = self.name();
        if name.is_empty() {
            return Ok(None);
        }
        let mut subscript = None;
        if self.peek() == Some('[') && !self.options.posix {
            if !self.subscript_is_assigned() {
                return Ok(None);
            }
            self.advance();
            let index = self.word(End::Subscript)?;
            self.take(']');
            subscript = Some(Subscript::Index(index));
        }
        let append = self.peek() == Some('+') && self.peek_second() == Some('=') && !self.options.posix;
        if append {
            self.advance();
        }
        Ok(self.take('=').then_some((name, subscript, append)))
    }

    /// Whether a `]` and `=` or `+=` follow on this line, with the brackets between in pairs.
    fn subscript_is_assigned(&mut self) -> bool {
        let mut open = 0;
        for (at, next) in self.rest().char_indices() {
            match next {
                '[' => open += 1,
                ']' if open == 1 => {
                    let after = &self.rest()[at + 1..];
                    return after.starts_with('=') || after.starts_with("+=");
                }
                ']' => open -= 1,
                '\n' => return false,
                _ => {}
            }
        }
        false
    }

    /// A name, empty if none is next.
    pub(super) fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(next) = self.peek() {
            if !(next.is_ascii_alphabetic() || next == '_' || next.is_ascii_digit() && !name.is_empty()) {
                break;
            }
            name.push(next);
            self.advance();
        }
        name
    }

    fn array_argument(&mut self) -> Parsed<Option<Word>> {
        let (at, line) = (self.at, self.line);
        let mut head = self.name();
        if !head.is_empty() {
            if self.take('+') {
                head.push('+');
            }
            if self.take('=') && self.peek() == Some('(') {
                head.push('=');
                let items = self.array_items()?;
                let raw = self.text[at..self.at].to_owned();
                return Ok(Some(Word { parts: vec![Part::Literal(head), Part::Array(items)], raw }));
            }
        }
        (self.at, self.line) = (at, line);
        Ok(None)
    }

    /// `( word [key]=word .. )`.
    pub(crate) fn array_items(&mut self) -> Parsed<Vec<ArrayItem>> {
        self.advance();
        let mut items = Vec::new();
        loop {
            self.skip_newlines()?;
            if self.take(')') {
                return Ok(items);
            }
            if self.peek().is_none() {
                return Err(self.end_error(")"));
            }
            if self.peek() == Some('[') && self.subscript_is_assigned() {
                self.advance();
                let key = self.word(End::Subscript)?;
                self.take(']');
                let append = self.take('+');
                self.take('=');
                let value = self.word(End::Word)?;
                items.push(ArrayItem { key: Some(Subscript::Index(key)), append, value });
                continue;
            }
            let value = self.word(End::Word)?;
            if value.raw.is_empty() {
                return Err(self.unexpected());
            }
            items.push(ArrayItem { key: None, append: false, value });
        }
    }
}

impl Parser<'_> {
    /// Reads a text that is `(..)` as the elements of an array.
    pub(crate) fn array_of(&mut self, options: &super::parser::ParseOptions) -> Parsed<Vec<ArrayItem>> {
        self.options = options.clone();
        self.stack = 0;
        self.peek();
        self.array_items()
    }

    /// Reads a text that ends with `]` as a subscript.
    pub(crate) fn subscript_text(&mut self, options: &super::parser::ParseOptions) -> Parsed<Word> {
        self.options = options.clone();
        self.peek();
        self.word(End::Subscript)
    }
}
