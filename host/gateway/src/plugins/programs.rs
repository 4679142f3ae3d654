//! A folder of programs (`bin` in a plugin folder) between those who need programs and the task that loads them.
//!
//! A program is loaded when somebody needs it for the first time. Whoever needs it asks here (`ProgramFolder::need`)
//! and waits for the registry; the reload task takes the request, loads the file in the line of the tenant who asked,
//! and publishes it. The task also lists the folder and loads what is loaded already and has changed.
//!
//! A name that the last listing does not have is looked up on the disk, so that a file which was put there a moment ago
//! is found.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use whelk_runtime::{Hold, Lookup, Plugin, ProgramEntry, Registry, Unrunnable};

use crate::state::plugin_files::programs::{self, NamesStamp, ProgramName, ProgramNames};
use crate::state::plugin_files::{Links, Nameless};
use crate::state::strict_modes::Writers;

/// What is loaded at the start, in the background.
pub(crate) const FIRST: [&str; 2] = ["sh", "coreutils"];

/// A folder of programs.
pub struct ProgramFolder {
    /// The loaded programs, by the names of their files.
    registry: Arc<Registry>,
    /// Tells the reload task that a program is needed.
    signal: Arc<Notify>,
    /// For what is loaded at the start.
    permits: Arc<Semaphore>,
    loads_first: bool,
    state: Mutex<ProgramState>,
}

/// What is known of the files of a folder of programs.
struct ProgramState {
    place: Place,
    names: Arc<BTreeMap<String, ProgramName>>,
    /// When the names had changed last as they were listed.
    stamp: Option<NamesStamp>,
    /// The programs that are needed and not loaded yet.
    needed: BTreeMap<String, LoadRequest>,
    /// The programs that could not be loaded.
    failed: BTreeMap<String, LoadFailure>,
    /// Those that stay loaded.
    first: Vec<Arc<Hold>>,
    others: (Nameless, BTreeSet<String>),
}

/// Where a folder is and how it is read.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) links: Links,
    pub(crate) writers: Writers,
}

/// Who pays for the load of a program.
#[derive(Clone)]
pub(crate) struct LoadRequest {
    /// The tenant in whose line it is compiled; empty: the operator.
    pub(crate) tenant: String,
    /// The tenant's permits to load programs.
    pub(crate) permits: Arc<Semaphore>,
    /// The reload task has taken it.
    is_taken: bool,
}

/// Why a program is not loaded.
struct LoadFailure {
    /// For the client.
    reason: String,
    /// When it may be tried again without a change; `None`: never.
    retry: Option<Instant>,
}

impl LoadRequest {
    /// A request of a tenant; empty: of the operator.
    pub(crate) fn new(tenant: &str, permits: &Arc<Semaphore>) -> LoadRequest {
        LoadRequest { tenant: tenant.to_owned(), permits: Arc::clone(permits), is_taken: false }
    }
}

impl ProgramFolder {
    /// A folder that has not been listed yet. `loads_first`: [`FIRST`] is loaded at the start.
    pub(crate) fn new(registry: Registry, signal: &Arc<Notify>, place: Place, loads_first: bool) -> ProgramFolder {
        let state = ProgramState {
            place,
            names: Arc::default(),
            stamp: None,
            needed: BTreeMap::new(),
            failed: BTreeMap::new(),
            first: Vec::new(),
            others: Default::default(),
        };
        let (registry, signal, state) = (Arc::new(registry), Arc::clone(signal), Mutex::new(state));
        ProgramFolder { registry, signal, permits: Arc::new(Semaphore::new(1)), loads_first, state }
    }

    /// The loaded programs.
    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    pub(crate) fn signal(&self) -> &Arc<Notify> {
        &self.signal
    }

    /// Where the folder is from now on.
    pub(crate) fn set_place(&self, place: Place) {
        self.state().place = place;
    }

    /// The names as of the last listing.
    pub(crate) fn names(&self) -> Arc<BTreeMap<String, ProgramName>> {
        Arc::clone(&self.state().names)
    }

    /// What this name means as of the last listing.
    pub(crate) fn name(&self, name: &str) -> Option<ProgramName> {
        self.state().names.get(name).cloned()
    }

    /// What this name means now, from the disk. `None` if it cannot be known.
    pub(crate) async fn find(&self, name: &str) -> Option<ProgramName> {
        let (Place { path, links, writers }, sought) = (self.state().place.clone(), name.to_owned());
        let found = spawn_blocking(move || programs::find(&path, &sought, links, writers)).await;
        let found = found.unwrap_or_else(|error| Err(io::Error::other(error))).ok()??;
        let mut state = self.state();
        // Listed again in the next round, whatever its stamp says.
        state.stamp = None;
        Arc::make_mut(&mut state.names).insert(name.to_owned(), found.clone());
        Some(found)
    }

    /// What a program means to a session: the file of this name, whatever other names it has.
    pub(crate) fn lookup(&self, program: &str) -> Lookup {
        let found = self.registry.lookup(program);
        match found {
            Lookup::Absent | Lookup::Retried => self.failure(program).map_or(found, Lookup::Unrunnable),
            found => found,
        }
    }

