//! One side of a connection: a mux, its events for its owner, and its messages. Both are recorded as short lines, so
//! that a test reads like a transcript.

use whelk_ssh::error::Violation;
use whelk_ssh::message::Role;
use whelk_ssh::message::mux::{ChannelId, MuxMessage, Recipient, Stream};
use whelk_ssh::message::request::Request;
use whelk_ssh::message::{Encode, Output};
use whelk_ssh::mux::{Event, Mux, Settings};
use whelk_ssh::wire::Rest;

/// Our number of the first channel.
pub(crate) const FIRST: ChannelId = ChannelId(0);
/// The peer's number of the first channel.
pub(crate) const THEIRS: u32 = 7;

/// An output that collects payloads and has as much room as the test allows.
pub(crate) struct Collected {
    pub(crate) room: usize,
    pub(crate) payloads: Vec<Vec<u8>>,
}

impl Output for Collected {
    fn room(&self) -> usize {
        self.room
    }
    fn put(&mut self, message: &dyn Encode) {
        assert!(self.room > 0, "something was put without room");
        let mut payload = Vec::new();
        message.encode(&mut payload);
        self.room = self.room.saturating_sub(payload.len());
        self.payloads.push(payload);
    }
}

pub(crate) struct Side {
    pub(crate) mux: Mux,
    pub(crate) out: Collected,
    /// What the mux has refused by itself, as reported to its owner.
    pub(crate) refused: Vec<String>,
    /// The owner declines each request while it is lent.
    pub(crate) declines: bool,
}

impl Side {
    pub(crate) fn new(role: Role, settings: &Settings) -> Side {
        let out = Collected { room: usize::MAX, payloads: Vec::new() };
        Side { mux: Mux::new(role, settings), out, refused: Vec::new(), declines: false }
    }

    /// A server with one open and confirmed session.
    pub(crate) fn session_with(settings: &Settings, window: u32, max_packet: u32) -> Side {
        let mut side = Side::new(Role::Server, settings);
        assert_eq!(side.hears(&open(THEIRS, window, max_packet)), Ok(vec!["open 0".to_owned()]));
        side.mux.accept(FIRST);
        side.says();
        side
    }

    /// Like [`session_with`](Side::session_with), with the usual sizes.
    pub(crate) fn session() -> Side {
        Side::session_with(&Settings::default(), 2 << 20, 32 << 10)
    }

    /// A client with one session, open.
    pub(crate) fn client() -> Side {
        let mut side = Side::new(Role::Client, &Settings::default());
        assert_eq!(side.mux.open_session(), Some(FIRST));
        side.says();
        let confirmation = confirmation(FIRST, THEIRS, 2 << 20, 32 << 10);
        assert_eq!(side.hears(&confirmation), Ok(vec!["opened 0".to_owned()]));
        side
    }

    /// Hands over one message and returns what the owner was told, save of what the mux refused: that is collected.
    pub(crate) fn hears(&mut self, message: &MuxMessage<'_>) -> Result<Vec<String>, Violation> {
        let mut payload = Vec::new();
        message.encode(&mut payload);
        let (mut told, refused, declines) = (Vec::new(), &mut self.refused, self.declines);
        let mut on = |event: Event<'_>| {
            match event {
                Event::Request { decline, .. } | Event::GlobalRequest { decline, .. } if declines => decline.decline(),
                Event::Refused { what, name, reason } => {
                    return refused.push(format!("{what:?} {}: {reason}", text(name)));
                }
                _ => {}
            }
            told.push(line(event));
        };
        self.mux.handle(&payload, &mut on).map(|()| told)
    }

    /// Settles and returns what was put since the last time.
    pub(crate) fn says(&mut self) -> Vec<String> {
        self.mux.write_owed(&mut self.out);
        self.said()
    }

    /// Returns what was put since the last time, without settling.
    pub(crate) fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.out.payloads).iter().map(|payload| spoken(payload)).collect()
    }

    /// Writes to the first channel's main stream.
    pub(crate) fn writes(&mut self, data: &[u8]) -> usize {
        self.mux.write(FIRST, Stream::Data, data, &mut self.out)
    }
}

pub(crate) fn open(sender: u32, window: u32, max_packet: u32) -> MuxMessage<'static> {
    MuxMessage::ChannelOpen { kind: b"session", sender, window, max_packet, body: Rest(b"") }
}

pub(crate) fn confirmation(ours: ChannelId, sender: u32, window: u32, max_packet: u32) -> MuxMessage<'static> {
    MuxMessage::ChannelOpenConfirmation { recipient: Recipient(ours.0), sender, window, max_packet, body: Rest(b"") }
}

pub(crate) fn data(recipient: u32, data: &[u8]) -> MuxMessage<'_> {
    MuxMessage::ChannelData { recipient: Recipient(recipient), data }
}

pub(crate) fn adjust(recipient: u32, bytes: u32) -> MuxMessage<'static> {
    MuxMessage::ChannelWindowAdjust { recipient: Recipient(recipient), bytes }
}

pub(crate) fn eof(recipient: u32) -> MuxMessage<'static> {
    MuxMessage::ChannelEof { recipient: Recipient(recipient) }
}

pub(crate) fn close(recipient: u32) -> MuxMessage<'static> {
    MuxMessage::ChannelClose { recipient: Recipient(recipient) }
}

