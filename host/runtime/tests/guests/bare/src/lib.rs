//! The smallest plugin: no optional handler. Every function returns its default and logs a line.

wit_bindgen::generate!({ path: "../../../../../wit", world: "whelk:ssh/session-plugin", generate_all });

use exports::whelk::ssh::session::{Ending, Guest, Pty, SignalName, WindowSize};
use whelk::ssh::{channel, log, timers, types};

struct Bare;

impl Guest for Bare {
    fn open() -> bool {
        true
    }
    fn env(_: String, _: Vec<u8>) -> bool {
        false
    }
    fn pty_req(_: Pty) -> bool {
        true
    }
    fn shell() -> bool {
        timers::set(1, 10, Some(10)).is_ok()
    }
    fn exec(_: Vec<u8>) -> bool {
        true
    }
    fn subsystem(_: String) -> bool {
        false
    }
    fn window_change(_: WindowSize) {}
    fn signal(_: SignalName) {}
    fn data(data: Vec<u8>) {
        // The client may have left; then there is nobody to tell.
        let _ = channel::write(types::Output::Stdout, &data);
    }
    fn extended_data(_: u32, _: Vec<u8>) {}
    fn eof() {
        channel::finish(&types::Exit::Status(0));
    }
    fn close() {}
    fn closed(why: Ending) {
        log::log(log::Level::Info, &format!("closed {why:?}"));
    }
}

export!(Bare);
