//! The sockets that strangers knock at: binding, accepting, and a task of its own for each connection.
//!
//! Knows nothing of SSH: a connection is handed over with its [`Permit`], and what happens on it is the caller's. One
//! connection's failure, a panic included, ends that connection alone.

mod bind;
mod gate;
mod hush;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

pub use bind::BindError;
pub use gate::Permit;
use gate::{Bounds, Gate};
use hush::Hush;

use crate::config::{Config, Entrance};
use crate::drain::{Phase, Stopper};
use crate::process;
use crate::socket::{TcpKeepalive, prepare};

/// How long no more is accepted when the process or the system has run out of something.
const REST: Duration = Duration::from_millis(100);
/// How long connections have to send their DISCONNECT when the time to drain is over.
const FAREWELL: Duration = Duration::from_secs(2);

/// Every socket, bound and listening, and the counts of who is inside.
pub struct Listener {
    sockets: Vec<TcpListener>,
    gate: Gate,
    drain: Duration,
    keepalive: TcpKeepalive,
}

impl Listener {
    /// Binds every address of the configuration, or none. Raises the limit of open files first, and lowers the number of
    /// connections to what fits in it. Needs a tokio runtime.
    ///
    /// # Errors
    /// Each address that cannot be listened on, with the reason.
    pub fn bind(config: &Config) -> Result<Listener, BindError> {
        let sockets = bind::bind(&config.listen)?;
        let connections = u32::try_from(process::make_room(config).connections).unwrap_or(u32::MAX);
        let demonstration = matches!(config.entrance, Entrance::Demonstration);
        let gate = Gate::new(Bounds::new(&config.limits, connections, demonstration));
        Ok(Listener { sockets, gate, drain: config.limits.drain, keepalive: TcpKeepalive::new(&config.limits) })
    }

    /// Where it listens, in the order of the configuration, with the ports that the system picked for 0.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.sockets.iter().map(TcpListener::local_addr).collect()
    }

    /// Serves until `stopper` stops: hands each connection to `handle` and runs what that returns in a task of its own.
    /// Then accepts no more, waits for the tasks as [`Phase`] says, drops those that remain, and returns.
    pub async fn serve<H, F>(self, stopper: &Stopper, handle: H)
    where
        H: Fn(TcpStream, SocketAddr, Permit) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (handle, drain_time) = (Arc::new(handle), self.drain);
        let mut stopped = stopper.drain();
        let mut tasks = JoinSet::new();
        let mut door = Door::open(self);
        loop {
            tokio::select! {
                biased;
                () = stopped.reached(Phase::Draining) => break,
                Some(_) = tasks.join_next() => {}
                (stream, peer, permit) = door.accept() => {
                    let (handle, number) = (Arc::clone(&handle), permit.connection());
                    tasks.spawn(contained(number, peer, async move { handle(stream, peer, permit).await }));
                }
            }
        }
        // Whoever waits in the queue of a socket is told now, not at the deadline.
        drop(door);
        drain(tasks, stopper, drain_time).await;
    }
}

/// Waits for the tasks: in peace for `time`, then for their farewell, and not at all when it has to be at once.
async fn drain(mut tasks: JoinSet<()>, stopper: &Stopper, time: Duration) {
    tracing::info!(connections = tasks.len(), "no longer listening");
    let mut gone = stopper.drain();
    for wait in [time, FAREWELL] {
        let empty = timeout(wait, async { while tasks.join_next().await.is_some() {} });
        tokio::select! {
            biased;
            () = gone.reached(Phase::Gone) => break,
            _ = empty => stopper.close(),
        }
    }
    tracing::info!(dropped = tasks.len(), "stopped");
}

/// Runs a connection so that its panic ends here: unwinding has dropped all that was the connection's, so its sessions are told that it was
/// lost, and its place is free. The panic itself has been logged by the hook; whose it was is known here.
async fn contained(number: u64, peer: SocketAddr, connection: impl Future<Output = ()>) {
    let mut connection = pin!(connection);
    let poll = |context: &mut Context<'_>| {
        // Safe to go on: after a panic the future is dropped and never polled again, and shares nothing but counts.
        match catch_unwind(AssertUnwindSafe(|| connection.as_mut().poll(context))) {
            Ok(Poll::Ready(())) => Poll::Ready(true),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(false),
        }
    };
    if !std::future::poll_fn(poll).await {
        tracing::error!(connection = number, %peer, "a connection ended by a panic");
    }
}

/// The sockets while they accept.
struct Door {
    sockets: Vec<TcpListener>,
    gate: Gate,
    keepalive: TcpKeepalive,
    /// Numbers the connections, let in or not.
    knocks: u64,
    /// A file that can be given up to accept, and close, one connection when no other is free.
    spare: Option<OwnedFd>,
    resting: Option<Instant>,
    refused: Hush,
    exhausted: Hush,
}

