//! The driver: one task per connection, which moves bytes between its stream, the protocol and the bridge to sessions.
//!
//! A *turn* does everything that can be done without waiting, up to a bound:
//!
//! 1. read from the stream into the protocol's input, and let the protocol handle it; the bridge takes each event
//! 2. answer the protocol's questions: agree on a secret, sign, decide about an attempt to log in, reserve memory for a
//!    large packet
//! 3. let the bridge put what sessions send into packets, one channel after the other
//! 4. put what the protocol owes (replies, window adjustments, EOF, CLOSE) into packets
//! 5. write the packets to the stream, all at once
//! 6. acknowledge what was read, if the client waits for that; decide for how many bytes the next read waits
//! 7. end the connection, if an operator has asked for that or the server stops
//!
//! An answer of step 2 lets the protocol go on with what was read, so both steps repeat until nothing is answered at
//! once. In `connection` a *turn* is always this.
//!
//! Between turns the driver waits for whatever can move next: readiness of the stream, output of a session, a decision,
//! a deadline, a signal to stop. No buffer is borrowed meanwhile, so every wait can be dropped. It never waits for a
//! guest.
//!
//! The driver is generic over its stream ([`ByteStream`]) and compiled for each kind of stream: a TCP socket costs no
//! dynamic dispatch and no copy.
//!
//! Decided 2026-11-28: after a turn with more work left the driver yields. Rejected: `consume_budget`, which yields
//! only every 128 turns (16 MiB). Beside eight connections that send without pause, the 99th percentile of another
//! connection's echo was 8 to 13 ms with it and is 2 to 3 ms now.
//!
//! Decided 2026-11-30: a turn is smaller while many connections are busy (`turn_bytes`). Refused: smaller turns for
//! all, which cost a single download 4 % of its processor time.
//!
//! Decided 2026-11-28: before the next turn it also acquires one of its tenant's busy permits; there is one per worker
//! thread. Otherwise a tenant with many busy connections would delay every other connection by one turn each.

mod finish;
mod negotiated;
mod read_batching;
mod shutdown;
mod turn_bytes;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use whelk_ssh::auth::server::Verdict;
use whelk_ssh::connection::{Progress, Server as ServerConnection, ServerQuestion};
use whelk_ssh::crypto::agreement::Agreed;
use whelk_ssh::crypto::random::SystemRandom;
use whelk_ssh::error::Error;

use read_batching::ReadBatching;
use shutdown::Shutdown;
use turn_bytes::Busy;

use crate::auth::access::Decision;
use crate::connection::acknowledgement::{ACKNOWLEDGE_DELAY, Acknowledgement, TurnSummary};
use crate::connection::blocking_work::BlockingWork;
use crate::connection::bridge::Bridge;
use crate::connection::bridge::user::{Origin, SessionUser};
use crate::connection::deadline_timer::DeadlineTimer;
use crate::connection::end::End;
use crate::connection::keepalive::{self, Keepalive};
use crate::connection::large_packets::LargePackets;
use crate::connection::login::Login;
use crate::connection::stream::{ByteStream, Readiness};
use crate::observe::event::{ConnectionEvent, emit};
use crate::server::gateway::{CompressionPermit, Gateway};
use crate::server::listener::ConnectionPermit;
use crate::source::Peer;
use crate::tenant::UserPermit;

/// Fixed cost of a turn, in bytes. After [`turn_bytes`] bytes the driver yields.
const TURN_COST: usize = 8 << 10;
/// Most bytes that one turn puts into packets of a compressed connection. Compressing a byte takes about ten times as
/// long as all other work for it.
const TURN_BYTES_COMPRESSED: usize = 32 << 10;
/// How long buffers are empty before their memory is released. While bytes move it is kept. With two seconds, 1,000
/// connections that had each sent and received 32 KiB within one second held 60 KiB more each, and the heap kept that.
const BUFFER_RELEASE_DELAY: Duration = Duration::from_millis(100);
/// How long until buffers are released that could not be, since part of a packet was in them.
const BUFFER_RETRY_DELAY: Duration = Duration::from_secs(2);
/// Released buffers of a connection from this size on, in bytes, are counted for the heap trim. What smaller ones leave
/// is soon used again.
const LARGE_BUFFERS: usize = 16 << 10;

