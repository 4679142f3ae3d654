//! RFC 4253 §10 to §12, RFC 8308: messages 1 to 19, and those of the ping facility of OpenSSH.

use crate::message::messages;
use crate::wire::Rest;

messages! {
    /// The transport's own messages, RFC 4253 §10 to §12.
    pub enum TransportMessage<'a> {
        /// Ends the connection at once. RFC 4253 §11.1.
        1 DISCONNECT Disconnect { reason: u32, description: &'a [u8], language: &'a [u8] }
        /// Has no effect and may come at any time. RFC 4253 §11.2.
        2 IGNORE Ignore { data: &'a [u8] }
        /// The packet of this sequence number was not understood. RFC 4253 §11.4.
        3 UNIMPLEMENTED Unimplemented { sequence: u32 }
        /// A debug message. RFC 4253 §11.3.
        4 DEBUG Debug { always_display: bool, text: &'a [u8], language: &'a [u8] }
        /// The client asks for a service: authentication or the connection protocol. RFC 4253 §10.
        5 SERVICE_REQUEST ServiceRequest { service: &'a [u8] }
        /// The service is accepted. RFC 4253 §10.
        6 SERVICE_ACCEPT ServiceAccept { service: &'a [u8] }
        /// Extensions: a count, then that many pairs of name and value. RFC 8308 §2.3.
        7 EXT_INFO ExtInfo { count: u32, extensions: Rest<'a> }
        /// The peer is to answer with the same data. OpenSSH PROTOCOL, ping facility, with a number for private use of
        /// RFC 4250 §4.1.
        192 PING Ping { data: &'a [u8] }
        /// The answer to PING. The same, RFC 4250 §4.1.
        193 PONG Pong { data: &'a [u8] }
    }
}
