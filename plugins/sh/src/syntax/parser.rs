//! The parser: characters, lists and pipelines.
//!
//! It reads the text line by line as it needs it, and hands out one complete command at a time: what follows in the
//! text may be read by that command, or depend on aliases that it defines.

use super::ast::{AndOr, Command, FdRef, HereDoc, Item, List, Pipeline, Redirect, RedirectOp, Word};
use super::source::{LinePlace, Lines};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What changes how text is read.
#[derive(Debug, Clone, Default)]
pub(crate) struct ParseOptions {
    pub(crate) aliases: Rc<BTreeMap<String, String>>,
    pub(crate) expand_aliases: bool,
    pub(crate) extglob: bool,
    pub(crate) posix: bool,
    /// The stack that is left for commands and expansions that nest, in bytes.
    pub(crate) stack: u32,
}

/// Why a text is no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) line: u32,
    pub(crate) message: String,
    /// Whether the text ended too early.
    pub(crate) at_end: bool,
}

pub(super) type Parsed<T> = Result<T, SyntaxError>;

/// A here-document whose body follows the line.
pub(super) struct PendingHereDoc {
    pub(super) delimiter: String,
    pub(super) quoted: bool,
    pub(super) strip: bool,
    pub(super) body: Rc<OnceCell<HereDoc>>,
}

pub(crate) struct Parser<'a> {
    lines: &'a mut dyn Lines,
    pub(super) text: String,
    pub(super) at: usize,
    pub(super) line: u32,
    ended: bool,
    pub(super) place: LinePlace,
    pub(super) options: ParseOptions,
    /// The stack that is taken by what is being read, in bytes as [`NESTED`] estimates it.
    pub(super) stack: u32,
    pub(super) pending: Vec<PendingHereDoc>,
    /// Aliases whose text is being read, with the place where it ends.
    pub(super) active_aliases: Vec<(String, usize)>,
    /// The place where an alias ended with a blank: the next word is looked up too.
    pub(super) alias_next: Option<usize>,
    /// How often a `((` was read again as two parentheses: bounded, since each may hold others.
    pub(super) second_readings: u32,
    /// Whether an alias was replaced: what is left may be nothing.
    pub(super) replaced: bool,
}

const MAX_SECOND_READINGS: u32 = 64;

/// What is read within something else (a command in a list, an expansion in a word) takes at most of the stack of an
/// instance, in bytes.
const NESTED: u32 = 1000;

impl<'a> Parser<'a> {
    pub(crate) fn new(lines: &'a mut dyn Lines, first_line: u32) -> Self {
        Self {
            lines,
            text: String::new(),
            at: 0,
            line: first_line,
            ended: false,
            place: LinePlace::First,
            options: ParseOptions::default(),
            stack: 0,
            pending: Vec::new(),
            active_aliases: Vec::new(),
            alias_next: None,
            second_readings: 0,
            replaced: false,
        }
    }

    /// The next complete command: the commands up to the end of a line. None at the end of the text.
    pub(crate) fn next_command(&mut self, options: &ParseOptions) -> Parsed<Option<List>> {
        self.options = options.clone();
        self.text.drain(..self.at);
        self.at = 0;
        self.active_aliases.clear();
        self.alias_next = None;
        self.stack = 0;
        self.second_readings = 0;
        self.replaced = false;
        self.place = LinePlace::First;
        self.skip_blanks();
        if self.peek() == Some('\n') {
            self.advance();
            return Ok(Some(List::default()));
        }
        if self.peek().is_none() {
            return Ok(None);
        }
        self.place = LinePlace::Further;
        let list = self.list(false)?;
        self.skip_blanks();
        match self.peek() {
            None => self.here_documents_at_end()?,
            Some('\n') => self.newline()?,
            Some(_) => return Err(self.unexpected()),
        }
        Ok(Some(list))
    }

    /// Forgets what was read, such as the rest of a line in which an error was found, and that the text had ended.
    pub(crate) fn drop_rest(&mut self) {
        self.text.clear();
        self.at = 0;
        self.ended = false;
        self.pending.clear();
    }

    /// The text of the command that was read last.
    pub(crate) fn command_text(&self) -> &str {
        &self.text[..self.at]
    }

    pub(crate) fn line_number(&self) -> u32 {
        self.line
    }

    // Characters.

    fn fill(&mut self) -> bool {
        if self.ended {
            return false;
        }
        match self.lines.next_line(self.place) {
            Some(line) => {
                self.text.push_str(&line);
                true
            }
            None => {
                self.ended = true;
                false
            }
        }
    }

    /// The next character as it stands: a backslash before a newline is one.
    pub(super) fn peek_raw(&mut self) -> Option<char> {
        while self.at >= self.text.len() {
            if !self.fill() {
                return None;
            }
        }
        self.text[self.at..].chars().next()
    }

    pub(super) fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// The next character. Continued lines are joined.
    pub(super) fn peek(&mut self) -> Option<char> {
        loop {
            let next = self.peek_raw()?;
            if next != '\\' {
                return Some(next);
            }
            if self.at + 1 >= self.text.len() {
                self.fill();
            }
            if !self.rest().starts_with("\\\n") {
                return Some(next);
            }
            self.at += 2;
            self.line += 1;
        }
    }

