//! What an operator sees of a running server and ends: OpenSSH's sessions, and very many.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use whelk_tests::{
    Call, Client, Finished, Gateway, Input, LATER, MIB, Output, Running, SOON, Setup, figure, program, size,
};

/// `whelk` with these arguments about a server.
fn command(gateway: &Gateway, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).arg("--state").arg(gateway.folder().join("state")).env_remove("WHELK_LOG");
    command
}

fn ask(gateway: &Gateway, arguments: &[&str]) -> Finished {
    Running::run(command(gateway, arguments), Input::Nothing, LATER)
}

/// The output of a request that succeeds.
fn told(gateway: &Gateway, arguments: &[&str]) -> String {
    let finished = ask(gateway, arguments);
    assert_eq!(finished.status, Some(0), "{arguments:?}: {}", finished.err);
    finished.out.text()
}

/// The names of the sessions of a user, once there are so many.
fn until_listed(gateway: &Gateway, user: &str, count: usize) -> Vec<String> {
    let began = Instant::now();
    loop {
        let text = told(gateway, &["sessions", "--json", "--user", user]);
        let entries = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        let names: Vec<_> = entries.map(|entry| entry["id"].as_str().expect("a name").to_owned()).collect();
        if names.len() == count {
            return names;
        }
        assert!(began.elapsed() < SOON, "{} sessions of {user}:\n{text}", names.len());
    }
}

#[test]
fn a_terminal_of_openssh_is_watched_and_ended_with_a_reason() {
    let gateway = Setup::default().shell().start();
    let mut shell = Call::new(Client::OpenSsh100, &gateway, "sh").pty().start();
    shell.wait_for_output("$ ");
    let [id] = &until_listed(&gateway, "sh", 1)[..] else { panic!("one session") };
    let watch = Running::start(command(&gateway, &["watch", id]), Input::Nothing, Output::Read, LATER);
    watch.wait_for_stderr("watching ");
    // What acts on a terminal, and text beside it, which the shell puts together.
    shell.type_in(b"printf '\\033]0;ow''ned\\007\\033[1mbo''ld\\033[6n\\033[0m\\n'; echo d''one\r");
    watch.wait_for_output("done");
    let seen = watch.wait("the text", |seen| Some(seen.out.kept.clone()));
    let seen = String::from_utf8_lossy(&seen).into_owned();
    assert!(seen.contains("bold\n") && !seen.contains('\u{1b}') && !seen.contains("owned"), "{seen:?}");
    // A stopped program and what runs in the background go with their session.
    shell.type_in(b"sh -c 'kill -STOP $$' & while :; do :; done\r");
    assert_eq!(told(&gateway, &["kill", id, "--reason", "maintenance at noon"]), "ended: 1 session\n");
    let ended = shell.finish();
    assert!(ended.out.text().contains("whelk: maintenance at noon") || ended.err.contains("maintenance at noon"));
    assert_ne!(ended.status, Some(0));
    let watched = watch.finish();
    assert_eq!(watched.status, Some(0), "{}", watched.err);
    assert!(watched.err.contains("the session has ended (signal HUP)"), "{}", watched.err);
    assert_eq!(ask(&gateway, &["kill", id]).status, Some(1));
    gateway.end();
}

#[test]
fn a_connection_of_openssh_is_ended_with_a_reason_and_a_stopped_client_too() {
    let gateway = Gateway::demonstration();
    let cat = || Call::new(Client::OpenSsh100, &gateway, "probe").exec("cat").start();
    let (talking, stopped) = (cat(), cat());
    until_listed(&gateway, "probe", 2);
    rustix::process::kill_process(stopped.pid(), rustix::process::Signal::STOP).expect("it runs");
    let told = told(&gateway, &["kill", "--user", "probe", "--reason", "closed for today"]);
    assert_eq!(told, "ended: 2 connections with 2 sessions\n");
    let ended = talking.finish();
    assert_eq!(ended.status, Some(255));
    assert!(ended.err.contains("closed for today"), "{}", ended.err);
    until_listed(&gateway, "probe", 0);
    stopped.kill_and_wait();
    gateway.end();
}

