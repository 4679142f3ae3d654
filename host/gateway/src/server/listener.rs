//! The listening sockets: bind, accept, and a task for each connection.
//!
//! Knows no SSH except the stages of a login, by which the gate ranks connections. A connection is passed to the caller
//! with its [`ConnectionPermit`]. A failure of one connection, even a panic, ends that connection alone.

mod acceptor;
mod bind;
mod change;
mod gate;
mod header_reads;
mod lingering;
mod passed;
mod proxy_header;
mod waiting;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use whelk_runtime::supervise::catch_future;

use acceptor::Acceptor;
pub use bind::BindError;
pub(crate) use bind::try_address;
use change::{BoundSocket, ListenerSettings};
pub use change::{ListenerChange, ListenerControl, ListenerState};
pub(crate) use gate::PENALTY_TEXT;
pub use gate::{ConnectionPermit, Fault};
pub use passed::{PassedError, PassedSockets};

use crate::config::Config;
use crate::observe::event::{ConnectionEvent, ServerEvent, emit};
use crate::server::drain::{ShutdownPhase, Stopper};
use crate::server::systemd::LivenessCheck;
use crate::source::Peer;

/// How long connections have to send their DISCONNECT after the drain deadline.
const DISCONNECT_TIME: Duration = Duration::from_secs(2);

/// The bound and listening sockets, and the counts of connections.
pub struct Listener {
    acceptor: Acceptor,
    changes: mpsc::UnboundedReceiver<ListenerChange>,
    control: Arc<ListenerControl>,
    liveness: Arc<LivenessCheck>,
}

impl Listener {
    /// Binds every address of the configuration, or none. First raises the limit of open files, and lowers the number
    /// of connections if they do not fit in it. Needs a tokio runtime.
    ///
    /// # Errors
    /// Each address that cannot be bound, with the reason.
    pub fn bind(config: &Config) -> Result<Listener, BindError> {
        let sockets = config.listen.iter().copied().zip(bind::bind(&config.listen)?);
        Ok(Listener::new(sockets, Some(config.listen.clone()), config))
    }

    /// Listens on sockets that were passed to the program instead of those of the configuration. Needs a tokio runtime.
    ///
    /// # Errors
    /// Each address that the configuration does not allow, or a socket that tokio refuses.
    pub fn adopt(passed: PassedSockets, config: &Config) -> Result<Listener, BindError> {
        Ok(Listener::new(bind::adopt(passed, config)?, None, config))
    }

    fn new(
        sockets: impl IntoIterator<Item = (SocketAddr, TcpListener)>,
        addresses: Option<Vec<SocketAddr>>,
        config: &Config,
    ) -> Listener {
        let sockets = sockets.into_iter().map(|(address, socket)| BoundSocket { address, socket }).collect();
        let settings = ListenerSettings::of(config);
        let (connections, unauthenticated) = settings.bounds.room();
        emit(ServerEvent::Room { connections, unauthenticated });
        let (control, changes) = ListenerControl::new(addresses);
        let (acceptor, control) = (Acceptor::new(sockets, settings), Arc::new(control));
        control.set_state(acceptor.state());
        Listener { acceptor, changes, control, liveness: Arc::default() }
    }

    /// Changes it while it serves.
    pub fn control(&self) -> &Arc<ListenerControl> {
        &self.control
    }

    /// Shows that the task which accepts connections runs, until it stops.
    #[must_use]
    pub fn liveness(&self) -> Arc<LivenessCheck> {
        Arc::clone(&self.liveness)
    }

