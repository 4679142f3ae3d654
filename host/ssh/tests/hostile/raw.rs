//! A peer written by hand. It knows the protocol's forms and keys but none of its rules: what it sends, when, under
//! which keys and with which lengths is the test's choice. The other side is one of ours, with an application behind
//! it.

use std::collections::VecDeque;
use std::time::Instant;

use whelk_ssh::auth::{client, server};
use whelk_ssh::connection::Connection;
use whelk_ssh::crypto::agreement::{Agreement, Initiator};
use whelk_ssh::crypto::cipher::{Cipher, Opener, Sealer};
use whelk_ssh::crypto::hash::{ExchangeHash, Transcript, derive};
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::crypto::secret::SharedSecret;
use whelk_ssh::error::{Error, Violation};
use whelk_ssh::message::Encode;
use whelk_ssh::message::auth::AuthMessage;
use whelk_ssh::message::kex::KexMessage;
use whelk_ssh::message::mux::{MuxMessage, Recipient};
use whelk_ssh::wire::{Rest, Wire};

use crate::pair::{Application, Role, Setup, start, turn};

/// Our identification, without its end.
pub(crate) const HELLO: &[u8] = b"SSH-2.0-by_hand";

/// What we say in a KEXINIT. Any bytes: the victim has to look after itself.
#[derive(Clone)]
pub(crate) struct Lists {
    pub(crate) kex: Vec<u8>,
    pub(crate) host_keys: Vec<u8>,
    pub(crate) ciphers: Vec<u8>,
    pub(crate) compression: Vec<u8>,
    pub(crate) languages: Vec<u8>,
    pub(crate) follows: bool,
    pub(crate) reserved: u32,
}

impl Lists {
    /// An honest offer of one algorithm each. `markers` follow the key exchange's name, with their comma.
    pub(crate) fn honest(agreement: Agreement, cipher: Cipher, markers: &str) -> Lists {
        let kex = match agreement {
            Agreement::Curve25519 => "curve25519-sha256",
            Agreement::MlKem768X25519 => "mlkem768x25519-sha256",
        };
        Lists {
            kex: format!("{kex}{markers}").into_bytes(),
            host_keys: b"ssh-ed25519".to_vec(),
            ciphers: cipher.name().as_bytes().to_vec(),
            compression: b"none".to_vec(),
            languages: Vec::new(),
            follows: false,
            reserved: 0,
        }
    }

    pub(crate) fn payload(&self) -> Vec<u8> {
        let mut payload = vec![20];
        payload.extend_from_slice(&[0xc0; 16]);
        let macs = b"hmac-sha2-256".to_vec();
        for list in [&self.kex, &self.host_keys, &self.ciphers, &self.ciphers, &macs, &macs] {
            list.as_slice().write(&mut payload);
        }
        for list in [&self.compression, &self.compression, &self.languages, &Vec::new()] {
            list.as_slice().write(&mut payload);
        }
        self.follows.write(&mut payload);
        self.reserved.write(&mut payload);
        payload
    }
}

/// The markers of an honest client, and of one that knows no strict key exchange.
pub(crate) const STRICT: &str = ",ext-info-c,kex-strict-c-v00@openssh.com,kex-strict-s-v00@openssh.com";
pub(crate) const LAX: &str = ",ext-info-c";

/// SERVICE_REQUEST for authentication.
pub(crate) const SERVICE: &[u8] = b"\x05\0\0\0\x0cssh-userauth";
/// USERAUTH_SUCCESS.
pub(crate) const SUCCESS: &[u8] = b"\x34";
/// USERAUTH_FAILURE with both methods.
pub(crate) const FAILURE: &[u8] = b"\x33\0\0\0\x12publickey,password\0";

/// Asks to enter by none.
pub(crate) fn none(user: &[u8]) -> Vec<u8> {
    encode(&AuthMessage::UserauthRequest { user, service: b"ssh-connection", method: b"none", body: Rest(b"") })
}

/// Asks for a session that we call `sender`.
pub(crate) fn open(sender: u32, window: u32, max_packet: u32) -> Vec<u8> {
    encode(&MuxMessage::ChannelOpen { kind: b"session", sender, window, max_packet, body: Rest(b"") })
}

