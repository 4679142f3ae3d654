//! A running server whose plugin folder changes. W35, W38, W39, W40.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::guests;
use crate::server::{Place, Server};

/// A server with the plugin `a`.
fn serving() -> (Place, Server) {
    let place = Place::new();
    place.put("a.wasm", &guests::plugin(1));
    let (server, before) = place.serve();
    let loaded: Vec<&Value> = before.iter().filter(|event| event["message"] == "plugin loaded").collect();
    assert_eq!(loaded.len(), 1, "{before:?}");
    assert_eq!((&loaded[0]["plugin"], &loaded[0]["generation"]), (&"a".into(), &1.into()));
    (place, server)
}

fn names(folder: &Value) -> Vec<(String, u64)> {
    let plugins = folder["plugins"].as_array().unwrap().iter().filter(|plugin| !plugin["current"].is_null());
    plugins
        .map(|plugin| (plugin["name"].as_str().unwrap().to_owned(), plugin["current"]["generation"].as_u64().unwrap()))
        .collect()
}

#[test]
fn a_plugin_is_added_replaced_renamed_and_removed_while_the_server_runs() {
    let (place, server) = serving();
    place.put("b.wasm", &guests::plugin(2));
    let event = server.event("plugin loaded");
    assert_eq!((&event["plugin"], &event["generation"]), (&"b".into(), &1.into()));
    place.put("a.wasm", &guests::plugin(3));
    let event = server.event("plugin loaded");
    assert_eq!((&event["plugin"], &event["generation"]), (&"a".into(), &2.into()));
    // In place, as `cp` does.
    fs::write(place.plugins().join("a.wasm"), guests::plugin(4)).unwrap();
    assert_eq!(server.event("plugin loaded")["generation"], 3);
    fs::rename(place.plugins().join("b.wasm"), place.plugins().join("c.wasm")).unwrap();
    let mut events = [server.event("plugin loaded"), Value::Null];
    assert_eq!(events[0]["plugin"], "c");
    fs::remove_file(place.plugins().join("a.wasm")).unwrap();
    events[1] = server.event("plugin removed");
    while events[1]["plugin"] != "a" {
        assert_eq!(events[1]["plugin"], "b");
        events[1] = server.event("plugin removed");
    }
    assert_eq!(names(&place.list()), [("c".to_owned(), 1)]);
}

#[test]
fn an_invalid_file_keeps_the_old_version_and_is_logged_once() {
    // W35
    let (place, server) = serving();
    place.put("a.wasm", b"not wasm");
    let event = server.event("plugin refused");
    assert_eq!(event["reason"], "this is text, not a WebAssembly component");
    assert!(event["file"].as_str().unwrap().ends_with("plugins/a.wasm"));
    // The same bytes again are not reported again.
    place.put("a.wasm", b"not wasm");
    place.put("b.wasm", b"");
    let between = server.until("plugin refused");
    assert_eq!(between.len(), 1, "{between:?}");
    assert_eq!(between[0]["reason"], "the file is empty");
    let folder = place.list();
    assert_eq!(names(&folder), [("a".to_owned(), 1)]);
    let refused: Vec<&str> =
        folder["refused"].as_array().unwrap().iter().map(|refused| refused["file"].as_str().unwrap()).collect();
    assert_eq!(refused, ["a.wasm", "b.wasm"]);
    assert_eq!((&folder["refused"][0]["retry_s"], &folder["preparing"]), (&Value::Null, &Value::Array(Vec::new())));
    place.put("a.wasm", &guests::plugin(2));
    assert_eq!(server.event("plugin loaded")["generation"], 2);
    assert_eq!(place.list()["refused"].as_array().unwrap().len(), 1);
}

#[test]
fn a_file_that_is_being_written_is_loaded_once_complete() {
    // W38
    let (place, server) = serving();
    let whole = guests::plugin(2);
    let mut file = OpenOptions::new().write(true).truncate(true).open(place.plugins().join("a.wasm")).unwrap();
    let piece = whole.len() / 40 + 1;
    for piece in whole.chunks(piece) {
        // An event of the server in between, so that it has time to make a mistake.
        assert_eq!(names(&place.list()), [("a".to_owned(), 1)]);
        file.write_all(piece).unwrap();
    }
    drop(file);
    let event = server.event("plugin loaded");
    assert_eq!(event["generation"], 2);
    assert_eq!(names(&place.list()), [("a".to_owned(), 2)]);
}

