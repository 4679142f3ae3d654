//! What a session costs: making and dropping an instance of a handler and of a program, and an echo of a keystroke and
//! of a full packet through both pipes.
//!
//! The plugins are the tests' `bare` and `command`, built as they build them; run `cargo test -p whelk-runtime` once
//! before.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use whelk_runtime::{
    ChannelEvent, Drained, Ending, Engine, EngineSettings, Exit, Facts, Grants, Limits, Lookup, OpenReply, Output,
    Plugin, Plugins, ProgramRequest, Sink, Tenant, session_pipes,
};

/// Takes everything and counts it.
#[derive(Default)]
struct Count {
    bytes: usize,
    exits: usize,
}

impl Sink for Count {
    fn opened(&mut self, reply: OpenReply) {
        assert_eq!(reply, OpenReply::Accepted);
    }
    fn reply(&mut self, _: bool, _: u32) {}
    fn bytes(&mut self, _: Output, data: &[u8]) -> usize {
        self.bytes += data.len();
        data.len()
    }
    fn eof(&mut self) {}
    fn request(&mut self, _: &str, _: &[u8]) {}
    fn exit(&mut self, _: &Exit) {
        self.exits += 1;
    }
    fn disconnect(&mut self, _: u32, _: &str) {}
    fn debug(&mut self, _: &str, _: bool) {}
}

/// Sessions keep the plugin that they began with.
struct Alone;

impl Plugins for Alone {
    fn lookup(&self, _: &str) -> Lookup {
        Lookup::Absent
    }
    fn route(&self, _: &ProgramRequest<'_>) -> Option<String> {
        None
    }
}

fn plugin(name: &str) -> Arc<Plugin> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests/wasm32-wasip2/release");
    let path = folder.join(name).with_extension("wasm");
    let wasm = fs::read(path).expect("the guests are built by the tests");
    let engine =
        Engine::new(&EngineSettings::of(&Limits { instances: 1000, ..Limits::default() })).expect("the engine starts");
    Plugin::load(&engine, name, &wasm).expect("the guest fits")
}

/// Lets the session's task run until it waits: it is the only other task of this thread.
async fn until(outbox: &whelk_runtime::Outbox, sink: &mut Count, enough: impl Fn(&Count) -> bool) {
    while !enough(sink) {
        if outbox.drain(sink) == Drained::Empty {
            tokio::task::yield_now().await;
        }
    }
}

/// A whole session that prints one byte: of a handler, which echoes it, and of a program.
fn sessions(criterion: &mut Criterion) {
    let plugins: Arc<dyn Plugins> = Arc::new(Alone);
    let tenant = Tenant::new("bench", Limits::default(), Grants::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for (name, command) in [("bare", ""), ("command", "'print x'")] {
        let plugin = plugin(name);
        criterion.bench_function(&format!("open, exec, one byte, end: {name}"), |bencher| {
            bencher.iter(|| {
                runtime.block_on(async {
                    let (inbox, outbox, side) = session_pipes(256 << 10, Arc::new(|| {}));
                    inbox.event(ChannelEvent::Exec(command.into()));
                    inbox.data(None, b"x");
                    inbox.event(ChannelEvent::Eof);
                    let report = plugin.session(Facts::default(), &tenant, &plugins, side).await;
                    black_box(report);
                    let mut count = Count::default();
                    while outbox.drain(&mut count) == Drained::More {}
                    assert_eq!((count.bytes, count.exits), (1, 1));
                });
            });
        });
    }
}

fn echo(criterion: &mut Criterion) {
    let plugin = plugin("bare");
    let plugins: Arc<dyn Plugins> = Arc::new(Alone);
    let tenant = Tenant::new("bench", Limits::default(), Grants::default());
    let runtime: Runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut group = criterion.benchmark_group("echo");
    for size in [16, 32 << 10] {
        let data = vec![b'x'; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("{size} bytes"), |bencher| {
            let (inbox, outbox, side) = session_pipes(256 << 10, Arc::new(|| {}));
            let mut count = Count::default();
            let task = runtime.spawn(plugin.session(Facts::default(), &tenant, &plugins, side));
            inbox.event(ChannelEvent::Exec(Vec::new()));
            bencher.iter(|| {
                runtime.block_on(async {
                    count.bytes = 0;
                    inbox.data(None, &data);
                    until(&outbox, &mut count, |count| count.bytes == size).await;
                    black_box(inbox.take_credit());
                });
            });
            inbox.end(Ending::ClientClosed);
            runtime.block_on(task).expect("the session ends");
        });
    }
    group.finish();
}

criterion_group!(benches, sessions, echo);
criterion_main!(benches);
