//! No path leads out of a granted directory, however often it is tried.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};
use whelk_runtime::Access;

use crate::shell::{AMPLE, Place, Shell};
use crate::tree::World;

/// How many attempts: in every run, and in a proof.
fn times() -> u64 {
    if std::env::var_os("WHELK_PROVE").is_some_and(|value| value == "1") { 100_000 } else { 8_000 }
}

/// How many rounds of several attempts a plugin does at once.
const ROUNDS: u64 = 50;

/// Runs an action again and again until it has made so many attempts in a directory. Each must fail.
async fn holds(shell: &mut Shell, action: &str, directory: &str) {
    let mut attempts = 0;
    while attempts < times() {
        let answer = shell.run(&format!("{action} {ROUNDS} {directory}")).await;
        attempts += answer.parse::<u64>().unwrap_or_else(|_| panic!("{action} in {directory}: {answer}"));
    }
    println!("{action} in {directory}: {attempts} of {attempts} attempts failed");
}

/// Files of a directory, and beside it some that must not be reached.
fn besiege(path: &Path) {
    let outside = path.join("../outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), b"the secret").unwrap();
    fs::write(outside.join("bait"), b"bait").unwrap();
    fs::create_dir(path.join("sub")).unwrap();
    fs::create_dir(path.join("turn")).unwrap();
    fs::write(path.join("mine"), b"mine").unwrap();
    symlink(outside.canonicalize().unwrap(), path.join("out")).unwrap();
    symlink("../outside", path.join("up")).unwrap();
    symlink("../outside", path.join("link")).unwrap();
    symlink("../../outside", path.join("sub/deep")).unwrap();
    symlink("/proc/self/root", path.join("sub/root")).unwrap();
}

fn besieged() -> Place {
    Place::with(Access::ReadWrite, AMPLE, besiege)
}

/// A tree whose every part is besieged, `/tmp` included once a session has used it.
fn besieged_world() -> World {
    World::new(besiege, besiege)
}

/// Whether the files outside are unchanged.
fn assert_untouched(place: &Place) {
    assert_untouched_beside(&place.path(""));
}

fn assert_untouched_beside(path: &Path) {
    let outside = path.join("../outside");
    let mut names: Vec<_> = fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["bait", "secret"]);
    assert_eq!(fs::read(outside.join("secret")).unwrap(), b"the secret");
    assert_eq!(fs::read(outside.join("bait")).unwrap(), b"bait");
}

async fn refused(script: &str) {
    let place = besieged();
    let mut shell = place.shell();
    for action in script.split(';').map(str::trim) {
        let answer = shell.run(action).await;
        let refusals = ["denied", "not-permitted", "invalid", "none", "no-entry", "ResourceBusy"];
        assert!(refusals.contains(&answer.as_str()), "{action}: {answer}");
    }
    assert_untouched(&place);
    assert_eq!(place.usage(), place.recount());
}

#[tokio::test]
async fn paths_with_dots_do_not_leave_the_directory() {
    refused("raw ../outside/secret read;raw sub/../../outside/secret read;raw ../outside/new create write").await;
}

#[tokio::test]
async fn an_absolute_path_is_refused() {
    refused("raw /etc/passwd read;raw / read;raw /tmp/whelk-escape create write;raw /proc/self/root/etc/passwd read")
        .await;
}

#[tokio::test]
async fn a_link_to_the_outside_is_not_followed() {
    refused("read out/secret;read up/secret;write up/secret x;write out/new x;list up;rename mine up/mine").await;
    refused("rename up/secret taken;remove up/bait;mkdir up/new;touch up/secret 1").await;
}

#[tokio::test]
async fn above_the_root_is_the_root() {
    let place = besieged();
    let mut shell = place.shell();
    assert_eq!(shell.run("from . ..;from sub ..;from sub ../../..;list ../sub/../..;read ../mine").await, {
        "root\nroot\nroot\nlink:link mine:file out:link sub:dir turn:dir up:link\nmine"
    });
    assert_eq!(shell.run("write ../new x;mkdir ../../sub/below;from sub/below ..;list sub").await, {
        "ok\nok\nDescriptorType::Directory 3\nbelow:dir deep:link root:link"
    });
    assert!(place.path("new").exists());
    assert_untouched(&place);
}

