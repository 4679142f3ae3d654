//! Which cases are run.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// Without `WHELK_PROVE` one of so many cases of each class is run, and at least one.
const SLICE: u32 = 16;

/// Which cases are run.
#[derive(Debug, Clone)]
pub enum Choice {
    /// All.
    All,
    /// Those whose name contains one of these.
    Named(Vec<String>),
    /// A part of each class, always the same.
    Slice,
}

impl Choice {
    /// As `SUITE` and `WHELK_PROVE` say.
    pub fn from_environment() -> Self {
        match Self::named() {
            Some(named) => named,
            None if std::env::var_os("WHELK_PROVE").is_some() => Self::All,
            None => Self::Slice,
        }
    }

    /// Those that `SUITE` names.
    pub fn named() -> Option<Self> {
        let names = std::env::var("SUITE").ok().filter(|names| !names.is_empty())?;
        Some(Self::Named(names.lines().map(str::to_owned).collect()))
    }

    /// Whether a case is run, for a suite whose cases are asked for one after another.
    pub fn picker(&self) -> impl Fn(&str) -> bool {
        let seen: RefCell<BTreeMap<String, u32>> = RefCell::default();
        move |name| match self {
            Self::All => true,
            Self::Named(parts) => parts.iter().any(|part| name.contains(part)),
            Self::Slice => {
                let mut seen = seen.borrow_mut();
                let count = seen.entry(name.split(": ").next().unwrap_or_default().to_owned()).or_default();
                *count += 1;
                *count % SLICE == 1
            }
        }
    }

    /// Whether a file of yash is run. `slice`: those that are run where only a part is.
    pub fn has_file(&self, name: &str, slice: &[&str]) -> bool {
        match self {
            Self::All => true,
            Self::Named(parts) => parts.iter().any(|part| part.contains(name)),
            Self::Slice => slice.contains(&name),
        }
    }
}
