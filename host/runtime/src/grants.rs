//! What a plugin may be given beyond its own session, and what it asks for.
//!
//! Everything is denied until a tenant grants it. What a plugin asks for is read from its imports when it is loaded; a session is
//! started only when the tenant grants all of that. Stable WASI is no request: toolchains import it whether the program uses it
//! or not, so it is always linked, and a grant fills it.
//!
//! Decided 2026-11-21: one linker offers every interface and [`Grants::missing`] is asked before each instantiation, instead of a linker
//! for each set of grants. The imports of a component cannot change, so the question has one answer; a plugin is compiled and linked once
//! for all tenants; and each import still answers from the tenant's own grant, and finds none when there is none.

mod directory;
pub mod keyvalue;
pub(crate) mod topics;

pub use directory::{Access, Directory, DirectoryError, Quota, Usage};
pub(crate) use directory::{Count, Counted, Entry, Listing, Opening, Position, READ, Refused, Slot, Times};

use std::collections::BTreeSet;
use std::sync::Arc;

use keyvalue::Buckets;
use topics::Topics;

/// An interface that takes a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// `wasi:keyvalue`: the tenant's own buckets.
    KeyValue,
    /// `whelk:ssh/topics`: messages among the tenant's sessions.
    Topics,
    /// `wasi:http`: requests to an allow-list.
    Http,
}

/// What each interface takes, by how its name begins.
const INTERFACES: [(&str, Grant); 3] =
    [("whelk:ssh/topics", Grant::Topics), ("wasi:http/", Grant::Http), ("wasi:keyvalue/", Grant::KeyValue)];

impl Grant {
    /// The name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KeyValue => "keyvalue",
            Self::Topics => "topics",
            Self::Http => "http",
        }
    }

    /// What an import takes; none if it takes nothing.
    pub(crate) fn of_import(import: &str) -> Option<Self> {
        INTERFACES.iter().find(|(name, _)| import.starts_with(name)).map(|(_, grant)| *grant)
    }
}

/// What a tenant gives its plugins.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    /// The tenant's buckets.
    pub keyvalue: Option<Arc<dyn Buckets>>,
    /// The tenant's topics.
    pub topics: Option<Arc<Topics>>,
    /// A directory; without it there are no files at all.
    pub directory: Option<Arc<Directory>>,
}

impl Grants {
    /// What of this is not granted.
    #[must_use]
    pub fn missing(&self, needs: &BTreeSet<Grant>) -> Vec<Grant> {
        needs.iter().copied().filter(|grant| !self.has(*grant)).collect()
    }

    fn has(&self, grant: Grant) -> bool {
        match grant {
            Grant::KeyValue => self.keyvalue.is_some(),
            Grant::Topics => self.topics.is_some(),
            Grant::Http => false,
        }
    }
}
