//! Work that the host does for a session outside the guest's code is charged to the session. Each test runs its session
//! on threads of its own, whose processor time is what was used.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use whelk_runtime::keyvalue::{Embedded, StoreQuota};
use whelk_runtime::{Access, AllowList, ChannelEvent, Grants, Limits, Plugin, Report, Tenant};

use crate::client::Client;
use crate::http::{Server, fetch};
use crate::keyvalue::neighbour;
use crate::shell::{Place, Shell};
use crate::{guests, keyvalue, log};

const ROOM: StoreQuota = StoreQuota { bytes: 64 << 20, keys: 10_000 };

/// Limits under which nothing waits and nothing is killed.
fn unlimited() -> Limits {
    Limits {
        cpu_call: Duration::MAX,
        cpu_start: Duration::from_secs(10),
        cpu_burst: Duration::MAX,
        keyvalue_rate: 1_000_000,
        ..Limits::default()
    }
}

/// Processor time of the calling thread.
fn thread_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
}

/// A runtime with one thread for the session and one for blocking work.
fn builder() -> Builder {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().max_blocking_threads(1).thread_keep_alive(Duration::from_secs(3600));
    builder
}

/// Processor time that the two threads of the runtime have used.
async fn used() -> (Duration, Duration) {
    (thread_time(), spawn_blocking(thread_time).await.unwrap())
}

/// Runs a session; returns the time it was charged and the time both its threads used, in milliseconds.
fn measure(session: impl Future<Output = Report>) -> (u64, u64) {
    builder().build().unwrap().block_on(async {
        let before = used().await;
        let report = session.await;
        let after = used().await;
        assert!(report.error.is_none(), "{report:?}");
        let used = (after.0 - before.0) + (after.1 - before.1);
        (report.cpu_ticks, u64::try_from(used.as_millis()).unwrap())
    })
}

/// Part of what a session's thread uses is not the session's own.
fn assert_charged((charged, used): (u64, u64)) {
    println!("charged {charged} ms of {used} ms");
    assert!(used >= 20, "too little work to tell: {used} ms");
    assert!(charged * 5 >= used * 2 && charged <= used * 2, "charged {charged} ms of {used} ms");
}

fn place(limits: &Limits) -> Place {
    let quota = whelk_runtime::Quota { bytes: 64 << 20, files: 1_000 };
    Place::limited(limits, Access::ReadWrite, quota, |_| {})
}

async fn ends(shell: Shell) -> Report {
    shell.client.happen(ChannelEvent::Eof);
    shell.client.end().await.1
}

#[test]
fn file_operations_are_charged() {
    let place = place(&unlimited());
    assert_charged(measure(async {
        let mut shell = place.shell();
        shell.run("churn 7 5000").await;
        ends(shell).await
    }));
}

#[test]
fn file_streams_are_charged() {
    let place = place(&unlimited());
    assert_charged(measure(async {
        let mut shell = place.shell();
        for _ in 0..8 {
            assert_eq!(shell.run("fill a 30000000").await, "ok");
        }
        ends(shell).await
    }));
}

#[test]
fn a_session_that_owes_for_its_files_waits_before_it_goes_on() {
    // The clock stands still while anything works, so it shows the time spent waiting.
    let limits = Limits {
        cpu_burst: Duration::from_millis(5),
        cpu_share: Duration::from_millis(100),
        cpu_call: Duration::MAX,
        ..Limits::default()
    };
    let place = place(&limits);
    let (before, used, waited) = builder().start_paused(true).build().unwrap().block_on(async {
        let (before, start) = (used().await, Instant::now());
        let mut shell = place.shell();
        for _ in 0..4 {
            assert_eq!(shell.run("fill a 30000000").await, "ok");
        }
        ends(shell).await;
        (before, used().await, start.elapsed())
    });
    let used = (used.0 - before.0) + (used.1 - before.1);
    println!("used {used:?}, waited {waited:?}");
    assert!(used >= Duration::from_millis(30), "too little work to tell: {used:?}");
    // Its share is a tenth of a processor, after a burst; unthrottled work takes about as long as it uses.
    assert!(waited * 2 >= used * 5, "used {used:?}, waited {waited:?}");
}

#[test]
fn creating_an_instance_is_charged_whole() {
    let heavy = Plugin::load(guests::engine(), "heavy", &guests::wasm("heavy")).unwrap();
    let mut all = (0, 0);
    for _ in 0..8 {
        let (charged, used) = measure(async {
            let client = Client::with(&heavy, &[], &unlimited());
            client.happen(ChannelEvent::Shell);
            client.end().await.1
        });
        all = (all.0 + charged, all.1 + used);
    }
    let (charged, used) = all;
    println!("charged {charged} ms of {used} ms");
    assert!(used >= 16, "too little work to tell: {used} ms");
    // Dropping an instance this large is charged too, and was done on yet another thread.
    assert!(charged * 2 >= used, "charged {charged} ms of {used} ms");
}

#[test]
fn work_without_an_epoch_tick_is_charged_whole() {
    assert_charged(measure(async {
        let client = Client::with(&guests::script(), &[], &unlimited());
        client.run("wipe 20;finish 0");
        client.end().await.1
    }));
}

/// A session of the plugin that uses key-value, with a store of its own.
fn with_store(script: &str) -> (u64, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("keyvalue.redb")).unwrap();
    let grants = keyvalue::grants(store.tenant("tests", ROOM));
    let tenant = Tenant::new("tests", unlimited(), grants);
    builder().build().unwrap().block_on(async {
        let before = thread_time();
        let client = Client::of(&tenant, &neighbour(), &[]);
        client.run(script);
        let report = client.end().await.1;
        assert!(report.error.is_none(), "{report:?}");
        (report.cpu_ticks, thread_time() - before)
    })
}

#[test]
fn key_value_operations_are_charged() {
    let writes = "add a 1;".repeat(300);
    let (charged, own) = with_store(&format!("open b;{writes}finish"));
    println!("charged {charged} ms, of which the session's own thread used {own:?}");
    assert!(Duration::from_millis(charged) >= own * 2, "charged {charged} ms, {own:?} on its own thread");
    let reads = "read 100;".repeat(200);
    let (charged, own) = with_store(&format!("open b;fill 100 4000;{reads}finish"));
    println!("charged {charged} ms, of which the session's own thread used {own:?}");
    assert!(Duration::from_millis(charged) >= own, "charged {charged} ms, {own:?} on its own thread");
}

#[test]
fn http_requests_are_charged() {
    log::listen();
    let (stop, stopped) = oneshot::channel::<()>();
    let (tell, told) = std::sync::mpsc::channel();
    // The server has a thread of its own: its time is not the session's.
    let server = std::thread::spawn(move || {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let server = Server::start().await;
            tell.send((server.address.to_string(), server.url("/hello"))).unwrap();
            let _ = stopped.await;
        });
    });
    let (address, url) = told.recv().unwrap();
    let list = AllowList::parse(&[&address]).unwrap();
    let tenant = Tenant::new("tests", unlimited(), Grants { http: Some(Arc::new(list)), ..Grants::default() });
    assert_charged(measure(async {
        let client = Client::of(&tenant, &fetch(), &[]);
        client.run(&format!("{}finish", format!("get {url};").repeat(1_000)));
        client.end().await.1
    }));
    drop(stop);
    server.join().unwrap();
}
