//! Programs that come for one thing.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use whelk_tests::{Client, Input, LATER, MIB, Output, Running, client_program, openssh_tool, size};

use crate::soak::load::{End, Load};
use crate::soak::slot::{Slot, call, expect};

/// One command by one of all clients.
pub(super) fn command(load: &Load, slot: &Slot, turn: u64) -> Result<End, String> {
    let client = slot.choose(turn, &Client::ALL);
    let call = call(load, client, "guest");
    let ended = match slot.random(turn) % 4 {
        0 => {
            let status = i32::try_from(slot.random(turn + 1) % 100).expect("less than 100");
            expect(&call.exec(&format!("exit {status}")).run_long(Input::Nothing), status, b"")
        }
        1 => {
            let bytes = slot.bytes(turn, 100_000);
            expect(&call.exec("cat").run_long(Input::Bytes(bytes.clone())), 0, &bytes)
        }
        2 => expect(&call.exec("zeros 3000000").run_long(Input::Nothing), 0, &vec![0; 3_000_000]),
        _ => {
            let finished = call.exec("sink").run_long(Input::Generated(MIB));
            let expected = format!("{MIB} {}\n", finished.fed.clone().unwrap_or_default());
            expect(&finished, 0, expected.as_bytes())
        }
    };
    ended.map_err(|error| format!("{client:?}: {error}"))
}

/// The programs that transfer files.
const TOOLS: [&str; 8] = ["sftp-10.0", "scp-10.0", "psftp", "scp-9.2 -O", "sftp-9.2", "pscp", "scp-9.2", "scp-10.0 -O"];

/// A file there and back.
pub(super) fn files(load: &Load, slot: &Slot, turn: u64) -> Result<End, String> {
    let tool = slot.choose(turn, &TOOLS);
    let folder = load.site.local().join(format!("files-{}", slot.number));
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let (data, back) = (folder.join("data"), folder.join("back"));
    let bytes = slot.bytes(turn, 50_000 + slot.random(turn) % 500_000);
    fs::write(&data, &bytes).map_err(|error| error.to_string())?;
    // From another transfer.
    let _ = fs::remove_file(&back);
    let there = format!("there-{}", slot.number);
    let remote = format!("alice@127.0.0.1:{there}");
    let commands = if tool.contains("sftp") {
        let script = folder.join("commands");
        let lines = format!("put {} {there}\nget {there} {}\nrm {there}\n", data.display(), back.display());
        fs::write(&script, lines).map_err(|error| error.to_string())?;
        let mut command = transfer(load, tool, &folder);
        command.arg("-b").arg(script).arg("alice@127.0.0.1");
        vec![command]
    } else {
        let (mut up, mut down) = (transfer(load, tool, &folder), transfer(load, tool, &folder));
        up.arg(&data).arg(&remote);
        down.arg(&remote).arg(&back);
        vec![up, down]
    };
    for command in commands {
        let finished = Running::run(command, Input::Nothing, LATER);
        if finished.status != Some(0) {
            return Err(format!("{tool}: status {:?}; {}{}", finished.status, finished.out.text(), finished.err));
        }
    }
    let found = fs::read(&back).map_err(|error| format!("{tool}: {error}"))?;
    if found == bytes { Ok(End::Done) } else { Err(format!("{tool}: another file came back")) }
}

/// One of the tools, with its options, as `alice`.
fn transfer(load: &Load, tool: &str, folder: &Path) -> Command {
    let (program, option) = tool.split_once(' ').unwrap_or((tool, ""));
    let site = load.site;
    let port = site.gateway.port().to_string();
    let mut command = if let Some((_, version)) = program.split_once('-') {
        let mut command = openssh_tool(program, &site.keys);
        command.arg("-S").arg(client_program(&format!("ssh-{version}")));
        command
    } else {
        let mut command = Command::new(client_program(program));
        command.env("HOME", folder).args(["-batch", "-noagent"]).arg("-i").arg(site.keys.putty());
        command.args(site.fingerprints.iter().flat_map(|fingerprint| ["-hostkey", fingerprint]));
        command
    };
    command.args(["-P", &port]);
    if !option.is_empty() {
        command.arg(option);
    }
    command
}

/// A connection that several sessions share, one after the other and at once.
pub(super) fn master(load: &Load, slot: &Slot, turn: u64) -> Result<End, String> {
    let client = slot.choose(turn, &[Client::OpenSsh100, Client::OpenSsh92]);
    let socket = load.site.local().join(format!("master-{}-{turn}", slot.number));
    let path = socket.display().to_string();
    let guest = || call(load, client, "guest").option("-S").option(&path);
    let master = guest().option("-v").option("-M").option("-N");
    let master = Running::start(master.command(), Input::Nothing, Output::Read, LATER);
    master.wait_for_stderr("Entering interactive session");
    for round in 0..size(2, 6) {
        let bytes = slot.bytes(turn + round, 10_000);
        let sessions = [
            (guest().exec("exit 3"), Input::Nothing, 3, &b""[..]),
            (guest().exec("cat"), Input::Bytes(bytes.clone()), 0, &bytes[..]),
            (guest().exec("print both"), Input::Nothing, 0, &b"both"[..]),
        ];
        let started = sessions.map(|(call, input, status, output)| {
            (Running::start(call.command(), input, Output::Read, LATER), status, output)
        });
        for (running, status, output) in started {
            expect(&running.finish(), status, output)?;
        }
        if !load.pause(slot.spread(turn + round, Duration::from_millis(size(300, 10_000)))) {
            break;
        }
    }
    if !master.is_alive() {
        return Err(format!("the connection has ended: {}", master.said()));
    }
    master.kill_and_wait();
    fs::remove_file(socket).map_err(|error| error.to_string())?;
    Ok(End::Killed)
}

/// A client that is killed: while it logs in, while it receives, or while it sends.
pub(super) fn killed(load: &Load, slot: &Slot, turn: u64) -> Result<End, String> {
    let client = slot.choose(turn, &[Client::OpenSsh100, Client::Dbclient, Client::Plink, Client::XCrypto]);
    let call = call(load, client, "guest");
    let running = match turn % 3 {
        0 => call.exec("zeros 1000000000000").start_and_stall(3 * MIB),
        1 => {
            let sink = call.exec("discard");
            Running::start(sink.command(), Input::Generated(1 << 40), Output::Read, LATER)
        }
        _ => Running::start(call.exec("cat").command(), Input::Nothing, Output::Read, LATER),
    };
    load.pause(Duration::from_millis(slot.random(turn) % 500));
    let is_short = turn % 3 == 2;
    if !is_short && !running.is_alive() {
        return Err(format!("{client:?} has ended: {}", running.said()));
    }
    running.kill_and_wait();
    Ok(End::Killed)
}
