//! Evaluates expressions.

use std::rc::Rc;

use crate::cells::{Array, Cell};
use crate::language::ast::{Arithmetic, Comparison, Expression, Place, Source, Target};
use crate::language::special::{CONVFMT, OFS, RT, SUBSEP};
use crate::machine::{Machine, Outcome, Stop};
use crate::run::Flow;
use crate::streams::Kind;
use crate::value::Value;

/// How many calls of functions may be in each other.
const DEPTH: usize = 1_000;

impl Machine<'_> {
    /// The text of a value.
    pub(crate) fn text_of(&self, value: &Value) -> Rc<[u8]> {
        match value {
            Value::Number(_) => value.bytes(&self.special(CONVFMT)),
            other => other.bytes(b""),
        }
    }

    pub(crate) fn evaluate_text(&mut self, expression: &Expression) -> Outcome<Rc<[u8]>> {
        let value = self.evaluate(expression)?;
        Ok(self.text_of(&value))
    }

    pub(crate) fn evaluate(&mut self, expression: &Expression) -> Outcome<Value> {
        let truth = |holds: bool| Value::Number(f64::from(u8::from(holds)));
        Ok(match expression {
            Expression::Number(number) => Value::Number(*number),
            Expression::Text(text) => Value::Text(Rc::clone(text)),
            Expression::Pattern(pattern) => {
                let regex = self.pattern(pattern)?;
                truth(regex.is_match(&self.record_text()))
            }
            Expression::Value(target) => self.value(target)?,
            Expression::Name(place) => self.variable(*place)?,
            Expression::Assign(target, value) => {
                let value = self.evaluate(value)?;
                self.assign(target, value)?
            }
            Expression::Update(target, operator, value) => {
                let right = self.evaluate(value)?.number();
                let left = self.value(target)?.number();
                let value = arithmetic(left, *operator, right)?;
                self.assign(target, Value::Number(value))?
            }
            Expression::Increment { target, by, before } => {
                let old = self.value(target)?.number();
                self.assign(target, Value::Number(old + by))?;
                Value::Number(if *before { old + by } else { old })
            }
            Expression::Match { text, pattern, negated } => {
                let text = self.evaluate_text(text)?;
                let regex = self.regex(pattern)?;
                truth(regex.is_match(&text) != *negated)
            }
            Expression::In(index, array) => {
                let index = self.index(index)?;
                truth(self.array(*array)?.borrow().contains_key(&index))
            }
            Expression::Group(values) => match values.as_slice() {
                [one] => self.evaluate(one)?,
                _ => return Err(Stop::Fatal("a list in parentheses has no value".to_owned())),
            },
            Expression::Getline(source, target) => self.getline(source, target.as_deref())?,
            Expression::Builtin(name, arguments) => self.builtin(name, arguments)?,
            Expression::Call(number, arguments) => self.call(*number, arguments)?,
            operator => return self.operate(operator),
        })
    }

    /// Evaluates operators.
    fn operate(&mut self, expression: &Expression) -> Outcome<Value> {
        let truth = |holds: bool| Value::Number(f64::from(u8::from(holds)));
        Ok(match expression {
            Expression::Conditional(condition, then, otherwise) => {
                let branch = if self.evaluate(condition)?.is_true() { then } else { otherwise };
                self.evaluate(branch)?
            }
            Expression::And(left, right) => truth(self.evaluate(left)?.is_true() && self.evaluate(right)?.is_true()),
            Expression::Or(left, right) => truth(self.evaluate(left)?.is_true() || self.evaluate(right)?.is_true()),
            Expression::Not(inner) => truth(!self.evaluate(inner)?.is_true()),
            Expression::Negative(inner) => Value::Number(-self.evaluate(inner)?.number()),
            Expression::Positive(inner) => Value::Number(self.evaluate(inner)?.number()),
            Expression::Binary(left, operator, right) => {
                let left = self.evaluate(left)?.number();
                Value::Number(arithmetic(left, *operator, self.evaluate(right)?.number())?)
            }
            Expression::Compare(left, comparison, right) => {
                let (left, right) = (self.evaluate(left)?, self.evaluate(right)?);
                truth(self.compare(&left, *comparison, &right))
            }
            Expression::Concatenate(left, right) => {
                let left = self.evaluate_text(left)?;
                let right = self.evaluate_text(right)?;
                Value::Text(Rc::from([&*left, &*right].concat()))
            }
            other => return self.evaluate(other),
        })
    }

    fn compare(&self, left: &Value, comparison: Comparison, right: &Value) -> bool {
        let format = self.special(CONVFMT);
        let Some(order) = left.compare(right, &format) else {
            return comparison == Comparison::NotEqual;
        };
        match comparison {
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }

    /// The pattern that an expression is: between slashes, or the text of its value.
    pub(crate) fn regex(&mut self, expression: &Expression) -> Outcome<Rc<unix_common::regex::Regex>> {
        if let Expression::Pattern(pattern) = expression {
            return self.pattern(pattern);
        }
        let text = self.evaluate_text(expression)?;
        self.pattern(&String::from_utf8_lossy(&text))
    }

    pub(crate) fn record_text(&mut self) -> Vec<u8> {
        let separator = self.special(OFS);
        self.record.text(&separator).to_vec()
    }

    /// The index that several expressions are together.
    pub(crate) fn index(&mut self, index: &[Expression]) -> Outcome<Rc<[u8]>> {
        if let [one] = index {
            return self.evaluate_text(one);
        }
        let parts: Vec<Rc<[u8]>> = index.iter().map(|part| self.evaluate_text(part)).collect::<Outcome<_>>()?;
        Ok(Rc::from(parts.join(&*self.special(SUBSEP))))
    }

    fn field_number(&mut self, expression: &Expression) -> Outcome<usize> {
        let number = self.evaluate(expression)?.number();
        if number < 0.0 {
            return Err(Stop::Fatal(format!("attempt to access field {}", number.trunc())));
        }
        Ok(number as usize)
    }

    fn value(&mut self, target: &Target) -> Outcome<Value> {
        match target {
            Target::Variable(place) => self.variable(*place),
            Target::Element(place, index) => {
                let index = self.index(index)?;
                let array = self.array(*place)?;
                let mut array = array.borrow_mut();
                // To look at an element makes it.
                Ok(array.entry(index).or_default().clone())
            }
            Target::Field(number) => match self.field_number(number)? {
                0 => Ok(Value::input(&self.record_text())),
                number => {
                    self.split_record();
                    Ok(self.record.field(number))
                }
            },
        }
    }

    /// Assigns, and returns what was assigned.
    pub(crate) fn assign(&mut self, target: &Target, value: Value) -> Outcome<Value> {
        match target {
            Target::Variable(place) => self.set_variable(*place, value.clone())?,
            Target::Element(place, index) => {
                let index = self.index(index)?;
                self.array(*place)?.borrow_mut().insert(index, value.clone());
            }
            Target::Field(number) => match self.field_number(number)? {
                0 => {
                    let text = self.text_of(&value).to_vec();
                    self.set_record(text);
                }
                number => {
                    self.split_record();
                    let text = match &value {
                        Value::Number(_) => Value::Numeric(self.text_of(&value), value.number()),
                        other => other.clone(),
                    };
                    if !self.record.set_field(number, text) {
                        return Err(Stop::Fatal(format!("attempt to access field {number}: there are too many")));
                    }
                }
            },
        }
        Ok(value)
    }

    fn getline(&mut self, source: &Source, target: Option<&Target>) -> Outcome<Value> {
        let (kind, name, counts) = match source {
            Source::Input => {
                let text = match self.next_record()? {
                    Some(text) => Some(text),
                    // The next file has more, unless this was the last.
                    None => self.record_of_next_file()?,
                };
                return self.store_line(text.map(|text| (text, Vec::new())), target, false);
            }
            Source::File(name) => (Kind::File, name, false),
            Source::Command(name) => (Kind::Command, name, true),
        };
        let name = self.evaluate_text(name)?;
        let name = String::from_utf8_lossy(&name).into_owned();
        let separator = self.separator();
        match self.streams.read_from(kind, &name, &separator) {
            Ok(line) => {
                if let Some((_, ended)) = &line {
                    self.set_special(RT, Value::text(ended));
                }
                self.store_line(line, target, counts)
            }
            Err(_) => Ok(Value::Number(-1.0)),
        }
    }

    fn record_of_next_file(&mut self) -> Outcome<Option<Vec<u8>>> {
        while self.open_next()? {
            if let Some(text) = self.next_record()? {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    fn store_line(
        &mut self,
        line: Option<crate::streams::Taken>,
        target: Option<&Target>,
        counts: bool,
    ) -> Outcome<Value> {
        let Some((text, _)) = line else {
            return Ok(Value::Number(0.0));
        };
        if counts {
            self.count_record();
        }
        match target {
            Some(target) => {
                self.assign(target, Value::input(&text))?;
            }
            None => self.set_record(text),
        }
        Ok(Value::Number(1.0))
    }

    fn call(&mut self, number: usize, arguments: &[Expression]) -> Outcome<Value> {
        let program = self.program;
        let function = &program.functions[number];
        if arguments.len() > function.parameters {
            let name = &function.name;
            return Err(Stop::Fatal(format!("function `{name}' called with more arguments than declared")));
        }
        if self.locals.len() >= DEPTH {
            return Err(Stop::Fatal(format!("function call nesting is deeper than {DEPTH}: `{}'", function.name)));
        }
        let mut frame = Vec::with_capacity(function.parameters);
        // Variables that are nothing yet: what the function makes of them is theirs.
        let mut offered: Vec<(usize, Place)> = Vec::new();
        for (position, argument) in arguments.iter().enumerate() {
            frame.push(match argument {
                Expression::Name(place) => match self.take_cell(*place) {
                    Cell::Unset => {
                        offered.push((position, *place));
                        Cell::Offered(Array::default())
                    }
                    Cell::Offered(array) => {
                        offered.push((position, *place));
                        Cell::Offered(array)
                    }
                    Cell::Array(array) => Cell::Array(array),
                    Cell::Value(_) => Cell::Value(self.variable(*place)?),
                },
                argument => Cell::Value(self.evaluate(argument)?),
            });
        }
        frame.resize_with(function.parameters, Cell::default);
        self.locals.push(frame);
        let result = self.block(&function.body);
        let frame = self.locals.pop().unwrap_or_default();
        for (position, place) in offered {
            if let Some(Cell::Array(array)) = frame.get(position)
                && matches!(self.take_cell(place), Cell::Unset | Cell::Offered(_))
            {
                self.set_cell(place, Cell::Array(Rc::clone(array)));
            }
        }
        Ok(match result? {
            Flow::Return(value) => value,
            _ => Value::Unset,
        })
    }
}

fn arithmetic(left: f64, operator: Arithmetic, right: f64) -> Outcome<f64> {
    Ok(match operator {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide if right == 0.0 => return Err(Stop::Fatal("division by zero attempted".to_owned())),
        Arithmetic::Divide => left / right,
        Arithmetic::Remainder if right == 0.0 => {
            return Err(Stop::Fatal("division by zero attempted in `%'".to_owned()));
        }
        Arithmetic::Remainder => left % right,
        Arithmetic::Power => left.powf(right),
    })
}