    /// The addresses, in the order of the configuration, with the ports that the system chose for 0.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.acceptor.addresses()
    }

    /// Serves until `stopper` stops: passes each connection to `handle` and runs the returned future in a task of its
    /// own. Then accepts no more, waits for the tasks as the [`ShutdownPhase`] says, drops those that remain, and
    /// returns.
    pub async fn serve<H, F>(self, stopper: &Stopper, handle: H)
    where
        H: Fn(TcpStream, SocketAddr, ConnectionPermit) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let Listener { mut acceptor, mut changes, control, liveness } = self;
        let handle = Arc::new(handle);
        let mut stopped = stopper.drain();
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stopped.reached(ShutdownPhase::Draining) => break,
                Some(mut change) = changes.recv() => {
                    let done = change.done.take();
                    acceptor.change(change);
                    control.set_state(acceptor.state());
                    // The reloader may have stopped waiting.
                    let _ = done.map(|done| done.send(()));
                }
                Some(_) = tasks.join_next() => {}
                never = liveness.answer() => match never {},
                (stream, peer, permit) = acceptor.accept() => {
                    let (handle, number) = (Arc::clone(&handle), permit.connection());
                    // Boxed: the task would hold its size several times.
                    let connection = async move { Box::pin(handle(stream, peer, permit)).await };
                    tasks.spawn(contained(number, peer.into(), connection));
                }
            }
        }
        // Connections that wait, here or in the queue of a socket, are refused now, not at the deadline.
        let drain_time = stopped.requested().unwrap_or_else(|| acceptor.drain_time());
        control.set_state(ListenerState { addresses: Vec::new(), ..acceptor.state() });
        drop((acceptor, changes));
        drain(tasks, stopper, drain_time).await;
    }
}

/// Serves one connection until it is over. After `stopper` has stopped the connection has `time` to end by itself, as
/// those of a [`Listener`] have.
pub async fn serve_one(
    number: u64,
    peer: Peer,
    connection: impl Future<Output = ()> + Send + 'static,
    stopper: &Stopper,
    time: Duration,
) {
    let mut tasks = JoinSet::new();
    tasks.spawn(contained(number, peer, connection));
    let mut stopped = stopper.drain();
    tokio::select! {
        biased;
        _ = tasks.join_next() => {}
        () = stopped.reached(ShutdownPhase::Draining) => wait_for_end(&mut tasks, stopper, time).await,
    }
}

/// Drains all connections, and says so.
async fn drain(mut tasks: JoinSet<()>, stopper: &Stopper, time: Duration) {
    emit(ServerEvent::NotListening { connections: tasks.len() });
    wait_for_end(&mut tasks, stopper, time).await;
    emit(ServerEvent::Stopped { dropped: tasks.len() });
}

/// Waits for the tasks: for `time` until they end by themselves, then until they have disconnected; not at all for an
/// immediate stop. Users at a terminal get notice at the start, and once more shortly before the end.
async fn wait_for_end(tasks: &mut JoinSet<()>, stopper: &Stopper, time: Duration) {
    let mut gone = stopper.drain();
    let last_part = last_part(time);
    if !time.is_zero() {
        stopper.give_notice(time);
    }
    let give_last_notice = || {
        if !last_part.is_zero() {
            stopper.give_notice(last_part);
        }
    };
    let close = || stopper.close();
    let steps: [(Duration, &(dyn Fn() + Sync)); 3] =
        [(time - last_part, &give_last_notice), (last_part, &close), (DISCONNECT_TIME, &close)];
    for (wait, then) in steps {
        let empty = timeout(wait, async { while tasks.join_next().await.is_some() {} });
        tokio::select! {
            biased;
            () = gone.reached(ShutdownPhase::Gone) => break,
            _ = empty => then(),
        }
    }
}

/// Time left when the second notice of a drain of `time` is given; zero for no second notice.
fn last_part(time: Duration) -> Duration {
    let parts = [Duration::from_secs(10), Duration::from_secs(5)];
    parts.into_iter().find(|part| time >= *part * 2).unwrap_or_default()
}

