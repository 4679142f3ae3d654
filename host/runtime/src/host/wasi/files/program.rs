//! A file of the session that somebody wants to run: what its path leads to, how it begins, and the whole of it.
//!
//! It is opened and read as any import of files does it: in the tenant's turn, counted among the open files, recorded,
//! never a special file, and never out of the tree.

use std::cell::Cell;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use super::session::{Handle, Session};
use crate::grants::{DiskWait, Found, Opening, READ, Refused};
use crate::limits::budget::Charge;
use crate::posix::Errno;
#[cfg(test)]
use {
    super::session::OpenLimits,
    crate::grants::Tree,
    crate::host::charges::Charges,
    crate::host::log::LogBook,
    crate::limits::budget::Totals,
    crate::limits::usage::{ProcessUsage, SessionUsage},
    crate::session_types::Facts,
    crate::tenant::Tenant,
};

/// How a program is opened.
const READING: Opening = Opening {
    read: true,
    write: false,
    create: false,
    exclusive: false,
    truncate: false,
    directory: false,
    follow: true,
};

/// How the directory is opened in which one begins.
const DIRECTORY: Opening = Opening { directory: true, ..READING };

/// The files of a session, for whoever finds programs in them.
#[derive(Clone)]
pub(crate) struct ProgramFiles(Arc<Session>);

/// What the path of a program leads to.
pub(crate) enum ProgramFile {
    /// The program of this name in the program table.
    Listed(String),
    /// A regular file of a disk.
    Opened(OpenProgram),
}

/// A file that is open.
pub(crate) struct OpenProgram(Arc<Handle>);

/// The contents of a file, charged to the tenant while they are held.
pub(crate) struct ProgramBytes {
    pub(crate) bytes: Vec<u8>,
    /// SHA-256 of them.
    pub(crate) digest: [u8; 32],
    pub(crate) charge: Charge,
}

impl ProgramFiles {
    pub(in crate::host) fn new(session: Arc<Session>) -> Self {
        Self(session)
    }

    /// Those of a program of this tenant, apart from any process.
    #[cfg(test)]
    pub(crate) fn of(tenant: &Arc<Tenant>) -> Self {
        let (limits, grants) = (tenant.limits(), tenant.grants());
        let log = Arc::new(LogBook::new("test".into(), &Facts::from_iter([("user", "test")]), Arc::clone(tenant)));
        let totals = Arc::new(Totals::new(100, usize::MAX, 1));
        let usage = Arc::new(ProcessUsage::of(&Arc::new(SessionUsage::new(limits))));
        let charges = Charges::new(&log, &totals, &usage);
        let tree = Tree::new(&grants.tree, Some(&Arc::default()), grants.directory.clone(), &Arc::default());
        let tree = tree.expect("a program sees files");
        let most = crate::limits::count(limits.open_files);
        let open = OpenLimits { process: Arc::default(), most, session: Arc::default(), session_most: most };
        Self(Arc::new(Session::new(tree, None, &log, charges, open)))
    }

    /// Finds out what a path leads to, links followed. One without a slash at its beginning begins at `directory`,
    /// which is absolute.
    ///
    /// # Errors
    /// As execve(2): [`Errno::NoEntry`] if it is not there, [`Errno::Access`] if it is a directory or a special file.
    pub(crate) async fn open(&self, directory: &str, path: &str) -> Result<ProgramFile, Errno> {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("{directory}/{path}") };
        let session = Arc::clone(&self.0);
        let find = move |_: &Session, wait| find(&session, &path, wait);
        Arc::clone(&self.0).run(true, find).await.map_err(errno)
    }

    /// Finds out whether a process can begin in this directory, links followed.
    ///
    /// # Errors
    /// As chdir(2): [`Errno::NoEntry`] if it is not there, [`Errno::NotADirectory`] if it is something else.
    pub(crate) async fn check_directory(&self, path: &str) -> Result<(), Errno> {
        let (session, path) = (Arc::clone(&self.0), path.to_owned());
        let open = move |_: &Session, wait| {
            let path = session.tree.below_root(&path)?;
            Handle::root(&session).open(path, DIRECTORY, wait).map(|_| ())
        };
        Arc::clone(&self.0).run(true, open).await.map_err(errno)
    }
}

