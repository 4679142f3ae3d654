//! Tests of the driver over a pipe in memory.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use whelk_runtime::limits::ResizableSemaphore;
use whelk_ssh::connection::{Client, ClientQuestion, Settings};
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::crypto::random::SystemRandom;
use whelk_ssh::mux;
use whelk_ssh::transport::{self, Party};

use super::{BUFFER_RELEASE_DELAY, BufferRelease, Driver, run};
use crate::connection::bridge::fixture;
use crate::connection::stream::polled::Polled;
use crate::server::listener::ConnectionPermit;
use crate::source::Peer;

/// Plays a client until the server has signed a key exchange. Returns the type of the host key.
async fn host_key(mut stream: DuplexStream) -> String {
    let transport = Arc::new(transport::Settings::new(Party::Client));
    let settings = Settings { transport, mux: mux::Settings::default() };
    let mut client = Client::connected(&settings, b"alice", Box::new(SystemRandom::new()), Instant::now());
    loop {
        if let Some(ClientQuestion::HostKey(key)) = client.question() {
            return key.algorithm().to_owned();
        }
        client.write_owed(Instant::now()).unwrap();
        let written = client.output().len();
        stream.write_all(client.output()).await.unwrap();
        client.sent(written);
        let read = stream.read(client.input()).await.unwrap();
        client.filled(read);
        client.receive(Instant::now(), |_| ()).unwrap();
    }
}

/// K29: an RSA signature takes 1 to 2 ms of processor time, so a bounded number is made at a time, on blocking threads.
#[tokio::test]
async fn an_rsa_signature_waits_for_a_slot() {
    let key = include_str!("../../../../ssh/src/crypto/key/host/fixtures/rsa_3072.key");
    let (_folder, gateway) = fixture::with_host_key(HostKey::from_file(key).unwrap());
    let gateway = Arc::new(gateway);
    let slots = Arc::clone(gateway.costly_work(false));
    let all = u32::try_from(slots.available()).unwrap();
    let taken = ResizableSemaphore::acquire(&*slots, all).await;
    let (ours, theirs) = duplex(64 << 10);
    let server = run(Polled::new(theirs), Peer::Unknown, ConnectionPermit::unlisted(1), gateway);
    let mut signed = pin!(async {
        tokio::select! {
            key = host_key(ours) => key,
            () = server => panic!("the connection has ended"),
        }
    });
    for _ in 0..100 {
        let is_pending = poll_fn(|context| Poll::Ready(signed.as_mut().poll(context).is_pending())).await;
        assert!(is_pending, "a signature was made without a slot");
        tokio::task::yield_now().await;
    }
    drop(taken);
    assert_eq!(tokio::time::timeout(Duration::from_secs(60), signed).await.unwrap(), "ssh-rsa");
}

#[tokio::test]
async fn the_future_of_a_connection_is_small() {
    let (_folder, gateway) = fixture::with_host_key(HostKey::generate().unwrap());
    let (_ours, theirs) = duplex(1);
    let served = run(Polled::new(theirs), Peer::Unknown, ConnectionPermit::unlisted(1), Arc::new(gateway));
    let sizes = (size_of_val(&served), size_of::<Driver<TcpStream>>());
    // Each connection has both for as long as it lasts, and the future once more in what contains its panic.
    assert!(sizes.0 < 2 << 10 && sizes.1 < 2560, "{sizes:?} bytes");
}

#[tokio::test]
async fn released_buffers_take_no_memory_until_there_is_something_to_read() {
    let (_folder, gateway) = fixture::with_host_key(HostKey::generate().unwrap());
    let (mut ours, theirs) = duplex(64 << 10);
    let (peer, permit) = (Peer::Unknown, ConnectionPermit::unlisted(1));
    let mut driver = Driver::accepted(Polled::new(theirs), peer, permit, Arc::new(gateway));
    for identifies in [false, true] {
        if identifies {
            ours.write_all(b"SSH-2.0-test\r\n").await.unwrap();
        }
        // The turns until it waits for the release of its buffers.
        while driver.connection.peer_identification().is_some() != identifies
            || matches!(driver.buffers, BufferRelease::Busy)
        {
            let served = tokio::time::timeout(Duration::from_millis(1), driver.serve()).await;
            assert!(served.is_err(), "the connection has ended");
        }
        // On a machine that is busy they may have been released meanwhile.
        assert_eq!(driver.connection.buffer_memory() > 0, matches!(driver.buffers, BufferRelease::Due(_)));
        let later = Instant::now() + BUFFER_RELEASE_DELAY * 2;
        assert!(driver.timeout(later).is_ok() && driver.turn(later).is_ok());
        assert_eq!(driver.connection.buffer_memory(), 0);
    }
}