/// Runs a connection and catches its panic: unwinding has dropped everything of the connection, so its sessions see the
/// connection lost, and its place is free. The hook has logged the panic; this adds the connection.
async fn contained(number: u64, peer: Peer, connection: impl Future<Output = ()>) {
    // Safe: after a panic the future is dropped and never polled again, and shares nothing except counts.
    if let Err(reason) = catch_future(connection).await {
        emit(ConnectionEvent::Panicked { connection: number, peer, reason: &reason });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::mpsc;
    use tokio::time::Instant;

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

    /// Whether the other side closed without sending anything.
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
                let mut refused = TcpStream::connect(address).await.unwrap();
                refused.write_all(b"!").await.unwrap();
                assert!(closed(refused).await);
                steady.write_all(b"a").await.unwrap();
                assert_eq!(steady.read_u8().await.unwrap(), b'a');
            }
            stopper.stop();
        };
        tokio::join!(serve, client);
    }

    #[tokio::test(start_paused = true)]
    async fn when_it_is_full_a_silent_connection_makes_room_and_is_gone_at_once() {
        let (listener, address) = listener(|config| config.limits.unauthenticated_full = 1);
        let stopper = Stopper::new();
        let serve = listener.serve(&stopper, |mut stream, _, permit| async move {
            stream.write_all(b"hello").await.unwrap();
            tokio::select! {
                () = permit.evicted() => {}
                _ = stream.read_u8() => {}
            }
        });
        let client = async {
            let mut silent = TcpStream::connect(address).await.unwrap();
            silent.read_exact(&mut [0; 5]).await.unwrap();
            let mut early = TcpStream::connect(address).await.unwrap();
            let mut told = String::new();
            early.read_to_string(&mut told).await.unwrap();
            assert_eq!(told, "Exceeded MaxStartups: too many connections; try again later.\r\n");
            tokio::time::sleep(Duration::from_secs(2)).await;
            let mut later = TcpStream::connect(address).await.unwrap();
            later.read_exact(&mut [0; 5]).await.unwrap();
            assert!(closed(silent).await);
            stopper.stop();
        };
        tokio::join!(serve, client);
    }

    #[tokio::test]
    async fn after_a_stop_no_connection_is_accepted_and_existing_ones_may_end() {
        let (listener, address) = listener(|_| {});
        let stopper = Stopper::new();
        let drain = stopper.drain();
        let serve = listener.serve(&stopper, move |mut stream, _, _permit| {
            let mut drain = drain.clone();
            async move {
                stream.write_all(b"hello").await.unwrap();
                drain.reached(ShutdownPhase::Draining).await;
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
        assert_eq!(stopper.drain().phase(), ShutdownPhase::Closing);
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_asks_for_a_disconnect_and_then_drops_connections() {
        let (listener, address) = listener(|_| {});
        let stopper = Stopper::new();
        let (tell, mut told) = mpsc::unbounded_channel();
        let drain = stopper.drain();
        let serve = listener.serve(&stopper, move |_stream, _, _permit| {
            let (tell, mut drain) = (tell.clone(), drain.clone());
            async move {
                tell.send(ShutdownPhase::Serving).unwrap();
                drain.reached(ShutdownPhase::Closing).await;
                tell.send(ShutdownPhase::Closing).unwrap();
                std::future::pending::<()>().await;
            }
        });
        let client = async {
            let _inside = TcpStream::connect(address).await.unwrap();
            assert_eq!(told.recv().await, Some(ShutdownPhase::Serving));
            let started = Instant::now();
            stopper.stop();
            assert_eq!(told.recv().await, Some(ShutdownPhase::Closing));
            assert_eq!(started.elapsed().as_secs(), 30);
            assert_eq!(told.recv().await, None, "the task is dropped");
            assert_eq!(started.elapsed().as_secs(), 32);
        };
        tokio::join!(serve, client);
    }

    #[tokio::test(start_paused = true)]
    async fn users_get_notice_at_the_start_of_a_drain_and_shortly_before_its_end() {
        for (drain, expected) in [(30, vec![(0, 30), (20, 10)]), (12, vec![(0, 12), (7, 5)]), (4, vec![(0, 4)])] {
            let stopper = Stopper::new();
            let mut tasks = JoinSet::new();
            tasks.spawn(std::future::pending());
            let (mut seen, mut told, started) = (stopper.drain(), Vec::new(), Instant::now());
            stopper.stop();
            let listen = async {
                loop {
                    seen.advanced(ShutdownPhase::Closing, u32::try_from(told.len()).unwrap()).await;
                    let (_, left) = seen.stage(u32::try_from(told.len()).unwrap()).1.unwrap();
                    told.push((started.elapsed().as_secs(), left.as_secs()));
                }
            };
            tokio::select! {
                () = wait_for_end(&mut tasks, &stopper, Duration::from_secs(drain)) => {}
                () = listen => {}
            }
            assert_eq!((told, started.elapsed().as_secs()), (expected, drain + 2));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_stop_drops_connections_at_once() {
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
}