#[test]
fn many_changes_cause_few_loads_and_the_last_one_wins() {
    // W39
    let (place, server) = serving();
    for turn in 0..200_u32 {
        place.put("a.wasm", &guests::plugin(u8::try_from(turn % 100).unwrap() + 10));
    }
    place.put("a.wasm", &guests::plugin(250));
    let digest = |folder: &Value| folder["plugins"][0]["current"]["digest"].clone();
    let mut loads = 0;
    let last = loop {
        let event = server.event("plugin loaded");
        loads += 1;
        place.put("b.wasm", &guests::plugin(1));
        if event["plugin"] == "b" {
            break digest(&place.list());
        }
    };
    assert!(loads <= 10, "{loads} loads");
    let folder = place.list();
    assert_eq!(last, digest(&folder));
    let (_, inspected, _) = place.run(&["plugin", "inspect", "--json", "plugins/a.wasm"]);
    assert_eq!(serde_json::from_str::<Value>(&inspected).unwrap()["digest"], digest(&folder));
}

#[test]
fn a_plugin_is_served_without_its_folder_and_watched_again_when_it_returns() {
    // W40, O20
    let (place, server) = serving();
    let away = place.folder.path().join("away");
    fs::rename(place.plugins(), &away).unwrap();
    assert!(server.event("plugin folder lost: what is loaded stays")["reason"].as_str().unwrap().contains("No such"));
    let folder = place.list();
    assert_eq!(names(&folder), [("a".to_owned(), 1)]);
    assert!(!folder["trouble"].is_null());
    // What a disk leaves behind when it is not mounted.
    fs::create_dir(place.plugins()).unwrap();
    assert_eq!(server.event("plugin folder lost: what is loaded stays")["reason"], "an empty folder is in its place");
    fs::remove_dir(place.plugins()).unwrap();
    fs::rename(&away, place.plugins()).unwrap();
    server.event("plugin folder is back");
    place.put("a.wasm", &guests::plugin(2));
    assert_eq!(server.event("plugin loaded")["generation"], 2);
    assert!(place.list()["trouble"].is_null());
}

#[test]
fn a_replaced_plugin_folder_is_used_from_then_on() {
    let (place, server) = serving();
    let other = place.folder.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("b.wasm"), guests::plugin(2)).unwrap();
    fs::rename(place.plugins(), place.folder.path().join("away")).unwrap();
    fs::rename(&other, place.plugins()).unwrap();
    assert_eq!(server.event("plugin loaded")["plugin"], "b");
    if !names(&place.list()).iter().all(|(name, _)| name == "b") {
        assert_eq!(server.event("plugin removed")["plugin"], "a");
    }
    place.put("c.wasm", &guests::plugin(3));
    assert_eq!(server.event("plugin loaded")["plugin"], "c");
}

#[test]
fn something_that_is_not_a_file_is_refused_and_delays_nobody() {
    // W40: root may read everything, so an unreadable file is one that is not a regular file.
    let (place, server) = serving();
    let fifo = place.plugins().join("fifo.wasm");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert_eq!(server.event("plugin refused")["reason"], "this is not a file");
    fs::remove_file(place.plugins().join("a.wasm")).unwrap();
    fs::create_dir(place.plugins().join("a.wasm")).unwrap();
    let refused = server.until("plugin refused");
    assert!(refused.iter().all(|event| event["message"] != "plugin removed"), "{refused:?}");
    assert_eq!(names(&place.list()), [("a".to_owned(), 1)], "the running version stays");
}

#[test]
fn a_plugin_or_a_folder_that_others_may_write_to_is_not_served_from_and_the_running_version_stays() {
    let place = Place::new();
    place.put("a.wasm", &guests::plugin(1));
    fs::write(place.folder.path().join("w.toml"), "[users.a]\nplugin = \"a\"\nauth = \"none\"\n").unwrap();
    let (server, _) = place.serve_with(&["--config", "w.toml"]);
    let file = place.plugins().join("a.wasm");
    let chmod = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let refused = || server.event("plugin refused")["reason"].as_str().unwrap().to_owned();
    chmod(&file, 0o666);
    let reason = refused();
    assert!(reason.ends_with("plugins/a.wasm (mode 0666): chmod go-w plugins/a.wasm"), "{reason}");
    assert_eq!(names(&place.list()), [("a".to_owned(), 1)]);
    // Nor is its later content loaded ...
    fs::write(&file, guests::plugin(2)).unwrap();
    chmod(&file, 0o644);
    assert_eq!(server.event("plugin loaded")["generation"], 2, "... until that is mended");
    chmod(&place.plugins(), 0o777);
    let lost = server.event("plugin folder lost: what is loaded stays");
    assert!(lost["reason"].as_str().unwrap().ends_with("plugins (mode 0777): chmod go-w plugins"), "{lost}");
    chmod(&place.plugins(), 0o755);
    server.event("plugin folder is back");
    // A build that is kept where others may replace it.
    let builds = place.folder.path().join("builds");
    fs::create_dir(&builds).unwrap();
    fs::write(builds.join("a.wasm"), guests::plugin(3)).unwrap();
    chmod(&builds, 0o777);
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(builds.join("a.wasm"), &file).unwrap();
    assert!(refused().contains("builds (mode 0777)"));
    chmod(&builds, 0o755);
    assert_eq!(server.event("plugin loaded")["plugin"], "a");
}

