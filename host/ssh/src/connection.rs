//! One connection: a transport, an authentication and a multiplexer, and nothing else.
//!
//! Four kinds of method. **Ask** looks and changes nothing. **In** takes bytes and time. **Commands** are the application's answers
//! and wishes; they may come late, for things that are gone, and are then ignored. **Out** gives the bytes for the socket.
//! [`receive`](Connection::receive) lends each event to a closure, which shows the law of the house: handling an event never needs the
//! connection. What cannot be answered at once stands as a *question*, and no further packet is looked at until it is answered.

use std::sync::Arc;
use std::time::Instant;

use crate::algorithm::Negotiated;
use crate::auth::{self, Machine, Step};
use crate::crypto::hash::ExchangeHash;
use crate::crypto::key::PublicKey;
use crate::crypto::random::Random;
use crate::error::{Error, Violation};
use crate::message::mux::number::{
    CHANNEL_CLOSE, CHANNEL_DATA, CHANNEL_EOF, CHANNEL_EXTENDED_DATA, CHANNEL_REQUEST, CHANNEL_WINDOW_ADJUST,
};
use crate::message::mux::{ChannelId, MuxMessage, Stream};
use crate::message::transport::number::{SERVICE_ACCEPT, SERVICE_REQUEST};
use crate::message::{Layer, Output};
use crate::mux::{self, Exit, Mux, OpenFailure};
use crate::phase::{Admission, LoginStage, Phase, admits};
use crate::transport::{self, Note, Packet, SignatureRequest, Transport};

/// The side that was called.
pub type Server = Connection<auth::server::Server>;
/// The side that calls.
pub type Client = Connection<auth::client::Client>;

/// What all connections of a side have in common.
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
    /// RFC 4252: who this is.
    auth: A,
    /// RFC 4254: channels.
    mux: Mux,
    /// A message has come that the peer gets no answer to, since this was asked last.
    unanswered: bool,
    /// Bytes of data that we have sent and that the peer has not adjusted its windows for: it may not have read them.
    unconfirmed: usize,
}

/// Something that happened. It is lent: what is needed later must be copied.
#[derive(Debug)]
pub enum Event<'a> {
    /// On or about a channel.
    Channel(mux::Event<'a>),
    /// A note for whoever debugs, in any bytes. RFC 4253 §11.3.
    Debug {
        /// The note.
        text: &'a [u8],
        /// The peer thinks that it should be shown in any case.
        always_display: bool,
    },
    /// Client: text to show before login, in any bytes. RFC 4252 §5.4.
    Banner(&'a [u8]),
    /// Client: the credential did not do. RFC 4252 §5.1.
    Refused {
        /// It was right, but another one is needed.
        partial: bool,
    },
    /// Client: authentication has succeeded. RFC 4252 §5.1.
    Authenticated,
}

/// Whether `receive` has looked at everything that can be looked at now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Nothing more until there is more input, an answer to the question that stands, or less output that waits for the socket.
    Done,
    /// There may be more: call again when the others have had their turn.
    More,
}

/// The most packets that one call of `receive` handles.
const TURN: usize = 64;

