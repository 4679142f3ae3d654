//! Where a client and a server have the files of a test.

use super::operation::Operation;
use std::path::PathBuf;
use whelk_tests::Keys;

/// The folders of one client with one server, and how it gets in.
#[derive(Debug)]
pub(super) struct Site<'a> {
    /// The client's folder.
    pub(super) local: PathBuf,
    /// The server's folder, on this machine's disk.
    pub(super) disk: PathBuf,
    /// The same as the client sees it.
    pub(super) remote: String,
    pub(super) port: u16,
    pub(super) user: &'a str,
    pub(super) keys: &'a Keys,
    /// The fingerprints of the server's host keys.
    pub(super) fingerprints: &'a [String],
    /// Parts of names that the client cannot transfer.
    pub(super) without: &'static [&'static str],
}

impl Site<'_> {
    /// The client's folder for an operation.
    pub(super) fn here(&self, operation: Operation) -> PathBuf {
        self.local.join(operation.title())
    }

    /// The server's folder for an operation.
    pub(super) fn there(&self, operation: Operation) -> PathBuf {
        self.disk.join(operation.title())
    }

    /// A file in the client's folder, as an argument.
    pub(super) fn from(&self, operation: Operation, name: &str) -> String {
        format!("{}/{name}", self.here(operation).display())
    }

    /// A file in the server's folder, as the client says it.
    pub(super) fn at(&self, operation: Operation, name: &str) -> String {
        let folder = format!("{}/{}", self.remote, operation.title());
        if name.is_empty() { folder } else { format!("{folder}/{name}") }
    }

    pub(super) fn can_name(&self, name: &str) -> bool {
        !self.without.iter().any(|part| name.contains(part))
    }
}
