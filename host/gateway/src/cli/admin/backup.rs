//! `whelk backup` and `whelk restore`: the key-value store, copied while a server uses it, and put back.

mod new_file;

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::panic;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use rustix::fs::{Mode, OFlags};
use whelk_runtime::keyvalue::check_store;

use crate::cli::outcome::{Failure, failed, print, wrong};
use crate::config::{self, Config, Overrides};
use crate::server::control::backup::{BACKUP, COPY, TIME};
use crate::server::control::{self, Unanswered};
use crate::state::lock_file::{HeldFile, LOCK_TIMEOUT};
use crate::state::strict_modes::{self, Asked, me, quoted};
use crate::state::{KEYVALUE, Lock, State};
use new_file::{NewFile, with_suffix};

/// How long a server may take to make the copy.
const ANSWER_TIMEOUT: Duration = TIME.saturating_add(Duration::from_secs(10));
/// The server makes one copy at a time, always under the same name.
const LOCK: &str = "backup.lock";
/// How many stores that were replaced may lie beside the store.
const MOST_KEPT: usize = 100;

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
    let facts = state_facts(&folder)?;
    // Before the copy, which may take long.
    let mut new = NewFile::create(file)?;
    let _turn = HeldFile::hold(&folder.join(LOCK), LOCK_TIMEOUT).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock => {
            failed(format!("{}: another `whelk backup` is at work: run it again when that has ended", folder.display()))
        }
        _ => failed(format!("{} cannot be locked: {error}", folder.join(LOCK).display())),
    })?;
    let (store, how, _lock) = match control::ask_within(&folder, BACKUP, ANSWER_TIMEOUT) {
        Ok(answer) => {
            let keys = answer["keys"].as_u64().unwrap_or_default();
            (take(&folder.join(COPY), &facts)?, format!("{keys} keys, while the server runs"), None)
        }
        Err(Unanswered::Nobody) => {
            let state = State::open_existing(&folder).map_err(wrong)?;
            let lock = lock(&state)?;
            (read_owned(&real_place(&folder, &facts)?, &facts)?, "no server runs".to_owned(), Some(lock))
        }
        Err(Unanswered::Failed(reason)) => return Err(failed(reason)),
    };
    new.fill(store)?;
    check(new.file())
        .map_err(|reason| failed(format!("the store of {} was not copied: {reason}", folder.display())))?;
    let bytes = new.file().metadata().map_err(failed)?.len();
    new.name()?;
    print(&format!("{}: {bytes} bytes, {how}, of the state folder {}\n", file.display(), folder.display()))
}

/// Puts a backup in the place of the store, while no server runs.
pub(in crate::cli) fn restore(file: &Path, of: &StoreArguments) -> Result<(), Failure> {
    let folder = of.folder()?;
    let facts = state_facts(&folder)?;
    let state = State::open_existing(&folder).map_err(wrong)?;
    let _lock = lock(&state)?;
    let place = real_place(&folder, &facts)?;
    let mut new = NewFile::replacing(&place)?;
    new.fill(read(file, OFlags::empty())?)?;
    check(new.file()).map_err(|reason| wrong(format!("{} is no backup: {reason}", file.display())))?;
    // Not before: until now nobody but root could change what was checked.
    new.give_to(facts.uid(), facts.gid())?;
    let before = keep(&place)?;
    new.rename_to_place().inspect_err(|_| {
        // The store is still in its place.
        let _ = before.as_ref().map(fs::remove_file);
    })?;
    let kept = before.map_or_else(String::new, |before| format!("; previous store kept as {}", before.display()));
    print(&format!("restored {} to {}{kept}\n", file.display(), place.display()))
}

