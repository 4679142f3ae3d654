//! A listing of a directory of the tree: the parts that begin there, then what is on the disk.

use std::ffi::OsStr;
use std::sync::Arc;

use cap_std::fs::FileType;

use super::parts::Parts;
use super::plan::{Kind, NodeKind, Plan};
use crate::grants::directory::{Listing, Refused};

/// The most names of one batch.
const NAMES: usize = 128;

/// The kind of a name in a listing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ListedKind {
    /// It is on a disk.
    Real(FileType),
    /// The host makes it.
    Made(Kind),
}

/// A listing in progress.
pub(crate) struct TreeListing {
    /// What the host makes, the next one last.
    made: Vec<(Kind, String)>,
    /// Whose names hide those of the disk.
    hidden_by: Option<(Arc<Plan>, usize)>,
    entries: Option<Listing>,
}

impl TreeListing {
    /// That of a directory below the root of a part.
    pub(super) fn of(entries: Listing) -> Self {
        Self { made: Vec::new(), hidden_by: None, entries: Some(entries) }
    }

    /// That of the root of a part, with what is there on the disk.
    pub(super) fn new(parts: &Parts, part: usize, entries: Option<Listing>) -> Self {
        let plan = &parts.plan;
        let mut made: Vec<_> = plan.children(part).map(|(name, child)| (plan.made(child), name.to_owned())).collect();
        if let NodeKind::Names(folder) = plan.kind(part) {
            made.extend(folder.names().into_iter().map(|name| (Kind::File, name)));
        }
        if let NodeKind::Descriptors = plan.kind(part) {
            made.extend(parts.numbers().into_iter().map(|name| (Kind::Device, name)));
        }
        made.reverse();
        Self { made, hidden_by: Some((Arc::clone(plan), part)), entries }
    }

    /// Whether its directory is on a local block device, in memory, or made by the host.
    pub(crate) fn is_local(&self) -> bool {
        self.entries.as_ref().is_none_or(Listing::is_local)
    }

    /// How many names were skipped until now, because they are not text.
    pub(crate) fn unlisted(&self) -> u32 {
        self.entries.as_ref().map_or(0, Listing::unlisted)
    }

    /// The next names; none at the end.
    pub(crate) fn next(&mut self) -> Result<Vec<(ListedKind, String)>, Refused> {
        if !self.made.is_empty() {
            let batch = self.made.split_off(self.made.len().saturating_sub(NAMES));
            return Ok(batch.into_iter().rev().map(|(kind, name)| (ListedKind::Made(kind), name)).collect());
        }
        let Some(entries) = &mut self.entries else { return Ok(Vec::new()) };
        loop {
            let names = entries.next()?;
            let is_end = names.is_empty();
            let seen = |(kind, name): (FileType, String)| {
                let hides = |(plan, part): &(Arc<Plan>, usize)| plan.child(*part, OsStr::new(&name)).is_some();
                let is_hidden = self.hidden_by.as_ref().is_some_and(hides);
                (!is_hidden).then_some((ListedKind::Real(kind), name))
            };
            let names: Vec<_> = names.into_iter().filter_map(seen).collect();
            if is_end || !names.is_empty() {
                return Ok(names);
            }
        }
    }
}
