//! Attacks before the login: password guesses at 200 a second, a port scanner, and 5,000 silent connections, one after
//! the other and together. An honest user logs in all the time. OpenSSH's sshd 9.2 and 10.0 get the same in the same
//! run.
//!
//! The short form has small numbers and no sshd, and judges no times: other work of this machine would count.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use whelk_tests::{Access, Call, Client, Gateway, Input, MIB, Running, Setup, Sshd, figure, size};

use super::ARGON2;

/// How long an honest login may take in a proof, at the 99th percentile.
const LONGEST: Duration = Duration::from_secs(1);

/// How much more resident memory a server may have after all attacks than before.
const LEFT_BEHIND: u64 = 64 * MIB;

/// How long the honest user logs in beside each attack, in a proof.
const WHILE: u64 = 20;

/// The address of the honest user, and that of nobody else.
const HONEST: &str = "127.0.0.1";

/// A server under attack.
struct Target<'t> {
    name: &'static str,
    gateway: &'t Gateway,
    sshd: Option<&'t Sshd>,
    /// The credentials of the honest user, in turn.
    access: Vec<Access>,
}

/// The sums over the processes of a server.
struct Usage {
    memory: u64,
    processor: Duration,
}

impl Target<'_> {
    fn port(&self) -> u16 {
        self.sshd.map_or_else(|| self.gateway.port(), Sshd::port)
    }

    fn user(&self) -> &str {
        self.sshd.map_or("alice", Sshd::user)
    }

    fn logged(&self) -> u64 {
        self.sshd.map_or_else(|| self.gateway.logged(), Sshd::logged)
    }

    fn usage(&self) -> Usage {
        let root = self.sshd.map_or_else(|| self.gateway.pid(), Sshd::pid);
        let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for process in fs::read_dir("/proc").expect("Linux has it").filter_map(Result::ok) {
            let process = process.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
            if let Some((process, parent)) = process.and_then(|process| Some((process, *stat(process)?.get(1)?))) {
                children.entry(i32::try_from(parent).unwrap_or(0)).or_default().push(process);
            }
        }
        let (mut family, mut at) = (vec![root], 0);
        while let Some(process) = family.get(at) {
            family.extend(children.remove(process).unwrap_or_default());
            at += 1;
        }
        // What one process shares with another counts once.
        let memory = family.iter().map(|process| proportional_memory(*process)).sum();
        // utime, stime, and those of the processes that have ended: 10 ms each.
        let times = family.iter().filter_map(|process| stat(*process)).map(|stat| stat[11..15].iter().sum::<u64>());
        Usage { memory, processor: Duration::from_millis(10 * times.sum::<u64>()) }
    }

    /// OpenSSH's client logs in from this address again and again: at least `least` times, and for so long.
    fn log_in(&self, address: &str, least: usize, long: Duration) -> Honest {
        let (started, mut honest) = (Instant::now(), Honest::default());
        while honest.tried < least || started.elapsed() < long {
            let access = self.access[honest.tried % self.access.len()].clone();
            let call = Call::new(Client::OpenSsh100, self.gateway, self.user()).access(access).port(self.port());
            let finished =
                call.option(&format!("-oBindAddress={address}")).option("-v").exec("exit 5").run(Input::Nothing);
            honest.tried += 1;
            honest.peak = honest.peak.max(self.usage().memory);
            if finished.status == Some(5) {
                honest.took.push(finished.took);
            } else {
                honest.said = finished.err;
            }
        }
        honest.took.sort_unstable();
        honest
    }

    /// How much more memory there is than before. The server gives memory back every few seconds: logins give it the
    /// time, until little is left.
    fn memory_left(&self, before: u64) -> u64 {
        let left = || self.usage().memory.saturating_sub(before);
        (0..100).any(|_| left() <= LEFT_BEHIND || self.log_in(HONEST, 1, Duration::ZERO).tried == 0);
        left()
    }

    /// Our own client with an attack, from the addresses of others or from one.
    fn attack(&self, attack: &Attack, from: Option<&str>) -> Running {
        let guess = Access::password("not used");
        let call = Call::new(Client::Ours, self.gateway, self.user()).port(self.port()).access(guess).option("--siege");
        let call = attack.options.iter().fold(call, |call, option| call.option(option));
        let call = from.iter().fold(call, |call, address| call.option("--from").option(address));
        let mut running = call.start_long();
        running.wait_for_output("ready");
        running.type_in(b"go\n");
        running.wait_for_output(attack.begun);
        running
    }

    /// The honest user logs in beside attacks. Prints a line of the table.
    fn beside(&self, name: &str, attacks: &[&Attack], honest: &str, from: Option<&str>, alone: f64) -> Honest {
        let (least, long) = (size(6, 40) as usize, Duration::from_secs(size(0, WHILE)));
        let (before, logged) = (self.usage(), self.logged());
        let attackers: Vec<Running> = attacks.iter().map(|attack| self.attack(attack, from)).collect();
        let logins = self.log_in(honest, least, long);
        let connections: u64 = attackers.into_iter().map(end).sum();
        let after = self.usage();
        let lines = (self.logged() - logged) as f64 - alone * logins.tried as f64;
        let mib = |bytes: u64| bytes / MIB;
        figure(
            &format!("{}, {name}", self.name),
            format!(
                "{logins}; memory before {} peak {} after {} MiB; {connections} attacking connections, {:.0} bytes of log \
                 each; {:.1} s of processor time",
                mib(before.memory),
                mib(logins.peak.max(after.memory)),
                mib(after.memory),
                lines.max(0.0) / connections.max(1) as f64,
                (after.processor.saturating_sub(before.processor)).as_secs_f64(),
            ),
        );
        logins
    }
}

