//! Limits that somebody has met. Each has a line once in a while; subscribers are told each time.

use crate::observe::escape::Escaped;
use crate::source::Source;

whelk_runtime::events! {
    /// Who has met which limit.
    pub enum LimitEvent<'a> {
        /// A user has as many connections as one may have.
        UserConnections("limit_of_user_connections", WARN, "whelk::connection::login", "user over limit") {
            connection: u64,
            #[display] user: Escaped<'a>,
            #[display] tenant: Escaped<'a>,
            limit: &'static str,
            most: u32,
        }
        /// A user has as many sessions as one may have.
        UserSessions("limit_of_user_sessions", WARN, "whelk::connection::bridge", "user over limit") {
            connection: u64,
            channel: Option<u32>,
            #[display] user: Escaped<'a>,
            #[display] tenant: Escaped<'a>,
            limit: &'static str,
            most: u32,
        }
        /// Sessions of a tenant have failed more often than `tenant_failure_rate`: further failures are logged in
        /// short.
        TenantFailures("limit_of_tenant_failures", WARN, "whelk::observe::session_summary", "tenant over limit") {
            tenant: &'a str,
            limit: &'static str,
            plugin: &'a str,
            connection: u64,
            channel: u32,
        }
        /// As many clients are in the middle of a login with an authenticator as may be: one of this source has to
        /// begin anew. Told once, and again when that has not happened for a minute.
        AuthenticatorInstances(
            "limit_of_authenticator_instances", WARN, "whelk::auth::authenticators", "authenticators over limit"
        ) {
            #[display] source: Source,
            limit: &'static str,
            most: u32,
        }
    }
}
