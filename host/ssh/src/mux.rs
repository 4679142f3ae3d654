//! RFC 4254, the connection protocol: many channels over one connection.
//!
//! The mux turns payloads numbered 80 to 127 into events for its owner, and the owner's commands into messages. It
//! knows neither transport nor keys: payloads come in by [`Mux::handle`], messages go out into an [`Output`] when that
//! has room. Until then they are *owed*: the mux keeps what is needed to write them, never data. Received data is lent
//! to the owner at once, and data to send stays with the owner until window, packet limit and output all have room.
//!
//! Reading order: [`Event`], the methods of [`Mux`], `mux/channel.rs`, `mux/window.rs`.
//!
//! What has only one right answer is answered here: kinds of channel that nobody serves are refused, requests that are
//! malformed or never granted fail in their turn, CLOSE is answered with CLOSE. Names of somebody's own are passed to
//! an owner that asks for them (`mux/delegation.rs`).
//!
//! Decisions that may surprise:
//!
//! * A fault on one channel ends at most that channel, since many clients break small rules. OpenSSH is as lenient or
//!   less.
//!   * Messages on a channel after the peer's CLOSE are ignored. A number is not used again before 32 others have been
//!     closed after it, if the table has room.
//!   * A second EOF is ignored. Data after EOF is charged to the window and dropped.
//!   * A message over the maximum packet size is taken. So is data up to a tenth over the window; later grants are
//!     reduced by it. Data beyond that, or an adjustment past 2^32 - 1, closes the channel.
//!   * After eight channels closed for such a violation the connection ends. Each channel closed without one decrements
//!     the count.
//! * A message for a number that the peer was never told ends the connection, an adjustment too, which OpenSSH ignores:
//!   the two sides disagree about which channels there are.
//! * Data on a channel that its owner has ended, and answers that nobody asked for, are dropped. A peer that has not
//!   read our CLOSE yet may well send the first; some servers send the second.
//! * Requests that want no answer are answered by the owner all the same, and count as unanswered until then: that
//!   bounds the owner's queue. Only a run of `window-change` counts as one, and the owner is to keep no more than the
//!   last of a run.
//! * No number of requests ends the connection. Those that the owner declines at once, and those for which there is no
//!   place in the owner's queue, are refused in their turn, and a run of answers that are alike costs what one does.
//! * A channel number is free when both CLOSEs have passed, but counts as a session only until either side ends it: a
//!   client that closes one session and opens the next in one breath is never told that there are too many.

mod channel;
mod delegation;
mod event;
mod global;
mod global_answers;
mod opening;
mod own_requests;
mod policy;
mod replies;
mod settings;
mod table;
mod window;

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::VecDeque;

pub use event::{Decline, Event, Exit, NotAsked, OpenFailure, Refused};
pub use settings::{MIN_WINDOW, Settings};

use crate::error::Violation;
use crate::message::mux::number::REQUEST_FAILURE;
use crate::message::mux::{ChannelId, MuxMessage, PeerChannelId, Stream};
use crate::message::request::Request;
use crate::message::{Output, Role};
use channel::{Channel, Fault};
use global::Globals;
use policy::{SESSION, may_ask};
use replies::{Answers, ReplyKind};
use table::{Slot, Table};
use window::{Inbound, Outbound, Pool, Sizes};

/// Most answers that may wait to be sent; equal ones in a row count once. Reading stops long before, except during a
/// key exchange, which holds answers back.
const MAX_OWED_REPLIES: usize = 1024;

/// How many channels that are closed for a fault of the peer end the connection. Each channel that the peer closes
/// without a fault makes up for one.
const MAX_FAULTS: u32 = 8;

/// The owner's closure for events.
type Owner<'o> = dyn FnMut(Event<'_>) + 'o;

/// All channels of a connection.
///
/// The methods are of four kinds: ask, payloads in, commands, messages out. A command for a channel that no longer
/// exists is ignored: late answers of sessions are normal.
#[derive(Debug)]
pub struct Mux {
    /// Our side of the connection.
    role: Role,
    /// The limits.
    settings: Settings,
    /// The channels by our number.
    table: Table,
    /// The bytes that all windows may grow by together.
    pool: Pool,
    /// How large windows begin, and may become.
    sizes: Sizes,
    /// What is owed outside of channels.
    globals: Globals,
    /// The channels that owe something, each once.
    owing: VecDeque<ChannelId>,
    /// Whether the client has promised to open no more sessions.
    no_more_sessions: bool,
    /// Whether the owner is told of names that the mux does not know.
    passes_on: bool,
    /// Channels closed for a fault of the peer, minus those that it has closed without one.
    faults: u32,
}

