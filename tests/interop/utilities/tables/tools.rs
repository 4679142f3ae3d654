//! What searches, edits, compares, packs and shows.

mod calculating;
mod comparing;
mod editing;
mod languages;
mod patching;
mod ripgrep;
mod search;
mod viewing;

use crate::utilities::table::Tables;

/// The tools.
pub(in crate::utilities) const TOOLS: &Tables = &[
    (calculating::TABLES, calculating::DIFFERENCES),
    (comparing::TABLES, comparing::DIFFERENCES),
    (editing::TABLES, editing::DIFFERENCES),
    (languages::TABLES, languages::DIFFERENCES),
    (patching::TABLES, patching::DIFFERENCES),
    (ripgrep::TABLES, ripgrep::DIFFERENCES),
    (search::TABLES, search::DIFFERENCES),
    (viewing::TABLES, viewing::DIFFERENCES),
];
