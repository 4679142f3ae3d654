//! A control group with a memory limit, where this machine allows making one.

use std::fs;
use std::path::{Path, PathBuf};

/// Where groups are, and which file limits their memory: version 1, then version 2.
const GROUPS: [(&str, &str); 2] =
    [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];

/// A group around one process. Dropping it after the process has ended removes it.
#[derive(Debug)]
pub struct MemoryGroup {
    folder: PathBuf,
}

impl MemoryGroup {
    /// Makes a group with this limit and moves the process into it. `None` where that is not possible.
    pub fn around(pid: i32, bytes: u64) -> Option<Self> {
        GROUPS.iter().find_map(|(root, limit)| {
            let folder = Path::new(root).join(format!("whelk-test-{pid}"));
            fs::create_dir(&folder).ok()?;
            let group = Self { folder };
            fs::write(group.folder.join(limit), bytes.to_string()).ok()?;
            fs::write(group.folder.join("cgroup.procs"), pid.to_string()).ok()?;
            Some(group)
        })
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // It stays where a process is in it, and does no harm.
        let _ = fs::remove_dir(&self.folder);
    }
}
