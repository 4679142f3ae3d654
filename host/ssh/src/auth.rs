//! RFC 4252: user authentication.
//!
//! This file holds what both roles share: the [`Machine`] that a connection drives, and the bytes that a user's key
//! signs. [`server::ServerAuth`] answers requests, [`client::ClientAuth`] makes them. Neither knows the transport:
//! payloads come in, and replies are owed until an [`Output`] has room. The application decides whether a credential is
//! accepted.

pub mod challenge;
pub mod client;
pub mod method;
mod presented;
pub mod refused;
pub mod server;
mod text;

use crate::error::{Error, Violation};
use crate::message::auth::{AuthMessage, HOST_BOUND};
use crate::message::transport::TransportMessage;
use crate::message::{Encode, Output};
use crate::wire::{Malformed, Wire};

/// The service that a client asks for first. RFC 4252 §4.
const USERAUTH: &[u8] = b"ssh-userauth";
/// The service that starts after authentication. RFC 4254 §1.
const CONNECTION: &[u8] = b"ssh-connection";

/// What a connection needs of either role.
///
/// An error from any method ends the connection; a machine that has returned one authenticates nobody afterwards.
pub trait Machine {
    /// Handles one payload: numbers 5 and 6 (RFC 4253 §10) and 50 to 79 (RFC 4252 §6).
    ///
    /// Signatures are bound to `session_id`, the first exchange hash (RFC 4252 §7). Must not be called while the
    /// machine [has an open question](Machine::has_open_question).
    fn handle<'p>(&mut self, payload: &'p [u8], session_id: &[u8]) -> Result<Step<'p>, Error>;

    /// Writes what is owed, as far as there is room.
    fn write_owed(&mut self, out: &mut impl Output);

    /// Whether [`write_owed`](Machine::write_owed) has something to write.
    fn owes(&self) -> bool;

    /// The stage, which decides which messages are allowed now.
    fn stage(&self) -> AuthStage;

    /// Whether no further payload may be read now, because a question is open or its answer has not been written yet.
    ///
    /// This keeps the answers in the order of the requests. What a client sent behind its last request (which RFC 4252
    /// §5.1 allows) is read after SUCCESS only. A side that waits must be able to write, so it starts no key exchange
    /// of its own before the stage is [`AuthStage::Open`].
    fn has_open_question(&self) -> bool;
}

/// The stage of authentication.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthStage {
    /// The service is not agreed: 5 and 6 only.
    Service,
    /// Attempts and their answers: 50 to 79. A server accepts 5 again here, because paramiko sends it before each
    /// attempt.
    Auth,
    /// The server has sent SUCCESS, or the client has received it: 80 and above.
    Open,
}

/// What a payload meant for the application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step<'p> {
    /// Nothing to report.
    Nothing,
    /// Server: the application must check a credential. [`server::ServerAuth::attempt`] has it,
    /// [`server::ServerAuth::decide`] answers.
    Attempt,
    /// Client: text to show before login, in any bytes: escape them before they are shown. RFC 4252 §5.4.
    Banner(&'p [u8]),
    /// Client: the attempt failed; [`client::ClientAuth::methods`] can continue. RFC 4252 §5.1.
    Refused {
        /// Client: the credential was right, and another one is required (partial success).
        partial: bool,
    },
    /// Client: the server asks the client's user. [`client::ClientAuth::challenge`] has the prompts,
    /// [`client::ClientAuth::answer`] answers them. RFC 4256 §3.2.
    Challenge,
    /// Client: the password must be changed. [`client::ClientAuth::change_prompt`] has the server's text for the user;
    /// [`client::ClientCredential::NewPassword`] changes it. RFC 4252 §8.
    ChangePassword,
    /// Client: the server would accept the key. [`client::ClientAuth::to_sign`] has the bytes that it must sign.
    Sign,
    /// Client: authentication has succeeded.
    Authenticated,
}

/// The number of a payload's message.
fn number_of(payload: &[u8]) -> Result<u8, Violation> {
    payload.first().copied().ok_or(Violation::EmptyPayload)
}

/// Reads a message of this layer. Distinguishes malformed messages from ones that are not allowed here.
fn decode(payload: &[u8]) -> Result<AuthMessage<'_>, Violation> {
    let number = number_of(payload)?;
    AuthMessage::decode(payload).map_err(|what| violation(number, what))
}

/// Reads message 5 or 6, which are in the transport's table but belong to authentication.
fn decode_service(payload: &[u8]) -> Result<TransportMessage<'_>, Violation> {
    let number = number_of(payload)?;
    TransportMessage::decode(payload).map_err(|what| violation(number, what))
}

fn violation(number: u8, what: Malformed) -> Violation {
    match what {
        Malformed::Unknown => Violation::Unexpected { number },
        Malformed::Truncated | Malformed::Trailing | Malformed::Text | Malformed::Modes => {
            Violation::Malformed { number, what }
        }
    }
}

/// What a user's key signs: the session id, then the request up to the signature. RFC 4252 §7.
///
/// It contains the user, the service, the algorithm and the key itself, so a signature is valid for one request of one
/// connection. With the server's host key it is the data of `publickey-hostbound-v00@openssh.com`.
fn signed_data(session_id: &[u8], user: &[u8], algorithm: &[u8], key: &[u8], host_key: Option<&[u8]>) -> Vec<u8> {
    let mut data = Vec::with_capacity(128 + session_id.len() + user.len() + algorithm.len() + key.len());
    session_id.write(&mut data);
    let mut body = Vec::with_capacity(16 + algorithm.len() + key.len());
    true.write(&mut body);
    algorithm.write(&mut body);
    key.write(&mut body);
    if let Some(host_key) = host_key {
        host_key.write(&mut body);
    }
    let (method, body) = (if host_key.is_some() { HOST_BOUND } else { b"publickey" }, crate::wire::Rest(&body));
    AuthMessage::UserauthRequest { user, service: CONNECTION, method, body }.encode(&mut data);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_bytes_are_those_of_rfc_4252_section_7() {
        let expected = [
            &b"\0\0\0\x02id\x32"[..],
            b"\0\0\0\x05alice",
            b"\0\0\0\x0essh-connection",
            b"\0\0\0\x09publickey",
            b"\x01",
            b"\0\0\0\x0bssh-ed25519",
            b"\0\0\0\x04blob",
        ]
        .concat();
        assert_eq!(signed_data(b"id", b"alice", b"ssh-ed25519", b"blob", None), expected);
    }

    #[test]
    fn the_signed_bytes_of_a_key_bound_to_a_host_are_those_of_openssh() {
        let expected = [
            &b"\0\0\0\x02id\x32"[..],
            b"\0\0\0\x05alice",
            b"\0\0\0\x0essh-connection",
            b"\0\0\0\x23publickey-hostbound-v00@openssh.com",
            b"\x01",
            b"\0\0\0\x0bssh-ed25519",
            b"\0\0\0\x04blob",
            b"\0\0\0\x04host",
        ]
        .concat();
        assert_eq!(signed_data(b"id", b"alice", b"ssh-ed25519", b"blob", Some(b"host")), expected);
    }
}
