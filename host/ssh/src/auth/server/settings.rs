//! What the operator configures about authentication.

use crate::auth::method::MethodSet;
use crate::auth::text::Banner;

/// What the operator configures about authentication. Shared by all connections.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The methods offered. Attempts by other methods are refused without a question; `none` is always passed to the
    /// application.
    pub methods: MethodSet,
    /// Text that clients show before login.
    pub banner: Option<Banner>,
    /// The number of the failure that ends the connection: 6 allows five answers of FAILURE. The first `none` does not
    /// count. RFC 4252 §4.
    pub max_failures: u32,
    /// The most requests that are answered, whatever the answer: it bounds queries, partial successes, and the rounds
    /// of keyboard-interactive too.
    pub max_requests: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { methods: MethodSet::ALL, banner: None, max_failures: 6, max_requests: 64 }
    }
}
