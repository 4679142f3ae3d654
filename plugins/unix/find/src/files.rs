//! A file that was found, and what is known of it.

use std::cell::OnceCell;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use unix_common::time::Moment;

use crate::compare::Stamp;

/// A file that was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// How many bytes of the path are the starting point.
    pub(crate) start: String,
    pub(crate) depth: usize,
    pub(crate) metadata: Metadata,
    link: OnceCell<Option<String>>,
}

impl Found {
    pub(crate) fn new(path: PathBuf, start: &str, depth: usize, metadata: Metadata) -> Self {
        Self { path, start: start.to_owned(), depth, metadata, link: OnceCell::new() }
    }

    /// Its path as text. Names that are not UTF-8 do not occur here.
    pub(crate) fn text(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }

    /// The last part of its path, which is `/` for the root and `.` for the starting point.
    pub(crate) fn name(&self) -> String {
        let text = self.text();
        let trimmed = text.trim_end_matches('/');
        if trimmed.is_empty() { "/".to_owned() } else { trimmed.rsplit('/').next().unwrap_or_default().to_owned() }
    }

    /// The folder part of its path.
    pub(crate) fn folder(&self) -> String {
        let text = self.text();
        match text.trim_end_matches('/').rsplit_once('/') {
            Some(("", _)) => String::new(),
            Some((folder, _)) => folder.to_owned(),
            None => ".".to_owned(),
        }
    }

    /// Its path without the starting point.
    pub(crate) fn below(&self) -> String {
        let text = self.text();
        text.strip_prefix(&self.start).unwrap_or(&text).trim_start_matches('/').to_owned()
    }

    /// The letter of its type.
    pub(crate) fn letter(&self) -> char {
        letter(&self.metadata)
    }

    /// The letter of the type of what it leads to, if it is a link; its own, if it is none or leads nowhere. The other
    /// way round where links were followed already.
    pub(crate) fn other_letter(&self, followed: bool) -> char {
        if followed {
            fs::symlink_metadata(&self.path).map_or('U', |found| letter(&found))
        } else {
            fs::metadata(&self.path).map_or_else(|_| self.letter(), |found| letter(&found))
        }
    }

    /// What it leads to, if it is a link.
    pub(crate) fn link(&self) -> Option<&str> {
        let read = || fs::read_link(&self.path).ok().map(|target| target.to_string_lossy().into_owned());
        self.link.get_or_init(read).as_deref()
    }

    /// The bits of its mode. WASI has none: all files have those that `ls` and `stat` show.
    pub(crate) const fn mode() -> u32 {
        0o555
    }

    /// The mode as `ls` shows it.
    pub(crate) fn mode_text(&self) -> String {
        let mode = Self::mode();
        let letter = if self.letter() == 'f' { '-' } else { self.letter() };
        let bits = (0..9).map(|bit| if mode >> (8 - bit) & 1 == 1 { ['r', 'w', 'x'][bit % 3] } else { '-' });
        [letter].into_iter().chain(bits).collect()
    }

    pub(crate) fn stamp(&self, stamp: Stamp) -> Moment {
        stamp_of(&self.metadata, stamp)
    }

    /// Whether it is a directory without entries, or an empty file.
    pub(crate) fn is_empty(&self) -> io::Result<bool> {
        match self.letter() {
            'd' => fs::read_dir(&self.path).map(|mut entries| entries.next().is_none()),
            'f' => Ok(self.metadata.len() == 0),
            _ => Ok(false),
        }
    }

    pub(crate) fn is(&self, other: &str) -> bool {
        match (fs::canonicalize(&self.path), fs::canonicalize(Path::new(other))) {
            (Ok(this), Ok(other)) => this == other,
            _ => false,
        }
    }
}

/// A time of a file.
pub(crate) fn stamp_of(metadata: &Metadata, stamp: Stamp) -> Moment {
    let time = match stamp {
        Stamp::Accessed => metadata.accessed(),
        Stamp::Modified => metadata.modified(),
        // The standard library gives WASI's time of the last change by this name.
        Stamp::Changed => metadata.created().or_else(|_| metadata.modified()),
    };
    time.map_or(Moment { seconds: 0, nanoseconds: 0 }, Moment::from)
}

fn letter(metadata: &Metadata) -> char {
    let kind = metadata.file_type();
    if kind.is_dir() {
        'd'
    } else if kind.is_symlink() {
        'l'
    } else if kind.is_file() {
        'f'
    } else {
        // WASI does not tell block devices, pipes and sockets by its standard library.
        'c'
    }
}