    /// The character after the next one, on the same line.
    pub(super) fn peek_second(&mut self) -> Option<char> {
        let first = self.peek()?;
        let (at, line) = (self.at, self.line);
        self.at += first.len_utf8();
        let second = if first == '\n' { None } else { self.peek() };
        (self.at, self.line) = (at, line);
        second
    }

    pub(super) fn advance(&mut self) -> Option<char> {
        let next = self.peek_raw()?;
        self.at += next.len_utf8();
        if next == '\n' {
            self.line += 1;
        }
        Some(next)
    }

    /// Takes `expected` if it is next.
    pub(super) fn take(&mut self, expected: char) -> bool {
        let found = self.peek() == Some(expected);
        if found {
            self.advance();
        }
        found
    }

    /// Whether these characters are next; continued lines are joined.
    pub(super) fn looking_at(&mut self, expected: &str) -> bool {
        let (at, line) = (self.at, self.line);
        let found = expected.chars().all(|character| self.take(character));
        (self.at, self.line) = (at, line);
        found
    }

    pub(super) fn take_all(&mut self, expected: &str) -> bool {
        let found = self.looking_at(expected);
        if found {
            for character in expected.chars() {
                self.take(character);
            }
        }
        found
    }

    pub(super) fn skip_blanks(&mut self) {
        while let Some(next) = self.peek() {
            match next {
                ' ' | '\t' => {
                    self.advance();
                }
                '#' => {
                    // A comment goes to the end of the line, whatever stands before that.
                    while self.peek_raw().is_some_and(|next| next != '\n') {
                        let rest = self.rest();
                        self.at += rest.find('\n').unwrap_or(rest.len());
                    }
                }
                // An alias that ends with a blank: the next word may be one too.
                _ if self.alias_next == Some(self.at) => {
                    self.alias_next = None;
                    if !self.replace_alias(false) {
                        return;
                    }
                }
                _ => return,
            }
        }
    }

    /// Goes on to the next command over lines, and over aliases that are nothing.
    fn skip_to_command(&mut self) -> Parsed<()> {
        loop {
            self.skip_newlines()?;
            while self.replace_alias(true) {
                self.skip_blanks();
            }
            if self.peek() != Some('\n') {
                return Ok(());
            }
        }
    }

    /// Reads a newline and the here-documents that begin after it.
    pub(super) fn newline(&mut self) -> Parsed<()> {
        self.advance();
        if !self.pending.is_empty() {
            self.here_documents()?;
        }
        Ok(())
    }

    pub(super) fn skip_newlines(&mut self) -> Parsed<()> {
        loop {
            self.skip_blanks();
            if self.peek() != Some('\n') {
                return Ok(());
            }
            self.newline()?;
        }
    }

    // Errors.

