//! The state folder: what the program keeps between starts. It has the host keys, the key that seals compiled plugins,
//! the private directories of tenants, and the lock and the control socket of the running program.
//!
//! This module handles files; callers parse and make keys. Every error names the file and the reason, and a doubtful
//! key is refused, never replaced: clients have learned it.

pub(crate) mod host_keys;
pub(crate) mod lock_file;
pub(crate) mod plugin_files;
pub mod strict_modes;

use std::fmt;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use zeroize::Zeroizing;

use crate::state::strict_modes::{Asked, is_asked, me, quoted};

/// The key that seals compiled code.
const CACHE_KEY: &str = "cache.key";
/// The key that seals recordings.
const RECORDING_KEY: &str = "recording.key";
/// The folder of compiled code ...
const CACHE: &str = "cache";
/// ... and that of tenants' own plugins.
const TENANTS_CACHE: &str = "cache-tenants";
/// The error of a process that needs what only a server makes.
pub(crate) const NOT_STARTED: &str = "no server has been started yet: run `whelk serve` once without --stdio, which makes \
                                      the host keys and compiles the plugins";
/// The embedded store of keys and values of all tenants.
pub(crate) const KEYVALUE: &str = "keyvalue.redb";
/// Locked by the program that uses the folder.
const LOCK: &str = "lock";
/// The control socket of the running program.
const CONTROL: &str = "control";
/// An Ed25519 key takes about 400 bytes, an RSA key of 16,384 bits about 12 KiB.
const MOST_BYTES: u64 = 64 << 10;
/// Any permission for group or others.
const OTHERS: u32 = 0o077;
/// Write permission for group or others.
const OTHERS_WRITE: u32 = 0o022;

/// The folder, created and checked.
#[derive(Clone, Debug)]
pub struct State {
    folder: PathBuf,
}

/// Holds the folder's lock. The kernel releases it when the program ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why the state folder cannot be used: the file and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateError {
    /// The file or folder.
    pub path: PathBuf,
    /// For the operator.
    pub reason: String,
}