/// State of the idle-buffer release.
#[derive(Clone, Copy)]
enum BufferRelease {
    /// Bytes have moved since the last check.
    Busy,
    /// Nothing moves: the memory is released at this time.
    Due(Instant),
    /// The buffers were released.
    Done,
}

/// One connection and everything that belongs to it.
struct Driver<S> {
    gateway: Arc<Gateway>,
    stream: S,
    connection: ServerConnection,
    bridge: Bridge,
    permit: ConnectionPermit,
    /// Counts it among its user's connections, after login.
    user_permit: Option<UserPermit>,
    /// Permits of the tenant for connections that have more to do than one turn, after login.
    busy_permits: Option<Arc<Semaphore>>,
    /// Held while the connection is compressed, or was offered compression and has not logged in.
    compression_permit: Option<CompressionPermit>,
    shutdown: Shutdown,
    login: Login,
    /// Whether the stream has taken less than it was given: wait until it takes more.
    write_blocked: bool,
    buffers: BufferRelease,
    /// The stream may have something to read. While the buffers are released, nothing is read otherwise: a read takes
    /// a buffer, whether something is there or not.
    readable: bool,
    /// Bytes moved since the last yield, plus [`TURN_COST`] for each turn.
    work_since_yield: usize,
    /// Most bytes that this turn reads, and most that it puts into packets.
    turn_bytes: usize,
    /// It has had more to do than one turn, and its buffers were not released since.
    busy: Option<Busy>,
    keepalive: Keepalive,
    batching: ReadBatching,
    /// When to acknowledge what was read, unless something is sent before.
    acknowledge_at: Option<Instant>,
    large: LargePackets,
    /// The computation of a costly key exchange.
    agreement: BlockingWork<Agreed>,
    /// A costly signature for a key exchange. The error is the signature algorithm.
    signature: BlockingWork<Result<Vec<u8>, &'static str>>,
    /// Signatures of host keys that the client has asked for.
    proofs: BlockingWork<Option<Vec<u8>>>,
    /// How long a large packet may take while others wait for its memory.
    large_packet_grace: Duration,
    timer: DeadlineTimer,
    origin: Origin,
    /// The end of the first key exchange was told.
    told_negotiated: bool,
}

/// Serves one connection until it is over. `peer` is what limits per source count, and what the log and plugins are
/// told.
pub async fn run<S: ByteStream>(stream: S, peer: impl Into<Peer>, permit: ConnectionPermit, gateway: Arc<Gateway>) {
    let mut driver = Driver::accepted(stream, peer.into(), permit, gateway);
    let Err(end) = driver.serve().await;
    Box::pin(driver.finish(end)).await;
}

impl<S: ByteStream> Driver<S> {
    /// Boxed: the future of a connection would hold its size once for each function that it is passed to.
    fn accepted(stream: S, peer: Peer, permit: ConnectionPermit, gateway: Arc<Gateway>) -> Box<Self> {
        let (now, number) = (Instant::now(), permit.connection());
        emit(ConnectionEvent::Opened { connection: number, peer });
        let origin = Origin { connection: number, peer, local: stream.local_address() };
        let random = Box::new(SystemRandom::new());
        let (login, compression_permit) = (Login::new(number, peer, gateway.access()), gateway.offer_compression());
        let protocol = gateway.protocol(compression_permit.is_some());
        let mut connection = ServerConnection::accepted(protocol, gateway.authentication(), random, now);
        connection.judge_touch();
        let limits = gateway.limits();
        let keepalive = Keepalive::new(limits.keepalive, limits.keepalive_count, now);
        let large_packet_grace = limits.large_packet_grace;
        Box::new(Driver {
            bridge: Bridge::new(gateway.clone(), number, peer),
            shutdown: Shutdown::new(gateway.drain(), now),
            gateway,
            stream,
            connection,
            permit,
            user_permit: None,
            busy_permits: None,
            compression_permit,
            login,
            write_blocked: false,
            buffers: BufferRelease::Busy,
            readable: true,
            work_since_yield: 0,
            turn_bytes: turn_bytes::MOST,
            busy: None,
            keepalive,
            batching: ReadBatching::new(now),
            acknowledge_at: None,
            large: LargePackets::default(),
            agreement: BlockingWork::default(),
            signature: BlockingWork::default(),
            proofs: BlockingWork::default(),
            large_packet_grace,
            timer: DeadlineTimer::new(),
            origin,
            told_negotiated: false,
        })
    }

