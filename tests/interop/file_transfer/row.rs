//! What a client is: its name, how it is run, and what it does for each operation.

use super::operation::Operation;
use super::site::Site;
use std::process::Command;
use whelk_tests::{Finished, Input, Running, SOON, size};

/// What a client does for an operation.
#[derive(Debug)]
pub(super) enum Step {
    /// Commands that it reads.
    Lines(Vec<String>),
    /// Arguments of its runs, one after another.
    Runs(Vec<Vec<String>>),
    /// Its driver knows.
    Driven,
    /// It cannot do that: why.
    Lacks(&'static str),
}

/// How a client is run.
#[derive(Clone, Copy)]
pub(super) enum How {
    /// With a file of commands.
    Batch(fn(&Site, &[String]) -> Command),
    /// With the arguments of one step.
    Each(fn(&Site, &[String]) -> Command),
    /// A driver that is told the operations, and prints a JSON line for each.
    Driver(fn(&Site) -> Command),
    /// Mounted, and used by this program.
    Mounted,
}

/// A client.
pub(super) struct Client {
    pub(super) name: &'static str,
    pub(super) how: How,
    pub(super) step: fn(&Site, Operation) -> Step,
    /// Parts of names that it cannot transfer, and why.
    pub(super) without: &'static [&'static str],
}

/// What came of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    Done,
    Lacks(&'static str),
    Failed(String),
}

/// Runs a client to its end, with no home but its own folder and names in UTF-8.
pub(super) fn run(mut command: Command) -> Finished {
    command.env("LC_ALL", "C.UTF-8");
    Running::run(command, Input::Nothing, SOON * u32::try_from(size(1, 10)).unwrap_or(1))
}

/// Both streams.
pub(super) fn said(finished: &Finished) -> String {
    format!("{}{}", finished.out.text(), finished.err)
}

pub(super) fn succeeded(finished: &Finished) -> Result<String, String> {
    let said = said(finished);
    if finished.status == Some(0) { Ok(said) } else { Err(format!("status {:?}: {}", finished.status, said.trim())) }
}

/// Words as owned texts.
pub(super) fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}