/// The demonstration runs from a clone, which may be writable for a group: anybody who may log in to it is on this
/// machine anyway.
#[test]
fn the_demonstration_serves_files_that_others_may_write_to() {
    let place = Place::new();
    place.put("a.wasm", &guests::plugin(1));
    fs::set_permissions(place.plugins().join("a.wasm"), fs::Permissions::from_mode(0o664)).unwrap();
    fs::set_permissions(place.plugins(), fs::Permissions::from_mode(0o775)).unwrap();
    let (_server, before) = place.serve();
    assert!(before.iter().any(|event| event["message"] == "plugin loaded"), "{before:?}");
}

#[test]
fn compiled_code_is_kept_for_the_next_start_and_forged_code_is_not_run() {
    // W37
    let (place, server) = serving();
    server.kill();
    let cache = place.state().join("cache");
    let files = || -> Vec<_> { fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect() };
    let file = files().remove(0);
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&cache), mode(&file), mode(&place.state().join("cache.key"))), (0o700, 0o600, 0o600));
    let whole = fs::read(&file).unwrap();
    let (server, _) = place.serve();
    server.kill();
    assert_eq!(fs::read(&file).unwrap(), whole);
    let mut forged = whole.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    fs::write(&file, forged).unwrap();
    let (_server, before) = place.serve();
    assert!(before.iter().any(|event| event["message"] == "compiled code discarded"), "{before:?}");
    assert!(before.iter().any(|event| event["message"] == "plugin loaded"), "{before:?}");
    assert_eq!(files(), std::slice::from_ref(&file));
    assert_ne!(fs::read(&file).unwrap()[..40], [0; 40]);
}

#[test]
fn the_memory_of_loading_large_plugins_is_released() {
    // The file, its code from the compiler and its stored code: three blocks of 10 MB each time, on many kinds of
    // threads.
    let (place, server) = serving();
    let load = |version| {
        place.put("a.wasm", &guests::heavy(version));
        server.event("plugin loaded");
        server.allocated()
    };
    let first = load(2);
    let most = (3..=12).map(load).max().unwrap();
    // Some of it may be in use at the moment of the check.
    assert!(most < first + (30 << 20), "{first} bytes, and {most} after ten more");
}

#[test]
fn without_an_inotify_instance_a_replaced_plugin_is_served_soon_and_the_operator_is_told() {
    let place = Place::new();
    place.put("a.wasm", &guests::plugin(1));
    let (server, before) = place.serve_unwatched();
    let told: Vec<_> =
        before.iter().filter(|event| event["message"].as_str().unwrap().contains("not watched")).collect();
    assert_eq!(told.len(), 1, "{before:?}");
    let began = Instant::now();
    place.put("a.wasm", &guests::plugin(2));
    let events = server.until("plugin loaded");
    println!("a replaced plugin is served after {} ms without a watcher", began.elapsed().as_millis());
    assert_eq!(events.last().unwrap()["generation"], 2);
    assert!(events.iter().all(|event| event["message"] != "panic" && event["message"] != "task failed"), "{events:?}");
    let folder = place.list();
    assert!(folder["unwatched"]["reason"].as_str().unwrap().contains("the kernel tells of no changes"), "{folder}");
    let (_, table, _) = place.run(&["plugin", "list"]);
    assert!(table.contains("the folder has not been watched for ") && table.contains("looked at every 2 s"), "{table}");
    fs::remove_file(place.plugins().join("a.wasm")).unwrap();
    server.event("plugin removed");
    // Generations continue when it comes back.
    place.put("a.wasm", &guests::plugin(2));
    assert_eq!(server.event("plugin loaded")["generation"], 3);
}

