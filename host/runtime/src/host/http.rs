//! `wasi:http/outgoing-handler`. wasmtime-wasi-http keeps the resources; whether a request may go, and how it goes, is decided here. Where
//! no hosts are granted every request is denied: toolchains import the interface whether the program uses it or not.
//!
//! One request is one connection: none is kept, so that no session can leave something in another's. Redirects are the plugin's to follow,
//! by a request that is checked as any other.

mod body;
mod exchange;
mod failure;
mod reach;
mod tls;

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::http::uri;
use hyper::{Method, Request};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks};

use super::charges::Charges;
use super::log::LogBook;
use crate::grants::{Scheme, Target, http_line};
use crate::limits::Limits;
use exchange::{Answered, Exchange, Patience};

/// Most bytes of a body that one write of the plugin's may carry, and that wait for the network.
const CHUNK: usize = 16 << 10;
/// What a TLS connection keeps: a record of 16 KiB each way (RFC 8446 §5.1), and its secrets.
const TLS: usize = 48 << 10;

/// The requests of one instance.
pub(super) struct Requests {
    context: WasiHttpCtx,
    desk: Desk,
}

/// Where requests are handed in.
struct Desk {
    log: Arc<LogBook>,
    charges: Charges,
    /// One for each request that may be under way.
    room: Arc<Semaphore>,
    /// The operator was told that this session sends requests without the grant. Once is enough: a plugin may try at any rate.
    ungranted_told: AtomicBool,
}

impl Requests {
    pub(super) fn new(log: &Arc<LogBook>, charges: Charges) -> Self {
        let limits = log.tenant().limits();
        let mut context = WasiHttpCtx::new();
        context.set_field_size_limit(limits.http_headers);
        let room = Arc::new(Semaphore::new(limits.http_requests.min(Semaphore::MAX_PERMITS)));
        Self { context, desk: Desk { log: Arc::clone(log), charges, room, ungranted_told: AtomicBool::new(false) } }
    }

    /// As wasmtime-wasi-http wants it.
    pub(super) fn view<'a>(&'a mut self, table: &'a mut ResourceTable) -> WasiHttpCtxView<'a> {
        WasiHttpCtxView { hooks: &mut self.desk, table, ctx: &mut self.context }
    }
}

impl Desk {
    /// Checks a request before anything of it is done.
    fn admit(&self, request: Request<WasiBody>, options: Option<RequestOptions>) -> Result<Exchange, Error> {
        let target = target(request.uri())?;
        // It would make a tunnel of the connection.
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
            patience: patience(limits, options.unwrap_or_default()),
            headers: limits.http_headers,
            body: limits.http_body,
            room,
            kept: (descriptor, memory),
        })
    }

    fn deny(&self, target: &Target) {
        let (destination, tenant) = (target.to_string(), self.log.tenant());
        match &tenant.grants().http {
            Some(list) if list.is_news(&destination, Instant::now()) => {
                self.log.denied(&destination, "not in the tenant's list");
            }
            Some(_) => {}
            None if self.ungranted_told.swap(true, Ordering::Relaxed) => {}
            None => {
                let line = http_line(tenant.name());
                self.log.denied(&destination, &format!("requests are not granted to the tenant: {line}"));
            }
        }
    }
}

/// What one request makes the host keep at most: headers both ways, read once more where they came from, a piece of a body each way,
/// and what TLS has of its records.
fn buffers(limits: &Limits) -> usize {
    4 * limits.http_headers + 2 * CHUNK + TLS
}

/// Where a request wants to go.
fn target(uri: &uri::Uri) -> Result<Target, Error> {
    let scheme = match uri.scheme() {
        Some(scheme) if *scheme == uri::Scheme::HTTP => Scheme::Http,
        Some(scheme) if *scheme == uri::Scheme::HTTPS => Scheme::Https,
        Some(_) | None => return Err(Error::HttpProtocolError),
    };
    let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
    Target::read(scheme, authority.as_str()).ok_or(Error::HttpRequestUriInvalid)
}

/// The plugin may be less patient than its tenant, not more.
fn patience(limits: &Limits, asked: RequestOptions) -> Patience {
    let least = |asked: Option<Duration>, limit: Duration| asked.map_or(limit, |asked| limit.min(asked));
    Patience {
        connect: least(asked.connect_timeout, limits.http_connect),
        first_byte: least(asked.first_byte_timeout, limits.http_wait),
        between_bytes: least(asked.between_bytes_timeout, limits.http_wait),
    }
}

impl WasiHttpHooks for Desk {
    /// It is made of what was checked, when the request is sent.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Answered, Error>> + Send> {
        match self.admit(request, options) {
            Ok(exchange) => Box::new(exchange.run()),
            Err(error) => Box::new(ready(Err(error))),
        }
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }

    // The three that follow would write a line of log for each error. What goes wrong in `exchange` has its own code already.
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
    fn where_a_request_goes_is_read_in_one_way_only() {
        for (text, goes) in [
            ("https://example.org/a?b", "https://example.org:443"),
            ("http://EXAMPLE.org:8080", "http://example.org:8080"),
            ("http://10.0.0.5/", "http://10.0.0.5:80"),
            ("https://[::1]:8443/", "https://[::1]:8443"),
            // The same host in another dress.
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
    fn a_plugin_may_be_less_patient_than_its_tenant_and_not_more() {
        let limits = Limits::default();
        let second = Duration::from_secs(1);
        let hasty = RequestOptions { connect_timeout: Some(second), ..RequestOptions::default() };
        assert_eq!(patience(&limits, hasty).connect, second);
        assert_eq!(patience(&limits, hasty).first_byte, limits.http_wait);
        let patient = RequestOptions { between_bytes_timeout: Some(Duration::MAX), ..RequestOptions::default() };
        assert_eq!(patience(&limits, patient).between_bytes, limits.http_wait);
    }
}
