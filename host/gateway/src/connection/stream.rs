//! The byte stream that carries a connection: a TCP socket, or anything else that reads and writes.
//!
//! The driver waits for *readiness* and then moves bytes between the stream and the protocol's buffers without waiting,
//! so that no buffer is borrowed across an await, and every wait can be dropped. TCP sockets can do that by themselves
//! ([`tcp`]), and so can standard input and output ([`standard`]). Streams that only have `AsyncRead` and `AsyncWrite`,
//! such as a pipe in memory, do it through [`polled::Polled`].
//!
//! Decided 2026-11-29: a trait with `try_read`, `try_write` and `ready`, for which the driver is compiled per stream.
//! Refused: `AsyncRead` and `AsyncWrite` alone, since a read would have to be polled to learn that there is something
//! to read, which would borrow the protocol's buffer while the driver waits; and a boxed stream, one dynamic call a
//! read and write.

pub mod polled;
pub mod standard;
pub mod tcp;

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream that can carry a connection.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {
    /// Whether [`acknowledge`](ByteStream::acknowledge) has an effect.
    const ACKNOWLEDGES: bool;
    /// Whether [`set_read_threshold`](ByteStream::set_read_threshold) has an effect.
    const HAS_READ_THRESHOLD: bool = false;

    /// Reads what is there into `space`, without waiting. Returns how many bytes, 0 at the end of the stream.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if nothing is there, or the stream's error.
    fn try_read(&mut self, space: &mut [u8]) -> io::Result<usize>;

    /// Writes as much of `bytes` as fits, without waiting. Returns how many bytes.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if nothing fits, or the stream's error.
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Passes on what the stream has buffered of the bytes that were written, without waiting. Does nothing for a
    /// stream that buffers nothing itself, such as a socket.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if some bytes are still buffered, or the stream's error.
    fn try_flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Waits until something of `wanted` may be true; it may also return early. Cancel safe.
    ///
    /// # Errors
    /// The peer has gone, if `wanted` asks for that, or the stream's error.
    fn ready(&mut self, wanted: Readiness) -> impl Future<Output = io::Result<()>> + Send;

    /// Acknowledges what was read now, instead of when the kernel sees fit.
    fn acknowledge(&self) {}

    /// From now on the stream becomes readable when so many bytes are there, or its end. Above 1, bytes that are fewer
    /// may be there unnoticed.
    fn set_read_threshold(&self, bytes: usize) {
        let _ = bytes;
    }

    /// The address and port that the client has connected to, if the stream is a socket.
    fn local_address(&self) -> Option<SocketAddr> {
        None
    }
}

/// What [`ByteStream::ready`] waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// There is something to read, or the end of the stream.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
    /// The peer has gone, which a socket shows even while nothing is read.
    pub hang_up: bool,
}

impl Readiness {
    /// Whether there is anything to wait for.
    pub(crate) fn any(self) -> bool {
        self.readable || self.writable || self.hang_up
    }
}
