//! A gateway with two tenants: the hostile one, and a quiet one whose session goes on throughout.

use std::path::{Path, PathBuf};
use std::time::Duration;

use whelk_tests::{Call, Client, Event, Finished, Gateway, Input, Running, Setup, shipped_plugins};

use crate::components::{attacker, file, install};

/// Limits that make the tests short: what is stopped after a second by default is stopped sooner here.
const LIMITS: [(&str, &str); 6] = [
    ("cpu_call", "\"200 ms\""),
    ("cpu_closed", "\"50 ms\""),
    ("instances", "200"),
    ("sessions_per_user", "1000"),
    ("connections_per_user", "10000"),
    ("keepalive", "\"3600 s\""),
];

/// Users of the hostile tenant who get the attacker. For those beginning with `open-` it misbehaves in `open`.
const ATTACKERS: [&str; 4] = ["attacker", "accomplice", "open-W2", "open-W24"];

/// The configuration of a world.
#[derive(Default)]
pub(crate) struct Plan {
    limits: Vec<(String, String)>,
    hostile: String,
    quiet: String,
    plugins: Vec<(String, Vec<u8>)>,
    programs: Vec<(String, Vec<u8>)>,
    files: Vec<(String, Vec<u8>)>,
    /// More users: name, tenant, plugin.
    users: Vec<[String; 3]>,
    before: Option<fn(&Path)>,
}

impl Plan {
    /// One that checks its plugin folder as often as allowed.
    pub(crate) fn watched() -> Self {
        Self::default().limit("reload_settle", "\"10 ms\"").limit("reload_interval", "\"100 ms\"")
    }

    /// Sets a limit other than those of these tests.
    pub(crate) fn limit(mut self, name: &str, value: &str) -> Self {
        self.limits.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds lines for the hostile tenant: sub-tables such as `[tenants.hostile.grants]`.
    pub(crate) fn hostile(mut self, lines: &str) -> Self {
        self.hostile = lines.to_owned();
        self
    }

    /// The same for the quiet tenant.
    pub(crate) fn quiet(mut self, lines: &str) -> Self {
        self.quiet = lines.to_owned();
        self
    }

    /// Adds a plugin, which a hostile user of its name gets.
    pub(crate) fn plugin(mut self, name: &str, bytes: Vec<u8>) -> Self {
        self.plugins.push((name.to_owned(), bytes));
        self
    }

    /// Adds a program, which a hostile user of its name gets.
    pub(crate) fn program(mut self, name: &str, bytes: &[u8]) -> Self {
        self.programs.push((name.to_owned(), bytes.to_vec()));
        self
    }

    /// Adds a file to the plugin folder that no user gets.
    pub(crate) fn file(mut self, name: &str, bytes: Vec<u8>) -> Self {
        self.files.push((name.to_owned(), bytes));
        self
    }

    /// Adds a user of either tenant.
    pub(crate) fn also(mut self, name: &str, tenant: &str, plugin: &str) -> Self {
        self.users.push([name, tenant, plugin].map(str::to_owned));
        self
    }

    /// Prepares the test's folder before the start.
    pub(crate) fn before(mut self, prepare: fn(&Path)) -> Self {
        self.before = Some(prepare);
        self
    }

    /// Starts it. `FOLDER` in the tenants' lines stands for a folder of the test.
    pub(crate) fn start(self) -> World {
        let setup = Setup::default();
        if let Some(prepare) = self.before {
            prepare(setup.folder());
        }
        let plugins = setup.folder().join("plugins");
        std::fs::create_dir(&plugins).expect("our own folder");
        install(&plugins, "attacker", attacker());
        for (name, bytes) in self.plugins.iter().chain(&self.files) {
            install(&plugins, name, bytes);
        }
        if !self.programs.is_empty() {
            std::fs::create_dir(plugins.join("bin")).expect("our own folder");
        }
        for (name, bytes) in &self.programs {
            install(&plugins.join("bin"), name, bytes);
        }
        for name in ["probe", "echo"] {
            std::fs::copy(file(&shipped_plugins(), name), file(&plugins, name)).expect("the plugins are built");
        }
        let configuration = self.configuration().replace("FOLDER", &setup.folder().display().to_string());
        let gateway = setup.plugins(plugins).configuration(&configuration).start();
        let neighbour = neighbour(&gateway);
        World { gateway, neighbour, said: 0 }
    }

    fn configuration(&self) -> String {
        let limits = LIMITS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let kept = limits.filter(|(name, _)| self.limits.iter().all(|(other, _)| other != name));
        let mut text = "[limits]\n".to_owned();
        kept.chain(self.limits.iter().cloned()).for_each(|(name, value)| text += &format!("{name} = {value}\n"));
        text += &format!("[tenants.hostile]\nplugin = \"attacker\"\n{}\n", self.hostile);
        text += &format!("[tenants.quiet]\nplugin = \"probe\"\n{}\n", self.quiet);
        let user = |name: &str, tenant: &str, plugin: &str| {
            format!("[users.\"{name}\"]\ntenant = \"{tenant}\"\nplugin = \"{plugin}\"\nauth = \"none\"\n")
        };
        ATTACKERS.iter().for_each(|name| text += &user(name, "hostile", "attacker"));
        self.plugins.iter().chain(&self.programs).for_each(|(name, _)| text += &user(name, "hostile", name));
        self.users.iter().for_each(|[name, tenant, plugin]| text += &user(name, tenant, plugin));
        text += &user("neighbour", "quiet", "probe");
        text + &user("stranger", "quiet", "attacker")
    }
}

/// A harmless session that goes on.
fn neighbour(gateway: &Gateway) -> Running {
    Call::new(Client::Ours, gateway, "neighbour").exec("cat").start_long()
}

/// How a session ended, as its client sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// With this status.
    Status(i32),
    /// By a signal, with a line: `KILL: out of memory`.
    Signal(String),
    /// The channel was refused: the reason's number, and a line.
    NotOpened(u32, String),
    /// The connection ended instead.
    Cut,
}

