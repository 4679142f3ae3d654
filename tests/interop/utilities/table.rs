//! What a table of command lines has.

/// Command lines of one utility, or of several that take the same.
pub(super) struct Table {
    pub(super) names: &'static [&'static str],
    pub(super) lines: &'static [&'static str],
}

/// Lines that differ, as `NAME LINE`: in what, and why.
pub(super) struct Difference {
    #[expect(dead_code, reason = "it is for readers")]
    pub(super) reason: &'static str,
    pub(super) parts: &'static [Part],
    pub(super) lines: &'static [&'static str],
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Out,
    Err,
    Status,
    Files,
}

/// Several tables, and their differences.
pub(super) type Tables = [(&'static [Table], &'static [Difference])];

/// uutils say in words of clap what is wrong with the usage.
pub(super) const CLAP: &str = "uutils say in words of clap what is wrong with the usage";
/// WASI tells less of files.
pub(super) const MODES: &str = "WASI has no modes, no owners, no blocks and no inodes";
/// The machines are others.
pub(super) const MACHINE: &str = "it is another machine with another user";
/// Times of the runs are shown.
pub(super) const TIME: &str = "it shows how long it took";
/// There are no priorities.
pub(super) const PRIORITY: &str = "processes have no priorities here";
/// Columns are arranged otherwise.
pub(super) const LAYOUT: &str = "uutils arrange columns and lines otherwise";
/// Colours without a terminal's name.
pub(super) const COLOURS: &str = "GNU's take the colours of TERM, which is not set; uutils have some of their own";
/// Few kinds are known.
pub(super) const MAGIC: &str = "only usual kinds of files are known";
/// Messages in other words.
pub(super) const WORDS: &str = "the message has other words";
/// A later version of GNU's.
pub(super) const LATER: &str = "uutils do as a later version of GNU's, or of their own";
/// Behaviour of uutils, or for lack of something in WASI.
pub(super) const BEHAVIOUR: &str = "uutils do it otherwise under WASI";
