//! RFC 4253, the transport protocol: bytes of a socket on one side, payloads of messages on the other.
//!
//! Owns both buffers, the keys, the sequence numbers, the key exchange in progress and the session identifier. Knows
//! neither users nor channels.

mod buffer;
mod compression;
mod deadline;
mod extensions;
mod kex;
mod packet;
mod settings;
mod version;

use std::sync::Arc;
use std::time::Instant;

pub use compression::COMPRESSION_MEMORY;
pub use deadline::Timeouts;
pub use settings::{BadSoftwareVersion, Party, RekeyPolicy, Settings, SoftwareVersion};

use crate::algorithm::Negotiated;
use crate::crypto::agreement::{Agreed, CostlyExchange};
use crate::crypto::hash::ExchangeHash;
use crate::crypto::key::PublicKey;
use crate::crypto::random::Random;
use crate::error::{Error, Stage, Violation};
use crate::message::kex::KexMessage;
use crate::message::kex::number::NEWKEYS;
use crate::message::transport::TransportMessage;
use crate::message::transport::number::EXT_INFO;
use crate::message::{Encode, Output, Role};
use crate::phase::{LoginStage, Phase};
use crate::wire::Rest;

use deadline::Deadlines;
use extensions::{ExtInfo, Extensions};
use kex::exchange::{ExpectKexInit, ExpectNewKeys, Identifications, unexpected};
pub use kex::server::SignatureRequest;
use kex::{Kex, client, server};
use packet::{Encoded, Incoming, Opened, Outgoing};
use version::{Identification, Peer, Scan};

/// A packet that was decrypted in place in the input. It stays there until [`Transport::close`].
#[derive(Debug)]
pub(crate) struct Packet(Opened);

impl Packet {
    /// Its sequence number. RFC 4253 §6.4.
    pub(crate) fn sequence(&self) -> u32 {
        self.0.sequence
    }
}

/// The most key exchanges before the login. sshd allows one, but clients that exchange keys every few packets start a
/// second one before they log in.
const EXCHANGES_BEFORE_LOGIN: u64 = 10;
/// Room for a KEXINIT with all algorithms.
const KEXINIT_ROOM: usize = 1024;

/// The transport of one connection.
pub(crate) struct Transport {
    settings: Arc<Settings>,
    peer: Peer,
    incoming: Incoming,
    outgoing: Outgoing,
    kex: Kex,
    /// How many key exchanges are complete: both NEWKEYS have passed.
    exchanges: u64,
    /// The session identifier: the exchange hash of the first key exchange. RFC 4253 §7.2.
    session_id: Option<ExchangeHash>,
    /// The algorithms of the latest key exchange.
    negotiated: Option<Negotiated>,
    /// Whether both sides announced strict key exchange in their first KEXINIT. OpenSSH PROTOCOL §1.9.
    strict: bool,
    /// The server's host key of the first key exchange. Client only.
    host_key: Option<PublicKey>,
    ext_info: ExtInfo,
    /// The peer's extensions, from EXT_INFO.
    extensions: Extensions,
    pub(crate) deadlines: Deadlines,
    /// When the latest key exchange was completed.
    rekeyed: Instant,
    /// Whether channel data has passed in either direction since then. Keepalives do not count.
    data_moved: bool,
    /// Whether the user is authenticated.
    authenticated: bool,
}

impl Transport {
    /// A transport whose identification and KEXINIT are in the output.
    pub(crate) fn new(settings: Arc<Settings>, random: Box<dyn Random>, now: Instant) -> Transport {
        let mut transport = Transport {
            peer: Peer::Unknown(Identification::new(settings.party.role())),
            incoming: Incoming::new(settings.packet_before_auth),
            outgoing: Outgoing::new(random),
            kex: Kex::Idle,
            exchanges: 0,
            session_id: None,
            negotiated: None,
            strict: false,
            host_key: None,
            ext_info: ExtInfo::Closed,
            extensions: Extensions::default(),
            deadlines: Deadlines::default(),
            rekeyed: now,
            data_moved: false,
            authenticated: false,
            settings,
        };
        transport.outgoing.raw(transport.settings.software.line().as_bytes());
        transport.outgoing.raw(b"\r\n");
        transport.deadlines.begin(Stage::Identification, now, transport.settings.timeouts.identification);
        transport.start_kex();
        transport
    }

    // Ask.

