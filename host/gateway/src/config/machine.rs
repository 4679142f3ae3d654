//! How much memory and how many threads this process may have: the machine's, or fewer if a control group limits them.
//!
//! Both versions of control groups are read, because recent systemd, Docker and Kubernetes use version 2, older
//! machines version 1, and some mount both. Each level up to the root counts: a service may be in a slice with a lower
//! limit than the service itself.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// A resource that a control group can limit.
struct Limited {
    /// Its controller in version 1.
    controller: &'static str,
    /// The files with the limits in version 2 ...
    files_of_v2: &'static [&'static str],
    /// ... and in version 1.
    files_of_v1: &'static [&'static str],
}

/// In version 2, above `memory.high` a group is throttled until it hardly runs, which is no better for a server than
/// being killed. In version 1 a group without a limit has a number near 2^63.
const MEMORY: Limited = Limited {
    controller: "memory",
    files_of_v2: &["memory.max", "memory.high"],
    files_of_v1: &["memory.limit_in_bytes"],
};
/// Processes and threads together.
const THREADS: Limited = Limited { controller: "pids", files_of_v2: &["pids.max"], files_of_v1: &["pids.max"] };

/// The most memory of this process in bytes: the lowest of the machine's physical memory and the limits of its control
/// groups, up to the root. `None` if it is unknown.
#[must_use]
pub(crate) fn memory_limit() -> Option<u64> {
    limit_under(Path::new("/"))
}

/// The same, with `/proc` and the groups' folders below `root`.
fn limit_under(root: &Path) -> Option<u64> {
    physical(root).into_iter().chain(group_limit(root, &MEMORY)).min()
}

/// The threads that the control groups of this process allow, including those of other processes in them. `None` if it
/// is unknown.
pub(crate) fn thread_limit() -> Option<u64> {
    group_limit(Path::new("/"), &THREADS)
}

/// The machine's memory.
fn physical(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    field(&text, "MemTotal:")
}

/// Memory that programs can have now without pushing others out.
pub(crate) fn available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    field(&text, "MemAvailable:")
}

/// A line of `/proc/meminfo`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib.saturating_mul(1 << 10))
}

/// The lowest limit of the control groups.
fn group_limit(root: &Path, of: &Limited) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
    let mounts: Vec<Mount> = mounts.lines().filter_map(Mount::parse).collect();
    groups.lines().filter_map(|line| lowest(root, of, line, &mounts)).min()
}

/// The lowest limit of one line of `/proc/self/cgroup`, `ID:CONTROLLERS:PATH`, if it has this controller.
fn lowest(root: &Path, of: &Limited, line: &str, mounts: &[Mount]) -> Option<u64> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, group) = rest.split_once(':')?;
    let (files, mount) = if controllers.is_empty() {
        (of.files_of_v2, mounts.iter().find(|mount| mount.kind == Kind::V2)?)
    } else if controllers.split(',').any(|controller| controller == of.controller) {
        (of.files_of_v1, mounts.iter().find(|mount| mount.kind == Kind::V1(of.controller))?)
    } else {
        return None;
    };
    let top = root.join(mount.point.strip_prefix("/").ok()?);
    let folder = top.join(mount.below(Path::new(group)));
    let levels = folder.ancestors().take_while(|folder| folder.starts_with(&top));
    levels.flat_map(|folder| files.iter().filter_map(move |file| number(&folder.join(file)))).min()
}

/// "max" is not a number: no limit.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    V2,
    /// The mount with this controller.
    V1(&'static str),
}

/// Where groups are mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    kind: Kind,
    /// The group at the mount point.
    group: PathBuf,
    point: PathBuf,
}

impl Mount {
    /// Parses a line of `/proc/self/mountinfo`, `proc_pid_mountinfo(5)`:
    /// `ID PARENT DEVICE ROOT POINT OPTIONS [FIELD...] - TYPE SOURCE SUPER_OPTIONS`.
    fn parse(line: &str) -> Option<Mount> {
        let (place, system) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (group, point) = (PathBuf::from(place.next()?), PathBuf::from(place.next()?));
        let mut system = system.split(' ');
        let kind = match (system.next()?, system.nth(1)?) {
            ("cgroup2", _) => Kind::V2,
            ("cgroup", options) => {
                let has = |of: &&Limited| options.split(',').any(|option| option == of.controller);
                Kind::V1([&MEMORY, &THREADS].into_iter().find(has)?.controller)
            }
            _ => return None,
        };
        Some(Mount { kind, group, point })
    }

