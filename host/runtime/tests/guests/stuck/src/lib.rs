//! A plugin that never completes its own start, which is part of instantiation: it loops there, or waits if the fact
//! `attr.start` is `sleep`. As `unborn` it crashes instead.

wit_bindgen::generate!({ path: "../../../../../wit", world: "whelk:ssh/session-plugin", generate_all });

use exports::whelk::ssh::session::{Ending, Guest, Pty, SignalName, WindowSize};

/// The name that wit-component looks for: called first when the instance is made.
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    if cfg!(feature = "crash") {
        std::process::abort();
    }
    if whelk::ssh::connection::get("attr.start").as_deref() == Some("sleep") {
        std::thread::sleep(std::time::Duration::from_secs(3600));
    }
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

struct Stuck;

impl Guest for Stuck {
    fn open() -> bool {
        true
    }
    fn env(_: String, _: Vec<u8>) -> bool {
        true
    }
    fn pty_req(_: Pty) -> bool {
        true
    }
    fn shell() -> bool {
        true
    }
    fn exec(_: Vec<u8>) -> bool {
        true
    }
    fn subsystem(_: String) -> bool {
        true
    }
    fn window_change(_: WindowSize) {}
    fn signal(_: SignalName) {}
    fn data(_: Vec<u8>) {}
    fn extended_data(_: u32, _: Vec<u8>) {}
    fn eof() {}
    fn close() {}
    fn closed(_: Ending) {}
}

export!(Stuck);
