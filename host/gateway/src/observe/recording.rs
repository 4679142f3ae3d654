//! Recordings of sessions: what they have sent to their clients, as files that asciinema plays. `RECORDING.md` beside
//! the manifest describes them.
//!
//! ```text
//!  TapPoint ──► recorder   bounded buffer of a session; one that is required holds the session back
//!           ──► queue      sessions that have something to write
//!           ──► a thread   text ──► cast (lines) ──► file (size, digest), for all sessions
//! ```
//!
//! A recording begins when its client starts something, or with the first output. What sftp and scp do is not recorded:
//! it is in the audit, by the name of each file.
//!
//! Decided 2026-11-30: the digest is that of the file so far, and not a chain of the digests of lines: whoever has the
//! file and the audit needs no program of ours to compare them. A seal is an HMAC of that digest, so that what
//! is recorded is hashed once. Refused: a digest in each line, which makes short lines three times as long.

mod buffer;
mod cast;
pub(crate) mod digest;
mod file;
mod json;
mod queue;
pub(crate) mod reader;
mod recorder;
#[cfg(test)]
mod tests;
mod text;
pub(crate) mod verify;
mod writer;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};
use whelk_runtime::event::ConnectionIdentity;
use whelk_runtime::supervise::{supervise, supervise_thread};
use whelk_runtime::{Inbox, Pty};
use whelk_ssh::crypto::random::{Random, SystemRandom};

use self::cast::{CastHeader, SessionName};
use self::digest::RecordingKey;
use self::file::{RecordingPlan, safe_name};
use self::queue::WriteQueue;
use self::recorder::{RecordedSession, RecorderParts, RecorderTap, SessionRecorder};
use crate::config::RecordingConfig;
use crate::observe::tap::{AttachedTap, TapPoint};
use crate::state::State;

/// How often the digest of a recording is recorded that something was added to.
const DIGEST_PERIOD: Duration = Duration::from_secs(60);
/// How long a disk may not answer until recordings that wait for it fail.
const SLOW: Duration = Duration::from_secs(10);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often the end of the process looks whether everything is written.
const POLL_WRITTEN: Duration = Duration::from_millis(5);

/// The recordings of the process.
pub(crate) struct Recordings {
    /// The state folder.
    state: PathBuf,
    /// That of the thread, once a tenant is recorded.
    queue: OnceLock<Arc<WriteQueue<SessionRecorder>>>,
    /// Once a tenant's recordings are sealed.
    key: OnceLock<Arc<RecordingKey>>,
}

/// Whose session is recorded.
pub(crate) struct RecordingSubject<'a> {
    pub(crate) connection: u64,
    pub(crate) channel: u32,
    pub(crate) session: u64,
    pub(crate) user: &'a str,
    pub(crate) principal: &'a str,
    pub(crate) tenant: &'a str,
}

/// A session that is recorded until this is dropped.
pub(crate) struct SessionRecording {
    recorder: Arc<SessionRecorder>,
    _attached: AttachedTap,
}

impl Recordings {
    /// None, in this state folder.
    pub(crate) fn new(state: &Path) -> Recordings {
        Recordings { state: state.to_owned(), queue: OnceLock::new(), key: OnceLock::new() }
    }

