//! A granted directory, used by the standard library like any program's files.

use std::fs;
use std::time::Duration;

use whelk_runtime::{Access, Directory, Limits, Quota};

use crate::client::Client;
use crate::log;
use crate::shell::{AMPLE, Place, Shell};

/// File systems on which the kernel can be asked for what it has in memory alone, by `f_type` of statfs(2).
const EXT4: u32 = 0xEF53;
const XFS: u32 = 0x5846_5342;
const BTRFS: u32 = 0x9123_683E;

#[tokio::test]
async fn files_are_made_changed_read_and_removed() {
    let place = Place::new(AMPLE);
    let mut shell = place.shell();
    assert_eq!(shell.run("write note one;append note  two;read note;stat note").await, "ok\nok\none two\nfile 7");
    assert_eq!(fs::read(place.path("note")).unwrap(), b"one two");
    assert_eq!(shell.run("put note 4 TWO;read note;read-from note 4").await, "ok\none TWO\nTWO");
    assert_eq!(shell.run("truncate note 3;read note;truncate note 5;stat note").await, "ok\none\nok\nfile 5");
    assert_eq!(shell.run("write note x;stat note;new note;sync note").await, "ok\nfile 1\nAlreadyExists\nok");
    assert_eq!(shell.run("remove note;read note;remove note").await, "ok\nnone\nnone");
    assert_eq!(place.usage(), (0, 0));
}

#[tokio::test]
async fn directories_are_made_listed_moved_and_removed() {
    let place = Place::new(AMPLE);
    let mut shell = place.shell();
    assert_eq!(shell.run("mkdir a;mkdir a/b;write a/b/c text;symlink b a/d").await, "ok\nok\nok\nok");
    assert_eq!(shell.run("list a;list a/b;list .;lstat a/d;stat a/d;readlink a/d;read a/d/c").await, {
        "b:dir d:link\nc:file\na:dir\nlink\ndir 4096\nb\ntext"
    });
    assert_eq!(shell.run("rmdir a;rename a/b/c c;rmdir a/b;remove a/d;rmdir a;list .").await, {
        "not-empty\nok\nok\nok\nok\nc:file"
    });
    assert_eq!(shell.run("mkdir c;rmdir c;remove .;list none;list c").await, {
        "AlreadyExists\nNotADirectory\nIsADirectory\nnone\nNotADirectory"
    });
    assert_eq!(place.usage(), (4, 1));
}

#[tokio::test]
async fn file_times_are_read_and_changed() {
    let place = Place::new(AMPLE);
    let mut shell = place.shell();
    assert_eq!(shell.run("write a x;touch a 1000000000;modified a").await, "ok\nok\n1000000000");
    assert_eq!(shell.run("mkdir d;touch d 1000000001;modified d").await, "ok\nok\n1000000001");
}

#[tokio::test]
async fn a_large_file_is_written_and_read_whole() {
    let place = Place::new(Quota { bytes: 4 << 20, files: 4 });
    let text: String = (0..300_000).map(|number: u32| format!("{number} ")).collect();
    fs::write(place.path("large"), &text).unwrap();
    let mut shell = place.shell();
    assert!(shell.run("read large").await == text.trim_end());
    assert_eq!(shell.run("fill copy 1000001;stat copy").await, "ok\nfile 1000001");
    assert!(fs::read(place.path("copy")).unwrap().iter().all(|byte| *byte == b'x'));
}

#[tokio::test]
async fn a_directory_of_many_names_is_listed_whole() {
    let fill = |path: &std::path::Path| (0..1_000).for_each(|at| fs::write(path.join(format!("{at}")), b"").unwrap());
    let place = Place::with(Access::ReadWrite, Quota { bytes: 0, files: 1_001 }, fill);
    assert_eq!(place.shell().run("count .").await, "1000");
}

#[tokio::test]
async fn without_the_grant_there_are_no_files() {
    let (recorder, _) = Client::exec("world;finish 0").end().await;
    assert!(recorder.text().contains("files=true write=true"), "{}", recorder.text());
}

#[tokio::test]
async fn two_sessions_of_a_tenant_see_the_same_files_and_another_tenant_does_not() {
    let (acme, other) = (Place::new(AMPLE), Place::new(AMPLE));
    let (mut one, mut two, mut stranger) = (acme.shell(), acme.shell(), other.shell());
    assert_eq!(one.run("write shared text").await, "ok");
    assert_eq!(two.run("read shared").await, "text");
    assert_eq!(stranger.run("read shared;list .").await, "none");
}

