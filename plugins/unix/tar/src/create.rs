//! Makes an archive, or adds to one.

use std::collections::HashMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use tar::{Archive, Builder, EntryType, Header};
use unix_common::report;

use crate::archive::{self, Output};
use crate::list::Lines;
use crate::names::is_excluded;
use crate::settings::{Operand, Settings, Task};

/// Adds all files. Whether something went wrong.
pub(crate) fn run(settings: &Settings) -> Result<bool, String> {
    let failed = |error: io::Error| format!("{}: Cannot write: {}", settings.file, report::words(&error));
    let (output, times) = match settings.task {
        Task::Create => (Output::create(settings)?, HashMap::new()),
        _ => open_to_append(settings)?,
    };
    let mut adding = Adding {
        settings,
        builder: Builder::new(output),
        lines: Lines::new(settings),
        failed: false,
        stripped: false,
        times,
    };
    for operand in &settings.operands {
        adding.operand(operand).map_err(failed)?;
    }
    let Adding { builder, failed: some_failed, .. } = adding;
    builder.into_inner().and_then(Output::finish).map_err(failed)?;
    Ok(some_failed)
}

/// The time of the last member of each name.
type Times = HashMap<String, u64>;

/// Finds the end of an archive, to write there.
fn open_to_append(settings: &Settings) -> Result<(Output, Times), String> {
    let name = &settings.file;
    let failed = |error: io::Error| format!("{name}: Cannot open: {}", report::words(&error));
    if settings.gzip {
        return Err("Cannot update compressed archives".to_owned());
    }
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).to_owned();
    let mut file = options.open(name).map_err(failed)?;
    let (mut end, mut times) = (0, Times::new());
    let mut archive = Archive::new(&file);
    for entry in archive.entries().map_err(|error| archive::broken(&error))? {
        let entry = entry.map_err(|error| archive::broken(&error))?;
        end = entry.raw_file_position() + entry.size().next_multiple_of(512);
        times.insert(
            String::from_utf8_lossy(&entry.path_bytes()).into_owned(),
            entry.header().mtime().unwrap_or_default(),
        );
    }
    file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end))).map_err(failed)?;
    Ok((Output::append(file, end), times))
}

struct Adding<'a> {
    settings: &'a Settings,
    builder: Builder<Output>,
    lines: Lines,
    failed: bool,
    /// Whether it was said that slashes are left out.
    stripped: bool,
    times: Times,
}

