//! The file of the embedded store: opened once, and opened again after it has failed.
//!
//! redb refuses everything after one failed write, since it cannot know what of it is on the disk. A full disk must not end key-value
//! until the next start, so the file is then closed and opened anew, which finds the last transaction that was committed.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use redb::{Database, DatabaseError, StorageError};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::buckets::Error;
use super::tables;

use crate::event::{Event, emit};

/// Memory for pages that were read or are about to be written, bytes.
const CACHE: usize = 32 << 20;
/// As many links as Linux follows, path_resolution(7).
const MOST_LINKS: usize = 40;

/// How a file is opened: the tests put one there that fails.
pub(super) type Opener = Box<dyn Fn() -> Result<Database, DatabaseError> + Send + Sync>;

/// An open file.
pub(super) struct File {
    open: Opener,
    current: RwLock<Option<Database>>,
    /// It has failed, which was logged, and nothing was written since.
    failing: AtomicBool,
}

impl File {
    /// Opens the file, or makes it, for its owner alone.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let owned = path.to_owned();
        let open = move || {
            if !owned.try_exists()? {
                make(&owned)?;
            }
            library(OpenOptions::new().read(true).write(true).open(&owned)?)
        };
        Self::with(Box::new(open)).map_err(|reason| Error::Unusable { file: path.to_owned(), reason })
    }

    /// The error is for the operator.
    pub(super) fn with(open: Opener) -> Result<Self, String> {
        // A damaged file can make the library panic, where another one would answer an error.
        let database = catch_unwind(AssertUnwindSafe(|| {
            let database = open().map_err(|error| explain(&error))?;
            let fits = prepare(&database).map_err(|error| damaged(&error.to_string()))?;
            if fits { Ok(database) } else { Err("it was made by a newer version of whelk; run that one".to_owned()) }
        }));
        let database = database.unwrap_or_else(|_| Err(damaged("its structure makes no sense")))?;
        Ok(Self { open, current: RwLock::new(Some(database)), failing: AtomicBool::new(false) })
    }

    /// Works with the file. If that fails, the file is opened anew for whoever comes next.
    pub(super) fn with_database<R>(&self, work: impl FnOnce(&Database) -> Result<R, redb::Error>) -> Result<R, Error> {
        self.reopen_if_closed()?;
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = current.as_ref() else { return Err(Error::Failed("the file is closed".to_owned())) };
        let result = catch_unwind(AssertUnwindSafe(|| work(database)));
        drop(current);
        let failure = match result {
            Ok(Ok(result)) => return Ok(result),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the library panicked".to_owned(),
        };
        // Once for each time of trouble: a full disk fails every change until there is room.
        if !self.failing.swap(true, Ordering::Relaxed) {
            emit(Event::ServerStoreFailing { reason: &failure });
        }
        // Waits for all who still work with it.
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = None;
        Err(Error::Failed(failure))
    }

    /// Something was written: the trouble, if there was one, is over.
    pub(super) fn has_written(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            emit(Event::ServerStoreRecovered {});
        }
    }

    fn reopen_if_closed(&self) -> Result<(), Error> {
        if self.current.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(());
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.is_none() {
            let opened = catch_unwind(AssertUnwindSafe(|| (self.open)().map_err(|error| explain(&error))));
            let opened = opened.unwrap_or_else(|_| Err(damaged("its structure makes no sense")));
            *current = Some(opened.map_err(Error::Failed)?);
        }
        Ok(())
    }
}

fn library(file: fs::File) -> Result<Database, DatabaseError> {
    Database::builder().set_cache_size(CACHE).create_file(file)
}

/// Makes an empty store beside its place and then gives it its name. The library first gives a new file its length and only then writes
/// into it what makes it a store, so one that was killed in between would be taken for damaged ever after.
///
/// Whoever calls has the folder to itself: what is there under the name of a new store is what somebody left who was killed.
fn make(path: &Path) -> Result<(), DatabaseError> {
    // A link to another disk is where it is to be.
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(target) = fs::read_link(&path) else { break };
        path = path.parent().map_or_else(|| target.clone(), |folder| folder.join(&target));
    }
    let mut temporary = path.clone().into_os_string();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    make_at(&temporary)?;
    if let Err(error) = name(&temporary, &path) {
        // The error of naming it is the one to tell.
        let _ = fs::remove_file(&temporary);
        // Whatever has appeared there is opened.
        return if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error.into()) };
    }
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())?;
    Ok(())
}

/// Gives a file its name. What has appeared there meanwhile stays, where the file system can do that.
fn name(temporary: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // PERM: a filter of system calls says so of what it does not know; what may not be renamed is told by the next line.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP | Errno::PERM) => fs::rename(temporary, path),
        Err(error) => Err(error.into()),
    }
}

fn make_at(path: &Path) -> Result<(), DatabaseError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        Ok(()) | Err(_) => {}
    }
    library(OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?).map(drop)
}

fn prepare(database: &Database) -> Result<bool, redb::Error> {
    let transaction = database.begin_write()?;
    let fits = tables::prepare(&transaction)?;
    if fits {
        transaction.commit()?;
    }
    Ok(fits)
}

/// What is wrong with a file, and what helps.
fn explain(error: &DatabaseError) -> String {
    match error {
        DatabaseError::DatabaseAlreadyOpen => {
            "another whelk runs on this state folder; stop it, or give this one a folder of its own".to_owned()
        }
        DatabaseError::UpgradeRequired(version) => {
            format!("its format {version} is too old; move it away to begin with an empty store")
        }
        DatabaseError::Storage(StorageError::Io(error)) if error.kind() != std::io::ErrorKind::InvalidData => {
            format!("cannot be opened: {error}")
        }
        // The enum is redb's and may grow.
        other => damaged(&other.to_string()),
    }
}

fn damaged(reason: &str) -> String {
    format!("it is damaged ({reason}); put a backup in its place, or move it away to begin with an empty store")
}
