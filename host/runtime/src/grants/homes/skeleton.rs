//! The skeleton of new homes: a folder of the operator's whose contents each new home begins with, as `/etc/skel`.
//!
//! Nothing outside of it is read: folders are opened where they are found, never through a link, and a symbolic link is
//! copied as a link, wherever it leads (what it may lead a program to is decided when that follows it). FIFOs, sockets
//! and devices are left out. Copies belong to this process and have the mode 0600, or 0700 for folders and for files
//! that their owner may execute; times and attributes are not copied.

use std::ffi::{CStr, CString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, mkdirat, openat, readlinkat, statat, symlinkat};
use rustix::io::Errno;

use crate::grants::directory::count::DIRECTORY;
use crate::grants::{QuotaAccount, Usage};

/// The most entries of a skeleton.
pub(crate) const MOST_ENTRIES: u64 = 100_000;
/// The most folders in one another. Each takes two open files while it is copied.
pub(crate) const MOST_LEVELS: usize = 64;
/// How many names of entries that were left out are told.
const TOLD: usize = 3;

/// Why a skeleton was not copied, or cannot be.
#[derive(Debug)]
pub enum SkeletonError {
    /// It has more entries than are copied, or folders in one another.
    TooLarge,
    /// The home would have more than its quota, or all homes more than their total.
    Quota,
    /// Nobody waits for it any more.
    Unwanted,
    /// The disk: which entry, and why.
    Disk(String, io::Error),
}

impl fmt::Display for SkeletonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(
                f,
                "the skeleton has more than {MOST_ENTRIES} files and folders, or more than {MOST_LEVELS} folders in one \
                 another"
            ),
            Self::Quota => f.write_str("the skeleton does not fit the quota"),
            Self::Unwanted => f.write_str("the session has ended"),
            Self::Disk(entry, error) if entry.is_empty() => write!(f, "the skeleton: {error}"),
            Self::Disk(entry, error) => write!(f, "the skeleton: {entry}: {error}"),
        }
    }
}

/// What a skeleton holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skeleton {
    /// The usage of a home that begins with it.
    pub usage: Usage,
    /// How many special files are left out.
    pub left_out: u64,
    /// The first of them, by their paths.
    pub first_left_out: Vec<String>,
}

impl Skeleton {
    /// Walks through a skeleton without copying it. Blocks.
    ///
    /// # Errors
    /// [`SkeletonError::TooLarge`], or [`SkeletonError::Disk`].
    pub fn survey(path: &Path) -> Result<Self, SkeletonError> {
        walk(path, &mut |_| Ok(()), &|| true)
    }

    /// What was left out, as words; none if nothing was.
    #[must_use]
    pub fn left_out(&self) -> Option<String> {
        let more = self.left_out.saturating_sub(u64::try_from(self.first_left_out.len()).unwrap_or(u64::MAX));
        let names = self.first_left_out.join(", ");
        match (self.left_out, more) {
            (0, _) => None,
            (_, 0) => Some(names),
            (_, more) => Some(format!("{names} and {more} more")),
        }
    }
}

/// Copies a skeleton into an empty folder and charges each entry before it is made. `is_wanted` is asked before each
/// entry.
pub(super) fn copy(
    from: &Path,
    to: OwnedFd,
    account: &QuotaAccount,
    is_wanted: &dyn Fn() -> bool,
) -> Result<Skeleton, SkeletonError> {
    let mut targets = vec![to];
    walk(from, &mut |found| copy_one(&found, &mut targets, account), is_wanted)
}

/// An entry of a skeleton that is copied.
struct SkeletonEntry<'w> {
    /// The folder that it is in, and how deep that is.
    folder: &'w OwnedFd,
    level: usize,
    name: &'w CStr,
    kind: FileType,
    mode: u32,
}

fn copy_one(found: &SkeletonEntry<'_>, targets: &mut Vec<OwnedFd>, account: &QuotaAccount) -> Result<(), CopyError> {
    targets.truncate(found.level);
    let target = targets.last().ok_or(CopyError::TooLarge)?;
    if !account.charge_file() {
        return Err(CopyError::Quota);
    }
    match found.kind {
        FileType::Directory => {
            mkdirat(target, found.name, Mode::RWXU)?;
            let made = openat(target, found.name, DIRECTORY, Mode::empty())?;
            targets.push(made);
        }
        FileType::Symlink => {
            let leads_to = readlinkat(found.folder, found.name, Vec::new())?;
            if !account.charge_bytes(u64::try_from(leads_to.as_bytes().len()).unwrap_or(u64::MAX)) {
                return Err(CopyError::Quota);
            }
            symlinkat(leads_to, target, found.name)?;
        }
        _ => copy_file(found, target, account)?,
    }
    Ok(())
}

