//! A plugin with much to do at its start, like a language with its whole runtime: it copies its data, which the host
//! does for it and no tick interrupts.

wit_bindgen::generate!({ path: "../../../../../wit", world: "whelk:ssh/session-plugin", generate_all });

use std::hint::black_box;

use exports::whelk::ssh::session::{Ending, Guest, Pty, SignalName, WindowSize};
use whelk::ssh::channel;
use whelk::ssh::types::Exit;

const SIZE: usize = 16 << 20;
static DATA: [u8; SIZE] = [0xA5; SIZE];

/// The name that wit-component looks for: called first when the instance is made.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    let copy = black_box(&DATA).to_vec();
    // It is wanted for as long as the instance lives.
    black_box(copy.leak());
}

struct Heavy;

impl Guest for Heavy {
    fn open() -> bool {
        black_box(&DATA)[0] == 0xA5
    }
    fn env(_: String, _: Vec<u8>) -> bool {
        false
    }
    fn pty_req(_: Pty) -> bool {
        true
    }
    fn shell() -> bool {
        channel::finish(&Exit::Status(0));
        true
    }
    fn exec(_: Vec<u8>) -> bool {
        false
    }
    fn subsystem(_: String) -> bool {
        false
    }
    fn window_change(_: WindowSize) {}
    fn signal(_: SignalName) {}
    fn data(_: Vec<u8>) {}
    fn extended_data(_: u32, _: Vec<u8>) {}
    fn eof() {}
    fn close() {}
    fn closed(_: Ending) {}
}

export!(Heavy);
