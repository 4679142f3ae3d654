//! Limits of compiling, and how the child is told of them.

use std::time::Duration;

/// What compiling one file may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileSettings {
    /// Address space of the child, bytes.
    pub memory: usize,
    /// CPU time of the child. The wall-clock limit is twenty times as much.
    pub time: Duration,
    /// Compiled code, bytes.
    pub code: usize,
    /// [`Limits::memory_slot`](crate::Limits::memory_slot) of the engine that is to run it.
    pub instance_memory: usize,
}

impl CompileSettings {
    /// For the command line of the child, in the order of [`from_arguments`](Self::from_arguments).
    pub(super) fn arguments(&self) -> [String; 4] {
        let time = self.time.as_millis().to_string();
        [self.memory.to_string(), time, self.code.to_string(), self.instance_memory.to_string()]
    }

    /// The child's side of the command line: memory, time in milliseconds, code, memory of an instance.
    #[must_use]
    pub fn from_arguments(memory: usize, milliseconds: u64, code: usize, instance_memory: usize) -> Self {
        Self { memory, time: Duration::from_millis(milliseconds), code, instance_memory }
    }
}
