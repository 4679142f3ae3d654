//! Extracts from an archive.

use std::fs::{self, File, FileTimes};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use tar::{Archive, Entry, EntryType};
use unix_common::report;

use crate::archive;
use crate::list::{Lines, member_name};
use crate::names::{Wanted, safe};
use crate::settings::Settings;

/// Extracts the members. Whether something went wrong.
pub(crate) fn run(settings: &Settings) -> Result<bool, String> {
    let base = PathBuf::from(&settings.directory);
    if !base.is_dir() {
        let error = fs::read_dir(&base).err().unwrap_or_else(|| io::ErrorKind::NotADirectory.into());
        let shown = settings.directory.trim_start_matches("./");
        return Err(format!("{shown}: Cannot open: {}", report::words(&error)));
    }
    let mut archive = Archive::new(archive::open(settings)?);
    let mut wanted = Wanted::new(settings);
    let mut extracting =
        Extracting { settings, base, lines: Lines::new(settings), failed: false, stripped: false, times: Vec::new() };
    for entry in archive.entries().map_err(|error| archive::broken(&error))? {
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let message = archive::broken(&error);
                if message.starts_with("Unexpected EOF") {
                    return Err(message);
                }
                extracting.report_error(&message);
                break;
            }
        };
        if wanted.has(&member_name(&entry)) {
            extracting.member(&mut entry);
        }
    }
    // What was extracted into them has changed the times of directories.
    for (path, seconds) in extracting.times.iter().rev() {
        let _ = File::open(path).and_then(|directory| set_time(&directory, *seconds));
    }
    Ok(wanted.report_missing() | extracting.failed)
}

struct Extracting<'a> {
    settings: &'a Settings,
    base: PathBuf,
    lines: Lines,
    failed: bool,
    stripped: bool,
    /// Directories and their times, which are set at the end.
    times: Vec<(PathBuf, u64)>,
}

impl Extracting<'_> {
    fn report_error(&mut self, message: &str) {
        self.failed = true;
        report::error(message);
    }

    fn member<R: Read>(&mut self, entry: &mut Entry<'_, R>) {
        let settings = self.settings;
        let full = member_name(entry);
        let name = if settings.absolute { Some(full.as_str()) } else { safe(&full) };
        let Some(name) = name else {
            return self.report_error(&format!("{full}: Member name contains '..'"));
        };
        if name.len() < full.len() && !std::mem::replace(&mut self.stripped, true) {
            report::error("Removing leading `/' from member names");
        }
        let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let parts = parts.get(settings.strip..).unwrap_or_default();
        if parts.is_empty() && settings.strip > 0 {
            return;
        }
        let mut path = if settings.absolute && name.starts_with('/') { PathBuf::from("/") } else { self.base.clone() };
        path.extend(parts);
        if settings.verbose > 0 {
            let line = self.lines.line(entry, settings.verbose > 1);
            if settings.to_output { eprintln!("{line}") } else { println!("{line}") }
        }
        if settings.to_output {
            if entry.header().entry_type().is_file()
                && let Err(error) = io::copy(entry, &mut io::stdout().lock())
            {
                self.report_error(&format!("{full}: {}", archive::broken(&error)));
            }
            return;
        }
        if let Err(error) = self.extract(entry, &path) {
            let exists = error.kind() == io::ErrorKind::AlreadyExists;
            if !(exists && settings.skip_old) {
                let shown = full.trim_end_matches('/');
                self.report_error(&format!("{shown}: Cannot open: {}", report::words(&error)));
            }
        }
    }

    fn extract<R: Read>(&mut self, entry: &mut Entry<'_, R>, path: &Path) -> io::Result<()> {
        let settings = self.settings;
        let kind = entry.header().entry_type();
        let seconds = entry.header().mtime().unwrap_or_default();
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        if kind == EntryType::Directory {
            if !path.is_dir() {
                self.make_way(path)?;
                fs::create_dir(path)?;
            }
            if !settings.touch {
                self.times.push((path.to_owned(), seconds));
            }
            return Ok(());
        }
        self.make_way(path)?;
        match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let mut file = File::create_new(path)?;
                io::copy(entry, &mut file)?;
                if !settings.touch {
                    set_time(&file, seconds)?;
                }
            }
            EntryType::Symlink | EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default();
                let target = String::from_utf8_lossy(&target).into_owned();
                if kind == EntryType::Symlink {
                    rustix::fs::symlink(&target, path)?;
                } else {
                    let target = safe(&target).ok_or(io::ErrorKind::PermissionDenied)?;
                    fs::hard_link(self.base.join(target), path)?;
                }
            }
            // Devices and pipes do not exist here.
            _ => return Err(io::ErrorKind::Unsupported.into()),
        }
        Ok(())
    }

    /// Removes what is in the way of a member, unless it is to be kept.
    fn make_way(&self, path: &Path) -> io::Result<()> {
        match fs::symlink_metadata(path) {
            Ok(_) if self.settings.keep_old || self.settings.skip_old => Err(io::ErrorKind::AlreadyExists.into()),
            Ok(found) if found.is_dir() => fs::remove_dir(path),
            Ok(_) => fs::remove_file(path),
            Err(_) => Ok(()),
        }
    }
}

fn set_time(file: &File, seconds: u64) -> io::Result<()> {
    let time = UNIX_EPOCH + Duration::from_secs(seconds);
    file.set_times(FileTimes::new().set_modified(time))
}
