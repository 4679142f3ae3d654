//! RFC 4254 §4: global requests in both directions, and refusals of channels.

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::message::Output;
use crate::message::mux::{MuxMessage, PeerChannelId};
use crate::mux::event::{OpenFailure, clip};
use crate::mux::own_requests::OwnRequests;
use crate::mux::replies::Answers;
use crate::wire::Rest;

/// A channel that the peer asked for and that is refused. Nothing else of it is kept.
#[derive(Debug)]
struct Refusal {
    peer: PeerChannelId,
    reason: OpenFailure,
    text: Cow<'static, str>,
}

/// What is owed outside of channels.
#[derive(Debug, Default)]
pub(super) struct Globals {
    /// Answers to the peer's global requests, in order ...
    answers: Answers,
    /// ... then a success with a body, if there is one ...
    with_body: Option<Vec<u8>>,
    /// ... then the answers to requests after that.
    later: Answers,
    /// Refusals of channels.
    refusals: VecDeque<Refusal>,
    /// Our own global requests.
    pub(super) own_requests: OwnRequests,
}

impl Globals {
    /// Owes an answer to the peer's oldest unanswered global request.
    pub(super) fn answer(&mut self, success: bool) {
        let answers = if self.with_body.is_some() { &mut self.later } else { &mut self.answers };
        answers.push(success, 1);
    }

    /// Owes a success with a body, or a failure if another one waits to be sent already.
    pub(super) fn answer_with_body(&mut self, body: Vec<u8>) {
        if self.with_body.is_some() {
            return self.answer(false);
        }
        self.with_body = Some(body);
    }

    /// Owes a refusal of a channel.
    pub(super) fn refuse(&mut self, peer: PeerChannelId, reason: OpenFailure, text: Cow<'static, str>) {
        self.refusals.push_back(Refusal { peer, reason, text });
    }

    /// How many of our answers wait to be sent.
    pub(super) fn owed_replies(&self) -> usize {
        let answers = self.answers.len().saturating_add(self.later.len());
        answers.saturating_add(self.refusals.len()).saturating_add(usize::from(self.with_body.is_some()))
    }

    /// How many of these are held in memory.
    pub(super) fn weight(&self) -> usize {
        self.answers.weight().saturating_add(self.later.weight()).saturating_add(self.refusals.len())
    }

    /// Whether anything waits to go out.
    pub(super) fn owes(&self) -> bool {
        self.owed_replies() > 0 || self.own_requests.owes()
    }

    /// Writes what is owed while there is room.
    pub(super) fn write_owed(&mut self, out: &mut impl Output) {
        write_answers(&mut self.answers, out);
        if out.room() > 0
            && self.answers.len() == 0
            && let Some(body) = self.with_body.take()
        {
            out.put(&MuxMessage::RequestSuccess { body: Rest(&body) });
            self.answers = std::mem::take(&mut self.later);
            write_answers(&mut self.answers, out);
        }
        while out.room() > 0
            && let Some(Refusal { peer, reason, text }) = self.refusals.pop_front()
        {
            let (recipient, reason) = (peer.into(), reason.code());
            let description = clip(&text).as_bytes();
            out.put(&MuxMessage::ChannelOpenFailure { recipient, reason, description, language: b"" });
        }
        while out.room() > 0
            && let Some(request) = self.own_requests.next()
        {
            let (kind, body) = (&*request.kind, Rest(&request.body));
            out.put(&MuxMessage::GlobalRequest { kind, want_reply: request.want_reply, body });
        }
    }
}

/// Writes answers without a body while there is room.
fn write_answers(answers: &mut Answers, out: &mut impl Output) {
    while out.room() > 0
        && let Some(success) = answers.pop()
    {
        out.put(&if success { MuxMessage::RequestSuccess { body: Rest(b"") } } else { MuxMessage::RequestFailure {} });
    }
}
