//! The one thread that changes the embedded store. It gathers what is waiting into one transaction, so that many sessions wait for the
//! disk together, and answers each when the transaction is on the disk.
//!
//! A change that is refused touches nothing and the others of its group go on. A transaction that fails is an error for the whole group.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use redb::Database;
use tokio::sync::oneshot;

use super::buckets::Error;
use super::file::File;
use super::flow::Room;
use super::tables::{Change, Quota, Tables, Verdict};
use crate::limits::usage::thread_time;
use crate::supervise::{Fault, supervise_thread};

/// Most changes in one transaction. How many bytes they carry is bounded by each tenant's [`Flow`](super::flow::Flow).
const GROUP: usize = 1_000;

/// One change on its way.
pub(super) struct Job {
    pub(super) tenant: Arc<str>,
    pub(super) quota: Quota,
    pub(super) change: Change,
    /// Free again when the change is done, also if nobody waits for it any more.
    pub(super) room: Room,
    pub(super) answer: oneshot::Sender<Verdict>,
}

/// The thread. Dropping this ends it, after what was handed to it before.
pub(super) struct Writer {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    #[cfg(test)]
    pub(super) fault: Arc<Fault>,
}

impl Writer {
    pub(super) fn start(file: Arc<File>) -> std::io::Result<Self> {
        let (jobs, waiting) = channel();
        let fault = Arc::new(Fault::default());
        let point = Arc::clone(&fault);
        let thread = supervise_thread("keyvalue", None, move || write(&file, &waiting, &point))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
            #[cfg(test)]
            fault,
        })
    }

    /// Hands over a change. Never waits: a tenant has as many on their way as its [`Room`]s allow.
    pub(super) fn send(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // Refused only after the thread has ended; then the answer is dropped, which tells the one who waits for it.
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // What a panic in it would have to say was logged.
            let _ = thread.join();
        }
    }
}

fn write(file: &File, waiting: &Receiver<Job>, fault: &Fault) {
    while let Ok(first) = waiting.recv() {
        let mut group = vec![first];
        group.extend(waiting.try_iter().take(GROUP - 1));
        // Sessions that ended meanwhile have nobody to be told.
        group.retain(|job| !job.answer.is_closed());
        fault.point();
        // Measured inside, so that no tenant is billed for reopening the file after a disk error.
        let verdicts = file.with_database(|database| {
            let before = thread_time();
            let verdicts = commit(database, &group);
            Room::share(group.iter().map(|job| &job.room), thread_time().saturating_sub(before));
            verdicts
        });
        if verdicts.as_ref().is_ok_and(|verdicts| verdicts.iter().any(Result::is_ok)) {
            file.has_written();
        }
        let verdicts = verdicts.unwrap_or_else(|error| group.iter().map(|_| Err(error.clone())).collect());
        for (job, verdict) in group.into_iter().zip(verdicts) {
            drop(job.room);
            let _ = job.answer.send(verdict);
        }
    }
}

/// Does a group of changes in one transaction and returns when it is on the disk.
fn commit(database: &Database, group: &[Job]) -> Result<Vec<Verdict>, redb::Error> {
    let mut transaction = database.begin_write()?;
    // The content is the tenants': with two phases no choice of bytes and moment can pass a half-written transaction off as a whole one.
    transaction.set_two_phase_commit(true);
    // The state of the allocator goes with each transaction, so that opening after a kill need not read the whole file.
    transaction.set_quick_repair(true);
    let mut tables = Tables::open(&transaction)?;
    let mut verdicts: Vec<Verdict> = Vec::with_capacity(group.len());
    for job in group {
        verdicts.push(tables.apply(&job.tenant, job.quota, &job.change)?);
    }
    drop(tables);
    if verdicts.iter().any(Result::is_ok) {
        transaction.commit()?
    } else {
        transaction.abort()?
    }
    Ok(verdicts)
}

/// The answer to a change in whose middle the thread panicked, or for which it did not live long enough.
pub(super) fn gone() -> Error {
    Error::Failed("its writer has failed".to_owned())
}
