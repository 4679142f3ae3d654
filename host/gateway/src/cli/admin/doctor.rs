//! `whelk doctor`: what this machine allows a server, with the numbers that the start of one uses.

mod features;
mod finding;
mod homes;
mod places;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use rustix::process::{Resource, getrlimit};
use serde_json::json;

use super::readable;
use crate::cli::outcome::{Failure, failed, print, wrong};
use crate::config::derived::{engine_settings_of, memory_total};
use crate::config::machine;
use crate::config::{self, Config, Limits, LoginPolicy, Overrides};
use crate::os_limits::{self, Requirement};
use crate::state::strict_modes::{self, Asked};
use finding::{Finding, Health};

/// Says what this machine allows a server, and what to change.
///
/// Each line has a verdict: `ok`; `less`, the server starts and does less than its limits ask; `missing`, it does not
/// start; `note`: for information, does not affect the exit status. The numbers are those that the start of a server
/// uses. They hold for the user and the limits of this process: for a service of systemd run it as `systemd-run --pipe
/// -p User=whelk -p LimitNOFILE=524288 whelk doctor --config /etc/whelk/whelk.toml`, with the settings of its unit.
///
/// Exit status 0: a server with this configuration would start with all that its limits ask; 1: it would have less; 2:
/// it would not start.
#[derive(Args)]
pub(in crate::cli) struct DoctorArguments {
    /// The configuration; without one the defaults of all limits count
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The state folder, as of `whelk serve`
    #[arg(long, value_name = "DIR", requires = "config")]
    state: Option<PathBuf>,
    /// Where the server would listen, as of `whelk serve`; may be given several times
    #[arg(long, value_name = "ADDR", requires = "config", value_parser = config::parse_address)]
    listen: Vec<SocketAddr>,
    /// Skip the checks of owner and mode (`StrictModes no`), as in `whelk serve`
    #[arg(long)]
    no_strict_modes: bool,
    /// For programs instead of people
    #[arg(long)]
    json: bool,
}

pub(in crate::cli) fn doctor(arguments: &DoctorArguments) -> Result<(), Failure> {
    strict_modes::ask(match rustix::process::geteuid().is_root() {
        _ if arguments.no_strict_modes => Asked::Nothing,
        true if arguments.config.is_some() => Asked::Modes,
        _ => Asked::All,
    });
    let mut findings = Vec::new();
    let overrides =
        Overrides { listen: arguments.listen.clone(), state: arguments.state.clone(), ..Overrides::default() };
    let loaded = arguments.config.as_deref().map(|file| (file, Config::load(file, &overrides)));
    let config = match loaded {
        Some((file, Ok(config))) => {
            findings.push(places::configuration(file, &config));
            findings.extend(readable::note(file, &config).map(places::readable));
            config
        }
        Some((file, Err(refused))) => {
            findings.extend(refused.0.iter().map(|problem| places::problem(file, problem)));
            defaults()?
        }
        None => defaults()?,
    };
    // If the configuration has errors, its folders and addresses are unknown.
    let is_known = findings.iter().any(|finding| finding.health == Health::Ok);
    findings.extend(resources(&config));
    findings.extend(features::kernel());
    findings.push(features::clock());
    findings.push(features::randomness());
    findings.push(features::processor());
    findings.extend(places::all(&config, is_known));
    if is_known {
        findings.extend(homes::all(&config));
    }
    let health = |wanted: Health| findings.iter().any(|finding| finding.health == wanted);
    let (starts, enough) = (!health(Health::Missing), !health(Health::Less));
    let result = match (starts, enough) {
        (false, _) => "a server would not start",
        (true, false) => "a server would start, and do less than its limits ask",
        (true, true) => "a server would start, with all that its limits ask",
    };
    let whose = arguments
        .config
        .as_deref()
        .map_or_else(|| "with the defaults of all limits".to_owned(), |file: &Path| format!("with {}", file.display()));
    let result = format!("{result} ({whose})");
    if arguments.json {
        let findings: Vec<_> = findings.iter().map(Finding::json).collect();
        print(&format!("{}\n", json!({ "starts": starts, "enough": starts && enough, "findings": findings })))?;
    } else {
        let text: String = findings.iter().map(Finding::text).collect();
        // On failure the summary is printed to standard error by the caller.
        let end = if starts && enough { format!("{result}\n") } else { String::new() };
        print(&format!("{text}{end}"))?;
    }
    match (starts, enough) {
        (true, true) => Ok(()),
        (true, false) => Err(failed(result)),
        (false, _) => Err(wrong(result)),
    }
}

