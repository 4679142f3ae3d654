//! What a plugin may be given beyond its own session, and what it asks for.
//!
//! Everything is denied until a tenant grants it. What a plugin asks for is read from its imports when it is loaded; a session is
//! started only when the tenant grants all of that. Stable WASI, `wasi:http` included, is no request: toolchains import it whether the
//! program uses it or not, so it is always linked, and answers with a refusal until a grant fills it.
//!
//! Decided 2026-11-21: one linker offers every interface and `Plugin::admit` is asked before each instantiation, instead of a linker
//! for each set of grants. The imports of a component cannot change, so the question has one answer; a plugin is compiled and linked once
//! for all tenants; and each import still answers from the tenant's own grant, and finds none when there is none.

mod directory;
pub mod keyvalue;
mod network;
pub(crate) mod topics;

pub use directory::{Access, Directory, DirectoryError, Quota, Usage};
pub(crate) use directory::{Count, Counted, Entry, Listing, Opening, Position, READ, Refused, Slot, Times};
pub use network::{AllowList, TcpAllow};
pub(crate) use network::{Host, Scheme, Target};

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
}

/// What each interface takes, by how its name begins.
const INTERFACES: [(&str, Grant); 2] = [("whelk:ssh/topics", Grant::Topics), ("wasi:keyvalue/", Grant::KeyValue)];

/// The value that grants requests of `wasi:http`, to be filled in by the operator.
const HTTP: &str = "http = [\"HOST\"]";

/// The line of the configuration that would let a tenant's plugins send requests.
pub(crate) fn http_line(tenant: &str) -> String {
    line(tenant, HTTP)
}

/// A line of the configuration that grants something to a tenant.
fn line(tenant: &str, value: &str) -> String {
    format!("{} {value}", table(tenant))
}

/// The header of a tenant's grants.
fn table(tenant: &str) -> String {
    // TOML takes a key without quotes if it has only these.
    let bare = !tenant.is_empty() && tenant.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let key = if bare { tenant.to_owned() } else { format!("{tenant:?}") };
    format!("[tenants.{key}.grants]")
}

impl Grant {
    /// The name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KeyValue => "keyvalue",
            Self::Topics => "topics",
        }
    }

    /// What an import takes; none if it takes nothing.
    #[must_use]
    pub fn of_import(import: &str) -> Option<Self> {
        INTERFACES.iter().find(|(name, _)| import.starts_with(name)).map(|(_, grant)| *grant)
    }

    /// The line of the configuration that would give it to a tenant; what is in capitals is for the operator to say.
    #[must_use]
    pub fn line(self, tenant: &str) -> String {
        line(tenant, self.value())
    }

    /// The same as it stands in the configuration: the header of the table, and the value on a line of its own.
    #[must_use]
    pub fn toml(self, tenant: &str) -> String {
        format!("{}\n{}\n", table(tenant), self.value())
    }

    fn value(self) -> &'static str {
        match self {
            Self::KeyValue => "keyvalue = { bytes = \"16 MiB\", keys = 10000 }",
            Self::Topics => "topics = true",
        }
    }
}

/// How fine the clocks of WASI are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clock {
    /// Whole milliseconds: too coarse to time a cache.
    #[default]
    Coarse,
    /// As fine as the system's.
    Fine,
}

/// What a tenant gives its plugins. What is empty or `None` is denied.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    /// The tenant's buckets.
    pub keyvalue: Option<Arc<dyn Buckets>>,
    /// The tenant's topics.
    pub topics: Option<Arc<Topics>>,
    /// A directory; without it there are no files at all.
    pub directory: Option<Arc<Directory>>,
    /// What `wasi:cli/environment` shows: names and values.
    pub environment: Vec<(String, String)>,
    /// How fine the clocks are.
    pub clock: Clock,
    /// Where requests of `wasi:http` may go.
    pub http: Option<Arc<AllowList>>,
    /// Where sockets of `wasi:sockets` may connect to.
    pub tcp: Option<Arc<TcpAllow>>,
}

impl Grants {
    /// Whether this is granted.
    pub(crate) fn has(&self, grant: Grant) -> bool {
        match grant {
            Grant::KeyValue => self.keyvalue.is_some(),
            Grant::Topics => self.topics.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_interface_takes_its_grant_in_any_version() {
        for (import, grant) in [
            ("wasi:http/outgoing-handler@0.2.0", None),
            ("wasi:keyvalue/store@0.2.0-draft", Some(Grant::KeyValue)),
            ("whelk:ssh/topics@0.1.0", Some(Grant::Topics)),
            ("wasi:sockets/tcp@0.2.0", None),
            ("whelk:ssh/channel@0.1.0", None),
        ] {
            assert_eq!(Grant::of_import(import), grant, "{import}");
        }
    }

    #[test]
    fn the_line_that_would_grant_is_valid_for_any_tenant() {
        assert_eq!(http_line("acme"), "[tenants.acme.grants] http = [\"HOST\"]");
        assert_eq!(Grant::Topics.line("a b"), "[tenants.\"a b\".grants] topics = true");
    }
}