#[tokio::test]
async fn a_link_to_an_absolute_path_is_followed_from_the_root_of_the_tree() {
    let place = besieged();
    let mut shell = place.shell();
    let made = shell.run("symlink /mine sub/absolute;symlink /etc/passwd taken;symlink / top;symlink /../../mine up2");
    assert_eq!(made.await, "ok\nok\nok\nok");
    assert_eq!(shell.run("read sub/absolute;read taken;read top/mine;read top/sub/../top/mine;read up2").await, {
        "mine\nnone\nmine\nmine\nmine"
    });
    assert_eq!(shell.run("readlink taken;write sub/absolute new;read mine;write taken x").await, {
        "/etc/passwd\nok\nnew\nnone"
    });
    assert_untouched(&place);
}

#[tokio::test]
async fn endless_and_long_chains_of_links_end() {
    let place = besieged();
    let mut shell = place.shell();
    let chain: Vec<_> = (0..50).map(|at| format!("symlink chain{} chain{at}", at + 1)).collect();
    assert_eq!(shell.run(&chain.join(";")).await.replace("ok", "").trim(), "");
    assert_eq!(shell.run("symlink mine chain50;symlink two one;symlink one two").await, "ok\nok\nok");
    assert_eq!(shell.run("read chain11;read chain0;read one;read one/x;symlink self/self self;read self/x").await, {
        "mine\nFilesystemLoop\nFilesystemLoop\nFilesystemLoop\nok\nFilesystemLoop"
    });
}

#[tokio::test]
async fn hard_links_are_made_inside_only() {
    refused("link up/secret taken;link mine up/mine;link ../outside/secret taken;link sub taken").await;
    let place = besieged();
    assert_eq!(place.shell().run("link mine second;write second x;read mine;same mine second").await, {
        "ok\nok\nx\ntrue"
    });
}

#[tokio::test]
async fn a_rename_replaces_nothing_outside() {
    refused("rename mine ../outside/secret;rename mine up/secret;rename ../outside/secret mine;rename mine ..").await;
    refused("rename sub/.. mine;rename . mine").await;
}

#[tokio::test]
async fn a_file_opened_for_reading_is_not_truncated() {
    // The bypass of May 2026: truncation with read permission only.
    let place = besieged();
    let mut shell = place.shell();
    assert_eq!(shell.run("raw mine truncate read;raw mine truncate").await, "invalid\ninvalid");
    assert_eq!(shell.run("raw up/secret truncate write follow").await, "no-entry");
    assert_eq!(fs::read(place.path("mine")).unwrap(), b"mine");
    assert_untouched(&place);
}

#[tokio::test]
async fn a_link_through_proc_is_not_followed() {
    let place = Place::with(Access::ReadWrite, AMPLE, |path| {
        symlink("/proc/self/root", path.join("root")).unwrap();
        symlink("/proc/self/cwd", path.join("cwd")).unwrap();
        symlink("/proc/self/fd/0", path.join("zero")).unwrap();
    });
    assert_eq!(place.shell().run("list root;list cwd;read zero;read root/etc/passwd").await, "none\nnone\nnone\nnone");
}

