//! What the thread does that writes all recordings.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use whelk_runtime::supervise::catch;

use super::buffer::{PieceBuffer, PieceKind};
use super::digest::RecordingEnd;
use super::file::RecordingFile;
use super::queue::WriteQueue;
use super::recorder::{FileSlot, RecordedSession, RecorderWork, SessionRecorder};
use super::text::TextDecoder;
use crate::observe::escape::escape;
use crate::observe::event::{SessionEvent, emit};

/// Why a recording ends that has no more room.
const FULL: &str = "the recording is as long as `size` allows";

/// The recordings whose digest is due, by time and session.
type DueDigests = BTreeMap<(Instant, u64, u64), Arc<SessionRecorder>>;

/// Writes for ever. The digest of a recording that something was added to is recorded once in each `period`.
pub(super) fn run(queue: &WriteQueue<SessionRecorder>, period: Duration) {
    let (mut due, mut events) = (DueDigests::new(), PieceBuffer::default());
    loop {
        queue.collect(due.first_key_value().map(|((at, ..), _)| *at));
        while let Some(recorder) = queue.next() {
            let served = attempt(&recorder, || serve(&recorder, &mut events, period));
            if let Some(Some(at)) = served {
                let RecordedSession { connection, session, .. } = recorder.session;
                due.insert((at, connection, session), recorder);
            }
        }
        while let Some(((at, ..), _)) = due.first_key_value()
            && *at <= Instant::now()
            && let Some((_, recorder)) = due.pop_first()
        {
            queue.work_on(&recorder);
            attempt(&recorder, || write_digest(&recorder));
        }
        queue.rest();
    }
}

/// A panic ends one recording, and not the others.
fn attempt<R>(recorder: &Arc<SessionRecorder>, work: impl FnOnce() -> R) -> Option<R> {
    let done = catch(work);
    if let Err(panic) = &done {
        fail(recorder, None, (&format!("a panic: {panic}"), 0));
    }
    done.ok()
}

/// Why events could not be written, and how many bytes of them.
struct WriteFailure {
    reason: String,
    lost: u64,
}

/// Writes what a recorder has. Returns when its digest is due, if that was not known.
fn serve(recorder: &Arc<SessionRecorder>, events: &mut PieceBuffer, period: Duration) -> Option<Instant> {
    let mut work = recorder.take_work(events);
    let mut slot = slot(recorder);
    if work.failure.is_none()
        && let Err(WriteFailure { reason, lost }) = write(recorder, &mut slot, &work, events)
    {
        fail(recorder, slot.file.as_ref(), (&reason, lost));
        work.lost += lost;
        work.failure = Some(reason);
    }
    let is_over = work.ended.is_some() || work.failure.is_some();
    if is_over {
        close(recorder, &mut slot, &work);
    }
    if work.ended.is_some() {
        finish(recorder, &mut slot, &work);
    }
    let is_due = !is_over && slot.digest_due.is_none() && !events.is_empty();
    let at = slot.digest_at.filter(|_| is_due).map(|at| at + period);
    slot.digest_due = slot.digest_due.or(at);
    drop(slot);
    if work.failure.is_none() {
        recorder.written();
    }
    at
}

fn write(
    recorder: &Arc<SessionRecorder>,
    slot: &mut FileSlot,
    work: &RecorderWork,
    events: &PieceBuffer,
) -> Result<(), WriteFailure> {
    let nothing = |error: io::Error| WriteFailure { reason: error.to_string(), lost: events.bytes.len() as u64 };
    if let (Some(header), Some(plan)) = (&work.header, slot.plan.take()) {
        let file = RecordingFile::create(plan, header).map_err(nothing)?;
        tell(recorder, &file, Told::Began);
        slot.file = Some(file);
        slot.digest_at = Some(Instant::now());
    }
    let FileSlot { file: Some(file), texts, input, .. } = slot else { return Ok(()) };
    let mut rest = &events.bytes[..];
    for piece in &events.pieces {
        let (at, before) = (piece.at, rest.len() as u64);
        let mut take = |length: usize| rest.split_off(..length).unwrap_or_default();
        let fits = match piece.kind {
            PieceKind::Output { is_ordinary, bytes } => {
                let text = texts[usize::from(!is_ordinary)].decode(take(bytes));
                text.is_empty() || file.add(at, "o", &text)
            }
            PieceKind::Input { bytes } => {
                let text = input.decode(take(bytes));
                text.is_empty() || file.add(at, "i", &text)
            }
            PieceKind::Resized(size) if size.columns == 0 || size.rows == 0 => true,
            PieceKind::Resized(size) => file.add(at, "r", &format!("{}x{}", size.columns, size.rows)),
            PieceKind::Lost(bytes) => {
                add_cut(file, texts, at) && file.add(at, "m", &format!("{bytes} bytes are left out"))
            }
        };
        if !fits {
            file.write().map_err(nothing)?;
            return Err(WriteFailure { reason: FULL.to_owned(), lost: before });
        }
    }
    file.write().map_err(nothing)
}

