//! RFC 4252: messages 50 to 79.

use crate::message::messages;
use crate::wire::{Malformed, NameList, Reader, Rest, Wire};

messages! {
    /// Authentication, RFC 4252 §5 to §8.
    pub enum AuthMessage<'a> {
        /// One attempt by `method`; [`Method::decode`] reads `body`. RFC 4252 §5.
        50 USERAUTH_REQUEST UserauthRequest { user: &'a [u8], service: &'a [u8], method: &'a [u8], body: Rest<'a> }
        /// Refused; the listed methods can continue. RFC 4252 §5.1.
        51 USERAUTH_FAILURE UserauthFailure { methods: NameList<'a>, partial_success: bool }
        /// Authenticated. RFC 4252 §5.1.
        52 USERAUTH_SUCCESS UserauthSuccess { }
        /// Text to show before login. RFC 4252 §5.4.
        53 USERAUTH_BANNER UserauthBanner { text: &'a [u8], language: &'a [u8] }
        /// The server would accept this key: sign with it. RFC 4252 §7. After other methods the number has another
        /// meaning: [`InteractiveMessage`](super::interactive::InteractiveMessage),
        /// [`PasswordMessage`](super::password::PasswordMessage).
        60 USERAUTH_PK_OK UserauthPkOk { algorithm: &'a [u8], key: &'a [u8] }
    }
}

/// The name of the method whose signatures cover the host key. OpenSSH PROTOCOL §3.1.
pub const HOST_BOUND: &[u8] = b"publickey-hostbound-v00@openssh.com";

/// The body of a request, by its method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method<'a> {
    /// `none`, RFC 4252 §5.2.
    None,
    /// `password`, RFC 4252 §8. `new` is present when the client answers a request to change it.
    Password {
        /// The password as typed.
        password: &'a [u8],
        /// The new password, if the client wants to change it.
        new: Option<&'a [u8]>,
    },
    /// `publickey`, RFC 4252 §7.
    PublicKey {
        /// The algorithm to sign with.
        algorithm: &'a [u8],
        /// The key as a blob, RFC 4253 §6.6.
        key: &'a [u8],
        /// Absent when the client only asks whether the server would accept the key.
        signature: Option<&'a [u8]>,
    },
    /// `publickey-hostbound-v00@openssh.com`: a key whose signature covers the server's host key too, so that it is of
    /// no use at another server. OpenSSH PROTOCOL §3.1.
    HostBoundKey {
        /// The algorithm to sign with.
        algorithm: &'a [u8],
        /// The key as a blob, RFC 4253 §6.6.
        key: &'a [u8],
        /// The server's host key as the client has seen it in the first key exchange.
        host_key: &'a [u8],
        /// Absent when the client only asks whether the server would accept the key.
        signature: Option<&'a [u8]>,
    },
    /// `keyboard-interactive`, RFC 4256 §3.1. The language and the submethods that the client names are ignored and not
    /// kept, so a long list costs nothing.
    KeyboardInteractive,
    /// An unknown method. Its body is not read.
    Unknown,
}

impl<'a> Method<'a> {
    /// Reads the `body` of a request. A known method must be well formed to the last byte.
    pub fn decode(method: &[u8], body: &'a [u8]) -> Result<Method<'a>, Malformed> {
        let mut reader = Reader::new(body);
        let decoded = match method {
            b"none" => Method::None,
            b"password" => {
                let change = bool::read(&mut reader)?;
                let password = reader.string()?;
                Method::Password { password, new: if change { Some(reader.string()?) } else { None } }
            }
            b"publickey" => {
                let signed = bool::read(&mut reader)?;
                let algorithm = reader.string()?;
                let key = reader.string()?;
                Method::PublicKey { algorithm, key, signature: if signed { Some(reader.string()?) } else { None } }
            }
            HOST_BOUND => {
                let signed = bool::read(&mut reader)?;
                let (algorithm, key, host_key) = (reader.string()?, reader.string()?, reader.string()?);
                let signature = if signed { Some(reader.string()?) } else { None };
                Method::HostBoundKey { algorithm, key, host_key, signature }
            }
            b"keyboard-interactive" => {
                let (_language, _submethods) = (reader.string()?, reader.string()?);
                Method::KeyboardInteractive
            }
            _ => return Ok(Method::Unknown),
        };
        reader.finish()?;
        Ok(decoded)
    }

    /// The method's name and body as encoded in a request.
    pub fn encode(&self, body: &mut Vec<u8>) -> &'static [u8] {
        match self {
            Method::None | Method::Unknown => b"none",
            Method::Password { password, new } => {
                new.is_some().write(body);
                password.write(body);
                if let Some(new) = new {
                    new.write(body);
                }
                b"password"
            }
            Method::KeyboardInteractive => {
                b"".as_slice().write(body);
                b"".as_slice().write(body);
                b"keyboard-interactive"
            }
            Method::HostBoundKey { algorithm, key, host_key, signature } => {
                signature.is_some().write(body);
                for field in [algorithm, key, host_key].into_iter().chain(signature) {
                    field.write(body);
                }
                HOST_BOUND
            }
            Method::PublicKey { algorithm, key, signature } => {
                signature.is_some().write(body);
                algorithm.write(body);
                key.write(body);
                if let Some(signature) = signature {
                    signature.write(body);
                }
                b"publickey"
            }
        }
    }
}
