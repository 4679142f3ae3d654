//! Compiling in a process of its own, with limits of its own: what a hostile file can make a compiler do, it does there. W34.
//!
//! Both ends are here. The parent ([`Compiler`]) runs its own program again with the file as standard input, and takes the code from standard
//! output. The child ([`compile_stdin`]) limits itself before it reads the first byte: memory, processor time, size of output, no core dump,
//! lower priority. It inherits no environment, and no descriptors but its three: all others of ours are closed on exec. The three are
//! anonymous files in memory, not pipes, so nobody has to feed or drain the child while it works.

mod names;

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Resource, Rlimit, Signal, nice, set_parent_process_death_signal, setrlimit};
use tokio::process::Command;
use tokio::time::timeout;

use crate::engine;
use crate::error::Error;
use crate::plugin::not_compiled;

/// How much of the child's last words is read.
const WORDS: u64 = 4 << 10;
/// How far the child steps back behind the server.
const NICENESS: i32 = 10;
/// The child's exit status when the file is at fault and it has said why.
const REFUSED: u8 = 3;

/// What compiling one file may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileSettings {
    /// Address space of the child, bytes.
    pub memory: usize,
    /// Time of the child, by the clock and of the processor.
    pub time: Duration,
    /// Compiled code, bytes.
    pub code: usize,
    /// [`EngineSettings::memory`](crate::EngineSettings::memory) of the engine that is to run it.
    pub instance_memory: usize,
}

/// Runs compilers.
#[derive(Debug, Clone)]
pub struct Compiler {
    /// The program to run and the first arguments: [`CompileSettings::arguments`] follow.
    program: PathBuf,
    verb: &'static str,
    settings: CompileSettings,
}

/// Machine code that may be mapped: it comes from our own compiler or carries our seal. Made in two places, here and in `cache.rs`.
pub(crate) struct Compiled(Vec<u8>);