/// Adds U+FFFD for a character that is not completed any more. False if there is no room for it.
fn add_cut(file: &mut RecordingFile, texts: &mut [TextDecoder], at: u64) -> bool {
    let mut is_cut = false;
    for text in texts {
        is_cut |= text.end();
    }
    !is_cut || file.add(at, "o", "\u{fffd}")
}

/// Writes the last record, once.
fn close(recorder: &SessionRecorder, slot: &mut FileSlot, work: &RecorderWork) {
    if std::mem::replace(&mut slot.is_closed, true) {
        return;
    }
    let FileSlot { file: Some(file), texts, .. } = slot else { return };
    let at = recorder.now();
    // Without room nothing is lost but the sign for a character that was cut.
    let _ = add_cut(file, texts, at);
    let end = RecordingEnd { exit: work.ended.clone().flatten(), lost: work.lost, reason: work.failure.clone() };
    if let (Err(error), None) = (file.write_record(at, Some(end)), &work.failure) {
        tell_failed(recorder, Some(file), &error.to_string());
    }
}

/// Tells that the recording has ended, once.
fn finish(recorder: &SessionRecorder, slot: &mut FileSlot, work: &RecorderWork) {
    if std::mem::replace(&mut slot.is_done, true) {
        return;
    }
    if let Some(file) = &slot.file {
        tell(recorder, file, Told::Ended { lost: work.lost, reason: work.failure.as_deref() });
    }
}

/// Records the digest of a recording that something was added to.
fn write_digest(recorder: &Arc<SessionRecorder>) {
    let mut slot = slot(recorder);
    slot.digest_due = None;
    if slot.is_closed {
        return;
    }
    slot.digest_at = Some(Instant::now());
    let Some(file) = &mut slot.file else { return };
    match file.write_record(recorder.now(), None) {
        Ok(()) => tell(recorder, file, Told::Continued),
        Err(error) => fail(recorder, Some(file), (&error.to_string(), 0)),
    }
}

/// Nothing more is recorded.
pub(super) fn fail(recorder: &Arc<SessionRecorder>, file: Option<&RecordingFile>, (reason, lost): (&str, u64)) {
    if recorder.fail(reason, lost) {
        tell_failed(recorder, file, reason);
    }
}

fn tell_failed(recorder: &SessionRecorder, file: Option<&RecordingFile>, reason: &str) {
    let RecordedSession { connection, channel, session, ref user, ref tenant } = recorder.session;
    let (user, tenant) = (escape(user.as_bytes()), escape(tenant.as_bytes()));
    let file = file.map(|file| file.path().display().to_string());
    let file = file.as_deref();
    emit(SessionEvent::RecordingFailed { connection, channel, session, user, tenant, file, reason });
}

/// What is told of a recording.
enum Told<'a> {
    Began,
    Continued,
    Ended { lost: u64, reason: Option<&'a str> },
}

fn tell(recorder: &SessionRecorder, file: &RecordingFile, what: Told<'_>) {
    let RecordedSession { connection, channel, session, ref user, ref tenant } = recorder.session;
    let (user, tenant) = (escape(user.as_bytes()), escape(tenant.as_bytes()));
    let (path, digest) = (file.path().display().to_string(), file.digest().hex());
    let (hash, bytes) = (file.digest().hash().name(), file.digest().bytes());
    let (file, digest) = (&*path, &*digest);
    emit(match what {
        Told::Began => {
            SessionEvent::RecordingBegan { connection, channel, session, user, tenant, file, bytes, hash, digest }
        }
        Told::Continued => {
            SessionEvent::RecordingDigest { connection, channel, session, user, tenant, file, bytes, hash, digest }
        }
        Told::Ended { lost, reason } => SessionEvent::RecordingEnded {
            connection,
            channel,
            session,
            user,
            tenant,
            file,
            bytes,
            hash,
            digest,
            lost,
            reason,
        },
    });
}

/// Only the thread uses it, and after a panic nobody.
fn slot(recorder: &SessionRecorder) -> MutexGuard<'_, FileSlot> {
    recorder.slot.lock().unwrap_or_else(PoisonError::into_inner)
}
