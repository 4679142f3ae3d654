//! Slow people and machines: they lose nothing by it.
//!
//! The short form waits for events only: another connection that ends by its time limit shows that the time has passed
//! here too. A proof waits as long as promised.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use whelk_tests::{
    Access, Call, Client, Gateway, Input, LATER, MIB, Output, Running, SOON, Setup, client_program, repository, size,
    write_script,
};

/// How long a proof that waits for 20 minutes may take.
const MUCH_LATER: Duration = Duration::from_secs(1800);

/// Whether times are as long as promised.
fn is_proof() -> bool {
    size(0, 1) == 1
}

/// Waits this many seconds, in a proof.
fn pass(seconds: u64) {
    let mut clock = Command::new("sleep");
    clock.arg(seconds.to_string());
    let finished = Running::run(clock, Input::Nothing, Duration::from_secs(seconds) + SOON);
    assert_eq!(finished.status, Some(0), "{}", finished.err);
}

/// A gateway where anybody may log in as `probe`, with further limits in the short form.
fn gateway(limits: &str) -> Gateway {
    let limits = if is_proof() { "" } else { limits };
    Setup::default()
        .configuration(&format!("[users.probe]\nplugin = \"probe\"\nauth = \"none\"\n\n[limits]\n{limits}\n"))
        .start()
}

/// A connection that sends its identification and then nothing, until the server ends it.
fn wait_for_a_strangers_end(gateway: &Gateway) {
    let mut socket = TcpStream::connect(("127.0.0.1", gateway.port())).expect("the gateway listens");
    socket.set_read_timeout(Some(SOON)).expect("a minute is a time");
    socket.write_all(b"SSH-2.0-silent\r\n").expect("a fresh connection takes a line");
    let mut said = Vec::new();
    // A reset ends the connection too.
    let _ = socket.read_to_end(&mut said);
    assert!(said.starts_with(b"SSH-2.0-"), "{}", String::from_utf8_lossy(&said));
}

/// A named pipe on which programs wait for a word.
fn named_pipe(folder: &Path) -> PathBuf {
    let path = folder.join("word");
    let mut command = Command::new("mkfifo");
    command.arg(&path);
    let finished = Running::run(command, Input::Nothing, SOON);
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    path
}

/// Sends it to all that wait, now or later, as long as the file exists.
fn say_go(pipe: &Path, listeners: usize) -> std::fs::File {
    let mut file = std::fs::File::options().read(true).write(true).open(pipe).expect("our own pipe");
    file.write_all("\n".repeat(listeners).as_bytes()).expect("a pipe has room for a few bytes");
    file
}

/// A program that OpenSSH asks whether the host key is right, and that takes its time.
struct Thinker {
    program: PathBuf,
    pipe: PathBuf,
}

impl Thinker {
    fn new(gateway: &Gateway) -> Self {
        let (program, pipe) = (gateway.folder().join("think"), named_pipe(gateway.folder()));
        write_script(&program, &format!("echo asked >&2\nread -r word < '{}'\necho yes", pipe.display()));
        Self { program, pipe }
    }

    /// A client that waits for that program.
    fn ask(&self, gateway: &Gateway) -> Running {
        let call = Call::new(Client::OpenSsh100, gateway, "probe").exec("exit 5").option("-oStrictHostKeyChecking=ask");
        // A password, so that the program is asked; it is never needed.
        let mut command = call.access(Access::password("")).command();
        command.env("SSH_ASKPASS", &self.program);
        Running::start(command, Input::Nothing, Output::Read, LATER)
    }
}

#[test]
fn a_user_who_reads_the_fingerprint_for_long_logs_in() {
    let gateway = gateway("key_exchange_grace = \"1 s\"");
    let thinker = Thinker::new(&gateway);
    let client = thinker.ask(&gateway);
    client.wait_for_stderr("asked");
    if is_proof() {
        pass(100);
    } else {
        wait_for_a_strangers_end(&gateway);
    }
    let _word = say_go(&thinker.pipe, 1);
    let finished = client.finish();
    assert_eq!(finished.status, Some(5), "{}", finished.err);
    gateway.end();
}

#[test]
fn forty_logins_at_once_from_one_address_all_succeed() {
    let gateway = gateway("");
    let thinker = Thinker::new(&gateway);
    let clients: Vec<Running> = (0..40).map(|_| thinker.ask(&gateway)).collect();
    // No client goes on before all are there: these are forty unauthenticated connections at the same time.
    for client in &clients {
        client.wait_for_stderr("asked");
    }
    if is_proof() {
        pass(60);
    }
    let _word = say_go(&thinker.pipe, clients.len());
    for client in clients {
        let finished = client.finish();
        assert_eq!(finished.status, Some(5), "{}", finished.err);
    }
    gateway.end();
}

