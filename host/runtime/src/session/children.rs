//! The processes that a program of the session has started: how they end with it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::timeout;

use crate::event::{LogEvent, emit};
use crate::posix::signal::Signal;
use crate::posix::table::ProcessTable;
use crate::session_types::Facts;

/// How long a session waits for processes that SIGKILL has ended. They are gone as soon as the host has nothing to do
/// for them; a disk that does not answer may keep it, and must not keep the session.
const KILLED: Duration = Duration::from_secs(10);
/// How many of those that are left the log names.
const NAMED: usize = 8;

/// Those of one session. Dropping it ends them.
#[derive(Default)]
pub(super) struct Children {
    /// None while no program serves the session.
    pub(super) table: Option<Arc<ProcessTable>>,
}

impl Children {
    /// Whether one lives.
    pub(super) fn are_left(&self) -> bool {
        self.table.as_ref().is_some_and(|table| table.live_others() > 0)
    }

    /// The instance of the first process is gone: they have no parent any more.
    pub(super) fn lose_parent(&self) {
        if let Some(table) = &self.table {
            table.first_ended();
        }
    }

    /// Waits until they have ended by themselves, at most for `longest`: what reads from a pipe of the first process,
    /// such as `tee` in `exec > >(tee log)`, writes its rest now.
    /// Returns whether all have.
    pub(super) async fn end_by_themselves(&self, longest: Duration) -> bool {
        match &self.table {
            Some(table) => timeout(longest, gone(table)).await.is_ok(),
            None => true,
        }
    }

    /// Ends them: by SIGHUP and SIGCONT, and after the grace period as [`kill`](Self::kill).
    pub(super) async fn end(&mut self, grace: Duration, facts: &Facts, tenant: &str) {
        if let Some(table) = &self.table {
            table.close(Signal::Hup);
        }
        if !self.end_by_themselves(grace).await {
            self.kill(facts, tenant).await;
        }
    }

    /// Ends them by SIGKILL. They are gone when this returns, unless the log says which are not: these keep their
    /// places and their memory, because their tasks have them.
    pub(super) async fn kill(&mut self, facts: &Facts, tenant: &str) {
        let Some(table) = &self.table else { return };
        table.close(Signal::Kill);
        if timeout(KILLED, gone(table)).await.is_err() {
            let (connection, channel) = (facts.connection(), facts.channel());
            emit(LogEvent::ProcessLeft { connection, channel, tenant, processes: &named(&table.others()) });
        }
    }
}

/// The first of them, and how many more there are.
fn named(processes: &[String]) -> String {
    let first = processes[..processes.len().min(NAMED)].join(", ");
    match processes.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Waits until none but the first process lives.
async fn gone(table: &ProcessTable) {
    poll_fn(|context| if table.has_others_or_watches(context) { Poll::Pending } else { Poll::Ready(()) }).await;
}

impl Drop for Children {
    fn drop(&mut self) {
        if let Some(table) = &self.table {
            table.close(Signal::Kill);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use tokio::time::Instant;

    use super::*;
    use crate::posix::process::{ProcessEnding, ProcessEntry};
    use crate::posix::signal::SignalSet;
    use crate::posix::table::{GroupChoice, NewProcess};

    /// What the log says.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<String>>);

    impl io::Write for Log {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            *self.0.lock().unwrap() += str::from_utf8(line).unwrap();
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_without_processes_that_do_not_end_and_the_log_names_them() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let _here = tracing::subscriber::set_default(subscriber);
        let table = Arc::new(ProcessTable::new(32));
        let first = ProcessEntry::first(&table);
        let new = |program: &str| NewProcess {
            program: program.into(),
            group: GroupChoice::Inherit,
            ignored: SignalSet::default(),
            most: 64,
        };
        // Their tasks do nothing: they might wait for a disk.
        let (ended, _kept) = first.add_child(new("true")).unwrap();
        let stuck: Vec<_> = (0..10).map(|_| first.add_child(new("cat")).unwrap()).collect();
        ended.ended(ProcessEnding::Status(0), Duration::ZERO);
        let began = Instant::now();
        let mut children = Children { table: Some(table) };
        children.end(Duration::from_secs(1), &Facts::default().on_channel(7), "acme").await;
        assert_eq!(began.elapsed().as_secs(), 11);
        let text = log.0.lock().unwrap().clone();
        let names: Vec<String> = (3..11).map(|number| format!("{number} (cat)")).collect();
        let named = format!("{} and 2 more", names.join(", "));
        assert!(text.contains("ERROR") && text.contains("channel=7") && text.contains(&named), "{text}");
        // Whoever ends in time is not waited for longer, and not named.
        stuck.iter().for_each(|(process, _)| process.ended(ProcessEnding::Signal(Signal::Kill), Duration::ZERO));
        children.kill(&Facts::default(), "acme").await;
        assert_eq!((began.elapsed().as_secs(), log.0.lock().unwrap().len()), (11, text.len()));
    }
}
