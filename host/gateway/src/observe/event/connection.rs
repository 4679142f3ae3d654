//! Connections, from the socket that accepts them to their end.

use std::error::Error;
use std::fmt::Arguments;
use std::net::SocketAddr;

use tracing::Level;

use crate::observe::escape::Escaped;
use crate::source::{Peer, Source};

whelk_runtime::events! {
    /// What happens to connections.
    pub enum ConnectionEvent<'a> {
        /// A connection is served from now on. `DEBUG`, as in OpenSSH: `authenticated`, `rejected` and `connection
        /// closed` say where it came from.
        Opened("connection_opened", DEBUG, "whelk::connection::driver", "connection opened") {
            connection: u64,
            #[display] peer: Peer,
        }
        /// The first key exchange is done: what both sides use. `cipher`, `mac` and `compression` are those of what the
        /// client sends; `mac` is absent if the cipher needs none. `took_ms` counts from the beginning of the
        /// connection.
        Negotiated("connection_negotiated", DEBUG, "whelk::connection::driver", "key exchange done") {
            connection: u64,
            key_exchange: &'static str,
            host_key: &'static str,
            cipher: &'static str,
            mac: Option<&'static str>,
            compression: &'static str,
            took_ms: f32,
        }
        /// A connection is over, whoever ended it; `user` and `tenant` if somebody had logged in. One that has sent
        /// nothing is `DEBUG`, and counted in `connection_silent`. Connections without a login share a log
        /// budget; those beyond it are counted in `connection_strangers_left_out`.
        Closed("connection_closed", INFO | DEBUG, "whelk::connection::driver", "connection closed") {
            connection: u64,
            #[display] peer: Peer,
            seconds: f32,
            received: u64,
            sent: u64,
            sessions: u64,
            attempts: u32,
            user: Option<&'a str>,
            tenant: Option<&'a str>,
            #[display] reason: Escaped<'a>,
            ; level: Level, outcome: &'static str,
        }
        /// Connections have ended that sent nothing, as those of health checks and port scanners do. At most one line
        /// in a minute. `source` is the one that most of them came from.
        Silent("connection_silent", INFO, "whelk::observe::strangers", "connections sent nothing") {
            #[display] source: Source,
            of_source: u64,
            count: u64,
            sources: u64,
        }
        /// Lines about unauthenticated clients are limited to 480 KiB a minute. This many were dropped. At most one
        /// line in a minute. `source` is the one that most of it came from.
        StrangersLeftOut(
            "connection_strangers_left_out", WARN, "whelk::observe::strangers", "lines about strangers left out"
        ) {
            #[display] source: Source,
            of_source: u64,
            count: u64,
            sources: u64,
        }
        /// An operator, the user of the system with this `uid`, has asked for the end of a connection, which follows.
        EndRequested(
            "connection_end_requested", INFO, "whelk::server::connection_table", "connection is ended on request"
        ) {
            connection: u64,
            uid: u32,
            #[display] reason: Escaped<'a>,
        }
        /// A connection is ended whose user may no longer log in: the user, the key or the password was removed, the
        /// key was revoked, or the tenant has changed.
        Revoked(
            "connection_revoked", INFO, "whelk::server::revocation", "connection is ended: its login was revoked"
        ) {
            connection: u64,
            #[display] user: Escaped<'a>,
            #[display] reason: Escaped<'a>,
        }
        /// It could not be found out whether the user of a connection may still log in, and the connection is kept. At
        /// most one line in ten seconds.
        NotRejudged(
            "connection_not_rejudged", WARN, "whelk::server::revocation",
            "connection is kept: its login cannot be checked"
        ) {
            connection: u64,
            #[display] user: Escaped<'a>,
            reason: &'a str,
            more: u64,
        }
        /// The task of a connection panicked, which ends that connection alone.
        Panicked("connection_panicked", ERROR, "whelk::server::listener", "a connection ended by a panic") {
            connection: u64,
            #[display] peer: Peer,
            reason: &'a str,
        }
        /// There is no place for a connection. At most one line in ten seconds.
        Refused("connection_refused", WARN, "whelk::server::listener::acceptor", "connection refused") {
            #[display] peer: SocketAddr,
            #[display] reason: Arguments<'a>,
            more: u64,
            ; cause: &'static str,
        }
        /// A connection is not greeted until others of its source have logged in. At most one line in ten seconds.
        Waits("connection_waits", WARN, "whelk::server::listener::acceptor", "connection waits to be served") {
            #[display] peer: SocketAddr,
            reason: &'a str,
            more: u64,
        }
        /// A connection that has not logged in is ended for a new one. At most one line in ten seconds.
        Displaced(
            "connection_displaced", WARN, "whelk::server::listener::acceptor", "connection gives its place to a new one"
        ) {
            connection: u64,
            #[display] source: Arguments<'a>,
            of_source: u32,
            had_done: &'a str,
            unauthenticated: u32,
            more: u64,
        }
        /// The process or the system has run out of something, such as files. At most one line in a second.
        NotAccepted(
            "connection_not_accepted", ERROR, "whelk::server::listener::acceptor", "connections cannot be accepted"
        ) {
            #[display] error: &'a (dyn Error + 'a),
            more: u64,
        }
        /// The peer of a connection went away before it was accepted.
        Vanished(
            "connection_vanished", DEBUG, "whelk::server::listener::acceptor",
            "a connection was gone before it was accepted"
        ) {
            #[display] error: &'a (dyn Error + 'a),
        }
        /// The kernel refused `TCP_NODELAY` for a socket.
        NoDelayFailed("connection_no_delay_failed", DEBUG, "whelk::server::socket", "TCP_NODELAY") {
            #[display] error: &'a (dyn Error + 'a),
        }
        /// The kernel refused `SO_KEEPALIVE` for a socket.
        KeepaliveFailed("connection_keepalive_failed", DEBUG, "whelk::server::socket", "SO_KEEPALIVE") {
            #[display] error: &'a (dyn Error + 'a),
        }
        /// The client sent a debug message, RFC 4253 §11.3.
        PeerNote("connection_peer_note", DEBUG, "whelk::connection::bridge", "the peer's note") {
            connection: u64,
            #[display] text: Escaped<'a>,
        }
        /// A request of the client was refused without asking a plugin. Ten a session, and ten a connection beside its
        /// sessions.
        RequestRefused("connection_request_refused", INFO, "whelk::observe::refusals", "request refused") {
            connection: u64,
            channel: Option<u32>,
            #[display] user: Escaped<'a>,
            #[display] what: Escaped<'a>,
            detail: Option<&'a str>,
            reason: &'a str,
            last: Option<&'a str>,
        }
        /// An instance of the tenant's connection plugin begins, for the first thing that a connection asks of it.
        PluginStarted(
            "connection_plugin_started", INFO, "whelk::connection::bridge", "connection plugin started"
        ) {
            connection: u64,
            #[display] tenant: Escaped<'a>,
            plugin: &'a str,
            generation: u32,
        }
        /// A connection has no connection plugin from now on, though its tenant names one: it is not there, cannot be
        /// started or has failed. What would be asked of it is refused, and the connection goes on. Failures of a
        /// tenant beyond `tenant_failure_rate` are logged in short.
        PluginFailed("connection_plugin_failed", WARN, "whelk::connection::bridge", "connection plugin failed") {
            connection: u64,
            #[display] tenant: Escaped<'a>,
            #[display] plugin: Escaped<'a>,
            reason: &'a str,
        }
        /// A channel of a type of the connection plugin's own begins: the client asked for it, or the plugin has opened
        /// it. Its session follows.
        OwnChannel("connection_own_channel", INFO, "whelk::connection::bridge", "channel of a plugin's own type") {
            connection: u64,
            channel: u32,
            #[display] kind: Escaped<'a>,
            #[display] plugin: Escaped<'a>,
            opened_by: &'a str,
        }
    }
}
