//! The clients that make the work, tied to core 1: our own for many small things, OpenSSH's for great ones.

use crate::bench::server::{PROGRAM, Place, Server};
use crate::step::{Outcome, doing, line};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The cipher of our own client.
const SMALL_CIPHER: &str = "chacha20-poly1305@openssh.com";
/// Session starts in a second ...
const RATE: &str = "1000";
/// ... on so many connections in turn, so that a server that is late for half a second still has free channels.
const CONNECTIONS: u32 = 16;
/// The key exchange of work that does not measure one.
pub(super) const KEX: &str = "curve25519-sha256";

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
    command.args(["-o", &format!("KexAlgorithms={KEX}"), "-o", &format!("Ciphers={cipher}")]);
    // For ciphers that need one: all servers have it.
    command.args(["-o", "MACs=hmac-sha2-256-etm@openssh.com", "-i"]);
    command.arg(place.file("key")).args(["-p", &server.port().to_string(), "-l", user, "127.0.0.1", remote]);
    command
}

/// How much of a work, how much at once, and with which key exchange.
type Amount<'a> = ((u32, u32), &'a str);

/// The command of our own client for a load.
fn ours(place: &Place, server: &Server, user: &str, work: &str, amount: Amount, remote: &str) -> Command {
    let mut command = ours_alone(place, server, work, amount);
    command.arg(format!("{user}@127.0.0.1")).arg(remote);
    command
}

/// The same without user and command.
fn ours_alone(place: &Place, server: &Server, work: &str, ((count, width), kex): Amount) -> Command {
    let mut command = on_core_1();
    command.arg(place.load()).args(["--load", work, "--count", &count.to_string(), "--at-once", &width.to_string()]);
    command.args(["--kex", kex, "--cipher", SMALL_CIPHER, "--identity"]).arg(place.file("key"));
    command.args(["-p", &server.port().to_string()]);
    command
}

/// What makes a load, and the conversation with it: it says `ready` and `done`, and waits for a line after each.
pub(crate) struct Driver {
    child: Child,
    tell: ChildStdin,
    hear: BufReader<ChildStdout>,
}

impl Driver {
    /// `count` of the work, `width` at once, with this key exchange.
    pub(super) fn start(place: &Place, server: &Server, work: &str, amount: (u32, u32), kex: &str) -> Outcome<Self> {
        let (work, user, whelk, sshd) = match work {
            "typed" => (work, server.user(), "lines", "cat > /dev/null"),
            // The arguments of the program are the words of the command.
            "program" => ("session", PROGRAM, "123456", "printf 123456"),
            work => (work, server.user(), "print 123456", "printf 123456"),
        };
        let command = server.says(whelk.to_owned(), sshd.to_owned());
        Self::of(&mut ours(place, server, user, work, (amount, kex), &command))
    }

    /// So many sessions of one connection, one after the other, that run this command, which prints six bytes.
    pub(crate) fn start_commands(place: &Place, server: &Server, user: &str, says: &str, count: u32) -> Outcome<Self> {
        Self::of(&mut ours(place, server, user, "session", ((count, 1), KEX), says))
    }

    /// So many sessions that start at a rate of 1,000 a second.
    pub(super) fn start_at_rate(place: &Place, server: &Server, count: u32) -> Outcome<Self> {
        let command = server.says("print 123456".to_owned(), "printf 123456".to_owned());
        let mut ours = ours_alone(place, server, "starts", ((count, CONNECTIONS), KEX));
        Self::of(ours.args(["--rate", RATE]).arg(format!("{}@127.0.0.1", server.user())).arg(command))
    }

    /// So many sessions, 50 of a connection, each a shell that has read a line and waits for another.
    pub(crate) fn start_shells(place: &Place, server: &Server, user: &str, count: u32) -> Outcome<Self> {
        let width = count.min(50);
        Self::of(&mut ours(place, server, user, "shells", ((count.div_ceil(width), width), KEX), ""))
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

    /// Waits for a word; gives the numbers that follow it.
    pub(crate) fn hear(&mut self, word: &str) -> Outcome<Vec<f64>> {
        let mut said = String::new();
        doing("the load", self.hear.read_line(&mut said))?;
        let mut words = said.split_whitespace();
        let is_it = words.next() == Some(word);
        let numbers = words.map(str::parse).collect::<Result<_, _>>().ok().filter(|_| is_it);
        numbers.ok_or(format!("the load said {said:?} instead of {word:?}"))
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
