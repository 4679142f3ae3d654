//! A plugin that makes requests. The command and each piece of data is a script: actions separated by `;`, see `act`.

wit_bindgen::generate!({
    path: "../../../../../wit",
    world: "whelk:ssh/session-plugin",
    generate_all,
});

mod request;

use exports::whelk::ssh::session::{Ending, Guest, Pty, SignalName, WindowSize};
use whelk::ssh::channel;
use whelk::ssh::types::{Exit, Output};

fn say(text: &str) {
    let _ = channel::write(Output::Stdout, text.as_bytes());
}

fn run(script: &[u8]) {
    let script = String::from_utf8_lossy(script).into_owned();
    for action in script.split(';').map(str::trim).filter(|action| !action.is_empty()) {
        let (word, rest) = action.split_once(' ').unwrap_or((action, ""));
        match word {
            "finish" => channel::finish(&Exit::Status(0)),
            _ => {
                let outcome = request::act(word, rest).unwrap_or_else(|error| format!("error {error:?}"));
                say(&format!("{outcome}\n"));
            }
        }
    }
}

struct Fetch;

impl Guest for Fetch {
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
        false
    }
    fn exec(command: Vec<u8>) -> bool {
        run(&command);
        true
    }
    fn subsystem(_: String) -> bool {
        false
    }
    fn window_change(_: WindowSize) {}
    fn signal(_: SignalName) {}
    fn data(data: Vec<u8>) {
        run(&data);
    }
    fn extended_data(_: u32, _: Vec<u8>) {}
    fn eof() {}
    fn close() {}
    fn closed(_: Ending) {}
}

export!(Fetch);
