//! `bench`.

use crate::step::Outcome;

pub(crate) const HELP: &str = "\
cargo xtask bench";

pub(crate) fn run(_arguments: &[String]) -> Outcome {
    Err("soon".to_owned())
}
