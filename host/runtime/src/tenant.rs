//! One tenant as the plugin host sees it: the limits of each of its sessions, what it is granted, and what its sessions share.
//!
//! Knows neither users nor plugins: who belongs to a tenant and what its names mean is the gateway's.

use std::sync::Arc;

use tokio::time::Instant;

use crate::error::{Error, Limit};
use crate::grants::Grants;
use crate::limits::Limits;
use crate::limits::budget::{Budget, Total};

/// A tenant. Every session runs for one.
#[derive(Debug)]
pub struct Tenant {
    name: Arc<str>,
    limits: Limits,
    grants: Grants,
    budget: Arc<Budget>,
}

/// The place of one session, from its opening to its end; given back when dropped.
pub(crate) struct Seat {
    budget: Arc<Budget>,
}

/// How much is told of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// Everything that is known.
    Whole,
    /// What the client was told.
    Brief {
        /// It is the first after a while, so that something is to be said of the limit itself.
        is_news: bool,
    },
}

impl Tenant {
    /// A tenant with nothing running.
    #[must_use]
    pub fn new(name: &str, limits: Limits, grants: Grants) -> Arc<Self> {
        let budget = Arc::new(Budget::new(&limits));
        Arc::new(Self { name: name.into(), limits, grants, budget })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What each of its sessions may use, and all of them together.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What its plugins are given.
    #[must_use]
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// How many of its sessions are open.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.budget.sessions.used()
    }

    /// Linear memory of all its instances, with buffers that the host has for them, bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.budget.memory.used()
    }

    /// Takes the place of one session; the error is for its client.
    pub(crate) fn enter(&self) -> Result<Seat, Error> {
        if self.budget.sessions.take(1) {
            return Ok(Seat { budget: Arc::clone(&self.budget) });
        }
        let detail = format!("the tenant {} has {} sessions", self.name, self.budget.sessions.most());
        Err(Error::Limit { limit: Limit::Sessions, detail })
    }

    /// One of its plugins has failed: how much the operator is told of it. Who fails all the time must not fill the log.
    #[must_use]
    pub fn failed(&self) -> Telling {
        let now = Instant::now();
        if self.budget.failures.try_take(now) {
            Telling::Whole
        } else {
            Telling::Brief { is_news: self.budget.is_news(Total::FailureRate, now) }
        }
    }

    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.budget.sessions.give(1);
    }
}
