//! Libraries: a process with many connections, each of which does one thing after the other and checks what it gets.

use std::process::Command;
use std::time::Duration;

use whelk_tests::{Input, Output, Running, client_program, repository, size};

use crate::soak::load::{End, Load};
use crate::soak::slot::{Slot, scale};

/// The time limit of a process: longer than any soak.
const LIMIT: Duration = Duration::from_secs(24 * 3_600);

pub(super) fn paramiko(load: &Load, slot: &Slot, _turn: u64) -> Result<End, String> {
    drive(load, slot, "python", "soak_paramiko.py")
}

pub(super) fn asyncssh(load: &Load, slot: &Slot, _turn: u64) -> Result<End, String> {
    drive(load, slot, "python", "soak_asyncssh.py")
}

pub(super) fn ssh2(load: &Load, slot: &Slot, _turn: u64) -> Result<End, String> {
    drive(load, slot, "node", "soak_ssh2.js")
}

/// Runs the driver until the load is over. It prints a line for each connection at its end, and one for whatever went
/// wrong.
fn drive(load: &Load, slot: &Slot, language: &str, driver: &str) -> Result<End, String> {
    let connections = slot.kind.connections[scale()];
    let mut command = Command::new(client_program(language));
    command.arg(repository().join("tests/interop").join(driver));
    command.args(["--port", &load.site.gateway.port().to_string(), "--user", "alice", "--key"]);
    command.arg(load.site.keys.openssh());
    command.args(["--connections", &connections.to_string(), "--first", &(slot.number * connections).to_string()]);
    command.args(["--pause", &size(300, 10_000).to_string()]);
    let running = Running::start(command, Input::Held, Output::Read, LIMIT);
    while !load.is_over() && running.is_alive() {
        running.wait_at_most(Duration::from_millis(500), |seen| seen.status);
    }
    let finished = running.finish();
    let text = finished.out.text();
    let done = text.lines().filter(|line| line.starts_with("ok ")).count();
    let wrong: Vec<_> = text.lines().filter(|line| !line.starts_with("ok ")).collect();
    if finished.status == Some(0) && wrong.is_empty() && u64::try_from(done) == Ok(connections) {
        return Ok(End::Done);
    }
    Err(format!("status {:?}, {done} of {connections}; {}; {}", finished.status, wrong.join("; "), finished.err))
}
