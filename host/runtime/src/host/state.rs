//! What the host knows about one process: the data of its store, a part for each family of imports. Every import sees
//! this and nothing else. How it is made is in `process/store.rs`.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use wasmtime::ResourceLimiter;

use super::channel::{Channel, DescriptorWrite, HasChannel};
use super::charges::Charges;
use super::control::{Control, HasControl};
use super::log::LogBook;
use super::spawner::{SpawnParent, Spawner, Spawning};
use super::terminal::{HasTerminal, Terminal};
use super::timers::Timers;
use super::topics::{HasTopics, SessionTopics};
use super::wasi::descriptors::{IoFailure, ProcessIo};
use super::wasi::files::{Files, OpenLimits, ProgramFiles};
use super::wasi::stdio::Streams;
use super::wasi::{ProgramStart, Wasi};
use crate::channel::Shared;
use crate::error::Limit;
use crate::grants::{Grants, OpenCount, Temporary};
use crate::host::bindings::imports::channel::WriteError;
use crate::limits::budget::{Budget, Total};
use crate::limits::memory::Memory;
use crate::limits::{Limits, count};
use crate::posix::Errno;
use crate::posix::process::ProcessEntry;
use crate::session_types::Facts;
use crate::tenant::Tenant;

/// The data of one store. Each part lies in the file of the imports that use it.
pub(crate) struct State {
    pub(crate) channel: Channel,
    /// That of all processes of the session that are programs.
    pub(crate) terminal: Arc<Mutex<Terminal>>,
    /// What `connection` tells.
    pub(crate) facts: Facts,
    /// What a connection plugin may begin by itself. None in every other plugin.
    pub(crate) control: Option<Box<Control>>,
    /// What it is in the process table of its session. None of what is no program.
    pub(crate) process: Option<Arc<ProcessEntry>>,
    pub(crate) timers: Timers,
    pub(crate) topics: SessionTopics,
    /// Made at the first use: most plugins never call WASI.
    pub(crate) wasi: Option<Box<Wasi>>,
    /// What wasmtime asks before memory and tables grow.
    pub(crate) memory: Memory,
    /// Who is charged for what the imports keep and do.
    pub(crate) charges: Charges,
    pub(crate) log: Arc<LogBook>,
    pub(crate) tenant: Arc<Tenant>,
    /// The `/tmp` of its session.
    pub(crate) temporary: Arc<Temporary>,
    /// Counts the open files of its session ...
    pub(crate) session_files: Arc<OpenCount>,
    /// ... and its own.
    pub(crate) files: Arc<OpenCount>,
    /// How a program that runs uses its descriptors.
    pub(crate) io: Option<Arc<ProcessIo>>,
    /// How a program of a session starts others.
    pub(crate) spawning: Option<Box<Spawning>>,
}

impl State {
    pub(super) fn limits(&self) -> &Limits {
        self.tenant.limits()
    }

    pub(super) fn grants(&self) -> &Grants {
        self.tenant.grants()
    }

    pub(crate) fn budget(&self) -> &Arc<Budget> {
        self.tenant.budget()
    }

    /// What the process has of WASI, made now if this is its first use.
    pub(super) fn wasi(&mut self) -> &mut Wasi {
        let open = self.open_limits();
        let (log, charges, temporary) = (&self.log, &self.charges, &self.temporary);
        let is_program = self.process.is_some();
        self.wasi.get_or_insert_with(|| {
            let mut wasi = Box::new(Wasi::new(log, charges, is_program));
            // A program sees its own files once it runs.
            if !is_program {
                wasi.show_files(log, charges, temporary, open, None);
            }
            wasi
        })
    }

    /// How many files the process may have open.
    pub(crate) fn most_files(&self) -> usize {
        let own = self.spawning.as_ref().and_then(|spawning| spawning.limits.files);
        count(self.limits().open_files).min(own.unwrap_or(usize::MAX))
    }

    /// How many files may be open.
    pub(super) fn open_limits(&self) -> OpenLimits {
        let limits = self.limits();
        OpenLimits {
            process: Arc::clone(&self.files),
            most: self.most_files(),
            session: Arc::clone(&self.session_files),
            session_most: count(limits.session_open_files),
        }
    }

