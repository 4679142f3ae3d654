//! Expressions, from the operators that bind least to those that bind most.

use std::rc::Rc;

use super::{Parsed, Parser};
use crate::language::ast::{Arithmetic, Comparison, Expression, Source, Target};
use crate::language::lexer::{SyntaxError, Token};

impl Parser {
    pub(super) fn expression(&mut self) -> Parsed<Expression> {
        let left = self.ternary()?;
        let operator = match self.peek() {
            Token::Symbol("=") => None,
            Token::Symbol("+=") => Some(Arithmetic::Add),
            Token::Symbol("-=") => Some(Arithmetic::Subtract),
            Token::Symbol("*=") => Some(Arithmetic::Multiply),
            Token::Symbol("/=") => Some(Arithmetic::Divide),
            Token::Symbol("%=") => Some(Arithmetic::Remainder),
            Token::Symbol("^=") => Some(Arithmetic::Power),
            _ => return Ok(left),
        };
        let error = self.error();
        self.next();
        self.skip_newlines();
        let right = self.expression()?;
        assigned(left, operator, right).ok_or(error)
    }

    pub(super) fn ternary(&mut self) -> Parsed<Expression> {
        let condition = self.or()?;
        if !self.take("?") {
            return Ok(condition);
        }
        self.skip_newlines();
        let then = self.expression()?;
        self.skip_newlines();
        self.expect(":")?;
        self.skip_newlines();
        let otherwise = self.expression()?;
        Ok(Expression::Conditional(Box::new(condition), Box::new(then), Box::new(otherwise)))
    }

