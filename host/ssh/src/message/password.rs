//! RFC 4252 §8: message 60 of the method `password`.

use crate::message::messages;

messages! {
    /// A change of password, RFC 4252 §8.
    pub enum PasswordMessage<'a> {
        /// The password must be changed: ask the user for a new one. RFC 4252 §8.
        60 USERAUTH_PASSWD_CHANGEREQ PasswdChangereq { prompt: &'a [u8], language: &'a [u8] }
    }
}
