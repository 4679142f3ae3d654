//! `wasi:http/outgoing-handler`. wasmtime-wasi-http keeps the resources; this file decides whether and how a request is
//! sent. Without granted hosts every request is denied: toolchains import the interface whether the program uses it or
//! not.
//!
//! Each request has a connection of its own, so that no session can leave anything behind in another's. Redirects are
//! not followed: the plugin can send another request, which is checked like any other.

mod body;
mod exchange;
mod failure;
mod reach;
mod tls;

use std::any::Any;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use hyper::http::uri;
use hyper::{Method, Request};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p2::body::{HostFutureTrailers, HostIncomingBody, HostOutgoingBody};
use wasmtime_wasi_http::p2::types::{HostIncomingResponse, HostOutgoingRequest, HostOutgoingResponse};
use wasmtime_wasi_http::{Error, FieldMap, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks};

use crate::grants::{RESERVED, Scheme, Target, http_line};
use crate::host::charges::Charges;
use crate::host::log::LogBook;
use crate::limits::budget::{Charge, Total};
use crate::limits::usage::Charged;
use crate::limits::{Limits, count};
use exchange::{Answered, Exchange, HttpTimeouts};

/// The most bytes of a body in one write of the plugin, and the most that wait for the network.
const CHUNK: usize = 16 << 10;
/// The same two limits for a tenant without the grant, whose requests are never sent.
const UNGRANTED_CHUNK: usize = 4 << 10;
const UNGRANTED_FIELDS: usize = 4 << 10;
/// The longest path of a request with its query. RFC 9110 §4.1 asks for 8,000.
pub(in crate::host) const PATH: usize = 8 << 10;
/// How many `wasi:http` resources a session may have: without the grant, and with it at least.
const UNGRANTED_PARTS: usize = 32;
const PARTS: usize = 64;
/// Resources of one request: itself, its fields, its body, its response with its body, and the field lists of the
/// response.
const PARTS_OF_REQUEST: usize = 8;
/// Memory of a TLS connection: a record of 16 KiB in each direction (RFC 8446 §5.1), and its secrets.
const TLS: usize = 48 << 10;

/// The requests of one instance.
pub(in crate::host) struct Requests {
    context: WasiHttpCtx,
    desk: Desk,
    /// One charge for each part of a request or response that the plugin has, or had when parts were last counted.
    parts: Vec<Charge>,
}

/// Permits of the requests in progress.
struct Desk {
    log: Arc<LogBook>,
    charges: Charges,
    /// The most requests in progress.
    room: Arc<Semaphore>,
    /// The most bytes of a field list.
    fields: usize,
    /// The most bytes of one write to a body.
    chunk: usize,
}

impl Requests {
    pub(in crate::host) fn new(log: &Arc<LogBook>, charges: Charges) -> Self {
        let limits = log.tenant().limits();
        let mut context = WasiHttpCtx::new();
        let (fields, chunk) = match log.tenant().grants().http {
            Some(_) => (limits.http_headers, CHUNK),
            None => (limits.http_headers.min(UNGRANTED_FIELDS), UNGRANTED_CHUNK),
        };
        context.set_field_size_limit(fields);
        let room = Arc::new(Semaphore::new(count(limits.http_requests).min(Semaphore::MAX_PERMITS)));
        let desk = Desk { log: Arc::clone(log), charges, room, fields, chunk };
        Self { context, desk, parts: Vec::new() }
    }

    /// Charges one more part of a request or response to the session's count and the tenant's memory. False if there is
    /// no room.
    pub(in crate::host) fn add_part(&mut self, table: &mut ResourceTable) -> bool {
        let held = count_parts(table);
        self.parts.truncate(held);
        let limits = self.desk.log.tenant().limits();
        let most = match self.desk.log.tenant().grants().http {
            Some(_) => PARTS.max(count(limits.http_requests).saturating_mul(PARTS_OF_REQUEST)),
            None => UNGRANTED_PARTS,
        };
        if held >= most {
            return false;
        }
        // Bodies and responses were not charged when they were made: until then their memory counts as their request's.
        while self.parts.len() <= held {
            let Some(charge) = self.desk.charges.memory(self.desk.part()) else { return false };
            self.parts.push(charge);
        }
        true
    }

    /// Refunds the charges of parts that the plugin has dropped.
    pub(in crate::host) fn tidy(&mut self, table: &mut ResourceTable) {
        if !self.parts.is_empty() {
            self.parts.truncate(count_parts(table));
        }
    }

    /// As wasmtime-wasi-http wants it.
    pub(in crate::host) fn view<'a>(&'a mut self, table: &'a mut ResourceTable) -> WasiHttpCtxView<'a> {
        WasiHttpCtxView { hooks: &mut self.desk, table, ctx: &mut self.context }
    }
}

impl Desk {
    /// Checks a request before anything is sent.
    fn check_request(&self, request: Request<WasiBody>, options: Option<RequestOptions>) -> Result<Exchange, Error> {
        let target = target(request.uri())?;
        // CONNECT would turn the connection into a tunnel.
        if request.method() == Method::CONNECT {
            return Err(Error::HttpRequestMethodInvalid);
        }
        let Some(list) = self.log.tenant().grants().http.as_ref().filter(|list| list.permits(&target)) else {
            self.deny(&target);
            return Err(Error::HttpRequestDenied);
        };
        let room = Arc::clone(&self.room).try_acquire_owned().map_err(|_| Error::ConnectionLimitReached)?;
        let memory = self.charges.memory(buffers(self.log.tenant().limits())).ok_or(Error::ConnectionLimitReached)?;
        let descriptor = self.charges.descriptor().ok_or(Error::ConnectionLimitReached)?;
        let limits = self.log.tenant().limits();
        Ok(Exchange {
            request,
            target,
            list: Arc::clone(list),
            log: Arc::clone(&self.log),
            timeouts: timeouts(limits, options.unwrap_or_default()),
            headers: limits.http_headers,
            body: u64::try_from(limits.http_body).unwrap_or(u64::MAX),
            room,
            kept: (descriptor, memory),
            usage: Arc::clone(self.charges.usage()),
        })
    }

