//! The operator: lists, watches and ends sessions, reloads the configuration, and replaces a plugin.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use whelk_tests::{Finished, Input, Output, Running, SOON, program, size};

use super::load::{End, Load};
use super::site::Site;

/// What those are told whom the operator ends.
pub(super) const REASON: &str = "ended by the operator of the soak";

fn command(site: &Site, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).arg("--state").arg(site.gateway.folder().join("state")).env_remove("WHELK_LOG");
    command
}

fn ask(site: &Site, arguments: &[&str]) -> Finished {
    Running::run(command(site, arguments), Input::Nothing, SOON)
}

/// The output of a request that succeeds.
pub(super) fn told(site: &Site, arguments: &[&str]) -> String {
    let finished = ask(site, arguments);
    assert_eq!(finished.status, Some(0), "whelk {arguments:?}: {}{}", finished.out.text(), finished.err);
    finished.out.text()
}

fn json(site: &Site, arguments: &[&str]) -> Vec<Value> {
    let text = told(site, &[arguments, &["--json"]].concat());
    let lines = text.lines().map(|line| (line, serde_json::from_str(line)));
    lines.map(|(line, parsed)| parsed.unwrap_or_else(|error| panic!("{arguments:?}: {error}: {line}"))).collect()
}

/// Works until the load is over, and then ends those who wait for it.
pub(super) fn operate(load: &Load) {
    let (mut turn, mut watching) = (0, None);
    while load.pause(Duration::from_millis(size(700, 5_000))) {
        load.record("operator", &format!("turn {turn}"), || {
            look(load.site, turn, &mut watching)?;
            match turn % 6 {
                0 | 2 | 4 => kill(load.site, turn),
                1 => replace(load.site),
                _ => reload(load.site, turn),
            }
            Ok(End::Done)
        });
        turn += 1;
    }
    drop(watching);
    while load.has_victims() {
        // Status 1: nobody was there yet.
        let ended = ask(load.site, &["kill", "--user", "victim", "--reason", REASON]);
        if !matches!(ended.status, Some(0 | 1)) {
            load.record("operator", "at the end", || Err(ended.err));
        }
    }
}

/// Reads everything, and watches another session than before.
fn look(site: &Site, turn: usize, watching: &mut Option<Running>) -> Result<(), String> {
    let [status] = &json(site, &["status"])[..] else { return Err("one status".to_owned()) };
    assert_eq!(status["state"], "serving");
    let tenants = json(site, &["tenants"]);
    let names: Vec<_> = tenants.iter().filter_map(|tenant| tenant["tenant"].as_str()).collect();
    assert_eq!(names, ["acme", "default", "unix"]);
    if let Some(watching) = watching.take() {
        stop_watching(watching)?;
    }
    let sessions = json(site, &["sessions"]);
    if !sessions.is_empty() {
        let id = sessions[turn % sessions.len()]["id"].as_str().unwrap_or_default();
        *watching = Some(Running::start(command(site, &["watch", id]), Input::Nothing, Output::Read, SOON));
    }
    Ok(())
}

/// Ends a `whelk watch`, unless it has ended because its session has.
fn stop_watching(watching: Running) -> Result<(), String> {
    if watching.is_alive() {
        watching.kill_and_wait();
        return Ok(());
    }
    let finished = watching.finish();
    let is_over = finished.err.contains("the session has ended")
        || finished.err.contains("there is no such session")
        || finished.err.contains("the session has just ended");
    if is_over { Ok(()) } else { Err(format!("whelk watch: {:?} {}", finished.status, finished.err)) }
}

/// Ends one of the sessions that are there for that, or its connection.
fn kill(site: &Site, turn: usize) {
    let listed = json(site, &["sessions", "--user", "victim"]);
    let Some(victim) = listed.iter().find(|session| session["ending"] == false) else { return };
    let name = if turn.is_multiple_of(4) { "id" } else { "connection" };
    let id = victim[name].as_str().unwrap_or_default();
    let [outcome] = &json(site, &["kill", id, "--reason", REASON])[..] else { panic!("one outcome") };
    let ended = if name == "id" { &outcome["sessions"] } else { &outcome["connections"] };
    assert_eq!((ended.as_u64(), outcome["remaining"].as_array().map(Vec::len)), (Some(1), Some(0)), "{outcome}");
}

/// Replaces a plugin, and waits until it serves.
pub(super) fn replace(site: &Site) {
    let before = site.logged("plugin loaded", Some("swap"));
    site.replace();
    site.wait_for_more("plugin loaded", Some("swap"), before);
}

/// Reloads a configuration that has changed, by the signal or by the command.
fn reload(site: &Site, turn: usize) {
    let before = site.logged("configuration reloaded", None);
    site.configure();
    if turn % 6 == 3 {
        site.gateway.signal(Signal::HUP);
    } else {
        told(site, &["reload"]);
    }
    site.wait_for_more("configuration reloaded", None, before);
}
