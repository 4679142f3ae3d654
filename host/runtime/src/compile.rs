//! Compiling in a process of its own, with limits of its own: what a hostile file can make a compiler do, it does there. W34.
//!
//! Both ends are here. The parent ([`Compiler`]) runs its own program again with the file as standard input, and takes the code from standard
//! output. The child ([`compile_stdin`]) limits itself before it reads the first byte: memory, processor time, no files, no core dump, lower
//! priority. It inherits no environment, and no descriptors but its three: all others of ours are closed on exec. The three are pipes:
//! anonymous files in memory (memfd) are refused where `vm.memfd_noexec` or a seccomp filter says so.
//!
//! The time that compiling may take is time of the processor, so that a busy machine makes no file a bad one. By the clock the child may
//! take [`SLOWEST`] times as much, and what failed for want of time may be tried again: [`Error::Unfinished`].

mod names;

use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal, nice, set_parent_process_death_signal, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::engine;
use crate::error::Error;
use crate::plugin::not_compiled;

/// Most bytes of the child's standard error that are kept.
const WORDS: u64 = 4 << 10;
/// How many times its processor time a child may take by the clock: it steps back behind everything else that the machine has to do.
const SLOWEST: u32 = 20;
/// How far the child steps back behind the server.
const NICENESS: i32 = 10;
/// The child's exit status when the file is at fault and it has said why.
const REFUSED: u8 = 3;

/// What compiling one file may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileSettings {
    /// Address space of the child, bytes.
    pub memory: usize,
    /// Processor time of the child. By the clock it may take twenty times as much.
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
        let mut child = Command::new(&self.program)
            .arg(self.verb)
            .args(self.settings.arguments())
            .env_clear()
            .current_dir("/")
            // A Ctrl-C at the server's terminal is the server's.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let longest = self.settings.time.saturating_mul(SLOWEST);
        let Ok(outcome) = timeout(longest, attend(&mut child, wasm, self.settings.code)).await else {
            child.kill().await.map_err(failed)?;
            return Err(Error::Unfinished(format!(
                "compiling it took more than {} s by the clock; the machine may be too busy",
                longest.as_secs_f32()
            )));
        };
        let Outcome { status, code, said } = outcome.map_err(failed)?;
        if !status.success() {
            return Err(self.reason(status, &String::from_utf8_lossy(&said)));
        }
        if code.len() > self.settings.code {
            return Err(Error::Refused(too_large(self.settings.code)));
        }
        Ok(Compiled::trusted(code))
    }

    /// Why a child gave no code, from how it ended and what it said.
    fn reason(&self, status: ExitStatus, said: &str) -> Error {
        let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let signal = status.signal().and_then(Signal::from_named_raw);
        match signal {
            Some(Signal::XCPU) => Error::Unfinished(format!(
                "compiling it takes more than the {} s of processor time that are allowed",
                self.settings.time.as_secs_f32()
            )),
            Some(Signal::ABORT) if said.contains("memory allocation of") => Error::Refused(format!(
                "compiling it takes more than the {} MiB of memory that are allowed",
                self.settings.memory >> 20
            )),
            Some(Signal::ABORT) if said.contains("overflowed its stack") => {
                Error::Refused("it is nested too deeply to be compiled".to_owned())
            }
            Some(Signal::KILL) => {
                Error::Unfinished("its compiler was killed; the machine may be out of memory".to_owned())
            }
            // Somebody ended it: none of these is what a compiler dies of by itself.
            Some(
                Signal::TERM | Signal::INT | Signal::HUP | Signal::QUIT | Signal::ALARM | Signal::USR1 | Signal::USR2,
            ) => Error::Unfinished(format!("its compiler was ended from outside ({status})")),
            Some(_) | None if status.code() == Some(REFUSED.into()) => Error::Refused(first.to_owned()),
            Some(_) | None => Error::Refused(format!("its compiler failed ({status}): {first}")),
        }
    }
}

/// What a child has brought to its end.
struct Outcome {
    status: ExitStatus,
    code: Vec<u8>,
    said: Vec<u8>,
}

/// Gives the child its file and takes what it writes, until it has ended. Of more than `most` bytes of code no more is taken than shows that.
async fn attend(child: &mut Child, wasm: &[u8], most: usize) -> io::Result<Outcome> {
    let piped = "all three were asked to be pipes";
    let mut source = child.stdin.take().expect(piped);
    let (output, mut words) = (child.stdout.take().expect(piped), child.stderr.take().expect(piped));
    let feed = async move {
        // A child that has refused the file does not read the rest of it, and says why elsewhere.
        let _ = source.write_all(wasm).await;
    };
    let take_code = async move {
        let mut code = Vec::new();
        let bound = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        output.take(bound).read_to_end(&mut code).await.map(|_| code)
    };
    let take_words = async move {
        let mut said = Vec::new();
        (&mut words).take(WORDS).read_to_end(&mut said).await?;
        copy(&mut words, &mut sink()).await.map(|_| said)
    };
    let ((), code, said, status) = tokio::join!(feed, take_code, take_words, child.wait());
    Ok(Outcome { status: status?, code: code?, said: said? })
}

fn too_large(most: usize) -> String {
    format!("compiled it would have more than the {} MiB that are allowed", most >> 20)
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
        // All that it writes goes into pipes.
        (Resource::Fsize, 0),
        (Resource::Core, 0),
    ];
    let failed = |error: rustix::io::Errno| format!("the compiler cannot limit itself: {error}");
    for (resource, most) in limits {
        // At the hard limit of processor time the kernel kills without a reason; a second before it gives one.
        let hard = if resource == Resource::Cpu { most.saturating_add(1) } else { most };
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(hard) }).map_err(failed)?;
    }
    // Neither keeps anybody safe, and filters such as systemd's `SystemCallFilter=~@resources` refuse them: it goes on without.
    let _ = nice(NICENESS);
    // Nobody would take the result.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    Ok(())
}

fn compile(settings: &CompileSettings) -> Result<(), String> {
    let mut wasm = Vec::new();
    io::stdin().lock().read_to_end(&mut wasm).map_err(|error| format!("it cannot be read: {error}"))?;
    let engine =
        engine::compiler(settings.instance_memory).map_err(|error| format!("there is no compiler: {error:#}"))?;
    names::check(&wasm)?;
    let code = engine.precompile_component(&wasm).map_err(|error| not_compiled(&error).to_string())?;
    if code.len() > settings.code {
        return Err(too_large(settings.code));
    }
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
