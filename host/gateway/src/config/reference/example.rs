//! Configurations for one purpose each, as a place to start from.

/// A configuration for one purpose.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Example {
    /// A private Unix for each connection of an AI agent or a CI job, with tight limits
    Sandbox,
}

impl Example {
    /// Its text.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Example::Sandbox => include_str!("example/sandbox.toml"),
        }
    }
}
