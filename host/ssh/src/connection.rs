//! One connection: a transport (RFC 4253), an authentication (RFC 4252) and a multiplexer (RFC 4254), put together.
//!
//! The methods are of four kinds. **Queries** read state. **Input** takes bytes and time. **Commands** carry decisions
//! of the application; a command for a channel that no longer exists is ignored. **Output** gives the bytes to send.
//!
//! [`receive`](Connection::receive) passes each event by reference to a closure, which cannot access the connection.
//! What the application cannot answer inside the closure stays as a *question*: no further packet is handled until it
//! is answered.

mod delegation;
mod host_keys;

use std::sync::Arc;
use std::time::Instant;

use crate::algorithm::Negotiated;
use crate::auth::challenge::ReceivedChallenge;
use crate::auth::{self, Machine, Step};
use crate::crypto::agreement::{Agreed, CostlyExchange};
use crate::crypto::hash::ExchangeHash;
use crate::crypto::key::{Presence, PublicKey};
use crate::crypto::random::Random;
use crate::error::{Error, Violation};
use crate::message::mux::number::{
    CHANNEL_CLOSE, CHANNEL_DATA, CHANNEL_EOF, CHANNEL_EXTENDED_DATA, CHANNEL_REQUEST, CHANNEL_WINDOW_ADJUST,
    GLOBAL_REQUEST,
};
use crate::message::mux::{ChannelId, MuxMessage, Stream};
use crate::message::transport::number::{SERVICE_ACCEPT, SERVICE_REQUEST};
use crate::message::{Layer, Output};
use crate::mux::{self, Exit, Mux, OpenFailure};
use crate::phase::{Admission, LoginStage, Phase, admits};
use crate::transport::{self, Packet, SignatureRequest, Transport, TransportEvent};

pub use host_keys::HostKeyProofs;

/// The server's side of a connection.
pub type Server = Connection<auth::server::ServerAuth>;
/// The client's side of a connection.
pub type Client = Connection<auth::client::ClientAuth>;

/// What all connections of a server, or of a client, have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// RFC 4253.
    pub transport: Arc<transport::Settings>,
    /// RFC 4254.
    pub mux: mux::Settings,
}

/// One connection.
pub struct Connection<A> {
    /// RFC 4253: buffers, keys, key exchange.
    transport: Transport,
    /// RFC 4252: who the user is.
    auth: A,
    /// RFC 4254: channels.
    mux: Mux,
    /// Whether a message that gets no answer has come since [`Connection::take_unanswered`] was called last.
    unanswered: bool,
    /// Bytes of channel data that we have sent and for which the peer has not adjusted its windows. It may not have
    /// read them.
    unconfirmed: usize,
    /// The client's request for proofs of host keys that waits for an answer.
    proofs: Option<HostKeyProofs>,
    /// How many such requests the client has made.
    proofs_asked: u32,
}

/// Something that happened. Borrowed from the input buffer: copy what is needed later.
#[derive(Debug)]
pub enum Event<'a> {
    /// An event on or about a channel.
    Channel(mux::Event<'a>),
    /// A debug message. RFC 4253 §11.3.
    Debug {
        /// Its text, in any bytes: escape it before it is shown.
        text: &'a [u8],
        /// The peer asks that it be shown in any case.
        always_display: bool,
    },
    /// Client: text to show before login, in any bytes: escape it before it is shown. RFC 4252 §5.4.
    Banner(&'a [u8]),
    /// Client: the credential was not enough. RFC 4252 §5.1.
    Refused {
        /// It was accepted, and another one is needed beside it.
        partial: bool,
    },
    /// Client: authentication has succeeded. RFC 4252 §5.1.
    Authenticated,
}

/// Whether [`Connection::receive`] has handled everything that can be handled now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Nothing more happens until more input comes, the question is answered, or output has been sent.
    Done,
    /// There may be more to do. Let other connections go first, and call again.
    More,
}

/// The most packets that one call of [`Connection::receive`] handles.
const TURN: usize = 64;

