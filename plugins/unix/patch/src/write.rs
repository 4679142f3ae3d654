//! Files as they become: with their folders, and with backups of what they were.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::settings::{Numbering, Settings};
use crate::trouble::Trouble;

/// Writes a file anew, with the folders that it lies in: whole or not at all.
pub(crate) fn write(name: &str, bytes: &[u8]) -> Result<(), Trouble> {
    let written = || {
        make_folders(name)?;
        // What a symbolic link leads to, if it was followed.
        let place = fs::canonicalize(name).unwrap_or_else(|_| name.into());
        let mut new = place.clone().into_os_string();
        new.push(".patched");
        fs::write(&new, bytes)?;
        fs::rename(&new, &place)
    };
    written().map_err(|error| cannot(name, &error))
}

/// Adds to the end of a file.
pub(crate) fn append(name: &str, bytes: &[u8]) -> Result<(), Trouble> {
    let added = || OpenOptions::new().append(true).create(true).open(name)?.write_all(bytes);
    added().map_err(|error| cannot(name, &error))
}

/// Writes to the standard output.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Trouble> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| Trouble::of("write error", &error))
}

/// Removes a file, and the folders that are empty then.
pub(crate) fn remove(name: &str) -> Result<(), Trouble> {
    fs::remove_file(name).map_err(|error| Trouble::of(&format!("Can't remove file {name}"), &error))?;
    let folders = Path::new(name).ancestors().skip(1).take_while(|folder| !folder.as_os_str().is_empty());
    // One that is not empty stays, and so do those above it.
    folders.take_while(|folder| fs::remove_dir(folder).is_ok()).for_each(drop);
    Ok(())
}

/// Keeps what a file was. Of one that was not there an empty one is kept. `stays`: it is not written anew.
pub(crate) fn back_up(name: &str, settings: &Settings, stays: bool) -> Result<(), Trouble> {
    let backup = backup_name(name, settings);
    let keep = || if stays { fs::copy(name, &backup).map(|_| ()) } else { fs::rename(name, &backup) };
    let result = make_folders(&backup).and_then(|()| match keep() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::write(&backup, b""),
        result => result,
    });
    result.map_err(|error| Trouble::of(&format!("Can't rename file {name} to {backup}"), &error))
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

fn cannot(name: &str, error: &io::Error) -> Trouble {
    Trouble::of(&format!("Can't create file {name}"), error)
}
