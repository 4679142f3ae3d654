//! RFC 4256: the messages 60 and 61 of keyboard-interactive.

use crate::message::messages;
use crate::wire::Rest;

messages! {
    /// keyboard-interactive, RFC 4256 §3.
    pub enum InteractiveMessage<'a> {
        /// Asks the client's user: `count` prompts, each a string and a boolean (echo). RFC 4256 §3.2.
        60 USERAUTH_INFO_REQUEST InfoRequest {
            name: &'a [u8],
            instruction: &'a [u8],
            language: &'a [u8],
            count: u32,
            prompts: Rest<'a>,
        }
        /// `count` answers, each a string. RFC 4256 §3.4.
        61 USERAUTH_INFO_RESPONSE InfoResponse { count: u32, answers: Rest<'a> }
    }
}