#[tokio::test]
async fn a_directory_that_is_granted_for_reading_cannot_be_changed() {
    let place = Place::with(Access::ReadOnly, AMPLE, |path| {
        fs::create_dir(path.join("sub")).unwrap();
        fs::write(path.join("note"), b"text").unwrap();
    });
    let mut shell = place.shell();
    assert_eq!(shell.run("read note;list .;stat note").await, "text\nnote:file sub:dir\nfile 4");
    let changes = [
        "write note x",
        "write new x",
        "append note x",
        "truncate note 0",
        "touch note 1",
        "touch sub 1",
        "remove note",
        "mkdir new",
        "rmdir sub",
        "rename note other",
        "link note other",
        "new other",
    ];
    for change in changes {
        assert_eq!(shell.run(change).await, "read-only", "{change}");
    }
    for words in ["truncate", "truncate read", "truncate write", "write"] {
        assert_eq!(shell.run(&format!("raw note {words}")).await, "read-only", "{words}");
    }
    // As under Linux, what exists need not be created.
    assert_eq!(shell.run("raw note create;raw note create read;raw other create read").await, "ok\nok\nread-only");
    assert_eq!(shell.run("symlink note other;raw note read").await, "read-only\nok");
    assert_eq!(fs::read(place.path("note")).unwrap(), b"text");
    assert_eq!(place.recount(), (4, 2));
}

#[tokio::test]
async fn the_open_files_of_a_session_are_limited() {
    // W28
    let limits = Limits { open_files: 10, tenant_open_files: 15, ..Limits::default() };
    let place = Place::limited(&limits, Access::ReadWrite, AMPLE, |path| fs::write(path.join("note"), b"").unwrap());
    let (mut one, mut two) = (place.shell(), place.shell());
    assert_eq!(one.run("hoard note;list .").await, "10 quota\nquota");
    assert_eq!(two.run("hoard note").await, "5 quota");
    assert_eq!(one.run("drop;hoard note").await, "ok\n10 quota");
    one.end().await;
    assert_eq!(two.run("hoard note").await, "5 quota");
}

