//! A plugin that does what no plugin should, on demand: `exec "W5 steps"` commits the deed of row W5, in the shape
//! `steps`.
//!
//! `in FUNCTION DEED` puts it off until the host calls that function, and gives back what it is given until then. What
//! comes before `exec` is armed by the value of a variable (`LC_DEED="in pty-req W24 panic"`), and `open` by the name
//! of the user (`open-W2`).
//!
//! This file knows when a deed is due. The behaviours are in `behaviours.rs`; `raw.rs` breaks the rules that a compiler
//! keeps, `files.rs` and `escape.rs` are about the tenant's directory.

mod after;
mod bindings;
mod behaviours;
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
    /// Functions and the behaviours that wait in them.
    static ARMED: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
}

/// Commits a deed, or arms it.
fn obey(line: &str) {
    let Some(rest) = line.strip_prefix("in ") else { return commit(line) };
    let (function, deed) = rest.split_once(' ').expect("`in FUNCTION DEED`");
    ARMED.with_borrow_mut(|armed| armed.push((function.to_owned(), deed.to_owned())));
    match function {
        "on-timer" => timers::set(1, 10, None).expect("one timer is allowed"),
        // The host tells of room once there was none.
        "on-writable" => say(&vec![b'w'; channel::writable() as usize]),
        _ => {}
    }
}

fn commit(line: &str) {
    match behaviours::commit(line) {
        After::Nothing => {}
        After::Report(text) => {
            say(text.as_bytes());
            channel::finish(&Exit::Status(0));
        }
    }
}

/// The host has called this function. Says whether a deed was waiting.
fn called(function: &str) -> bool {
    let deed = ARMED.with_borrow(|armed| armed.iter().find(|(name, _)| name == function).map(|(_, deed)| deed.clone()));
    deed.is_some_and(|deed| {
        commit(&deed);
        true
    })
}

struct Villain;

impl session::Guest for Villain {
    fn open() -> bool {
        let user = connection::get("user").unwrap_or_default();
        if let Some(deed) = user.strip_prefix("open-") {
            commit(deed);
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
        // What is still due in another function will come.
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

impl timer_handler::Guest for Villain {
    fn on_timer(_: u32) {
        called("on-timer");
    }
}

impl drain_handler::Guest for Villain {
    fn on_writable() {
        called("on-writable");
    }
}

impl break_handler::Guest for Villain {
    fn on_break(_: u32) {
        called("on-break");
    }
}

impl request_handler::Guest for Villain {
    fn on_request(_: String, _: Vec<u8>) -> bool {
        called("on-request");
        true
    }
}

bindings::export!(Villain with_types_in bindings);
