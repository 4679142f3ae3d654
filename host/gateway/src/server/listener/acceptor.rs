//! Accepts connections: the [`Gate`] decides whether each is served, waits or is refused. Before that, a proxy says who
//! has connected to it.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use whelk_runtime::limits::{Admitted, Throttle};

use super::change::{BoundSocket, ListenerChange, ListenerSettings, ListenerState, Proxies, take_queue};
use super::gate::{Admission, ConnectionPermit, Evicted, Gate, GateAnswer};
use super::header_reads::{HeaderReads, Proxied};
use super::lingering::Lingering;
use super::proxy_header::ConnectedBy;
use super::waiting::Waiting;
use crate::observe::event::{ConnectionEvent, emit, emit_throttled};
use crate::server::socket::{TcpKeepalive, set_tcp_options};

/// The pause after the process or the system has run out of something.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// The least interval between two log lines about refused, waiting or evicted connections.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// A connection to serve.
pub(super) type Accepted = (TcpStream, SocketAddr, ConnectionPermit);

/// The accepting sockets.
pub(super) struct Acceptor {
    sockets: Vec<BoundSocket>,
    /// Connections from the queues of sockets that were closed, or were bound before this program set their options.
    taken_over: VecDeque<(TcpStream, SocketAddr)>,
    /// Until the first connection is accepted: the options for those that came before.
    early: Option<TcpKeepalive>,
    proxies: Proxies,
    /// Reads the headers of connections from proxies.
    headers: HeaderReads,
    gate: Gate,
    waiting: Waiting,
    lingering: Lingering,
    /// How long connections may go on once the program stops.
    drain: Duration,
    /// The most connections, and the most of them that have not logged in.
    room: (u32, u32),
    /// Numbers the connections, served or not.
    count: u64,
    /// A reserved open file: closing it makes it possible to accept, and close, one connection when no other is free.
    spare: Option<OwnedFd>,
    backoff: Option<Instant>,
    log: Log,
}

impl Acceptor {
    /// Needs a tokio runtime.
    pub(super) fn new(sockets: Vec<BoundSocket>, settings: ListenerSettings) -> Acceptor {
        let ListenerSettings { bounds, exempt, proxies, keepalive, wait, drain } = settings;
        sockets.iter().for_each(|bound| set_tcp_options(&bound.socket, keepalive));
        Acceptor {
            sockets,
            taken_over: VecDeque::new(),
            early: Some(keepalive),
            proxies,
            headers: HeaderReads::default(),
            room: bounds.room(),
            gate: Gate::new(bounds, exempt),
            waiting: Waiting::new(wait),
            lingering: Lingering::default(),
            drain,
            count: 0,
            spare: spare(),
            backoff: None,
            log: Log::new(),
        }
    }

