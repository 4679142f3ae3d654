//! Live sessions of users who may no longer log in end, and new keys work at once, without any signal.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use whelk_tests::{Access, Call, Client, Gateway, Input, Running, Setup, figure, size};

/// [`whelk_tests::PASSWORD`], hashed in two ways.
const ARGON2: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$S2aaE/TDH5padCF7ghv7mQ$zTtmCdY6SFbI2apkX35/ITFUAXb78e7qQvuvwf9UZLs";
const BCRYPT: &str = "$2b$10$FttUNdMv55OQFxMpuB8xKOKDBWEbs1ffv0KuBydMHAs/icx4lL3DC";

/// What was promised; a busy machine has more time in the short form.
fn most() -> Duration {
    Duration::from_secs(size(20, 2))
}

/// The folder of the keys of a setup, and an empty list of revoked ones.
fn key_folder(setup: &Setup) -> std::path::PathBuf {
    let folder = setup.folder().join("keys");
    fs::create_dir(&folder).expect("our own folder");
    fs::write(folder.join("revoked"), "").expect("our own folder");
    folder
}

/// Replaces a file as careful programs do.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("our own folder");
    fs::rename(new, path).expect("our own folder");
}

/// A session that answers.
fn session(gateway: &Gateway, user: &str, access: &Access) -> Running {
    let mut running = Call::new(Client::OpenSsh100, gateway, user).access(access.clone()).exec("cat").start();
    running.type_in(b"first\n");
    running.wait_for_output("first");
    running
}

fn still_answers(running: &mut Running, text: &str) {
    running.type_in(format!("{text}\n").as_bytes());
    running.wait_for_output(text);
}

/// Waits for the end of a session whose key is gone, and returns how long it took from `began`.
fn ended(running: Running, began: Instant) -> Duration {
    told(running, "the key of this login may no longer be used");
    began.elapsed()
}

/// Waits for the end of a session that is told this.
fn told(running: Running, text: &str) {
    // Its input stays open until then: the end of that would be one of the session's.
    running.wait_soon("end of the session", |seen| seen.status);
    let finished = running.finish();
    assert_eq!(finished.status, Some(255), "{}", finished.err);
    assert!(finished.err.contains(text), "{}", finished.err);
}

fn logs_in(gateway: &Gateway, user: &str, access: &Access) -> bool {
    let finished =
        Call::new(Client::OpenSsh100, gateway, user).access(access.clone()).exec("exit 5").run(Input::Nothing);
    finished.status == Some(5)
}

/// Alice has a file of keys, and Bob one and a key in the configuration.
fn alice_and_bob(setup: Setup, line: &str) -> Gateway {
    let configuration = format!(
        "revoked_keys = \"keys/revoked\"\n\
         [users.alice]\nplugin = \"probe\"\nauthorized_keys = \"keys/alice\"\n\
         [users.bob]\nplugin = \"probe\"\nkeys = [\"{}\"]\nauthorized_keys = \"keys/bob\"\n",
        line.trim()
    );
    setup.configuration(&configuration).start()
}

