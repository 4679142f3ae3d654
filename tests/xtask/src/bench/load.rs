//! The work that is measured, from core 1: our own client for many small things, OpenSSH's for great ones. All servers
//! get the same.

mod driver;
mod memory;
mod swap;

use super::meter::{KIB, to_float};
use super::server::{Cores, Kind, Place, Server, Setup};
use crate::step::{Outcome, doing, line};
use driver::KEX;
pub(crate) use driver::{Driver, on_core_1, ssh};
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The cipher of transfers that do not measure one.
const FAST_CIPHER: &str = "aes256-gcm@openssh.com";
/// How many downloads run beside an echo.
const DOWNLOADS: u32 = 8;
/// How much each of them has received before the echo begins, in bytes.
const RUNNING: u64 = 1 << 20;
/// How long all of them may take for that.
const DEADLINE: Duration = Duration::from_secs(60);
/// OpenSSH's server has three processes for a connection with a session: of more than so many, memory is lacking.
const SSHD_CONNECTIONS: u32 = 2000;
/// With more than so many, memory is measured in two runs only.
const FEW_CONNECTIONS: u32 = 2000;

/// The figures of [`Load::Starts`]; the last one if the plugin is replaced.
const STARTS: [Meaning; 6] = [
    ("", "ms"),
    ("p50", "ms"),
    ("p99", "ms"),
    ("failed", "sessions"),
    ("the client's own delay, most", "ms"),
    ("versions of the plugin", "count"),
];
/// Those of [`Load::Rounds`].
const ROUNDS: [Meaning; 13] = [
    ("", "%"),
    ("growth since round 2", "%"),
    ("before", "MiB"),
    ("after round 1", "MiB"),
    ("after round 2", "MiB"),
    ("after round 3", "MiB"),
    ("after round 4", "MiB"),
    ("after round 5", "MiB"),
    ("after round 6", "MiB"),
    ("after round 7", "MiB"),
    ("after round 8", "MiB"),
    ("after round 9", "MiB"),
    ("after round 10", "MiB"),
];

/// What a figure is beside the title of its row, if anything, and its unit.
type Meaning = (&'static str, &'static str);

