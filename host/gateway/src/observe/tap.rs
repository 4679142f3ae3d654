//! Tap point: observers of a session's output, such as an operator who watches it, or a recorder.
//!
//! A session has one [`TapPoint`], and its connection's task hands it what it has put into packets for the client, in
//! that order, stdout and stderr alike. What a client does not take is not seen, nor is it counted anywhere else. A
//! session that nobody looks at costs one load of a flag for each packet.
//!
//! The contract of a [`Tap`]:
//!
//! * Its methods are called by the task of the connection, one after the other: they never wait and never panic.
//! * A tap sees everything from the moment when it is attached, and nothing from before: no copy is kept of what
//!   nobody looked at.
//! * A tap that may lose output (an operator who watches) takes all that it is offered and drops what it has no room
//!   for; it never slows the session.
//! * A tap that must not lose any (a recorder that is required) returns from [`room`](Tap::room) how much it can take
//!   now. The client gets no more than that: the session waits as for a client whose window is full. When there is room
//!   again the tap calls [`TapPoint::wake`].
//! * [`ended`](Tap::ended) comes last, once, whatever has ended the session; not if the tap was detached before.
//!
//! Decided 2026-11-30: the taps are at the packets, on the connection's side, and not at the outbox, where the session
//! writes. Refused: the outbox sees output that the client never gets, runs in the tasks of guests, and would make
//! whoever looks on part of the isolation of guests from connections.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use whelk_runtime::{Exit, Output, Wake, WindowSize};

use crate::observe::session_summary::exit_words;

/// Looks on at the output of one session.
pub(crate) trait Tap: Send + Sync {
    /// How many of the next `wanted` bytes the client may be sent now.
    fn room(&self, wanted: usize) -> usize {
        wanted
    }

    /// These bytes are sent to the client.
    fn output(&self, to: Output, bytes: &[u8]);

    /// The client's terminal has this size from now on.
    fn resized(&self, size: WindowSize);

    /// The session is over. `how`: its exit, if the client was told one.
    fn ended(&self, how: Option<&str>);
}

/// Where the output of one session passes.
#[derive(Default)]
pub(crate) struct TapPoint {
    /// Whether there is a tap.
    is_tapped: AtomicBool,
    state: Mutex<TapState>,
    /// Has the connection's task look at the session's output.
    wake: OnceLock<Wake>,
}

#[derive(Default)]
struct TapState {
    taps: Vec<Arc<dyn Tap>>,
    size: Option<WindowSize>,
    /// The exit that the client was told.
    exit: Option<Exit>,
    has_ended: bool,
}

impl TapPoint {
    /// Whether anybody looks on.
    pub(crate) fn is_tapped(&self) -> bool {
        self.is_tapped.load(Ordering::Relaxed)
    }

    /// Sets what [`wake`](Self::wake) calls.
    pub(crate) fn set_wake(&self, wake: Wake) {
        let _ = self.wake.set(wake);
    }

    /// A tap that had no room has some now.
    pub(crate) fn wake(&self) {
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }

    /// Lets a tap look on from now on, until what this returns is dropped. Returns the size of the client's terminal,
    /// if it has one. A session that is over tells the tap so at once.
    pub(crate) fn attach(self: &Arc<Self>, tap: Arc<dyn Tap>) -> (AttachedTap, Option<WindowSize>) {
        let mut state = self.state();
        let size = state.size;
        if state.has_ended {
            let how = state.exit.as_ref().map(exit_words);
            drop(state);
            tap.ended(how.as_deref());
        } else {
            state.taps.push(Arc::clone(&tap));
            self.is_tapped.store(true, Ordering::Relaxed);
        }
        (AttachedTap { point: Arc::clone(self), tap }, size)
    }

    /// How many of so many bytes the client may be sent now.
    pub(crate) fn room(&self, wanted: usize) -> usize {
        self.state().taps.iter().fold(wanted, |room, tap| tap.room(room).min(room))
    }

    /// These bytes are sent to the client.
    pub(crate) fn output(&self, to: Output, bytes: &[u8]) {
        self.state().taps.iter().for_each(|tap| tap.output(to, bytes));
    }

    /// The client's terminal has this size from now on.
    pub(crate) fn resized(&self, size: WindowSize) {
        let mut state = self.state();
        if state.size != Some(size) {
            state.size = Some(size);
            state.taps.iter().for_each(|tap| tap.resized(size));
        }
    }

