//! How a process starts another: finds the program, takes a place in the process table, and makes the instance in a
//! task of its own, under run permits and charged to the session.

pub(super) mod child;
pub(super) mod made;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use super::compile_wait::CompileWait;
use super::executable::{Executable, Programs};
use super::functions::Functions;
use super::guest::Guest;
use super::store::{ProcessContext, ProgramContext};
use crate::engine::Purpose;
use crate::error::{Error, Limit, Stop};
use crate::host::{NewProgram, ProgramStart, Replacement, SpawnParent, Spawner, Terminal};
use crate::limits::count;
use crate::limits::usage::ProcessUsage;
use crate::plugin::Plugin;
use crate::plugin::health::trial::Trial;
use crate::posix::process::{ChildHandle, ProcessEntry};
use crate::posix::signal::SignalSet;
use crate::posix::table::NewProcess;
use crate::posix::{Errno, ProcessLimits};
use crate::session_types::Pty;
use crate::supervise::catch_future;
use made::{MadeProgram, ProcessPlace, SessionSpawner};

/// What is needed to make one.
struct Order {
    plugin: Arc<Plugin>,
    process: Arc<ProcessEntry>,
    usage: Arc<ProcessUsage>,
    terminal: Arc<Mutex<Terminal>>,
    pty: Option<Pty>,
    start: ProgramStart,
    ignored: SignalSet,
    limits: ProcessLimits,
}

/// [`SessionSpawner`] as the imports have it.
pub(crate) struct SharedSpawner(pub(crate) Arc<SessionSpawner>);

impl Spawner for SharedSpawner {
    fn start(
        &self,
        parent: SpawnParent,
        what: NewProgram,
    ) -> Pin<Box<dyn Future<Output = Result<ChildHandle, Errno>> + Send>> {
        Box::pin(start(Arc::clone(&self.0), parent, what))
    }

    fn replace(
        &self,
        parent: SpawnParent,
        what: NewProgram,
    ) -> Pin<Box<dyn Future<Output = Result<Replacement, Errno>> + Send>> {
        Box::pin(replace(Arc::clone(&self.0), parent, what))
    }
}

async fn start(session: Arc<SessionSpawner>, parent: SpawnParent, mut what: NewProgram) -> Result<ChildHandle, Errno> {
    let (group, foreground) = (what.group, what.foreground);
    if foreground {
        if parent.process.identity().foreground.is_none() {
            return Err(Errno::NoTerminal);
        }
        parent.process.may_change_terminal().await?;
    }
    let found = session.find(&parent, &mut what).await?;
    let place = ProcessPlace::take(&session.tenant)?;
    let most = count(session.tenant.limits().processes).min(what.most_processes.unwrap_or(usize::MAX));
    let (program, ignored) = (found.plugin.shared_name(), what.ignored);
    let (process, handle) = parent.process.add_child(NewProcess { program, group, ignored, most })?;
    let process = Arc::new(process);
    let usage = Arc::new(ProcessUsage::of(&session.usage));
    let order = Order::new(found, parent, what, Arc::clone(&process), usage);
    let (tell, told) = oneshot::channel();
    // The end of the process is told to its parent, whatever happens in the task.
    tokio::spawn(async move {
        match make(&session, order).await {
            Ok(program) => {
                if foreground {
                    let group = process.identity().group;
                    // The group has this process.
                    let _ = process.set_foreground(group);
                }
                // Its parent may have ended meanwhile.
                let _ = tell.send(Ok(()));
                child::run(session, program, process, place).await;
            }
            Err(errno) => {
                process.abandon();
                drop(place);
                let _ = tell.send(Err(errno));
            }
        }
    });
    told.await.unwrap_or(Err(Errno::Io)).map(|()| handle)
}

async fn replace(
    session: Arc<SessionSpawner>,
    parent: SpawnParent,
    mut what: NewProgram,
) -> Result<Replacement, Errno> {
    let found = session.find(&parent, &mut what).await?;
    let (process, usage) = (Arc::clone(&parent.process), Arc::clone(&parent.usage));
    let order = Order::new(found, parent, what, process, usage);
    let (mut tell, told) = oneshot::channel();
    // In a task of its own: the one that asks holds run permits. It ends with the one that asks: only that one has a
    // place among the processes.
    tokio::spawn(async move {
        let made = tokio::select! {
            biased;
            () = tell.closed() => return,
            made = make(&session, order) => made.map(|program| Box::new(program) as Replacement),
        };
        // Whoever has asked may have ended meanwhile.
        let _ = tell.send(made);
    });
    told.await.unwrap_or(Err(Errno::Io))
}

