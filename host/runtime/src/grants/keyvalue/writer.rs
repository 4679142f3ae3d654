//! The only thread that writes to the embedded store. It collects waiting changes into one transaction, so that many
//! sessions wait for the disk together, and confirms each when the transaction is on disk.
//!
//! A refused change has no effect on the others of its group. A failed transaction is an error for the whole group.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use redb::Database;
use tokio::sync::oneshot;

use super::buckets::StoreError;
use super::file::File;
use super::flow::InFlight;
use super::tables::{Change, ChangeResult, StoreQuota, Tables};
use crate::limits::usage::thread_time;
use crate::supervise::{Fault, supervise_thread};

/// The most changes in one transaction. Each tenant's [`FlowControl`](super::flow::FlowControl) limits their bytes.
const GROUP: usize = 1_000;

/// One change in progress.
pub(super) struct Job {
    pub(super) tenant: Arc<str>,
    pub(super) quota: StoreQuota,
    pub(super) change: Change,
    /// Freed when the change is done, even if its caller no longer waits.
    pub(super) room: InFlight,
    pub(super) answer: oneshot::Sender<ChangeResult>,
}

/// The thread. Dropping it ends the thread once all earlier changes are done.
pub(super) struct WriterThread {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    #[cfg(test)]
    pub(super) fault: Arc<Fault>,
}

impl WriterThread {
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

    /// Queues a change. Never blocks: the [`InFlight`]s of a tenant bound its changes in progress.
    pub(super) fn send(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // Fails only after the thread has ended; then the reply is dropped, which the caller sees.
            let _ = jobs.send(job);
        }
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was logged already.
            let _ = thread.join();
        }
    }
}

fn write(file: &File, waiting: &Receiver<Job>, fault: &Fault) {
    while let Ok(first) = waiting.recv() {
        let mut group = vec![first];
        group.extend(waiting.try_iter().take(GROUP - 1));
        // Sessions that have ended no longer wait.
        group.retain(|job| !job.answer.is_closed());
        fault.point();
        // Measured inside, so that no tenant is charged for reopening the file after a disk error.
        let verdicts = file.with_database(|database| {
            let before = thread_time();
            let verdicts = commit(database, &group);
            InFlight::share(group.iter().map(|job| &job.room), thread_time().saturating_sub(before));
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

/// Applies a group of changes in one transaction and returns when it is on disk.
fn commit(database: &Database, group: &[Job]) -> Result<Vec<ChangeResult>, redb::Error> {
    let mut transaction = database.begin_write()?;
    // Tenants choose the contents: with two-phase commit no choice of bytes and timing can pass a half-written
    // transaction off as a complete one.
    transaction.set_two_phase_commit(true);
    // Saves the allocator state with each transaction, so that opening after a crash need not read the whole file.
    transaction.set_quick_repair(true);
    let mut tables = Tables::open(&transaction)?;
    let mut verdicts: Vec<ChangeResult> = Vec::with_capacity(group.len());
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

/// The reply if the thread panicked during the change or ended before it.
pub(super) fn gone() -> StoreError {
    StoreError::Failed("its writer has failed".to_owned())
}
