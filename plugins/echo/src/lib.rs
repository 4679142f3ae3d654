//! Repeats its input: the smallest plugin that does something. At a terminal, Ctrl-C or Ctrl-D leaves it.

use whelk_guest::{Session, finish, plugin, print, terminal};

#[derive(Default)]
struct Echo;

impl Session for Echo {
    fn data(&mut self, data: &[u8]) {
        print(format!("echo: \"{}\"\r\n", data.escape_ascii()));
        if terminal::wants_to_leave(data) {
            finish(0);
        }
    }

    fn eof(&mut self) {
        print("eof received\r\n");
        finish(0);
    }
}

plugin!(Echo);
