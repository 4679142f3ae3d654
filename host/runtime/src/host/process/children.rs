//! Starting programs, and waiting for children.

use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use wasmtime::StoreContextMut;
use wasmtime::component::{LinkerInstance, Resource, ResourceType};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use super::bindings::wit;
use super::handle::ChildResource;
use crate::host::State;
use crate::host::spawner::{NewProgram, Replaced};
use crate::host::wasi::start_bytes;
use crate::limits::count;
use crate::posix::process::{ChildHandle, ProcessChange, ProcessEnding, ProcessEntry};
use crate::posix::signal::{Signal, SignalSet};
use crate::posix::table::GroupChoice;
use crate::posix::{Descriptors, Errno, ProcessLimits};

/// Most children of one `wait`. More handles than this a process has only if it names one several times.
const WAITED: usize = 4096;
/// Most bytes of arguments and environment together (ARG_MAX).
const ARGUMENTS: usize = 1 << 20;

type Child = Resource<ChildResource>;
type Context<'s> = StoreContextMut<'s, State>;
type Waits<'s, R> = Box<dyn Future<Output = wasmtime::Result<(R,)>> + Send + 's>;

pub(super) fn link(process: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    process.resource("child", ResourceType::host::<ChildResource>(), |mut store, handle| {
        store.data_mut().wasi().table().delete(Child::new_own(handle))?;
        Ok(())
    })?;
    process.func_wrap("[method]child.id", |mut store: Context<'_>, (child,): (Child,)| {
        Ok((handle(&mut store, &child)?.id(),))
    })?;
    process.func_wrap("[method]child.poll", |mut store: Context<'_>, (child,): (Child,)| {
        Ok((handle(&mut store, &child)?.take_change().map(wit::Change::from),))
    })?;
    process.func_wrap("[method]child.subscribe", |mut store: Context<'_>, (child,): (Child,)| {
        let ready = ChildReady(handle(&mut store, &child)?);
        Ok((pollable(&mut store, ready)?,))
    })?;
    process.func_wrap_async("wait", |store: Context<'_>, (any,): (Vec<Child>,)| -> Waits<'_, _> {
        Box::new(async move { Ok((wait(store, &any).await?.map_err(wit::Errno::from),)) })
    })?;
    process.func_wrap_async("spawn", |store: Context<'_>, (what,): (wit::Request,)| -> Waits<'_, _> {
        Box::new(async move { Ok((start_child(store, what).await?.map_err(wit::Errno::from),)) })
    })?;
    process.func_wrap_async("exec", |store: Context<'_>, (what,): (wit::Request,)| -> Waits<'_, _> {
        Box::new(async move { Ok((wit::Errno::from(exec(store, what).await?),)) })
    })
}

fn handle(store: &mut Context<'_>, child: &Child) -> wasmtime::Result<Arc<ChildHandle>> {
    Ok(Arc::clone(store.data_mut().wasi().table().get(child)?.handle()))
}

/// posix_spawn(3).
async fn start_child(mut store: Context<'_>, what: wit::Request) -> wasmtime::Result<Result<Child, Errno>> {
    let what = match request(&mut store, what)? {
        Ok(what) => what,
        Err(errno) => return Ok(Err(errno)),
    };
    let Some((spawner, parent)) = store.data_mut().spawn_parent() else { return Ok(Err(Errno::NotSupported)) };
    let started = spawner.start(parent, what).await;
    let child = match started {
        Ok(child) => ChildResource::new(child),
        Err(errno) => return Ok(Err(errno)),
    };
    Ok(store.data_mut().wasi().table().push(child).map_err(|_| Errno::NoMemory))
}

/// execve(2). Returns why it has failed, or ends the call.
async fn exec(mut store: Context<'_>, what: wit::Request) -> wasmtime::Result<Errno> {
    let what = match request(&mut store, what)? {
        Ok(what) => what,
        Err(errno) => return Ok(errno),
    };
    if what.group != GroupChoice::Inherit || what.foreground {
        return Ok(Errno::Invalid);
    }
    let Some((spawner, parent)) = store.data_mut().spawn_parent() else { return Ok(Errno::NotSupported) };
    match spawner.replace(parent, what).await {
        Ok(replacement) => {
            if let Some(spawning) = &mut store.data_mut().spawning {
                spawning.replacement = Mutex::new(Some(replacement));
            }
            Err(Replaced.into())
        }
        Err(errno) => Ok(errno),
    }
}

