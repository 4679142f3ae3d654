//! The setting `directory` of a tenant's grants: one directory for all, or homes.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use toml::de::DeValue;
use whelk_runtime::{HomeLifetime, Homes, Skeleton};

use super::values::{choice, existing, given, size};
use crate::config::reader::{Findings, Item, Section};
use crate::config::setting::{Setting, path, text};
use crate::state::strict_modes::Writers;

/// The default quota of a directory, the demonstration's too, in bytes.
pub(super) const DIRECTORY_BYTES: usize = 64 << 20;
/// The same in files and folders: as many as the bytes have blocks of 4 KiB, rounded up, so that a full quota of the
/// smallest files takes about the same room on the disk. Decided 2026-11-30; refused: 10,000, of which an upload of
/// 10,000 files fails at its last.
pub(super) const DIRECTORY_FILES: u32 = 20_000;
/// The default quota of all homes of a tenant together, in bytes.
pub(super) const TOTAL_BYTES: usize = 10 << 30;
/// The same in files and folders: a disk of 20 GB with ext4 has 1.3 million inodes.
pub(super) const TOTAL_FILES: u32 = 1_000_000;
/// The same of all homes together.
const MOST_TOTAL_FILES: u32 = 4_000_000_000;
/// Stands for the folder of one principal, at the end of a path.
const PRINCIPAL: &str = "{principal}";
/// What other programs call it.
const OTHER_WORDS: [&str; 3] = ["{user}", "{name}", "{username}"];

/// A granted directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// The path: absolute, and without links once the configuration has been checked. Of homes that of the folder above
    /// them. `None`: a private one that whelk creates in its state folder.
    pub path: Option<PathBuf>,
    /// Whether plugins may write.
    pub access: DirectoryAccess,
    /// The most bytes of all its files together; of homes those of each.
    pub bytes: usize,
    /// The most files and folders; of homes those of each.
    pub files: u32,
    /// There are homes instead of one directory.
    pub homes: Option<HomesConfig>,
}

/// What the homes of a tenant are like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomesConfig {
    /// The folder whose contents each begins with: absolute, and without links once the configuration has been checked.
    pub from: Option<PathBuf>,
    /// The most bytes of all of them together.
    pub total_bytes: usize,
    /// The most files and folders of all of them together.
    pub total_files: u32,
    /// How long each lasts.
    pub lifetime: HomeLifetime,
}

/// The access to a granted directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryAccess {
    /// Reading only.
    ReadOnly,
    /// Reading and writing.
    ReadWrite,
}

impl Directory {
    /// One that whelk creates.
    pub(super) fn private() -> Directory {
        let (bytes, files) = (DIRECTORY_BYTES, DIRECTORY_FILES);
        Directory { path: None, access: DirectoryAccess::ReadWrite, bytes, files, homes: None }
    }

    /// Whether there is one for each principal, which stays.
    pub(crate) fn is_per_principal(&self) -> bool {
        self.homes.as_ref().is_some_and(|homes| homes.lifetime == HomeLifetime::Persistent)
    }

    /// Whether what a session leaves in it is there for a later one.
    pub(crate) fn lasts(&self) -> bool {
        self.homes.is_none() || self.is_per_principal()
    }

    /// The directory of this principal's sessions, if it lasts. `path` is [`Directory::path`], or what stands for it.
    pub(crate) fn of_principal(&self, path: PathBuf, principal: &str) -> Option<PathBuf> {
        let below =
            |path: PathBuf| if self.is_per_principal() { path.join(Homes::folder_name(principal)) } else { path };
        self.lasts().then(|| below(path))
    }
}