    /// The most memory of one part: a request's fields, path, body with two waiting writes, and the body's trailers.
    fn part(&self) -> usize {
        2 * self.fields + PATH + 2 * self.chunk
    }

    fn deny(&self, target: &Target) {
        let (destination, tenant) = (target.to_string(), self.log.tenant());
        match &tenant.grants().http {
            Some(list) if list.is_news(&destination, Instant::now()) => {
                let reason = if list.is_reserved(target) { RESERVED } else { "not in the tenant's list" };
                self.log.denied(&destination, reason);
            }
            Some(_) => {}
            // Per tenant, because a client may begin any number of sessions.
            None if !tenant.budget().is_news(Total::UngrantedRequests, Instant::now()) => {}
            None => {
                let line = http_line(tenant.name());
                self.log.denied(&destination, &format!("requests are not granted to the tenant: {line}"));
            }
        }
    }
}

/// The number of resources that hold data of the plugin or a server.
fn count_parts(table: &mut ResourceTable) -> usize {
    let is_part = |entry: &&mut (dyn Any + Send)| {
        entry.is::<FieldMap>()
            || entry.is::<HostOutgoingRequest>()
            || entry.is::<HostOutgoingBody>()
            || entry.is::<HostOutgoingResponse>()
            || entry.is::<HostIncomingResponse>()
            || entry.is::<HostIncomingBody>()
            || entry.is::<HostFutureTrailers>()
    };
    table.iter_mut().filter(is_part).count()
}

/// The most memory that one request takes in the host: headers in both directions, a second copy of their source, a
/// piece of a body in each direction, and TLS records.
fn buffers(limits: &Limits) -> usize {
    4 * limits.http_headers + 2 * CHUNK + TLS
}

/// The destination of a request.
fn target(uri: &uri::Uri) -> Result<Target, Error> {
    let scheme = match uri.scheme() {
        Some(scheme) if *scheme == uri::Scheme::HTTP => Scheme::Http,
        Some(scheme) if *scheme == uri::Scheme::HTTPS => Scheme::Https,
        Some(_) | None => return Err(Error::HttpProtocolError),
    };
    let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
    Target::read(scheme, authority.as_str()).ok_or(Error::HttpRequestUriInvalid)
}

/// The plugin may shorten its tenant's timeouts, not extend them.
fn timeouts(limits: &Limits, asked: RequestOptions) -> HttpTimeouts {
    let least = |asked: Option<Duration>, limit: Duration| asked.map_or(limit, |asked| limit.min(asked));
    HttpTimeouts {
        connect: least(asked.connect_timeout, limits.http_connect),
        first_byte: least(asked.first_byte_timeout, limits.http_wait),
        between_bytes: least(asked.between_bytes_timeout, limits.http_wait),
    }
}

impl WasiHttpHooks for Desk {
    /// The request is built from what was checked when it is sent.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Answered, Error>> + Send> {
        match self.check_request(request, options) {
            // It runs in a task of its own.
            Ok(exchange) => {
                let usage = Arc::clone(&exchange.usage);
                Box::new(Charged::new(exchange.run(), usage))
            }
            Err(error) => Box::new(ready(Err(error))),
        }
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        self.chunk
    }

    // The following three would log a line for each error. Errors in `exchange` have their own code already.
    fn p2_error_from_hyper(&mut self, _: &hyper::Error) -> ErrorCode {
        ErrorCode::HttpProtocolError
    }

    fn p2_error_from_connect(&mut self, _: &std::io::Error) -> ErrorCode {
        ErrorCode::ConnectionRefused
    }

    fn p2_error_from_tls(&mut self, _: &std::io::Error) -> ErrorCode {
        ErrorCode::TlsProtocolError
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        target(&text.parse().ok()?).ok().map(|target| target.to_string())
    }

    #[test]
    fn the_destination_of_a_request_is_unambiguous() {
        for (text, goes) in [
            ("https://example.org/a?b", "https://example.org:443"),
            ("http://EXAMPLE.org:8080", "http://example.org:8080"),
            ("http://10.0.0.5/", "http://10.0.0.5:80"),
            ("https://[::1]:8443/", "https://[::1]:8443"),
            // Other spellings of the same host.
            ("http://[::ffff:127.0.0.1]/", "http://127.0.0.1:80"),
        ] {
            assert_eq!(read(text).as_deref(), Some(goes), "{text}");
        }
        for text in [
            "ftp://example.org/",
            "/path",
            "http://user@example.org/",
            "http://example.org@10.0.0.1/",
            "http://example.org:/",
            "http://example.org:0/",
            "http://example.org:99999/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://example.org./",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_plugin_may_shorten_its_tenants_timeouts_and_not_extend_them() {
        let limits = Limits::default();
        let second = Duration::from_secs(1);
        let hasty = RequestOptions { connect_timeout: Some(second), ..RequestOptions::default() };
        assert_eq!(timeouts(&limits, hasty).connect, second);
        assert_eq!(timeouts(&limits, hasty).first_byte, limits.http_wait);
        let long = RequestOptions { between_bytes_timeout: Some(Duration::MAX), ..RequestOptions::default() };
        assert_eq!(timeouts(&limits, long).between_bytes, limits.http_wait);
    }
}
