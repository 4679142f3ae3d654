//! `vi`: a screen editor, as Vim's users know it. The editor itself does no input and output: keys go into an
//! [`Editor`], bytes for the terminal come out of it, and files and commands are those of its [`System`].
//!
//! ```text
//! editor       keys to changes: the modes, operators, what is drawn
//! ex           the commands behind `:`
//! text         the lines, marks, and the changes that can be undone
//! motion       words, brackets, paragraphs, text objects
//! pattern      Vim's patterns; replacement: what `:s` puts in place of a match
//! screen       the cells of the terminal, and the bytes that change them
//! ```
//!
//! # Decisions
//!
//! 2026-11-30, what edits. Chosen: an editor of our own over `regex-automata` and `unicode-width`, which other
//! utilities are built on already. Refused:
//!
//! | | why |
//! |---|---|
//! | `modalkit` 0.0.32 (Apache-2.0) | Vim's keys as a library: 100 packages, with `crossterm` and ICU's tables |
//! | `edtui` 0.11 (MIT) | 60 packages; neither `:` commands nor registers, marks, `.` or macros |
//! | `kibi` 0.3 (MIT or Apache-2.0) | small, but no vi: a port of `kilo` with a terminal of its own |
//! | `helix-core` (MPL-2.0) | the licence, tree-sitter, and selections before verbs |
//! | `ropey` 1.6 (MIT) for the text | a line is the unit of all that vi does; see `text` |

mod columns;
mod editor;
mod encoding;
mod ex;
mod key;
mod motion;
mod pattern;
mod replacement;
mod screen;
mod settings;
mod system;
mod text;

pub use editor::Editor;
pub use system::{Finished, INTERRUPTED, LARGEST_TEXT, ReadError, System};
