//! Logins: each attempt that says something, and how they end. RFC 4252.

use tracing::Level;

use crate::observe::escape::Escaped;
use crate::source::Peer;

whelk_runtime::events! {
    /// What happens in logins.
    pub enum LoginEvent<'a> {
        /// A user has logged in. `algorithm` and `fingerprint` are of the key; `key_id`, `serial`, `authority` of its
        /// certificate.
        Succeeded("login_succeeded", INFO, "whelk::connection::login", "authenticated") {
            connection: u64,
            #[display] peer: Peer,
            method: &'a str,
            #[display] user: Escaped<'a>,
            principal: Option<&'a str>,
            #[display] tenant: Escaped<'a>,
            #[display] plugin: Escaped<'a>,
            algorithm: Option<&'a str>,
            fingerprint: Option<&'a str>,
            key_id: Option<&'a str>,
            serial: Option<u64>,
            authority: Option<&'a str>,
        }
        /// A method has succeeded, and another must follow: `methods` requires several.
        Partial("login_partial", INFO, "whelk::connection::login", "partial success") {
            connection: u64,
            #[display] peer: Peer,
            method: &'a str,
            next: &'a str,
            #[display] user: Escaped<'a>,
            #[display] tenant: Escaped<'a>,
        }
        /// An authenticator has changed a user's password, which the user was asked for.
        PasswordChanged("login_password_changed", INFO, "whelk::connection::login", "password changed") {
            connection: u64,
            #[display] peer: Peer,
            #[display] user: Escaped<'a>,
            #[display] tenant: Escaped<'a>,
        }
        /// A password, answer or key was refused. `tenant` is that of a known user. Refused keys are logged at the end
        /// of the login (16 at most): `DEBUG` if it succeeded, `INFO` if it failed or if the key is the user's but is
        /// restricted.
        Rejected("login_rejected", INFO | DEBUG, "whelk::connection::login", "rejected") {
            connection: u64,
            #[display] peer: Peer,
            method: &'a str,
            #[display] user: Escaped<'a>,
            tenant: Option<&'a str>,
            #[display] reason: Escaped<'a>,
            algorithm: Option<&'a str>,
            fingerprint: Option<&'a str>,
            key_id: Option<&'a str>,
            serial: Option<u64>,
            authority: Option<&'a str>,
            ; level: Level,
        }
        /// A file of a user's keys, of authorities or of revoked keys could not be read, or others may write to it.
        /// None of its keys lets anybody in; without the revoked keys no key does.
        KeyFileUnusable("login_key_file_unusable", WARN, "whelk::connection::login", "key file not used") {
            connection: u64,
            #[display] user: Escaped<'a>,
            reason: &'a str,
        }
        /// A connection is over whose client tried to log in and did not succeed. `tenant` is that of a known user.
        Failed("login_failed", INFO, "whelk::connection::login", "login failed") {
            connection: u64,
            #[display] peer: Peer,
            keys: u32,
            passwords: u32,
            interactive: u32,
            nones: u32,
            others: u32,
            #[display] user: Escaped<'a>,
            tenant: Option<&'a str>,
            #[display] reason: Escaped<'a>,
        }
        /// An attempt could not be decided, which is the server's fault: a password could not be hashed, or a file of
        /// keys not be read in time.
        Undecided("login_undecided", WARN, "whelk::connection::login", "login not decided") {
            connection: u64,
            #[display] peer: Peer,
            #[display] user: Escaped<'a>,
            reason: &'a str,
        }
        /// An authenticator was asked about an attempt, and answered `accept`, `partial`, `challenge` or `reject`;
        /// `failed` if it gave no answer, `begin anew` if its instance was given up for another client, and `not asked`
        /// if the client has answered a question that it did not ask.
        AuthenticatorAsked(
            "login_authenticator_asked", DEBUG, "whelk::auth::authenticators", "authenticator asked"
        ) {
            connection: u64,
            #[display] user: Escaped<'a>,
            authenticator: &'a str,
            method: &'a str,
            answer: &'a str,
            took_ms: f32,
        }
        /// An authenticator gave no answer: it crashed, exceeded a limit, answered out of bounds, or is not served. The
        /// attempt is refused. Told at most once in 10 seconds of each.
        AuthenticatorFailed(
            "login_authenticator_failed", ERROR, "whelk::auth::authenticators", "authenticator failed"
        ) {
            connection: u64,
            #[display] user: Escaped<'a>,
            authenticator: &'a str,
            #[display] plugin: Escaped<'a>,
            #[display] reason: Escaped<'a>,
            more: u64,
        }
        /// An authenticator has let somebody in with a grant that cannot be used: a tenant that it may not grant, or a
        /// plugin that is not there. The attempt is refused. Told at most once in 10 seconds of each.
        GrantRefused("login_grant_refused", WARN, "whelk::auth::authenticators", "grant refused") {
            connection: u64,
            #[display] user: Escaped<'a>,
            authenticator: &'a str,
            #[display] reason: Escaped<'a>,
            more: u64,
        }
    }
}