/// Construction and queries.
impl Mux {
    /// A connection without channels.
    pub fn new(role: Role, settings: &Settings) -> Mux {
        // Part of the pool is reserved for each session, so that windows that have grown do not prevent new sessions.
        let sessions = u32::try_from(settings.max_sessions).unwrap_or(u32::MAX).max(1);
        let Settings { window_start: start, window_max: max, max_packet, .. } = *settings;
        let least = MIN_WINDOW.max(max_packet).min(start).min(settings.window_connection / sessions).max(1);
        let set_aside = least.saturating_mul(sessions);
        Mux {
            role,
            settings: settings.clone(),
            table: Table::new(settings.max_channels),
            pool: Pool::new(settings.window_connection.saturating_sub(set_aside)),
            sizes: Sizes { least, start, max, max_packet },
            globals: Globals::default(),
            owing: VecDeque::new(),
            no_more_sessions: false,
            passes_on: false,
            faults: 0,
        }
    }

    /// Whether to read on: not while answers pile up because the peer does not read. During a key exchange reading goes
    /// on, as the exchange cannot end otherwise. Memory is bounded meanwhile: data by the windows, answers by
    /// `MAX_OWED_REPLIES` (one more refused open ends the connection, one more request is refused, and refusals in a
    /// row cost as much as one), and UNIMPLEMENTED by the transport, which stops reading at a full output.
    pub fn wants_input(&self, exchanging: bool) -> bool {
        exchanging || self.owed_replies() <= self.settings.owed_replies
    }

    /// Whether [`write_owed`](Mux::write_owed) has something to put.
    pub fn owes(&self) -> bool {
        self.globals.owes() || !self.owing.is_empty()
    }

    /// Bytes that the peer's window has left on a channel. 0 after our EOF or CLOSE, and if there is no such channel.
    pub fn room(&self, channel: ChannelId) -> usize {
        match self.table.slot(channel) {
            Slot::Live(channel) => channel.room(),
            Slot::Vacant | Slot::Offered { .. } | Slot::Opening(_) => 0,
        }
    }

    /// How many sessions are open or being opened.
    pub fn sessions(&self) -> usize {
        self.table.sessions()
    }

    /// How many answers wait to be sent.
    fn owed_replies(&self) -> usize {
        self.owed_by_channels(Answers::len).saturating_add(self.globals.owed_replies())
    }

    /// Whether one more answer may wait that differs from the one before it.
    fn may_owe_reply(&self) -> bool {
        self.owed_by_channels(Answers::weight).saturating_add(self.globals.weight()) < MAX_OWED_REPLIES
    }

    /// The sum over the answers that wait on channels. Only channels in `owing` have any.
    fn owed_by_channels(&self, size: impl Fn(&Answers) -> usize) -> usize {
        let of_channels = self.owing.iter().map(|id| match self.table.slot(*id) {
            Slot::Live(channel) => size(channel.owed_replies()),
            Slot::Vacant | Slot::Offered { .. } | Slot::Opening(_) => 0,
        });
        of_channels.fold(0, usize::saturating_add)
    }
}

