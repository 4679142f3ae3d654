//! A control group with a limit on memory, where this machine lets us make one.

use std::fs;
use std::path::{Path, PathBuf};

/// Where groups are, and what limits their memory: version 1, then version 2.
const GROUPS: [(&str, &str); 2] =
    [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];

/// A group around one process. Dropped after the process has ended, it is removed.
#[derive(Debug)]
pub struct MemoryGroup {
    folder: PathBuf,
}

impl MemoryGroup {
    /// A group with this limit, and the process moved into it. `None` where no group can be made.
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