/// One behaviour, as its client saw it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) told: Told,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Seen {
    fn read(finished: &Finished) -> Self {
        let signal = finished.err.lines().find_map(|line| line.strip_prefix("exit-signal "));
        let refusal = finished.err.lines().find_map(|line| line.strip_prefix("ours: not opened "));
        let told = match (signal, refusal.and_then(|line| line.split_once(": ")), finished.status) {
            (Some(line), ..) => Told::Signal(line.to_owned()),
            (None, Some((reason, words)), _) => Told::NotOpened(reason.parse().unwrap_or(0), words.to_owned()),
            (None, None, Some(255) | None) => Told::Cut,
            (None, None, Some(status)) => Told::Status(status),
        };
        Self { told, out: finished.out.text(), err: finished.err.clone() }
    }
}

/// A running gateway with a harmless neighbour in it.
pub(crate) struct World {
    pub(crate) gateway: Gateway,
    neighbour: Running,
    /// Lines that the neighbour has sent and received.
    said: u32,
}

impl World {
    /// The usual one.
    pub(crate) fn new() -> Self {
        Plan::default().start()
    }

    /// Kills the gateway and starts it again, with another neighbour.
    pub(crate) fn kill_and_restart(&mut self) {
        self.gateway.kill_and_restart();
        self.neighbour = neighbour(&self.gateway);
    }

    /// The operator's plugin folder.
    pub(crate) fn plugins(&self) -> PathBuf {
        self.gateway.folder().join("plugins")
    }

    /// A call of our own client.
    pub(crate) fn call(&self, user: &str) -> Call {
        Call::new(Client::Ours, &self.gateway, user)
    }

    /// The attacker runs a behaviour; sends some input for `data`.
    pub(crate) fn exec(&self, behaviour: &str) -> Seen {
        self.run(&self.call("attacker").exec(behaviour))
    }

    /// Runs a call to its end, with some input.
    pub(crate) fn run(&self, call: &Call) -> Seen {
        Seen::read(&call.run(Input::Bytes(b"x".to_vec())))
    }

    /// Our own client with a hostile load, ready to begin.
    pub(crate) fn siege(&self, user: &str, kind: &str, options: &[&str], command: &str) -> Running {
        let call =
            options.iter().fold(self.call(user).option("--siege").option(kind), |call, option| call.option(option));
        let call = if command.is_empty() { call } else { call.exec(command) };
        let running = call.start_long();
        running.wait_for_output("ready");
        running
    }

    /// The neighbour's echo comes back again and again while this many of the attacker's sessions repeat a behaviour.
    pub(crate) fn neighbour_goes_on_in_a_storm(&mut self, at_once: &str, behaviour: &str) {
        let mut storm = self.siege("attacker", "storm", &["--count", "0", "--at-once", at_once], behaviour);
        storm.type_in(b"go\n");
        for _ in 0..50 {
            self.neighbour_goes_on();
        }
        storm.end_input();
        storm.wait_for_output("done");
    }

    /// The neighbour sends a line and receives its echo.
    pub(crate) fn neighbour_goes_on(&mut self) {
        self.said += 1;
        let line = format!("still here {}\n", self.said);
        self.neighbour.type_in(line.as_bytes());
        self.neighbour.wait_for_output(&line);
    }

