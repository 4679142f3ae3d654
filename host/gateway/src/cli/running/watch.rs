//! `whelk watch`: shows the output of a session as it is sent, for reading only.

pub(in crate::cli) mod filter;

use std::io::{self, ErrorKind, IsTerminal, Write};

use clap::Args;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::shown::text;
use super::{ServerArguments, unanswered};
use crate::cli::inspect::locale;
use crate::cli::outcome::{Failure, failed, lone_runtime};
use crate::observe::escape::escape_json;
use crate::observe::hex::unhex;
use crate::server::control::session_id::{SessionId, without_run};
use crate::server::control::sessions::SessionEntry;
use crate::server::control::watch::{TerminalSize, WATCH, WatchLine, WatchRequest};
use crate::server::control::{open_request, read_line};
use filter::ScreenFilter;

/// Show the output of a session of the running server as it is sent to its client, from now on. Ctrl-C ends.
///
/// It is read only, and never slows the session: what comes faster than it can be shown is left out, and a mark says
/// how much. The audit records who watches whom. A program that fills the screen looks right once it draws anew.
///
/// At a terminal text and control sequences that only draw are shown. What acts on a terminal is not: title and
/// clipboard (OSC), DCS and other strings, requests that a terminal answers, window operations, printing, modes of
/// mouse, keys and paste, resets, bells. Elsewhere there are no control sequences at all.
#[derive(Args)]
pub(in crate::cli) struct WatchArguments {
    #[command(flatten)]
    server: ServerArguments,
    /// The session, such as 42.1, as `whelk sessions` and the log name it
    #[arg(value_name = "ID")]
    id: SessionId,
    /// For programs instead of people: one object a line
    #[arg(long)]
    json: bool,
}

/// Undoes what a session may have set: the alternate screen, modes, margins, colours, character set, hidden cursor.
/// Setting the margins moves the cursor to the top: it goes to the last line, so that nothing is overwritten.
pub(in crate::cli) const RESET: &str = "\x1b[?1049l\x1b[?6l\x1b[?7h\x1b[?12l\x1b[?25h\x1b[?2026l\x1b[4l\x1b[r\x1b[0m\x1b[0 q\x1b(B\x0f\
    \x1b[999;1H\r\n";

pub(in crate::cli) fn watch(arguments: &WatchArguments) -> Result<(), Failure> {
    let folder = arguments.server.folder()?;
    let question = serde_json::to_string(&WatchRequest { id: arguments.id.to_string() }).map_err(failed)?;
    let stream = open_request(&folder, &format!("{WATCH} {question}")).map_err(unanswered(&folder))?;
    let is_terminal = io::stdout().is_terminal();
    let mut screen = Screen {
        filter: if is_terminal { ScreenFilter::default() } else { ScreenFilter::plain() }.with_utf8(locale::is_utf8()),
        is_terminal,
        json: arguments.json,
        has_shown: false,
    };
    let shown = lone_runtime()?.block_on(async {
        stream.set_nonblocking(true).map_err(failed)?;
        let lines = BufReader::new(UnixStream::from_std(stream).map_err(failed)?).lines();
        let stop = if is_terminal && !arguments.json { Some(Stop::new().map_err(failed)?) } else { None };
        let parse = |line: &str| read_line(&folder, line).map_err(unanswered(&folder));
        screen.show(lines, stop, parse).await
    });
    if is_terminal && screen.has_shown {
        write_out(RESET.as_bytes())?;
    }
    if let Some(end) = shown?.filter(|_| !arguments.json) {
        eprintln!("whelk: {end}");
    }
    Ok(())
}