    /// The client is told this exit.
    pub(crate) fn exits(&self, how: &Exit) {
        self.state().exit = Some(how.clone());
    }

    /// The session is over.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        state.has_ended = true;
        let taps = std::mem::take(&mut state.taps);
        if taps.is_empty() {
            return;
        }
        let how = state.exit.as_ref().map(exit_words);
        drop(state);
        taps.iter().for_each(|tap| tap.ended(how.as_deref()));
    }

    /// No tap panics.
    fn state(&self) -> MutexGuard<'_, TapState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A tap that looks on until this is dropped.
pub(crate) struct AttachedTap {
    point: Arc<TapPoint>,
    tap: Arc<dyn Tap>,
}

impl Drop for AttachedTap {
    fn drop(&mut self) {
        let mut state = self.point.state();
        state.taps.retain(|tap| !Arc::ptr_eq(tap, &self.tap));
        self.point.is_tapped.store(!state.taps.is_empty(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Notes what it sees, and has room for so many bytes.
    #[derive(Default)]
    struct Notes {
        seen: Mutex<Vec<String>>,
        room: Option<AtomicUsize>,
    }

    impl Notes {
        fn note(&self, text: String) {
            self.seen.lock().unwrap().push(text);
        }
        fn seen(&self) -> Vec<String> {
            std::mem::take(&mut self.seen.lock().unwrap())
        }
    }

    impl Tap for Notes {
        fn room(&self, wanted: usize) -> usize {
            self.room.as_ref().map_or(wanted, |room| room.load(Ordering::Relaxed).min(wanted))
        }
        fn output(&self, to: Output, bytes: &[u8]) {
            self.note(format!("{to:?} {}", String::from_utf8_lossy(bytes)));
        }
        fn resized(&self, size: WindowSize) {
            self.note(format!("{}x{}", size.columns, size.rows));
        }
        fn ended(&self, how: Option<&str>) {
            self.note(format!("ended {how:?}"));
        }
    }

    fn size(columns: u32) -> WindowSize {
        WindowSize { columns, rows: 24, ..WindowSize::default() }
    }

    #[test]
    fn a_tap_sees_what_passes_while_it_is_attached_and_the_end() {
        let point = Arc::new(TapPoint::default());
        let (first, second) = (Arc::new(Notes::default()), Arc::new(Notes::default()));
        assert!(!point.is_tapped());
        point.resized(size(80));
        let (attached, has) = point.attach(first.clone());
        assert_eq!((has, point.is_tapped()), (Some(size(80)), true));
        let (_other, _) = point.attach(second.clone());
        point.output(Output::Stdout, b"one");
        point.resized(size(80));
        point.resized(size(100));
        drop(attached);
        point.output(Output::Stderr, b"two");
        point.exits(&Exit::Status(0));
        point.end();
        point.end();
        assert_eq!(first.seen(), ["Stdout one", "100x24"]);
        assert_eq!(second.seen(), ["Stdout one", "100x24", "Stderr two", "ended Some(\"status 0\")"]);
        let (_late, _) = point.attach(first.clone());
        assert_eq!(first.seen(), ["ended Some(\"status 0\")"]);
    }

    #[test]
    fn a_tap_that_must_not_lose_anything_holds_the_session_back_until_it_has_room() {
        let point = Arc::new(TapPoint::default());
        let wakes = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&wakes);
        point.set_wake(Arc::new(move || _ = count.fetch_add(1, Ordering::Relaxed)));
        let strict = Arc::new(Notes { room: Some(AtomicUsize::new(3)), ..Notes::default() });
        let (_watching, _) = point.attach(Arc::new(Notes::default()));
        let (recording, _) = point.attach(strict.clone());
        assert_eq!((point.room(10), point.room(2)), (3, 2));
        strict.room.as_ref().unwrap().store(0, Ordering::Relaxed);
        assert_eq!(point.room(10), 0);
        strict.room.as_ref().unwrap().store(100, Ordering::Relaxed);
        point.wake();
        assert_eq!((point.room(10), wakes.load(Ordering::Relaxed)), (10, 1));
        drop(recording);
        assert_eq!(point.room(1_000), 1_000);
    }
}
