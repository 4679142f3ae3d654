//! What git patches make of files. It is written once all of them are read: renames may exchange two names.

use super::{Options, back_up, remove, write};
use crate::error::PatchError;
use crate::messages::Messages;
use crate::settings::Settings;
use crate::target::status;

/// What becomes of one file.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) from: String,
    pub(crate) to: String,
    /// The new content; none: the file is removed.
    pub(crate) bytes: Option<Vec<u8>>,
    pub(crate) backs_up: bool,
    /// `from` is removed once `to` is written.
    pub(crate) renamed: bool,
    pub(crate) copied: bool,
}

impl Change {
    /// The file that is no longer there afterwards.
    fn removed(&self) -> Option<&str> {
        match self {
            Self { bytes: None, to, .. } => Some(to),
            Self { renamed: true, from, .. } => Some(from),
            _ => None,
        }
    }
}

/// Changes that are not written yet, in the order of their patches.
#[derive(Debug, Default)]
pub(crate) struct Queue(Vec<Change>);

impl Queue {
    pub(crate) fn push(&mut self, change: Change) {
        self.0.push(change);
    }

    /// Whether a file is written or removed.
    pub(crate) fn concerns(&self, name: &str) -> bool {
        self.0.iter().any(|change| change.to == name || change.removed() == Some(name))
    }

    /// Writes all. Returns whether nothing was refused: a file is neither renamed nor copied to a name that another
    /// file has and keeps.
    pub(crate) fn write(&mut self, settings: &Settings, messages: Messages) -> Result<bool, PatchError> {
        let mut changes = std::mem::take(&mut self.0);
        let mut refused = false;
        // A file that stays because it is refused may be in the way of another.
        while let Some(index) = (0..changes.len()).find(|index| is_occupied(&changes, *index)) {
            let Change { from, to, renamed, .. } = changes.remove(index);
            let verb = if renamed { "rename" } else { "copy" };
            messages.print(&format!("File {to} already exists -- refusing to {verb} {from}\n"));
            refused = true;
        }
        for Change { to, backs_up, .. } in changes.iter().filter(|change| change.bytes.is_none()) {
            if *backs_up {
                back_up(to, settings, false)?;
            }
            if status(to).is_some() {
                remove(to)?;
            }
        }
        for Change { to, bytes, backs_up, .. } in &changes {
            if let Some(bytes) = bytes {
                let backup = backs_up.then_some(settings);
                write(to, bytes, Options { follow_links: settings.follow_links, backup })?;
            }
        }
        for Change { from, .. } in changes.iter().filter(|change| change.renamed && change.bytes.is_some()) {
            let is_written = changes.iter().any(|change| change.bytes.is_some() && change.to == *from);
            if !is_written && status(from).is_some() {
                remove(from)?;
            }
        }
        Ok(!refused)
    }
}

/// Whether a file would be renamed or copied to a name that is taken.
fn is_occupied(changes: &[Change], index: usize) -> bool {
    let Some(Change { to, bytes: Some(_), renamed, copied, .. }) = changes.get(index) else { return false };
    let is_removed = changes.iter().any(|change| change.removed() == Some(to));
    let is_written = changes.iter().take(index).any(|change| change.bytes.is_some() && change.to == *to);
    (*renamed || *copied) && (is_written || (!is_removed && status(to).is_some()))
}
