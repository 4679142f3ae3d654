//! What servers of files need beside `wasi:filesystem`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};

use whelk_runtime::{Access, Grants, Limits, Quota, Tenant};

use crate::log;
use crate::shell::{AMPLE, Place, Shell};
use crate::tree::World;

#[tokio::test]
async fn a_rename_that_may_not_replace_replaces_nothing() {
    let place = Place::with(Access::ReadWrite, AMPLE, |path| {
        fs::create_dir_all(path.join("folder/sub")).unwrap();
        fs::write(path.join("old"), b"old").unwrap();
        fs::write(path.join("taken"), b"taken").unwrap();
        symlink("nothing", path.join("dangling")).unwrap();
    });
    let number = |name: &str| fs::symlink_metadata(place.path(name)).map(|found| found.ino()).ok();
    let (old, folder, dangling) = (number("old"), number("folder"), number("dangling"));
    let mut shell = place.shell();
    let before = place.directory.usage();
    for new in ["taken", "dangling", "folder", "old", "folder/.", "folder/..", "/"] {
        assert_eq!(shell.run(&format!("rename-new old {new}")).await, "exist", "{new}");
    }
    for (from, to, error) in [
        ("none", "new", "no-entry"),
        ("old", "none/new", "no-entry"),
        ("old", "taken/new", "not-directory"),
        ("old/", "new", "not-directory"),
        ("old", "new/", "not-directory"),
        ("folder", "folder/sub/new", "invalid"),
        ("folder/sub/..", "new", "busy"),
        ("", "new", "no-entry"),
        ("old", "", "no-entry"),
    ] {
        assert_eq!(shell.run(&format!("rename-new {from} {to}")).await, error, "{from} {to}");
    }
    assert_eq!(number("old"), old);
    assert_eq!(fs::read(place.path("taken")).unwrap(), b"taken");
    // Absolute paths begin at the root, others too.
    assert_eq!(shell.run("rename-new /old folder/new;rename-new folder moved;rename-new dangling /link").await, {
        "ok\nok\nok"
    });
    assert_eq!((number("moved/new"), number("moved"), number("link")), (old, folder, dangling));
    assert_eq!(place.directory.usage(), before);
    assert_eq!(shell.run("remove moved/new;rename-new taken moved/new;read moved/new").await, "ok\nok\ntaken");
}

#[tokio::test]
async fn a_rename_needs_no_room_and_one_that_is_refused_is_logged() {
    log::listen();
    let place = Place::with(Access::ReadWrite, Quota { bytes: 3, files: 1 }, |path| {
        fs::write(path.join("only"), b"abc").unwrap();
    });
    let mut shell = place.shell();
    assert_eq!(shell.run("rename-new only one;rename-new one one").await, "ok\nexist");
    let told = |shell: &Shell| -> Vec<_> {
        let lines = log::lines(&shell.client.id);
        let told = lines
            .iter()
            .map(|line| ["operation", "path", "to_path", "refused"].map(|name| line.fields.get(name).cloned()));
        told.map(|fields| fields.into_iter().flatten().collect::<Vec<_>>().join(" ")).collect()
    };
    assert_eq!(told(&shell), ["rename only one"]);
    let place = Place::with(Access::ReadOnly, AMPLE, |path| fs::write(path.join("note"), b"").unwrap());
    let mut shell = place.shell();
    assert_eq!(shell.run("rename-new note new;rename-new note note").await, "read-only\nread-only");
    assert_eq!(told(&shell)[0], "rename note new read-only");
}

#[tokio::test]
async fn a_rename_stays_in_its_part_and_what_the_host_makes_is_not_replaced() {
    let world = World::new(|path| fs::write(path.join("note"), b"text").unwrap(), |_| {});
    let mut shell = world.shell();
    for (from, to, error) in [
        ("note", "tmp/note", "cross-device"),
        ("note", "tmp", "exist"),
        ("note", "dev", "exist"),
        ("note", "dev/null", "exist"),
        ("note", "usr/share/data", "exist"),
        ("note", "dev/new", "read-only"),
        ("tmp", "new", "busy"),
    ] {
        assert_eq!(shell.run(&format!("rename-new {from} {to}")).await, error, "{from} {to}");
    }
}

#[tokio::test]
async fn names_that_are_not_text_are_counted() {
    let place = Place::with(Access::ReadWrite, AMPLE, |path| {
        fs::create_dir(path.join("folder")).unwrap();
        fs::write(path.join("note"), b"").unwrap();
        for number in 0..300_u16 {
            fs::write(path.join("folder").join(format!("file{number}")), b"").unwrap();
        }
        for name in [b"caf\xe9".as_slice(), b"\xff", b"a\x80b"] {
            fs::write(path.join("folder").join(OsStr::from_bytes(name)), b"").unwrap();
        }
        symlink("folder", path.join("link")).unwrap();
    });
    let mut shell = place.shell();
    assert_eq!(shell.run("count folder;unlisted folder;unlisted /link;unlisted .").await, "300\n3\n3\n0");
    assert_eq!(shell.run("unlisted note;unlisted none").await, "not-directory\nno-entry");
}

#[tokio::test]
async fn the_limit_of_open_files_is_told() {
    let limits = Limits { open_files: 10, ..Limits::default() };
    let place = Place::limited(&limits, Access::ReadWrite, AMPLE, |path| fs::write(path.join("note"), b"").unwrap());
    assert_eq!(place.shell().run("open-limit;hoard note").await, "10\n10 quota");
    let bare = Tenant::new("bare", Limits::default(), Grants::default());
    assert_eq!(Shell::of(&bare).run("open-limit;unlisted .;rename-new a b").await, "0\nno-entry\nno-entry");
}
