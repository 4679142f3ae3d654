//! From SSH to the runtime: what each event of the protocol means for a session.

use whelk_runtime::{ChannelEvent, Ending, ProgramRequest, Pty};
use whelk_ssh::connection::Event;
use whelk_ssh::message::mux::{ChannelId, Stream};
use whelk_ssh::message::request::Request;
use whelk_ssh::mux::{self, Decline, OpenFailure};

use super::request::{Rejection, to_event};
use super::session::{self, NO_AUDIT, OpenRefusal};
use super::user::SessionUser;
use super::{Bridge, Channel, RefusedChannel, name_of};
use crate::observe::audit;
use crate::observe::escape::escape;
use crate::observe::event::{ConnectionEvent, SessionEvent, emit};
use crate::observe::refusals;
use crate::server::connection_table::{StartKind, Started};
use crate::server::gateway::Gateway;

impl Bridge {
    /// Takes an event of the connection.
    pub(crate) fn receive(&mut self, event: Event<'_>) {
        match event {
            Event::Channel(event) => self.receive_channel(event),
            Event::Debug { text, .. } => {
                emit(ConnectionEvent::PeerNote { connection: self.connection_id, text: escape(text) });
            }
            // Events of a client.
            Event::Banner(_) | Event::Refused { .. } | Event::Authenticated => {}
        }
    }

    fn receive_channel(&mut self, event: mux::Event<'_>) {
        match event {
            mux::Event::Open { channel, kind: b"session", payload: _ } => self.open_session(channel),
            mux::Event::Open { channel, kind, payload } => self.open_own(channel, kind, payload),
            mux::Event::Request { channel, request, decline } => self.request(channel, &request, decline),
            mux::Event::Data { channel, stream, data } => {
                let extended = match stream {
                    Stream::Data => None,
                    Stream::Extended(kind) => Some(kind),
                };
                if let Some(Channel::Session(session)) = self.channels.receives(channel) {
                    session.registration.counters().add_received(data.len(), self.now);
                    session.inbox.data(extended, data);
                }
            }
            mux::Event::Answered { channel, success } => {
                if let Some(session) = self.session(channel) {
                    session.inbox.answered(success);
                }
            }
            mux::Event::Writable { channel } => self.channels.queue(channel),
            mux::Event::EndOfWrite { channel } => {
                if let Some(session) = self.session(channel) {
                    session.inbox.output_unread();
                }
                // What waits for the client's window is dropped.
                self.channels.queue(channel);
            }
            mux::Event::Eof { channel } => {
                if let Some(session) = self.session(channel) {
                    session.inbox.event(ChannelEvent::Eof);
                }
            }
            mux::Event::ProtocolError { channel, violation } => {
                let connection = self.connection_id;
                emit(SessionEvent::ProtocolError { connection, channel: channel.0, error: &violation });
                self.close(channel);
            }
            mux::Event::Closed { channel } => self.close(channel),
            mux::Event::Refused { what, name, reason } => self.log_refused(what, name, reason),
            mux::Event::GlobalRequest { name, body, decline } => self.request_own(name, body, decline),
            mux::Event::Opened { channel } => self.opened_own(channel),
            mux::Event::OpenFailed { channel, reason, description } => {
                self.open_own_failed(channel, reason, description);
            }
            mux::Event::GlobalAnswered { tag, success, body } => self.answered_own(tag, success, body),
        }
    }

    /// Starts a session. Its plugin says later whether it accepts it.
    fn open_session(&mut self, channel: ChannelId) {
        let Some(user) = self.user.clone() else { return };
        let (gateway, row) = (&self.gateway, self.registration.row());
        let permit = if row.has_had_sessions() {
            session::acquire_permit(gateway, self.connection_id, Some(channel), &user.identity)
        } else {
            session::acquire_first_permit(gateway, self.connection_id, channel, &user.identity)
        };
        match permit {
            Ok(permit) => self.channels.insert(channel, |wake| {
                Channel::Session(session::open(gateway, row, channel, &user, permit, wake, None))
            }),
            Err(refusal) => {
                let (failure, text) = refusal.failure();
                if let OpenRefusal::UserLimit { logged: true, .. } = refusal {
                    self.pending_open_failures.push(RefusedChannel { channel, failure, text });
                } else {
                    self.refuse(channel, b"session", failure, text);
                }
            }
        }
    }

    /// Does not open a channel: the client is told in this turn, the operator in the log.
    pub(super) fn refuse(&mut self, channel: ChannelId, kind: &[u8], failure: OpenFailure, text: String) {
        let user = name_of(self.user.as_ref());
        let (connection, number, detail) = (self.connection_id, Some(channel.0), &b""[..]);
        let line = refusals::Line { connection, channel: number, user, what: kind, detail, reason: &text };
        self.refusal_log.tell(&line);
        self.pending_open_failures.push(RefusedChannel { channel, failure, text });
    }