/// A request on channel 0.
pub(crate) fn request(kind: &[u8], want_reply: bool, body: &[u8]) -> Vec<u8> {
    encode(&MuxMessage::ChannelRequest { recipient: Recipient(0), kind, want_reply, body: Rest(body) })
}

/// Data on channel 0.
pub(crate) fn data(data: &[u8]) -> Vec<u8> {
    encode(&MuxMessage::ChannelData { recipient: Recipient(0), data })
}

/// A message that holds nothing but the number of a channel, and perhaps more.
pub(crate) fn on_channel(number: u8, channel: u32, rest: &[u8]) -> Vec<u8> {
    [&[number], &channel.to_be_bytes()[..], rest].concat()
}

/// Our part in a key exchange that is under way.
#[derive(Default)]
struct Exchange {
    ours: Vec<u8>,
    theirs: Vec<u8>,
    /// As a client: our secret and our share.
    initiator: Option<(Initiator, Vec<u8>)>,
    /// What follows our NEWKEYS, and what follows the victim's.
    sealer: Option<Sealer>,
    opener: Option<Opener>,
}

/// A peer written by hand, and the side of ours that it talks to.
pub(crate) struct Raw<A> {
    /// The victim.
    pub(crate) side: Connection<A>,
    pub(crate) application: Application,
    /// Why the victim has given up.
    pub(crate) error: Option<Error>,
    pub(crate) now: Instant,
    /// We take what the victim sends.
    pub(crate) reads: bool,
    /// Our sequence numbers start anew with each NEWKEYS.
    pub(crate) strict: bool,
    pub(crate) agreement: Agreement,
    pub(crate) cipher: Cipher,
    pub(crate) session_id: Option<ExchangeHash>,
    /// Our host key, should we be a server.
    pub(crate) host_key: HostKey,
    /// The victim's identification.
    pub(crate) hello: Vec<u8>,
    /// The sequence number of our next packet.
    pub(crate) sequence: u32,
    /// K and the keys of both directions of the latest exchange, for those who look for them elsewhere.
    pub(crate) secrets: Vec<Vec<u8>>,
    we_are_server: bool,
    cut: usize,
    /// Bytes that the victim does not want yet.
    pending: VecDeque<u8>,
    /// Bytes that the victim has sent and nobody has opened.
    pub(crate) heard: Vec<u8>,
    heard_sequence: u32,
    sealer: Sealer,
    opener: Opener,
    exchange: Exchange,
}

impl Raw<server::ServerAuth> {
    /// A server as the victim. Nothing was exchanged yet.
    pub(crate) fn client(setup: &Setup) -> Raw<server::ServerAuth> {
        let (application, now) = (Application::new(), start());
        let side = setup.accepted(&application, now);
        Raw::new(side, application, now, setup.cut, false)
    }

    /// The first key exchange is over.
    pub(crate) fn keyed(setup: &Setup) -> Raw<server::ServerAuth> {
        Raw::client(setup).key()
    }

    /// The service is agreed, nobody has entered.
    pub(crate) fn serviced(setup: &Setup) -> Raw<server::ServerAuth> {
        Raw::keyed(setup).service()
    }

    /// alice has entered.
    pub(crate) fn entered(setup: &Setup) -> Raw<server::ServerAuth> {
        Raw::keyed(setup).service().log_in()
    }

    /// alice has entered and has a session, number 0 on both sides.
    pub(crate) fn opened(setup: &Setup) -> Raw<server::ServerAuth> {
        let mut raw = Raw::entered(setup);
        raw.open(0);
        raw
    }

    pub(crate) fn key(mut self) -> Self {
        self.identify();
        self.exchange();
        self.replies();
        assert_eq!(self.side.exchanges(), 1);
        self
    }

    pub(crate) fn service(mut self) -> Self {
        self.send(SERVICE);
        assert_eq!(self.reply(), b"\x06\0\0\0\x0cssh-userauth");
        self
    }

    pub(crate) fn log_in(mut self) -> Self {
        self.send(&none(b"alice"));
        assert_eq!(self.reply(), SUCCESS);
        self
    }

    /// A session that the victim calls `number`; we call it 0.
    pub(crate) fn open(&mut self, number: u32) {
        self.send(&open(0, 1 << 20, 1 << 15));
        let reply = self.reply();
        assert_eq!(reply[..9], [&[91, 0, 0, 0, 0][..], &number.to_be_bytes()].concat());
    }
}

