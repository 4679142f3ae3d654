//! Calls of functions.

use std::collections::HashMap;

use super::{Array, Done, Machine, Stop};
use crate::bc::ast::{Argument, Function, Local};
use crate::bc::lexer::Lexer;
use crate::number::Number;

impl Machine {
    /// Calls a function. Its parameters and variables hide those of the same name until it returns.
    pub(super) fn call(&mut self, name: &str, arguments: &[Argument], input: &mut Lexer<'_>) -> Done<Option<Number>> {
        let mut given = Vec::with_capacity(arguments.len());
        for argument in arguments {
            given.push(match argument {
                Argument::Value(expression) => Given::Value(self.value(expression, input)?),
                Argument::Array(name) => Given::Array(name.clone()),
            });
        }
        self.address += 2;
        let Some(function) = self.functions.get(name).cloned() else {
            return self.wrong(&format!("Function {name} not defined."));
        };
        let parameters = &function.parameters;
        if given.len() != parameters.len() {
            self.address += given.len().min(parameters.len()) + 1;
            return self.wrong("Parameter number mismatch");
        }
        let fits = |(given, parameter): (&Given, &Local)| matches!(given, Given::Array(_)) == parameter.is_array;
        if !given.iter().zip(parameters).all(fits) {
            return self.wrong(&format!("Parameter type mismatch, parameter {}.", given.len()));
        }
        let hidden = self.bind(&function, given);
        let (address, caller) = (self.address, std::mem::replace(&mut self.function, name.to_owned()));
        self.address = 0;
        let result = self.block(&function.body, input);
        self.unbind(hidden);
        let value = match result {
            Ok(()) => None,
            Err(Stop::Return(value)) => value,
            // The name and the address of the error are those of this function.
            Err(other) => return Err(other),
        };
        (self.address, self.function) = (address, caller);
        Ok(if function.void { None } else { Some(value.unwrap_or_else(Number::zero)) })
    }

    /// Gives parameters and variables their values.
    fn bind(&mut self, function: &Function, given: Vec<Given>) -> Hidden {
        let mut hidden = Hidden::default();
        for (given, Local { name, by_reference, .. }) in given.into_iter().zip(&function.parameters) {
            match given {
                Given::Value(value) => {
                    hidden.variables.push((name.clone(), self.variables.insert(name.clone(), value)));
                }
                Given::Array(from) => {
                    let array = self.arrays.get(&from).cloned().unwrap_or_default();
                    hidden.arrays.push((name.clone(), self.arrays.insert(name.clone(), array)));
                    if *by_reference {
                        hidden.shared.push((name.clone(), from));
                    }
                }
            }
        }
        for Local { name, is_array, .. } in &function.locals {
            if *is_array {
                hidden.arrays.push((name.clone(), self.arrays.insert(name.clone(), Array::new())));
            } else {
                hidden.variables.push((name.clone(), self.variables.insert(name.clone(), Number::zero())));
            }
        }
        hidden
    }

    /// Gives back what was hidden.
    fn unbind(&mut self, hidden: Hidden) {
        let changed = hidden.shared.into_iter();
        let changed: Vec<(String, Array)> =
            changed.map(|(own, from)| (from, self.arrays.get(&own).cloned().unwrap_or_default())).collect();
        for (name, old) in hidden.variables.into_iter().rev() {
            restore(&mut self.variables, name, old);
        }
        for (name, old) in hidden.arrays.into_iter().rev() {
            restore(&mut self.arrays, name, old);
        }
        self.arrays.extend(changed);
    }
}

/// An argument with its value.
enum Given {
    Value(Number),
    Array(String),
}

/// What the parameters and variables of a function hide, in their order.
#[derive(Default)]
struct Hidden {
    variables: Vec<(String, Option<Number>)>,
    arrays: Vec<(String, Option<Array>)>,
    /// Arrays that are changed for the caller: their names in the function and there.
    shared: Vec<(String, String)>,
}

fn restore<V>(map: &mut HashMap<String, V>, name: String, old: Option<V>) {
    match old {
        Some(old) => map.insert(name, old),
        None => map.remove(&name),
    };
}