#[tokio::test]
async fn file_events_are_logged() {
    log::listen();
    let place = Place::new(Quota { bytes: 100, files: 10 });
    let mut shell = place.shell();
    let script = "mkdir d;write d/a text;read d/a;truncate d/a 2;rename d/a b;symlink b l;fill b 200;\
                  read ../x;touch ./b 1;symlink /d e;link e/../b e/x;remove d//x;remove e;\
                  remove b;remove l;rmdir d;read none;write line\u{1b}[1mx x";
    shell.run(script).await;
    let told: Vec<String> = log::lines(&shell.client.id)
        .iter()
        .map(|line| {
            let field = |name| line.fields.get(name).cloned().unwrap_or_default();
            assert_eq!((field("tenant"), field("plugin"), field("channel")), {
                ("acme".to_owned(), "files".to_owned(), "7".to_owned())
            });
            let told = ["operation", "path", "to_path", "bytes", "read", "refused"].map(field);
            told.into_iter().filter(|field| !field.is_empty()).collect::<Vec<_>>().join(" ")
        })
        .collect();
    let expected = [
        "mkdir d",
        "create d/a",
        "write-end d/a 4",
        "open d/a",
        "read-end d/a 4",
        "open d/a",
        "truncate d/a 2",
        "rename d/a b",
        "symlink l b",
        "truncate b",
        "write-end b 0 quota",
        "open b",
        "times b",
        "symlink e /d",
        // By the path that links lead to.
        "link b d/x",
        "remove d/x",
        "remove e",
        "remove b",
        "remove l",
        "rmdir d",
        "create line\\u{1b}[1mx",
        "write-end line\\u{1b}[1mx 1",
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn what_was_read_and_written_is_told_once_when_the_file_is_closed() {
    log::listen();
    let place = Place::with(Access::ReadWrite, AMPLE, |path| {
        fs::write(path.join("big"), vec![b'x'; 300_000]).unwrap();
        fs::write(path.join("empty"), b"").unwrap();
    });
    let mut shell = place.shell();
    let told = |shell: &crate::shell::Shell| {
        let line = |line: &log::Line| {
            let field = |name| line.fields.get(name).cloned().unwrap_or_default();
            ["operation", "path", "bytes", "read"].map(field).join(" ")
        };
        log::lines(&shell.client.id).iter().map(line).collect::<Vec<_>>()
    };
    shell.run("read big;bytes big 10;read empty;read-from big 299990;stat big;list .").await;
    let read = ["open big  ", "read-end big  300000", "open big  ", "read-end big  10", "open empty  ", "open big  "];
    assert_eq!(told(&shell)[..6], read);
    assert_eq!(told(&shell)[6..], ["read-end big  10"]);
    // Of one that is read and written there is one line, and that of one that stays open comes with the end.
    shell.run("hold big;held 12345;held 12345").await;
    assert_eq!(told(&shell)[7..], ["open big  "]);
    let id = shell.client.id.clone();
    shell.end().await;
    let last = log::lines(&id).pop().unwrap();
    let field = |name: &str| last.fields.get(name).cloned().unwrap_or_default();
    assert_eq!((field("operation"), field("bytes")), ("write-end".to_owned(), "10".to_owned()));
}

#[tokio::test]
async fn file_events_above_the_rate_are_counted_in_one_line() {
    log::listen();
    let limits = Limits { log_rate: 1, log_burst: 5, ..Limits::default() };
    let place = Place::limited(&limits, Access::ReadWrite, AMPLE, |_| {});
    let mut shell = place.shell();
    let id = shell.client.id.clone();
    shell.run(&"mkdir d;rmdir d;".repeat(50)).await;
    shell.end().await;
    let lines = log::lines(&id);
    let left_out: u64 =
        lines.iter().filter_map(|line| line.fields.get("left_out")).map(|left| left.parse::<u64>().unwrap()).sum();
    let told = lines.iter().filter(|line| line.fields.contains_key("operation")).count();
    assert!((5..50).contains(&told), "{told}");
    assert_eq!(left_out, 100 - told as u64);
}

#[test]
fn a_grant_that_is_not_possible_is_named() {
    let place = tempfile::tempdir().unwrap();
    let said = |name: &str| {
        let path = place.path().join(name);
        Directory::open(&path, Access::ReadOnly, AMPLE, "/").unwrap_err().to_string()
    };
    fs::write(place.path().join("file"), b"").unwrap();
    let (none, file) = (said("none"), said("file"));
    assert!(none.contains("/none cannot be opened: No such file"), "{none}");
    assert!(file.contains("/file cannot be opened: Not a directory"), "{file}");
}

#[tokio::test]
async fn the_grant_follows_a_directory_that_is_moved() {
    let place = Place::new(AMPLE);
    let moved = place.path("").join("../moved");
    fs::rename(place.path(""), &moved).unwrap();
    fs::create_dir(place.path("")).unwrap();
    let mut shell = Shell::of(&place.tenant);
    assert_eq!(shell.run("write note text").await, "ok");
    assert!(!place.path("note").exists() && moved.join("note").exists());
}

#[test]
fn what_the_kernel_has_in_memory_is_read_without_another_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let place = Place::new(AMPLE);
        let (mut shell, mut other) = (place.shell(), place.shell());
        // What follows a write begins when the file is closed. The kernel then knows that `none` is not there, too.
        assert_eq!(shell.run("mkdir d;write d/note text;read d/none").await, "ok\nok\nnone");
        assert_eq!(other.run("stat d/note").await, "file 4");
        let kind = u32::try_from(rustix::fs::statfs(place.path("d/note")).unwrap().f_type).unwrap();
        let has_cached_reads = [EXT4, XFS, BTRFS].contains(&kind);
        // The only thread for blocking work is taken.
        let (free, taken) = std::sync::mpsc::channel::<()>();
        let blocking = tokio::task::spawn_blocking(move || taken.recv());
        if has_cached_reads {
            let looks = tokio::time::timeout(Duration::from_secs(30), shell.run("stat d/note;read d/note;read d/none"));
            assert_eq!(looks.await.expect("it waits for the other thread"), "file 4\ntext\nnone");
        }
        // A change waits for that thread.
        let mut write = Box::pin(shell.run("write d/note more"));
        tokio::select! {
            answer = &mut write => panic!("it was written by this thread: {answer}"),
            read = other.run("read d/note;stat d/note"), if has_cached_reads => assert_eq!(read, "text\nfile 4"),
            () = tokio::task::yield_now(), if !has_cached_reads => {}
        }
        free.send(()).unwrap();
        blocking.await.unwrap().unwrap();
        assert_eq!(write.await, "ok");
        assert_eq!(fs::read(place.path("d/note")).unwrap(), b"more");
    });
}
