//! Reloads that change nothing.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::server::{GUEST, Server, free_address, greets, outcome, text};

/// Asks for a reload that must be refused, and returns what it says: the same as the log.
fn refused(server: &Server) -> String {
    let (status, out, errors) = server.reload();
    assert_eq!((status, out.as_str()), (2, ""), "{errors}");
    for line in errors.lines() {
        assert_eq!(server.event("configuration not reloaded: nothing has changed")["reason"], line);
    }
    errors
}

#[test]
fn every_error_of_a_file_is_printed_as_by_check_and_nothing_changes() {
    let server = Server::start("");
    let (more, taken) = (free_address(), TcpListener::bind("127.0.0.1:0").unwrap());
    let taken = taken.local_addr().map(|address| (taken, address)).unwrap();
    for settings in [
        "nonsense = ",
        "unknown = 1\n[limits]\nsessions = 0\n[users.bob]\nplugin = \"gone\"\nauth = \"none\"",
        "[users.bob]\nplugin = \"echo\"\nkeys = [\"no key\"]",
        "host_keys = [\"nothing\"]",
    ] {
        server.write(&format!("listen = [\"{}\", \"{more}\"]\n{settings}", "127.0.0.1:0"));
        let (status, _, checked) = server.run(&["check", "whelk.toml"]);
        assert_eq!(status, 2);
        assert_eq!(refused(&server), checked, "{settings}");
        assert!(!greets(more) && greets(server.address));
    }
    // What `check` does not try: ports, and what a grant needs of the disk.
    server.write(&format!("listen = [\"127.0.0.1:0\", \"{more}\", \"{}\"]", taken.1));
    assert_eq!(refused(&server), format!("cannot listen on {}: the port is in use\n", taken.1));
    server.write(&format!(
        "listen = [\"127.0.0.1:0\", \"{more}\"]\n[tenants.acme.grants]\ndirectory = {{ path = \"{}\", access = \"read-write\" }}",
        server.path("nowhere").display()
    ));
    let problem = refused(&server);
    assert!(problem.contains("tenants.acme.grants.directory"), "{problem}");
    assert!(!greets(more) && greets(server.address));
    // The same server takes a good one.
    server.write(&format!("listen = [\"127.0.0.1:0\", \"{more}\"]"));
    server.reloaded();
    assert!(greets(more) && greets(server.address));
}

#[test]
fn an_address_that_only_this_server_takes_is_said_to_be_its_own() {
    let address = free_address();
    let server = Server::start(&format!("listen = [\"{address}\"]"));
    server.write(&format!("listen = [\"0.0.0.0:{}\"]", address.port()));
    let problem = refused(&server);
    assert!(problem.contains(&format!("perhaps by this server itself on {address}")), "{problem}");
    assert!(greets(address));
}

#[test]
fn a_host_key_that_does_not_load_changes_nothing() {
    let server = Server::start("");
    fs::write(server.path("key"), "not a key").unwrap();
    fs::set_permissions(server.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
    server.write("host_keys = [\"key\"]");
    let problem = refused(&server);
    assert!(problem.contains("key"), "{problem}");
    server.write("[algorithms]\nhost_key_algorithms = [\"ecdsa-sha2-nistp521\"]");
    let problem = refused(&server);
    assert!(problem.contains("no host key can be offered"), "{problem}");
    assert!(greets(server.address));
}

#[test]
fn host_keys_that_are_gone_are_not_replaced_by_others() {
    let server = Server::start("");
    let keys = || {
        let names = fs::read_dir(server.path("state")).unwrap().map(|entry| entry.unwrap().path());
        names.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("ssh_host_")).collect::<Vec<_>>()
    };
    assert!(!keys().is_empty());
    keys().iter().for_each(|path| fs::remove_file(path).unwrap());
    let problem = refused(&server);
    assert!(problem.contains("state: the state folder has no host keys any more"), "{problem}");
    assert!(keys().is_empty() && greets(server.address));
}

#[test]
fn what_does_not_fit_a_value_that_is_kept_is_refused() {
    let server = Server::start("[limits]\nmemory_slot = \"64 MiB\"\nmemory = \"64 MiB\"");
    server
        .write("[limits]\nmemory_slot = \"128 MiB\"\nmemory = \"100 MiB\"\n[tenants.acme.limits]\nmemory = \"99 MiB\"");
    let problem = refused(&server);
    let [first, second] = problem.lines().collect::<Vec<_>>()[..] else { panic!("{problem}") };
    assert!(first.starts_with("limits.memory: needs \"100 MiB\", which is more than `memory_slot` allows"), "{first}");
    assert!(second.starts_with("tenants.acme.limits.memory: needs \"99 MiB\""), "{second}");
    assert!(first.ends_with("(\"64 MiB\"): that keeps its value until a restart"), "{first}");
}

#[test]
fn of_many_errors_the_first_are_logged() {
    let server = Server::start("");
    let unknown: String = (0..20).map(|number| format!("unknown{number} = 1\n")).collect();
    server.write(&unknown);
    let (status, _, errors) = server.reload();
    assert_eq!((status, errors.lines().count()), (2, 20));
    let reason = || server.event("configuration not reloaded: nothing has changed")["reason"].clone();
    for line in errors.lines().take(8) {
        assert_eq!(reason(), line);
    }
    assert_eq!(reason(), "and 12 more: run `whelk check`");
}

