//! The state of a shell as text, with which a subshell in a process of its own begins.
//!
//! Fields that end with NUL, which no value has. [`Shell::transfer`] writes them in the order in which
//! [`Shell::resume`] reads them.

use crate::state::{Frame, Kind, Options, Run, SET_OPTIONS, SHOPTS, Shell, TrapAction, Value, Variable};
use crate::syntax::{Command, CommandKind, Parser, TextLines, function_text};
use std::rc::Rc;

#[derive(Default)]
struct Writer {
    text: String,
}

impl Writer {
    fn field(&mut self, field: impl AsRef<str>) {
        self.text.push_str(field.as_ref());
        self.text.push('\0');
    }

    fn number(&mut self, number: impl ToString) {
        self.field(number.to_string());
    }

    fn list<'a>(&mut self, fields: impl ExactSizeIterator<Item = &'a String>) {
        self.number(fields.len());
        fields.for_each(|field| self.field(field));
    }
}

struct Reader<'a> {
    fields: std::str::Split<'a, char>,
}

impl<'a> Reader<'a> {
    fn field(&mut self) -> &'a str {
        self.fields.next().unwrap_or_default()
    }

    fn number<T: std::str::FromStr + Default>(&mut self) -> T {
        self.field().parse().unwrap_or_default()
    }

    fn list(&mut self) -> Vec<String> {
        let count: usize = self.number();
        (0..count).map(|_| self.field().to_owned()).collect()
    }
}

impl Shell {
    /// The state, and the commands that the subshell executes.
    pub(super) fn transfer(&self, commands: &str) -> String {
        let mut out = Writer::default();
        out.field(&self.name);
        out.field(&self.cwd);
        out.list(self.positional.iter());
        for number in [self.status, i32::from(self.unchecked > 0), i32::from(self.interactive)] {
            out.number(number);
        }
        out.number(self.main_process);
        out.number(self.last_background.map_or(String::new(), |process| process.to_string()));
        out.number(self.line);
        out.number(self.subshell);
        out.number(self.stack);
        out.number(self.trace_level);
        out.number(i32::from(self.tracing.debugged));
        let pipe_status: Vec<String> = self.pipe_status.iter().map(ToString::to_string).collect();
        out.list(pipe_status.iter());
        out.number(self.random);
        out.field(&self.last_argument);
        out.field(self.read_from);
        let names = SET_OPTIONS.iter().map(|(_, name)| *name).chain(SHOPTS.iter().map(|(name, _)| *name));
        let on: Vec<String> = names.filter(|name| self.is_on(name)).map(str::to_owned).collect();
        out.list(on.iter());
        let aliases: Vec<String> =
            self.aliases.iter().flat_map(|(name, value)| [name.clone(), value.clone()]).collect();
        out.list(aliases.iter());
        out.list(self.disabled.iter());
        out.list(self.exported_functions.iter());
        self.write_variables(&mut out);
        out.number(self.functions.len());
        for (name, function) in self.functions.iter() {
            out.field(name);
            out.field(&function.source);
            out.number(function.line);
            out.field(function_text(name, &function.body));
        }
        let traps = if self.traps.is_empty() { self.outer_traps.as_ref().unwrap_or(&self.traps) } else { &self.traps };
        out.number(traps.len());
        for (name, action) in traps {
            out.field(name);
            match action {
                TrapAction::Ignore => out.field(""),
                TrapAction::Run(text) => out.field(text),
            }
        }
        out.number(self.frames.len());
        for frame in &self.frames {
            out.field(&frame.name);
            out.field(&frame.source);
            out.number(frame.line);
            out.number(i32::from(frame.is_function));
        }
        out.list(self.directories.iter());
        out.field(commands);
        out.text
    }

    fn write_variables(&self, out: &mut Writer) {
        let all = self.variables.all();
        out.number(all.len());
        for (name, variable) in all {
            out.field(name);
            out.field(variable.letters());
            out.number(i32::from(self.variables.is_local(name)));
            match &variable.value {
                Value::Unset => out.field("u"),
                Value::Scalar(text) => {
                    out.field("s");
                    out.field(text);
                }
                Value::Indexed(elements) => {
                    out.field("a");
                    let pairs: Vec<String> =
                        elements.iter().flat_map(|(key, text)| [key.to_string(), text.clone()]).collect();
                    out.list(pairs.iter());
                }
                Value::Assoc(elements) => {
                    out.field("A");
                    // The newest is listed first.
                    let pairs: Vec<String> =
                        elements.list().into_iter().rev().flat_map(|(key, text)| [key.clone(), text.clone()]).collect();
                    out.list(pairs.iter());
                }
            }
        }
    }

