//! What a guest holds.

use std::sync::Arc;

use crate::grants::Counted;
use crate::posix::OpenDescription;
use crate::posix::process::ChildHandle;

/// A handle of a description.
#[expect(unreachable_pub, reason = "the generated module publishes its types")]
pub struct FdHandle {
    description: Arc<OpenDescription>,
    /// Its place among the open files of the process.
    _place: Counted,
}

impl FdHandle {
    pub(super) fn new(description: Arc<OpenDescription>, place: Counted) -> Self {
        Self { description, _place: place }
    }

    /// What it is of.
    pub(in crate::host) fn description(&self) -> &Arc<OpenDescription> {
        &self.description
    }
}

/// A handle of a child. Its pollables share it.
#[expect(unreachable_pub, reason = "the generated module publishes its types")]
pub struct ChildResource(Arc<ChildHandle>);

impl ChildResource {
    pub(super) fn new(child: ChildHandle) -> Self {
        Self(Arc::new(child))
    }

    pub(super) fn handle(&self) -> &Arc<ChildHandle> {
        &self.0
    }
}