/// Whether nothing will be sent because of this message of a channel: window adjustment, EOF, CLOSE, and a request that
/// wants no answer. RFC 4254 §5.2 to §5.4. CLOSE is answered by ours, but as a rule ours has gone out before.
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
        Connection { transport, auth, mux, unanswered: false, unconfirmed: 0 }
    }

    // Ask.

    /// The connection's name, once the first key exchange is over. RFC 4253 §7.2.
    pub fn session_id(&self) -> Option<&ExchangeHash> {
        self.transport.session_id()
    }

    /// The algorithms that both sides have settled on.
    pub fn negotiated(&self) -> Option<&Negotiated> {
        self.transport.negotiated()
    }

    /// The peer's identification line in any bytes, without its end. RFC 4253 §4.2.
    pub fn peer_identification(&self) -> Option<&[u8]> {
        self.transport.peer_identification()
    }

    /// Whether the peer may send: its bytes have room, and it takes ours.
    pub fn wants_input(&self) -> bool {
        self.transport.wants_input() && self.listens()
    }

    /// How many key exchanges are over.
    pub fn exchanges(&self) -> u64 {
        self.transport.exchanges()
    }

    /// When [`handle_timeout`](Connection::handle_timeout) wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        // Keys are not changed before authentication, so a timer for it would be due for ever.
        let rekey = if self.auth.stage() == auth::Stage::Open { self.transport.rekey_at() } else { None };
        self.transport.deadlines.next().into_iter().chain(rekey).min()
    }

    /// How many bytes of data [`write`](Connection::write) could take for this channel now.
    pub fn room(&self, channel: ChannelId) -> usize {
        self.mux.room(channel).min(self.transport.room())
    }

    /// Whether [`write`](Connection::write) could take anything for any channel.
    pub fn can_write(&self) -> bool {
        self.transport.room() > 0
    }

    /// Whether bytes have come that were not looked at: a part of a packet, as long as nothing holds whole ones up.
    pub fn holds_input(&self) -> bool {
        self.transport.holds_input()
    }

    /// Whether a message on a channel has come that gets no answer, since this was asked last. A peer whose kernel
    /// holds small writes back until the one before is acknowledged (Nagle) can send nothing more until we do that.
    pub fn take_unanswered(&mut self) -> bool {
        std::mem::take(&mut self.unanswered)
    }

    /// Which messages have a place now.
    fn phase(&self) -> Phase {
        self.transport.kex_phase().unwrap_or(match self.auth.stage() {
            auth::Stage::Service => Phase::Service,
            auth::Stage::Auth => Phase::Auth,
            auth::Stage::Open => Phase::Open,
        })
    }

    /// Whether the peer takes what we send, and so is listened to.
    fn listens(&self) -> bool {
        self.transport.keeps_up() && self.mux.wants_input(self.transport.exchanging())
    }

    // In.

    /// Room for the next read from the socket. Its contents have no meaning.
    pub fn input(&mut self) -> &mut [u8] {
        self.transport.input()
    }

    /// The first `count` bytes of that room hold what was read.
    pub fn filled(&mut self, count: usize) {
        self.transport.filled(count);
    }

    /// Looks at what has come. At most 64 packets a call, so that one connection cannot hold a thread.
    ///
    /// # Errors
    /// The connection is over: [`disconnect`](Connection::disconnect) with the error, send what is left, close the socket.
    pub fn receive(&mut self, now: Instant, mut on: impl FnMut(Event<'_>)) -> Result<Progress, Error> {
        self.transport.time_rekey(now, self.unconfirmed)?;
        // A peer that never pauses leaves nobody the time to look at a timer.
        self.handle_timeout(now)?;
        for _ in 0..TURN {
            if self.auth.waits() || !self.listens() {
                // Answers that are owed hold up what the peer has sent behind its requests.
                self.put_owed();
            }
            if self.transport.waits() || self.auth.waits() || !self.listens() {
                return Ok(Progress::Done);
            }
            let Some(packet) = self.transport.open_next(now)? else { return Ok(Progress::Done) };
            let admitted = self.admit(&packet, now, &mut on);
            self.transport.close(packet);
            admitted?;
        }
        Ok(Progress::More)
    }

    /// Asks the one table, and only then a handler.
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

    /// Gives a payload to its layer.
    fn dispatch(
        &mut self,
        packet: &Packet,
        number: u8,
        now: Instant,
        on: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), Error> {
        match Layer::of(number) {
            // The service is asked for in the transport's numbers but concerns authentication alone.
            Layer::Transport if matches!(number, SERVICE_REQUEST | SERVICE_ACCEPT) => self.handle_auth(packet, on),
            Layer::Transport => {
                // The transport cannot be changed while its own buffer is lent out; its messages are rare and small.
                let payload = self.transport.payload(packet).to_vec();
                match self.transport.handle(&payload)? {
                    Some(Note::Debug { text, always_display }) => on(Event::Debug { text, always_display }),
                    Some(Note::Late) => self.transport.unimplemented(packet.sequence()),
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
                let payload = self.transport.payload(packet);
                self.unanswered |= goes_unanswered(payload);
                if number == CHANNEL_WINDOW_ADJUST
                    && let Ok(MuxMessage::ChannelWindowAdjust { bytes, .. }) = MuxMessage::decode(payload)
                {
                    self.unconfirmed = self.unconfirmed.saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX));
                }
                Ok(self.mux.handle(self.transport.payload(packet), &mut |event| on(Event::Channel(event)))?)
            }
            Layer::Nobody => Err(Violation::Unexpected { number }.into()),
        }
    }

    /// A payload of authentication.
    fn handle_auth(&mut self, packet: &Packet, on: &mut dyn FnMut(Event<'_>)) -> Result<(), Error> {
        let Some(session_id) = self.transport.session_id() else { return Err(Error::Exhausted) };
        match self.auth.handle(self.transport.payload(packet), session_id.as_ref())? {
            // A key that would do is a question to the client's user: `Client::question`.
            Step::Nothing | Step::Sign | Step::Attempt => {}
            Step::Banner(text) => on(Event::Banner(text)),
            Step::Refused { partial } => on(Event::Refused { partial }),
            Step::Authenticated => on(Event::Authenticated),
        }
        Ok(())
    }

    /// Time has passed.
    ///
    /// # Errors
    /// A stage has taken too long.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.transport.deadlines.check(now)
    }

    // Commands.

    /// Answers [`mux::Event::Open`]: the channel is open.
    pub fn accept(&mut self, channel: ChannelId) {
        self.mux.accept(channel);
    }

    /// Answers [`mux::Event::Open`]: it is not.
    pub fn refuse(&mut self, channel: ChannelId, reason: OpenFailure, text: &str) {
        self.mux.refuse(channel, reason, text);
    }

    /// Answers the oldest unanswered [`mux::Event::Request`] of the channel.
    pub fn reply(&mut self, channel: ChannelId, success: bool) {
        self.mux.reply(channel, success);
    }

    /// Answers so many of the oldest unanswered ones alike.
    pub fn reply_alike(&mut self, channel: ChannelId, success: bool, times: u32) {
        self.mux.reply_alike(channel, success, times);
    }

    /// Sends at most one packet of data on a stream. Returns how many bytes it took. RFC 4254 §5.2.
    pub fn write(&mut self, channel: ChannelId, stream: Stream, data: &[u8]) -> usize {
        let written = self.mux.write(channel, stream, data, &mut self.transport);
        if written > 0 {
            self.transport.data_moved();
            self.unconfirmed = self.unconfirmed.saturating_add(written);
        }
        written
    }

    /// The program has taken so many bytes: the peer may send as many more.
    pub fn taken(&mut self, channel: ChannelId, bytes: usize) {
        self.mux.taken(channel, bytes);
    }

    /// No more data will be written. RFC 4254 §5.3.
    pub fn send_eof(&mut self, channel: ChannelId) {
        self.mux.send_eof(channel);
    }

    /// The program is over: its status or signal, EOF and CLOSE go out in this order. RFC 4254 §6.10.
    pub fn exit(&mut self, channel: ChannelId, exit: Exit) {
        self.mux.exit(channel, exit);
    }

    /// Closes the channel. RFC 4254 §5.3.
    pub fn close(&mut self, channel: ChannelId) {
        self.mux.close(channel);
    }

    /// Asks something of the peer on a channel. False when too much waits already or the channel is gone. RFC 4254 §5.4.
    pub fn request(&mut self, channel: ChannelId, kind: &[u8], body: &[u8], want_reply: bool) -> bool {
        self.mux.request(channel, kind, body, want_reply)
    }

    /// Asks the peer whether it is there. Any answer will do, and every answer is input.
    pub fn keepalive(&mut self) {
        self.mux.global_request(b"keepalive@openssh.com", b"", true);
    }

    /// Starts a key exchange, if none is under way and the user is authenticated. RFC 4253 §9. Before that it would
    /// hold back the answer to a request, and nothing is read while an answer is owed: neither side would move any
    /// more.
    pub fn rekey(&mut self) {
        if self.auth.stage() == auth::Stage::Open {
            self.transport.rekey();
        }
    }

    /// The connection is over: puts the DISCONNECT that the error asks for behind what is in the output.
    pub fn disconnect(&mut self, error: &Error) {
        self.transport.send_disconnect(error);
    }

    /// Sends a note for whoever debugs, or drops it where there is no room for it. RFC 4253 §11.3.
    pub fn debug(&mut self, text: &str, always_display: bool) {
        self.transport.debug(text, always_display);
    }

    /// Sends any payload as it is, for tests of the side that receives it.
    #[doc(hidden)]
    pub fn send_anything(&mut self, payload: &[u8]) {
        self.transport.send_anything(payload);
    }

    // Out.

    /// Turns what is owed into packets, as far as they may leave, and changes the keys when they are due.
    ///
    /// # Errors
    /// The keys can protect no more.
    pub fn settle(&mut self, now: Instant) -> Result<(), Error> {
        self.put_owed();
        if self.transport.rekey_due(now) {
            self.rekey();
        }
        if self.transport.exhausted() { Err(Error::Exhausted) } else { Ok(()) }
    }

    /// Turns what is owed into packets, as far as they may leave.
    fn put_owed(&mut self) {
        self.auth.settle(&mut self.transport);
        if self.auth.stage() == auth::Stage::Open {
            self.transport.authenticated();
            self.mux.settle(&mut self.transport);
        }
    }

    /// What the socket shall have.
    pub fn output(&self) -> &[u8] {
        self.transport.output()
    }

    /// The socket has taken so many bytes of it.
    pub fn sent(&mut self, count: usize) {
        self.transport.sent(count);
    }

    /// Frees the memory of empty buffers. Returns whether no buffer holds memory any more.
    pub fn release_buffers(&mut self) -> bool {
        self.transport.release_buffers()
    }
}

