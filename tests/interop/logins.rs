//! Logins while passwords are being guessed: what wrong passwords cost, and how they affect users with the right one.

use std::time::Instant;

use whelk_tests::{Access, Call, Client, Event, Gateway, Input, MIB, Running, Setup, figure, size};

/// [`whelk_tests::PASSWORD`] as in the example of `whelk config`: 19 MiB for each attempt.
const ARGON2: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$S2aaE/TDH5padCF7ghv7mQ$zTtmCdY6SFbI2apkX35/ITFUAXb78e7qQvuvwf9UZLs";
/// The same with bcrypt at a cost of 12: a quarter of a second of processor time.
const BCRYPT: &str = "$2b$12$FttUNdMv55OQFxMpuB8xKO9P3DGGXD3Hm.0ym061pqUK24Vc6IXNW";
/// The hash of another password, at a cost of 16: about four seconds.
const SLOW: &str = "$2b$16$FttUNdMv55OQFxMpuB8xKO9P3DGGXD3Hm.0ym061pqUK24Vc6IXNW";

/// A gateway with one user, and room for guessers.
fn gateway(hash: &str, more: &str) -> Gateway {
    let limits = "unauthenticated_per_source = 200\n";
    let users = format!("[users.alice]\nplugin = \"probe\"\npassword = \"{hash}\"\n");
    Setup::default().configuration(&format!("[limits]\n{limits}{more}\n{users}")).start()
}

/// Wrong passwords for a user on this many connections at once, which have all begun. A `count` of 0 means without end.
fn guess(gateway: &Gateway, user: &str, count: u64, at_once: u64, addresses: u64) -> Running {
    let options = [("--count", count), ("--at-once", at_once), ("--addresses", addresses)];
    let call = Call::new(Client::Ours, gateway, user).option("--siege").option("guesses");
    let call = options.iter().fold(call, |call, (name, value)| call.option(name).option(&value.to_string()));
    let mut running = call.start_long();
    running.wait_for_output("ready");
    running.type_in(b"go\n");
    running.wait_for_output("guessing");
    running
}

fn stop(mut guesses: Running) {
    guesses.type_in(b"stop\n");
    let finished = guesses.finish();
    assert!(!finished.out.text().contains("right"), "{}", finished.out.text());
}

/// Logs in with the right password and runs a command; returns how long that took, in seconds.
fn log_in(gateway: &Gateway, user: &str) -> f64 {
    let started = Instant::now();
    let call = Call::new(Client::Ours, gateway, user).access(Access::right_password()).exec("exit 5");
    let finished = call.run_long(Input::Nothing);
    assert_eq!(finished.status, Some(5), "an honest login failed: {}", finished.err);
    started.elapsed().as_secs_f64()
}

/// Prints the figures of some times in seconds.
fn tell(name: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
    figure(name, format!("{} logins, p50 {:.2} s, p99 {:.2} s, most {:.2} s", times.len(), at(50), at(99), at(100)));
}

/// How many passwords were rejected after the first event that `from` picks and before the first later one that `to`
/// picks.
fn rejections(events: &[Event], from: usize, to: usize) -> usize {
    events[from..to].iter().filter(|event| event.message == "rejected").count()
}

/// For each successful login: how many wrong passwords were answered between the start of its connection and its
/// success.
fn answered_before(gateway: &Gateway) -> Vec<usize> {
    gateway.wait_all("logins", |events| {
        let logins = events.iter().enumerate().filter(|(_, event)| event.message == "authenticated");
        let before = logins.map(|(to, login)| {
            let opened = |event: &Event| {
                event.message == "connection opened" && event.field("connection") == login.field("connection")
            };
            let from = events.iter().position(opened).expect("a connection is opened before its login");
            rejections(events, from, to)
        });
        Some(before.collect())
    })
}

