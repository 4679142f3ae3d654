//! RFC 4254 §4: global requests in both directions, and refusals of channels.

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::message::Output;
use crate::message::mux::{MuxMessage, PeerChannelId};
use crate::mux::event::{OpenFailure, clip};
use crate::mux::global_answers::{GlobalAnswers, NextGlobalAnswer};
use crate::mux::own_requests::OwnRequests;
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
    /// Answers to the peer's global requests, in order.
    pub(super) answers: GlobalAnswers,
    /// Refusals of channels.
    refusals: VecDeque<Refusal>,
    /// Our own global requests.
    own_requests: OwnRequests,
    /// Our requests that want an answer, sent or not, in order: the tag of each, and how many in a row have that tag.
    asked: VecDeque<(Option<u64>, u32)>,
}

impl Globals {
    /// The most requests with a tag that the peer has not answered. Our limit.
    const MOST_TAGGED: usize = 16;

    /// Owes a refusal of a channel.
    pub(super) fn refuse(&mut self, peer: PeerChannelId, reason: OpenFailure, text: Cow<'static, str>) {
        self.refusals.push_back(Refusal { peer, reason, text });
    }

    /// Makes a request of our own, of at most `most_bytes`, that wants no answer. False if it cannot be made.
    pub(super) fn tell(&mut self, kind: &[u8], body: &[u8], most_bytes: u32) -> bool {
        self.own_requests.add(kind, body, false, most_bytes)
    }

    /// Makes a request of our own that wants an answer, with a tag or without. False if it cannot be made.
    pub(super) fn ask(&mut self, kind: &[u8], body: &[u8], tag: Option<u64>, most_bytes: u32) -> bool {
        let tagged = self.asked.iter().filter(|(tag, _)| tag.is_some()).count();
        if (tag.is_some() && tagged >= Self::MOST_TAGGED) || !self.own_requests.add(kind, body, true, most_bytes) {
            return false;
        }
        match self.asked.back_mut() {
            // Without a tag any number costs one entry: a peer may never answer keepalives and be alive all the same.
            Some((None, times)) if tag.is_none() => *times = times.saturating_add(1),
            Some(_) | None => self.asked.push_back((tag, 1)),
        }
        true
    }

    /// An answer to our oldest request arrived. Returns that request's tag; the outer `None` if no request was waiting.
    pub(super) fn answered(&mut self) -> Option<Option<u64>> {
        if !self.own_requests.answered() {
            return None;
        }
        let (tag, times) = self.asked.front_mut()?;
        let tag = *tag;
        *times = times.saturating_sub(1);
        if *times == 0 {
            self.asked.pop_front();
        }
        Some(tag)
    }

    /// How many of our answers wait to be sent.
    pub(super) fn owed_replies(&self) -> usize {
        self.answers.len().saturating_add(self.refusals.len())
    }

    /// How many of these are held in memory.
    pub(super) fn weight(&self) -> usize {
        self.answers.weight().saturating_add(self.refusals.len())
    }

    /// Whether anything waits to go out.
    pub(super) fn owes(&self) -> bool {
        self.owed_replies() > 0 || self.own_requests.owes()
    }

    /// Writes what is owed while there is room.
    pub(super) fn write_owed(&mut self, out: &mut impl Output) {
        while out.room() > 0
            && let Some(answer) = self.answers.pop()
        {
            match answer {
                NextGlobalAnswer::Success(body) => out.put(&MuxMessage::RequestSuccess { body: Rest(&body) }),
                NextGlobalAnswer::Failure => out.put(&MuxMessage::RequestFailure {}),
            }
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
