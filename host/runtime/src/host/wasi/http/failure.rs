//! Maps the error of a connection to `wasi:http`'s.

use std::error::Error as _;

use wasmtime_wasi_http::Error;

/// The error code. `headers`: the largest size of the response's head, if that was awaited.
pub(super) fn error_of(error: &hyper::Error, headers: Option<usize>) -> Error {
    let own = error.source().and_then(|cause| cause.downcast_ref::<Error>());
    if let Some(Error::HttpRequestBodySize(most)) = own {
        return Error::HttpRequestBodySize(*most);
    }
    if error.is_parse_too_large() {
        return Error::HttpResponseHeaderSectionSize(headers.and_then(|most| u32::try_from(most).ok()));
    }
    if error.is_parse() || error.is_user() {
        return Error::HttpProtocolError;
    }
    if headers.is_none() { Error::HttpResponseIncomplete } else { Error::ConnectionTerminated }
}