impl Adding<'_> {
    fn report_error(&mut self, name: &str, what: &str, error: &io::Error) {
        self.failed = true;
        report::error(&format!("{name}: {what}: {}", report::words(error)));
    }

    fn operand(&mut self, operand: &Operand) -> io::Result<()> {
        let path = Path::new(&operand.directory).join(&operand.name);
        self.add(&path, &operand.name)
    }

    /// Adds a file, and what is in it if it is a directory. The error is one of the archive.
    fn add(&mut self, path: &Path, shown: &str) -> io::Result<()> {
        if is_excluded(self.settings, shown.trim_end_matches('/')) {
            return Ok(());
        }
        let found = if self.settings.follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                self.report_error(shown, "Cannot stat", &error);
                return Ok(());
            }
        };
        // The archive itself is not one of its members.
        if found.is_file() && is_same(path, Path::new(&self.settings.file)) {
            report::error(&format!("{shown}: file is the archive; not dumped"));
            return Ok(());
        }
        let mut name = self.member_name(shown);
        if found.is_dir() && !name.ends_with('/') {
            name.push('/');
        }
        let modified = found.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let seconds = modified.map_or(0, |since| since.as_secs());
        let unchanged =
            self.settings.task == Task::Update && self.times.get(&name).is_some_and(|time| *time >= seconds);
        if !unchanged {
            self.member(path, &name, &found, seconds)?;
        }
        if found.is_dir() && self.settings.recurse {
            self.directory(path, shown)?;
        }
        if self.settings.remove {
            let removed = if found.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
            if let Err(error) = removed {
                self.report_error(shown, "Cannot unlink", &error);
            }
        }
        Ok(())
    }

    fn directory(&mut self, path: &Path, shown: &str) -> io::Result<()> {
        let entries = match fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => {
                self.report_error(shown, "Cannot open", &error);
                return Ok(());
            }
        };
        let mut names: Vec<String> =
            entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        for name in names {
            self.add(&path.join(&name), &format!("{}/{name}", shown.trim_end_matches('/')))?;
        }
        Ok(())
    }

    /// Appends a member. A short name is kept as it is, with `./` at its beginning; a long one has a member of its own.
    fn append(&mut self, header: &mut Header, name: &str, contents: impl io::Read) -> io::Result<()> {
        let room = header.as_old_mut().name.get_mut(..name.len());
        let Some(room) = room else {
            return self.builder.append_data(header, name, contents);
        };
        room.copy_from_slice(name.as_bytes());
        header.set_cksum();
        self.builder.append(header, contents)
    }

    fn member_name(&mut self, shown: &str) -> String {
        if self.settings.absolute {
            return shown.to_owned();
        }
        let up = shown.match_indices("..").filter(|(at, _)| {
            let before = shown[..*at].is_empty() || shown[..*at].ends_with('/');
            before && matches!(shown.as_bytes().get(at + 2), None | Some(b'/'))
        });
        let end = up.last().map_or(0, |(at, _)| at + 2);
        let slashes = shown[end..].bytes().take_while(|byte| *byte == b'/').count();
        let (removed, name) = shown.split_at(end + slashes);
        if !removed.is_empty() && !std::mem::replace(&mut self.stripped, true) {
            report::error(&format!("Removing leading `{removed}' from member names"));
        }
        if name.is_empty() { "./".to_owned() } else { name.to_owned() }
    }

    fn member(&mut self, path: &Path, name: &str, found: &Metadata, seconds: u64) -> io::Result<()> {
        let settings = self.settings;
        let mut header = Header::new_gnu();
        let kind = found.file_type();
        let (entry_type, mode) = match (kind.is_dir(), kind.is_symlink()) {
            (true, _) => (EntryType::Directory, 0o755),
            (_, true) => (EntryType::Symlink, 0o777),
            _ => (EntryType::Regular, 0o644),
        };
        header.set_entry_type(entry_type);
        header.set_mode(settings.mode.unwrap_or(mode));
        header.set_mtime(settings.mtime.unwrap_or(seconds));
        header.set_uid(settings.owner.id);
        header.set_gid(settings.group.id);
        if !settings.numeric {
            header.set_username(&settings.owner.name)?;
            header.set_groupname(&settings.group.name)?;
        }
        let mut link = None;
        match entry_type {
            EntryType::Regular => {
                let file = match File::open(path) {
                    Ok(file) => file,
                    Err(error) => {
                        self.report_error(name, "Cannot open", &error);
                        return Ok(());
                    }
                };
                header.set_size(found.len());
                // A file that changes while it is read has the size that it had.
                let contents = io::Read::take(io::Read::chain(file, io::repeat(0)), found.len());
                self.append(&mut header, name, contents)?;
            }
            EntryType::Symlink => {
                header.set_size(0);
                let target = fs::read_link(path)?;
                let text = target.to_string_lossy().into_owned();
                if text.len() <= 100 {
                    header.set_link_name_literal(&text)?;
                    self.append(&mut header, name, io::empty())?;
                } else {
                    self.builder.append_link(&mut header, name, &target)?;
                }
                link = Some(text);
            }
            _ => {
                header.set_size(0);
                self.append(&mut header, name, io::empty())?;
            }
        }
        self.report(&header, name, link.as_deref())
    }

    /// Prints the line of a member, if lines are asked for.
    fn report(&mut self, header: &Header, name: &str, link: Option<&str>) -> io::Result<()> {
        let settings = self.settings;
        if settings.verbose > 0 {
            let line = match settings.verbose {
                1 => name.to_owned(),
                _ => self.lines.long(header, name, link, header.size()?),
            };
            // Standard output may be the archive.
            if settings.file == "-" {
                eprintln!("{line}")
            } else {
                println!("{line}")
            }
            io::stdout().flush()?;
        }
        Ok(())
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let resolved = |path: &Path| -> Option<PathBuf> { fs::canonicalize(path).ok() };
    one.file_name() == other.file_name() && resolved(one).is_some_and(|path| Some(path) == resolved(other))
}
