//! HTTP requests.

use std::cell::RefCell;

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme,
};
use wasip2::io::streams::{InputStream, StreamError};

thread_local! {
    /// Bodies that are read piece by piece; a stream is dropped before its body.
    static OPEN: RefCell<Vec<(InputStream, IncomingBody, IncomingResponse)>> = const { RefCell::new(Vec::new()) };
    /// Bodies that are never finished.
    static UPLOADS: RefCell<Vec<OutgoingBody>> = const { RefCell::new(Vec::new()) };
    /// Requests that are never sent; a body is dropped before its request.
    static UNSENT: RefCell<Vec<(OutgoingBody, OutgoingRequest)>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn act(word: &str, rest: &str) -> Result<String, ErrorCode> {
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    match word {
        // Prints status, our headers and body of the response of a URL.
        "get" => show(send(Method::Get, first, second, None)?),
        "connect" => show(send(Method::Connect, first, second, None)?),
        // Sends this many bytes.
        "post" => show(send(Method::Post, first, "", Some(second.parse().unwrap()))?),
        // Reads the whole response while the body of the request has only begun, and keeps both.
        "begin" => begin(first),
        // Prints the length of the body and the sum of its bytes.
        "sum" => sum(send(Method::Get, first, second, None)?),
        // Leaves the body unread.
        "open" => {
            let response = send(Method::Get, first, second, None)?;
            let body = response.consume().unwrap();
            OPEN.with_borrow_mut(|open| open.push((body.stream().unwrap(), body, response)));
            Ok("opened".to_owned())
        }
        // Reads this many bytes of the body that was opened last.
        "read" => OPEN.with_borrow(|open| {
            let (stream, _, _) = open.last().unwrap();
            let mut left: u64 = first.parse().unwrap();
            while left > 0 {
                match stream.blocking_read(left) {
                    Ok(piece) => left -= piece.len() as u64,
                    Err(error) => return Ok(format!("{left} missing: {}", told(&error))),
                }
            }
            Ok("read".to_owned())
        }),
        "close" => {
            let last = OPEN.with_borrow_mut(Vec::pop);
            Ok(last.map_or("none", |_| "closed").to_owned())
        }
        // Adds as many headers as the host accepts.
        "headers" => {
            let fields = Fields::new();
            for number in 0..first.parse::<u32>().unwrap() {
                fields.append(&format!("x-{number}"), &vec![b'x'; 100]).unwrap();
            }
            Ok("made".to_owned())
        }
        // Makes and keeps this many requests with texts of this many bytes. Prints how many of those texts were
        // accepted.
        "requests" => {
            let taken = prepare(first.parse().unwrap(), second.parse().unwrap());
            Ok(format!("{taken} taken"))
        }
        // Drops them.
        "drop" => {
            UNSENT.with_borrow_mut(Vec::clear);
            Ok("dropped".to_owned())
        }
        // This many header lists at the same time.
        "lists" => {
            let lists: Vec<Fields> = (0..first.parse::<u32>().unwrap()).map(|_| Fields::new()).collect();
            Ok(format!("{} lists", lists.len()))
        }
        "header" => {
            let made = Fields::from_list(&[(first.to_owned(), second.into())]);
            Ok(made.map_or_else(|error| format!("{error:?}"), |_| "made".to_owned()))
        }
        other => panic!("no such action: {other}"),
    }
}

fn begin(url: &str) -> Result<String, ErrorCode> {
    let (body, future) = start(Method::Post, url, "", true)?;
    let body = body.unwrap();
    body.write().unwrap().blocking_write_and_flush(b"begun").unwrap();
    UPLOADS.with_borrow_mut(|uploads| uploads.push(body));
    let response = wait(future)?;
    let body = response.consume().unwrap();
    let stream = body.stream().unwrap();
    let (bytes, error) = all(&stream);
    OPEN.with_borrow_mut(|open| open.push((stream, body, response)));
    Ok(format!("{}{error}", String::from_utf8_lossy(&bytes)))
}

/// Makes and keeps requests; returns how many of their long texts were accepted.
fn prepare(count: u32, bytes: usize) -> usize {
    let long = "x".repeat(bytes);
    let path = format!("/{long}");
    let mut taken = 0;
    for _ in 0..count {
        let request = OutgoingRequest::new(Fields::new());
        taken += usize::from(request.set_method(&Method::Other(long.clone())).is_ok());
        taken += usize::from(request.set_authority(Some(&long)).is_ok());
        taken += usize::from(request.set_path_with_query(Some(&path)).is_ok());
        taken += usize::from(request.set_scheme(Some(&Scheme::Other(long.clone()))).is_ok());
        let body = request.body().unwrap();
        UNSENT.with_borrow_mut(|unsent| unsent.push((body, request)));
    }
    taken
}

/// Parses a URL by hand: whatever is between the slashes is the authority. `options` is a timeout in milliseconds, or
/// empty.
fn send(method: Method, url: &str, options: &str, upload: Option<usize>) -> Result<IncomingResponse, ErrorCode> {
    let (body, future) = start(method, url, options, upload.is_some())?;
    if let (Some(body), Some(bytes)) = (body, upload) {
        give(body, bytes);
    }
    wait(future)
}

fn start(
    method: Method,
    url: &str,
    options: &str,
    upload: bool,
) -> Result<(Option<OutgoingBody>, FutureIncomingResponse), ErrorCode> {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let request = OutgoingRequest::new(Fields::from_list(&[("x-asked".to_owned(), b"by-test".to_vec())]).unwrap());
    request.set_method(&method).unwrap();
    request.set_scheme(Some(if scheme == "https" { &Scheme::Https } else { &Scheme::Http })).unwrap();
    request.set_authority(Some(authority)).map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    request.set_path_with_query(Some(path)).unwrap();
    let limits = options.parse::<u64>().ok().map(|milliseconds| {
        let options = RequestOptions::new();
        options.set_first_byte_timeout(Some(milliseconds * 1_000_000)).unwrap();
        options.set_between_bytes_timeout(Some(milliseconds * 1_000_000)).unwrap();
        options
    });
    let body = upload.then(|| request.body().unwrap());
    Ok((body, handle(request, limits)?))
}

fn give(body: OutgoingBody, bytes: usize) {
    let stream = body.write().unwrap();
    let mut left = bytes;
    while left > 0 {
        let piece = left.min(4096);
        // The server may have answered and closed before all of it was sent.
        if stream.blocking_write_and_flush(&vec![b'u'; piece]).is_err() {
            break;
        }
        left -= piece;
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

fn wait(future: FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    let ready = future.subscribe();
    loop {
        match future.get() {
            Some(answer) => return answer.unwrap(),
            None => ready.block(),
        }
    }
}

fn show(response: IncomingResponse) -> Result<String, ErrorCode> {
    let status = response.status();
    let headers: String = response
        .headers()
        .entries()
        .iter()
        .filter(|(name, _)| name == "location")
        .map(|(name, value)| format!(" {name}={}", String::from_utf8_lossy(value)))
        .collect();
    let (body, error) = whole(response);
    Ok(format!("{status}{headers} {}{error}", String::from_utf8_lossy(&body)))
}

fn sum(response: IncomingResponse) -> Result<String, ErrorCode> {
    let (mut bytes, mut sum) = (0, 0);
    let body = response.consume().unwrap();
    let error = each(&body.stream().unwrap(), |piece| {
        bytes += piece.len();
        sum += piece.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    });
    Ok(format!("{bytes} {sum}{error}"))
}

/// The body, and the error that ended it.
fn whole(response: IncomingResponse) -> (Vec<u8>, String) {
    let body = response.consume().unwrap();
    all(&body.stream().unwrap())
}

fn all(stream: &InputStream) -> (Vec<u8>, String) {
    let mut bytes = Vec::new();
    let error = each(stream, |piece| bytes.extend_from_slice(piece));
    (bytes, error)
}

/// Reads the body piece by piece and returns the error that ended it.
fn each(stream: &InputStream, mut take: impl FnMut(&[u8])) -> String {
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(piece) => take(&piece),
            Err(StreamError::Closed) => return String::new(),
            Err(error) => return format!(" broken off: {}", told(&error)),
        }
    }
}

fn told(error: &StreamError) -> String {
    match error {
        StreamError::Closed => "closed".to_owned(),
        StreamError::LastOperationFailed(error) => error.to_debug_string(),
    }
}