// PuTTY asks for the name after the key exchange and before its first request.
#[test]
fn a_user_who_types_the_name_slowly_logs_in() {
    let gateway = gateway("key_exchange_grace = \"1 s\"");
    let mut command = Command::new(client_program("python"));
    command.arg(repository().join("tests/interop/slow_name.py"));
    command.args(["--port", &gateway.port().to_string(), "--exec", "exit 5"]);
    let mut client = Running::start(command, Input::Held, Output::Read, LATER);
    client.wait_for_output("login as:");
    if is_proof() {
        pass(100);
    } else {
        wait_for_a_strangers_end(&gateway);
    }
    client.type_in(b"probe\n");
    let finished = client.finish();
    assert_eq!(finished.status, Some(5), "{}", finished.err);
    gateway.end();
}

/// `zeros BYTES | (wait; wc -c)`: the client gets all of the output and the right status. A proof waits that long, the
/// short form for the event `meanwhile`.
fn read_late(bytes: u64, seconds: u64, meanwhile: impl Fn(&Gateway)) {
    let gateway = gateway("");
    let pipe = named_pipe(gateway.folder());
    let call = Call::new(Client::OpenSsh100, &gateway, "probe").exec(&format!("zeros {bytes}")).command();
    let mut command = Command::new("sh");
    let script = r#"pipe=$1; shift; { "$@"; echo "status $?" >&2; } | { read -r word < "$pipe"; wc -c; }"#;
    command.args(["-c", script, "sh"]).arg(&pipe).arg(call.get_program()).args(call.get_args());
    let reader = Running::start(command, Input::Nothing, Output::Read, MUCH_LATER);
    if is_proof() {
        pass(seconds)
    } else {
        meanwhile(&gateway)
    }
    let _word = say_go(&pipe, 1);
    let finished = reader.finish();
    assert_eq!(finished.out.text().trim(), bytes.to_string(), "{}", finished.err);
    assert!(finished.err.contains("status 0"), "{}", finished.err);
    gateway.end();
}

// More than the client's window and the pipe hold, by less than the gateway buffers: the plugin has ended.
#[test]
fn output_that_is_read_late_is_complete() {
    read_late(2_300_000, 40, |gateway| {
        gateway.wait("end of the plugin", |event| {
            (event.is_from_plugin() && event.message == "closed(finished)").then_some(())
        });
    });
}

// Far more than all of that: the plugin itself waits.
#[test]
fn a_window_that_stays_closed_for_long_loses_nothing() {
    read_late(64 * MIB, 1200, |gateway| {
        for _ in 0..3 {
            let finished = Call::new(Client::OpenSsh100, gateway, "probe").exec("zeros 1000").run(Input::Nothing);
            assert_eq!(finished.out.total, 1000, "{}", finished.err);
        }
    });
}

fn signal(to: &Running, signal: rustix::process::Signal) {
    rustix::process::kill_process(to.pid(), signal).expect("it runs");
}

/// A client that prints its key exchanges, one a second; returns when some have been made.
fn wait_for_key_exchanges(gateway: &Gateway, count: usize) {
    let call = Call::new(Client::OpenSsh100, gateway, "probe").option("-v").exec("tick 1000000 50");
    let busy = call.start();
    busy.wait("key exchanges", |seen| {
        (seen.err.text().matches("SSH2_MSG_NEWKEYS received").count() > count).then_some(())
    });
    busy.kill_and_wait();
}

// Its kernel acknowledges what arrives, and it answers nothing itself.
#[test]
fn a_client_that_was_stopped_continues() {
    let gateway = gateway("rekey_time = \"1 s\"\nrekey_grace = \"2 s\"");
    let call = || Call::new(Client::OpenSsh100, &gateway, "probe");
    let mut idle = call().exec("cat").start_long();
    idle.type_in(b"before\n");
    idle.wait_for_output("before");
    let download = call().exec(&format!("zeros {}", 64 * MIB)).start_long();
    download.wait("beginning", |seen| (seen.out.total > 0).then_some(()));
    signal(&idle, rustix::process::Signal::STOP);
    signal(&download, rustix::process::Signal::STOP);
    if is_proof() {
        pass(150);
    } else {
        // Longer than the time limit of a key exchange that began with a stopped client.
        wait_for_key_exchanges(&gateway, 5);
    }
    signal(&idle, rustix::process::Signal::CONT);
    signal(&download, rustix::process::Signal::CONT);
    idle.type_in(b"after\n");
    idle.wait_for_output("after");
    assert_eq!(idle.finish().status, Some(0));
    let finished = download.finish();
    assert_eq!(finished.out.total, 64 * MIB, "{}", finished.err);
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    gateway.end();
}