pub(crate) fn request<'a>(recipient: u32, kind: &'a [u8], want_reply: bool, body: &'a [u8]) -> MuxMessage<'a> {
    MuxMessage::ChannelRequest { recipient: Recipient(recipient), kind, want_reply, body: Rest(body) }
}

pub(crate) fn global(kind: &[u8], want_reply: bool) -> MuxMessage<'_> {
    MuxMessage::GlobalRequest { kind, want_reply, body: Rest(b"") }
}

pub(crate) fn success(recipient: u32) -> MuxMessage<'static> {
    MuxMessage::ChannelSuccess { recipient: Recipient(recipient) }
}

pub(crate) fn failure(recipient: u32) -> MuxMessage<'static> {
    MuxMessage::ChannelFailure { recipient: Recipient(recipient) }
}

fn text(bytes: &[u8]) -> String {
    if bytes.len() > 40 { format!("({} bytes)", bytes.len()) } else { bytes.escape_ascii().to_string() }
}

fn suffix(stream: Stream) -> String {
    match stream {
        Stream::Data => String::new(),
        Stream::Extended(kind) => format!("/{kind}"),
    }
}

/// An event as a line.
fn line(event: Event<'_>) -> String {
    match event {
        Event::Open { channel, kind, payload } => {
            let kind = if kind == b"session" { String::new() } else { format!(" {}", text(kind)) };
            format!("open {}{kind} {}", channel.0, text(payload)).trim_end().to_owned()
        }
        Event::Opened { channel } => format!("opened {}", channel.0),
        Event::OpenFailed { channel, reason, description } => {
            format!("open failed {} {reason} {}", channel.0, text(description))
        }
        Event::Request { channel, request: Request::Other { kind, body }, .. } => {
            format!("request {} {} {}", channel.0, text(kind), text(body)).trim_end().to_owned()
        }
        Event::Request { channel, request, .. } => format!("request {} {}", channel.0, text(request.kind())),
        Event::Data { channel, stream, data } => format!("data {}{} {}", channel.0, suffix(stream), text(data)),
        Event::Answered { channel, success } => format!("answered {} {success}", channel.0),
        Event::Writable { channel } => format!("writable {}", channel.0),
        Event::EndOfWrite { channel } => format!("end-of-write {}", channel.0),
        Event::Eof { channel } => format!("eof {}", channel.0),
        Event::ProtocolError { channel, violation } => format!("error {} {violation:?}", channel.0),
        Event::Closed { channel } => format!("closed {}", channel.0),
        Event::Refused { .. } => unreachable!("it is collected"),
        Event::GlobalRequest { name, body, .. } => {
            format!("global {} {}", text(name), text(body)).trim_end().to_owned()
        }
        Event::GlobalAnswered { tag: None, success, body } => format!("globally answered {success} {}", text(body)),
        Event::GlobalAnswered { tag: Some(tag), success, body } => {
            format!("answered to {tag}: {success} {}", text(body)).trim_end().to_owned()
        }
    }
}

/// A message as a line. Numbers of channels are those of the other side.
fn spoken(payload: &[u8]) -> String {
    match MuxMessage::decode(payload).expect("what a mux says is well formed") {
        MuxMessage::GlobalRequest { kind, want_reply, body } => {
            format!("global {} want={want_reply} {}", text(kind), text(body.0)).trim_end().to_owned()
        }
        MuxMessage::RequestSuccess { body } => format!("global success {}", text(body.0)).trim_end().to_owned(),
        MuxMessage::RequestFailure {} => "global failure".to_owned(),
        MuxMessage::ChannelOpen { kind, sender, window, max_packet, .. } => {
            format!("open {} {sender} window={window} packet={max_packet}", text(kind))
        }
        MuxMessage::ChannelOpenConfirmation { recipient, sender, window, max_packet, .. } => {
            format!("confirm {} as {sender} window={window} packet={max_packet}", recipient.0)
        }
        MuxMessage::ChannelOpenFailure { recipient, reason, description, .. } => {
            format!("refuse {} {reason} {}", recipient.0, text(description))
        }
        MuxMessage::ChannelWindowAdjust { recipient, bytes } => format!("adjust {} {bytes}", recipient.0),
        MuxMessage::ChannelData { recipient, data } => format!("data {} {}", recipient.0, text(data)),
        MuxMessage::ChannelExtendedData { recipient, kind, data } => {
            format!("data {}/{kind} {}", recipient.0, text(data))
        }
        MuxMessage::ChannelEof { recipient } => format!("eof {}", recipient.0),
        MuxMessage::ChannelClose { recipient } => format!("close {}", recipient.0),
        MuxMessage::ChannelRequest { recipient, kind, want_reply, body } => {
            let body = Request::decode(kind, body.0).map_or_else(
                |_| "malformed".to_owned(),
                |request| match request {
                    Request::ExitStatus { status } => status.to_string(),
                    Request::ExitSignal { name, core_dumped, message, .. } => {
                        format!("{} core={core_dumped} {}", text(name), text(message))
                    }
                    other => text(&other.body()),
                },
            );
            format!("request {} {} want={want_reply} {body}", recipient.0, text(kind)).trim_end().to_owned()
        }
        MuxMessage::ChannelSuccess { recipient } => format!("success {}", recipient.0),
        MuxMessage::ChannelFailure { recipient } => format!("failure {}", recipient.0),
    }
}
