//! What the mux allows and refuses by name, without asking its owner. Pure functions.

use crate::message::Role;
use crate::message::request::Request;
use crate::mux::event::OpenFailure;

/// The channel type that runs a program, RFC 4254 §6.1.
pub(super) const SESSION: &[u8] = b"session";

/// A client's announcement that it opens no more sessions. OpenSSH PROTOCOL §2.2.
pub(super) const NO_MORE_SESSIONS: &[u8] = b"no-more-sessions@openssh.com";

/// Kinds of channel that would lead out of here, to a network, a display or an agent. RFC 4254 §6.3, §7.2, OpenSSH
/// PROTOCOL §2.1, §2.3, §2.4.
const FORWARDING: [&[u8]; 8] = [
    b"x11",
    b"direct-tcpip",
    b"forwarded-tcpip",
    b"direct-streamlocal@openssh.com",
    b"forwarded-streamlocal@openssh.com",
    b"auth-agent",
    b"auth-agent@openssh.com",
    b"tun@openssh.com",
];

/// Requests that would lend us a display or an agent. RFC 4254 §6.3.1, draft-ietf-secsh-agent.
const LENDING: [&[u8]; 3] = [b"x11-req", b"auth-agent-req", b"auth-agent-req@openssh.com"];

/// Global requests for forwarding. RFC 4254 §7.1, OpenSSH PROTOCOL §2.4.
const FORWARDING_REQUESTS: [&[u8]; 4] = [
    b"tcpip-forward",
    b"cancel-tcpip-forward",
    b"streamlocal-forward@openssh.com",
    b"cancel-streamlocal-forward@openssh.com",
];

/// The reason for refusing anything related to forwarding.
pub(super) const NO_FORWARDING: &str = "forwarding is not supported yet";

/// The reason for a request that only the other role may receive.
const WRONG_SIDE: &str = "the other side's request";

/// Whether a global request asks for forwarding.
pub(super) fn asks_for_forwarding(kind: &[u8]) -> bool {
    FORWARDING_REQUESTS.contains(&kind)
}

/// The domain of the names that this crate and OpenSSH know. None of them is passed on.
const OPENSSH: &str = "@openssh.com";

/// Whether a name is one that anybody may define for a use of their own: from 1 to 64 printable ASCII characters
/// without a comma, and one `@` with something on either side of it, which is not OpenSSH's domain. RFC 4250 §4.6.1.
pub(super) fn is_private(name: &[u8]) -> bool {
    if name.ends_with(OPENSSH.as_bytes()) {
        return false;
    }
    let sound = name.len() <= 64 && name.iter().all(|byte| byte.is_ascii_graphic() && *byte != b',');
    let mut parts = name.split(|byte| *byte == b'@');
    let (local, domain, third) = (parts.next(), parts.next(), parts.next());
    let has = |part: Option<&[u8]>| part.is_some_and(|part| !part.is_empty());
    sound && has(local) && has(domain) && third.is_none()
}

/// Whether the peer may open channels of this type; `ours` is our role. Only servers run sessions, RFC 4254 §6.1.
pub(super) fn may_open(ours: Role, kind: &[u8]) -> Result<(), (OpenFailure, &'static str)> {
    match (ours, kind == SESSION) {
        (Role::Server, true) => Ok(()),
        (Role::Client, true) => Err((OpenFailure::AdministrativelyProhibited, "not allowed")),
        (Role::Server | Role::Client, false) if FORWARDING.contains(&kind) => {
            Err((OpenFailure::AdministrativelyProhibited, NO_FORWARDING))
        }
        (Role::Server | Role::Client, false) => Err((OpenFailure::UnknownChannelType, "unknown channel type")),
    }
}

/// Whether the peer may make this channel request; `ours` is our role. Programs are started at the server, and the
/// client learns of their end, RFC 4254 §6. The error is the reason, as text.
pub(super) fn may_ask(ours: Role, request: &Request<'_>) -> Result<(), &'static str> {
    let (may, reason) = match request {
        Request::PtyReq { .. }
        | Request::Env { .. }
        | Request::Shell
        | Request::Exec { .. }
        | Request::Subsystem { .. }
        | Request::WindowChange { .. }
        | Request::Signal { .. }
        | Request::Break { .. } => (ours == Role::Server, WRONG_SIDE),
        Request::ExitStatus { .. } | Request::ExitSignal { .. } => (ours == Role::Client, WRONG_SIDE),
        Request::EndOfWrite => (true, ""),
        Request::Other { kind, body: _ } => (!LENDING.contains(kind), NO_FORWARDING),
    };
    if may { Ok(()) } else { Err(reason) }
}
