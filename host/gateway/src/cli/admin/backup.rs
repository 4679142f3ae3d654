//! `whelk backup` and `whelk restore`: the key-value store, copied while a server uses it, and put back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;
use whelk_runtime::keyvalue::check_store;

use crate::cli::outcome::{Failure, failed, print, wrong};
use crate::config::{self, Config, Overrides};
use crate::server::control::backup::{BACKUP, COPY, TIME};
use crate::server::control::{self, Unanswered};
use crate::state::strict_modes::{self, Asked};
use crate::state::{KEYVALUE, State};

/// How long a server may take to make the copy.
const ANSWER_TIMEOUT: Duration = TIME.saturating_add(Duration::from_secs(10));

/// The state folder whose store is meant.
#[derive(Args)]
pub(in crate::cli) struct StoreArguments {
    /// The server's configuration
    #[arg(long, value_name = "FILE", conflicts_with = "state")]
    config: Option<PathBuf>,
    /// The server's state folder [default: $XDG_STATE_HOME/whelk]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl StoreArguments {
    fn folder(&self) -> Result<PathBuf, Failure> {
        // Root may do it for a server of another user.
        strict_modes::ask(Asked::Nothing);
        match (&self.config, &self.state) {
            (Some(file), _) => Ok(Config::load(file, &Overrides::default()).map_err(wrong)?.state),
            (None, Some(state)) => Ok(state.clone()),
            (None, None) => config::default_state().map_err(wrong),
        }
    }
}

/// Copies the key-value store into a file that does not exist yet.
pub(in crate::cli) fn backup(file: &Path, of: &StoreArguments) -> Result<(), Failure> {
    let folder = of.folder()?;
    if fs::symlink_metadata(file).is_ok() {
        return Err(wrong(format!("{} is there already: name a new file", file.display())));
    }
    let held = File::open(&folder).map_err(|error| wrong(format!("{}: {error}", folder.display())))?;
    // The server makes one copy at a time, always under the same name.
    held.lock().map_err(|error| failed(format!("{} cannot be locked: {error}", folder.display())))?;
    let (copy, how) = match control::ask_within(&folder, BACKUP, ANSWER_TIMEOUT) {
        Ok(answer) => {
            if let Some(reason) = answer["error"].as_str() {
                return Err(failed(reason));
            }
            let keys = answer["keys"].as_u64().unwrap_or_default();
            (take(&folder.join(COPY))?, format!("{keys} keys, while the server runs"))
        }
        Err(Unanswered::Nobody) => {
            let state = State::open_existing(&folder).map_err(wrong)?;
            let _lock = state.lock().map_err(failed)?;
            let store = read(&folder.join(KEYVALUE))?;
            write(store, file, None)?;
            return told(file, "no server runs");
        }
        Err(Unanswered::Failed(reason)) => return Err(failed(reason)),
    };
    write(copy, file, None)?;
    told(file, &how)
}

/// Puts a backup in the place of the store, while no server runs.
pub(in crate::cli) fn restore(file: &Path, of: &StoreArguments) -> Result<(), Failure> {
    let folder = of.folder()?;
    let state = State::open_existing(&folder).map_err(wrong)?;
    let _lock = state.lock().map_err(|error| failed(format!("{error}: stop it first")))?;
    let (place, new) = (folder.join(KEYVALUE), folder.join(format!("{KEYVALUE}.new")));
    let before = folder.join(format!("{KEYVALUE}.before"));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    let owner = folder.metadata().map_err(failed)?;
    let had_store = place.exists();
    let restored = write(read(file)?, &new, Some((owner.uid(), owner.gid())))
        .and_then(|()| check_store(&new).map_err(|error| wrong(format!("{} is no backup: {error}", file.display()))))
        .and_then(|()| match fs::rename(&place, &before) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(error)),
            Ok(()) | Err(_) => fs::rename(&new, &place).map_err(failed),
        })
        .and_then(|()| File::open(&folder).and_then(|folder| folder.sync_all()).map_err(failed));
    restored.inspect_err(|_| {
        // The error is told; the next attempt removes it.
        let _ = fs::remove_file(&new);
    })?;
    let kept = if had_store { format!("; the one before is {}", before.display()) } else { String::new() };
    print(&format!("{} is in the place of {}{kept}\n", file.display(), place.display()))
}

fn told(file: &Path, how: &str) -> Result<(), Failure> {
    let bytes = file.metadata().map_err(failed)?.len();
    print(&format!("{}: {bytes} bytes, {how}\n", file.display()))
}

/// Opens the copy that the server has made, and removes its name.
fn take(copy: &Path) -> Result<File, Failure> {
    let file = read(copy)?;
    fs::remove_file(copy).map_err(|error| failed(format!("{} cannot be removed: {error}", copy.display())))?;
    Ok(file)
}

/// Opens a regular file. Never waits for the writer of a FIFO.
fn read(path: &Path) -> Result<File, Failure> {
    let unreadable = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => wrong(format!("{}: there is no such file", path.display())),
        _ => failed(format!("{} cannot be read: {error}", path.display())),
    };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| unreadable(error.into()))?;
    let file = File::from(file);
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(wrong(format!("{} is not a regular file", path.display())));
    }
    Ok(file)
}

/// Writes a file that must not be there, whole or not at all, for its owner only.
fn write(mut from: File, path: &Path, owner: Option<(u32, u32)>) -> Result<(), Failure> {
    let unwritable = |error: io::Error| failed(format!("{} cannot be written: {error}", path.display()));
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().ok_or_else(|| wrong(format!("{} names no file", path.display())))?);
    name.push(format!(".new-{}", std::process::id()));
    let temporary = path.with_file_name(name);
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&temporary).map_err(unwritable)?;
    let written = io::copy(&mut from, &mut file)
        .and_then(|_| owner.map_or(Ok(()), |(user, group)| fchown(&file, Some(user), Some(group))))
        .and_then(|()| file.sync_all())
        .and_then(|()| name_new(&temporary, path));
    written.map_err(|error| {
        // The error is told.
        let _ = fs::remove_file(&temporary);
        unwritable(error)
    })?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(unwritable)
}

/// Renames a file, and replaces none where the file system can promise that.
fn name_new(temporary: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // PERM: seccomp filters answer so for calls that they do not know.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP | Errno::PERM) if fs::symlink_metadata(path).is_err() => {
            fs::rename(temporary, path)
        }
        Err(error) => Err(error.into()),
    }
}