    /// Makes what tenants with these settings need: the thread, and the key of the seals. Blocks on the disk. Needs a
    /// tokio runtime unless there are none.
    ///
    /// # Errors
    /// The key can neither be read nor be made, or there can be no thread.
    pub(crate) fn prepare<'a>(&self, configs: impl Iterator<Item = &'a RecordingConfig>) -> Result<(), String> {
        for config in configs {
            if self.queue.get().is_none() {
                let queue = Arc::new(WriteQueue::new(Handle::current()));
                let written = Arc::clone(&queue);
                supervise_thread("recordings", None, move || writer::run(&written, DIGEST_PERIOD))
                    .map_err(|error| format!("recordings cannot be written: {error}"))?;
                // One generation is made at a time.
                let watched = Arc::clone(&queue);
                let watch = supervise("recorded disk", move || watch_disk(Arc::clone(&watched)), |_| ());
                Handle::current().spawn(watch);
                let _ = self.queue.set(queue);
            }
            if config.hmac && self.key.get().is_none() {
                let mut fresh = [0; 32];
                SystemRandom::new().fill(&mut fresh).map_err(|error| error.to_string())?;
                let state = State::open(&self.state).map_err(|error| error.to_string())?;
                let key = state.recording_key(&fresh).map_err(|error| error.to_string())?;
                let _ = self.key.set(Arc::new(RecordingKey::new(key)));
            }
        }
        Ok(())
    }

    /// Records a session from now on, of which nothing was sent yet.
    pub(crate) fn record(
        &self,
        config: &RecordingConfig,
        subject: &RecordingSubject<'_>,
        (inbox, point): (&Inbox, &Arc<TapPoint>),
    ) -> Option<SessionRecording> {
        let queue = self.queue.get()?;
        let RecordingSubject { connection, channel, session, user, principal, tenant } = *subject;
        let (identity, now) = (ConnectionIdentity(connection).to_string(), Timestamp::now());
        let time = now.strftime("%Y%m%dT%H%M%SZ");
        // The names of tenants are safe.
        let name = format!("{time}_{tenant}_{}_{identity}.{session}", safe_name(user));
        let key = self.key.get().filter(|_| config.hmac).cloned();
        let hmac = key.is_some();
        let (folder, is_private) = match &config.folder {
            Some(folder) => (folder.clone(), false),
            None => (recordings_folder(&self.state, tenant), true),
        };
        let names = |name: &str| name.to_owned();
        let of = SessionName {
            connection: identity,
            session,
            user: names(user),
            principal: names(principal),
            tenant: names(tenant),
            terminal: false,
            hash: config.hash.name(),
            hmac,
        };
        let parts = RecorderParts {
            session: RecordedSession { connection, channel, session, user: names(user), tenant: names(tenant) },
            is_required: config.required,
            rate: config.rate,
            plan: RecordingPlan {
                folder,
                is_private,
                name,
                format: config.format,
                hash: config.hash,
                key,
                size: config.size,
            },
            header: CastHeader { timestamp: now.as_second(), session: of, ..CastHeader::default() },
            handle: inbox.handle(),
        };
        let recorder = SessionRecorder::new(parts, point, queue);
        let (attached, _) = point.attach(Arc::new(RecorderTap(Arc::clone(&recorder))));
        if config.input {
            let typed = Arc::downgrade(&recorder);
            inbox.observe_typed(Arc::new(move |bytes| {
                if let Some(recorder) = typed.upgrade() {
                    recorder.typed(bytes);
                }
            }));
        }
        Some(SessionRecording { recorder, _attached: attached })
    }

    /// Waits until everything is written, but not longer than this.
    pub(crate) async fn finish(&self, most: Duration) {
        let Some(queue) = self.queue.get() else { return };
        let end = Instant::now() + most;
        while !queue.is_idle() && Instant::now() < end {
            sleep(POLL_WRITTEN).await;
        }
    }
}

/// Ends recordings that wait for a disk which does not answer.
async fn watch_disk(queue: Arc<WriteQueue<SessionRecorder>>) -> Infallible {
    loop {
        sleep(LOOK).await;
        for recorder in queue.stuck(SLOW) {
            let reason = format!("the disk has not answered for {} s", SLOW.as_secs());
            writer::fail(&recorder, None, (&reason, 0));
        }
    }
}

/// The folder of the recordings of a tenant, unless it names one.
pub(crate) fn recordings_folder(state: &Path, tenant: &str) -> PathBuf {
    state.join("recordings").join(tenant)
}

impl SessionRecording {
    /// The client has this terminal.
    pub(crate) fn terminal(&self, pty: &Pty) {
        self.recorder.terminal(&pty.term);
    }

    /// The client starts something. What is not recorded is not, unless something else is started after it.
    pub(crate) fn start(&self, command: &[u8], is_recorded: bool) {
        let command = (!command.is_empty()).then(|| String::from_utf8_lossy(command).into_owned());
        self.recorder.start(command, is_recorded);
    }
}
