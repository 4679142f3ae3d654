//! What the shells do.

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// A session that prints six bytes.
    Start,
    /// The same after a program that does nothing.
    True,
    /// Three programs joined by pipes.
    Pipeline,
    /// A GiB through a pipe.
    Pipe,
    Builtins,
    Programs,
}

/// CPU and wall time, in the unit of the title, and by how many MiB the memory of the server grew at most.
pub(crate) type Figures = [f64; 3];

impl Work {
    pub(crate) const ALL: [Self; 6] =
        [Self::Start, Self::True, Self::Pipeline, Self::Pipe, Self::Builtins, Self::Programs];

    /// The titles of its figures and their units, in the order of [`Figures`].
    pub(crate) fn titles(self) -> [(String, &'static str); 3] {
        let what = match self {
            Self::Start => "shell, session",
            Self::True => "shell, session with /bin/true",
            Self::Pipeline => "shell, three stages",
            Self::Pipe => "shell, 1 GiB through cat",
            Self::Builtins => "shell, 10,000 builtins",
            Self::Programs => "shell, 1,000 programs",
        };
        let what = what.to_owned();
        let unit = if self == Self::Pipe { "s" } else { "ms" };
        let (wall, memory) = (format!("{what}: wall time"), format!("{what}: memory"));
        [(what, unit), (wall, unit), (memory, "MiB")]
    }

    pub(crate) fn script(self) -> &'static str {
        match self {
            Self::Start => "printf 123456",
            Self::True => "/bin/true && printf 123456",
            Self::Pipeline => "seq 123456 123465 | sort | head -c 6",
            Self::Pipe => "head -c 1073741824 /dev/zero | cat >/dev/null",
            Self::Builtins => "i=0; while [ $i -lt 10000 ]; do i=$((i+1)); done; :",
            Self::Programs => "i=0; while [ $i -lt 1000 ]; do /bin/true; i=$((i+1)); done; :",
        }
    }

    /// How many sessions of one connection run it; none: a session of OpenSSH's client.
    pub(crate) fn sessions(self) -> Option<u32> {
        match self {
            Self::Start | Self::True => Some(300),
            Self::Pipeline => Some(100),
            Self::Pipe | Self::Builtins | Self::Programs => None,
        }
    }

    pub(crate) fn unit(self) -> f64 {
        if self == Self::Pipe { 1.0 } else { 1e3 }
    }
}
