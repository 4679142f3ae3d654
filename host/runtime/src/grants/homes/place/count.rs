//! The count of all homes of a folder, by the reaper's thread from the start on.

use std::io;
use std::sync::{Arc, Weak};

use tokio::time::Instant;

use super::{HomesPlace, KnownHome};
use crate::event::{LogEvent, emit};
use crate::grants::homes::name;
use crate::grants::homes::reaper::Work;

impl HomesPlace {
    /// Queues the count of all homes, unless it was made. Blocks.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(in crate::grants::homes) fn begin_count(self: &Arc<Self>, tenant: &str) -> io::Result<()> {
        if *self.counted.borrow() {
            return Ok(());
        }
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.folder)? {
            names.extend(entry?.file_name().to_str().ok().filter(|name| name::is_encoded(name)).map(str::to_owned));
        }
        let (place, tenant, since) = (Arc::downgrade(self), tenant.into(), Instant::now());
        self.reaper.add(self.owner(), Box::new(Count { place, tenant, names, since }));
        Ok(())
    }

    /// Counts the home of this name if nobody has.
    pub(super) fn count_home(&self, name: &str) -> io::Result<()> {
        let slot = self.slot(name);
        // A session that has it now counts it.
        let Ok(mut known) = slot.try_lock() else { return Ok(()) };
        if known.is_some() {
            return Ok(());
        }
        let opened = match self.open_folder(name) {
            // No home has a file in its place.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => None,
            opened => opened?,
        };
        if let Some((dir, id)) = opened {
            let inodes = self.count(&dir, &mut known)?;
            *known = Some(KnownHome { id, inodes, since: Instant::now(), open: Weak::new() });
        }
        Ok(())
    }
}

/// The count of all homes, one home a turn.
struct Count {
    place: Weak<HomesPlace>,
    tenant: Arc<str>,
    /// Those that are left.
    names: Vec<String>,
    since: Instant,
}

impl Work for Count {
    fn turn(mut self: Box<Self>) -> Option<Box<dyn Work>> {
        let place = self.place.upgrade()?;
        let Some(name) = self.names.pop() else {
            let (homes, total) = (place.lock_homes().len(), place.total());
            let took_ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
            emit(LogEvent::HomesCounted {
                tenant: &self.tenant,
                home: &place.path,
                homes,
                bytes: total.bytes,
                files: total.files,
                took_ms,
            });
            place.counted.send_replace(true);
            return None;
        };
        if let Err(error) = place.count_home(&name) {
            emit(LogEvent::HomeNotCounted { tenant: &self.tenant, home: &place.path.join(name), error: &error });
        }
        Some(self)
    }
}
