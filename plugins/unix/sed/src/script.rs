//! A script, compiled.

use std::rc::Rc;

use unix_common::regex::Regex;

/// A regular expression; none is the one that was used last.
pub(crate) type Pattern = Option<Rc<Regex>>;

/// One condition of a command.
#[derive(Debug, Clone)]
pub(crate) enum Address {
    Line(u64),
    /// `first~step`
    Step(u64, u64),
    Last,
    Match(Pattern),
    /// The line before the first, `0,/re/`.
    Zero,
}

/// Where a range ends.
#[derive(Debug, Clone)]
pub(crate) enum End {
    Line(u64),
    /// `+N`
    After(u64),
    /// `~N`
    Multiple(u64),
    Last,
    Match(Pattern),
}

/// Whether a range is open, and to which line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    Closed,
    /// Until its end matches.
    Open,
    OpenTo(u64),
}

/// One command with its conditions.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) start: Option<Address>,
    pub(crate) end: Option<End>,
    pub(crate) negated: bool,
    pub(crate) range: Range,
    pub(crate) action: Action,
}

/// What a command does. Places are indices of commands, file names indices of outputs.
#[derive(Debug)]
pub(crate) enum Action {
    /// `{`: where to go on if its conditions do not hold.
    Block(usize),
    /// `}`, a label and a comment.
    Nothing,
    Append(Vec<u8>),
    Insert(Vec<u8>),
    Change(Vec<u8>),
    /// `b`, `t`, `T`.
    Branch(usize),
    BranchIfReplaced(usize),
    BranchUnlessReplaced(usize),
    Delete,
    DeleteFirst,
    Execute(String),
    FileName,
    Get,
    GetAppend,
    Hold,
    HoldAppend,
    Exchange,
    List(Option<usize>),
    Next,
    NextAppend,
    Print,
    PrintFirst,
    Quit(u8),
    QuitSilently(u8),
    Read(String),
    ReadLine(String),
    Write(usize),
    WriteFirst(usize),
    LineNumber,
    Substitute(Box<Substitution>),
    Translate(Vec<(char, char)>),
    Zap,
}

/// `s`.
#[derive(Debug)]
pub(crate) struct Substitution {
    pub(crate) pattern: Pattern,
    pub(crate) replacement: Vec<Part>,
    pub(crate) global: bool,
    /// The first match that is replaced, from 1 on.
    pub(crate) number: usize,
    pub(crate) print: usize,
    pub(crate) evaluate: bool,
    pub(crate) write: Option<usize>,
}

/// A part of a replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Text(Vec<u8>),
    /// A group; 0 is the whole match.
    Group(usize),
    Case(Case),
}

/// How letters that follow are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Upper,
    Lower,
    UpperOne,
    LowerOne,
    AsIs,
}

/// What the command line says of a script.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub(crate) struct Mode {
    pub(crate) extended: bool,
    pub(crate) posix: bool,
    pub(crate) sandbox: bool,
    pub(crate) null_data: bool,
}

/// A script and what it needs to run.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) commands: Vec<Command>,
    /// Names of the files that are written.
    pub(crate) outputs: Vec<String>,
    /// `#n` in its first line.
    pub(crate) silent: bool,
}
