//! Tests of the driver over a pipe in memory.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use whelk_runtime::limits::ResizableSemaphore;
use whelk_ssh::connection::{Client, ClientQuestion, Settings};
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::crypto::random::SystemRandom;
use whelk_ssh::mux;
use whelk_ssh::transport::{self, Party};

use super::run;
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
