//! Why a connection is over: what its client is told, and what the log says.

use std::io;

use tracing::Level;
use whelk_ssh::auth::refused::RefusedAttempts;
use whelk_ssh::error::{Error, Reason};

use crate::connection::login::Login;
use crate::observe::escape::{cut, escape};
use crate::observe::event::{ConnectionEvent, emit_throttled};
use crate::observe::strangers::{self, About};
use crate::server::connection_table::{ConnectionRow, Totals};
use crate::server::listener::{Fault, PENALTY_TEXT};

/// Why a connection is over.
pub(crate) enum End {
    /// The peer has closed the stream, or the stream has failed.
    Lost(io::Error),
    /// The protocol ends it, on either side.
    Protocol(Error),
    /// The server stops, and the connection has no session left or no time.
    Shutdown,
    /// An operator has asked for the end, with this reason.
    Requested(String),
    /// The host key could not sign with this algorithm.
    SignFailed(&'static str),
    /// Compression has begun, and as many connections are compressed as may be.
    TooManyCompressed,
    /// The client had not logged in, and was evicted for a new connection.
    Evicted,
    /// The client had not logged in and sent a password, but its source has got a penalty since it connected.
    Penalized,
}

impl From<Error> for End {
    fn from(error: Error) -> End {
        End::Protocol(error)
    }
}

impl End {
    /// The error that says which DISCONNECT the client is sent, if it may still be listening. RFC 4253 §11.1.
    pub(crate) fn error(&self) -> Option<Error> {
        match self {
            End::Lost(_) => None,
            End::Protocol(error) => Some(error.clone()),
            End::Shutdown => Some(Error::Closed(Reason::ByApplication)),
            End::Requested(reason) => {
                Some(Error::Requested { reason: Reason::ByApplication as u32, text: reason.clone() })
            }
            End::SignFailed(_) => {
                let text = "internal error".to_owned();
                Some(Error::Requested { reason: Reason::KeyExchangeFailed as u32, text })
            }
            End::TooManyCompressed => {
                let text = "too many connections are compressed; connect without compression, or try again".to_owned();
                Some(Error::Requested { reason: Reason::TooManyConnections as u32, text })
            }
            End::Evicted => {
                let text = "too many connections have not logged in; try again".to_owned();
                Some(Error::Requested { reason: Reason::TooManyConnections as u32, text })
            }
            End::Penalized => {
                let text = PENALTY_TEXT.to_owned();
                Some(Error::Requested { reason: Reason::HostNotAllowedToConnect as u32, text })
            }
        }
    }

    /// The same with another error of the protocol.
    pub(crate) fn reclassified(self, reclassify: impl FnOnce(Error) -> Error) -> End {
        match self {
            End::Protocol(error) => End::Protocol(reclassify(error)),
            other => other,
        }
    }

    /// What the client did wrong, if it has not logged in. `refused`: its attempts; what an authenticator could not
    /// judge is not its fault.
    ///
    /// Decided 2026-11-29: keys that were refused are no fault, because an agent offers all that it has; and an unknown
    /// user is none of its own (OpenSSH's `invaliduser`), because penalties of two lengths would tell who is known.
    pub(crate) fn fault(&self, refused: &RefusedAttempts, login: &Login) -> Option<Fault> {
        let secrets = refused.passwords.saturating_add(refused.interactive);
        let keys = refused.key_count > 0 || login.has_offered();
        let tried = secrets > 0 || keys || refused.unknown > 0 || login.has_partial();
        match self {
            End::Protocol(Error::TimedOut(_)) => Some(Fault::TimedOut),
            // It is the server that could not.
            End::Protocol(Error::TooManyLogins | Error::LoginUndecided) => None,
            End::Lost(_) | End::Protocol(_) if secrets > login.unjudged() => Some(Fault::FailedLogin),
            End::Lost(_) | End::Protocol(_) if !tried => Some(Fault::NoAttempt),
            End::Lost(_)
            | End::Protocol(_)
            | End::Shutdown
            | End::Requested(_)
            | End::SignFailed(_)
            | End::TooManyCompressed
            | End::Evicted
            | End::Penalized => None,
        }
    }

