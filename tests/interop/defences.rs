//! Defences before the login: penalties for sources, and proxies that say who has connected to them.

mod floods;
mod storms;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};
use whelk_tests::{Access, Call, Client, Finished, Gateway, Input, Output, Running, SOON, Setup, client_program};

/// [`whelk_tests::PASSWORD`], hashed.
const ARGON2: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$S2aaE/TDH5padCF7ghv7mQ$zTtmCdY6SFbI2apkX35/ITFUAXb78e7qQvuvwf9UZLs";

/// A gateway with one user who has a password, and a guest.
fn gateway(settings: &str) -> Gateway {
    let users = format!(
        "[users.alice]\nplugin = \"probe\"\npassword = \"{ARGON2}\"\n\
         [users.guest]\nplugin = \"probe\"\nauth = \"none\"\n"
    );
    // One fault is enough: how long the logins of a test take does not matter then.
    let limits = "[limits]\npenalty_failed_login = \"10 min\"\n";
    Setup::default().configuration(&format!("{settings}\n{users}{limits}")).start()
}

/// OpenSSH from an address of this machine.
fn from(gateway: &Gateway, address: &str, user: &str, access: &Access) -> Call {
    Call::new(Client::OpenSsh100, gateway, user)
        .access(access.clone())
        .option("-v")
        .option("-o")
        .option(&format!("BindAddress={address}"))
        .exec("exit 5")
}

fn run(gateway: &Gateway, address: &str, access: &Access) -> Finished {
    from(gateway, address, "alice", access).run(Input::Nothing)
}

#[test]
fn a_source_that_guesses_passwords_is_refused_and_its_neighbours_are_not() {
    let gateway = gateway("penalty_exempt = [\"127.0.0.9\"]");
    let (right, wrong) = (Access::right_password(), Access::password("guess"));
    for address in ["127.0.0.2", "127.0.0.9"] {
        let finished = run(&gateway, address, &wrong);
        // The first rejection is enough of a fault here, so the next method of the client is not tried any more.
        let told = if address == "127.0.0.9" { "Permission denied" } else { "Not allowed at this time" };
        assert!(finished.err.contains(told), "{}", finished.err);
    }
    gateway.wait_all("end of each", |events| {
        (events.iter().filter(|event| event.message == "connection closed").count() == 2).then_some(())
    });
    let refused = run(&gateway, "127.0.0.2", &right);
    assert_eq!(refused.status, Some(255), "{}", refused.err);
    assert!(refused.err.contains("Not allowed at this time"), "{}", refused.err);
    for address in ["127.0.0.3", "127.0.0.9"] {
        let finished = run(&gateway, address, &right);
        assert_eq!(finished.status, Some(5), "{address}: {}", finished.err);
    }
    let reason =
        gateway.wait("refusal", |event| (event.message == "connection refused").then(|| event.field("reason")));
    assert!(
        reason.starts_with("127.0.0.2 is refused for another ") && reason.contains("a rejected password"),
        "{reason}"
    );
    gateway.end();
}

#[test]
fn keys_that_are_refused_are_no_fault() {
    let gateway = gateway("penalty_exempt = []");
    for _ in 0..8 {
        let (key, _) = Access::fresh_key();
        let finished = run(&gateway, "127.0.0.2", &key);
        assert!(finished.err.contains("Permission denied"), "{}", finished.err);
    }
    let finished = run(&gateway, "127.0.0.2", &Access::right_password());
    assert_eq!(finished.status, Some(5), "{}", finished.err);
    gateway.end();
}

/// haproxy in front of a gateway: one port for each version of the protocol.
struct Haproxy {
    running: Running,
    ports: [u16; 2],
}

impl Haproxy {
    fn start(gateway: &Gateway) -> Self {
        let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let ports = [0, 1].map(|index| sockets[index].local_addr().expect("it is bound").port());
        let mut text = "defaults\nmode tcp\ntimeout connect 60s\ntimeout client 60s\ntimeout server 60s\n".to_owned();
        for (socket, option) in sockets.iter().zip(["send-proxy", "send-proxy-v2"]) {
            // haproxy inherits it.
            fcntl_setfd(socket, FdFlags::empty()).expect("it is open");
            let (file, port) = (socket.as_raw_fd(), gateway.port());
            text += &format!("listen {option}\nbind fd@{file}\nserver whelk 127.0.0.1:{port} {option}\n");
        }
        let file = gateway.folder().join("haproxy.cfg");
        std::fs::write(&file, text).expect("our own folder");
        let mut command = Command::new(client_program("haproxy"));
        command.arg("-db").arg("-f").arg(file);
        let running = Running::start(command, Input::Nothing, Output::Read, SOON);
        Self { running, ports }
    }
}

