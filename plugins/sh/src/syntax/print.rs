//! Syntax trees as text that is read back to the same tree, laid out as bash does it.

use super::ast::{
    AndOr, Arm, ArrayItem, Assignment, Case, Command, CommandKind, FdRef, For, List, Pipeline, Redirect, RedirectOp,
    Subscript, Test, Word,
};

/// A simple command as text.
pub(crate) fn simple_text(assignments: &[Assignment], words: &[Word], redirects: &[Redirect]) -> String {
    let mut printer = Printer::default();
    printer.simple(assignments, words);
    for redirect in redirects {
        printer.push(" ");
        printer.redirect(redirect);
    }
    printer.finish()
}

/// A command without its redirections as text.
pub(crate) fn kind_text(kind: &CommandKind) -> String {
    let mut printer = Printer::default();
    printer.kind(kind);
    printer.finish()
}

/// A list as text.
pub(crate) fn list_text(list: &List) -> String {
    let mut printer = Printer::default();
    printer.list(list);
    printer.finish()
}

/// A function as bash's `declare -f` shows it.
pub(crate) fn function_text(name: &str, body: &Command) -> String {
    let mut printer = Printer::default();
    printer.function(name, body);
    printer.finish()
}

#[derive(Default)]
struct Printer {
    text: String,
    indent: usize,
    /// Bodies of here-documents that follow the line.
    pending: Vec<String>,
}

