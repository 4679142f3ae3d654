//! The errors of a connection, by who is at fault, and the disconnect reason that each sends.

use std::fmt;

use crate::wire::Malformed;

/// Reasons for a disconnect, RFC 4253 §11.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Reason {
    /// The host is not allowed to connect.
    HostNotAllowedToConnect = 1,
    /// Protocol error.
    ProtocolError = 2,
    /// Key exchange failed.
    KeyExchangeFailed = 3,
    /// MAC error: a packet was not what its sender had sealed.
    MacError = 5,
    /// Compression error: a packet could not be decompressed.
    CompressionError = 6,
    /// Service not available.
    ServiceNotAvailable = 7,
    /// Protocol version not supported.
    ProtocolVersionNotSupported = 8,
    /// Host key not verifiable.
    HostKeyNotVerifiable = 9,
    /// Connection lost.
    ConnectionLost = 10,
    /// Ended by the application.
    ByApplication = 11,
    /// Too many connections.
    TooManyConnections = 12,
    /// No more authentication methods available.
    NoMoreAuthMethodsAvailable = 14,
}

impl Reason {
    /// The reason for which we closed a connection, as sent to the peer.
    fn words(self) -> &'static str {
        match self {
            Reason::HostNotAllowedToConnect => "this host may not connect",
            Reason::ProtocolError => "protocol error",
            Reason::KeyExchangeFailed => "the key exchange failed",
            Reason::MacError => "packet corrupt",
            Reason::CompressionError => "compression error",
            Reason::ServiceNotAvailable => "service not available",
            Reason::ProtocolVersionNotSupported => "protocol version not supported",
            Reason::HostKeyNotVerifiable => "host key not verifiable",
            Reason::ConnectionLost => "the connection was lost",
            Reason::ByApplication => "the server is shutting down",
            Reason::TooManyConnections => "too many connections of this user",
            Reason::NoMoreAuthMethodsAvailable => "no more authentication methods available",
        }
    }
}

/// A violation of the RFCs by the peer. Each cites the rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Violation {
    /// The first line is not an identification, or one of another version. RFC 4253 §4.2.
    Identification,
    /// The identification is longer than 255 bytes, or too many lines came before it. RFC 4253 §4.2.
    IdentificationTooLong,
    /// A packet length of 0, above the limit, or not a multiple of the block size. RFC 4253 §6, §6.1.
    PacketLength,
    /// Less than 4 bytes of padding, or more padding than packet. RFC 4253 §6.
    Padding,
    /// A payload without a message number. RFC 4253 §6.
    EmptyPayload,
    /// Compressed data that is malformed, or a stream that has ended. RFC 4253 §6.2.
    Compression,
    /// A payload that is above the limit when it is decompressed. RFC 4253 §6.2.
    DecompressedLength,
    /// A malformed message. RFC 4251 §5.
    Malformed {
        /// The message number.
        number: u8,
        /// What is wrong with it.
        what: Malformed,
    },
    /// A message that is not allowed in this phase. RFC 4250 §4.1, RFC 4252 §6, RFC 4253 §7.1.
    Unexpected {
        /// The message number.
        number: u8,
    },
    /// Strict key exchange: a message came before the first KEXINIT. OpenSSH PROTOCOL §1.9.
    StrictKex,
    /// A share of a wrong length, or one that would make the secret predictable. RFC 8731 §3.
    KexShare,
    /// The host key or its signature is not valid. RFC 4253 §8.
    HostKeySignature,
    /// A service that does not exist or was not requested. RFC 4253 §10.
    Service,
    /// User or service changed between attempts. RFC 4252 §5 allows it; we, like OpenSSH, do not.
    UserChanged,
    /// Too many key exchanges before the login, each of which costs a signature. Our limit.
    ExchangesBeforeLogin,
    /// An answer without a request. RFC 4252 §5, RFC 4254 §4.
    Unsolicited,
    /// Another number of answers than of prompts. RFC 4256 §3.4.
    AnswerCount,
    /// A message for a channel that never existed. RFC 4254 §5.
    NoSuchChannel,
    /// More data than the window and a tenth of it allow. RFC 4254 §5.2.
    WindowExceeded,
    /// A window that would grow past 2^32 - 1. RFC 4254 §5.2.
    WindowOverflow,
    /// A channel whose packet limit is too small to use. RFC 4254 §5.1.
    MaxPacket,
    /// More channel opens during a key exchange than refusals may wait.
    TooManyOpens,
    /// A new session after the client had promised to open no more. OpenSSH PROTOCOL §2.2.
    NoMoreSessions,
}

