//! What the editor knows between two keys.

use std::collections::{BTreeMap, VecDeque};

use unix_common::tty::Key;

use super::grammar::Command;
use crate::columns::Tabs;
use crate::motion::Find;
use crate::pattern::Pattern;
use crate::replacement::{Flags, Substitution, Template};
use crate::screen::Screen;
use crate::settings::Settings;
use crate::system::{INTERRUPTED, System};
use crate::text::{Position, Registers, Text};

/// An editor of one text at a time.
pub struct Editor {
    pub(crate) system: Box<dyn System>,
    pub(crate) text: Text,
    pub(crate) settings: Settings,
    pub(crate) registers: Registers,
    pub(crate) cursor: Position,
    /// The column that `j` and `k` go to; `usize::MAX` is the end of the line.
    pub(crate) wanted: usize,
    pub(crate) mode: Mode,
    /// The keys of a command that is not whole.
    pub(crate) pending: Vec<char>,
    /// Keys of a register that is carried out.
    pub(crate) queue: VecDeque<Key>,
    pub(crate) recording: Option<(char, Vec<Key>)>,
    pub(crate) executed: Option<char>,
    pub(crate) repeat: Option<Repeat>,
    pub(crate) repeating: bool,
    /// The insertion that goes on after one command: `C-o`.
    pub(crate) interrupted: Option<Box<Insertion>>,
    pub(crate) find: Option<Find>,
    pub(crate) search: Search,
    pub(crate) last_substitution: Option<(String, Template, Flags)>,
    pub(crate) last_visual: Option<(Visual, Position)>,
    pub(crate) jumps: Vec<Position>,
    pub(crate) jump: usize,
    pub(crate) file: FileState,
    pub(crate) prompts: BTreeMap<char, Vec<String>>,
    pub(crate) view: View,
    pub(crate) screen: Screen,
    pub(crate) message: String,
    /// Lines that are shown until a key comes.
    pub(crate) page: Vec<String>,
    pub(crate) bells: usize,
    pub(crate) failed: bool,
    pub(crate) ended: Option<u8>,
    pub(crate) ex_depth: usize,
    /// Steps of commands that may be long, and what registers and counts have added since a key was pressed.
    pub(crate) steps: usize,
    pub(crate) spent: usize,
    /// Whether the command of this key was stopped.
    pub(crate) stopped: bool,
}

/// What keys mean.
#[derive(Debug, Default)]
pub(crate) enum Mode {
    #[default]
    Normal,
    Insert(Box<Insertion>),
    Visual(Visual),
    Prompt(Box<Prompt>),
    /// `:s` with the flag `c` asks.
    Confirm(Box<Substitution>),
    /// A text is shown until a key comes.
    Page,
}

/// Text that is being typed.
#[derive(Debug, Default, Clone)]
pub(crate) struct Insertion {
    pub(crate) count: usize,
    /// Characters take the place of others.
    pub(crate) replace: bool,
    /// What the count repeats begins with a new line.
    pub(crate) opens: bool,
    pub(crate) keys: Vec<Key>,
    /// What `R` has typed over, for Backspace.
    pub(crate) covered: Vec<Option<String>>,
    /// `C-v` or `C-r` waits for its key; digits of a code.
    pub(crate) awaited: Option<char>,
    pub(crate) code: String,
    pub(crate) start: Position,
    pub(crate) block: Option<BlockInsertion>,
    /// `C-o` was typed behind the last character of this line.
    pub(crate) behind: Option<usize>,
    /// The line has nothing but the indent that came with it.
    pub(crate) indent_only: bool,
}

/// What is typed in the first line of a block comes into the others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockInsertion {
    pub(crate) last: usize,
    /// The column; `usize::MAX` is the end of each line.
    pub(crate) column: usize,
    /// Short lines are made long enough.
    pub(crate) fill: bool,
    /// The length of the first line before, and where the cursor goes in it.
    pub(crate) length: usize,
    pub(crate) cursor: usize,
}

/// What a selection consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VisualKind {
    Chars,
    Lines,
    Block,
}

/// A selection: from here to the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visual {
    pub(crate) kind: VisualKind,
    pub(crate) start: Position,
    /// A block goes to the ends of the lines.
    pub(crate) to_end: bool,
}

/// A line that is typed at the bottom of the screen.
#[derive(Debug, Default, Clone)]
pub(crate) struct Prompt {
    /// `:`, `/` or `?`.
    pub(crate) sign: char,
    pub(crate) text: Vec<char>,
    pub(crate) at: usize,
    /// Which line of the history it is, from the newest on; and what was typed before.
    pub(crate) recalled: usize,
    pub(crate) typed: Vec<char>,
    pub(crate) awaited: Option<char>,
    /// The command whose motion a search is.
    pub(crate) command: Option<Command>,
    pub(crate) visual: Option<Visual>,
    pub(crate) completions: Vec<String>,
    pub(crate) completed: usize,
}

