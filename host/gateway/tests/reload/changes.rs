//! Reloads that take effect.

use std::fs;
use std::thread;
use std::time::Instant;

use crate::guest;
use crate::server::{LONGEST_WAIT, Server, free_address, greets};

/// A valid plugin.
fn plugin() -> Vec<u8> {
    fs::read(guest::build(&["bare"]).join("bare.wasm")).unwrap()
}

/// Asks again and again until it is so.
fn until(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONGEST_WAIT, "it is not so after {LONGEST_WAIT:?}");
    }
}

#[test]
fn addresses_come_and_go_and_others_stay() {
    let (first, second) = (free_address(), free_address());
    let server = Server::start(&format!("listen = [\"127.0.0.1:0\", \"{first}\"]"));
    assert!(greets(first) && !greets(second));
    server.write(&format!("listen = [\"{second}\", \"127.0.0.1:0\"]"));
    let event = server.reloaded();
    assert_eq!((&event["listening"], &event["added"], &event["removed"]), (&2.into(), &1.into(), &1.into()));
    assert!(!greets(first) && greets(second) && greets(server.address));
    // By a signal, without the command.
    server.write(&format!("listen = [\"{first}\", \"127.0.0.1:0\"]"));
    server.hang_up();
    server.event("configuration reloaded");
    // The event comes when the sockets are replaced.
    assert!(greets(first) && !greets(second) && greets(server.address));
    server.write("nonsense");
    server.hang_up();
    let problem = server.event("configuration not reloaded: nothing has changed")["reason"].clone();
    assert!(problem.as_str().unwrap().starts_with("whelk.toml:"), "{problem}");
    assert!(greets(first) && greets(server.address));
}

#[test]
fn what_needs_a_restart_is_named_each_time_and_the_rest_takes_effect() {
    let server = Server::start("[limits]\ninstances = 20");
    let more = free_address();
    server.write(&format!(
        "listen = [\"127.0.0.1:0\", \"{more}\"]\n[limits]\ninstances = 30\nmemories = 2\nstack = \"512 KiB\"\nsessions = 3"
    ));
    for _ in 0..2 {
        let (status, out, errors) = server.reload();
        assert_eq!(status, 3, "{errors}");
        assert!(out.contains("reloaded: 1 user, "), "{out}");
        assert_eq!(
            errors,
            "limits.instances: still 20, the file says 30: restart to apply\n\
             limits.stack: still \"1280 KiB\", the file says \"512 KiB\": restart to apply\n\
             limits.memories: still 3, the file says 2: restart to apply\n"
        );
        let events = [(); 3].map(|()| server.event("a setting takes effect after a restart only"));
        assert_eq!((&events[0]["setting"], &events[0]["running"]), (&"limits.instances".into(), &"20".into()));
        assert_eq!((&events[0]["configured"], &events[2]["setting"]), (&"30".into(), &"limits.memories".into()));
        assert!(greets(more));
    }
    fs::create_dir(server.path("other")).unwrap();
    let text = fs::read_to_string(server.path("whelk.toml")).unwrap();
    fs::write(server.path("whelk.toml"), text.replace("state = \"state\"", "state = \"other\"")).unwrap();
    let (status, _, errors) = server.reload();
    assert_eq!(status, 3, "{errors}");
    assert!(errors.lines().any(|line| line.starts_with("state: still ")), "{errors}");
    server.write("[limits]\ninstances = 20");
    assert_eq!(server.reloaded()["users"], 1);
    assert!(!greets(more));
}

#[test]
fn folders_of_tenants_come_and_go_and_others_keep_their_plugins() {
    let folder = |name: &str| format!("[tenants.{name}]\nplugins = \"of-{name}\"\n");
    let server = Server::start_in(&format!("{}{}", folder("one"), folder("two")), |path| {
        for name in ["one", "two", "three"] {
            fs::create_dir(path.join(format!("of-{name}"))).unwrap();
            fs::write(path.join(format!("of-{name}/mine.wasm")), plugin()).unwrap();
        }
        fs::write(path.join("plugins/bare.wasm"), plugin()).unwrap();
    });
    let served = || {
        let of = |folder: &serde_json::Value| {
            let plugins = folder["plugins"].as_array().unwrap().iter();
            let plugin =
                plugins.map(|plugin| (plugin["name"].to_string(), plugin["current"]["generation"].to_string()));
            (folder["tenant"].as_str().unwrap_or("operator").to_owned(), plugin.collect::<Vec<_>>())
        };
        server.folders().iter().map(of).collect::<Vec<_>>()
    };
    let mine = vec![("\"mine\"".to_owned(), "1".to_owned())];
    let bare = ("operator".to_owned(), vec![("\"bare\"".to_owned(), "1".to_owned())]);
    // The start does not wait for tenants' plugins for long.
    let expected = [bare.clone(), ("one".to_owned(), mine.clone()), ("two".to_owned(), mine.clone())];
    until(|| served() == expected);
    server.write(&format!("{}{}", folder("one"), folder("three")));
    server.reloaded();
    let expected = [bare.clone(), ("one".to_owned(), mine.clone()), ("three".to_owned(), mine.clone())];
    until(|| served() == expected);
    // Both are still watched, and the other no longer.
    let mut newer = plugin();
    newer.extend([0, 3, 1, b'v', 1]);
    for name in ["two", "one", "three"] {
        fs::write(server.path(&format!("of-{name}/next.wasm")), &newer).unwrap();
    }
    let next = ("\"next\"".to_owned(), "1".to_owned());
    let both = vec![mine[0].clone(), next];
    let expected = [bare.clone(), ("one".to_owned(), both.clone()), ("three".to_owned(), both)];
    until(|| served() == expected);
    let folders: Vec<_> = server.folders().iter().map(|folder| folder["tenant"].clone()).collect();
    assert!(!folders.contains(&"two".into()), "{folders:?}");
    // The operator's folder moves, as if its files had been replaced.
    fs::create_dir(server.path("moved")).unwrap();
    fs::write(server.path("moved/echo.wasm"), "").unwrap();
    fs::write(server.path("moved/bare.wasm"), &newer).unwrap();
    server.write(&format!("plugins = \"moved\"\n{}{}", folder("one"), folder("three")));
    server.reloaded();
    until(|| served()[0].1 == [("\"bare\"".to_owned(), "2".to_owned())]);
    assert!(server.folders()[0]["path"].as_str().unwrap().ends_with("moved"));
}

#[test]
fn reloads_that_are_asked_for_at_the_same_time_all_succeed() {
    let server = Server::start("");
    thread::scope(|scope| {
        let all: Vec<_> = (0..24).map(|_| scope.spawn(|| server.reload())).collect();
        (0..50).for_each(|_| server.hang_up());
        for asked in all {
            let (status, _, errors) = asked.join().unwrap();
            assert_eq!(status, 0, "{errors}");
        }
    });
    server.write("[users.last]\nplugin = \"echo\"\nauth = \"none\"");
    let (status, out, _) = server.reload();
    assert_eq!(status, 0);
    assert!(out.contains("reloaded: 2 users, "), "{out}");
}
