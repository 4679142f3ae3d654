//! Publish and subscribe between sessions. A message on a topic reaches every session that subscribes to it, in
//! [`MessageHandler::on_message`](crate::MessageHandler::on_message) of a plugin that was exported with
//! `plugin!(.. : messages)`.
//!
//! All sessions of one tenant (one customer of a shared server) share its topics, whichever plugin they run; other
//! tenants have their own. Messages are not stored: a later subscriber does not get earlier ones. Use
//! [`keyvalue`](crate::keyvalue) for what must persist.
//!
//! A plugin that calls any function of this module needs the grant `topics` from its operator.
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
//!         // A message over the quota is dropped; the person can type it again.
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

/// Queues a message for every session that subscribes to the topic, including this one, and returns how many those are.
/// Never blocks.
///
/// # Errors
/// [`TopicError::TooLarge`] above 64 KiB, [`TopicError::OverQuota`] when the tenant publishes faster than its limit
/// allows.
pub fn publish(topic: &str, data: impl AsRef<[u8]>) -> Result<u32, TopicError> {
    topics::publish(topic, data.as_ref())
}

/// Subscribes to a topic. Up to 256 messages queue while the plugin is busy; beyond that the oldest are dropped, and
/// [`on_lagged`](crate::MessageHandler::on_lagged) says how many.
///
/// # Errors
/// [`TopicError::TooMany`] after 64 topics, [`TopicError::TooLarge`] for a name of more than 256 bytes.
pub fn subscribe(topic: &str) -> Result<(), TopicError> {
    topics::subscribe(topic)
}

/// Unsubscribes from a topic. The end of the session does so too.
pub fn unsubscribe(topic: &str) {
    topics::unsubscribe(topic);
}
