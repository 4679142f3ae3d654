//! What is said and asked.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};

/// Where messages go, which are no errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speaker {
    /// The patched file goes to the standard output, so they go to standard error.
    pub(crate) to_err: bool,
}

impl Speaker {
    /// Says something.
    pub(crate) fn say(self, text: &str) {
        // A message that nobody reads is no reason to stop.
        let _ =
            if self.to_err { io::stderr().write_all(text.as_bytes()) } else { io::stdout().write_all(text.as_bytes()) };
    }

    /// Asks the terminal. Where there is none, or no answer, the answer is empty.
    pub(crate) fn ask(self, question: &str) -> String {
        self.say(question);
        let _ = io::stdout().flush();
        let mut answer = String::new();
        let read = File::open("/dev/tty").and_then(|tty| BufReader::new(tty).read_line(&mut answer));
        if read.is_err() || answer.is_empty() {
            self.say("\n");
        }
        answer.trim_end().to_owned()
    }
}
