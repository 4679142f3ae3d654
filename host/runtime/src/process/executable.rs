//! What a process that starts another asks for: which plugin runs, and with which arguments.
//!
//! | `request.program` | what runs |
//! |---|---|
//! | `ls` | the program of this name in the program table; no path is searched |
//! | `/bin/ls`, `/usr/bin/ls`, and every path that leads there | the same |
//! | the path of a file that begins with `#!` | the interpreter that its first line names, with the path behind it |
//! | the path of a component or a core module | that, where the tenant may deploy programs (`deploy`) |
//!
//! An interpreter is found in the same way and is no script. `/usr/bin/env NAME` is the program NAME, whether there is
//! a program `env` or not; with anything else behind it, it is the program `env`.
//!
//! Decided 2026-11-30: the first line of a script has at most 256 bytes, `#!` included; a longer one is refused
//! (`no-executable`), where Linux cuts off an argument. As under Linux what follows the interpreter is one argument,
//! and a carriage return at the end of the line is a part of it.

use std::future::Future;
use std::sync::Arc;

use super::compile_wait::CompileWait;
use crate::host::{OpenProgram, ProgramBytes, ProgramFile, ProgramFiles};
use crate::plugin::Plugin;
use crate::plugin::compile::loader::Source;
use crate::plugin::lookup::{Lookup, Plugins, UnrunnableKind};
use crate::posix::Errno;
use crate::tenant::Tenant;

/// The most bytes of the first line of a script, `#!` included and its end not.
const LINE: usize = 256;
/// What a script begins with.
const SCRIPT: &[u8] = b"#!";
/// What WebAssembly begins with.
const WASM: &[u8] = b"\0asm";
/// The names of the program that looks up another one.
const ENV: [&str; 2] = ["/usr/bin/env", "/bin/env"];

/// Where a process finds programs.
pub(crate) struct Programs<'p> {
    /// Those of its tenant.
    pub(crate) plugins: &'p dyn Plugins,
    /// Whose grants count.
    pub(crate) tenant: &'p Tenant,
    /// The files that it sees (`State::program_files`).
    pub(crate) files: Option<&'p ProgramFiles>,
    /// The process that waits until one is compiled.
    pub(crate) wait: Option<CompileWait<'p>>,
}

/// What is to run.
pub(crate) struct Executable {
    /// By the name that was asked for. Its world is `program`, and the tenant grants what it needs.
    pub(crate) plugin: Arc<Plugin>,
    /// All of them, the first included. Those of a script are behind its interpreter and its path.
    pub(crate) arguments: Vec<String>,
}

/// The first line of a script.
#[derive(Debug, PartialEq, Eq)]
struct Script {
    interpreter: String,
    argument: Option<String>,
}

