//! Host keys and user keys: RFC 4253 §6.6, RFC 5656, RFC 8332, RFC 8709, OpenSSH `PROTOCOL.u2f`, their certificates,
//! and key files.
//!
//! One file an algorithm. [`PublicKey`] and [`HostKey`] hide which one a key has: a new algorithm is a file, a variant
//! of the two enums (`Kind`, `Secret`) and its names in [`SIGNATURES`], and touches no caller. The provider signs and
//! verifies; `ed25519.rs` says how strictly. `ssh-key`, `pkcs8`, `pkcs1` and `sec1` read files. Who may use a key is
//! not decided here.

mod certificate;
mod ecdsa;
mod ed25519;
mod error;
mod host;
mod pem;
mod public;
mod remainder;
mod rsa;
mod sk;

pub(crate) use certificate::CertificateFields;
pub use certificate::{BadCertificate, CERTIFICATE_SIGNATURES, Certificate, CertificateKind, option_text};
pub use error::{BadSignature, KeyError, SignFailed};
pub use host::certificate::{HostCertificate, HostCertificateError};
pub use host::{HostKey, HostKeyKind};
pub use public::{HOST_SIGNATURES, PublicKey, SIGNATURES};
pub use sk::Presence;
