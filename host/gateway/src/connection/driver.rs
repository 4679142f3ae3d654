//! THE PUMP: one task per connection, between its socket, the protocol and the sessions.
//!
//! A turn moves bytes from the socket into the protocol, lets the sessions notice what happened, moves what they have written into
//! packets and the packets into the socket. A turn is bounded and never waits; between turns the pump waits for whatever can move
//! next. It waits for *readiness* only and holds no buffer meanwhile, so every wait may be dropped. It never waits for a guest.
//!
//! Decided 2026-11-28: after a turn that leaves more to do the pump yields. tokio's budget (`consume_budget`) would let 128 turns pass first,
//! 16 MiB, before a neighbour's key is looked at: beside eight floods that are read its 99th percentile was 8 to 13 ms, and is 2 to 3 ms now.
//!
//! Decided 2026-11-28: such a turn also takes one of its tenant's turns, of which there are as many as workers. Without, each connection with
//! more to do stands in the workers' line by itself, and a neighbour waits for as many turns as a tenant has connections.
//!
//! What the pump does not know: what a session does with its bytes (`session.rs`), who may enter (`access.rs`).

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use whelk_runtime::Ending;
use whelk_ssh::auth::server::Verdict as Answer;
use whelk_ssh::connection::{Progress, Server, ServerQuestion};
use whelk_ssh::crypto::random::SystemRandom;
use whelk_ssh::error::{Error, Reason};

use crate::auth::access::Verdict;
use crate::connection::bridge::{Entered, Origin};
use crate::connection::channels::Sessions;
use crate::connection::keepalive::Keepalive;
use crate::connection::login::Login;
use crate::observe::logging::escape;
use crate::server::drain::{Drain, Phase};
use crate::server::gateway::Gateway;
use crate::server::listener::Permit;
use crate::server::socket::{self, Acknowledgement, Moved};
use crate::tenant::Seat;
use crate::tenant::large_packets::LargePackets;

/// The most that one turn reads, and the most that it seals.
const TURN: usize = 128 << 10;
/// Fixed cost of a turn, in bytes. After `TURN` bytes the pump yields.
const TURN_COST: usize = 8 << 10;
/// How long buffers lie empty before their memory is given back.
const BUFFER_RELEASE_DELAY: Duration = Duration::from_secs(2);
/// How long a goodbye may take to reach the peer.
const DISCONNECT_LINGER: Duration = Duration::from_secs(1);
/// How many reads are thrown away meanwhile.
const LINGER_READS: usize = 64;

/// Readiness of a socket that the peer has closed or reset. Unlike `READABLE` it does not come with bytes; nobody asked the
/// kernel for urgent data, so that does not come either.
const HANG_UP: Interest = Interest::PRIORITY.add(Interest::ERROR);

/// Why a connection is over.
enum End {
    /// The peer closed the socket, or the network did.
    Lost(io::Error),
    /// The protocol says so, on either side.
    Protocol(Error),
    /// The program stops, and nothing is left to do here.
    Drained,
    /// The client had not logged in, and its place was given to another.
    TakenBack,
}

impl From<Error> for End {
    fn from(error: Error) -> End {
        End::Protocol(error)
    }
}

/// State of the idle-buffer release.
#[derive(Clone, Copy)]
enum BufferRelease {
    /// Bytes have moved since the last look.
    Busy,
    /// Nothing moves; at this time the memory goes back.
    Due(Instant),
    /// The buffers were released.
    Done,
}

/// One connection and everything that belongs to it.
struct Pump {
    gateway: Arc<Gateway>,
    stream: TcpStream,
    connection: Server,
    sessions: Sessions,
    permit: Permit,
    /// Its place among its user's connections, once somebody has entered.
    seat: Option<Seat>,
    /// Those of the tenant's connections that have more to do than one turn, once it is known whose this is.
    turns: Option<Arc<Semaphore>>,
    drain: Drain,
    /// How far the stopping had got when it was last looked at.
    phase: Phase,
    login: Login,
    /// The socket took less than it was given: wait until it takes more.
    write_blocked: bool,
    buffers: BufferRelease,
    /// Bytes moved since the last yield.
    moved: usize,
    keepalive: Keepalive,
    /// When what was read is acknowledged if nothing has been sent by then.
    acknowledge_at: Option<Instant>,
    large: LargePackets,
    /// How long a large packet may take while others wait for its memory.
    large_packet_grace: Duration,
    origin: Origin,
}