impl Compiled {
    /// Only for code of which the caller knows where it comes from: whatever is in it will be run.
    pub(crate) fn trusted(code: Vec<u8>) -> Self {
        Self(code)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl CompileSettings {
    /// For the command line of the child, in the order of [`from_arguments`](Self::from_arguments).
    fn arguments(&self) -> [String; 4] {
        let time = self.time.as_millis().to_string();
        [self.memory.to_string(), time, self.code.to_string(), self.instance_memory.to_string()]
    }

    /// The child's side of the command line: memory, time in milliseconds, code, memory of an instance.
    #[must_use]
    pub fn from_arguments(memory: usize, milliseconds: u64, code: usize, instance_memory: usize) -> Self {
        Self { memory, time: Duration::from_millis(milliseconds), code, instance_memory }
    }
}

impl Compiler {
    /// One that runs `program verb MEMORY MILLISECONDS CODE INSTANCE_MEMORY`, which must call [`compile_stdin`].
    #[must_use]
    pub fn new(program: PathBuf, verb: &'static str, settings: CompileSettings) -> Self {
        Self { program, verb, settings }
    }

    /// Compiles a file. The child dies with the future.
    pub(crate) async fn compile(&self, wasm: &[u8]) -> Result<Compiled, Error> {
        let failed = |error: io::Error| Error::host(&error.into());
        let (mut source, mut code, mut words) = (memory_file()?, memory_file()?, memory_file()?);
        source.write_all(wasm).and_then(|()| source.rewind()).map_err(failed)?;
        let stdio = |file: &File| file.try_clone().map(Stdio::from).map_err(failed);
        let mut child = Command::new(&self.program)
            .arg(self.verb)
            .args(self.settings.arguments())
            .env_clear()
            .current_dir("/")
            // A Ctrl-C at the server's terminal is the server's.
            .process_group(0)
            .stdin(stdio(&source)?)
            .stdout(stdio(&code)?)
            .stderr(stdio(&words)?)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let Ok(status) = timeout(self.settings.time, child.wait()).await else {
            child.kill().await.map_err(failed)?;
            return Err(self.too_slow());
        };
        let status = status.map_err(failed)?;
        if !status.success() {
            let mut said = Vec::new();
            words.rewind().and_then(|()| words.take(WORDS).read_to_end(&mut said)).map_err(failed)?;
            return Err(self.reason(status, &String::from_utf8_lossy(&said)));
        }
        let mut bytes = Vec::new();
        code.rewind().and_then(|()| code.read_to_end(&mut bytes)).map_err(failed)?;
        Ok(Compiled::trusted(bytes))
    }

    /// Why a child gave no code, from how it ended and what it said.
    fn reason(&self, status: ExitStatus, said: &str) -> Error {
        let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let signal = status.signal().and_then(Signal::from_named_raw);
        match signal {
            Some(Signal::XCPU) => self.too_slow(),
            Some(Signal::XFSZ) => Error::Refused(format!(
                "compiled it would have more than the {} MiB that are allowed",
                self.settings.code >> 20
            )),
            Some(Signal::ABORT) if said.contains("memory allocation of") => Error::Refused(format!(
                "compiling it takes more than the {} MiB of memory that are allowed",
                self.settings.memory >> 20
            )),
            Some(Signal::ABORT) if said.contains("overflowed its stack") => {
                Error::Refused("it is nested too deeply to be compiled".to_owned())
            }
            Some(Signal::KILL) => {
                Error::Refused("its compiler was killed; the machine may be out of memory".to_owned())
            }
            Some(_) | None if status.code() == Some(REFUSED.into()) => Error::Refused(first.to_owned()),
            Some(_) | None => Error::Refused(format!("its compiler failed ({status}): {first}")),
        }
    }

    fn too_slow(&self) -> Error {
        Error::Refused(format!(
            "compiling it takes more than the {} s that are allowed",
            self.settings.time.as_secs_f32()
        ))
    }
}

/// A file that is only in memory, and nowhere to be found.
fn memory_file() -> Result<File, Error> {
    let made = memfd_create("whelk-compile", MemfdFlags::CLOEXEC);
    made.map(File::from).map_err(|error| Error::host(&io::Error::from(error).into()))
}

/// The child: compiles what is on standard input to standard output. Gives the exit status of the process; the reason of a refusal is then on
/// standard error, in one line.
///
/// Limits the whole process for good.
#[must_use]
pub fn compile_stdin(settings: &CompileSettings) -> u8 {
    match limit(settings).and_then(|()| compile(settings)) {
        Ok(()) => 0,
        Err(reason) => {
            eprintln!("{}", reason.replace('\n', " "));
            REFUSED
        }
    }
}

fn limit(settings: &CompileSettings) -> Result<(), String> {
    let seconds = settings.time.as_millis().div_ceil(1000);
    let limits = [
        (Resource::As, u64::try_from(settings.memory).unwrap_or(u64::MAX)),
        (Resource::Cpu, u64::try_from(seconds).unwrap_or(u64::MAX)),
        (Resource::Fsize, u64::try_from(settings.code).unwrap_or(u64::MAX)),
        (Resource::Core, 0),
    ];
    let failed = |error: rustix::io::Errno| format!("the compiler cannot limit itself: {error}");
    for (resource, most) in limits {
        // At the hard limit of processor time the kernel kills without a reason; a second before it gives one.
        let hard = if resource == Resource::Cpu { most.saturating_add(1) } else { most };
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(hard) }).map_err(failed)?;
    }
    nice(NICENESS).map_err(failed)?;
    // Nobody would take the result.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed)
}

fn compile(settings: &CompileSettings) -> Result<(), String> {
    let mut wasm = Vec::new();
    io::stdin().lock().read_to_end(&mut wasm).map_err(|error| format!("it cannot be read: {error}"))?;
    let engine =
        engine::compiler(settings.instance_memory).map_err(|error| format!("there is no compiler: {error:#}"))?;
    names::check(&wasm)?;
    let code = engine.precompile_component(&wasm).map_err(|error| not_compiled(&error).to_string())?;
    let mut out = io::stdout().lock();
    out.write_all(&code).and_then(|()| out.flush()).map_err(|error| format!("its code cannot be passed on: {error}"))
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use super::*;
    use crate::engine::{Engine, EngineSettings};

    #[test]
    fn what_the_child_compiles_fits_the_engine_that_runs_it() {
        let hash = |engine: &wasmtime::Engine| {
            BuildHasherDefault::<DefaultHasher>::default().hash_one(engine.precompile_compatibility_hash())
        };
        for memory in [1 << 20, 64 << 20] {
            let settings = EngineSettings { sessions: 2, memory, ..EngineSettings::default() };
            let engine = Engine::new(&settings).unwrap();
            assert_eq!(hash(engine.wasmtime()), hash(&engine::compiler(memory).unwrap()));
        }
    }
}
