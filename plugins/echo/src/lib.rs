//! Says back what it is told: the smallest plugin that does something.

use whelk_guest::{Session, finish, plugin, print};

#[derive(Default)]
struct Echo;

impl Session for Echo {
    fn data(&mut self, data: &[u8]) {
        print(format!("echo: \"{}\"\r\n", data.escape_ascii()));
    }

    fn eof(&mut self) {
        print("eof received\r\n");
        finish(0);
    }
}

plugin!(Echo);
