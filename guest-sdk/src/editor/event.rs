//! What an editor tells its caller.

/// What a key has led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineEvent {
    /// A line was entered. The terminal's cursor is at the beginning of the row below it.
    Line(String),
    /// Control-D on an empty line: there is no more input. The line is over.
    EndOfInput,
    /// Control-C. The line is over, and what was typed is discarded.
    Interrupt,
    /// Control-Z. The line goes on.
    Suspend,
    /// Control-X Control-E: the text is to be edited with another program. The line is over. Its text goes on with
    /// [`Editor::begin_with`](super::Editor::begin_with), or is carried out.
    EditElsewhere(String),
    /// What was typed or pasted does not fit into the limits of the text, and is discarded. The line goes on.
    TooLong,
}
