//! The limits of one process (`getrlimit`), beside those of its session and its tenant.

use std::time::Duration;

/// None is no limit. Children inherit them, and can only be given smaller ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ProcessLimits {
    /// Processor time (RLIMIT_CPU).
    pub(crate) cpu: Option<Duration>,
    /// Bytes of linear memory (RLIMIT_AS).
    pub(crate) memory: Option<usize>,
    /// Open files, and numbers of descriptors (RLIMIT_NOFILE).
    pub(crate) files: Option<usize>,
    /// Processes of the session beyond which it starts none (RLIMIT_NPROC).
    pub(crate) processes: Option<usize>,
    /// Bytes of a file that it writes (RLIMIT_FSIZE).
    pub(crate) file_size: Option<u64>,
}

impl ProcessLimits {
    /// The smaller of both, one by one.
    pub(crate) fn within(self, parent: Self) -> Self {
        fn smaller<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
            one.into_iter().chain(other).min()
        }
        Self {
            cpu: smaller(self.cpu, parent.cpu),
            memory: smaller(self.memory, parent.memory),
            files: smaller(self.files, parent.files),
            processes: smaller(self.processes, parent.processes),
            file_size: smaller(self.file_size, parent.file_size),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_has_the_smaller_limit_of_its_parents_and_its_own() {
        let parent = ProcessLimits { files: Some(10), memory: Some(100), ..ProcessLimits::default() };
        let child = ProcessLimits { files: Some(20), memory: Some(50), processes: Some(3), ..ProcessLimits::default() };
        let both = ProcessLimits { files: Some(10), memory: Some(50), processes: Some(3), ..ProcessLimits::default() };
        assert_eq!(child.within(parent), both);
        assert_eq!(ProcessLimits::default().within(parent), parent);
    }
}