/// proc_pid_stat(5) without the first two fields, the rest as numbers: the state, a letter, is 0.
fn stat(process: i32) -> Option<Vec<u64>> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<u64> = fields.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    (fields.len() > 15).then_some(fields)
}

/// The memory of a process, of shared pages its part. 0 once it has ended.
fn proportional_memory(process: i32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// The logins of the honest user.
#[derive(Default)]
struct Honest {
    tried: usize,
    /// How long each success took, in order.
    took: Vec<Duration>,
    /// What the last failure said.
    said: String,
    /// The most memory that the server had after a login.
    peak: u64,
}

impl Honest {
    fn percentile(&self, part: usize) -> Duration {
        let last = self.took.len().saturating_sub(1);
        self.took.get((self.took.len() * part / 100).min(last)).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Honest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (tried, succeeded) = (self.tried, self.took.len());
        let [half, most] = [50, 99].map(|part| self.percentile(part).as_millis());
        write!(f, "{succeeded} of {tried} honest logins, p50 {half} p99 {most} ms")
    }
}

/// An attack of our own client.
struct Attack {
    options: Vec<String>,
    /// What it prints once it has begun.
    begun: &'static str,
}

impl Attack {
    fn new(options: &str, begun: &'static str) -> Attack {
        Attack { options: options.split(' ').map(str::to_owned).collect(), begun }
    }
}

/// Ends an attack. Returns how many connections it has made.
fn end(mut attacker: Running) -> u64 {
    attacker.type_in(b"enough\n");
    let told = attacker.finish().out.text();
    told.lines().filter(|line| line.contains(" ended with ")).for_each(|line| println!("{line}"));
    let count = told.lines().find_map(|line| {
        let opened = line.strip_prefix("open ").and_then(|rest| rest.split(' ').nth(2));
        opened.or_else(|| line.strip_suffix(" connections"))?.parse().ok()
    });
    count.unwrap_or_else(|| panic!("it does not say how many: {told}"))
}

/// All of it against one server. Returns the logins beside each attack.
fn suffer(target: &Target<'_>) -> Vec<(&'static str, Honest)> {
    let (rate, scans, silent) = (size(40, 200), size(40, 200), size(200, 5000));
    // Guesses of many addresses, as botnets make them: of one address nearly all would be refused.
    let guesses = Attack::new(&format!("brute --count 0 --rate {rate} --at-once 400 --addresses 100"), "attacking");
    let scanner = Attack::new(&format!("scan --count 0 --rate {scans} --at-once 400 --addresses 4"), "attacking");
    let silent = Attack::new(&format!("silent --count {silent} --addresses 500"), "all have come");
    let logged = target.logged();
    let alone = target.beside("no attack", &[], HONEST, None, 0.0);
    let each = (target.logged() - logged) as f64 / alone.tried as f64;
    let beside = |name, attacks: &[&Attack]| (name, target.beside(name, attacks, HONEST, None, each));
    vec![
        ("no attack", alone),
        beside("guesses", &[&guesses]),
        beside("a scanner", &[&scanner]),
        beside("silent connections", &[&silent]),
        beside("all at once", &[&guesses, &scanner, &silent]),
    ]
}

/// A gateway with one user, and the credentials. Nobody is exempt but this address.
fn attacked(exempt: &str) -> (Gateway, [Access; 2], String) {
    let (setup, (key, line)) = (Setup::default().log_filter("info"), Access::fresh_key());
    fs::write(setup.folder().join("keys"), &line).expect("our own folder");
    let gateway = setup.configuration(&format!(
        "penalty_exempt = [{exempt}]\n\
         [users.alice]\nplugin = \"probe\"\nauthorized_keys = \"keys\"\npassword = \"{ARGON2}\"\n"
    ));
    (gateway.start(), [key, Access::right_password()], line)
}

// F1, F2, F8, F9
#[test]
fn an_honest_user_logs_in_beside_guesses_a_scanner_and_silent_connections() {
    let (gateway, access, line) = attacked("");
    let key = access[0].clone();
    let target = Target { name: "whelk", gateway: &gateway, sshd: None, access: access.to_vec() };
    let before = target.usage().memory;
    let files = gateway.open_files();
    let attacks = suffer(&target);
    let [first, .., last] = &attacks[..] else { panic!("there are attacks") };
    assert!(first.1.tried > 0 && last.0 == "all at once");
    let left = target.memory_left(before);
    figure("whelk, memory that is left after all attacks, MiB", left / MIB);
    if size(0, 1) == 1 {
        for (name, program) in [("sshd 9.2", "sshd"), ("sshd 10.0", "sshd-10.0")] {
            let sshd = Sshd::start_program(program, &line, "");
            suffer(&Target { name, gateway: &gateway, sshd: Some(&sshd), access: vec![key.clone()] });
        }
    }
    for (attack, logins) in &attacks {
        assert_eq!(logins.took.len(), logins.tried, "{attack}: {}", logins.said);
        let slowest = logins.percentile(99);
        assert!(size(0, 1) == 0 || slowest < LONGEST, "{attack}: p99 {slowest:?}");
    }
    assert!(left <= LEFT_BEHIND, "{left} bytes are left behind");
    let is_over =
        (0..100).any(|_| target.log_in(HONEST, 1, Duration::ZERO).tried == 1 && gateway.open_files() <= files);
    assert!(is_over, "{} open files, and {files} before", gateway.open_files());
    gateway.end();
}

// F1
#[test]
fn the_memory_of_silent_connections_is_given_back() {
    let (gateway, access, _) = attacked("");
    let target = Target { name: "whelk", gateway: &gateway, sshd: None, access: access.to_vec() };
    target.log_in(HONEST, 2, Duration::ZERO);
    let before = target.usage().memory;
    let silent = Attack::new("silent --count 5000 --addresses 500", "all have come");
    let attacker = target.attack(&silent, None);
    let peak = target.usage().memory.saturating_sub(before);
    end(attacker);
    let left = target.memory_left(before);
    figure(
        "whelk, more memory beside 5,000 silent connections and after them, MiB",
        format!("{}, {}", peak / MIB, left / MIB),
    );
    assert!(left <= LEFT_BEHIND, "{left} bytes are left behind, of {peak}");
    gateway.end();
}

// F2: guesses that come at the same time are admitted before the first of them has been judged.
#[test]
fn of_many_guesses_at_once_few_are_hashed() {
    let gateway = Setup::default()
        .configuration(&format!(
            "penalty_exempt = []\n[users.alice]\nplugin = \"probe\"\npassword = \"{ARGON2}\"\n[limits]\nhashing = 1\n"
        ))
        .start();
    let access = vec![Access::right_password()];
    let target = Target { name: "whelk", gateway: &gateway, sshd: None, access };
    let guesses = Attack::new("brute --count 64 --rate 10000 --at-once 64", "attacking");
    let attacker = target.attack(&guesses, Some("127.0.0.7"));
    attacker.wait_for_output("done");
    let told = attacker.finish().out.text();
    let rejected = gateway.wait_all("rejections", |events| {
        Some(events.iter().filter(|event| event.message == "rejected" && event.field("method") == "password").count())
    });
    figure("whelk, passwords hashed of 64 guesses of one source at once", rejected);
    // Three penalties, one more or a few because some of the first has passed, and what is being hashed meanwhile.
    assert!((3..=8).contains(&rejected), "{rejected} were hashed: {told}");
    assert!(told.contains("Not allowed at this time"), "{told}");
    let honest = target.log_in(HONEST, 1, Duration::ZERO);
    assert_eq!(honest.took.len(), 1, "{}", honest.said);
    gateway.end();
}

// F3: whoever shares an address with an attacker is refused with it, unless the operator exempts the address.
#[test]
fn an_honest_user_behind_the_address_of_an_attacker_logs_in_if_the_address_is_exempt() {
    let (gateway, access, _) = attacked("\"127.0.0.5\"");
    let target = Target {
        name: "whelk, from the attacker's own address",
        gateway: &gateway,
        sshd: None,
        access: access.to_vec(),
    };
    let rate = size(20, 100);
    let guesses = Attack::new(&format!("brute --count 0 --rate {rate} --at-once 32"), "attacking");
    let scanner = Attack::new(&format!("scan --count 0 --rate {rate} --at-once 32"), "attacking");
    let exempt = target.beside("exempt", &[&guesses, &scanner], "127.0.0.5", Some("127.0.0.5"), 0.0);
    assert_eq!(exempt.took.len(), exempt.tried, "{}", exempt.said);
    let punished = target.beside("not exempt", &[&guesses, &scanner], "127.0.0.6", Some("127.0.0.6"), 0.0);
    assert!(punished.said.contains("Not allowed at this time"), "{punished}: {}", punished.said);
    gateway.end();
}
