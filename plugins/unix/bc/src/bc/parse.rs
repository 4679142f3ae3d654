//! The grammar: one line, block or function at a time.

mod expressions;

use std::rc::Rc;

use super::ast::{Expression, Function, Item, Local, Statement, Unit};
use super::lexer::{Lexer, Token};

/// Why nothing was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A message, and the line that it is for.
    Wrong(String, usize),
    /// `quit`, which counts as soon as it is read.
    Quit,
    /// The end of the input.
    End,
}

/// How deep expressions and statements may be nested: the stack has its end.
const DEEPEST: usize = 200;

type Parsed<T> = Result<T, Stop>;

/// Reads a program.
pub(crate) struct Parser<'a> {
    pub(crate) lexer: Lexer<'a>,
    next: Option<Token>,
    loops: usize,
    /// How deep expressions and statements are nested.
    nesting: usize,
    in_function: bool,
    /// Illegal characters; parsing goes on.
    pub(crate) warnings: Vec<(String, usize)>,
}

impl<'a> Parser<'a> {
    pub(crate) fn new(lexer: Lexer<'a>) -> Self {
        Self { lexer, next: None, loops: 0, nesting: 0, in_function: false, warnings: Vec::new() }
    }

    fn peek(&mut self) -> Token {
        while self.next.is_none() {
            match self.lexer.next() {
                Ok(token) => self.next = Some(token),
                Err(message) => self.warnings.push((message, self.lexer.line)),
            }
        }
        self.next.clone().unwrap_or(Token::End)
    }

    fn is(&mut self, token: &Token) -> bool {
        self.peek() == *token
    }

    fn take(&mut self, symbol: &'static str) -> bool {
        let found = self.is(&Token::Symbol(symbol));
        if found {
            self.next = None;
        }
        found
    }

    fn take_keyword(&mut self, keyword: &'static str) -> bool {
        let found = self.is(&Token::Keyword(keyword));
        if found {
            self.next = None;
        }
        found
    }

    fn expect(&mut self, symbol: &'static str) -> Parsed<()> {
        if self.take(symbol) { Ok(()) } else { Err(self.wrong("syntax error")) }
    }

    fn wrong(&mut self, message: &str) -> Stop {
        let _ = self.peek();
        Stop::Wrong(message.to_owned(), self.lexer.line)
    }

    fn skip_newlines(&mut self) {
        while self.is(&Token::Newline) {
            self.next = None;
        }
    }

    /// Reads a line, or a function. After an error the rest of the line is left out.
    pub(crate) fn unit(&mut self) -> Parsed<Unit> {
        (self.loops, self.nesting, self.in_function) = (0, 0, false);
        let unit = self.line_or_function();
        if matches!(unit, Err(Stop::Wrong(..))) && self.next.take() != Some(Token::Newline) {
            self.lexer.skip_line();
        }
        unit
    }

    fn line_or_function(&mut self) -> Parsed<Unit> {
        if self.is(&Token::End) {
            return Err(Stop::End);
        }
        if self.take_keyword("define") {
            return self.function();
        }
        let mut statements = Vec::new();
        loop {
            while self.take(";") {}
            match self.peek() {
                Token::Newline => {
                    self.next = None;
                    return Ok(Unit::Statements(statements));
                }
                Token::End => return Ok(Unit::Statements(statements)),
                _ => statements.push(self.statement()?),
            }
            if !matches!(self.peek(), Token::Newline | Token::End | Token::Symbol(";")) {
                return Err(self.wrong("syntax error"));
            }
        }
    }

    fn name(&mut self) -> Parsed<String> {
        match self.peek() {
            Token::Name(name) => {
                self.next = None;
                Ok(name)
            }
            _ => Err(self.wrong("syntax error")),
        }
    }

    fn function(&mut self) -> Parsed<Unit> {
        let mut name = self.name()?;
        let mut void = false;
        if name == "void" && matches!(self.peek(), Token::Name(_)) {
            (name, void) = (self.name()?, true);
        }
        self.expect("(")?;
        let parameters = if self.take(")") { Vec::new() } else { self.locals(")")? };
        self.skip_newlines();
        self.expect("{")?;
        self.in_function = true;
        self.skip_newlines();
        let mut locals = Vec::new();
        if self.take_keyword("auto") {
            locals = self.locals("")?;
        }
        let body = self.block()?;
        Ok(Unit::Function(name, Rc::new(Function { parameters, locals, body, void })))
    }

    /// Names up to a closing parenthesis, or to the end of the statement.
    fn locals(&mut self, end: &'static str) -> Parsed<Vec<Local>> {
        let mut locals = Vec::new();
        loop {
            let by_reference = self.take("*");
            let name = self.name()?;
            let is_array = self.take("[");
            if is_array {
                self.expect("]")?;
            }
            locals.push(Local { name, is_array, by_reference });
            if self.take(",") {
                continue;
            }
            if !end.is_empty() {
                self.expect(end)?;
            } else if !self.take(";") && !self.is(&Token::Newline) {
                return Err(self.wrong("syntax error"));
            }
            return Ok(locals);
        }
    }

