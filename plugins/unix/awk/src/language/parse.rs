//! The grammar of awk.

mod expressions;
mod names;

use std::rc::Rc;

use crate::language::ast::{Expression, Program, Redirect, Rule, Statement, When};
use crate::language::lexer::{SyntaxError, Token, tokens};
use names::Names;

/// Takes a program apart.
pub(crate) fn parse(text: &str) -> Result<Program, SyntaxError> {
    let tokens = tokens(text)?;
    let mut parser = Parser { names: Names::new(&tokens), tokens, at: 0, ranges: 0, in_print: false, no_in: false };
    let mut rules = Vec::new();
    loop {
        parser.skip_ends();
        match parser.peek() {
            Token::End => break,
            Token::Keyword("function") => parser.function()?,
            _ => rules.push(parser.rule()?),
        }
    }
    parser.names.check()?;
    let Names { functions, globals, .. } = parser.names;
    Ok(Program {
        rules,
        functions: functions.into_iter().map(|known| known.function).collect(),
        globals,
        ranges: parser.ranges,
    })
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
    names: Names,
    ranges: usize,
    /// In the words of `print` a `>` writes to a file.
    in_print: bool,
    /// In the parentheses of `for` an `in` may be its own.
    no_in: bool,
}

/// What is written, and where to.
type Written = (Vec<Expression>, Option<(Redirect, Expression)>);