    /// Takes turns until the connection is over.
    async fn serve(&mut self) -> Result<Infallible, End> {
        loop {
            let mut progress = self.turn(Instant::now())?;
            // A wait that finds something ready every time would never let another connection run.
            while progress == Progress::More || self.work_since_yield >= self.turn_bytes {
                if self.work_since_yield >= self.turn_bytes {
                    self.busy.get_or_insert_with(Busy::begin);
                }
                self.work_since_yield = 0;
                let permits = self.busy_permits.clone();
                let _permit = match &permits {
                    Some(permits) => permits.acquire().await.ok(),
                    None => None,
                };
                // Lets other connections run, and the network driver of tokio.
                tokio::task::yield_now().await;
                // With a peer that never pauses there is no wait: deadlines and signals are checked here.
                self.poll_once().await?;
                progress = self.turn(Instant::now())?;
            }
            if self.wait().await? {
                self.work_since_yield = 0;
            }
        }
    }

    /// Does everything that can be done without waiting, up to the bounds of a turn.
    fn turn(&mut self, now: Instant) -> Result<Progress, End> {
        self.turn_bytes = self.busy.as_ref().map_or(turn_bytes::MOST, Busy::turn_bytes);
        self.work_since_yield += TURN_COST;
        self.bridge.begin_turn(now);
        // 1.
        let (mut progress, read) = self.read(now)?;
        // 2.
        while self.answer(now)? {
            progress = self.receive(now)?;
        }
        if !self.connection.holds_large_packet() {
            self.large.release();
        }
        self.told_negotiated = self.told_negotiated || negotiated::tell(&self.connection, self.bridge.row());
        // For the listener, which evicts those that have progressed least.
        self.permit.reached(self.connection.login_stage());
        // 3.
        let compressed = self.connection.is_compressed();
        let most = if compressed { TURN_BYTES_COMPRESSED.min(self.turn_bytes) } else { self.turn_bytes };
        if self.bridge.send(&mut self.connection, most)? == Progress::More {
            progress = Progress::More;
        }
        // 4.
        self.connection.write_owed(now)?;
        self.account_compression()?;
        // 5.
        let was_full = !self.connection.can_write();
        let written = !self.connection.output().is_empty();
        self.write()?;
        // 6.
        self.acknowledge(read, written, now);
        self.batch_reads(read, now);
        if was_full && self.connection.can_write() {
            // Whatever waited for room in the output (sessions, owed replies, packets that were not handled) can go on.
            // Nothing else may wake the driver: the stream may have taken everything.
            progress = Progress::More;
        }
        // 7.
        self.ended_on_request()?;
        self.shutdown.check(&self.bridge, now)?;
        Ok(progress)
    }