/// In: payloads.
impl Mux {
    /// Handles one payload, numbered 80 to 127, and lends the event to the owner. Call
    /// [`write_owed`](Mux::write_owed) between payloads: more than 1,024 unsent refusals end the connection.
    ///
    /// # Errors
    /// The peer broke a rule that concerns the whole connection, which is over.
    pub fn handle(&mut self, payload: &[u8], on: &mut dyn FnMut(Event<'_>)) -> Result<(), Violation> {
        let number = *payload.first().ok_or(Violation::EmptyPayload)?;
        if number == REQUEST_FAILURE {
            // Go's x/crypto lets an application put bytes behind it. They mean nothing, and OpenSSH does not read them.
            return self.global_answered(false, b"", on);
        }
        let message = MuxMessage::decode(payload).map_err(|what| Violation::Malformed { number, what })?;
        match message {
            MuxMessage::GlobalRequest { kind, want_reply, body } => self.global_requested(kind, body.0, want_reply, on),
            MuxMessage::RequestSuccess { body } => self.global_answered(true, body.0, on),
            MuxMessage::RequestFailure {} => self.global_answered(false, b"", on),
            MuxMessage::ChannelOpen { kind, sender, window, max_packet, body } => {
                self.open(kind, body.0, PeerChannelId(sender), Outbound::new(window, max_packet), on)
            }
            MuxMessage::ChannelOpenConfirmation { recipient, sender, window, max_packet, body: _ } => {
                self.confirmed(recipient.ours(), PeerChannelId(sender), Outbound::new(window, max_packet), on)
            }
            MuxMessage::ChannelOpenFailure { recipient, reason, description, language: _ } => {
                self.open_failed(recipient.ours(), reason, description, on)
            }
            MuxMessage::ChannelWindowAdjust { recipient, bytes } => self.adjusted(recipient.ours(), bytes, on),
            MuxMessage::ChannelData { recipient, data } => self.data(recipient.ours(), Stream::Data, data, on),
            MuxMessage::ChannelExtendedData { recipient, kind, data } => {
                self.data(recipient.ours(), Stream::Extended(kind), data, on)
            }
            MuxMessage::ChannelEof { recipient } => self.eof(recipient.ours(), on),
            MuxMessage::ChannelClose { recipient } => self.closed(recipient.ours(), on),
            MuxMessage::ChannelRequest { recipient, kind, want_reply, body } => {
                self.requested(recipient.ours(), kind, body.0, want_reply, on)
            }
            MuxMessage::ChannelSuccess { recipient } => self.answered(recipient.ours(), true, on),
            MuxMessage::ChannelFailure { recipient } => self.answered(recipient.ours(), false, on),
        }
    }
}

/// What the peer says about the connection and about channels that are not there yet.
impl Mux {
    /// REQUEST_SUCCESS and REQUEST_FAILURE, RFC 4254 §4. An answer that nobody asked for is dropped.
    fn global_answered(&mut self, success: bool, body: &[u8], on: &mut Owner<'_>) -> Result<(), Violation> {
        if let Some(tag) = self.globals.answered() {
            on(Event::GlobalAnswered { tag, success, body });
        }
        Ok(())
    }

    /// CHANNEL_OPEN, RFC 4254 §5.1. If it is refused, only the refusal is kept.
    fn open(
        &mut self,
        kind: &[u8],
        payload: &[u8],
        peer: PeerChannelId,
        outbound: Result<Outbound, Violation>,
        on: &mut Owner<'_>,
    ) -> Result<(), Violation> {
        // Each refusal has another number, so that refusals in a row do not count as one.
        if !self.may_owe_reply() {
            return Err(Violation::TooManyOpens);
        }
        if kind == SESSION && self.no_more_sessions {
            return Err(Violation::NoMoreSessions);
        }
        match self.offer(kind, payload, peer, outbound) {
            Ok(channel) => on(Event::Open { channel, kind, payload }),
            Err((failure, reason)) => {
                self.globals.refuse(peer, failure, Cow::Borrowed(reason));
                on(Event::Refused { what: Refused::Open, name: kind, reason });
            }
        }
        Ok(())
    }

    /// Reserves one of our numbers for a channel that the peer opens, if it may have one. The error is the refusal.
    fn offer(
        &mut self,
        kind: &[u8],
        payload: &[u8],
        peer: PeerChannelId,
        outbound: Result<Outbound, Violation>,
    ) -> Result<ChannelId, (OpenFailure, &'static str)> {
        self.may_open(kind, payload)?;
        let outbound = outbound.map_err(|_| (OpenFailure::ConnectFailed, "the maximum packet size is too small"))?;
        let shortage = (OpenFailure::ResourceShortage, "too many sessions");
        if self.sessions() >= self.settings.max_sessions {
            return Err(shortage);
        }
        self.table.insert(Slot::Offered { peer, outbound }).ok_or(shortage)
    }

