//! Lists an archive.

use std::io::Read;

use tar::{Archive, Entry, EntryType, Header};
use unix_common::report;
use unix_common::time::Moment;

use crate::archive;
use crate::names::Wanted;
use crate::settings::Settings;

/// Lists the members. Whether something went wrong.
pub(crate) fn run(settings: &Settings) -> Result<bool, String> {
    let mut archive = Archive::new(archive::open(settings)?);
    let mut wanted = Wanted::new(settings);
    let mut lines = Lines::new(settings);
    let entries = archive.entries().map_err(|error| archive::broken(&error))?;
    for entry in entries {
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let message = archive::broken(&error);
                if message.starts_with("Unexpected EOF") {
                    return Err(message);
                }
                report::error(&message);
                return Ok(true);
            }
        };
        let name = member_name(&entry);
        if wanted.has(&name) {
            println!("{}", lines.line(&mut entry, settings.verbose > 0));
        }
    }
    Ok(wanted.report_missing())
}

/// The name of a member. What is not UTF-8 is replaced.
pub(crate) fn member_name<R: Read>(entry: &Entry<'_, R>) -> String {
    String::from_utf8_lossy(&entry.path_bytes()).into_owned()
}

/// The lines of a listing, whose columns widen as they need.
pub(crate) struct Lines {
    width: usize,
    numeric: bool,
    full_time: bool,
}

impl Lines {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { width: 18, numeric: settings.numeric, full_time: settings.full_time }
    }

    /// The line of a member: its name, or all that is known of it.
    pub(crate) fn line<R: Read>(&mut self, entry: &mut Entry<'_, R>, long: bool) -> String {
        let name = member_name(entry);
        if !long {
            return name;
        }
        let header = entry.header().clone();
        let link = entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned());
        self.long(&header, &name, link.as_deref(), entry.size())
    }

    /// The long line of a member.
    pub(crate) fn long(&mut self, header: &Header, name: &str, link: Option<&str>, size: u64) -> String {
        let text = |name: Option<&[u8]>, id: u64| match name {
            Some(name) if !self.numeric && !name.is_empty() => String::from_utf8_lossy(name).into_owned(),
            _ => id.to_string(),
        };
        let user = text(header.username_bytes(), header.uid().unwrap_or_default());
        let group = text(header.groupname_bytes(), header.gid().unwrap_or_default());
        let size = size.to_string();
        let used = user.len() + group.len() + size.len() + 1;
        self.width = self.width.max(used);
        let seconds = header.mtime().unwrap_or_default().cast_signed();
        let time = Moment { seconds, nanoseconds: 0 };
        let time = time.format(if self.full_time { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M" });
        let kind = header.entry_type();
        let link = match (kind, link) {
            (EntryType::Symlink, Some(link)) => format!(" -> {link}"),
            (EntryType::Link, Some(link)) => format!(" link to {link}"),
            _ => String::new(),
        };
        let width = self.width - used + size.len();
        format!("{} {user}/{group} {size:>width$} {time} {name}{link}", mode_text(header))
    }
}

fn mode_text(header: &Header) -> String {
    let letter = match header.entry_type() {
        EntryType::Directory => 'd',
        EntryType::Symlink => 'l',
        EntryType::Link => 'h',
        EntryType::Char => 'c',
        EntryType::Block => 'b',
        EntryType::Fifo => 'p',
        _ => '-',
    };
    let mode = header.mode().unwrap_or_default();
    let bits = (0..9).map(|bit| if mode >> (8 - bit) & 1 == 1 { ['r', 'w', 'x'][bit % 3] } else { '-' });
    [letter].into_iter().chain(bits).collect()
}
