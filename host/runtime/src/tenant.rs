//! One tenant as the plugin host sees it: the limits of each of its sessions, what it is granted, and what its sessions share.
//!
//! Knows neither users nor plugins: who belongs to a tenant and what its names mean is the gateway's.

use std::sync::Arc;

use crate::grants::Grants;
use crate::limits::Limits;

/// A tenant. Every session runs for one.
#[derive(Debug)]
pub struct Tenant {
    name: Arc<str>,
    limits: Limits,
    grants: Grants,
}

impl Tenant {
    /// A tenant with nothing running.
    #[must_use]
    pub fn new(name: &str, limits: Limits, grants: Grants) -> Arc<Self> {
        Arc::new(Self { name: name.into(), limits, grants })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What each of its sessions may use.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What its plugins are given.
    #[must_use]
    pub fn grants(&self) -> &Grants {
        &self.grants
    }
}