/// What a server has to be told before it reads on.
#[derive(Clone, Copy)]
pub enum ServerQuestion<'a> {
    /// The signature of a host key of ours: [`Server::signed`].
    Sign(SignatureRequest<'a>),
    /// Does this credential authenticate this user? [`Server::decide`].
    Attempt(auth::server::Attempt<'a>),
    /// A packet has begun that is larger than those before login may be, by so many bytes. They must be set aside
    /// before it is read: [`Server::grant_large_packet`].
    LargePacket(usize),
}

impl Server {
    /// Starts a connection that was accepted.
    pub fn accepted(
        settings: &Settings,
        auth: Arc<auth::server::Settings>,
        random: Box<dyn Random>,
        now: Instant,
    ) -> Server {
        Connection::start(settings, auth::server::Server::new(auth), random, now)
    }

    /// The question that stands, if any.
    pub fn question(&self) -> Option<ServerQuestion<'_>> {
        let sign = self.transport.to_sign().map(ServerQuestion::Sign);
        sign.or_else(|| self.auth.attempt().map(ServerQuestion::Attempt))
            .or_else(|| self.transport.large_packet().map(ServerQuestion::LargePacket))
    }

    /// Answers [`ServerQuestion::Sign`] with a signature blob, RFC 4253 §6.6.
    ///
    /// # Errors
    /// The keys could not be made.
    pub fn signed(&mut self, signature: &[u8]) -> Result<(), Error> {
        self.transport.signed(signature)
    }

    /// Answers [`ServerQuestion::Attempt`].
    ///
    /// # Errors
    /// It was the last failure that is allowed.
    pub fn decide(&mut self, verdict: auth::server::Verdict) -> Result<(), Error> {
        self.auth.decide(verdict)
    }

    /// How far the client has come with logging in. Cheap: may be asked after every read.
    pub fn login_stage(&self) -> LoginStage {
        if self.auth.stage() == auth::Stage::Open { LoginStage::Done } else { self.transport.login_stage() }
    }

    /// Answers [`ServerQuestion::LargePacket`]: the bytes are set aside. Ignored when no such question stands.
    pub fn grant_large_packet(&mut self) {
        self.transport.grant_large_packet();
    }

    /// Whether the bytes that were granted last are still needed: their packet has not come whole, or was not dealt
    /// with.
    pub fn holds_large_packet(&self) -> bool {
        self.transport.holds_large_packet()
    }

    /// The authenticated user, in any bytes.
    pub fn user(&self) -> Option<&[u8]> {
        self.auth.user()
    }

    /// The user name of the first request, in any bytes.
    pub fn asking(&self) -> Option<&[u8]> {
        self.auth.asking()
    }

    /// What was refused so far: for the log.
    pub fn refused(&self) -> &auth::refused::Refused {
        self.auth.refused()
    }

    /// The same, which is forgotten.
    pub fn take_refused(&mut self) -> auth::refused::Refused {
        self.auth.take_refused()
    }
}

