//! RFC 4253 §7, RFC 5656 §7.1: messages 20 to 49.

use crate::message::messages;
use crate::wire::NameList;

/// The first of the numbers that each key exchange method defines for itself. RFC 4250 §4.1.
pub const METHOD_FIRST: u8 = 30;
/// The last of the numbers that each key exchange method defines for itself. RFC 4250 §4.1.
pub const METHOD_LAST: u8 = 49;

messages! {
    /// Key exchange, RFC 4253 §7 and RFC 5656 §4.
    pub enum KexMessage<'a> {
        /// A side's algorithms, best first. RFC 4253 §7.1.
        20 KEXINIT KexInit {
            cookie: [u8; 16],
            kex: NameList<'a>,
            host_key: NameList<'a>,
            cipher_to_server: NameList<'a>,
            cipher_to_client: NameList<'a>,
            mac_to_server: NameList<'a>,
            mac_to_client: NameList<'a>,
            compression_to_server: NameList<'a>,
            compression_to_client: NameList<'a>,
            languages_to_server: NameList<'a>,
            languages_to_client: NameList<'a>,
            first_packet_follows: bool,
            reserved: u32,
        }
        /// Everything after this message uses the new keys. RFC 4253 §7.3.
        21 NEWKEYS NewKeys { }
        /// The client's share. RFC 5656 §4, RFC 8731 §3.
        30 KEX_ECDH_INIT EcdhInit { share: &'a [u8] }
        /// The server's host key, its share, and the signature that proves both. RFC 5656 §4.
        31 KEX_ECDH_REPLY EcdhReply { host_key: &'a [u8], share: &'a [u8], signature: &'a [u8] }
    }
}
