//! Simple commands (XCU 2.9.1).

use super::redirect::Saved;
use crate::builtins::{self, Builtin};
use crate::state::{Function, Run, ScopeKind, Shell, Stop, Value, Variable, stack};
use crate::syntax::{Assignment, FdRef, Part, Redirect, Subscript, Word, simple_text};
use crate::text::quote;
use std::rc::Rc;

/// What a command name means.
pub(super) enum Found {
    Special(Builtin),
    Function(Rc<Function>),
    Builtin(Builtin),
    Program,
}

/// A call of a function, after its redirections and assignments.
struct Call {
    function: Rc<Function>,
    name: String,
    arguments: Rc<Vec<String>>,
    end: CallEnd,
    /// The descriptors of process substitutions among them.
    opened: Vec<u32>,
}

/// What a command leaves to be set back.
struct CallEnd {
    /// `$_`.
    last: Option<String>,
    /// Whether its assignments have a scope of their own.
    scope: bool,
    saved: Saved,
    line: u32,
}

impl Shell {
    /// What a call needs beside the command is on the heap: functions call themselves.
    pub(super) fn execute_simple(&mut self, assignments: &[Assignment], words: &[Word], redirects: &[Redirect]) -> Run {
        self.stack += stack::SIMPLE;
        let call = self.execute_simple_or_prepare(assignments, words, redirects);
        self.stack -= stack::SIMPLE;
        let Some(call) = call? else { return Ok(()) };
        let result = self.call_function(&call.name, &call.function, &call.arguments);
        self.finish_call(call, result)
    }

    /// Executes a simple command. A call of a function is only prepared.
    #[inline(never)]
    fn execute_simple_or_prepare(
        &mut self,
        assignments: &[Assignment],
        words: &[Word],
        redirects: &[Redirect],
    ) -> Run<Option<Box<Call>>> {
        self.substitution_status = None;
        if !self.substitutions.is_empty() {
            self.substitutions.clear();
        }
        let debugged = std::mem::take(&mut self.tracing.debugged);
        if !self.traps.is_empty() && !self.trap_simple(assignments, words, redirects, debugged)? {
            return Ok(None);
        }
        let fields = self.command_fields(words)?;
        if fields.is_empty() {
            return self.execute_assignments(assignments, redirects).map(|()| None);
        }
        let opened = self.fds_of_substitutions();
        match self.execute_named(fields, assignments, redirects) {
            Ok(Some(call)) => Ok(Some(Box::new(Call { opened, ..call }))),
            result => {
                self.close_substitutions(&opened);
                result.map(|_| None)
            }
        }
    }

    /// The trap on DEBUG. False: the command is not executed.
    #[inline(never)]
    fn trap_simple(
        &mut self,
        assignments: &[Assignment],
        words: &[Word],
        redirects: &[Redirect],
        debugged: bool,
    ) -> Run<bool> {
        let text = || simple_text(assignments, words, redirects);
        if self.in_trap == 0 {
            self.command_text = text();
        }
        if debugged { Ok(true) } else { self.debug_trap(text) }
    }

    /// The fields of a command. Arguments of declarations that are assignments are expanded as such.
    #[inline(never)]
    pub(super) fn command_fields(&mut self, words: &[Word]) -> Run<Vec<String>> {
        let mut fields = Vec::new();
        let mut declares = None;
        for word in words {
            if declares == Some(true) && is_assignment(word) {
                fields.push(self.expand_declaration(word)?);
            } else {
                self.expand_word(word, &mut fields)?;
            }
            if declares.is_none() && !fields.is_empty() {
                let name = word.literal().unwrap_or_default();
                let prefix = self.posix() && name == "command";
                declares = if prefix { None } else { Some(builtins::declares(name)) };
            }
        }
        Ok(fields)
    }

    /// `name=value` as an argument: the value is expanded as that of an assignment.
    #[inline(never)]
    fn expand_declaration(&mut self, word: &Word) -> Run<String> {
        let Some((Part::Literal(text), rest)) = word.parts.split_first() else { return self.expand_assigned(word) };
        let Some(at) = text.find('=') else { return self.expand_assigned(word) };
        let (head, value) = text.split_at(at + 1);
        let mut parts = Vec::new();
        if !value.is_empty() {
            parts.push(Part::Literal(value.to_owned()));
        }
        parts.extend(rest.iter().cloned());
        let value = self.expand_assigned(&Word { parts, raw: String::new() })?;
        Ok(format!("{head}{value}"))
    }

