//! Messages between sessions: what one publishes on a topic, all that subscribe to it get, in
//! [`MessageHandler::on_message`](crate::MessageHandler::on_message) of a plugin that was made with
//! `plugin!(.. : messages)`.
//!
//! All sessions of one tenant (one customer of a shared server) meet here, whichever plugin they run; those of others
//! do not. Nothing is kept: who subscribes later has missed what came before. For what should stay there is
//! [`keyvalue`](crate::keyvalue).
//!
//! A plugin that calls anything of this module needs the grant `topics` of its operator.
//!
//! ```
//! use whelk_guest::{MessageHandler, Session, plugin, print, topics};
//!
//! #[derive(Default)]
//! struct Chat;
//!
//! impl Session for Chat {
//!     fn shell(&mut self) -> bool {
//!         topics::subscribe("room").is_ok()
//!     }
//!
//!     fn data(&mut self, data: &[u8]) {
//!         // Too much at a time is dropped; in a chat somebody notices.
//!         let _ = topics::publish("room", data);
//!     }
//! }
//!
//! impl MessageHandler for Chat {
//!     fn on_message(&mut self, _topic: &str, data: &[u8]) {
//!         print(format!("{}\r\n", data.escape_ascii()));
//!     }
//! }
//!
//! plugin!(Chat: messages);
//! ```

use crate::bindings::granted::whelk::ssh::topics;

pub use crate::bindings::granted::whelk::ssh::topics::TopicError;

/// Sends a message to every session that subscribes to the topic, this one too if it does, and says how many those are.
/// Waits for none of them.
///
/// # Errors
/// [`TopicError::TooLarge`] above 64 KiB, [`TopicError::OverQuota`] when the tenant publishes too much at the moment.
pub fn publish(topic: &str, data: impl AsRef<[u8]>) -> Result<u32, TopicError> {
    topics::publish(topic, data.as_ref())
}

/// From now on messages of the topic arrive. Up to 256 wait while the plugin is busy; then the oldest are dropped, and
/// [`on_lagged`](crate::MessageHandler::on_lagged) says how many.
///
/// # Errors
/// [`TopicError::TooMany`] after 64 topics, [`TopicError::TooLarge`] for a name of more than 256 bytes.
pub fn subscribe(topic: &str) -> Result<(), TopicError> {
    topics::subscribe(topic)
}

/// And no longer. The end of the session does it too.
pub fn unsubscribe(topic: &str) {
    topics::unsubscribe(topic);
}