    /// CHANNEL_OPEN_CONFIRMATION, RFC 4254 §5.1: the peer has opened the channel that we asked for. A channel that
    /// takes no data is closed at once, and the owner is told that it was not opened.
    fn confirmed(
        &mut self,
        id: ChannelId,
        peer: PeerChannelId,
        outbound: Result<Outbound, Violation>,
        on: &mut Owner<'_>,
    ) -> Result<(), Violation> {
        let (wanted, inbound) = self.take_opening(id)?;
        let is_usable = outbound.is_ok();
        let outbound = outbound.unwrap_or(Outbound::CLOSED);
        if let Some(slot) = self.table.slot_mut(id) {
            *slot = Slot::Live(Box::new(Channel::confirmed(peer, inbound, outbound)));
        }
        self.tell(id, |channel, pool| {
            if !wanted || !is_usable {
                channel.close(pool);
            }
        });
        if wanted && is_usable {
            on(Event::Opened { channel: id });
        } else if wanted {
            let (reason, description) = (OpenFailure::ConnectFailed.code(), &b"its maximum packet size is 0"[..]);
            on(Event::OpenFailed { channel: id, reason, description });
        }
        Ok(())
    }

    /// CHANNEL_OPEN_FAILURE, RFC 4254 §5.1: the peer has refused the channel that we asked for.
    fn open_failed(
        &mut self,
        id: ChannelId,
        reason: u32,
        description: &[u8],
        on: &mut Owner<'_>,
    ) -> Result<(), Violation> {
        let (wanted, mut inbound) = self.take_opening(id)?;
        inbound.end(&mut self.pool);
        self.table.vacate(id);
        on(if wanted { Event::OpenFailed { channel: id, reason, description } } else { Event::Closed { channel: id } });
        Ok(())
    }

    /// Takes the window of a channel that we asked for and have no answer about yet. Returns it with whether the owner
    /// still wants the channel.
    fn take_opening(&mut self, id: ChannelId) -> Result<(bool, Inbound), Violation> {
        match self.table.slot_mut(id) {
            Some(Slot::Opening(opening)) => opening.sent.take().map(|inbound| (opening.wanted, inbound)),
            Some(Slot::Vacant | Slot::Offered { .. } | Slot::Live(_)) | None => None,
        }
        .ok_or(Violation::Unsolicited)
    }
}

/// In: messages of a channel. They are ignored after the peer's CLOSE.
impl Mux {
    /// RFC 4254 §5.2.
    fn adjusted(&mut self, id: ChannelId, bytes: u32, on: &mut Owner<'_>) -> Result<(), Violation> {
        let Some(channel) = self.table.addressed(id)? else { return Ok(()) };
        match channel.adjust(bytes) {
            Ok(true) => on(Event::Writable { channel: id }),
            Ok(false) => {}
            Err(violation) => self.fault(id, violation, on)?,
        }
        Ok(())
    }

    /// RFC 4254 §5.2.
    fn data(&mut self, id: ChannelId, stream: Stream, data: &[u8], on: &mut Owner<'_>) -> Result<(), Violation> {
        let Some(channel) = self.table.addressed(id)? else { return Ok(()) };
        match channel.data(data.len()) {
            Ok(true) => on(Event::Data { channel: id, stream, data }),
            Ok(false) => {}
            Err(violation) => self.fault(id, violation, on)?,
        }
        Ok(())
    }

    /// The peer broke a rule that concerns one channel, which is closed; the eighth ends the connection. A channel that
    /// its owner has ended does not count: a peer that has not read our CLOSE yet may still send.
    fn fault(&mut self, id: ChannelId, violation: Violation, on: &mut Owner<'_>) -> Result<(), Violation> {
        let mut fault = Fault::Again;
        self.tell(id, |channel, pool| fault = channel.fault(pool));
        self.faults = self.faults.saturating_add(u32::from(fault == Fault::Closed));
        if self.faults >= MAX_FAULTS {
            return Err(violation);
        }
        if fault == Fault::Closed {
            on(Event::ProtocolError { channel: id, violation });
        }
        Ok(())
    }

    /// RFC 4254 §5.3.
    fn eof(&mut self, id: ChannelId, on: &mut Owner<'_>) -> Result<(), Violation> {
        if self.table.addressed(id)?.is_some_and(Channel::eof) {
            on(Event::Eof { channel: id });
        }
        Ok(())
    }

    /// CHANNEL_CLOSE, RFC 4254 §5.3. It is answered with CLOSE; when both have passed, the number is free.
    fn closed(&mut self, id: ChannelId, on: &mut Owner<'_>) -> Result<(), Violation> {
        let Some(channel) = self.table.addressed(id)? else { return Ok(()) };
        if !channel.was_at_fault() {
            self.faults = self.faults.saturating_sub(1);
        }
        channel.closed(&mut self.pool);
        if channel.is_over() {
            self.table.retire(id);
        }
        self.list(id);
        on(Event::Closed { channel: id });
        Ok(())
    }

