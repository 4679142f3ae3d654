//! Runs rules and statements.

use std::rc::Rc;

use crate::cells::sorted_indices;
use crate::language::ast::{Expression, Redirect, Rule, Statement, When};
use crate::language::special::{OFMT, OFS, ORS, PROCINFO};
use crate::machine::{Machine, Outcome, Stop};
use crate::number::{Argument, formatted};
use crate::streams::Kind;
use crate::value::Value;

/// How a statement ended.
#[derive(Debug)]
pub(crate) enum Flow {
    Done,
    Break,
    Continue,
    Return(Value),
}

impl Machine<'_> {
    /// Runs the whole program. The error is a message.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        let rules = &self.program.rules;
        let is = |wanted: fn(&When) -> bool| rules.iter().any(|rule| wanted(&rule.when));
        let reads = is(|when| !matches!(when, When::Begin));
        let result = self.run_special(|when| matches!(when, When::Begin)).and_then(|()| {
            if reads {
                self.read_all()?;
            }
            Ok(())
        });
        match result {
            // `exit` goes on with the rules of the end.
            Ok(()) | Err(Stop::Exit) => {}
            Err(Stop::Fatal(message)) => return Err(message),
            Err(Stop::Next | Stop::NextFile) => return Err("`next' used in BEGIN or END action".to_owned()),
        }
        match self.run_special(|when| matches!(when, When::End)) {
            Err(Stop::Fatal(message)) => Err(message),
            _ => Ok(()),
        }
    }

    fn run_special(&mut self, wanted: fn(&When) -> bool) -> Outcome<()> {
        let program = self.program;
        for Rule { when, action } in &program.rules {
            if wanted(when)
                && let Some(action) = action
            {
                self.block(action)?;
            }
        }
        Ok(())
    }

    fn read_all(&mut self) -> Outcome<()> {
        while self.open_next()? {
            match self.run_special(|when| matches!(when, When::BeginFile)) {
                Err(Stop::NextFile) => {
                    self.skip_file();
                    continue;
                }
                other => other?,
            }
            self.file_changed = false;
            while let Some(text) = self.next_record()? {
                self.set_record(text);
                match self.run_rules() {
                    Ok(()) | Err(Stop::Next) => {}
                    Err(Stop::NextFile) => {
                        self.skip_file();
                        break;
                    }
                    Err(other) => return Err(other),
                }
            }
            self.run_special(|when| matches!(when, When::EndFile))?;
        }
        Ok(())
    }

    fn run_rules(&mut self) -> Outcome<()> {
        let program = self.program;
        for Rule { when, action } in &program.rules {
            let runs = match when {
                When::Always => true,
                When::If(condition) => self.evaluate(condition)?.is_true(),
                When::Range(first, last, number) => self.in_range(first, last, *number)?,
                _ => false,
            };
            if !runs {
                continue;
            }
            match action {
                Some(action) => {
                    self.block(action)?;
                }
                None => self.print(&[], None)?,
            }
        }
        Ok(())
    }

    fn in_range(&mut self, first: &Expression, last: &Expression, number: usize) -> Outcome<bool> {
        if !self.ranges[number] && !self.evaluate(first)?.is_true() {
            return Ok(false);
        }
        self.ranges[number] = !self.evaluate(last)?.is_true();
        Ok(true)
    }

    pub(crate) fn block(&mut self, statements: &[Statement]) -> Outcome<Flow> {
        for statement in statements {
            let flow = self.statement(statement)?;
            if !matches!(flow, Flow::Done) {
                return Ok(flow);
            }
        }
        Ok(Flow::Done)
    }

    fn statement(&mut self, statement: &Statement) -> Outcome<Flow> {
        match statement {
            Statement::Expression(expression) => {
                self.evaluate(expression)?;
            }
            Statement::Print(values, redirect) => self.print(values, redirect.as_ref())?,
            Statement::Printf(values, redirect) => self.printf(values, redirect.as_ref())?,
            Statement::If(condition, then, otherwise) => {
                if self.evaluate(condition)?.is_true() {
                    return self.statement(then);
                }
                if let Some(otherwise) = otherwise {
                    return self.statement(otherwise);
                }
            }
            Statement::Block(statements) => return self.block(statements),
            Statement::While(..) | Statement::Do(..) | Statement::For(..) | Statement::ForIn(..) => {
                return self.repeat(statement);
            }
            Statement::Switch(value, cases) => return self.switch(value, cases),
            Statement::Delete(place, None) => self.array(*place)?.borrow_mut().clear(),
            Statement::Delete(place, Some(index)) => {
                let index = self.index(index)?;
                self.array(*place)?.borrow_mut().remove(&index);
            }
            Statement::Next => return Err(Stop::Next),
            Statement::NextFile => return Err(Stop::NextFile),
            Statement::Exit(status) => {
                if let Some(status) = status {
                    self.status = (self.evaluate(status)?.number() as i64).to_le_bytes()[0];
                }
                return Err(Stop::Exit);
            }
            Statement::Return(value) => {
                let value = value.as_ref().map_or(Ok(Value::Unset), |value| self.evaluate(value))?;
                return Ok(Flow::Return(value));
            }
            Statement::Break => return Ok(Flow::Break),
            Statement::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Done)
    }

    fn is_true(&mut self, condition: Option<&Expression>) -> Outcome<bool> {
        condition.map_or(Ok(true), |condition| self.evaluate(condition).map(|value| value.is_true()))
    }

    fn repeat(&mut self, statement: &Statement) -> Outcome<Flow> {
        let (condition, step, body, mut first) = match statement {
            Statement::While(condition, body) => (Some(condition), None, body, false),
            Statement::Do(body, condition) => (Some(condition), None, body, true),
            Statement::For(start, condition, step, body) => {
                if let Some(start) = start {
                    self.statement(start)?;
                }
                (condition.as_ref(), step.as_deref(), body, false)
            }
            Statement::ForIn(variable, array, body) => {
                let array = self.array(*array)?;
                let indices = self.ordered(&array.borrow());
                for index in indices {
                    // An element that was removed meanwhile is visited all the same, as in gawk.
                    self.set_variable(*variable, Value::input(&index))?;
                    match self.statement(body)? {
                        Flow::Break => break,
                        Flow::Return(value) => return Ok(Flow::Return(value)),
                        Flow::Done | Flow::Continue => {}
                    }
                }
                return Ok(Flow::Done);
            }
            _ => return Ok(Flow::Done),
        };
        while std::mem::take(&mut first) || self.is_true(condition)? {
            match self.statement(body)? {
                Flow::Break => break,
                Flow::Return(value) => return Ok(Flow::Return(value)),
                Flow::Done | Flow::Continue => {}
            }
            if let Some(step) = step {
                self.statement(step)?;
            }
        }
        Ok(Flow::Done)
    }

    /// The indices of an array in the order that PROCINFO["sorted_in"] asks for.
    fn ordered(&mut self, elements: &crate::cells::Elements) -> Vec<Rc<[u8]>> {
        let mut indices = sorted_indices(elements);
        let order = self.global_array(PROCINFO);
        let order = order.and_then(|order| order.borrow().get(&b"sorted_in"[..]).map(|order| order.bytes(b"%.6g")));
        let order = order.map(|order| String::from_utf8_lossy(&order).into_owned()).unwrap_or_default();
        match order.trim_start_matches('@').rsplit_once('_').map_or("", |(kind, _)| kind) {
            "ind_str" => indices.sort(),
            "ind_num" => indices.sort_by(|one, other| {
                Value::text(one).number().total_cmp(&Value::text(other).number()).then_with(|| one.cmp(other))
            }),
            "val_num" => indices.sort_by(|one, other| elements[one].number().total_cmp(&elements[other].number())),
            "val_str" => indices.sort_by_key(|index| elements[index].bytes(b"%.6g")),
            "val_type" => indices.sort_by(|one, other| {
                elements[one].compare(&elements[other], b"%.6g").unwrap_or(std::cmp::Ordering::Equal)
            }),
            _ => {}
        }
        if order.ends_with("_desc") {
            indices.reverse();
        }
        indices
    }

    fn switch(&mut self, value: &Expression, cases: &[(Option<Expression>, Vec<Statement>)]) -> Outcome<Flow> {
        let value = self.evaluate(value)?;
        let mut start = None;
        for (number, (case, _)) in cases.iter().enumerate() {
            let matches = match case {
                None => false,
                Some(Expression::Pattern(pattern)) => {
                    let text = self.text_of(&value);
                    self.pattern(pattern)?.is_match(&text)
                }
                Some(case) => {
                    let case = self.evaluate(case)?;
                    value.compare(&case, b"%.6g").is_some_and(std::cmp::Ordering::is_eq)
                }
            };
            if matches {
                start = Some(number);
                break;
            }
        }
        let start = start.or_else(|| cases.iter().position(|(case, _)| case.is_none())).unwrap_or(cases.len());
        for (_, statements) in &cases[start..] {
            match self.block(statements)? {
                Flow::Done => {}
                Flow::Break => break,
                other => return Ok(other),
            }
        }
        Ok(Flow::Done)
    }

    fn print(&mut self, values: &[Expression], redirect: Option<&(Redirect, Expression)>) -> Outcome<()> {
        let separator = self.special(OFS);
        let mut line = Vec::new();
        if values.is_empty() {
            line.extend_from_slice(self.record.text(&separator));
        }
        let format = self.special(OFMT);
        for (number, value) in values.iter().enumerate() {
            if number > 0 {
                line.extend_from_slice(&separator);
            }
            line.extend_from_slice(&self.evaluate(value)?.bytes(&format));
        }
        line.extend_from_slice(&self.special(ORS));
        self.write(&line, redirect)
    }

    fn printf(&mut self, values: &[Expression], redirect: Option<&(Redirect, Expression)>) -> Outcome<()> {
        let text = self.format(values)?;
        self.write(&text, redirect)
    }

    /// The text of `printf` and `sprintf`.
    pub(crate) fn format(&mut self, values: &[Expression]) -> Outcome<Vec<u8>> {
        let values: Vec<Value> = values.iter().map(|value| self.evaluate(value)).collect::<Outcome<_>>()?;
        let Some((format, values)) = values.split_first() else {
            return Ok(Vec::new());
        };
        let format = self.text_of(format);
        let texts: Vec<Rc<[u8]>> = values.iter().map(|value| self.text_of(value)).collect();
        let arguments = values.iter().zip(&texts).map(|(value, text)| match value {
            Value::Number(number) => Argument::Number(*number),
            // `%c` takes input that looks like a number for one; all else takes its text.
            Value::Numeric(_, number) if format.windows(2).any(|pair| pair == b"%c") => Argument::Number(*number),
            value => Argument::Text((&**text).into(), value.number()),
        });
        let arguments: Vec<Argument<'_>> = arguments.collect();
        formatted(&format, &arguments)
            .ok_or_else(|| Stop::Fatal("not enough arguments to satisfy format string".to_owned()))
    }

    fn write(&mut self, text: &[u8], redirect: Option<&(Redirect, Expression)>) -> Outcome<()> {
        let Some((redirect, name)) = redirect else {
            return Ok(self.streams.print(text)?);
        };
        let kind = match redirect {
            Redirect::File => Kind::File,
            Redirect::Append => Kind::Append,
            Redirect::Command => Kind::Command,
        };
        let name = self.evaluate(name)?;
        let name = String::from_utf8_lossy(&self.text_of(&name)).into_owned();
        if name.is_empty() {
            return Err(Stop::Fatal("expression for redirection has null string value".to_owned()));
        }
        self.streams.print_to(kind, &name, text).map_err(|error| {
            let error = unix_common::report::words(&error);
            Stop::Fatal(match kind {
                Kind::Command => format!("cannot open pipe `{name}' for output: {error}"),
                _ => format!("cannot redirect to `{name}': {error}"),
            })
        })
    }
}