#[test]
fn what_is_no_readable_file_is_an_error_at_once() {
    let server = Server::start("");
    let file = server.path("whelk.toml");
    let replace = |make: &dyn Fn()| {
        let _ = fs::remove_file(&file);
        make();
        refused(&server)
    };
    let problem = replace(&|| ());
    assert!(problem.contains("No such file"), "{problem}");
    let problem = replace(&|| mknodat(CWD, &file, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap());
    assert!(fs::metadata(&file).unwrap().file_type().is_fifo());
    assert!(problem.contains("is a pipe, which can be read once"), "{problem}");
    let problem = replace(&|| fs::File::create(&file).unwrap().set_len(100 << 20).unwrap());
    assert!(problem.contains("is larger than"), "{problem}");
    let problem = replace(&|| {
        fs::write(&file, text("")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    });
    assert!(problem.contains("whelk.toml"), "{problem}");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let problem = refused(&server);
    assert!(problem.contains("is a folder"), "{problem}");
    fs::remove_dir(&file).unwrap();
    server.write("");
    server.reloaded();
}

#[test]
fn a_file_that_changes_while_it_is_read_is_never_half_old_and_half_new() {
    let server = Server::start("");
    // The guest and so many others: each file is long enough to be read in pieces.
    let users = |count: usize| {
        let one = |number| format!("[users.user{number}]\nplugin = \"echo\"\nauth = \"none\"\n");
        (0..count).map(one).collect::<String>()
    };
    let (few, many) = (text(&users(300)), text(&users(2_000)));
    let (file, temporary, over) = (server.path("whelk.toml"), server.path("next"), AtomicBool::new(false));
    let writes = AtomicUsize::new(0);
    // No reload reads what the server was started with.
    fs::write(&temporary, &few).unwrap();
    fs::rename(&temporary, &file).unwrap();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let number = writes.fetch_add(1, Ordering::Relaxed);
                let next = if number.is_multiple_of(2) { &few } else { &many };
                if number % 4 < 2 {
                    fs::write(&temporary, next).unwrap();
                    fs::rename(&temporary, &file).unwrap();
                } else {
                    // Truncated, and written in place.
                    fs::write(&file, next).unwrap();
                }
            }
        });
        let (mut done, mut reloads) = (0, 0);
        while reloads < 40 || (writes.load(Ordering::Relaxed) <= 40 && !writer.is_finished()) {
            reloads += 1;
            let (status, out, errors) = server.reload();
            match status {
                0 => {
                    let users = server.event("configuration reloaded")["users"].as_u64().unwrap();
                    let is_whole = [301, 2_001].contains(&users);
                    // Otherwise the writer would go on for ever.
                    over.store(!is_whole, Ordering::Relaxed);
                    assert!(is_whole, "{users} users: {out}");
                    done += 1;
                }
                2 => assert!(!errors.is_empty()),
                other => panic!("{other}: {errors}"),
            }
        }
        over.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        assert!(done > 0, "each reload was refused");
        println!("{done} of {reloads} reloads succeeded while the file was replaced and rewritten all the time");
    });
    server.write("");
    assert_eq!(server.reloaded()["users"], 1);
}

#[test]
fn another_user_is_refused_with_the_reason() {
    assert!(rustix::process::geteuid().is_root(), "this test needs root, to ask as another user");
    let server = Server::start("");
    // The folder keeps others out already.
    let (status, _, errors) = outcome(&mut server.reload_as(65_534));
    assert_eq!(status, 1);
    assert!(errors.contains("only root and the user of the running whelk may ask it"), "{errors}");
    // Without that the server itself refuses.
    let open = |name: &str, mode| fs::set_permissions(server.path(name), fs::Permissions::from_mode(mode)).unwrap();
    let socket = fs::read_dir(server.path("state"))
        .unwrap()
        .map(Result::unwrap)
        .find(|entry| entry.file_type().unwrap().is_socket());
    let socket = format!("state/{}", socket.unwrap().file_name().into_string().unwrap());
    open("state", 0o755);
    open(&socket, 0o666);
    let (status, _, errors) = outcome(&mut server.reload_as(65_534));
    assert_eq!(status, 1);
    assert!(errors.contains("only root and the user of the server (uid 0) may ask; you are uid 65534"), "{errors}");
    // Nothing was reloaded: this one is the first.
    assert_eq!(server.reload().0, 0);
    let before = server.until("configuration reloaded");
    assert_eq!(before.iter().filter(|event| event["message"] == "configuration reloaded").count(), 1, "{before:?}");
}

#[test]
fn the_server_is_found_by_its_state_folder_or_its_configuration() {
    let server = Server::start("");
    let (status, _, errors) = server.run(&["reload", "--state", "elsewhere"]);
    assert_eq!((status, errors.as_str()), (1, "no whelk is running with the state folder elsewhere\n"));
    let (status, out, _) = server.run(&["reload", "--config", "whelk.toml"]);
    assert_eq!(status, 0, "{out}");
    server.event("configuration reloaded");
    // It is looked for in the folder of the next start.
    let elsewhere = text("").replace("state = \"state\"", "state = \"elsewhere\"");
    fs::write(server.path("moved.toml"), elsewhere).unwrap();
    let (status, _, errors) = server.run(&["reload", "--config", "moved.toml"]);
    assert_eq!(status, 1);
    assert!(errors.ends_with("(if `state` was changed, name the old folder by --state)\n"), "{errors}");
    let bad = format!("{GUEST}\nunknown = 1");
    fs::write(server.path("other.toml"), bad).unwrap();
    let (status, _, errors) = server.run(&["reload", "--config", "other.toml"]);
    assert_eq!((status, errors.contains("users.guest.unknown")), (2, true), "{errors}");
}
