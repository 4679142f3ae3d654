//! The metrics by HTTP, for Prometheus, and whether the server is well, for whoever starts it again or sends it users.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | the metrics: OpenMetrics if the request accepts that, otherwise Prometheus's own text |
//! | `/healthz` | 200 while the server works; 503 if its tasks have not run for ten seconds |
//! | `/readyz` | 200 while it accepts connections; 503 as soon as it stops |
//!
//! Anything but GET and HEAD is 405, any other path 404. A thread of its own does all this, so that it answers while
//! the server is flooded, and no reader costs a session anything: there are few connections, each for one request and a
//! few seconds, and a new one takes the place of the oldest. The text is made at most ten times a second.

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;
use whelk_runtime::supervise::supervise_thread;

use super::form::TextFormat;
use crate::observe::http::{ConnectionLimits, answer_one, document, plain, serve_each};

/// The most connections. A new one takes the place of the oldest.
const MOST_OPEN: usize = 32;
/// How long a connection may last.
const TIME: Duration = Duration::from_secs(10);
/// How long a text is given to others after it was made, at least.
const FRESH: Duration = Duration::from_millis(100);
/// How long the server's tasks may not have run until it counts as hung.
const HUNG: Duration = Duration::from_secs(10);

/// Whether the server is well.
pub struct ServerHealth {
    began: Instant,
    /// When the server's tasks ran last, in milliseconds since it began.
    beat: AtomicU64,
    is_ready: Box<dyn Fn() -> bool + Send + Sync>,
}

impl ServerHealth {
    /// `is_ready`: whether the server accepts connections.
    pub fn new(is_ready: impl Fn() -> bool + Send + Sync + 'static) -> Arc<ServerHealth> {
        Arc::new(ServerHealth { began: Instant::now(), beat: AtomicU64::new(0), is_ready: Box::new(is_ready) })
    }

    /// The server's tasks run.
    pub fn beat(&self) {
        self.beat.store(self.since(), Ordering::Relaxed);
    }

    fn is_well(&self) -> bool {
        let silent = self.since().saturating_sub(self.beat.load(Ordering::Relaxed));
        Duration::from_millis(silent) < HUNG
    }

    fn since(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Makes the text of the metrics.
pub type MakeText = Box<dyn Fn(TextFormat) -> String + Send + Sync>;

/// The socket that serves the metrics.
pub struct MetricsServer {
    listener: StdListener,
}

/// What is served.
struct Pages {
    text: MakeText,
    health: Arc<ServerHealth>,
    /// The text of each form that was made last, and until when it is given to others.
    made: Mutex<[Option<(Instant, Bytes)>; 2]>,
}

impl MetricsServer {
    /// Binds the socket.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn bind(address: SocketAddr) -> io::Result<MetricsServer> {
        let listener = StdListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(MetricsServer { listener })
    }

    /// The address, with the port that the system has chosen for 0.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the end of the process, on a thread of its own.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn serve(self, text: MakeText, health: Arc<ServerHealth>) -> io::Result<()> {
        let pages = Arc::new(Pages { text, health, made: Mutex::default() });
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let served = runtime.and_then(|runtime| runtime.block_on(serve(&self.listener, &pages)));
            match served {
                Ok(never) => match never {},
                // The thread is started again, after a pause that grows.
                Err(error) => panic!("metrics cannot be served: {error}"),
            }
        };
        supervise_thread("metrics", None, serve).map(drop)
    }
}

async fn serve(listener: &StdListener, pages: &Arc<Pages>) -> io::Result<Infallible> {
    let listener = TcpListener::from_std(listener.try_clone()?)?;
    let limits = ConnectionLimits { most_open: MOST_OPEN, time: TIME };
    let attend = |stream| {
        let pages = Arc::clone(pages);
        answer_one(stream, move |request| ready(pages.answer(&request)))
    };
    Ok(serve_each(&listener, limits, attend).await)
}

impl Pages {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if !["/metrics", "/healthz", "/readyz"].contains(&path) {
            return plain(StatusCode::NOT_FOUND, "there is /metrics, /healthz and /readyz\n");
        }
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match path {
            "/metrics" => {
                let format = accepted(request.headers());
                document(StatusCode::OK, format.media_type(), self.text(format))
            }
            "/healthz" if self.health.is_well() => plain(StatusCode::OK, "ok\n"),
            "/healthz" => plain(StatusCode::SERVICE_UNAVAILABLE, "the tasks of the server do not run\n"),
            _ if (self.health.is_ready)() => plain(StatusCode::OK, "ok\n"),
            _ => plain(StatusCode::SERVICE_UNAVAILABLE, "the server stops: it accepts no connections\n"),
        }
    }

    /// The text, which may be some milliseconds old: many readers cost no more than one.
    fn text(&self, format: TextFormat) -> Bytes {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let [prometheus, open] = &mut *made;
        let kept = match format {
            TextFormat::Prometheus => prometheus,
            TextFormat::OpenMetrics => open,
        };
        let began = Instant::now();
        if let Some((until, text)) = kept
            && began < *until
        {
            return text.clone();
        }
        let text = Bytes::from((self.text)(format));
        // Making texts takes at most a tenth of the thread's time.
        *kept = Some((Instant::now() + FRESH.max(began.elapsed() * 9), text.clone()));
        text
    }
}