impl Printer {
    fn finish(mut self) -> String {
        if !self.pending.is_empty() {
            self.newline();
        }
        self.text
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn newline(&mut self) {
        self.push("\n");
        for body in std::mem::take(&mut self.pending) {
            self.push(&body);
        }
        let indent = " ".repeat(self.indent);
        self.push(&indent);
    }

    fn indented(&mut self, inside: impl FnOnce(&mut Self)) {
        self.indent += 4;
        self.newline();
        inside(self);
        self.indent -= 4;
    }

    fn list(&mut self, list: &List) {
        for (at, item) in list.items.iter().enumerate() {
            self.and_or(&item.and_or);
            let last = at + 1 == list.items.len();
            match (item.background, last) {
                (true, true) => self.push(" &"),
                (true, false) => {
                    self.push(" &");
                    self.newline();
                }
                (false, false) => {
                    self.push(";");
                    self.newline();
                }
                (false, true) => {}
            }
        }
    }

    /// A list within a compound command: a `;` and a new line follow.
    fn body(&mut self, list: &List) {
        self.indented(|printer| {
            printer.list(list);
            printer.terminate(list);
        });
        self.newline();
    }

    fn terminate(&mut self, list: &List) {
        if list.items.last().is_some_and(|item| !item.background) {
            self.push(";");
        }
    }

    /// A condition, on one line with what follows.
    fn condition(&mut self, list: &List, then: &str) {
        for (at, item) in list.items.iter().enumerate() {
            if at > 0 {
                self.push(" ");
            }
            self.and_or(&item.and_or);
            self.push(if item.background { " &" } else { ";" });
            if !self.pending.is_empty() {
                self.newline();
            }
        }
        self.push(" ");
        self.push(then);
    }

    fn and_or(&mut self, and_or: &AndOr) {
        self.pipeline(&and_or.first);
        for (and, pipeline) in &and_or.rest {
            self.push(if *and { " && " } else { " || " });
            self.pipeline(pipeline);
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline) {
        match pipeline.timed {
            Some(true) => self.push("time -p "),
            Some(false) => self.push("time "),
            None => {}
        }
        if pipeline.negated {
            self.push("! ");
        }
        for (at, command) in pipeline.commands.iter().enumerate() {
            if at > 0 {
                self.push(" | ");
            }
            self.command(command);
        }
    }

    fn command(&mut self, command: &Command) {
        self.kind(&command.kind);
        let is_empty = match &command.kind {
            CommandKind::Simple { assignments, words } => assignments.is_empty() && words.is_empty(),
            _ => false,
        };
        for (at, redirect) in command.redirects.iter().enumerate() {
            if at > 0 || !is_empty {
                self.push(" ");
            }
            self.redirect(redirect);
        }
    }

    fn kind(&mut self, kind: &CommandKind) {
        match kind {
            CommandKind::Simple { assignments, words } => self.simple(assignments, words),
            CommandKind::Group(list) => {
                self.push("{ ");
                self.indented(|printer| printer.list(list));
                self.newline();
                self.push("}");
            }
            CommandKind::Subshell(list) => {
                self.push("( ");
                self.list(list);
                if self.pending.is_empty() {
                    self.push(" ");
                } else {
                    self.newline();
                }
                self.push(")");
            }
            CommandKind::If { branches, otherwise } => self.branches(branches, otherwise.as_ref()),
            CommandKind::Loop { until, condition, body } => {
                self.push(if *until { "until " } else { "while " });
                self.condition(condition, "do");
                self.body(body);
                self.push("done");
            }
            CommandKind::For(command) => self.for_words(command),
            CommandKind::ArithFor { parts, body } => {
                self.push(&format!("for (({}; {}; {}))", parts[0].raw, parts[1].raw, parts[2].raw));
                self.do_body(body);
            }
            CommandKind::Case(case) => self.case(case),
            CommandKind::Function { name, body } => {
                self.push("function ");
                self.function(name, body);
            }
            CommandKind::Arith(word) => self.push(&format!("(({}))", word.raw)),
            CommandKind::Test(test) => {
                self.push("[[ ");
                self.test(test);
                self.push(" ]]");
            }
            CommandKind::Coproc { name, body } => {
                self.push(&format!("coproc {name} "));
                self.command(body);
            }
        }
    }

    fn simple(&mut self, assignments: &[Assignment], words: &[Word]) {
        let mut texts = Vec::new();
        for assignment in assignments {
            let subscript = assignment.subscript.as_ref().map_or(String::new(), subscript_text);
            let operator = if assignment.append { "+=" } else { "=" };
            let value = match &assignment.array {
                Some(items) => array_text(items),
                None => assignment.value.raw.clone(),
            };
            texts.push(format!("{}{subscript}{operator}{value}", assignment.name));
        }
        texts.extend(words.iter().map(|word| word.raw.clone()));
        self.push(&texts.join(" "));
    }

    fn for_words(&mut self, command: &For) {
        self.push(if command.is_select { "select " } else { "for " });
        self.push(&command.name);
        if let Some(words) = &command.words {
            self.push(" in");
            for word in words {
                self.push(" ");
                self.push(&word.raw);
            }
        }
        self.push(";");
        self.do_body(&command.body);
    }

    fn case(&mut self, case: &Case) {
        self.push(&format!("case {} in ", case.word.raw));
        self.indented(|printer| {
            for (at, arm) in case.arms.iter().enumerate() {
                if at > 0 {
                    printer.newline();
                }
                printer.arm(arm);
            }
        });
        self.newline();
        self.push("esac");
    }

    fn do_body(&mut self, body: &List) {
        self.newline();
        self.push("do");
        self.body(body);
        self.push("done");
    }

    fn function(&mut self, name: &str, body: &Command) {
        self.push(&format!("{name} () "));
        self.newline();
        self.command(body);
    }

    fn branches(&mut self, branches: &[(List, List)], otherwise: Option<&List>) {
        let Some(((condition, body), rest)) = branches.split_first() else { return };
        self.push("if ");
        self.condition(condition, "then");
        self.body(body);
        if !rest.is_empty() {
            self.push("else");
            self.indented(|printer| {
                printer.branches(rest, otherwise);
                printer.push(";");
            });
            self.newline();
        } else if let Some(list) = otherwise {
            self.push("else");
            self.body(list);
        }
        self.push("fi");
    }

    fn arm(&mut self, arm: &Arm) {
        let patterns: Vec<&str> = arm.patterns.iter().map(|pattern| pattern.raw.as_str()).collect();
        // A pattern that is `esac` would end the command.
        self.push(if patterns[0] == "esac" { "(" } else { "" });
        self.push(&format!("{})", patterns.join(" | ")));
        if !arm.body.items.is_empty() {
            self.indented(|printer| printer.list(&arm.body));
        }
        self.newline();
        self.push(if arm.end.is_empty() { ";;" } else { arm.end });
    }

    fn test(&mut self, test: &Test) {
        match test {
            Test::Word(word) => self.push(&word.raw),
            Test::Unary(operator, word) => self.push(&format!("-{operator} {}", word.raw)),
            Test::Binary(left, operator, right) => self.push(&format!("{} {operator} {}", left.raw, right.raw)),
            Test::Not(inside) => {
                self.push("! ");
                self.test(inside);
            }
            Test::And(left, right) | Test::Or(left, right) => {
                self.test(left);
                self.push(if matches!(test, Test::And(..)) { " && " } else { " || " });
                self.test(right);
            }
            Test::Group(inside) => {
                self.push("( ");
                self.test(inside);
                self.push(" )");
            }
        }
    }

    fn redirect(&mut self, redirect: &Redirect) {
        match &redirect.fd {
            FdRef::Default => {}
            FdRef::Number(number) => self.push(&number.to_string()),
            FdRef::Variable(name) => self.push(&format!("{{{name}}}")),
        }
        let operator = match redirect.op {
            RedirectOp::Input => "< ",
            RedirectOp::Output => "> ",
            RedirectOp::Clobber => ">| ",
            RedirectOp::Append => ">> ",
            RedirectOp::ReadWrite => "<> ",
            RedirectOp::DupInput => "<&",
            RedirectOp::DupOutput => ">&",
            RedirectOp::HereString => "<<< ",
            RedirectOp::Both => "&> ",
            RedirectOp::AppendBoth => "&>> ",
            RedirectOp::HereDoc { strip: true } => "<<-",
            RedirectOp::HereDoc { strip: false } => "<<",
        };
        self.push(operator);
        self.push(&redirect.target.raw);
        if let Some(here) = redirect.here.as_ref().and_then(|here| here.get()) {
            self.pending.push(format!("{}{}\n", here.raw, here.delimiter));
        }
    }
}

fn subscript_text(subscript: &Subscript) -> String {
    match subscript {
        Subscript::All => "[@]".to_owned(),
        Subscript::Joined => "[*]".to_owned(),
        Subscript::Index(word) => format!("[{}]", word.raw),
    }
}

fn array_text(items: &[ArrayItem]) -> String {
    let item = |item: &ArrayItem| {
        let append = if item.append { "+" } else { "" };
        item.key.as_ref().map_or(String::new(), |key| format!("{}{append}=", subscript_text(key))) + &item.value.raw
    };
    format!("({})", items.iter().map(item).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{ParseOptions, Parser, TextLines};

    fn parse(text: &str) -> List {
        let mut lines = TextLines::new(text);
        let options = ParseOptions { extglob: true, stack: 50_000, ..ParseOptions::default() };
        let mut parser = Parser::new(&mut lines, 1);
        let mut all = List::default();
        while let Some(list) = parser.next_command(&options).unwrap() {
            all.items.extend(list.items);
        }
        all
    }

    #[test]
    fn what_is_printed_is_read_back() {
        for text in [
            "a && b || ! c | d &\ne",
            "if a; then b; elif c; then d; else e; fi > f 2>&1",
            "while a; do b; done; until c; do d & done",
            "for x in 1 2 \"$3\"; do echo $x; done; for y do z; done",
            "for ((i = 0; i < 3; i++)); do echo $i; done",
            "case $x in a | b) c ;; (esac) d ;& *) ;; esac",
            "f() { local x=1; cat <<E; echo $x\nbody $x\nE\n}",
            "( cat <<'E'\nraw\nE\n)",
            "[[ -f x && ( $a == b* || ! c =~ ^(d|e)$ ) ]]",
            "x=1 y+=2 z=(a [3]=b) cmd <<< word {fd}>&- &> both",
            "echo ${x:-\"a b\"} $(c; d) `e` $((1 + 2)) @(a|b) <(f)",
            "while read x; do\n  cat <<A\n$x\nA\ndone < file",
        ] {
            let once = list_text(&parse(text));
            assert_eq!(list_text(&parse(&once)), once, "{text}");
        }
    }

    #[test]
    fn functions_look_as_bash_shows_them() {
        let list = parse("f() { echo a; if b; then c; fi; }");
        let CommandKind::Function { name, body } = &list.items[0].and_or.first.commands[0].kind else { panic!() };
        let expected = "f () \n{ \n    echo a;\n    if b; then\n        c;\n    fi\n}";
        assert_eq!(function_text(name, body), expected);
    }
}
