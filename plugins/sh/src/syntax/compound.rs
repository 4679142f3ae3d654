//! Compound commands (XCU 2.9.4, and bash's).

use super::ast::{Arm, Case, Command, CommandKind, For, List, Word};
use super::parser::{Parsed, Parser};
use super::word::End;
use std::rc::Rc;

impl Parser<'_> {
    /// A compound command with its redirections, if one is next.
    pub(super) fn compound(&mut self) -> Parsed<Option<Command>> {
        let line = self.line;
        let Some(kind) = self.compound_kind()? else { return Ok(None) };
        let mut redirects = Vec::new();
        let is_function = matches!(kind, CommandKind::Function { .. } | CommandKind::Coproc { .. });
        if !is_function {
            loop {
                self.skip_blanks();
                match self.redirect()? {
                    Some(redirect) => redirects.push(redirect),
                    None => break,
                }
            }
            let ends = self.peek().is_none_or(|next| "\n;&|)".contains(next)) || self.closing_word_follows();
            if !ends {
                return Err(self.unexpected());
            }
        }
        Ok(Some(Command { kind, redirects, line }))
    }

    fn closing_word_follows(&mut self) -> bool {
        let closing = ["then", "else", "elif", "fi", "do", "done", "esac", "}", "]]"];
        self.reserved().is_some_and(|word| closing.contains(&word.as_str()))
    }

    fn compound_kind(&mut self) -> Parsed<Option<CommandKind>> {
        if self.peek() == Some('(') {
            return self.parenthesis().map(Some);
        }
        let Some(word) = self.reserved() else { return Ok(None) };
        let posix = self.options.posix;
        Ok(Some(match word.as_str() {
            "{" => {
                self.take_all("{");
                let body = self.body()?;
                self.expect_reserved("}")?;
                CommandKind::Group(body)
            }
            "if" => self.if_command()?,
            "while" | "until" => {
                self.take_all(&word);
                let condition = self.body()?;
                self.expect_reserved("do")?;
                CommandKind::Loop { until: word == "until", condition, body: self.loop_body()? }
            }
            "for" => self.for_command()?,
            "select" if !posix => {
                self.take_all("select");
                self.for_words(true)?
            }
            "case" => self.case_command()?,
            "function" if !posix => {
                self.take_all("function");
                self.skip_blanks();
                let line = self.line;
                let name = self.word(End::Word)?.raw;
                self.skip_blanks();
                if self.take('(') {
                    self.skip_blanks();
                    if !self.take(')') {
                        return Err(self.unexpected());
                    }
                }
                self.function_body(name, line)?.kind
            }
            "[[" if !posix => self.conditional()?,
            "coproc" if !posix => self.coproc()?,
            "then" | "else" | "elif" | "fi" | "do" | "done" | "esac" | "}" => return Err(self.unexpected()),
            _ => return Ok(None),
        }))
    }

    fn parenthesis(&mut self) -> Parsed<CommandKind> {
        if self.looking_at("((")
            && !self.options.posix
            && let Some(expression) = self.arithmetic()?
        {
            return Ok(CommandKind::Arith(expression));
        }
        self.advance();
        let body = self.body()?;
        self.skip_newlines()?;
        if !self.take(')') {
            return Err(self.unexpected());
        }
        Ok(CommandKind::Subshell(Rc::new(body)))
    }

    fn if_command(&mut self) -> Parsed<CommandKind> {
        self.take_all("if");
        let mut branches = Vec::new();
        let mut otherwise = None;
        loop {
            let condition = self.body()?;
            self.expect_reserved("then")?;
            branches.push((condition, self.body()?));
            self.skip_newlines()?;
            if self.take_reserved("elif") {
                continue;
            }
            if self.take_reserved("else") {
                otherwise = Some(self.body()?);
            }
            self.expect_reserved("fi")?;
            return Ok(CommandKind::If { branches, otherwise });
        }
    }

    /// What follows `do`.
    fn loop_body(&mut self) -> Parsed<List> {
        let body = self.body()?;
        self.expect_reserved("done")?;
        Ok(body)
    }

    fn for_command(&mut self) -> Parsed<CommandKind> {
        self.take_all("for");
        self.skip_blanks();
        if self.looking_at("((") && !self.options.posix {
            return self.arithmetic_for();
        }
        self.for_words(false)
    }

    fn for_words(&mut self, is_select: bool) -> Parsed<CommandKind> {
        self.skip_blanks();
        let at = self.at;
        let name = self.name();
        let delimited = self.peek().is_none_or(|next| " \t\n;".contains(next));
        if name.is_empty() || !delimited {
            self.at = at;
            let word = self.word(End::Word)?.raw;
            return Err(if word.is_empty() {
                self.unexpected()
            } else {
                self.error(format!("`{word}': not a valid identifier"))
            });
        }
        self.skip_blanks();
        let mut words = None;
        let mut separated = self.peek() == Some(';');
        if separated {
            self.advance();
        }
        self.skip_newlines()?;
        if !separated && self.take_reserved("in") {
            let mut list = Vec::new();
            loop {
                self.skip_blanks();
                match self.peek() {
                    Some(';') => {
                        self.advance();
                        break;
                    }
                    Some('\n') => break,
                    None => return Err(self.end_error("")),
                    Some(_) => {}
                }
                let word = self.word(End::Word)?;
                if word.parts.is_empty() {
                    return Err(self.unexpected());
                }
                list.push(word);
            }
            words = Some(list);
            separated = true;
        }
        self.skip_newlines()?;
        let body = if self.reserved().as_deref() == Some("{") && !self.options.posix && (separated || words.is_none()) {
            self.take_all("{");
            let body = self.body()?;
            self.expect_reserved("}")?;
            body
        } else {
            self.expect_reserved("do")?;
            self.loop_body()?
        };
        Ok(CommandKind::For(For { name, is_select, words, body }))
    }

    fn arithmetic_for(&mut self) -> Parsed<CommandKind> {
        self.take_all("((");
        let mut parts = [Word::default(), Word::default(), Word::default()];
        for (number, part) in parts.iter_mut().enumerate() {
            self.skip_blanks();
            *part = self.word(End::Arithmetic)?;
            if number < 2 && !self.take(';') {
                return Err(self.unexpected());
            }
        }
        if !self.take_all("))") {
            return Err(self.unexpected());
        }
        self.skip_blanks();
        self.take(';');
        self.skip_newlines()?;
        let body = if self.take_reserved("{") {
            let body = self.body()?;
            self.expect_reserved("}")?;
            body
        } else {
            self.expect_reserved("do")?;
            self.loop_body()?
        };
        Ok(CommandKind::ArithFor { parts, body })
    }

    fn case_command(&mut self) -> Parsed<CommandKind> {
        self.take_all("case");
        self.skip_blanks();
        let word = self.word(End::Word)?;
        if word.parts.is_empty() {
            return Err(self.unexpected());
        }
        self.expect_reserved("in")?;
        let mut arms = Vec::new();
        loop {
            self.skip_newlines()?;
            if self.take_reserved("esac") {
                return Ok(CommandKind::Case(Case { word, arms }));
            }
            let arm = self.nested(Self::case_arm)?;
            let ended = arm.end.is_empty();
            arms.push(arm);
            if ended {
                self.expect_reserved("esac")?;
                return Ok(CommandKind::Case(Case { word, arms }));
            }
        }
    }

    fn case_arm(&mut self) -> Parsed<Arm> {
        self.take('(');
        let mut patterns = Vec::new();
        loop {
            self.skip_blanks();
            let pattern = self.word(End::Word)?;
            if pattern.parts.is_empty() {
                return Err(self.unexpected());
            }
            patterns.push(pattern);
            self.skip_blanks();
            if self.take(')') {
                break;
            }
            if !self.take('|') {
                return Err(self.unexpected());
            }
        }
        let body = self.list(true)?;
        self.skip_newlines()?;
        let end = [";;&", ";;", ";&"].into_iter().find(|end| self.take_all(end)).unwrap_or("");
        if end.is_empty() && self.reserved().as_deref() != Some("esac") {
            return Err(self.unexpected());
        }
        Ok(Arm { patterns, body, end })
    }

    fn coproc(&mut self) -> Parsed<CommandKind> {
        self.take_all("coproc");
        self.skip_blanks();
        let (at, line) = (self.at, self.line);
        let mut name = self.name();
        self.skip_blanks();
        let compound = self.peek() == Some('(')
            || self.reserved().is_some_and(|word| {
                ["{", "while", "until", "for", "if", "case", "[[", "select"].contains(&word.as_str())
            });
        if name.is_empty() || !compound {
            (self.at, self.line) = (at, line);
            name = "COPROC".to_owned();
        }
        let body = self.command()?;
        Ok(CommandKind::Coproc { name, body: Rc::new(body) })
    }
}
