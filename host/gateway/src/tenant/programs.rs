//! The program table of one tenant: the programs of the tenant's own folder and the operator's.
//!
//! As with PATH, the first folder that has a name decides what it means: the tenant's own `bin`, then the operator's. A
//! name is a program's only if no plugin has it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use whelk_runtime::{Lookup, Plugin, ProgramEntry, ProgramRequest, ProgramTable, Unrunnable, first_word};

use crate::plugins::programs::{LoadRequest, ProgramFolder, is_no_program};
use crate::state::plugin_files::programs::ProgramName;

/// How long a session waits at least for the disk that knows what a name means.
const DISK_WAIT: Duration = Duration::from_secs(5);
/// Programs of one tenant that are read and compiled at the same time.
const LOADS: usize = 2;
/// Where programs are for those who name them by their paths.
const PLACES: [&str; 2] = ["/bin/", "/usr/bin/"];

/// The programs of one tenant.
pub(super) struct Programs {
    /// In the order of the search.
    folders: Vec<Arc<ProgramFolder>>,
    loaded: Arc<LoadedPrograms>,
    /// The most that are loaded at the same time.
    most: usize,
    /// An exec request without a route names a program.
    runs_commands: bool,
}

/// Who wants to run a program.
#[derive(Clone, Copy)]
pub(super) struct Runner<'a> {
    /// The tenant that pays for loading it; empty: the operator.
    pub(super) payer: &'a str,
    /// The tenant whose grants count; `None` for one that is granted everything.
    pub(super) tenant: Option<&'a whelk_runtime::Tenant>,
}

/// What a tenant has loaded, shared by all generations of the tenant.
pub(crate) struct LoadedPrograms {
    table: ProgramTable,
    permits: Arc<Semaphore>,
}

impl Default for LoadedPrograms {
    fn default() -> LoadedPrograms {
        LoadedPrograms { table: ProgramTable::default(), permits: Arc::new(Semaphore::new(LOADS)) }
    }
}

impl Programs {
    pub(super) fn new(
        folders: Vec<Arc<ProgramFolder>>,
        loaded: Arc<LoadedPrograms>,
        most: usize,
        runs_commands: bool,
    ) -> Programs {
        Programs { folders, loaded, most, runs_commands }
    }

    /// The loaded program of this name.
    pub(super) fn loaded(&self, name: &str) -> Option<Arc<Plugin>> {
        let (folder, found) = self.known(name)?;
        let ProgramName::File { program, .. } = found else { return None };
        Some(folder.registry().get(&program)?.called(name))
    }

    /// What this name means, as far as it is known without the disk. A program that is not loaded counts as being
    /// prepared: it is loaded for whoever waits for it.
    pub(super) fn lookup(&self, name: &str, runner: Runner<'_>) -> Lookup {
        match self.known(name) {
            Some((_, ProgramName::Refused(reason))) => Lookup::Unrunnable(Unrunnable::because(reason)),
            Some((folder, ProgramName::File { program, .. })) => match folder.lookup(&program) {
                Lookup::Absent | Lookup::Retried => Lookup::Preparing,
                found => checked(found, name, runner),
            },
            None if self.folders.iter().any(|folder| is_unlisted(folder, name)) => Lookup::Preparing,
            None => Lookup::Absent,
        }
    }

    /// What this name means. Has the program loaded and waits for it, until `deadline` at the latest.
    pub(super) async fn settled(&self, name: &str, runner: Runner<'_>, deadline: Instant) -> Lookup {
        let not_ready = || Lookup::Unrunnable(Unrunnable::because("not ready yet"));
        let found = match timeout_at(deadline.max(Instant::now() + DISK_WAIT), self.find(name)).await {
            Ok(Some(found)) => found,
            Ok(None) => return Lookup::Absent,
            Err(_) => return not_ready(),
        };
        let (folder, program) = match found {
            (folder, ProgramName::File { program, .. }) => (folder, program),
            (_, ProgramName::Refused(reason)) => return Lookup::Unrunnable(Unrunnable::because(reason)),
        };
        let loaded = timeout_at(deadline, self.load(folder, &program, runner.payer)).await;
        loaded.map_or_else(|_| not_ready(), |found| checked(found, name, runner))
    }

    async fn load(&self, folder: &Arc<ProgramFolder>, program: &str, tenant: &str) -> Lookup {
        let (registry, LoadedPrograms { table, permits }) = (folder.registry(), &*self.loaded);
        if let failed @ Lookup::Unrunnable(_) = folder.lookup(program) {
            return failed;
        }
        if table.note_use(registry, program, tenant, self.most).is_err() {
            let most = self.most;
            let reason = format!("all {most} programs that this account may have loaded are running; try again later");
            return Lookup::Unrunnable(Unrunnable::because(reason));
        }
        folder.need(program, LoadRequest::new(tenant, permits));
        registry.settled(program).await;
        folder.lookup(program)
    }

    /// The folder that decides what a name means, as of the last listings.
    fn known(&self, name: &str) -> Option<(&Arc<ProgramFolder>, ProgramName)> {
        self.folders.iter().find_map(|folder| Some((folder, folder.name(name)?)))
    }

    /// The same, and from the disk if no listing has the name.
    async fn find(&self, name: &str) -> Option<(&Arc<ProgramFolder>, ProgramName)> {
        for folder in &self.folders {
            if is_unlisted(folder, name) {
                folder.registry().settled(name).await;
            }
        }
        if let Some(known) = self.known(name) {
            return Some(known);
        }
        for folder in &self.folders {
            if let Some(found) = folder.find(name).await {
                return Some((folder, found));
            }
        }
        None
    }

    /// The name of the program that an exec request without a route runs.
    pub(super) fn command(&self, request: &ProgramRequest<'_>) -> Option<String> {
        let ProgramRequest::Exec(command) = request else { return None };
        let word = first_word(command).filter(|_| self.runs_commands)?;
        Some(PLACES.iter().find_map(|place| word.strip_prefix(place)).unwrap_or(&word).to_owned())
    }

    /// The names that sessions may use.
    pub(super) fn entries(&self) -> Vec<ProgramEntry> {
        let mut entries = BTreeMap::new();
        // A name in an earlier folder replaces the same in a later one.
        for folder in self.folders.iter().rev() {
            entries.extend(folder.entries().into_iter().map(|entry| (Arc::clone(&entry.name), entry)));
        }
        entries.into_values().collect()
    }
}

/// Whether a folder may have any name, because it has not been listed since the start.
fn is_unlisted(folder: &ProgramFolder, name: &str) -> bool {
    folder.names().is_empty() && matches!(folder.registry().lookup(name), Lookup::Preparing)
}

/// The program by the name that was asked for, if its tenant can run it.
fn checked(found: Lookup, name: &str, runner: Runner<'_>) -> Lookup {
    let Lookup::Found(plugin) = found else { return found };
    if let Some(reason) = is_no_program(&plugin) {
        return Lookup::Unrunnable(reason);
    }
    let missing = runner.tenant.map(|tenant| plugin.missing_grants(tenant)).unwrap_or_default();
    if missing.is_empty() {
        return Lookup::Found(plugin.called(name));
    }
    let missing: Vec<_> = missing.iter().map(|grant| grant.as_str()).collect();
    Lookup::Unrunnable(Unrunnable::because(format!("it needs {}, which is not granted here", missing.join(" and "))))
}
