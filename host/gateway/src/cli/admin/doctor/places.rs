//! The files that a server uses, the addresses on which it listens, and what systemd has passed.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::Mode;

use super::finding::{Finding, Health};
use crate::cli::inspect;
use crate::config::{Config, Problem};
use crate::server::control::{self, Unanswered};
use crate::server::listener::try_address;
use crate::state::host_keys::HostKeys;
use crate::state::strict_modes::me;
use crate::state::{State, StateError};

/// A configuration that can be used.
pub(super) fn configuration(file: &Path, config: &Config) -> Finding {
    let value = format!("{}: good, {} remarks", file.display(), config.notes.len());
    let means = "the configuration, plugins and key files are readable, and only root or this user may change them";
    let change = if config.notes.is_empty() { "" } else { "`whelk check` prints the remarks" };
    Finding::new(Health::Ok, "configuration", value, means).change(change)
}

/// A configuration with hashes that everybody may read.
pub(super) fn readable(note: String) -> Finding {
    Finding::new(Health::Note, "configuration", note, "hashes of weak passwords can be guessed")
}

/// A mistake in it. The other findings are about the defaults then.
pub(super) fn problem(file: &Path, problem: &Problem) -> Finding {
    let means = "a server does not start; what follows is about the defaults of all limits";
    Finding::new(Health::Missing, "configuration", problem.to_string(), means)
        .change(format!("correct it, and try `whelk check {}`", file.display()))
}

/// The folders and addresses of a configuration, if they are known, and what else surrounds the process.
pub(super) fn all(config: &Config, is_known: bool) -> Vec<Finding> {
    let mut findings = vec![umask()];
    if is_known {
        let runs = !matches!(control::ask(&config.state, control::PLUGINS), Err(Unanswered::Nobody));
        findings.push(state(config, runs));
        findings.extend(host_keys(config));
        findings.extend(programs(config));
        findings.extend(config.listen.iter().map(|address| port(*address, runs)));
    }
    findings.push(passed());
    findings
}

fn umask() -> Finding {
    let umask = rustix::process::umask(Mode::empty());
    rustix::process::umask(umask);
    let value = format!("{:04o}", umask.as_raw_mode());
    let means = "files it creates are never world-writable";
    Finding::new(Health::Ok, "umask", value, means)
}

fn state(config: &Config, runs: bool) -> Finding {
    let folder = config.state.display().to_string();
    let used = if runs { "a server runs with it now" } else { "no server runs with it now" };
    match State::check(&config.state) {
        Ok(()) => match lock(config) {
            Some(error) if !runs => Finding::new(Health::Missing, "state folder", folder, error.to_string()),
            Some(_) | None => Finding::new(Health::Ok, "state folder", folder, used),
        },
        Err(error) => Finding::new(Health::Missing, "state folder", folder, error.reason),
    }
}

/// Why a start could not lock the state folder. Creates nothing.
fn lock(config: &Config) -> Option<StateError> {
    State::open_existing(&config.state).ok()?.try_existing_lock().err()
}

/// The host keys, read as a start reads them. `None` for root, whose server would be that of another user.
fn host_keys(config: &Config) -> Option<Finding> {
    let what = "host keys";
    let state = State::open_existing(&config.state).ok()?;
    if me() == 0 && config.state.metadata().is_ok_and(|facts| facts.uid() != 0) {
        let means = "only their owner may read them: run the doctor as the user who runs the server";
        return Some(Finding::new(Health::Note, what, "are not read", means));
    }
    Some(match HostKeys::existing(&state, &config.host_keys) {
        Ok(Some(keys)) => Finding::new(Health::Ok, what, format!("{} can be used", keys.public().count()), ""),
        Ok(None) => Finding::new(Health::Ok, what, "none yet", "the first start makes them"),
        Err(error) => Finding::new(Health::Missing, what, error.to_string(), "clients could not check the server"),
    })
}

/// The operator's programs. `None` if there are none.
fn programs(config: &Config) -> Option<Finding> {
    let [programs, links, refused] = inspect::count_names(config);
    let value = format!("{programs}, with {links} other names; {refused} names are refused");
    let means = "they are compiled when somebody needs them for the first time";
    let health = if refused == 0 { Health::Ok } else { Health::Note };
    let change = if refused == 0 { "" } else { "`whelk check` says why" };
    (programs + links + refused > 0).then(|| Finding::new(health, "programs", value, means).change(change))
}

fn port(address: SocketAddr, runs: bool) -> Finding {
    let what = format!("listen on {address}");
    match try_address(address) {
        Ok(()) => Finding::new(Health::Ok, &what, "is free", ""),
        Err(error) if error.kind() == ErrorKind::AddrInUse && runs => {
            Finding::new(Health::Ok, &what, "is in use", "a server runs with this state folder, probably on it")
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            Finding::new(Health::Missing, &what, error.to_string(), "").change(format!(
                "`ss -ltnp 'sport = :{}'` shows which process; stop it, or change `listen`. If it is systemd, whose \
                     .socket unit passes it to the server, nothing is missing",
                address.port()
            ))
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Finding::new(Health::Missing, &what, error.to_string(), "ports below 1024 are for root").change(format!(
                "AmbientCapabilities=CAP_NET_BIND_SERVICE for systemd, a .socket unit, or sysctl -w \
                 net.ipv4.ip_unprivileged_port_start={}",
                address.port()
            ))
        }
        Err(error) => Finding::new(Health::Missing, &what, error.to_string(), "").change("change `listen`"),
    }
}

/// What systemd has told this process, in the environment.
fn passed() -> Finding {
    let names = ["LISTEN_FDS", "NOTIFY_SOCKET", "WATCHDOG_USEC", "INVOCATION_ID"];
    let set = names.iter().filter_map(|name| Some(format!("{name}={}", std::env::var(name).ok()?)));
    let set: Vec<_> = set.collect();
    let value = if set.is_empty() { "nothing".to_owned() } else { set.join(" ") };
    Finding::new(Health::Note, "passed by systemd", value, "sockets that it passes are used instead of `listen`")
}
