//! Compiles plugins in a child process that limits itself, so that a hostile file cannot take the server's memory or
//! time. W34.
//!
//! The parent ([`Compiler`]) runs its own program again with the file as standard input, and takes the code from
//! standard output. The child ([`compile_stdin`]) sets its limits before it reads the first byte: memory, CPU time, no
//! files, no core dump, lower priority. It inherits no environment, and no descriptors but its three: all others of
//! ours are closed on exec. The three are pipes: anonymous files in memory (memfd) are refused where `vm.memfd_noexec`
//! or a seccomp filter says so.
//!
//! The limit is CPU time, so a busy machine does not cause a refusal. The wall-clock limit is [`WALL_CLOCK`] times as
//! much; a child that exceeds it is killed, and the file may be tried again: [`Error::Unfinished`].

pub(crate) mod cache;
mod child;
mod code_file;
mod failure;
pub(crate) mod loader;
mod names;
pub(crate) mod preview1;
pub(crate) mod requirements;
mod settings;
pub(crate) mod slots;

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::process::{Child, Command};
use tokio::time::timeout;

pub use child::compile_stdin;
pub use settings::CompileSettings;

use crate::error::Error;
use crate::plugin::compile::requirements::InstanceLimits;
use code_file::CodeFile;
use failure::{Inherited, reason, too_large};

/// Most bytes of the child's standard error that are kept.
const STDERR: u64 = 4 << 10;
/// Wall-clock limit, as a multiple of the CPU limit. The child runs niced.
const WALL_CLOCK: u32 = 20;
/// How long a killed child may take to end. One in uninterruptible sleep takes longer: it is left to tokio's reaper, so
/// that it does not occupy a compile job.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// Runs compilers.
#[derive(Debug, Clone)]
pub struct Compiler {
    /// The program to run and the first arguments: [`CompileSettings::arguments`] follow.
    program: PathBuf,
    verb: &'static str,
    settings: CompileSettings,
}

/// Machine code that may be mapped: it comes from our own compiler or carries our seal. Made in two places, here and in
/// `cache.rs`.
pub(crate) struct Compiled(Code);

/// Where it is.
enum Code {
    Memory(Vec<u8>),
    /// In a file without a name.
    File(CodeFile),
}

impl Compiled {
    /// Only for code of which the caller knows where it comes from: whatever is in it will be run.
    pub(crate) fn trusted(code: Vec<u8>) -> Self {
        Self(Code::Memory(code))
    }

    /// The same for code that was copied to a file of its own.
    fn in_file(code: CodeFile) -> Self {
        Self(Code::File(code))
    }

    fn code(&self) -> &Code {
        &self.0
    }

    /// The code, if it is in memory.
    fn bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            Code::Memory(code) => Some(code),
            Code::File(_) => None,
        }
    }

    #[cfg(test)]
    fn into_bytes(self) -> io::Result<Vec<u8>> {
        match self.0 {
            Code::Memory(code) => Ok(code),
            Code::File(file) => file.read(),
        }
    }
}

impl Compiler {
    /// One that runs `program verb MEMORY MILLISECONDS CODE INSTANCE_MEMORY` with the numbers of [`InstanceLimits`]
    /// after these, which must call [`compile_stdin`].
    #[must_use]
    pub fn new(program: PathBuf, verb: &'static str, settings: CompileSettings) -> Self {
        Self { program, verb, settings }
    }

    /// Compiles a file, unless an instance of it would exceed the limits. The child dies with the future.
    pub(crate) async fn compile(&self, wasm: &[u8], limits: InstanceLimits) -> Result<Compiled, Error> {
        let failed = |error: io::Error| Error::host(&error.into());
        let mut child = Command::new(&self.program)
            .arg(self.verb)
            .args(self.settings.arguments())
            .args(limits.arguments())
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
        let longest = self.settings.time.saturating_mul(WALL_CLOCK);
        let Ok(outcome) = timeout(longest, attend(&mut child, wasm, self.settings.code)).await else {
            wait_for_kill(child.kill()).await;
            return Err(Error::Unfinished(format!(
                "compiling it took more than {} s by the clock; the machine may be too busy",
                longest.as_secs_f32()
            )));
        };
        let Outcome { status, code, stderr } = outcome.map_err(failed)?;
        // First: when no more is read, the child dies of the closed pipe, which says nothing about the file.
        if code.len() > self.settings.code {
            return Err(Error::Refused(too_large(self.settings.code)));
        }
        if !status.success() {
            return Err(reason(status, &String::from_utf8_lossy(&stderr), &self.settings, Inherited::read()));
        }
        Ok(Compiled::trusted(code))
    }
}

/// Exit status and output of a child.
struct Outcome {
    status: ExitStatus,
    code: Vec<u8>,
    stderr: Vec<u8>,
}

/// Waits until a child was killed, or for [`KILL_WAIT`]. Whether it could be killed changes nothing for the file.
async fn wait_for_kill(kill: impl Future<Output = io::Result<()>>) {
    let _ = timeout(KILL_WAIT, kill).await;
}

/// Gives the child its file and takes what it writes, until it has ended. Reads at most one byte more than `most` bytes
/// of code.
async fn attend(child: &mut Child, wasm: &[u8], most: usize) -> io::Result<Outcome> {
    let piped = "all three were asked to be pipes";
    let mut stdin = child.stdin.take().expect(piped);
    let (stdout, mut stderr) = (child.stdout.take().expect(piped), child.stderr.take().expect(piped));
    let write_file = async move {
        // A child that has refused the file does not read the rest of it, and gives the reason on standard error.
        let _ = stdin.write_all(wasm).await;
    };
    let read_code = async move {
        let mut code = Vec::new();
        let bound = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        stdout.take(bound).read_to_end(&mut code).await.map(|_| code)
    };
    let read_stderr = async move {
        let mut kept = Vec::new();
        (&mut stderr).take(STDERR).read_to_end(&mut kept).await?;
        copy(&mut stderr, &mut sink()).await.map(|_| kept)
    };
    let ((), code, stderr, status) = tokio::join!(write_file, read_code, read_stderr, child.wait());
    Ok(Outcome { status: status?, code: code?, stderr: stderr? })
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use super::{KILL_WAIT, wait_for_kill};
    use crate::engine::{self, Engine, EngineSettings};
    use crate::limits::Limits;

    #[tokio::test(start_paused = true)]
    async fn a_child_that_cannot_be_killed_does_not_occupy_a_job() {
        let began = tokio::time::Instant::now();
        wait_for_kill(std::future::pending()).await;
        assert_eq!(began.elapsed(), KILL_WAIT);
    }

    #[test]
    fn what_the_child_compiles_fits_the_engine_that_runs_it() {
        let hash = |engine: &wasmtime::Engine| {
            BuildHasherDefault::<DefaultHasher>::default().hash_one(engine.precompile_compatibility_hash())
        };
        for memory in [1 << 20, 64 << 20] {
            let settings = EngineSettings::of(&Limits { instances: 2, memory_slot: memory, ..Limits::default() });
            let engine = Engine::new(&settings).unwrap();
            assert_eq!(hash(engine.wasmtime()), hash(&engine::compiler(memory).unwrap()));
        }
    }
}
