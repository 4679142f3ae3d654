//! A path that a plugin has chosen, as a field of an event.

/// A path: whole for records, and what its line in the log shows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathText<'a> {
    /// As the plugin means it.
    pub whole: &'a str,
    /// The end of it, made harmless.
    pub shown: &'a str,
}

/// A field with a path, as its line has it.
#[doc(hidden)]
pub trait ShownPath {
    /// What is written.
    type Shown: tracing::Value;

    /// What the line shows.
    fn shown(self) -> Self::Shown;
}

impl<'a> ShownPath for PathText<'a> {
    type Shown = &'a str;

    fn shown(self) -> Self::Shown {
        self.shown
    }
}

impl<'a> ShownPath for Option<PathText<'a>> {
    type Shown = Option<&'a str>;

    fn shown(self) -> Self::Shown {
        self.map(|path| path.shown)
    }
}
