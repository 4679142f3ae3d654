//! Why a key or a signature was refused, as text for the operator who owns the file.

use std::fmt;

/// Why a key was refused. The caller adds which file or which peer it came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyError {
    /// The file holds only white space.
    Empty,
    /// The text begins as a key and ends in the middle.
    Truncated,
    /// An encrypted private key. The server cannot ask for a passphrase.
    Encrypted,
    /// A well-formed key of an unsupported type: the type's name, escaped where it was not printable.
    Unsupported(String),
    /// A public key where a private one is wanted.
    PublicOnly,
    /// A private key where a public one is wanted.
    PrivateKey,
    /// A private key in another program's format: PEM or PKCS#8, by its label, or PuTTY's.
    Foreign(String),
    /// Lines that end in CR LF, which OpenSSH does not read either.
    CarriageReturn,
    /// Not a key.
    NotAKey,
    /// It begins as a key but does not decode: why.
    Malformed(String),
    /// The public half in a private key's file does not match the secret.
    Mismatched,
    /// An RSA key of this many bits, which is too short or too long.
    RsaSize(usize),
    /// A public key of small order, for which anybody can make signatures.
    Weak,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Empty => f.write_str("it is empty"),
            KeyError::Truncated => f.write_str("it is truncated: the end of the key is missing"),
            KeyError::Encrypted => {
                f.write_str("it is encrypted with a passphrase (remove it with `ssh-keygen -p -N '' -f FILE`)")
            }
            KeyError::Unsupported(kind) => {
                write!(f, "keys of type {kind} are not supported (ssh-ed25519, ecdsa-sha2-* and ssh-rsa are)")
            }
            KeyError::RsaSize(bits) => write!(f, "it is an RSA key of {bits} bits (2048 to 8192 are supported)"),
            KeyError::PublicOnly => f.write_str("it is a public key; the private key is needed"),
            KeyError::PrivateKey => f.write_str("it is a private key; the public key is needed"),
            KeyError::Foreign(format) => {
                write!(f, "it is in the format {format} (convert it to OpenSSH's with `ssh-keygen`)")
            }
            KeyError::CarriageReturn => f.write_str("its lines end in CR LF (convert them to LF)"),
            KeyError::NotAKey => f.write_str("it is not a key"),
            KeyError::Malformed(why) => write!(f, "it is damaged: {why}"),
            KeyError::Mismatched => f.write_str("its public half does not belong to its private half"),
            KeyError::Weak => f.write_str("it is a weak key: anybody can sign for it"),
        }
    }
}

impl std::error::Error for KeyError {}

/// The signature was not made by this key, or not with the claimed algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadSignature;

impl fmt::Display for BadSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the signature does not verify")
    }
}

impl std::error::Error for BadSignature {}

/// The provider could not sign, or the key does not make signatures of this algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignFailed;

impl fmt::Display for SignFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key could not sign")
    }
}

impl std::error::Error for SignFailed {}