    /// The same in a word of a fixed set.
    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            End::Lost(error) if error.kind() == io::ErrorKind::UnexpectedEof => "hung_up",
            End::Lost(_) => "lost",
            End::Protocol(Error::Disconnected { .. }) => "disconnected",
            End::Protocol(Error::TimedOut(_)) => "timed_out",
            End::Protocol(Error::Incompatible { .. }) => "incompatible",
            End::Protocol(Error::TooManyAttempts) => "too_many_attempts",
            End::Protocol(Error::TooManyLogins | Error::LoginUndecided) => "login_undecided",
            End::Protocol(Error::Closed(Reason::TooManyConnections)) => "user_limit",
            End::Protocol(Error::Closed(_) | Error::Requested { .. }) | End::Requested(_) => "requested",
            End::Protocol(Error::Peer(_) | Error::Integrity | Error::HostKeyRefused) => "protocol_error",
            End::Protocol(Error::Exhausted) | End::SignFailed(_) => "internal_error",
            End::Shutdown => "shutdown",
            End::TooManyCompressed => "compression_limit",
            End::Evicted => "evicted",
            End::Penalized => "penalized",
        }
    }

    /// The reason for the log. It may hold a peer's text: escape it.
    pub(crate) fn reason(&self) -> String {
        match self {
            End::Lost(error) if error.kind() == io::ErrorKind::UnexpectedEof => "the peer hung up".to_owned(),
            End::Lost(error) => error.to_string(),
            End::Protocol(error) => error.to_string(),
            End::Shutdown => "the server stops".to_owned(),
            End::Requested(reason) => format!("ended on request: {reason}"),
            End::SignFailed(algorithm) => format!("the host key could not make a signature ({algorithm})"),
            End::TooManyCompressed => {
                "as many connections are compressed as limits.compressed_connections allows".to_owned()
            }
            End::Evicted => "not logged in, and its place was given to a new connection".to_owned(),
            End::Penalized => {
                "its password was not checked, because of other connections of its source (penalty_exempt)".to_owned()
            }
        }
    }
}

/// Logs that a connection is over, with what was refused before its login. One that has sent nothing is only counted.
pub(crate) fn log_closed(row: &ConnectionRow, refused: &RefusedAttempts, reason: &str, outcome: &'static str) {
    let Totals { age, received, sent, sessions } = row.totals();
    let (peer, login) = (row.peer(), row.login());
    let attempts = [refused.key_count, refused.passwords, refused.interactive, refused.nones, refused.unknown];
    let attempts = attempts.into_iter().fold(0, u32::saturating_add);
    let level = if received == 0 { Level::DEBUG } else { Level::INFO };
    let reason = if login.is_some() { reason.as_bytes() } else { cut(reason.as_bytes(), strangers::NAME) };
    let has_line = received == 0 || login.is_some() || strangers::may_tell(About::Other, peer.source(), reason.len());
    if received == 0 {
        strangers::was_silent(peer.source());
    }
    let names = login.map(|login| [&login.user, &login.tenant].map(|name| escape(name.as_bytes()).to_string()));
    let (user, tenant) = match &names {
        Some([user, tenant]) => (Some(user.as_str()), Some(tenant.as_str())),
        None => (None, None),
    };
    let closed = ConnectionEvent::Closed {
        connection: row.connection(),
        peer,
        seconds: age.as_secs_f32(),
        received,
        sent,
        sessions,
        attempts,
        user,
        tenant,
        reason: escape(reason),
        level,
        outcome,
    };
    // Whoever follows connections learns of each end, or would keep those of strangers for ever.
    emit_throttled(has_line, closed);
}
