//! The variables and functions of a program.

use crate::language::ast::{Function, Place, Statement};
use crate::language::lexer::{SyntaxError, Token};
use crate::language::special::SPECIAL;

/// A function, and where it is called first.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) function: Function,
    defined: bool,
    called_in: usize,
}

/// The names that are known so far.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) globals: Vec<String>,
    pub(super) functions: Vec<Known>,
    /// The parameters of the function that is read.
    pub(super) locals: Vec<String>,
}

impl Names {
    /// The special variables come first. Functions are known before they are read.
    pub(super) fn new(tokens: &[(Token, usize)]) -> Self {
        let globals = SPECIAL.iter().map(|name| (*name).to_owned()).collect();
        let mut names = Self { globals, functions: Vec::new(), locals: Vec::new() };
        for pair in tokens.windows(2) {
            if let [(Token::Keyword("function"), _), (Token::Name(name) | Token::Call(name), line)] = pair {
                names.function(name, *line);
            }
        }
        names
    }

    pub(super) fn place(&mut self, name: &str) -> Place {
        if let Some(local) = self.locals.iter().position(|local| local == name) {
            return Place::Local(local);
        }
        let known = self.globals.iter().position(|global| global == name);
        Place::Global(known.unwrap_or_else(|| {
            self.globals.push(name.to_owned());
            self.globals.len() - 1
        }))
    }

    /// The number of a function.
    pub(super) fn function(&mut self, name: &str, line: usize) -> usize {
        let known = self.functions.iter().position(|known| known.function.name == name);
        known.unwrap_or_else(|| {
            let function = Function { name: name.to_owned(), ..Function::default() };
            self.functions.push(Known { function, defined: false, called_in: line });
            self.functions.len() - 1
        })
    }

    pub(super) fn define(
        &mut self,
        name: &str,
        parameters: usize,
        body: Vec<Statement>,
        line: usize,
    ) -> Result<(), SyntaxError> {
        let number = self.function(name, line);
        let Some(known) = self.functions.get_mut(number).filter(|known| !known.defined) else {
            return Err(SyntaxError { line, message: format!("function name `{name}' previously defined") });
        };
        known.defined = true;
        (known.function.parameters, known.function.body) = (parameters, body);
        Ok(())
    }

    /// Whether all functions that are called are there.
    pub(super) fn check(&self) -> Result<(), SyntaxError> {
        match self.functions.iter().find(|known| !known.defined) {
            None => Ok(()),
            Some(Known { function, called_in, .. }) => Err(SyntaxError {
                line: *called_in,
                message: format!("fatal: function `{}' not defined", function.name),
            }),
        }
    }
}