/// What a request asks for.
fn request(store: &mut Context<'_>, what: wit::Request) -> wasmtime::Result<Result<NewProgram, Errno>> {
    let wit::Request { program, argv, env, cwd, fds, group, foreground, ignored, limits } = what;
    let Some(parent) = store.data().spawning.as_ref().map(|spawning| spawning.limits) else {
        return Ok(Err(Errno::NotSupported));
    };
    let limits = ProcessLimits::from(limits).within(parent);
    let most = count(store.data().limits().open_files);
    let descriptors = Descriptors::with_limit(limits.files.unwrap_or(most).min(most));
    for (number, fd) in fds {
        let description = super::fd::description(store, &fd)?;
        if descriptors.has(number) {
            return Ok(Err(Errno::Invalid));
        }
        if let Err(errno) = descriptors.put(number, description) {
            return Ok(Err(errno));
        }
    }
    let texts = argv.iter().chain(env.iter().flat_map(|(name, value)| [name, value]));
    let bytes: usize = texts.clone().map(|text| text.len() + size_of::<String>()).sum();
    if bytes > ARGUMENTS {
        return Ok(Err(Errno::TooBig));
    }
    // They wait here until the program is found and made, which may take long.
    let Some(charge) = store.data().charges.memory(start_bytes(&argv, &env)) else { return Ok(Err(Errno::NoMemory)) };
    let has_nul = texts.chain([&program, &cwd]).any(|text| text.contains('\0'));
    let has_bad_name = env.iter().any(|(name, _)| name.is_empty() || name.contains('='));
    let ignored: Option<SignalSet> = ignored.iter().map(|name| Signal::from_name(name)).collect();
    let (false, false, Some(ignored), true) = (has_nul || argv.is_empty(), has_bad_name, ignored, cwd.starts_with('/'))
    else {
        return Ok(Err(Errno::Invalid));
    };
    Ok(Ok(NewProgram {
        program,
        arguments: argv,
        environment: env,
        directory: cwd,
        descriptors: Arc::new(descriptors),
        group: group.into(),
        foreground,
        ignored,
        limits,
        charge,
        most_processes: parent.processes,
    }))
}

/// waitpid(2).
async fn wait(mut store: Context<'_>, any: &[Child]) -> wasmtime::Result<Result<(u32, wit::Change), Errno>> {
    if any.len() > WAITED {
        return Ok(Err(Errno::Invalid));
    }
    let children: Vec<Arc<ChildHandle>> =
        any.iter().map(|child| handle(&mut store, child)).collect::<wasmtime::Result<_>>()?;
    let Some(process) = store.data().process.clone() else { return Ok(Err(Errno::NotSupported)) };
    Ok(poll_fn(|context| {
        process.register_waker(context);
        poll_wait(&process, &children)
    })
    .await
    .map(|(position, change)| (position, change.into())))
}

/// The first change of one of the children.
fn poll_wait(process: &ProcessEntry, children: &[Arc<ChildHandle>]) -> Poll<Result<(u32, ProcessChange), Errno>> {
    // A stopped process takes nothing.
    if process.must_wait() {
        return Poll::Pending;
    }
    let changes = (0..).zip(children).find_map(|(position, child)| Some((position, child.take_change()?)));
    if let Some(change) = changes {
        return Poll::Ready(Ok(change));
    }
    if children.iter().all(|child| child.is_over()) {
        return Poll::Ready(Err(Errno::Child));
    }
    if process.is_interrupted() { Poll::Ready(Err(Errno::Interrupted)) } else { Poll::Pending }
}

/// Ready when a child has something to report, or nothing will come.
struct ChildReady(Arc<ChildHandle>);

#[wasmtime_wasi::async_trait]
impl Pollable for ChildReady {
    async fn ready(&mut self) {
        self.0.changed().await;
    }
}

/// Makes a pollable that needs no other handle.
pub(super) fn pollable(store: &mut Context<'_>, ready: impl Pollable) -> wasmtime::Result<Resource<DynPollable>> {
    let table = store.data_mut().wasi().table();
    let ready = table.push(ready)?;
    subscribe(table, ready)
}

/// Whole milliseconds.
pub(super) fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

impl From<ProcessChange> for wit::Change {
    fn from(change: ProcessChange) -> Self {
        match change {
            ProcessChange::Exited(ProcessEnding::Status(status)) => Self::Exited(wit::Ending::Status(status)),
            ProcessChange::Exited(ProcessEnding::Signal(signal)) => {
                Self::Exited(wit::Ending::Signal(signal.name().to_owned()))
            }
            ProcessChange::Stopped(signal) => Self::Stopped(signal.name().to_owned()),
            ProcessChange::Continued => Self::Continued,
        }
    }
}

impl From<wit::GroupChoice> for GroupChoice {
    fn from(choice: wit::GroupChoice) -> Self {
        match choice {
            wit::GroupChoice::Inherit => Self::Inherit,
            wit::GroupChoice::New => Self::New,
            wit::GroupChoice::Join(group) => Self::Join(group),
        }
    }
}

impl From<wit::Limits> for ProcessLimits {
    fn from(limits: wit::Limits) -> Self {
        let wit::Limits { cpu_ms, memory_kib, files, processes, file_kib } = limits;
        Self {
            cpu: cpu_ms.map(|cpu| Duration::from_millis(cpu.into())),
            memory: memory_kib.map(|kib| count(kib).saturating_mul(1 << 10)),
            files: files.map(count),
            processes: processes.map(count),
            file_size: file_kib.map(|kib| u64::from(kib) << 10),
        }
    }
}

impl From<ProcessLimits> for wit::Limits {
    fn from(limits: ProcessLimits) -> Self {
        let ProcessLimits { cpu, memory, files, processes, file_size } = limits;
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            cpu_ms: cpu.map(milliseconds),
            memory_kib: memory.map(|bytes| number(bytes >> 10)),
            files: files.map(number),
            processes: processes.map(number),
            file_kib: file_size.map(|bytes| u32::try_from(bytes >> 10).unwrap_or(u32::MAX)),
        }
    }
}