#[test]
fn a_key_that_is_taken_away_or_revoked_ends_its_sessions_and_a_new_one_works_at_once() {
    let setup = Setup::default();
    let keys = key_folder(&setup);
    let (bystander, line) = Access::fresh_key();
    let gateway = alice_and_bob(setup, &line);
    let mut neighbour = session(&gateway, "bob", &bystander);
    let (mut removed, mut revoked) = (Vec::new(), Vec::new());
    let mut all_revoked = String::new();
    for round in 0..size(2, 10) {
        let ((one, one_line), (two, two_line)) = (Access::fresh_key(), Access::fresh_key());
        assert!(!logs_in(&gateway, "alice", &one), "the key is not there yet");
        replace(&keys.join("alice"), &format!("{one_line}{two_line}"));
        let (first, mut second) = (session(&gateway, "alice", &one), session(&gateway, "alice", &two));
        replace(&keys.join("alice"), &two_line);
        removed.push(ended(first, Instant::now()));
        still_answers(&mut second, "second");
        all_revoked += &two_line;
        replace(&keys.join("revoked"), &all_revoked);
        revoked.push(ended(second, Instant::now()));
        assert!(!logs_in(&gateway, "alice", &two), "the key is revoked");
        still_answers(&mut neighbour, &format!("round {round}"));
    }
    for (what, times) in [("taken out of authorized_keys", &removed), ("added to revoked_keys", &revoked)] {
        let slowest = times.iter().max().expect("there were some");
        let title = format!("end of a live session whose key was {what}, slowest of {}", times.len());
        figure(&title, format!("{slowest:?}"));
        assert!(*slowest < most(), "{what}: {times:?}");
    }
    let reasons: Vec<String> = gateway.wait_all("reasons", |events| {
        let ended = events.iter().filter(|event| event.message == "connection is ended: its login was revoked");
        let reason = |event: &whelk_tests::Event| format!("{} {}", event.field("user"), event.field("reason"));
        let reasons: Vec<String> = ended.map(reason).collect();
        (reasons.len() == removed.len() + revoked.len()).then_some(reasons)
    });
    assert!(reasons.contains(&"alice the user no longer has the key".to_owned()), "{reasons:?}");
    assert!(reasons.contains(&"alice it is revoked".to_owned()), "{reasons:?}");
    neighbour.end_input();
    assert_eq!(neighbour.finish().status, Some(0));
    gateway.end();
}

#[test]
fn a_file_that_an_editor_writes_anew_ends_nothing() {
    let setup = Setup::default();
    let keys = key_folder(&setup);
    let (key, line) = Access::fresh_key();
    let (other, other_line) = Access::fresh_key();
    fs::write(keys.join("alice"), &line).expect("our own folder");
    let gateway = alice_and_bob(setup, &line);
    let mut edited = session(&gateway, "alice", &key);
    fs::rename(keys.join("alice"), keys.join("alice~")).expect("our own folder");
    fs::write(keys.join("alice"), format!("# edited\n{line}")).expect("our own folder");
    // By the end of this session both files were looked at since.
    replace(&keys.join("bob"), &other_line);
    let gone = session(&gateway, "bob", &other);
    fs::remove_file(keys.join("bob")).expect("our own folder");
    ended(gone, Instant::now());
    still_answers(&mut edited, "edited");
    edited.end_input();
    assert_eq!(edited.finish().status, Some(0));
    gateway.end();
}

#[test]
fn a_reload_ends_the_sessions_of_those_who_may_no_longer_log_in() {
    let user = |name: &str, credential: &str| format!("[users.{name}]\nplugin = \"probe\"\n{credential}\n");
    let password = |hash: &str| format!("password = \"{hash}\"");
    let (key, line) = Access::fresh_key();
    let key_of = format!("keys = [\"{}\"]", line.trim());
    let before = [
        user("removed", &key_of),
        user("keyless", &key_of),
        user("changed", &password(ARGON2)),
        user("stays", &key_of),
        user("password", &password(ARGON2)),
    ];
    let after = [
        user("keyless", &password(ARGON2)),
        user("changed", &password(BCRYPT)),
        user("stays", &format!("{key_of}\n{}", password(BCRYPT))),
        user("password", &password(ARGON2)),
        user("new", &key_of),
    ];
    let gateway = Setup::default().configuration(&before.concat()).start();
    let right = Access::right_password();
    let [removed, keyless, mut stays] = ["removed", "keyless", "stays"].map(|name| session(&gateway, name, &key));
    let [changed, mut kept] = ["changed", "password"].map(|name| session(&gateway, name, &right));
    let configuration = gateway.configuration().expect("it has one").to_owned();
    let began = Instant::now();
    replace(&configuration, &format!("penalty_exempt = [\"127.0.0.0/8\"]\n{}", after.concat()));
    gateway.signal(rustix::process::Signal::HUP);
    told(removed, "this account may no longer log in");
    told(keyless, "the key of this login may no longer be used");
    told(changed, "the password of this login is no longer valid");
    let took = began.elapsed();
    figure("end of the live sessions of three users by a reload", format!("{took:?}"));
    assert!(took < most(), "{took:?}");
    assert!(logs_in(&gateway, "new", &key) && !logs_in(&gateway, "removed", &key));
    still_answers(&mut stays, "stays");
    still_answers(&mut kept, "kept");
    for running in [stays, kept] {
        let mut running = running;
        running.end_input();
        assert_eq!(running.finish().status, Some(0));
    }
    gateway.end();
}

