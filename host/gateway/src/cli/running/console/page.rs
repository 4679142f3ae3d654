//! What the page is served as.
//!
//! | request | answer | needs |
//! |---|---|---|
//! | `GET /`, `/page.css`, `/page.js`, `/icon.svg` | the files of the page | a name of ours |
//! | `POST /login` | a cookie and a key | the token of the address |
//! | `GET /state` | the tables, as JSON | cookie and key |
//! | `POST /end` | what was ended, as text | cookie and key |
//!
//! Token and key are in the header `x-whelk-console`. Anything else is 404, or 405.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex as AsyncMutex;
use tokio_rustls::TlsAcceptor;

use super::access::{OWN_HEADER, PageNames, RefusedRequest, only};
use super::keys::{ConsoleKeys, LOGIN_TIME};
use super::view::{self, EndRequest};
use crate::observe::http::{ConnectionLimits, answer_one, document, plain, serve_each};

/// The time is that of an end of a session, and some seconds.
pub(super) const LIMITS: ConnectionLimits = ConnectionLimits { most_open: 32, time: Duration::from_secs(40) };
/// The most bytes of a request's body.
const BODY: usize = 4 << 10;
const JSON: &str = "application/json";
/// How long a state is given to others after it was read: many tabs cost the server no more than one.
const FRESH: Duration = Duration::from_millis(900);

