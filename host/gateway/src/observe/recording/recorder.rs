//! The tap that records one session.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use whelk_runtime::limits::TokenBucket;
use whelk_runtime::{Output, SessionHandle, WindowSize};

use super::buffer::{CAPACITY, PieceBuffer};
use super::cast::CastHeader;
use super::file::{RecordingFile, RecordingPlan};
use super::queue::WriteQueue;
use super::text::TextDecoder;
use crate::observe::tap::{Tap, TapPoint};

/// A session that is held back gets no less than this many bytes at a time.
const WORTHWHILE: usize = 4 << 10;
/// A buffer with less than this many bytes is exchanged for one with no more memory.
const SMALL: usize = 16 << 10;
/// How often it is looked whether a session has ended whose recording has failed.
const POLL_END: Duration = Duration::from_millis(20);
/// How long a session that could not be recorded at all has until it has started, or has something to send.
const STARTING: Duration = Duration::from_secs(1);
/// What the client is told. The reason is the operator's.
const NOTICE: &str = "this session has to be recorded, and the recording has failed";

/// Whose session is recorded.
#[derive(Clone, Debug)]
pub(super) struct RecordedSession {
    pub(super) connection: u64,
    pub(super) channel: u32,
    pub(super) session: u64,
    pub(super) user: String,
    pub(super) tenant: String,
}

/// Records one session.
pub(super) struct SessionRecorder {
    pub(super) session: RecordedSession,
    /// A session that cannot be recorded ends.
    is_required: bool,
    /// The bytes of output that may still be recorded.
    rate: Option<TokenBucket>,
    began: Instant,
    state: Mutex<RecorderState>,
    /// What only the thread that writes uses.
    pub(super) slot: Mutex<FileSlot>,
    point: Weak<TapPoint>,
    handle: SessionHandle,
    queue: Arc<WriteQueue<SessionRecorder>>,
}

struct RecorderState {
    phase: RecorderPhase,
    buffer: PieceBuffer,
    header: CastHeader,
    /// The file was begun, with this header.
    has_header: bool,
    /// The file is there.
    is_open: bool,
    /// It stands in the queue.
    is_queued: bool,
    /// The session was refused room since it was last woken.
    is_held: bool,
    /// The session is over, with this exit.
    ended: Option<Option<String>>,
    /// Bytes of output that are not in the recording.
    lost: u64,
    /// Why nothing more is recorded.
    failure: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RecorderPhase {
    /// Nothing was started yet.
    Waiting,
    /// What the client has started is not recorded.
    Paused,
    Recording,
    /// The recording has failed, and the session is held back until it has ended.
    Ending,
    /// Nothing is recorded any more, and the session goes on.
    Over,
}

/// The file of a recorder.
#[derive(Default)]
pub(super) struct FileSlot {
    pub(super) plan: Option<RecordingPlan>,
    pub(super) file: Option<RecordingFile>,
    /// Those of ordinary and of other output.
    pub(super) texts: [TextDecoder; 2],
    pub(super) input: TextDecoder,
    /// When the digest is recorded next, if something was written since.
    pub(super) digest_due: Option<Instant>,
    /// When that was done last.
    pub(super) digest_at: Option<Instant>,
    /// The last record was written, or could not be.
    pub(super) is_closed: bool,
    /// It was told that the recording has ended.
    pub(super) is_done: bool,
}

/// What is written next.
pub(super) struct RecorderWork {
    /// That of a file which is to be begun.
    pub(super) header: Option<CastHeader>,
    pub(super) ended: Option<Option<String>>,
    pub(super) failure: Option<String>,
    pub(super) lost: u64,
}

/// What a recorder is made with.
pub(super) struct RecorderParts {
    pub(super) session: RecordedSession,
    pub(super) is_required: bool,
    /// Most bytes of output a second; 0 for any.
    pub(super) rate: u64,
    pub(super) plan: RecordingPlan,
    pub(super) header: CastHeader,
    pub(super) handle: SessionHandle,
}

impl SessionRecorder {
    pub(super) fn new(
        parts: RecorderParts,
        point: &Arc<TapPoint>,
        queue: &Arc<WriteQueue<SessionRecorder>>,
    ) -> Arc<SessionRecorder> {
        let RecorderParts { session, is_required, rate, plan, header, handle } = parts;
        let now = tokio::time::Instant::now();
        Arc::new(SessionRecorder {
            session,
            is_required,
            // It holds a second, and whole packets in any case.
            rate: (rate > 0).then(|| TokenBucket::new(rate, rate.max(CAPACITY as u64), now)),
            began: Instant::now(),
            state: Mutex::new(RecorderState {
                phase: RecorderPhase::Waiting,
                buffer: PieceBuffer::default(),
                header,
                has_header: false,
                is_open: false,
                is_queued: false,
                is_held: false,
                ended: None,
                lost: 0,
                failure: None,
            }),
            slot: Mutex::new(FileSlot { plan: Some(plan), ..FileSlot::default() }),
            point: Arc::downgrade(point),
            handle,
            queue: Arc::clone(queue),
        })
    }

