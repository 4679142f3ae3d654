//! The table `[tenants.NAME.grants]`: what a tenant's plugins may use beyond their own session. Everything else is
//! denied.
//!
//! Reads and checks; the grants are made at the start (`tenant/grants.rs`). Whether a directory may be granted at all
//! is checked for all tenants together (`folders.rs`).

use std::path::{Path, PathBuf};

use toml::de::DeValue;
use whelk_runtime::{AllowList, Grant, TcpAllow};

use crate::config::reader::{Findings, Item, Section};
use crate::config::setting::{Setting, kind, path, text, truth};
use crate::state::strict_modes::quoted;

/// The default quota of a directory, the demonstration's too, in bytes.
const DIRECTORY_BYTES: usize = 64 << 20;
/// The same in files and folders.
const DIRECTORY_FILES: u32 = 10_000;
/// The default quota of key-value in bytes, names and values together.
const KEYVALUE_BYTES: usize = 16 << 20;
/// The same in keys.
const KEYVALUE_KEYS: u32 = 10_000;

/// The grants of a tenant's plugins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// One directory, with everything below it.
    pub directory: Option<Directory>,
    /// Environment variables, in the order of their names.
    pub environment: Vec<(String, String)>,
    /// The resolution of the clocks.
    pub clock: Clock,
    /// Key-value buckets.
    pub keyvalue: Option<KeyValue>,
    /// Messages between the tenant's sessions.
    pub topics: bool,
    /// The hosts for HTTP requests, as they are written.
    pub http: Vec<String>,
    /// The addresses for TCP connections, as they are written.
    pub tcp: Vec<String>,
    /// The directory may overlap the tenant's own plugin folder, so that a session can deploy plugins there.
    pub deploy: bool,
}

impl Grants {
    /// Whether plugins can make the process open files or sockets.
    pub(crate) fn opens_files(&self) -> bool {
        self.directory.is_some() || !self.http.is_empty() || !self.tcp.is_empty()
    }

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
        }
    }
}

/// A granted directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// The path: absolute, and without links once the configuration has been checked. `None`: a private one that whelk
    /// creates in its state folder.
    pub path: Option<PathBuf>,
    /// Whether plugins may write.
    pub access: DirectoryAccess,
    /// The most bytes of all its files together.
    pub bytes: usize,
    /// The most files and folders.
    pub files: u32,
}

/// The access to a granted directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryAccess {
    /// Reading only.
    ReadOnly,
    /// Reading and writing.
    ReadWrite,
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
            ..Grants::default()
        }
    }
}

impl Directory {
    /// One that whelk creates.
    fn private() -> Directory {
        Directory { path: None, access: DirectoryAccess::ReadWrite, bytes: DIRECTORY_BYTES, files: DIRECTORY_FILES }
    }
}

impl Default for KeyValue {
    fn default() -> KeyValue {
        KeyValue { bytes: KEYVALUE_BYTES, keys: KEYVALUE_KEYS }
    }
}

/// The default quotas, as text for the reference.
pub(in crate::config) fn defaults() -> (String, String) {
    let words = |bytes: usize, count: u32, what: &str| format!("{} in {count} {what}", size(bytes));
    (words(DIRECTORY_BYTES, DIRECTORY_FILES, "files"), words(KEYVALUE_BYTES, KEYVALUE_KEYS, "keys"))
}

/// A number of bytes as text, such as `64 MiB`.
pub fn size(bytes: usize) -> String {
    bytes.print().trim_matches('"').to_owned()
}