fn find(session: &Arc<Session>, path: &str, wait: DiskWait) -> Result<ProgramFile, Refused> {
    let path = session.tree.below_root(path)?;
    let (root, led_to) = (Handle::root(session), Cell::default());
    if let Some(name) = session.tree.listed(root.start(&led_to, wait), path)? {
        return Ok(ProgramFile::Listed(name));
    }
    let handle = root.open(path, READING, wait)?;
    if handle.is_directory() || handle.device().is_some() {
        return Err(Refused::NotPermitted);
    }
    Ok(ProgramFile::Opened(OpenProgram(Arc::new(handle))))
}

impl OpenProgram {
    /// Its first bytes: so many, unless it is shorter.
    pub(crate) async fn head(&self, length: usize) -> Result<Vec<u8>, Errno> {
        Ok(self.piece(0, length, Sha256::new()).await?.0)
    }

    /// All of it, with its digest. Reading and hashing is charged to the session.
    ///
    /// # Errors
    /// [`Errno::NoExecutable`] if it has more than `most` bytes, [`Errno::NoMemory`] if the tenant has no memory left
    /// for them.
    pub(crate) async fn read(self, most: usize) -> Result<ProgramBytes, Errno> {
        let (session, handle) = (self.0.session(), Arc::clone(&self.0));
        let size =
            Arc::clone(&session).run(handle.is_local(), move |session, _| match session.tree.stat(&handle.opened)? {
                Found::Real(metadata) => Ok(metadata.len()),
                Found::Made(_) | Found::Listed(_) => Err(Refused::NotPermitted),
            });
        let size = usize::try_from(size.await.map_err(errno)?).unwrap_or(usize::MAX);
        if size > most {
            return Err(Errno::NoExecutable);
        }
        let charge = session.charge(size).ok_or(Errno::NoMemory)?;
        let (mut bytes, mut digest) = (Vec::with_capacity(size), Sha256::new());
        while bytes.len() < size {
            let (piece, hashed) = self.piece(bytes.len(), READ.min(size - bytes.len()), digest).await?;
            digest = hashed;
            if piece.is_empty() {
                break;
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(ProgramBytes { bytes, digest: digest.finalize().into(), charge })
    }

    /// Some of it, and the digest of what was read `before` and of this.
    async fn piece(&self, offset: usize, length: usize, before: Sha256) -> Result<(Vec<u8>, Sha256), Errno> {
        let (handle, offset) = (Arc::clone(&self.0), u64::try_from(offset).unwrap_or(u64::MAX));
        let read = self.0.session().run(self.0.is_local(), move |_, wait| {
            let piece = handle.read(offset, length, wait)?;
            let digest = before.clone().chain_update(&piece);
            Ok((piece, digest))
        });
        read.await.map_err(errno)
    }
}

/// What execve(2) says where an import of files gives this error.
fn errno(code: ErrorCode) -> Errno {
    match code {
        // A special file, among others.
        ErrorCode::Access | ErrorCode::NotPermitted | ErrorCode::IsDirectory | ErrorCode::NoSuchDevice => Errno::Access,
        ErrorCode::NoEntry => Errno::NoEntry,
        ErrorCode::NotDirectory => Errno::NotADirectory,
        ErrorCode::Loop => Errno::LinkLoop,
        ErrorCode::NameTooLong => Errno::NameTooLong,
        ErrorCode::IllegalByteSequence => Errno::IllegalSequence,
        ErrorCode::InsufficientMemory => Errno::NoMemory,
        // Of open files: nothing is written.
        ErrorCode::Quota => Errno::TooManyFiles,
        ErrorCode::InsufficientSpace => Errno::NoSpace,
        ErrorCode::Invalid => Errno::Invalid,
        _ => Errno::Io,
    }
}