impl Door {
    fn open(listener: Listener) -> Door {
        Door {
            sockets: listener.sockets,
            gate: listener.gate,
            keepalive: listener.keepalive,
            knocks: 0,
            spare: spare(),
            resting: None,
            refused: Hush::new(Duration::from_secs(10)),
            exhausted: Hush::new(Duration::from_secs(1)),
        }
    }

    /// The next connection that is let in. Never fails; can be dropped and called again.
    async fn accept(&mut self) -> (TcpStream, SocketAddr, Permit) {
        loop {
            if let Some(until) = self.resting {
                sleep_until(until).await;
                self.resting = None;
            }
            match self.knock().await {
                Ok((stream, peer)) => {
                    self.knocks += 1;
                    match self.gate.admit(peer.ip(), self.knocks) {
                        Ok(permit) => {
                            prepare(&stream, self.keepalive);
                            return (stream, peer, permit);
                        }
                        Err(refusal) => {
                            if let Some(more) = self.refused.speak(Instant::now()) {
                                tracing::warn!(%peer, reason = refusal.reason(), more, "connection refused");
                            }
                        }
                    }
                }
                Err(error) => self.stumble(&error),
            }
        }
    }

    async fn knock(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        std::future::poll_fn(|context| {
            // Each is asked first in turn, so that a flood on one does not silence the others.
            let turn = usize::try_from(self.knocks).unwrap_or(0) % self.sockets.len().max(1);
            let (later, first) = self.sockets.split_at(turn);
            let ready = first.iter().chain(later).map(|socket| socket.poll_accept(context)).find(Poll::is_ready);
            ready.unwrap_or(Poll::Pending)
        })
        .await
    }

    /// After an error of `accept`: most concern one connection that is gone already, accept(2). The others come again at once.
    fn stumble(&mut self, error: &io::Error) {
        let errno = Errno::from_io_error(error);
        if let Some(Errno::CONNABORTED | Errno::CONNRESET | Errno::INTR | Errno::PROTO | Errno::PERM) = errno {
            tracing::debug!(%error, "a connection was gone before it was accepted");
            return;
        }
        if let Some(more) = self.exhausted.speak(Instant::now()) {
            tracing::error!(%error, more, "connections cannot be accepted");
        }
        if let Some(Errno::MFILE | Errno::NFILE) = errno {
            // Better told no than left waiting.
            self.spare = None;
            let mut context = Context::from_waker(std::task::Waker::noop());
            let turned_away = self.sockets.iter().find_map(|socket| match socket.poll_accept(&mut context) {
                Poll::Ready(Ok(connection)) => Some(connection),
                Poll::Ready(Err(_)) | Poll::Pending => None,
            });
            drop(turned_away);
            self.spare = spare();
        }
        self.resting = Some(Instant::now() + REST);
    }
}

