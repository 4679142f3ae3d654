//! Many sessions on one connection.

use std::path::PathBuf;
use std::time::Instant;
use whelk_tests::{Call, Client, Gateway, Input, LATER, MIB, Output, Running, figure, size};

/// An OpenSSH master, whose connection the others share.
struct Master {
    socket: PathBuf,
    _running: Running,
}

impl Master {
    fn open(gateway: &Gateway) -> Self {
        let socket = gateway.folder().join("master");
        let path = socket.to_str().expect("a temporary folder has a plain name");
        let call = Call::new(Client::OpenSsh100, gateway, "probe").option("-v").option("-M").option("-N").option("-S");
        let running = Running::start(call.option(path).command(), Input::Nothing, Output::Read, LATER);
        running.wait_for_stderr("Entering interactive session");
        Self { socket, _running: running }
    }

    fn call(&self, gateway: &Gateway, command: &str) -> Call {
        let path = self.socket.to_str().expect("a temporary folder has a plain name");
        Call::new(Client::OpenSsh100, gateway, "probe").exec(command).option("-S").option(path)
    }
}

/// Nine downloads at once; returns the time until the last is complete.
fn nine_downloads(gateway: &Gateway, master: &Master, bytes: u64) -> f64 {
    let started = Instant::now();
    let call = || master.call(gateway, &format!("zeros {bytes}"));
    let running: Vec<Running> =
        (0..9).map(|_| Running::start(call().command(), Input::Nothing, Output::Read, LATER)).collect();
    for one in running {
        let finished = one.finish();
        assert_eq!(finished.status, Some(0), "{}", finished.err);
        assert_eq!(finished.out.total, bytes);
    }
    started.elapsed().as_secs_f64()
}

#[test]
fn an_unread_session_does_not_delay_nine_others_on_its_connection() {
    let gateway = Gateway::demonstration();
    let master = Master::open(&gateway);
    let bytes = size(4, 64) * MIB;
    let free = nine_downloads(&gateway, &master, bytes);
    let blocked = master.call(&gateway, "zeros 1000000000000").start_and_stall(1);
    let beside = nine_downloads(&gateway, &master, bytes);
    assert!(blocked.is_alive(), "the session that nobody reads has ended: {}", blocked.said());
    figure(
        &format!("nine times {} MiB, rate beside an unread session", bytes / MIB),
        format!("{:.2} of alone", free / beside),
    );
    let connections = gateway.wait_all("connection", |events| {
        Some(events.iter().filter(|event| event.message == "connection opened").count())
    });
    assert_eq!(connections, 1, "the sessions did not share one connection");
    blocked.kill_and_wait();
    gateway.end();
}