impl Raw<client::ClientAuth> {
    /// A client as the victim. Nothing was exchanged yet.
    pub(crate) fn server(setup: &Setup) -> Raw<client::ClientAuth> {
        let (application, now) = (Application::new(), start());
        Raw::new(setup.connected(now), application, now, setup.cut, true)
    }

    /// A client that awaits our answer to its share, which is returned.
    pub(crate) fn awaiting_reply(setup: &Setup) -> (Raw<client::ClientAuth>, Vec<u8>) {
        let mut raw = Raw::server(setup);
        raw.identify();
        let lists = raw.offer();
        raw.replies();
        raw.init(&lists);
        let init = raw.reply();
        assert_eq!(init[0], 30);
        (raw, init[5..].to_vec())
    }

    /// A client that has asked for its service.
    pub(crate) fn serving(setup: &Setup) -> Raw<client::ClientAuth> {
        let (mut raw, share) = Raw::awaiting_reply(setup);
        let reply = raw.ecdh_reply(&share);
        raw.send(&reply);
        raw.new_keys();
        assert_eq!(raw.replies(), [&[21], SERVICE]);
        raw
    }

    /// A client that has asked to enter by none.
    pub(crate) fn asked(setup: &Setup) -> Raw<client::ClientAuth> {
        let mut raw = Raw::serving(setup);
        raw.send(b"\x06\0\0\0\x0cssh-userauth");
        assert_eq!(raw.reply(), none(b"alice"));
        raw
    }

    /// A client that has entered.
    pub(crate) fn let_in(setup: &Setup) -> Raw<client::ClientAuth> {
        let mut raw = Raw::asked(setup);
        raw.send(SUCCESS);
        assert!(raw.application.saw("entered"));
        raw
    }
}

impl<A: Role> Raw<A> {
    fn new(side: Connection<A>, application: Application, now: Instant, cut: usize, we_are_server: bool) -> Raw<A> {
        Raw {
            side,
            application,
            error: None,
            now,
            reads: true,
            strict: true,
            agreement: Agreement::Curve25519,
            cipher: Cipher::ChaCha20Poly1305,
            session_id: None,
            host_key: HostKey::generate().expect("randomness"),
            hello: Vec::new(),
            sequence: 0,
            secrets: Vec::new(),
            we_are_server,
            cut,
            pending: VecDeque::new(),
            heard: Vec::new(),
            heard_sequence: 0,
            sealer: Sealer::clear(),
            opener: Opener::clear(),
            exchange: Exchange::default(),
        }
    }

    // Bytes.

