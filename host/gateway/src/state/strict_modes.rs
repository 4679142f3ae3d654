//! Checks who may change the files that control the program, like sshd's StrictModes for `authorized_keys`.
//!
//! Decided 2026-11-29: whoever may change the configuration, a key file or an operator's plugin decides who logs in and
//! what runs. So each of them, and the folder that really contains it, must belong to root or to the user who runs the
//! program, and must not be writable by group or others, as with sshd. A group with one member is no exception, because
//! we do not know the members of a group. In a folder with the sticky bit (`/tmp`) others may add files but not replace
//! these, so it may be writable.
//!
//! Some deployments cannot comply: an orchestrator creates the folder with mode 2775 at each start, a container mounts
//! files of the host's user, a build runs under umask 002. For them `--no-strict-modes` turns the checks off, like
//! sshd's `StrictModes no`. It is an option of the command line because the configuration file is what is in doubt.
//! Verbs that start no server check nothing, and `check` run by root skips the owners, because the service runs as
//! another user.
//!
//! A tenant may change its own files: its plugin folder and the files in it may belong to any user and be writable by
//! any group, which is how a tenant deploys plugins. World-writable files are refused all the same, because nobody
//! intends that.
//!
//! Plugins of a demonstration, which `cargo xtask serve` runs from a clone, are not checked: everybody on the machine
//! may log in to it anyway, and it listens on loopback addresses only.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::fs::Mode;

/// Write permission for group or others ...
const OTHERS_WRITE: u32 = 0o022;
/// ... and for others alone.
const EVERYBODY_WRITES: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// The checks in force, an [`Asked`] as a number.
static ASKED: AtomicU8 = AtomicU8::new(0);

/// Which checks of modes and owners the program makes. Set once, by [`ask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Asked {
    /// Modes and owners.
    All = 0,
    /// Modes only: files may belong to any user.
    Modes = 1,
    /// Nothing.
    Nothing = 2,
}

/// Sets which checks are made, for the whole process.
pub fn ask(asked: Asked) {
    ASKED.store(asked as u8, Ordering::Relaxed);
}

/// Whether this check is in force.
pub(crate) fn is_asked(what: Asked) -> bool {
    ASKED.load(Ordering::Relaxed) <= what as u8
}

/// Who may write to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// Root and the user who runs this program.
    Operator,
    /// Any user and group, but not others.
    Tenant,
    /// Not checked.
    Anybody,
}

impl Writers {
    /// Checks a file's mode and owner.
    ///
    /// # Errors
    /// Who else may write to it, and the command that fixes it.
    pub(crate) fn check(self, path: &Path, mode: u32, owner: u32) -> Result<(), String> {
        let (others, change) = match self {
            Writers::Operator => (OTHERS_WRITE, "go-w"),
            Writers::Tenant => (EVERYBODY_WRITES, "o-w"),
            Writers::Anybody => return Ok(()),
        };
        if mode & others != 0 && is_asked(Asked::Modes) {
            let (shown, mode) = (path.display(), mode & 0o7777);
            return Err(format!("others may write to {shown} (mode {mode:04o}): chmod {change} {}", quoted(path)));
        }
        self.check_owner(path, owner)
    }

    fn check_owner(self, path: &Path, owner: u32) -> Result<(), String> {
        if self == Writers::Operator && owner != 0 && owner != me() && is_asked(Asked::All) {
            return Err(format!(
                "{} belongs to another user (uid {owner}, this is uid {}): chown it to root or to the user who runs whelk, or start with \
                 --no-strict-modes",
                path.display(),
                me()
            ));
        }
        Ok(())
    }

    /// Checks a folder like a file, but one with the sticky bit may be writable.
    ///
    /// # Errors
    /// As for a file.
    pub(crate) fn check_folder(self, path: &Path, mode: u32, owner: u32) -> Result<(), String> {
        if mode & STICKY == 0 { self.check(path, mode, owner) } else { self.check_owner(path, owner) }
    }

    /// Checks the folder that really contains a file, whatever links lead to it.
    ///
    /// # Errors
    /// As for a file; or when it cannot be accessed.
    pub(crate) fn check_folder_of(self, file: &Path) -> Result<(), String> {
        if self == Writers::Anybody {
            return Ok(());
        }
        let unreadable = |error: std::io::Error| format!("{} cannot be read: {error}", file.display());
        let real = file.canonicalize().map_err(unreadable)?;
        let Some(folder) = real.parent() else { return Ok(()) };
        let facts = folder.metadata().map_err(unreadable)?;
        self.check_folder(folder, facts.mode(), facts.uid())
    }

    /// Checks a file and the folder that really contains it.
    ///
    /// # Errors
    /// As for a file; or when the folder cannot be accessed.
    pub(crate) fn check_both(self, file: &Path, facts: &Metadata) -> Result<(), String> {
        self.check(file, facts.mode(), facts.uid())?;
        self.check_folder_of(file)
    }
}

/// Adds "not writable by others" to the umask, so that nothing the program creates is world-writable, including plugins
/// that a tenant's sessions deploy. Group permissions stay as the umask has them, for shared directories. Call it
/// before other threads start.
pub fn tighten_umask() {
    let umask = rustix::process::umask(Mode::empty());
    rustix::process::umask(umask | Mode::from_raw_mode(EVERYBODY_WRITES));
}

/// The user whose files the program may use beside root's.
pub(crate) fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// A path as a word for a shell.
pub(crate) fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    if path.bytes().all(plain) { path } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Writers; 3] = [Writers::Operator, Writers::Tenant, Writers::Anybody];

    #[test]
    fn only_files_of_tenants_and_demonstrations_may_be_writable_by_others() {
        let path = Path::new("x");
        let passes = |mode, owner| ALL.map(|writers| writers.check(path, mode, owner).is_ok());
        for (mode, owner, expected) in [
            (0o644, me(), [true, true, true]),
            (0o755, 0, [true, true, true]),
            (0o640, me() + 1, [false, true, true]),
            (0o664, me(), [false, true, true]),
            (0o666, me(), [false, false, true]),
            (0o602, 0, [false, false, true]),
            // The sticky bit has no meaning for a file.
            (0o1666, me(), [false, false, true]),
        ] {
            assert_eq!(passes(mode, owner), expected, "{mode:o} {owner}");
        }
    }

    #[test]
    fn a_folder_with_the_sticky_bit_may_be_written_to() {
        let passes = |mode, owner| ALL.map(|writers| writers.check_folder(Path::new("x"), mode, owner).is_ok());
        assert_eq!(passes(0o1777, me()), [true, true, true]);
        // Its owner may replace what is in it.
        assert_eq!(passes(0o1777, me() + 1), [false, true, true]);
        assert_eq!(passes(0o777, me()), [false, false, true]);
        assert_eq!(passes(0o775, me()), [false, true, true]);
    }

    #[test]
    fn the_fix_is_a_command_that_can_be_pasted() {
        let told = |writers: Writers, path: &str| writers.check(Path::new(path), 0o666, 0).unwrap_err();
        assert_eq!(told(Writers::Operator, "/etc/w"), "others may write to /etc/w (mode 0666): chmod go-w /etc/w");
        assert_eq!(told(Writers::Tenant, "a b"), "others may write to a b (mode 0666): chmod o-w 'a b'");
    }
}