    /// Which side of the connection this is.
    pub(crate) fn role(&self) -> Role {
        self.settings.party.role()
    }

    /// The session identifier, once the first key exchange is over. RFC 4253 §7.2.
    pub(crate) fn session_id(&self) -> Option<&ExchangeHash> {
        self.session_id.as_ref()
    }

    /// The algorithms of the latest key exchange.
    pub(crate) fn negotiated(&self) -> Option<&Negotiated> {
        self.negotiated.as_ref()
    }

    /// The peer's identification line without CR LF, once it has come. RFC 4253 §4.2.
    pub(crate) fn peer_identification(&self) -> Option<&[u8]> {
        match &self.peer {
            Peer::Unknown(_) => None,
            Peer::Known(line) => Some(line),
        }
    }

    /// The server's host key that the application has to trust or refuse. Client only.
    pub(crate) fn host_key_offered(&self) -> Option<&PublicKey> {
        let Kex::AwaitTrust(step) = &self.kex else { return None };
        Some(step.host_key())
    }

    /// Our host keys. Empty for a client.
    pub(crate) fn host_keys(&self) -> &[Arc<PublicKey>] {
        match &self.settings.party {
            Party::Server { host_keys, .. } => host_keys,
            Party::Client => &[],
        }
    }

    /// The signature algorithm of our host key in the latest key exchange. Server only.
    pub(crate) fn host_key_signature(&self) -> Option<&'static str> {
        let agreed = self.negotiated.as_ref()?.host_key;
        self.settings.party.host_identity(agreed).map(|identity| identity.signature())
    }

    /// The costly key exchange that the application has to compute. Server only.
    pub(crate) fn to_agree(&self) -> Option<&CostlyExchange> {
        let Kex::AwaitAgreement(step) = &self.kex else { return None };
        Some(step.exchange())
    }

    /// The signature that one of our host keys has to make. Server only.
    pub(crate) fn to_sign(&self) -> Option<SignatureRequest<'_>> {
        match &self.kex {
            Kex::AwaitSignature(step) => Some(step.request()),
            _ => None,
        }
    }

    /// The host key that our reply in the first key exchange will have, as a blob. Server only.
    pub(crate) fn first_host_key(&self) -> Option<&[u8]> {
        match &self.kex {
            Kex::AwaitSignature(step) if !self.keyed() => Some(step.host_key()),
            _ => None,
        }
    }

    /// How many key exchanges are complete.
    pub(crate) fn exchanges(&self) -> u64 {
        self.exchanges
    }

    /// Whether the first key exchange is complete.
    fn keyed(&self) -> bool {
        self.exchanges > 0
    }

    /// How far the client's login has come, as far as the transport knows. Server only.
    pub(crate) fn login_stage(&self) -> LoginStage {
        match (&self.peer, &self.kex) {
            (Peer::Unknown(_), _) => LoginStage::Identification,
            (Peer::Known(_), _) if self.keyed() => LoginStage::Authentication,
            (Peer::Known(_), Kex::ExpectNewKeys(_)) => LoginStage::NewKeys,
            (Peer::Known(_), _) => LoginStage::KeyExchange,
        }
    }

    /// The phase that a key exchange imposes on the peer's messages, if one does.
    pub(crate) fn kex_phase(&self) -> Option<Phase> {
        match (self.keyed(), self.kex.restricts_peer()) {
            (false, true) if self.strict => Some(Phase::StrictKex),
            (false, _) => Some(Phase::FirstKex),
            (true, true) => Some(Phase::Rekey),
            (true, false) => None,
        }
    }

    /// Whether a question waits for its answer: no packet may be handled until then.
    pub(crate) fn has_open_question(&self) -> bool {
        self.kex.has_open_question() || self.incoming.ungranted().is_some()
    }

    /// Whether the input holds bytes that were not consumed.
    pub(crate) fn holds_input(&self) -> bool {
        self.incoming.input.len() > 0
    }

    /// By how many bytes the packet whose length has come exceeds the limit before login, until that is granted.
    pub(crate) fn large_packet(&self) -> Option<usize> {
        self.incoming.ungranted()
    }

    /// Whether a packet that was granted is incomplete or not handled yet.
    pub(crate) fn holds_large_packet(&self) -> bool {
        self.incoming.holds_granted()
    }

    /// Whether the input has room for more.
    pub(crate) fn wants_input(&self) -> bool {
        self.incoming.wants_input()
    }

    /// Whether the peer reads what we send. While it does not, nothing is read from it: the answers to packets that are
    /// allowed at any time would fill the output without bound.
    pub(crate) fn keeps_up(&self) -> bool {
        let most = self.settings.output_mark.saturating_mul(2);
        self.outgoing.len() <= if self.authenticated { most } else { most.min(MAX_OUTPUT_BEFORE_AUTH) }
    }

    /// Whether a key exchange after the first holds our messages back.
    pub(crate) fn exchanging(&self) -> bool {
        self.kex.holds_output()
    }

    /// When the keys will be old enough to be changed. None while they have protected no channel data, during a key
    /// exchange, and if the clock cannot express the time.
    pub(crate) fn rekey_at(&self) -> Option<Instant> {
        let ages = self.data_moved && matches!(self.kex, Kex::Idle);
        if ages { self.rekeyed.checked_add(self.settings.rekey.time) } else { None }
    }

    // In: bytes and time.

    /// Where the next read from the socket goes.
    pub(crate) fn input(&mut self) -> &mut [u8] {
        self.incoming.input.space()
    }

    /// The first `count` bytes of [`input`](Transport::input) have been read.
    pub(crate) fn filled(&mut self, count: usize) {
        self.incoming.filled(count);
    }

    /// Counts the time of a key exchange after the first, if bytes have come. `unconfirmed` is how many bytes of
    /// channel data the peer may still have to process before it sees our KEXINIT.
    ///
    /// # Errors
    /// [`Error::TimedOut`]: the key exchange has taken too long.
    pub(crate) fn time_rekey(&mut self, now: Instant, unconfirmed: usize) -> Result<(), Error> {
        // A peer cannot answer a KEXINIT that the socket has not taken yet: on a slow line that may take minutes.
        if self.incoming.take_heard() && !self.outgoing.holds_kexinit() {
            self.deadlines.heard(now, unconfirmed)?;
        }
        Ok(())
    }

    /// Channel data has been received or sent.
    pub(crate) fn data_moved(&mut self) {
        self.data_moved = true;
    }

    /// Decrypts the next packet if it is complete. Before the first one, reads the identification line.
    pub(crate) fn open_next(&mut self, now: Instant) -> Result<Option<Packet>, Error> {
        while let Peer::Unknown(identification) = &mut self.peer {
            match identification.scan(self.incoming.input.bytes())? {
                Scan::More => return Ok(None),
                Scan::Skip(line) => self.incoming.input.consume(line),
                Scan::Found(identification, line) => {
                    self.incoming.input.consume(line);
                    self.peer = Peer::Known(identification);
                    self.deadlines.begin(Stage::Kex, now, self.settings.timeouts.kex);
                }
            }
        }
        let opened = self.incoming.open_next()?;
        if self.incoming.wrapped() {
            return Err(Error::Exhausted);
        }
        Ok(opened.map(Packet))
    }

    /// The payload of a packet that [`open_next`](Transport::open_next) returned last.
    pub(crate) fn payload(&self, packet: &Packet) -> &[u8] {
        self.incoming.payload(&packet.0)
    }

    /// The packet was handled: its bytes are freed.
    pub(crate) fn close(&mut self, packet: Packet) {
        self.incoming.close(packet.0);
    }

    /// A message was handled. EXT_INFO may only follow NEWKEYS directly. RFC 8308 §2.4.
    pub(crate) fn passed(&mut self, number: u8) {
        self.extensions.passed(number);
        if number != NEWKEYS {
            self.ext_info = ExtInfo::Closed;
        }
    }

    /// Handles a message of the transport itself. RFC 4253 §11.
    pub(crate) fn handle<'p>(&mut self, payload: &'p [u8]) -> Result<Option<TransportEvent<'p>>, Error> {
        let number = payload.first().copied().unwrap_or_default();
        let message =
            TransportMessage::decode(payload).map_err(|what| Error::from(Violation::Malformed { number, what }))?;
        match message {
            TransportMessage::Disconnect { reason, description, .. } => {
                Err(Error::Disconnected { reason, description: description.to_vec() })
            }
            TransportMessage::Debug { always_display, text, .. } => {
                Ok(Some(TransportEvent::Debug { text, always_display }))
            }
            TransportMessage::ExtInfo { count, extensions } => self.ext_info(count, extensions),
            TransportMessage::Ping { data } => {
                self.ping(data);
                Ok(None)
            }
            TransportMessage::Ignore { .. }
            | TransportMessage::Unimplemented { .. }
            | TransportMessage::Pong { .. } => Ok(None),
            TransportMessage::ServiceRequest { .. } | TransportMessage::ServiceAccept { .. } => {
                Err(Violation::Unexpected { number }.into())
            }
        }
    }

    /// Handles EXT_INFO, RFC 8308 §2.3. A client's that comes too late, or again, is not read.
    fn ext_info(&mut self, count: u32, extensions: Rest<'_>) -> Result<Option<TransportEvent<'static>>, Error> {
        if self.role() == Role::Server && self.ext_info == ExtInfo::Closed {
            return Ok(Some(TransportEvent::Unimplemented));
        }
        let read = Extensions::read(count, extensions.0);
        self.extensions = read.map_err(|what| Violation::Malformed { number: EXT_INFO, what })?;
        Ok(None)
    }

    /// Repeats the signature algorithms before the first answer to an authentication request, if the client has asked
    /// for that. OpenSSH PROTOCOL, EXT_INFO during user authentication.
    pub(crate) fn write_owed(&mut self) {
        if self.extensions.take_owed() {
            self.outgoing.seal(&extensions::of_server_in_auth());
        }
    }

    /// Answers PING after login. During a key exchange PING gets no answer, as in OpenSSH, because answers would pile
    /// up until it ends. Reading stops when answers fill the output: P26. OpenSSH PROTOCOL, ping facility.
    fn ping(&mut self, data: &[u8]) {
        if !self.kex.holds_output() {
            self.outgoing.seal(&TransportMessage::Pong { data });
        }
    }

    /// Handles a message of a key exchange. RFC 4253 §7, §8.
    pub(crate) fn handle_kex(&mut self, packet: &Packet, now: Instant) -> Result<(), Error> {
        // Negotiation reads the lists many times: 256 KiB of names of one byte, which fit in a packet after login,
        // would take too long.
        if self.payload(packet).len() > self.settings.packet_before_auth {
            return Err(Violation::PacketLength.into());
        }
        // Copied, so that the steps do not borrow from the input: these messages are rare and small.
        let payload = self.payload(packet).to_vec();
        match std::mem::replace(&mut self.kex, Kex::Failed) {
            Kex::Idle if !self.authenticated && self.exchanges >= EXCHANGES_BEFORE_LOGIN => {
                Err(Violation::ExchangesBeforeLogin.into())
            }
            Kex::Idle => {
                self.start_kex();
                self.deadlines.begin_rekey(self.settings.timeouts.rekey);
                self.handle_kex(packet, now)
            }
            Kex::ExpectKexInit(step) => self.handle_kexinit(step, &payload, packet.sequence()),
            Kex::ExpectEcdhInit(step) => {
                self.kex = match step.handle(&payload)? {
                    server::Stepped::Dropped(step) => Kex::ExpectEcdhInit(Box::new(step)),
                    server::Stepped::Costly(step) => Kex::AwaitAgreement(Box::new(step)),
                    server::Stepped::Hashed(step) => {
                        self.begin_login(now);
                        Kex::AwaitSignature(Box::new(step))
                    }
                };
                Ok(())
            }
            Kex::ExpectEcdhReply(step) => {
                let step = step.handle(&payload)?;
                self.begin_login(now);
                // The application has trusted a key in the first exchange; a later exchange must have the same.
                let known = self.host_key.as_ref().map(|known| known == step.host_key());
                self.kex = Kex::AwaitTrust(Box::new(step));
                match known {
                    Some(true) => self.trust(true),
                    Some(false) => Err(Violation::HostKeySignature.into()),
                    None => Ok(()),
                }
            }
            Kex::ExpectNewKeys(step) => self.finish_kex(*step, &payload, now),
            Kex::AwaitAgreement(_) | Kex::AwaitSignature(_) | Kex::AwaitTrust(_) | Kex::Failed => {
                Err(unexpected(&payload))
            }
        }
    }

    /// Starts the deadline of the login, in the first exchange only. Called before the client's NEWKEYS: its user may
    /// be reading the fingerprint meanwhile.
    fn begin_login(&mut self, now: Instant) {
        if !self.keyed() {
            self.deadlines.begin(Stage::Auth, now, self.settings.timeouts.authentication);
        }
    }

    /// Sends our KEXINIT. RFC 4253 §7.1.
    fn start_kex(&mut self) {
        let cookie = self.outgoing.cookie();
        let preferences = &self.settings.preferences;
        let host_keys = self.settings.party.host_key_algorithms(preferences);
        let offer = preferences.offer(self.role(), &host_keys, !self.keyed());
        let mut ours = Vec::with_capacity(KEXINIT_ROOM);
        offer.message(cookie).encode(&mut ours);
        self.outgoing.seal_kexinit(&Encoded(&ours));
        self.kex = Kex::ExpectKexInit(ExpectKexInit::new(ours));
    }

    /// Handles the peer's KEXINIT: negotiates, and takes the first step of the key exchange. RFC 4253 §7.1.
    fn handle_kexinit(&mut self, step: ExpectKexInit, payload: &[u8], sequence: u32) -> Result<(), Error> {
        let theirs = self.peer_identification().unwrap_or_default();
        let identifications =
            Identifications { role: self.role(), ours: self.settings.software.line().as_bytes(), theirs };
        let host_keys = self.settings.party.host_key_algorithms(&self.settings.preferences);
        let negotiation = step.handle(payload, &identifications, &self.settings.preferences, &host_keys)?;
        if !self.keyed() {
            self.strict = negotiation.agreed.strict;
            // With strict key exchange nothing may precede KEXINIT, which is known only now. OpenSSH PROTOCOL §1.9.
            if self.strict && sequence != 0 {
                return Err(Violation::StrictKex.into());
            }
        }
        self.kex = match self.role() {
            Role::Server => {
                let identity = self.settings.party.host_identity(negotiation.agreed.host_key);
                let identity = identity.expect("the algorithm was chosen among those of our keys");
                Kex::ExpectEcdhInit(Box::new(server::ExpectEcdhInit::new(negotiation, identity)))
            }
            Role::Client => {
                let step = client::ExpectEcdhReply::new(negotiation)?;
                self.outgoing.seal(&step.message());
                Kex::ExpectEcdhReply(Box::new(step))
            }
        };
        Ok(())
    }

    /// Handles the peer's NEWKEYS: the key exchange is complete. RFC 4253 §7.3.
    fn finish_kex(&mut self, step: ExpectNewKeys, payload: &[u8], now: Instant) -> Result<(), Error> {
        let (opener, agreed) = step.handle(payload)?;
        self.kex = Kex::Idle;
        self.incoming.rekey(opener, self.strict);
        self.incoming.restart_compression(self.authenticated && agreed.is_compressed(self.role().peer()));
        self.negotiated = Some(agreed);
        self.rekeyed = now;
        self.data_moved = false;
        self.deadlines.end_rekey();
        self.exchanges += 1;
        if self.exchanges == 1 {
            self.ext_info = ExtInfo::Due;
        }
        Ok(())
    }

    /// The user is authenticated: packets may be larger, the login's deadline ends, and compression begins. Called
    /// between SUCCESS and the next packet of either direction.
    pub(crate) fn authenticated(&mut self) {
        if std::mem::replace(&mut self.authenticated, true) {
            return;
        }
        if let Some(agreed) = &self.negotiated {
            self.incoming.restart_compression(agreed.is_compressed(self.role().peer()));
            self.outgoing.restart_compression(agreed.is_compressed(self.role()));
        }
        self.deadlines.authenticated();
        // Only a server asks for the memory of each large packet; a client trusts its server.
        self.incoming.authenticated(self.settings.packet, self.role() == Role::Server);
    }

    // Commands.

    /// The memory of [`Transport::large_packet`] is reserved: its packet may be read.
    pub(crate) fn grant_large_packet(&mut self) {
        self.incoming.grant();
    }

    /// Answers [`Transport::to_agree`]. Server only; ignored if nothing was asked.
    pub(crate) fn agreed(&mut self, agreed: Agreed, now: Instant) -> Result<(), Error> {
        if !matches!(self.kex, Kex::AwaitAgreement(_)) {
            return Ok(());
        }
        if let Kex::AwaitAgreement(step) = std::mem::replace(&mut self.kex, Kex::Failed) {
            let step = step.agreed(agreed)?;
            self.begin_login(now);
            self.kex = Kex::AwaitSignature(Box::new(step));
        }
        Ok(())
    }

    /// Answers [`Transport::to_sign`] with a signature blob (RFC 4253 §6.6). Server only; ignored if nothing was asked.
    pub(crate) fn signed(&mut self, signature: &[u8]) -> Result<(), Error> {
        let Kex::AwaitSignature(step) = &self.kex else { return Ok(()) };
        self.outgoing.seal(&step.reply(signature));
        self.new_keys()
    }

    /// Answers [`Transport::host_key_offered`]. Client only; ignored if nothing was asked.
    pub(crate) fn trust(&mut self, trusted: bool) -> Result<(), Error> {
        let Kex::AwaitTrust(step) = &self.kex else { return Ok(()) };
        if !trusted {
            self.kex = Kex::Failed;
            return Err(Error::HostKeyRefused);
        }
        self.host_key = Some(step.host_key().clone());
        self.new_keys()
    }

    /// Sends our NEWKEYS, after which the new keys protect what we send. RFC 4253 §7.3.
    fn new_keys(&mut self) -> Result<(), Error> {
        let keying = match &self.kex {
            Kex::AwaitSignature(step) => step.keying(),
            Kex::AwaitTrust(step) => step.keying(),
            _ => return Ok(()),
        };
        let (agreed, is_first) = (keying.agreed, !self.keyed());
        let session_id = self.session_id.get_or_insert_with(|| keying.hash.clone());
        let keys = keying.keys(self.settings.party.role(), session_id);
        let (sealer, opener) = keys.inspect_err(|_| self.kex = Kex::Failed)?;
        self.outgoing.seal(&KexMessage::NewKeys {});
        self.outgoing.rekey(sealer, self.strict);
        self.outgoing.restart_compression(self.authenticated && agreed.is_compressed(self.role()));
        if is_first && agreed.ext_info {
            self.outgoing.seal(&match self.role() {
                Role::Server => extensions::of_server(),
                Role::Client => extensions::of_client(),
            });
        }
        self.kex = Kex::ExpectNewKeys(Box::new(ExpectNewKeys { opener, agreed }));
        Ok(())
    }

    /// Starts a key exchange after the first, if none is in progress. RFC 4253 §9.
    pub(crate) fn rekey(&mut self) {
        if matches!(self.kex, Kex::Idle) && self.keyed() {
            self.start_kex();
            self.deadlines.begin_rekey(self.settings.timeouts.rekey);
            // Bytes that came before our KEXINIT do not count as an answer to it.
            self.incoming.take_heard();
        }
    }

    /// Whether the keys have protected enough bytes or packets, or are old enough, to be changed. RFC 4253 §9.
    pub(crate) fn rekey_due(&self, now: Instant) -> bool {
        let (incoming, outgoing) = (self.incoming.traffic, self.outgoing.traffic);
        // Each key protects at least one packet, however small the limits are: otherwise nothing else would move.
        if incoming.packets == 0 && outgoing.packets == 0 {
            return false;
        }
        let policy = &self.settings.rekey;
        let old = self.data_moved && now.saturating_duration_since(self.rekeyed) >= policy.time;
        policy.is_due(incoming.bytes, incoming.packets) || policy.is_due(outgoing.bytes, outgoing.packets) || old
    }

    /// Sends UNIMPLEMENTED for the packet of this sequence number. RFC 4253 §11.4.
    pub(crate) fn unimplemented(&mut self, sequence: u32) {
        self.outgoing.seal(&TransportMessage::Unimplemented { sequence });
    }

    /// Sends a debug message, RFC 4253 §11.3, or drops it while the output has no room. During a key exchange there is
    /// none: a strict peer would have to disconnect. And a program that sends them without end must not fill the output
    /// of a peer that does not read.
    pub(crate) fn debug(&mut self, text: &str, always_display: bool) {
        if self.room() > 0 {
            self.outgoing.seal(&TransportMessage::Debug { always_display, text: text.as_bytes(), language: b"" });
        }
    }

    /// Sends DISCONNECT, the last packet, if this error has a reason code. RFC 4253 §11.1.
    pub(crate) fn send_disconnect(&mut self, error: &Error) {
        if let Some(reason) = error.reason() {
            // The text may be a plugin's. It is cut, so that the packet is not too large for any peer.
            let text = error.disconnect_text();
            let description = text.get(..text.floor_char_boundary(MAX_DISCONNECT_TEXT)).unwrap_or(text).as_bytes();
            self.outgoing.seal(&TransportMessage::Disconnect { reason, description, language: b"" });
        }
    }

    // Out.

    /// Bytes to write to the socket.
    pub(crate) fn output(&self) -> &[u8] {
        self.outgoing.output()
    }

    /// The socket has taken the first `count` bytes of [`output`](Transport::output).
    pub(crate) fn sent(&mut self, count: usize) {
        self.outgoing.sent(count);
    }

    /// Whether either direction is compressed now.
    pub(crate) fn is_compressed(&self) -> bool {
        self.incoming.is_compressed() || self.outgoing.is_compressed()
    }

    /// How many bytes were decompressed since [`take_compression_work`](Transport::take_compression_work) was called.
    pub(crate) fn decompressed(&mut self) -> u64 {
        self.incoming.decompressed().copied().unwrap_or_default()
    }

    /// How many bytes were compressed and decompressed since the last call.
    pub(crate) fn take_compression_work(&mut self) -> u64 {
        let counts = [self.incoming.decompressed(), self.outgoing.compressed()];
        counts.into_iter().flatten().map(std::mem::take).fold(0, u64::saturating_add)
    }

    /// Whether the keys could not protect a packet.
    pub(crate) fn exhausted(&self) -> bool {
        self.outgoing.exhausted
    }

    /// Frees the memory of empty buffers. Returns whether no buffer holds memory now.
    pub(crate) fn release_buffers(&mut self) -> bool {
        let input = self.incoming.release_buffers();
        self.outgoing.release_buffers() && input
    }

    /// How many bytes of memory the buffers take.
    pub(crate) fn buffer_memory(&self) -> usize {
        self.incoming.input.memory() + self.outgoing.memory()
    }
}

