//! The panic guard: where a panic stops and becomes a value. Everything that catches a panic does it in here.
//!
//! [`catch`] and [`catch_future`] are for work of one session, connection or question: whoever asked for it goes on,
//! and says what was lost. Every task and thread that lives longer runs in one of three other ways: as a task that is
//! started again ([`supervise`]), as a thread that is ([`supervise_thread`]), or as work without which the program ends
//! ([`guard`], [`guard_future`]). Each of these logs the error `task failed` with the task's name and what the panic
//! said. What is started again waits before that: [`FIRST_PAUSE`], twice as long each time, at most [`LONGEST_PAUSE`].
//!
//! Such work cannot end by itself, only by a panic: a task's future never gives a value ([`Infallible`]), and a
//! thread's work returns only when its owner is gone.
//!
//! Decided 2026-11-29, by what would be left half done:
//!
//! | task | where | when it panics |
//! |---|---|---|
//! | `reload` | gateway, `reload` | started again: it reads every file again; `plugin list` says so |
//! | `control` | gateway, `control` | started again with the same socket |
//! | `heap trim` | gateway, `heap_trim` | started again; it forgets how many there were |
//! | `revocation` | gateway, `revocation` | started again, and judges all logins again |
//! | `dropped lines` | gateway, `logging` | started again; it tells the number since the start once more |
//! | `strangers` | gateway, `strangers` | started again: what was counted is kept |
//! | `scheduling delay` | gateway, `metrics` | started again; without it `/healthz` says that the server hangs |
//! | `recorded disk` | gateway, `recording` | started again: it only looks how long the disk has not answered |
//! | `recordings` (thread) | gateway, `recording` | started again; the recording in hand fails, and says so |
//! | `metrics` (thread) | gateway, `metrics` | started again with the same socket |
//! | `epoch` (thread) | runtime, `engine` | started again: it has only counters; until then no plugin is stopped |
//! | `reaper` (thread) | runtime, `engine` | started again: what waits is kept, the panic drops what is in hand |
//! | `folder reaper` (thread) | runtime, `grants` | started again: what is in hand is left to the next start |
//! | `keyvalue` (thread) | runtime, `grants` | started again: the current group fails and is not committed |
//! | `listener` | gateway, `main` | the program ends with status 1: its counts may be half changed |
//! | `signals` (thread) | gateway, `signals` | the program ends with status 1: nothing else could stop it |
//! | `log` (thread) | gateway, `logging` | the program ends with status 1, and says so on standard error itself |
//! | `audit` (thread) | gateway, `audit` | nothing is recorded any more, which a required audit refuses logins for |
//! | `main` | gateway, `main` | the program ends with status 1 |
//!
//! The thread that `notify` makes for a watcher is its own; should it die, folders are looked at every two seconds as
//! without it. The rest is short-lived and has somebody who waits for it: connections and sessions (each ends alone,
//! and says so), hashing, reading, compiling and looks at files (the one who waits gets an error), answers on the
//! control socket (the hook logs the panic), the requests of plugins.

use std::any::Any;
use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::event::{LogEvent, emit};

/// The pause before a task is started again for the first time.
pub const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A task that has run for this long has recovered: its next pause is the first again.
const RECOVERED: Duration = Duration::from_secs(60);

/// A panic of a supervised task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panicked {
    /// What it said.
    pub reason: String,
    /// How long it is until the task is started again; none if it is not.
    pub pause: Option<Duration>,
}

/// Does the work. The caller must not use again what a panic has left half done: an instance is dropped unentered.
///
/// # Errors
/// What the work said when it panicked.
pub fn catch<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| message(&*panic))
}

/// Runs a future. After a panic it is dropped and never polled again.
///
/// # Errors
/// What the future said when it panicked.
pub async fn catch_future<F: Future>(work: F) -> Result<F::Output, String> {
    let mut work = pin!(work);
    std::future::poll_fn(|context| match catch(|| work.as_mut().poll(context)) {
        Ok(poll) => poll.map(Ok),
        Err(reason) => Poll::Ready(Err(reason)),
    })
    .await
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without words").to_owned()
}