/// The files of the page, by their paths, with their types.
const FILES: [(&str, &str, &str); 4] = [
    ("/", "text/html; charset=utf-8", include_str!("page.html")),
    ("/page.css", "text/css; charset=utf-8", include_str!("page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("page.js")),
    ("/icon.svg", "image/svg+xml", include_str!("icon.svg")),
];

/// What every answer says to browsers: nothing of another origin, no script but that of the page, in no frame, in no
/// cache, and no page of another origin learns anything.
const PROTECTION: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    ("cross-origin-embedder-policy", "require-corp"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

/// A page about a running server.
pub(super) struct ConsolePage {
    /// The state folder of the server.
    pub(super) folder: PathBuf,
    pub(super) names: PageNames,
    pub(super) keys: Arc<Mutex<ConsoleKeys>>,
    /// The most rows of a table.
    pub(super) rows: usize,
    /// The state that was read last, and until when it is given to others.
    pub(super) read: AsyncMutex<Option<(Instant, Bytes)>>,
}

type Answer = Result<Response<Full<Bytes>>, RefusedRequest>;

/// Serves the page, for as long as it is polled.
pub(super) async fn serve(listener: &TcpListener, page: Arc<ConsolePage>, tls: Option<TlsAcceptor>) -> Infallible {
    let attend = |stream| attend(stream, Arc::clone(&page), tls.clone());
    serve_each(listener, LIMITS, attend).await
}

async fn attend(stream: TcpStream, page: Arc<ConsolePage>, tls: Option<TlsAcceptor>) {
    let answer = |request| {
        let page = Arc::clone(&page);
        async move { page.answer(request).await }
    };
    match tls {
        None => answer_one(stream, answer).await,
        Some(tls) => {
            // A client without TLS, or one that does not trust the certificate, is not answered.
            if let Ok(stream) = tls.accept(stream).await {
                answer_one(stream, answer).await;
            }
        }
    }
}

impl ConsolePage {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let answer = self.answered(&head, body).await;
        let mut answer = answer.unwrap_or_else(|RefusedRequest { status, reason }| plain(status, reason));
        for (name, value) in PROTECTION {
            answer.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        answer
    }

    async fn answered(&self, head: &Parts, body: Incoming) -> Answer {
        self.names.check_host(&head.uri, &head.headers)?;
        let path = head.uri.path();
        if let Some((_, media_type, text)) = FILES.iter().find(|(file, ..)| *file == path) {
            return match head.method {
                Method::GET | Method::HEAD => {
                    Ok(document(StatusCode::OK, media_type, Bytes::from_static(text.as_bytes())))
                }
                _ => Ok(not_allowed("GET, HEAD")),
            };
        }
        match (path, &head.method) {
            ("/state", &Method::GET) => {
                self.check_login(&head.headers, false)?;
                self.state().await
            }
            ("/login", &Method::POST) => self.log_in(&head.headers),
            ("/end", &Method::POST) => {
                self.check_login(&head.headers, true)?;
                let folder = self.folder.clone();
                let request: EndRequest = read(&head.headers, body).await?;
                let ended = tokio::task::spawn_blocking(move || view::end(&folder, request));
                Ok(plain(StatusCode::OK, answered_in_time(ended.await)?))
            }
            ("/state", _) => Ok(not_allowed("GET")),
            ("/login" | "/end", _) => Ok(not_allowed("POST")),
            _ => Err(RefusedRequest::new(StatusCode::NOT_FOUND, "there is no such page\n")),
        }
    }

    /// Exchanges the token of an address for a login.
    fn log_in(&self, headers: &HeaderMap) -> Answer {
        self.names.check_origin(headers, true)?;
        let given = only(headers, &OWN_HEADER).and_then(|token| self.keys().log_in(token));
        let Some((cookie, key)) = given else {
            let reason =
                "the address is not valid any more: press Enter where the console runs, and open the new one\n";
            return Err(RefusedRequest::new(StatusCode::FORBIDDEN, reason));
        };
        let mut answer = document(StatusCode::OK, JSON, json!({ "key": key }).to_string().into());
        answer.headers_mut().insert(SET_COOKIE, self.names.set_cookie(&cookie, LOGIN_TIME.as_secs()));
        Ok(answer)
    }

    /// Checks that a request is one of the page in a tab that has logged in.
    fn check_login(&self, headers: &HeaderMap, changes: bool) -> Result<(), RefusedRequest> {
        self.names.check_origin(headers, changes)?;
        let key = only(headers, &OWN_HEADER);
        if key.is_some_and(|key| self.keys().is_valid(&self.names.cookies(headers), key)) {
            return Ok(());
        }
        let reason = "not logged in: press Enter where the console runs, and open the address that it prints\n";
        Err(RefusedRequest::new(StatusCode::UNAUTHORIZED, reason))
    }

    async fn state(&self) -> Answer {
        let mut kept = self.read.lock().await;
        if let Some((until, state)) = &*kept
            && Instant::now() < *until
        {
            return Ok(document(StatusCode::OK, JSON, state.clone()));
        }
        let (folder, rows) = (self.folder.clone(), self.rows);
        let read = tokio::task::spawn_blocking(move || view::state(&folder, rows).map(|state| state.to_string()));
        let state = Bytes::from(answered_in_time(read.await)?);
        *kept = Some((Instant::now() + FRESH, state.clone()));
        Ok(document(StatusCode::OK, JSON, state))
    }

    fn keys(&self) -> MutexGuard<'_, ConsoleKeys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the server has answered.
fn answered_in_time<T>(answer: Result<Result<T, String>, tokio::task::JoinError>) -> Result<T, RefusedRequest> {
    let reason = match answer {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(reason)) => reason,
        Err(_) => "the console has failed: its standard error says why".to_owned(),
    };
    Err(RefusedRequest::new(StatusCode::BAD_GATEWAY, reason + "\n"))
}

/// Reads the body of a request, which is JSON.
async fn read<T: serde::de::DeserializeOwned>(headers: &HeaderMap, body: Incoming) -> Result<T, RefusedRequest> {
    if only(headers, &CONTENT_TYPE) != Some(JSON) {
        return Err(RefusedRequest::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be application/json\n"));
    }
    let body = Limited::new(body, BODY).collect().await;
    let body = body.map_err(|_| {
        RefusedRequest::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is cut off, or longer than {BODY} bytes\n"),
        )
    })?;
    serde_json::from_slice(&body.to_bytes())
        .map_err(|error| RefusedRequest::new(StatusCode::BAD_REQUEST, format!("{error}\n")))
}

fn not_allowed(methods: &'static str) -> Response<Full<Bytes>> {
    let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, format!("only {methods}\n"));
    refused.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_page_have_no_script_or_style_of_their_own_and_nothing_of_others() {
        for (path, _, text) in FILES {
            let foreign = ["http://", "https://", "//cdn", "@import", "url(", "innerHTML", "outerHTML", "eval("];
            let found = foreign.iter().find(|word| text.replace("http://www.w3.org/2000/svg", "").contains(**word));
            assert_eq!(found, None, "{path}");
        }
        let (_, _, html) = FILES[0];
        assert!(!html.contains("<style") && !html.contains("style=") && !html.contains(" on"), "{html}");
        assert_eq!(html.matches("<script").count(), 1);
        assert!(html.contains("<script src=\"page.js\" defer></script>"));
    }
}
