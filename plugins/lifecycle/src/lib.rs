//! Prints and logs every event of a session, with its arguments, as it arrives.
//!
//! One line for each event, named as in `wit/session.wit`. The host holds back what is printed before the start
//! (`shell`, `exec` or `subsystem`), so it appears right after the start. The plugin accepts every request. At a
//! terminal, Ctrl-C or Ctrl-D leaves it.

use std::fmt::Write;

use whelk_guest::{
    BreakHandler, Ending, Pty, RequestHandler, Session, SignalName, TerminalMode, WindowSize, finish, log, plugin,
    print, terminal,
};

#[derive(Default)]
struct Lifecycle;

impl Session for Lifecycle {
    fn open(&mut self) -> bool {
        show("open");
        true
    }

    fn env(&mut self, name: &str, value: &[u8]) -> bool {
        show(&format!("env {}={}", name.escape_debug(), quoted(value)));
        true
    }

    fn pty_req(&mut self, pty: &Pty) -> bool {
        show(&format!("pty-req {} {} modes:{}", quoted(pty.term.as_bytes()), size(pty.size), modes(&pty.modes)));
        true
    }

    fn shell(&mut self) -> bool {
        show("shell");
        true
    }

    fn exec(&mut self, command: &[u8]) -> bool {
        show(&format!("exec {}", quoted(command)));
        true
    }

    fn subsystem(&mut self, name: &str) -> bool {
        show(&format!("subsystem {}", quoted(name.as_bytes())));
        true
    }

    fn window_change(&mut self, to: WindowSize) {
        show(&format!("window-change {}", size(to)));
    }

    fn signal(&mut self, name: SignalName) {
        show(&format!("signal {}", name.to_string().escape_debug()));
    }

    fn data(&mut self, data: &[u8]) {
        show(&format!("data {}", quoted(data)));
        if terminal::wants_to_leave(data) {
            finish(0);
        }
    }

    fn extended_data(&mut self, kind: u32, data: &[u8]) {
        show(&format!("extended-data {kind} {}", quoted(data)));
    }

    fn eof(&mut self) {
        show("eof");
        finish(0);
    }

    fn close(&mut self) {
        show("close");
    }

    /// The client has left, so there is nobody to print for.
    fn closed(&mut self, why: Ending) {
        log::info(format!("closed {}", ending(why)));
    }
}

impl BreakHandler for Lifecycle {
    fn on_break(&mut self, length_ms: u32) {
        show(&format!("break {length_ms} ms"));
    }
}

impl RequestHandler for Lifecycle {
    fn on_request(&mut self, name: &str, payload: &[u8]) -> bool {
        show(&format!("request {} {}", name.escape_debug(), quoted(payload)));
        true
    }
}

plugin!(Lifecycle: breaks, requests);

fn show(event: &str) {
    log::info(event);
    print(format!("{event}\r\n"));
}

/// Formats bytes as a Rust string literal, so that they cannot move the cursor or break the line.
fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

fn size(size: WindowSize) -> String {
    let WindowSize { columns, rows, width_px, height_px } = size;
    format!("{columns}x{rows} ({width_px}x{height_px} px)")
}

/// ` ECHO=1 ICANON=1 mode-200=7`: modes by name, those without a name by number.
fn modes(modes: &[TerminalMode]) -> String {
    let mut line = String::new();
    for TerminalMode { opcode, argument } in modes {
        let written = match terminal::mode_name(*opcode) {
            Some(name) => write!(line, " {name}={argument}"),
            None => write!(line, " mode-{opcode}={argument}"),
        };
        written.expect("a string takes whatever is written to it");
    }
    line
}

fn ending(why: Ending) -> &'static str {
    match why {
        Ending::Finished => "finished",
        Ending::ClientClosed => "client-closed",
        Ending::ConnectionLost => "connection-lost",
        Ending::Drained => "drained",
        Ending::Routed => "routed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_shown_by_name_and_unknown_ones_by_number() {
        let list = [(53, 1), (42, 0), (128, 38400), (200, 7)];
        let list = list.map(|(opcode, argument)| TerminalMode { opcode, argument });
        assert_eq!(modes(&list), " ECHO=1 IUTF8=0 TTY_OP_ISPEED=38400 mode-200=7");
    }

    #[test]
    fn bytes_are_shown_without_control_characters() {
        assert_eq!(quoted(b"a\x1b[2J\"\r\n\xff"), r#""a\x1b[2J\"\r\n\xff""#);
    }
}