/// The form that a request accepts.
fn accepted(headers: &HeaderMap) -> TextFormat {
    let mut lists = headers.get_all(ACCEPT).into_iter().filter_map(|list| list.to_str().ok());
    if lists.any(|list| list.contains("application/openmetrics-text")) {
        TextFormat::OpenMetrics
    } else {
        TextFormat::Prometheus
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream as StdStream;
    use std::sync::atomic::{AtomicBool, AtomicUsize};

    use super::*;
    use crate::observe::http::HEAD;

    /// A server whose text says how often it was made, and what says whether it is ready.
    fn served() -> (SocketAddr, Arc<AtomicBool>, Arc<AtomicUsize>) {
        let (ready, made) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let (is_ready, count) = (Arc::clone(&ready), Arc::clone(&made));
        let health = ServerHealth::new(move || is_ready.load(Ordering::Relaxed));
        let server = MetricsServer::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = server.address().unwrap();
        let text = Box::new(move |format: TextFormat| {
            count.fetch_add(1, Ordering::Relaxed);
            // More than the buffers of both sockets hold.
            format!("{format:?}\n") + &"x".repeat(16 << 20)
        });
        server.serve(text, health).unwrap();
        (address, ready, made)
    }

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = StdStream::connect(address).unwrap();
        stream.set_read_timeout(Some(TIME)).unwrap();
        let mut answer = Vec::new();
        // What is refused is not read to its end, and then the connection is reset after the answer.
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.read_to_end(&mut answer);
        answer.truncate(600);
        String::from_utf8(answer).unwrap()
    }

    fn get(address: SocketAddr, path: &str) -> String {
        ask(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
    }

    #[test]
    fn each_path_has_its_answer_and_nothing_else_is_there() {
        let (address, ready, _) = served();
        let text = get(address, "/metrics");
        assert!(text.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4"), "{text}");
        assert!(text.contains("\r\n\r\nPrometheus\n"), "{text}");
        let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
        let open = ask(address, &format!("GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n{accept}\r\n"));
        assert!(open.contains("content-type: application/openmetrics-text; version=1.0.0"), "{open}");
        assert!(open.contains("\r\n\r\nOpenMetrics\n"), "{open}");
        assert!(get(address, "/healthz").starts_with("HTTP/1.1 200 OK"));
        assert!(get(address, "/readyz").starts_with("HTTP/1.1 200 OK"));
        ready.store(false, Ordering::Relaxed);
        assert!(get(address, "/readyz").starts_with("HTTP/1.1 503 "));
        assert!(get(address, "/healthz").starts_with("HTTP/1.1 200 OK"), "a server that stops is well");
        assert!(get(address, "/metrics/").starts_with("HTTP/1.1 404 "));
        assert!(get(address, "/").starts_with("HTTP/1.1 404 "));
        let head = ask(address, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200 OK") && head.ends_with("\r\n\r\n"), "{head}");
        let posted = ask(address, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        assert!(posted.starts_with("HTTP/1.1 405 ") && posted.contains("allow: GET, HEAD\r\n"), "{posted}");
        assert!(ask(address, "SSH-2.0-client\r\n\r\n").starts_with("HTTP/1.1 400 "));
        let long = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(2 * HEAD));
        assert!(ask(address, &long).starts_with("HTTP/1.1 431 "));
    }

    /// O25.
    #[test]
    fn readers_that_never_read_and_clients_that_never_ask_keep_nobody_out() {
        let (address, _, made) = served();
        let (start, mut silent) = (Instant::now(), Vec::new());
        for number in 0..200 {
            let mut stream = StdStream::connect(address).unwrap();
            if number % 2 == 0 {
                stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            } else {
                stream.write_all(b"GET /met").unwrap();
            }
            silent.push(stream);
        }
        let began = Instant::now();
        assert!(get(address, "/healthz").starts_with("HTTP/1.1 200 OK"));
        assert!(get(address, "/metrics").starts_with("HTTP/1.1 200 OK"));
        assert!(began.elapsed() < TIME / 2, "the others have their time: {:?}", began.elapsed());
        // Many readers cost one text in a tenth of a second.
        let most = 1 + usize::try_from(start.elapsed().as_millis() / FRESH.as_millis()).unwrap();
        assert!(made.load(Ordering::Relaxed) <= most, "{made:?}");
        drop(silent);
    }

    #[test]
    fn a_server_whose_tasks_do_not_run_is_not_well() {
        let mut health = ServerHealth { began: Instant::now(), beat: AtomicU64::new(0), is_ready: Box::new(|| true) };
        assert!(health.is_well());
        health.began = health.began.checked_sub(HUNG).unwrap();
        assert!(!health.is_well());
        health.beat();
        assert!(health.is_well());
    }
}