/// The last change, for `.`.
#[derive(Debug, Clone)]
pub(crate) struct Repeat {
    pub(crate) command: Command,
    pub(crate) keys: Vec<Key>,
    /// The kind, the lines and the columns of the selection that it was applied to.
    pub(crate) selection: Option<(VisualKind, usize, usize)>,
}

/// The last search.
#[derive(Debug, Default)]
pub(crate) struct Search {
    pub(crate) text: String,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) backward: bool,
    pub(crate) offset: String,
    /// Whether matches are marked, with `:set hls`.
    pub(crate) shown: bool,
}

/// The file that is edited, and the others of the command line.
#[derive(Debug, Default)]
pub(crate) struct FileState {
    pub(crate) name: Option<String>,
    pub(crate) other: Option<String>,
    pub(crate) arguments: Vec<String>,
    pub(crate) at: usize,
    /// When it was changed as it was read or written.
    pub(crate) changed_at: Option<u128>,
}

/// What part of the text is seen.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct View {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
    /// The first line, and which of its rows is the first.
    pub(crate) top: usize,
    pub(crate) top_row: usize,
    /// Without wrapping, the first column.
    pub(crate) left: usize,
}

impl Editor {
    /// An editor of an empty text.
    #[must_use]
    pub fn new(system: Box<dyn System>, columns: usize, rows: usize) -> Self {
        Self {
            system,
            text: Text::default(),
            settings: Settings::default(),
            registers: Registers::default(),
            cursor: Position::default(),
            wanted: 0,
            mode: Mode::Normal,
            pending: Vec::new(),
            queue: VecDeque::new(),
            recording: None,
            executed: None,
            repeat: None,
            repeating: false,
            interrupted: None,
            find: None,
            search: Search::default(),
            last_substitution: None,
            last_visual: None,
            jumps: Vec::new(),
            jump: 0,
            file: FileState::default(),
            prompts: BTreeMap::new(),
            view: View { columns: columns.max(2), rows: rows.max(2), ..View::default() },
            screen: Screen::default(),
            message: String::new(),
            page: Vec::new(),
            bells: 0,
            failed: false,
            ended: None,
            ex_depth: 0,
            steps: 0,
            spent: 0,
            stopped: false,
        }
    }

    /// The exit status, once the editor has ended.
    #[must_use]
    pub fn exit_status(&self) -> Option<u8> {
        self.ended
    }

    /// The lines of the text.
    #[must_use]
    pub fn lines(&self) -> Vec<&str> {
        (0..self.text.len()).map(|at| self.text.line(at)).collect()
    }

    /// Where the cursor is: its line and its column in bytes, both from 0 on.
    #[must_use]
    pub fn cursor(&self) -> (usize, usize) {
        (self.cursor.line, self.cursor.column)
    }

    /// What the last row says.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The terminal has another size.
    pub fn resize(&mut self, columns: usize, rows: usize) {
        (self.view.columns, self.view.rows) = (columns.max(2), rows.max(2));
        self.screen.invalidate();
    }

    /// The screen was written to by others.
    pub fn redraw(&mut self) {
        self.screen.invalidate();
    }

    pub(crate) fn line(&self) -> &str {
        self.text.line(self.cursor.line)
    }

    pub(crate) fn tabs(&self) -> Tabs {
        Tabs { stop: self.settings.tabstop, list: self.settings.list }
    }

    /// A command has failed: registers that are carried out stop.
    pub(crate) fn fail(&mut self) {
        self.failed = true;
        self.bells += 1;
        self.queue.clear();
    }

    /// The same with a message.
    pub(crate) fn report_error(&mut self, message: impl Into<String>) {
        self.message = message.into();
        self.fail();
    }

    /// A new command: nothing has stopped it.
    pub(crate) fn begin_command_budget(&mut self) {
        (self.failed, self.stopped, self.spent) = (false, false, 0);
    }

    /// Whether a command that may be long takes one more step. Control-C and the end of the session stop it.
    pub(crate) fn goes_on(&mut self) -> bool {
        /// How many steps are taken before it asks again.
        const STEPS: usize = 256;
        self.steps = self.steps.wrapping_add(1);
        if !self.stopped && self.steps.is_multiple_of(STEPS) && self.system.is_interrupted() {
            self.stopped = true;
            self.report_error(INTERRUPTED);
        }
        !self.stopped
    }

    /// Counts keys and commands that come from registers and counts. False when they are too many.
    pub(crate) fn spend(&mut self, amount: usize) -> bool {
        /// The most of them after a key was pressed.
        const MOST: usize = 1_000_000;
        self.spent = self.spent.saturating_add(amount);
        if !self.stopped && self.spent > MOST {
            self.stopped = true;
            self.report_error(format!("E169: Stopped: registers and counts make more than {MOST} keys"));
        }
        !self.stopped
    }

    pub(crate) fn is_visual(&self) -> bool {
        matches!(self.mode, Mode::Visual(_))
    }
}
