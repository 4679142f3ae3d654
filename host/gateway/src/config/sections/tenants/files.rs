//! The setting `files` of a tenant: whether sftp and scp reach the files that its sessions see.
//!
//! If they do, the tenant has routes of whelk's own behind those of the operator: to the programs `sftp` and `scp`,
//! which serve the two protocols.

use std::sync::LazyLock;

use whelk_runtime::{ProgramRequest, Routes};

use crate::config::reader::{Findings, Item};
use crate::config::sections::grants::Grants;
use crate::config::sections::plugins::Visible;
use crate::config::setting::truth;

/// The programs, each with the request that leads to it. The last is the SFTP server of a forced command, as in
/// sshd_config(5): whoever asks for the subsystem gets the forced command instead.
const REQUESTS: [(&str, ProgramRequest<'_>); 3] = [
    ("sftp", ProgramRequest::Subsystem("sftp")),
    ("scp", ProgramRequest::Exec(b"scp")),
    ("sftp", ProgramRequest::Exec(b"internal-sftp")),
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

/// The routes of tenants whose files sftp and scp reach.
pub(crate) fn routes() -> &'static Routes {
    &ROUTES
}

/// Those of them that are not the operator's: `subsystem` or `exec`, what it matches, and the program.
pub(super) fn behind(own: &Routes) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    REQUESTS.iter().filter(|(_, request)| own.find(request).is_none()).filter_map(|(_, request)| {
        let kind = if matches!(request, ProgramRequest::Subsystem(_)) { "subsystem" } else { "exec" };
        routes().find(request).map(|(route, program)| (kind, route, program))
    })
}

/// Reads the setting of a tenant with these grants and routes.
pub(super) fn read(
    item: &Item<'_>,
    (grants, own): (&Grants, &Routes),
    visible: &Visible<'_>,
    findings: &mut Findings,
) -> Option<bool> {
    let is_on = findings.keep(item, truth(item.value))?;
    if !is_on {
        return Some(false);
    }
    let mut missing: Vec<_> = behind(own).map(|(.., program)| program).collect();
    missing.retain(|program| !visible.has(program));
    missing.sort_unstable();
    missing.dedup();
    if !missing.is_empty() {
        let programs = if missing.len() == 1 { "program is" } else { "programs are" };
        let what = format!("{} will be refused: no such {programs} in `bin` of a plugin folder", missing.join(" and "));
        findings.note(item, what);
    }
    if grants.directory.is_none() && grants.mounts.is_empty() {
        findings.note(item, "the tenant has no directory: sftp and scp reach /tmp and /dev alone");
    }
    Some(true)
}
