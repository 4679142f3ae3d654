//! TCP: the kernel says what is ready, reads go straight into the protocol's buffer, and an acknowledgement can be
//! hurried.

use std::io;
use std::net::SocketAddr;

use tokio::io::Interest;
use tokio::net::TcpStream;

use super::{ByteStream, Readiness};
use crate::server::socket;

/// Readiness of a socket that the peer has closed or reset. Unlike `READABLE` it does not come with bytes. Urgent data
/// would come with it too, but nothing asks the kernel for that.
const HANG_UP: Interest = Interest::PRIORITY.add(Interest::ERROR);

impl ByteStream for TcpStream {
    const ACKNOWLEDGES: bool = true;

    fn try_read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        TcpStream::try_read(self, space)
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        TcpStream::try_write(self, bytes)
    }

    async fn ready(&mut self, wanted: Readiness) -> io::Result<()> {
        let Readiness { readable, writable, hang_up } = wanted;
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

    fn local_address(&self) -> Option<SocketAddr> {
        self.local_addr().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// A client whose attempt is being decided may send more than we take, and go away.
    #[tokio::test]
    async fn a_hang_up_is_seen_behind_bytes_that_nobody_reads() {
        for resets in [false, true] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
            let (mut client, mut accepted) = (client.unwrap(), accepted.unwrap().0);
            client.write_all(b"unread").await.unwrap();
            accepted.readable().await.unwrap();
            let mut hang_up =
                pin!(ByteStream::ready(&mut accepted, Readiness { hang_up: true, ..Readiness::default() }));
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
