//! The work that is measured, from core 1: our own client for many small things, OpenSSH's for great ones. All servers
//! get the same.

mod driver;

use super::server::{Kind, Place, Server};
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
const KIB: f64 = 1024.0;

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
    /// 16 bytes there and back so many times, while downloads run on eight other connections.
    EchoesBesideDownloads(u32),
    /// A server that nobody calls.
    Nothing,
}

impl Load {
    /// The figures that [`run`] gives, in its order: what each is beside the title of the row, if anything, and its
    /// unit.
    pub(crate) fn meanings(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Handshakes { .. } | Self::Sessions(_) | Self::ProgramSessions(_) => &[("", "ms")],
            Self::Echoes { .. } => &[("", "us"), ("p50", "us"), ("p99", "us")],
            Self::Typed { .. } | Self::Writes(_) => &[("", "us")],
            Self::Down { .. } | Self::Up { .. } => &[("", "s/GB"), ("wall time", "s/GB")],
            Self::IdleConnections(_) | Self::IdleSessions(_) => &[("", "KiB"), ("kept after their end", "KiB")],
            Self::EchoesBesideDownloads(_) => &[("p50", "us"), ("p99", "us")],
            Self::Nothing => &[("", "MiB")],
        }
    }

    /// Whether it is measured with this server. The one on russh has no terminal and runs no programs.
    pub(crate) fn suits(&self, kind: Kind) -> bool {
        match (self, kind) {
            (Self::Typed { .. } | Self::ProgramSessions(_), Kind::Russh) => false,
            (Self::IdleConnections(count) | Self::IdleSessions(count), Kind::Sshd) => *count <= SSHD_CONNECTIONS,
            _ => true,
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
            // Their numbers are in their titles.
            Self::IdleConnections(_) | Self::IdleSessions(_) | Self::Nothing => self,
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
        Load::IdleConnections(count) => idle(place, server, *count, 0),
        Load::IdleSessions(count) => idle(place, server, *count, 1),
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

/// The memory of each of so many connections, with so many sessions, in KiB: while they wait, and what the server keeps
/// of it after they have ended.
fn idle(place: &Place, server: &Server, count: u32, sessions: u32) -> Outcome<Vec<f64>> {
    let mut driver = Driver::start(place, server, "idle", (count, sessions), KEX)?;
    driver.hear("ready")?;
    let before = to_float(server.meter().anonymous()?);
    driver.go_on()?;
    driver.hear("done")?;
    let meanwhile = to_float(server.meter().anonymous()?);
    driver.end()?;
    let afterwards = to_float(server.meter().settled()?);
    Ok([meanwhile, afterwards].map(|memory| (memory - before) / KIB / f64::from(count)).into())
}

#[expect(clippy::cast_precision_loss, reason = "counts of bytes far below 2^53")]
fn to_float(count: u64) -> f64 {
    count as f64
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
