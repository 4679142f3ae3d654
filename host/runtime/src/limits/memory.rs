//! Memory and tables of one instance: counted where wasmtime asks for more, against the session's limit and against
//! what its tenant and the server have left.

use std::sync::Arc;

use crate::error::Limit;
use crate::limits::budget::{Budget, Total, Totals, give_memory, take_memory};
use crate::limits::output_charges::relieve;
use crate::limits::usage::ProcessUsage;
use crate::limits::{Limits, count};

/// What the element of a table takes, bytes: a pointer.
const ELEMENT: usize = 8;

/// Counts memory and tables. Growth beyond the limit fails in the plugin's own way, and is remembered: a trap that
/// follows in the same call is reported as what it is. What it has of its tenant's memory goes back when it is dropped,
/// with the instance.
pub(crate) struct Memory {
    limit: usize,
    table_elements: usize,
    /// Whose memory it is.
    budget: Arc<Budget>,
    totals: Arc<Totals>,
    usage: Arc<ProcessUsage>,
    /// All linear memories together.
    now: usize,
    /// All tables together.
    tables: usize,
    peak: usize,
    /// Why growth was refused in this call.
    refused: Option<Limit>,
}

impl Memory {
    /// `limit`: bytes of all linear memories together.
    pub(crate) fn new(
        limit: usize,
        limits: &Limits,
        budget: Arc<Budget>,
        totals: Arc<Totals>,
        usage: Arc<ProcessUsage>,
    ) -> Self {
        let table_elements = count(limits.table_elements);
        Self { limit, table_elements, budget, totals, usage, now: 0, tables: 0, peak: 0, refused: None }
    }

    /// A new call: what was refused in an earlier one explains nothing any more.
    pub(crate) fn begin(&mut self) {
        self.refused = None;
    }

    /// Which limit refused growth in this call.
    pub(crate) fn refused(&self) -> Option<Limit> {
        self.refused
    }

    /// Bytes of all linear memories together.
    pub(crate) fn now(&self) -> usize {
        self.now
    }

    pub(crate) fn peak(&self) -> usize {
        self.peak
    }

    /// A memory wants to grow, or to be made: from `current` to `desired` bytes, of at most `maximum`. Whether it may,
    /// and if not whose limit it was.
    pub(crate) fn grow(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<(), Limit> {
        let total = (self.now - current.min(self.now)).saturating_add(desired);
        let added = total.saturating_sub(self.now);
        if total > self.limit || maximum.is_some_and(|maximum| desired > maximum) {
            return self.refuse(Limit::Memory);
        }
        self.take(added)?;
        self.usage.add_memory(added);
        self.now = total;
        self.peak = self.peak.max(total);
        self.usage.had_memory(total);
        Ok(())
    }

    /// Takes what the tenant and the server have left.
    fn take(&mut self, bytes: usize) -> Result<(), Limit> {
        let taken = take_memory(&self.budget, &self.totals, bytes);
        relieve(&self.budget, &self.totals);
        match taken {
            Ok(()) => Ok(()),
            Err(Total::AllMemory) => self.refuse(Limit::AllMemory),
            Err(_) => self.refuse(Limit::TenantMemory),
        }
    }

    fn refuse(&mut self, limit: Limit) -> Result<(), Limit> {
        self.refused = Some(limit);
        Err(limit)
    }

    /// Growth failed though it was allowed: the machine had none. It stays counted, since wasmtime does not say which
    /// growth it was, and a plugin that could have an earlier one uncounted would have memory for nothing.
    pub(crate) fn failed(&mut self) {
        self.refused = Some(Limit::AllMemory);
    }

    /// Allows a table to grow from `current` to `desired` elements, or refuses.
    pub(crate) fn grow_table(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<(), Limit> {
        if desired > self.table_elements || maximum.is_some_and(|maximum| desired > maximum) {
            return self.refuse(Limit::Memory);
        }
        let added = desired.saturating_sub(current).saturating_mul(ELEMENT);
        self.take(added)?;
        self.tables += added;
        Ok(())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.usage.give_memory(self.now);
        give_memory(&self.budget, &self.totals, self.now + self.tables);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(limits: &Limits) -> Memory {
        shared(limits, &Arc::new(Budget::new(limits)), &Arc::new(Totals::new(0, usize::MAX, 1)))
    }

    fn shared(limits: &Limits, budget: &Arc<Budget>, totals: &Arc<Totals>) -> Memory {
        Memory::new(limits.memory, limits, Arc::clone(budget), Arc::clone(totals), Arc::default())
    }

    #[test]
    fn memory_is_counted_over_all_memories_and_its_refusal_is_remembered_for_one_call() {
        let mut memory = memory(&Limits { memory: 100, ..Limits::default() });
        assert_eq!(memory.grow(0, 40, None), Ok(()));
        assert_eq!(memory.grow(0, 40, None), Ok(()));
        assert_eq!(memory.refused(), None);
        assert_eq!(memory.grow(40, 61, None), Err(Limit::Memory));
        assert_eq!(memory.refused(), Some(Limit::Memory));
        memory.begin();
        assert_eq!(memory.refused(), None);
        assert_eq!(memory.grow(40, 60, None), Ok(()));
        assert_eq!(memory.peak(), 100);
    }

    #[test]
    fn the_instances_of_a_tenant_share_its_memory_and_give_it_back() {
        let limits = Limits { memory: 100, tenant_memory: 150, ..Limits::default() };
        let budget = Arc::new(Budget::new(&limits));
        let totals = Arc::new(Totals::new(0, usize::MAX, 1));
        let mut first = shared(&limits, &budget, &totals);
        let mut second = shared(&limits, &budget, &totals);
        assert_eq!(first.grow(0, 100, None), Ok(()));
        assert_eq!(second.grow(0, 50, None), Ok(()));
        assert_eq!(second.grow(50, 51, None), Err(Limit::TenantMemory));
        drop(first);
        assert_eq!(second.grow(50, 100, None), Ok(()));
        assert_eq!(budget.memory.used(), 100);
        drop(second);
        assert_eq!(budget.memory.used(), 0);
    }

    #[test]
    fn all_tenants_share_the_servers_memory_tables_included() {
        let limits = Limits { memory: 100, tenant_memory: 1000, ..Limits::default() };
        let budget = || Arc::new(Budget::new(&limits));
        let totals = Arc::new(Totals::new(0, 150, 1));
        let (mut first, mut second) = (shared(&limits, &budget(), &totals), shared(&limits, &budget(), &totals));
        assert_eq!(first.grow(0, 100, None), Ok(()));
        assert_eq!(second.grow(0, 51, None), Err(Limit::AllMemory));
        assert_eq!(second.refused(), Some(Limit::AllMemory));
        assert_eq!(second.grow(0, 10, None), Ok(()));
        assert_eq!(second.grow_table(0, 5, None), Ok(()));
        assert_eq!((second.grow_table(5, 6, None), totals.memory()), (Err(Limit::AllMemory), 150));
        drop((first, second));
        assert_eq!(totals.memory(), 0);
    }
}