    fn or(&mut self) -> Parsed<Expression> {
        let mut left = self.and()?;
        while self.take("||") {
            self.skip_newlines();
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Parsed<Expression> {
        let mut left = self.membership()?;
        while self.take("&&") {
            self.skip_newlines();
            left = Expression::And(Box::new(left), Box::new(self.membership()?));
        }
        Ok(left)
    }

    fn membership(&mut self) -> Parsed<Expression> {
        let mut left = self.matching()?;
        while self.is_keyword("in") && !self.no_in {
            self.next();
            let (Token::Name(array) | Token::Call(array)) = self.next() else {
                return Err(self.error());
            };
            let index = if let Expression::Group(index) = left { index } else { vec![left] };
            left = Expression::In(index, self.names.place(&array));
        }
        Ok(left)
    }

    fn matching(&mut self) -> Parsed<Expression> {
        let mut left = self.comparison()?;
        loop {
            let negated = match self.peek() {
                Token::Symbol("~") => false,
                Token::Symbol("!~") => true,
                _ => return Ok(left),
            };
            self.next();
            let pattern = Box::new(self.comparison()?);
            left = Expression::Match { text: Box::new(left), pattern, negated };
        }
    }

    fn comparison(&mut self) -> Parsed<Expression> {
        let left = self.concatenation()?;
        let operator = match self.peek() {
            Token::Symbol("<") => Comparison::Less,
            Token::Symbol("<=") => Comparison::LessOrEqual,
            Token::Symbol("==") => Comparison::Equal,
            Token::Symbol("!=") => Comparison::NotEqual,
            Token::Symbol(">") if !self.in_print => Comparison::Greater,
            Token::Symbol(">=") => Comparison::GreaterOrEqual,
            _ => return Ok(left),
        };
        self.next();
        let right = self.concatenation()?;
        Ok(Expression::Compare(Box::new(left), operator, Box::new(right)))
    }

    /// Values that follow each other are one text; `COMMAND | getline` binds as tightly.
    pub(super) fn concatenation(&mut self) -> Parsed<Expression> {
        let mut left = self.additive()?;
        loop {
            if self.is("|") && matches!(self.peek_after(1), Token::Keyword("getline")) {
                self.at += 2;
                let target = self.optional_target()?;
                left = Expression::Getline(Source::Command(Box::new(left)), target);
                continue;
            }
            let starts = match self.peek() {
                Token::Number(_) | Token::Text(_) | Token::Pattern(_) | Token::Name(_) | Token::Call(_) => true,
                Token::Builtin(_) => true,
                Token::Symbol(symbol) => matches!(*symbol, "$" | "!" | "(" | "-" | "+" | "++" | "--"),
                _ => false,
            };
            if !starts || self.is("!") && matches!(self.peek_after(1), Token::Symbol("~" | "=")) {
                return Ok(left);
            }
            left = Expression::Concatenate(Box::new(left), Box::new(self.additive()?));
        }
    }

    fn additive(&mut self) -> Parsed<Expression> {
        let mut left = self.multiplicative()?;
        loop {
            let operator = match self.peek() {
                Token::Symbol("+") => Arithmetic::Add,
                Token::Symbol("-") => Arithmetic::Subtract,
                _ => return Ok(left),
            };
            self.next();
            left = Expression::Binary(Box::new(left), operator, Box::new(self.multiplicative()?));
        }
    }

    fn multiplicative(&mut self) -> Parsed<Expression> {
        let mut left = self.unary()?;
        loop {
            let operator = match self.peek() {
                Token::Symbol("*") => Arithmetic::Multiply,
                Token::Symbol("/") => Arithmetic::Divide,
                Token::Symbol("%") => Arithmetic::Remainder,
                _ => return Ok(left),
            };
            self.next();
            left = Expression::Binary(Box::new(left), operator, Box::new(self.unary()?));
        }
    }

    fn unary(&mut self) -> Parsed<Expression> {
        if self.take("!") {
            return self.unary().map(|inner| Expression::Not(Box::new(inner)));
        }
        if self.take("-") {
            return self.unary().map(|inner| Expression::Negative(Box::new(inner)));
        }
        if self.take("+") {
            return self.unary().map(|inner| Expression::Positive(Box::new(inner)));
        }
        self.power()
    }

    fn power(&mut self) -> Parsed<Expression> {
        let left = self.postfix()?;
        if !self.take("^") {
            return Ok(left);
        }
        // The right side groups to the right, and may have a sign.
        let right = if self.is("-") || self.is("+") || self.is("!") { self.unary()? } else { self.power()? };
        Ok(Expression::Binary(Box::new(left), Arithmetic::Power, Box::new(right)))
    }

    fn postfix(&mut self) -> Parsed<Expression> {
        let inner = self.primary()?;
        let by = match self.peek() {
            Token::Symbol("++") => 1.0,
            Token::Symbol("--") => -1.0,
            _ => return Ok(inner),
        };
        match target_of(&inner) {
            Some(target) => {
                self.next();
                Ok(Expression::Increment { target, by, before: false })
            }
            None => Ok(inner),
        }
    }

    fn primary(&mut self) -> Parsed<Expression> {
        let error = self.error();
        match self.next() {
            Token::Number(number) => Ok(Expression::Number(number)),
            Token::Text(text) => Ok(Self::text(&text)),
            Token::Pattern(pattern) => Ok(Expression::Pattern(Rc::from(pattern.as_str()))),
            Token::Name(name) => {
                let place = self.names.place(&name);
                if self.take("[") {
                    let index = self.subscript()?;
                    return Ok(Expression::Value(Target::Element(place, index)));
                }
                Ok(Expression::Value(Target::Variable(place)))
            }
            Token::Call(name) => {
                let line = self.line();
                let arguments = self.arguments()?;
                Ok(Expression::Call(self.names.function(&name, line), arguments))
            }
            Token::Builtin(name) => {
                // `length` needs no parentheses.
                let line = self.line();
                let arguments = if self.is("(") { self.arguments()? } else { Vec::new() };
                if arguments_of(name).is_some_and(|counts| !counts.contains(&arguments.len())) {
                    let message = format!("{} is invalid as number of arguments for {name}", arguments.len());
                    return Err(SyntaxError { line, message });
                }
                Ok(Expression::Builtin(name, arguments))
            }
            Token::Keyword("getline") => {
                let target = self.optional_target()?;
                if self.take("<") {
                    let file = Box::new(self.file_operand()?);
                    return Ok(Expression::Getline(Source::File(file), target));
                }
                Ok(Expression::Getline(Source::Input, target))
            }
            Token::Symbol("$") => {
                let index = if self.is("++") || self.is("--") || self.is("-") || self.is("+") || self.is("!") {
                    self.unary_field()?
                } else {
                    self.primary()?
                };
                Ok(Expression::Value(Target::Field(Box::new(index))))
            }
            Token::Symbol(symbol @ ("++" | "--")) => {
                let inner = self.primary()?;
                let target = target_of(&inner).ok_or(error)?;
                Ok(Expression::Increment { target, by: if symbol == "++" { 1.0 } else { -1.0 }, before: true })
            }
            Token::Symbol("(") => self.group(),
            _ => Err(error),
        }
    }

    /// The number of a field with an operator before it: `$++i`, `$-1`.
    fn unary_field(&mut self) -> Parsed<Expression> {
        if self.is("++") || self.is("--") { self.primary() } else { self.unary() }
    }

    fn group(&mut self) -> Parsed<Expression> {
        let (print, no_in) = (std::mem::take(&mut self.in_print), std::mem::take(&mut self.no_in));
        self.skip_newlines();
        let mut values = self.list()?;
        self.skip_newlines();
        self.expect(")")?;
        (self.in_print, self.no_in) = (print, no_in);
        if values.len() > 1 {
            return Ok(Expression::Group(values));
        }
        // What is in parentheses cannot be assigned to, and a field of it is its value.
        let one = values.pop().ok_or_else(|| self.error())?;
        Ok(if self.in_print && matches!(self.peek(), Token::Symbol(">")) || !matches!(one, Expression::Value(_)) {
            one
        } else {
            Expression::Group(vec![one])
        })
    }

    fn arguments(&mut self) -> Parsed<Vec<Expression>> {
        self.expect("(")?;
        let (print, no_in) = (std::mem::take(&mut self.in_print), std::mem::take(&mut self.no_in));
        let mut arguments = Vec::new();
        self.skip_newlines();
        while !self.take(")") {
            let argument = self.expression()?;
            // A bare name may be an array.
            arguments.push(match argument {
                Expression::Value(Target::Variable(place)) => Expression::Name(place),
                other => other,
            });
            self.skip_newlines();
            if self.take(",") {
                self.skip_newlines();
            } else if !self.is(")") {
                return Err(self.error());
            }
        }
        (self.in_print, self.no_in) = (print, no_in);
        Ok(arguments)
    }

    /// What `getline` reads into: a variable, an element or a field, if one follows.
    fn optional_target(&mut self) -> Parsed<Option<Box<Target>>> {
        if !matches!(self.peek(), Token::Name(_) | Token::Symbol("$")) {
            return Ok(None);
        }
        let inner = self.primary()?;
        Ok(target_of(&inner).map(Box::new))
    }

    /// The file after `getline <`: not joined with what follows.
    fn file_operand(&mut self) -> Parsed<Expression> {
        self.postfix()
    }
}

/// What an expression names, if it can be assigned to.
fn target_of(expression: &Expression) -> Option<Target> {
    match expression {
        Expression::Value(target) => Some(target.clone()),
        _ => None,
    }
}

/// An assignment. The operator binds less than all that comes before it, but what is assigned to is right before it:
/// `a && b = 1` assigns to `b`.
fn assigned(left: Expression, operator: Option<Arithmetic>, right: Expression) -> Option<Expression> {
    let again = |inner: Box<Expression>, right| assigned(*inner, operator, right).map(Box::new);
    Some(match left {
        Expression::Value(target) => match operator {
            None => Expression::Assign(target, Box::new(right)),
            Some(operator) => Expression::Update(target, operator, Box::new(right)),
        },
        Expression::And(first, second) => Expression::And(first, again(second, right)?),
        Expression::Or(first, second) => Expression::Or(first, again(second, right)?),
        Expression::Not(inner) => Expression::Not(again(inner, right)?),
        Expression::Negative(inner) => Expression::Negative(again(inner, right)?),
        Expression::Compare(first, comparison, second) => Expression::Compare(first, comparison, again(second, right)?),
        Expression::Match { text, pattern, negated } => {
            Expression::Match { text, pattern: again(pattern, right)?, negated }
        }
        Expression::Concatenate(first, second) => Expression::Concatenate(first, again(second, right)?),
        Expression::Conditional(condition, first, second) => {
            Expression::Conditional(condition, first, again(second, right)?)
        }
        _ => return None,
    })
}

/// How many arguments a function takes; none: it says itself.
fn arguments_of(name: &str) -> Option<std::ops::RangeInclusive<usize>> {
    Some(match name {
        "length" => 0..=1,
        "cos" | "exp" | "int" | "log" | "sin" | "sqrt" | "tolower" | "toupper" | "system" => 1..=1,
        "atan2" | "index" => 2..=2,
        "gsub" | "match" | "sub" | "substr" => 2..=3,
        "split" => 2..=4,
        "gensub" => 3..=4,
        _ => return None,
    })
}
