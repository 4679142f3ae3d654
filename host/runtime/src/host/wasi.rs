//! WASI 0.2, linked and empty until a grant provides something: no arguments, no input, no files; environment, clocks
//! and sockets as granted; a limited number of random bytes a call. The output of a plugin goes to its log. A program
//! has arguments, an environment and descriptors of its own (`descriptors`).

pub(crate) mod clocks;
pub(crate) mod descriptors;
mod errno;
pub(crate) mod files;
pub(crate) mod http;
pub(crate) mod sockets;
mod standard;
pub(crate) mod stdio;

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::pipe::ClosedOutputStream;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::sockets::WasiSocketsCtxView;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView};
use wasmtime_wasi_http::WasiHttpCtxView;

use super::charges::Charges;
use super::log::LogBook;
use crate::grants::{Clock, Temporary, Tree};
use crate::host::bindings::imports::log::Level;
use crate::limits::budget::Charge;
use crate::limits::count;
use crate::posix::Descriptors;
use clocks::CoarseClock;
use descriptors::ProcessIo;
use files::{Files, OpenLimits};
use http::Requests;
use sockets::{SocketMaker, Sockets};
use standard::{Stdin, Stdout};

/// The most bytes of one write to stdout or stderr.
const WRITE: usize = 4 << 10;

/// The most table entries of a handle: a pollable of a clock has its point in time beside itself. The store counts
/// handles, each once.
const ENTRIES: usize = 2;

/// The WASI state of one instance.
pub(crate) struct Wasi {
    context: WasiCtx,
    table: ResourceTable,
    sockets: Sockets,
    requests: Requests,
    /// Its files; `None` if it sees none.
    files: Option<Arc<files::Session>>,
    /// For the arguments and the environment of a program.
    start: Option<Charge>,
}

/// What a program is started with.
pub(crate) struct ProgramStart {
    /// The first is its name.
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// Its working directory.
    pub(crate) directory: String,
    /// What it has open. Its standard streams are the first three numbers.
    pub(crate) descriptors: Arc<Descriptors>,
    /// The largest file that it may write, in bytes.
    pub(crate) file_limit: Option<u64>,
    /// For arguments and environment, if they were charged before.
    pub(crate) charge: Option<Charge>,
}

/// Bytes that a string takes in the host beside its text: itself, and what the allocator takes for it.
const STRING: usize = 2 * size_of::<String>();

/// Bytes that arguments and environment take in the host.
pub(in crate::host) fn start_bytes(arguments: &[String], environment: &[(String, String)]) -> usize {
    let text = |text: &String| text.len() + STRING;
    let arguments: usize = arguments.iter().map(text).sum();
    arguments + environment.iter().map(|(name, value)| text(name) + text(value)).sum::<usize>()
}

impl Wasi {
    /// `is_program`: it has no standard streams and no environment until it runs.
    pub(super) fn new(log: &Arc<LogBook>, charges: &Charges, is_program: bool) -> Self {
        let (limits, grants) = (log.tenant().limits(), log.tenant().grants());
        let mut table = ResourceTable::new();
        table.set_max_capacity(count(limits.resources).saturating_mul(ENTRIES));
        let mut context = context(log);
        if is_program {
            context.stdout(Closed).stderr(Closed);
        } else {
            context.envs(&grants.environment);
            context.stdout(Printed::new(log, Level::Info)).stderr(Printed::new(log, Level::Warn));
        }
        Self {
            context: context.build(),
            table,
            sockets: Sockets::new(count(limits.tcp_sockets), charges.clone()),
            requests: Requests::new(log, charges.clone()),
            files: None,
            start: None,
        }
    }

    /// Gives a program its arguments, its environment and its standard streams. False if the tenant has no memory left
    /// to keep them in.
    pub(super) fn begin_program(&mut self, start: ProgramStart, io: &Arc<ProcessIo>, charges: &Charges) -> bool {
        let Some(mut charge) = start.charge.or_else(|| charges.memory(0)) else { return false };
        // A script has more arguments than were asked for.
        if !charges.grow(&mut charge, start_bytes(&start.arguments, &start.environment)) {
            return false;
        }
        let io = || Arc::clone(io);
        let mut context = context(charges.log());
        context
            .initial_cwd(start.directory)
            .stdin(Stdin { io: io() })
            .stdout(Stdout { io: io(), number: 1 })
            .stderr(Stdout { io: io(), number: 2 });
        // Each is dropped once it is copied.
        for argument in start.arguments {
            context.arg(argument);
        }
        for (name, value) in start.environment {
            context.env(name, value);
        }
        self.context = context.build();
        self.start = Some(charge);
        true
    }

