//! Files that decide who logs in: opened without waiting, and only if nobody else may write to them.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::state::strict_modes::Writers;

/// Opens a regular file of at most `most` bytes that nobody but root and the user of this program may write to, as
/// sshd's StrictModes.
///
/// # Errors
/// What is wrong, as a sentence that names the file.
pub(super) fn open(path: &Path, most: u64) -> Result<(File, Metadata), String> {
    let unreadable = |error: io::Error| format!("{} cannot be read: {error}", path.display());
    // Without NONBLOCK, opening a FIFO would wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| unreadable(error.into()))?;
    let file = File::from(file);
    let facts = file.metadata().map_err(unreadable)?;
    if !facts.is_file() {
        return Err(format!("{} is not a regular file", path.display()));
    }
    if facts.len() > most {
        return Err(format!("{} is larger than {most} bytes", path.display()));
    }
    Writers::Operator.check_both(path, &facts)?;
    Ok((file, facts))
}

/// The contents of a file that [`open`] has opened. What was added beyond `most` bytes since then is left out.
///
/// # Errors
/// As for [`open`].
pub(super) fn contents(file: File, path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = file.take(most).read_to_end(&mut bytes);
    read.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    Ok(bytes)
}
