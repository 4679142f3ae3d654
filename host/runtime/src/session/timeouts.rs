//! The total and the idle timeout of a session. Both are off by default.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::channel::Shared;
use crate::error::{Error, Limit};
use crate::limits::Limits;

/// The timeouts of one session.
pub(super) struct SessionTimeouts {
    /// The total timeout.
    end: Option<Pin<Box<Sleep>>>,
    idle: Option<Idle>,
    pipes: Arc<Shared>,
}

/// The idle timeout, and when it ends unless something happens.
struct Idle {
    time: Duration,
    end: Pin<Box<Sleep>>,
}

impl SessionTimeouts {
    /// Both start now.
    pub(super) fn new(limits: &Limits, pipes: Arc<Shared>) -> Self {
        let now = Instant::now();
        let clock = |time: Duration| Box::pin(sleep_until(now + time));
        Self {
            end: limits.session_timeout().map(clock),
            idle: limits.idle_timeout().map(|time| Idle { time, end: clock(time) }),
            pipes,
        }
    }

    /// Runs the session to its end, or to a timeout, which is the error. A session that is already ending has none.
    pub(super) async fn run<R>(mut self, session: impl Future<Output = R>) -> Result<R, Error> {
        let mut session = pin!(session);
        poll_fn(|context| match session.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(Ok(result)),
            Poll::Pending => self.poll_end(context).map(Err),
        })
        .await
    }

    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        if (self.end.is_none() && self.idle.is_none()) || self.pipes.ended().is_some() {
            return Poll::Pending;
        }
        if let Some(end) = &mut self.end
            && end.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(out_of_time(Limit::Session, "it lasted too long"));
        }
        let Some(idle) = &mut self.idle else { return Poll::Pending };
        // Input and output wake this task, so activity is seen here soon after.
        if self.pipes.take_active() {
            idle.end.as_mut().reset(Instant::now() + idle.time);
        }
        let nothing = "nothing came from the client and nothing was written";
        idle.end.as_mut().poll(context).map(|()| out_of_time(Limit::Idle, nothing))
    }
}

fn out_of_time(limit: Limit, detail: &str) -> Error {
    Error::Limit { limit, detail: detail.to_owned() }
}
