//! Compound commands and functions.

use crate::pattern::Pattern;
use crate::state::{Frame, Function, Run, ScopeKind, Shell, Stop, TrapAction, Variable, stack};
use crate::syntax::{Case, Command, CommandKind, For, List, Word, kind_text, list_text};
use std::rc::Rc;

/// Whether a subshell must be a process of its own: it may send signals to the shell, or ask for its number.
fn is_visible(list: &List) -> bool {
    let text = list_text(list);
    ["kill", "BASHPID", "PPID"].iter().any(|word| text.contains(word))
}

/// What the caller of a function gets back when it has ended.
struct Caller {
    positional: Rc<Vec<String>>,
    loops: u32,
    line: u32,
    traps: Vec<(String, TrapAction)>,
}

impl Shell {
    #[inline(never)]
    pub(super) fn execute_compound(&mut self, kind: &CommandKind) -> Run {
        match kind {
            CommandKind::Group(list) => self.execute_list(list),
            CommandKind::Subshell(list) => self.execute_subshell(kind, list),
            CommandKind::If { branches, otherwise } => self.execute_if(branches, otherwise.as_ref()),
            CommandKind::Loop { until, condition, body } => self.execute_while(*until, condition, body),
            CommandKind::For(command) if command.is_select => self.execute_select(command),
            CommandKind::For(command) => self.execute_for(command),
            CommandKind::ArithFor { parts, body } => self.execute_arithmetic_for(parts, body),
            CommandKind::Case(case) => self.execute_case(case),
            CommandKind::Arith(word) => self.execute_arithmetic(word),
            CommandKind::Test(test) => {
                if self.debug_trap(|| kind_text(kind))? {
                    self.execute_test(test)
                } else {
                    Ok(())
                }
            }
            CommandKind::Coproc { name, body } => self.execute_coproc(name, body),
            CommandKind::Simple { .. } | CommandKind::Function { .. } => Ok(()),
        }
    }

    /// `( )`.
    #[inline(never)]
    fn execute_subshell(&mut self, kind: &CommandKind, list: &List) -> Run {
        if self.in_trap == 0 && !self.traps.is_empty() {
            self.command_text = kind_text(kind);
        }
        if self.is_on("monitor") || is_visible(list) {
            return self.run_subshell(list);
        }
        self.in_subshell(|shell| shell.execute_list(list));
        Ok(())
    }

    /// `(( ))`.
    #[inline(never)]
    fn execute_arithmetic(&mut self, word: &Word) -> Run {
        if !self.debug_trap(|| format!("(({}))", word.raw))? {
            return Ok(());
        }
        self.trace(|| format!("(( {} ))", word.raw.trim()));
        match self.arithmetic_word(word) {
            Ok(value) => self.status = i32::from(value == 0),
            Err(Stop::Discard) => self.status = 1,
            Err(stop) => return Err(stop),
        }
        Ok(())
    }

    #[inline(never)]
    pub(super) fn define_function(&mut self, name: &str, body: &Rc<Command>) -> Run {
        if self.readonly_functions.iter().any(|readonly| readonly == name) {
            self.report(&format!("{name}: readonly function"));
            self.status = 1;
            return Ok(());
        }
        let source = self.frames.last().map_or_else(
            || match self.read_from {
                "file" => self.name.clone(),
                "stdin" => "main".to_owned(),
                _ => "environment".to_owned(),
            },
            |frame| frame.source.clone(),
        );
        let function = Function { body: body.clone(), source, line: self.line };
        Rc::make_mut(&mut self.functions).insert(name.to_owned(), Rc::new(function));
        self.status = 0;
        Ok(())
    }

    #[inline(never)]
    fn execute_if(&mut self, branches: &[(List, List)], otherwise: Option<&List>) -> Run {
        for (condition, body) in branches {
            self.execute_unchecked(condition)?;
            if self.status == 0 {
                return self.execute_list(body);
            }
        }
        match otherwise {
            Some(list) => self.execute_list(list),
            None => {
                self.status = 0;
                Ok(())
            }
        }
    }

    /// Executes the body of a loop once. False: the loop ends.
    fn iterate(&mut self, body: impl FnOnce(&mut Self) -> Run) -> Run<bool> {
        match body(self) {
            Ok(()) => Ok(true),
            Err(Stop::Break(levels)) if levels > 1 && self.loops > 1 => Err(Stop::Break(levels - 1)),
            Err(Stop::Break(_)) => Ok(false),
            Err(Stop::Continue(levels)) if levels > 1 && self.loops > 1 => Err(Stop::Continue(levels - 1)),
            Err(Stop::Continue(_)) => Ok(true),
            Err(stop) => Err(stop),
        }
    }

