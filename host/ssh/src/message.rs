//! RFC 4250 §4.1: the number of a message picks its layer; the table of the layer picks the message.
//!
//! A message is declared once, in the table of its layer, with its RFC section; the macro generates decoding and
//! encoding.

pub mod auth;
pub mod interactive;
pub mod kex;
pub mod mux;
pub mod password;
pub mod request;
pub mod transport;

use crate::wire::Malformed;

/// The layers of the protocol, by the number ranges of RFC 4250 §4.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layer {
    /// 1 to 19: the transport itself, RFC 4253 §11, §12. And 192 and 193, OpenSSH PROTOCOL, ping facility.
    Transport,
    /// 20 to 49: key exchange, RFC 4253 §7, §8.
    Kex,
    /// 50 to 79: authentication, RFC 4252.
    Auth,
    /// 80 to 127: the connection protocol, RFC 4254.
    Mux,
    /// 0 and from 128: unassigned or private.
    Nobody,
}

impl Layer {
    /// The layer that `number` belongs to.
    pub fn of(number: u8) -> Layer {
        match number {
            1..=19 | 192 | 193 => Layer::Transport,
            20..=49 => Layer::Kex,
            50..=79 => Layer::Auth,
            80..=127 => Layer::Mux,
            0 | 128..=191 | 194..=255 => Layer::Nobody,
        }
    }
}

/// A message that can be written: its number, then its fields.
pub trait Encode {
    /// Appends the payload to `to`.
    fn encode(&self, to: &mut Vec<u8>);
}

/// Takes the message number from the front of a payload.
fn split_number(payload: &[u8]) -> Result<(u8, &[u8]), Malformed> {
    payload.split_first().map(|(number, body)| (*number, body)).ok_or(Malformed::Truncated)
}

/// Declares the messages of a layer: number, the RFC's name without `SSH_MSG_`, our name, and the fields in wire order.
macro_rules! messages {
    (
        $(#[$about:meta])*
        pub enum $layer:ident<'a> {
            $( $(#[$doc:meta])* $number:literal $constant:ident $name:ident { $( $field:ident : $type:ty ),* $(,)? } )+
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[expect(missing_docs, reason = "fields bear the RFC's own names")]
        pub enum $layer<'a> {
            $( $(#[$doc])* $name { $( $field: $type ),* }, )+
        }

        /// The numbers of these messages under the RFC's names, without `SSH_MSG_`.
        pub mod number {
            $( #[doc = concat!("The number of `", stringify!($name), "`.")] pub const $constant: u8 = $number; )+
        }

        impl<'a> $layer<'a> {
            /// The number and the RFC's name of each, without `SSH_MSG_`.
            pub const NAMES: &'static [(u8, &'static str)] = &[ $( ($number, stringify!($constant)), )+ ];

            /// Reads a whole payload. A field that is missing or bytes that are left over are errors.
            pub fn decode(payload: &'a [u8]) -> Result<Self, crate::wire::Malformed> {
                let (number, body) = crate::message::split_number(payload)?;
                let mut reader = crate::wire::Reader::new(body);
                let message = match number {
                    $( $number => $layer::$name { $( $field: crate::wire::Wire::read(&mut reader)? ),* }, )+
                    _ => return Err(crate::wire::Malformed::Unknown),
                };
                reader.finish()?;
                Ok(message)
            }
        }

        impl crate::message::Encode for $layer<'_> {
            fn encode(&self, to: &mut Vec<u8>) {
                match self {
                    $( $layer::$name { $( $field ),* } => {
                        to.push($number);
                        $( crate::wire::Wire::write($field, to); )*
                    } )+
                }
            }
        }
    };
}
pub(crate) use messages;

/// The role of a side, as a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The server.
    Server,
    /// The client.
    Client,
}

impl Role {
    /// The other side.
    pub fn peer(self) -> Role {
        match self {
            Role::Server => Role::Client,
            Role::Client => Role::Server,
        }
    }
}

/// Where a layer writes its messages. The transport implements it, and so do tests.
pub trait Output {
    /// How many bytes of payload may be written now. 0 while a key exchange holds everything back or the output is
    /// full.
    fn room(&self) -> usize;
    /// Writes one message. Small messages may be written whenever there is any room at all.
    fn put(&mut self, message: &dyn Encode);
}
