//! One request and its response, on a connection of their own.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::{PathAndQuery, Uri};
use hyper::{Request, Response};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{DEFAULT_FORBIDDEN_HEADERS, Error, WasiBody};

use super::body::{Pulse, RequestSlot, ResponseBody, Upload};
use super::failure::error_of;
use super::reach::{Wire, reach};
use crate::grants::{AllowList, Target};
use crate::host::log::LogBook;
use crate::limits::budget::Charge;
use crate::limits::descriptor::Descriptor;
use crate::limits::usage::{Charged, ProcessUsage};

/// The smallest read buffer of hyper.
const LEAST_BUFFER: usize = 8 << 10;
/// How long bytes that the plugin has already sent may take to reach a server that has answered before it read
/// everything.
const GRACE: Duration = Duration::from_secs(1);

/// A response, and the task that reads its body.
pub(super) type Answered = (Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

/// The timeouts of each step.
pub(super) struct HttpTimeouts {
    /// Name look-up, connection and TLS together.
    pub(super) connect: Duration,
    /// From the last byte of the request to the first of the response.
    pub(super) first_byte: Duration,
    /// Between two pieces of the response.
    pub(super) between_bytes: Duration,
}

/// A request that may be sent.
pub(super) struct Exchange {
    pub(super) request: Request<WasiBody>,
    pub(super) target: Target,
    pub(super) list: Arc<AllowList>,
    pub(super) log: Arc<LogBook>,
    pub(super) timeouts: HttpTimeouts,
    /// The most bytes of the response's headers.
    pub(super) headers: usize,
    /// The most bytes of either body.
    pub(super) body: u64,
    /// Its slot among the requests in progress.
    pub(super) room: OwnedSemaphorePermit,
    /// The charge for the connection and its buffers.
    pub(super) kept: (Descriptor, Charge),
    /// The meter of processor time.
    pub(super) usage: Arc<ProcessUsage>,
}

impl Exchange {
    /// Sends the request and waits for the head of the response. Dropping it, or its result, closes the connection.
    pub(super) async fn run(self) -> Result<Answered, Error> {
        let Self { request, target, list, log, timeouts, headers, body, room, kept, usage } = self;
        let wire = reach(&target, &list, &log, &usage, Instant::now() + timeouts.connect).await?;
        let pulse = Pulse::new();
        let request = dress(request, &target)?.map(|upload| Upload::new(upload, body, pulse.clone()));
        let most = headers.max(LEAST_BUFFER);
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(most)
            .handshake(TokioIo::new(wire))
            .await
            .map_err(|error| error_of(&error, None))?;
        let connection = Box::pin(connection);
        let (answer, connection) = first_of_answer(sender, connection, request, &pulse, timeouts.first_byte).await;
        let answer =
            answer.map_err(|error| error.map_or(Error::ConnectionReadTimeout, |error| error_of(&error, Some(most))))?;
        let (reading, read) = oneshot::channel();
        let place = RequestSlot { _room: room, _reading: reading };
        let answer =
            answer.map(|incoming| ResponseBody::new(incoming, body, timeouts.between_bytes, place).boxed_unsync());
        let mut open = Open { connection, kept: Some(kept), usage: Arc::clone(&usage), runtime: Handle::current() };
        let rest = async move {
            let mut read = pin!(read);
            poll_fn(|context| {
                let is_over =
                    open.connection.as_mut().is_none_or(|connection| connection.as_mut().poll(context).is_ready());
                if is_over {
                    // The reader of the body gets the error.
                    open.connection = None;
                    return Poll::Ready(());
                }
                read.as_mut().poll(context).map(drop)
            })
            .await;
            Ok(())
        };
        Ok((answer, Box::new(Charged::new(rest, usage))))
    }
}

/// A connection that stays open for its response. Once the response is no longer wanted, read or not, it has a moment
/// to send what the plugin has written, and then closes: the request is no longer in progress.
struct Open {
    connection: Option<Connection>,
    kept: Option<(Descriptor, Charge)>,
    usage: Arc<ProcessUsage>,
    runtime: Handle,
}

impl Drop for Open {
    fn drop(&mut self) {
        let kept = self.kept.take();
        if let Some(connection) = self.connection.take() {
            let last = async move {
                let _ = timeout(GRACE, connection).await;
                drop(kept);
            };
            self.runtime.spawn(Charged::new(last, Arc::clone(&self.usage)));
        }
    }
}

type Connection = std::pin::Pin<Box<http1::Connection<TokioIo<Box<dyn Wire>>, Upload>>>;

/// Sends the request and drives the connection until the head of the response has arrived, or nothing has moved for too
/// long (`None`). Returns the connection unless it has ended.
async fn first_of_answer(
    mut sender: http1::SendRequest<Upload>,
    connection: Connection,
    request: Request<Upload>,
    pulse: &Pulse,
    timeouts: Duration,
) -> (Result<Response<Incoming>, Option<hyper::Error>>, Option<Connection>) {
    let mut connection = Some(connection);
    let mut send = pin!(sender.send_request(request));
    let mut alarm = pin!(sleep_until(pulse.last() + timeouts));
    let answer = poll_fn(|context| {
        if let Poll::Ready(answer) = send.as_mut().poll(context) {
            return Poll::Ready(answer.map_err(Some));
        }
        if let Some(open) = connection.as_mut()
            && open.as_mut().poll(context).is_ready()
        {
            connection = None;
            // It has ended, so the response or the error is available.
            if let Poll::Ready(answer) = send.as_mut().poll(context) {
                return Poll::Ready(answer.map_err(Some));
            }
        }
        while alarm.as_mut().poll(context).is_ready() {
            let due = pulse.last() + timeouts;
            if due <= Instant::now() {
                return Poll::Ready(Err(None));
            }
            alarm.as_mut().reset(due);
        }
        Poll::Pending
    })
    .await;
    (answer, connection)
}

/// Prepares the request for the wire: its target in origin form (RFC 9112 §3.2.1), the host that was checked and no
/// other (RFC 9112 §3.2), and no connection-specific fields (RFC 9110 §7.6.1).
fn dress(mut request: Request<WasiBody>, target: &Target) -> Result<Request<WasiBody>, Error> {
    for name in &DEFAULT_FORBIDDEN_HEADERS {
        request.headers_mut().remove(name);
    }
    let host = if target.port == target.scheme.port() {
        target.host.to_string()
    } else {
        format!("{}:{}", target.host, target.port)
    };
    let host = HeaderValue::from_str(&host).map_err(|_| Error::HttpRequestUriInvalid)?;
    request.headers_mut().insert(HOST, host);
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    let uri = Uri::builder().path_and_query(path).build().map_err(|_| Error::HttpRequestUriInvalid)?;
    *request.uri_mut() = uri;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;

    use super::*;
    use crate::grants::Scheme;

    fn dressed(scheme: Scheme, uri: &str, headers: &[(&str, &str)]) -> Request<WasiBody> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Empty::new().map_err(|never: std::convert::Infallible| match never {}).boxed_unsync();
        let request = request.body(body).unwrap();
        let target = Target::read(scheme, request.uri().authority().unwrap().as_str()).unwrap();
        dress(request, &target).unwrap()
    }

    #[test]
    fn the_host_is_the_one_that_was_checked_whatever_the_plugin_says() {
        let smuggled = [("host", "other.example.org"), ("Host", "third.example.org"), ("connection", "upgrade")];
        let request = dressed(Scheme::Https, "https://Api.example.org/a?b=c", &smuggled);
        assert_eq!(request.headers().get_all(HOST).iter().collect::<Vec<_>>(), ["api.example.org"]);
        assert_eq!(request.headers().len(), 1);
        assert_eq!(request.uri().to_string(), "/a?b=c");
        let request = dressed(Scheme::Http, "http://[::1]:8080", &[("transfer-encoding", "chunked"), ("x-mine", "1")]);
        assert_eq!(request.headers()[HOST], "[::1]:8080");
        assert_eq!(request.headers().len(), 2);
        assert_eq!(request.uri().to_string(), "/");
    }
}
