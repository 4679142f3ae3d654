//! The table `[tenants.NAME.grants]`: what a tenant's plugins may use beyond their own session. Everything else is
//! denied.
//!
//! Reads and checks; the grants are made at the start (`tenant/grants.rs`). Whether a directory may be granted at all
//! is checked for all tenants together (`folders.rs`).

mod directory;
mod mounts;
mod values;

use std::path::Path;

use toml::de::DeValue;
use whelk_runtime::{AllowList, Grant, TcpAllow};

use crate::config::reader::{Findings, Item, Section};
use crate::config::setting::{Setting, text, truth};
use directory::{DIRECTORY_BYTES, DIRECTORY_FILES, TOTAL_BYTES, TOTAL_FILES, read_directory};
pub use directory::{Directory, DirectoryAccess, HomesConfig};
pub use mounts::MountConfig;
pub(in crate::config) use mounts::note_hidden;
pub(in crate::config) use mounts::read_mounts;
pub(in crate::config) use values::existing;
pub use values::size;
use values::{choice, given};

/// The default quota of key-value in bytes, names and values together.
const KEYVALUE_BYTES: usize = 16 << 20;
/// The same in keys.
const KEYVALUE_KEYS: u32 = 10_000;

/// The grants of a tenant's plugins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// One directory, with everything below it; or one for each principal, connection or session.
    pub directory: Option<Directory>,
    /// Folders of the operator that plugins see, for reading, in the order of their paths.
    pub mounts: Vec<MountConfig>,
    /// Handlers see `/dev`, `/tmp` and the like too, as programs do.
    pub system_folders: bool,
    /// Environment variables, in the order of their names.
    pub environment: Vec<(String, String)>,
    /// The resolution of the clocks.
    pub clock: Clock,
    /// Key-value buckets.
    pub keyvalue: Option<KeyValue>,
    /// Messages between the tenant's sessions.
    pub topics: bool,
    /// Programs may start others.
    pub process: bool,
    /// The hosts for HTTP requests, as they are written.
    pub http: Vec<String>,
    /// The addresses for TCP connections, as they are written.
    pub tcp: Vec<String>,
    /// The directory may overlap the tenant's own plugin folder, so that a session can deploy plugins there. Programs
    /// that may start others may start components from files of their session.
    pub deploy: bool,
}

impl Grants {
    /// The grants that need one process for all connections, because they are counted.
    pub(crate) fn that_count(&self) -> Vec<&'static str> {
        let directory = self.directory.as_ref().filter(|directory| directory.access == DirectoryAccess::ReadWrite);
        let grants =
            [(directory.is_some(), "directory"), (self.keyvalue.is_some(), "keyvalue"), (self.topics, "topics")];
        grants.into_iter().filter_map(|(granted, name)| granted.then_some(name)).collect()
    }

    /// Whether this is granted.
    pub(crate) fn has(&self, grant: Grant) -> bool {
        match grant {
            Grant::KeyValue => self.keyvalue.is_some(),
            Grant::Topics => self.topics,
            Grant::Process => self.process,
        }
    }
}

/// The resolution of the clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// Milliseconds.
    #[default]
    Coarse,
    /// The system's.
    Fine,
}

/// Granted key-value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The most bytes, names and values together.
    pub bytes: usize,
    /// The most keys, over all buckets.
    pub keys: u32,
}

impl Grants {
    /// The grants of each plugin of the demonstration: a directory and buckets of its own, and no network.
    pub fn demonstration() -> Grants {
        Grants {
            directory: Some(Directory::private()),
            keyvalue: Some(KeyValue::default()),
            topics: true,
            process: true,
            ..Grants::default()
        }
    }
}

impl Default for KeyValue {
    fn default() -> KeyValue {
        KeyValue { bytes: KEYVALUE_BYTES, keys: KEYVALUE_KEYS }
    }
}

/// The default quotas, as text for the reference: of a directory, of all homes together, of key-value.
pub(in crate::config) fn defaults() -> [String; 3] {
    let words = |bytes: usize, count: u32, what: &str| format!("{} in {count} {what}", size(bytes));
    let directory = words(DIRECTORY_BYTES, DIRECTORY_FILES, "files");
    [directory, words(TOTAL_BYTES, TOTAL_FILES, "files"), words(KEYVALUE_BYTES, KEYVALUE_KEYS, "keys")]
}