    /// The addresses.
    pub(super) fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.sockets.iter().map(|socket| socket.socket.local_addr()).collect()
    }

    /// What it listens on, and how many connections there may be.
    pub(super) fn state(&self) -> ListenerState {
        // What the system does not say is left out.
        ListenerState { addresses: self.addresses().unwrap_or_default(), room: self.room }
    }

    /// How long connections may go on once the program stops.
    pub(super) fn drain_time(&self) -> Duration {
        self.drain
    }

    /// Takes over other sockets and settings. Everything that was accepted stays.
    pub(super) fn change(&mut self, change: ListenerChange) {
        let ListenerChange { added, addresses, settings, done: _ } = change;
        if let Some(addresses) = addresses {
            let stays = |socket: &BoundSocket| addresses.contains(&socket.address);
            let (kept, gone): (Vec<_>, Vec<_>) = self.sockets.drain(..).partition(stays);
            // Nobody else would ever accept them.
            self.taken_over.extend(gone.iter().flat_map(|bound| take_queue(&bound.socket)));
            self.sockets = kept;
            added.iter().for_each(|bound| self.take_early(bound, settings.keepalive));
            self.sockets.extend(added);
            // In the order of the configuration.
            self.sockets.sort_by_key(|socket| addresses.iter().position(|address| *address == socket.address));
        }
        let ListenerSettings { bounds, exempt, proxies, keepalive, wait, drain } = settings;
        self.room = bounds.room();
        self.gate.change(bounds, exempt);
        self.waiting.set_grace(wait);
        self.sockets.iter().for_each(|bound| set_tcp_options(&bound.socket, keepalive));
        (self.proxies, self.drain) = (proxies, drain);
    }

    /// Gives a socket its options, and those in its queue, which were made before.
    fn take_early(&mut self, bound: &BoundSocket, keepalive: TcpKeepalive) {
        set_tcp_options(&bound.socket, keepalive);
        for (stream, peer) in take_queue(&bound.socket) {
            set_tcp_options(&stream, keepalive);
            self.taken_over.push_back((stream, peer));
        }
    }

    /// The next connection to serve. Never fails. Cancel safe.
    pub(super) async fn accept(&mut self) -> Accepted {
        if let Some(keepalive) = self.early.take() {
            let sockets = std::mem::take(&mut self.sockets);
            sockets.iter().for_each(|bound| self.take_early(bound, keepalive));
            self.sockets = sockets;
        }
        loop {
            if let Some(accepted) = self.serve_waiting() {
                return accepted;
            }
            if let Some((stream, peer)) = self.taken_over.pop_front() {
                match self.accepted(stream, peer) {
                    Some(accepted) => return accepted,
                    None => continue,
                }
            }
            let (backoff, check, close) = (self.backoff, self.waiting.next_check(), self.lingering.next_close());
            // Evicted connections close their sockets at once, but perhaps not as fast as new ones arrive.
            let accepts = backoff.is_none() && !self.gate.is_overfull();
            tokio::select! {
                biased;
                () = self.gate.freed() => {}
                () = at(backoff) => self.backoff = None,
                () = at(close) => self.lingering.close(Instant::now()),
                () = at(check) => {
                    let gone = self.waiting.check(Instant::now());
                    gone.into_iter().for_each(|number| self.gate.stop_waiting(number));
                }
                Some(read) = self.headers.next() => {
                    if let Some(accepted) = self.header_read(read) {
                        return accepted;
                    }
                }
                accepted = accept(&self.sockets, self.count), if accepts => match accepted {
                    Ok((stream, peer)) => {
                        if let Some(accepted) = self.accepted(stream, peer) {
                            return accepted;
                        }
                    }
                    Err(error) => self.handle_error(&error),
                },
            }
        }
    }

    /// The next connection that has waited and can be served.
    fn serve_waiting(&mut self) -> Option<Accepted> {
        loop {
            let permit = self.gate.serve_waiting(Instant::now())?;
            // The gate counts only connections that are kept here, so one is always found.
            let Some((stream, peer)) = self.waiting.take(permit.connection()) else { continue };
            let Some(refusal) = self.gate.penalty(peer.ip(), Instant::now()) else {
                return Some(accepted(stream, peer, permit));
            };
            self.log.refused(peer, refusal.cause(), format_args!("{refusal}"));
            self.lingering.tell(stream, refusal.line(), Instant::now());
        }
    }

    fn is_proxy(&self, peer: SocketAddr) -> bool {
        self.proxies.addresses.as_ref().is_some_and(|proxies| proxies.contains(Some(peer.ip())))
    }

    /// A connection has been accepted. Returns it if it is served at once.
    fn accepted(&mut self, stream: TcpStream, peer: SocketAddr) -> Option<Accepted> {
        if self.is_proxy(peer) {
            self.read_header(stream, peer);
            return None;
        }
        self.accept_connection(stream, peer)
    }

    /// Begins to read the header of a connection from a proxy.
    fn read_header(&mut self, stream: TcpStream, proxy: SocketAddr) {
        self.count += 1;
        if let Err(others) = self.headers.begin(stream, proxy, self.proxies.grace) {
            let reason = format_args!("the headers of {others} connections from proxies have not come yet");
            self.log.refused(proxy, PROXY, reason);
        }
    }

    /// The header of a connection from a proxy has been read: from now on its client is its peer. Returns it if it is
    /// served at once.
    fn header_read(&mut self, Proxied { stream, proxy, client }: Proxied) -> Option<Accepted> {
        match client {
            Ok(ConnectedBy::Client(client)) => self.accept_connection(stream, client),
            Ok(ConnectedBy::Proxy) => self.accept_connection(stream, proxy),
            Err(error) => {
                self.log.refused(proxy, PROXY, format_args!("{error}"));
                None
            }
        }
    }

    /// Asks the gate whether a new connection is served. Returns it if it is served at once; otherwise it waits or is
    /// refused.
    fn accept_connection(&mut self, stream: TcpStream, peer: SocketAddr) -> Option<Accepted> {
        self.count += 1;
        let (number, now) = (self.count, Instant::now());
        let GateAnswer { admission, evicted } = match self.gate.acquire(peer.ip(), number, now) {
            Ok(admission) => admission,
            Err(refusal) => {
                self.log.refused(peer, refusal.cause(), format_args!("{refusal}"));
                self.lingering.tell(stream, refusal.line(), now);
                return None;
            }
        };
        if let Some(evicted) = evicted {
            self.log.evicted(&evicted);
            if evicted.was_waiting {
                self.waiting.turn_away(evicted.number);
            }
        }
        match admission {
            Admission::Serve(permit) => Some(accepted(stream, peer, permit)),
            Admission::Wait => {
                self.log.waits(peer);
                self.waiting.insert(number, stream, peer, now);
                None
            }
        }
    }

    /// After an error of `accept`: most concern one connection that is gone already, accept(2). Others happen again at
    /// once.
    fn handle_error(&mut self, error: &io::Error) {
        let errno = Errno::from_io_error(error);
        if let Some(Errno::CONNABORTED | Errno::CONNRESET | Errno::INTR | Errno::PROTO | Errno::PERM) = errno {
            emit(ConnectionEvent::Vanished { error });
            return;
        }
        self.log.exhausted(error);
        if let Some(Errno::MFILE | Errno::NFILE) = errno {
            // Better refused than left waiting.
            self.spare = None;
            let mut context = Context::from_waker(std::task::Waker::noop());
            let turned_away = self.sockets.iter().find_map(|socket| match socket.socket.poll_accept(&mut context) {
                Poll::Ready(Ok(connection)) => Some(connection),
                Poll::Ready(Err(_)) | Poll::Pending => None,
            });
            drop(turned_away);
            self.spare = spare();
        }
        self.backoff = Some(Instant::now() + ACCEPT_BACKOFF);
    }
}

