//! A peer written by hand: it knows the protocol's forms and keys but none of its rules. What it sends, when, under
//! which keys and with which lengths is the test's choice. Bytes that came are put into `heard`; packets to send are
//! returned.

#![allow(dead_code, reason = "each test program uses its own part of the peer")]

use whelk_ssh::crypto::agreement::{ALL, Agreement, Initiator};
use whelk_ssh::crypto::cipher::{Cipher, Opener, Sealer, Suite, SuiteKeys};
use whelk_ssh::crypto::hash::{ExchangeHash, Transcript, derive};
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::crypto::mac::Mac;
use whelk_ssh::crypto::secret::SharedSecret;
use whelk_ssh::message::Encode;
use whelk_ssh::message::auth::AuthMessage;
use whelk_ssh::message::kex::KexMessage;
use whelk_ssh::message::mux::{MuxMessage, Recipient};
use whelk_ssh::wire::{Rest, Wire};

/// Our identification, without its end.
pub(crate) const HELLO: &[u8] = b"SSH-2.0-by_hand";

/// What we say in a KEXINIT. Any bytes: the other side has to look after itself.
#[derive(Clone)]
pub(crate) struct Lists {
    pub(crate) kex: Vec<u8>,
    pub(crate) host_keys: Vec<u8>,
    pub(crate) ciphers: Vec<u8>,
    pub(crate) macs: Vec<u8>,
    pub(crate) compression: Vec<u8>,
    pub(crate) languages: Vec<u8>,
    pub(crate) follows: bool,
    pub(crate) reserved: u32,
}

impl Lists {
    /// An honest offer of one algorithm each. `markers` follow the key exchange's name, with their comma.
    pub(crate) fn honest(agreement: Agreement, suite: Suite, markers: &str) -> Lists {
        let named = |(_, other): &&(&str, Agreement)| *other == agreement;
        let (kex, _) = ALL.iter().find(named).expect("every agreement has a name");
        Lists {
            kex: format!("{kex}{markers}").into_bytes(),
            host_keys: b"ssh-ed25519".to_vec(),
            ciphers: suite.cipher().name().as_bytes().to_vec(),
            // The MAC lists are not looked at when the cipher needs none.
            macs: suite.mac().map_or("none", Mac::name).as_bytes().to_vec(),
            compression: b"none".to_vec(),
            languages: Vec::new(),
            follows: false,
            reserved: 0,
        }
    }

