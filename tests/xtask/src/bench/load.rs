//! The work that is measured, from core 1: our own client for many small things, OpenSSH's for great ones. Both servers
//! get the same.

use super::server::{PROGRAM, Place, Server};
use crate::step::{Outcome, doing, line};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const SMALL_CIPHER: &str = "chacha20-poly1305@openssh.com";

/// One kind of work, and how much of it.
pub(crate) enum Load {
    /// Connect, key exchange, public-key login, disconnect.
    Handshakes(u32),
    /// Open, exec, 6 bytes of output, status, close, on a standing connection.
    Sessions(u32),
    /// The same with a program, which is run once for each session.
    ProgramSessions(u32),
    /// 16 bytes there and back, `count` times in each of `width` sessions of one connection.
    Echoes { width: u32, count: u32 },
    /// A line of 16 bytes that the terminal of each of `width` sessions of one connection echoes, `count` times.
    Typed { width: u32, count: u32 },
    /// A download through one session.
    Down { cipher: &'static str, bytes: u64 },
    /// An upload through one session.
    Up { cipher: &'static str, bytes: u64 },
    /// Connections with one session that has echoed 16 bytes and waits.
    Idle(u32),
    /// A server that nobody calls.
    Nothing,
}

/// Does the work once; gives what one unit of it costs, in the unit of the table.
pub(crate) fn run(place: &Place, server: &mut Server, load: &Load) -> Outcome<f64> {
    const KIB: f64 = 1024.0;
    match load {
        Load::Handshakes(count) => Ok(cpu(place, server, "handshake", *count, 1)? * 1e3 / f64::from(*count)),
        Load::Sessions(count) => Ok(cpu(place, server, "session", *count, 1)? * 1e3 / f64::from(*count)),
        Load::ProgramSessions(count) => Ok(cpu(place, server, "program", *count, 1)? * 1e3 / f64::from(*count)),
        Load::Echoes { width, count } => {
            let echoes = f64::from(*width) * f64::from(*count);
            Ok(cpu(place, server, "echo", *count, *width)? * 1e6 / echoes)
        }
        Load::Typed { width, count } => {
            let lines = f64::from(*width) * f64::from(*count);
            Ok(cpu(place, server, "typed", *count, *width)? * 1e6 / lines)
        }
        Load::Down { cipher, bytes } => {
            let command = server.says(format!("zeros {bytes}"), format!("head -c {bytes} /dev/zero"));
            let mut ssh = ssh(place, server, server.user(), cipher, &command);
            Ok(transfer(server, ssh.stdin(Stdio::null()))? * 1e9 / to_float(*bytes))
        }
        Load::Up { cipher, bytes } => {
            let command = server.says("discard".to_owned(), "cat > /dev/null".to_owned());
            let mut zeros = Command::new("head");
            let mut zeros =
                doing("head", zeros.args(["-c", &bytes.to_string(), "/dev/zero"]).stdout(Stdio::piped()).spawn())?;
            let pipe = zeros.stdout.take().ok_or("stdout was asked to be a pipe")?;
            let cost = transfer(server, ssh(place, server, server.user(), cipher, &command).stdin(pipe));
            doing("head", zeros.wait())?;
            Ok(cost? * 1e9 / to_float(*bytes))
        }
        Load::Idle(count) => {
            let mut driver = Driver::start(place, server, "idle", *count, 1)?;
            driver.hear("ready")?;
            let before = server.meter().anonymous()?;
            driver.go_on()?;
            driver.hear("done")?;
            let after = server.meter().anonymous()?;
            driver.end()?;
            Ok((to_float(after) - to_float(before)) / KIB / f64::from(*count))
        }
        Load::Nothing => Ok(to_float(server.meter().resident()?) / KIB / KIB),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of bytes far below 2^53")]
fn to_float(count: u64) -> f64 {
    count as f64
}

/// The server's CPU seconds for what the driver does between `ready` and `done`.
fn cpu(place: &Place, server: &Server, work: &str, count: u32, width: u32) -> Outcome<f64> {
    let mut driver = Driver::start(place, server, work, count, width)?;
    driver.hear("ready")?;
    let before = server.meter().cpu()?;
    driver.go_on()?;
    driver.hear("done")?;
    let after = server.meter().cpu()?;
    driver.end()?;
    Ok(after.saturating_sub(before).as_secs_f64())
}

/// The server's CPU seconds for one run of OpenSSH's client, its login included.
fn transfer(server: &Server, ssh: &mut Command) -> Outcome<f64> {
    let before = server.meter().cpu()?;
    let line = line(ssh);
    let status = doing(&line, ssh.stdout(Stdio::null()).status())?;
    if !status.success() {
        return Err(format!("{line}: {status}"));
    }
    Ok(server.meter().cpu()?.saturating_sub(before).as_secs_f64())
}

pub(crate) fn on_core_1() -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", "1"]);
    command
}

/// OpenSSH's client.
pub(crate) fn ssh(place: &Place, server: &Server, user: &str, cipher: &str, remote: &str) -> Command {
    let mut command = on_core_1();
    command.arg(place.client("ssh-10.0")).args(["-F", "none", "-T", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]);
    command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes"]);
    command.args(["-o", "KexAlgorithms=curve25519-sha256", "-o", &format!("Ciphers={cipher}"), "-i"]);
    command.arg(place.file("key")).args(["-p", &server.port().to_string(), "-l", user, "127.0.0.1", remote]);
    command
}

/// The command of our own client for a load: `count` of the work, `width` at once.
fn ours(place: &Place, server: &Server, user: &str, work: &str, (count, width): (u32, u32), remote: &str) -> Command {
    let mut command = on_core_1();
    command.arg(place.load()).args(["--load", work, "--count", &count.to_string(), "--at-once", &width.to_string()]);
    command.args(["--kex", "curve25519-sha256", "--cipher", SMALL_CIPHER, "--identity"]).arg(place.file("key"));
    command.args(["-p", &server.port().to_string(), &format!("{user}@127.0.0.1")]).arg(remote);
    command
}

/// What makes a load, and the conversation with it: it says `ready` and `done`, and waits for a line after each.
pub(crate) struct Driver {
    child: Child,
    tell: ChildStdin,
    hear: BufReader<ChildStdout>,
}

impl Driver {
    fn start(place: &Place, server: &Server, work: &str, count: u32, width: u32) -> Outcome<Self> {
        let (work, user, whelk, sshd) = match work {
            "typed" => (work, server.user(), "lines", "cat > /dev/null"),
            // The arguments of the program are the words of the command.
            "program" => ("session", PROGRAM, "123456", "printf 123456"),
            work => (work, server.user(), "print 123456", "printf 123456"),
        };
        Self::of(&mut ours(place, server, user, work, (count, width), &server.says(whelk.to_owned(), sshd.to_owned())))
    }

    /// So many sessions of one connection, one after the other, that run this command, which prints six bytes.
    pub(crate) fn start_commands(place: &Place, server: &Server, user: &str, says: &str, count: u32) -> Outcome<Self> {
        Self::of(&mut ours(place, server, user, "session", (count, 1), says))
    }

    /// So many sessions, 50 of a connection, each a shell that has read a line and waits for another.
    pub(crate) fn start_shells(place: &Place, server: &Server, user: &str, count: u32) -> Outcome<Self> {
        let width = count.min(50);
        Self::of(&mut ours(place, server, user, "shells", (count.div_ceil(width), width), ""))
    }

    /// Starts this program.
    pub(crate) fn of(command: &mut Command) -> Outcome<Self> {
        let name = line(command);
        let mut child = doing(name, command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn())?;
        let tell = child.stdin.take().ok_or("stdin was asked to be a pipe")?;
        let hear = BufReader::new(child.stdout.take().ok_or("stdout was asked to be a pipe")?);
        Ok(Self { child, tell, hear })
    }

    /// The id of its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn hear(&mut self, word: &str) -> Outcome {
        let mut said = String::new();
        doing("the load", self.hear.read_line(&mut said))?;
        if said.trim() == word { Ok(()) } else { Err(format!("the load said {said:?} instead of {word:?}")) }
    }

    pub(crate) fn go_on(&mut self) -> Outcome {
        doing("the load", self.tell.write_all(b"go\n"))
    }

    pub(crate) fn end(mut self) -> Outcome {
        self.go_on()?;
        let status = doing("the load", self.child.wait())?;
        if status.success() { Ok(()) } else { Err(format!("the load: {status}")) }
    }
}
