//! Expressions.

use super::{Parsed, Parser};
use crate::bc::ast::{Argument, Builtin, Expression, Operator, Place};
use crate::bc::lexer::Token;

impl Parser<'_> {
    /// `||` binds least, then `&&`, `!`, comparisons, assignments, sums, products, powers, signs.
    pub(super) fn expression(&mut self) -> Parsed<Expression> {
        self.nested(Self::or)
    }

    fn or(&mut self) -> Parsed<Expression> {
        let mut left = self.and()?;
        while self.take("||") {
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Parsed<Expression> {
        let mut left = self.not()?;
        while self.take("&&") {
            left = Expression::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Parsed<Expression> {
        if self.take("!") {
            return Ok(Expression::Not(Box::new(self.nested(Self::not)?)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Parsed<Expression> {
        const OPERATORS: [(&str, Operator); 6] = [
            ("==", Operator::Equal),
            ("!=", Operator::Unequal),
            ("<=", Operator::AtMost),
            ("<", Operator::Less),
            (">=", Operator::AtLeast),
            (">", Operator::Greater),
        ];
        let mut left = self.assignment()?;
        while let Some((_, operator)) = OPERATORS.iter().find(|(symbol, _)| self.take(symbol)) {
            left = Expression::Binary(*operator, Box::new(left), Box::new(self.assignment()?));
        }
        Ok(left)
    }

    fn assignment(&mut self) -> Parsed<Expression> {
        const OPERATORS: [(&str, Option<Operator>); 7] = [
            ("=", None),
            ("+=", Some(Operator::Add)),
            ("-=", Some(Operator::Subtract)),
            ("*=", Some(Operator::Multiply)),
            ("/=", Some(Operator::Divide)),
            ("%=", Some(Operator::Remainder)),
            ("^=", Some(Operator::Raise)),
        ];
        let left = self.sum()?;
        let Some((_, operator)) = OPERATORS.iter().find(|(symbol, _)| self.is(&Token::Symbol(symbol))) else {
            return Ok(left);
        };
        match left {
            Expression::Place(place) => {
                self.next = None;
                Ok(Expression::Assign(place, *operator, Box::new(self.nested(Self::assignment)?)))
            }
            _ => Err(self.wrong("syntax error")),
        }
    }

    fn sum(&mut self) -> Parsed<Expression> {
        let operators = [("+", Operator::Add), ("-", Operator::Subtract)];
        self.operators(&operators, Self::product)
    }

    fn product(&mut self) -> Parsed<Expression> {
        let operators = [("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)];
        self.operators(&operators, Self::power)
    }

    fn operators(
        &mut self,
        operators: &[(&'static str, Operator)],
        operand: fn(&mut Self) -> Parsed<Expression>,
    ) -> Parsed<Expression> {
        let mut left = operand(self)?;
        while let Some((_, operator)) = operators.iter().find(|(symbol, _)| self.take(symbol)) {
            left = Expression::Binary(*operator, Box::new(left), Box::new(operand(self)?));
        }
        Ok(left)
    }

    fn power(&mut self) -> Parsed<Expression> {
        let base = self.sign()?;
        if self.take("^") {
            return Ok(Expression::Binary(Operator::Raise, Box::new(base), Box::new(self.nested(Self::power)?)));
        }
        Ok(base)
    }

    fn sign(&mut self) -> Parsed<Expression> {
        if self.take("-") {
            return Ok(Expression::Negative(Box::new(self.nested(Self::sign)?)));
        }
        for (symbol, down) in [("++", false), ("--", true)] {
            if self.take(symbol) {
                return match self.primary()? {
                    Expression::Place(place) => Ok(Expression::Step { place, down, first: true }),
                    _ => Err(self.wrong("syntax error")),
                };
            }
        }
        let found = self.primary()?;
        if let Expression::Place(place) = &found {
            for (symbol, down) in [("++", false), ("--", true)] {
                if self.take(symbol) {
                    return Ok(Expression::Step { place: place.clone(), down, first: false });
                }
            }
        }
        Ok(found)
    }

    fn primary(&mut self) -> Parsed<Expression> {
        Ok(match self.peek() {
            Token::Number(digits) => {
                self.next = None;
                Expression::Number(digits)
            }
            Token::Symbol("(") => {
                self.next = None;
                let inner = self.expression()?;
                self.expect(")")?;
                inner
            }
            Token::Name(name) => {
                self.next = None;
                self.named(name)?
            }
            Token::Keyword("last") => {
                self.next = None;
                Expression::Place(Place::Last)
            }
            Token::Keyword("ibase") => {
                self.next = None;
                Expression::Place(Place::InputBase)
            }
            Token::Keyword("obase") => {
                self.next = None;
                Expression::Place(Place::OutputBase)
            }
            Token::Keyword("scale") => {
                self.next = None;
                if self.is(&Token::Symbol("(")) {
                    self.builtin(Builtin::Scale)?
                } else {
                    Expression::Place(Place::Scale)
                }
            }
            Token::Keyword("length") => {
                self.next = None;
                self.builtin(Builtin::Length)?
            }
            Token::Keyword("sqrt") => {
                self.next = None;
                self.builtin(Builtin::Root)?
            }
            Token::Keyword("read") => {
                self.next = None;
                self.expect("(")?;
                self.expect(")")?;
                Expression::Read
            }
            _ => return Err(self.wrong("syntax error")),
        })
    }

    fn builtin(&mut self, builtin: Builtin) -> Parsed<Expression> {
        self.expect("(")?;
        let inner = self.expression()?;
        self.expect(")")?;
        Ok(Expression::Builtin(builtin, Box::new(inner)))
    }

    /// A variable, an element, or a call.
    fn named(&mut self, name: String) -> Parsed<Expression> {
        if self.take("[") {
            let index = self.expression()?;
            self.expect("]")?;
            return Ok(Expression::Place(Place::Element(name, Box::new(index))));
        }
        if !self.take("(") {
            return Ok(Expression::Place(Place::Variable(name)));
        }
        let mut arguments = Vec::new();
        if !self.take(")") {
            loop {
                arguments.push(self.argument()?);
                if !self.take(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        Ok(Expression::Call(name, arguments))
    }

    fn argument(&mut self) -> Parsed<Argument> {
        if let Token::Name(name) = self.peek() {
            // `a[]` is an array; everything else that begins with a name is an expression.
            if self.lexer.continues_with_brackets() {
                self.next = None;
                self.expect("[")?;
                self.expect("]")?;
                return Ok(Argument::Array(name));
            }
        }
        Ok(Argument::Value(self.expression()?))
    }
}
