//! TCP: the kernel says what is ready, reads go straight into the protocol's buffer, and an acknowledgement can be
//! hurried.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;

use rustix::net::{RecvFlags, SendFlags, recv, send};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::{ByteStream, Readiness};
use crate::server::socket;

/// Readiness of a socket that the peer has closed or reset. Unlike `READABLE` it does not come with bytes. Urgent data
/// would come with it too, but nothing asks the kernel for that.
const HANG_UP: Interest = Interest::PRIORITY.add(Interest::ERROR);

impl ByteStream for TcpStream {
    const ACKNOWLEDGES: bool = true;
    const HAS_READ_THRESHOLD: bool = true;

    fn try_read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let room = space.len();
        until_short(self, Interest::READABLE, room, |stream| Ok(recv(stream, space, RecvFlags::empty())?.1))
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        until_short(self, Interest::WRITABLE, bytes.len(), |stream| Ok(send(stream, bytes, SendFlags::NOSIGNAL)?))
    }

    async fn ready(&mut self, wanted: Readiness) -> io::Result<()> {
        let Readiness { readable, writable, hang_up } = wanted;
        if !hang_up {
            // Cheaper than `ready`: the waker stays registered with the socket from one wait to the next.
            return poll_fn(|context| {
                if readable && let Poll::Ready(ready) = self.poll_read_ready(context) {
                    return Poll::Ready(ready);
                }
                if writable { self.poll_write_ready(context) } else { Poll::Pending }
            })
            .await;
        }
        let interests = [(readable, Interest::READABLE), (hang_up, HANG_UP), (writable, Interest::WRITABLE)];
        let interests = interests.into_iter().filter_map(|(wanted, interest)| wanted.then_some(interest));
        let Some(interest) = interests.reduce(|all, interest| all | interest) else {
            return std::future::pending().await;
        };
        let ready = TcpStream::ready(self, interest).await?;
        if hang_up && (ready.is_read_closed() || ready.is_error()) {
            let error = self.take_error().ok().flatten();
            return Err(error.unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }

    fn acknowledge(&self) {
        socket::acknowledge(self);
    }

    fn set_read_threshold(&self, bytes: usize) {
        socket::set_read_threshold(self, bytes);
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.local_addr().ok()
    }
}

/// Moves up to `most` bytes by `attempt`. One that moves fewer has emptied or filled the socket, so it ends the
/// readiness until the kernel's next event, as an attempt that would block does: epoll(7), question 9. That saves the
/// system call that would only say so. Closed directions stay ready.
fn until_short(
    stream: &TcpStream,
    interest: Interest,
    most: usize,
    attempt: impl FnOnce(&TcpStream) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut moved = None;
    let tried = stream.try_io(interest, || match attempt(stream)? {
        count if (1..most).contains(&count) => {
            moved = Some(count);
            Err(io::ErrorKind::WouldBlock.into())
        }
        count => Ok(count),
    });
    moved.map_or(tried, Ok)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    const READABLE: Readiness = Readiness { readable: true, writable: false, hang_up: false };
    const WRITABLE: Readiness = Readiness { readable: false, writable: true, hang_up: false };
    const GONE: Readiness = Readiness { readable: false, writable: false, hang_up: true };

    /// A client, and the accepted side of its connection.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        (client.unwrap(), accepted.unwrap().0)
    }

    /// Whether waiting ends at once.
    fn is_ready(stream: &mut TcpStream, wanted: Readiness) -> bool {
        pin!(ByteStream::ready(stream, wanted)).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test]
    async fn a_read_that_leaves_room_says_that_nothing_is_left_until_more_comes() {
        let (mut client, mut accepted) = pair().await;
        let mut space = [0; 8];
        client.write_all(b"0123456789").await.unwrap();
        ByteStream::ready(&mut accepted, READABLE).await.unwrap();
        assert_eq!(ByteStream::try_read(&mut accepted, &mut space).unwrap(), 8);
        assert!(is_ready(&mut accepted, READABLE), "a full read may have left something");
        assert_eq!(ByteStream::try_read(&mut accepted, &mut space).unwrap(), 2);
        assert!(!is_ready(&mut accepted, READABLE));
        let error = ByteStream::try_read(&mut accepted, &mut space).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        for piece in [&b"more"[..], b"again"] {
            client.write_all(piece).await.unwrap();
            ByteStream::ready(&mut accepted, READABLE).await.unwrap();
            assert_eq!(ByteStream::try_read(&mut accepted, &mut space).unwrap(), piece.len());
        }
    }

    #[tokio::test]
    async fn the_end_of_the_stream_is_seen_behind_a_read_that_leaves_room() {
        // The client leaves before the read, or after it.
        for leaves_before in [true, false] {
            let (mut client, mut accepted) = pair().await;
            client.write_all(b"last").await.unwrap();
            let mut client = Some(client).filter(|_| !leaves_before);
            if leaves_before {
                // Its end has come too.
                ByteStream::ready(&mut accepted, GONE).await.unwrap_err();
            } else {
                ByteStream::ready(&mut accepted, READABLE).await.unwrap();
            }
            let mut space = [0; 8];
            assert_eq!(ByteStream::try_read(&mut accepted, &mut space).unwrap(), 4);
            drop(client.take());
            ByteStream::ready(&mut accepted, READABLE).await.unwrap();
            assert_eq!(ByteStream::try_read(&mut accepted, &mut space).unwrap(), 0);
        }
    }

    #[tokio::test]
    async fn a_write_that_is_cut_short_says_that_there_is_no_room_until_the_peer_reads() {
        let (client, mut accepted) = pair().await;
        let much = vec![b'x'; 64 << 20];
        ByteStream::ready(&mut accepted, WRITABLE).await.unwrap();
        let mut sent = ByteStream::try_write(&mut accepted, &much).unwrap();
        assert!(sent < much.len() && !is_ready(&mut accepted, WRITABLE));
        assert_eq!(ByteStream::try_write(&mut accepted, &much).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let mut space = vec![0; 1 << 20];
        while sent > 0 {
            client.readable().await.unwrap();
            // An error: nothing is there yet.
            sent -= TcpStream::try_read(&client, &mut space).unwrap_or(0);
        }
        ByteStream::ready(&mut accepted, WRITABLE).await.unwrap();
        assert_eq!(ByteStream::try_write(&mut accepted, b"x").unwrap(), 1);
    }

    #[tokio::test]
    async fn a_stream_with_a_threshold_is_readable_when_so_much_is_there_or_its_end() {
        let (mut client, mut accepted) = pair().await;
        let mut space = [0; 64];
        // A new stream may be taken for ready.
        assert!(ByteStream::try_read(&mut accepted, &mut space).is_err());
        ByteStream::set_read_threshold(&accepted, 16);
        client.write_all(&[1; 15]).await.unwrap();
        // The kernel tells of what is there when it is to tell of less.
        assert!(!is_ready(&mut accepted, READABLE));
        ByteStream::set_read_threshold(&accepted, 1);
        ByteStream::ready(&mut accepted, READABLE).await.unwrap();
        assert_eq!(ByteStream::try_read(&mut accepted, &mut space).unwrap(), 15);
        ByteStream::set_read_threshold(&accepted, 16);
        for piece in [15, 1] {
            client.write_all(&[2; 15][..piece]).await.unwrap();
        }
        ByteStream::ready(&mut accepted, READABLE).await.unwrap();
        assert_eq!(ByteStream::try_read(&mut accepted, &mut space).unwrap(), 16);
        client.write_all(&[3; 4]).await.unwrap();
        drop(client);
        ByteStream::ready(&mut accepted, READABLE).await.unwrap();
        assert_eq!(ByteStream::try_read(&mut accepted, &mut space).unwrap(), 4);
        ByteStream::ready(&mut accepted, READABLE).await.unwrap();
        assert_eq!(ByteStream::try_read(&mut accepted, &mut space).unwrap(), 0);
    }

    /// A client whose attempt is being decided may send more than we take, and go away.
    #[tokio::test]
    async fn a_hang_up_is_seen_behind_bytes_that_nobody_reads() {
        for resets in [false, true] {
            let (mut client, mut accepted) = pair().await;
            client.write_all(b"unread").await.unwrap();
            accepted.readable().await.unwrap();
            let mut hang_up = pin!(ByteStream::ready(&mut accepted, GONE));
            assert!(
                hang_up.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending(),
                "bytes are no hang-up"
            );
            if resets {
                client.set_zero_linger().unwrap();
            }
            drop(client);
            let error = hang_up.await.unwrap_err().kind();
            let expected = if resets { io::ErrorKind::ConnectionReset } else { io::ErrorKind::UnexpectedEof };
            assert_eq!(error, expected);
        }
    }
}
