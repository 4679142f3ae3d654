//! The numbers of one process (POSIX, "file descriptor").

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::description::{ChannelStream, OpenDescription};
use super::errno::Errno;

/// Every number is below this.
pub(crate) const NUMBERS: u32 = 1024;

/// The numbers of one process that are in use, and what they lead to. A description is never dropped under the lock.
pub(crate) struct Descriptors {
    numbers: Mutex<BTreeMap<u32, Arc<OpenDescription>>>,
    /// Counts the changes.
    version: AtomicU64,
    /// The most numbers that may be in use.
    most: usize,
}

impl Default for Descriptors {
    fn default() -> Self {
        Self::with_limit(usize::MAX)
    }
}

impl Descriptors {
    /// None is in use, and at most so many may be.
    pub(crate) fn with_limit(most: usize) -> Self {
        Self { numbers: Mutex::default(), version: AtomicU64::new(0), most }
    }

    /// Those of the first process of a session: its three standard streams lead to the channel. A terminal is one
    /// description, for reading and writing.
    pub(crate) fn of_session(has_terminal: bool, most: usize) -> Self {
        let descriptors = Self::with_limit(most);
        let streams = if has_terminal {
            let terminal = Arc::new(OpenDescription::of_channel(ChannelStream::Terminal));
            [Arc::clone(&terminal), Arc::clone(&terminal), terminal]
        } else {
            [ChannelStream::Input, ChannelStream::Output, ChannelStream::Error]
                .map(|stream| Arc::new(OpenDescription::of_channel(stream)))
        };
        *descriptors.lock() = (0..).zip(streams).collect();
        descriptors
    }

    /// What a number leads to; `None` if it is not in use.
    pub(crate) fn get(&self, number: u32) -> Option<Arc<OpenDescription>> {
        self.lock().get(&number).map(Arc::clone)
    }

    /// Whether a number is in use.
    pub(crate) fn has(&self, number: u32) -> bool {
        self.lock().contains_key(&number)
    }

    /// The number leads to this description from now on (dup2(2)).
    ///
    /// # Errors
    /// [`Errno::TooManyFiles`] if there is no such number, or if too many are in use.
    pub(crate) fn put(&self, number: u32, to: Arc<OpenDescription>) -> Result<(), Errno> {
        let mut numbers = self.lock();
        if number >= NUMBERS || (numbers.len() >= self.most && !numbers.contains_key(&number)) {
            return Err(Errno::TooManyFiles);
        }
        let before = numbers.insert(number, to);
        self.version.fetch_add(1, Ordering::Release);
        drop(numbers);
        drop(before);
        Ok(())
    }

    /// The number is not in use any more (close(2)).
    ///
    /// # Errors
    /// [`Errno::BadDescriptor`] if it was not.
    pub(crate) fn close(&self, number: u32) -> Result<(), Errno> {
        let mut numbers = self.lock();
        let closed = numbers.remove(&number);
        self.version.fetch_add(1, Ordering::Release);
        drop(numbers);
        closed.map(drop).ok_or(Errno::BadDescriptor)
    }

    /// Closes all numbers: the process has ended.
    pub(crate) fn close_all(&self) {
        let closed = std::mem::take(&mut *self.lock());
        self.version.fetch_add(1, Ordering::Release);
        drop(closed);
    }

    /// The numbers in use, in ascending order.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.lock().keys().copied().collect()
    }

    /// Changes whenever a number is put or closed.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<OpenDescription>>> {
        // Every change is complete or not made.
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::posix::pipe::tests::open as open_pipe;
    use crate::posix::{DescriptionKind, DescriptionTarget};

    fn channel() -> Arc<OpenDescription> {
        Arc::new(OpenDescription::of_channel(ChannelStream::Input))
    }

    #[test]
    fn a_number_leads_to_what_was_put_there_last() {
        let descriptors = Descriptors::default();
        let (one, other) = (channel(), channel());
        assert_eq!(descriptors.close(3), Err(Errno::BadDescriptor));
        descriptors.put(3, Arc::clone(&one)).unwrap();
        descriptors.put(NUMBERS - 1, Arc::clone(&one)).unwrap();
        let before = descriptors.version();
        descriptors.put(3, Arc::clone(&other)).unwrap();
        assert_ne!(descriptors.version(), before);
        assert!(Arc::ptr_eq(&descriptors.get(3).unwrap(), &other) && descriptors.has(3));
        assert_eq!((descriptors.numbers(), descriptors.put(NUMBERS, one)), (vec![3, 1023], Err(Errno::TooManyFiles)));
        assert_eq!((descriptors.close(3), descriptors.close(3)), (Ok(()), Err(Errno::BadDescriptor)));
        assert!(descriptors.get(3).is_none() && !descriptors.has(3));
    }

    #[test]
    fn the_numbers_in_use_are_limited_and_one_in_use_may_lead_elsewhere() {
        let descriptors = Descriptors::with_limit(2);
        (5..7).for_each(|number| descriptors.put(number, channel()).unwrap());
        assert_eq!(descriptors.put(7, channel()), Err(Errno::TooManyFiles));
        assert_eq!(descriptors.put(6, channel()), Ok(()));
        descriptors.close(5).unwrap();
        assert_eq!((descriptors.put(7, channel()), descriptors.numbers()), (Ok(()), vec![6, 7]));
    }

    #[test]
    fn a_description_is_closed_when_no_number_of_any_process_leads_to_it() {
        let (reader, writer) = open_pipe();
        let place = Arc::new(());
        let end = Arc::new(OpenDescription::new(DescriptionTarget::Writer(writer), Arc::clone(&place)));
        let (one, other) = (Descriptors::default(), Descriptors::default());
        for descriptors in [&one, &other] {
            descriptors.put(1, Arc::clone(&end)).unwrap();
            descriptors.put(2, Arc::clone(&end)).unwrap();
        }
        drop(end);
        one.close_all();
        other.close(1).unwrap();
        assert_eq!((reader.try_read(1), Arc::strong_count(&place)), (Err(Errno::Again), 2));
        other.put(2, channel()).unwrap();
        assert_eq!((reader.try_read(1).unwrap().len(), Arc::strong_count(&place)), (0, 1));
    }

    #[test]
    fn the_first_process_has_the_channel_and_a_terminal_is_one_description() {
        let pipes = Descriptors::of_session(false, 64);
        let kinds = |descriptors: &Descriptors| [0, 1, 2].map(|number| descriptors.get(number).unwrap().kind());
        assert_eq!((kinds(&pipes), pipes.numbers()), ([DescriptionKind::Pipe; 3], vec![0, 1, 2]));
        let terminal = Descriptors::of_session(true, 64);
        assert_eq!(kinds(&terminal), [DescriptionKind::Terminal; 3]);
        assert!(Arc::ptr_eq(&terminal.get(0).unwrap(), &terminal.get(2).unwrap()));
        let DescriptionTarget::Channel(stream) = *terminal.get(1).unwrap().target() else { panic!("the channel") };
        assert!(stream.is_input() && stream.is_output() && terminal.get(1).unwrap().is_terminal());
    }
}