impl State {
    /// Checks whether [`open`](Self::open) would succeed. Creates nothing.
    ///
    /// # Errors
    /// When it cannot be created or written to, is not a folder, belongs to another user or is writable by one.
    pub fn check(folder: &Path) -> Result<(), StateError> {
        // Verbs that start no server do not use the state folder, and may run as another user.
        if !is_asked(Asked::Modes) {
            return Ok(());
        }
        let absolute = std::path::absolute(folder)
            .map_err(|error| StateError::of(folder, format!("the state folder cannot be used: {error}")))?;
        let failed = |path: &Path, error: io::Error| {
            let reason = match error.kind() {
                io::ErrorKind::NotADirectory => "a file is in its place or on the way to it: name a folder".to_owned(),
                io::ErrorKind::ReadOnlyFilesystem => {
                    "it is on a disk that can only be read: name a folder elsewhere".to_owned()
                }
                io::ErrorKind::PermissionDenied => {
                    format!(
                        "this user (uid {}) may not write there: chown it, or check as the user who runs whelk",
                        me()
                    )
                }
                _ => error.to_string(),
            };
            let path = if path == absolute { String::new() } else { format!("{}: ", path.display()) };
            StateError::of(folder, format!("the state folder cannot be used: {path}{reason}"))
        };
        // The folder itself, or the last existing one on the path to it, in which the others are created.
        for path in absolute.ancestors() {
            let facts = match path.metadata() {
                Ok(facts) => facts,
                Err(error) if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(failed(
                        path,
                        io::Error::other("a symbolic link that leads nowhere: make the folder it leads to"),
                    ));
                }
                Err(error) => return Err(failed(path, error)),
            };
            if !facts.is_dir() {
                return Err(failed(path, io::ErrorKind::NotADirectory.into()));
            }
            if path == absolute {
                private_folder(folder, &facts)?;
            }
            // Without flags it is faccessat, which no seccomp filter refuses, unlike faccessat2. The effective ids are
            // the real ones anyway.
            let wanted = Access::WRITE_OK | Access::EXEC_OK;
            return rustix::fs::accessat(CWD, path, wanted, AtFlags::empty())
                .map_err(|error| failed(path, error.into()));
        }
        Ok(())
    }

    /// Opens the folder, and creates it (0700) if it does not exist.
    ///
    /// # Errors
    /// When it cannot be created, is not a folder, belongs to another user or is writable by one.
    pub fn open(folder: &Path) -> Result<State, StateError> {
        let failed = |error: io::Error| StateError::of(folder, format!("the state folder cannot be used: {error}"));
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let facts = folder.metadata().map_err(failed)?;
        private_folder(folder, &facts)?;
        Ok(State { folder: folder.to_owned() })
    }

    /// The folder, for a process that only reads it. Creates nothing.
    ///
    /// # Errors
    /// When it does not exist, is not a folder, belongs to another user or is writable by one.
    pub fn open_existing(folder: &Path) -> Result<State, StateError> {
        let facts = folder.metadata().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StateError::of(folder, NOT_STARTED),
            _ => StateError::of(folder, format!("the state folder cannot be used: {error}")),
        })?;
        private_folder(folder, &facts)?;
        Ok(State { folder: folder.to_owned() })
    }

    /// The path of a host key, by the name of its file. Its public half is beside it as `.pub`.
    pub fn host_key_path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The text of a host key's file, or `None` if there is none.
    ///
    /// # Errors
    /// When it is not a regular file; belongs to another user; gives any permission to group or others; is too large or
    /// not text.
    pub fn read_host_key(&self, name: &str) -> Result<Option<Zeroizing<String>>, StateError> {
        let path = self.host_key_path(name);
        let public = public_path(&path);
        match read_private(&path)? {
            Some(text) => Ok(Some(text)),
            None if fs::symlink_metadata(&public).is_ok() => {
                let public = public.display();
                let reason =
                    format!("the host key is gone while {public} is there: bring it back, or remove that file too");
                Err(StateError::of(&path, reason))
            }
            None => Ok(None),
        }
    }

    /// Stores a host key that was made at the first start: `private` in OpenSSH's format for the owner only (0600),
    /// `public` as one line beside it. It is on disk when this returns; an existing key is never overwritten.
    ///
    /// # Errors
    /// When it cannot be written, or a host key has appeared in the meantime.
    pub fn write_host_key(&self, name: &str, private: &str, public: &str) -> Result<(), StateError> {
        let path = self.host_key_path(name);
        write_new(&path, 0o600, private)?;
        write_new(&public_path(&path), 0o644, &format!("{}\n", public.trim_end())).inspect_err(|_| {
            // A key without its public half was not made. The error is told; a file that cannot be removed stays.
            let _ = fs::remove_file(&path);
        })
    }

    /// Removes a host key that was just made, with its public half.
    pub(crate) fn remove_host_key(&self, name: &str) {
        let path = self.host_key_path(name);
        // Called after an error, which is told; a file that cannot be removed stays.
        let _ = fs::remove_file(public_path(&path));
        let _ = fs::remove_file(path);
    }

    /// The private directory of a tenant, created (0700) if it does not exist. The tenant's name must satisfy
    /// [`check_tenant_name`](crate::config::check_tenant_name).
    ///
    /// # Errors
    /// When it cannot be created, is not a folder (a link to one is not), belongs to another user or is writable by
    /// one.
    pub fn private_folder(&self, tenant: &str) -> Result<PathBuf, StateError> {
        Self::made(tenant_folder(&self.folder, tenant))
    }

    /// The folder of a tenant's ephemeral homes, as [`private_folder`](Self::private_folder).
    ///
    /// # Errors
    /// As there.
    pub fn ephemeral_folder(&self, tenant: &str) -> Result<PathBuf, StateError> {
        Self::made(ephemeral_folder(&self.folder, tenant))
    }

    /// The folder of the temporary folders of a tenant's sessions, as [`private_folder`](Self::private_folder).
    ///
    /// # Errors
    /// As there.
    pub fn session_folder(&self, tenant: &str) -> Result<PathBuf, StateError> {
        Self::made(session_folder(&self.folder, tenant))
    }

    /// A folder two levels below the state folder, created (0700) with the one above it if it does not exist.
    ///
    /// # Errors
    /// As for [`private_folder`](Self::private_folder).
    pub(crate) fn made(path: PathBuf) -> Result<PathBuf, StateError> {
        for folder in path.parent().into_iter().chain([path.as_path()]) {
            let failed = |error: io::Error| StateError::of(folder, format!("cannot be made: {error}"));
            match DirBuilder::new().mode(0o700).create(folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
                Ok(()) | Err(_) => {}
            }
            let facts = fs::symlink_metadata(folder).map_err(failed)?;
            if !facts.is_dir() {
                return Err(StateError::of(folder, "is no folder: take it away, and whelk makes one"));
            }
            if facts.uid() != me() || facts.mode() & OTHERS_WRITE != 0 {
                let (mode, owner) = (facts.mode() & 0o7777, facts.uid());
                let reason =
                    format!("must be writable for whelk alone, has mode {mode:04o} and belongs to uid {owner}");
                return Err(StateError::of(folder, reason));
            }
        }
        Ok(path)
    }

    /// Locks the folder for this program.
    ///
    /// # Errors
    /// When another program has locked it, or the lock cannot be created.
    pub fn lock(&self) -> Result<Lock, StateError> {
        let path = self.folder.join(LOCK);
        let failed = |error: io::Error| StateError::of(&path, format!("cannot be locked: {error}"));
        let file = self.folder.metadata().and_then(|folder| lock_file::open(&path, &folder)).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(StateError::of(&self.folder, "another whelk is running with this state folder"))
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Tries to lock the folder, if a program has ever done so, and releases it. Creates nothing.
    ///
    /// # Errors
    /// As for [`lock`](Self::lock).
    pub(crate) fn try_existing_lock(&self) -> Result<(), StateError> {
        if fs::symlink_metadata(self.folder.join(LOCK)).is_ok() { self.lock().map(drop) } else { Ok(()) }
    }

    /// The key that seals compiled code, made of `fresh` random bytes at the first start.
    ///
    /// # Errors
    /// As for the host key.
    pub fn cache_key(&self, fresh: &[u8; 32]) -> Result<[u8; 32], StateError> {
        self.key(CACHE_KEY, fresh)
    }

    /// The key that seals recordings, made of `fresh` random bytes when it is needed for the first time.
    ///
    /// # Errors
    /// As for the host key.
    pub fn recording_key(&self, fresh: &[u8; 32]) -> Result<[u8; 32], StateError> {
        self.key(RECORDING_KEY, fresh)
    }

    fn key(&self, name: &str, fresh: &[u8; 32]) -> Result<[u8; 32], StateError> {
        if let Some(key) = self.existing_key(name)? {
            return Ok(key);
        }
        let text: String = fresh.iter().map(|byte| format!("{byte:02x}")).collect();
        write_new(&self.folder.join(name), 0o600, &format!("{text}\n"))?;
        Ok(*fresh)
    }

    /// The key that seals compiled code; none before the first start.
    ///
    /// # Errors
    /// As for the host key.
    pub fn existing_cache_key(&self) -> Result<Option<[u8; 32]>, StateError> {
        self.existing_key(CACHE_KEY)
    }

    /// The key that seals recordings; none before a recording was sealed.
    ///
    /// # Errors
    /// As for the host key.
    pub fn existing_recording_key(&self) -> Result<Option<[u8; 32]>, StateError> {
        self.existing_key(RECORDING_KEY)
    }

    fn existing_key(&self, name: &str) -> Result<Option<[u8; 32]>, StateError> {
        let path = self.folder.join(name);
        let Some(text) = read_private(&path)? else { return Ok(None) };
        let text = text.trim_end();
        let mut key = [0; 32];
        let digits = |at: usize| text.get(2 * at..2 * at + 2).filter(|_| text.len() == 64);
        for (at, byte) in key.iter_mut().enumerate() {
            let read = digits(at).and_then(|digits| u8::from_str_radix(digits, 16).ok());
            *byte = read.ok_or_else(|| StateError::of(&path, "is no key: remove it, and another one is made"))?;
        }
        Ok(Some(key))
    }

    /// The folder of compiled code.
    pub fn cache_path(&self) -> PathBuf {
        self.folder.join(CACHE)
    }

    /// The folder of compiled code of tenants' own plugins.
    pub fn tenants_cache_path(&self) -> PathBuf {
        self.folder.join(TENANTS_CACHE)
    }

    /// The control socket of the program that runs with this state folder.
    pub fn control_path(folder: &Path) -> PathBuf {
        folder.join(CONTROL)
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl StateError {
    fn of(path: &Path, reason: impl Into<String>) -> StateError {
        StateError { path: path.to_owned(), reason: reason.into() }
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

impl std::error::Error for StateError {}

/// The directory of a tenant that does not name one. Only for names that satisfy
/// [`check_tenant_name`](crate::config::check_tenant_name).
pub fn tenant_folder(state: &Path, tenant: &str) -> PathBuf {
    state.join("files").join(tenant)
}

/// The folder of a tenant's ephemeral homes, unless it names one. Only for names that satisfy
/// [`check_tenant_name`](crate::config::check_tenant_name).
pub fn ephemeral_folder(state: &Path, tenant: &str) -> PathBuf {
    state.join("ephemeral").join(tenant)
}

/// The folder of the temporary folders of a tenant's sessions. Only for names that satisfy
/// [`check_tenant_name`](crate::config::check_tenant_name).
pub fn session_folder(state: &Path, tenant: &str) -> PathBuf {
    state.join("tmp").join(tenant)
}

/// Checks that nobody else may write to a folder.
fn private_folder(folder: &Path, facts: &Metadata) -> Result<(), StateError> {
    if facts.mode() & OTHERS_WRITE != 0 {
        let (mode, word) = (facts.mode() & 0o7777, quoted(folder));
        let reason = format!("others may write to the state folder (mode {mode:04o}): chmod go-w {word}");
        return Err(StateError::of(folder, reason));
    }
    if facts.uid() != 0 && facts.uid() != me() && is_asked(Asked::All) {
        let (owner, me) = (facts.uid(), me());
        let reason = format!("the state folder belongs to another user (uid {owner}, this is uid {me})");
        return Err(StateError::of(folder, reason));
    }
    Ok(())
}

/// Reads a file of the state folder, which only its owner may read; `None` if there is none. A link is refused.
fn read_private(path: &Path) -> Result<Option<Zeroizing<String>>, StateError> {
    read_key_file(path, OFlags::NOFOLLOW, private_enough)
}

/// Reads a key file, or a certificate, if `may_read` finds nothing wrong with its mode, its owner and our own user;
/// `None` if there is none.
fn read_key_file(
    path: &Path,
    links: OFlags,
    may_read: impl FnOnce(u32, u32, u32) -> Result<(), String>,
) -> Result<Option<Zeroizing<String>>, StateError> {
    let refuse = |reason: String| StateError::of(path, reason);
    // Does not wait for the writer of a FIFO.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY | links;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(refuse("is a symbolic link, not a key file".to_owned())),
        Err(Errno::NXIO) => return Err(refuse("is a socket, not a key file".to_owned())),
        Err(error) => return Err(refuse(format!("cannot be read: {}", io::Error::from(error)))),
    };
    let unreadable = |error: io::Error| StateError::of(path, format!("cannot be read: {error}"));
    let facts = file.metadata().map_err(unreadable)?;
    let kind = facts.file_type();
    if !kind.is_file() {
        let kind = if kind.is_dir() {
            "a folder"
        } else if kind.is_fifo() {
            "a FIFO"
        } else {
            "a device"
        };
        return Err(refuse(format!("is {kind}, not a key file")));
    }
    may_read(facts.mode(), facts.uid(), me()).map_err(refuse)?;
    if facts.len() > MOST_BYTES {
        return Err(refuse(format!("is larger than {MOST_BYTES} bytes, which no key is")));
    }
    let mut text = Zeroizing::new(String::with_capacity(MOST_BYTES as usize));
    match file.take(MOST_BYTES).read_to_string(&mut text) {
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(refuse("is no text, so no key".to_owned())),
        Err(error) => Err(unreadable(error)),
    }
}

/// As OpenSSH does, refuses any permission for group or others.
fn private_enough(mode: u32, owner: u32, me: u32) -> Result<(), String> {
    if owner != me {
        return Err(format!("belongs to another user (uid {owner}, this is uid {me})"));
    }
    if mode & OTHERS != 0 {
        return Err(format!("has mode {:04o}, which is too open for a private key: chmod 600 it", mode & 0o7777));
    }
    Ok(())
}

/// Writes a file that did not exist, complete and on disk or not at all.
fn write_new(path: &Path, mode: u32, text: &str) -> Result<(), StateError> {
    let temporary = path.with_extension(format!("new-{}", std::process::id()));
    let written = write_through(&temporary, mode, text)
        // Unlike a rename, a link never replaces an existing file.
        .and_then(|()| fs::hard_link(&temporary, path));
    // The temporary file would hold a key if it stayed; if it is absent, there is nothing to do.
    let removed = fs::remove_file(&temporary);
    written.and(removed).and_then(|()| sync_folder(path)).map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::AlreadyExists => "has appeared while a new one was made: start again".to_owned(),
            _ => format!("cannot be written: {error}"),
        };
        StateError::of(path, reason)
    })
}