    /// Microseconds since the beginning.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The client's terminal is of this kind.
    pub(super) fn terminal(&self, term: &str) {
        self.state().header.term = Some(term.to_owned());
    }

    /// The client starts something, which is recorded or not.
    pub(super) fn start(self: &Arc<Self>, command: Option<String>, is_recorded: bool) {
        let mut state = self.state();
        match state.phase {
            RecorderPhase::Waiting if !is_recorded => state.phase = RecorderPhase::Paused,
            RecorderPhase::Waiting | RecorderPhase::Paused if is_recorded => {
                state.header.command = command;
                self.begin(&mut state);
            }
            _ => {}
        }
    }

    /// The client has typed this into a terminal that shows it.
    pub(super) fn typed(self: &Arc<Self>, bytes: &[u8]) {
        let at = self.now();
        let mut state = self.state();
        if state.phase != RecorderPhase::Recording {
            return;
        }
        // It is shown, so that the session is held back with it: there is never much more.
        if state.buffer.bytes.len() + bytes.len() <= 2 * CAPACITY {
            state.buffer.input(at, bytes);
        } else {
            state.lose(at, bytes.len());
        }
        self.queue_for_writing(&mut state, false);
    }

    fn begin(self: &Arc<Self>, state: &mut RecorderState) {
        state.phase = RecorderPhase::Recording;
        self.queue_for_writing(state, true);
    }

    fn queue_for_writing(self: &Arc<Self>, state: &mut RecorderState, is_urgent: bool) {
        if !std::mem::replace(&mut state.is_queued, true) {
            self.queue.put(Arc::clone(self), is_urgent);
        } else if is_urgent {
            self.queue.hurry();
        }
    }

    /// How many bytes may be recorded now.
    fn room_now(&self, state: &RecorderState) -> usize {
        let allowed = self.rate.as_ref().map_or(u64::MAX, |rate| rate.available(tokio::time::Instant::now()));
        state.buffer.room().min(usize::try_from(allowed).unwrap_or(usize::MAX))
    }

    /// Takes what is to be written: the events are exchanged for an empty buffer.
    pub(super) fn take_work(&self, events: &mut PieceBuffer) -> RecorderWork {
        events.clear();
        let mut state = self.state();
        state.is_queued = false;
        if state.buffer.bytes.len() < SMALL {
            // The memory of a session that sends much goes to no other.
            events.bytes.shrink_to(SMALL);
        }
        std::mem::swap(&mut state.buffer, events);
        let is_begun = state.phase == RecorderPhase::Recording && !std::mem::replace(&mut state.has_header, true);
        let header = is_begun.then(|| state.header.clone());
        RecorderWork { header, ended: state.ended.clone(), failure: state.failure.clone(), lost: state.lost }
    }

    /// The events that were taken are written: a session that was held back goes on, or is looked at again.
    pub(super) fn written(self: &Arc<Self>) {
        let mut state = self.state();
        state.is_open = true;
        if !state.is_held || state.phase != RecorderPhase::Recording {
            return;
        }
        if self.room_now(&state) < WORTHWHILE {
            return self.queue_for_writing(&mut state, false);
        }
        state.is_held = false;
        drop(state);
        self.wake();
    }

