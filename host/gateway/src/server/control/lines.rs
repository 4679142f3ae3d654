//! The answer to one request as it is sent: one object a line.

use std::io::{self, ErrorKind};
use std::time::Duration;

use rustix::net::sockopt::set_socket_send_buffer_size;
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// How many bytes are collected before they are sent.
const PIECE: usize = 32 << 10;
/// The kernel's buffer for a client whose answer lasts, bytes. Linux doubles it, and counts about 768 for a short line.
const KEPT_BUFFER: usize = 16 << 10;

/// Sends the lines of one answer. Memory is bounded by a piece and the longest line.
pub(crate) struct AnswerLines {
    stream: OwnedWriteHalf,
    /// How long the client may take for a piece.
    time: Duration,
    collected: Vec<u8>,
    /// The place among those who ask, or who watch.
    place: OwnedSemaphorePermit,
}

impl AnswerLines {
    pub(super) fn new(stream: OwnedWriteHalf, time: Duration, place: OwnedSemaphorePermit) -> AnswerLines {
        AnswerLines { stream, time, collected: Vec::new(), place }
    }

    /// The client may take this long for each piece from now on, and keeps this place instead of one among those who
    /// ask. The kernel holds less for it, so that a client which takes nothing is noticed sooner.
    pub(super) fn keep(&mut self, place: OwnedSemaphorePermit, time: Duration) {
        (self.time, self.place) = (time, place);
        // Without effect it is noticed later.
        let _ = set_socket_send_buffer_size(self.stream.as_ref(), KEPT_BUFFER);
    }

    /// Adds a line, which is sent when there are enough of them, or by [`flush`](Self::flush).
    ///
    /// # Errors
    /// The client has gone, or takes nothing.
    pub(crate) async fn add(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.collected, line)?;
        self.collected.push(b'\n');
        if self.collected.len() >= PIECE { self.flush().await } else { Ok(()) }
    }

    /// Sends what was added.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        let sent = timeout(self.time, self.stream.write_all(&self.collected)).await;
        self.collected.clear();
        sent.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
    }

    /// Sends the last line.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub(crate) async fn send_last(&mut self, line: &impl Serialize) -> io::Result<()> {
        self.add(line).await?;
        self.flush().await?;
        self.stream.shutdown().await
    }
}
