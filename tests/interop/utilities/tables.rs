//! The command lines, and the differences that are intended.
//!
//! A line is what follows the name of its utility; a shell splits it into words. It may end in ` < FILE`, its standard
//! input, which is otherwise empty. A line that begins with `$ ` is a script, which `sh` runs. The files are those of
//! `tree.rs`.

mod added;
mod files;
mod names;
mod numbers;
mod output;
mod pieces;
mod sums;
mod system;
mod text;
mod tools;

use super::table::Tables;

pub(super) use tools::TOOLS;

/// The core utilities.
pub(super) const CORE: &Tables = &[
    (added::TABLES, added::DIFFERENCES),
    (files::TABLES, files::DIFFERENCES),
    (names::TABLES, names::DIFFERENCES),
    (numbers::TABLES, numbers::DIFFERENCES),
    (output::TABLES, output::DIFFERENCES),
    (pieces::TABLES, pieces::DIFFERENCES),
    (sums::TABLES, sums::DIFFERENCES),
    (system::TABLES, system::DIFFERENCES),
    (text::TABLES, text::DIFFERENCES),
];
