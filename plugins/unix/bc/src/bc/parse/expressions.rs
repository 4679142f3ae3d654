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
        self.operands("||", Expression::Or, Self::and)
    }

    fn and(&mut self) -> Parsed<Expression> {
        self.operands("&&", Expression::And, Self::not)
    }

    fn operands(
        &mut self,
        operator: &'static str,
        all: fn(Vec<Expression>) -> Expression,
        operand: fn(&mut Self) -> Parsed<Expression>,
    ) -> Parsed<Expression> {
        let first = operand(self)?;
        if !self.is(&Token::Symbol(operator)) {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.take(operator) {
            operands.push(operand(self)?);
        }
        Ok(all(operands))
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
        self.operators(&OPERATORS, Self::assignment)
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
        let first = operand(self)?;
        let mut rest = Vec::new();
        while let Some((_, operator)) = operators.iter().find(|(symbol, _)| self.take(symbol)) {
            rest.push((*operator, operand(self)?));
        }
        Ok(if rest.is_empty() { first } else { Expression::Chain(Box::new(first), rest) })
    }

    fn power(&mut self) -> Parsed<Expression> {
        let base = self.sign()?;
        if self.take("^") {
            return Ok(Expression::Raise(Box::new(base), Box::new(self.nested(Self::power)?)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bc::ast::{Statement, Unit};
    use crate::bc::lexer::Lexer;

    #[test]
    fn a_long_sum_is_flat() {
        let text = format!("0{}\n", "+1-2".repeat(100_000));
        let mut input = text.as_bytes();
        let unit = Parser::new(Lexer::new(&mut input)).unit();
        let Ok(Unit::Statements(statements)) = unit else { panic!("a statement") };
        let [Statement::Expression { expression: Expression::Chain(first, rest), .. }] = statements.as_slice() else {
            panic!("one sum")
        };
        assert_eq!((first.as_ref(), rest.len()), (&Expression::Number("0".to_owned()), 200_000));
        let expected = [(Operator::Add, "1"), (Operator::Subtract, "2")];
        let expected = expected.map(|(operator, digits)| (operator, Expression::Number(digits.to_owned())));
        assert_eq!(rest[..2], expected);
    }
}