    /// The folder of `group` below the mount point. A container often sees its own group at the mount point while
    /// `/proc/self/cgroup` has the group's path on the machine, or one outside of what is visible: then the mount point
    /// is the nearest visible one.
    fn below<'a>(&self, group: &'a Path) -> &'a Path {
        match group.strip_prefix(&self.group) {
            Ok(below) if below.components().all(|part| matches!(part, Component::Normal(_))) => below,
            Ok(_) | Err(_) => Path::new(""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const V2: &str = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const V1: &str = "34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
                      35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

    /// The file of a machine with one GiB.
    fn tree(groups: &str, mounts: &str, files: &[(&str, &str)]) -> Option<u64> {
        limit_under(planted(groups, mounts, files).path())
    }

    /// Its files.
    fn planted(groups: &str, mounts: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let meminfo = "MemTotal:        1048576 kB\nMemFree:          524288 kB\n";
        let own = [("proc/meminfo", meminfo), ("proc/self/cgroup", groups), ("proc/self/mountinfo", mounts)];
        for (path, text) in own.iter().chain(files) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn bytes(mib: u64) -> String {
        format!("{}\n", mib * MIB)
    }

    #[test]
    fn without_a_limit_the_machines_memory_counts() {
        assert_eq!(tree("0::/\n", V2, &[]), Some(1024 * MIB));
        let none = [("sys/fs/cgroup/a/memory.max", "max\n"), ("sys/fs/cgroup/a/memory.high", "max\n")];
        assert_eq!(tree("0::/a\n", V2, &none), Some(1024 * MIB));
        let none = [("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")];
        assert_eq!(tree("4:memory:/\n", V1, &none), Some(1024 * MIB));
        assert_eq!(tree("", "", &[]), Some(1024 * MIB));
    }

    #[test]
    fn the_lowest_of_all_levels_counts_in_either_version() {
        let slice = ("sys/fs/cgroup/system.slice/memory.max", bytes(300));
        let service = ("sys/fs/cgroup/system.slice/whelk.service/memory.max", bytes(400));
        let files = [(slice.0, slice.1.as_str()), (service.0, service.1.as_str())];
        assert_eq!(tree("0::/system.slice/whelk.service\n", V2, &files), Some(300 * MIB));
        assert_eq!(tree("0::/other.slice\n", V2, &files), Some(1024 * MIB));
        let high = [files[0], files[1], ("sys/fs/cgroup/system.slice/whelk.service/memory.high", &bytes(200))];
        assert_eq!(tree("0::/system.slice/whelk.service\n", V2, &high), Some(200 * MIB));
        let files = [
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", bytes(100)),
            ("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", bytes(50)),
        ];
        let files = files.each_ref().map(|(path, text)| (*path, text.as_str()));
        assert_eq!(tree("3:cpuset:/\n4:memory:/a/b\n0::/\n", V1, &files), Some(50 * MIB));
        assert_eq!(tree("3:cpuset:/\n4:cpu,memory:/a\n0::/\n", V1, &files), Some(100 * MIB));
        assert_eq!(tree("4:cpuset:/a/b\n", V1, &files), Some(1024 * MIB));
    }

    #[test]
    fn both_versions_of_control_groups_are_read() {
        let files = [
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", bytes(100)),
            ("sys/fs/cgroup/unified/a/memory.max", bytes(90)),
        ];
        let files = files.each_ref().map(|(path, text)| (*path, text.as_str()));
        let mounts = format!("{V1}41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
        assert_eq!(tree("4:memory:/a\n0::/a\n", &mounts, &files), Some(90 * MIB));
        assert_eq!(tree("4:memory:/a\n0::/\n", &mounts, &files), Some(100 * MIB));
    }

    #[test]
    fn a_container_finds_its_own_group_at_the_mount_point() {
        let files = [
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", bytes(64)),
            ("sys/fs/cgroup/memory/inner/memory.limit_in_bytes", bytes(32)),
        ];
        let files = files.each_ref().map(|(path, text)| (*path, text.as_str()));
        let mounts = "35 31 0:32 /docker/0123 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        assert_eq!(tree("4:memory:/docker/0123\n", mounts, &files), Some(64 * MIB));
        assert_eq!(tree("4:memory:/docker/0123/inner\n", mounts, &files), Some(32 * MIB));
        // Named from outside, or as one above what is visible.
        assert_eq!(tree("4:memory:/elsewhere\n", mounts, &files), Some(64 * MIB));
        assert_eq!(tree("4:memory:/../../sibling\n", V1, &files), Some(64 * MIB));
    }

    #[test]
    fn threads_are_limited_by_the_lowest_of_all_levels_too() {
        let files = [
            ("sys/fs/cgroup/system.slice/pids.max", "max\n"),
            ("sys/fs/cgroup/system.slice/a/pids.max", "100\n"),
            ("sys/fs/cgroup/pids/b/pids.max", "50\n"),
        ];
        let v1 = "36 31 0:33 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";
        let root = planted("0::/system.slice/a\n9:pids:/b\n", &format!("{V1}{v1}"), &files);
        assert_eq!(group_limit(root.path(), &THREADS), Some(50));
        let root = planted("0::/system.slice/a\n", V2, &files);
        assert_eq!(group_limit(root.path(), &THREADS), Some(100));
        let root = planted("0::/system.slice\n", V2, &files);
        assert_eq!(group_limit(root.path(), &THREADS), None);
    }

    #[test]
    fn this_machine_says_how_much_it_has() {
        let limit = memory_limit().unwrap();
        assert!(limit >= MIB, "{limit}");
        assert!(limit <= physical(Path::new("/")).unwrap());
    }
}