    /// Waits until this many sessions of a plugin have ended, and returns their log lines.
    pub(crate) fn endings(&self, plugin: &str, count: usize) -> Vec<Event> {
        self.gateway.wait_all(&format!("end of {count} sessions of {plugin}"), |events| {
            let ended = |event: &&Event| event.message == "session ended" && event.field("plugin") == plugin;
            let found: Vec<Event> = events.iter().filter(ended).cloned().collect();
            (found.len() >= count).then_some(found)
        })
    }

    /// Behaviours that end their session: the signal and the line that the client gets, and what the operator's line
    /// contains. Each is one event for the operator, and the neighbour goes on.
    pub(crate) fn each_ends_alone(&mut self, behaviours: &[(&str, &str, &str)]) {
        for (behaviour, told, logged) in behaviours {
            let call = self.call("attacker").exec(behaviour);
            self.ends_alone(behaviour, &call, &Told::Signal((*told).to_owned()), logged);
        }
    }

    /// The same for one call.
    pub(crate) fn ends_alone(&mut self, behaviour: &str, call: &Call, told: &Told, logged: &str) {
        let before = self.settled();
        let lines = self.log().len();
        let seen = self.run(call);
        assert_eq!(seen.told, *told, "{behaviour}: {seen:?}");
        if let Told::Signal(line) = told {
            let words = line.split_once(": ").map_or(line.as_str(), |(_, words)| words);
            // On standard error too, unless nothing was started yet.
            let lines: Vec<&str> = seen.err.lines().filter_map(|line| line.strip_prefix("whelk: ")).collect();
            assert!(lines.is_empty() || lines == [words], "{behaviour} is told by {lines:?}");
        }
        let endings = self.endings("attacker", before + 1);
        assert_eq!(endings.len(), before + 1, "{behaviour} ended more than one session: {endings:?}");
        let ending = &endings[before];
        assert_eq!(ending.level, "WARN", "{behaviour}: {}", ending.line);
        assert!(ending.field("error").contains(logged), "{behaviour} is not logged as {logged:?}: {}", ending.line);
        self.neighbour_goes_on();
        // The host's log lines of one connection with one session, from open to close.
        let said: Vec<Event> =
            self.log().split_off(lines).into_iter().filter(|event| !event.is_from_plugin()).collect();
        assert!(said.len() <= 12, "{behaviour} makes the host say {} lines: {said:#?}", said.len());
        let loud: Vec<&Event> = said.iter().filter(|event| event.level == "ERROR").collect();
        assert!(loud.is_empty(), "{behaviour} makes the host raise an alarm: {loud:?}");
    }

    /// Waits until the log is up to date: lines wait in a queue, so a line that is written now comes after all earlier
    /// ones.
    fn catch_up(&self) {
        let number = |event: &Event| {
            // After the number of this run of the program.
            event.field("connection").rsplit('-').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0)
        };
        let last = self.log().iter().map(number).max().unwrap_or(0);
        self.run(&self.call("nobody"));
        self.gateway.wait("end of a connection", |event| {
            (event.message == "connection closed" && number(event) > last).then_some(())
        });
    }

    /// Waits until all sessions of the attacker so far have ended; returns how many there were.
    pub(crate) fn settled(&self) -> usize {
        self.all_ended("attacker")
    }

    /// The same for any plugin.
    pub(crate) fn all_ended(&self, plugin: &str) -> usize {
        self.catch_up();
        self.gateway.wait_all("end of all sessions", |events| {
            let count = |message: &str| {
                let it = |event: &&Event| event.message == message && event.field("plugin") == plugin;
                events.iter().filter(it).count()
            };
            let (opened, ended) = (count("session opened"), count("session ended"));
            (opened == ended).then_some(ended)
        })
    }

    /// The reason why a file was not loaded.
    pub(crate) fn refusal(&self, name: &str) -> String {
        self.gateway.wait(&format!("refusal of {name}"), |event| {
            let it = event.message == "plugin refused" && event.field("file").contains(&format!("{name}.wasm"));
            it.then(|| event.field("reason"))
        })
    }

    /// The log so far.
    pub(crate) fn log(&self) -> Vec<Event> {
        self.gateway.wait_all("log", |events| Some(events.to_vec()))
    }

    /// The neighbour ends normally, a fresh client is served, and the gateway ends without a panic.
    pub(crate) fn end(mut self) {
        self.neighbour_goes_on();
        let finished = self.neighbour.finish();
        assert_eq!(finished.status, Some(0), "the neighbour did not end well: {}", finished.err);
        let fresh = Call::new(Client::Ours, &self.gateway, "neighbour").exec("exit 5").run(Input::Nothing);
        assert_eq!(fresh.status, Some(5), "a fresh client was not served: {}", fresh.err);
        assert!(fresh.took < Duration::from_secs(30), "a fresh client waited for {:?}", fresh.took);
        self.gateway.end();
    }
}
