//! HTTP for operators and their programs.
//!
//! No client costs the server more than its own connection: there are few, each for one request and a limited time,
//! and a new one takes the place of the oldest.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

/// The most bytes of a request's head.
pub(crate) const HEAD: usize = 16 << 10;
/// How long a client may take to send the head.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// The pause after a failure of accept, for example because open files are used up.
const REST: Duration = Duration::from_millis(100);

/// How many connections there may be, and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    /// The most connections. A new one takes the place of the oldest.
    pub(crate) most_open: usize,
    /// How long one may last.
    pub(crate) time: Duration,
}

/// Has `attend` serve each connection that is accepted.
pub(crate) async fn serve_each<F>(
    listener: &TcpListener,
    limits: ConnectionLimits,
    attend: impl Fn(TcpStream) -> F,
) -> Infallible
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(REST).await;
            continue;
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= limits.most_open
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        let connection = tokio::spawn(timeout(limits.time, attend(stream)));
        open.push_back(connection.abort_handle());
        // Each connection makes some progress before the next one may end it.
        tokio::task::yield_now().await;
    }
}

/// Answers one request. Errors of the client are ignored.
pub(crate) async fn answer_one<F>(stream: impl AsyncRead + AsyncWrite + Unpin, answer: impl Fn(Request<Incoming>) -> F)
where
    F: Future<Output = Response<Full<Bytes>>>,
{
    let service = service_fn(|request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
    http.keep_alive(false).half_close(false).max_buf_size(HEAD);
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

/// An answer in words.
pub(crate) fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    document(status, "text/plain; charset=utf-8", text.into())
}

/// An answer that nobody keeps.
pub(crate) fn document(status: StatusCode, media_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
