//! What tests compare.

/// A number to compare with: `+N` is more, `-N` is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compared {
    More(u64),
    Less(u64),
    Exactly(u64),
}

impl Compared {
    pub(crate) fn holds(self, number: u64) -> bool {
        match self {
            Self::More(than) => number > than,
            Self::Less(than) => number < than,
            Self::Exactly(than) => number == than,
        }
    }
}

/// Which time of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stamp {
    Accessed,
    Changed,
    Modified,
}

/// How bits of modes are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Exactly(u32),
    All(u32),
    Any(u32),
}
