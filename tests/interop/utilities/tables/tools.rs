//! What searches, edits, compares, packs and shows.

mod comparing;
mod editing;
mod search;

use crate::utilities::table::Tables;

/// The tools.
pub(in crate::utilities) const TOOLS: &Tables = &[
    (comparing::TABLES, comparing::DIFFERENCES),
    (editing::TABLES, editing::DIFFERENCES),
    (search::TABLES, search::DIFFERENCES),
];
