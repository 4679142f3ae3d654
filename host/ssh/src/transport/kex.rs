//! RFC 4253 §7 to §9: key exchange as a line of states, each consumed by its step.
//!
//! ```text
//!            ours out            theirs in           server: 30 in           signed
//!  Idle ---------> ExpectKexInit -------> ExpectEcdhInit -----> AwaitSignature ----.      21 in
//!    ^                              \                                               +--> ExpectNewKeys --.
//!    |                               `---> ExpectEcdhReply ----> AwaitTrust --------'                    |
//!    |                          client               31 in             trusted                           |
//!    `---------------------------------------------------------------------------------------------------'
//! ```
//!
//! A server waits in `AwaitAgreement` before `AwaitSignature` if the method of key exchange is costly.
//!
//! From our KEXINIT to our NEWKEYS nothing but key exchange may leave; from the peer's KEXINIT to its NEWKEYS nothing
//! but key exchange may come (RFC 4253 §7.1).

pub(super) mod client;
pub(super) mod exchange;
pub(super) mod server;

use exchange::{ExpectKexInit, ExpectNewKeys};

/// The state of an exchange.
pub(super) enum Kex {
    /// None is under way.
    Idle,
    /// Our KEXINIT was sent, the peer's is awaited.
    ExpectKexInit(ExpectKexInit),
    /// Server: the client's share is awaited.
    ExpectEcdhInit(Box<server::ExpectEcdhInit>),
    /// Server: the secret of a costly key exchange is awaited.
    AwaitAgreement(Box<server::AwaitAgreement>),
    /// Server: the signature of our host key is awaited.
    AwaitSignature(Box<server::AwaitSignature>),
    /// Client: the server's share is awaited.
    ExpectEcdhReply(Box<client::ExpectEcdhReply>),
    /// Client: a decision about the server's host key is awaited.
    AwaitTrust(Box<client::AwaitTrust>),
    /// Our NEWKEYS was sent, the peer's is awaited.
    ExpectNewKeys(Box<ExpectNewKeys>),
    /// A step has failed, and with it the connection: nothing comes any more, and nothing leaves but DISCONNECT. A step
    /// that is under way leaves this behind, so that an error needs no care.
    Failed,
}

impl Kex {
    /// Between the peer's KEXINIT and its NEWKEYS.
    pub(super) fn restricts_peer(&self) -> bool {
        match self {
            Kex::Idle | Kex::ExpectKexInit(_) => false,
            Kex::ExpectEcdhInit(_) | Kex::AwaitAgreement(_) | Kex::AwaitSignature(_) | Kex::ExpectEcdhReply(_) => true,
            Kex::AwaitTrust(_) | Kex::ExpectNewKeys(_) | Kex::Failed => true,
        }
    }

    /// Between our KEXINIT and our NEWKEYS.
    pub(super) fn holds_output(&self) -> bool {
        match self {
            Kex::Idle | Kex::ExpectNewKeys(_) => false,
            Kex::ExpectKexInit(_) | Kex::ExpectEcdhInit(_) | Kex::AwaitAgreement(_) | Kex::AwaitSignature(_) => true,
            Kex::ExpectEcdhReply(_) | Kex::AwaitTrust(_) | Kex::Failed => true,
        }
    }

    /// The application must answer before another packet is read.
    pub(super) fn has_open_question(&self) -> bool {
        matches!(self, Kex::AwaitAgreement(_) | Kex::AwaitSignature(_) | Kex::AwaitTrust(_))
    }
}
