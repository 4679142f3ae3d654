//! Limits the open files: per session, and as descriptors of the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::limits::descriptor::Descriptor;

/// A counter.
#[derive(Default)]
pub(crate) struct OpenCount(AtomicUsize);

/// One counted unit, until it is dropped.
pub(crate) struct Counted(Arc<OpenCount>);

impl OpenCount {
    /// Takes one more, unless that many are taken.
    pub(crate) fn take(self: &Arc<Self>, most: usize) -> Option<Counted> {
        let more = |now| (now < most).then_some(now + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Counted(Arc::clone(self)))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The places of an open file: in its process, unless it is a description, which any process may have, and in its
/// session.
pub(crate) struct OpenPlaces {
    _process: Option<Counted>,
    _session: Counted,
}

impl OpenPlaces {
    pub(crate) fn new(process: Option<Counted>, session: Counted) -> Self {
        Self { _process: process, _session: session }
    }
}

/// What an open file occupies: its places, and a descriptor.
pub(crate) struct FileSlot {
    places: OpenPlaces,
    _descriptor: Descriptor,
}

impl FileSlot {
    pub(crate) fn new(places: OpenPlaces, descriptor: Descriptor) -> Self {
        Self { places, _descriptor: descriptor }
    }

    /// Keeps the places alone: what is open takes no descriptor.
    pub(in crate::grants) fn without_descriptor(self) -> OpenPlaces {
        self.places
    }
}
