//! The table `[audit]`: where records of logins, commands and files go.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::reader::{Findings, Item, Section};
use crate::config::setting::{Setting, path, text, truth};

/// How the audit is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditConfig {
    /// Where records go.
    pub to: AuditTarget,
    /// Nobody may log in or start anything while they cannot be written.
    pub required: bool,
}

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTarget {
    /// To a file.
    File {
        /// Its path.
        path: PathBuf,
        /// The most bytes of it. 0: it is not rotated by its size.
        size: u64,
        /// How many older files are kept, at least one.
        keep: u32,
        /// How old it may become. 0: it is not rotated by its age.
        age: Duration,
    },
    /// To syslog: of this machine, or by UDP.
    Syslog(Option<SocketAddr>),
    /// To journald of this machine.
    Journald,
}

impl AuditConfig {
    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match &self.to {
            AuditTarget::File { path, .. } => Some(path),
            AuditTarget::Syslog(_) | AuditTarget::Journald => None,
        }
    }
}

/// In short: where to, and whether it is required.
impl fmt::Display for AuditConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            AuditTarget::File { path, size, keep, age } => {
                write!(f, "file {} (size {size} B, keep {keep}, age {} s)", path.display(), age.as_secs())?;
            }
            AuditTarget::Syslog(None) => f.write_str("syslog")?,
            AuditTarget::Syslog(Some(server)) => write!(f, "syslog at {server}")?,
            AuditTarget::Journald => f.write_str("journald")?,
        }
        if self.required { f.write_str(", required") } else { Ok(()) }
    }
}

/// The size of a file unless the table says otherwise.
const SIZE: usize = 100 << 20;
/// How many older files are kept unless the table says otherwise.
const KEEP: u32 = 10;
/// The most older files.
const MOST_KEPT: u32 = 1000;

/// Reads the table, if there is one. Folders are not looked at: they may be there later.
pub(in crate::config) fn read(top: &mut Section<'_>, folder: &Path, findings: &mut Findings) -> Option<AuditConfig> {
    let table = top.take("audit")?;
    let mut section = table.section(findings)?;
    let to = section.take("to");
    let kind = to.as_ref().map_or(Some(Kind::File), |item| findings.keep(item, text(item.value).and_then(kind)));
    let required = section.take("required");
    let is_required = required.as_ref().and_then(|item| findings.keep(item, truth(item.value))).unwrap_or_default();
    let to = match kind? {
        Kind::File => read_file(&table, &mut section, folder, findings),
        Kind::Syslog => {
            let server = section.take("server");
            let address = server.as_ref().and_then(|item| findings.keep(item, text(item.value).and_then(address)));
            if let (Some(_), Some(item), true) = (&server, &required, is_required) {
                findings.add(&item.span, &item.key, "cannot be true with `server`: UDP syslog has no acknowledgement");
            }
            Some(AuditTarget::Syslog(address))
        }
        Kind::Journald => Some(AuditTarget::Journald),
    };
    section.finish(findings);
    Some(AuditConfig { to: to?, required: is_required })
}

enum Kind {
    File,
    Syslog,
    Journald,
}

fn kind(text: &str) -> Result<Kind, String> {
    match text {
        "file" => Ok(Kind::File),
        "syslog" => Ok(Kind::Syslog),
        "journald" => Ok(Kind::Journald),
        _ => Err(format!("must be \"file\", \"syslog\" or \"journald\", is {text:?}")),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("must be an address in numbers with a port, such as \"192.0.2.1:514\", is {text:?}"))
}

