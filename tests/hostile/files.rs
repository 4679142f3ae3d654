//! The directory that a tenant was granted: attempts to leave it and to exhaust it. W27, W28.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use whelk_tests::{MIB, Running, figure, size};

use crate::world::{Plan, Told, World};

const SECRET: &str = "nobody but the operator knows this\n";
/// The most bytes and files of each tenant.
const QUOTA: u64 = MIB;
const FILES: u64 = 50;

/// Two tenants with a directory each, side by side in `box`, and beside them the folder that no tenant may reach.
fn granted() -> World {
    let grants = |tenant: &str, access: &str| {
        format!(
            "[tenants.{tenant}.grants]\n\
             directory = {{ path = \"FOLDER/box/{tenant}\", access = \"{access}\", bytes = {QUOTA}, files = {FILES} }}"
        )
    };
    Plan::default()
        .hostile(&grants("hostile", "read-write"))
        .quiet(&grants("quiet", "read-write"))
        .before(|folder| {
            for name in ["box/hostile", "box/quiet", "box/outside"] {
                fs::create_dir_all(folder.join(name)).expect("our own folder");
            }
            fs::write(folder.join("box/outside/secret"), SECRET).expect("our own folder");
            // Even a link that the operator has made does not lead out.
            symlink("../outside", folder.join("box/hostile/operator")).expect("our own folder");
        })
        .start()
}

fn place(world: &World) -> PathBuf {
    world.gateway.folder().join("box")
}

/// Nothing in the folder that no tenant may reach was added, removed or changed.
fn assert_untouched(world: &World) {
    let outside = place(world).join("outside");
    let names: Vec<_> =
        fs::read_dir(&outside).expect("our own folder").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["secret"], "something was made or moved outside");
    assert_eq!(fs::read_to_string(outside.join("secret")).expect("our own file"), SECRET);
    let mut beside: Vec<_> =
        fs::read_dir(place(world)).expect("our own folder").flatten().map(|entry| entry.file_name()).collect();
    beside.sort();
    assert_eq!(beside, ["hostile", "outside", "quiet"], "something was made beside the directories");
}

/// The number of attempts, none of which succeeded.
fn failed(out: &str) -> u64 {
    let mut words = out.split_whitespace();
    let (tried, escaped) = (words.nth(1), words.nth(1));
    assert_eq!(escaped, Some("0"), "{out}");
    tried.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no count in {out:?}"))
}

#[test]
fn w27_no_path_leads_out_of_a_granted_directory() {
    let mut world = granted();
    let seen = world.exec("W27 prepare");
    assert_eq!(seen.told, Told::Status(0), "{seen:?}");
    let (rounds, mut attempts) = (size(2, 640), 0);
    // Each session does as much as its processor time allows.
    for _ in 0..size(2, 40) {
        let seen = world.exec(&format!("W27 every {}", rounds / size(2, 40)));
        attempts += failed(&seen.out);
        world.neighbour_goes_on();
    }
    assert!(attempts >= size(100, 100_000), "only {attempts} attempts were made");
    assert_untouched(&world);
    figure("attempts to leave a directory that failed", format!("{attempts} of {attempts}"));
    world.end();
}

