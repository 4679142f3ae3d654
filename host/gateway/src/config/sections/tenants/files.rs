//! The setting `files` of a tenant: whether sftp and scp reach the files that its sessions see.
//!
//! If they do, the tenant has routes of whelk's own behind those of the operator: to the programs `sftp` and `scp`,
//! which serve the two protocols.
//!
//! Decided 2026-11-30:
//! * Without the setting, homes are reached and other directories are not. A route for every command (`exec = { "" =
//!   ... }`) closes homes as well, since it is there to keep clients from everything else. Where a plugin or a route
//!   stands between a user and the home, the operator is told to write the setting. Refused: to close homes to users
//!   with a plugin, because every user has one; a setting for each user, because a grant of an authenticator would
//!   need it, too.
//! * Where the tenant may write into its plugin folder, `sftp` and `scp` mean the operator's programs alone. Refused:
//!   the tenant's own first, as for other names: who may write the folder by sftp would choose the code that serves the
//!   other users, and forced commands.
//! * `internal-sftp` means whelk's server of SFTP and nothing else, as in sshd_config(5): a route of that name takes
//!   it, the one for every command does not, and where files are closed it is refused. Refused: the user's plugin,
//!   which a key that is for sftp alone must not reach.

use std::sync::LazyLock;

use whelk_runtime::{ProgramRequest, Routes, program_name};

use crate::config::reader::{Findings, Item};
use crate::config::sections::grants::Grants;
use crate::config::sections::plugins::Visible;
use crate::config::setting::truth;

/// The programs that serve the two protocols.
pub(crate) const PROGRAMS: [&str; 2] = ["scp", "sftp"];

/// The command of the SFTP server, which forced commands name: whoever asks for the subsystem gets the forced command
/// instead.
const INTERNAL_SFTP: &str = "internal-sftp";

/// The note for a tenant whose files are its plugins.
const DEPLOYS: &str = "with `deploy` the directory holds the tenant's plugins: whoever writes there by sftp or scp, even \
                       by a forced command, can run code as every user of the tenant";

/// How many plugins and routes a note names.
const MOST_NAMED: usize = 8;

/// The programs, each with the request that leads to it.
const REQUESTS: [(&str, ProgramRequest<'_>); 3] = [
    ("sftp", ProgramRequest::Subsystem("sftp")),
    ("scp", ProgramRequest::Exec(b"scp")),
    ("sftp", ProgramRequest::Exec(INTERNAL_SFTP.as_bytes())),
];

static ROUTES: LazyLock<Routes> = LazyLock::new(|| {
    let owned = |(name, program): (&str, &str)| (name.to_owned(), program.to_owned());
    let (mut subsystems, mut commands) = (Vec::new(), Vec::new());
    for (program, request) in REQUESTS {
        match request {
            ProgramRequest::Subsystem(name) => subsystems.push(owned((name, program))),
            ProgramRequest::Exec(words) => commands.push(owned((&String::from_utf8_lossy(words), program))),
            ProgramRequest::Shell => {}
        }
    }
    Routes::new(subsystems, commands)
});

/// What decides who serves a program request of a tenant's session.
#[derive(Clone, Copy)]
pub(crate) struct Serving<'a> {
    /// The operator's routes.
    pub(crate) routes: &'a Routes,
    /// Whether sftp and scp reach the files.
    pub(crate) files: bool,
    /// Whether a command without a route runs the program that its first word names.
    pub(crate) exec_programs: bool,
}

/// Who serves a program request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Server<'a> {
    /// The plugin of a route of the operator's.
    Route {
        /// What the route matches.
        route: &'a str,
        plugin: &'a str,
    },
    /// The program that serves files.
    Files(&'static str),
    /// The program that the command names.
    Program(String),
    /// Nobody, since sftp and scp do not reach the files. The name that the command has for the program.
    Closed(String),
    /// The user's plugin.
    Plugin,
}