#[test]
fn wrong_passwords_leak_no_memory_and_take_little_at_once() {
    let gateway = gateway(ARGON2, "");
    let limit = 256 * MIB;
    let group = gateway.limit_memory(limit);
    // What the first logins allocate, such as threads and their heaps, is not a leak.
    guess(&gateway, "alice", 48, 12, 1).wait_for_output("done");
    let before = gateway.resident_memory();
    let count = size(300, 3_000);
    guess(&gateway, "alice", count, 12, 1).wait_for_output("done");
    let (after, peak) = (gateway.resident_memory(), gateway.peak_memory());
    let grouped = if group.is_some() { "in a group of 256 MiB" } else { "without a group" };
    let mib = |bytes: u64| bytes / MIB;
    figure(
        &format!("memory of {count} wrong passwords of 19 MiB, {grouped}"),
        format!("{} MiB before, {} after, {} at most", mib(before), mib(after), mib(peak)),
    );
    assert!(after < before + 10 * MIB, "{} MiB before, {} after {count} guesses", mib(before), mib(after));
    assert!(peak < limit, "{} MiB", mib(peak));
    log_in(&gateway, "alice");
    gateway.end();
    drop(group);
}

#[test]
fn guesses_from_one_address_delay_no_login_from_another() {
    let gateway = gateway(BCRYPT, "");
    let guesses = guess(&gateway, "alice", 0, 60, 1);
    let times: Vec<f64> = (0..size(4, 60)).map(|_| log_in(&gateway, "alice")).collect();
    stop(guesses);
    tell("honest logins beside 60 guessers of one address, bcrypt 12", times);
    // The password that was being hashed, and those that were answered during the key exchange; never all sixty.
    let before = answered_before(&gateway);
    assert!(before.iter().all(|answered| *answered < 30), "guesses answered before each honest login: {before:?}");
    gateway.end();
}

#[test]
fn the_right_password_logs_in_beside_guesses_from_many_addresses() {
    let gateway = gateway(BCRYPT, "");
    let addresses = size(20, 60);
    let guesses = guess(&gateway, "alice", 0, addresses, addresses);
    let times: Vec<f64> = (0..size(3, 20)).map(|_| log_in(&gateway, "alice")).collect();
    stop(guesses);
    tell(&format!("honest logins beside guessers of {addresses} addresses, bcrypt 12"), times);
    // A login waits for at most one guess of each address. The address of the first login is known afterwards and goes
    // first, but not twice in a round.
    let before = answered_before(&gateway);
    let round = usize::try_from(addresses).expect("a small number") + 10;
    assert!(before.iter().all(|answered| *answered < round), "guesses answered before each honest login: {before:?}");
    assert!(before[1] < 15, "guesses answered before each honest login: {before:?}");
    gateway.end();
}

#[test]
fn a_password_that_cannot_be_checked_in_time_is_not_reported_as_wrong() {
    let more = format!(
        "authentication_grace = \"1 s\"\nhashing = 1\n[users.slow]\nplugin = \"probe\"\npassword = \"{SLOW}\"\n"
    );
    let gateway = gateway(BCRYPT, &more);
    let guesses = guess(&gateway, "slow", 0, 1, 1);
    let call = Call::new(Client::OpenSsh100, &gateway, "alice").access(Access::right_password()).exec("exit 5");
    let finished = call.run(Input::Nothing);
    assert_eq!(finished.status, Some(255), "{}", finished.err);
    assert!(finished.err.contains("too many logins at the moment, try again"), "{}", finished.err);
    let told = |event: &Event| event.message.starts_with("login not decided") && event.field("user") == "alice";
    let event = gateway.wait("an overload in the log", |event| told(event).then(|| event.clone()));
    assert!(
        event.level == "WARN" && event.field("reason").contains("no hashing slot became free in time"),
        "{}",
        event.line
    );
    gateway.wait_all("no rejection", |events| {
        let rejected = events.iter().any(|event| event.message == "rejected" && event.field("user") == "alice");
        assert!(!rejected, "logged as a wrong password");
        Some(())
    });
    stop(guesses);
    gateway.end();
}

