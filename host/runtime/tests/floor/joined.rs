//! Processes that are joined by pipes, and that share open files.

use std::fs;
use std::sync::Arc;

use whelk_runtime::{Access, ChannelEvent, Grants, Limits, Output, Plugins, SignalName, Tenant};

use crate::client::{Client, Recorder};
use crate::descriptors::{anyone, at, line, program, tenant};
use crate::guests::FixedPlugins;
use crate::program::signal;
use crate::shell::{AMPLE, Place};

/// The plugins of which programs of these tests start one: the program itself.
fn table() -> Arc<dyn Plugins> {
    Arc::new(FixedPlugins { plugins: vec![program()], ..FixedPlugins::default() })
}

/// What is told of these actions where the program may start itself.
async fn told_by_many(tenant: &Arc<Tenant>, actions: &[&str], input: &str) -> (String, Recorder) {
    let client = Client::full(tenant, &table(), &program(), "somebody", &[]);
    client.run(&line(actions));
    client.send(input.as_bytes());
    client.happen(ChannelEvent::Eof);
    let (recorder, report) = client.end().await;
    assert!(report.error.is_none(), "{report:?}");
    (String::from_utf8(recorder.bytes_of(Output::Stderr)).unwrap(), recorder)
}

#[tokio::test]
async fn processes_are_joined_by_pipes() {
    let (text, recorder) = told_by_many(
        &anyone(),
        &[
            "get 0 in",
            "get 1 out",
            "get 2 err",
            "pipe a b",
            "pipe c d",
            "spawn 0=in,1=b,2=err cat",
            "spawn 0=a,1=d,2=err numbers;cat",
            "spawn 0=c,1=out,2=err cat",
            "drop a",
            "drop b",
            "drop c",
            "drop d",
            "wait",
        ],
        &"typed ".repeat(50_000),
    )
    .await;
    let mut lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.pop(), Some("0 0 0"));
    lines.sort_unstable();
    assert_eq!(lines, ["300000 bytes", "300000 bytes", "300000 bytes", "[0, 1, 2]"]);
    assert_eq!(recorder.text(), "typed ".repeat(50_000));
}

#[tokio::test]
async fn a_writer_learns_that_its_reader_has_ended() {
    let (text, _) = told_by_many(
        &anyone(),
        &[
            "get 2 err",
            "pipe r w",
            "spawn 1=w,2=err get 1 w;pour w 10000000",
            "spawn 0=r get 0 r;read r 10",
            "drop r",
            "drop w",
            "wait",
        ],
        "",
    )
    .await;
    assert_eq!(text, "PIPE 0\n");
}

#[tokio::test]
async fn processes_share_the_offset_of_a_file_and_each_has_its_own_limit() {
    let place = Place::with(Access::ReadWrite, AMPLE, |_| {});
    let (text, _) = told_by_many(
        &at(&place, Limits::default()),
        &[
            "get 2 err",
            "open f wc /f",
            "spawn 1=f,2=err print one,",
            "wait",
            "spawn 1=f,2=err,file-kib=1 get 1 f;print two,;pour f 2000;flood f 1;truncate f 1025",
            "wait",
            "write f three",
            "open other wc /other",
            "spawn 1=other,2=err,file-kib=1 save /dev/stdout x;save /other2 y;print z",
            "wait",
        ],
        "",
    )
    .await;
    assert_eq!(text, "0\npour f: file-too-big\nflood f: file-too-big\ntruncate f: file-too-big\n0\n5\n0\n");
    let expected = format!("one,two,{}three", "x".repeat(1024 - 8));
    assert_eq!(fs::read_to_string(place.path("f")).unwrap(), expected);
    assert_eq!(fs::read_to_string(place.path("other")).unwrap(), "xz");
}

#[tokio::test]
async fn a_ring_of_processes_is_bounded_and_ends_with_its_session() {
    // X8
    let limits = Limits { session_open_files: 8, tenant_open_files: 8, tenant_memory: 32 << 20, ..Limits::default() };
    let tenant = tenant(limits, Grants::default());
    for round in 0..10 {
        let client = Client::full(&tenant, &table(), &program(), "somebody", &[]);
        // Each hands on what it reads, and has both ends of every pipe: none of them ever ends.
        client.run(&line(&[
            "pipe a b",
            "pipe c d",
            "pipe e f",
            "spawn 0=a,1=d,3=b,4=c,5=e,6=f cat",
            "spawn 0=c,1=f,3=b,4=a,5=e,6=d cat",
            "spawn 0=e,1=b,3=a,4=c,5=d,6=f cat",
            "write b round-and-round",
            "pipe g h",
            "pipe i j",
            "print ready",
            "read g 1",
        ]));
        let mut client = client;
        client.until_stdout(5).await;
        client.happen(ChannelEvent::Signal(SignalName::Term));
        let (recorder, report) = client.end().await;
        assert_eq!(recorder.exit(), Some(signal(SignalName::Term)), "round {round}: {report:?}");
        let text = String::from_utf8(recorder.bytes_of(Output::Stderr)).unwrap();
        assert_eq!(text, "15\npipe i: too-many-files\n", "round {round}");
    }
}
