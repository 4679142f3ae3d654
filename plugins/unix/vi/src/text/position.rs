//! Places in a text.

/// A place in a text. The column is in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Position {
    pub(crate) fn new(line: usize, column: usize) -> Self {
        Self { line, column }
    }
}