    /// CHANNEL_REQUEST: tells the plugin, or refuses the request without asking it. RFC 4254 §5.4.
    fn request(&mut self, channel: ChannelId, request: &Request<'_>, decline: Decline<'_>) {
        let (connection, number) = (self.connection_id, channel.0);
        let user = name_of(self.user.as_ref());
        let Some(Channel::Session(session)) = self.channels.get_mut(channel) else { return };
        let event = to_event(request, &mut session.requests).map(|event| session.requests.force(event));
        let event =
            event.and_then(|event| if ProgramRequest::of(&event.1).is_some() { recorded(event) } else { Ok(event) });
        let (variable, event) =
            event.map_or_else(|refused| (None, Err(refused)), |(variable, event)| (variable, Ok(event)));
        if let Some(start) = event.as_ref().ok().and_then(started) {
            // No more variables follow.
            session.requests.refused_variables.tell(connection, number, user);
            if let (Some(recording), Some(user), Ok(event)) = (&session.recording, &self.user, &event) {
                recording.start(&start.command, !serves_files(&self.gateway, user, event));
            }
            session.registration.asked_to_start(start);
            if let Some(user) = &self.user {
                session.log_start((connection, number), user, request);
            }
        }
        if let Ok(ChannelEvent::PtyReq(Pty { size, .. }) | ChannelEvent::WindowChange(size)) = &event {
            session.registration.tap().resized(*size);
        }
        if let (Ok(ChannelEvent::PtyReq(pty)), Some(recording)) = (&event, &session.recording) {
            recording.terminal(pty);
        }
        match event {
            Ok(event) => match variable {
                Some(variable) => session.inbox.event_with_variable(variable, event),
                None => session.inbox.event(event),
            },
            Err(Rejection::Variable) => decline.decline(),
            Err(Rejection::Other { detail, reason, on_stderr }) => {
                if on_stderr {
                    // The text has to precede the answer, which the mux would give at once.
                    session.inbox.refuse(Some(&reason));
                } else {
                    decline.decline();
                }
                let what = request.kind();
                let line = refusals::Line { connection, channel: Some(number), user, what, detail, reason: &reason };
                session.refusal_log.tell(&line);
            }
        }
    }

    /// CHANNEL_CLOSE, or a violation that closes the channel. Its number may soon be that of another channel, so
    /// nothing is kept.
    fn close(&mut self, channel: ChannelId) {
        if let Some(delegation) = &mut self.delegation {
            delegation.unwanted.retain(|unwanted| *unwanted != channel);
        }
        match self.channels.remove(channel) {
            Some(Channel::Session(mut session)) => {
                session.requests.refused_variables.tell(self.connection_id, channel.0, self.user_name());
                session.inbox.event(ChannelEvent::Close);
                session.inbox.end(Ending::ClientClosed);
            }
            None => {}
        }
    }

    /// The mux has refused something without asking: a line in the log.
    fn log_refused(&mut self, what: mux::Refused, name: &[u8], reason: &str) {
        let user = name_of(self.user.as_ref());
        let channel = refusals::channel_of(what);
        let line = refusals::Line { connection: self.connection_id, channel, user, what: name, detail: b"", reason };
        match channel.and_then(|channel| self.channels.get_mut(ChannelId(channel))) {
            Some(Channel::Session(session)) => session.refusal_log.tell(&line),
            None => self.refusal_log.tell(&line),
        }
    }
}

/// Lets a start request through unless the audit is required and cannot be written.
fn recorded<'a, T>(event: T) -> Result<T, Rejection<'a>> {
    match audit::refusal() {
        None => Ok(event),
        Some(_) => Err(Rejection::Other { detail: b"", reason: NO_AUDIT.to_owned(), on_stderr: true }),
    }
}

/// Which program an event starts, if it starts one.
fn started(event: &ChannelEvent) -> Option<Started> {
    match event {
        ChannelEvent::Shell => Some(Started::new(StartKind::Shell, b"")),
        ChannelEvent::Exec(command) => Some(Started::new(StartKind::Exec, command)),
        ChannelEvent::Subsystem(name) => Some(Started::new(StartKind::Subsystem, name.as_bytes())),
        _ => None,
    }
}

/// Whether an event leads a user to a program that serves files: sftp or scp.
fn serves_files(gateway: &Gateway, user: &SessionUser, event: &ChannelEvent) -> bool {
    let request = ProgramRequest::of(event);
    request.is_some_and(|request| gateway.tenants().serves_files(&user.identity.tenant, &request))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::fixture::{unlisted, user};
    use super::*;
    use crate::observe::event::tests::heard;
    use crate::source::Peer;

    /// Refused subsystems do not hide a command from the audit.
    #[tokio::test]
    async fn every_start_of_a_session_reaches_the_audit_however_many_come_before_it() {
        let (_folder, gateway) = unlisted();
        let mut bridge = Bridge::new(Arc::new(gateway), 1, Peer::Unknown);
        bridge.logged_in(user());
        bridge.receive(Event::Channel(mux::Event::Open { channel: ChannelId(3), kind: b"session", payload: b"" }));
        let Some(Channel::Session(session)) = bridge.channels.get_mut(ChannelId(3)) else { panic!("a session") };
        let mut start = |request: Request<'_>| session.log_start((977, 3), &user(), &request);
        let refused = heard("session_started: 977 subsystem", || {
            (0..11).for_each(|_| start(Request::Subsystem { name: b"x" }));
        });
        assert_eq!(refused, 11);
        assert_eq!(heard("session_started: 977 exec", || start(Request::Exec { command: b"hidden" })), 1);
    }

    #[tokio::test]
    async fn a_channel_of_a_kind_that_nobody_serves_is_refused_with_the_reason() {
        let (_folder, gateway) = unlisted();
        let mut bridge = Bridge::new(Arc::new(gateway), 1, Peer::Unknown);
        bridge.logged_in(user());
        let open = mux::Event::Open { channel: ChannelId(3), kind: b"direct-tcpip", payload: b"\0\0\0\0" };
        bridge.receive(Event::Channel(open));
        assert!(bridge.is_empty());
        let [RefusedChannel { channel, failure, text }] = &bridge.pending_open_failures[..] else {
            panic!("one refusal")
        };
        assert_eq!((*channel, *failure), (ChannelId(3), OpenFailure::UnknownChannelType));
        assert_eq!(text, "unknown channel type");
    }
}