fn spare() -> Option<OwnedFd> {
    rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::mpsc;

    use crate::config::Overrides;

    use super::*;

    /// The demonstration's listener on a free port.
    fn listener(change: impl FnOnce(&mut Config)) -> (Listener, SocketAddr) {
        let plugins = tempfile::tempdir().unwrap();
        let state = plugins.path().join("state");
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        let overrides = Overrides { listen, plugins: Some(plugins.path().to_owned()), state: Some(state) };
        let mut config = Config::demonstration(&overrides).unwrap();
        change(&mut config);
        let listener = Listener::bind(&config).unwrap();
        let address = listener.addresses().unwrap()[0];
        (listener, address)
    }

    /// Whether the other side closed without a word.
    async fn closed(mut stream: TcpStream) -> bool {
        matches!(stream.read(&mut [0]).await, Ok(0) | Err(_))
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_connection_and_no_other() {
        let (listener, address) = listener(|_| {});
        let stopper = Stopper::new();
        let serve = listener.serve(&stopper, |mut stream, _, _permit| async move {
            let mut byte = [0];
            while stream.read_exact(&mut byte).await.is_ok() {
                assert_ne!(byte, *b"!", "asked to panic");
                stream.write_all(&byte).await.unwrap();
            }
        });
        let client = async {
            let mut steady = TcpStream::connect(address).await.unwrap();
            for _ in 0..10 {
                let mut doomed = TcpStream::connect(address).await.unwrap();
                doomed.write_all(b"!").await.unwrap();
                assert!(closed(doomed).await);
                steady.write_all(b"a").await.unwrap();
                assert_eq!(steady.read_u8().await.unwrap(), b'a');
            }
            stopper.stop();
        };
        tokio::join!(serve, client);
    }

    #[tokio::test]
    async fn a_source_with_too_many_strangers_is_turned_away_until_one_has_logged_in() {
        let (listener, address) = listener(|config| {
            config.entrance = Entrance::Users(std::collections::BTreeMap::new());
            config.limits.unauthenticated_per_source = 1;
        });
        let stopper = Stopper::new();
        let serve = listener.serve(&stopper, |mut stream, _, mut permit| async move {
            stream.write_all(b"hello").await.unwrap();
            if stream.read_u8().await.is_ok() {
                permit.authenticated();
                stream.write_all(b"in").await.unwrap();
                let _end = stream.read_u8().await;
            }
        });
        let client = async {
            let mut first = TcpStream::connect(address).await.unwrap();
            first.read_exact(&mut [0; 5]).await.unwrap();
            assert!(closed(TcpStream::connect(address).await.unwrap()).await);
            first.write_all(b"x").await.unwrap();
            first.read_exact(&mut [0; 2]).await.unwrap();
            let mut second = TcpStream::connect(address).await.unwrap();
            second.read_exact(&mut [0; 5]).await.unwrap();
            drop((first, second));
            stopper.stop();
        };
        tokio::join!(serve, client);
    }

    #[tokio::test]
    async fn after_a_stop_no_one_is_let_in_and_those_inside_are_waited_for() {
        let (listener, address) = listener(|_| {});
        let stopper = Stopper::new();
        let drain = stopper.drain();
        let serve = listener.serve(&stopper, move |mut stream, _, _permit| {
            let mut drain = drain.clone();
            async move {
                stream.write_all(b"hello").await.unwrap();
                drain.reached(Phase::Draining).await;
                stream.write_all(b"bye").await.unwrap();
                let _end = stream.read_u8().await;
            }
        });
        let client = async {
            let mut inside = TcpStream::connect(address).await.unwrap();
            inside.read_exact(&mut [0; 5]).await.unwrap();
            stopper.stop();
            inside.read_exact(&mut [0; 3]).await.unwrap();
            match TcpStream::connect(address).await {
                Ok(outside) => assert!(closed(outside).await),
                Err(refused) => assert_ne!(refused.kind(), io::ErrorKind::TimedOut),
            }
        };
        tokio::join!(serve, client);
        assert_eq!(stopper.drain().phase(), Phase::Closing);
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_asks_for_a_farewell_and_then_nobody_is_waited_for() {
        let (listener, address) = listener(|_| {});
        let stopper = Stopper::new();
        let (tell, mut told) = mpsc::unbounded_channel();
        let drain = stopper.drain();
        let serve = listener.serve(&stopper, move |_stream, _, _permit| {
            let (tell, mut drain) = (tell.clone(), drain.clone());
            async move {
                tell.send(Phase::Serving).unwrap();
                drain.reached(Phase::Closing).await;
                tell.send(Phase::Closing).unwrap();
                std::future::pending::<()>().await;
            }
        });
        let client = async {
            let _inside = TcpStream::connect(address).await.unwrap();
            assert_eq!(told.recv().await, Some(Phase::Serving));
            let started = Instant::now();
            stopper.stop();
            assert_eq!(told.recv().await, Some(Phase::Closing));
            assert_eq!(started.elapsed().as_secs(), 30);
            assert_eq!(told.recv().await, None, "the task is dropped");
            assert_eq!(started.elapsed().as_secs(), 32);
        };
        tokio::join!(serve, client);
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_stop_waits_for_nobody() {
        let (listener, address) = listener(|_| {});
        let stopper = Stopper::new();
        let inside = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&inside);
        let (tell, mut told) = mpsc::unbounded_channel();
        let started = Instant::now();
        let serve = listener.serve(&stopper, move |_stream, _, _permit| {
            count.fetch_add(1, Ordering::SeqCst);
            tell.send(()).unwrap();
            std::future::pending()
        });
        let client = async {
            let _stream = TcpStream::connect(address).await.unwrap();
            told.recv().await.unwrap();
            stopper.stop();
            stopper.stop();
        };
        tokio::join!(serve, client);
        assert_eq!(inside.load(Ordering::SeqCst), 1);
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn an_error_of_one_connection_does_not_make_the_door_rest_and_running_out_of_files_does() {
        let (listener, address) = listener(|_| {});
        let mut door = Door::open(listener);
        door.stumble(&Errno::CONNABORTED.into());
        assert_eq!(door.resting, None);
        let waiting = TcpStream::connect(address).await.unwrap();
        // What accept(2) leaves in the queue when no file is free is turned away, so that it does not wait for nothing.
        let ready = std::future::poll_fn(|context| door.sockets[0].poll_accept(context)).await.unwrap();
        drop((waiting, ready));
        let waiting = TcpStream::connect(address).await.unwrap();
        door.stumble(&Errno::MFILE.into());
        assert!(door.resting.is_some());
        assert!(door.spare.is_some());
        assert!(closed(waiting).await);
        let later = TcpStream::connect(address).await.unwrap();
        let (_, peer, _permit) = door.accept().await;
        assert_eq!(peer, later.local_addr().unwrap());
    }
}
