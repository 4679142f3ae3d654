//! What `find` evaluates for each file.

use std::cell::RefCell;
use std::rc::Rc;

use unix_common::regex::Regex;
use unix_common::time::Moment;

use crate::command::Batch;
use crate::compare::{Compared, Mode, Stamp};
use crate::print::{Format, Sink};

/// A test, an action, or several of them.
#[derive(Debug)]
pub(crate) enum Expression {
    Always(bool),
    Not(Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    /// `,`: both, and the result of the second.
    List(Box<Expression>, Box<Expression>),
    Name {
        pattern: String,
        ignore_case: bool,
    },
    Path {
        pattern: String,
        ignore_case: bool,
    },
    LinkName {
        pattern: String,
        ignore_case: bool,
    },
    Regex(Box<Regex>),
    /// Letters of types; with `follows` those of what a link leads to.
    Type {
        letters: Vec<char>,
        follows: bool,
    },
    /// The size in units of bytes, rounded up.
    Size(Compared, u64),
    Empty,
    Newer(Stamp, Moment),
    /// The age in units of seconds, rounded down.
    Age {
        stamp: Stamp,
        age: Compared,
        unit: i64,
    },
    Mode(Mode),
    Access {
        executable: bool,
    },
    Same(String),
    Prune,
    Quit,
    Delete,
    Print(Rc<Sink>, char),
    Format(Rc<Sink>, Vec<Format>),
    LongLine(Rc<Sink>),
    Execute {
        words: Vec<String>,
        in_folder: bool,
        asks: bool,
    },
    Batch(Rc<RefCell<Batch>>),
}

/// What holds for the whole search.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub(crate) struct Settings {
    pub(crate) paths: Vec<String>,
    /// `-L`: links are what they lead to.
    pub(crate) follow: bool,
    /// `-H`: those of the command line are.
    pub(crate) follow_first: bool,
    pub(crate) least_depth: usize,
    pub(crate) most_depth: usize,
    /// What is in a directory comes before it.
    pub(crate) depth_first: bool,
    /// A file that is gone when it is looked at is no error.
    pub(crate) ignore_races: bool,
}
