//! Waits for the lock of a file that somebody else has.

use std::io;
use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// The pause between two attempts: flock(2) itself waits without end.
const PAUSE: Duration = Duration::from_millis(10);

/// Locks an open file or folder for as long as it is open (flock(2); on NFS a lock of the server's). Blocks, at most
/// `timeout` if somebody else has it.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] when somebody else still has it; other kinds when the file system has no locks.
pub fn lock_file(file: impl AsFd, timeout: Duration) -> io::Result<()> {
    let deadline = Instant::now() + timeout;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => sleep(PAUSE),
            done => return Ok(done?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    #[test]
    fn a_lock_is_had_once_and_waited_for_no_longer_than_asked() {
        let place = tempfile::tempdir().unwrap();
        let open = || File::open(place.path()).unwrap();
        let (first, second) = (open(), open());
        lock_file(&first, Duration::ZERO).unwrap();
        for timeout in [Duration::ZERO, PAUSE * 3] {
            let start = Instant::now();
            assert_eq!(lock_file(&second, timeout).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            assert!(start.elapsed() >= timeout);
        }
        let (sender, waits) = channel();
        let waiting = thread::spawn(move || {
            sender.send(()).unwrap();
            lock_file(&second, Duration::from_secs(60))
        });
        waits.recv().unwrap();
        drop(first);
        waiting.join().unwrap().unwrap();
    }
}
