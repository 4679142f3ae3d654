//! Reads files on threads that may wait for the disk, a few at the same time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::shown::KeyRefusal;
use crate::credential::KeyPath;

/// How many files are read at the same time. Further reads wait.
const READERS: usize = 32;
/// How many of these may read the same file, so that a file that hangs leaves room for reads of others.
const READERS_OF_ONE: usize = 4;

/// The bounds of reading.
pub(super) struct Readers {
    each: BTreeMap<KeyPath, Arc<Semaphore>>,
    all: Arc<Semaphore>,
    /// How long one read may take, with the wait for its turn.
    grace: Duration,
}

impl Readers {
    /// For these files.
    pub(super) fn new(files: impl Iterator<Item = KeyPath>, grace: Duration) -> Readers {
        let each = files.map(|file| (file, Arc::new(Semaphore::new(READERS_OF_ONE)))).collect();
        Readers { each, all: Arc::new(Semaphore::new(READERS)), grace }
    }

    /// Counts the reads of `before` together with its own.
    pub(super) fn continue_from(&mut self, before: &Readers) {
        self.all = Arc::clone(&before.all);
        for (file, places) in &mut self.each {
            if let Some(before) = before.each.get(file) {
                *places = Arc::clone(before);
            }
        }
    }

    /// Reads a file by `read`, when its turn has come. A read that takes too long, with the wait for its turn, is left
    /// alone, and keeps its place until it ends.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        file: &KeyPath,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, KeyRefusal> {
        // The place at this file comes first: whoever waits for it takes none from the readers of other files. The
        // semaphores are never closed.
        let work = async {
            let of_file = match self.each.get(file) {
                Some(each) => Arc::clone(each).acquire_owned().await.ok(),
                None => None,
            };
            let permits = (of_file, Arc::clone(&self.all).acquire_owned().await.ok());
            let work = tokio::task::spawn_blocking(move || {
                let _permits = permits;
                read()
            });
            work.await
        };
        match timeout(self.grace, work).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) => Err(KeyRefusal::Panic),
            Err(_) => Err(KeyRefusal::Slow),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc;

    use super::*;

    fn path(name: &str) -> KeyPath {
        KeyPath::named(Path::new(name))
    }

    #[tokio::test]
    async fn reads_of_a_file_that_hangs_leave_room_for_those_of_others() {
        let readers = Arc::new(Readers::new([path("hangs"), path("other")].into_iter(), Duration::from_secs(60)));
        let (started, mut starts) = tokio::sync::mpsc::unbounded_channel();
        let mut ends = Vec::new();
        let reads: Vec<_> = (0..2 * READERS)
            .map(|number| {
                let (end, ended) = mpsc::channel::<()>();
                ends.push(end);
                let (readers, started) = (Arc::clone(&readers), started.clone());
                tokio::spawn(async move {
                    let hang = move || {
                        started.send(()).unwrap();
                        // Until the other half is dropped.
                        ended.recv().unwrap_err();
                        number
                    };
                    readers.read(&path("hangs"), hang).await
                })
            })
            .collect();
        for _ in 0..READERS_OF_ONE {
            starts.recv().await.unwrap();
        }
        assert_eq!(readers.read(&path("other"), || 7).await, Ok(7));
        assert_eq!(readers.all.available_permits(), READERS - READERS_OF_ONE);
        assert!(starts.try_recv().is_err());
        drop(ends);
        for (number, read) in reads.into_iter().enumerate() {
            assert_eq!(read.await.unwrap(), Ok(number));
        }
        assert_eq!(readers.all.available_permits(), READERS);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_for_a_turn_at_a_file_that_hangs_has_an_end() {
        let readers = Readers::new([path("hangs")].into_iter(), Duration::from_secs(1));
        let places = Arc::clone(&readers.each[&path("hangs")]);
        let _hang = places.acquire_many(READERS_OF_ONE as u32).await.unwrap();
        assert_eq!(readers.read(&path("hangs"), || ()).await, Err(KeyRefusal::Slow));
    }

    #[tokio::test]
    async fn a_read_that_panics_is_not_taken_for_a_slow_one() {
        let readers = Readers::new([path("file")].into_iter(), Duration::from_secs(60));
        let read = readers.read(&path("file"), || panic!("as a test")).await;
        assert_eq!(read, Err::<(), _>(KeyRefusal::Panic));
        assert_eq!(readers.read(&path("file"), || ()).await, Ok(()));
    }
}
