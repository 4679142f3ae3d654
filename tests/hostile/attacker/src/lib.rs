//! A plugin that misbehaves on demand: `exec "W5 steps"` runs the behaviour of row W5 with the parameter `steps`.
//!
//! `in FUNCTION BEHAVIOUR` delays it until the host calls that function; until then the plugin echoes its input. For
//! functions that are called before `exec`, the value of a variable sets the behaviour
//! (`LC_BEHAVIOUR="in pty-req W24 panic"`), and for `open` the name of the user (`open-W2`).
//!
//! This file decides when a behaviour is due. `behaviours.rs` has the behaviours; `raw.rs` violates what a compiler
//! ensures, `files.rs` and `escape.rs` attack the tenant's directory.

mod after;
mod behaviours;
mod bindings;
mod escape;
mod files;
mod raw;

use std::cell::RefCell;

use after::{After, say};
use bindings::exports::whelk::ssh::{break_handler, drain_handler, request_handler, session, timer_handler};
use bindings::whelk::ssh::types::Exit;
use bindings::whelk::ssh::{channel, connection, timers};
use session::{Ending, Pty, SignalName, WindowSize};

thread_local! {
    /// Functions and the behaviours that wait for their call.
    static ARMED: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
}

/// Runs a behaviour, or arms it.
fn obey(line: &str) {
    let Some(rest) = line.strip_prefix("in ") else { return behave(line) };
    let (function, behaviour) = rest.split_once(' ').expect("`in FUNCTION BEHAVIOUR`");
    ARMED.with_borrow_mut(|armed| armed.push((function.to_owned(), behaviour.to_owned())));
    match function {
        "on-timer" => timers::set(1, 10, None).expect("one timer is allowed"),
        // The host calls `drain` only after there was no room.
        "on-writable" => say(&vec![b'w'; channel::writable() as usize]),
        _ => {}
    }
}

fn behave(line: &str) {
    match behaviours::behave(line) {
        After::Nothing => {}
        After::Report(text) => {
            say(text.as_bytes());
            channel::finish(&Exit::Status(0));
        }
    }
}

/// The host has called this function. Returns whether a behaviour was waiting for it.
fn called(function: &str) -> bool {
    let behaviour = ARMED
        .with_borrow(|armed| armed.iter().find(|(name, _)| name == function).map(|(_, behaviour)| behaviour.clone()));
    behaviour.is_some_and(|behaviour| {
        behave(&behaviour);
        true
    })
}

struct Attacker;

impl session::Guest for Attacker {
    fn open() -> bool {
        let user = connection::get("user").unwrap_or_default();
        if let Some(behaviour) = user.strip_prefix("open-") {
            behave(behaviour);
        }
        true
    }

    fn env(_name: String, value: Vec<u8>) -> bool {
        if value.starts_with(b"in ") {
            obey(&String::from_utf8_lossy(&value));
        }
        called("env");
        true
    }

    fn pty_req(_: Pty) -> bool {
        called("pty-req");
        true
    }

    fn shell() -> bool {
        called("shell");
        true
    }

    fn exec(command: Vec<u8>) -> bool {
        obey(&String::from_utf8_lossy(&command));
        true
    }

    fn subsystem(_: String) -> bool {
        called("subsystem");
        true
    }

    fn window_change(_: WindowSize) {
        called("window-change");
    }

    fn signal(_: SignalName) {
        called("signal");
    }

    fn data(data: Vec<u8>) {
        if !called("data") {
            say(&data);
        }
    }

    fn extended_data(_: u32, _: Vec<u8>) {
        called("extended-data");
    }

    fn eof() {
        // A behaviour that waits for another function is still to come.
        let waits = ARMED
            .with_borrow(|armed| armed.iter().any(|(function, _)| !matches!(function.as_str(), "data" | "closed")));
        if !called("eof") && !waits {
            channel::finish(&Exit::Status(0));
        }
    }

    fn close() {
        called("close");
    }

    fn closed(_: Ending) {
        called("closed");
    }
}

impl timer_handler::Guest for Attacker {
    fn on_timer(_: u32) {
        called("on-timer");
    }
}

impl drain_handler::Guest for Attacker {
    fn on_writable() {
        called("on-writable");
    }
}

impl break_handler::Guest for Attacker {
    fn on_break(_: u32) {
        called("on-break");
    }
}

impl request_handler::Guest for Attacker {
    fn on_request(_: String, _: Vec<u8>) -> bool {
        called("on-request");
        true
    }
}

bindings::export!(Attacker with_types_in bindings);
