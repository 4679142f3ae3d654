//! Logins: each attempt that says something, and how they end. RFC 4252.

use crate::observe::escape::Escaped;
use tracing::Level;

whelk_runtime::events! {
    /// What happens in logins.
    pub enum LoginEvent<'a> {
        /// A user has logged in.
        Succeeded("login_succeeded", INFO, "whelk::connection::login", "authenticated") {
            connection: u64,
            #[display] user: Escaped<'a>,
            method: &'a str,
            #[display] plugin: Escaped<'a>,
        }
        /// A password was refused. Refused keys have an event of their own: clients routinely offer several.
        Rejected("login_rejected", INFO, "whelk::connection::login", "rejected") {
            connection: u64,
            #[display] user: Escaped<'a>,
            method: &'a str,
        }
        /// A key was refused. Told when the login is over: as `DEBUG` if it succeeded, since clients offer several
        /// keys.
        KeyRefused("login_key_refused", INFO | DEBUG, "whelk::connection::login", "key refused") {
            connection: u64,
            #[display] user: Escaped<'a>,
            #[display] algorithm: Escaped<'a>,
            fingerprint: &'a str,
            reason: &'a str,
            ; level: Level,
        }
        /// A connection is over whose client tried to log in and did not succeed.
        Failed("login_failed", INFO, "whelk::connection::login", "login failed") {
            connection: u64,
            #[display] user: Escaped<'a>,
            keys: u32,
            passwords: u32,
            interactive: u32,
            nones: u32,
            others: u32,
            #[display] reason: Escaped<'a>,
        }
        /// An attempt could not be decided, which is the server's fault: a password could not be hashed.
        Undecided("login_undecided", WARN, "whelk::connection::login", "login not decided") {
            connection: u64,
            #[display] user: Escaped<'a>,
            reason: &'a str,
        }
    }
}