impl Violation {
    /// The violated rule in a few words, for the log.
    fn describe(&self) -> &'static str {
        match self {
            Violation::Identification => "no SSH 2.0 identification (RFC 4253 §4.2)",
            Violation::IdentificationTooLong => "the identification is too long (RFC 4253 §4.2)",
            Violation::PacketLength => "a packet length is out of bounds (RFC 4253 §6)",
            Violation::Padding => "the padding does not fit its packet (RFC 4253 §6)",
            Violation::EmptyPayload => "a packet has no payload (RFC 4253 §6)",
            Violation::Compression => "a packet cannot be decompressed (RFC 4253 §6.2)",
            Violation::DecompressedLength => "a packet is too long when it is decompressed (RFC 4253 §6.2)",
            Violation::Malformed { .. } => "a message is malformed (RFC 4251 §5)",
            Violation::Unexpected { .. } => "a message has no place in this phase",
            Violation::StrictKex => "a packet stood before the first KEXINIT of a strict key exchange",
            Violation::KexShare => "a key share is not acceptable (RFC 8731 §3)",
            Violation::HostKeySignature => "the host key's signature is not right (RFC 4253 §8)",
            Violation::Service => "the service is not available (RFC 4253 §10)",
            Violation::UserChanged => "the user or the service changed between attempts",
            Violation::ExchangesBeforeLogin => "too many key exchanges before the login",
            Violation::Unsolicited => "an answer came that nobody had asked for",
            Violation::AnswerCount => "the number of answers is not that of the prompts (RFC 4256 §3.4)",
            Violation::NoSuchChannel => "there is no such channel (RFC 4254 §5)",
            Violation::WindowExceeded => "data exceeds the window (RFC 4254 §5.2)",
            Violation::WindowOverflow => "a window would exceed 2^32 - 1 (RFC 4254 §5.2)",
            Violation::MaxPacket => "the packet limit of a channel is too small (RFC 4254 §5.1)",
            Violation::TooManyOpens => "too many channels were asked for during a key exchange",
            Violation::NoMoreSessions => "a session was asked for after no-more-sessions",
        }
    }
}

impl std::error::Error for Violation {}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::Malformed { number, what } => write!(f, "message {number} is malformed: {what}"),
            Violation::Unexpected { number } => write!(f, "message {number} has no place in this phase"),
            other => f.write_str(other.describe()),
        }
    }
}

/// The stage of the connection that took too long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The identification line.
    Identification,
    /// A key exchange, the first or a later one.
    Kex,
    /// Authentication.
    Auth,
    /// A keepalive that the peer did not answer.
    Keepalive,
    /// A large packet, while others waited for the memory that was granted for it.
    LargePacket,
}

/// Why a connection ended, by who is at fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// The peer violated the protocol.
    Peer(Violation),
    /// No common algorithm of this kind. RFC 4253 §7.1.
    Incompatible {
        /// Which of the lists.
        kind: &'static str,
        /// What we offered.
        ours: String,
        /// What the peer offered: escaped, and cut if it is long.
        theirs: String,
    },
    /// A packet failed authentication. RFC 4253 §6.4.
    Integrity,
    /// The peer sent DISCONNECT. RFC 4253 §11.1.
    Disconnected {
        /// As received: see [`Reason`].
        reason: u32,
        /// The peer's text, any bytes: escape it before showing it.
        description: Vec<u8>,
    },
    /// The client's user refused the server's host key.
    HostKeyRefused,
    /// Too many failed authentication attempts. RFC 4252 §4.
    TooManyAttempts,
    /// Too many users authenticate at the same time, so the attempt could not be decided.
    TooManyLogins,
    /// The server could not check a credential: too slow, or too little memory.
    LoginUndecided,
    /// A stage took longer than its limit.
    TimedOut(Stage),
    /// We ended it ourselves.
    Closed(Reason),
    /// The application ended it.
    Requested {
        /// The reason to send: see [`Reason`].
        reason: u32,
        /// The text to send.
        text: String,
    },
    /// The keys can protect no more packets, or the system gave no randomness. A peer cannot cause it.
    Exhausted,
}

