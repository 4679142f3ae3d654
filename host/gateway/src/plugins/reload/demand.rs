//! Folders of programs, whose files are loaded when somebody needs them: how they are listed, and how the task takes
//! what is needed.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::time::Instant;
use whelk_runtime::{Loader, Terms};

use super::folder::{FolderState, Outcome, Pending, PluginFolder};
use super::refusal::FileRefusal;
use super::task::{Job, LoadJob, Task};
use crate::observe::escape::escape;
use crate::observe::event::{PluginEvent, emit};
use crate::plugins::programs::{LoadRequest, ProgramFolder};
use crate::plugins::watch::{Spot, Watcher};
use crate::state::plugin_files::programs::{self, NamesStamp};
use crate::state::plugin_files::{self, Listing};

/// How many refused files of a folder of programs are remembered. Others are tried again when they are needed.
const MOST_FAILED: usize = 256;
/// How many refused links are logged of one listing.
const MOST_LOGGED: usize = 64;

impl PluginFolder {
    /// Lists a folder of programs. Only files that are loaded or refused are checked for changes. Blocks on the disk.
    pub(super) fn list_programs(&self, programs: &ProgramFolder, watcher: &Watcher) -> Outcome {
        let folder = plugin_files::open_folder(&self.config.path, self.limits.links);
        let is_absent = folder.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound);
        if is_absent && self.config.registry.plugins().is_empty() {
            return self.no_programs(programs);
        }
        self.watch_opened(watcher, folder.as_ref().ok());
        let expected = self.expected();
        let listing = folder.and_then(|folder| {
            plugin_files::check_writers(&folder, &self.config.path, self.config.writers)?;
            self.list_names(programs, &folder)?;
            let (nameless, misspelled) = programs.other_files();
            let files = plugin_files::stamps(&folder, self.limits.links, &expected);
            Ok(Listing { identity: plugin_files::identity(&folder)?, files, nameless, misspelled })
        });
        match listing {
            Ok(listing) => {
                let is_empty = programs.names().is_empty();
                let outcome = self.compare(listing, expected, is_empty);
                programs.load_first();
                outcome
            }
            Err(error) => self.folder_unavailable(&error.to_string()),
        }
    }

    /// There is no folder, which is usual.
    fn no_programs(&self, programs: &ProgramFolder) -> Outcome {
        programs.set_names(programs::ProgramNames::default(), None);
        let mut state = self.state();
        if !std::mem::replace(&mut state.listed, true) {
            self.config.registry.expect(BTreeSet::new());
        }
        (state.trouble, state.identity) = (None, None);
        Outcome::Done
    }

    /// Reads the names, unless they are those of the last time.
    fn list_names(&self, programs: &ProgramFolder, folder: &OwnedFd) -> std::io::Result<()> {
        let stamp = NamesStamp::of(folder)?;
        if programs.is_still(&stamp) {
            return Ok(());
        }
        let names = programs::list(folder, self.limits.plugins)?;
        for (file, reason) in programs.set_names(names, Some(stamp)).into_iter().take(MOST_LOGGED) {
            let path = self.config.path.join(file).display().to_string();
            let (file, reason) = (escape(path.as_bytes()), escape(reason.as_bytes()));
            emit(PluginEvent::Refused { file, tenant: self.tenant(), reason, retry_s: None });
        }
        Ok(())
    }

    /// Whether this is a program that nobody needs now.
    pub(super) fn is_unneeded(&self, name: &str) -> bool {
        self.config
            .programs
            .as_ref()
            .is_some_and(|programs| self.config.registry.get(name).is_none() && programs.request(name).is_none())
    }

    /// Whether changes of this file matter before somebody needs it.
    fn is_watched(&self, file: &str) -> bool {
        let name = plugin_files::plugin_name(file).unwrap_or_default();
        self.config.programs.as_ref().is_none_or(|programs| programs.watches(name))
    }

    /// Reads and loads a program for whoever needs it. Publishes nothing: the load may have been cancelled when it is
    /// done.
    async fn load_needed(self: Arc<Self>, file: String, request: LoadRequest, loader: Arc<Loader>) -> Outcome {
        let Some(name) = plugin_files::plugin_name(&file) else { return Outcome::Done };
        let _permit = request.permits.acquire().await.expect("the semaphore is never closed");
        let (source, stamp) = match self.read(file.clone()).await {
            Outcome::Read(source, stamp) => (source, stamp),
            Outcome::Unreadable(refusal) => return Outcome::Loaded(Err(refusal)),
            other => return other,
        };
        self.touched(&file, stamp);
        let refused = |refusal: FileRefusal| Outcome::Loaded(Err(refusal.with_digest(source.digest(), Some(stamp))));
        if let Err(refusal) = self.room(name, 0) {
            return refused(refusal);
        }
        let slots = if request.tenant.is_empty() { &self.limits.slots } else { &self.limits.tenants_slots };
        let terms = Terms { component: self.limits.component, slots, tenant: &request.tenant };
        match loader.load(name, &source, terms).await {
            Ok(plugin) => Outcome::Loaded(Ok(plugin)),
            Err(error) => refused(FileRefusal::from_error(&error)),
        }
    }
}

impl FolderState {
    /// Forgets refusals of programs when there are too many, but not this one.
    pub(super) fn forget_failures(&mut self, programs: &ProgramFolder, kept: &str) {
        while self.refused.len() > MOST_FAILED {
            let oldest = self.refused.keys().find(|file| !file.is_empty() && *file != kept).cloned();
            let Some(file) = oldest else { return };
            self.refused.remove(&file);
            self.forget_seen(&file);
            programs.set_failure(plugin_files::plugin_name(&file).unwrap_or_default(), None);
        }
    }
}

impl Task {
    /// Starts to load what is needed.
    pub(super) fn start_needed(&mut self) {
        let folders = Arc::clone(&self.context.folders);
        for (number, folder) in folders.iter().enumerate() {
            let requests = folder.config.programs.as_ref().map(|programs| programs.take_requests());
            for (program, request) in requests.unwrap_or_default() {
                let folder_file = (number, format!("{program}.wasm"));
                if self.load_jobs.contains_key(&folder_file) {
                    continue;
                }
                let (file, loader) = (folder_file.1.clone(), self.loader(folder));
                folder.state().pending.insert(file.clone(), Pending { digest: None, since: Instant::now() });
                let handle = self.jobs.spawn(Arc::clone(folder).load_needed(file, request, loader));
                self.job_kinds.insert(handle.id(), Job::Load(folder_file.clone()));
                self.load_jobs.insert(folder_file, LoadJob::new(handle, None, true));
            }
        }
    }

    /// Where to look after a change of this spot: at the whole folder, if the file is a program that nobody has loaded.
    pub(super) fn spot_to_check(&self, spot: Spot) -> Spot {
        match spot {
            Spot::File(number, file) if !self.context.folders[number].is_watched(&file) => Spot::Folder(number),
            spot => spot,
        }
    }

    /// What is needed is taken again by this task.
    pub(super) fn release_requests(&self) {
        let programs = self.context.folders.iter().filter_map(|folder| folder.config.programs.as_ref());
        programs.for_each(|programs| programs.release_requests());
    }
}
