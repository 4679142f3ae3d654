//! A plugin for channels of a type of its own, and for sessions: it says what it is, and what arrives.

use whelk_guest::{
    BreakHandler, Output, RequestHandler, Session, SignalName, connection, finish, hand_over, plugin, print, send_eof,
    write,
};

#[derive(Default)]
struct Line {
    /// It has said that no more output follows: the next input ends it, with its length as the status.
    half: bool,
}

impl Session for Line {
    fn open(&mut self) -> bool {
        let fact = |name| connection::get(name).unwrap_or_default();
        match connection::get("channel-type") {
            // "no"
            Some(_) if fact("channel-payload") == "6e6f" => return false,
            // "trap"
            Some(_) if fact("channel-payload") == "74726170" => panic!("asked to"),
            Some(kind) => print(format!("{kind} {}\n", fact("channel-payload"))),
            None => {}
        }
        true
    }

    fn data(&mut self, data: &[u8]) {
        if self.half {
            return finish(data.len() as u32);
        }
        match data {
            b"half" => {
                send_eof();
                self.half = true;
            }
            b"finish" => finish(7),
            b"trap" => panic!("asked to"),
            b"hand over" => match hand_over("line") {
                Ok(()) => print("handed over"),
                Err(error) => print(error.name()),
            },
            data => print(data),
        }
    }

    fn extended_data(&mut self, kind: u32, data: &[u8]) {
        let _ = write(Output::Extended(kind.wrapping_add(1)), data);
    }

    fn signal(&mut self, name: SignalName) {
        print(format!("signal {name}\n"));
    }

    fn eof(&mut self) {
        print("eof\n");
        finish(0);
    }
}

impl BreakHandler for Line {
    fn on_break(&mut self, length_ms: u32) {
        print(format!("break {length_ms}\n"));
    }
}

impl RequestHandler for Line {
    fn on_request(&mut self, name: &str, payload: &[u8]) -> bool {
        print(format!("request {name} {}\n", payload.escape_ascii()));
        true
    }
}

plugin!(Line: breaks, requests);
