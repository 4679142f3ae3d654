//! WASI 0.2, linked and empty: no environment, no arguments, no files, no network, coarse clocks, little randomness at a time. What a plugin
//! prints goes to its log.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView};

use super::log::LogBook;
use crate::bindings::imports::log::Level;
use crate::limits::Limits;

/// As fine as any clock here goes: too coarse to time a cache.
const RESOLUTION: Duration = Duration::from_millis(1);
/// Most bytes that one write to stdout or stderr may carry.
const WRITE: usize = 4 << 10;

/// What one instance has of WASI.
pub(super) struct Wasi {
    context: WasiCtx,
    table: ResourceTable,
}

impl Wasi {
    pub(super) fn new(log: &Arc<LogBook>, limits: &Limits) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.resources);
        let context = WasiCtx::builder()
            .allow_tcp(false)
            .allow_udp(false)
            .max_random_size(limits.random)
            .wall_clock(CoarseClock { start: Instant::now() })
            .monotonic_clock(CoarseClock { start: Instant::now() })
            .stdout(Printed { log: Arc::clone(log), level: Level::Info })
            .stderr(Printed { log: Arc::clone(log), level: Level::Warn })
            .build();
        Self { context, table }
    }

    /// As wasmtime-wasi wants it.
    pub(super) fn view(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.context, table: &mut self.table }
    }
}

/// Time in whole milliseconds.
struct CoarseClock {
    start: Instant,
}

/// Cuts off what is finer than the resolution.
fn coarse(time: Duration) -> Duration {
    time - Duration::from_nanos(u64::from(time.subsec_nanos()) % 1_000_000)
}

impl HostWallClock for CoarseClock {
    fn resolution(&self) -> Duration {
        RESOLUTION
    }

    fn now(&self) -> Duration {
        coarse(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

impl HostMonotonicClock for CoarseClock {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        u64::try_from(coarse(self.start.elapsed()).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// stdout or stderr of a plugin.
struct Printed {
    log: Arc<LogBook>,
    level: Level,
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
    fn lines(&self) -> Lines {
        Lines { log: Arc::clone(&self.log), level: self.level, begun: Vec::new() }
    }
}

/// Cuts what is printed into lines of the log.
struct Lines {
    log: Arc<LogBook>,
    level: Level,
    /// A line that has no end yet.
    begun: Vec<u8>,
}

impl Lines {
    fn print(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(piece);
            if self.begun.len() >= WRITE || self.begun.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.begun);
        let line = line.trim_end_matches(['\r', '\n']);
        if !line.is_empty() {
            self.log.line(self.level, line);
        }
        self.begun.clear();
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.end_line();
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
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
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
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
