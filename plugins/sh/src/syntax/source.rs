//! Where the text comes from: lines, each when it is needed.

/// A source of lines.
pub(crate) trait Lines {
    /// The next line with its newline; none at the end.
    fn next_line(&mut self, place: LinePlace) -> Option<String>;
}

/// What a line is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinePlace {
    /// A command begins.
    First,
    /// One goes on.
    Further,
    /// It is part of a here-document.
    HereDocument,
}

/// The lines of a text.
pub(crate) struct TextLines {
    text: String,
    at: usize,
}

impl TextLines {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), at: 0 }
    }
}

impl Lines for TextLines {
    fn next_line(&mut self, _: LinePlace) -> Option<String> {
        let rest = &self.text[self.at..];
        let length = rest.find('\n').map_or(rest.len(), |at| at + 1);
        self.at += length;
        (length > 0).then(|| rest[..length].to_owned())
    }
}