    fn in_loop(&mut self, body: impl FnOnce(&mut Self) -> Run) -> Run {
        self.loops += 1;
        let result = body(self);
        self.loops -= 1;
        result
    }

    #[inline(never)]
    fn execute_while(&mut self, until: bool, condition: &List, body: &List) -> Run {
        self.in_loop(|shell| {
            let mut status = 0;
            loop {
                let mut met = false;
                let goes_on = shell.iterate(|shell| {
                    shell.execute_unchecked(condition)?;
                    met = (shell.status == 0) != until;
                    if met { shell.execute_list(body) } else { Ok(()) }
                });
                let goes_on = goes_on?;
                // `continue` in the condition begins the next round.
                let by_condition = !met && goes_on && (shell.status == 0) == until;
                if met {
                    status = shell.status;
                }
                if !goes_on || by_condition {
                    if goes_on {
                        shell.status = status;
                    }
                    return Ok(());
                }
            }
        })
    }

    #[inline(never)]
    fn execute_for(&mut self, command: &For) -> Run {
        let values = match &command.words {
            Some(words) => self.expand_words(words)?,
            None => self.positional.as_ref().clone(),
        };
        if values.is_empty() {
            self.status = 0;
        }
        self.in_loop(|shell| {
            let head = || {
                let words = command.words.iter().flatten().map(|word| word.raw.as_str()).collect::<Vec<_>>();
                format!("for {} in {}", command.name, words.join(" "))
            };
            for value in values {
                let runs = shell.debug_trap(head)?;
                if shell.is_on("xtrace") {
                    shell.trace_text(&head());
                }
                if !runs {
                    continue;
                }
                shell.assign_loop_variable(&command.name, value)?;
                if !shell.iterate(|shell| shell.execute_list(&command.body))? {
                    break;
                }
            }
            Ok(())
        })
    }

    fn assign_loop_variable(&mut self, name: &str, value: String) -> Run {
        if self.variables.get(name).is_some_and(|variable| variable.nameref && !variable.readonly) {
            // Each value is the name that it refers to.
            self.set_text(name, value);
            return Ok(());
        }
        self.assign(name, None, value, false).map_err(|message| self.assignment_error(&message))
    }

    #[inline(never)]
    fn execute_arithmetic_for(&mut self, [first, condition, step]: &[Word; 3], body: &List) -> Run {
        let line = self.line;
        let evaluate = |shell: &mut Self, word: &Word| {
            shell.line = line;
            let runs = word.raw.is_empty() || shell.debug_trap(|| format!("(({}))", word.raw))?;
            if shell.is_on("xtrace") && !word.raw.trim().is_empty() {
                shell.trace_text(&format!("(( {} ))", word.raw.trim()));
            }
            if runs { shell.arithmetic_word(word) } else { Ok(0) }
        };
        evaluate(self, first)?;
        let mut rounds = 0_u64;
        self.in_loop(|shell| {
            while condition.raw.trim().is_empty() || evaluate(shell, condition)? != 0 {
                rounds = rounds.saturating_add(1);
                if !shell.iterate(|shell| shell.execute_list(body))? {
                    break;
                }
                evaluate(shell, step)?;
            }
            if rounds == 0 {
                shell.status = 0;
            }
            Ok(())
        })
    }

    #[inline(never)]
    fn execute_select(&mut self, command: &For) -> Run {
        let values = match &command.words {
            Some(words) => self.expand_words(words)?,
            None => self.positional.as_ref().clone(),
        };
        self.status = 0;
        let mut shows = true;
        let words = || command.words.iter().flatten().map(|word| word.raw.as_str()).collect::<Vec<_>>().join(" ");
        if !self.debug_trap(|| format!("select {} in {}", command.name, words()))? {
            return Ok(());
        }
        self.in_loop(|shell| {
            loop {
                if shows {
                    for (at, value) in values.iter().enumerate() {
                        shell.say(&format!("{}) {value}", at + 1));
                    }
                }
                let prompt = shell.text_of("PS3").unwrap_or_else(|| "#? ".to_owned());
                // Nobody can be told if standard error is gone.
                let _ = shell.write_to(2, &prompt);
                let Some(line) = shell.read_line(0)? else {
                    shell.say("");
                    shell.status = 1;
                    return Ok(());
                };
                shows = line.trim().is_empty();
                shell.set_text("REPLY", line.clone());
                if shows {
                    continue;
                }
                let choice = line.trim().parse::<usize>().ok().and_then(|number| values.get(number.checked_sub(1)?));
                shell.assign_loop_variable(&command.name, choice.cloned().unwrap_or_default())?;
                if !shell.iterate(|shell| shell.execute_list(&command.body))? {
                    return Ok(());
                }
            }
        })
    }