    #[inline(never)]
    fn execute_assignments(&mut self, assignments: &[Assignment], redirects: &[Redirect]) -> Run {
        if !redirects.is_empty() {
            // They are performed in a subshell (XCU 2.9.1): what they assign is not seen.
            let mut failed = false;
            self.in_subshell(|shell| {
                failed = true;
                failed = shell.redirect_all(redirects)?.is_err();
                shell.status = shell.substitution_status.unwrap_or(0);
                Ok(())
            });
            self.substitution_status = Some(self.status);
            if failed {
                self.status = 1;
                return Ok(());
            }
        }
        for assignment in assignments {
            let value = self.execute_assignment(assignment)?;
            if self.is_on("xtrace") {
                let operator = if assignment.append { "+=" } else { "=" };
                self.trace_text(&format!("{}{operator}{}", assignment.name, quote(&value).replace("''", "")));
            }
        }
        self.status = self.substitution_status.unwrap_or(0);
        self.last_argument.clear();
        Ok(())
    }

    pub(super) fn find_command(&self, name: &str) -> Found {
        let builtin = self.builtin_of(name);
        match builtin {
            Some(builtin) if self.posix() && builtins::is_special(name) => Found::Special(builtin),
            builtin => match (self.functions.get(name), builtin) {
                (Some(function), _) => Found::Function(function.clone()),
                (None, Some(builtin)) if builtins::is_special(name) => Found::Special(builtin),
                (None, Some(builtin)) => Found::Builtin(builtin),
                (None, None) => Found::Program,
            },
        }
    }

    /// Executes a command that has a name, or prepares the call of a function.
    #[inline(never)]
    fn execute_named(
        &mut self,
        fields: Vec<String>,
        assignments: &[Assignment],
        redirects: &[Redirect],
    ) -> Run<Option<Call>> {
        let name = fields[0].as_str();
        let found = self.find_command(name);
        let keeps = matches!(found, Found::Special(_)) && (self.posix() || name == "exec" && fields.len() == 1);
        let line = self.line;
        let saved = match self.redirect_for(&found, redirects)? {
            Ok(saved) => saved,
            Err(saved) => {
                self.restore(saved);
                self.status = 1;
                let fatal = matches!(found, Found::Special(_)) && self.posix() && !self.interactive;
                return if fatal { Err(Stop::Exit) } else { Ok(None) };
            }
        };
        let scope = !keeps && !assignments.is_empty();
        let assigned = if scope { self.assign_temporarily(assignments) } else { self.assign_permanently(assignments) };
        if assigned.is_ok() {
            self.trace_command(assignments, &fields);
        }
        let end = CallEnd { last: fields.last().cloned(), scope, saved, line };
        if let Err(stop) = assigned {
            return self.finish_command(&fields[0], CallEnd { last: None, ..end }, Err(stop)).map(|()| None);
        }
        if let Found::Function(function) = found {
            let mut arguments = fields;
            let name = arguments.remove(0);
            return Ok(Some(Call { function, name, arguments: Rc::new(arguments), end, opened: Vec::new() }));
        }
        let result = self.run_found(found, &fields);
        self.finish_command(&fields[0], end, result).map(|()| None)
    }

    /// What is done after a command.
    #[inline(never)]
    fn finish_command(&mut self, name: &str, end: CallEnd, result: Run) -> Run {
        let CallEnd { last, scope, saved, line } = end;
        if let Some(last) = last {
            self.last_argument = last;
        }
        if scope {
            self.variables.pop();
        }
        let keeps_redirects =
            std::mem::take(&mut self.keep_redirects) && ["exec", "command", "builtin"].contains(&name);
        if !keeps_redirects {
            self.restore(saved);
        }
        self.line = line;
        result
    }

    #[inline(never)]
    #[expect(clippy::boxed_local, reason = "unboxed it would be on the stack of each call")]
    fn finish_call(&mut self, call: Box<Call>, result: Run) -> Run {
        let Call { name, end, opened, .. } = *call;
        let result = self.finish_command(&name, end, result);
        self.close_substitutions(&opened);
        result
    }

    /// Performs the redirections of a command. Those of a program are performed in its process: what they assign is not
    /// seen, and an error in them ends only that.
    fn redirect_for(&mut self, found: &Found, redirects: &[Redirect]) -> Run<Result<Saved, Saved>> {
        let keeps = redirects.iter().any(|redirect| matches!(redirect.fd, FdRef::Variable(_)));
        if redirects.is_empty() || keeps || !matches!(found, Found::Program) {
            return self.redirect_all(redirects);
        }
        let variables = self.variables.clone();
        let result = self.redirect_all(redirects);
        self.variables = variables;
        match result {
            Err(Stop::Discard | Stop::Exit) if !self.interactive => Ok(Err(Vec::new())),
            result => result,
        }
    }

    fn run_found(&mut self, found: Found, fields: &[String]) -> Run {
        match found {
            Found::Function(function) => self.call_function(&fields[0], &function, &Rc::new(fields[1..].to_vec())),
            Found::Builtin(builtin) => self.run_builtin(builtin, fields, false),
            Found::Special(builtin) => self.run_builtin(builtin, fields, true),
            Found::Program => self.run_program(fields),
        }
    }

