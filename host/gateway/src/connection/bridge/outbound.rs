//! From the runtime to SSH: lets one channel after the other send, and translates the messages of sessions.

use whelk_runtime::{Drained, Exit, OpenReply, Output, Sink};
use whelk_ssh::connection::{Progress, Server as ServerConnection};
use whelk_ssh::error::Error;
use whelk_ssh::message::mux::{ChannelId, Stream};
use whelk_ssh::mux;

use super::connection_plugin::MESSAGES;
use super::session::OpenRefusal;
use super::{Bridge, Channel, RefusedChannel};
use crate::observe::tap::TapPoint;

/// Fixed cost of each time that a channel sends, in bytes: a client may take one byte a packet, and each packet is
/// work.
const CHANNEL_OVERHEAD: usize = 1 << 10;

impl Bridge {
    /// Lets the channels that have something to send put one packet each, one after the other, up to about `budget`
    /// bytes.
    ///
    /// # Errors
    /// [`Error::Requested`]: a plugin ends the connection.
    pub(crate) fn send(&mut self, connection: &mut ServerConnection, budget: usize) -> Result<Progress, Error> {
        let heeded = if self.delegation.is_some() { self.heed_plugin(connection)? } else { 0 };
        for RefusedChannel { channel, failure, text } in self.pending_open_failures.drain(..) {
            connection.refuse(channel, failure, &text);
        }
        self.channels.queue_woken();
        if connection.can_write() {
            self.channels.unpark();
        }
        let mut cost = heeded * CHANNEL_OVERHEAD;
        while cost < budget {
            let Some(channel) = self.channels.next() else {
                return Ok(if heeded < MESSAGES { Progress::Done } else { Progress::More });
            };
            cost += CHANNEL_OVERHEAD + self.send_channel(connection, channel)?;
        }
        Ok(Progress::More)
    }

    /// Sends what one channel has: its credit, its messages and at most one packet of data. Returns how many bytes of
    /// data.
    fn send_channel(&mut self, connection: &mut ServerConnection, channel: ChannelId) -> Result<usize, Error> {
        let Some(Channel::Session(session)) = self.channels.get_mut(channel) else { return Ok(0) };
        let credit = session.inbox.take_credit();
        if credit > 0 {
            connection.taken(channel, credit);
        }
        let tap = session.registration.tap();
        let mut sink = PacketSink {
            connection,
            tap,
            is_tapped: tap.is_tapped(),
            channel,
            is_session: session.is_session,
            sent: 0,
            full: false,
            refused: false,
            unsent: 0,
            disconnect: None,
        };
        let drained = session.outbox.drain(&mut sink);
        let PacketSink { sent, full, refused, unsent, disconnect, .. } = sink;
        if sent > 0 {
            session.registration.counters().add_sent(sent, self.now);
        }
        // Requests that could not be made get no answer from the client.
        (0..unsent).for_each(|_| session.inbox.answered(false));
        if refused {
            // No CLOSE follows for a channel that was never open.
            self.channels.remove(channel);
        } else {
            match drained {
                Drained::Empty => {}
                Drained::More if !full => self.channels.queue(channel),
                // The client's window is empty: `Event::Writable` queues the channel again.
                Drained::More if connection.can_write() => {}
                Drained::More => self.channels.park(channel),
            }
        }
        disconnect.map_or(Ok(sent), Err)
    }
}

/// Puts the messages of one session into packets, with at most one packet of data.
struct PacketSink<'c> {
    connection: &'c mut ServerConnection,
    tap: &'c TapPoint,
    /// Somebody looks on at the session.
    is_tapped: bool,
    channel: ChannelId,
    /// The channel has the type `session`, in which programs end with a status.
    is_session: bool,
    /// Bytes of data that were taken.
    sent: usize,
    /// Whether the window or the output is full, so that sending again now would send nothing.
    full: bool,
    /// Whether the channel is not opened.
    refused: bool,
    /// How many of the plugin's requests could not be made.
    unsent: u32,
    /// The plugin ends the connection.
    disconnect: Option<Error>,
}

impl Sink for PacketSink<'_> {
    fn opened(&mut self, reply: OpenReply) {
        let refusal = match reply {
            OpenReply::Accepted => return self.connection.accept(self.channel),
            OpenReply::Refused => OpenRefusal::Plugin,
            OpenReply::Full => OpenRefusal::Full,
        };
        self.refused = true;
        let (failure, text) = refusal.failure();
        self.connection.refuse(self.channel, failure, &text);
        // One that our side has opened is open already.
        self.connection.close(self.channel);
    }

    fn reply(&mut self, success: bool, times: u32) {
        self.connection.reply_alike(self.channel, success, times);
    }

    fn bytes(&mut self, to: Output, data: &[u8]) -> usize {
        let stream = match to {
            Output::Stdout => Stream::Data,
            Output::Stderr => Stream::STDERR,
            Output::Extended(kind) => Stream::Extended(kind),
        };
        let offered = if self.is_tapped { &data[..self.tap.room(data.len())] } else { data };
        let taken = self.connection.write(self.channel, stream, offered);
        if self.is_tapped {
            self.tap.output(to, &offered[..taken]);
        }
        // Taking less than was offered is no lack of room: one packet is taken at a time.
        self.full = taken < data.len() && (taken == 0 || self.connection.room(self.channel) == 0);
        self.sent += taken;
        taken
    }

    fn eof(&mut self) {
        self.connection.send_eof(self.channel);
    }

    fn request(&mut self, name: &str, payload: &[u8]) {
        if !self.connection.request(self.channel, name.as_bytes(), payload, true) {
            self.unsent += 1;
        }
    }

    fn exit(&mut self, exit: &Exit) {
        self.tap.exits(exit);
        if !self.is_session {
            self.connection.send_eof(self.channel);
            return self.connection.close(self.channel);
        }
        let exit = match exit {
            Exit::Status(status) => mux::Exit::Status(*status),
            Exit::Signal { name, core_dumped, message } => mux::Exit::Signal {
                name: name.as_str().to_owned(),
                core_dumped: *core_dumped,
                message: message.clone(),
            },
        };
        self.connection.exit(self.channel, exit);
    }

    fn disconnect(&mut self, reason: u32, text: &str) {
        self.disconnect = Some(Error::Requested { reason, text: text.to_owned() });
    }

    fn debug(&mut self, text: &str, always_display: bool) {
        // Sealed at once: without this check the messages would fill the output of a client that does not read.
        if self.connection.can_write() {
            self.connection.debug(text, always_display);
        }
    }
}
