//! Why a connection is refused: the line for its peer, and the log fields.

use std::fmt;

use crate::source::Source;

use super::penalties::Penalty;
use super::unauthenticated::PROTECTED;

/// Why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionRefusal {
    /// Earlier connections of this source have done wrong.
    Penalty { source: Source, penalty: Penalty },
    /// Too many connections of any kind.
    Connections { count: u32 },
    /// Too many unauthenticated connections, and none can be evicted.
    Unauthenticated { count: u32, full: u32 },
    /// Too many unauthenticated connections of this source.
    Source { source: Source, served: u32, waiting: u32 },
}

impl ConnectionRefusal {
    /// The same in a word of a fixed set.
    pub(crate) fn cause(self) -> &'static str {
        match self {
            ConnectionRefusal::Penalty { .. } => "penalty",
            ConnectionRefusal::Connections { .. } => "connections",
            ConnectionRefusal::Unauthenticated { .. } => "unauthenticated",
            ConnectionRefusal::Source { .. } => "unauthenticated_per_source",
        }
    }

    /// The line for the peer, before any protocol. It begins with the words of OpenSSH, which people and programs know.
    pub(crate) fn line(self) -> &'static str {
        match self {
            ConnectionRefusal::Penalty { .. } => PENALTY_LINE,
            ConnectionRefusal::Source { .. } => SOURCE_LINE,
            ConnectionRefusal::Connections { .. } | ConnectionRefusal::Unauthenticated { .. } => {
                "Exceeded MaxStartups: too many connections; try again later.\r\n"
            }
        }
    }
}

/// What a peer is told whose source has a penalty, with the words of OpenSSH 10.
pub(crate) const PENALTY_TEXT: &str = "Not allowed at this time";

/// The same as a line.
const PENALTY_LINE: &str = "Not allowed at this time\r\n";

/// The line for a peer whose source has too many unauthenticated connections.
pub(crate) const SOURCE_LINE: &str =
    "Exceeded MaxStartups: too many connections from your address wait to log in; try again.\r\n";

/// For the log.
impl fmt::Display for ConnectionRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectionRefusal::Penalty { source, penalty: Penalty { fault, left } } => write!(
                f,
                "{source} is refused for another {} s, because of earlier connections: the last fault was {} \
                 (penalty_exempt)",
                left.as_secs() + 1,
                fault.describe()
            ),
            ConnectionRefusal::Connections { count } => {
                write!(f, "{count} connections are open, as many as `connections` and the open files allow")
            }
            ConnectionRefusal::Unauthenticated { count, full } => write!(
                f,
                "{count} connections have not logged in (unauthenticated_full: {full}), none of them for longer than {} s",
                PROTECTED.as_secs()
            ),
            ConnectionRefusal::Source { source, served, waiting } => write!(
                f,
                "{} connections from {source} have not logged in: {served} are served (unauthenticated_per_source) and \
                 {waiting} wait (unauthenticated_waiting)",
                served + waiting
            ),
        }
    }
}