/// A connection that is served.
fn accepted(stream: TcpStream, peer: SocketAddr, mut permit: ConnectionPermit) -> Accepted {
    permit.has_peer(peer.ip());
    (stream, peer, permit)
}

/// Why a proxy's connection is refused, in a word.
const PROXY: &str = "proxy_header";

/// Log throttles, one for each kind of event.
struct Log {
    refused: Throttle,
    waits: Throttle,
    evicted: Throttle,
    exhausted: Throttle,
}

impl Log {
    fn new() -> Log {
        let throttle = || Throttle::one_in(LOG_INTERVAL);
        Log {
            refused: throttle(),
            waits: throttle(),
            evicted: throttle(),
            exhausted: Throttle::one_in(Duration::from_secs(1)),
        }
    }

    fn refused(&mut self, peer: SocketAddr, cause: &'static str, reason: fmt::Arguments<'_>) {
        let (has_line, more) = admitted(&self.refused);
        emit_throttled(has_line, ConnectionEvent::Refused { peer, reason, more, cause });
    }

    fn waits(&mut self, peer: SocketAddr) {
        let (has_line, more) = admitted(&self.waits);
        let reason = "unauthenticated_per_source of its source have not logged in";
        emit_throttled(has_line, ConnectionEvent::Waits { peer, reason, more });
    }

    fn evicted(&mut self, Evicted { number, source, of_source, had_done, unauthenticated, .. }: &Evicted) {
        let (has_line, more) = admitted(&self.evicted);
        let displaced = ConnectionEvent::Displaced {
            connection: *number,
            source: format_args!("{source}"),
            of_source: *of_source,
            had_done,
            unauthenticated: *unauthenticated,
            more,
        };
        emit_throttled(has_line, displaced);
    }