/// Serves one connection until it is over.
pub async fn run(stream: TcpStream, peer: SocketAddr, permit: Permit, gateway: Arc<Gateway>) {
    let now = Instant::now();
    let number = permit.connection();
    let local = stream.local_addr().map(|address| address.to_string()).unwrap_or_default();
    tracing::info!(connection = number, %peer, "connection opened");
    let origin = Origin { connection: number, peer: peer.to_string(), local };
    let random = Box::new(SystemRandom::new());
    let connection = Server::accepted(gateway.protocol(), gateway.authentication(), random, now);
    let limits = gateway.limits();
    let keepalive = Keepalive::new(limits.keepalive, limits.keepalive_count, now);
    let large_packet_grace = limits.large_packet_grace;
    let mut pump = Pump {
        sessions: Sessions::new(gateway.clone(), number),
        drain: gateway.drain(),
        phase: Phase::Serving,
        gateway,
        stream,
        connection,
        permit,
        seat: None,
        turns: None,
        login: Login::new(number, peer.ip()),
        write_blocked: false,
        buffers: BufferRelease::Busy,
        moved: 0,
        keepalive,
        acknowledge_at: None,
        large: LargePackets::default(),
        large_packet_grace,
        origin,
    };
    let Err(end) = pump.serve().await;
    pump.finish(end).await;
}

impl Pump {
    /// Turn after turn, until the end.
    async fn serve(&mut self) -> Result<Infallible, End> {
        loop {
            let mut progress = self.turn(Instant::now())?;
            // What is waited for may be there already, again and again: then the wait lets nobody else go first.
            while progress == Progress::More || self.moved >= TURN {
                self.moved = 0;
                let turns = self.turns.clone();
                let _turn = match &turns {
                    Some(turns) => turns.acquire().await.ok(),
                    None => None,
                };
                // Others first, and the network.
                tokio::task::yield_now().await;
                // A peer that never pauses would else keep its place, and its deadlines would not be looked at.
                self.look().await?;
                progress = self.turn(Instant::now())?;
            }
            if self.wait().await? {
                self.moved = 0;
            }
        }
    }

    /// Everything that can be done without waiting, up to the bounds of a turn.
    fn turn(&mut self, now: Instant) -> Result<Progress, End> {
        self.moved += TURN_COST;
        let (mut progress, read) = self.read(now)?;
        while self.answer(now)? {
            progress = self.receive(now)?;
        }
        if !self.connection.holds_large_packet() {
            self.large.release();
        }
        self.permit.reached(self.connection.login_stage());
        if self.sessions.serve(&mut self.connection, TURN)? == Progress::More {
            progress = Progress::More;
        }
        self.connection.settle(now)?;
        let was_full = !self.connection.can_write();
        let written = !self.connection.output().is_empty();
        self.write()?;
        self.acknowledge(read, written, now);
        if was_full && self.connection.can_write() {
            // What stood still for want of room (sessions, owed answers, packets not looked at) can go on, and nothing else will
            // wake it: the socket may have taken everything.
            progress = Progress::More;
        }
        self.drained()?;
        Ok(progress)
    }