#[test]
fn a_user_without_credentials_logs_in_whatever_the_client_offers_first() {
    // No other user has a password or a key: the listed methods must lead clients to try theirs all the same.
    let configuration = "[users.guest]\nplugin = \"probe\"\nauth = \"none\"\n";
    let gateway = Setup::default().configuration(configuration).start();
    let shown = [Access::Nothing, Access::password("any"), Access::password(""), Access::fresh_key().0];
    for client in Client::ALL {
        for access in &shown {
            let call = Call::new(client, &gateway, "guest").access(access.clone()).exec("exit 5");
            let finished = call.run(Input::Nothing);
            assert_eq!(finished.status, Some(5), "{client:?} with {access:?}: {}", finished.err);
        }
    }
    let methods = gateway.wait_all("logins", |events| {
        let logins = events.iter().filter(|event| event.message == "authenticated");
        let methods: Vec<String> = logins.map(|event| event.field("method")).collect();
        (methods.len() == Client::ALL.len() * shown.len()).then_some(methods)
    });
    assert!(methods.iter().all(|method| method == "none"), "{methods:?}");
    gateway.end();
}

#[test]
fn a_failed_login_is_logged_with_the_refused_keys_that_used_up_the_attempts() {
    let gateway =
        gateway(BCRYPT, "[users.bob]\nplugin = \"echo\"\nkeys = [\"KEY\"]\n".replace("KEY", &bobs_key()).as_str());
    let keys: Vec<Access> = (0..8).map(|_| Access::fresh_key().0).collect();
    let mut call = Call::new(Client::OpenSsh100, &gateway, "alice").access(keys[0].clone()).exec("exit 5");
    for key in &keys[1..] {
        let Access::Key(key) = key else { panic!("it is a key") };
        call = call.option("-i").option(key.openssh().to_str().expect("a temporary folder has a plain name"));
    }
    let finished = call.run(Input::Nothing);
    assert!(finished.err.contains("Too many authentication failures"), "{}", finished.err);
    let failed = gateway.wait("end of the login", |event| (event.message == "login failed").then(|| event.clone()));
    assert_eq!((failed.field("user"), failed.field("keys")), ("alice".to_owned(), "6".to_owned()), "{}", failed.line);
    assert!(failed.field("reason").contains("(6 were keys)"), "{}", failed.line);
    let refused = gateway.wait_all("keys", |events| {
        let refused = events.iter().filter(|event| event.message == "rejected" && event.level == "INFO");
        Some(refused.map(|event| (event.field("algorithm"), event.field("fingerprint"))).collect::<Vec<_>>())
    });
    assert_eq!(refused.len(), 6, "one line for each: {refused:?}");
    for (algorithm, fingerprint) in refused {
        assert!(algorithm == "ssh-ed25519" && fingerprint.starts_with("SHA256:"), "{algorithm} {fingerprint}");
    }
    gateway.end();
}

/// paramiko signs at once, without `none` or a query before; OpenSSH begins with `none`.
#[test]
fn a_user_without_credentials_logs_in_with_a_key_that_cannot_be_verified() {
    let gateway = Setup::default().configuration("[users.guest]\nplugin = \"probe\"\nauth = \"none\"\n").start();
    let clients = [Client::Paramiko, Client::OpenSsh100];
    for kind in ["ecdsa", "rsa"] {
        let key = Access::fresh_key_of(kind).0;
        for client in clients {
            let finished = Call::new(client, &gateway, "guest").access(key.clone()).exec("exit 5").run(Input::Nothing);
            assert_eq!(finished.status, Some(5), "{client:?} with a key of type {kind}: {}", finished.err);
        }
    }
    let logins = gateway.wait_all("logins", |events| {
        let logins = events.iter().filter(|event| event.message == "authenticated");
        let logins: Vec<_> = logins.map(|event| (event.field("user"), event.field("method"))).collect();
        (logins.len() == 2 * clients.len()).then_some(logins)
    });
    assert!(logins.iter().all(|login| *login == ("guest".to_owned(), "none".to_owned())), "{logins:?}");
    gateway.end();
}

/// A public key that no user here has, so that keys are worth offering.
fn bobs_key() -> String {
    Access::fresh_key().1.trim().to_owned()
}