/// One kind of work, and how much of it.
pub(crate) enum Load {
    /// Connect, key exchange, public-key login, disconnect.
    Handshakes { kex: &'static str, count: u32 },
    /// Open, exec, 6 bytes of output, status, close, on a standing connection.
    Sessions(u32),
    /// The same with a program, which is run once for each session.
    ProgramSessions(u32),
    /// 16 bytes there and back, `count` times in each of `width` sessions, of which a connection has ten at most.
    Echoes { width: u32, count: u32 },
    /// A line of 16 bytes that the terminal of each of `width` sessions echoes, `count` times.
    Typed { width: u32, count: u32 },
    /// Downloads at once, each of a connection of its own. `bytes`: all of them together.
    Down { cipher: &'static str, connections: u32, bytes: u64 },
    /// The same up.
    Up { cipher: &'static str, connections: u32, bytes: u64 },
    /// One session that writes 16 bytes so many times.
    Writes(u32),
    /// Connections that have logged in, and have no session.
    IdleConnections(u32),
    /// Connections with one session that has echoed 16 bytes and waits.
    IdleSessions(u32),
    /// The same after 32 KiB.
    UsedSessions(u32),
    /// So many of these sessions, which end, ten times.
    Rounds(u32),
    /// Sessions that start at 1,000 a second, whether earlier ones have been answered or not. The server is on these
    /// cores; with `swap` the plugin is replaced meanwhile.
    Starts { count: u32, cores: Cores, swap: bool },
    /// 16 bytes there and back so many times, while downloads run on eight other connections.
    EchoesBesideDownloads(u32),
    /// A server that nobody calls.
    Nothing,
}

impl Load {
    /// The figures that [`run`] gives, in its order.
    pub(crate) fn meanings(&self) -> &'static [Meaning] {
        match self {
            Self::Handshakes { .. } | Self::Sessions(_) | Self::ProgramSessions(_) => &[("", "ms")],
            Self::Echoes { .. } => &[("", "us"), ("p50", "us"), ("p99", "us")],
            Self::Typed { .. } | Self::Writes(_) => &[("", "us")],
            Self::Down { .. } | Self::Up { .. } => &[("", "s/GB"), ("wall time", "s/GB")],
            Self::IdleConnections(_) | Self::IdleSessions(_) | Self::UsedSessions(_) => {
                &[("", "KiB"), ("kept after their end", "KiB"), ("kept, of all before", "%")]
            }
            Self::Rounds(_) => &ROUNDS,
            Self::Starts { swap, .. } => STARTS.get(..if *swap { 6 } else { 5 }).unwrap_or_default(),
            Self::EchoesBesideDownloads(_) => &[("p50", "us"), ("p99", "us")],
            Self::Nothing => &[("", "MiB")],
        }
    }

    /// Whether it is measured with this server. The one on russh has no terminal, no plugins and no programs. sshd
    /// gives all back when the processes of a connection end, and cannot start 1,000 sessions a second.
    pub(crate) fn suits(&self, kind: Kind) -> bool {
        match (self, kind) {
            (Self::Typed { .. } | Self::ProgramSessions(_) | Self::Starts { swap: true, .. }, Kind::Russh) => false,
            (Self::IdleConnections(count) | Self::IdleSessions(count), Kind::Sshd) => *count <= SSHD_CONNECTIONS,
            (Self::UsedSessions(_) | Self::Rounds(_) | Self::Starts { .. }, Kind::Sshd) => false,
            _ => true,
        }
    }

    /// How often it is measured at most: what takes minutes and hardly differs from run to run is not measured each
    /// time.
    pub(crate) fn most_runs(&self) -> u64 {
        match self {
            Self::Rounds(_) => 1,
            Self::IdleConnections(count) | Self::IdleSessions(count) if *count > FEW_CONNECTIONS => 2,
            _ => u64::MAX,
        }
    }

    /// How its server is run.
    pub(crate) fn setup(&self) -> Setup {
        match self {
            Self::Starts { cores, .. } => Setup { cores: *cores, ..Setup::default() },
            Self::IdleConnections(crowd)
            | Self::IdleSessions(crowd)
            | Self::UsedSessions(crowd)
            | Self::Rounds(crowd) => Setup { crowd: *crowd, ..Setup::default() },
            _ => Setup::default(),
        }
    }

    /// The same with a part of the work: enough to see whether it can be measured.
    pub(crate) fn quick(self) -> Self {
        let few = |count: u32| count.div_ceil(20);
        match self {
            Self::Handshakes { kex, count } => Self::Handshakes { kex, count: few(count) },
            Self::Sessions(count) => Self::Sessions(few(count)),
            Self::ProgramSessions(count) => Self::ProgramSessions(few(count)),
            Self::Echoes { width, count } => Self::Echoes { width, count: few(count) },
            Self::Typed { width, count } => Self::Typed { width, count: few(count) },
            Self::Down { cipher, connections, bytes } => Self::Down { cipher, connections, bytes: bytes / 20 },
            Self::Up { cipher, connections, bytes } => Self::Up { cipher, connections, bytes: bytes / 20 },
            Self::Writes(count) => Self::Writes(few(count)),
            Self::EchoesBesideDownloads(count) => Self::EchoesBesideDownloads(few(count)),
            // A version of the plugin takes a second, however much else there is to do.
            Self::Starts { count, cores, swap } => Self::Starts { count: count.div_ceil(2), cores, swap },
            // Their numbers are in their titles.
            Self::IdleConnections(_)
            | Self::IdleSessions(_)
            | Self::UsedSessions(_)
            | Self::Rounds(_)
            | Self::Nothing => self,
        }
    }
}

/// Does the work once; gives what one unit of it costs, as [`Load::meanings`] says.
pub(crate) fn run(place: &Place, server: &Server, load: &Load) -> Outcome<Vec<f64>> {
    match load {
        Load::Handshakes { kex, count } => {
            let cpu = spend(Driver::start(place, server, "handshake", (*count, 1), kex)?, server)?.cpu;
            Ok(vec![cpu * 1e3 / f64::from(*count)])
        }
        Load::Sessions(count) | Load::ProgramSessions(count) => {
            let work = if matches!(load, Load::Sessions(_)) { "session" } else { "program" };
            let cpu = spend(Driver::start(place, server, work, (*count, 1), KEX)?, server)?.cpu;
            Ok(vec![cpu * 1e3 / f64::from(*count)])
        }
        Load::Echoes { width, count } => {
            let Spent { cpu, times } = spend(Driver::start(place, server, "echo", (*count, *width), KEX)?, server)?;
            Ok([vec![cpu * 1e6 / f64::from(*width) / f64::from(*count)], times].concat())
        }
        Load::Typed { width, count } => {
            let cpu = spend(Driver::start(place, server, "typed", (*count, *width), KEX)?, server)?.cpu;
            Ok(vec![cpu * 1e6 / f64::from(*width) / f64::from(*count)])
        }
        Load::Down { cipher, connections, bytes } => {
            let each = bytes / u64::from(*connections);
            let command = server.says(format!("zeros {each}"), format!("head -c {each} /dev/zero"));
            let download = |_| ssh(place, server, server.user(), cipher, &command);
            Ok(transfer(server, (0..*connections).map(download).collect())?
                .map(|time| time * 1e9 / to_float(*bytes))
                .into())
        }
        Load::Up { cipher, connections, bytes } => {
            let each = bytes / u64::from(*connections);
            let zeros = place.file("zeros");
            doing(zeros.display(), File::create(&zeros).and_then(|file| file.set_len(each)))?;
            let command = server.says("discard".to_owned(), "cat > /dev/null".to_owned());
            let upload = |_| {
                let mut ssh = ssh(place, server, server.user(), cipher, &command);
                ssh.stdin(doing(zeros.display(), File::open(&zeros))?);
                Ok(ssh)
            };
            let uploads: Outcome<_> = (0..*connections).map(upload).collect();
            Ok(transfer(server, uploads?)?.map(|time| time * 1e9 / to_float(*bytes)).into())
        }
        Load::Writes(count) => {
            let dd = format!("dd if=/dev/zero bs=16 count={count} status=none");
            let command = server.says(format!("writes {count} 16"), dd);
            let [cpu, _] = transfer(server, vec![ssh(place, server, server.user(), FAST_CIPHER, &command)])?;
            Ok(vec![cpu * 1e6 / f64::from(*count)])
        }
        Load::IdleConnections(count) => memory::idle(place, server, "idle", (*count, 0)),
        Load::IdleSessions(count) => memory::idle(place, server, "idle", (*count, 1)),
        Load::UsedSessions(count) => memory::idle(place, server, "used", (*count, 1)),
        Load::Rounds(count) => memory::rounds(place, server, *count),
        Load::Starts { count, swap, .. } => swap::run(place, server, *count, *swap),
        Load::EchoesBesideDownloads(count) => {
            let mut downloads = Downloads::start(place, server)?;
            let times = spend(Driver::start(place, server, "echo", (*count, 1), KEX)?, server)?.times;
            downloads.check()?;
            Ok(times)
        }
        Load::Nothing => Ok(vec![to_float(server.meter().resident()?) / KIB / KIB]),
    }
}

/// What a driver's work has cost.
struct Spent {
    /// The server's CPU seconds between `ready` and `done`.
    cpu: f64,
    /// What the driver has measured itself, in us: the median and the 99th percentile of an echo.
    times: Vec<f64>,
}

fn spend(mut driver: Driver, server: &Server) -> Outcome<Spent> {
    driver.hear("ready")?;
    let before = server.meter().cpu()?;
    driver.go_on()?;
    let times = driver.hear("done")?;
    let after = server.meter().cpu()?;
    driver.end()?;
    Ok(Spent { cpu: after.saturating_sub(before).as_secs_f64(), times })
}

/// The server's CPU seconds for runs of OpenSSH's client at once, their logins included, and how many seconds they
/// took.
fn transfer(server: &Server, clients: Vec<Command>) -> Outcome<[f64; 2]> {
    let (before, began) = (server.meter().cpu()?, Instant::now());
    let mut running = Vec::new();
    for mut ssh in clients {
        let line = line(&ssh);
        running.push((doing(&line, ssh.stdout(Stdio::null()).spawn())?, line));
    }
    for (mut child, line) in running {
        let status = doing(&line, child.wait())?;
        if !status.success() {
            return Err(format!("{line}: {status}"));
        }
    }
    let (wall, after) = (began.elapsed(), server.meter().cpu()?);
    Ok([after.saturating_sub(before), wall].map(|time| time.as_secs_f64()))
}

/// Downloads that run until this is dropped. Their clients run only when core 1 has nothing else to do, so that they
/// delay no other client.
struct Downloads(Vec<Child>);

impl Downloads {
    /// Starts them, and waits until all have received something.
    fn start(place: &Place, server: &Server) -> Outcome<Self> {
        let without_end = u64::MAX >> 1;
        let command = server.says(format!("zeros {without_end}"), "cat /dev/zero".to_owned());
        let mut downloads = Self(Vec::new());
        for _ in 0..DOWNLOADS {
            let ssh = ssh(place, server, server.user(), FAST_CIPHER, &command);
            let mut idle = Command::new("chrt");
            idle.args(["--idle", "0"]).arg(ssh.get_program()).args(ssh.get_args());
            idle.stdin(Stdio::null()).stdout(Stdio::null());
            downloads.0.push(doing("chrt", idle.spawn())?);
        }
        let began = Instant::now();
        while downloads.received()?.iter().any(|bytes| *bytes < RUNNING) {
            if began.elapsed() > DEADLINE {
                return Err(format!("after {DEADLINE:?} not every download has received {RUNNING} bytes"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(downloads)
    }

    /// What each of them has written so far: proc_pid_io(5).
    fn received(&mut self) -> Outcome<Vec<u64>> {
        self.check()?;
        let written = |child: &Child| {
            let file = format!("/proc/{}/io", child.id());
            let text = doing(&file, fs::read_to_string(&file))?;
            let count = text.lines().find_map(|line| line.strip_prefix("wchar: ")?.parse().ok());
            count.ok_or(format!("{file}: no wchar"))
        };
        self.0.iter().map(written).collect()
    }

    /// Fails if one of them has ended.
    fn check(&mut self) -> Outcome {
        for child in &mut self.0 {
            if let Some(status) = doing("a download", child.try_wait())? {
                return Err(format!("a download has ended: {status}"));
            }
        }
        Ok(())
    }
}

impl Drop for Downloads {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // An error means that it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