impl SessionSpawner {
    /// The program that is asked for, which takes its arguments. The directory is looked at first, as where chdir(2)
    /// comes before execve(2).
    async fn find(&self, parent: &SpawnParent, what: &mut NewProgram) -> Result<Executable, Errno> {
        if let Some(files) = &parent.files {
            files.check_directory(&what.directory).await?;
        }
        let wait = CompileWait { process: &parent.process, io: Some(&parent.io) };
        let (plugins, tenant, files) = (&*self.plugins, &*self.tenant, parent.files.as_ref());
        let programs = Programs { plugins, tenant, files, wait: Some(wait) };
        programs.find(&what.program, std::mem::take(&mut what.arguments), &what.directory).await
    }
}

impl Order {
    fn new(
        found: Executable,
        parent: SpawnParent,
        what: NewProgram,
        process: Arc<ProcessEntry>,
        usage: Arc<ProcessUsage>,
    ) -> Self {
        let start = ProgramStart {
            arguments: found.arguments,
            environment: what.environment,
            directory: what.directory,
            descriptors: what.descriptors,
            file_limit: what.limits.file_size,
            charge: Some(what.charge),
        };
        let SpawnParent { terminal, pty, .. } = parent;
        let (ignored, limits) = (what.ignored, what.limits);
        Self { plugin: found.plugin, process, usage, terminal, pty, start, ignored, limits }
    }
}

/// Makes the instance. What goes wrong in it before its program begins counts as if the file were no program.
async fn make(session: &Arc<SessionSpawner>, order: Order) -> Result<MadeProgram, Errno> {
    match catch_future(Box::pin(make_guarded(session, order))).await {
        Ok(made) => made,
        // The hook of panics has logged it.
        Err(_) => Err(Errno::Io),
    }
}

async fn make_guarded(session: &Arc<SessionSpawner>, order: Order) -> Result<MadeProgram, Errno> {
    let Order { plugin, process, usage, terminal, pty, start, ignored, limits } = order;
    let mut trial = Trial::begin(&plugin, &session.tenant, &session.facts).map_err(|_| Errno::Again)?;
    // Arguments and environment are another program's choice.
    trial.told();
    let plugin = Arc::clone(trial.plugin());
    let presence = if process.is_first() {
        plugin.register_session(&session.pipes, &session.tenant)
    } else {
        plugin.register_child(&process, &session.tenant)
    };
    let spawner: Arc<dyn Spawner> = Arc::new(SharedSpawner(Arc::clone(session)));
    let program = ProgramContext { entry: process, spawner, limits, terminal };
    let purpose = if program.entry.is_first() { Purpose::Session } else { Purpose::Process };
    let context = ProcessContext {
        tenant: &session.tenant,
        facts: &session.facts,
        pipes: &session.pipes,
        hand_over_check: &session.hand_over_check,
        purpose,
        usage: &usage,
        temporary: &session.temporary,
        session_files: &session.open_files,
        process: Some(&program),
    };
    match Guest::start(&plugin, &context).await {
        Ok((mut guest, Functions::Program(functions))) => {
            if let Some(pty) = pty {
                guest.state().channel.keep_pty(pty);
            }
            Ok(MadeProgram { guest, functions, trial, presence, start: Some(start), ignored })
        }
        Ok((guest, _)) => {
            guest.reap().await;
            Err(Errno::NoExecutable)
        }
        Err(stop) => {
            trial.saw(&stop);
            Err(why_not_made(&stop))
        }
    }
}

fn why_not_made(stop: &Stop) -> Errno {
    match stop {
        Stop::Failed(Error::Full(_)) => Errno::NoMemory,
        Stop::Failed(Error::Limit { limit: Limit::Memory | Limit::TenantMemory | Limit::AllMemory, .. }) => {
            Errno::NoMemory
        }
        Stop::Failed(Error::Limit { limit: Limit::Time, .. }) => Errno::Again,
        Stop::Failed(Error::Host { .. }) => Errno::Io,
        Stop::Failed(_) | Stop::Exited(_) => Errno::NoExecutable,
    }
}