    /// Shows it the files of its tenant: those that a program sees if it is one, with these descriptors. `temporary`:
    /// the `/tmp` of the session.
    pub(super) fn show_files(
        &mut self,
        log: &Arc<LogBook>,
        charges: &Charges,
        temporary: &Arc<Temporary>,
        open: OpenLimits,
        program: Option<&Arc<ProcessIo>>,
    ) {
        let grants = log.tenant().grants();
        let descriptors = program.map(|io| io.descriptors());
        let tree = Tree::new(&grants.tree, descriptors, grants.directory.clone(), temporary);
        self.files = tree.map(|tree| Arc::new(files::Session::new(tree, program, log, charges.clone(), open)));
    }

    /// The handles of the guest.
    pub(super) fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }

    /// As wasmtime-wasi requires.
    pub(super) fn view(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.context, table: &mut self.table }
    }

    /// For the imports of files.
    pub(super) fn files(&mut self) -> Files<'_> {
        Files::new(self.files.clone(), self.context.cli(), &mut self.table)
    }

    /// As wasmtime-wasi-http requires.
    pub(super) fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.requests.view(&mut self.table)
    }

    /// Makes room for one more part of a request or a response; false if there is none.
    pub(super) fn add_http_part(&mut self) -> bool {
        self.requests.add_part(&mut self.table)
    }

    /// A call has ended.
    pub(super) fn tidy(&mut self) {
        self.sockets.tidy(&self.table);
        self.requests.tidy(&mut self.table);
    }

    /// Where sockets are made.
    pub(super) fn sockets(&mut self) -> SocketMaker<'_> {
        let view = WasiSocketsCtxView { ctx: self.context.sockets(), table: &mut self.table };
        SocketMaker { sockets: &mut self.sockets, view }
    }
}

/// What every instance has: clocks and sockets as granted, and randomness.
fn context(log: &Arc<LogBook>) -> WasiCtxBuilder {
    let (limits, grants) = (log.tenant().limits(), log.tenant().grants());
    let mut context = WasiCtx::builder();
    context
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(u64::try_from(limits.random).unwrap_or(u64::MAX));
    match grants.clock {
        Clock::Coarse => {
            let clock = CoarseClock::start();
            context.wall_clock(clock).monotonic_clock(clock);
        }
        // The system's own generator, which the builder begins with.
        Clock::Fine => {}
    }
    if let Some(allowed) = &grants.tcp {
        sockets::allow(&mut context, allowed, log);
    }
    context
}

/// stdout or stderr of a program that does not run yet.
struct Closed;

impl IsTerminal for Closed {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Closed {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(ClosedOutputStream)
    }
}

/// stdout or stderr of a plugin.
struct Printed {
    log: Arc<LogBook>,
    level: Level,
    /// The incomplete line. Shared by all handles, of which a plugin may have a thousand.
    begun: Arc<Mutex<Vec<u8>>>,
}

impl IsTerminal for Printed {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Printed {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.lines())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.lines())
    }
}

impl Printed {
    fn new(log: &Arc<LogBook>, level: Level) -> Self {
        Self { log: Arc::clone(log), level, begun: Arc::default() }
    }

    fn lines(&self) -> Lines {
        Lines { log: Arc::clone(&self.log), level: self.level, begun: Arc::clone(&self.begun) }
    }
}

/// One handle of the stream: splits output into lines of the log. An incomplete line is logged when it is dropped.
struct Lines {
    log: Arc<LogBook>,
    level: Level,
    begun: Arc<Mutex<Vec<u8>>>,
}

impl Lines {
    fn print(&self, bytes: &[u8]) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            begun.extend_from_slice(piece);
            if begun.len() >= WRITE || begun.ends_with(b"\n") {
                self.end_line(&mut begun);
            }
        }
    }

    fn end_line(&self, begun: &mut Vec<u8>) {
        let line = String::from_utf8_lossy(begun);
        let line = line.trim_end_matches(['\r', '\n']);
        if !line.is_empty() {
            self.log.line(self.level, line);
        }
        begun.clear();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.end_line(&mut self.begun.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        // The rest would be work without effect, and memory that nobody is charged for.
        if bytes.len() > WRITE {
            return Err(StreamError::trap("more was written than check-write allows"));
        }
        self.print(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE)
    }
}

impl AsyncWrite for Lines {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.print(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
