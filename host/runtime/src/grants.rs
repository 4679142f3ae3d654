//! What a plugin may be granted beyond its own session, and what it requires.
//!
//! Everything is denied until a tenant grants it. The requirements of a plugin follow from its imports; a session
//! starts only if the tenant grants all of them. Stable WASI, including `wasi:http`, is not a requirement: toolchains
//! import it whether the program uses it or not, so it is always linked and fails until a grant provides it. Nor is
//! `wasi:config`: it gives access to nothing, and like the environment it is empty where the operator wrote nothing.
//!
//! Decided 2026-11-21: one linker offers every interface and the grants are checked before each instantiation, instead
//! of a linker for each set of grants. The imports of a component cannot change, so the check has one answer; a plugin
//! is compiled and linked once for all tenants; and each import still uses the tenant's own grant and fails without
//! one.

mod configuration;
mod directories;
mod directory;
mod homes;
pub mod keyvalue;
mod network;
pub(crate) mod topics;
mod tree;

pub use configuration::Configuration;
pub use directories::Directories;
pub use directory::{Access, Directory, DirectoryError, Quota, Usage};
pub(crate) use directory::{
    Counted, DiskWait, Entry, FileRoom, FileSlot, OpenCount, OpenPlaces, Opening, Position, READ, Refused, Times,
};
pub(crate) use directory::{QuotaAccount, TotalAccount};
pub(crate) use homes::HomeError;
pub use homes::{ConnectionHome, HomeLifetime, HomeQuota, HomeSettings, Homes, Skeleton, SkeletonError, lock_file};
pub use network::{AllowList, ReservedAddress, ReservedAddresses, TcpAllow};
pub(crate) use network::{Host, RESERVED, Scheme, Target};
pub(crate) use tree::{Device, Found, Kind, ListedKind, OpenFile, Start, Temporary, Tree, TreeListing};
pub use tree::{FileTree, Mount, NameFolder, TemporaryFolders, TreeSettings};

use std::sync::Arc;

use keyvalue::Buckets;
use topics::Topics;

/// An interface that needs a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// `wasi:keyvalue`: the tenant's own buckets.
    KeyValue,
    /// `whelk:ssh/topics`: messages between the tenant's sessions.
    Topics,
    /// `whelk:process`: programs that start programs.
    Process,
}

/// The grant for each interface, by the beginning of its name.
const INTERFACES: [(&str, Grant); 3] =
    [("whelk:ssh/topics", Grant::Topics), ("wasi:keyvalue/", Grant::KeyValue), ("whelk:process/", Grant::Process)];

/// The value that grants HTTP requests, for the operator to complete.
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
    // TOML allows a key without quotes if it has only these characters.
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
            Self::Process => "process",
        }
    }

    /// The grant that an import needs, if any.
    #[must_use]
    pub fn of_import(import: &str) -> Option<Self> {
        INTERFACES.iter().find(|(name, _)| import.starts_with(name)).map(|(_, grant)| *grant)
    }

    /// The line of the configuration that would grant it to a tenant; the operator replaces what is in capitals.
    #[must_use]
    pub fn line(self, tenant: &str) -> String {
        line(tenant, self.value())
    }

    /// The same in the form of the configuration: the header of the table, and the value on its own line.
    #[must_use]
    pub fn toml(self, tenant: &str) -> String {
        format!("{}\n{}\n", table(tenant), self.value())
    }

    fn value(self) -> &'static str {
        match self {
            Self::KeyValue => "keyvalue = { bytes = \"16 MiB\", keys = 10000 }",
            Self::Topics => "topics = true",
            Self::Process => "process = true",
        }
    }
}

/// The resolution of WASI's clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clock {
    /// Whole milliseconds: too coarse for cache timing attacks.
    #[default]
    Coarse,
    /// The system's resolution.
    Fine,
}

/// What a tenant grants its plugins. What is empty or `None` is denied.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    /// The tenant's buckets.
    pub keyvalue: Option<Arc<dyn Buckets>>,
    /// The tenant's topics.
    pub topics: Option<Arc<Topics>>,
    /// Whether its programs may start others.
    pub process: bool,
    /// A directory, at the root of what a session sees.
    pub directory: Option<Arc<Directory>>,
    /// What its sessions see of files beside that.
    pub tree: FileTree,
    /// A directory for each principal, connection or session, instead of one for all.
    pub homes: Option<Arc<Homes>>,
    /// The contents of `wasi:cli/environment`: names and values.
    pub environment: Vec<(String, String)>,
    /// The contents of `wasi:config`. Only authenticators have any.
    pub config: Configuration,
    /// The resolution of the clocks.
    pub clock: Clock,
    /// The hosts for `wasi:http`.
    pub http: Option<Arc<AllowList>>,
    /// The addresses for `wasi:sockets`.
    pub tcp: Option<Arc<TcpAllow>>,
}

impl Grants {
    /// Whether this is granted.
    pub(crate) fn has(&self, grant: Grant) -> bool {
        match grant {
            Grant::KeyValue => self.keyvalue.is_some(),
            Grant::Topics => self.topics.is_some(),
            Grant::Process => self.process,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_interface_needs_its_grant_in_any_version() {
        for (import, grant) in [
            ("wasi:http/outgoing-handler@0.2.0", None),
            ("wasi:keyvalue/store@0.2.0-draft", Some(Grant::KeyValue)),
            ("whelk:ssh/topics@0.1.0", Some(Grant::Topics)),
            ("whelk:process/process@0.1.0", Some(Grant::Process)),
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
