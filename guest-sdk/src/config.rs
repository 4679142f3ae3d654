//! What the operator has written in the configuration of an authenticator: texts by name.
//!
//! Other plugins may read it too, and find it empty. No grant is needed.
//!
//! ```no_run
//! use whelk_guest::config;
//!
//! let greeting = config::get("greeting").unwrap_or_else(|| "Your code".to_owned());
//! ```

use crate::bindings::granted::wasi::config::store;

/// The interface allows for a configuration that is somewhere else; this one is in the host's memory.
const THERE: &str = "the host has the configuration in its memory";

/// Returns the text of this name, if there is one.
///
/// # Panics
/// On a host that cannot read its configuration, which Whelk always can.
#[must_use]
pub fn get(name: &str) -> Option<String> {
    store::get(name).expect(THERE)
}

/// Returns all names with their texts, in no particular order.
///
/// # Panics
/// On a host that cannot read its configuration, which Whelk always can.
#[must_use]
pub fn all() -> Vec<(String, String)> {
    store::get_all().expect(THERE)
}
