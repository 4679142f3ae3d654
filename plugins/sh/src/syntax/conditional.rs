//! `[[ expression ]]`.

use super::ast::{CommandKind, Test, Word};
use super::parser::{Parsed, Parser};
use super::word::End;

const UNARY: &str = "abcdefghknoprstuvwxzGLNORS";

impl Parser<'_> {
    pub(super) fn conditional(&mut self) -> Parsed<CommandKind> {
        self.take_all("[[");
        let extglob = std::mem::replace(&mut self.options.extglob, true);
        let test = self.test_or();
        self.options.extglob = extglob;
        let test = test?;
        self.skip_newlines()?;
        if !self.take_reserved("]]") {
            return Err(self.unexpected());
        }
        Ok(CommandKind::Test(test))
    }

    fn test_or(&mut self) -> Parsed<Test> {
        let mut left = self.test_and()?;
        loop {
            self.skip_newlines()?;
            if !self.take_all("||") {
                return Ok(left);
            }
            left = Test::Or(Box::new(left), Box::new(self.test_and()?));
        }
    }

    fn test_and(&mut self) -> Parsed<Test> {
        let mut left = self.test_not()?;
        loop {
            self.skip_newlines()?;
            if !self.take_all("&&") {
                return Ok(left);
            }
            left = Test::And(Box::new(left), Box::new(self.test_not()?));
        }
    }

    fn test_not(&mut self) -> Parsed<Test> {
        self.nested(|parser| {
            parser.skip_newlines()?;
            if parser.take_reserved("!") {
                return Ok(Test::Not(Box::new(parser.test_not()?)));
            }
            if parser.take('(') {
                let inside = parser.test_or()?;
                parser.skip_newlines()?;
                if !parser.take(')') {
                    return Err(parser.unexpected());
                }
                return Ok(Test::Group(Box::new(inside)));
            }
            parser.test_primary()
        })
    }

    fn operand(&mut self, end: End) -> Parsed<Word> {
        self.skip_blanks();
        if self.reserved().as_deref() == Some("]]") {
            return Err(self.unexpected());
        }
        let word = self.word(end)?;
        if word.parts.is_empty() { Err(self.unexpected()) } else { Ok(word) }
    }

    fn test_primary(&mut self) -> Parsed<Test> {
        let word = self.operand(End::Word)?;
        if let Some(letter) = word.literal().and_then(|text| text.strip_prefix('-'))
            && letter.len() == 1
            && UNARY.contains(letter)
        {
            self.skip_blanks();
            let ends = matches!(self.peek(), None | Some('\n' | ')'))
                || self.looking_at("&&")
                || self.looking_at("||")
                || self.reserved().as_deref() == Some("]]");
            if !ends && !self.binary_follows() {
                return Ok(Test::Unary(letter.to_owned(), self.operand(End::Word)?));
            }
        }
        self.skip_blanks();
        match self.binary_operator() {
            Some(operator) => {
                let end = if operator == "=~" { End::Regex } else { End::Word };
                let right = self.operand(end)?;
                Ok(Test::Binary(word, operator, right))
            }
            None => Ok(Test::Word(word)),
        }
    }

    fn binary_follows(&mut self) -> bool {
        let (at, line) = (self.at, self.line);
        let found = self.binary_operator().is_some_and(|operator| ["==", "=", "!=", "=~"].contains(&operator.as_str()));
        self.skip_blanks();
        let found = found && self.reserved().as_deref() != Some("]]");
        (self.at, self.line) = (at, line);
        found
    }

    fn binary_operator(&mut self) -> Option<String> {
        for operator in ["==", "!=", "=~", "="] {
            if self.take_all(operator) {
                return Some(operator.to_owned());
            }
        }
        for operator in ["<", ">"] {
            if self.take_all(operator) {
                return Some(operator.to_owned());
            }
        }
        for operator in ["-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef"] {
            if self.looking_at(operator) {
                let after = self.rest()[operator.len()..].chars().next();
                if after.is_some_and(char::is_whitespace) {
                    self.take_all(operator);
                    return Some(operator.to_owned());
                }
            }
        }
        None
    }
}