    /// RFC 4254 §5.4.
    fn requested(
        &mut self,
        id: ChannelId,
        kind: &[u8],
        body: &[u8],
        want_reply: bool,
        on: &mut Owner<'_>,
    ) -> Result<(), Violation> {
        let request = Request::decode(kind, body)
            .map_err(|_| "malformed")
            .and_then(|request| may_ask(self.role, &request).map(|()| request));
        let reply = match (want_reply, &request) {
            (true, _) => ReplyKind::Wanted,
            (false, Ok(Request::WindowChange { .. })) => ReplyKind::Run,
            (false, _) => ReplyKind::Silent,
        };
        let (most, may_owe) = (self.settings.unanswered, !want_reply || self.may_owe_reply());
        // No answer can follow our CLOSE.
        let Some(channel) = self.table.addressed(id)?.filter(|channel| channel.has_owner()) else { return Ok(()) };
        let has_place = may_owe && channel.admits(reply, most);
        let declined = Cell::new(false);
        match request.and_then(|request| if has_place { Ok(request) } else { Err("too many requests are unanswered") })
        {
            Ok(Request::EndOfWrite) => {
                declined.set(true);
                if channel.end_of_write() {
                    on(Event::EndOfWrite { channel: id });
                }
            }
            Ok(request) => on(Event::Request { channel: id, request, decline: Decline(&declined) }),
            Err(reason) => {
                declined.set(true);
                on(Event::Refused { what: Refused::Request(id), name: kind, reason });
            }
        }
        if declined.get() {
            channel.request_refused(reply)
        } else {
            channel.request_passed_on(reply)
        }
        self.list(id);
        Ok(())
    }

    /// CHANNEL_SUCCESS and CHANNEL_FAILURE, RFC 4254 §5.4. An answer that nobody asked for is dropped.
    fn answered(&mut self, id: ChannelId, success: bool, on: &mut Owner<'_>) -> Result<(), Violation> {
        if self.table.addressed(id)?.is_some_and(Channel::answered) {
            on(Event::Answered { channel: id, success });
        }
        Ok(())
    }
}

/// Commands.
impl Mux {
    /// Opens the channel that the peer asked for. RFC 4254 §5.1.
    pub fn accept(&mut self, channel: ChannelId) {
        if let Some(slot) = self.table.slot_mut(channel)
            && let Slot::Offered { peer, outbound } = *slot
        {
            let window = Inbound::new(&self.sizes, &mut self.pool);
            *slot = Slot::Live(Box::new(Channel::accepted(peer, window, outbound)));
            self.list(channel);
        }
    }

    /// Refuses the channel that the peer asked for. At most 1 KiB of `text`, for people, is sent. The number is free.
    /// RFC 4254 §5.1.
    pub fn refuse(&mut self, channel: ChannelId, reason: OpenFailure, text: &str) {
        if let Slot::Offered { peer, .. } = *self.table.slot(channel) {
            self.table.vacate(channel);
            self.globals.refuse(peer, reason, Cow::Owned(text.to_owned()));
        }
    }

    /// Answers the oldest [`Event::Request`] of the channel that has no answer yet. RFC 4254 §5.4.
    pub fn reply(&mut self, channel: ChannelId, success: bool) {
        self.reply_alike(channel, success, 1);
    }

    /// Answers the `times` oldest of them alike.
    pub fn reply_alike(&mut self, channel: ChannelId, success: bool, times: u32) {
        self.tell(channel, |channel, _| channel.reply(success, times));
    }

    /// Sends at most one message of data. Returns how many bytes were taken: 0 if the window or the output is full, or
    /// the channel is not open. What the channel owes is sent first, so that no output overtakes the answer to the
    /// request that caused it. RFC 4254 §5.2.
    pub fn write(&mut self, channel: ChannelId, stream: Stream, data: &[u8], out: &mut impl Output) -> usize {
        if self.table.channel(channel).is_some_and(|channel| channel.owes()) && self.write_owed_by(channel, out) {
            self.owing.retain(|owing| *owing != channel);
        }
        let most = self.settings.max_packet;
        self.table.channel(channel).map_or(0, |channel| channel.write(stream, data, most, out))
    }