    fn exhausted(&mut self, error: &io::Error) {
        let (has_line, more) = admitted(&self.exhausted);
        emit_throttled(has_line, ConnectionEvent::NotAccepted { error, more });
    }
}

/// Whether an event of now has a line, and how many had none since the last one that had.
fn admitted(throttle: &Throttle) -> (bool, u64) {
    match throttle.allow(Instant::now()) {
        Some(Admitted { suppressed, .. }) => (true, suppressed),
        None => (false, 0),
    }
}

/// Accepts a connection on any of the sockets.
async fn accept(sockets: &[BoundSocket], count: u64) -> io::Result<(TcpStream, SocketAddr)> {
    std::future::poll_fn(|context| {
        // Each socket is polled first in turn, so that a flood on one does not starve the others.
        let turn = usize::try_from(count).unwrap_or(0) % sockets.len().max(1);
        let (later, first) = sockets.split_at(turn);
        let ready = first.iter().chain(later).map(|socket| socket.socket.poll_accept(context)).find(Poll::is_ready);
        ready.unwrap_or(Poll::Pending)
    })
    .await
}

/// Waits until a time, or for ever.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn spare() -> Option<OwnedFd> {
    rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use crate::config::Limits;
    use crate::credential::AddressList;

    use super::super::gate::{Bounds, Fault, SOURCE_LINE};
    use super::*;

    const WAIT: Duration = Duration::from_secs(120);

    /// An acceptor on a free port, where one source has one unauthenticated connection that is served, and two that
    /// wait.
    async fn acceptor() -> (Acceptor, SocketAddr) {
        acceptor_behind(None).await
    }

    /// The same, to which these addresses are those of proxies.
    async fn acceptor_behind(proxies: Option<AddressList>) -> (Acceptor, SocketAddr) {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let limits = Limits { unauthenticated_per_source: 1, unauthenticated_waiting: 2, ..Limits::default() };
        (Acceptor::new(vec![BoundSocket { address, socket }], settings(&limits, proxies)), address)
    }

    fn settings(limits: &Limits, proxies: Option<AddressList>) -> ListenerSettings {
        let (bounds, keepalive) = (Bounds::new(limits, 100, 100), TcpKeepalive::new(limits));
        let proxies = Proxies { addresses: proxies, grace: Duration::from_secs(5) };
        ListenerSettings { bounds, exempt: Vec::new(), proxies, keepalive, wait: WAIT, drain: WAIT }
    }

    #[tokio::test]
    async fn a_connection_that_was_made_before_the_socket_had_its_options_gets_them() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (_early, peer) = client(address).await;
        let mut acceptor = Acceptor::new(vec![BoundSocket { address, socket }], settings(&Limits::default(), None));
        let (stream, served, _permit) = acceptor.accept().await;
        assert_eq!(served, peer);
        assert!(stream.nodelay().unwrap());
        assert!(rustix::net::sockopt::socket_keepalive(&stream).unwrap());
        let (_late, peer) = client(address).await;
        let (stream, served, _permit) = acceptor.accept().await;
        assert_eq!(served, peer);
        assert!(stream.nodelay().unwrap());
    }

    /// A connected client.
    async fn client(address: SocketAddr) -> (TcpStream, SocketAddr) {
        let stream = TcpStream::connect(address).await.unwrap();
        let local = stream.local_addr().unwrap();
        (stream, local)
    }

    /// Reads until the other side closes.
    async fn heard(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    /// Runs the acceptor, which serves no connection meanwhile, until the other is ready.
    async fn meanwhile<T>(acceptor: &mut Acceptor, other: impl Future<Output = T>) -> T {
        tokio::select! {
            (_, peer, _) = acceptor.accept() => panic!("{peer} is served"),
            value = other => value,
        }
    }

    #[tokio::test]
    async fn waiting_connections_of_a_source_are_served_in_order_and_one_too_many_is_refused() {
        let (mut acceptor, address) = acceptor().await;
        let (_first, first) = client(address).await;
        let (_, peer, permit) = acceptor.accept().await;
        assert_eq!(peer, first);
        let (mut second_stream, second) = client(address).await;
        // Bytes that are sent before anybody reads them are not lost.
        second_stream.write_all(b"early").await.unwrap();
        let (_third, third) = client(address).await;
        let (mut fourth, _) = client(address).await;
        fourth.write_all(b"unread").await.unwrap();
        assert_eq!(meanwhile(&mut acceptor, heard(fourth)).await, SOURCE_LINE);
        drop(permit);
        let (mut stream, peer, mut permit) = acceptor.accept().await;
        assert_eq!(peer, second);
        let mut early = [0; 5];
        stream.read_exact(&mut early).await.unwrap();
        assert_eq!(&early, b"early");
        permit.authenticated();
        let (_, peer, _permit) = acceptor.accept().await;
        assert_eq!(peer, third);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_connection_that_closes_makes_room() {
        let (mut acceptor, address) = acceptor().await;
        let (_first, _) = client(address).await;
        let (_, _, permit) = acceptor.accept().await;
        let (mut second, _) = client(address).await;
        second.write_all(b"SSH-2.0-x\r\n").await.unwrap();
        drop(second);
        let (_third, third) = client(address).await;
        let (fourth, _) = client(address).await;
        assert_eq!(meanwhile(&mut acceptor, heard(fourth)).await, SOURCE_LINE);
        // It is noticed within two checks, and there is room for one more.
        meanwhile(&mut acceptor, tokio::time::sleep(Duration::from_secs(2))).await;
        assert_eq!(acceptor.waiting.count(), 1);
        let (_fifth, fifth) = client(address).await;
        drop(permit);
        let (_, peer, permit) = acceptor.accept().await;
        assert_eq!(peer, third);
        drop(permit);
        assert_eq!(acceptor.accept().await.1, fifth);
    }

    #[tokio::test(start_paused = true)]
    async fn no_connection_waits_for_longer_than_a_login_may_take() {
        let (mut acceptor, address) = acceptor().await;
        let (_first, _) = client(address).await;
        let (_, _, permit) = acceptor.accept().await;
        let (second, _) = client(address).await;
        let started = Instant::now();
        assert_eq!(meanwhile(&mut acceptor, heard(second)).await, SOURCE_LINE);
        assert!((WAIT..WAIT + Duration::from_secs(2)).contains(&started.elapsed()), "{:?}", started.elapsed());
        drop(permit);
        let (_third, third) = client(address).await;
        assert_eq!(acceptor.accept().await.1, third);
    }

    #[tokio::test]
    async fn a_proxy_says_who_its_client_is_and_the_limits_count_the_client() {
        let proxies = AddressList::parse_networks("127.0.0.1").unwrap();
        let (mut acceptor, address) = acceptor_behind(Some(proxies)).await;
        let connect = async |header: &str| {
            let (mut stream, local) = client(address).await;
            stream.write_all(header.as_bytes()).await.unwrap();
            (stream, local)
        };
        // One unauthenticated connection of a source is served: here each is of another source.
        let (_one, _) = connect("PROXY TCP4 192.0.2.1 192.0.2.9 1001 22\r\nSSH-").await;
        let (mut stream, peer, _first) = acceptor.accept().await;
        assert_eq!(peer, "192.0.2.1:1001".parse().unwrap());
        let mut rest = [0; 4];
        stream.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"SSH-", "what follows the header is the client's");
        let (_two, _) = connect("PROXY TCP6 2001:db8::1 2001:db8::9 1002 22\r\n").await;
        let (_, peer, _second) = acceptor.accept().await;
        assert_eq!(peer, "[2001:db8::1]:1002".parse().unwrap());
        let (_three, own) = connect("PROXY UNKNOWN\r\n").await;
        let (_, peer, _third) = acceptor.accept().await;
        assert_eq!(peer, own, "the proxy itself");
        // A second one of the same client waits.
        let (_four, _) = connect("PROXY TCP4 192.0.2.1 192.0.2.9 1003 22\r\n").await;
        let (_five, _) = connect("PROXY TCP4 192.0.2.2 192.0.2.9 1004 22\r\n").await;
        let (_, peer, _fifth) = acceptor.accept().await;
        assert_eq!(peer, "192.0.2.2:1004".parse().unwrap());
        assert_eq!(acceptor.waiting.count(), 1);
    }

    #[tokio::test]
    async fn a_connection_that_waited_is_refused_if_its_source_has_got_a_penalty_meanwhile() {
        let (mut acceptor, address) = acceptor().await;
        let (_first, _) = client(address).await;
        let (_, _, permit) = acceptor.accept().await;
        let (second, _) = client(address).await;
        let (third, _) = client(address).await;
        let (fourth, _) = client(address).await;
        assert_eq!(meanwhile(&mut acceptor, heard(fourth)).await, SOURCE_LINE, "the others wait");
        permit.penalize(Fault::Crash);
        drop(permit);
        for waited in [second, third] {
            assert_eq!(meanwhile(&mut acceptor, heard(waited)).await, "Not allowed at this time\r\n");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_proxy_without_a_header_is_refused_and_delays_nobody() {
        let proxies = AddressList::parse_networks("127.0.0.1").unwrap();
        let (mut acceptor, address) = acceptor_behind(Some(proxies)).await;
        let (silent, _) = client(address).await;
        let (mut direct, _) = client(address).await;
        direct.write_all(b"SSH-2.0-x\r\n").await.unwrap();
        let (mut good, _) = client(address).await;
        good.write_all(b"PROXY TCP4 192.0.2.1 192.0.2.9 1001 22\r\n").await.unwrap();
        assert_eq!(acceptor.accept().await.1, "192.0.2.1:1001".parse().unwrap());
        let mut nothing = Vec::new();
        // A connection with unread bytes is reset.
        let direct = meanwhile(&mut acceptor, direct.read_to_end(&mut nothing)).await;
        assert!(matches!(direct, Ok(0)) || direct.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset));
        let started = Instant::now();
        assert_eq!(meanwhile(&mut acceptor, heard(silent)).await, "");
        assert!(started.elapsed() <= Duration::from_secs(6), "{:?}", started.elapsed());
        assert_eq!(acceptor.headers.count(), 0);
    }

    #[tokio::test]
    async fn a_change_loses_no_connection_of_a_queue_and_counts_by_the_new_limits() {
        let (mut acceptor, first_address) = acceptor().await;
        let bound = async || {
            let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
            BoundSocket { address: socket.local_addr().unwrap(), socket }
        };
        let (stays, added) = (bound().await, bound().await);
        let (second_address, third_address) = (stays.address, added.address);
        acceptor.sockets.push(stays);
        let mut queued = Vec::new();
        for address in [first_address, first_address, second_address, third_address] {
            queued.push(client(address).await);
        }
        let limits = Limits { unauthenticated_per_source: 4, ..Limits::default() };
        acceptor.change(ListenerChange {
            added: vec![added],
            addresses: Some(vec![third_address, second_address]),
            settings: settings(&limits, None),
            done: None,
        });
        assert_eq!(acceptor.state().addresses, [third_address, second_address]);
        assert!(TcpStream::connect(first_address).await.is_err(), "it is closed");
        let (mut served, mut permits) = (Vec::new(), Vec::new());
        for _ in &queued {
            let (_, peer, permit) = acceptor.accept().await;
            served.push(peer);
            permits.push(permit);
        }
        let mut clients: Vec<_> = queued.iter().map(|(_, local)| *local).collect();
        clients.sort();
        served.sort();
        assert_eq!(served, clients);
    }

    #[tokio::test]
    async fn accept_pauses_only_when_open_files_run_out() {
        let (mut acceptor, address) = acceptor().await;
        acceptor.handle_error(&Errno::CONNABORTED.into());
        assert_eq!(acceptor.backoff, None);
        let (waiting, _) = client(address).await;
        // A connection that accept(2) leaves in the queue when no file is free is refused, so that it does not wait in
        // vain.
        drop((waiting, accept(&acceptor.sockets, 0).await.unwrap()));
        let (waiting, _) = client(address).await;
        acceptor.handle_error(&Errno::MFILE.into());
        assert!(acceptor.backoff.is_some());
        assert!(acceptor.spare.is_some());
        assert_eq!(heard(waiting).await, "");
        let (_later, later) = client(address).await;
        assert_eq!(acceptor.accept().await.1, later);
    }
}