/// A configuration with the defaults of all limits, which has no user and no plugin.
fn defaults() -> Result<Config, Failure> {
    let nowhere = || PathBuf::from("/");
    let state = config::default_state().unwrap_or_else(|_| nowhere());
    let overrides = Overrides { plugins: Some(nowhere()), state: Some(state), ..Overrides::default() };
    let asked = Asked::Nothing;
    // The folders of the demonstration are not those of the server in question.
    strict_modes::ask(asked);
    let config = Config::demonstration(&overrides).map_err(wrong)?;
    Ok(Config {
        login_policy: LoginPolicy::Users(std::collections::BTreeMap::new()),
        limits: Limits::default(),
        ..config
    })
}

/// The resources that the start of a server checks and sizes itself by.
fn resources(config: &Config) -> Vec<Finding> {
    // Before it is raised.
    let soft = shown(getrlimit(Resource::Nofile).current);
    let files = os_limits::make_room(config);
    let (connections, unauthenticated) = os_limits::room_for_connections(config);
    let engine = engine_settings_of(config);
    let limits = &config.limits;
    let needed = os_limits::needed(config);
    let wanted = os_limits::wanted(config);
    let only_needed = needed.iter().filter(|needed| wanted.iter().all(|wanted| wanted.resource != needed.resource));
    let finding = |requirement: &Requirement| {
        let Requirement { resource, has, needs, .. } = requirement;
        let has = shown(*has);
        let (value, means) = match *resource {
            os_limits::OPEN_FILES => (
                format!("soft limit {soft}, hard limit {has}; the limits may take {needs}"),
                format!(
                    "the start raises the soft limit; room for {connections} of {} connections, {unauthenticated} of them not \
                     logged in, and for {} files and sockets of plugins",
                    limits.connections, files.plugins
                ),
            ),
            os_limits::MAPPINGS => (
                format!("{has}; the limits may take {needs}"),
                format!(
                    "room for {} of {} sessions at once",
                    whelk_runtime::session_capacity(&engine),
                    limits.plugins.instances
                ),
            ),
            os_limits::MEMORY => (format!("{has}; the limits may take {needs}"), memory(config)),
            os_limits::ADDRESS_SPACE => (
                format!("{has}; {needs} are needed"),
                "reserved for plugin memories; costs nothing until used".to_owned(),
            ),
            os_limits::THREADS => (
                format!("{has}; at most {needs} threads are started"),
                "threads that wait for files and host names, beside those that serve".to_owned(),
            ),
            _ => (format!("{has}; one hash takes {needs}"), "passwords are hashed in it".to_owned()),
        };
        let least = needed.iter().find(|needed| needed.resource == *resource).cloned();
        let (health, change) = match (least.and_then(Requirement::shortage), requirement.clone().shortage()) {
            (Some(missing), _) => (Health::Missing, missing.change),
            (None, Some(less)) => (Health::Less, less.change),
            (None, None) => (Health::Ok, String::new()),
        };
        Finding::new(health, resource, value, means).change(change)
    };
    wanted.iter().chain(only_needed).map(finding).collect()
}

/// How the memory is divided.
fn memory(config: &Config) -> String {
    let machine = machine::memory_limit();
    let of_plugins = memory_total(&config.limits, machine);
    let mib = |bytes: usize| format!("{} MiB", bytes >> 20);
    let total = machine.map_or_else(|| "unknown".to_owned(), |bytes| mib(usize::try_from(bytes).unwrap_or(usize::MAX)));
    format!(
        "the machine or its control group gives {total}; plugins have at most {}, passwords being hashed {}, one \
         compiler {}",
        if of_plugins == usize::MAX { "all".to_owned() } else { mib(of_plugins) },
        mib(os_limits::hashing_memory(&config.limits)),
        mib(os_limits::compile_memory(&config.limits))
    )
}

fn shown(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}
