//! A tenant in the runtime: its limits, its grants, and what its sessions share.
//!
//! It knows neither users nor plugins: the gateway decides who belongs to a tenant and what its names mean.

use std::sync::Arc;

use tokio::time::Instant;

use crate::error::{Error, Limit};
use crate::grants::Grants;
use crate::limits::Limits;
use crate::limits::budget::{Budget, Total};

/// A tenant. Every session belongs to one.
#[derive(Debug)]
pub struct Tenant {
    name: Arc<str>,
    limits: Limits,
    grants: Grants,
    budget: Arc<Budget>,
}

/// The slot of one session, from open to close; dropping it frees the slot.
pub(crate) struct Seat {
    budget: Arc<Budget>,
}

/// How much is logged about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// All details.
    Whole,
    /// Only what the client was told.
    Brief {
        /// The first after a while, so that the limit itself is mentioned.
        is_news: bool,
    },
}

impl Tenant {
    /// A tenant without sessions.
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

    /// The limits of each session, and of all of them together.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The grants of its plugins.
    #[must_use]
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// The number of its open sessions.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.budget.sessions.used()
    }

    /// Linear memory of all its instances, including the host's buffers for them, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.budget.memory.used()
    }

    /// Takes the slot of one session; the error is for its client.
    pub(crate) fn acquire_slot(&self) -> Result<Seat, Error> {
        if self.budget.sessions.take(1) {
            return Ok(Seat { budget: Arc::clone(&self.budget) });
        }
        let detail = format!("the tenant {} has {} sessions", self.name, self.budget.sessions.most());
        Err(Error::Limit { limit: Limit::Sessions, detail })
    }

    /// One of its plugins has failed: returns how much to log. A tenant that fails all the time must not fill the log.
    #[must_use]
    pub fn failed(&self) -> Telling {
        let now = Instant::now();
        if self.budget.failure_rate.try_take(now) {
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
