//! The end of a connection: its sessions, its line in the log, DISCONNECT.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Driver;
use crate::connection::end::{End, log_closed};
use crate::connection::stream::ByteStream;

/// How long a DISCONNECT may take to reach the peer.
const DISCONNECT_LINGER: Duration = Duration::from_secs(1);
/// The most reads after DISCONNECT: what the peer still sends is discarded until it closes.
const LINGER_READS: usize = 64;

impl<S: ByteStream> Driver<S> {
    /// Ends the sessions and sends DISCONNECT, as far as the peer reads it.
    pub(super) async fn finish(mut self: Box<Self>, end: End) {
        self.user_permit = None;
        self.bridge.row().close();
        let end = end.reclassified(|error| self.login.reclassify_timeout(&self.connection, error));
        let (error, reason, outcome) = (end.error(), end.reason(), end.outcome());
        let has_closed = matches!(&end, End::Lost(error) if error.kind() == io::ErrorKind::UnexpectedEof);
        self.login.log_failure(&self.connection, error.as_ref());
        if let Some(fault) = end.fault(self.connection.refused(), &self.login) {
            self.permit.penalize(fault);
        }
        match end {
            End::Shutdown => self.bridge.server_stopped(),
            End::Requested(ref reason) => self.bridge.ended_on_request(&mut self.connection, reason),
            End::Lost(_)
            | End::Protocol(_)
            | End::SignFailed(_)
            | End::TooManyCompressed
            | End::Evicted
            | End::Penalized => {
                self.bridge.connection_lost();
            }
        }
        log_closed(self.bridge.row(), self.connection.refused(), &reason, outcome);
        if let Some(error) = error {
            self.connection.disconnect(&error);
            if let End::Evicted = end {
                // The new connection needs the file of the socket, so this one does not wait until the client has read.
                let _ = self.stream.try_write(self.connection.output()).and_then(|_| self.stream.try_flush());
                return;
            }
            // An error means that the peer has gone.
            let _ = tokio::time::timeout(DISCONNECT_LINGER, self.linger()).await;
        } else if has_closed && !self.connection.output().is_empty() {
            // A peer that has closed its own direction alone reads what was to be sent before, as it does with sshd.
            let _ = tokio::time::timeout(DISCONNECT_LINGER, self.linger()).await;
        }
    }

    /// Sends what is left, and waits for the peer to close: a TCP socket that is closed first discards what the peer
    /// has not read yet.
    async fn linger(&mut self) -> io::Result<()> {
        if self.batching.deadline().is_some() {
            // The timeout that ends batching does not run any more, so fewer bytes would never wake this task.
            self.stream.set_read_threshold(1);
        }
        while !self.connection.output().is_empty() {
            match self.stream.write(self.connection.output()).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => {
                    self.connection.sent(count);
                    self.bridge.row().add_sent(count);
                }
            }
        }
        // The shutdown of a stream that buffers, such as standard output, may not include a flush.
        self.stream.flush().await?;
        self.stream.shutdown().await?;
        // On the heap: an array would be part of every connection's task from its start.
        let mut unread = vec![0; 4096];
        let mut reads_left = LINGER_READS;
        while reads_left > 0 && self.stream.read(&mut unread).await? > 0 {
            reads_left -= 1;
        }
        Ok(())
    }
}
