//! Channel types and global requests with private names (`name@domain`), in both directions. RFC 4250 §4.6.1.

use crate::auth::Machine;
use crate::connection::Connection;
use crate::message::mux::ChannelId;
use crate::mux::NotAsked;

impl<A: Machine> Connection<A> {
    /// From now on the application decides about channels and global requests with private names. Until then they are
    /// refused: see [`Mux`](crate::mux::Mux::pass_on_private_names).
    pub fn pass_on_private_names(&mut self) {
        self.mux.pass_on_private_names();
    }

    /// Answers the oldest [`GlobalRequest`](crate::mux::Event::GlobalRequest) that has no answer yet: a success with
    /// this body, or a failure. RFC 4254 §4.
    pub fn answer_global_request(&mut self, body: Option<Vec<u8>>) {
        self.mux.answer_global_request(body);
    }

    /// Makes a global request. The answer comes with this tag. RFC 4254 §4.
    ///
    /// # Errors
    /// It is too long, or too many wait already: see [`Mux`](crate::mux::Mux::ask).
    pub fn ask(&mut self, kind: &[u8], body: &[u8], tag: u64) -> Result<(), NotAsked> {
        self.mux.ask(kind, body, tag)
    }

    /// Opens a channel of this type. [`Opened`](crate::mux::Event::Opened) or
    /// [`OpenFailed`](crate::mux::Event::OpenFailed) follows. RFC 4254 §5.1.
    ///
    /// # Errors
    /// The open is too long, or there are too many: see [`Mux`](crate::mux::Mux::open_channel).
    pub fn open_channel(&mut self, kind: &[u8], payload: &[u8]) -> Result<ChannelId, NotAsked> {
        self.mux.open_channel(kind, payload)
    }
}