    /// Nothing more is recorded, nor were so many bytes that were taken. A session that has to be recorded ends. False
    /// if that was known.
    pub(super) fn fail(self: &Arc<Self>, reason: &str, taken: u64) -> bool {
        let mut state = self.state();
        if state.failure.is_some() {
            return false;
        }
        state.failure = Some(reason.to_owned());
        state.lost += taken + state.buffer.bytes.len() as u64;
        state.buffer.clear();
        state.phase = if self.is_required { RecorderPhase::Ending } else { RecorderPhase::Over };
        drop(state);
        if self.is_required {
            self.queue.runtime.spawn(Arc::clone(self).end_session());
        }
        true
    }

    /// Ends the session. Its client gets nothing that is not recorded: what it has not taken is discarded.
    async fn end_session(self: Arc<Self>) {
        // A client whose request has not been answered would not be told why.
        let started = tokio::time::Instant::now() + STARTING;
        while self.is_starting() && tokio::time::Instant::now() < started {
            tokio::time::sleep(POLL_END).await;
        }
        // False if it ends already.
        let _ = self.handle.end(NOTICE);
        while !self.handle.is_over() {
            tokio::time::sleep(POLL_END).await;
        }
        // Without anything to discard the client is told by the end itself.
        let _ = self.handle.discard_unsent(NOTICE);
        self.state().phase = RecorderPhase::Over;
        self.wake();
    }

    /// Whether the session has had no file, and has not asked for room yet.
    fn is_starting(&self) -> bool {
        let state = self.state();
        !state.is_open && !state.is_held
    }

    fn wake(&self) {
        if let Some(point) = self.point.upgrade() {
            point.wake();
        }
    }

    /// No change of it is left half done by a panic.
    fn state(&self) -> MutexGuard<'_, RecorderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecorderState {
    fn lose(&mut self, at: u64, bytes: usize) {
        self.lost += bytes as u64;
        self.buffer.lost(at, bytes as u64);
    }
}

/// A recorder as the tap of its session.
pub(super) struct RecorderTap(pub(super) Arc<SessionRecorder>);

impl Tap for RecorderTap {
    fn room(&self, wanted: usize) -> usize {
        let recorder = &self.0;
        if !recorder.is_required {
            return wanted;
        }
        let mut state = recorder.state();
        if state.phase == RecorderPhase::Waiting {
            // Output before anything was started is recorded, too.
            recorder.begin(&mut state);
        }
        let room = match state.phase {
            RecorderPhase::Recording if state.is_open => recorder.room_now(&state),
            RecorderPhase::Waiting | RecorderPhase::Recording | RecorderPhase::Ending => 0,
            RecorderPhase::Paused | RecorderPhase::Over => return wanted,
        };
        if room >= wanted {
            return wanted;
        }
        state.is_held = true;
        recorder.queue_for_writing(&mut state, true);
        if room < wanted.min(WORTHWHILE) { 0 } else { room }
    }

    fn output(&self, to: Output, bytes: &[u8]) {
        let recorder = &self.0;
        if bytes.is_empty() {
            return;
        }
        let at = recorder.now();
        let mut state = recorder.state();
        match state.phase {
            RecorderPhase::Waiting => recorder.begin(&mut state),
            RecorderPhase::Recording => {}
            RecorderPhase::Paused => return,
            RecorderPhase::Ending | RecorderPhase::Over => {
                state.lost += bytes.len() as u64;
                return;
            }
        }
        // One that is required has given this room.
        if recorder.is_required || bytes.len() <= recorder.room_now(&state) {
            state.buffer.output(at, to, bytes);
            if let Some(rate) = &recorder.rate {
                rate.take(bytes.len() as u64);
            }
        } else {
            state.lose(at, bytes.len());
        }
        let is_urgent = state.buffer.is_half_full();
        recorder.queue_for_writing(&mut state, is_urgent);
    }

    fn resized(&self, size: WindowSize) {
        let recorder = &self.0;
        let at = recorder.now();
        let mut state = recorder.state();
        if !state.has_header {
            state.header.size = Some(size);
            state.header.session.terminal = true;
        } else if state.phase == RecorderPhase::Recording && state.buffer.room() > 0 {
            state.buffer.resized(at, size);
            recorder.queue_for_writing(&mut state, false);
        }
    }

    fn ended(&self, how: Option<&str>) {
        let recorder = &self.0;
        let mut state = recorder.state();
        state.ended = Some(how.map(str::to_owned));
        if state.phase != RecorderPhase::Waiting && state.phase != RecorderPhase::Paused {
            recorder.queue_for_writing(&mut state, true);
        }
    }
}
