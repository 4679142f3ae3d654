//! Simple commands (XCU 2.9.1).

use super::redirect::Saved;
use crate::builtins::{self, Builtin};
use crate::state::{Run, ScopeKind, Shell, Stop, Value, Variable};
use crate::syntax::{Assignment, FdRef, Part, Redirect, Subscript, Word, simple_text};
use crate::text::quote;

/// What a command name means.
pub(super) enum Found {
    Special(Builtin),
    Function(std::rc::Rc<crate::state::Function>),
    Builtin(Builtin),
    Program,
}

impl Shell {
    #[inline(never)]
    pub(super) fn execute_simple(&mut self, assignments: &[Assignment], words: &[Word], redirects: &[Redirect]) -> Run {
        self.substitution_status = None;
        if !self.substitutions.is_empty() {
            self.substitutions.clear();
        }
        let debugged = std::mem::take(&mut self.tracing.debugged);
        if !self.traps.is_empty() {
            let text = || simple_text(assignments, words, redirects);
            if self.in_trap == 0 {
                self.command_text = text();
            }
            if !debugged && !self.debug_trap(text)? {
                return Ok(());
            }
        }
        let fields = self.command_fields(words)?;
        let Some(name) = fields.first().cloned() else {
            return self.execute_assignments(assignments, redirects);
        };
        let opened = self.fds_of_substitutions();
        let result = self.execute_named(&name, fields, assignments, redirects);
        self.close_substitutions(&opened);
        result
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

    #[inline(never)]
    fn execute_named(
        &mut self,
        name: &str,
        fields: Vec<String>,
        assignments: &[Assignment],
        redirects: &[Redirect],
    ) -> Run {
        let found = self.find_command(name);
        let keeps = matches!(found, Found::Special(_)) && (self.posix() || name == "exec" && fields.len() == 1);
        let line = self.line;
        let saved = match self.redirect_for(&found, redirects)? {
            Ok(saved) => saved,
            Err(saved) => {
                self.restore(saved);
                self.status = 1;
                let fatal = matches!(found, Found::Special(_)) && self.posix() && !self.interactive;
                return if fatal { Err(Stop::Exit) } else { Ok(()) };
            }
        };
        let scope = !keeps && !assignments.is_empty();
        let assigned = if scope { self.assign_temporarily(assignments) } else { self.assign_permanently(assignments) };
        let result = assigned.and_then(|()| {
            self.trace_command(assignments, &fields);
            let last = fields.last().cloned();
            let result = self.run_found(found, name, fields);
            if let Some(last) = last {
                self.last_argument = last;
            }
            result
        });
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

    fn run_found(&mut self, found: Found, name: &str, fields: Vec<String>) -> Run {
        match found {
            Found::Function(function) => {
                let mut arguments = fields;
                arguments.remove(0);
                self.call_function(name, &function, arguments)
            }
            Found::Builtin(builtin) => self.run_builtin(builtin, &fields, false),
            Found::Special(builtin) => self.run_builtin(builtin, &fields, true),
            Found::Program => self.run_program(&fields),
        }
    }

    /// Runs a builtin. An error of a special one ends a POSIX shell that is not interactive.
    #[inline(never)]
    pub(crate) fn run_builtin(&mut self, builtin: Builtin, fields: &[String], special: bool) -> Run {
        let outer = std::mem::replace(&mut self.builtin, fields[0].clone());
        self.builtin_failed = false;
        let result = builtin(self, fields);
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