/// Reads the setting. Relative paths are relative to `folder`.
pub(super) fn read_directory(item: &Item<'_>, folder: &Path, findings: &mut Findings) -> Option<Directory> {
    let mut section = given(item, findings)?;
    let mut directory = Directory::private();
    let named = section.take("path");
    let has_principal = named.as_ref().is_some_and(|item| text(item.value).is_ok_and(|path| path.contains(PRINCIPAL)));
    let ephemeral = section.take("ephemeral").and_then(|item| findings.keep(&item, read_ephemeral(&item)));
    let lifetime = ephemeral.flatten().or(has_principal.then_some(HomeLifetime::Persistent));
    let path = named.map(|item| {
        let read = match lifetime {
            Some(_) => above_homes(&item, folder),
            None => path(item.value, folder).and_then(|path| existing(&path)),
        };
        findings.keep(&item, read.map_err(|what| hint(&item, what)))
    });
    if path.is_some() && lifetime.is_none() {
        // Read-only is the default, so that nothing is written where other programs' files may be.
        directory.access = DirectoryAccess::ReadOnly;
    }
    if let Some(item) = section.take("access") {
        let names = [("read-only", DirectoryAccess::ReadOnly), ("read-write", DirectoryAccess::ReadWrite)];
        directory.access = findings.keep(&item, choice(&item, &names)).unwrap_or(directory.access);
        if lifetime.is_some() && directory.access == DirectoryAccess::ReadOnly {
            findings.add(&item.span, &item.key, "homes are there to be written to: take it away");
        }
    }
    let written = read_quota(&mut section, &mut directory, findings);
    directory.homes = read_homes(&mut section, folder, (&directory, lifetime), &written, findings);
    if let Some(homes) = &directory.homes {
        // Where only the total is written, a default that is larger is not meant.
        directory.bytes = directory.bytes.min(homes.total_bytes);
        directory.files = directory.files.min(homes.total_files);
    }
    section.finish(findings);
    match path {
        Some(path) => Some(Directory { path: Some(path?), ..directory }),
        None => Some(directory),
    }
}

/// What of a quota is written, and not the default.
struct Written {
    bytes: bool,
    files: bool,
}

fn read_quota(section: &mut Section<'_>, directory: &mut Directory, findings: &mut Findings) -> Written {
    let (bytes, files) = (section.take("bytes"), section.take("files"));
    if directory.access == DirectoryAccess::ReadOnly {
        for item in bytes.iter().chain(&files) {
            findings.add(&item.span, &item.key, "means nothing in a directory that is only read: take it away");
        }
        return Written { bytes: false, files: false };
    }
    let written = Written { bytes: bytes.is_some(), files: files.is_some() };
    let read = bytes.and_then(|item| findings.keep(&item, usize::read_within(item.value, 0, 1 << 50)));
    directory.bytes = read.unwrap_or(directory.bytes);
    let read = files.and_then(|item| findings.keep(&item, read_files(&item)));
    directory.files = read.unwrap_or(directory.files);
    written
}

/// The most files. What is meant for sftp and scp is another setting of the same name.
fn read_files(item: &Item<'_>) -> Result<u32, String> {
    let read = u32::read_within(item.value, 0, 100_000_000);
    match item.value {
        DeValue::Boolean(_) => read.map_err(|what| {
            format!("{what}: whether sftp and scp reach the directory is the setting `files` of [tenants.NAME]")
        }),
        _ => read,
    }
}

/// What homes have besides. Without a lifetime there are none.
fn read_homes(
    section: &mut Section<'_>,
    folder: &Path,
    (directory, lifetime): (&Directory, Option<HomeLifetime>),
    written: &Written,
    findings: &mut Findings,
) -> Option<HomesConfig> {
    let (from, total) = (section.take("from"), section.take("total_bytes"));
    let files = section.take("total_files");
    let Some(lifetime) = lifetime else {
        for item in from.iter().chain(&total).chain(&files) {
            let what = format!("is for homes: a path that ends in \"/{PRINCIPAL}\", or ephemeral = true");
            findings.add(&item.span, &item.key, what);
        }
        return None;
    };
    let least = if written.bytes { directory.bytes } else { 0 };
    let total = total.and_then(|item| findings.keep(&item, read_total(&item, least)));
    let total_bytes = total.unwrap_or(TOTAL_BYTES.max(directory.bytes));
    let least = if written.files { directory.files } else { 0 };
    let files = files.and_then(|item| findings.keep(&item, read_total_files(&item, least)));
    let total_files = files.unwrap_or(TOTAL_FILES.max(directory.files));
    let from = from.and_then(|item| read_skeleton(&item, folder, directory, findings));
    Some(HomesConfig { from, total_bytes, total_files, lifetime })
}