#[test]
fn haproxy_says_who_its_client_is_by_both_versions_and_nobody_else_may() {
    let gateway = gateway("proxies = [\"127.0.0.1\"]\npenalty_exempt = []");
    let haproxy = Haproxy::start(&gateway);
    for (port, address) in haproxy.ports.into_iter().zip(["127.0.0.6", "127.0.0.7"]) {
        let finished = from(&gateway, address, "guest", &Access::Nothing).port(port).exec("facts").run(Input::Nothing);
        assert_eq!(finished.status, Some(0), "{}", finished.err);
        let text = finished.out.text();
        assert!(text.lines().any(|fact| fact.starts_with(&format!("address={address}:"))), "{text}");
        gateway.wait("its address in the log", |event| {
            let peer = event.field("peer");
            (event.message == "connection opened" && peer.starts_with(&format!("{address}:"))).then_some(())
        });
    }
    // A penalty is the client's, not the proxy's.
    let guess = from(&gateway, "127.0.0.6", "alice", &Access::password("guess")).port(haproxy.ports[0]);
    let finished = guess.run(Input::Nothing);
    assert!(finished.err.contains("Not allowed at this time"), "{}", finished.err);
    gateway.wait_all("end of each", |events| {
        (events.iter().filter(|event| event.message == "connection closed").count() == 3).then_some(())
    });
    for (address, status) in [("127.0.0.6", 255), ("127.0.0.7", 5)] {
        let call = from(&gateway, address, "alice", &Access::right_password()).port(haproxy.ports[1]);
        let finished = call.run(Input::Nothing);
        assert_eq!(finished.status, Some(status), "{address}: {}", finished.err);
    }
    // From the proxy's address without a header, and with one from elsewhere.
    let finished = from(&gateway, "127.0.0.1", "guest", &Access::Nothing).run(Input::Nothing);
    assert_eq!(finished.status, Some(255), "{}", finished.err);
    let answer = stranger_with_header(&gateway);
    assert!(answer.matches("SSH-2.0-").count() <= 1, "{answer}");
    gateway.wait("end of the stranger", |event| {
        let is_violation = event.field("reason").contains("identification");
        (event.message == "connection closed" && is_violation).then_some(())
    });
    // Who is no proxy needs no header.
    let finished = from(&gateway, "127.0.0.8", "guest", &Access::Nothing).run(Input::Nothing);
    assert_eq!(finished.status, Some(5), "{}", finished.err);
    drop(haproxy.running);
    gateway.end();
}

/// Sends a header from an address that is no proxy's. Returns everything that the server says.
fn stranger_with_header(gateway: &Gateway) -> String {
    said_to(gateway, [127, 0, 0, 10], &[b"PROXY TCP4 192.0.2.1 192.0.2.9 1001 22\r\nSSH-2.0-x\r\n"])
}

/// Sends pieces of bytes from an address, each in a packet of its own. Returns everything that the server says.
fn said_to(gateway: &Gateway, from: [u8; 4], pieces: &[&[u8]]) -> String {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a descriptor is free");
    let address = |ip: [u8; 4], port| SocketAddr::from((Ipv4Addr::from(ip), port));
    bind(&socket, &address(from, 0)).expect("any address of loopback is ours");
    connect(&socket, &address([127, 0, 0, 1], gateway.port())).expect("it listens");
    let mut stream = TcpStream::from(socket);
    stream.set_nodelay(true).expect("it is connected");
    for piece in pieces {
        // The server may have ended the connection at an earlier one.
        let _ = stream.write_all(piece);
    }
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    // It may be reset, as bytes were left unread.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

// F3
#[test]
fn a_header_that_is_cut_off_too_long_or_sent_twice_ends_its_connection_and_no_other() {
    let gateway = gateway("proxies = [\"127.0.0.11\"]\npenalty_exempt = []");
    let said = |pieces: &[&[u8]]| said_to(&gateway, [127, 0, 0, 11], pieces);
    let line = b"PROXY TCP4 192.0.2.1 192.0.2.9 1001 22\r\n";
    // Version 2, TCP over IPv4, and 65,535 bytes.
    let mut long = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec();
    long.resize(16 + 0xffff, 0);
    for (pieces, why) in [
        (&[&line[..20]][..], "the connection ended within the header"),
        (&[&long[..]][..], "has 65551 bytes, and 536 are allowed"),
        (&[&b"SSH-2.0-x\r\n"[..]][..], "does not begin with a header"),
        (&[&[b'P'; 4096][..]][..], "does not begin with a header"),
    ] {
        assert_eq!(said(pieces), "", "{why}");
    }
    // The log says it of the first; later ones within ten seconds are only counted.
    let reason =
        gateway.wait("refusal", |event| (event.message == "connection refused").then(|| event.field("reason")));
    assert!(reason.contains("the connection ended within the header"), "{reason}");
    // The second header is the client's, whose identification it is not.
    let ends = |count: usize| {
        gateway.wait_all("end of each", |events| {
            let mut ends = events.iter().filter(|event| event.message == "connection closed");
            ends.nth(count - 1).map(|event| event.field("reason"))
        })
    };
    said(&[line, line, b"SSH-2.0-x\r\n"]);
    let reason = ends(1);
    assert!(reason.contains("identification"), "{reason}");
    // Byte by byte it is a header like any other.
    let bytes: Vec<&[u8]> = line.chunks(1).chain([&b"SSH-2.0-x\r\n"[..]]).collect();
    assert!(said(&bytes).starts_with("SSH-2.0-OpenSSH_compatible_Whelk"));
    let reason = ends(2);
    assert!(!reason.contains("identification"), "{reason}");
    let finished = from(&gateway, "127.0.0.12", "guest", &Access::Nothing).run(Input::Nothing);
    assert_eq!(finished.status, Some(5), "{}", finished.err);
    gateway.end();
}