    #[inline(never)]
    fn execute_case(&mut self, case: &Case) -> Run {
        if !self.debug_trap(|| format!("case {} in ", case.word.raw))? {
            return Ok(());
        }
        let text = self.expand_single(&case.word)?;
        self.trace(|| format!("case {} in", case.word.raw));
        let mut falls_through = false;
        let mut executed = false;
        for arm in &case.arms {
            let mut chosen = falls_through;
            for pattern in arm.patterns.iter().filter(|_| !falls_through) {
                let pattern = self.expand_pattern(pattern)?;
                if Pattern::new(&pattern, self.pattern_options()).matches(&text) {
                    chosen = true;
                    break;
                }
            }
            falls_through = false;
            if chosen {
                executed |= !arm.body.items.is_empty();
                self.execute_list(&arm.body)?;
                match arm.end {
                    ";&" => falls_through = true,
                    ";;&" => {}
                    _ => break,
                }
            }
        }
        if !executed {
            self.status = 0;
        }
        Ok(())
    }

    /// Calls a function. What the call assigns is in the innermost scope already.
    ///
    /// Little of it is on the stack while the body is executed, since functions call themselves.
    pub(super) fn call_function(&mut self, name: &str, function: &Rc<Function>, arguments: &Rc<Vec<String>>) -> Run {
        let caller = self.enter_function(name, function, arguments)?;
        let result = if self.traps.is_empty() {
            self.execute_command(&function.body)
        } else {
            self.execute_traced_body(function)
        };
        self.leave_function(caller, result)
    }

    #[inline(never)]
    fn enter_function(&mut self, name: &str, function: &Function, arguments: &Rc<Vec<String>>) -> Run<Box<Caller>> {
        let most = self.variables.get("FUNCNEST").and_then(Variable::text).and_then(|text| text.parse::<usize>().ok());
        let calls = || self.frames.iter().filter(|frame| frame.is_function).count();
        if let Some(most) = most.filter(|most| *most > 0 && calls() >= *most) {
            self.report(&format!("{name}: maximum function nesting level exceeded ({most})"));
            self.status = 1;
            return Err(Stop::Discard);
        }
        let listed = self.is_on("extdebug").then(|| arguments.clone());
        let positional = std::mem::replace(&mut self.positional, arguments.clone());
        let loops = std::mem::take(&mut self.loops);
        let line = self.line;
        self.frames.push(Frame {
            name: name.to_owned(),
            source: function.source.clone(),
            line,
            is_function: true,
            arguments: listed,
            options: None,
        });
        self.variables.push(ScopeKind::Function);
        self.stack += stack::CALL;
        Ok(Box::new(Caller { positional, loops, line, traps: self.hide_function_traps(name) }))
    }

    #[inline(never)]
    #[expect(clippy::boxed_local, reason = "unboxed it would be on the stack of each call")]
    fn leave_function(&mut self, caller: Box<Caller>, result: Run) -> Run {
        let Caller { positional, loops, line, traps } = *caller;
        self.stack -= stack::CALL;
        let result = if matches!(result, Ok(()) | Err(Stop::Return)) { self.return_trap(result) } else { result };
        self.show_function_traps(traps);
        self.variables.pop();
        if let Some(options) = self.frames.pop().and_then(|frame| frame.options) {
            self.options = options;
        }
        (self.loops, self.positional, self.line) = (loops, positional, line);
        match result {
            Err(Stop::Return) => {
                self.take_returned();
                Ok(())
            }
            Err(Stop::Break(_) | Stop::Continue(_)) => Ok(()),
            other => other,
        }
    }

    /// The body of a function where there are traps.
    #[inline(never)]
    fn execute_traced_body(&mut self, function: &Function) -> Run {
        self.line = function.body.line.max(1);
        let text = self.command_text.clone();
        if self.debug_trap(|| text)? { self.execute_command(&function.body) } else { Ok(()) }
    }

    /// DEBUG and RETURN are not for functions unless `functrace` is on or the function has `-t`, and ERR is not unless
    /// `errtrace` is on.
    fn hide_function_traps(&mut self, name: &str) -> Vec<(String, TrapAction)> {
        if self.traps.is_empty() {
            return Vec::new();
        }
        let traced = self.is_on("functrace") || self.tracing.functions.iter().any(|traced| traced == name);
        let mut hidden: Vec<&str> = if traced { Vec::new() } else { vec!["DEBUG", "RETURN"] };
        if !self.is_on("errtrace") {
            hidden.push("ERR");
        }
        hidden.iter().filter_map(|name| self.traps.remove_entry(*name)).collect()
    }

    fn show_function_traps(&mut self, traps: Vec<(String, TrapAction)>) {
        for (name, action) in traps {
            self.traps.entry(name).or_insert(action);
        }
    }
}
