//! The primaries of `test` and `[[ ]]`: what they ask of files, strings and numbers.

use crate::state::Shell;
use crate::system::{FileKind, FileStatus};

/// Why `test` cannot answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TestError(pub(crate) String);

impl Shell {
    fn file(&self, path: &str, follow: bool) -> Option<FileStatus> {
        if let Some(number) = path.strip_prefix("/dev/fd/").and_then(|number| number.parse().ok()) {
            return self.fds.get(&number).and_then(|fd| self.system.fd_status(fd).ok());
        }
        if path.is_empty() {
            return None;
        }
        self.system.status(&self.absolute(path), follow).ok()
    }

    /// The primaries with one operand: their letter.
    pub(crate) fn test_unary(&mut self, operator: &str, text: &str) -> Result<bool, TestError> {
        let kind = |shell: &Self, kind| shell.file(text, true).is_some_and(|status| status.kind == kind);
        let status = |shell: &Self| shell.file(text, true);
        let mode = |shell: &Self, bit| shell.file(text, true).is_some_and(|status| status.mode & bit != 0);
        Ok(match operator {
            "n" => !text.is_empty(),
            "z" => text.is_empty(),
            "a" | "e" => status(self).is_some(),
            "f" => kind(self, FileKind::Regular),
            "d" => kind(self, FileKind::Directory),
            "p" => kind(self, FileKind::Fifo),
            "S" => kind(self, FileKind::Socket),
            "b" => kind(self, FileKind::Block),
            "c" => kind(self, FileKind::Character),
            "h" | "L" => self.file(text, false).is_some_and(|status| status.kind == FileKind::Link),
            "s" => status(self).is_some_and(|status| status.size > 0),
            "r" | "w" | "x" => {
                let letter = operator.chars().next().unwrap_or('r');
                !text.is_empty() && self.system.may(&self.absolute(text), letter)
            }
            "u" => mode(self, 0o4000),
            "g" => mode(self, 0o2000),
            "k" => mode(self, 0o1000),
            "O" => status(self).is_some_and(|status| status.owned.0),
            "G" => status(self).is_some_and(|status| status.owned.1),
            "N" => status(self).is_some_and(|status| status.modified > status.accessed),
            "t" => {
                let Ok(number) = text.trim().parse::<u32>() else {
                    return Err(TestError(format!("{text}: integer expression expected")));
                };
                self.fds.get(&number).is_some_and(|fd| fd.is_terminal())
            }
            "o" => self.is_on(text),
            "v" => self.is_set(text),
            "R" => self.variables.get(text).is_some_and(|variable| variable.nameref),
            _ => return Err(TestError(format!("-{operator}: unary operator expected"))),
        })
    }

    fn is_set(&mut self, text: &str) -> bool {
        if let Some((name, subscript)) =
            text.split_once('[').and_then(|(name, rest)| Some((name, rest.strip_suffix(']')?)))
        {
            if subscript == "@" || subscript == "*" {
                return !self.array(name).is_empty();
            }
            let key = self.expand_text(subscript).and_then(|subscript| self.subscript_key(name, &subscript).ok());
            return key.is_some_and(|key| self.element(name, &key).is_some());
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
            return self.parameter(text).is_some();
        }
        self.text_of(text).is_some()
    }

    /// The primaries with two operands that are not numbers. None: no such operator.
    pub(crate) fn test_binary(&self, left: &str, operator: &str, right: &str) -> Option<bool> {
        let files = || (self.file(left, true), self.file(right, true));
        Some(match operator {
            "=" | "==" => left == right,
            "!=" => left != right,
            "<" => left < right,
            ">" => left > right,
            "-nt" => match files() {
                (Some(left), Some(right)) => left.modified > right.modified,
                (left, right) => left.is_some() && right.is_none(),
            },
            "-ot" => match files() {
                (Some(left), Some(right)) => left.modified < right.modified,
                (left, right) => left.is_none() && right.is_some(),
            },
            "-ef" => matches!(files(), (Some(left), Some(right)) if left.identity == right.identity),
            _ => return None,
        })
    }
}

/// `-eq` and its like.
pub(crate) fn compare_numbers(operator: &str, left: i64, right: i64) -> bool {
    match operator {
        "-eq" => left == right,
        "-ne" => left != right,
        "-lt" => left < right,
        "-le" => left <= right,
        "-gt" => left > right,
        _ => left >= right,
    }
}