/// Reads the table. Relative paths are relative to `folder`.
pub(in crate::config) fn read(mut section: Section<'_>, folder: &Path, findings: &mut Findings) -> Grants {
    let directory = section.take("directory").and_then(|item| read_directory(&item, folder, findings));
    let environment = section.take("environment").map(|item| read_environment(&item, findings));
    let clock = section.take("clock").and_then(|item| {
        let clock = choice(&item, &[("coarse", Clock::Coarse), ("fine", Clock::Fine)]);
        findings.keep(&item, clock)
    });
    let keyvalue = section.take("keyvalue").and_then(|item| read_keyvalue(&item, findings));
    let topics = section.take("topics").and_then(|item| findings.keep(&item, truth(item.value)));
    let http = section.take("http").map(|item| read_destinations(&item, hosts, findings));
    let tcp = section.take("tcp").map(|item| read_destinations(&item, addresses, findings));
    let deploy = section.take("deploy").and_then(|item| findings.keep(&item, truth(item.value)));
    section.finish(findings);
    Grants {
        directory,
        environment: environment.unwrap_or_default(),
        clock: clock.unwrap_or_default(),
        keyvalue,
        topics: topics.unwrap_or_default(),
        http: http.unwrap_or_default(),
        tcp: tcp.unwrap_or_default(),
        deploy: deploy.unwrap_or_default(),
    }
}

/// The table of one grant.
fn given<'t>(item: &Item<'t>, findings: &mut Findings) -> Option<Section<'t>> {
    if let DeValue::Boolean(true) = item.value {
        findings.add(&item.span, &item.key, "must be a table, is true: write {} for what is given by default");
        return None;
    }
    if let DeValue::String(path) = item.value {
        findings.add(
            &item.span,
            &item.key,
            format!("must be a table, is {path:?}: a path is written as {{ path = {path:?} }}"),
        );
        return None;
    }
    item.section(findings)
}

fn read_directory(item: &Item<'_>, folder: &Path, findings: &mut Findings) -> Option<Directory> {
    let mut section = given(item, findings)?;
    let mut directory = Directory::private();
    let path = section.take("path").map(|item| {
        let path = path(item.value, folder).and_then(|path| existing(&path));
        findings.keep(&item, path)
    });
    if path.is_some() {
        // Read-only is the default, so that nothing is written where other programs' files may be.
        directory.access = DirectoryAccess::ReadOnly;
    }
    if let Some(item) = section.take("access") {
        let names = [("read-only", DirectoryAccess::ReadOnly), ("read-write", DirectoryAccess::ReadWrite)];
        directory.access = findings.keep(&item, choice(&item, &names)).unwrap_or(directory.access);
    }
    let (bytes, files) = (section.take("bytes"), section.take("files"));
    if directory.access == DirectoryAccess::ReadOnly {
        for item in bytes.iter().chain(&files) {
            findings.add(&item.span, &item.key, "means nothing in a directory that is only read: take it away");
        }
    } else {
        let read = bytes.and_then(|item| findings.keep(&item, usize::read_within(item.value, 0, 1 << 50)));
        directory.bytes = read.unwrap_or(directory.bytes);
        let read = files.and_then(|item| findings.keep(&item, u32::read_within(item.value, 0, 100_000_000)));
        directory.files = read.unwrap_or(directory.files);
    }
    section.finish(findings);
    match path {
        Some(path) => Some(Directory { path: Some(path?), ..directory }),
        None => Some(directory),
    }
}

/// A folder that must exist already.
pub(in crate::config) fn existing(path: &Path) -> Result<PathBuf, String> {
    let shown = path.display();
    match path.metadata() {
        Ok(facts) if facts.is_dir() => {
            std::path::absolute(path).map_err(|error| format!("the folder {shown} cannot be found: {error}"))
        }
        Ok(_) => Err(format!("{shown} is no folder")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(format!("the folder {shown} does not exist: mkdir -p -m 700 {}", quoted(path)))
        }
        Err(error) => Err(format!("the folder {shown} cannot be looked at: {error}")),
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

fn choice<T: Copy>(item: &Item<'_>, names: &[(&str, T)]) -> Result<T, String> {
    let found = text(item.value).ok().and_then(|text| names.iter().find(|(name, _)| *name == text));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = names.iter().map(|(name, _)| format!("{name:?}")).collect();
        format!("must be {}, is {}", names.join(" or "), kind(item.value))
    })
}