#[test]
fn a_setting_keeps_sessions_and_lets_nobody_in() {
    let setup = Setup::default();
    let keys = key_folder(&setup);
    let (key, line) = Access::fresh_key();
    let (other, other_line) = Access::fresh_key();
    fs::write(keys.join("alice"), &line).expect("our own folder");
    let users = "[users.alice]\nplugin = \"probe\"\nauthorized_keys = \"keys/alice\"\n";
    let gateway = setup.configuration(&format!("end_revoked = false\n{users}")).start();
    let mut kept = session(&gateway, "alice", &key);
    replace(&keys.join("alice"), &other_line);
    assert!(!logs_in(&gateway, "alice", &key) && logs_in(&gateway, "alice", &other));
    still_answers(&mut kept, "kept");
    kept.end_input();
    assert_eq!(kept.finish().status, Some(0));
    gateway.end();
}

#[test]
fn a_file_in_the_home_lets_its_user_in_and_leads_nowhere_else() {
    let setup = Setup::default();
    let home = setup.folder().join("home");
    fs::create_dir_all(home.join(".ssh")).expect("our own folder");
    let list = home.join(".ssh/authorized_keys");
    let (key, line) = Access::fresh_key();
    let users = "[tenants.default.grants]\ndirectory = { path = \"home\", access = \"read-write\" }\n\
                 [users.alice]\nplugin = \"probe\"\nauthorized_keys = \"{home}/.ssh/authorized_keys\"\n";
    let foreign = setup.folder().join("foreign");
    fs::write(&foreign, &line).expect("our own folder");
    let gateway = setup.configuration(users).start();
    assert!(!logs_in(&gateway, "alice", &key), "there is no file");
    fs::write(&list, &line).expect("our own folder");
    let live = session(&gateway, "alice", &key);
    let began = Instant::now();
    fs::remove_file(&list).expect("our own folder");
    figure("end of a live session whose file of keys was removed", format!("{:?}", ended(live, began)));
    symlink(&foreign, &list).expect("our own folder");
    assert!(!logs_in(&gateway, "alice", &key), "a link leads out of the home");
    fs::remove_file(&list).expect("our own folder");
    rustix::fs::mknodat(rustix::fs::CWD, &list, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).expect("a FIFO");
    assert!(!logs_in(&gateway, "alice", &key), "a FIFO is no file");
    fs::remove_file(&list).expect("our own folder");
    fs::File::create(&list).and_then(|file| file.set_len(100 << 20)).expect("our own folder");
    assert!(!logs_in(&gateway, "alice", &key), "too large");
    let told: Vec<String> = gateway.wait_all("why", |events| {
        let told = events.iter().filter(|event| event.message == "key file not used");
        let told: Vec<String> = told.map(|event| event.field("reason")).collect();
        ["cannot be read", "is not a regular file", "is larger than"]
            .iter()
            .all(|why| told.iter().any(|reason| reason.contains(why) && reason.contains("home/.ssh/authorized_keys")))
            .then_some(told)
    });
    assert!(!told.is_empty());
    gateway.end();
}
