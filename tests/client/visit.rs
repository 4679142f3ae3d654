//! A visit of our client: the steps that most tests begin with.

use std::net::SocketAddr;
use std::sync::Arc;

use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::message::mux::ChannelId;
use whelk_ssh::message::request::Request;

use super::peer::{Happened, Peer, Wish};

/// Logs in a user who needs no credentials.
pub(crate) async fn log_in(address: SocketAddr, user: &str) -> Peer {
    let wish = Wish {
        address,
        user: user.to_owned(),
        password: None,
        cipher: None,
        kex: None,
        rekey: None,
        from: None,
        shown: None,
        ask: false,
        guess: None,
    };
    Peer::log_in(&wish, &Arc::new(HostKey::generate().unwrap())).await.unwrap()
}

/// Opens a session, whatever else happens meanwhile. With a request it starts, and the request must be accepted.
pub(crate) async fn open(peer: &mut Peer, request: Option<&Request<'_>>) -> ChannelId {
    let channel = peer.connection.open_session().unwrap();
    while !matches!(peer.happens().await.unwrap(), Happened::Opened(_)) {}
    if let Some(request) = request {
        assert!(peer.connection.request(channel, request.kind(), &request.body(), true));
        assert!(matches!(peer.happens().await.unwrap(), Happened::Answered(_, true)));
    }
    channel
}
