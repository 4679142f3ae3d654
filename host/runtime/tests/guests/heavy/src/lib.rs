//! A plugin with much initial data, like a language with its whole runtime: the memory of each instance begins as a
//! copy-on-write of all of it.

wit_bindgen::generate!({ path: "../../../../../wit", world: "whelk:ssh/session-plugin", generate_all });

use std::hint::black_box;

use exports::whelk::ssh::session::{Ending, Guest, Pty, SignalName, WindowSize};
use whelk::ssh::channel;
use whelk::ssh::types::Exit;

static DATA: [u8; 16 << 20] = [0xA5; 16 << 20];

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
