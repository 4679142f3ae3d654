//! Runs a program.

mod calls;

use std::cmp::Ordering;
use std::collections::HashMap;
use std::rc::Rc;

use super::ast::{Builtin, Expression, Function, Item, Operator, Place, Statement};
use super::lexer::Lexer;
use crate::number::{Impossible, Number};
use crate::output::Output;

/// Why the rest of a line is not run.
pub(crate) enum Stop {
    /// The message of an error.
    Wrong(String),
    Break,
    Continue,
    Return(Option<Number>),
    Halt,
}

type Done<T = ()> = Result<T, Stop>;
type Array = HashMap<usize, Number>;

/// The largest index of an array.
const LAST_ELEMENT: usize = 16_777_215;
/// How deep functions and expressions may be nested: the stack has its end.
const DEEPEST: usize = 600;

/// The variables, arrays and functions.
pub(crate) struct Machine {
    variables: HashMap<String, Number>,
    arrays: HashMap<String, Array>,
    functions: HashMap<String, Rc<Function>>,
    scale: usize,
    input_base: usize,
    output_base: usize,
    last: Number,
    pub(crate) output: Output,
    /// The function that runs.
    function: String,
    depth: usize,
    /// What GNU's bc calls the address: how many bytes its code of what has run has.
    address: usize,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self {
            variables: HashMap::new(),
            arrays: HashMap::new(),
            functions: HashMap::new(),
            scale: 0,
            input_base: 10,
            output_base: 10,
            last: Number::zero(),
            output: Output::new("BC_LINE_LENGTH", 1),
            function: "(main)".to_owned(),
            depth: 0,
            address: 0,
        }
    }

    pub(crate) fn define(&mut self, name: String, function: Rc<Function>) {
        self.functions.insert(name, function);
    }

    /// Runs the statements of a line. Says what is wrong. Whether the program goes on.
    pub(crate) fn run_line(&mut self, statements: &[Statement], input: &mut Lexer<'_>) -> bool {
        (self.address, self.depth) = (0, 0);
        let result = self.block(statements, input);
        self.output.flush();
        match result {
            Err(Stop::Halt) => return false,
            Err(Stop::Wrong(message)) => {
                eprintln!("Runtime error (func={}, adr={}): {message}", self.function, self.address);
                "(main)".clone_into(&mut self.function);
            }
            _ => {}
        }
        true
    }

    fn wrong<T>(&self, message: &str) -> Done<T> {
        Err(Stop::Wrong(message.to_owned()))
    }

    fn warn(&mut self, message: &str) {
        self.output.flush();
        eprintln!("Runtime warning (func={}, adr={}): {message}", self.function, self.address);
    }

    fn block(&mut self, statements: &[Statement], input: &mut Lexer<'_>) -> Done {
        statements.iter().try_for_each(|statement| self.statement(statement, input))
    }

    fn statement(&mut self, statement: &Statement, input: &mut Lexer<'_>) -> Done {
        self.deeper()?;
        let result = self.any_statement(statement, input);
        self.depth -= 1;
        result
    }

    fn deeper(&mut self) -> Done {
        if self.depth >= DEEPEST {
            return self.wrong(&format!("functions, loops and expressions are nested more than {DEEPEST} levels deep"));
        }
        self.depth += 1;
        Ok(())
    }

    fn any_statement(&mut self, statement: &Statement, input: &mut Lexer<'_>) -> Done {
        match statement {
            Statement::Expression { expression, shown } => {
                let value = self.maybe(expression, input)?;
                self.address += 1;
                if let Some(value) = value.filter(|_| *shown) {
                    self.show(&value);
                    self.output.write("\n");
                }
            }
            Statement::Text(text) => self.output.write(text),
            Statement::Print(items) => {
                for item in items {
                    match item {
                        Item::Text(text) => self.output.write(&unescaped(text)),
                        Item::Value(expression) => {
                            let value = self.value(expression, input)?;
                            self.show(&value);
                        }
                    }
                }
            }
            Statement::Block(statements) => self.block(statements, input)?,
            Statement::If(condition, then, otherwise) => {
                if !self.value(condition, input)?.is_zero() {
                    self.statement(then, input)?;
                } else if let Some(otherwise) = otherwise {
                    self.statement(otherwise, input)?;
                }
            }
            Statement::While(condition, body) => self.repeat(Some(condition), None, body, input)?,
            Statement::For(first, condition, step, body) => {
                if let Some(first) = first {
                    self.value(first, input)?;
                }
                self.repeat(condition.as_ref(), step.as_ref(), body, input)?;
            }
            Statement::Break => return Err(Stop::Break),
            Statement::Continue => return Err(Stop::Continue),
            Statement::Return(value) => {
                let value = value.as_ref().map(|value| self.value(value, input)).transpose()?;
                return Err(Stop::Return(value));
            }
            Statement::Halt => return Err(Stop::Halt),
            Statement::Limits => self.output.raw(LIMITS),
            Statement::Warranty => self.output.raw("There is no warranty, to the extent permitted by law.\n"),
        }
        Ok(())
    }

    fn repeat(
        &mut self,
        condition: Option<&Expression>,
        step: Option<&Expression>,
        body: &Statement,
        input: &mut Lexer<'_>,
    ) -> Done {
        loop {
            if let Some(condition) = condition
                && self.value(condition, input)?.is_zero()
            {
                return Ok(());
            }
            match self.statement(body, input) {
                Err(Stop::Break) => return Ok(()),
                Ok(()) | Err(Stop::Continue) => {}
                other => return other,
            }
            if let Some(step) = step {
                self.value(step, input)?;
            }
        }
    }

    fn show(&mut self, value: &Number) {
        self.last = value.clone();
        let text = value.format(self.output_base);
        self.output.write(&text);
    }

    /// The value of an expression that must have one.
    fn value(&mut self, expression: &Expression, input: &mut Lexer<'_>) -> Done<Number> {
        match self.maybe(expression, input)? {
            Some(value) => Ok(value),
            None => self.wrong("void expression"),
        }
    }

    /// The value of an expression; none of a function without.
    fn maybe(&mut self, expression: &Expression, input: &mut Lexer<'_>) -> Done<Option<Number>> {
        self.deeper()?;
        let value = self.any(expression, input);
        self.depth -= 1;
        value
    }

    fn any(&mut self, expression: &Expression, input: &mut Lexer<'_>) -> Done<Option<Number>> {
        let flag = |is: bool| if is { Number::one() } else { Number::zero() };
        Ok(Some(match expression {
            Expression::Number(digits) => {
                self.address += if ["0", "1"].contains(&digits.as_str()) { 1 } else { digits.len() + 2 };
                Number::parse(digits, self.input_base)
            }
            Expression::Place(place) => {
                let index = self.index(place, input)?;
                self.address += 2;
                self.load(place, index)
            }
            Expression::Assign(place, operator, right) => self.assign(place, *operator, right, input)?,
            Expression::Step { place, down, first } => {
                let index = self.index(place, input)?;
                let old = self.load(place, index);
                let new = if *down { old.subtract(&Number::one()) } else { old.add(&Number::one()) };
                self.address += 2;
                self.store(place, index, new.clone());
                if *first { new } else { old }
            }
            Expression::Negative(inner) => {
                let value = self.value(inner, input)?;
                self.address += 1;
                value.negated()
            }
            Expression::Not(inner) => flag(self.value(inner, input)?.is_zero()),
            Expression::Raise(left, right) => {
                let (left, right) = (self.value(left, input)?, self.value(right, input)?);
                self.address += 1;
                self.compute(Operator::Raise, &left, &right)?
            }
            Expression::Chain(first, rest) => {
                let mut value = self.value(first, input)?;
                for (operator, right) in rest {
                    let right = self.value(right, input)?;
                    self.address += 1;
                    value = self.compute(*operator, &value, &right)?;
                }
                value
            }
            Expression::And(operands) => flag(!self.has(operands, true, input)?),
            Expression::Or(operands) => flag(self.has(operands, false, input)?),
            Expression::Call(name, arguments) => return self.call(name, arguments, input),
            Expression::Builtin(builtin, inner) => {
                let value = self.value(inner, input)?;
                self.address += 2;
                match builtin {
                    Builtin::Length => value.digits().into(),
                    Builtin::Scale => value.scale().into(),
                    Builtin::Root => possible(value.square_root(self.scale))?,
                }
            }
            Expression::Read => self.read(input),
        }))
    }

    /// Whether an operand is zero (`zero`), or is not. Short-circuit: those behind it are not evaluated.
    fn has(&mut self, operands: &[Expression], zero: bool, input: &mut Lexer<'_>) -> Done<bool> {
        for operand in operands {
            if self.value(operand, input)?.is_zero() == zero {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn assign(
        &mut self,
        place: &Place,
        operator: Option<Operator>,
        right: &Expression,
        input: &mut Lexer<'_>,
    ) -> Done<Number> {
        let index = self.written_index(place, input)?;
        let mut value = self.value(right, input)?;
        self.address += 2;
        let index = self.checked_index(place, &index)?;
        if let Some(operator) = operator {
            let old = self.load(place, index);
            self.address += 1;
            value = self.compute(operator, &old, &value)?;
        }
        self.store(place, index, value.clone());
        Ok(value)
    }

    /// The next number of the input. Nothing is 0.
    fn read(&mut self, input: &mut Lexer<'_>) -> Number {
        self.output.flush();
        let line = input.take_line().unwrap_or_default();
        let word = line.trim();
        let (sign, digits) = word.strip_prefix('-').map_or((false, word), |digits| (true, digits));
        let end = digits.find(|c: char| !c.is_ascii_digit() && !('A'..='F').contains(&c) && c != '.');
        let value = Number::parse(&digits[..end.unwrap_or(digits.len())], self.input_base);
        if sign { value.negated() } else { value }
    }

    fn compute(&mut self, operator: Operator, left: &Number, right: &Number) -> Done<Number> {
        let holds = |is: bool| Ok(if is { Number::one() } else { Number::zero() });
        match operator {
            Operator::Add => Ok(left.add(right)),
            Operator::Subtract => Ok(left.subtract(right)),
            Operator::Multiply => Ok(left.multiply(right, self.scale)),
            Operator::Divide => possible(left.divide(right, self.scale)),
            Operator::Remainder => possible(left.remainder(right, self.scale)),
            Operator::Raise => {
                if right.scale() > 0 {
                    self.warn("non-zero scale in exponent");
                }
                possible(left.raise(right, self.scale))
            }
            Operator::Equal => holds(left.compare(right) == Ordering::Equal),
            Operator::Unequal => holds(left.compare(right) != Ordering::Equal),
            Operator::Less => holds(left.compare(right) == Ordering::Less),
            Operator::AtMost => holds(left.compare(right) != Ordering::Greater),
            Operator::Greater => holds(left.compare(right) == Ordering::Greater),
            Operator::AtLeast => holds(left.compare(right) != Ordering::Less),
        }
    }

    /// The index of an element; 0 of everything else.
    fn index(&mut self, place: &Place, input: &mut Lexer<'_>) -> Done<usize> {
        let value = self.written_index(place, input)?;
        self.checked_index(place, &value)
    }

    fn written_index(&mut self, place: &Place, input: &mut Lexer<'_>) -> Done<Number> {
        match place {
            Place::Element(_, index) => self.value(index, input),
            _ => Ok(Number::zero()),
        }
    }

    fn checked_index(&self, place: &Place, value: &Number) -> Done<usize> {
        let Place::Element(name, _) = place else { return Ok(0) };
        match value.to_usize().filter(|index| *index <= LAST_ELEMENT && !value.is_negative()) {
            Some(index) => Ok(index),
            None => self.wrong(&format!("Array {name} subscript out of bounds.")),
        }
    }

    fn load(&self, place: &Place, index: usize) -> Number {
        match place {
            Place::Variable(name) => self.variables.get(name).cloned().unwrap_or_else(Number::zero),
            Place::Element(name, _) => {
                self.arrays.get(name).and_then(|array| array.get(&index)).cloned().unwrap_or_else(Number::zero)
            }
            Place::Scale => self.scale.into(),
            Place::InputBase => self.input_base.into(),
            Place::OutputBase => self.output_base.into(),
            Place::Last => self.last.clone(),
        }
    }

    fn store(&mut self, place: &Place, index: usize, value: Number) {
        let base = |name: &str, most: usize| -> (usize, Option<String>) {
            match value.to_usize() {
                _ if value.is_negative() => (2, Some(format!("{name} too small, set to 2"))),
                Some(base) if base < 2 => (2, Some(format!("{name} too small, set to 2"))),
                Some(base) if base <= most => (base, None),
                _ => (most, Some(format!("{name} too large, set to {most}"))),
            }
        };
        let warning = match place {
            Place::Variable(name) => {
                self.variables.insert(name.clone(), value);
                None
            }
            Place::Element(name, _) => {
                self.arrays.entry(name.clone()).or_default().insert(index, value);
                None
            }
            Place::Scale if value.is_negative() => {
                self.scale = 0;
                Some("negative scale, set to 0".to_owned())
            }
            Place::Scale => {
                self.scale = value.to_usize().unwrap_or(usize::MAX).min(i32::MAX as usize);
                None
            }
            Place::InputBase => {
                let (base, warning) = base("ibase", 16);
                self.input_base = base;
                warning
            }
            Place::OutputBase => {
                let (base, warning) = base("obase", i32::MAX as usize);
                self.output_base = base;
                warning
            }
            Place::Last => {
                self.last = value;
                None
            }
        };
        if let Some(warning) = warning {
            self.warn(&warning);
        }
    }
}

fn possible(result: Result<Number, Impossible>) -> Done<Number> {
    result.map_err(|impossible| Stop::Wrong(impossible.text().to_owned()))
}

/// The escapes of `print`.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('a') => out.push('\x07'),
            Some('b') => out.push('\x08'),
            Some('f') => out.push('\x0c'),
            Some('n') => out.push('\n'),
            Some('q') => out.push('"'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('\\') => out.push('\\'),
            _ => {}
        }
    }
    out
}

const LIMITS: &str = "\
BC_BASE_MAX     = 2147483647
BC_DIM_MAX      = 16777215
BC_SCALE_MAX    = 2147483647
BC_STRING_MAX   = 2147483647
MAX Exponent    = 100000000
Number of vars  = unlimited
";