#[test]
fn a_folder_that_is_emptied_and_filled_again_loses_no_plugin() {
    let place = Place::new();
    let files = ["a.wasm", "b.wasm", "c.wasm"];
    files.iter().zip(1..).for_each(|(file, version)| place.put(file, &guests::plugin(version)));
    let (server, _) = place.serve();
    files.iter().for_each(|file| fs::remove_file(place.plugins().join(file)).unwrap());
    place.list_until(|folder| folder["gone"].as_array().unwrap().len() == files.len());
    assert_eq!(names(&place.list()).len(), files.len());
    files
        .iter()
        .zip(11..)
        .for_each(|(file, version)| fs::write(place.plugins().join(file), guests::plugin(version)).unwrap());
    for _ in files {
        let events = server.until("plugin loaded");
        assert!(events.iter().all(|event| event["message"] != "plugin removed"), "{events:?}");
        assert_eq!(events.last().unwrap()["generation"], 2);
    }
    place.list_until(|folder| folder["gone"].as_array().unwrap().is_empty());
    assert!(server.so_far().iter().all(|event| event["message"] != "plugin removed"));
    assert_eq!(names(&place.list()).iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    // A deleted plugin stays deleted.
    let began = Instant::now();
    fs::remove_file(place.plugins().join("b.wasm")).unwrap();
    assert_eq!(server.event("plugin removed")["plugin"], "b");
    println!("a deleted plugin is gone after {} ms", began.elapsed().as_millis());
}

#[test]
fn a_link_whose_file_is_gone_keeps_the_version_that_runs_and_says_so() {
    let place = Place::new();
    let build = place.folder.path().join("build.wasm");
    fs::write(&build, guests::plugin(1)).unwrap();
    symlink(&build, place.plugins().join("a.wasm")).unwrap();
    let (server, _) = place.serve();
    fs::remove_file(&build).unwrap();
    let refused = server.until("plugin refused");
    assert!(refused.iter().all(|event| event["message"] != "plugin removed"), "{refused:?}");
    let reason = "it is a symbolic link to a file that is not there";
    assert_eq!(refused.last().unwrap()["reason"], reason);
    let folder = place.list();
    assert_eq!((names(&folder), &folder["refused"][0]["reason"]), (vec![("a".to_owned(), 1)], &reason.into()));
    fs::write(&build, guests::plugin(2)).unwrap();
    assert_eq!(server.event("plugin loaded")["generation"], 2);
    assert!(place.list()["refused"].as_array().unwrap().is_empty());
}

#[test]
fn a_hidden_file_is_not_served_and_capital_letters_are_logged_once() {
    let (place, server) = serving();
    for file in [".hidden.wasm", "X.WASM"] {
        place.put(file, &guests::plugin(7));
    }
    let event = server.event("plugin file ignored");
    assert!(event["file"].as_str().unwrap().ends_with("plugins/X.WASM"), "{event}");
    place.put("b.wasm", &guests::plugin(2));
    let until = server.until("plugin loaded");
    assert!(until.iter().all(|event| event["message"] != "plugin file ignored"), "{until:?}");
    let folder = place.list();
    assert_eq!(names(&folder), [("a".to_owned(), 1), ("b".to_owned(), 1)]);
    assert_eq!((&folder["ignored"], &folder["refused"]), (&serde_json::json!(["X.WASM"]), &serde_json::json!([])));
    let (_, table, _) = place.run(&["plugin", "list"]);
    assert!(table.contains("ignored X.WASM: its name must end in \".wasm\""), "{table}");
}

#[test]
fn while_one_plugin_compiles_for_long_others_are_replaced_and_removed() {
    // WHELK_PROVE=1: 18 MB, which takes about 14 s on an idle machine. Otherwise the compiler of a small file is
    // stopped in the middle, so that it is not done before the others on any machine.
    let prove = std::env::var_os("WHELK_PROVE").is_some_and(|value| value == "1");
    let size = if prove { 18 << 20 } else { 1 << 20 };
    let (place, server) = serving();
    place.put("b.wasm", &guests::plugin(2));
    server.event("plugin loaded");
    place.put("slow.wasm", &guests::slow(1, size));
    let began = Instant::now();
    if !prove {
        server.stop_compiler();
    }
    place.list_until(|folder| !folder["pending"].as_array().unwrap().is_empty());
    assert_eq!(place.list()["preparing"], serde_json::json!(["slow"]), "its users are told to try again");
    let loaded = |name: &str| -> Duration {
        let began = Instant::now();
        let events = server.until("plugin loaded");
        assert_eq!(events.last().unwrap()["plugin"], name, "{events:?}");
        began.elapsed()
    };
    place.put("a.wasm", &guests::plugin(3));
    let replaced = loaded("a");
    let removing = Instant::now();
    fs::remove_file(place.plugins().join("b.wasm")).unwrap();
    let events = server.until("plugin removed");
    assert!(events.iter().all(|event| event["message"] != "plugin loaded"), "{events:?}");
    let removed = removing.elapsed();
    assert_eq!(place.list()["pending"][0]["file"], "slow.wasm");
    // A newer version, in the middle of it.
    let first = began.elapsed();
    place.put("slow.wasm", &guests::slow(2, size));
    assert_eq!(server.event("plugin load cancelled")["reason"], "a newer version is there");
    let alone = loaded("slow");
    println!(
        "{} MB: another is replaced after {} ms and removed after {} ms; a newer version {} ms after the first is served \
         after {} ms",
        size >> 20,
        replaced.as_millis(),
        removed.as_millis(),
        first.as_millis(),
        alone.as_millis()
    );
    assert_eq!(names(&place.list()), [("a".to_owned(), 2), ("slow".to_owned(), 1)]);
}
