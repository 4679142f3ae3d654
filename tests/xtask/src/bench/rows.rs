//! The rows of the tables that compare servers.

use super::load::Load;
use super::server::{Cores, Kind};

/// Every part that the command line can name.
pub(crate) const PARTS: [&str; 17] = [
    "handshake",
    "session",
    "echo",
    "typed",
    "down",
    "up",
    "writes",
    "beside",
    "idle",
    "rounds",
    "swap",
    "cooked",
    "program",
    "sftp",
    "processes",
    "shell",
    "shells",
];

const CIPHERS: [&str; 4] =
    ["aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"];

/// The same work for every server.
pub(crate) struct Row {
    pub(crate) part: &'static str,
    pub(crate) title: String,
    pub(crate) load: Load,
}

/// The titles of the figures of a row, and their units.
pub(crate) fn titles(row: &str, load: &Load) -> Vec<(String, &'static str)> {
    let title = |detail: &str| if detail.is_empty() { row.to_owned() } else { format!("{row}: {detail}") };
    load.meanings().iter().map(|(detail, unit)| (title(detail), *unit)).collect()
}

/// The rows. `idle`: how many connections wait, of which the first number is that of rows that are measured with one.
pub(crate) fn rows(idle: &[u32]) -> Vec<Row> {
    let row = |part, title: &str, load| Row { part, title: title.to_owned(), load };
    let mut rows = vec![
        row("handshake", "handshake", Load::Handshakes { kex: "curve25519-sha256", count: 300 }),
        row("handshake", "handshake, ML-KEM", Load::Handshakes { kex: "mlkem768x25519-sha256", count: 300 }),
        row("session", "session", Load::Sessions(500)),
    ];
    for (width, count) in [(1, 5000), (8, 2000), (100, 200), (1000, 50)] {
        rows.push(row("echo", &sessions("echo", width), Load::Echoes { width, count }));
    }
    for (width, count) in [(1, 5000), (8, 2000)] {
        rows.push(row("typed", &sessions("line typed", width), Load::Typed { width, count }));
    }
    for cipher in CIPHERS {
        let name = cipher.split('@').next().unwrap_or(cipher);
        for connections in [1, 4] {
            let title = |way: &str| if connections == 1 { format!("{way} {name}") } else { format!("4 {way}s {name}") };
            let bytes = 500_000_000;
            rows.push(row("down", &title("download"), Load::Down { cipher, connections, bytes }));
            rows.push(row("up", &title("upload"), Load::Up { cipher, connections, bytes }));
        }
    }
    rows.push(row("writes", "write of 16 bytes", Load::Writes(100_000)));
    rows.push(row("beside", "echo beside 8 downloads", Load::EchoesBesideDownloads(2000)));
    for count in idle {
        rows.push(row("idle", &format!("{count} idle connections"), Load::IdleConnections(*count)));
        rows.push(row("idle", &format!("{count} idle sessions"), Load::IdleSessions(*count)));
    }
    let few = idle.first().copied().unwrap_or_default();
    rows.push(row("idle", &format!("{few} idle sessions after 32 KiB"), Load::UsedSessions(few)));
    rows.push(row("idle", "no session, resident", Load::Nothing));
    rows.push(row("rounds", &format!("kept after 10 x {few} sessions"), Load::Rounds(few)));
    let starts = |cores, swap| Load::Starts { count: 5000, cores, swap };
    rows.push(row("swap", "slowest start at 1,000/s", starts(Cores::First, false)));
    rows.push(row("swap", "slowest start, plugin replaced", starts(Cores::First, true)));
    rows.push(row("swap", "slowest start, replaced, 2 cores", starts(Cores::Both, true)));
    rows
}

fn sessions(what: &str, width: u32) -> String {
    format!("{what}, {width} session{}", if width == 1 { "" } else { "s" })
}

/// Two kinds of work for Whelk.
pub(crate) struct Pair {
    pub(crate) part: &'static str,
    pub(crate) title: String,
    pub(crate) first: Load,
    pub(crate) second: Load,
}

/// The rows of the table of Whelk alone.
pub(crate) fn pairs() -> Vec<Pair> {
    let cooked = |width, count| Pair {
        part: "cooked",
        title: sessions("line typed / echo", width),
        first: Load::Typed { width, count },
        second: Load::Echoes { width, count },
    };
    let program = Pair {
        part: "program",
        title: "session, program / handler".to_owned(),
        first: Load::ProgramSessions(500),
        second: Load::Sessions(500),
    };
    vec![cooked(1, 5000), cooked(8, 2000), program]
}

/// One of the tables.
pub(crate) struct Table {
    pub(crate) title: &'static str,
    /// What it shows; of none every part that no other table shows.
    pub(crate) parts: &'static [&'static str],
    /// What is compared, the first with the others; of none the servers.
    pub(crate) columns: &'static [&'static str],
}

/// Names of the columns of [`pairs`].
pub(crate) const OF_PAIRS: [&str; 2] = ["first", "second"];
/// Names of the columns of `processes`.
pub(crate) const OF_PROCESSES: [&str; 2] = ["whelk", "kernel"];
/// Names of the columns of `shell` and `shells`.
pub(crate) const OF_SHELLS: [&str; 5] = ["whelk", "dash", "bash", "just-bash", "wasmsh"];

/// Names of the columns of `rounds` and `swap`: servers.
const OF_WHELK: [&str; 3] = ["whelk", "other", "russh"];

/// All of them.
pub(crate) const TABLES: [Table; 6] = [
    Table { title: "CPU of whelk", parts: &["cooked", "program"], columns: &OF_PAIRS },
    Table { title: "processes", parts: &["processes"], columns: &OF_PROCESSES },
    Table { title: "shells", parts: &["shell", "shells"], columns: &OF_SHELLS },
    Table { title: "plugin replaced", parts: &["swap"], columns: &OF_WHELK },
    Table { title: "memory, ten rounds", parts: &["rounds"], columns: &OF_WHELK },
    Table { title: "server CPU", parts: &[], columns: &[] },
];

/// The servers that have figures, in the order of the columns.
pub(crate) const SERVERS: [Kind; 4] = [Kind::Whelk, Kind::Other, Kind::Sshd, Kind::Russh];

impl Table {
    /// Whether it shows this part.
    pub(crate) fn shows(&self, part: &str) -> bool {
        let is_in = |table: &Self| table.parts.contains(&part);
        if self.parts.is_empty() { !TABLES.iter().any(is_in) } else { is_in(self) }
    }
}