/// After this many decompressed bytes one call of [`Connection::receive`] handles no further packet. A packet of a few
/// hundred bytes may become 256 KiB.
const TURN_DECOMPRESSED: u64 = 128 << 10;

/// Whether we send nothing in answer to this message of a channel: a window adjustment, EOF, CLOSE, or a request that
/// wants no reply. RFC 4254 §5.2 to §5.4. CLOSE is answered by our CLOSE, which as a rule has been sent before.
fn goes_unanswered(payload: &[u8]) -> bool {
    match payload.first() {
        Some(&(CHANNEL_WINDOW_ADJUST | CHANNEL_EOF | CHANNEL_CLOSE)) => true,
        Some(&CHANNEL_REQUEST) => {
            matches!(MuxMessage::decode(payload), Ok(MuxMessage::ChannelRequest { want_reply: false, .. }))
        }
        _ => false,
    }
}

impl<A: Machine> Connection<A> {
    fn start(settings: &Settings, auth: A, random: Box<dyn Random>, now: Instant) -> Connection<A> {
        let transport = Transport::new(settings.transport.clone(), random, now);
        let mux = Mux::new(transport.role(), &settings.mux);
        Connection { transport, auth, mux, unanswered: false, unconfirmed: 0, proofs: None, proofs_asked: 0 }
    }

    // Queries.

    /// The session identifier, once the first key exchange is over. RFC 4253 §7.2.
    pub fn session_id(&self) -> Option<&ExchangeHash> {
        self.transport.session_id()
    }

    /// The algorithms of the latest key exchange.
    pub fn negotiated(&self) -> Option<&Negotiated> {
        self.transport.negotiated()
    }

    /// The peer's identification line without CR LF, in any bytes: escape it before it is shown. RFC 4253 §4.2.
    pub fn peer_identification(&self) -> Option<&[u8]> {
        self.transport.peer_identification()
    }

    /// Whether to read from the socket: the input has room, and the peer reads what we send.
    pub fn wants_input(&self) -> bool {
        self.transport.wants_input() && self.peer_keeps_up()
    }

    /// Whether either direction is compressed. Such a connection needs
    /// [`COMPRESSION_MEMORY`](transport::COMPRESSION_MEMORY).
    pub fn is_compressed(&self) -> bool {
        self.transport.is_compressed()
    }

    /// How many bytes were compressed and decompressed since the last call. The count of bytes on the socket does not
    /// show this work.
    pub fn take_compression_work(&mut self) -> u64 {
        self.transport.take_compression_work()
    }

    /// How many key exchanges are complete.
    pub fn exchanges(&self) -> u64 {
        self.transport.exchanges()
    }

    /// When to call [`handle_timeout`](Connection::handle_timeout) next.
    pub fn deadline(&self) -> Option<Instant> {
        // Keys are not changed before authentication, so that this deadline would stay in the past.
        let rekey = if self.auth.stage() == auth::AuthStage::Open { self.transport.rekey_at() } else { None };
        self.transport.deadlines.next().into_iter().chain(rekey).min()
    }

    /// How many bytes [`write`](Connection::write) would take for this channel now.
    pub fn room(&self, channel: ChannelId) -> usize {
        self.mux.room(channel).min(self.transport.room())
    }

    /// Whether [`write`](Connection::write) could take anything for any channel.
    pub fn can_write(&self) -> bool {
        self.transport.room() > 0
    }

    /// Whether bytes have come that were not handled: part of a packet, or whole packets behind a question.
    pub fn holds_input(&self) -> bool {
        self.transport.holds_input()
    }

    /// Whether a message of a channel that gets no answer has come since the last call. A peer whose kernel holds back
    /// a small write until the one before is acknowledged (Nagle's algorithm) sends nothing more until then.
    pub fn take_unanswered(&mut self) -> bool {
        std::mem::take(&mut self.unanswered)
    }

    /// The phase, which decides which messages are allowed.
    fn phase(&self) -> Phase {
        self.transport.kex_phase().unwrap_or(match self.auth.stage() {
            auth::AuthStage::Service => Phase::Service,
            auth::AuthStage::Auth => Phase::Auth,
            auth::AuthStage::Open => Phase::Open,
        })
    }

