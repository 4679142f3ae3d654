//! Standard output, whose long lines are broken.

use std::io::{self, Write};

use unix_common::report;

/// How many columns lines have by default.
const COLUMNS: usize = 70;

/// Standard output.
pub(crate) struct Output {
    out: io::BufWriter<io::Stdout>,
    column: usize,
    /// 0: lines are not broken.
    columns: usize,
}

impl Output {
    /// `variable`: the environment's, which says how long lines are. `spare`: how many of its columns stay empty.
    pub(crate) fn new(variable: &str, spare: usize) -> Self {
        let columns = std::env::var(variable).ok().and_then(|text| text.parse().ok());
        let columns = columns.filter(|columns| *columns == 0 || *columns > 3).unwrap_or(COLUMNS);
        let columns = if columns == 0 { 0 } else { columns - spare };
        Self { out: io::BufWriter::new(io::stdout()), column: 0, columns }
    }

    /// Writes a text, breaking its lines.
    pub(crate) fn write(&mut self, text: &str) {
        for letter in text.chars() {
            if letter == '\n' {
                self.column = 0;
            } else {
                self.column += 1;
                if self.columns > 0 && self.column == self.columns {
                    self.raw("\\\n");
                    self.column = 1;
                }
            }
            self.raw(letter.encode_utf8(&mut [0; 4]));
        }
    }

    /// Writes a text as it is.
    pub(crate) fn raw(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.out.write_all(bytes).unwrap_or_else(|error| fail(&error));
    }

    /// Writes what waits.
    pub(crate) fn flush(&mut self) {
        self.out.flush().unwrap_or_else(|error| fail(&error));
    }
}

/// Ends the program with status 1 and a message. A reader that is gone needs none.
fn fail(error: &io::Error) -> ! {
    if error.kind() != io::ErrorKind::BrokenPipe {
        report::error(&format!("write error: {}", report::words(error)));
    }
    std::process::exit(1);
}