/// Runs a task for as long as this is polled: what `start` gives, and whenever that panics, what it gives then.
/// `failed` hears of each panic before the pause. Needs a tokio runtime.
pub async fn supervise<F>(
    name: &'static str,
    mut start: impl FnMut() -> F,
    mut failed: impl FnMut(&Panicked),
) -> Infallible
where
    F: Future<Output = Infallible> + Send + 'static,
{
    let mut backoff = Backoff::default();
    loop {
        let began = Instant::now();
        let reason = match catch(&mut start) {
            Ok(task) => panic_of(task).await,
            Err(reason) => reason,
        };
        let panicked = backoff.panicked(reason, began.elapsed());
        tell(name, &panicked);
        failed(&panicked);
        sleep(panicked.pause.unwrap_or_default()).await;
    }
}

/// Runs a task as one of its own, so that a panic while it is dropped is caught as well, and gives what its panic said.
async fn panic_of(task: impl Future<Output = Infallible> + Send + 'static) -> String {
    // Aborts the task when this is dropped.
    let mut tasks = JoinSet::new();
    tasks.spawn(task);
    match tasks.join_next().await {
        Some(Ok(never)) => match never {},
        Some(Err(error)) => match error.try_into_panic() {
            Ok(panic) => message(&*panic),
            Err(error) => error.to_string(),
        },
        None => unreachable!("there is one task in it"),
    }
}

/// Starts a thread that does this work until it returns, and starts the work again whenever it panics. `stack` is the
/// size of its stack in bytes, if it should not be the usual.
///
/// # Errors
/// When there can be no thread.
pub fn supervise_thread(
    name: &'static str,
    stack: Option<usize>,
    mut work: impl FnMut() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let builder = thread::Builder::new().name(name.to_owned());
    let builder = stack.into_iter().fold(builder, thread::Builder::stack_size);
    builder.spawn(move || {
        let mut backoff = Backoff::default();
        loop {
            let began = std::time::Instant::now();
            let Err(reason) = catch(&mut work) else { return };
            let panicked = backoff.panicked(reason, began.elapsed());
            tell(name, &panicked);
            thread::sleep(panicked.pause.unwrap_or_default());
        }
    })
}

/// Does work that is not started again: whoever calls ends the program when it has panicked.
///
/// # Errors
/// When it panics.
pub fn guard<R>(name: &'static str, work: impl FnOnce() -> R) -> Result<R, Panicked> {
    catch(work).map_err(|reason| ended(name, reason))
}

/// The same with a future.
///
/// # Errors
/// When it panics.
pub async fn guard_future<F: Future>(name: &'static str, work: F) -> Result<F::Output, Panicked> {
    catch_future(work).await.map_err(|reason| ended(name, reason))
}

fn ended(name: &'static str, reason: String) -> Panicked {
    let panicked = Panicked { reason, pause: None };
    tell(name, &panicked);
    panicked
}

fn tell(task: &'static str, panicked: &Panicked) {
    let restart_ms = panicked.pause.map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
    emit(LogEvent::ServerTaskFailed { task, reason: &panicked.reason, restart_ms });
}

/// How long a task waits before it is started again.
#[derive(Default)]
struct Backoff {
    last: Duration,
}

impl Backoff {
    /// A panic after it has run for so long.
    fn panicked(&mut self, reason: String, ran: Duration) -> Panicked {
        let next = if ran >= RECOVERED { Duration::ZERO } else { self.last.saturating_mul(2) };
        self.last = next.clamp(FIRST_PAUSE, LONGEST_PAUSE);
        Panicked { reason, pause: Some(self.last) }
    }
}