impl Programs<'_> {
    /// Finds what `program` means to a process that is to begin in `directory`, an absolute path, with these arguments,
    /// of which the first is its name. Waits for a program that is not prepared yet, as long as the host's limits say.
    /// Cancel safe.
    ///
    /// # Errors
    /// As execve(2): [`Errno::NoEntry`] and the other errors of paths, [`Errno::Access`] for what is no regular file,
    /// for a component of a tenant that may not deploy any, and for a program that needs a grant that the tenant does
    /// not have, [`Errno::NoExecutable`] for what is no program, [`Errno::LinkLoop`] for a script whose interpreter is
    /// one. [`Errno::Again`] if it is not ready in time, [`Errno::Interrupted`] if a signal ends the wait for it,
    /// [`Errno::Invalid`] without arguments.
    pub(crate) async fn find(
        &self,
        program: &str,
        arguments: Vec<String>,
        directory: &str,
    ) -> Result<Executable, Errno> {
        if arguments.is_empty() {
            return Err(Errno::Invalid);
        }
        if !program.contains('/') {
            return Ok(Executable { plugin: self.named(program).await?, arguments });
        }
        let opened = match self.open(directory, program).await? {
            ProgramFile::Listed(name) => return Ok(Executable { plugin: self.named(&name).await?, arguments }),
            ProgramFile::Opened(opened) => opened,
        };
        let head = opened.head(LINE + 1).await?;
        if !head.starts_with(SCRIPT) {
            return Ok(Executable { plugin: self.component(opened, &head, program).await?, arguments });
        }
        drop(opened);
        let script = Script::parse(&head).ok_or(Errno::NoExecutable)?;
        let plugin = self.interpreter(&script, directory).await?;
        Ok(Executable { plugin, arguments: script.arguments(program, arguments) })
    }

    /// The plugin that runs a script.
    async fn interpreter(&self, script: &Script, directory: &str) -> Result<Arc<Plugin>, Errno> {
        if let Some(name) = script.looked_up() {
            return self.named(name).await;
        }
        match self.open(directory, &script.interpreter).await? {
            ProgramFile::Listed(name) => self.named(&name).await,
            ProgramFile::Opened(opened) => {
                let head = opened.head(LINE + 1).await?;
                if head.starts_with(SCRIPT) {
                    return Err(Errno::LinkLoop);
                }
                self.component(opened, &head, &script.interpreter).await
            }
        }
    }

    async fn open(&self, directory: &str, path: &str) -> Result<ProgramFile, Errno> {
        self.files.ok_or(Errno::NoEntry)?.open(directory, path).await
    }

    /// The program of this name in the table.
    async fn named(&self, name: &str) -> Result<Arc<Plugin>, Errno> {
        self.checked(self.waited(name, self.plugins.program(name)).await?)
    }

    /// What is found in the end.
    async fn waited(&self, name: &str, found: impl Future<Output = Lookup>) -> Result<Lookup, Errno> {
        match self.wait {
            Some(wait) => wait.for_program(name, found).await,
            None => Ok(found.await),
        }
    }

    /// The program that an open file is, if it is one. `head`: its first bytes.
    async fn component(&self, opened: OpenProgram, head: &[u8], path: &str) -> Result<Arc<Plugin>, Errno> {
        if !head.starts_with(WASM) {
            return Err(Errno::NoExecutable);
        }
        let most = self.plugins.component_limit().ok_or(Errno::Access)?;
        let ProgramBytes { bytes, digest, charge } = opened.read(most).await?;
        let name = path.rsplit('/').next().unwrap_or(path);
        // The bytes are charged for as long as they are there, also when nobody waits for the program any more.
        let file = Source::charged(bytes, digest, charge);
        let found = self.waited(name, self.plugins.component(name, file)).await;
        self.checked(found?)
    }

    fn checked(&self, found: Lookup) -> Result<Arc<Plugin>, Errno> {
        match found {
            Lookup::Found(plugin) if !plugin.world().is_program() => Err(Errno::NoExecutable),
            Lookup::Found(plugin) if plugin.missing_grants(self.tenant).is_empty() => Ok(plugin),
            Lookup::Found(_) => Err(Errno::Access),
            Lookup::Preparing | Lookup::Retried => Err(Errno::Again),
            Lookup::Absent => Err(Errno::NoEntry),
            Lookup::Unrunnable(unrunnable) => Err(match unrunnable.kind {
                UnrunnableKind::NotFound => Errno::NoEntry,
                UnrunnableKind::NotYet => Errno::Again,
                UnrunnableKind::NotGranted => Errno::Access,
                UnrunnableKind::NoProgram => Errno::NoExecutable,
            }),
        }
    }
}

impl Script {
    /// Reads the first line of a script from its first bytes, of which there are more than [`LINE`] unless the script
    /// is shorter. `None` if it names no interpreter.
    fn parse(head: &[u8]) -> Option<Self> {
        let end = head.iter().position(|byte| *byte == b'\n').unwrap_or(head.len());
        let line = head[..end].strip_prefix(SCRIPT).filter(|_| end <= LINE)?;
        let blank = [' ', '\t'];
        let line = str::from_utf8(line).ok().filter(|line| !line.contains('\0'))?.trim_matches(blank);
        let (interpreter, argument) = line.split_once(blank).unwrap_or((line, ""));
        let argument = argument.trim_start_matches(blank);
        (!interpreter.is_empty()).then(|| Self {
            interpreter: interpreter.to_owned(),
            argument: (!argument.is_empty()).then(|| argument.to_owned()),
        })
    }

    /// The name that `env` looks up, if the script begins with that and nothing else.
    fn looked_up(&self) -> Option<&str> {
        let name = self.argument.as_deref().filter(|_| ENV.contains(&self.interpreter.as_str()))?;
        // An option, the value of a variable, or several words.
        let is_other = name.starts_with('-') || name.contains(['/', '=', ' ', '\t']);
        (!is_other).then_some(name)
    }

    /// The arguments of the interpreter of the script at `path`, which was to have these.
    fn arguments(self, path: &str, arguments: Vec<String>) -> Vec<String> {
        let before = match self.looked_up() {
            Some(name) => vec![name.to_owned()],
            None => [self.interpreter].into_iter().chain(self.argument).collect(),
        };
        before.into_iter().chain([path.to_owned()]).chain(arguments.into_iter().skip(1)).collect()
    }
}

#[cfg(test)]
#[path = "executable_tests.rs"]
mod tests;
