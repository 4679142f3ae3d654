//! Files as they become: with their folders, and with backups of what they were.

pub(crate) mod queue;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::PatchError;
use crate::settings::{Numbering, Settings};

/// What `write` does beside writing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options<'a> {
    /// A symbolic link is followed; otherwise the file takes its place.
    pub(crate) follow_links: bool,
    /// The old file is kept under the name that these settings give.
    pub(crate) backup: Option<&'a Settings>,
}

/// Writes a file and creates its folders. The old file stays as it is until all bytes are written.
///
/// # Errors
///
/// An error of the system. The old file is then still there, under its name or that of its backup.
pub(crate) fn write(name: &str, bytes: &[u8], options: Options<'_>) -> Result<(), PatchError> {
    let is_device = |found: fs::Metadata| !found.is_file() && !found.is_dir();
    if options.follow_links && fs::metadata(name).is_ok_and(is_device) {
        return fs::write(name, bytes).map_err(|error| cannot(name, &error));
    }
    let place = if options.follow_links { fs::canonicalize(name).ok() } else { None };
    let place = place.unwrap_or_else(|| name.into());
    let new = make_folders(name).and_then(|()| write_temporary(&place, bytes)).map_err(|error| cannot(name, &error))?;
    let kept = options.backup.map_or(Ok(()), |settings| back_up(name, settings, false));
    let result = kept.and_then(|()| fs::rename(&new, &place).map_err(|error| cannot(name, &error)));
    if result.is_err() {
        // The error that is reported is the first one.
        let _ = fs::remove_file(&new);
    }
    result
}

/// Writes a new file beside another. Its name is one that no file has; it is removed if it cannot be written.
fn write_temporary(beside: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    for number in 0_usize.. {
        let path = beside.with_file_name(format!(".patch-{number}.tmp"));
        let mut file = match File::create_new(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            file => file?,
        };
        if let Err(error) = file.write_all(bytes) {
            drop(file);
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        return Ok(path);
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Adds to the end of a file.
pub(crate) fn append(name: &str, bytes: &[u8]) -> Result<(), PatchError> {
    let added = || OpenOptions::new().append(true).create(true).open(name)?.write_all(bytes);
    added().map_err(|error| cannot(name, &error))
}

/// Writes to the standard output.
pub(crate) fn print(bytes: &[u8]) -> Result<(), PatchError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| PatchError::of("write error", &error))
}

/// Removes a file, and the folders that are empty then.
pub(crate) fn remove(name: &str) -> Result<(), PatchError> {
    fs::remove_file(name).map_err(|error| PatchError::of(&format!("Can't remove file {name}"), &error))?;
    let folders = Path::new(name).ancestors().skip(1).take_while(|folder| !folder.as_os_str().is_empty());
    // One that is not empty stays, and so do those above it.
    folders.take_while(|folder| fs::remove_dir(folder).is_ok()).for_each(drop);
    Ok(())
}

/// Keeps what a file was. Of one that was not there an empty one is kept. `stays`: it is not written anew.
pub(crate) fn back_up(name: &str, settings: &Settings, stays: bool) -> Result<(), PatchError> {
    let backup = backup_name(name, settings);
    let keep = || if stays { fs::copy(name, &backup).map(|_| ()) } else { fs::rename(name, &backup) };
    let result = make_folders(&backup).and_then(|()| match keep() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::write(&backup, b""),
        result => result,
    });
    result.map_err(|error| PatchError::of(&format!("Can't rename file {name} to {backup}"), &error))
}

fn backup_name(name: &str, settings: &Settings) -> String {
    let numbered = |number: usize| format!("{name}.~{number}~");
    let is_numbered = settings.numbering == Numbering::Numbered
        || (settings.numbering == Numbering::Existing && Path::new(&numbered(1)).exists());
    if is_numbered {
        return (1..).map(numbered).find(|name| !Path::new(name).exists()).unwrap_or_default();
    }
    let (folder, last) = name.rsplit_once('/').map_or(("", name), |(folder, last)| (folder, last));
    let slash = if folder.is_empty() { "" } else { "/" };
    let has_prefix = !settings.prefix.is_empty() || !settings.name_prefix.is_empty();
    let suffix = settings.suffix.clone().unwrap_or_else(|| match std::env::var("SIMPLE_BACKUP_SUFFIX") {
        _ if has_prefix => String::new(),
        Ok(suffix) if !suffix.is_empty() => suffix,
        _ => ".orig".to_owned(),
    });
    format!("{}{folder}{slash}{}{last}{suffix}", settings.prefix, settings.name_prefix)
}

fn make_folders(name: &str) -> io::Result<()> {
    match Path::new(name).parent() {
        Some(folder) if !folder.as_os_str().is_empty() => fs::create_dir_all(folder),
        _ => Ok(()),
    }
}

fn cannot(name: &str, error: &io::Error) -> PatchError {
    PatchError::of(&format!("Can't create file {name}"), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("patch-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn other_files_stay_and_links_are_replaced() {
        let folder = folder("others");
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        for (name, text) in [("f.patched", "mine"), (".patch-0.tmp", "other"), ("target", "kept")] {
            fs::write(path(name), text).expect("written");
        }
        std::os::unix::fs::symlink("target", path("f")).expect("a link");
        write(&path("f"), b"new", Options::default()).expect("written");
        for (name, text) in [("f.patched", "mine"), (".patch-0.tmp", "other"), ("target", "kept"), ("f", "new")] {
            assert_eq!(fs::read_to_string(path(name)).expect("read"), text, "{name}");
        }
        assert_eq!(names(&folder), [".patch-0.tmp", "f", "f.patched", "target"]);
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn a_failed_backup_leaves_the_file() {
        let folder = folder("backup");
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        fs::write(path("f"), "old").expect("written");
        // A folder that is not empty cannot be replaced by the backup.
        fs::create_dir_all(path("f.orig/x")).expect("a folder");
        let Ok(Some(settings)) = crate::settings::read(&["-z.orig".to_owned()]) else { panic!("an option") };
        let options = Options { backup: Some(&settings), ..Options::default() };
        write(&path("f"), b"new", options).expect_err("there is no backup");
        assert_eq!(fs::read_to_string(path("f")).expect("read"), "old");
        assert_eq!(names(&folder), ["f", "f.orig"]);
        fs::remove_dir_all(folder).expect("removed");
    }
}