/// Reads the table. Relative paths are relative to `folder`.
pub(in crate::config) fn read(mut section: Section<'_>, folder: &Path, findings: &mut Findings) -> Grants {
    let directory = section.take("directory").and_then(|item| read_directory(&item, folder, findings));
    let system_folders = section.take("system_folders").and_then(|item| findings.keep(&item, truth(item.value)));
    let environment = section.take("environment").map(|item| read_environment(&item, findings));
    let clock = section.take("clock").and_then(|item| {
        let clock = choice(&item, &[("coarse", Clock::Coarse), ("fine", Clock::Fine)]);
        findings.keep(&item, clock)
    });
    let keyvalue = section.take("keyvalue").and_then(|item| read_keyvalue(&item, findings));
    let topics = section.take("topics").and_then(|item| findings.keep(&item, truth(item.value)));
    let process = section.take("process").and_then(|item| findings.keep(&item, truth(item.value)));
    let http = section.take("http").map(|item| read_destinations(&item, hosts, findings));
    let tcp = section.take("tcp").map(|item| read_destinations(&item, addresses, findings));
    let deploy = section.take("deploy").and_then(|item| findings.keep(&item, truth(item.value)));
    section.finish(findings);
    Grants {
        directory,
        // Read where their folders are compared with others.
        mounts: Vec::new(),
        system_folders: system_folders.unwrap_or_default(),
        environment: environment.unwrap_or_default(),
        clock: clock.unwrap_or_default(),
        keyvalue,
        topics: topics.unwrap_or_default(),
        process: process.unwrap_or_default(),
        http: http.unwrap_or_default(),
        tcp: tcp.unwrap_or_default(),
        deploy: deploy.unwrap_or_default(),
    }
}

fn read_environment(item: &Item<'_>, findings: &mut Findings) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    for item in item.section(findings).map(|section| section.all()).unwrap_or_default() {
        let name = &item.name;
        let read = match text(item.value) {
            Ok(_) if name.is_empty() || name.contains(['=', '\0']) => {
                Err("the name of a variable is a text without = in it".to_owned())
            }
            Ok(value) if value.contains('\0') => Err("a variable holds no byte 0".to_owned()),
            other => other,
        };
        if let Some(value) = findings.keep(&item, read) {
            variables.push((name.clone(), value.to_owned()));
        }
    }
    variables.sort();
    variables
}

/// The quota of a store of keys and values.
pub(in crate::config) fn read_keyvalue(item: &Item<'_>, findings: &mut Findings) -> Option<KeyValue> {
    let mut section = given(item, findings)?;
    let mut keyvalue = KeyValue::default();
    if let Some(item) = section.take("bytes") {
        let read = usize::read_within(item.value, 1 << 10, 1 << 40);
        keyvalue.bytes = findings.keep(&item, read).unwrap_or(keyvalue.bytes);
    }
    if let Some(item) = section.take("keys") {
        let read = u32::read_within(item.value, 1, 100_000_000);
        keyvalue.keys = findings.keep(&item, read).unwrap_or(keyvalue.keys);
    }
    section.finish(findings);
    Some(keyvalue)
}

/// A list of hosts or addresses, each checked. An empty list grants nothing and should be left out.
fn read_destinations(
    list: &Item<'_>,
    check: impl Fn(&[&str]) -> Result<(), Vec<(usize, String)>>,
    findings: &mut Findings,
) -> Vec<String> {
    let elements = list.elements(findings);
    if let (DeValue::Array(_), true) = (list.value, elements.is_empty()) {
        findings.add(&list.span, &list.key, "must name at least one destination: to grant none, remove the setting");
    }
    let named = elements.iter().filter_map(|item| Some((item, findings.keep(item, text(item.value))?)));
    let (items, names): (Vec<&Item<'_>>, Vec<&str>) = named.collect();
    let mut is_sound = true;
    for (index, (item, name)) in items.iter().zip(&names).enumerate() {
        let first = items.iter().zip(&names).take(index).find(|(_, other)| *other == name);
        let what = match first {
            Some((first, _)) => format!("{name:?} is listed twice {}", findings.first(&first.span)),
            None if name.is_empty() || name.contains(|letter: char| letter.is_whitespace() || letter.is_control()) => {
                format!("must be a host or an address, is {name:?}")
            }
            None => continue,
        };
        is_sound = false;
        findings.add(&item.span, &item.key, what);
    }
    let wrong = if is_sound { check(&names).err().unwrap_or_default() } else { Vec::new() };
    for (index, what) in wrong {
        if let Some(item) = items.get(index) {
            findings.add(&item.span, &item.key, what);
        }
    }
    names.into_iter().map(str::to_owned).collect()
}

fn hosts(names: &[&str]) -> Result<(), Vec<(usize, String)>> {
    let wrong = AllowList::parse(names)?.unreachable(names);
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

fn addresses(names: &[&str]) -> Result<(), Vec<(usize, String)>> {
    TcpAllow::parse(names).map(drop)
}