    /// Statements up to the closing brace.
    fn block(&mut self) -> Parsed<Vec<Statement>> {
        let mut statements = Vec::new();
        loop {
            while self.take(";") || self.is(&Token::Newline) {
                self.skip_newlines();
            }
            if self.take("}") {
                return Ok(statements);
            }
            statements.push(self.statement()?);
            if !matches!(self.peek(), Token::Newline | Token::Symbol(";" | "}")) {
                return Err(self.wrong("syntax error"));
            }
        }
    }

    /// Reads what is nested, as deep as the stack allows.
    fn nested<T>(&mut self, read: fn(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting >= DEEPEST {
            return Err(self.wrong(&format!("nested more than {DEEPEST} levels deep")));
        }
        self.nesting += 1;
        let result = read(self);
        self.nesting -= 1;
        result
    }

    fn statement(&mut self) -> Parsed<Statement> {
        self.nested(Self::any_statement)
    }

    fn any_statement(&mut self) -> Parsed<Statement> {
        match self.peek() {
            Token::Text(text) => {
                self.next = None;
                Ok(Statement::Text(text))
            }
            Token::Symbol("{") => {
                self.next = None;
                Ok(Statement::Block(self.block()?))
            }
            Token::Keyword(keyword) => match self.keyword(keyword)? {
                Some(statement) => Ok(statement),
                None => self.expression_statement(),
            },
            _ => self.expression_statement(),
        }
    }

    fn expression_statement(&mut self) -> Parsed<Statement> {
        let parenthesis = self.is(&Token::Symbol("("));
        let expression = self.expression()?;
        let shown = parenthesis || !matches!(expression, Expression::Assign(..));
        Ok(Statement::Expression { expression, shown })
    }

    /// A statement that begins with a word of its own. None: it is an expression.
    fn keyword(&mut self, keyword: &'static str) -> Parsed<Option<Statement>> {
        if ["ibase", "last", "length", "obase", "read", "scale", "sqrt"].contains(&keyword) {
            return Ok(None);
        }
        self.next = None;
        Ok(Some(match keyword {
            "quit" => return Err(Stop::Quit),
            "halt" => Statement::Halt,
            "limits" => Statement::Limits,
            "warranty" => Statement::Warranty,
            "break" | "continue" if self.loops == 0 => {
                let message = if keyword == "break" { "Break outside a for/while" } else { "Continue outside a for" };
                return Err(Stop::Wrong(message.to_owned(), self.lexer.line));
            }
            "break" => Statement::Break,
            "continue" => Statement::Continue,
            "return" => {
                let ends = matches!(self.peek(), Token::Newline | Token::End | Token::Symbol(";" | "}"));
                let value = if ends { None } else { Some(self.expression()?) };
                if !self.in_function {
                    return Err(self.wrong("Return outside of a function."));
                }
                // `return ()` has no value.
                Statement::Return(value)
            }
            "print" => Statement::Print(self.items()?),
            "if" => self.condition()?,
            "while" => {
                self.expect("(")?;
                let condition = self.expression()?;
                self.expect(")")?;
                Statement::While(condition, self.body()?)
            }
            "for" => self.for_loop()?,
            _ => return Err(self.wrong("syntax error")),
        }))
    }

    fn items(&mut self) -> Parsed<Vec<Item>> {
        let mut items = Vec::new();
        loop {
            items.push(match self.peek() {
                Token::Text(text) => {
                    self.next = None;
                    Item::Text(text)
                }
                _ => Item::Value(self.expression()?),
            });
            if !self.take(",") {
                return Ok(items);
            }
        }
    }

    fn condition(&mut self) -> Parsed<Statement> {
        self.expect("(")?;
        let condition = self.expression()?;
        self.expect(")")?;
        self.skip_newlines();
        let then = Box::new(self.statement()?);
        let otherwise = if self.take_keyword("else") {
            self.skip_newlines();
            Some(Box::new(self.statement()?))
        } else {
            None
        };
        Ok(Statement::If(condition, then, otherwise))
    }

    fn for_loop(&mut self) -> Parsed<Statement> {
        self.expect("(")?;
        let mut part = |end: &'static str| -> Parsed<Option<Expression>> {
            if self.take(end) {
                return Ok(None);
            }
            let expression = self.expression()?;
            self.expect(end)?;
            Ok(Some(expression))
        };
        let (first, condition, step) = (part(";")?, part(";")?, part(")")?);
        Ok(Statement::For(first, condition, step, self.body()?))
    }

    fn body(&mut self) -> Parsed<Box<Statement>> {
        self.skip_newlines();
        self.loops += 1;
        let body = self.statement();
        self.loops -= 1;
        Ok(Box::new(body?))
    }
}