    /// Whether the peer reads what we send. While it does not, nothing is read from it.
    fn peer_keeps_up(&self) -> bool {
        self.transport.keeps_up() && self.mux.wants_input(self.transport.exchanging())
    }

    // Input.

    /// Where the next read from the socket goes. Its contents are unspecified.
    pub fn input(&mut self) -> &mut [u8] {
        self.transport.input()
    }

    /// The first `count` bytes of [`input`](Connection::input) have been read.
    pub fn filled(&mut self, count: usize) {
        self.transport.filled(count);
    }

    /// Handles what was read, at most 64 packets a call, so that one connection does not keep a thread.
    ///
    /// # Errors
    /// The connection is over: call [`disconnect`](Connection::disconnect) with the error, send what is left, and close
    /// the socket.
    pub fn receive(&mut self, now: Instant, mut on: impl FnMut(Event<'_>)) -> Result<Progress, Error> {
        self.transport.time_rekey(now, self.unconfirmed)?;
        // While a peer never pauses, nobody waits for a deadline.
        self.handle_timeout(now)?;
        let decompressed = self.transport.decompressed();
        for _ in 0..TURN {
            if self.auth.has_open_question() || self.proofs.is_some() || !self.peer_keeps_up() {
                // The peer's further messages are handled only when the answers that we owe have been put.
                self.put_owed();
                if !self.peer_keeps_up() {
                    return Ok(Progress::Done);
                }
            }
            if self.has_open_question() {
                return Ok(Progress::Done);
            }
            if self.transport.decompressed().saturating_sub(decompressed) >= TURN_DECOMPRESSED {
                return Ok(Progress::More);
            }
            let Some(packet) = self.transport.open_next(now)? else { return Ok(Progress::Done) };
            let admitted = self.admit(&packet, now, &mut on);
            self.transport.close(packet);
            admitted?;
        }
        Ok(Progress::More)
    }

    /// Handles a packet if [`admits`] allows its message in this phase.
    fn admit(&mut self, packet: &Packet, now: Instant, on: &mut dyn FnMut(Event<'_>)) -> Result<(), Error> {
        let number = self.transport.payload(packet).first().copied().ok_or(Violation::EmptyPayload)?;
        match admits(self.transport.role(), self.phase(), number) {
            Admission::Handle => self.dispatch(packet, number, now, on)?,
            Admission::Ignore => {}
            Admission::Unimplemented => self.transport.unimplemented(packet.sequence()),
            Admission::Disconnect => return Err(Violation::Unexpected { number }.into()),
        }
        self.transport.passed(number);
        Ok(())
    }

    /// Passes a payload to its layer.
    fn dispatch(
        &mut self,
        packet: &Packet,
        number: u8,
        now: Instant,
        on: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Error> {
        match Layer::of(number) {
            // Service messages have numbers of the transport, but only authentication uses them.
            Layer::Transport if matches!(number, SERVICE_REQUEST | SERVICE_ACCEPT) => self.handle_auth(packet, on),
            Layer::Transport => {
                // The payload is borrowed from the transport that handles it. Its messages are rare and small.
                let payload = self.transport.payload(packet).to_vec();
                match self.transport.handle(&payload)? {
                    Some(TransportEvent::Debug { text, always_display }) => on(Event::Debug { text, always_display }),
                    Some(TransportEvent::Unimplemented) => self.transport.unimplemented(packet.sequence()),
                    None => {}
                }
                Ok(())
            }
            Layer::Kex => self.transport.handle_kex(packet, now),
            Layer::Auth => self.handle_auth(packet, on),
            Layer::Mux => {
                if matches!(number, CHANNEL_DATA | CHANNEL_EXTENDED_DATA) {
                    self.transport.data_moved();
                }
                if number == GLOBAL_REQUEST && self.proofs_requested(packet) {
                    return Ok(());
                }
                let payload = self.transport.payload(packet);
                self.unanswered |= goes_unanswered(payload);
                if number == CHANNEL_WINDOW_ADJUST
                    && let Ok(MuxMessage::ChannelWindowAdjust { bytes, .. }) = MuxMessage::decode(payload)
                {
                    self.unconfirmed = self.unconfirmed.saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX));
                }
                Ok(self.mux.handle(payload, &mut |event| on(Event::Channel(event)))?)
            }
            Layer::Nobody => Err(Violation::Unexpected { number }.into()),
        }
    }

    /// Whether a question waits for its answer: no packet is handled until then.
    fn has_open_question(&self) -> bool {
        self.transport.has_open_question() || self.auth.has_open_question() || self.proofs.is_some()
    }

    /// Handles the packet if it is a client's request for proofs of host keys, else returns false. OpenSSH PROTOCOL
    /// §2.5. K36.
    fn proofs_requested(&mut self, packet: &Packet) -> bool {
        let payload = self.transport.payload(packet);
        let Ok(MuxMessage::GlobalRequest { kind: host_keys::PROVE, want_reply, body }) = MuxMessage::decode(payload)
        else {
            return false;
        };
        if want_reply {
            let may_ask = self.proofs_asked < host_keys::MOST_REQUESTS;
            self.proofs_asked = self.proofs_asked.saturating_add(1);
            let agreed = self.transport.host_key_signature().unwrap_or_default();
            let requested =
                |session_id| HostKeyProofs::requested(body.0, self.transport.host_keys(), agreed, session_id);
            self.proofs = self.transport.session_id().filter(|_| may_ask).and_then(requested);
            if self.proofs.is_none() {
                self.mux.answer_global(None);
            }
        }
        true
    }

    /// Handles a payload of authentication.
    fn handle_auth(&mut self, packet: &Packet, on: &mut dyn FnMut(Event<'_>)) -> Result<(), Error> {
        let Some(session_id) = self.transport.session_id() else { return Err(Error::Exhausted) };
        match self.auth.handle(self.transport.payload(packet), session_id.as_ref())? {
            // The client is asked for a signature or for answers by `Client::question`, the server for a verdict by
            // `Server::question`.
            Step::Nothing | Step::Sign | Step::Challenge | Step::ChangePassword | Step::Attempt => {}
            Step::Banner(text) => on(Event::Banner(text)),
            Step::Refused { partial } => on(Event::Refused { partial }),
            Step::Authenticated => {
                // The server's next packet may be compressed.
                self.transport.authenticated();
                on(Event::Authenticated);
            }
        }
        Ok(())
    }

    /// Checks the deadlines.
    ///
    /// # Errors
    /// [`Error::TimedOut`]: a stage has taken too long.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.transport.deadlines.check(now)
    }

    // Commands.

    /// Answers [`mux::Event::Open`]: opens the channel.
    pub fn accept(&mut self, channel: ChannelId) {
        self.mux.accept(channel);
    }

    /// Answers [`mux::Event::Open`]: the channel is not opened.
    pub fn refuse(&mut self, channel: ChannelId, reason: OpenFailure, text: &str) {
        self.mux.refuse(channel, reason, text);
    }

    /// Answers the oldest [`mux::Event::Request`] of the channel that has no answer yet. RFC 4254 §5.4.
    pub fn reply(&mut self, channel: ChannelId, success: bool) {
        self.mux.reply(channel, success);
    }

    /// Answers the `times` oldest of them alike.
    pub fn reply_alike(&mut self, channel: ChannelId, success: bool, times: u32) {
        self.mux.reply_alike(channel, success, times);
    }

    /// Sends at most one packet of data on a stream. Returns how many bytes were taken. RFC 4254 §5.2.
    pub fn write(&mut self, channel: ChannelId, stream: Stream, data: &[u8]) -> usize {
        let before = self.transport.output().len();
        let written = self.mux.write(channel, stream, data, &mut self.transport);
        // After `eow@openssh.com` the mux takes data without sending it.
        if written > 0 && self.transport.output().len() > before {
            self.transport.data_moved();
            self.unconfirmed = self.unconfirmed.saturating_add(written);
        }
        written
    }

    /// The application has consumed `bytes` of the channel's data: the peer may send as many more. RFC 4254 §5.2.
    pub fn taken(&mut self, channel: ChannelId, bytes: usize) {
        self.mux.taken(channel, bytes);
    }

    /// Sends EOF: no more data will be written. RFC 4254 §5.3.
    pub fn send_eof(&mut self, channel: ChannelId) {
        self.mux.send_eof(channel);
    }

    /// The program has ended: sends its status or signal, EOF and CLOSE, in this order. RFC 4254 §6.10.
    pub fn exit(&mut self, channel: ChannelId, exit: Exit) {
        self.mux.exit(channel, exit);
    }

    /// Closes the channel. RFC 4254 §5.3.
    pub fn close(&mut self, channel: ChannelId) {
        self.mux.close(channel);
    }

    /// Makes a request on a channel. Type and body are together at most one packet long. False if they are longer, if
    /// 16 requests wait already, or if the channel is not open. RFC 4254 §5.4.
    pub fn request(&mut self, channel: ChannelId, request_type: &[u8], body: &[u8], want_reply: bool) -> bool {
        self.mux.request(channel, request_type, body, want_reply)
    }

    /// Makes a global request. Name and body are together at most one packet long. False if they are longer, or if 16
    /// requests wait already. RFC 4254 §4.
    pub fn global_request(&mut self, name: &[u8], body: &[u8], want_reply: bool) -> bool {
        self.mux.global_request(name, body, want_reply)
    }

    /// Starts a key exchange, if none is under way and the user is authenticated. RFC 4253 §9. Before authentication it
    /// could deadlock: a key exchange holds back our answer to the client, and nothing is read while we owe an answer.
    pub fn rekey(&mut self) {
        if self.auth.stage() == auth::AuthStage::Open {
            self.transport.rekey();
        }
    }

    /// The connection is over: appends the error's DISCONNECT, if it has one, to the output. RFC 4253 §11.1.
    pub fn disconnect(&mut self, error: &Error) {
        self.transport.send_disconnect(error);
    }

    /// Sends a debug message, or drops it while the output has no room. RFC 4253 §11.3.
    pub fn debug(&mut self, text: &str, always_display: bool) {
        self.transport.debug(text, always_display);
    }

    // Output.

    /// Turns what is owed (replies, credit, EOF, CLOSE) into packets while the output has room, and starts a key
    /// exchange when one is due.
    ///
    /// # Errors
    /// [`Error::Exhausted`]: no more packets can be protected.
    pub fn write_owed(&mut self, now: Instant) -> Result<(), Error> {
        self.put_owed();
        if self.transport.rekey_due(now) {
            self.rekey();
        }
        if self.transport.exhausted() { Err(Error::Exhausted) } else { Ok(()) }
    }

    /// Turns what is owed into packets while the output has room.
    fn put_owed(&mut self) {
        if self.auth.owes() {
            self.transport.write_owed();
            self.auth.write_owed(&mut self.transport);
        }
        if self.auth.stage() == auth::AuthStage::Open {
            self.transport.authenticated();
            if self.mux.owes() {
                self.mux.write_owed(&mut self.transport);
            }
        }
    }

    /// Bytes to write to the socket.
    pub fn output(&self) -> &[u8] {
        self.transport.output()
    }

    /// The socket has taken the first `count` bytes of [`output`](Connection::output).
    pub fn sent(&mut self, count: usize) {
        self.transport.sent(count);
    }

    /// Frees the memory of empty buffers. Returns whether no buffer holds memory now.
    pub fn release_buffers(&mut self) -> bool {
        self.transport.release_buffers()
    }

    /// How many bytes of memory the buffers take, of which a compressed connection has more.
    pub fn buffer_memory(&self) -> usize {
        self.transport.buffer_memory()
    }
}

/// What the server's application has to answer before the next packet is handled.
#[derive(Clone, Copy)]
pub enum ServerQuestion<'a> {
    /// Compute this key exchange, on a blocking thread: [`Server::agreed`].
    Agree(&'a CostlyExchange),
    /// Make these signatures, on a blocking thread: [`Server::proved`].
    ProveHostKeys(&'a HostKeyProofs),
    /// Sign with this host key, on a blocking thread if [costly](SignatureRequest::is_costly): [`Server::signed`].
    Sign(SignatureRequest<'a>),
    /// Decide whether this credential authenticates this user: [`Server::decide`].
    Attempt(auth::server::Attempt<'a>),
    /// A packet has begun that exceeds the limit before login by this many bytes. Reserve memory for them, then call
    /// [`Server::grant_large_packet`].
    LargePacket(usize),
}

impl Server {
    /// A connection that the server has accepted. Our identification and KEXINIT are in the output.
    pub fn accepted(
        settings: &Settings,
        auth: Arc<auth::server::Settings>,
        random: Box<dyn Random>,
        now: Instant,
    ) -> Server {
        Connection::start(settings, auth::server::ServerAuth::new(auth), random, now)
    }

    /// The question that waits for an answer, if any.
    pub fn question(&self) -> Option<ServerQuestion<'_>> {
        let agree = self.transport.to_agree().map(ServerQuestion::Agree);
        agree
            .or_else(|| self.transport.to_sign().map(ServerQuestion::Sign))
            .or_else(|| self.auth.attempt().map(ServerQuestion::Attempt))
            .or_else(|| self.transport.large_packet().map(ServerQuestion::LargePacket))
            .or_else(|| self.proofs.as_ref().map(ServerQuestion::ProveHostKeys))
    }

    /// Answers [`ServerQuestion::Agree`]. Ignored if there is no such question.
    ///
    /// # Errors
    /// The client's share is not valid.
    pub fn agreed(&mut self, agreed: Agreed, now: Instant) -> Result<(), Error> {
        self.transport.agreed(agreed, now)
    }

    /// Answers [`ServerQuestion::Sign`] with a signature blob, RFC 4253 §6.6.
    ///
    /// # Errors
    /// The keys could not be derived.
    pub fn signed(&mut self, signature: &[u8]) -> Result<(), Error> {
        if let Some(blob) = self.transport.first_host_key() {
            self.auth.set_host_key(blob);
        }
        self.transport.signed(signature)
    }

    /// Answers [`ServerQuestion::ProveHostKeys`] with the outcome of [`HostKeyProofs::prove`]: `None` if it failed.
    /// Ignored if there is no such question.
    pub fn proved(&mut self, proofs: Option<Vec<u8>>) {
        if self.proofs.take().is_some() {
            self.mux.answer_global(proofs);
        }
    }

    /// Tells the client every host key. To be called once, after login. False if the client was not told: its software
    /// is known to fail on the message, or 16 requests wait. OpenSSH PROTOCOL §2.5.
    pub fn announce_host_keys(&mut self) -> bool {
        if !self.peer_identification().is_some_and(host_keys::accepts_announcement) {
            return false;
        }
        let body = host_keys::announcement(self.transport.host_keys());
        self.mux.global_request(host_keys::ANNOUNCE, &body, false)
    }

    /// What the security key of the attempt says of its user: see [`auth::server::ServerAuth::presence`].
    pub fn presence(&self) -> Option<Presence> {
        self.auth.presence()
    }

    /// The application judges signatures of security keys that nobody has touched: see
    /// [`auth::server::ServerAuth::judge_touch`].
    pub fn judge_touch(&mut self) {
        self.auth.judge_touch();
    }

    /// Whether the client has left a challenge unanswered since the last call: see
    /// [`auth::server::ServerAuth::take_abandoned`].
    pub fn take_abandoned(&mut self) -> bool {
        self.auth.take_abandoned()
    }

    /// Answers [`ServerQuestion::Attempt`].
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`]: it was the last failure that is allowed.
    pub fn decide(&mut self, verdict: auth::server::Verdict) -> Result<(), Error> {
        self.auth.decide(verdict)
    }

    /// Answers [`ServerQuestion::Attempt`], which was about a key that the user has, with a refusal. The reason is for
    /// the log alone.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`]: it was the last failure that is allowed.
    pub fn refuse_key(&mut self, reason: String) -> Result<(), Error> {
        self.auth.refuse_key(reason)
    }

    /// How far the login has come. Cheap: may be asked after every read.
    pub fn login_stage(&self) -> LoginStage {
        if self.auth.stage() == auth::AuthStage::Open { LoginStage::Done } else { self.transport.login_stage() }
    }

    /// Answers [`ServerQuestion::LargePacket`]: the memory is reserved. Ignored if there is no such question.
    pub fn grant_large_packet(&mut self) {
        self.transport.grant_large_packet();
    }

    /// Whether the memory that was granted last is still in use: its packet is incomplete or not handled yet.
    pub fn holds_large_packet(&self) -> bool {
        self.transport.holds_large_packet()
    }

    /// The authenticated user: any bytes.
    pub fn user(&self) -> Option<&[u8]> {
        self.auth.user()
    }

    /// The user name of the first authentication request, in any bytes.
    pub fn asking(&self) -> Option<&[u8]> {
        self.auth.asking()
    }

    /// The credentials that were refused so far, for the log.
    pub fn refused(&self) -> &auth::refused::RefusedAttempts {
        self.auth.refused()
    }

    /// Takes the credentials that were refused so far, for the log.
    pub fn take_refused(&mut self) -> auth::refused::RefusedAttempts {
        self.auth.take_refused()
    }
}

/// What the client's application has to answer before the next packet is handled.
#[derive(Clone, Debug)]
pub enum ClientQuestion<'a> {
    /// Decide whether this is the server's key: [`Client::trust`].
    HostKey(&'a PublicKey),
    /// Sign these bytes with the user's key: [`Client::signed`].
    Sign(Vec<u8>),
    /// Ask the user this: [`Client::answer`]. RFC 4256 §3.2.
    Challenge(&'a ReceivedChallenge),
    /// The password must be changed. This is the server's text for the user, in any bytes: escape it before it is
    /// shown. Try [`auth::client::ClientCredential::NewPassword`] or another credential. RFC 4252 §8.
    ChangePassword(&'a [u8]),
}

impl Client {
    /// A connection that the client has opened. Our identification and KEXINIT are in the output.
    pub fn connected(settings: &Settings, user: &[u8], random: Box<dyn Random>, now: Instant) -> Client {
        Connection::start(settings, auth::client::ClientAuth::new(user), random, now)
    }

    /// The question that waits for an answer, if any.
    pub fn question(&self) -> Option<ClientQuestion<'_>> {
        let key = self.transport.host_key_offered().map(ClientQuestion::HostKey);
        key.or_else(|| {
            let session_id = self.transport.session_id()?;
            self.auth.to_sign(session_id.as_ref()).map(ClientQuestion::Sign)
        })
        .or_else(|| self.auth.challenge().map(ClientQuestion::Challenge))
        .or_else(|| self.auth.change_prompt().map(ClientQuestion::ChangePassword))
    }

    /// Answers [`ClientQuestion::HostKey`].
    ///
    /// # Errors
    /// [`Error::HostKeyRefused`] if it is not trusted.
    pub fn trust(&mut self, trusted: bool) -> Result<(), Error> {
        self.transport.trust(trusted)
    }

    /// Answers [`ClientQuestion::Sign`] with a signature blob.
    pub fn signed(&mut self, signature: &[u8]) {
        self.auth.signed(signature);
    }

    /// Answers [`ClientQuestion::Challenge`], each prompt in turn.
    pub fn answer(&mut self, answers: &[&[u8]]) {
        self.auth.answer(answers);
    }

    /// Authenticates with this credential, now or as soon as the first key exchange is over.
    pub fn authenticate(&mut self, credential: auth::client::ClientCredential<'_>) {
        self.auth.authenticate(credential);
    }

    /// The methods that can continue after a refusal, separated by commas. RFC 4252 §5.1.
    pub fn methods(&self) -> &str {
        self.auth.methods()
    }

    /// Opens a session channel. None if there are too many. RFC 4254 §6.1.
    pub fn open_session(&mut self) -> Option<ChannelId> {
        self.mux.open_session()
    }
}
