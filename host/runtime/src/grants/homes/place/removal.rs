//! Temporary folders: made for a session, and removed by the reaper's thread.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use cap_std::fs::Dir;

use super::{HomesPlace, MadeHome, NewHome};
use crate::event::{LogEvent, emit};
use crate::grants::directory::{CountedFolder, Id, Inodes, count};
use crate::grants::homes::error::HomeError;
use crate::grants::homes::marked::{MarkedFolder, Removed};
use crate::grants::homes::reaper::Work;
use crate::grants::{Access, Directory, QuotaAccount};

/// The most entries that are removed in one turn.
const TURN: usize = 512;

impl HomesPlace {
    /// Removes what an earlier run has left.
    pub(super) fn remove_leftovers(self: &Arc<Self>, leftovers: Vec<MarkedFolder>, tenant: &str) {
        for folder in leftovers {
            let (place, tenant) = (Arc::clone(self), tenant.into());
            self.remove(Removal { folder, place, tenant, account: None, entries: 0, is_home: true });
        }
    }

    /// Makes a home that is removed when the directory is dropped. Blocks.
    pub(in crate::grants::homes) fn make_temporary(self: &Arc<Self>, new: &NewHome<'_>) -> Result<MadeHome, HomeError> {
        let (folder, account, skeleton) = self.begin_home(new)?;
        let path = self.path.join(folder.contents());
        let (place, tenant, is_home) = (Arc::clone(self), new.tenant.into(), new.is_home);
        let temporary = TemporaryHome { folder, place, tenant, account: Arc::clone(&account), is_home };
        let opened = temporary.folder.open_contents().and_then(|contents| {
            let dir = Dir::from_std_file(contents.into());
            let id = Id::of(&dir.dir_metadata()?);
            Ok((dir, id))
        });
        let (dir, id) = opened.map_err(|error| HomeError::Disk(path.clone(), error))?;
        let (inodes, queue) = (Arc::new(Inodes::new(account, HashMap::new())), Arc::clone(&self.queue));
        let counted = CountedFolder { dir, id, inodes, queue, held: Some(Box::new(temporary)) };
        let directory = Directory::counted(counted, &path, Access::ReadWrite, new.guest_path);
        Ok(MadeHome { directory, made: Some((path, skeleton)) })
    }

    /// Removes a folder that has not become a home.
    pub(super) fn discard(self: &Arc<Self>, folder: &MarkedFolder, account: &Arc<QuotaAccount>, tenant: &str) {
        let (folder, account, place) = (folder.clone(), Some(Arc::clone(account)), Arc::clone(self));
        self.remove(Removal { folder, place, tenant: tenant.into(), account, entries: 0, is_home: false });
    }

    fn remove(self: &Arc<Self>, mut removal: Removal) {
        removal.entries = removal.account.as_ref().map_or(0, |account| account.usage().files);
        self.removals.send_modify(|waiting| *waiting = waiting.saturating_add(removal.entries));
        self.reaper.add(self.owner(), Box::new(removal));
    }
}

/// Ends with the directory of a temporary home, which is removed then.
struct TemporaryHome {
    folder: MarkedFolder,
    place: Arc<HomesPlace>,
    tenant: Arc<str>,
    account: Arc<QuotaAccount>,
    is_home: bool,
}

impl Drop for TemporaryHome {
    fn drop(&mut self) {
        let Self { folder, place, tenant, account, is_home } = self;
        let (folder, tenant, account) = (folder.clone(), Arc::clone(tenant), Some(Arc::clone(account)));
        let removal = Removal { folder, place: Arc::clone(place), tenant, account, entries: 0, is_home: *is_home };
        place.remove(removal);
    }
}

/// A temporary folder that is removed.
struct Removal {
    folder: MarkedFolder,
    place: Arc<HomesPlace>,
    tenant: Arc<str>,
    /// What is charged for it; none if an earlier run has left it, until it is counted.
    account: Option<Arc<QuotaAccount>>,
    /// Of how many entries it is known that they wait.
    entries: u64,
    /// Its removal is logged.
    is_home: bool,
}

impl Removal {
    fn step(&mut self) -> io::Result<Removed> {
        if self.account.is_none() {
            // All of it: a removal may have begun.
            let contents = count::count(self.folder.open()?).map_err(|(_, error)| error)?;
            let account = QuotaAccount::within(self.place.quota().each, contents.usage, &self.place.total);
            self.account = Some(Arc::new(account));
        }
        self.folder.remove_some(TURN)
    }
}

impl Work for Removal {
    fn turn(mut self: Box<Self>) -> Option<Box<dyn Work>> {
        let done = self.step();
        if let Ok(Removed::Some(_)) = done {
            return Some(self);
        }
        let Self { folder, place, tenant, account, entries, is_home } = &*self;
        let home = place.path.join(folder.contents());
        match &done {
            // It stays, and stays charged, until the next start.
            Err(error) => emit(LogEvent::HomeNotRemoved { tenant, home: &home, error }),
            Ok(_) => {
                if let Some(account) = account {
                    account.give_back(account.usage());
                }
                if *is_home {
                    emit(LogEvent::HomeRemoved { tenant, home: &home });
                }
            }
        }
        place.removals.send_modify(|waiting| *waiting = waiting.saturating_sub(*entries));
        None
    }
}
