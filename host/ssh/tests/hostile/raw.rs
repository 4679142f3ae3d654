//! A peer written by hand ([`Hand`]) and what it talks to: a side of ours, with an application behind it.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::time::Instant;

use whelk_ssh::auth::{client, server};
use whelk_ssh::connection::Connection;
use whelk_ssh::error::{Error, Violation};

pub(crate) use crate::by_hand::{
    FAILURE, HELLO, Hand, LAX, Lists, SERVICE, STRICT, SUCCESS, data, encode, frame, none, on_channel, open, request,
};
use crate::pair::{Application, Role, Setup, start, turn};

/// A peer written by hand, and the side of ours that it talks to.
pub(crate) struct Raw<A> {
    /// The peer: its keys, its sequence numbers, and what it has heard.
    hand: Hand,
    /// The victim.
    pub(crate) side: Connection<A>,
    pub(crate) application: Application,
    /// Why the victim has given up.
    pub(crate) error: Option<Error>,
    pub(crate) now: Instant,
    /// We take what the victim sends.
    pub(crate) reads: bool,
    cut: usize,
    /// Bytes that the victim does not want yet.
    pending: VecDeque<u8>,
}

impl<A> Deref for Raw<A> {
    type Target = Hand;

    fn deref(&self) -> &Hand {
        &self.hand
    }
}

impl<A> DerefMut for Raw<A> {
    fn deref_mut(&mut self) -> &mut Hand {
        &mut self.hand
    }
}

impl Raw<server::ServerAuth> {
    /// A server as the victim. Nothing was exchanged yet.
    pub(crate) fn client(setup: &Setup) -> Raw<server::ServerAuth> {
        Raw::client_of(setup, Application::new())
    }

    /// A server with this application as the victim.
    pub(crate) fn client_of(setup: &Setup, application: Application) -> Raw<server::ServerAuth> {
        let now = start();
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
        let hand = Hand::new(we_are_server);
        Raw { hand, side, application, error: None, now, reads: true, cut, pending: VecDeque::new() }
    }

    // Bytes.

    /// Sends as many bytes as the largest packet has, if the victim takes them before it reports a forged packet.
    pub(crate) fn after_forgery(&mut self) {
        let hides_length = self.suite.mac().is_some_and(|mac| !mac.encrypts_first());
        if hides_length && self.error.is_none() {
            let cut = std::mem::replace(&mut self.cut, usize::MAX);
            self.bytes(&[0x55; 300 << 10]);
            self.cut = cut;
        }
    }

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
            let count = self.hear();
            self.side.sent(count);
            turn(&mut self.side, &mut self.application, &mut self.error, self.now);
        }
    }

    /// Hears what the victim's output holds, which it is not told. Says how many bytes that were.
    pub(crate) fn hear(&mut self) -> usize {
        let output = self.side.output();
        self.hand.heard.extend_from_slice(output);
        output.len()
    }

    /// Sends one payload.
    pub(crate) fn send(&mut self, payload: &[u8]) {
        let packet = self.packet(payload);
        self.bytes(&packet);
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

    /// Sends a KEXINIT.
    pub(crate) fn init(&mut self, lists: &Lists) {
        let payload = self.kexinit(lists);
        self.send(&payload);
    }

    /// Sends NEWKEYS and seals with the new key from there on.
    pub(crate) fn new_keys(&mut self) {
        let packet = self.packet(&[21]);
        self.switch();
        self.bytes(&packet);
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
}
