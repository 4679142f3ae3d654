//! The program table of one tenant: the programs of the tenant's own folder and the operator's.
//!
//! As with PATH, the first folder that has a name decides what it means: the tenant's own `bin`, then the operator's. A
//! name is a program's only if no plugin has it. Names that serve the tenant's files mean the operator's programs alone
//! where the tenant may write its own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use whelk_runtime::{Lookup, NameFolder, Plugin, ProgramEntry, ProgramTable, Source, Unrunnable};

use crate::plugins::programs::{LoadRequest, ProgramFolder, is_no_program};
use crate::state::plugin_files;
use crate::state::plugin_files::programs::ProgramName;
use crate::tenant::components::{Components, Demand, LoadedComponents, not_ready, too_many};

/// How long a session waits at least for the disk that knows what a name means.
const DISK_WAIT: Duration = Duration::from_secs(5);
/// Programs of one tenant that are read and compiled at the same time.
const LOADS: usize = 2;
/// How often a program is loaded for one session, if it is evicted before the session has it.
const TRIES: usize = 3;

/// The programs of one tenant.
pub(crate) struct Programs {
    /// The tenant's own folder, and the names that are not looked for in it.
    own: Option<(Arc<ProgramFolder>, &'static [&'static str])>,
    operators: Arc<ProgramFolder>,
    loaded: Arc<LoadedPrograms>,
    /// The most that are loaded at the same time.
    most: usize,
    /// What may be started from files of sessions, if anything may.
    components: Option<Components>,
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
    components: Arc<LoadedComponents>,
}

impl Default for LoadedPrograms {
    fn default() -> LoadedPrograms {
        let (table, components) = (ProgramTable::default(), Arc::default());
        LoadedPrograms { table, permits: Arc::new(Semaphore::new(LOADS)), components }
    }
}

impl Programs {
    pub(super) fn new(
        own: Option<(Arc<ProgramFolder>, &'static [&'static str])>,
        operators: &Arc<ProgramFolder>,
        loaded: Arc<LoadedPrograms>,
        most: usize,
    ) -> Programs {
        Programs { own, operators: Arc::clone(operators), loaded, most, components: None }
    }

    /// The folders that may have this name, in the order of the search.
    fn folders(&self, name: &str) -> impl Iterator<Item = &Arc<ProgramFolder>> {
        let own = self.own.iter().filter(move |(_, without)| !without.contains(&name)).map(|(folder, _)| folder);
        own.chain([&self.operators])
    }

    /// The same for a tenant that may start components from files of its sessions.
    pub(super) fn with_components(self, components: Components) -> Programs {
        Programs { components: Some(components), ..self }
    }

    /// The most bytes of a component that a process may start from a file of its session; `None`: it may start none.
    pub(super) fn component_limit(&self) -> Option<usize> {
        self.components.as_ref()?.limit()
    }

    /// The program that a file of a session is, by the name of the file. Has it compiled and waits for that, until
    /// `deadline` at the latest.
    pub(super) async fn component(&self, name: &str, source: Source, runner: Runner<'_>, deadline: Instant) -> Lookup {
        let Some(components) = &self.components else { return Lookup::Absent };
        let LoadedPrograms { table, permits, components: loaded } = &*self.loaded;
        let demand = Demand { loaded, table, most: self.most, permits, tenant: runner.payer };
        let found = timeout_at(deadline, components.load(source, demand)).await;
        // A name that no plugin can have would be a nuisance in logs and lists.
        let name = if plugin_files::is_name(name) { name } else { "component" };
        found.map_or_else(|_| Lookup::Unrunnable(not_ready()), |found| checked(found, name, runner))
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
            None if self.folders(name).any(|folder| is_unlisted(folder, name)) => Lookup::Preparing,
            None => Lookup::Absent,
        }
    }

    /// What this name means. Has the program loaded and waits for it, until `deadline` at the latest.
    pub(super) async fn settled(&self, name: &str, runner: Runner<'_>, deadline: Instant) -> Lookup {
        let found = match timeout_at(deadline.max(Instant::now() + DISK_WAIT), self.find(name)).await {
            Ok(Some(found)) => found,
            Ok(None) => return Lookup::Absent,
            Err(_) => return Lookup::Unrunnable(not_ready()),
        };
        let (folder, program) = match found {
            (folder, ProgramName::File { program, .. }) => (folder, program),
            (_, ProgramName::Refused(reason)) => return Lookup::Unrunnable(Unrunnable::because(reason)),
        };
        let loaded = timeout_at(deadline, self.load(folder, &program, runner.payer)).await;
        loaded.map_or_else(|_| Lookup::Unrunnable(not_ready()), |found| checked(found, name, runner))
    }

    /// Loads a program. Other sessions may evict it before this one runs again: then it is loaded again.
    async fn load(&self, folder: &Arc<ProgramFolder>, program: &str, tenant: &str) -> Lookup {
        for _ in 1..TRIES {
            match self.load_once(folder, program, tenant).await {
                Lookup::Absent if folder.name(program).is_some() => {}
                found => return found,
            }
        }
        self.load_once(folder, program, tenant).await
    }

    async fn load_once(&self, folder: &Arc<ProgramFolder>, program: &str, tenant: &str) -> Lookup {
        let (registry, LoadedPrograms { table, permits, .. }) = (folder.registry(), &*self.loaded);
        if let failed @ Lookup::Unrunnable(_) = folder.lookup(program) {
            return failed;
        }
        if table.note_use(registry, program, tenant, self.most).is_err() {
            return Lookup::Unrunnable(too_many(self.most));
        }
        folder.need(program, LoadRequest::new(tenant, permits));
        registry.settled(program).await;
        folder.lookup(program)
    }

    /// The folder that decides what a name means, as of the last listings.
    fn known(&self, name: &str) -> Option<(&Arc<ProgramFolder>, ProgramName)> {
        self.folders(name).find_map(|folder| Some((folder, folder.name(name)?)))
    }

    /// The same, and from the disk if no listing has the name.
    async fn find(&self, name: &str) -> Option<(&Arc<ProgramFolder>, ProgramName)> {
        for folder in self.folders(name) {
            if is_unlisted(folder, name) {
                folder.registry().settled(name).await;
            }
        }
        if let Some(known) = self.known(name) {
            return Some(known);
        }
        for folder in self.folders(name) {
            if let Some(found) = folder.find(name).await {
                return Some((folder, found));
            }
        }
        None
    }

    /// The names that sessions may use.
    pub(super) fn entries(&self) -> Vec<ProgramEntry> {
        let named = |entry: ProgramEntry| (Arc::clone(&entry.name), entry);
        let entries = |folder: &ProgramFolder| folder.entries().into_iter().map(named);
        let mut all: BTreeMap<_, _> = entries(&self.operators).collect();
        // A name in the tenant's own folder replaces the same in the operator's.
        if let Some((own, without)) = &self.own {
            all.extend(entries(own).filter(|(name, _)| !without.contains(&&**name)));
        }
        all.into_values().collect()
    }
}

