//! Prints the client's terminal: its name and size at first, and its size again whenever the window changes.
//!
//! A handler's terminal is raw: keys arrive as they are pressed, and lines must end in `\r\n`. `terminal::cook` would
//! change that.

use whelk_guest::{Pty, Session, WindowSize, finish, plugin, print, pty, terminal};

#[derive(Default)]
struct Terminal;

impl Session for Terminal {
    fn shell(&mut self) -> bool {
        match pty() {
            Some(pty) => print(greeting(&pty, terminal::size().unwrap_or(pty.size))),
            None => {
                print("no terminal: try ssh -t\r\n");
                finish(0);
            }
        }
        true
    }

    fn window_change(&mut self, size: WindowSize) {
        print(format!("{}\r\n", describe(size)));
    }

    fn data(&mut self, data: &[u8]) {
        if data.contains(&b'q') || terminal::wants_to_leave(data) {
            finish(0);
        }
    }
}

/// The client chooses the bytes of the name: escape them, so that they cannot control the terminal.
fn greeting(pty: &Pty, size: WindowSize) -> String {
    format!("terminal {}, {}\r\nresize the window, or press q to leave\r\n", pty.term.escape_debug(), describe(size))
}

fn describe(size: WindowSize) -> String {
    let WindowSize { columns, rows, width_px, height_px } = size;
    format!("{columns} columns, {rows} rows, {width_px} x {height_px} pixels")
}

plugin!(Terminal);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_has_the_clients_terminal_without_control_characters() {
        let size = WindowSize { columns: 80, rows: 24, width_px: 640, height_px: 480 };
        let pty = Pty { term: "xterm\x1b[2J".to_owned(), size, modes: Vec::new() };
        let lines = "terminal xterm\\u{1b}[2J, 80 columns, 24 rows, 640 x 480 pixels\r\nresize the window, or press q to leave\r\n";
        assert_eq!(greeting(&pty, size), lines);
    }
}
