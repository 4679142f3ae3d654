//! Programs that stay: a session for minutes, with something to do now and then.

use std::time::Duration;

use whelk_tests::{Client, Input, LATER, Output, Running, size};

use crate::soak::load::{End, Load};
use crate::soak::operator::REASON;
use crate::soak::site::REPLACED;
use crate::soak::slot::{Slot, call, expect, start};

/// How many lines a client that stays sends at most, and the time between two.
fn lines() -> (u64, Duration) {
    (size(6, 20), Duration::from_millis(size(500, 10_000)))
}

/// A shell at a terminal, with a command now and then.
pub(super) fn shell(load: &Load, slot: &Slot, turn: u64) -> Result<End, String> {
    let client = slot.choose(turn, &[Client::OpenSsh100, Client::OpenSsh92]);
    let mut shell = start(&call(load, client, "shelly").pty());
    shell.wait_for_output("$ ");
    let (count, beat) = lines();
    for line in 1..=count {
        if !load.pause(slot.spread(turn + line, beat)) {
            break;
        }
        // What the shell prints is not what was typed.
        shell.type_in(format!("echo w$(({line} * 7919))x; cd /tmp; f() {{ return $1; }}; f 3\r").as_bytes());
        shell.wait_for_output(&format!("w{}x", line * 7919));
    }
    shell.type_in(b"exit 7\r");
    let finished = shell.finish();
    if finished.status == Some(7) {
        return Ok(End::Done);
    }
    Err(format!("status {:?}; {}{}", finished.status, finished.out.text(), finished.err))
}

/// A session that echoes a line now and then.
pub(super) fn idle(load: &Load, slot: &Slot, turn: u64) -> Result<End, String> {
    let clients = [Client::OpenSsh92, Client::Plink, Client::OpenSsh100, Client::Dbclient, Client::XCrypto];
    let mut idle = start(&call(load, slot.choose(turn, &clients), "guest").exec("cat"));
    let (count, beat) = lines();
    let mut typed = String::new();
    for line in 1..=count {
        let text = format!("line {line} of {}\n", slot.random(turn));
        idle.type_in(text.as_bytes());
        idle.wait_for_output(&text);
        typed += &text;
        if !load.pause(slot.spread(turn + line, beat)) {
            break;
        }
    }
    expect(&idle.finish(), 0, typed.as_bytes())
}

/// A client that reads no more, until it is killed.
pub(super) fn unread(load: &Load, slot: &Slot, turn: u64) -> Result<End, String> {
    let client = slot.choose(turn, &[Client::OpenSsh100, Client::Plink, Client::OpenSsh92, Client::XCrypto]);
    let unread = call(load, client, "guest").exec("zeros 1000000000000").start_and_stall(1);
    load.pause(slot.spread(turn, Duration::from_secs(size(3, 60))));
    if !unread.is_alive() {
        return Err(format!("ended: {}", unread.said()));
    }
    unread.kill_and_wait();
    Ok(End::Killed)
}

/// A session that waits for the operator to end it.
pub(super) fn victim(load: &Load, slot: &Slot, turn: u64) -> Result<End, String> {
    let client = slot.choose(turn, &[Client::OpenSsh100, Client::OpenSsh92]);
    let mut victim = start(&call(load, client, "victim").exec("cat"));
    victim.type_in(b"here\n");
    // The operator may be faster.
    victim.wait("the end", |seen| seen.status);
    let finished = victim.finish();
    if finished.status == Some(255) && finished.err.contains(REASON) {
        return Ok(End::ByOperator);
    }
    Err(format!("status {:?}; {}{}", finished.status, finished.out.text(), finished.err))
}

/// A session of a plugin that is replaced now and then.
pub(super) fn replaced(load: &Load, slot: &Slot, turn: u64) -> Result<End, String> {
    let client = slot.choose(turn, &[Client::OpenSsh100, Client::OpenSsh92]);
    let call = call(load, client, "swap").exec("cat");
    let mut session = Running::start(call.command(), Input::Held, Output::Read, LATER);
    session.type_in(b"here\n");
    while !load.is_over() && session.is_alive() {
        session.wait_at_most(Duration::from_millis(500), |seen| seen.status);
    }
    let finished = session.finish();
    match finished.status {
        Some(0) if load.is_over() && finished.out.kept == b"here\n" => Ok(End::Done),
        Some(255) if finished.err.contains(REPLACED) => Ok(End::Replaced),
        status => Err(format!("status {status:?}; {}{}", finished.out.text(), finished.err)),
    }
}