    /// Socket to protocol. Says too how many bytes have come.
    fn read(&mut self, now: Instant) -> Result<(Progress, usize), End> {
        let (mut budget, mut read) = (TURN, 0);
        let mut progress = self.receive(now)?;
        while budget > 0 && self.connection.wants_input() {
            let space = self.connection.input();
            let wanted = space.len();
            match self.stream.try_read(space) {
                Ok(0) => return Err(End::Lost(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => {
                    self.connection.filled(count);
                    self.moved += count;
                    read += count;
                    self.buffers = BufferRelease::Busy;
                    self.keepalive.heard(now);
                    progress = self.receive(now)?;
                    budget = budget.saturating_sub(count);
                    if count < wanted {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(End::Lost(error)),
            }
        }
        Ok((if budget == 0 { Progress::More } else { progress }, read))
    }

    /// Acknowledges what this turn has read, now or soon, if the client may be waiting for that.
    fn acknowledge(&mut self, read: usize, written: bool, now: Instant) {
        let unanswered = self.connection.take_unanswered();
        let (partial, before_login) = (self.connection.holds_input(), self.connection.user().is_none());
        let full = read >= TURN;
        match (Moved { read, written, unanswered, partial, before_login, full }).acknowledgement() {
            Acknowledgement::Unchanged => {}
            Acknowledgement::Done => self.acknowledge_at = None,
            Acknowledgement::Soon => self.acknowledge_at = self.acknowledge_at.or(Some(now + socket::ANSWER)),
            Acknowledgement::Now => {
                self.acknowledge_at = None;
                socket::acknowledge(&self.stream);
            }
        }
    }

    /// What has come is looked at; the sessions notice.
    fn receive(&mut self, now: Instant) -> Result<Progress, End> {
        let Pump { connection, sessions, .. } = self;
        Ok(connection.receive(now, |event| sessions.notice(event))?)
    }

    /// Answers the question that stands, if that can be done at once. Says whether there may be more to receive.
    fn answer(&mut self, now: Instant) -> Result<bool, End> {
        match self.connection.question() {
            Some(ServerQuestion::Sign(request)) => {
                let signature = self.gateway.sign(&request);
                self.connection.signed(&signature)?;
                Ok(true)
            }
            Some(ServerQuestion::Attempt(attempt)) => {
                self.login.begin(&self.gateway, &attempt);
                Ok(false)
            }
            Some(ServerQuestion::LargePacket(bytes)) => {
                let granted = self.large.ask(bytes, now, self.large_packet_grace);
                if granted {
                    self.connection.grant_large_packet();
                }
                Ok(granted)
            }
            None => Ok(false),
        }
    }

    /// Protocol to socket, as much as it takes.
    fn write(&mut self) -> Result<(), End> {
        while !self.connection.output().is_empty() {
            match self.stream.try_write(self.connection.output()) {
                Ok(count) => {
                    self.connection.sent(count);
                    self.moved += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.write_blocked = true;
                    return Ok(());
                }
                Err(error) => return Err(End::Lost(error)),
            }
        }
        self.write_blocked = false;
        Ok(())
    }

    /// Waits until something can move. Says whether it had to wait for that.
    async fn wait(&mut self) -> Result<bool, End> {
        let mut has_waited = false;
        let mut something = pin!(self.something());
        poll_fn(|context| {
            let polled = something.as_mut().poll(context);
            has_waited |= polled.is_pending();
            polled
        })
        .await?;
        Ok(has_waited)
    }

    /// Does what can be done at once of all that [`something`](Pump::something) waits for.
    async fn look(&mut self) -> Result<(), End> {
        let mut something = pin!(self.something());
        poll_fn(|context| match something.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(done),
            Poll::Pending => Poll::Ready(Ok(())),
        })
        .await
    }

    /// Comes when something can move.
    async fn something(&mut self) -> Result<(), End> {
        let deadline = self.next_deadline();
        let phase = self.next_phase();
        let reads = self.connection.wants_input();
        // While an attempt is decided a client that goes away is noticed, so that it gives its place in the queue back.
        let hangs_up = !reads && self.connection.user().is_none();
        let interest = [(reads, Interest::READABLE), (hangs_up, HANG_UP), (self.write_blocked, Interest::WRITABLE)];
        let interest = interest.into_iter().filter_map(|(wanted, interest)| wanted.then_some(interest));
        let interest = interest.reduce(|all, interest| all | interest);
        tokio::select! {
            // What moves all the time comes last, so that it hides nothing else.
            biased;
            () = self.permit.taken_back() => Err(End::TakenBack),
            verdict = self.login.decided(), if self.login.is_deciding() => self.decide(verdict),
            () = self.large.granted(self.large_packet_grace), if self.large.is_waiting() => {
                self.connection.grant_large_packet();
                Ok(())
            }
            () = at(deadline) => self.timeout(Instant::now()),
            // What it means is looked at in every turn.
            () = self.drain.reached(phase) => Ok(()),
            () = self.sessions.ready() => Ok(()),
            ready = self.stream.ready(interest.unwrap_or(Interest::READABLE)), if interest.is_some() => {
                let ready = ready.map_err(End::Lost)?;
                if hangs_up && (ready.is_read_closed() || ready.is_error()) {
                    let error = self.stream.take_error().ok().flatten();
                    return Err(End::Lost(error.unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())));
                }
                Ok(())
            }
        }
    }

    /// The phase of stopping that would change what we do, after the one that was seen last: it may have come since.
    fn next_phase(&self) -> Phase {
        match self.phase {
            Phase::Serving => Phase::Draining,
            Phase::Draining | Phase::Closing | Phase::Gone => Phase::Closing,
        }
    }

    /// When something must be looked at even if nothing moves.
    fn next_deadline(&mut self) -> Option<Instant> {
        if let BufferRelease::Busy = self.buffers {
            self.buffers = BufferRelease::Due(Instant::now() + BUFFER_RELEASE_DELAY);
        }
        let rest = match self.buffers {
            BufferRelease::Due(due) => Some(due),
            BufferRelease::Busy | BufferRelease::Done => None,
        };
        // Before login the stages have deadlines of their own.
        let keepalive = self.connection.user().and_then(|_| self.keepalive.deadline());
        let large = self.large.deadline();
        rest.into_iter()
            .chain(self.connection.deadline())
            .chain(keepalive)
            .chain(large)
            .chain(self.acknowledge_at)
            .min()
    }

    /// A deadline has come: of the protocol, of a silent peer, or for the memory of idle buffers.
    fn timeout(&mut self, now: Instant) -> Result<(), End> {
        self.connection.handle_timeout(now)?;
        self.large.check(now, self.large_packet_grace)?;
        if self.acknowledge_at.is_some_and(|due| due <= now) {
            self.acknowledge_at = None;
            socket::acknowledge(&self.stream);
        }
        if !self.connection.wants_input() {
            // Whom we do not listen to cannot be heard.
            self.keepalive.heard(now);
        }
        if self.connection.user().is_some() && self.keepalive.is_due(now)? {
            self.connection.keepalive();
            self.buffers = BufferRelease::Busy;
        }
        match self.buffers {
            BufferRelease::Due(due) if due <= now => {
                self.buffers = if self.connection.release_buffers() {
                    BufferRelease::Done
                } else {
                    BufferRelease::Due(now + BUFFER_RELEASE_DELAY)
                };
            }
            BufferRelease::Busy | BufferRelease::Due(_) | BufferRelease::Done => {}
        }
        Ok(())
    }

    /// An attempt to enter was decided.
    fn decide(&mut self, verdict: Verdict) -> Result<(), End> {
        match verdict {
            Verdict::Undecided(overload) => {
                return Err(End::Protocol(self.login.undecided(&self.connection, overload)));
            }
            Verdict::Reject => {
                if let Some(ServerQuestion::Attempt(attempt)) = self.connection.question() {
                    self.login.log_rejection(&attempt);
                }
                self.connection.decide(Answer::Reject)?;
            }
            Verdict::Accept(identity) => {
                self.connection.decide(Answer::Accept)?;
                // Accepting a key that was only offered lets nobody in.
                if self.connection.user().is_some() {
                    self.permit.authenticated();
                    self.seat = Some(self.login.take_seat(&self.gateway, &identity)?);
                    self.turns = self.gateway.tenants().turns(&identity.tenant);
                    if let Some(budget) = self.gateway.tenants().input(&identity.tenant) {
                        self.large.charge_to(budget);
                    }
                    self.login.log_success(&identity, &self.connection.take_refused());
                    let version = self.gateway.identification();
                    self.sessions.enter(Entered::new(identity, &self.origin, &self.connection, version));
                }
            }
        }
        Ok(())
    }

    /// The program is stopping: sessions may finish until the deadline, then everybody is told to go.
    fn drained(&mut self) -> Result<(), End> {
        self.phase = self.drain.phase();
        match self.phase {
            Phase::Serving => Ok(()),
            Phase::Draining if !self.sessions.is_empty() => Ok(()),
            Phase::Draining | Phase::Closing | Phase::Gone => Err(End::Drained),
        }
    }

    /// Says goodbye, as far as the peer listens, and lets go of the sessions.
    async fn finish(mut self, end: End) {
        self.seat = None;
        let end = match end {
            End::Protocol(error) => End::Protocol(self.login.overdue(&self.connection, error)),
            other => other,
        };
        let error = match &end {
            End::Protocol(error) => Some(error.clone()),
            End::Drained => Some(Error::Closed(Reason::ByApplication)),
            End::TakenBack => Some(taken_back()),
            End::Lost(_) => None,
        };
        self.login.log_failure(&self.connection, error.as_ref());
        self.sessions.end(if let End::Drained = end { Ending::Drained } else { Ending::ConnectionLost });
        let reason = match &end {
            End::Lost(error) if error.kind() == io::ErrorKind::UnexpectedEof => "the peer hung up".to_owned(),
            End::Lost(error) => error.to_string(),
            End::Protocol(error) => error.to_string(),
            End::Drained => "the server stops".to_owned(),
            End::TakenBack => "not logged in, and its place was given to a new connection".to_owned(),
        };
        tracing::info!(connection = self.origin.connection, reason = %escape(reason.as_bytes()), "connection closed");
        if let Some(error) = error {
            self.connection.disconnect(&error);
            if let End::TakenBack = end {
                // The new connection needs the socket, so nobody waits until the client has read this.
                let _ = self.stream.try_write(self.connection.output());
                return;
            }
            // Whether it arrives is the peer's business.
            let _ = tokio::time::timeout(DISCONNECT_LINGER, self.linger()).await;
        }
    }

    /// Sends what is left, and waits for the peer to close: closing first would tear what it has not read yet.
    async fn linger(&mut self) -> io::Result<()> {
        while !self.connection.output().is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(self.connection.output()) {
                Ok(count) => self.connection.sent(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        self.stream.shutdown().await?;
        // On the heap: an array would lie in the task of every connection from its first moment.
        let mut unread = vec![0; 4096];
        let mut reads_left = LINGER_READS;
        while reads_left > 0 && self.stream.read(&mut unread).await? > 0 {
            reads_left -= 1;
        }
        Ok(())
    }
}

/// What a client is told whose place was given to another.
fn taken_back() -> Error {
    let text = "too many connections have not logged in; try again".to_owned();
    Error::Requested { reason: Reason::TooManyConnections as u32, text }
}

/// Waits for a time that may never come.
async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use tokio::net::TcpListener;

    use super::*;

    /// A client whose attempt is being decided may send more than we take, and go away.
    #[tokio::test]
    async fn a_hang_up_is_seen_behind_bytes_that_nobody_reads() {
        for resets in [false, true] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
            let (mut client, accepted) = (client.unwrap(), accepted.unwrap().0);
            client.write_all(b"unread").await.unwrap();
            accepted.readable().await.unwrap();
            let mut hang_up = pin!(accepted.ready(HANG_UP));
            assert!(
                hang_up.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending(),
                "bytes are no hang-up"
            );
            if resets {
                client.set_zero_linger().unwrap();
            }
            drop(client);
            let ready = hang_up.await.unwrap();
            assert!(ready.is_read_closed() || ready.is_error(), "{ready:?}");
        }
    }
}
