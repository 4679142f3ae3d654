//! Why a connection is over: what its client is told, and what the log says.

use std::io;

use whelk_ssh::error::{Error, Reason};

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
        }
    }
}
