//! The bodies of requests and responses, counted. At most one piece is buffered in each direction; the rest waits at
//! its source.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, Sleep, sleep};
use wasmtime_wasi_http::{Error, WasiBody};

use super::failure::error_of;

/// The time of the last progress.
#[derive(Clone)]
pub(super) struct Pulse(Arc<Mutex<Instant>>);

impl Pulse {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    pub(super) fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// A remaining number of bytes.
struct Allowance {
    left: u64,
    most: u64,
}

impl Allowance {
    fn new(most: u64) -> Self {
        Self { left: most, most }
    }

    /// Counts a piece; false if it exceeds the limit.
    fn take(&mut self, frame: &Frame<Bytes>) -> bool {
        let bytes = frame.data_ref().map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX));
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or(0);
        left.is_some()
    }
}

/// The body of a request.
pub(super) struct Upload {
    body: WasiBody,
    allowance: Allowance,
    pulse: Pulse,
}

impl Upload {
    pub(super) fn new(body: WasiBody, most: u64, pulse: Pulse) -> Self {
        Self { body, allowance: Allowance::new(most), pulse }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(frame) = &polled {
            self.pulse.beat();
            if let Some(Ok(frame)) = frame
                && !self.allowance.take(frame)
            {
                return Poll::Ready(Some(Err(Error::HttpRequestBodySize(Some(self.allowance.most)))));
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a response. The request counts as in progress as long as it exists.
pub(super) struct ResponseBody {
    body: Incoming,
    allowance: Allowance,
    wait: Duration,
    /// A timeout that runs while the plugin waits for the server, and not while the server waits for the plugin.
    alarm: Option<Pin<Box<Sleep>>>,
    _place: RequestSlot,
}

/// The permit and the charge of a request in progress.
pub(super) struct RequestSlot {
    pub(super) _room: OwnedSemaphorePermit,
    /// Dropping it ends the connection, when the response is no longer wanted.
    pub(super) _reading: oneshot::Sender<()>,
}

impl ResponseBody {
    pub(super) fn new(body: Incoming, most: u64, wait: Duration, place: RequestSlot) -> Self {
        Self { body, allowance: Allowance::new(most), wait, alarm: None, _place: place }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            let wait = self.wait;
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep(wait)));
            return alarm.as_mut().poll(context).map(|()| Some(Err(Error::ConnectionReadTimeout)));
        };
        self.alarm = None;
        Poll::Ready(match frame {
            Some(Ok(frame)) if self.allowance.take(&frame) => Some(Ok(frame)),
            Some(Ok(_)) => Some(Err(Error::HttpResponseBodySize(Some(self.allowance.most)))),
            Some(Err(error)) => Some(Err(error_of(&error, None))),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
