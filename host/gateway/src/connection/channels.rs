//! The sessions of one connection: which channel is which instance, and whose turn it is to send.
//!
//! Inwards, an event of the protocol becomes something that happened to a session. Outwards, the sessions that have
//! something stand in a line and put one packet each, so that a busy one holds up nobody. A session without room waits
//! outside the line until its client makes some, as long as the connection lives: what its plugin has written is not
//! lost when the plugin has ended.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use whelk_runtime::{ChannelEvent, Drained, Ending, Exit, Inbox, OpenReply, Outbox, Output, Sink, session_pipes};
use whelk_ssh::connection::{Event, Progress, Server};
use whelk_ssh::error::Error;
use whelk_ssh::message::mux::{ChannelId, Stream};
use whelk_ssh::mux;

use crate::auth::access::Identity;
use crate::connection::bridge::{self, Entered, Environment, Unfit};
use crate::connection::ready::{Ready, Ticket};
use crate::observe::logging::escape;
use crate::observe::refusals::{self, Refusals};
use crate::server::drain::Phase;
use crate::server::gateway::Gateway;
use crate::tenant::Seat;

/// What a session's turn counts beside its bytes: a client may take one byte a packet, and each packet is work.
const TURN_COST: usize = 1 << 10;

/// All sessions of a connection.
pub(crate) struct Sessions {
    gateway: Arc<Gateway>,
    /// The connection's number, for the log.
    connection: u64,
    /// Who entered, once somebody has. Before that the protocol lets no channel be opened.
    entered: Option<Arc<Entered>>,
    table: BTreeMap<ChannelId, Session>,
    /// Filled by the sessions' tasks.
    ready: Arc<Ready>,
    /// Who puts a packet next.
    line: VecDeque<ChannelId>,
    /// Who would, if the connection had room for anybody.
    held: VecDeque<ChannelId>,
    births: u64,
    /// A plugin wants the connection to end.
    disconnect: Option<Error>,
    /// Of what was asked beside the sessions: forwarding, other kinds of channel.
    refusals: Refusals,
}

/// Why a session is not opened.
#[derive(Clone, Copy)]
enum Refusal {
    Stopping,
    Full,
    /// The user has as many as one may have.
    Crowded {
        most: u32,
        /// The operator was told of it.
        told: bool,
    },
    /// The plugin is not there, cannot be started or does not want it.
    Plugin,
}

impl Refusal {
    /// What the client is told, RFC 4254 §5.1.
    fn told(self) -> (mux::OpenFailure, String) {
        let (failure, text) = match self {
            Refusal::Stopping => (mux::OpenFailure::AdministrativelyProhibited, "the server is stopping"),
            Refusal::Full => (mux::OpenFailure::ResourceShortage, "the server is full: try again later"),
            Refusal::Crowded { most, .. } => {
                let text = format!("this user has {most} sessions and may have no more: close one first");
                return (mux::OpenFailure::ResourceShortage, text);
            }
            Refusal::Plugin => (mux::OpenFailure::ConnectFailed, "the plugin is not available"),
        };
        (failure, text.to_owned())
    }
}

/// The connection's side of one session.
struct Session {
    birth: u64,
    inbox: Inbox,
    outbox: Outbox,
    environment: Environment,
    /// What its client is told if it is not opened.
    refusal: Refusal,
    /// It stands in the line.
    queued: bool,
    refusals: Refusals,
}

impl Sessions {
    pub(crate) fn new(gateway: Arc<Gateway>, connection: u64) -> Sessions {
        Sessions {
            gateway,
            connection,
            entered: None,
            table: BTreeMap::new(),
            ready: Arc::default(),
            line: VecDeque::new(),
            held: VecDeque::new(),
            births: 0,
            disconnect: None,
            refusals: Refusals::default(),
        }
    }

