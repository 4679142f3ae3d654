//! Any stream of `AsyncRead` and `AsyncWrite` as one that says what is ready, such as a pipe in memory.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use super::{ByteStream, Readiness};

/// A stream without readiness of its own.
///
/// An attempt that would block leaves a waker of ours with the stream, and [`ready`](ByteStream::ready) waits for that
/// waker. So nothing is buffered here, and nothing is copied. A hang-up is noticed only by reading.
#[derive(Debug)]
pub struct Polled<S> {
    stream: S,
    reading: Direction,
    writing: Direction,
    /// Whether bytes were written since the last complete flush: the stream may buffer them.
    is_unflushed: bool,
}

/// What is known of one direction.
#[derive(Debug, Default)]
struct Direction {
    /// Woken by the stream.
    signal: Arc<Signal>,
    /// Whether the stream holds our waker, because the last attempt would have blocked.
    is_blocked: bool,
}

/// Remembers one wake-up until somebody waits for it.
#[derive(Debug, Default)]
struct Signal(Notify);

impl Wake for Signal {
    fn wake(self: Arc<Signal>) {
        self.0.notify_one();
    }
}

impl Direction {
    /// Makes an attempt with our waker.
    fn attempt<T>(&mut self, poll: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<T>>) -> io::Result<T> {
        let waker = Waker::from(Arc::clone(&self.signal));
        let polled = poll(&mut Context::from_waker(&waker));
        self.is_blocked = polled.is_pending();
        match polled {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Waits until another attempt may do better than the last.
    async fn ready(&self, wanted: bool) {
        match (wanted, self.is_blocked) {
            (false, _) => std::future::pending().await,
            (true, false) => {}
            (true, true) => self.signal.0.notified().await,
        }
    }
}

impl<S> Polled<S> {
    /// `stream` as one that can carry a connection.
    pub fn new(stream: S) -> Polled<S> {
        Polled { stream, reading: Direction::default(), writing: Direction::default(), is_unflushed: false }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for Polled<S> {
    const ACKNOWLEDGES: bool = false;

    fn try_read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let mut space = ReadBuf::new(space);
        let stream = Pin::new(&mut self.stream);
        self.reading.attempt(|context| stream.poll_read(context, &mut space))?;
        Ok(space.filled().len())
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stream = Pin::new(&mut self.stream);
        let count = self.writing.attempt(|context| stream.poll_write(context, bytes))?;
        self.is_unflushed = true;
        Ok(count)
    }

    fn try_flush(&mut self) -> io::Result<()> {
        if self.is_unflushed {
            let stream = Pin::new(&mut self.stream);
            self.writing.attempt(|context| stream.poll_flush(context))?;
            self.is_unflushed = false;
        }
        Ok(())
    }

    async fn ready(&mut self, wanted: Readiness) -> io::Result<()> {
        tokio::select! {
            () = self.reading.ready(wanted.readable) => self.reading.is_blocked = false,
            () = self.writing.ready(wanted.writable) => self.writing.is_blocked = false,
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Polled<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, space)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Polled<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter, DuplexStream, duplex};

    use super::*;

    const READ: Readiness = Readiness { readable: true, writable: false, hang_up: false };
    const WRITE: Readiness = Readiness { readable: false, writable: true, hang_up: false };

    fn would_block<T: std::fmt::Debug>(result: &io::Result<T>) -> bool {
        result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether waiting ends at once.
    fn is_ready(stream: &mut impl ByteStream, wanted: Readiness) -> bool {
        pin!(stream.ready(wanted)).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test]
    async fn a_reader_that_would_block_waits_until_bytes_come() {
        let (mut other, stream) = duplex(16);
        let mut stream = Polled::new(stream);
        let mut space = [0; 16];
        assert!(is_ready(&mut stream, READ), "nothing is known before the first attempt");
        assert!(would_block(&stream.try_read(&mut space)));
        assert!(!is_ready(&mut stream, READ) && !is_ready(&mut stream, READ), "a wait that is dropped loses nothing");
        other.write_all(b"hello").await.unwrap();
        stream.ready(READ).await.unwrap();
        assert_eq!((stream.try_read(&mut space).unwrap(), &space[..5]), (5, &b"hello"[..]));
        drop(other);
        assert_eq!(stream.try_read(&mut space).unwrap(), 0);
    }

    #[tokio::test]
    async fn a_writer_that_would_block_waits_until_there_is_room() {
        let (mut other, stream) = duplex(4);
        let mut stream = Polled::new(stream);
        assert_eq!(stream.try_write(b"hello").unwrap(), 4);
        assert!(would_block(&stream.try_write(b"o")));
        assert!(!is_ready(&mut stream, WRITE));
        other.read_exact(&mut [0; 4]).await.unwrap();
        stream.ready(WRITE).await.unwrap();
        assert_eq!(stream.try_write(b"o").unwrap(), 1);
    }

    #[tokio::test]
    async fn a_flush_passes_on_what_the_stream_has_buffered_and_waits_until_there_is_room() {
        let (mut other, stream) = duplex(4);
        let mut stream: Polled<BufWriter<DuplexStream>> = Polled::new(BufWriter::new(stream));
        assert_eq!(stream.try_write(b"hello").unwrap(), 5);
        assert!(would_block(&stream.try_flush()), "the pipe has room for four bytes");
        assert!(!is_ready(&mut stream, WRITE));
        let mut space = [0; 5];
        other.read_exact(&mut space[..4]).await.unwrap();
        stream.ready(WRITE).await.unwrap();
        stream.try_flush().unwrap();
        other.read_exact(&mut space[4..]).await.unwrap();
        assert_eq!(&space, b"hello");
    }
}
