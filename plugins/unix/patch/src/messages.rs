//! Messages and questions.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};

/// Where messages go, which are no errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Messages {
    /// The patched file goes to the standard output, so they go to standard error.
    pub(crate) to_err: bool,
}

impl Messages {
    /// Writes a message.
    pub(crate) fn print(self, text: &str) {
        // A message that nobody reads is no reason to stop.
        let _ =
            if self.to_err { io::stderr().write_all(text.as_bytes()) } else { io::stdout().write_all(text.as_bytes()) };
    }

    /// Asks the terminal. Where there is none, or no answer, the answer is empty.
    pub(crate) fn ask(self, question: &str) -> String {
        self.print(question);
        let _ = io::stdout().flush();
        let mut answer = String::new();
        let read = File::open("/dev/tty").and_then(|tty| BufReader::new(tty).read_line(&mut answer));
        if read.is_err() || answer.is_empty() {
            self.print("\n");
        }
        answer.trim_end().to_owned()
    }
}
