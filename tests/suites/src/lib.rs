//! Public suites of shells, with what it takes to run their cases: natively, and anywhere else by a [`Shell`].
//!
//! * yash's scripted tests (GPL-3.0-or-later, from the package yash-cli): the files `*-p.sh`, which any POSIX shell
//!   passes. They are fetched when the test runs, and are no part of this repository.
//! * brush's cases (MIT, from the package brush-shell): commands whose output bash itself says.
//! * just-bash's cases (Apache-2.0, from the package just-bash of PyPI): those of the Oils project, and its comparisons
//!   with bash.
//!
//! Settings: `WHELK_PROVE` runs every case, not only some of each class; `SUITE` runs those whose name contains it, or
//! one of its lines; `SUITE_SHOW` also shows what differs.

pub mod brush;
mod case;
mod choice;
mod failures;
pub mod just_bash;
mod native;
mod package;
mod run;
mod table;
pub mod yash;

pub use case::{Case, Comparison, File, Folders, Outcome, Shell, Start, Value, outcome};
pub use choice::Choice;
pub use failures::Failures;
pub use native::{Native, Shells};
pub use run::{Ran, each, run_command};
pub use table::{Suite, Verdicts};