fn write_through(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    // The file that an interrupted start left under this name.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn public_path(path: &Path) -> PathBuf {
    path.with_extension("pub")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_is_checked_without_making_anything() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        fs::write(root.join("file"), "").unwrap();
        fs::create_dir(root.join("wide")).unwrap();
        fs::set_permissions(root.join("wide"), fs::Permissions::from_mode(0o777)).unwrap();
        std::os::unix::fs::symlink("nowhere", root.join("link")).unwrap();
        for (path, expected) in [
            ("", None),
            ("new/folder", None),
            // Whatever is created in it is accessible to whelk alone.
            ("wide/new", None),
            ("file", Some("a file is in its place or on the way to it: name a folder")),
            ("file/below/it", Some("a file is in its place or on the way to it: name a folder")),
            ("wide", Some("others may write to the state folder (mode 0777): chmod go-w")),
            ("link", Some("a symbolic link that leads nowhere: make the folder it leads to")),
        ] {
            let checked = State::check(&root.join(path)).map_err(|error| error.to_string());
            match expected {
                None => assert_eq!(checked, Ok(()), "{path}"),
                Some(words) => {
                    assert!(checked.as_ref().is_err_and(|error| error.contains(words)), "{path}: {checked:?}")
                }
            }
        }
        assert!(!root.join("new").exists());
        // Where nobody can create anything, not even root.
        let error = State::check(Path::new("/proc/self/whelk")).unwrap_err().to_string();
        assert!(error.starts_with("/proc/self/whelk: the state folder cannot be used: "), "{error}");
    }

    const NAME: &str = "ssh_host_ed25519_key";
    const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";

    struct Place {
        _folder: tempfile::TempDir,
        state: State,
        path: PathBuf,
    }

    fn place() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&folder.path().join("deep/state")).unwrap();
        let path = state.host_key_path(NAME);
        Place { _folder: folder, state, path }
    }

    fn refusal(state: &State) -> String {
        let error = state.read_host_key(NAME).unwrap_err();
        assert_eq!(error.path, state.host_key_path(NAME));
        error.reason
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_stored_key_is_read_back_and_private_to_its_owner() {
        let Place { state, path, .. } = &place();
        assert_eq!(state.read_host_key(NAME), Ok(None));
        state.write_host_key(NAME, KEY, "ssh-ed25519 AAAA").unwrap();
        assert_eq!(state.read_host_key(NAME).unwrap().unwrap().as_str(), KEY);
        assert_eq!((mode(path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_to_string(path.with_extension("pub")).unwrap(), "ssh-ed25519 AAAA\n");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 2, "nothing temporary is left");
    }

    #[test]
    fn a_key_is_never_written_over_another() {
        let Place { state, path, .. } = &place();
        state.write_host_key(NAME, KEY, "public").unwrap();
        let error = state.write_host_key(NAME, "other", "other").unwrap_err();
        assert!(error.reason.contains("has appeared"), "{error}");
        assert_eq!(fs::read_to_string(path).unwrap(), KEY);
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let Place { state, path, .. } = &place();
        fs::write(path, KEY).unwrap();
        for wide in [0o644, 0o640, 0o604, 0o610, 0o601, 0o666] {
            fs::set_permissions(path, fs::Permissions::from_mode(wide)).unwrap();
            let reason = format!("has mode {wide:04o}, which is too open for a private key: chmod 600 it");
            assert_eq!(refusal(state), reason);
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(state.read_host_key(NAME).is_ok());
    }

    #[test]
    fn a_key_of_another_user_is_refused() {
        assert_eq!(private_enough(0o600, 7, 8), Err("belongs to another user (uid 7, this is uid 8)".to_owned()));
        assert_eq!(private_enough(0o600, 8, 8), Ok(()));
    }

    #[test]
    fn something_that_is_not_a_file_is_refused_by_its_type() {
        let Place { state, path, .. } = &place();
        std::os::unix::fs::symlink("/dev/null", path).unwrap();
        assert_eq!(refusal(state), "is a symbolic link, not a key file");
        fs::remove_file(path).unwrap();
        std::os::unix::fs::symlink("absent", path).unwrap();
        assert_eq!(refusal(state), "is a symbolic link, not a key file");
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
        assert_eq!(refusal(state), "is a folder, not a key file");
        fs::remove_dir(path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert_eq!(refusal(state), "is a FIFO, not a key file");
        fs::remove_file(path).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path).unwrap();
        assert_eq!(refusal(state), "is a socket, not a key file");
    }

    #[test]
    fn binary_and_oversized_files_are_refused() {
        let Place { state, path, .. } = &place();
        state.write_host_key(NAME, KEY, "public").unwrap();
        fs::write(path, [0xff, 0xfe]).unwrap();
        assert_eq!(refusal(state), "is no text, so no key");
        fs::write(path, "x".repeat(70_000)).unwrap();
        assert_eq!(refusal(state), "is larger than 65536 bytes, which no key is");
    }

    #[test]
    fn a_lost_key_is_not_replaced_silently() {
        let Place { state, path, .. } = &place();
        state.write_host_key(NAME, KEY, "public").unwrap();
        fs::remove_file(path).unwrap();
        assert!(refusal(state).starts_with("the host key is gone while"));
    }

    #[test]
    fn the_private_directory_of_a_tenant_is_created_once_with_mode_0700() {
        let Place { state, path, .. } = &place();
        let folder = path.parent().unwrap();
        let made = state.private_folder("echo").unwrap();
        assert_eq!(made, folder.join("files/echo"));
        assert_eq!((mode(&made), mode(&folder.join("files"))), (0o700, 0o700));
        fs::write(made.join("kept"), "x").unwrap();
        assert_eq!(state.private_folder("echo").unwrap(), made);
        assert!(made.join("kept").exists());
        fs::set_permissions(&made, fs::Permissions::from_mode(0o722)).unwrap();
        assert!(state.private_folder("echo").unwrap_err().reason.contains("has mode 0722"));
        std::os::unix::fs::symlink("/tmp", folder.join("files/linked")).unwrap();
        fs::write(folder.join("files/file"), "").unwrap();
        for name in ["linked", "file"] {
            let error = state.private_folder(name).unwrap_err();
            assert_eq!(error.reason, "is no folder: take it away, and whelk makes one");
        }
    }

    #[test]
    fn only_one_program_can_lock_the_folder() {
        let Place { state, .. } = &place();
        let lock = state.lock().unwrap();
        assert_eq!(state.lock().unwrap_err().reason, "another whelk is running with this state folder");
        drop(lock);
        state.lock().unwrap();
    }

    #[test]
    fn the_cache_key_is_created_once_and_private_to_its_owner() {
        let Place { state, path, .. } = &place();
        assert_eq!(state.cache_key(&[0xa5; 32]), Ok([0xa5; 32]));
        assert_eq!(state.cache_key(&[1; 32]), Ok([0xa5; 32]));
        let path = path.with_file_name(CACHE_KEY);
        assert_eq!(mode(&path), 0o600);
        for text in ["", "a5", &"g5".repeat(32), &"a5".repeat(33), &"\u{e9}".repeat(32)] {
            fs::write(&path, text).unwrap();
            assert!(state.cache_key(&[1; 32]).unwrap_err().reason.starts_with("is no key"), "{text}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(state.cache_key(&[1; 32]).unwrap_err().reason.contains("too open"));
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = State::open(folder.path()).unwrap_err();
        assert!(error.reason.starts_with("others may write to the state folder (mode 0777): chmod go-w /"));
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(State::open(&file).unwrap_err().reason.starts_with("the state folder cannot be used"));
        assert!(State::open(&file.join("below")).is_err());
    }
}
