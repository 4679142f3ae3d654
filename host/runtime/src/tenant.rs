//! A tenant in the runtime: its limits, its grants, and what its sessions share.
//!
//! It knows neither users nor plugins: the gateway decides who belongs to a tenant and what its names mean.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use crate::error::{Error, Limit};
use crate::grants::{ConnectionHome, Grants, HomeError};
use crate::limits::Limits;
use crate::limits::budget::{Amount, Budget, Total};
use crate::limits::usage::ProcessUsage;

/// A tenant. Every session belongs to one.
#[derive(Debug)]
pub struct Tenant {
    name: Arc<str>,
    limits: Limits,
    grants: Grants,
    budget: Arc<Budget>,
    /// Whose home its sessions have, if the tenant has homes.
    resident: Option<Resident>,
}

/// Who has a home.
#[derive(Debug)]
struct Resident {
    principal: String,
    connection: Arc<ConnectionHome>,
}

/// The slot of one session, from open to close; dropping it frees the slot.
pub(crate) struct Seat {
    budget: Arc<Budget>,
}

/// What the sessions of a tenant have together, and what they have used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantUsage {
    /// Open sessions.
    pub sessions: Amount,
    /// Instances of plugins and programs. Only the server's places bound them.
    pub instances: usize,
    /// Processes that other processes have started.
    pub processes: Amount,
    /// Linear memory of all instances, and the host's buffers for them, bytes.
    pub memory: Amount,
    /// Open files, sockets and connections of requests.
    pub files: Amount,
    /// Processor time since the tenant has first had a session, milliseconds.
    pub cpu_ms: u64,
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
        Tenant::with_budget(name, limits, grants, budget)
    }

    /// A tenant with a budget that it may share with others of its name, made from other configurations. They share
    /// what is counted and its bounds, which [`apply_limits`](Self::apply_limits) changes; sessions keep the limits and
    /// grants of the one they were opened with.
    #[must_use]
    pub fn with_budget(name: &str, limits: Limits, grants: Grants, budget: Arc<Budget>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), limits, grants, budget, resident: None })
    }

    /// The same tenant for the sessions of one principal on one connection, which have a home if the tenant has homes.
    #[must_use]
    pub fn for_principal(self: &Arc<Self>, principal: &str, connection: &Arc<ConnectionHome>) -> Arc<Self> {
        if self.grants.homes.is_none() {
            return Arc::clone(self);
        }
        let resident = Resident { principal: principal.to_owned(), connection: Arc::clone(connection) };
        Arc::new(self.with(self.grants.clone(), Some(resident)))
    }

    /// Whether [`enter_home`](Self::enter_home) has something to do.
    pub(crate) fn has_resident(&self) -> bool {
        self.resident.is_some()
    }

    /// The same tenant with the resident's home as its directory. The home is made if there is none; what that costs is
    /// charged to `usage`.
    pub(crate) async fn enter_home(self: &Arc<Self>, usage: &Arc<ProcessUsage>) -> Result<Arc<Self>, HomeError> {
        let Some((homes, resident)) = self.grants.homes.as_ref().zip(self.resident.as_ref()) else {
            return Ok(Arc::clone(self));
        };
        let directory = homes.home_of(&resident.principal, &resident.connection, usage).await?;
        Ok(Arc::new(self.with(Grants { directory: Some(directory), ..self.grants.clone() }, None)))
    }

    fn with(&self, grants: Grants, resident: Option<Resident>) -> Self {
        let (name, limits, budget) = (Arc::clone(&self.name), self.limits.clone(), Arc::clone(&self.budget));
        Self { name, limits, grants, budget, resident }
    }

    /// Bounds what all sessions of the tenant have together by these limits. Two calls must not run at the same time.
    pub fn apply_limits(&self) {
        self.budget.change(&self.limits);
    }

    /// Its name, shared.
    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
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

    /// Whether what they have is counted together.
    #[must_use]
    pub fn shares_budget_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.budget, &other.budget)
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

    /// What all its sessions have together now.
    #[must_use]
    pub fn usage(&self) -> TenantUsage {
        let Budget { sessions, instances, processes, memory, files, cpu, .. } = &*self.budget;
        TenantUsage {
            sessions: sessions.amount(),
            instances: instances.used(),
            processes: processes.amount(),
            memory: memory.amount(),
            files: files.amount(),
            cpu_ms: cpu.load(Ordering::Relaxed) / 1_000_000,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_goes_on_when_limits_change_and_fewer_than_there_are_end_nothing() {
        let limits = |tenant_sessions| Limits { tenant_sessions, ..Limits::default() };
        let before = Tenant::new("acme", limits(2), Grants::default());
        let _one = before.acquire_slot().unwrap();
        let two = before.acquire_slot().unwrap();
        let after = Tenant::with_budget("acme", limits(1), Grants::default(), Arc::clone(before.budget()));
        assert_eq!((after.sessions(), after.name()), (2, "acme"));
        drop(two);
        let two = after.acquire_slot().unwrap();
        after.apply_limits();
        assert!(before.acquire_slot().is_err() && after.acquire_slot().is_err());
        drop(two);
        assert!(after.acquire_slot().is_err(), "one is the limit now");
        let last = Tenant::with_budget("acme", limits(3), Grants::default(), Arc::clone(before.budget()));
        last.apply_limits();
        let _more = [after.acquire_slot().unwrap(), last.acquire_slot().unwrap()];
        assert!(last.acquire_slot().is_err());
        assert_eq!(before.sessions(), 3);
    }
}