impl<'a> Serving<'a> {
    /// Who serves this request.
    pub(crate) fn find(&self, request: &ProgramRequest<'_>) -> Server<'a> {
        let name = match request {
            ProgramRequest::Exec(command) => program_name(command),
            ProgramRequest::Shell | ProgramRequest::Subsystem(_) => None,
        };
        let is_internal = name.as_deref() == Some(INTERNAL_SFTP);
        let own = self.routes.find(request).filter(|(route, _)| !(is_internal && route.is_empty()));
        if let Some((route, plugin)) = own {
            return Server::Route { route, plugin };
        }
        if self.files
            && let Some((_, program)) = ROUTES.find(request)
        {
            return Server::Files(program);
        }
        let Some(name) = name.filter(|_| self.exec_programs || is_internal) else { return Server::Plugin };
        if is_internal || (!self.files && PROGRAMS.contains(&&*name)) {
            return Server::Closed(name.into_owned());
        }
        Server::Program(name.into_owned())
    }

    /// Whelk's own routes that are not the operator's, if files are reached: `subsystem` or `exec`, what it matches,
    /// and the program.
    pub(crate) fn own_routes(self) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
        let is_own = move |request| matches!(self.find(request), Server::Files(_));
        REQUESTS
            .iter()
            .filter(move |(_, request)| is_own(request))
            .filter_map(|(_, request)| ROUTES.find(request).map(|(route, program)| (kind(request), route, program)))
    }
}

/// The table of routes that has such a request.
fn kind(request: &ProgramRequest<'_>) -> &'static str {
    if matches!(request, ProgramRequest::Subsystem(_)) { "subsystem" } else { "exec" }
}

/// Whether sftp and scp reach the files of a tenant without the setting.
pub(super) fn default(grants: &Grants, routes: &Routes) -> bool {
    has_homes(grants) && !takes_every_command(routes)
}

fn has_homes(grants: &Grants) -> bool {
    grants.directory.as_ref().is_some_and(|directory| directory.homes.is_some())
}

/// Whether the operator has a route for every command.
fn takes_every_command(routes: &Routes) -> bool {
    routes.all().any(|(kind, route, _)| kind == "exec" && route.is_empty())
}

/// The note about a tenant with homes and without the setting, unless there is nothing to say. `behind`: what serves
/// the sessions of its users, in words.
pub(super) fn unsaid<'a>(
    tenant: &str,
    (grants, routes): (&Grants, &Routes),
    behind: impl Iterator<Item = &'a str>,
) -> Option<String> {
    if !has_homes(grants) {
        return None;
    }
    if takes_every_command(routes) {
        return Some(format!(
            "the route exec \"\" keeps sftp and scp from these homes: write `files = true` in [tenants.{tenant}] to \
             open them, or `files = false` to leave them closed"
        ));
    }
    let serving = Serving { routes, files: true, exec_programs: false };
    let mut open: Vec<&str> = serving.own_routes().map(|(.., program)| program).collect();
    open.sort_unstable();
    open.dedup();
    let routes = REQUESTS.iter().filter_map(|(_, request)| {
        let (route, _) = routes.find(request)?;
        Some(format!("the route {} {route:?}", kind(request)))
    });
    let mut passed: Vec<String> = behind.map(str::to_owned).chain(routes).collect();
    if open.is_empty() || passed.is_empty() {
        return None;
    }
    if passed.len() > MOST_NAMED {
        passed.truncate(MOST_NAMED);
        passed.push("others".to_owned());
    }
    let reach = if open.len() == 1 { "reaches" } else { "reach" };
    Some(format!(
        "{} {reach} these homes past {}: write `files = true` in [tenants.{tenant}] to permit that, or `files = false`",
        open.join(" and "),
        passed.join(", "),
    ))
}

/// Reads the setting of a tenant with these grants and routes.
pub(super) fn read(
    item: &Item<'_>,
    (grants, routes): (&Grants, &Routes),
    visible: &Visible<'_>,
    findings: &mut Findings,
) -> Option<bool> {
    let is_on = findings.keep(item, truth(item.value))?;
    if !is_on {
        return Some(false);
    }
    let serving = Serving { routes, files: true, exec_programs: false };
    let mut missing: Vec<_> = serving.own_routes().map(|(.., program)| program).collect();
    let deploys = visible.deploys;
    let operators = Visible { has_own: false, deploys: false, own: None, ..*visible };
    let visible = if deploys { operators } else { *visible };
    missing.retain(|program| !visible.has(program));
    missing.sort_unstable();
    missing.dedup();
    if !missing.is_empty() {
        let programs = if missing.len() == 1 { "program is" } else { "programs are" };
        let folder = if deploys { "the operator's" } else { "a" };
        let what = format!("no such {programs} in `bin` of {folder} plugin folder");
        findings.note(item, format!("{} will be refused: {what}", missing.join(" and ")));
    }
    if deploys {
        findings.note(item, DEPLOYS);
    }
    if grants.directory.is_none() && grants.mounts.is_empty() {
        findings.note(item, "the tenant has no directory: sftp and scp reach /tmp and /dev alone");
    }
    Some(true)
}
