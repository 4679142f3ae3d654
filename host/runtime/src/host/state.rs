//! What the host knows about one process: the data of its store, a part for each family of imports. Every import sees
//! this and nothing else. How it is made is in `process/store.rs`.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use super::channel::{Channel, HasChannel};
use super::charges::Charges;
use super::control::{Control, HasControl};
use super::log::LogBook;
use super::terminal::Terminal;
use super::timers::Timers;
use super::topics::{HasTopics, SessionTopics};
use super::wasi::descriptors::ProcessIo;
use super::wasi::files::{Files, OpenLimits, ProgramFiles};
use super::wasi::stdio::Streams;
use super::wasi::{ProgramStart, Wasi};
use crate::channel::Shared;
use crate::error::Limit;
use crate::grants::{Grants, OpenCount, Temporary};
use crate::limits::budget::{Budget, Total};
use crate::limits::memory::Memory;
use crate::limits::{Limits, count};
use crate::posix::process::ProcessEntry;
use crate::session_types::Facts;
use crate::tenant::Tenant;

/// The data of one store. Each part lies in the file of the imports that use it.
pub(crate) struct State {
    pub(crate) channel: Channel,
    pub(crate) terminal: Terminal,
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

    /// How many files may be open.
    pub(super) fn open_limits(&self) -> OpenLimits {
        let limits = self.limits();
        OpenLimits {
            process: Arc::clone(&self.files),
            most: count(limits.open_files),
            session: Arc::clone(&self.session_files),
            session_most: count(limits.session_open_files),
        }
    }

    /// Gives a program its arguments, its environment and its descriptors, whose use is returned. None if the tenant
    /// has no memory left to keep them in, or if it is no program.
    pub(crate) fn begin_program(&mut self, start: ProgramStart) -> Option<Arc<ProcessIo>> {
        let process = self.process.as_ref()?;
        let (streams, charges) = (Streams::new(&self.channel, process), self.charges.clone());
        let (descriptors, directory) = (Arc::clone(&start.descriptors), start.directory.to_owned());
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
    #[expect(dead_code, reason = "the imports that start processes follow")]
    pub(crate) fn program_files(&mut self) -> Option<ProgramFiles> {
        self.files().into_session().map(ProgramFiles::new)
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
