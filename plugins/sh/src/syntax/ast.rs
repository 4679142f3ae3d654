//! The syntax tree.

use std::cell::OnceCell;
use std::rc::Rc;

/// Commands one after another.
#[derive(Debug, Clone, Default)]
pub(crate) struct List {
    pub(crate) items: Vec<Item>,
}

/// One and-or list of a list, and whether `&` follows.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) and_or: Rc<AndOr>,
    pub(crate) background: bool,
}

/// Pipelines joined by `&&` (true) and `||` (false).
#[derive(Debug, Clone)]
pub(crate) struct AndOr {
    pub(crate) first: Pipeline,
    pub(crate) rest: Vec<(bool, Pipeline)>,
}

/// Commands joined by `|`.
#[derive(Debug, Clone)]
pub(crate) struct Pipeline {
    pub(crate) negated: bool,
    /// `time`, and whether with `-p`.
    pub(crate) timed: Option<bool>,
    pub(crate) commands: Vec<Rc<Command>>,
}

/// A command with its redirections.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) kind: CommandKind,
    pub(crate) redirects: Vec<Redirect>,
    pub(crate) line: u32,
}

/// The commands of XCU 2.9.1 to 2.9.5, and bash's.
#[derive(Debug, Clone)]
pub(crate) enum CommandKind {
    Simple { assignments: Vec<Assignment>, words: Vec<Word> },
    Group(List),
    Subshell(Rc<List>),
    If { branches: Vec<(List, List)>, otherwise: Option<List> },
    Loop { until: bool, condition: List, body: List },
    For(For),
    ArithFor { parts: [Word; 3], body: List },
    Case(Case),
    Function { name: String, body: Rc<Command> },
    Arith(Word),
    Test(Test),
    Coproc { name: String, body: Rc<Command> },
}

/// `for` and `select`.
#[derive(Debug, Clone)]
pub(crate) struct For {
    pub(crate) name: String,
    pub(crate) is_select: bool,
    /// None: the positional parameters.
    pub(crate) words: Option<Vec<Word>>,
    pub(crate) body: List,
}

#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) word: Word,
    pub(crate) arms: Vec<Arm>,
}

/// One arm of `case`, and how it ends: `;;`, `;&` or `;;&`.
#[derive(Debug, Clone)]
pub(crate) struct Arm {
    pub(crate) patterns: Vec<Word>,
    pub(crate) body: List,
    pub(crate) end: &'static str,
}

/// The expressions of `[[ ]]`.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    Word(Word),
    Unary(String, Word),
    Binary(Word, String, Word),
    Not(Box<Test>),
    And(Box<Test>, Box<Test>),
    Or(Box<Test>, Box<Test>),
    Group(Box<Test>),
}

#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    pub(crate) name: String,
    pub(crate) subscript: Option<Subscript>,
    pub(crate) append: bool,
    pub(crate) value: Word,
    pub(crate) array: Option<Vec<ArrayItem>>,
}

/// An element of `a=(..)`.
#[derive(Debug, Clone)]
pub(crate) struct ArrayItem {
    pub(crate) key: Option<Subscript>,
    pub(crate) append: bool,
    pub(crate) value: Word,
}

/// The descriptor before a redirection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FdRef {
    Default,
    Number(u32),
    Variable(String),
}

#[derive(Debug, Clone)]
pub(crate) struct Redirect {
    pub(crate) fd: FdRef,
    pub(crate) op: RedirectOp,
    pub(crate) target: Word,
    pub(crate) here: Option<Rc<OnceCell<HereDoc>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RedirectOp {
    Input,
    Output,
    Clobber,
    Append,
    ReadWrite,
    DupInput,
    DupOutput,
    HereDoc { strip: bool },
    HereString,
    Both,
    AppendBoth,
}

/// The body of a here-document.
#[derive(Debug, Clone)]
pub(crate) struct HereDoc {
    pub(crate) body: Word,
    pub(crate) raw: String,
    pub(crate) delimiter: String,
}

/// A word: its parts, and its text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Word {
    pub(crate) parts: Vec<Part>,
    pub(crate) raw: String,
}

impl Word {
    /// The word as it stands, if nothing in it is quoted or expanded.
    pub(crate) fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// A word that is this text, quoted.
    pub(crate) fn quoted(text: &str) -> Self {
        Self { parts: vec![Part::Quoted(text.to_owned())], raw: crate::text::quote(text) }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// Not quoted.
    Literal(String),
    /// Quoted by `'..'`, `$'..'` or a backslash.
    Quoted(String),
    /// `".."`.
    Double(Vec<Part>),
    Parameter(Box<Parameter>),
    /// `$(..)`.
    Command(Rc<List>),
    /// The text between backquotes, without their backslashes.
    Backquote(String),
    /// `$((..))` and `$[..]`.
    Arithmetic(Word),
    /// `<(..)` and `>(..)`.
    Process {
        output: bool,
        list: Rc<List>,
    },
    /// `name=(..)` as an argument of a declaration.
    Array(Vec<ArrayItem>),
}

#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) subscript: Option<Subscript>,
    /// `${!name}`.
    pub(crate) indirect: bool,
    pub(crate) op: ParameterOp,
    /// The text of `${..}`.
    pub(crate) raw: String,
}

#[derive(Debug, Clone)]
pub(crate) enum Subscript {
    /// `[@]`.
    All,
    /// `[*]`.
    Joined,
    Index(Word),
}

#[derive(Debug, Clone)]
pub(crate) enum ParameterOp {
    Plain,
    Length,
    /// `-`, `=`, `?`, `+`, with a colon or without.
    Default {
        colon: bool,
        op: char,
        word: Word,
    },
    Trim {
        suffix: bool,
        longest: bool,
        pattern: Word,
    },
    /// `anchor`: `/`, `#` or `%`; `all`: `//`.
    Replace {
        all: bool,
        anchor: char,
        pattern: Word,
        replacement: Word,
    },
    Slice {
        offset: Word,
        length: Option<Word>,
    },
    Case {
        op: char,
        all: bool,
        pattern: Word,
    },
    Transform(char),
    /// `${!prefix*}`, or with `@`.
    Names {
        at: bool,
    },
    /// `${!name[@]}`.
    Keys,
    /// `${..}` that means nothing: an error when it is expanded.
    Bad,
}