type Parsed<T> = Result<T, SyntaxError>;

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |(token, _)| token)
    }

    fn peek_after(&self, distance: usize) -> &Token {
        self.tokens.get(self.at + distance).map_or(&Token::End, |(token, _)| token)
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |(_, line)| *line)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.peek(), Token::Symbol(found) if *found == symbol)
    }

    fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self.peek(), Token::Keyword(found) if *found == keyword)
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        self.at += usize::from(found);
        found
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = self.is_keyword(keyword);
        self.at += usize::from(found);
        found
    }

    fn error(&self) -> SyntaxError {
        SyntaxError { line: self.line(), message: "syntax error".to_owned() }
    }

    fn expect(&mut self, symbol: &str) -> Parsed<()> {
        if self.take(symbol) { Ok(()) } else { Err(self.error()) }
    }

    fn skip_newlines(&mut self) {
        while *self.peek() == Token::Newline {
            self.at += 1;
        }
    }

    fn skip_ends(&mut self) {
        while *self.peek() == Token::Newline || self.is(";") {
            self.at += 1;
        }
    }

    fn function(&mut self) -> Parsed<()> {
        self.next();
        let (Token::Name(name) | Token::Call(name)) = self.next() else {
            return Err(self.error());
        };
        self.expect("(")?;
        let mut parameters = Vec::new();
        while !self.take(")") {
            self.skip_newlines();
            let Token::Name(parameter) = self.next() else {
                return Err(self.error());
            };
            parameters.push(parameter);
            self.skip_newlines();
            if !self.take(",") && !self.is(")") {
                return Err(self.error());
            }
        }
        self.skip_newlines();
        let count = parameters.len();
        self.names.locals = parameters;
        let body = self.block()?;
        self.names.locals.clear();
        let line = self.line();
        self.names.define(&name, count, body, line)
    }

    fn rule(&mut self) -> Parsed<Rule> {
        let special = match self.peek() {
            Token::Keyword("BEGIN") => Some(When::Begin),
            Token::Keyword("END") => Some(When::End),
            Token::Keyword("BEGINFILE") => Some(When::BeginFile),
            Token::Keyword("ENDFILE") => Some(When::EndFile),
            _ => None,
        };
        if let Some(when) = special {
            self.next();
            if !self.is("{") {
                return Err(self.error());
            }
            return Ok(Rule { when, action: Some(self.block()?) });
        }
        if self.is("{") {
            return Ok(Rule { when: When::Always, action: Some(self.block()?) });
        }
        let first = self.expression()?;
        let when = if self.take(",") {
            self.skip_newlines();
            let last = self.expression()?;
            self.ranges += 1;
            When::Range(first, last, self.ranges - 1)
        } else {
            When::If(first)
        };
        let action = if self.is("{") { Some(self.block()?) } else { None };
        if action.is_none() && !matches!(self.peek(), Token::Newline | Token::End | Token::Symbol(";")) {
            return Err(self.error());
        }
        Ok(Rule { when, action })
    }

    fn block(&mut self) -> Parsed<Vec<Statement>> {
        self.expect("{")?;
        let mut statements = Vec::new();
        loop {
            self.skip_ends();
            if self.take("}") {
                return Ok(statements);
            }
            statements.push(self.statement()?);
        }
    }

    /// The end of a simple statement. That of a block needs none.
    fn end_statement(&mut self) -> Parsed<()> {
        match self.peek() {
            Token::Newline | Token::Symbol(";") => {
                self.at += 1;
                Ok(())
            }
            Token::Symbol("}") | Token::End => Ok(()),
            _ => Err(self.error()),
        }
    }

    /// The statement that a condition or a loop has.
    fn body(&mut self) -> Parsed<Box<Statement>> {
        self.skip_newlines();
        if self.take(";") {
            return Ok(Box::new(Statement::Block(Vec::new())));
        }
        self.statement().map(Box::new)
    }

    fn statement(&mut self) -> Parsed<Statement> {
        if self.is("{") {
            return self.block().map(Statement::Block);
        }
        match self.peek() {
            Token::Keyword("if") => self.condition(),
            Token::Keyword("while") => {
                self.next();
                let condition = self.parenthesized()?;
                Ok(Statement::While(condition, self.body()?))
            }
            Token::Keyword("do") => {
                self.next();
                let body = self.body()?;
                self.skip_ends();
                if !self.take_keyword("while") {
                    return Err(self.error());
                }
                let condition = self.parenthesized()?;
                self.end_statement()?;
                Ok(Statement::Do(body, condition))
            }
            Token::Keyword("for") => self.for_loop(),
            Token::Keyword("switch") => self.switch(),
            _ => {
                let statement = self.simple()?;
                self.end_statement()?;
                Ok(statement)
            }
        }
    }

    fn parenthesized(&mut self) -> Parsed<Expression> {
        self.expect("(")?;
        self.skip_newlines();
        let inner = self.expression()?;
        self.skip_newlines();
        self.expect(")")?;
        Ok(inner)
    }

    fn condition(&mut self) -> Parsed<Statement> {
        self.next();
        let condition = self.parenthesized()?;
        let then = self.body()?;
        // An `else` may come after the end of the statement before it.
        let mut ahead = 0;
        while matches!(self.peek_after(ahead), Token::Newline | Token::Symbol(";")) {
            ahead += 1;
        }
        let has_else = matches!(self.peek_after(ahead), Token::Keyword("else"));
        let otherwise = if has_else {
            self.at += ahead + 1;
            Some(self.body()?)
        } else {
            None
        };
        Ok(Statement::If(condition, then, otherwise))
    }

    fn for_loop(&mut self) -> Parsed<Statement> {
        self.next();
        self.expect("(")?;
        if let (Token::Name(variable), Token::Keyword("in"), Token::Name(array), Token::Symbol(")")) =
            (self.peek().clone(), self.peek_after(1), self.peek_after(2).clone(), self.peek_after(3))
        {
            self.at += 4;
            let (variable, array) = (self.names.place(&variable), self.names.place(&array));
            return Ok(Statement::ForIn(variable, array, self.body()?));
        }
        let start = if self.is(";") { None } else { Some(Box::new(self.simple()?)) };
        self.expect(";")?;
        self.skip_newlines();
        let condition = if self.is(";") { None } else { Some(self.expression()?) };
        self.expect(";")?;
        self.skip_newlines();
        let step = if self.is(")") { None } else { Some(Box::new(self.simple()?)) };
        self.expect(")")?;
        Ok(Statement::For(start, condition, step, self.body()?))
    }

    fn switch(&mut self) -> Parsed<Statement> {
        self.next();
        let value = self.parenthesized()?;
        self.skip_newlines();
        self.expect("{")?;
        let mut cases: Vec<(Option<Expression>, Vec<Statement>)> = Vec::new();
        loop {
            self.skip_ends();
            if self.take("}") {
                return Ok(Statement::Switch(value, cases));
            }
            if self.take_keyword("case") {
                let of = self.ternary()?;
                self.expect(":")?;
                cases.push((Some(of), Vec::new()));
            } else if self.take_keyword("default") {
                self.expect(":")?;
                cases.push((None, Vec::new()));
            } else {
                let statement = self.statement()?;
                cases
                    .last_mut()
                    .ok_or_else(|| SyntaxError { line: 0, message: "syntax error".to_owned() })?
                    .1
                    .push(statement);
            }
        }
    }

    fn ends_simple(&self) -> bool {
        matches!(self.peek(), Token::Newline | Token::End | Token::Symbol(";" | "}"))
    }

    fn simple(&mut self) -> Parsed<Statement> {
        let Token::Keyword(keyword) = *self.peek() else {
            return self.expression().map(Statement::Expression);
        };
        if !matches!(keyword, "getline" | "in") {
            self.next();
        }
        Ok(match keyword {
            "print" => {
                let (values, redirect) = self.output()?;
                Statement::Print(values, redirect)
            }
            "printf" => {
                let (values, redirect) = self.output()?;
                if values.is_empty() {
                    return Err(SyntaxError { line: self.line(), message: "fatal: printf: no arguments".to_owned() });
                }
                Statement::Printf(values, redirect)
            }
            "delete" => {
                let parenthesis = self.take("(");
                let Token::Name(array) = self.next() else {
                    return Err(self.error());
                };
                let place = self.names.place(&array);
                let index = if self.take("[") { Some(self.subscript()?) } else { None };
                if parenthesis {
                    self.expect(")")?;
                }
                Statement::Delete(place, index)
            }
            "next" => Statement::Next,
            "nextfile" => Statement::NextFile,
            "break" => Statement::Break,
            "continue" => Statement::Continue,
            "exit" => Statement::Exit(if self.ends_simple() { None } else { Some(self.expression()?) }),
            "return" => Statement::Return(if self.ends_simple() { None } else { Some(self.expression()?) }),
            "getline" => Statement::Expression(self.expression()?),
            _ => return Err(self.error()),
        })
    }

    /// What `print` and `printf` write, and where.
    fn output(&mut self) -> Parsed<Written> {
        let ends = |parser: &Self| parser.ends_simple() || matches!(parser.peek(), Token::Symbol(">" | ">>" | "|"));
        let mut values = Vec::new();
        let before = std::mem::replace(&mut self.in_print, true);
        if !ends(self) {
            values = self.list()?;
        }
        // A list in parentheses is the list itself.
        if let [Expression::Group(_)] = values.as_slice()
            && let Some(Expression::Group(inner)) = values.pop()
        {
            values = inner;
        }
        let redirect = match self.peek() {
            Token::Symbol(">") => Some(Redirect::File),
            Token::Symbol(">>") => Some(Redirect::Append),
            Token::Symbol("|") => Some(Redirect::Command),
            _ => None,
        };
        let redirect = match redirect {
            Some(redirect) => {
                self.next();
                Some((redirect, self.concatenation()?))
            }
            None => None,
        };
        self.in_print = before;
        Ok((values, redirect))
    }

    /// Expressions with commas between them.
    fn list(&mut self) -> Parsed<Vec<Expression>> {
        let mut values = vec![self.expression()?];
        while self.take(",") {
            self.skip_newlines();
            values.push(self.expression()?);
        }
        Ok(values)
    }

    /// The indices of an element, after its bracket.
    fn subscript(&mut self) -> Parsed<Vec<Expression>> {
        let before = std::mem::take(&mut self.in_print);
        let index = self.list()?;
        self.in_print = before;
        self.expect("]")?;
        Ok(index)
    }

    fn text(text: &[u8]) -> Expression {
        Expression::Text(Rc::from(text))
    }
}