    pub(super) fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError { line: self.line, message: message.into(), at_end: false }
    }

    pub(super) fn end_error(&self, wanted: &str) -> SyntaxError {
        let message = if wanted.is_empty() {
            "syntax error: unexpected end of file".to_owned()
        } else {
            format!("unexpected end of file while looking for matching `{wanted}'")
        };
        SyntaxError { line: self.line, message, at_end: true }
    }

    /// The error that the next token has no place here.
    pub(super) fn unexpected(&mut self) -> SyntaxError {
        self.skip_blanks();
        let token = match self.peek() {
            None => return self.end_error(""),
            Some('\n') => "newline".to_owned(),
            Some(_) => {
                let operators = ["&&", "||", ";;&", ";;", ";&", "<<<", "<<-", "<<", ">>", "<&", ">&", "<>", ">|"];
                let operator = operators.iter().find(|operator| self.looking_at(operator));
                let single = self.peek().filter(|next| "&|;()<>".contains(*next));
                match (operator, single) {
                    (Some(operator), _) => (*operator).to_owned(),
                    (None, Some(single)) => single.to_string(),
                    (None, None) => {
                        let end = |next: char| " \t\n;&|()<>".contains(next);
                        let rest = self.rest();
                        rest[..rest.find(end).unwrap_or(rest.len())].to_owned()
                    }
                }
            }
        };
        self.error(format!("syntax error near unexpected token `{token}'"))
    }

    pub(super) fn nested<T>(&mut self, inside: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.stack >= self.options.stack {
            return Err(self.error("commands are nested too deep".to_owned()));
        }
        self.stack += NESTED;
        let result = inside(self);
        self.stack -= NESTED;
        result
    }

    /// Counts a text that is read for a second time.
    pub(super) fn second_reading(&mut self) -> Parsed<()> {
        self.second_readings += 1;
        if self.second_readings > MAX_SECOND_READINGS {
            return Err(self.error(format!("more than {MAX_SECOND_READINGS} `((' are no arithmetic")));
        }
        Ok(())
    }

    // Lists.

    /// A list. With `newlines` it goes on over lines until something that cannot begin a command; otherwise it ends
    /// with its line.
    pub(super) fn list(&mut self, newlines: bool) -> Parsed<List> {
        let mut list = List::default();
        loop {
            if newlines {
                self.skip_newlines()?;
            }
            self.skip_blanks();
            while self.replace_alias(true) {
                self.skip_blanks();
            }
            if newlines && self.peek() == Some('\n') {
                continue;
            }
            if !self.may_begin_command() {
                let nothing = self.replaced && matches!(self.peek(), None | Some('\n'));
                if !newlines && list.items.is_empty() && !nothing {
                    return Err(self.unexpected());
                }
                return Ok(list);
            }
            let and_or = Rc::new(self.and_or()?);
            self.skip_blanks();
            let mut background = false;
            let mut separated = true;
            match self.peek() {
                Some('&') if self.peek_second() != Some('&') => {
                    self.advance();
                    background = true;
                }
                Some(';') if !self.looking_at(";;") && !self.looking_at(";&") => {
                    self.advance();
                }
                Some('\n') if newlines => {}
                _ => separated = false,
            }
            list.items.push(Item { and_or, background });
            if !separated {
                return Ok(list);
            }
        }
    }

    /// A list of at least one command inside of a compound command.
    pub(super) fn body(&mut self) -> Parsed<List> {
        self.nested(|parser| {
            let list = parser.list(true)?;
            if list.items.is_empty() { Err(parser.unexpected()) } else { Ok(list) }
        })
    }

    fn may_begin_command(&mut self) -> bool {
        match self.peek() {
            None | Some('\n' | ')' | ';' | '&' | '|') => false,
            Some(_) => !self.at_closing_word(),
        }
    }

    fn at_closing_word(&mut self) -> bool {
        let closing = ["then", "else", "elif", "fi", "do", "done", "esac", "}"];
        self.reserved().is_some_and(|word| closing.contains(&word.as_str()))
    }

    fn and_or(&mut self) -> Parsed<AndOr> {
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            self.skip_blanks();
            let and = self.looking_at("&&");
            if !and && !self.looking_at("||") {
                return Ok(AndOr { first, rest });
            }
            self.take_all(if and { "&&" } else { "||" });
            self.skip_to_command()?;
            rest.push((and, self.pipeline()?));
        }
    }

    fn pipeline(&mut self) -> Parsed<Pipeline> {
        let mut pipeline = Pipeline { negated: false, timed: None, commands: Vec::new() };
        let mut negations = 0;
        loop {
            self.skip_blanks();
            if self.take_reserved("!") {
                negations += 1;
                pipeline.negated = !pipeline.negated;
            } else if pipeline.timed.is_none() && self.at_time() {
                self.take_reserved("time");
                self.skip_blanks();
                let posix = self.take_reserved("-p");
                pipeline.timed = Some(posix);
            } else {
                break;
            }
        }
        self.skip_blanks();
        let alone = pipeline.timed.is_some() || negations > 0 && !self.options.posix;
        if alone && matches!(self.peek(), None | Some('\n' | ';' | ')' | '&' | '|')) {
            return Ok(pipeline);
        }
        loop {
            let mut command = self.command()?;
            self.skip_blanks();
            if self.peek() != Some('|') || self.peek_second() == Some('|') {
                pipeline.commands.push(Rc::new(command));
                return Ok(pipeline);
            }
            self.advance();
            if self.take('&') {
                command.redirects.push(Redirect {
                    fd: FdRef::Number(2),
                    op: RedirectOp::DupOutput,
                    target: Word::quoted("1"),
                    here: None,
                });
            }
            pipeline.commands.push(Rc::new(command));
            self.skip_to_command()?;
        }
    }

    fn at_time(&mut self) -> bool {
        if self.reserved().as_deref() != Some("time") {
            return false;
        }
        // `time -x` is a command with an option.
        let after = self.rest()["time".len()..].trim_start_matches([' ', '\t']);
        !after.starts_with('-') || after.starts_with("-p") || after.starts_with("--")
    }

    pub(super) fn command(&mut self) -> Parsed<Command> {
        self.nested(Self::command_here)
    }

    // Reserved words.

    /// The word that is next, if it could be a reserved one: letters, or `!`, `{`, `}`, `[[`, `]]`, `-p`.
    pub(super) fn reserved(&mut self) -> Option<String> {
        let (at, line) = (self.at, self.line);
        let mut word = String::new();
        while let Some(next) = self.peek() {
            if !(next.is_ascii_lowercase() || "!{}[]-".contains(next)) || word.len() > 9 {
                break;
            }
            word.push(next);
            self.advance();
        }
        let delimited = self.peek().is_none_or(|next| " \t\n;&|()<>".contains(next));
        (self.at, self.line) = (at, line);
        (delimited && !word.is_empty()).then_some(word)
    }

    pub(super) fn take_reserved(&mut self, word: &str) -> bool {
        let found = self.reserved().as_deref() == Some(word);
        if found {
            self.take_all(word);
        }
        found
    }

    pub(super) fn expect_reserved(&mut self, word: &str) -> Parsed<()> {
        self.skip_newlines()?;
        if self.take_reserved(word) { Ok(()) } else { Err(self.unexpected()) }
    }
}