    /// Gives a program its arguments, its environment and its descriptors, whose use is returned. None if the tenant
    /// has no memory left to keep them in, or if it is no program.
    pub(crate) fn begin_program(&mut self, start: ProgramStart) -> Option<Arc<ProcessIo>> {
        let process = self.process.as_ref()?;
        let (streams, charges) = (Streams::new(&self.channel, process), self.charges.clone());
        let (descriptors, directory) = (Arc::clone(&start.descriptors), start.directory.clone());
        let io = ProcessIo::new(descriptors, streams, Arc::clone(process), directory, start.file_limit);
        let (log, temporary) = (Arc::clone(&self.log), Arc::clone(&self.temporary));
        let open = self.open_limits();
        let begun = self.wasi().begin_program(start, &io, &charges);
        self.wasi().show_files(&log, &charges, &temporary, open, Some(&io));
        self.io = Some(Arc::clone(&io));
        begun.then_some(io)
    }

    /// What it has of files.
    pub(super) fn files(&mut self) -> Files<'_> {
        self.wasi().files()
    }

    /// The files in which programs are found; `None` if it sees none.
    pub(crate) fn program_files(&mut self) -> Option<ProgramFiles> {
        self.files().into_session().map(ProgramFiles::new)
    }

    /// What this process gives to one that it starts, and who starts it. None if it cannot start any.
    pub(super) fn spawn_parent(&mut self) -> Option<(Arc<dyn Spawner>, SpawnParent)> {
        // Before a program runs it has no descriptors that it could give.
        let io = Arc::clone(self.io.as_ref()?);
        let files = self.program_files();
        let spawning = self.spawning.as_ref()?;
        let parent = SpawnParent {
            process: Arc::clone(self.process.as_ref()?),
            io,
            files,
            terminal: Arc::clone(&self.terminal),
            pty: self.channel.pty().cloned(),
            usage: Arc::clone(self.charges.usage()),
        };
        Some((Arc::clone(&spawning.spawner), parent))
    }

    /// Ends the charges of sockets and parts of requests that the guest has dropped: after each call, and at each tick
    /// of a program.
    pub(crate) fn tidy(&mut self) {
        if let Some(wasi) = &mut self.wasi {
            wasi.tidy();
        }
    }
}

impl HasChannel for State {
    fn channel(&self) -> &Channel {
        &self.channel
    }

    fn channel_mut(&mut self) -> &mut Channel {
        &mut self.channel
    }

    fn write_descriptor(&self, number: u32, bytes: Bytes) -> DescriptorWrite {
        let io = self.io.clone();
        Box::pin(async move {
            let io = io.ok_or(WriteError::Closed)?;
            let description = io.descriptors().get(number).ok_or(WriteError::Closed)?;
            io.write(&description, bytes).await.map_err(|failure| match failure {
                IoFailure::Errno(Errno::Interrupted) => WriteError::Interrupted,
                // One that ends the process ends it at its next tick or wait.
                IoFailure::Errno(_) | IoFailure::Trap(_) => WriteError::Closed,
            })
        })
    }
}

impl HasTerminal for State {
    fn terminal(&self) -> &Arc<Mutex<Terminal>> {
        &self.terminal
    }

    fn channel(&self) -> &Channel {
        &self.channel
    }

    fn process(&self) -> Option<&Arc<ProcessEntry>> {
        self.process.as_ref()
    }
}

impl HasControl for State {
    fn control(&self) -> Option<&Control> {
        self.control.as_deref()
    }

    fn pipes(&self) -> &Arc<Shared> {
        &self.channel.pipes
    }

    fn log(&self) -> &LogBook {
        &self.log
    }
}

impl HasTopics for State {
    fn topics(&mut self) -> &mut SessionTopics {
        &mut self.topics
    }
}

impl State {
    /// Whether memory or a table may grow; the operator is told when the tenant or the server has no more.
    fn tell(&self, grown: Result<(), Limit>) -> bool {
        match grown {
            Err(Limit::TenantMemory) => self.log.log_exhausted(Total::Memory),
            Err(Limit::AllMemory) => self.log.log_exhausted(Total::AllMemory),
            Ok(()) | Err(_) => {}
        }
        grown.is_ok()
    }
}

/// Where wasmtime asks before it makes or grows anything.
impl ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let grown = self.memory.grow(current, desired, maximum);
        Ok(self.tell(grown))
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory.failed();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let grown = self.memory.grow_table(current, desired, maximum);
        Ok(self.tell(grown))
    }

    fn instances(&self) -> usize {
        count(self.limits().core_instances)
    }

    fn tables(&self) -> usize {
        count(self.limits().tables)
    }

    fn memories(&self) -> usize {
        count(self.limits().memories)
    }
}
