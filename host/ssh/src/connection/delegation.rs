//! Types of channel and global requests of the application's own, in both directions. RFC 4250 §4.6.1.

use crate::auth::Machine;
use crate::connection::Connection;
use crate::message::mux::ChannelId;

impl<A: Machine> Connection<A> {
    /// From now on the application is told of channel types and global requests that are not known here, if their names
    /// are those of somebody's own. Until then they are refused: see [`Mux`](crate::mux::Mux::pass_on_private_names).
    pub fn pass_on_private_names(&mut self) {
        self.mux.pass_on_private_names();
    }

    /// Answers the oldest [`GlobalRequest`](crate::mux::Event::GlobalRequest) that has no answer yet: a success with
    /// this body, or a failure. RFC 4254 §4.
    pub fn answer_global_request(&mut self, body: Option<Vec<u8>>) {
        self.mux.answer_global_request(body);
    }

    /// Makes a global request whose answer comes with this tag. `kind` and `body` are together at most one packet long.
    /// False if they are longer, or if too many wait already: see [`Mux`](crate::mux::Mux::ask). RFC 4254 §4.
    pub fn ask(&mut self, kind: &[u8], body: &[u8], tag: u64) -> bool {
        self.mux.ask(kind, body, tag)
    }

    /// Opens a channel of this type. None if that is not possible: see [`Mux`](crate::mux::Mux::open_channel).
    /// [`Opened`](crate::mux::Event::Opened) or [`OpenFailed`](crate::mux::Event::OpenFailed) follows. RFC 4254 §5.1.
    pub fn open_channel(&mut self, kind: &[u8], payload: &[u8]) -> Option<ChannelId> {
        self.mux.open_channel(kind, payload)
    }
}