/// Messages of the layers above. There is no room during a key exchange, and while too much output waits for the
/// socket.
impl Output for Transport {
    fn room(&self) -> usize {
        if self.kex.holds_output() { 0 } else { self.settings.output_mark.saturating_sub(self.outgoing.len()) }
    }

    fn put(&mut self, message: &dyn Encode) {
        self.outgoing.seal(message);
    }
}

/// Most bytes of output that may wait before authentication; beyond that nothing is read from the peer. The output of a
/// whole login is smaller.
const MAX_OUTPUT_BEFORE_AUTH: usize = 16 << 10;

/// Most bytes of text in a DISCONNECT. The RFC has no limit.
const MAX_DISCONNECT_TEXT: usize = 1024;

/// What a message of the transport means to the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TransportEvent<'p> {
    /// A debug message. RFC 4253 §11.3.
    Debug { text: &'p [u8], always_display: bool },
    /// The message came too late to have an effect: it is answered with UNIMPLEMENTED.
    Unimplemented,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::random::SystemRandom;

    /// P27.
    #[test]
    fn keys_are_changed_after_2_to_the_31_packets_whatever_the_settings_say() {
        #[expect(clippy::disallowed_methods, reason = "a point to count from")]
        let now = Instant::now();
        let mut settings = Settings::new(Party::Client);
        settings.rekey = RekeyPolicy { bytes: u64::MAX, packets: u64::MAX, ..RekeyPolicy::default() };
        let mut transport = Transport::new(Arc::new(settings), Box::new(SystemRandom::new()), now);
        transport.incoming.traffic.packets = (1 << 31) - 1;
        assert!(!transport.rekey_due(now));
        transport.incoming.traffic.packets += 1;
        assert!(transport.rekey_due(now));
    }

    /// RFC 4344 §3.2.
    #[test]
    fn keys_are_changed_after_2_to_the_32_blocks_whatever_the_settings_say() {
        #[expect(clippy::disallowed_methods, reason = "a point to count from")]
        let now = Instant::now();
        let mut settings = Settings::new(Party::Client);
        settings.rekey = RekeyPolicy { bytes: u64::MAX, packets: u64::MAX, ..RekeyPolicy::default() };
        let mut transport = Transport::new(Arc::new(settings), Box::new(SystemRandom::new()), now);
        transport.outgoing.traffic.bytes = (1 << 36) - 1;
        assert!(!transport.rekey_due(now));
        transport.outgoing.traffic.bytes += 1;
        assert!(transport.rekey_due(now));
    }
}