/// The signals that end a command at a terminal, which is restored first. Elsewhere they act as usual: a reader of
/// the output who has stopped would keep the command from seeing them.
pub(in crate::cli) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    pub(in crate::cli) fn new() -> io::Result<Stop> {
        Ok(Stop { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for one of them.
    pub(in crate::cli) async fn received(stop: &mut Option<Stop>) {
        let Some(stop) = stop else { return std::future::pending().await };
        tokio::select! {
            _ = stop.interrupt.recv() => {}
            _ = stop.terminate.recv() => {}
        }
    }
}

/// A line of the answer, or the last one.
type ReadLine = Result<WatchLine, serde_json::Value>;

/// Where the output is shown.
struct Screen {
    filter: ScreenFilter,
    is_terminal: bool,
    json: bool,
    /// Output of the session was shown.
    has_shown: bool,
}

impl Screen {
    /// Shows the lines until the session has ended or the operator has enough. Returns why it ends; nothing if whoever
    /// read the output has closed the pipe.
    async fn show(
        &mut self,
        mut lines: Lines<BufReader<UnixStream>>,
        mut stop: Option<Stop>,
        parse: impl Fn(&str) -> Result<ReadLine, Failure>,
    ) -> Result<Option<String>, Failure> {
        loop {
            let line = tokio::select! {
                line = lines.next_line() => line.map_err(failed)?,
                () = Stop::received(&mut stop) => return Ok(Some("no longer watching".to_owned())),
            };
            let line = line.ok_or_else(|| {
                failed("the server has closed the connection: it has stopped, or nothing was read for minutes")
            })?;
            let parsed = parse(&line)?;
            // Sent while nothing happens.
            if matches!(&parsed, Ok(line) if *line == WatchLine::default()) {
                continue;
            }
            let shown = match &parsed {
                _ if self.json => format!("{}\n", escape_json(&line)).into_bytes(),
                Ok(line) => self.shown(line)?,
                Err(_) => Vec::new(),
            };
            if !write_out(&shown)? {
                return Ok(None);
            }
            if let Err(done) = parsed {
                let exit = text(done["exit"].as_str(), 200);
                return Ok(Some(format!("the session has ended ({exit})")));
            }
        }
    }

    /// What a line looks like.
    fn shown(&mut self, line: &WatchLine) -> Result<Vec<u8>, Failure> {
        let mut shown = Vec::new();
        if let Some(size) = line.size {
            self.filter.set_columns(size.columns);
        }
        if let Some(session) = &line.session {
            eprintln!("whelk: {}", introduction(session, line.size));
        } else if let Some(size) = line.size {
            shown.extend_from_slice(self.mark(&format!("the terminal has {} now", of(size))).as_bytes());
        }
        if let Some(lost) = line.lost {
            self.filter.reset();
            shown.extend_from_slice(self.mark(&format!("{lost} bytes are left out")).as_bytes());
        }
        if let Some(digits) = &line.output_hex {
            let bytes = unhex(digits).ok_or_else(|| failed("an answer that this whelk does not understand"))?;
            shown.extend(self.filter.pass(&bytes));
            if self.filter.take_hidden() {
                shown.extend_from_slice(self.mark("a long control string is hidden").as_bytes());
            }
        }
        self.has_shown |= !shown.is_empty();
        Ok(shown)
    }

    /// A line of this program's own between the output.
    fn mark(&self, text: &str) -> String {
        if self.is_terminal { format!("\r\n\x1b[7m[{text}]\x1b[27m\r\n") } else { format!("\n[{text}]\n") }
    }
}

fn introduction(session: &SessionEntry, size: Option<TerminalSize>) -> String {
    let user = text(session.user.as_deref(), 64);
    let terminal = size.map_or("without a terminal".to_owned(), |size| format!("terminal of {}", of(size)));
    format!("watching {}, {user}, {terminal}; Ctrl-C ends", text(Some(without_run(&session.id)), 40))
}

fn of(size: TerminalSize) -> String {
    format!("{} columns and {} rows", size.columns, size.rows)
}

/// Writes to standard output. False if its reader has closed the pipe.
pub(in crate::cli) fn write_out(bytes: &[u8]) -> Result<bool, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_filtered_and_what_is_missing_is_marked() {
        let mut screen = Screen { filter: ScreenFilter::default(), is_terminal: true, json: false, has_shown: false };
        let mut shown = |line: WatchLine| String::from_utf8(screen.shown(&line).unwrap_or_default()).unwrap();
        let output = WatchLine { output_hex: Some("611b5d303b78071b5b316d62".to_owned()), ..WatchLine::default() };
        assert_eq!(shown(output), "a\x1b[1mb");
        let lost = WatchLine { lost: Some(70_000), ..WatchLine::default() };
        assert_eq!(shown(lost), "\r\n\x1b[7m[70000 bytes are left out]\x1b[27m\r\n");
        let size = Some(TerminalSize { columns: 100, rows: 30 });
        let resized = WatchLine { size, ..WatchLine::default() };
        assert!(shown(resized).contains("[the terminal has 100 columns and 30 rows now]"));
        // A string that never ends is named, and ends where output is missing.
        let string = WatchLine { output_hex: Some(format!("1b5f{}", "41".repeat(5000))), ..WatchLine::default() };
        assert_eq!(shown(string), "\r\n\x1b[7m[a long control string is hidden]\x1b[27m\r\n");
        let more = WatchLine { output_hex: Some("4141".to_owned()), ..WatchLine::default() };
        assert_eq!(shown(more.clone()), "");
        assert!(shown(WatchLine { lost: Some(1), ..more }).ends_with("\r\nAA"));
        let wrong = WatchLine { output_hex: Some("6".to_owned()), ..WatchLine::default() };
        assert!(screen.shown(&wrong).is_err());
    }
}
