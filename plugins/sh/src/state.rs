//! What a shell remembers: variables, options, descriptors, jobs, traps.

mod history;
mod interactive;
mod jobs;
mod options;
mod recall;
mod shell;
mod special;
pub(crate) mod stack;
mod variables;

pub(crate) use interactive::{Interactive, Known};
pub(crate) use jobs::{Job, JobState, status_of};
pub(crate) use options::{Options, SET_OPTIONS, SHOPTS};
pub(crate) use recall::Quote;
pub(crate) use shell::{Frame, Function, Run, Shell, Stop, TrapAction};
pub(crate) use variables::{Assoc, Kind, ScopeKind, Value, Variable, Variables};
