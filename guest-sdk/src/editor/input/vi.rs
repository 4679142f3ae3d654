//! The keys of vi, as POSIX's `sh` (set -o vi) and readline have them.

use super::command::{Act, Motion, WordKind};
use super::emacs::{Emacs, LARGEST_ARGUMENT};
use super::key::{Code, Key};

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// Keys are text.
    #[default]
    Insert,
    /// Keys are commands.
    Command,
}

/// What is done to the text that a motion goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Delete,
    Change,
    Copy,
}

/// What the next key completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// The character of `f`, `t`, `F` or `T`.
    Find { forward: bool, before: bool },
    /// The character of `r`.
    Replace,
}

/// The longest command that `.` repeats, in keys.
const LONGEST_REPEATED: usize = 256;

/// The state between two keys.
#[derive(Debug, Default)]
pub(in crate::editor) struct Vi {
    state: State,
    /// The keys of the insert mode that are no text.
    emacs: Emacs,
    operator: Option<Operator>,
    awaited: Option<Awaited>,
    /// The count before the operator, and the one before the motion.
    counts: [Option<u32>; 2],
    /// The last search for a character.
    found: Option<Motion>,
    /// The keys of the command that is being typed, and those of the last one that changed the text.
    typed: Vec<Key>,
    repeated: Vec<Key>,
    /// Whether the command that is being typed changes the text.
    changes: bool,
    /// The command began to insert only if its motion finds something.
    depends: bool,
}

impl Vi {
    /// Begins a line: in insert mode, with what `.` repeats.
    pub(super) fn reset(&mut self) {
        *self = Self { found: self.found, repeated: std::mem::take(&mut self.repeated), ..Self::default() };
    }

    pub(super) fn is_command(&self) -> bool {
        self.state == State::Command
    }

    /// The keys of the last command that changed the text.
    pub(super) fn repeated(&self) -> Vec<Key> {
        self.repeated.clone()
    }

    /// The command could do nothing.
    pub(super) fn refuse(&mut self) {
        if std::mem::take(&mut self.depends) {
            self.state = State::Command;
            self.typed.clear();
        }
    }

    pub(super) fn argument(&mut self) -> Option<i32> {
        let counts = std::mem::take(&mut self.counts);
        let count = counts.iter().flatten().fold(1_u32, |product, count| product.saturating_mul(*count));
        let count = i32::try_from(count.min(LARGEST_ARGUMENT)).unwrap_or(1);
        self.emacs.argument().or_else(|| counts.iter().any(Option::is_some).then_some(count))
    }

    /// The commands of a key: two if it is one with Alt, which is Escape and the key.
    pub(super) fn acts(&mut self, key: Key) -> (Option<Act>, Act) {
        if key.meta && matches!(key.code, Code::Char(_) | Code::Enter | Code::Backspace) {
            let left = self.act(Key::plain(Code::Escape));
            return (Some(left), self.act(Key { meta: false, ..key }));
        }
        (None, self.act(key))
    }

    fn act(&mut self, key: Key) -> Act {
        self.depends = false;
        if self.typed.len() <= LONGEST_REPEATED {
            self.typed.push(key);
        }
        let act = match self.state {
            State::Insert if key.code == Code::Escape => {
                self.state = State::Command;
                Act::LeaveInsert
            }
            State::Insert => self.emacs.act(key),
            State::Command => self.command(key),
        };
        // A command is whole when the next key is a command again.
        if self.state == State::Command && act != Act::Pending {
            let typed = std::mem::take(&mut self.typed);
            if std::mem::take(&mut self.changes) && typed.len() <= LONGEST_REPEATED {
                self.repeated = typed;
            }
            self.operator = None;
        }
        act
    }

    fn command(&mut self, key: Key) -> Act {
        if let Some(awaited) = self.awaited.take() {
            return self.complete(awaited, key);
        }
        let Some(sign) = key.text() else {
            return self.other_key(key);
        };
        if let Some(digit) = sign.to_digit(10) {
            let count = &mut self.counts[usize::from(self.operator.is_some())];
            if digit != 0 || count.is_some() {
                *count = Some(count.unwrap_or(0).saturating_mul(10).saturating_add(digit).min(LARGEST_ARGUMENT));
                return Act::Pending;
            }
        }
        if let Some(motion) = self.motion(sign) {
            return self.over(motion);
        }
        if let Some(awaited) = awaited(sign) {
            self.awaited = Some(awaited);
            return Act::Pending;
        }
        match (self.operator, sign) {
            (None, 'd') => self.begin_operator(Operator::Delete),
            (None, 'c') => self.begin_operator(Operator::Change),
            (None, 'y') => self.begin_operator(Operator::Copy),
            (Some(Operator::Delete), 'd') => self.over(Motion::WholeLine),
            (Some(Operator::Change), 'c') => self.over(Motion::LineText),
            (Some(Operator::Copy), 'y') => self.over(Motion::WholeLine),
            (Some(_), _) => self.cancel(),
            (None, sign) => self.simple(sign),
        }
    }

    fn begin_operator(&mut self, operator: Operator) -> Act {
        self.operator = Some(operator);
        Act::Pending
    }

    fn cancel(&mut self) -> Act {
        self.counts = [None; 2];
        Act::Unbound
    }