    /// The owner has consumed `bytes` of the channel's data: the peer may send as many more. RFC 4254 §5.2.
    pub fn taken(&mut self, channel: ChannelId, bytes: usize) {
        self.tell(channel, |channel, pool| channel.taken(bytes, pool));
    }

    /// Sends EOF: no more data follows on this channel. RFC 4254 §5.3.
    pub fn send_eof(&mut self, channel: ChannelId) {
        self.tell(channel, |channel, _| channel.send_eof());
    }

    /// The program of a session has ended: sends its status or signal, EOF unless it was sent, and CLOSE, in this
    /// order. At most 1 KiB of each text is sent. A session that was not accepted yet is refused. RFC 4254 §6.10.
    pub fn exit(&mut self, channel: ChannelId, exit: Exit) {
        self.refuse(channel, OpenFailure::ConnectFailed, "the program has ended");
        self.tell(channel, |channel, pool| channel.exit(exit, pool));
    }

    /// Closes a channel, without a status. One that is not open yet is refused, or closed once it is open. RFC 4254
    /// §5.3.
    pub fn close(&mut self, channel: ChannelId) {
        self.refuse(channel, OpenFailure::ConnectFailed, "closed");
        if let Some(Slot::Opening(opening)) = self.table.slot_mut(channel) {
            opening.wanted = false;
        }
        self.tell(channel, |channel, pool| channel.close(pool));
    }

    /// Makes a request on an open channel. `kind` and `body` are together at most one packet long. False if they are
    /// longer, if 16 requests wait already, or if the channel is not open. RFC 4254 §5.4.
    pub fn request(&mut self, channel: ChannelId, kind: &[u8], body: &[u8], want_reply: bool) -> bool {
        let (mut made, most) = (false, self.settings.max_packet);
        self.tell(channel, |channel, _| made = channel.request(kind, body, want_reply, most));
        made
    }

    /// Owes an answer to a global request of the peer that was not passed to [`handle`](Mux::handle): a success with
    /// this body, or a failure. RFC 4254 §4.
    pub(crate) fn answer_global(&mut self, body: Option<Vec<u8>>) {
        match body {
            Some(body) => self.globals.answers.push_body(body),
            None => self.globals.answers.push(false),
        }
    }

    /// Makes a global request. `kind` and `body` are together at most one packet long. False if they are longer or if
    /// 16 wait already. RFC 4254 §4.
    pub fn global_request(&mut self, kind: &[u8], body: &[u8], want_reply: bool) -> bool {
        let most = self.settings.max_packet;
        if want_reply { self.globals.ask(kind, body, None, most) } else { self.globals.tell(kind, body, most) }
    }

    /// Applies a command to a channel, if it exists, and lists the channel if it owes something afterwards.
    fn tell(&mut self, id: ChannelId, command: impl FnOnce(&mut Channel, &mut Pool)) {
        if let Some(channel) = self.table.channel(id) {
            command(channel, &mut self.pool);
            self.list(id);
        }
    }

    /// Lists a channel that owes something, once.
    fn list(&mut self, id: ChannelId) {
        let owes = self.table.channel(id).is_some_and(|channel| channel.owes());
        if owes && !self.owing.contains(&id) {
            self.owing.push_back(id);
        }
    }
}

/// Out: messages.
impl Mux {
    /// Turns what is owed into messages while there is room. The cost grows with the channels that owe something, not
    /// with those that are open.
    pub fn write_owed(&mut self, out: &mut impl Output) {
        self.globals.write_owed(out);
        while out.room() > 0
            && let Some(id) = self.owing.pop_front()
        {
            if !self.write_owed_by(id, out) {
                self.owing.push_front(id);
            }
        }
    }

    /// Puts what one channel owes while there is room. Returns whether it owes nothing any more.
    fn write_owed_by(&mut self, id: ChannelId, out: &mut impl Output) -> bool {
        match self.table.slot_mut(id) {
            Some(Slot::Opening(opening)) => opening.write(id, &self.sizes, &mut self.pool, out),
            Some(Slot::Live(channel)) => {
                channel.write_owed(id, out);
                let written = !channel.owes();
                if channel.is_over() {
                    self.table.retire(id);
                }
                written
            }
            Some(Slot::Vacant | Slot::Offered { .. }) | None => true,
        }
    }
}
