//! `test` and `[` (XCU test).

use crate::primaries::{TestError, compare_numbers};
use crate::state::{Run, Shell};

pub(super) fn test(shell: &mut Shell, fields: &[String]) -> Run<i32> {
    let mut arguments = &fields[1..];
    if fields[0] == "[" {
        let Some((last, rest)) = arguments.split_last().filter(|(last, _)| *last == "]") else {
            shell.builtin_error("missing `]'");
            return Ok(2);
        };
        let _ = last;
        arguments = rest;
    }
    Ok(match holds(shell, arguments) {
        Ok(holds) => i32::from(!holds),
        Err(TestError(message)) => {
            shell.builtin_error(&message);
            2
        }
    })
}

fn is_binary(operator: &str) -> bool {
    ["=", "==", "!=", "<", ">", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef"].contains(&operator)
}

fn unary_letter(operator: &str) -> Option<&str> {
    operator.strip_prefix('-').filter(|letter| letter.len() == 1 && "abcdefghknoprstuvwxzGLNORS".contains(*letter))
}

/// What POSIX says for up to four arguments, and a grammar for more.
fn holds(shell: &mut Shell, arguments: &[String]) -> Result<bool, TestError> {
    match arguments {
        [] => Ok(false),
        [one] => Ok(!one.is_empty()),
        [not, one] if not == "!" => Ok(one.is_empty()),
        [operator, operand] => match unary_letter(operator) {
            Some(letter) => shell.test_unary(letter, operand),
            None => Err(TestError(format!("{operator}: unary operator expected"))),
        },
        [left, operator, right] => {
            if is_binary(operator) {
                return binary(shell, left, operator, right);
            }
            match operator.as_str() {
                "-a" => return Ok(!left.is_empty() && !right.is_empty()),
                "-o" => return Ok(!left.is_empty() || !right.is_empty()),
                _ => {}
            }
            if left == "!" {
                return holds(shell, &arguments[1..]).map(|holds| !holds);
            }
            if left == "(" && right == ")" {
                return Ok(!operator.is_empty());
            }
            Err(TestError(format!("{operator}: binary operator expected")))
        }
        [not, _, _, _] if not == "!" => holds(shell, &arguments[1..]).map(|holds| !holds),
        [open, _, _, close] if open == "(" && close == ")" => holds(shell, &arguments[1..3]),
        _ => {
            let mut expression = Expression { shell, arguments, at: 0, depth: 0 };
            let holds = expression.or()?;
            if expression.at < arguments.len() {
                return Err(TestError("too many arguments".to_owned()));
            }
            Ok(holds)
        }
    }
}

fn binary(shell: &mut Shell, left: &str, operator: &str, right: &str) -> Result<bool, TestError> {
    if let Some(holds) = shell.test_binary(left, operator, right) {
        return Ok(holds);
    }
    let number = |text: &str| {
        let digits = text.trim();
        let digits = digits.strip_prefix('+').unwrap_or(digits);
        digits.parse::<i64>().map_err(|_| TestError(format!("{text}: integer expression expected")))
    };
    Ok(compare_numbers(operator, number(left)?, number(right)?))
}

struct Expression<'a> {
    shell: &'a mut Shell,
    arguments: &'a [String],
    at: usize,
    depth: u32,
}

impl Expression<'_> {
    fn next(&self, ahead: usize) -> Option<&String> {
        self.arguments.get(self.at + ahead)
    }

    fn or(&mut self) -> Result<bool, TestError> {
        let mut holds = self.and()?;
        while self.next(0).is_some_and(|next| next == "-o") {
            self.at += 1;
            let right = self.and()?;
            holds |= right;
        }
        Ok(holds)
    }

    fn and(&mut self) -> Result<bool, TestError> {
        let mut holds = self.not()?;
        while self.next(0).is_some_and(|next| next == "-a") {
            self.at += 1;
            let right = self.not()?;
            holds &= right;
        }
        Ok(holds)
    }

    fn not(&mut self) -> Result<bool, TestError> {
        self.depth += 1;
        if self.depth > 100 {
            return Err(TestError("expression is nested more than 100 deep".to_owned()));
        }
        let holds = if self.next(0).is_some_and(|next| next == "!") && !self.next(1).is_some_and(|next| is_binary(next))
        {
            self.at += 1;
            self.not().map(|holds| !holds)
        } else {
            self.primary()
        };
        self.depth -= 1;
        holds
    }

    fn primary(&mut self) -> Result<bool, TestError> {
        let Some(first) = self.next(0).cloned() else { return Err(TestError("argument expected".to_owned())) };
        if let (Some(operator), Some(right)) = (self.next(1).cloned(), self.next(2).cloned())
            && is_binary(&operator)
        {
            self.at += 3;
            return binary(self.shell, &first, &operator, &right);
        }
        if first == "(" {
            self.at += 1;
            let holds = self.or()?;
            if self.next(0).is_none_or(|next| next != ")") {
                return Err(TestError("`)' expected".to_owned()));
            }
            self.at += 1;
            return Ok(holds);
        }
        if let (Some(letter), Some(operand)) = (unary_letter(&first), self.next(1).cloned()) {
            self.at += 2;
            return self.shell.test_unary(letter, &operand);
        }
        self.at += 1;
        Ok(!first.is_empty())
    }
}