    /// Runs a builtin. An error of a special one ends a POSIX shell that is not interactive.
    #[inline(never)]
    pub(crate) fn run_builtin(&mut self, builtin: Builtin, fields: &[String], special: bool) -> Run {
        let outer = std::mem::replace(&mut self.builtin, fields[0].clone());
        self.builtin_failed = false;
        self.stack += stack::BUILTIN;
        let result = builtin(self, fields);
        self.stack -= stack::BUILTIN;
        self.builtin = outer;
        self.status = result?;
        if special && self.builtin_failed && self.posix() && !self.interactive {
            return Err(Stop::Exit);
        }
        Ok(())
    }

    #[inline(never)]
    fn assign_permanently(&mut self, assignments: &[Assignment]) -> Run {
        for assignment in assignments {
            self.execute_assignment(assignment)?;
        }
        Ok(())
    }

    /// Assigns for one command only, in a scope of its own.
    pub(super) fn start_assignments(&mut self, assignments: &[Assignment]) -> Run {
        self.assign_temporarily(assignments)
    }

    #[inline(never)]
    fn assign_temporarily(&mut self, assignments: &[Assignment]) -> Run {
        self.variables.push(ScopeKind::Temporary);
        for assignment in assignments {
            if self.variables.get(&assignment.name).is_some_and(|variable| variable.readonly) {
                let message = format!("{}: readonly variable", assignment.name);
                if !self.posix() {
                    // The command is executed all the same.
                    self.report(&message);
                    continue;
                }
                return Err(self.assignment_error(&message));
            }
            if let Some(Subscript::Index(word)) = &assignment.subscript {
                self.report(&format!("`{}[{}]': not a valid identifier", assignment.name, word.raw));
                continue;
            }
            let (name, _) = self.resolve(&assignment.name);
            let mut variable = self.variables.get(&name).cloned().unwrap_or_default();
            if let Some(items) = &assignment.array {
                let value = self.array_values(&assignment.name, items, assignment.append)?;
                self.variables.set_here(&assignment.name, Variable { value, exported: true, ..variable });
                continue;
            }
            let text = self.expand_assigned(&assignment.value)?;
            let before = variable.text().cloned().filter(|_| assignment.append).unwrap_or_default();
            let text = if variable.integer {
                let value = self.arithmetic(&text).map_err(|message| self.expansion_error(&message))?;
                let base = self.arithmetic(&before).map_err(|message| self.expansion_error(&message))?;
                base.wrapping_add(value).to_string()
            } else {
                variable.folded(before + &text)
            };
            variable.value = Value::Scalar(text);
            variable.kind = crate::state::Kind::Scalar;
            variable.exported = true;
            self.variables.set_here(&name, variable);
        }
        Ok(())
    }

    #[inline(never)]
    fn trace_command(&mut self, assignments: &[Assignment], fields: &[String]) {
        if !self.is_on("xtrace") {
            return;
        }
        for assignment in assignments {
            let value = self.variables.get(&assignment.name).and_then(Variable::text).cloned().unwrap_or_default();
            self.trace_text(&format!("{}={}", assignment.name, quote(&value).replace("''", "")));
        }
        let words: Vec<String> = fields.iter().map(|field| quote(field)).collect();
        self.trace_text(&words.join(" "));
    }

    /// Writes a line of `set -x`, which is made only then.
    pub(crate) fn trace(&mut self, text: impl FnOnce() -> String) {
        if self.is_on("xtrace") {
            self.trace_text(&text());
        }
    }

    /// Writes a line of `set -x`.
    #[inline(never)]
    pub(crate) fn trace_text(&mut self, text: &str) {
        if !self.is_on("xtrace") {
            return;
        }
        self.options.set("xtrace", false);
        let (status, substitution) = (self.status, self.substitution_status);
        let prefix = self.text_of("PS4").unwrap_or_default();
        let prefix = self.prompt(&prefix);
        (self.status, self.substitution_status) = (status, substitution);
        self.options.set("xtrace", true);
        let mut chars = prefix.chars();
        let repeated: String = chars.next().map(|first| first.to_string().repeat(self.trace_level)).unwrap_or_default();
        let number = self.text_of("BASH_XTRACEFD").and_then(|number| number.parse().ok()).unwrap_or(2);
        // Nobody can be told if the trace cannot be written.
        let _ = self.write_to(number, &format!("{repeated}{}{text}\n", chars.as_str()));
    }
}

/// Whether a word begins with `name=`, `name+=` or `name[..]=`.
fn is_assignment(word: &Word) -> bool {
    let Some(Part::Literal(text)) = word.parts.first() else { return false };
    let Some((head, _)) = text.split_once('=') else { return false };
    let head = head.strip_suffix('+').unwrap_or(head);
    let name = head.split_once('[').map_or(head, |(name, _)| name);
    crate::text::is_name(name)
}
