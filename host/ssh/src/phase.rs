//! The one table that is asked before any handler: which message may come in which phase.
//!
//! The holes of libssh 2018, paramiko 2018, AsyncSSH 2023, wolfSSH 2024 and Erlang 2025 were all one bug, a handler
//! that could be reached in the wrong phase. Here the question is answered in one place for all 256 numbers, and
//! `tests/phases.txt` is the table as it stands.

use crate::message::Role;
use crate::message::auth::number::{
    USERAUTH_BANNER, USERAUTH_FAILURE, USERAUTH_PK_OK, USERAUTH_REQUEST, USERAUTH_SUCCESS,
};
use crate::message::interactive::number::USERAUTH_INFO_RESPONSE;
use crate::message::kex::number::{KEXINIT, NEWKEYS};
use crate::message::kex::{METHOD_FIRST, METHOD_LAST};
use crate::message::mux::number::{CHANNEL_FAILURE, CHANNEL_OPEN, GLOBAL_REQUEST, REQUEST_FAILURE, REQUEST_SUCCESS};
use crate::message::transport::number::{
    DEBUG, DISCONNECT, EXT_INFO, IGNORE, PING, PONG, SERVICE_ACCEPT, SERVICE_REQUEST, UNIMPLEMENTED,
};

/// The phase of a connection, which decides what the peer may send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// The first key exchange, until the peer is known to be strict, or with a peer that is not.
    FirstKex,
    /// The first key exchange after the KEXINIT of a peer that promised to be strict: nothing optional. OpenSSH
    /// PROTOCOL §1.9.
    StrictKex,
    /// Keys are in place, no service was requested yet. RFC 4253 §10.
    Service,
    /// Authentication. RFC 4252.
    Auth,
    /// Channels. RFC 4254.
    Open,
    /// A later key exchange, from the peer's KEXINIT to its NEWKEYS. RFC 4253 §7.1, §9.
    Rekey,
}

impl Phase {
    /// All phases, in order.
    pub const ALL: [Phase; 6] =
        [Phase::FirstKex, Phase::StrictKex, Phase::Service, Phase::Auth, Phase::Open, Phase::Rekey];
}

/// The stage of a client's login, by what the server waits for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LoginStage {
    /// The identification line. RFC 4253 §4.2.
    Identification,
    /// The client's part of the first key exchange, up to its share, which our reply answers. RFC 4253 §7, §8.
    KeyExchange,
    /// NEWKEYS, which follows our reply. Clients ask a person about the host key's fingerprint before they send it.
    NewKeys,
    /// A successful authentication. RFC 4252.
    Authentication,
    /// Nothing: the client has logged in.
    Done,
}

/// What happens to a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// It is passed to its layer.
    Handle,
    /// It is dropped silently.
    Ignore,
    /// It is answered by UNIMPLEMENTED. RFC 4253 §11.4.
    Unimplemented,
    /// It ends the connection.
    Disconnect,
}

/// What `role` does with message `number` from its peer in `phase`.
pub fn admits(role: Role, phase: Phase, number: u8) -> Admission {
    match phase {
        Phase::FirstKex => match number {
            DISCONNECT | KEXINIT | NEWKEYS | METHOD_FIRST..=METHOD_LAST => Admission::Handle,
            IGNORE | UNIMPLEMENTED | DEBUG => Admission::Ignore,
            _ => Admission::Disconnect,
        },
        Phase::StrictKex => match number {
            DISCONNECT | NEWKEYS | METHOD_FIRST..=METHOD_LAST => Admission::Handle,
            _ => Admission::Disconnect,
        },
        Phase::Rekey => match number {
            DISCONNECT | DEBUG | NEWKEYS | METHOD_FIRST..=METHOD_LAST => Admission::Handle,
            IGNORE | UNIMPLEMENTED => Admission::Ignore,
            _ => Admission::Disconnect,
        },
        Phase::Service => match (role, number) {
            (_, DISCONNECT | DEBUG | EXT_INFO | KEXINIT) => Admission::Handle,
            (Role::Server, SERVICE_REQUEST) | (Role::Client, SERVICE_ACCEPT) => Admission::Handle,
            (_, IGNORE | UNIMPLEMENTED) => Admission::Ignore,
            _ => Admission::Disconnect,
        },
        Phase::Auth => match (role, number) {
            (_, DISCONNECT | DEBUG | KEXINIT) => Admission::Handle,
            // Some clients ask for the service again before each attempt.
            (Role::Server, SERVICE_REQUEST | USERAUTH_REQUEST | USERAUTH_INFO_RESPONSE) => Admission::Handle,
            (Role::Client, EXT_INFO | USERAUTH_FAILURE | USERAUTH_SUCCESS | USERAUTH_BANNER | USERAUTH_PK_OK) => {
                Admission::Handle
            }
            (_, IGNORE | UNIMPLEMENTED) => Admission::Ignore,
            // Too late (RFC 8308 §2.4), and without effect: some clients repeat EXT_INFO.
            (Role::Server, EXT_INFO) => Admission::Unimplemented,
            _ => Admission::Disconnect,
        },
        Phase::Open => match (role, number) {
            (_, DISCONNECT | DEBUG | KEXINIT) => Admission::Handle,
            (_, GLOBAL_REQUEST | REQUEST_SUCCESS | REQUEST_FAILURE) => Admission::Handle,
            (_, CHANNEL_OPEN..=CHANNEL_FAILURE) => Admission::Handle,
            (_, PING) => Admission::Handle,
            (_, PONG) => Admission::Ignore,
            // An attempt after success is not an error, RFC 4252 §5.1.
            (_, IGNORE | UNIMPLEMENTED) | (Role::Server, USERAUTH_REQUEST) => Admission::Ignore,
            // Late EXT_INFO and SERVICE_REQUEST, late authentication answers and unknown numbers have no effect, as
            // with sshd. Key exchange numbers are never tolerated.
            (_, SERVICE_REQUEST..=19 | 83..=89 | 101..=255) => Admission::Unimplemented,
            (Role::Server, USERAUTH_FAILURE..=79) => Admission::Unimplemented,
            _ => Admission::Disconnect,
        },
    }
}