/// What a client has to be told.
#[derive(Clone, Debug)]
pub enum ClientQuestion<'a> {
    /// Is this the server's key? [`Client::trust`].
    HostKey(&'a PublicKey),
    /// The user's signature over these bytes: [`Client::signed`].
    Sign(Vec<u8>),
}

impl Client {
    /// Starts a connection that was made.
    pub fn connected(settings: &Settings, user: &[u8], random: Box<dyn Random>, now: Instant) -> Client {
        Connection::start(settings, auth::client::Client::new(user), random, now)
    }

    /// The question that stands, if any.
    pub fn question(&self) -> Option<ClientQuestion<'_>> {
        let key = self.transport.host_key_offered().map(ClientQuestion::HostKey);
        key.or_else(|| {
            let session_id = self.transport.session_id()?;
            self.auth.to_sign(session_id.as_ref()).map(ClientQuestion::Sign)
        })
    }

    /// Answers [`ClientQuestion::HostKey`].
    ///
    /// # Errors
    /// It was not trusted.
    pub fn trust(&mut self, trusted: bool) -> Result<(), Error> {
        self.transport.trust(trusted)
    }

    /// Answers [`ClientQuestion::Sign`] with a signature blob.
    pub fn signed(&mut self, signature: &[u8]) {
        self.auth.signed(signature);
    }

    /// Authenticates with this, at once or as soon as the keys are there.
    pub fn authenticate(&mut self, credential: auth::client::Credential<'_>) {
        self.auth.authenticate(credential);
    }

    /// The methods that may go on after a refusal, joined with commas.
    pub fn methods(&self) -> &str {
        self.auth.methods()
    }

    /// Asks for a session. None when there are too many. RFC 4254 §6.1.
    pub fn open_session(&mut self) -> Option<ChannelId> {
        self.mux.open_session()
    }
}