    /// Takes over a state, and executes its commands as a subshell.
    pub(crate) fn resume(&mut self, state: &str) -> Run {
        let mut from = Reader { fields: state.split('\0') };
        self.name = from.field().to_owned();
        self.cwd = from.field().to_owned();
        self.positional = Rc::new(from.list());
        self.status = from.number();
        self.unchecked = from.number();
        let _interactive: i32 = from.number();
        self.main_process = from.number();
        self.last_background = from.field().parse().ok();
        self.line = from.number();
        self.subshell = from.number();
        self.stack = from.number();
        // The commands are text, which counts as one more level.
        self.trace_level = from.number::<usize>().saturating_sub(1);
        let debugged: i32 = from.number();
        self.pipe_status = from.list().iter().filter_map(|status| status.parse().ok()).collect();
        self.random = from.number();
        self.last_argument = from.field().to_owned();
        self.read_from = ["-c", "stdin", "file"]
            .into_iter()
            .find(|known| *known == from.fields.clone().next().unwrap_or_default())
            .unwrap_or("-c");
        from.field();
        self.read_options(&mut from);
        let aliases = from.list();
        self.aliases = Rc::new(aliases.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect());
        self.disabled = from.list();
        self.exported_functions = from.list();
        self.variables = crate::state::Variables::new();
        self.read_variables(&mut from);
        self.read_functions(&mut from);
        let count: usize = from.number();
        for _ in 0..count {
            let (name, text) = (from.field().to_owned(), from.field());
            let action = if text.is_empty() { TrapAction::Ignore } else { TrapAction::Run(text.into()) };
            self.traps.insert(name, action);
        }
        let count: usize = from.number();
        for _ in 0..count {
            let (name, source) = (from.field().to_owned(), from.field().to_owned());
            let (line, function): (u32, i32) = (from.number(), from.number());
            self.frames.push(Frame { name, source, line, is_function: function != 0, arguments: None, options: None });
        }
        self.directories = from.list();
        self.become_subshell();
        self.tracing.debugged = debugged != 0;
        let commands = from.field().to_owned();
        self.exec_last = is_one_program(self, &commands);
        let result = self.execute_text(&commands, self.line);
        self.end_subshell(result);
        Ok(())
    }

    fn read_options(&mut self, from: &mut Reader) {
        self.options = Options::new();
        for name in SHOPTS.iter().map(|(name, _)| *name).chain(SET_OPTIONS.iter().map(|(_, name)| *name)) {
            self.options.set(name, false);
        }
        for name in from.list() {
            self.options.set(&name, true);
        }
    }

    fn read_variables(&mut self, from: &mut Reader) {
        let count: usize = from.number();
        let mut locals = Vec::new();
        for _ in 0..count {
            let name = from.field().to_owned();
            let letters = from.field();
            let local: i32 = from.number();
            let value = match from.field() {
                "s" => Value::Scalar(from.field().to_owned()),
                "a" => {
                    let pairs = from.list();
                    Value::Indexed(
                        pairs
                            .chunks_exact(2)
                            .filter_map(|pair| Some((pair[0].parse().ok()?, pair[1].clone())))
                            .collect(),
                    )
                }
                "A" => {
                    let mut elements = crate::state::Assoc::default();
                    for pair in from.list().chunks_exact(2) {
                        elements.insert(pair[0].clone(), pair[1].clone());
                    }
                    Value::Assoc(elements)
                }
                _ => Value::Unset,
            };
            let mut variable = Variable { value, ..Variable::default() };
            for letter in letters.chars() {
                match letter {
                    'a' => variable.kind = Kind::Indexed,
                    'A' => variable.kind = Kind::Assoc,
                    'i' => variable.integer = true,
                    'n' => variable.nameref = true,
                    'r' => variable.readonly = true,
                    't' => variable.trace = true,
                    'x' => variable.exported = true,
                    'c' => variable.capital = true,
                    'l' => variable.lower = true,
                    _ => variable.upper = true,
                }
            }
            if local == 0 {
                *self.variables.global(&name) = variable;
            } else {
                locals.push((name, variable));
            }
        }
        if !locals.is_empty() {
            self.variables.push(crate::state::ScopeKind::Function);
            for (name, variable) in locals {
                self.variables.set_here(&name, variable);
            }
        }
    }

    fn read_functions(&mut self, from: &mut Reader) {
        let count: usize = from.number();
        let mut functions = std::collections::BTreeMap::new();
        for _ in 0..count {
            let name = from.field().to_owned();
            let source = from.field().to_owned();
            let line: u32 = from.number();
            let text = from.field();
            if let Some(body) = self.parse_function(text, line) {
                functions.insert(name, Rc::new(crate::state::Function { body, source, line }));
            }
        }
        self.functions = Rc::new(functions);
    }
}

impl Shell {
    /// The body of a function whose definition is the whole of a text.
    fn parse_function(&self, text: &str, line: u32) -> Option<Rc<Command>> {
        let mut options = self.parse_options();
        options.expand_aliases = false;
        options.extglob = true;
        let mut lines = TextLines::new(text);
        let mut parser = Parser::new(&mut lines, line);
        let list = parser.next_command(&options).ok()??;
        let [item] = list.items.as_slice() else { return None };
        let [command] = item.and_or.first.commands.as_slice() else { return None };
        let CommandKind::Function { body, .. } = &command.kind else { return None };
        let alone = item.and_or.rest.is_empty() && !item.background;
        (alone && matches!(parser.next_command(&options), Ok(None))).then(|| body.clone())
    }

    /// Takes over a function of the environment. Anything but one definition is not executed, and is left out.
    pub(crate) fn import_function(&mut self, name: &str, value: &str) {
        if let Some(body) = self.parse_function(&format!("{name} {value}"), 1) {
            let function = crate::state::Function { body, source: "environment".to_owned(), line: 1 };
            Rc::make_mut(&mut self.functions).insert(name.to_owned(), Rc::new(function));
            self.exported_functions.push(name.to_owned());
        }
    }
}

/// Whether commands are one simple command that is a program.
fn is_one_program(shell: &Shell, commands: &str) -> bool {
    let mut lines = TextLines::new(commands);
    let mut parser = Parser::new(&mut lines, 1);
    let Ok(Some(list)) = parser.next_command(&shell.parse_options()) else { return false };
    let [item] = list.items.as_slice() else { return false };
    let [command] = item.and_or.first.commands.as_slice() else { return false };
    let first = &item.and_or.first;
    let simple = item.and_or.rest.is_empty() && !item.background && !first.negated && first.timed.is_none();
    simple && shell.is_program(command) && matches!(parser.next_command(&shell.parse_options()), Ok(None))
}
