//! The files of one session: what it may have open, and how it waits for the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::task::spawn_blocking;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use super::convert::error_code;
use crate::grants::{Count, Counted, Directory, Entry, Opening, Position, READ, Refused, Slot};
use crate::host::charges::Charges;
use crate::host::log::{FileEvent, LogBook};
use crate::limits::budget::Charge;

/// A path longer than this is not told from its beginning.
const SHOWN: usize = 4 << 10;
/// Most bytes that one write may carry.
pub(super) const WRITE: usize = 64 << 10;
/// What one stream holds of its file at most, bytes.
const PIECE: usize = if READ > WRITE { READ } else { WRITE };

/// What one session has of its tenant's directory.
pub(in crate::host) struct Session {
    pub(super) directory: Arc<Directory>,
    log: Arc<LogBook>,
    charges: Charges,
    open: Arc<Count>,
    streams: Arc<Count>,
    /// The most that may be open.
    most: usize,
}

/// A file or a directory that the session has open.
pub(super) struct Handle {
    pub(super) entry: Arc<Entry>,
    /// Below the grant, for the log.
    path: String,
    session: Arc<Session>,
    written: AtomicU64,
    /// A write has met the quota.
    refused: AtomicBool,
}

/// What a stream takes.
pub(super) struct Stream {
    _counted: Counted,
    _charge: Charge,
}

impl Session {
    /// `most`: how many files the session may have open.
    pub(in crate::host) fn new(directory: &Arc<Directory>, log: &Arc<LogBook>, charges: Charges, most: usize) -> Self {
        Self {
            directory: Arc::clone(directory),
            log: Arc::clone(log),
            charges,
            open: Arc::default(),
            streams: Arc::default(),
            most,
        }
    }

    /// Room for one more open file.
    pub(super) fn slot(&self) -> Result<Slot, Refused> {
        let mine = self.open.take(self.most).ok_or(Refused::Quota)?;
        let descriptor = self.charges.descriptor().ok_or(Refused::Quota)?;
        Ok(Slot::new(mine, descriptor))
    }

    /// Room for one more stream, and for the piece of its file that it may hold. Each may hold a file that was closed open too; a file is
    /// read and written by one each as a rule.
    pub(super) fn stream(&self) -> Result<Stream, Refused> {
        let counted = self.streams.take(self.most.saturating_mul(2)).ok_or(Refused::Quota)?;
        let charge = self.charges.memory(PIECE).ok_or(Refused::Memory)?;
        Ok(Stream { _counted: counted, _charge: charge })
    }

    /// Does what blocks where that harms nobody, in the tenant's turn, and charges the session for its processor
    /// time. It is done to its end even if nobody waits for it any more, so that what is charged is what was done.
    pub(super) async fn run<R: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(&Session) -> Result<R, Refused> + Send + 'static,
    ) -> Result<R, ErrorCode> {
        // Nobody closes it.
        let turn = Arc::clone(self.directory.turns()).acquire_owned().await.ok();
        let done = spawn_blocking(move || {
            let working = self.charges.usage().working();
            let result = work(&self);
            drop(working);
            drop(turn);
            result
        });
        done.await.map_err(|_| ErrorCode::Io)?.map_err(|refused| error_code(&refused))
    }

    /// Tells the operator what was done, or refused for a reason that somebody should know.
    fn tell<R>(&self, operation: &'static str, path: &str, bytes: Option<u64>, result: &Result<R, Refused>) {
        let refused = match result {
            Ok(_) => None,
            Err(refused) => match error_code(refused) {
                code @ (ErrorCode::NotPermitted | ErrorCode::Access | ErrorCode::ReadOnly | ErrorCode::Quota) => {
                    Some(code)
                }
                _ => return,
            },
        };
        self.log.file(&FileEvent { operation, path, bytes, refused: refused.as_ref().map(ErrorCode::name) });
    }
}

impl Handle {
    fn new(session: &Arc<Session>, entry: Arc<Entry>, path: String) -> Self {
        Self {
            entry,
            path,
            session: Arc::clone(session),
            written: AtomicU64::default(),
            refused: AtomicBool::default(),
        }
    }

    /// The granted directory itself.
    pub(super) fn root(session: &Arc<Session>) -> Self {
        Self::new(session, Arc::clone(session.directory.root()), String::new())
    }

    /// Opens something below it, and tells of it unless it is a directory, which is only the way to something.
    pub(super) fn open(&self, path: &str, how: Opening) -> Result<Self, Refused> {
        let (session, shown) = (&self.session, self.below(path));
        let result = session.slot().and_then(|slot| session.directory.enter(&self.entry, path, how, slot));
        let operation = match &result {
            Ok((_, true)) => "create",
            Ok((_, false)) if how.truncate => "truncate",
            Ok(_) | Err(_) => "open",
        };
        if !matches!(&result, Ok((entry, _)) if entry.is_directory()) {
            session.tell(operation, &shown, None, &result);
        }
        let (entry, _) = result?;
        Ok(Self::new(session, Arc::new(entry), shown))
    }

    /// The path of something below it, for the log.
    pub(super) fn below(&self, path: &str) -> String {
        match self.path.as_str() {
            "" => path.to_owned(),
            // However deep a plugin goes, its path here stays short enough to be kept.
            long if long.len() > SHOWN => format!("…/{path}"),
            directory => format!("{directory}/{path}"),
        }
    }

    /// The session whose it is.
    pub(super) fn session(&self) -> Arc<Session> {
        Arc::clone(&self.session)
    }

    /// Tells what was done to something below it.
    pub(super) fn tell<R>(&self, operation: &'static str, path: &str, result: &Result<R, Refused>) {
        self.session.tell(operation, &self.below(path), None, result);
    }

    /// Cuts or lengthens it.
    pub(super) fn set_size(&self, size: u64) -> Result<(), Refused> {
        let result = self.entry.set_size(size);
        self.session.tell("truncate", &self.path, Some(size), &result);
        result.map(|_| ())
    }

    /// Writes all of it or nothing, and returns where it ends.
    pub(super) fn write(&self, position: Position, data: &[u8]) -> Result<u64, Refused> {
        let result = self.entry.write(position, data);
        match &result {
            Ok(_) => {
                self.written.fetch_add(u64::try_from(data.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
            Err(Refused::Quota) => self.refused.store(true, Ordering::Relaxed),
            Err(_) => {}
        }
        result
    }
}

/// The end of a file that was written to.
impl Drop for Handle {
    fn drop(&mut self) {
        let (bytes, refused) = (*self.written.get_mut(), *self.refused.get_mut());
        if bytes > 0 || refused {
            let refused = refused.then(|| ErrorCode::Quota.name());
            self.session.log.file(&FileEvent { operation: "write-end", path: &self.path, bytes: Some(bytes), refused });
        }
    }
}