    /// Has a program loaded, unless it is loaded or has failed. The registry says when that is done.
    pub(crate) fn need(&self, program: &str, request: LoadRequest) {
        if self.registry.get(program).is_some() || self.failure(program).is_some() {
            return;
        }
        let mut state = self.state();
        if !state.needed.contains_key(program) {
            self.registry.expect_also(program);
            state.needed.insert(program.to_owned(), request);
            drop(state);
            self.signal.notify_one();
        }
    }

    /// Loads a program in the background, unless that was done before, and keeps it loaded.
    fn keep_loaded(&self, program: &str) {
        let hold = self.registry.hold(program);
        let is_kept = |first: &Arc<Hold>| Arc::ptr_eq(first, &hold);
        if self.state().first.iter().any(is_kept) {
            return;
        }
        self.state().first.push(hold);
        self.need(program, LoadRequest::new("", &self.permits));
    }

    /// Why a program cannot be run; `None` if that is not known, or may be otherwise now.
    fn failure(&self, program: &str) -> Option<Unrunnable> {
        let state = self.state();
        let failure = state.failed.get(program)?;
        let is_over = failure.retry.is_some_and(|retry| retry <= Instant::now());
        let reason = failure.reason.clone();
        let unrunnable =
            if failure.retry.is_some() { Unrunnable::not_yet(reason) } else { Unrunnable::because(reason) };
        (!is_over).then_some(unrunnable)
    }

    /// Records why a program could not be loaded, or that it can be tried again.
    pub(crate) fn set_failure(&self, program: &str, failure: Option<(String, Option<Instant>)>) {
        let mut state = self.state();
        match failure {
            Some((reason, retry)) => state.failed.insert(program.to_owned(), LoadFailure { reason, retry }),
            None => state.failed.remove(program),
        };
    }

    /// The requests that the reload task has not taken yet.
    pub(crate) fn take_requests(&self) -> Vec<(String, LoadRequest)> {
        let mut state = self.state();
        let new = state.needed.iter_mut().filter(|(_, request)| !request.is_taken);
        let take = |(program, request): (&String, &mut LoadRequest)| {
            request.is_taken = true;
            (program.clone(), request.clone())
        };
        new.map(take).collect()
    }

    /// The reload task begins anew: nobody has taken a request.
    pub(crate) fn release_requests(&self) {
        self.state().needed.values_mut().for_each(|request| request.is_taken = false);
        self.signal.notify_one();
    }

    /// Who pays for the load of this program, if somebody needs it.
    pub(crate) fn request(&self, program: &str) -> Option<LoadRequest> {
        self.state().needed.get(program).cloned()
    }

    /// A load is over, or will not be made.
    pub(crate) fn end_request(&self, program: &str) {
        self.state().needed.remove(program);
        self.registry.prepared(program);
    }

    /// Whether the task has to read a file when it changes.
    pub(crate) fn watches(&self, program: &str) -> bool {
        self.registry.get(program).is_some() || self.state().failed.contains_key(program)
    }

    /// Whether the names are still those of the last listing, as of this stamp.
    pub(crate) fn is_still(&self, now: &NamesStamp) -> bool {
        self.state().stamp.is_some_and(|before| before.is_still(now))
    }

    /// Records a listing. Returns the refused files that were not refused before, or for another reason.
    pub(crate) fn set_names(&self, listed: ProgramNames, stamp: Option<NamesStamp>) -> Vec<(String, String)> {
        let ProgramNames { programs: names, nameless, misspelled } = listed;
        let mut state = self.state();
        let is_new = |(name, found): (&String, &ProgramName)| match found {
            ProgramName::Refused(reason) if state.names.get(name) != Some(found) => {
                Some((format!("{name}.wasm"), reason.clone()))
            }
            ProgramName::Refused(_) | ProgramName::File { .. } => None,
        };
        let refused = names.iter().filter_map(is_new).collect();
        (state.names, state.stamp, state.others) = (Arc::new(names), stamp, (nameless, misspelled));
        refused
    }

    /// The files of the last listing that have no program's name: those that cannot be typed, and those whose suffix is
    /// written in capitals.
    pub(crate) fn other_files(&self) -> (Nameless, BTreeSet<String>) {
        self.state().others.clone()
    }

    /// Loads what is to be loaded at the start.
    pub(crate) fn load_first(&self) {
        for name in FIRST.iter().filter(|_| self.loads_first) {
            if let Some(ProgramName::File { program, .. }) = self.name(name) {
                self.keep_loaded(&program);
            }
        }
    }

    /// The names, for `/bin`.
    pub(crate) fn entries(&self) -> Vec<ProgramEntry> {
        let entry = |(name, found): (&String, &ProgramName)| {
            let ProgramName::File { program, size } = found else { return None };
            let generation = self.registry.get(program).map(|plugin| plugin.generation());
            let target = (program != name).then(|| program.as_str().into());
            Some(ProgramEntry { name: name.as_str().into(), target, size: *size, generation })
        };
        self.names().iter().filter_map(entry).collect()
    }

    fn state(&self) -> MutexGuard<'_, ProgramState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a loaded component cannot be run as a program.
pub(crate) fn is_no_program(plugin: &Plugin) -> Option<Unrunnable> {
    let reason = if plugin.is_authenticator() {
        "it is an authenticator, which decides about logins"
    } else if plugin.is_connection_plugin() {
        "it is a connection plugin, which serves no sessions"
    } else {
        return None;
    };
    Some(Unrunnable::because(reason))
}
