//! `whelk play`: plays a recording, or verifies it.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep_until};

use crate::cli::inspect::locale;
use crate::cli::outcome::{Failure, failed, lone_runtime, print, wrong};
use crate::cli::running::ServerArguments;
use crate::cli::running::watch::filter::ScreenFilter;
use crate::cli::running::watch::{RESET, Stop, write_out};
use crate::config::parse_time;
use crate::observe::escape::escape;
use crate::observe::recording::digest::RecordingKey;
use crate::observe::recording::reader::{CastEvent, CastReader};
use crate::observe::recording::verify::verify;
use crate::state::State;

/// Play a recording of a session, or one of asciinema's (asciicast version 2 or 3). Ctrl-C ends.
///
/// At a terminal it is played in time, and what acts on a terminal is not shown, as with `whelk watch`: title and
/// clipboard, requests that a terminal answers, modes of mouse and keys. Elsewhere the text is printed at once, without
/// control sequences.
///
/// With --verify nothing is played: it is found whether the recording was changed, cut or replaced (exit status 1).
/// Without the audit or the key only damage is found for certain.
#[derive(Args)]
pub(in crate::cli) struct PlayArguments {
    /// The recording
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How many times faster it is played
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = parse_speed)]
    speed: f64,
    /// The longest pause, such as "2 s"
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    idle_limit: Option<Duration>,
    /// Verify it instead
    #[arg(long)]
    verify: bool,
    /// Compare it with this file of the audit; may be given several times
    #[arg(long, value_name = "FILE", requires = "verify")]
    audit: Vec<PathBuf>,
    // Whose key its seals are compared with.
    #[command(flatten)]
    server: ServerArguments,
}

fn parse_speed(text: &str) -> Result<f64, String> {
    let speed = text.parse::<f64>().ok().filter(|speed| (0.01..=1_000.0).contains(speed));
    speed.ok_or_else(|| "must be a number from 0.01 to 1000".to_owned())
}

pub(in crate::cli) fn play(arguments: &PlayArguments) -> Result<(), Failure> {
    if arguments.verify {
        let key = arguments.server.named_folder()?.map(key_of).transpose()?;
        let verified = verify(&arguments.file, key.as_ref(), &arguments.audit);
        let found = verified.map_err(|problems| failed(problems.join("\n")))?;
        return print(&found.iter().map(|line| format!("{line}\n")).collect::<String>());
    }
    let (reader, introduction) = CastReader::open(&arguments.file).map_err(wrong)?;
    let is_terminal = io::stdout().is_terminal();
    let (columns, rows) = introduction.size();
    if is_terminal {
        let title = escape(introduction.title.as_deref().unwrap_or_default().as_bytes()).to_string();
        let title = if title.is_empty() { arguments.file.display().to_string() } else { title };
        eprintln!("whelk: playing {title}, {columns} columns and {rows} rows; Ctrl-C ends");
    }
    let filter = if is_terminal { ScreenFilter::default() } else { ScreenFilter::plain() };
    let mut filter = filter.with_utf8(locale::is_utf8());
    filter.set_columns(columns);
    let player = Player { filter, is_terminal, speed: arguments.speed, idle_limit: arguments.idle_limit };
    let played = lone_runtime()?.block_on(player.play(reader));
    if is_terminal {
        write_out(RESET.as_bytes())?;
    }
    played
}

fn key_of(state: PathBuf) -> Result<RecordingKey, Failure> {
    let key = State::open_existing(&state).and_then(|state| state.existing_recording_key()).map_err(wrong)?;
    let key =
        key.ok_or_else(|| wrong(format!("{}: has no key of recordings: none was sealed here", state.display())))?;
    Ok(RecordingKey::new(key))
}

struct Player {
    filter: ScreenFilter,
    is_terminal: bool,
    speed: f64,
    idle_limit: Option<Duration>,
}

impl Player {
    async fn play(mut self, mut reader: CastReader) -> Result<(), Failure> {
        let mut stop = if self.is_terminal { Some(Stop::new().map_err(failed)?) } else { None };
        let (mut due, mut last) = (Instant::now(), Duration::ZERO);
        while let Some(event) = reader.next_event().map_err(failed)? {
            let pause = event.at.saturating_sub(last);
            last = event.at;
            if self.is_terminal {
                due += self.idle_limit.map_or(pause, |most| pause.min(most)).div_f64(self.speed);
                tokio::select! {
                    () = sleep_until(due) => {}
                    () = Stop::received(&mut stop) => return Ok(()),
                }
            }
            if !write_out(&self.shown(&event))? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// What an event looks like.
    fn shown(&mut self, event: &CastEvent) -> Vec<u8> {
        match event.code.as_str() {
            "o" => {
                let mut shown = self.filter.pass(event.data.as_bytes());
                if self.filter.take_hidden() {
                    shown.extend(self.mark("a long control string is hidden"));
                }
                shown
            }
            "r" => {
                let size = event
                    .data
                    .split_once('x')
                    .and_then(|(columns, rows)| Some((columns.parse::<u32>().ok()?, rows.parse::<u32>().ok()?)));
                let Some((columns, rows)) = size else { return Vec::new() };
                self.filter.set_columns(columns);
                self.mark(&format!("the terminal has {columns} columns and {rows} rows now"))
            }
            "m" if !event.data.is_empty() => {
                self.filter.reset();
                self.mark(&escape(event.data.as_bytes()).to_string())
            }
            _ => Vec::new(),
        }
    }

    /// A line of this program's own between the output.
    fn mark(&self, text: &str) -> Vec<u8> {
        if self.is_terminal { format!("\r\n\x1b[7m[{text}]\x1b[27m\r\n") } else { format!("\n[{text}]\n") }.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_filtered_and_marks_are_shown() {
        let player = |is_terminal, filter| Player { filter, is_terminal, speed: 1.0, idle_limit: None };
        let mut player = player(true, ScreenFilter::default());
        let mut shown = |code: &str, data: &str| {
            let event = CastEvent { at: Duration::ZERO, code: code.to_owned(), data: data.to_owned() };
            String::from_utf8(player.shown(&event)).unwrap()
        };
        assert_eq!(shown("o", "a\u{1b}]52;c;eA==\u{7}\u{1b}[1mb"), "a\u{1b}[1mb");
        assert_eq!(shown("m", "7 bytes\u{1b} are left out"), "\r\n\u{1b}[7m[7 bytes\\x1b are left out]\u{1b}[27m\r\n");
        assert!(shown("r", "100x30").contains("[the terminal has 100 columns and 30 rows now]"));
        for (code, data) in [("h", "{}"), ("i", "secret"), ("m", ""), ("r", "wide"), ("x", "0")] {
            assert_eq!(shown(code, data), "", "{code}");
        }
    }

    #[test]
    fn a_speed_is_a_number_that_makes_sense() {
        assert_eq!(parse_speed("2.5"), Ok(2.5));
        for wrong in ["0", "-1", "NaN", "inf", "fast", "1e9"] {
            assert!(parse_speed(wrong).is_err(), "{wrong}");
        }
    }
}
