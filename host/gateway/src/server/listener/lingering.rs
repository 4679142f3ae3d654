//! Refused connections that were told why. A client sends its identification when it connects, and a socket that is
//! closed before these bytes arrive is reset: the client would lose the line. So the latest ones stay open for a
//! second.

use std::collections::VecDeque;
use std::time::Duration;

use rustix::net::{Shutdown, shutdown};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::waiting::tell;

/// How long one stays open.
const LONGEST: Duration = Duration::from_secs(1);
/// The most of them: each is an open file.
const MOST: usize = 16;

/// The connections, the oldest first, each with the time at which it is closed.
#[derive(Default)]
pub(super) struct Lingering(VecDeque<(Instant, TcpStream)>);

impl Lingering {
    /// Tells a client why it is refused. If there are too many, the oldest is closed.
    pub(super) fn tell(&mut self, stream: TcpStream, line: &str, now: Instant) {
        tell(&stream, line);
        // An error means that the client has gone.
        let _ = shutdown(&stream, Shutdown::Write);
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back((now + LONGEST, stream));
    }

    /// When to call [`Lingering::close`].
    pub(super) fn next_close(&self) -> Option<Instant> {
        self.0.front().map(|(until, _)| *until)
    }

    /// Closes those whose time has come.
    pub(super) fn close(&mut self, now: Instant) {
        while self.next_close().is_some_and(|until| until <= now) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_refused_client_reads_the_line_after_it_has_sent_its_identification() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (mut lingering, start) = (Lingering::default(), Instant::now());
        for _ in 0..MOST + 3 {
            let mut client = TcpStream::connect(address).await.unwrap();
            lingering.tell(socket.accept().await.unwrap().0, "no\r\n", start);
            client.write_all(b"SSH-2.0-x\r\n").await.unwrap();
            let mut line = String::new();
            client.read_to_string(&mut line).await.unwrap();
            assert_eq!(line, "no\r\n");
        }
        assert_eq!(lingering.0.len(), MOST);
        lingering.close(start);
        assert_eq!(lingering.next_close(), Some(start + LONGEST));
        lingering.close(start + LONGEST);
        assert_eq!(lingering.next_close(), None);
    }
}
