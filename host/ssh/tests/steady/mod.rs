//! An open session between a client and a server in memory, for tests that measure what a packet costs. Moving data
//! allocates nothing here, so whatever is allocated is the connection's.

#![allow(dead_code, reason = "each test program uses its own part of the session")]

use std::time::Instant;

use whelk_ssh::algorithm::Preferences;
use whelk_ssh::auth::Machine;
use whelk_ssh::auth::client::ClientAuth;
use whelk_ssh::auth::server::ServerAuth;
use whelk_ssh::connection::{Connection, Event, Progress};
use whelk_ssh::crypto::cipher::Suite;
use whelk_ssh::crypto::mac::Mac;
use whelk_ssh::crypto::random::SystemRandom;
use whelk_ssh::message::mux::{ChannelId, Stream};
use whelk_ssh::mux;

use crate::pair::Setup;

/// The payload of one packet: the most that either side announces.
pub(crate) const LARGE: usize = 32 * 1024;

/// The most bytes that one read gives: packets of [`LARGE`] bytes do not arrive whole.
const READ: usize = 50_000;

/// A client and a server with one open channel.
pub(crate) struct Session {
    pub(crate) client: Side<ClientAuth>,
    pub(crate) server: Side<ServerAuth>,
}

/// One end of the session.
pub(crate) struct Side<A> {
    connection: Connection<A>,
    /// The number of the channel at this end.
    channel: ChannelId,
    now: Instant,
    /// Bytes of channel data that have arrived.
    pub(crate) received: usize,
    /// Bytes of channel data that have arrived and were not credited.
    uncredited: usize,
}

impl Session {
    /// A session whose packets `suite` protects, with the random source of the program.
    pub(crate) fn new(suite: Suite) -> Session {
        let (cipher, mac) = (suite.cipher().name(), suite.mac().map_or("hmac-sha2-256", Mac::name));
        let mut setup = Setup { random: |_| Box::new(SystemRandom::new()), ..Setup::new(usize::MAX) };
        setup.client.preferences = Preferences::default()
            .with_ciphers(&[cipher])
            .and_then(|preferences| preferences.with_macs(&[mac]))
            .expect("names of ours");
        // Benchmarks send more than keys protect by default.
        setup.server.rekey.bytes = u64::MAX;
        setup.client.rekey.bytes = u64::MAX;
        let mut pair = setup.authenticated();
        let at_client = pair.open_session();
        let at_server = pair.at_server.lives.last().expect("a session was opened").channel;
        Session {
            client: Side::new(pair.client, at_client, pair.now),
            server: Side::new(pair.server, at_server, pair.now),
        }
    }

    /// Sends `data` both ways in as many packets as `packets` says, four at a time.
    pub(crate) fn exchange(&mut self, data: &[u8], packets: usize) {
        for _ in 0..packets.div_ceil(4) {
            for _ in 0..4 {
                self.client.send(data);
                self.server.send(data);
            }
            carry(&mut self.client, &mut self.server);
            carry(&mut self.server, &mut self.client);
            self.client.credit();
            self.server.credit();
            carry(&mut self.client, &mut self.server);
            carry(&mut self.server, &mut self.client);
        }
    }
}

impl<A: Machine> Side<A> {
    fn new(connection: Connection<A>, channel: ChannelId, now: Instant) -> Side<A> {
        Side { connection, channel, now, received: 0, uncredited: 0 }
    }

    /// Sends `data` in one packet.
    pub(crate) fn send(&mut self, data: &[u8]) {
        let sent = self.connection.write(self.channel, Stream::Data, data);
        assert_eq!(sent, data.len(), "the window and the output have room for a packet");
    }

    /// Handles what was read.
    pub(crate) fn receive(&mut self) {
        loop {
            let mut bytes = 0;
            let progress = self.connection.receive(self.now, |event| {
                if let Event::Channel(mux::Event::Data { data, .. }) = event {
                    bytes += data.len();
                }
            });
            self.received += bytes;
            self.uncredited += bytes;
            if progress.expect("the peer is honest") == Progress::Done {
                return;
            }
        }
    }

    /// Reports that the data received so far was consumed, and sends what is owed.
    pub(crate) fn credit(&mut self) {
        self.connection.taken(self.channel, std::mem::take(&mut self.uncredited));
        self.connection.write_owed(self.now).expect("the keys are fresh");
    }
}

/// Copies one read's worth of output to the other end. Returns whether there was any.
pub(crate) fn carry_read<A: Machine, B: Machine>(from: &mut Side<A>, to: &mut Side<B>) -> bool {
    let (output, input) = (from.connection.output(), to.connection.input());
    let count = output.len().min(input.len()).min(READ);
    if let (Some(output), Some(input)) = (output.get(..count), input.get_mut(..count)) {
        input.copy_from_slice(output);
    }
    to.connection.filled(count);
    from.connection.sent(count);
    count > 0
}

/// Carries all output to the other end, which handles it.
pub(crate) fn carry<A: Machine, B: Machine>(from: &mut Side<A>, to: &mut Side<B>) {
    while carry_read(from, to) {
        to.receive();
    }
}
