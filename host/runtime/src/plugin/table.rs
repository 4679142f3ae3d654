//! The programs that one tenant has loaded, at most so many at a time: the one that was used least recently makes room,
//! unless it runs.
//!
//! The compiled code of a program is shared by all tenants that have it loaded, and by all names of a multicall. The
//! folder's registry keeps it while any of them does: see [`Hold`].

use std::sync::{Arc, Mutex, PoisonError};

use crate::plugin::lookup::Lookup;
use crate::plugin::registry::{Hold, Registry};

/// The loaded programs of one tenant.
#[derive(Default)]
pub struct ProgramTable(Mutex<Table>);

#[derive(Default)]
struct Table {
    programs: Vec<Program>,
    /// How often a program was used.
    uses: u64,
}

/// A program that is loaded or about to be.
struct Program {
    hold: Arc<Hold>,
    /// The number of its last use.
    used: u64,
}

/// Every program of the table runs or is being loaded, and there are as many as are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableFull;

impl ProgramTable {
    /// Records the use of a program of this registry, and keeps it loaded from now on. A program that is new to the
    /// table may end others' stay there, so that it has at most `most`, at least 1.
    ///
    /// # Errors
    /// [`TableFull`] for a program that is new to the table.
    pub fn note_use(&self, registry: &Arc<Registry>, name: &str, tenant: &str, most: usize) -> Result<(), TableFull> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.uses += 1;
        let used = table.uses;
        let is_it = |program: &&mut Program| program.is(registry, name);
        if let Some(program) = table.programs.iter_mut().find(is_it) {
            program.used = used;
            return Ok(());
        }
        // Dropped after the lock: their programs are unloaded then, unless others have them.
        let evicted = table.make_room(most.max(1), tenant)?;
        table.programs.push(Program { hold: registry.hold(name), used });
        drop(table);
        drop(evicted);
        Ok(())
    }

    /// How many programs are loaded, or being loaded.
    #[must_use]
    pub fn loaded(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).programs.len()
    }
}

impl Table {
    /// Takes out as many programs as it takes to have room for one more.
    fn make_room(&mut self, most: usize, tenant: &str) -> Result<Vec<Program>, TableFull> {
        let mut evicted = Vec::new();
        if self.programs.len() < most {
            return Ok(evicted);
        }
        self.programs.sort_unstable_by_key(|program| program.used);
        let mut at = 0;
        while self.programs.len() >= most {
            match self.programs.get(at) {
                Some(program) if program.is_needed(tenant) => at += 1,
                Some(_) => evicted.push(self.programs.remove(at)),
                None => {
                    self.programs.append(&mut evicted);
                    return Err(TableFull);
                }
            }
        }
        Ok(evicted)
    }
}

impl Program {
    fn is(&self, registry: &Arc<Registry>, name: &str) -> bool {
        Arc::ptr_eq(self.hold.registry(), registry) && self.hold.name() == name
    }

    /// Whether it runs for its tenant, or somebody waits for it.
    fn is_needed(&self, tenant: &str) -> bool {
        let (registry, name) = (self.hold.registry(), self.hold.name());
        matches!(registry.lookup(name), Lookup::Preparing) || registry.runs_for(name, tenant)
    }
}
