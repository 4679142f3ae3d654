//! The steps: what is done, and what is said about it.

mod descriptors;
mod files;
mod groups;
mod pipes;
mod programs;
mod signals;
pub(crate) mod terminal;
mod waiting;

use crate::Os;
use crate::start::{program, say};
use crate::system::{Change, Result, System};

/// A name, and what to do. Each runs in a process of its own.
type Step = (&'static str, fn() -> Result<()>);

const STEPS: [&[Step]; 7] =
    [descriptors::STEPS, files::STEPS, groups::STEPS, pipes::STEPS, programs::STEPS, signals::STEPS, waiting::STEPS];

/// Says what a step sees.
macro_rules! saw {
    ($($what:tt)*) => { $crate::start::say(1, &format!("  {}", format_args!($($what)*))) };
}
pub(crate) use saw;

/// Runs all steps, one after the other.
pub(crate) fn run_all() -> u8 {
    let own = Os::program();
    for (name, _) in STEPS.iter().copied().flatten() {
        match program(&own, &[own.as_str(), name]).run() {
            Ok(Change::Exited(0)) => {}
            other => say(1, &format!("  {name} ended badly: {other:?}")),
        }
    }
    0
}

/// The step of this name.
pub(crate) fn find(name: &str) -> Option<fn() -> Result<()>> {
    STEPS.iter().copied().flatten().find(|(known, _)| *known == name).map(|(_, step)| *step)
}

/// Runs a step.
pub(crate) fn run_one(name: &str) -> u8 {
    let Some(step) = find(name) else {
        say(2, &format!("there is no step {name:?}"));
        return 2;
    };
    say(1, &format!("{name}:"));
    match step() {
        Ok(()) => 0,
        Err(error) => {
            saw!("failed: {error}");
            1
        }
    }
}