/// What the tenant's sessions see as `/bin` and `/usr/bin`.
impl NameFolder for Programs {
    fn names(&self) -> Vec<String> {
        self.entries().into_iter().map(|entry| entry.name.to_string()).collect()
    }

    fn size(&self, name: &str) -> Option<u64> {
        match self.known(name)?.1 {
            ProgramName::File { size, .. } => Some(size),
            ProgramName::Refused(_) => None,
        }
    }
}

impl fmt::Debug for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Programs").field("most", &self.most).finish_non_exhaustive()
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
    Lookup::Unrunnable(Unrunnable::not_granted(format!(
        "it needs {}, which is not granted here",
        missing.join(" and ")
    )))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::{Pin, pin};
    use std::task::Poll;

    use whelk_runtime::{Engine, EngineSettings, Limits, Registry};

    use super::*;
    use crate::plugins::programs::Place;
    use crate::state::plugin_files::Links;
    use crate::state::plugin_files::programs::ProgramNames;
    use crate::state::strict_modes::Writers;

    const PROGRAM: &str = r#"(component
        (core module $m (func (export "run") (result i32) i32.const 0))
        (core instance $c (instantiate $m))
        (func $run (result (result)) (canon lift (core func $c "run")))
        (instance $i (export "run" (func $run)))
        (export "wasi:cli/run@0.2.6" (instance $i)))"#;

    /// Polls once; whether it waits.
    async fn waits(lookup: &mut Pin<&mut impl Future<Output = Lookup>>) -> bool {
        poll_fn(|context| Poll::Ready(lookup.as_mut().poll(context).is_pending())).await
    }

    #[tokio::test]
    async fn a_program_that_is_evicted_before_its_session_has_it_is_loaded_again() {
        let limits = Limits { instances: 1, ..Limits::default() };
        let engine = Engine::new(&EngineSettings::of(&limits)).unwrap();
        let place = Place { path: "/nowhere".into(), links: Links::Refuse, writers: Writers::Anybody };
        let folder = Arc::new(ProgramFolder::new(Registry::new(&limits), &Arc::default(), place, false));
        let file = |name: &str| (name.to_owned(), ProgramName::File { program: name.to_owned(), size: 1 });
        let programs = [file("a"), file("b")].into();
        folder.set_names(ProgramNames { programs, nameless: Default::default(), misspelled: Default::default() }, None);
        // What the reload task does for whoever waits.
        let load = |name: &str| {
            let plugin = Plugin::load(&engine, name, &wat::parse_str(PROGRAM).unwrap()).unwrap();
            folder.registry().publish_alone(&plugin);
            folder.end_request(name);
        };
        let programs = Programs::new(None, &folder, Arc::default(), 1);
        let runner = Runner { payer: "acme", tenant: None };
        let deadline = Instant::now() + Duration::from_secs(3600);
        let mut first = pin!(programs.settled("a", runner, deadline));
        assert!(waits(&mut first).await);
        load("a");
        let mut second = pin!(programs.settled("b", runner, deadline));
        assert!(waits(&mut second).await);
        assert!(folder.registry().get("a").is_none(), "it was evicted");
        load("b");
        assert!(matches!(second.await, Lookup::Found(_)));
        assert!(waits(&mut first).await, "it is loaded again");
        load("a");
        assert!(matches!(first.await, Lookup::Found(plugin) if plugin.name() == "a"));
    }
}
