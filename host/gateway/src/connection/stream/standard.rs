//! Standard input and output: pipes, or a socket of any kind.
//!
//! The kernel says what is ready, as for TCP, and reads go straight into the protocol's buffer. A TCP socket on both is
//! better served by [`tcp`](super::tcp).

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Socket;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::fs::FileType;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use super::{ByteStream, Readiness};

/// One file descriptor to read from and one to write to. Both may be the same socket.
#[derive(Debug)]
pub struct StandardStream {
    input: Input,
    output: Output,
}

#[derive(Debug)]
enum Input {
    Pipe(pipe::Receiver),
    Socket(UnixStream),
}

#[derive(Debug)]
enum Output {
    Pipe(pipe::Sender),
    Socket(UnixStream),
}

/// Does the same with a pipe or a socket.
macro_rules! either {
    ($half:expr, $kind:ident, $inner:ident => $done:expr) => {
        match $half {
            $kind::Pipe($inner) => $done,
            $kind::Socket($inner) => $done,
        }
    };
}

impl StandardStream {
    /// A stream over two descriptors, which are made non-blocking. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for a descriptor that is neither a pipe nor a socket.
    pub fn new(input: OwnedFd, output: OwnedFd) -> io::Result<StandardStream> {
        let input = if is_socket(&input)? {
            Input::Socket(socket(input)?)
        } else {
            Input::Pipe(pipe::Receiver::from_owned_fd(input)?)
        };
        let output = if is_socket(&output)? {
            Output::Socket(socket(output)?)
        } else {
            Output::Pipe(pipe::Sender::from_owned_fd(output)?)
        };
        Ok(StandardStream { input, output })
    }

    /// Waits for the end of the input, whether or not something is left to read.
    async fn hung_up(&self) -> io::Result<()> {
        // A closed end comes with PRIORITY, as for TCP.
        let ready = either!(&self.input, Input, input => input.ready(Interest::PRIORITY).await?);
        if ready.is_read_closed() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

fn is_socket(descriptor: &OwnedFd) -> io::Result<bool> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(descriptor)?.st_mode).is_socket())
}

/// A connected socket of any family: tokio's type for those of the Unix domain uses nothing that others do not have.
fn socket(descriptor: OwnedFd) -> io::Result<UnixStream> {
    let socket = Socket::from(descriptor);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

impl ByteStream for StandardStream {
    const ACKNOWLEDGES: bool = false;

    fn try_read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        either!(&self.input, Input, input => input.try_read(space))
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        either!(&self.output, Output, output => output.try_write(bytes))
    }

    async fn ready(&mut self, wanted: Readiness) -> io::Result<()> {
        let Readiness { readable, writable, hang_up } = wanted;
        tokio::select! {
            ready = async { either!(&self.input, Input, input => input.readable().await) }, if readable => ready,
            ready = async { either!(&self.output, Output, output => output.writable().await) }, if writable => ready,
            ready = self.hung_up(), if hang_up => ready,
            else => std::future::pending().await,
        }
    }
}

impl AsyncRead for StandardStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(&mut self.input, Input, input => Pin::new(input).poll_read(context, space))
    }
}

impl AsyncWrite for StandardStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(&mut self.output, Output, output => Pin::new(output).poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends the sending half of a socket. The other end of a pipe sees the end when this process closes it.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut self.output, Output, output => Pin::new(output).poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::net::UnixStream;
    use std::pin::pin;
    use std::task::Waker;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const READABLE: Readiness = Readiness { readable: true, writable: false, hang_up: false };
    const WRITABLE: Readiness = Readiness { readable: false, writable: true, hang_up: false };
    const HANG_UP: Readiness = Readiness { readable: false, writable: false, hang_up: true };

    fn polls_pending(future: impl Future) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    /// A stream, what the other side writes to, and what it reads from.
    fn piped() -> (StandardStream, io::PipeWriter, io::PipeReader) {
        let ((input, theirs), (reader, output)) = (io::pipe().unwrap(), io::pipe().unwrap());
        (StandardStream::new(input.into(), output.into()).unwrap(), theirs, reader)
    }

    #[tokio::test]
    async fn bytes_pass_a_pair_of_pipes_both_ways_and_its_end_is_seen() {
        use std::io::{Read, Write};
        let (mut stream, mut writer, mut reader) = piped();
        let mut space = [0; 8];
        assert!(polls_pending(stream.ready(READABLE)));
        assert_eq!(stream.try_read(&mut space).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        writer.write_all(b"in").unwrap();
        stream.ready(READABLE).await.unwrap();
        assert_eq!(stream.try_read(&mut space).unwrap(), 2);
        assert_eq!(&space[..2], b"in");
        stream.ready(WRITABLE).await.unwrap();
        assert_eq!(stream.try_write(b"out").unwrap(), 3);
        reader.read_exact(&mut space[..3]).unwrap();
        assert_eq!(&space[..3], b"out");

        drop(writer);
        stream.ready(READABLE).await.unwrap();
        assert_eq!(stream.try_read(&mut space).unwrap(), 0);
        drop(reader);
        stream.ready(WRITABLE).await.unwrap();
        assert_eq!(stream.try_write(b"more").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn a_hang_up_is_seen_behind_bytes_that_nobody_reads() {
        use std::io::Write;
        let (mut stream, mut writer, _reader) = piped();
        writer.write_all(b"unread").unwrap();
        stream.ready(READABLE).await.unwrap();
        assert!(polls_pending(stream.ready(HANG_UP)), "bytes are no hang-up");
        drop(writer);
        assert_eq!(stream.ready(HANG_UP).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_full_pipe_blocks_until_it_is_read() {
        use std::io::Read;
        let (mut stream, _writer, mut reader) = piped();
        let mut sent = 0;
        while let Ok(count) = stream.try_write(&[b'x'; 4096]) {
            sent += count;
        }
        assert!(polls_pending(stream.ready(WRITABLE)));
        reader.read_exact(&mut vec![0; sent]).unwrap();
        stream.ready(WRITABLE).await.unwrap();
        assert_eq!(stream.try_write(b"x").unwrap(), 1);
    }

    #[tokio::test]
    async fn a_socket_may_be_both_and_its_half_is_closed_by_a_shutdown() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let mut theirs = tokio::net::UnixStream::from_std(theirs).unwrap();
        let mut stream = StandardStream::new(ours.try_clone().unwrap().into(), ours.into()).unwrap();
        stream.write_all(b"bye").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut said = String::new();
        theirs.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "bye");
        theirs.write_all(b"ok").await.unwrap();
        drop(theirs);
        said.clear();
        stream.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "ok");
    }

    #[tokio::test]
    async fn a_file_is_no_stream() {
        let null = || OwnedFd::from(File::options().read(true).write(true).open("/dev/null").unwrap());
        let error = StandardStream::new(null(), null()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