    /// The motion of a character.
    fn motion(&self, sign: char) -> Option<Motion> {
        Some(match sign {
            'h' => Motion::BackwardInLine,
            'l' | ' ' => Motion::ForwardInLine,
            '0' => Motion::LineStart,
            '^' => Motion::FirstNonBlank,
            '$' => Motion::ToLineEnd,
            '|' => Motion::Column,
            '%' => Motion::Matching,
            'w' => Motion::NextWord(WordKind::Signs),
            'W' => Motion::NextWord(WordKind::Blanks),
            'b' => Motion::PreviousWord(WordKind::Signs),
            'B' => Motion::PreviousWord(WordKind::Blanks),
            'e' => Motion::EndOfWord(WordKind::Signs),
            'E' => Motion::EndOfWord(WordKind::Blanks),
            ';' => self.found?,
            ',' => match self.found? {
                Motion::Find { character, forward, before } => Motion::Find { character, forward: !forward, before },
                other => other,
            },
            _ => return None,
        })
    }

    /// A motion alone, or with its operator.
    fn over(&mut self, motion: Motion) -> Act {
        match self.operator {
            None => Act::Move(motion),
            Some(Operator::Copy) => Act::Copy(motion),
            Some(Operator::Delete) => {
                self.changes = true;
                Act::Kill(motion)
            }
            Some(Operator::Change) => {
                self.changes = true;
                self.state = State::Insert;
                self.operator = None;
                self.depends = matches!(motion, Motion::Find { .. } | Motion::Matching);
                // `cw` leaves the blanks behind the word.
                Act::Kill(match motion {
                    Motion::NextWord(kind) => Motion::ChangeWord(kind),
                    other => other,
                })
            }
        }
    }

    fn complete(&mut self, awaited: Awaited, key: Key) -> Act {
        let Some(character) = key.text() else { return self.cancel() };
        match awaited {
            Awaited::Find { forward, before } => {
                let motion = Motion::Find { character, forward, before };
                self.found = Some(motion);
                self.over(motion)
            }
            Awaited::Replace => {
                self.changes = true;
                Act::Replace(character)
            }
        }
    }

    /// Begins to insert, after a command.
    fn insert(&mut self, act: Act) -> Act {
        self.changes = true;
        self.state = State::Insert;
        act
    }

    fn change(&mut self, act: Act) -> Act {
        self.changes = true;
        act
    }

    fn simple(&mut self, sign: char) -> Act {
        match sign {
            'i' => self.insert(Act::Nothing),
            'a' => self.insert(Act::Move(Motion::ForwardInLine)),
            'I' => self.insert(Act::Move(Motion::FirstNonBlank)),
            'A' => self.insert(Act::Move(Motion::ToLineEnd)),
            's' => self.insert(Act::Kill(Motion::ForwardInLine)),
            'S' => self.insert(Act::Kill(Motion::LineText)),
            'C' => self.insert(Act::Kill(Motion::ToLineEnd)),
            'R' => self.insert(Act::Overwrite),
            '*' => self.insert(Act::InsertCompletions),
            '\\' => self.insert(Act::Complete),
            '_' => self.insert(Act::AppendArgument),
            'x' => self.change(Act::Kill(Motion::ForwardInLine)),
            'X' => self.change(Act::Kill(Motion::BackwardInLine)),
            'D' => self.change(Act::Kill(Motion::ToLineEnd)),
            'p' => self.change(Act::PutAfter),
            'P' => self.change(Act::PutBefore),
            '~' => self.change(Act::ToggleCase),
            'Y' => Act::Copy(Motion::WholeLine),
            'u' => Act::Undo,
            'U' => Act::Revert,
            '.' => Act::Repeat,
            'k' | '-' => Act::Up,
            'j' | '+' => Act::Down,
            'G' => Act::GoToLine,
            '/' => Act::SearchBackward,
            '?' => Act::SearchForward,
            'n' => Act::SearchAgain { reverse: false },
            'N' => Act::SearchAgain { reverse: true },
            '=' => Act::ListCompletions,
            '#' => Act::Comment,
            'v' => Act::EditElsewhere,
            _ => self.cancel(),
        }
    }

    fn other_key(&mut self, key: Key) -> Act {
        if key.code == Code::Escape {
            return self.cancel();
        }
        let motion = match key.code {
            Code::Backspace | Code::Left if !key.control => Motion::BackwardInLine,
            Code::Right if !key.control => Motion::ForwardInLine,
            Code::Char('h') if key.control => Motion::BackwardInLine,
            Code::Home if !key.control => Motion::LineStart,
            Code::End if !key.control => Motion::ToLineEnd,
            _ if self.operator.is_some() || key == Key::control('x') => return self.cancel(),
            // What readline has in both modes.
            _ => return self.emacs.act(key),
        };
        self.over(motion)
    }
}

fn awaited(sign: char) -> Option<Awaited> {
    Some(match sign {
        'f' => Awaited::Find { forward: true, before: false },
        't' => Awaited::Find { forward: true, before: true },
        'F' => Awaited::Find { forward: false, before: false },
        'T' => Awaited::Find { forward: false, before: true },
        'r' => Awaited::Replace,
        _ => return None,
    })
}
