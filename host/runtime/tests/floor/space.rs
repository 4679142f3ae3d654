//! How much room there is for files, as statvfs(3) tells.

use std::fs;
use std::os::unix::fs::symlink;

use whelk_runtime::{Access, Grants, Limits, Output, Quota, Tenant};

use crate::client::Client;
use crate::program::command;
use crate::shell::{Place, Shell};
use crate::tree::World;

const SMALL: Quota = Quota { bytes: 10_000, files: 20 };

#[tokio::test]
async fn the_quota_shrinks_as_files_are_written_and_grows_as_they_are_removed() {
    let place = Place::with(Access::ReadWrite, SMALL, |path| fs::write(path.join("old"), [b'x'; 1_000]).unwrap());
    let mut shell = place.shell();
    assert_eq!(shell.run("room .;fill new 3000;room /;mkdir d;room d;room /new;room new").await, {
        "10000 9000 20 19 0\nok\n10000 6000 20 18 0\nok\n10000 6000 20 17 0\n10000 6000 20 17 0\n10000 6000 20 17 0"
    });
    assert_eq!(shell.run("fill new 10;rename new d/new;truncate old 0;remove d/new;rmdir d;room .").await, {
        "ok\nok\nok\nok\nok\n10000 10000 20 19 0"
    });
    // What there is above a lowered quota is not negative.
    assert_eq!(shell.run("fill new 500").await, "ok");
    place.directory.set_quota(Quota { bytes: 100, files: 1 });
    assert_eq!(shell.run("room .").await, "100 0 1 0 0");
}

#[tokio::test]
async fn each_part_has_its_own_and_links_and_dots_lead_to_it() {
    let world = World::new(
        |path| {
            symlink("/tmp", path.join("t")).unwrap();
            symlink("usr/share/data/book", path.join("book")).unwrap();
        },
        |path| {
            fs::write(path.join("book"), b"text").unwrap();
            fs::create_dir(path.join("sub")).unwrap();
        },
    );
    let mut shell = world.shell();
    let parts = shell.run("room .;room tmp;room usr/share/data;room usr;room dev").await;
    let lines: Vec<_> = parts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).collect();
    assert_eq!(lines[0][..4], ["1048576", "1048553", "1000", "998"]);
    assert_eq!(lines[1][..4], ["1000", "1000", "8", "8"]);
    for line in &lines[2..] {
        assert_eq!((&line[..4], line[5]), (&["0"; 4][..], "ro"), "{parts}");
    }
    let mut numbers: Vec<_> = lines.iter().map(|line| line[4]).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 5, "{parts}");
    let (root, tmp, data) = (lines[0].join(" "), lines[1].join(" "), lines[2].join(" "));
    for (paths, part) in [
        (&["/", "t/..", "usr/../t/.."][..], &root),
        (&["/tmp", "t", "t/", "//tmp//."], &tmp),
        (&["book", "/usr/share/data/sub", "/usr/share/data/sub/", "/usr/share/data/sub/.."], &data),
        (&["dev/null", "/dev/zero"], &lines[4].join(" ")),
    ] {
        for path in paths {
            assert_eq!(&shell.run(&format!("room {path}")).await, part, "{path}");
        }
    }
    let filled = format!("ok\n1000 600 8 7 {}\n{root}", lines[1][4]);
    assert_eq!(shell.run("fill tmp/f 400;room t;room .").await, filled);
}

#[tokio::test]
async fn a_path_that_leads_nowhere_has_the_error_of_statvfs() {
    let world = World::new(
        |path| {
            fs::write(path.join("note"), b"text").unwrap();
            symlink("nothing", path.join("nowhere")).unwrap();
            symlink("round", path.join("round")).unwrap();
            symlink("/../../..", path.join("up")).unwrap();
        },
        |_| {},
    );
    let mut shell = world.shell();
    let longer = "n".repeat(256);
    assert_eq!(
        shell
            .run(&format!("room none;room nowhere;room note/x;room note/;room round;room {longer};room dev/none"))
            .await,
        {
            "no-entry\nno-entry\nnot-directory\nnot-directory\n\
            loop\nname-too-long\nno-entry"
        }
    );
    assert_eq!(shell.run("room ").await, "no-entry");
    // Above the root is the root.
    assert_eq!(shell.run("room up;room ../../..").await, shell.run("room /;room /").await);
}

#[tokio::test]
async fn a_directory_for_reading_is_read_only_and_who_sees_no_files_is_told_nothing() {
    let place = Place::with(Access::ReadOnly, SMALL, |path| fs::write(path.join("old"), [b'x'; 1_000]).unwrap());
    assert_eq!(place.shell().run("room .").await, "10000 9000 20 19 0 ro");
    let tenant = Tenant::new("bare", Limits::default(), Grants::default());
    assert_eq!(Shell::of(&tenant).run("room /").await, "no-entry");
}

#[tokio::test]
async fn a_program_asks_by_the_paths_that_it_sees() {
    let place = Place::new(SMALL);
    let client = Client::of(&place.tenant, &command(), &[]);
    client.run("'room /' 'put new 12345' 'room .' 'room /new' 'room /none' 'room /dev/null'");
    let (recorder, report) = client.end().await;
    assert_eq!(
        recorder.text(),
        "10000 20 255\n9995 19 255\n9995 19 255\nno-entry\n0 0 255\n",
        "{report:?} {:?}",
        String::from_utf8_lossy(&recorder.bytes_of(Output::Stderr))
    );
}
