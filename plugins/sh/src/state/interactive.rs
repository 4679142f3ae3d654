//! What an interactive shell and the reader of its lines tell each other.

use super::recall::HistoryExpansion;
use crate::syntax::ParseOptions;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

/// Shared by the shell, its subshells within the process, and the reader of lines.
#[derive(Debug, Default)]
pub(crate) struct Interactive {
    /// The prompts of now: of a command, and of its further lines.
    pub(crate) first: RefCell<String>,
    pub(crate) more: RefCell<String>,
    /// Signals that arrived while a line was read, for the traps.
    pub(crate) signals: RefCell<Vec<&'static str>>,
    /// Whether lines are edited by the shell.
    pub(crate) edits: Cell<bool>,
    /// Whether that is with the keys of vi.
    pub(crate) vi: Cell<bool>,
    /// What the user has typed and wants to go on with in another program: `C-x C-e`, and `v` with vi's keys.
    pub(crate) to_edit: RefCell<Option<String>>,
    /// The line was given up: SIGINT.
    pub(crate) interrupted: Cell<bool>,
    /// What is executed is given up: SIGINT.
    pub(crate) abort: Cell<bool>,
    /// What is said when the shell ends.
    pub(crate) leaving: Cell<&'static str>,
    /// The user was told that jobs are stopped: the next `exit` or end of input ends the shell.
    pub(crate) warned: Cell<bool>,
    /// The same, by the line that is executed.
    pub(crate) warned_by_line: Cell<bool>,
    /// How `!` repeats lines; none where it is an ordinary character.
    pub(crate) expands: Cell<Option<HistoryExpansion>>,
    /// A line that was shown and not executed.
    pub(crate) to_remember: RefCell<Option<String>>,
    /// The shell's name, for messages.
    pub(crate) name: RefCell<String>,
    /// The lines before.
    pub(crate) history: RefCell<Vec<String>>,
    /// What words can be completed to.
    pub(crate) known: RefCell<Known>,
}

/// Names that a word can be completed to, and where files are looked for.
#[derive(Debug, Default, Clone)]
pub(crate) struct Known {
    pub(crate) cwd: String,
    pub(crate) home: String,
    pub(crate) path: String,
    /// Functions, aliases and builtins.
    pub(crate) commands: BTreeSet<String>,
    pub(crate) aliases: Vec<String>,
    pub(crate) variables: Vec<String>,
    pub(crate) jobs: Vec<u32>,
    /// How commands are read.
    pub(crate) options: ParseOptions,
}
