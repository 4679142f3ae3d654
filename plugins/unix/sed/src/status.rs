//! Exit statuses.

/// The exit status of a wrong command line or script.
pub(crate) const BAD_USAGE: u8 = 1;
/// The exit status if an input file could not be read.
pub(crate) const BAD_INPUT: u8 = 2;
/// The exit status of an error of input or output.
pub(crate) const PANIC: u8 = 4;