fn copy_file(found: &SkeletonEntry<'_>, target: &OwnedFd, account: &QuotaAccount) -> Result<(), CopyError> {
    // Does not wait for the writer of a FIFO that has taken the place of the file.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let source = openat(found.folder, found.name, flags, Mode::empty())?;
    let facts = fstat(&source)?;
    if FileType::from_raw_mode(facts.st_mode) != FileType::RegularFile {
        return Err(CopyError::Disk(io::Error::other("it has changed while it was copied")));
    }
    let size = u64::try_from(facts.st_size).unwrap_or_default();
    if !account.charge_bytes(size) {
        return Err(CopyError::Quota);
    }
    let executable = Mode::from_raw_mode(found.mode) & Mode::XUSR;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = File::from(openat(target, found.name, flags, Mode::RUSR | Mode::WUSR | executable)?);
    // What was charged, even if the file grows.
    let copied = io::copy(&mut File::from(source).take(size), &mut &made)?;
    account.give_back(Usage { bytes: size.saturating_sub(copied), files: 0 });
    Ok(())
}

/// Why one entry was not copied.
enum CopyError {
    TooLarge,
    Quota,
    Disk(io::Error),
}

impl From<Errno> for CopyError {
    fn from(error: Errno) -> Self {
        Self::Disk(error.into())
    }
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// A folder of the skeleton on the path of the walk.
struct Level {
    folder: OwnedFd,
    entries: Dir,
    name: CString,
}

impl Level {
    fn open(at: impl AsFd, name: &CStr, flags: OFlags) -> rustix::io::Result<Self> {
        let folder = openat(at, name, flags, Mode::empty())?;
        let entries = Dir::read_from(&folder)?;
        Ok(Self { folder, entries, name: name.to_owned() })
    }
}

/// Visits each entry that is copied, a folder before what it holds.
fn walk(
    path: &Path,
    visit: &mut dyn FnMut(SkeletonEntry<'_>) -> Result<(), CopyError>,
    is_wanted: &dyn Fn() -> bool,
) -> Result<Skeleton, SkeletonError> {
    let root = CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|error| SkeletonError::Disk(String::new(), error.into()))?;
    let root = Level::open(CWD, &root, DIRECTORY.difference(OFlags::NOFOLLOW))
        .map_err(|error| SkeletonError::Disk(String::new(), error.into()))?;
    let (mut levels, mut all) = (vec![root], Skeleton::default());
    while let Some(level) = levels.last_mut() {
        let Some(entry) = level.entries.read() else {
            levels.pop();
            continue;
        };
        let name = match entry {
            Ok(entry) => entry.file_name().to_owned(),
            Err(error) => return Err(SkeletonError::Disk(shown(&levels, c""), error.into())),
        };
        if name.as_c_str() == c"." || name.as_c_str() == c".." {
            continue;
        }
        if !is_wanted() {
            return Err(SkeletonError::Unwanted);
        }
        let visited = visit_one(&mut levels, &name, visit, &mut all);
        visited.map_err(|error| match error {
            CopyError::TooLarge => SkeletonError::TooLarge,
            CopyError::Quota => SkeletonError::Quota,
            CopyError::Disk(error) => SkeletonError::Disk(shown(&levels, &name), error),
        })?;
    }
    Ok(all)
}

fn visit_one(
    levels: &mut Vec<Level>,
    name: &CStr,
    visit: &mut dyn FnMut(SkeletonEntry<'_>) -> Result<(), CopyError>,
    all: &mut Skeleton,
) -> Result<(), CopyError> {
    let depth = levels.len();
    let Some(level) = levels.last() else { return Ok(()) };
    let facts = match statat(&level.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        // It was removed meanwhile.
        Err(Errno::NOENT) => return Ok(()),
        facts => facts?,
    };
    let kind = FileType::from_raw_mode(facts.st_mode);
    if !matches!(kind, FileType::Directory | FileType::RegularFile | FileType::Symlink) {
        all.left_out += 1;
        if all.first_left_out.len() < TOLD {
            let path = shown(levels, name);
            all.first_left_out.push(path);
        }
        return Ok(());
    }
    all.usage.files += 1;
    if all.usage.files > MOST_ENTRIES || depth > MOST_LEVELS {
        return Err(CopyError::TooLarge);
    }
    if kind != FileType::Directory {
        all.usage.bytes = all.usage.bytes.saturating_add(u64::try_from(facts.st_size).unwrap_or_default());
    }
    visit(SkeletonEntry { folder: &level.folder, level: depth, name, kind, mode: facts.st_mode })?;
    if kind == FileType::Directory {
        let below = Level::open(&level.folder, name, DIRECTORY)?;
        levels.push(below);
    }
    Ok(())
}

/// The path of an entry below the skeleton.
fn shown(levels: &[Level], name: &CStr) -> String {
    let folders = levels.iter().skip(1).map(|level| level.name.to_string_lossy());
    folders.chain([name.to_string_lossy()]).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::grants::{Quota, TotalAccount};

    const AMPLE: Quota = Quota { bytes: 1 << 30, files: 1 << 20 };

    fn account(quota: Quota) -> QuotaAccount {
        QuotaAccount::within(quota, Usage::default(), &std::sync::Arc::new(TotalAccount::new(AMPLE)))
    }

    fn copied(from: &Path, to: &Path, quota: Quota) -> (Result<Skeleton, SkeletonError>, Usage) {
        let account = account(quota);
        let to = fs::File::open(to).unwrap().into();
        let copied = copy(from, to, &account, &|| true);
        (copied, account.usage())
    }

    #[test]
    fn a_skeleton_is_copied_without_following_links_and_without_special_files() {
        let (place, outside, home) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (from, to) = (place.path(), home.path());
        fs::write(outside.path().join("secret"), "secret").unwrap();
        fs::create_dir_all(from.join(".config/deep")).unwrap();
        fs::write(from.join(".config/deep/file"), "12345").unwrap();
        fs::write(from.join(".profile"), "hello").unwrap();
        fs::write(from.join("run"), "#!").unwrap();
        fs::set_permissions(from.join("run"), fs::Permissions::from_mode(0o4755)).unwrap();
        fs::set_permissions(from.join(".config"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink(outside.path(), from.join("out")).unwrap();
        symlink(outside.path().join("secret"), from.join(".config/secret")).unwrap();
        symlink(".config/deep", from.join("in")).unwrap();
        symlink("..", from.join("up")).unwrap();
        rustix::fs::mknodat(CWD, from.join(".config/fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let _socket = UnixListener::bind(from.join("socket")).unwrap();
        let (copied, usage) = copied(from, to, AMPLE);
        let copied = copied.unwrap();
        assert_eq!(copied, Skeleton::survey(from).unwrap());
        // The files, and the targets of the links.
        let outside_length = outside.path().as_os_str().len() as u64;
        let bytes = 12 + outside_length + (outside_length + "/secret".len() as u64) + ".config/deep..".len() as u64;
        assert_eq!((copied.usage, usage), (Usage { bytes, files: 9 }, Usage { bytes, files: 9 }));
        assert_eq!((copied.left_out, copied.first_left_out.len()), (2, 2));
        let told = copied.left_out().unwrap();
        assert!(told.contains(".config/fifo") && told.contains("socket") && !told.contains("more"), "{told}");
        assert_eq!(fs::read_to_string(to.join(".config/deep/file")).unwrap(), "12345");
        for (link, target) in [("out", outside.path()), ("in", Path::new(".config/deep")), ("up", Path::new(".."))] {
            assert_eq!(fs::read_link(to.join(link)).unwrap(), target);
        }
        assert!(to.join(".config/secret").symlink_metadata().unwrap().is_symlink());
        assert!(!to.join("socket").exists() && !to.join(".config/fifo").exists());
        let mode = |name: &str| fs::metadata(to.join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(".profile"), mode("run"), mode(".config")), (0o600, 0o700, 0o700));
    }

    #[test]
    fn a_quota_that_is_met_ends_the_copy_and_what_was_made_is_charged() {
        let (place, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for number in 0..5 {
            fs::write(place.path().join(format!("{number}")), "1234").unwrap();
        }
        for quota in [Quota { bytes: 10, files: 9 }, Quota { bytes: 99, files: 3 }] {
            let folder = home.path().join(format!("{}", quota.bytes));
            fs::create_dir(&folder).unwrap();
            let (copied, usage) = copied(place.path(), &folder, quota);
            assert!(matches!(copied, Err(SkeletonError::Quota)));
            let files = fs::read_dir(&folder).unwrap().count();
            assert!(usage.files >= files as u64 && usage.bytes == 4 * files as u64, "{usage:?}");
        }
    }

    #[test]
    fn a_copy_that_nobody_waits_for_stops() {
        let (place, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(place.path().join("file"), "x").unwrap();
        let stopped = copy(place.path(), fs::File::open(home.path()).unwrap().into(), &account(AMPLE), &|| false);
        assert!(matches!(stopped, Err(SkeletonError::Unwanted)));
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_skeleton_is_bounded_in_entries_and_depth() {
        let (place, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (wide, deep) = (place.path().join("wide"), place.path().join("deep"));
        fs::create_dir(&wide).unwrap();
        let first = wide.join("0");
        fs::write(&first, "").unwrap();
        for number in 1..MOST_ENTRIES {
            // Links are made faster than files.
            fs::hard_link(&first, wide.join(format!("{number}")))
                .or_else(|_| fs::write(wide.join(format!("{number}")), ""))
                .unwrap();
        }
        let (whole, usage) = copied(&wide, home.path(), AMPLE);
        assert_eq!((whole.unwrap().usage.files, usage.files), (MOST_ENTRIES, MOST_ENTRIES));
        fs::write(wide.join("more"), "").unwrap();
        assert!(matches!(Skeleton::survey(&wide), Err(SkeletonError::TooLarge)));
        let mut below = deep.clone();
        (0..MOST_LEVELS).for_each(|_| below.push("x"));
        fs::create_dir_all(&below).unwrap();
        assert_eq!(Skeleton::survey(&deep).unwrap().usage.files, MOST_LEVELS as u64);
        fs::create_dir(below.join("x")).unwrap();
        let error = Skeleton::survey(&deep).unwrap_err();
        assert!(error.to_string().contains("more than 64 folders"), "{error}");
    }
}