/// How long a home lasts; none if the setting says that it stays.
fn read_ephemeral(item: &Item<'_>) -> Result<Option<HomeLifetime>, String> {
    match item.value {
        DeValue::Boolean(true) => Ok(Some(HomeLifetime::Connection)),
        DeValue::Boolean(false) => Ok(None),
        _ => choice(item, &[("connection", HomeLifetime::Connection), ("session", HomeLifetime::Session)])
            .map(Some)
            .map_err(|what| what.replacen("must be", "must be true, false,", 1)),
    }
}

/// The folder above homes: what precedes `/{principal}`.
fn above_homes(item: &Item<'_>, folder: &Path) -> Result<PathBuf, String> {
    let whole = path(item.value, folder)?;
    let is_last = whole.file_name().is_some_and(|name| name == PRINCIPAL);
    let above = whole.parent().filter(|above| is_last && !above.to_string_lossy().contains(PRINCIPAL));
    let Some(above) = above else {
        return Err(format!("the path of homes must end in \"/{PRINCIPAL}\", and have that only there"));
    };
    // "{principal}" alone, beside a configuration that is named without a folder.
    let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
    owned(&existing(above)?)
}

/// Adds what was meant to a message about a path, if it has the word of another program.
fn hint(item: &Item<'_>, what: String) -> String {
    let other = text(item.value).ok().and_then(|path| OTHER_WORDS.iter().find(|word| path.contains(**word)));
    match other {
        Some(word) => format!("{what} (did you mean {PRINCIPAL} instead of {word}?)"),
        None => what,
    }
}

/// A folder that only root and this user may write to: whoever else writes there writes into homes.
fn owned(path: &Path) -> Result<PathBuf, String> {
    let facts =
        path.metadata().map_err(|error| format!("the folder {} cannot be looked at: {error}", path.display()))?;
    Writers::Operator.check_folder(path, facts.mode(), facts.uid())?;
    Ok(path.to_owned())
}

fn read_total(item: &Item<'_>, each: usize) -> Result<usize, String> {
    let total = usize::read_within(item.value, 0, 1 << 60)?;
    if total < each {
        return Err(format!("must be at least `bytes` ({}), is {}", size(each), size(total)));
    }
    Ok(total)
}

fn read_total_files(item: &Item<'_>, each: u32) -> Result<u32, String> {
    let total = u32::read_within(item.value, 0, MOST_TOTAL_FILES)?;
    if total < each {
        return Err(format!("must be at least `files` ({each}), is {total}"));
    }
    Ok(total)
}

/// The skeleton, which must fit a home.
fn read_skeleton(item: &Item<'_>, folder: &Path, directory: &Directory, findings: &mut Findings) -> Option<PathBuf> {
    let read = path(item.value, folder).and_then(|path| existing(&path)).and_then(|path| owned(&path));
    let path = findings.keep(item, read)?;
    let skeleton = findings.keep(item, Skeleton::survey(&path).map_err(|error| error.to_string()))?;
    let (bytes, files) = (skeleton.usage.bytes, skeleton.usage.files);
    if bytes > directory.bytes as u64 || files > u64::from(directory.files) {
        let most = size(directory.bytes);
        let what = format!("holds {bytes} bytes in {files} files, and a home may hold {most} in {}", directory.files);
        findings.add(&item.span, &item.key, what);
    }
    if let Some(left_out) = skeleton.left_out() {
        findings.note(item, format!("FIFOs, sockets and devices are not copied into homes: {left_out}"));
    }
    Some(path)
}