    /// Moves bytes from the stream to the protocol. Returns how many, too.
    fn read(&mut self, now: Instant) -> Result<(Progress, usize), End> {
        let (mut budget, mut read) = (self.turn_bytes, 0);
        let mut progress = self.receive(now)?;
        let is_released = matches!(self.buffers, BufferRelease::Done);
        let may_read = !is_released || std::mem::take(&mut self.readable);
        if is_released && may_read {
            self.buffers = BufferRelease::Busy;
        }
        while budget > 0 && may_read && self.connection.wants_input() {
            let space = self.connection.input();
            let wanted = space.len();
            match self.stream.try_read(space) {
                Ok(0) => return Err(End::Lost(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => {
                    self.connection.filled(count);
                    self.work_since_yield += count;
                    self.bridge.row().add_received(count);
                    read += count;
                    self.buffers = BufferRelease::Busy;
                    self.keepalive.heard(now);
                    progress = self.receive(now)?;
                    budget = budget.saturating_sub(count.max(self.account_compression()?));
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

    /// Counts compressed and decompressed bytes as work, and takes a permit once the connection is compressed. Returns
    /// the number of these bytes.
    fn account_compression(&mut self) -> Result<usize, End> {
        if !self.connection.is_compressed() {
            // Compression begins with the login, or not at all.
            if self.connection.user().is_some() {
                self.compression_permit = None;
            }
            return Ok(0);
        }
        if self.compression_permit.is_none() {
            self.compression_permit = Some(self.gateway.acquire_compression().ok_or(End::TooManyCompressed)?);
        }
        let bytes = usize::try_from(self.connection.take_compression_work()).unwrap_or(usize::MAX);
        self.work_since_yield = self.work_since_yield.saturating_add(bytes);
        Ok(bytes)
    }

    /// Acknowledges what this turn has read, now or soon, if the client may be waiting for that.
    fn acknowledge(&mut self, read: usize, written: bool, now: Instant) {
        if !S::ACKNOWLEDGES {
            return;
        }
        let unanswered = self.connection.take_unanswered();
        let (partial, before_login) = (self.connection.holds_input(), self.connection.user().is_none());
        let full = read >= self.turn_bytes;
        match (TurnSummary { read, written, unanswered, partial, before_login, full }).acknowledgement() {
            Acknowledgement::Unchanged => {}
            Acknowledgement::Done => self.acknowledge_at = None,
            Acknowledgement::Soon => self.acknowledge_at = self.acknowledge_at.or(Some(now + ACKNOWLEDGE_DELAY)),
            Acknowledgement::Now => {
                self.acknowledge_at = None;
                self.stream.acknowledge();
            }
        }
    }

    /// After a turn that has read: lets the kernel wait for more bytes at once, or for fewer.
    fn batch_reads(&mut self, read: usize, now: Instant) {
        if S::HAS_READ_THRESHOLD
            && read > 0
            && let Some(bytes) = self.batching.received(read, now)
        {
            self.stream.set_read_threshold(bytes);
        }
    }

    /// Lets the protocol handle what was read; the bridge takes the events.
    fn receive(&mut self, now: Instant) -> Result<Progress, End> {
        let Driver { connection, bridge, .. } = self;
        Ok(connection.receive(now, |event| bridge.receive(event))?)
    }

    /// Answers the protocol's question, if that can be done at once. Returns whether there may be more to receive.
    fn answer(&mut self, now: Instant) -> Result<bool, End> {
        match self.connection.question() {
            Some(ServerQuestion::Agree(exchange)) => {
                if !self.agreement.is_pending() {
                    let exchange = exchange.clone();
                    let slots = self.gateway.costly_work(self.connection.user().is_some());
                    self.agreement.begin(slots, move || exchange.respond());
                }
                Ok(false)
            }
            Some(ServerQuestion::Sign(request)) if request.is_costly() => {
                if !self.signature.is_pending() {
                    let keys = Arc::clone(self.gateway.host_keys());
                    let (key, algorithm, hash) = (request.host_key.clone(), request.algorithm, request.hash.clone());
                    let sign = move || keys.sign(&key, algorithm, hash.as_ref()).map_err(|_| algorithm);
                    self.signature.begin(self.gateway.costly_work(self.connection.user().is_some()), sign);
                }
                Ok(false)
            }
            Some(ServerQuestion::Sign(request)) => {
                let signature = self.gateway.sign(&request).map_err(|_| End::SignFailed(request.algorithm))?;
                self.connection.signed(&signature)?;
                Ok(true)
            }
            Some(ServerQuestion::ProveHostKeys(proofs)) => {
                if !self.proofs.is_pending() {
                    let (proofs, keys) = (proofs.clone(), Arc::clone(self.gateway.host_keys()));
                    let prove = move || proofs.prove(|key, algorithm, data| keys.sign(key, algorithm, data)).ok();
                    self.proofs.begin(self.gateway.costly_work(true), prove);
                }
                Ok(false)
            }
            Some(ServerQuestion::Attempt(_)) if self.login.is_deciding() => Ok(false),
            Some(ServerQuestion::Attempt(attempt)) => {
                // A client may send its request together with the end of the key exchange.
                self.told_negotiated = self.told_negotiated || negotiated::tell(&self.connection, self.bridge.row());
                let begun = self.login.begin(&self.gateway, &attempt, &self.connection, &self.permit);
                begun.map_err(|_| End::Penalized)?;
                self.decide_at_once()
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

    /// Hands the decision about an attempt that has just come to the protocol, if it needs no wait, as for most keys.
    /// Returns whether it did. Many attempts in one read must not hold up others.
    fn decide_at_once(&mut self) -> Result<bool, End> {
        self.work_since_yield += TURN_COST;
        if self.work_since_yield >= self.turn_bytes {
            return Ok(false);
        }
        // How long the decision takes depends on the name, and only its own answer hides that: neither an earlier
        // answer nor the acknowledgement may wait for it.
        if self.connection.output().is_empty() {
            self.stream.acknowledge();
        } else {
            self.write()?;
        }
        let Some(decision) = self.login.decided_at_once() else { return Ok(false) };
        self.decide(decision)?;
        Ok(true)
    }

    /// Moves bytes from the protocol to the stream, as many as it takes, and lets the stream pass on what it buffers.
    fn write(&mut self) -> Result<(), End> {
        while !self.connection.output().is_empty() {
            match self.stream.try_write(self.connection.output()) {
                Ok(0) => return Err(End::Lost(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    self.connection.sent(count);
                    self.bridge.row().add_sent(count);
                    self.work_since_yield += count;
                    self.buffers = BufferRelease::Busy;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.write_blocked = true;
                    return Ok(());
                }
                Err(error) => return Err(End::Lost(error)),
            }
        }
        match self.stream.try_flush() {
            Ok(()) => self.write_blocked = false,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.write_blocked = true,
            Err(error) => return Err(End::Lost(error)),
        }
        Ok(())
    }

    /// Waits until something can move. Returns whether it had to wait.
    async fn wait(&mut self) -> Result<bool, End> {
        let mut has_waited = false;
        let mut work = pin!(self.wait_for_work());
        poll_fn(|context| {
            let polled = work.as_mut().poll(context);
            has_waited |= polled.is_pending();
            polled
        })
        .await?;
        Ok(has_waited)
    }

    /// Handles what [`wait_for_work`](Driver::wait_for_work) waits for, if it is there already.
    async fn poll_once(&mut self) -> Result<(), End> {
        let mut work = pin!(self.wait_for_work());
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(done),
            Poll::Pending => Poll::Ready(Ok(())),
        })
        .await
    }

    /// Waits for the next thing that can move, and handles it, unless the next turn does.
    async fn wait_for_work(&mut self) -> Result<(), End> {
        let deadline = self.next_deadline();
        let reads = self.connection.wants_input();
        // Nothing is read while an attempt is decided. A client that goes away then has to leave the queue for
        // passwords.
        let hang_up = !reads && self.connection.user().is_none();
        let wanted = Readiness { readable: reads, writable: self.write_blocked, hang_up };
        tokio::select! {
            // The stream may be ready every time, so it comes last.
            biased;
            () = self.permit.evicted() => Err(End::Evicted),
            decision = self.login.decided(), if self.login.is_deciding() => self.decide(decision),
            agreed = self.agreement.done(), if self.agreement.is_pending() => {
                // `None`: the computation has panicked, which was logged. The client did nothing wrong.
                let agreed = agreed.ok_or(Error::Exhausted)?;
                Ok(self.connection.agreed(agreed, Instant::now())?)
            }
            signature = self.signature.done(), if self.signature.is_pending() => {
                let signature = signature.ok_or(Error::Exhausted)?.map_err(End::SignFailed)?;
                Ok(self.connection.signed(&signature)?)
            }
            proofs = self.proofs.done(), if self.proofs.is_pending() => {
                self.connection.proved(proofs.flatten());
                Ok(())
            }
            () = self.large.granted(self.large_packet_grace), if self.large.is_waiting() => {
                self.connection.grant_large_packet();
                Ok(())
            }
            () = self.timer.reached(deadline) => self.timeout(Instant::now()),
            // The next turn checks it.
            () = self.shutdown.advanced() => Ok(()),
            () = self.bridge.has_output() => Ok(()),
            ready = self.stream.ready(wanted), if wanted.any() => {
                self.readable = true;
                ready.map_err(End::Lost)
            }
        }
    }

    /// The earliest deadline.
    fn next_deadline(&mut self) -> Option<Instant> {
        if let BufferRelease::Busy = self.buffers {
            self.buffers = BufferRelease::Due(Instant::now() + BUFFER_RELEASE_DELAY);
        }
        let release = match self.buffers {
            BufferRelease::Due(due) => Some(due),
            BufferRelease::Busy | BufferRelease::Done => None,
        };
        // Before login each stage has its own deadline.
        let keepalive = self.connection.user().and_then(|_| self.keepalive.deadline());
        let large = self.large.deadline();
        release
            .into_iter()
            .chain(self.connection.deadline())
            .chain(keepalive)
            .chain(large)
            .chain(self.acknowledge_at)
            .chain(self.batching.deadline())
            .min()
    }

    /// Checks all deadlines: of the protocol, of large packets, of acknowledgements, of batched reads, of a silent
    /// peer, of idle buffers.
    fn timeout(&mut self, now: Instant) -> Result<(), End> {
        self.connection.handle_timeout(now)?;
        self.large.check(now, self.large_packet_grace)?;
        if self.acknowledge_at.is_some_and(|due| due <= now) {
            self.acknowledge_at = None;
            self.stream.acknowledge();
        }
        if let Some(bytes) = self.batching.timeout(now) {
            // The kernel tells at once of what is there.
            self.stream.set_read_threshold(bytes);
        }
        if !self.connection.wants_input() {
            // A peer from which nothing is read is not silent.
            self.keepalive.heard(now);
        }
        if self.connection.user().is_some() && self.keepalive.is_due(now)? {
            self.connection.global_request(keepalive::REQUEST, b"", true);
            self.buffers = BufferRelease::Busy;
        }
        match self.buffers {
            BufferRelease::Due(due) if due <= now => self.release_buffers(now),
            BufferRelease::Busy | BufferRelease::Due(_) | BufferRelease::Done => {}
        }
        Ok(())
    }

    /// Frees the memory of buffers that are empty.
    fn release_buffers(&mut self, now: Instant) {
        self.busy = None;
        let before = self.connection.buffer_memory();
        self.buffers = if self.connection.release_buffers() {
            self.readable = false;
            BufferRelease::Done
        } else {
            BufferRelease::Due(now + BUFFER_RETRY_DELAY)
        };
        let released = before.saturating_sub(self.connection.buffer_memory());
        if released >= LARGE_BUFFERS {
            self.gateway.connections().add_released(released);
        }
    }

    /// Hands the decision about an attempt to log in to the protocol.
    fn decide(&mut self, decision: Decision) -> Result<(), End> {
        match decision {
            Decision::Undecided(overload) => {
                return Err(self.login.undecided(&self.connection, overload).map_or(End::Penalized, End::Protocol));
            }
            Decision::Reject => {
                if let Some(ServerQuestion::Attempt(attempt)) = self.connection.question() {
                    self.login.log_rejection(&attempt);
                }
                self.connection.decide(Verdict::Reject)?;
            }
            Decision::Partial(partial) => {
                self.connection.decide(Verdict::Partial(partial.next))?;
                self.login.add_partial(partial);
            }
            Decision::Challenge(challenge) => self.connection.decide(Verdict::Challenge(challenge))?,
            Decision::ChangePassword(prompt) => self.connection.decide(Verdict::ChangePassword(prompt))?,
            Decision::RejectKey(reason) => self.connection.refuse_key(reason)?,
            Decision::Accept(identity) => {
                self.connection.decide(Verdict::Accept)?;
                // A key that was only offered and is accepted is no login yet.
                if self.connection.user().is_some() {
                    self.permit.authenticated();
                    self.user_permit = Some(self.login.acquire_connection(&self.gateway, &identity)?);
                    self.busy_permits = self.gateway.tenants().busy_permits(&identity.tenant);
                    if let Some(budget) = self.gateway.tenants().input(&identity.tenant) {
                        self.large.charge_to(budget);
                    }
                    self.login.succeeded(&identity, &self.connection.take_refused());
                    self.connection.announce_host_keys();
                    self.bridge.logged_in(SessionUser::new(identity, self.origin, &self.connection));
                    if self.bridge.has_connection_plugin() {
                        self.connection.pass_on_private_names();
                    }
                }
            }
        }
        Ok(())
    }

    /// Ends the connection if an operator has asked for that.
    fn ended_on_request(&self) -> Result<(), End> {
        match self.bridge.row().end_reason() {
            Some(reason) => Err(End::Requested(reason.to_owned())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