/// The settings of a file.
fn read_file(
    table: &Item<'_>,
    section: &mut Section<'_>,
    folder: &Path,
    findings: &mut Findings,
) -> Option<AuditTarget> {
    let size = section
        .take("size")
        .map_or(Some(SIZE), |item| findings.keep(&item, usize::read_within(item.value, 0, 1 << 40)));
    let keep = section
        .take("keep")
        .map_or(Some(KEEP), |item| findings.keep(&item, u32::read_within(item.value, 1, MOST_KEPT)));
    let longest = Duration::from_secs(3650 * 86_400);
    let age = section.take("age").map_or(Some(Duration::ZERO), |item| {
        findings.keep(&item, Duration::read_within(item.value, Duration::ZERO, longest))
    });
    let Some(item) = section.take("file") else {
        let what = "has no `file`: name one, or write to = \"syslog\" or \"journald\"";
        findings.add(&table.span, &table.key, what);
        return None;
    };
    let path = findings.keep(&item, path(item.value, folder))?;
    Some(AuditTarget::File { path, size: size? as u64, keep: keep?, age: age? })
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    fn read_text(text: &str) -> Result<Option<AuditConfig>, String> {
        let table = DeTable::parse(text).unwrap();
        let mut findings = Findings::new(Path::new("w.toml"), text);
        let mut top = Section::top(&table);
        let read = read(&mut top, Path::new("/etc/whelk"), &mut findings);
        top.finish(&mut findings);
        let problems: Vec<String> = findings.problems.iter().map(ToString::to_string).collect();
        if problems.is_empty() { Ok(read) } else { Err(problems.join("; ")) }
    }

    #[test]
    fn each_destination_has_its_settings() {
        let of = |to| Ok(Some(AuditConfig { to, required: false }));
        assert_eq!(read_text(""), Ok(None));
        let (path, age) = (PathBuf::from("/etc/whelk/audit.log"), Duration::ZERO);
        let file = AuditTarget::File { path: path.clone(), size: 100 << 20, keep: 10, age };
        assert_eq!(read_text("[audit]\nfile = \"audit.log\""), of(file));
        let age = Duration::from_secs(86_400);
        let text = "[audit]\nfile = \"audit.log\"\nsize = \"0 B\"\nkeep = 2\nage = \"1 d\"\nrequired = true";
        let to = AuditTarget::File { path, size: 0, keep: 2, age };
        let config = AuditConfig { to, required: true };
        let shown = "file /etc/whelk/audit.log (size 0 B, keep 2, age 86400 s), required";
        assert_eq!((config.to_string().as_str(), read_text(text)), (shown, Ok(Some(config))));
        assert_eq!(read_text("[audit]\nto = \"syslog\""), of(AuditTarget::Syslog(None)));
        let server = AuditTarget::Syslog(Some("192.0.2.1:514".parse().unwrap()));
        assert_eq!(read_text("[audit]\nto = \"syslog\"\nserver = \"192.0.2.1:514\""), of(server));
        assert_eq!(read_text("[audit]\nto = \"journald\""), of(AuditTarget::Journald));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_place() {
        for (text, problem) in [
            ("[audit]\n", "w.toml:1: audit: has no `file`: name one"),
            ("[audit]\nto = \"disk\"", "w.toml:2: audit.to: must be \"file\", \"syslog\" or \"journald\", is \"disk\""),
            ("[audit]\nto = \"journald\"\nfile = \"x\"", "w.toml:3: audit.file: there is no such setting"),
            ("[audit]\nfile = \"x\"\nkeep = 0", "w.toml:3: audit.keep: must be from 1 to 1000, is 0"),
            ("[audit]\nfile = \"x\"\nsize = true", "w.toml:3: audit.size: must be a size"),
            ("[audit]\nfile = \"x\"\nrequired = \"yes\"", "w.toml:3: audit.required: must be"),
            ("[audit]\nto = \"syslog\"\nserver = \"log.example.org\"", "w.toml:3: audit.server: must be an address"),
            (
                "[audit]\nto = \"syslog\"\nserver = \"192.0.2.1:514\"\nrequired = true",
                "w.toml:4: audit.required: cannot be true with `server`: UDP syslog has no acknowledgement",
            ),
            ("audit = 3", "w.toml:1: audit: must be a table"),
        ] {
            let said = read_text(text).unwrap_err();
            assert!(said.starts_with(problem), "{text}: {said}");
        }
    }
}