/// A download of so many bytes: MiB in a second.
fn flood(gateway: &Gateway, mib: u64, during: impl FnOnce(&Gateway) -> Option<Running>) -> f64 {
    let bytes = mib * MIB;
    let call = Call::new(Client::OpenSsh100, gateway, "probe").exec(&format!("zeros {bytes}"));
    let running = Running::start(call.command(), Input::Nothing, Output::Read, LATER);
    let watching = during(gateway);
    let finished = running.finish();
    assert_eq!((finished.status, finished.out.total), (Some(0), bytes), "{}", finished.err);
    if let Some(watching) = watching {
        let watched = watching.finish();
        assert_eq!(watched.status, Some(0), "{}", watched.err);
        assert!(watched.err.contains("the session has ended (status 0)"), "{}", watched.err);
    }
    mib as f64 / finished.took.as_secs_f64()
}

/// Limits that leave room for many sessions.
pub(crate) const CROWD_LIMITS: &str = "[limits]\nsessions_per_user = 10000\nconnections_per_user = 10000\n\
                                       tenant_sessions = 10000\nunauthenticated_per_source = 1000\n";

/// Opens so many sessions of the user `crowd`, which stay idle for as long as this client runs.
pub(crate) fn idle_crowd(gateway: &Gateway, count: u64) -> Running {
    let count = count.to_string();
    let options = ["--load", "idle", "--count", &count];
    let crowd = options.iter().fold(Call::new(Client::Ours, gateway, "crowd"), |call, option| call.option(option));
    let mut crowd = crowd.start_long();
    crowd.wait_for_output("ready");
    crowd.type_in(b"go\n");
    crowd.wait_for_output("done");
    crowd
}

#[test]
fn many_sessions_are_listed_watched_and_ended() {
    let many = size(50, 1_000);
    let users = "[users.crowd]\nplugin = \"probe\"\nauth = \"none\"\ntenant = \"crowd\"\n\
                 [users.probe]\nplugin = \"probe\"\nauth = \"none\"\ntenant = \"other\"\n[tenants.crowd]\n[tenants.other]\n";
    let gateway = Setup::default().configuration(&format!("{CROWD_LIMITS}{users}")).start();
    let crowd = idle_crowd(&gateway, many);
    let timed = |what: &str, arguments: &[&str]| {
        let began = Instant::now();
        let text = told(&gateway, arguments);
        figure(&format!("{what} with {many} sessions"), format!("{:.0} ms", began.elapsed().as_secs_f64() * 1e3));
        text
    };
    let lines = |text: &str| u64::try_from(text.lines().count()).expect("not many");
    assert_eq!(lines(&timed("whelk sessions", &["sessions"])), many + 1);
    assert_eq!(lines(&timed("whelk sessions --json", &["sessions", "--json", "--tenant", "crowd"])), many);
    timed("whelk status", &["status"]);
    timed("whelk tenants", &["tenants"]);
    let watch = |gateway: &Gateway| {
        let names = until_listed(gateway, "probe", 1);
        let watch = command(gateway, &["watch", &names[0]]);
        let watch = Running::start(watch, Input::Nothing, Output::Read, LATER);
        watch.wait_for_stderr("watching ");
        Some(watch)
    };
    // In turns, so that both see the same machine; the best of each, since other work only takes away.
    let (mut alone, mut watched) = (0.0_f64, 0.0_f64);
    for _ in 0..size(2, 5) {
        alone = alone.max(flood(&gateway, size(256, 2_048), |gateway| {
            until_listed(gateway, "probe", 1);
            None
        }));
        watched = watched.max(flood(&gateway, size(256, 2_048), watch));
    }
    let ratio = watched / alone;
    figure("rate of a session that is watched", format!("{watched:.0} MiB/s, {ratio:.3} of alone"));
    assert!(ratio >= 0.95 || size(0, 1) == 0, "{watched:.0} MiB/s watched, {alone:.0} MiB/s alone");
    let ended = timed("whelk kill --tenant", &["kill", "--tenant", "crowd", "--reason", "closed"]);
    assert_eq!(ended, format!("ended: {many} connections with {many} sessions\n"));
    assert_eq!(told(&gateway, &["sessions"]), "no sessions\n");
    assert!(Path::new(&gateway.folder().join("state/control")).exists());
    crowd.kill_and_wait();
    gateway.end();
}
