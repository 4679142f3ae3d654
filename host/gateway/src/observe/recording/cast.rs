//! Lines of asciicast: <https://docs.asciinema.org/manual/asciicast/v2/> and `v3`.
//!
//! Decided 2026-11-30: the lines are made here. Refused: `castwright` 0.0.8, which writes version 2 alone and no event
//! code that it does not know; `asciicast-rs` 0.2, which only reads; `asciinema` 3, which is a program.

use serde::Serialize;
use whelk_runtime::WindowSize;

use super::json::PendingLines;
use crate::config::RecordingFormat;

/// The size in the header of a session without a terminal, which the format requires to have one.
pub(super) const NO_TERMINAL: (u32, u32) = (80, 24);

/// What the first line says.
#[derive(Clone, Debug, Default)]
pub(super) struct CastHeader {
    /// Seconds since 1970.
    pub(super) timestamp: i64,
    /// The terminal's size, if there is one.
    pub(super) size: Option<WindowSize>,
    /// Its kind, as in TERM.
    pub(super) term: Option<String>,
    /// The command, or the name of the subsystem.
    pub(super) command: Option<String>,
    pub(super) session: SessionName,
}

/// Whose session it is: an object of ours in the header, which players ignore.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct SessionName {
    /// The identity of the connection, as in the log and the audit.
    pub(super) connection: String,
    pub(super) session: u64,
    pub(super) user: String,
    pub(super) principal: String,
    pub(super) tenant: String,
    /// Whether the client has a terminal.
    pub(super) terminal: bool,
    /// What the digests are made with.
    pub(super) hash: &'static str,
    /// Whether the digests are sealed with a key.
    pub(super) hmac: bool,
}

#[derive(Serialize)]
struct HeaderV2<'a> {
    version: u32,
    width: u32,
    height: u32,
    timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<Environment<'a>>,
    whelk: &'a SessionName,
}

#[derive(Serialize)]
struct HeaderV3<'a> {
    version: u32,
    term: Terminal<'a>,
    timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
    title: String,
    whelk: &'a SessionName,
}

#[derive(Serialize)]
struct Environment<'a> {
    #[serde(rename = "TERM")]
    term: &'a str,
}

#[derive(Serialize)]
struct Terminal<'a> {
    cols: u32,
    rows: u32,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
}

/// Makes the lines of one recording.
#[derive(Clone)]
pub(super) struct CastLines {
    format: RecordingFormat,
    /// The time of the last event, in microseconds since the beginning.
    last: u64,
}

impl CastLines {
    pub(super) fn new(format: RecordingFormat) -> CastLines {
        CastLines { format, last: 0 }
    }

    /// The first line.
    pub(super) fn header(&self, header: &CastHeader) -> Vec<u8> {
        let CastHeader { timestamp, size, term, command, session } = header;
        let (width, height) = size.map_or(NO_TERMINAL, |size| (size.columns, size.rows));
        // Zero means unknown. RFC 4254 §6.2.
        let known = |given: u32, usual: u32| if given == 0 { usual } else { given };
        let (width, height) = (known(width, NO_TERMINAL.0), known(height, NO_TERMINAL.1));
        let (timestamp, command) = (*timestamp, command.as_deref());
        let title = format!(
            "{} of tenant {}, session {}.{}",
            session.user, session.tenant, session.connection, session.session
        );
        let mut line = Vec::new();
        match self.format {
            RecordingFormat::V2 => {
                let env = term.as_deref().map(|term| Environment { term });
                let header = HeaderV2 { version: 2, width, height, timestamp, command, title, env, whelk: session };
                write_json(&mut line, &header);
            }
            RecordingFormat::V3 => {
                let term = Terminal { cols: width, rows: height, kind: term.as_deref() };
                write_json(&mut line, &HeaderV3 { version: 3, term, timestamp, command, title, whelk: session });
            }
        }
        line.push(b'\n');
        line
    }

    /// Appends the line of an event. `at`: microseconds since the beginning; never less than before.
    pub(super) fn event(&mut self, out: &mut PendingLines, at: u64, code: &str, data: &str) {
        let at = at.max(self.last);
        let time = match self.format {
            RecordingFormat::V2 => at,
            RecordingFormat::V3 => at - self.last,
        };
        self.last = at;
        out.push(format!("[{}.{:06}, \"{code}\", ", time / 1_000_000, time % 1_000_000).as_bytes());
        out.push_text(data);
        out.push(b"]\n");
    }
}

/// Writes a value that has no map with keys other than texts: it cannot fail.
fn write_json(out: &mut Vec<u8>, value: &impl Serialize) {
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> CastHeader {
        let size = Some(WindowSize { columns: 100, rows: 0, ..WindowSize::default() });
        let session =
            SessionName { connection: "7f-4".to_owned(), session: 2, user: "a".to_owned(), ..SessionName::default() };
        CastHeader { timestamp: 1_700_000_000, size, term: Some("xterm".to_owned()), command: None, session }
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn lines_are_of_the_chosen_version() {
        let whelk = "\"whelk\":{\"connection\":\"7f-4\",\"session\":2,\"user\":\"a\",\"principal\":\"\",\
                     \"tenant\":\"\",\"terminal\":false,\"hash\":\"\",\"hmac\":false}";
        let title = "\"title\":\"a of tenant , session 7f-4.2\"";
        let mut v2 = CastLines::new(RecordingFormat::V2);
        let expected = format!(
            "{{\"version\":2,\"width\":100,\"height\":24,\"timestamp\":1700000000,{title},\
             \"env\":{{\"TERM\":\"xterm\"}},{whelk}}}\n"
        );
        assert_eq!(text(&v2.header(&header())), expected);
        let mut v3 = CastLines::new(RecordingFormat::V3);
        let expected = format!(
            "{{\"version\":3,\"term\":{{\"cols\":100,\"rows\":24,\"type\":\"xterm\"}},\"timestamp\":1700000000,\
             {title},{whelk}}}\n"
        );
        assert_eq!(text(&v3.header(&header())), expected);
        let events = |lines: &mut CastLines| {
            let mut out = PendingLines::default();
            lines.event(&mut out, 1_000_001, "o", "\u{1b}[1mé\r\n\"\\\u{7}");
            // The clock does not go back.
            lines.event(&mut out, 900_000, "r", "80x24");
            lines.event(&mut out, 12_500_000, "o", "");
            text(out.bytes())
        };
        let first = "[1.000001, \"o\", \"\\u001b[1mé\\r\\n\\\"\\\\\\u0007\"]\n";
        assert_eq!(events(&mut v2), format!("{first}[1.000001, \"r\", \"80x24\"]\n[12.500000, \"o\", \"\"]\n"));
        assert_eq!(events(&mut v3), format!("{first}[0.000000, \"r\", \"80x24\"]\n[11.499999, \"o\", \"\"]\n"));
    }
}