impl Error {
    /// The reason code of the DISCONNECT, or `None` where nothing is sent.
    pub fn reason(&self) -> Option<u32> {
        let reason = match self {
            Error::Requested { reason, .. } => return Some(*reason),
            Error::Peer(Violation::Identification | Violation::IdentificationTooLong) => None,
            Error::Peer(Violation::KexShare | Violation::HostKeySignature) => Some(Reason::KeyExchangeFailed),
            Error::Peer(Violation::Compression | Violation::DecompressedLength) => Some(Reason::CompressionError),
            Error::Peer(Violation::Service) => Some(Reason::ServiceNotAvailable),
            Error::Peer(_) | Error::TooManyAttempts => Some(Reason::ProtocolError),
            Error::Incompatible { .. } => Some(Reason::KeyExchangeFailed),
            Error::Integrity => Some(Reason::MacError),
            Error::Disconnected { .. } | Error::TimedOut(Stage::Identification) => None,
            Error::TooManyLogins => Some(Reason::TooManyConnections),
            Error::LoginUndecided => Some(Reason::ByApplication),
            Error::HostKeyRefused => Some(Reason::HostKeyNotVerifiable),
            Error::TimedOut(Stage::Keepalive) => Some(Reason::ConnectionLost),
            Error::TimedOut(Stage::Kex | Stage::Auth | Stage::LargePacket) | Error::Exhausted => {
                Some(Reason::ByApplication)
            }
            Error::Closed(reason) => Some(*reason),
        };
        reason.map(|reason| reason as u32)
    }

    /// The text of the DISCONNECT: generic, so that it reveals nothing to an attacker.
    pub fn disconnect_text(&self) -> &str {
        match self {
            Error::Peer(Violation::Service) => "service not available",
            Error::Peer(Violation::Compression | Violation::DecompressedLength) => "compression error",
            Error::Peer(_) => "protocol error",
            Error::Incompatible { .. } => "no common algorithm",
            Error::Integrity => "packet corrupt",
            // OpenSSH's words, which people search for.
            Error::TooManyAttempts => "Too many authentication failures",
            Error::TimedOut(Stage::Identification) => "no identification came in time",
            Error::TimedOut(Stage::Kex) => "the key exchange took too long",
            Error::TimedOut(Stage::Auth) => "the login took too long",
            Error::TimedOut(Stage::Keepalive) => "no answer to keepalive questions",
            Error::TimedOut(Stage::LargePacket) => "a large packet took too long",
            Error::TooManyLogins => "too many logins at the moment, try again",
            Error::LoginUndecided => "the server could not decide on the login, try again later",
            Error::HostKeyRefused => "host key not verifiable",
            Error::Requested { text, .. } => text,
            Error::Closed(reason) => reason.words(),
            Error::Exhausted => "internal error",
            // Nothing is sent to a peer that has left.
            Error::Disconnected { .. } => "",
        }
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Error {
        Error::Peer(violation)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Peer(violation) => violation.fmt(f),
            Error::Incompatible { kind, ours, theirs } => {
                write!(f, "no common {kind}: ours are {ours}, the peer's are {theirs}")
            }
            Error::Integrity => f.write_str("a packet failed its integrity check"),
            Error::Disconnected { reason, description } => {
                write!(f, "the peer disconnected, reason {reason}: {}", description.escape_ascii())
            }
            Error::HostKeyRefused => f.write_str("the host key was refused"),
            Error::TooManyAttempts => f.write_str("too many attempts to authenticate"),
            Error::TooManyLogins => f.write_str("too many logins at the same time"),
            Error::LoginUndecided => f.write_str("the server could not decide on the login"),
            Error::TimedOut(Stage::Identification) => f.write_str("no identification came in time"),
            Error::TimedOut(Stage::Kex) => f.write_str("the key exchange took too long"),
            Error::TimedOut(Stage::Auth) => f.write_str("the login took too long"),
            Error::TimedOut(Stage::Keepalive) => f.write_str("the peer answered no keepalive question"),
            Error::TimedOut(Stage::LargePacket) => {
                f.write_str("the rest of a large packet did not come while others waited for its memory")
            }
            Error::Requested { reason, text } => {
                write!(f, "this side disconnected, reason {reason}: {}", text.escape_default())
            }
            Error::Closed(reason) => f.write_str(reason.words()),
            Error::Exhausted => f.write_str("the keys or the random source are exhausted"),
        }
    }
}

impl std::error::Error for Error {}