/// What the state folder is.
fn state_facts(folder: &Path) -> Result<Metadata, Failure> {
    folder.metadata().map_err(|error| match error.kind() {
        ErrorKind::NotFound => wrong(format!(
            "there is no state folder {}: name that of the server, or make it: `install -d -m 0700 {}`, as root with \
             `-o USER`, the user who runs the server",
            folder.display(),
            quoted(folder)
        )),
        _ => wrong(format!("the state folder {}: {error}", folder.display())),
    })
}

/// Locks the folder against a server.
fn lock(state: &State) -> Result<Lock, Failure> {
    state.lock().map_err(|error| {
        let is_held = error.path == state.folder();
        let change =
            if is_held { ": stop the server, or wait for another `whelk backup` or `whelk restore`" } else { "" };
        failed(format!("{error}{change}"))
    })
}

/// The file of the store, behind links. There may be none.
fn real_place(folder: &Path, facts: &Metadata) -> Result<PathBuf, Failure> {
    let place = folder.join(KEYVALUE);
    if !fs::symlink_metadata(&place).is_ok_and(|found| found.is_symlink()) {
        return Ok(place);
    }
    let real = place.canonicalize().map_err(|error| {
        wrong(format!("{} is a symbolic link that leads nowhere ({error}): remove it", place.display()))
    })?;
    // Whoever owns the folder can make links in it to files of others.
    check_owner(&real, &real.metadata().map_err(failed)?, facts)?;
    Ok(real)
}

/// Checks, for root, that a file belongs to the owner of the state folder.
fn check_owner(path: &Path, file: &Metadata, folder: &Metadata) -> Result<(), Failure> {
    if me() == 0 && file.uid() != folder.uid() {
        let (owner, of_folder) = (file.uid(), folder.uid());
        let reason = format!("belongs to uid {owner}, and the state folder to uid {of_folder}: chown one of them");
        return Err(wrong(format!("{} {reason}", path.display())));
    }
    Ok(())
}

/// Keeps the store under a name that is not in use, beside its own. `None` if there is no store.
fn keep(place: &Path) -> Result<Option<PathBuf>, Failure> {
    for number in 0..MOST_KEPT {
        let suffix = if number == 0 { ".before".to_owned() } else { format!(".before-{number}") };
        let before = with_suffix(place, &suffix);
        // A link, so that the store is in its place until the backup replaces it. It never replaces a file.
        match fs::hard_link(place, &before) {
            Ok(()) => return Ok(Some(before)),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                let (place, before) = (place.display(), before.display());
                return Err(failed(format!("{place} cannot be kept as {before}: {error}; nothing was restored")));
            }
        }
    }
    Err(failed(format!("{} has {MOST_KEPT} files .before beside it: remove those you do not need", place.display())))
}

/// Checks a store. Standard error has no report of the panics of the library at a damaged file, which are caught.
fn check(file: &File) -> Result<(), String> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let checked = check_store(file);
    panic::set_hook(hook);
    checked
}

/// Opens the copy that the server has made, and unlinks it.
fn take(copy: &Path, folder: &Metadata) -> Result<File, Failure> {
    let file = read_owned(copy, folder)?;
    fs::remove_file(copy).map_err(|error| failed(format!("{} cannot be removed: {error}", copy.display())))?;
    Ok(file)
}

/// Opens a file of the state folder, whose owner may have put anything in its place.
fn read_owned(path: &Path, folder: &Metadata) -> Result<File, Failure> {
    let file = read(path, OFlags::NOFOLLOW)?;
    check_owner(path, &file.metadata().map_err(failed)?, folder)?;
    Ok(file)
}

/// Opens a regular file. Never waits for the writer of a FIFO.
fn read(path: &Path, links: OFlags) -> Result<File, Failure> {
    let unreadable = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => wrong(format!("{}: there is no such file", path.display())),
        _ => failed(format!("{} cannot be read: {error}", path.display())),
    };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY | links;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| unreadable(error.into()))?;
    let file = File::from(file);
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(wrong(format!("{} is not a regular file", path.display())));
    }
    Ok(file)
}
