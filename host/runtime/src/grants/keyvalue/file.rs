//! The file of the embedded store, which is opened again after a failure.
//!
//! redb refuses everything after one failed write, because it does not know what has reached the disk. A full disk must
//! not disable key-value until the next start, so the file is then closed and opened again, which recovers the last
//! committed transaction.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use redb::{Database, DatabaseError, StorageError};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::buckets::StoreError;
use super::tables;
use crate::supervise::catch;

use crate::event::{LogEvent, emit};

/// Memory for cached pages, in bytes.
const CACHE: usize = 32 << 20;
/// As many links as Linux follows, path_resolution(7).
const MOST_LINKS: usize = 40;

/// How a file is opened: tests use a file that fails.
pub(super) type Opener = Box<dyn Fn() -> Result<Database, DatabaseError> + Send + Sync>;

/// An open file.
pub(super) struct File {
    open: Opener,
    current: RwLock<Option<Database>>,
    /// It has failed, which was logged, and nothing was written since.
    failing: AtomicBool,
    /// How many failed operations wait to close it.
    closing: AtomicUsize,
}

impl File {
    /// Opens the file, or creates it with access for its owner only.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let owned = path.to_owned();
        let open = move || {
            if !owned.try_exists()? {
                make(&owned)?;
            }
            library(OpenOptions::new().read(true).write(true).open(&owned)?)
        };
        Self::with(Box::new(open)).map_err(|reason| StoreError::Unusable { file: path.to_owned(), reason })
    }

    /// The error is for the operator.
    pub(super) fn with(open: Opener) -> Result<Self, String> {
        // A damaged file can make the library panic instead of returning an error.
        let database = catch(|| {
            let database = open().map_err(|error| explain(&error))?;
            let fits = prepare(&database).map_err(|error| damaged(&error.to_string()))?;
            if fits { Ok(database) } else { Err("it was made by a newer version of whelk; run that one".to_owned()) }
        });
        let database = database.unwrap_or_else(|_| Err(damaged("its structure makes no sense")))?;
        Ok(Self {
            open,
            current: RwLock::new(Some(database)),
            failing: AtomicBool::new(false),
            closing: AtomicUsize::new(0),
        })
    }

    /// Works with the file. After a failure the file is opened again for later calls.
    pub(super) fn with_database<R>(
        &self,
        work: impl FnOnce(&Database) -> Result<R, redb::Error>,
    ) -> Result<R, StoreError> {
        self.reopen_if_closed()?;
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = current.as_ref() else { return Err(StoreError::Failed("the file is closed".to_owned())) };
        let result = catch(|| work(database));
        drop(current);
        let failure = match result {
            Ok(Ok(result)) => return Ok(result),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the library panicked".to_owned(),
        };
        self.closing.fetch_add(1, Ordering::SeqCst);
        // Logged once until a write succeeds: a full disk fails every change.
        if !self.failing.swap(true, Ordering::Relaxed) {
            emit(LogEvent::ServerStoreFailing { reason: &failure });
        }
        // Waits for all operations in progress.
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.closing.fetch_sub(1, Ordering::SeqCst);
        Err(StoreError::Failed(failure))
    }

    /// Whether a failed operation waits for those in progress, to close the file. New ones wait for it.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst) > 0
    }

    /// A write succeeded: the failure, if there was one, is over.
    pub(super) fn has_written(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            emit(LogEvent::ServerStoreRecovered {});
        }
    }

    fn reopen_if_closed(&self) -> Result<(), StoreError> {
        if self.current.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(());
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.is_none() {
            let opened = catch(|| (self.open)().map_err(|error| explain(&error)));
            let opened = opened.unwrap_or_else(|_| Err(damaged("its structure makes no sense")));
            *current = Some(opened.map_err(StoreError::Failed)?);
        }
        Ok(())
    }
}

fn library(file: fs::File) -> Result<Database, DatabaseError> {
    Database::builder().set_cache_size(CACHE).create_file(file)
}

/// Creates an empty store under another name and renames it. The library first sets the length of a new file and then
/// writes the header, so a file from a process that was killed in between would be taken for damaged for ever.
///
/// The caller has exclusive use of the folder: an existing file under the temporary name is left from a killed process.
fn make(path: &Path) -> Result<(), DatabaseError> {
    // The target of a dangling link is the place.
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
        // Report the error of the rename.
        let _ = fs::remove_file(&temporary);
        // A file that has appeared there is opened.
        return if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error.into()) };
    }
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())?;
    Ok(())
}

/// Renames a file without replacing an existing one, where the file system supports that.
fn name(temporary: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // PERM: seccomp filters answer so for calls that they do not know; a rename that is really not permitted fails
        // on the next line.
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
        // redb's enum may grow.
        other => damaged(&other.to_string()),
    }
}

fn damaged(reason: &str) -> String {
    format!("it is damaged ({reason}); put a backup in its place, or move it away to begin with an empty store")
}
