//! Channel types and global requests with private names (`name@domain`, RFC 4250 §4.6.1), in both directions.
//!
//! The mux knows none of them. It refuses all of them, until its owner calls [`Mux::pass_on_private_names`]: then the
//! owner decides about each.

use std::borrow::Cow;
use std::cell::Cell;

use crate::error::Violation;
use crate::message::Role;
use crate::message::mux::ChannelId;
use crate::mux::event::{Decline, Event, NotAsked, OpenFailure, Refused};
use crate::mux::opening::Opening;
use crate::mux::policy::{NO_FORWARDING, NO_MORE_SESSIONS, SESSION, asks_for_forwarding, is_private, may_open};
use crate::mux::table::Slot;
use crate::mux::{Mux, Owner};

/// The most channels that we have asked for and that the peer has not answered. Our limit: a peer that never answers
/// keeps their numbers.
const MOST_UNANSWERED: usize = 16;

impl Mux {
    /// From now on the owner decides about channels ([`Event::Open`]) and global requests ([`Event::GlobalRequest`])
    /// with private names: at most 64 printable ASCII characters with exactly one `@`, which is not followed by
    /// `openssh.com`. RFC 4250 §4.6.1.
    pub fn pass_on_private_names(&mut self) {
        self.passes_on = true;
    }

    /// Whether the peer may open a channel of this type with this payload. The error is the refusal.
    pub(super) fn may_open(&self, kind: &[u8], payload: &[u8]) -> Result<(), (OpenFailure, &'static str)> {
        match may_open(self.role, kind) {
            Err((OpenFailure::UnknownChannelType, _)) if self.passes_on && is_private(kind) => {
                let too_long = (OpenFailure::ResourceShortage, "the request is too long");
                if self.fits_packet(kind, payload) { Ok(()) } else { Err(too_long) }
            }
            decided => decided,
        }
    }

    /// A global request, RFC 4254 §4. The only one that succeeds without the owner is `no-more-sessions@openssh.com`,
    /// of a client.
    pub(super) fn global_requested(
        &mut self,
        kind: &[u8],
        body: &[u8],
        want_reply: bool,
        on: &mut Owner<'_>,
    ) -> Result<(), Violation> {
        let promise = kind == NO_MORE_SESSIONS && self.role == Role::Server;
        self.no_more_sessions |= promise;
        if asks_for_forwarding(kind) {
            on(Event::Refused { what: Refused::Global, name: kind, reason: NO_FORWARDING });
        } else if self.passes_on && !promise && self.passed_on(kind, body, want_reply, on) {
            return Ok(());
        }
        if want_reply {
            // Alternating answers take memory. Beyond the limit the promise still binds, but the answer is no.
            self.globals.answers.push(promise && self.may_owe_reply());
        }
        Ok(())
    }

    /// Tells the owner of a global request, if that is possible. Returns whether the owner will answer it.
    fn passed_on(&mut self, kind: &[u8], body: &[u8], want_reply: bool, on: &mut Owner<'_>) -> bool {
        let has_place = self.may_owe_reply() && self.globals.answers.may_expect();
        if !is_private(kind) || !self.fits_packet(kind, body) || !has_place {
            return false;
        }
        let declined = Cell::new(false);
        on(Event::GlobalRequest { name: kind, body, decline: Decline(&declined) });
        if declined.get() {
            return false;
        }
        self.globals.answers.expect(want_reply);
        true
    }

    /// Answers the oldest [`Event::GlobalRequest`] that has no answer yet: a success with this body, or a failure. RFC
    /// 4254 §4.
    pub fn answer_global_request(&mut self, body: Option<Vec<u8>>) {
        self.globals.answers.answer(body);
    }

    /// Makes a global request. The owner gets the answer with this tag. RFC 4254 §4.
    ///
    /// # Errors
    /// The request is too long, 16 requests wait to be sent, or the peer has not answered 16 requests with a tag.
    pub fn ask(&mut self, kind: &[u8], body: &[u8], tag: u64) -> Result<(), NotAsked> {
        if !self.fits_packet(kind, body) {
            return Err(NotAsked::TooLong);
        }
        let is_asked = self.globals.ask(kind, body, Some(tag), self.settings.max_packet);
        if is_asked { Ok(()) } else { Err(NotAsked::TooMany) }
    }

    /// Whether a name and what follows it are together at most `max_packet` bytes long.
    pub(super) fn fits_packet(&self, kind: &[u8], body: &[u8]) -> bool {
        u32::try_from(kind.len().saturating_add(body.len())).is_ok_and(|bytes| bytes <= self.settings.max_packet)
    }
}

/// What our side begins.
impl Mux {
    /// Opens a session channel, as a client. None if there are too many, or on a server. RFC 4254 §6.1.
    pub fn open_session(&mut self) -> Option<ChannelId> {
        if self.role == Role::Server {
            return None;
        }
        self.ask_for(Cow::Borrowed(SESSION), Vec::new()).ok()
    }

    /// Opens a channel of another type, which counts among the sessions. RFC 4254 §5.1.
    ///
    /// # Errors
    /// The type and the payload are too long, there are too many sessions, or the peer has not answered 16 others.
    pub fn open_channel(&mut self, kind: &[u8], payload: &[u8]) -> Result<ChannelId, NotAsked> {
        if !self.fits_packet(kind, payload) {
            return Err(NotAsked::TooLong);
        }
        if self.table.unanswered_opens() >= MOST_UNANSWERED {
            return Err(NotAsked::TooMany);
        }
        self.ask_for(Cow::Owned(kind.to_vec()), payload.to_vec())
    }

    fn ask_for(&mut self, kind: Cow<'static, [u8]>, payload: Vec<u8>) -> Result<ChannelId, NotAsked> {
        if self.sessions() >= self.settings.max_sessions {
            return Err(NotAsked::TooMany);
        }
        let opening = Opening { kind, payload, sent: None, wanted: true };
        let channel = self.table.insert(Slot::Opening(Box::new(opening))).ok_or(NotAsked::TooMany)?;
        self.owing.push_back(channel);
        Ok(channel)
    }
}