    /// Sends bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.pending.extend(bytes);
        self.flush();
    }

    /// Gives the victim what it wants of what we have sent, and takes what it sends if we read at all.
    pub(crate) fn flush(&mut self) {
        self.turn();
        while !self.pending.is_empty() && self.error.is_none() && self.side.wants_input() {
            let space = self.side.input();
            let count = space.len().min(self.cut).min(self.pending.len());
            for (to, from) in space.iter_mut().zip(self.pending.drain(..count)) {
                *to = from;
            }
            self.side.filled(count);
            self.turn();
        }
    }

    /// How many bytes the victim has not wanted so far.
    pub(crate) fn unwanted(&self) -> usize {
        self.pending.len()
    }

    /// Takes them back.
    pub(crate) fn take_unwanted(&mut self) -> VecDeque<u8> {
        std::mem::take(&mut self.pending)
    }

    fn turn(&mut self) {
        turn(&mut self.side, &mut self.application, &mut self.error, self.now);
        while self.reads && !self.side.output().is_empty() {
            let output = self.side.output();
            let count = output.len();
            self.heard.extend_from_slice(output);
            self.side.sent(count);
            turn(&mut self.side, &mut self.application, &mut self.error, self.now);
        }
    }

    // Packets.

    /// A frame of a payload with right padding, not sealed.
    pub(crate) fn frame(&self, payload: &[u8]) -> Vec<u8> {
        let block = self.sealer.block_len();
        let counted = payload.len() + if self.sealer.length_is_padded() { 5 } else { 1 };
        let padding = 4 + (block - (counted + 4) % block) % block;
        frame(payload.len() + padding + 1, padding, payload, padding)
    }

    /// Seals a frame of any form under the keys of now.
    pub(crate) fn seal(&mut self, mut frame: Vec<u8>) -> Vec<u8> {
        let mut tag = vec![0; self.sealer.tag_len()];
        self.sealer.seal(self.sequence, &mut frame, &mut tag).expect("a key for few packets");
        self.sequence = self.sequence.wrapping_add(1);
        frame.extend_from_slice(&tag);
        frame
    }

    /// A whole packet, for those who send several at once.
    pub(crate) fn packet(&mut self, payload: &[u8]) -> Vec<u8> {
        let frame = self.frame(payload);
        self.seal(frame)
    }

    /// Sends one payload.
    pub(crate) fn send(&mut self, payload: &[u8]) {
        let packet = self.packet(payload);
        self.bytes(&packet);
    }

    /// The victim's next payload. Its messages of key exchange are noticed on the way.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        if self.hello.is_empty() {
            let end = self.heard.iter().position(|byte| *byte == b'\n')?;
            self.hello = self.heard.drain(..=end).take(end - 1).collect();
        }
        let first = *self.heard.first_chunk::<4>()?;
        let whole = 4 + self.opener.length(self.heard_sequence, first) as usize + self.opener.tag_len();
        let mut packet: Vec<u8> = self.heard.get(..whole)?.to_vec();
        self.heard.drain(..whole);
        self.opener.open(self.heard_sequence, &mut packet).expect("the victim seals rightly");
        self.heard_sequence = self.heard_sequence.wrapping_add(1);
        let end = whole - self.opener.tag_len() - usize::from(packet[4]);
        let payload = packet[5..end].to_vec();
        self.notice(&payload);
        Some(payload)
    }

    /// All payloads that the victim has sent.
    pub(crate) fn replies(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// The one payload that the victim has sent.
    pub(crate) fn reply(&mut self) -> Vec<u8> {
        let mut replies = self.replies();
        assert_eq!(replies.len(), 1, "one reply, not {replies:02x?}; error {:?}", self.error);
        replies.remove(0)
    }

    /// The violation for which the victim has ended the connection.
    pub(crate) fn violation(&self) -> Option<Violation> {
        match &self.error {
            Some(Error::Peer(violation)) => Some(violation.clone()),
            None => None,
            Some(other) => panic!("{other:?} is no violation"),
        }
    }

    /// The reason in the victim's last message, which must be a DISCONNECT.
    pub(crate) fn disconnect_reason(&mut self) -> Option<u32> {
        let last = self.replies().pop()?;
        let reason = last.strip_prefix(&[1])?.first_chunk::<4>()?;
        Some(u32::from_be_bytes(*reason))
    }

    // Key exchange.

    /// Our identification.
    pub(crate) fn identify(&mut self) {
        self.bytes(&[HELLO, b"\r\n"].concat());
    }

    /// What an honest peer offers.
    pub(crate) fn offer(&self) -> Lists {
        Lists::honest(self.agreement, self.cipher, if self.strict { STRICT } else { LAX })
    }

    /// Sends a KEXINIT.
    pub(crate) fn init(&mut self, lists: &Lists) {
        self.exchange.ours = lists.payload();
        let ours = self.exchange.ours.clone();
        self.send(&ours);
    }

    /// A fresh share of ours as a client, in its message.
    pub(crate) fn share(&mut self) -> Vec<u8> {
        let (initiator, share) = self.agreement.initiate().expect("randomness");
        self.exchange.initiator = Some((initiator, share.clone()));
        encode(&KexMessage::EcdhInit { share: &share })
    }

    /// Sends NEWKEYS and seals with the new key from there on.
    pub(crate) fn new_keys(&mut self) {
        let packet = self.packet(&[21]);
        self.switch();
        self.bytes(&packet);
    }

    /// Seals with the new key from here on.
    pub(crate) fn switch(&mut self) {
        self.sealer = self.exchange.sealer.take().expect("keys after 31");
        if self.strict {
            self.sequence = 0;
        }
    }

    /// A key exchange as an honest client does it; what came from the victim in between is returned.
    pub(crate) fn exchange(&mut self) -> Vec<Vec<u8>> {
        let lists = self.offer();
        self.init(&lists);
        self.agree()
    }

    /// The rest of it after our KEXINIT.
    pub(crate) fn agree(&mut self) -> Vec<Vec<u8>> {
        let share = self.share();
        self.send(&share);
        let replies = self.replies();
        assert!(replies.iter().any(|reply| reply == &[21]), "{replies:02x?} {:?}", self.error);
        self.new_keys();
        replies
    }

    /// What an honest server answers to a share: its key, its own share, its signature.
    pub(crate) fn ecdh_reply(&mut self, theirs: &[u8]) -> Vec<u8> {
        let (share, secret) = self.agreement.respond(theirs).expect("an honest share");
        let key = self.host_key.public().clone();
        let hash = self.hash(key.blob(), theirs, &share, &secret);
        let signature = self.host_key.sign(hash.as_ref());
        self.derive(&secret, hash);
        encode(&KexMessage::EcdhReply { host_key: key.blob(), share: &share, signature: &signature })
    }

    fn hash(&self, host_key: &[u8], client: &[u8], server: &[u8], secret: &SharedSecret) -> ExchangeHash {
        let Exchange { ours, theirs, .. } = &self.exchange;
        let mut parts = [HELLO, &self.hello, ours, theirs];
        if self.we_are_server {
            parts = [&self.hello, HELLO, theirs, ours];
        }
        let mut transcript = Transcript::new(self.agreement.hash());
        for part in parts.into_iter().chain([host_key, client, server]) {
            transcript.string(part);
        }
        transcript.raw(secret.encoded());
        transcript.finish()
    }

    fn derive(&mut self, secret: &SharedSecret, hash: ExchangeHash) {
        let session_id = self.session_id.get_or_insert_with(|| hash.clone()).clone();
        let key = |letter, length| derive(self.agreement.hash(), secret, &hash, &session_id, letter, length);
        let cipher = self.cipher;
        let (to_server, to_client) = (
            (key(b'C', cipher.key_len()), key(b'A', cipher.iv_len())),
            (key(b'D', cipher.key_len()), key(b'B', cipher.iv_len())),
        );
        let keys = [&to_server.0, &to_client.0];
        self.secrets = std::iter::once(secret.encoded()[4..].to_vec()).chain(keys.map(|key| key.to_vec())).collect();
        let (ours, theirs) = if self.we_are_server { (to_client, to_server) } else { (to_server, to_client) };
        let sealer = Sealer::new(cipher, &ours.0, &ours.1).expect("lengths are the cipher's own");
        let opener = Opener::new(cipher, &theirs.0, &theirs.1).expect("lengths are the cipher's own");
        (self.exchange.sealer, self.exchange.opener) = (Some(sealer), Some(opener));
    }

    /// Follows the victim's part of a key exchange.
    fn notice(&mut self, payload: &[u8]) {
        match payload[0] {
            20 => self.exchange.theirs = payload.to_vec(),
            31 if !self.we_are_server => {
                let Ok(KexMessage::EcdhReply { host_key, share, .. }) = KexMessage::decode(payload) else {
                    panic!("a malformed 31")
                };
                let (initiator, ours) = self.exchange.initiator.take().expect("we have sent a share");
                let secret = initiator.finish(share).expect("the victim's share is honest");
                let hash = self.hash(host_key, &ours, share, &secret);
                self.derive(&secret, hash);
            }
            21 => {
                self.opener = self.exchange.opener.take().expect("keys before NEWKEYS");
                if self.strict {
                    self.heard_sequence = 0;
                }
            }
            _ => {}
        }
    }
}

/// A frame of any form: `length` and `padding` as they stand in it, then the payload, then `zeros`.
pub(crate) fn frame(length: usize, padding: usize, payload: &[u8], zeros: usize) -> Vec<u8> {
    let mut frame = (length as u32).to_be_bytes().to_vec();
    frame.push(padding as u8);
    frame.extend_from_slice(payload);
    frame.resize(frame.len() + zeros, 0);
    frame
}

pub(crate) fn encode(message: &dyn Encode) -> Vec<u8> {
    let mut payload = Vec::new();
    message.encode(&mut payload);
    payload
}
