//! The child process: compiles standard input to standard output.

use std::fs;
use std::io::{self, Read, Write};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, nice, set_parent_process_death_signal, setrlimit};

use super::failure::{REFUSED, UNABLE, too_large};
use super::names;
use super::preview1;
use super::settings::CompileSettings;
use crate::engine;
use crate::plugin::compile::requirements::{InstanceLimits, Requirements, exports};
use crate::plugin::world::is_program;
use crate::plugin::{check_valid, not_compiled};

/// Niceness of the child.
const NICENESS: i32 = 10;
/// The child's `oom_score_adj`, the highest: when memory runs out, the kernel kills the child and not the server.
const OOM_SCORE: &[u8] = b"1000";

/// Why there is no code.
enum Failure {
    /// The file is at fault.
    File(String),
    /// The child or the machine is at fault.
    Machine(String),
}

/// Compiles standard input to standard output, if an instance fits within these limits. Returns the exit status of the
/// process; the reason for a failure is then on standard error, in one line.
///
/// Limits the whole process permanently.
#[must_use]
pub fn compile_stdin(settings: &CompileSettings, limits: InstanceLimits) -> u8 {
    let (status, reason) = match limit(settings).and_then(|()| compile(settings, limits)) {
        Ok(()) => return 0,
        Err(Failure::File(reason)) => (REFUSED, reason),
        Err(Failure::Machine(reason)) => (UNABLE, reason),
    };
    // Nobody reads it if the server has died.
    let _ = writeln!(io::stderr(), "{}", reason.replace('\n', " "));
    status
}

fn limit(settings: &CompileSettings) -> Result<(), Failure> {
    // Best effort: raising it needs no privilege, but /proc may be missing.
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    let seconds = u64::try_from(settings.time.as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
    let memory = u64::try_from(settings.memory).unwrap_or(u64::MAX);
    let limits = [
        (Resource::As, memory, memory),
        // The soft limit sends SIGXCPU, the hard limit SIGKILL; one second apart so that we can tell which it was.
        (Resource::Cpu, seconds, seconds.saturating_add(1)),
        // All output goes into pipes.
        (Resource::Fsize, 0, 0),
        (Resource::Core, 0, 0),
    ];
    for (resource, soft, hard) in limits {
        // Raising the inherited hard limit needs CAP_SYS_RESOURCE.
        let inherited = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let limit = Rlimit { current: Some(soft.min(inherited)), maximum: Some(hard.min(inherited)) };
        setrlimit(resource, limit)
            .map_err(|error| Failure::Machine(format!("its compiler cannot set its limits: {error}")))?;
    }
    // Best effort: neither is a security limit, and some seccomp filters return EPERM.
    let _ = nice(NICENESS);
    // The server has died: nobody waits for the result.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    Ok(())
}

fn compile(settings: &CompileSettings, limits: InstanceLimits) -> Result<(), Failure> {
    let mut wasm = Vec::new();
    io::stdin()
        .lock()
        .read_to_end(&mut wasm)
        .map_err(|error| Failure::Machine(format!("its compiler cannot read it: {error}")))?;
    let engine = engine::compiler(settings.instance_memory)
        .map_err(|error| Failure::Machine(format!("its compiler cannot start: {error:#}")))?;
    names::check(&wasm).map_err(Failure::File)?;
    let wasm = preview1::convert(&wasm).map_err(Failure::File)?;
    // Before compiling: a file that does not fit into the pool, or that is damaged, should not occupy a compile job.
    let is_program = is_program(&exports(&wasm));
    Requirements::at_least(&wasm).check(is_program, limits).map_err(Failure::File)?;
    check_valid(&wasm).map_err(|error| Failure::File(error.to_string()))?;
    let code = engine.precompile_component(&wasm).map_err(|error| Failure::File(not_compiled(&error).to_string()))?;
    if code.len() > settings.code {
        return Err(Failure::File(too_large(settings.code)));
    }
    let mut out = io::stdout().lock();
    out.write_all(&code)
        .and_then(|()| out.flush())
        .map_err(|error| Failure::Machine(format!("its compiler cannot return the code: {error}")))
}