    pub(crate) fn payload(&self) -> Vec<u8> {
        let mut payload = vec![20];
        payload.extend_from_slice(&[0xc0; 16]);
        for list in [&self.kex, &self.host_keys, &self.ciphers, &self.ciphers, &self.macs, &self.macs] {
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
pub(crate) const FAILURE: &[u8] = b"\x33\0\0\0\x27publickey,password,keyboard-interactive\0";

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
    /// What follows our NEWKEYS, and what follows the other side's.
    sealer: Option<Sealer>,
    opener: Option<Opener>,
}

/// A peer written by hand: its keys, its sequence numbers, and what it has heard.
pub(crate) struct Hand {
    /// Our sequence numbers start anew with each NEWKEYS.
    pub(crate) strict: bool,
    pub(crate) agreement: Agreement,
    pub(crate) suite: Suite,
    pub(crate) session_id: Option<ExchangeHash>,
    /// Our host key, should we be a server.
    pub(crate) host_key: HostKey,
    /// The other side's identification.
    pub(crate) hello: Vec<u8>,
    /// The sequence number of our next packet.
    pub(crate) sequence: u32,
    /// K and the keys of both directions of the latest exchange, for those who look for them elsewhere.
    pub(crate) secrets: Vec<Vec<u8>>,
    /// Bytes that the other side has sent and nobody has opened.
    pub(crate) heard: Vec<u8>,
    heard_sequence: u32,
    we_are_server: bool,
    sealer: Sealer,
    opener: Opener,
    exchange: Exchange,
}

impl Hand {
    pub(crate) fn new(we_are_server: bool) -> Hand {
        Hand {
            strict: true,
            agreement: Agreement::Curve25519,
            suite: Suite::new(Cipher::ChaCha20Poly1305, None).expect("an AEAD"),
            session_id: None,
            host_key: HostKey::generate().expect("randomness"),
            hello: Vec::new(),
            sequence: 0,
            secrets: Vec::new(),
            heard: Vec::new(),
            heard_sequence: 0,
            we_are_server,
            sealer: Sealer::clear(),
            opener: Opener::clear(),
            exchange: Exchange::default(),
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

    /// The next payload that was heard. Its messages of key exchange are noticed on the way.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        if self.hello.is_empty() {
            let end = self.heard.iter().position(|byte| *byte == b'\n')?;
            self.hello = self.heard.drain(..=end).take(end - 1).collect();
        }
        let first = *self.heard.first_chunk::<4>()?;
        let whole = 4 + self.opener.length(self.heard_sequence, first) as usize + self.opener.tag_len();
        let mut packet: Vec<u8> = self.heard.get(..whole)?.to_vec();
        self.heard.drain(..whole);
        self.opener.open(self.heard_sequence, &mut packet).expect("the other side seals rightly");
        self.heard_sequence = self.heard_sequence.wrapping_add(1);
        let end = whole - self.opener.tag_len() - usize::from(packet[4]);
        let payload = packet[5..end].to_vec();
        self.notice(&payload);
        Some(payload)
    }

    /// All payloads that were heard.
    pub(crate) fn replies(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.next()).collect()
    }

    // Key exchange.

    /// What an honest peer offers.
    pub(crate) fn offer(&self) -> Lists {
        Lists::honest(self.agreement, self.suite, if self.strict { STRICT } else { LAX })
    }

    /// Our KEXINIT.
    pub(crate) fn kexinit(&mut self, lists: &Lists) -> Vec<u8> {
        self.exchange.ours = lists.payload();
        self.exchange.ours.clone()
    }

    /// A fresh share of ours as a client, in its message.
    pub(crate) fn share(&mut self) -> Vec<u8> {
        let (initiator, share) = self.agreement.initiate().expect("randomness");
        self.exchange.initiator = Some((initiator, share.clone()));
        encode(&KexMessage::EcdhInit { share: &share })
    }

    /// Seals with the new key from here on.
    pub(crate) fn switch(&mut self) {
        self.sealer = self.exchange.sealer.take().expect("keys after 31");
        if self.strict {
            self.sequence = 0;
        }
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
        let (suite, cipher) = (self.suite, self.suite.cipher());
        let direction = |[iv, cipher_key, mac]: [u8; 3]| {
            (key(cipher_key, cipher.key_len()), key(iv, cipher.iv_len()), key(mac, suite.mac_key_len()))
        };
        let (to_server, to_client) = (direction(*b"ACE"), direction(*b"BDF"));
        let keys = [&to_server.0, &to_client.0, &to_server.2, &to_client.2].map(|key| key.to_vec());
        let secrets = std::iter::once(secret.encoded()[4..].to_vec()).chain(keys);
        self.secrets = secrets.filter(|secret| !secret.is_empty()).collect();
        let (ours, theirs) = if self.we_are_server { (to_client, to_server) } else { (to_server, to_client) };
        let keys = SuiteKeys { cipher: &ours.0, iv: &ours.1, mac: &ours.2 };
        let sealer = Sealer::new(suite, &keys).expect("lengths are the suite's own");
        let keys = SuiteKeys { cipher: &theirs.0, iv: &theirs.1, mac: &theirs.2 };
        let opener = Opener::new(suite, &keys).expect("lengths are the suite's own");
        (self.exchange.sealer, self.exchange.opener) = (Some(sealer), Some(opener));
    }

    /// Follows the other side's part of a key exchange.
    fn notice(&mut self, payload: &[u8]) {
        match payload[0] {
            20 => self.exchange.theirs = payload.to_vec(),
            31 if !self.we_are_server => {
                let Ok(KexMessage::EcdhReply { host_key, share, .. }) = KexMessage::decode(payload) else {
                    panic!("a malformed 31")
                };
                let (initiator, ours) = self.exchange.initiator.take().expect("we have sent a share");
                let secret = initiator.finish(share).expect("the other side's share is honest");
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