#[tokio::test]
async fn a_special_file_is_never_opened() {
    let place = Place::with(Access::ReadWrite, AMPLE, |path| {
        mknodat(CWD, path.join("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        std::os::unix::net::UnixListener::bind(path.join("socket")).unwrap();
        symlink("fifo", path.join("link")).unwrap();
    });
    let mut shell = place.shell();
    assert_eq!(shell.run("read fifo;append fifo x;truncate fifo 0;touch fifo 1;read link").await, {
        "denied\ndenied\ndenied\ndenied\ndenied"
    });
    assert_eq!(shell.run("read socket;list .").await, "denied\nfifo:other link:link socket:other");
    assert_eq!(shell.run("rename fifo pipe;remove pipe;remove socket").await, "ok\nok\nok");
    assert_eq!(place.usage(), place.recount());
}

#[tokio::test]
async fn an_overlong_path_is_refused() {
    let place = besieged();
    let long = "a/".repeat(3_000);
    assert_eq!(place.shell().run(&format!("read {long};mkdir {long};symlink {long} l")).await, {
        "InvalidFilename\nInvalidFilename\nname-too-long"
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_attempts_to_leave_the_directory_fail() {
    // W27
    let place = besieged();
    holds(&mut place.shell(), "attack", ".").await;
    holds(&mut place.shell(), "attack", "sub").await;
    assert_untouched(&place);
    assert_eq!(place.usage(), place.recount());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_of_two_sessions_does_not_leave_the_directory() {
    // W27
    let place = besieged();
    let (mut raider, mut swapper) = (place.shell(), place.shell());
    let (done, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let is_done = Arc::clone(&done);
    let has_swapped = Arc::clone(&seen);
    let swaps = tokio::spawn(async move {
        while !is_done.load(Ordering::Relaxed) {
            assert_eq!(swapper.run(&format!("swap {ROUNDS} .")).await, "ok");
            has_swapped.store(true, Ordering::Relaxed);
        }
        swapper
    });
    let raid = tokio::spawn(async move {
        holds(&mut raider, "raid", ".").await;
        raider
    });
    let raid = raid.await;
    done.store(true, Ordering::Relaxed);
    let _swapper = swaps.await.unwrap();
    assert!(seen.load(Ordering::Relaxed), "nothing was swapped");
    let raider = raid.unwrap();
    assert_untouched(&place);
    raider.end().await;
    assert_eq!(place.usage(), place.recount());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_with_another_process_does_not_leave_the_directory() {
    // W27. Not through the tenant's own session, where renames wait for each other: here only the kernel protects.
    let place = besieged();
    let done = Arc::new(AtomicBool::new(false));
    let (turn, link, seen) = (place.path("turn"), place.path("link"), Arc::clone(&done));
    let swapper = std::thread::spawn(move || swap_until(&turn, &link, &seen));
    let mut shell = place.shell();
    let raids = tokio::spawn(async move { holds(&mut shell, "raid", ".").await }).await;
    done.store(true, Ordering::Relaxed);
    assert!(swapper.join().unwrap() > times() / 100, "too few swaps to mean anything");
    raids.unwrap();
    assert_untouched(&place);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_attempts_to_leave_any_part_of_a_tree_fail() {
    // W27
    let world = besieged_world();
    let mut shell = world.shell();
    assert_eq!(shell.run("list tmp").await, "");
    let temporary = world.temporary.folder(0);
    besiege(&temporary);
    for directory in [".", "sub", "tmp", "usr/share/data", "usr", "dev"] {
        holds(&mut shell, "attack", directory).await;
    }
    for path in [world.place.path(""), world.mounted(""), temporary] {
        assert_untouched_beside(&path);
    }
    assert_eq!(world.place.usage(), world.place.recount());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_in_any_part_of_a_tree_does_not_leave_it() {
    // W27. By another process: in a mount and in `/tmp` as well as in the directory.
    let world = besieged_world();
    let mut shell = world.shell();
    assert_eq!(shell.run("list tmp").await, "");
    let temporary = world.temporary.folder(0);
    besiege(&temporary);
    for (directory, path) in
        [(".", world.place.path("")), ("usr/share/data", world.mounted("")), ("tmp", temporary.clone())]
    {
        let done = Arc::new(AtomicBool::new(false));
        let (turn, link, seen) = (path.join("turn"), path.join("link"), Arc::clone(&done));
        let swapper = std::thread::spawn(move || swap_until(&turn, &link, &seen));
        let mut raider = shell;
        let raid = tokio::spawn(async move {
            holds(&mut raider, "raid", directory).await;
            raider
        });
        let raid = raid.await;
        done.store(true, Ordering::Relaxed);
        assert!(swapper.join().unwrap() > times() / 100, "too few swaps to mean anything");
        shell = raid.unwrap();
        assert_untouched_beside(&path);
    }
}

fn swap_until(one: &Path, other: &Path, done: &AtomicBool) -> u64 {
    let mut swaps = 0;
    while !done.load(Ordering::Relaxed) {
        renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
        swaps += 1;
    }
    swaps
}