    /// Somebody has entered.
    pub(crate) fn enter(&mut self, entered: Entered) {
        self.entered = Some(Arc::new(entered));
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Waits until a session has something.
    pub(crate) async fn ready(&self) {
        self.ready.filled().await;
    }

    /// The connection is over for all of them.
    pub(crate) fn end(&mut self, why: Ending) {
        for session in std::mem::take(&mut self.table).into_values() {
            session.inbox.end(why);
        }
    }

    /// Something has happened on the connection.
    pub(crate) fn notice(&mut self, event: Event<'_>) {
        match event {
            Event::Channel(event) => self.notice_channel(event),
            Event::Debug { text, .. } => {
                tracing::debug!(connection = self.connection, text = %escape(text), "the peer's note");
            }
            // Only a client is told these.
            Event::Banner(_) | Event::Refused { .. } | Event::Authenticated => {}
        }
    }

    fn notice_channel(&mut self, event: mux::Event<'_>) {
        match event {
            // The mux refuses all types but sessions.
            mux::Event::Open { channel, .. } => self.open(channel),
            mux::Event::Request { channel, request, decline } => {
                let Some(session) = self.table.get_mut(&channel) else { return };
                let user = self.entered.as_ref().map_or("", |entered| entered.identity.user.as_str());
                let event = bridge::to_happening(&request, &mut session.environment);
                if matches!(event, Ok(ChannelEvent::Shell | ChannelEvent::Exec(_) | ChannelEvent::Subsystem(_))) {
                    // The environment is complete.
                    session.environment.refused.tell(self.connection, channel.0, user);
                }
                match event {
                    Ok(event) => session.inbox.event(event),
                    Err(Unfit::Variable) => decline.decline(),
                    Err(Unfit::Other { detail, reason, on_stderr }) => {
                        if on_stderr {
                            // The words go out before the answer, which the mux would give at once.
                            session.inbox.refuse(Some(&reason));
                        } else {
                            decline.decline();
                        }
                        let (connection, channel, what) = (self.connection, Some(channel.0), request.kind());
                        let line = refusals::Line { connection, channel, user, what, detail, reason: &reason };
                        session.refusals.tell(&line);
                    }
                }
            }
            mux::Event::Data { channel, stream, data } => {
                let kind = match stream {
                    Stream::Data => None,
                    Stream::Extended(kind) => Some(kind),
                };
                if let Some(session) = self.table.get(&channel) {
                    session.inbox.data(kind, data);
                }
            }
            mux::Event::Answered { channel, success } => {
                if let Some(session) = self.table.get(&channel) {
                    session.inbox.answered(success);
                }
            }
            mux::Event::Writable { channel } => self.queue(channel),
            mux::Event::Eof { channel } => {
                if let Some(session) = self.table.get(&channel) {
                    session.inbox.event(ChannelEvent::Eof);
                }
            }
            mux::Event::ProtocolError { channel, violation } => {
                let (connection, number) = (self.connection, channel.0);
                tracing::warn!(connection, channel = number, error = %violation, "channel closed: protocol error");
                self.close(channel);
            }
            mux::Event::Closed { channel } => self.close(channel),
            mux::Event::Refused { what, name, reason } => self.refused(what, name, reason),
            // A server opens no sessions and asks nothing of the whole connection.
            mux::Event::Opened { .. } | mux::Event::OpenFailed { .. } | mux::Event::GlobalAnswered { .. } => {}
        }
    }

    /// The channel is closed. The number may soon be another session's: nothing of this one may stay behind.
    fn close(&mut self, channel: ChannelId) {
        if let Some(mut session) = self.table.remove(&channel) {
            let user = self.entered.as_ref().map_or("", |entered| entered.identity.user.as_str());
            session.environment.refused.tell(self.connection, channel.0, user);
            session.inbox.event(ChannelEvent::Close);
            session.inbox.end(Ending::ClientClosed);
        }
    }

    /// The mux has refused something by itself.
    fn refused(&mut self, what: mux::Refused, name: &[u8], reason: &str) {
        let user = self.entered.as_ref().map_or("", |entered| entered.identity.user.as_str());
        let channel = refusals::channel_of(what);
        let line = refusals::Line { connection: self.connection, channel, user, what: name, detail: b"", reason };
        match channel.and_then(|channel| self.table.get_mut(&ChannelId(channel))) {
            Some(session) => session.refusals.tell(&line),
            None => self.refusals.tell(&line),
        }
    }

    /// A session is asked for: its plugin is started and will say whether it wants it.
    fn open(&mut self, channel: ChannelId) {
        let Some(entered) = self.entered.clone() else { return };
        self.births += 1;
        let ticket = Ticket { channel, birth: self.births };
        let ready = Arc::clone(&self.ready);
        let wake = Arc::new(move || ready.push(ticket));
        let limits = self.gateway.limits_of(&entered.identity);
        let (inbox, outbox, side) = session_pipes(limits.output, wake);
        let environment = Environment::new(limits, self.gateway.environment_names());
        let seat = self.seat(channel, &entered.identity);
        let refusal = seat.as_ref().err().copied().unwrap_or(Refusal::Plugin);
        let (birth, queued, refusals) = (ticket.birth, false, Refusals::default());
        self.table.insert(channel, Session { birth, inbox, outbox, environment, refusal, queued, refusals });
        match seat {
            Ok(seat) => {
                // One of the user's sessions until its output was sent.
                side.keep(seat);
                bridge::start(&self.gateway, self.connection, channel, &entered, side);
            }
            // A session that nobody serves is refused: dropping its side says so.
            Err(Refusal::Crowded { told: true, .. }) => {}
            Err(refusal) => {
                let (_, reason) = refusal.told();
                let (connection, user) = (self.connection, &*entered.identity.user);
                let (channel, what, detail) = (Some(channel.0), &b"session"[..], &b""[..]);
                self.refusals.tell(&refusals::Line { connection, channel, user, what, detail, reason: &reason });
            }
        }
    }

    /// Whether there is room for one more session of this user.
    fn seat(&self, channel: ChannelId, identity: &Identity) -> Result<Seat, Refusal> {
        if self.gateway.drain().phase() > Phase::Serving {
            return Err(Refusal::Stopping);
        }
        if self.gateway.is_full() {
            return Err(Refusal::Full);
        }
        let most = self.gateway.limits_of(identity).sessions_per_user;
        self.gateway.tenants().seat(&identity.user, most).map_err(|crowded| {
            if crowded.is_news {
                let (user, tenant) = (escape(identity.user.as_bytes()), escape(identity.tenant.as_bytes()));
                let (connection, channel, limit) = (self.connection, channel.0, "sessions_per_user");
                tracing::warn!(connection, channel, %user, %tenant, limit, most, "user over limit");
            }
            Refusal::Crowded { most, told: crowded.is_news }
        })
    }

    /// Puts a session at the end of the line.
    fn queue(&mut self, channel: ChannelId) {
        if let Some(session) = self.table.get_mut(&channel)
            && !std::mem::replace(&mut session.queued, true)
        {
            self.line.push_back(channel);
        }
    }

    /// Lets the sessions that have something put their packets, one each in turn, up to about `budget` bytes.
    ///
    /// # Errors
    /// A plugin wants the connection to end.
    pub(crate) fn serve(&mut self, connection: &mut Server, budget: usize) -> Result<Progress, Error> {
        for ticket in self.ready.take() {
            if self.table.get(&ticket.channel).is_some_and(|session| session.birth == ticket.birth) {
                self.queue(ticket.channel);
            }
        }
        if connection.can_write() {
            self.line.append(&mut self.held);
        }
        let mut put = 0;
        while put < budget {
            let Some(channel) = self.line.pop_front() else { return Ok(Progress::Done) };
            put += TURN_COST + self.serve_one(connection, channel);
            if let Some(disconnect) = self.disconnect.take() {
                return Err(disconnect);
            }
        }
        Ok(Progress::More)
    }

    /// One session's turn: its credit, its messages and at most one packet. Says how many bytes that took.
    fn serve_one(&mut self, connection: &mut Server, channel: ChannelId) -> usize {
        let Some(session) = self.table.get_mut(&channel) else { return 0 };
        session.queued = false;
        let credit = session.inbox.take_credit();
        if credit > 0 {
            connection.taken(channel, credit);
        }
        let refusal = session.refusal;
        let mut turn =
            Turn { connection, channel, refusal, took: 0, full: false, refused: false, unasked: 0, disconnect: None };
        let drained = session.outbox.drain(&mut turn);
        let (took, full) = (turn.took, turn.full);
        self.disconnect = turn.disconnect;
        // Nobody will answer what could not be asked.
        (0..turn.unasked).for_each(|_| session.inbox.answered(false));
        if turn.refused {
            // There was never a channel, so no CLOSE will come for it.
            self.table.remove(&channel);
            return took;
        }
        match drained {
            Drained::Empty => {}
            Drained::More if !full => self.queue(channel),
            // The client's window is shut: `Writable` will bring it back.
            Drained::More if connection.can_write() => {}
            // Nobody can put anything: it stays in line for when somebody can.
            Drained::More => {
                session.queued = true;
                self.held.push_back(channel);
            }
        }
        took
    }
}

/// One session's turn at the connection.
struct Turn<'c> {
    connection: &'c mut Server,
    channel: ChannelId,
    took: usize,
    /// It was offered more than there was room for.
    full: bool,
    /// What its client is told if it is not opened.
    refusal: Refusal,
    /// The plugin did not take the session.
    refused: bool,
    /// How many of its requests could not be made.
    unasked: u32,
    disconnect: Option<Error>,
}

impl Sink for Turn<'_> {
    fn opened(&mut self, reply: OpenReply) {
        let refusal = match reply {
            OpenReply::Accepted => return self.connection.accept(self.channel),
            OpenReply::Refused => self.refusal,
            OpenReply::Full => Refusal::Full,
        };
        self.refused = true;
        let (reason, text) = refusal.told();
        self.connection.refuse(self.channel, reason, &text);
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
        let took = self.connection.write(self.channel, stream, data);
        // One packet a turn is no sign of a lack of room.
        self.full = took < data.len() && self.connection.room(self.channel) == 0;
        self.took += took;
        took
    }

    fn eof(&mut self) {
        self.connection.send_eof(self.channel);
    }

    fn request(&mut self, name: &str, payload: &[u8]) {
        if !self.connection.request(self.channel, name.as_bytes(), payload, true) {
            self.unasked += 1;
        }
    }

    fn exit(&mut self, exit: &Exit) {
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
        // A note is sealed at once. For a client that reads nothing they would pile up without end.
        if self.connection.can_write() {
            self.connection.debug(text, always_display);
        }
    }
}
