//! Read-only view of a session, and a way to end it.

use std::sync::{Arc, Weak};

use super::shared::{Shared, lock};
use crate::limits::budget::Finished;
use crate::limits::usage::SessionUsage;
use crate::posix::table::ProcessTable;

/// Refers to a session and keeps nothing of it alive. Made by [`Inbox::handle`](crate::Inbox::handle).
#[derive(Clone)]
pub struct SessionHandle {
    shared: Weak<Shared>,
}

/// What a session has and has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionFigures {
    /// Processor time used so far, milliseconds, counted as in [`Report::cpu_ticks`](crate::Report::cpu_ticks).
    pub cpu_ms: u64,
    /// Linear memory of all its instances now, bytes.
    pub memory: usize,
    /// Its processes: 1 for a handler, 0 if nothing of the session runs any more.
    pub processes: usize,
    /// Somebody has ended it, or it has exited and its client has not taken all of its output.
    pub is_ending: bool,
}

impl SessionHandle {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::downgrade(shared) }
    }

    /// The plugin that serves the session, or served it last, and its generation. None before the first one is started.
    #[must_use]
    pub fn plugin(&self) -> Option<(Arc<str>, u32)> {
        lock(&self.shared.upgrade()?.listed.served).clone()
    }

    /// What the session has and has used. Nothing if it is gone, or has not begun.
    #[must_use]
    pub fn figures(&self) -> SessionFigures {
        let Some(shared) = self.shared.upgrade() else {
            return SessionFigures { is_ending: true, ..SessionFigures::default() };
        };
        let (usage, table) = (shared.listed.usage.get(), lock(&shared.listed.processes).upgrade());
        let handlers = usize::from(lock(&shared.listed.served).is_some() && !shared.is_finished());
        SessionFigures {
            cpu_ms: usage.map_or(0, |usage| usage.ticks()),
            memory: usage.map_or(0, |usage| usage.memory()),
            processes: table.map_or(handlers, |table| table.live()),
            is_ending: !shared.lifecycle(|lifecycle| lifecycle.is_live()),
        }
    }

    /// Whether nothing of the session runs any more. Its client may not have taken all of its output.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.shared.upgrade().is_none_or(|shared| shared.is_finished())
    }

    /// Discards what the client of a session that has exited has not taken. It gets `message` on stderr, if it takes
    /// that, and exit-signal KILL with it in place of the session's exit. False if there is nothing to discard.
    pub fn discard_unsent(&self, message: &str) -> bool {
        self.shared.upgrade().is_some_and(|shared| shared.discard(message) > 0)
    }

    /// Ends the session, as the end of its plugin's generation does. The plugin is told `closed(drained)` and has one
    /// second. The client gets exit-signal HUP with `notice` as its message (RFC 4254 §6.10), and `notice` on stderr if
    /// its program has started. False if the session is ending already or has exited; then nothing changes.
    #[must_use]
    pub fn end(&self, notice: &str) -> bool {
        let Some(shared) = self.shared.upgrade() else { return false };
        shared.end_by_operator(&notice.into())
    }
}

impl Shared {
    /// This generation of this plugin serves the session from now on.
    pub(crate) fn serve_by(&self, plugin: Arc<str>, generation: u32) {
        *lock(&self.listed.served) = Some((plugin, generation));
    }

    /// What the session uses is counted there. The first call counts.
    pub(crate) fn count_in(&self, usage: &Arc<SessionUsage>) {
        let _ = self.listed.usage.set(Arc::clone(usage));
    }

    /// A program serves the session from now on, whose processes are these.
    pub(crate) fn has_processes(&self, table: &Arc<ProcessTable>) {
        *lock(&self.listed.processes) = Arc::downgrade(table);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::channel::session_pipes;
    use crate::limits::Limits;
    use crate::limits::usage::ProcessUsage;

    #[test]
    fn a_handle_shows_what_the_session_has_and_nothing_once_it_is_gone() {
        let (inbox, outbox, half) = session_pipes(1 << 10, Arc::new(|| ()));
        let handle = inbox.handle();
        assert_eq!((handle.plugin(), handle.figures()), (None, SessionFigures::default()));
        let usage = Arc::new(SessionUsage::new(&Limits::default()));
        half.shared().count_in(&usage);
        half.shared().serve_by("sh".into(), 3);
        let process = ProcessUsage::of(&usage);
        process.charge(Duration::from_millis(7), Instant::now());
        process.add_memory(100);
        let shown = SessionFigures { cpu_ms: 7, memory: 100, processes: 1, is_ending: false };
        assert_eq!((handle.plugin(), handle.figures()), (Some(("sh".into(), 3)), shown));
        let table = Arc::new(ProcessTable::new(1));
        half.shared().has_processes(&table);
        process.give_memory(60);
        assert!(handle.end("enough"));
        let ended = SessionFigures { memory: 40, is_ending: true, ..shown };
        assert_eq!(handle.figures(), ended);
        drop((half, table));
        assert_eq!(handle.figures(), SessionFigures { processes: 0, ..ended });
        drop((inbox, outbox));
        assert_eq!(handle.figures(), SessionFigures { is_ending: true, ..SessionFigures::default() });
    }
}