/// A place at which a test can make a task panic. There is nothing in it outside of tests.
#[derive(Default)]
pub(crate) struct Fault(#[cfg(test)] std::sync::atomic::AtomicBool);

impl Fault {
    /// Panics if a test wants that, once.
    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "it has nothing outside of tests"))]
    pub(crate) fn point(&self) {
        #[cfg(test)]
        assert!(!self.0.swap(false, std::sync::atomic::Ordering::SeqCst), "a fault that a test injected");
    }

    #[cfg(test)]
    pub(crate) fn inject(&self) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    /// Whether the panic has happened.
    #[cfg(test)]
    pub(crate) fn is_over(&self) -> bool {
        !self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is logged on this thread while it lives.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        fn here(&self) -> tracing::subscriber::DefaultGuard {
            let log = self.clone();
            let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone()).finish();
            tracing::subscriber::set_default(subscriber)
        }

        fn lines(&self) -> Vec<String> {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
        }
    }

    #[test]
    fn a_panic_becomes_what_it_said() {
        assert_eq!(catch(|| 7), Ok(7));
        assert_eq!(catch(|| panic!("plain")), Err::<(), _>("plain".to_owned()));
        assert_eq!(catch(|| panic!("number {}", 7)), Err::<(), _>("number 7".to_owned()));
        assert_eq!(catch(|| std::panic::panic_any(7)), Err::<(), _>("a panic without words".to_owned()));
    }

    #[tokio::test]
    async fn a_panic_of_a_future_becomes_what_it_said_and_the_future_is_dropped() {
        let (sender, dropped) = channel::<()>();
        let late = async move {
            let _sender = sender;
            tokio::task::yield_now().await;
            panic!("late")
        };
        assert_eq!(catch_future(async { 7 }).await, Ok(7));
        assert_eq!(catch_future(late).await, Err::<(), _>("late".to_owned()));
        assert!(dropped.recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_logged_by_name_and_restarted_with_growing_pauses() {
        let log = Log::default();
        let _here = log.here();
        let (began, starts) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let counted = Arc::clone(&starts);
        let task = supervise(
            "worker",
            move || {
                let start = counted.fetch_add(1, Ordering::SeqCst);
                // One that fails before it has a future counts as well.
                assert!(start != 1, "fault {start}");
                async move {
                    match start {
                        14 => std::future::pending().await,
                        13 => {
                            sleep(RECOVERED).await;
                            panic!("fault 13")
                        }
                        _ => panic!("fault {start}"),
                    }
                }
            },
            |panicked| tell.send(panicked.clone()).unwrap(),
        );
        assert!(tokio::time::timeout(Duration::from_secs(3600), task).await.is_err());
        assert_eq!(starts.load(Ordering::SeqCst), 15);
        let told: Vec<Panicked> = std::iter::from_fn(|| told.try_recv().ok()).collect();
        let pauses: Vec<u128> = told.iter().map(|panicked| panicked.pause.unwrap().as_millis()).collect();
        assert_eq!(
            pauses,
            [10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 5_120, 10_000, 10_000, 10_000, 10],
            "in milliseconds"
        );
        assert!(told.iter().enumerate().all(|(at, panicked)| panicked.reason == format!("fault {at}")), "{told:?}");
        let lines = log.lines();
        assert_eq!(lines.len(), 14, "{lines:?}");
        let words = ["ERROR", "task failed", "task=\"worker\"", "reason=\"fault 0\"", "restart_ms=10"];
        assert!(words.iter().all(|word| lines[0].contains(word)), "{lines:?}");
        assert!(began.elapsed() >= Duration::from_secs(3600));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_ends_when_nobody_supervises_it_any_more() {
        struct Ends(std::sync::mpsc::Sender<()>);
        impl Drop for Ends {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        let (sender, ended) = channel();
        let supervisor = tokio::spawn(supervise(
            "task",
            move || {
                let ends = Ends(sender.clone());
                async move {
                    let _ends = ends;
                    std::future::pending().await
                }
            },
            |_| (),
        ));
        tokio::task::yield_now().await;
        assert!(ended.try_recv().is_err());
        supervisor.abort();
        while ended.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn a_thread_that_panics_does_its_work_again_until_that_is_done() {
        let (sender, worked) = channel();
        let mut turn = 0;
        let thread = supervise_thread("worker", Some(256 << 10), move || {
            turn += 1;
            sender.send((turn, thread::current().name().map(str::to_owned), thread::current().id())).unwrap();
            assert!(turn == 3, "fault {turn}");
        });
        thread.unwrap().join().unwrap();
        let worked: Vec<_> = worked.iter().collect();
        assert_eq!(worked.iter().map(|(turn, ..)| *turn).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(worked.iter().all(|(_, name, id)| name.as_deref() == Some("worker") && *id == worked[0].2));
    }

    #[tokio::test]
    async fn a_panic_of_guarded_work_is_logged_and_returned() {
        let log = Log::default();
        let _here = log.here();
        assert_eq!(guard("fine", || 7), Ok(7));
        assert_eq!(guard_future("fine", async { 7 }).await, Ok(7));
        let panicked = |reason: &str| Err(Panicked { reason: reason.to_owned(), pause: None });
        assert_eq!(guard("first", || -> u8 { panic!("one") }), panicked("one"));
        let second = async {
            tokio::task::yield_now().await;
            panic!("two")
        };
        assert_eq!(
            guard_future::<std::pin::Pin<Box<dyn Future<Output = u8>>>>("second", Box::pin(second)).await,
            panicked("two")
        );
        let lines = log.lines();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("task=\"first\"") && lines[1].contains("task=\"second\""), "{lines:?}");
        assert!(!lines[0].contains("restart_ms"), "{lines:?}");
    }
}