#[test]
fn w27_swapping_a_folder_for_a_link_wins_no_race() {
    let mut world = granted();
    let gate = place(&world).join("hostile/gate");
    let rounds = size(100, 2_500);
    let over = AtomicBool::new(false);
    let mut attempts = 0;
    std::thread::scope(|scope| {
        // From inside, as far as the host allows links at all, and from outside, where nothing prevents them.
        let mut swapper: Running = world.siege("accomplice", "storm", &["--count", "0"], &format!("W27 swap {rounds}"));
        swapper.type_in(b"go\n");
        scope.spawn(|| {
            let spare = gate.with_extension("spare");
            while !over.load(Ordering::Relaxed) {
                // Each of these may fail because the attacker was there first, which is fine.
                let _ = fs::create_dir(&gate);
                let _ = fs::rename(&gate, &spare);
                let _ = symlink("../outside", &gate);
                let _ = fs::remove_file(&gate);
                let _ = fs::remove_dir(&spare);
            }
        });
        for _ in 0..size(2, 20) {
            attempts += failed(&world.exec(&format!("W27 race {rounds}")).out);
            world.neighbour_goes_on();
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_untouched(&world);
    figure("races for a link that were lost", format!("{attempts} of {attempts}"));
    world.end();
}

#[test]
fn w27_a_read_only_directory_is_not_changed() {
    let read_only = "[tenants.hostile.grants]\n\
                     directory = { path = \"FOLDER/box\", access = \"read-only\" }";
    let mut world = Plan::default()
        .hostile(read_only)
        .before(|folder| {
            fs::create_dir_all(folder.join("box")).expect("our own folder");
            fs::write(folder.join("box/kept"), SECRET).expect("our own folder");
        })
        .start();
    let seen = world.exec("W28 read kept");
    assert_eq!(seen.out, format!("read {SECRET}\n"), "{seen:?}");
    let attempts = failed(&world.exec("W27 truncate kept").out);
    assert!(attempts > 10, "only {attempts} attempts were made");
    assert_eq!(fs::read_to_string(place(&world).join("kept")).expect("our own file"), SECRET);
    assert_eq!(fs::read_dir(place(&world)).expect("our own folder").count(), 1);
    world.neighbour_goes_on();
    world.end();
}

/// The size of all files of a tenant on disk.
fn used(world: &World, tenant: &str) -> u64 {
    let files = fs::read_dir(place(world).join(tenant)).expect("our own folder").flatten();
    files
        .filter_map(|entry| fs::symlink_metadata(entry.path()).ok())
        .filter(|facts| facts.is_file())
        .map(|facts| facts.len())
        .sum()
}

#[test]
fn w28_only_a_tenant_at_its_quota_is_refused() {
    let mut world = granted();
    let seen = world.exec(&format!("W28 write big {}", 3 * QUOTA));
    assert!(seen.out.starts_with("wrote ") && !seen.out.contains(" ok"), "{seen:?}");
    assert!(used(&world, "hostile") <= QUOTA, "{} bytes are there", used(&world, "hostile"));
    // Another session of the same tenant is refused as well; existing files are intact.
    let seen = world.run(&world.call("accomplice").exec("W28 write more 65536"));
    assert!(!seen.out.contains(" ok"), "{seen:?}");
    // The neighbour can write up to its own quota.
    let stranger = world.call("stranger");
    let seen = world.run(&stranger.clone().exec(&format!("W28 write big {}", QUOTA / 2)));
    assert_eq!(seen.out, format!("wrote {} ok\n", QUOTA / 2), "{seen:?}");
    // And removing files frees quota.
    let seen = world.exec("W28 remove big");
    assert_eq!(seen.out, "remove ok\n", "{seen:?}");
    let seen = world.exec(&format!("W28 write again {}", QUOTA / 2));
    assert_eq!(seen.out, format!("wrote {} ok\n", QUOTA / 2), "{seen:?}");
    world.neighbour_goes_on();
    world.end();
}

#[test]
fn w28_many_sessions_together_have_the_quota_of_one() {
    let mut world = granted();
    let writers: Vec<Running> =
        (0..8).map(|number| world.call("attacker").exec(&format!("W28 write part-{number} {QUOTA}")).start()).collect();
    for writer in writers {
        let finished = writer.finish();
        assert_eq!(finished.status, Some(0), "{}", finished.err);
    }
    let there = used(&world, "hostile");
    assert!(there <= QUOTA, "{there} bytes are there, {QUOTA} are allowed");
    assert!(there > QUOTA / 2, "only {there} of {QUOTA} bytes could be used");
    world.neighbour_goes_on();
    world.end();
}

#[test]
fn w28_files_holes_and_handles_are_limited_too() {
    let mut world = granted();
    let seen = world.exec("W28 sparse hole");
    assert!(seen.out.starts_with("long ") && !seen.out.contains("long ok") && !seen.out.contains("far ok"), "{seen:?}");
    assert!(used(&world, "hostile") <= QUOTA);
    let seen = world.exec("W28 handles 10000");
    let opened = seen.out.split(' ').nth(1).and_then(|count| count.parse::<u64>().ok());
    // Refused, or stopped for it: either way the host does not open ten thousand files.
    assert!(opened.is_none_or(|opened| opened <= 1024), "{seen:?}");
    assert!(world.gateway.open_files() < 200, "{} files are still open", world.gateway.open_files());
    let seen = world.exec("W28 inodes 1000000");
    assert!(seen.out.starts_with("made ") && !seen.out.contains(" ok"), "{seen:?}");
    let count = fs::read_dir(place(&world).join("hostile")).expect("our own folder").count() as u64;
    assert!(count <= FILES, "{count} files are there, {FILES} are allowed");
    let seen = world.run(&world.call("stranger").exec("W28 inodes 10"));
    assert_eq!(seen.out, "made 10 ok\n", "{seen:?}");
    world.neighbour_goes_on();
    world.end();
}

#[test]
fn w28_without_a_grant_there_is_no_directory() {
    let mut world = World::new();
    let seen = world.exec("W28 write file 10");
    assert!(seen.out.starts_with("wrote 0 ") && !seen.out.contains(" ok"), "{seen:?}");
    let seen = world.exec("W28 list");
    assert_eq!(seen.out, "list \n", "{seen:?}");
    world.neighbour_goes_on();
    world.end();
}
