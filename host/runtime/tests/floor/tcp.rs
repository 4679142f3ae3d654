//! Sockets, for a tenant that grants addresses and for one that does not. W31.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use whelk_runtime::{Ending, Exit, Grants, Limits, TcpAllow, Tenant};

use crate::client::Client;
use crate::program::command;
use crate::{guests, log};

/// A server that echoes, and reports when a connection begins (true) and ends (false).
async fn server() -> (SocketAddr, mpsc::UnboundedReceiver<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let tell = tell.clone();
            let _ = tell.send(true);
            tokio::spawn(async move {
                let mut words = Vec::new();
                let _ = stream.read_to_end(&mut words).await;
                let _ = stream.write_all(&[b"heard: ", words.as_slice()].concat()).await;
                let _ = tell.send(false);
            });
        }
    });
    (address, told)
}

fn client(entries: &[String], limits: Limits) -> Client {
    let tcp = (!entries.is_empty()).then(|| Arc::new(TcpAllow::parse(entries).unwrap()));
    Client::of(&Tenant::new("acme", limits, Grants { tcp, ..Grants::default() }), &guests::script(), &[])
}

async fn text(entries: &[String], command: &str) -> String {
    client(entries, Limits::default()).then(&format!("{command};finish 0")).await.0.text()
}

#[tokio::test]
async fn a_listed_address_is_reached() {
    let (address, _) = server().await;
    let port = address.port();
    for entry in [address.to_string(), format!("127.0.0.0/8:{port}")] {
        assert_eq!(text(&[entry], &format!("tcp {address} good morning")).await, "heard: good morning");
    }
}

/// The one call of a program lasts as long as it does.
#[tokio::test]
async fn a_program_is_not_charged_for_sockets_that_it_has_dropped() {
    let (address, _told) = server().await;
    let tcp = Some(Arc::new(TcpAllow::parse(&[address.to_string()]).unwrap()));
    let limits = Limits { tenant_open_files: 1, ..Limits::default() };
    let tenant = Tenant::new("acme", limits, Grants { tcp, ..Grants::default() });
    let mut first = Client::of(&tenant, &command(), &[]);
    first.run(&format!("'connect {address}' 'print done' flush ticks"));
    first.until_stdout(8).await;
    // The one descriptor of the tenant is free for another, while the first goes on.
    let second = Client::of(&tenant, &command(), &[]);
    second.run(&format!("'connect {address}' 'print done'"));
    let (recorder, report) = second.end().await;
    assert_eq!((recorder.text().as_str(), recorder.exit()), ("done", Some(Exit::Status(0))), "{report:?}");
    assert!(!first.task.is_finished());
}

#[tokio::test]
async fn an_unlisted_address_is_denied_and_logged_once() {
    log::listen();
    let (address, mut told) = server().await;
    let other_port = [format!("127.0.0.1:{}", address.port() ^ 1)];
    let other_address = [format!("127.0.0.2:{}", address.port())];
    for entries in [&[][..], &other_port, &other_address] {
        assert_eq!(text(entries, &format!("tcp {address} a")).await, "denied");
    }
    let client = client(&other_port, Limits::default());
    let id = client.id.clone();
    client.then(&format!("tcp {address} a;tcp {address} b;tcp 10.0.0.1:80 c;finish 0")).await;
    let lines = log::lines(&id);
    let denied: Vec<_> = lines.iter().filter(|line| line.fields["message"] == "destination denied").collect();
    let told_of: Vec<_> = denied.iter().map(|line| line.fields["destination"].clone()).collect();
    assert_eq!(told_of, [address.to_string(), "10.0.0.1:80".to_owned()]);
    assert_eq!(denied[0].fields["tenant"], "acme");
    assert!(told.try_recv().is_err(), "somebody came");
}

#[tokio::test]
async fn the_tcp_grant_allows_only_connecting() {
    let (address, _) = server().await;
    let here = [address.to_string(), "127.0.0.1:1".to_owned(), "0.0.0.0/0:9".to_owned()];
    for refused in [
        "listen 127.0.0.1:0",
        "listen 0.0.0.0:0",
        "listen 127.0.0.1:1",
        "listen 0.0.0.0:9",
        "udp 127.0.0.1:0",
        "udp 0.0.0.0:0",
    ] {
        assert_eq!(text(&here, refused).await, "denied", "{refused}");
        assert_eq!(text(&[], refused).await, "denied", "{refused}");
    }
    // The standard library has another name for a denied look-up.
    for entries in [&here[..], &[]] {
        assert_ne!(text(entries, "resolve localhost:80").await, "done");
    }
}

#[tokio::test]
async fn the_open_sockets_of_a_session_are_limited() {
    let (address, _) = server().await;
    let limits = Limits { tcp_sockets: 3, ..Limits::default() };
    let many = format!("tcp-hold {address} 10;tcp-drop;write /;tcp-hold {address} 2;finish 0");
    let text = client(&[address.to_string()], limits).then(&many).await.0.text();
    let (first, second) = text.split_once('/').unwrap();
    assert!(first.ends_with(" after 3"), "{text}");
    assert_eq!(second, "2");
}

#[tokio::test]
async fn a_session_that_is_dropped_closes_its_sockets() {
    let (address, mut told) = server().await;
    let client = client(&[address.to_string()], Limits::default());
    client.run(&format!("tcp-hold {address} 1;tcp-wait"));
    assert_eq!(told.recv().await, Some(true));
    client.task.abort();
    assert_eq!(told.recv().await, Some(false));
}

#[tokio::test]
async fn a_session_that_the_client_ends_while_it_waits_closes_its_sockets() {
    let (address, mut told) = server().await;
    let limits = Limits { grace: std::time::Duration::from_millis(50), ..Limits::default() };
    let client = client(&[address.to_string()], limits);
    client.run(&format!("tcp-hold {address} 1;tcp-wait"));
    assert_eq!(told.recv().await, Some(true));
    client.inbox.end(Ending::ConnectionLost);
    assert_eq!(told.recv().await, Some(false));
}
