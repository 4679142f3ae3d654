//! The text of a line and its cursor: edits with undo, motions, and what was killed.

mod buffer;
mod draft;
mod kills;
mod motion;
mod undo;
mod vi;

pub(super) use buffer::Buffer;
pub(super) use draft::Draft;
pub(super) use kills::Kills;
