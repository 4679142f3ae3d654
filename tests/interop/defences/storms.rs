//! Storms of connections before the login: key exchanges, resets, and more connections than there are open files.

use whelk_tests::{Access, Call, Client, Gateway, Input, MIB, Running, Setup, figure, size};

/// A gateway where `guest` may log in, and where nobody gets penalties: each connection of a storm is served.
fn gateway(setup: Setup) -> Gateway {
    setup.configuration("[users.guest]\nplugin = \"probe\"\nauth = \"none\"\n").start()
}

/// Our own client with these options, once it is ready and has been told to begin.
fn siege(gateway: &Gateway, options: &str, command: &str) -> Running {
    let call = Call::new(Client::Ours, gateway, "guest").option("--siege");
    let call = options.split(' ').fold(call, |call, option| call.option(option));
    let call = if command.is_empty() { call } else { call.exec(command) };
    let mut running = call.start_long();
    running.wait_for_output("ready");
    running.type_in(b"go\n");
    running
}

fn leave(mut attacker: Running) -> String {
    attacker.type_in(b"enough\n");
    attacker.finish().out.text()
}

fn logs_in(gateway: &Gateway) {
    let finished = Call::new(Client::OpenSsh100, gateway, "guest").exec("exit 5").run(Input::Nothing);
    assert_eq!(finished.status, Some(5), "{}", finished.err);
}

/// Some time after a storm the gateway has as few open files as before. Each login gives it the time.
fn assert_no_files_left(gateway: &Gateway, before: usize) {
    let is_over = (0..100).any(|_| {
        logs_in(gateway);
        gateway.open_files() <= before
    });
    assert!(is_over, "{} open files, and {before} before", gateway.open_files());
}

/// The 99th percentile of the time of a keystroke, in microseconds.
fn keystrokes(gateway: &Gateway) -> u64 {
    let count = size(200, 2000).to_string();
    let told = siege(gateway, &format!("keys --count {count}"), "cat");
    told.wait_for_output(" most ");
    let text = leave(told);
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "p99").expect("it says so");
    words.get(at + 1).and_then(|word| word.parse().ok()).expect("a number follows")
}

// F4
#[test]
fn sixty_four_loops_of_key_exchanges_do_not_stop_a_session() {
    let gateway = gateway(Setup::default());
    let idle = keystrokes(&gateway);
    let storm = siege(&gateway, "exchanges --count 0 --rate 100000 --at-once 64 --addresses 64", "");
    storm.wait_for_output("attacking");
    let beside = keystrokes(&gateway);
    logs_in(&gateway);
    let told = leave(storm);
    let count = told.lines().find_map(|line| line.strip_suffix(" connections")).expect("it says how many");
    figure("p99 of a keystroke, idle and beside 64 loops of key exchanges, us", format!("{idle}, {beside} ({count})"));
    // The storm's clients take their part of this machine's processors, too.
    assert!(size(0, 1) == 0 || beside < 100_000, "{beside} us");
    gateway.end();
}

// F8
#[test]
fn connections_that_end_at_once_leave_nothing_behind() {
    let gateway = gateway(Setup::default());
    logs_in(&gateway);
    let (files, memory) = (gateway.open_files(), gateway.resident_memory());
    let count = size(2_000, 50_000);
    let storm = siege(&gateway, &format!("resets --count {count} --rate 100000 --at-once 64 --addresses 64"), "");
    storm.wait_for_output("done");
    let told = storm.finish().out.text();
    assert_no_files_left(&gateway, files);
    let left = gateway.resident_memory().saturating_sub(memory);
    figure(&format!("memory that {count} connections leave behind that end at once, MiB"), left / MIB);
    assert!(left <= 32 * MIB, "{left} bytes; {told}");
    gateway.end();
}

// O4
#[test]
fn more_connections_than_open_files_take_no_processor_time_and_leave_nothing_behind() {
    let gateway = gateway(Setup::default().under(&["prlimit", "--nofile=256:256"]));
    let count = size(400, 1000);
    logs_in(&gateway);
    let files = gateway.open_files();
    let silent = siege(&gateway, &format!("silent --count {count} --addresses 100"), "");
    silent.wait_for_output("all have come");
    let (before, started) = (gateway.processor_time(), std::time::Instant::now());
    for _ in 0..size(10, 100) {
        // They come too fast for anybody else: see `gate`.
        let refused = Call::new(Client::OpenSsh100, &gateway, "guest").option("-v").exec("exit 5").run(Input::Nothing);
        assert!(refused.status == Some(5) || refused.err.contains("Exceeded MaxStartups"), "{}", refused.err);
    }
    let used = gateway.processor_time().saturating_sub(before).as_secs_f64() / started.elapsed().as_secs_f64();
    figure("processors that more connections than open files take", format!("{used:.2}"));
    assert!(used < 0.7, "{used} processors");
    assert!(gateway.open_files() <= 256);
    leave(silent);
    assert_no_files_left(&gateway, files);
    gateway.end();
}

/// Keys of an agent are no guesses: the limit of attempts ends the connection with OpenSSH's words, and nobody is
/// refused for it.
#[test]
fn the_seventh_key_of_an_agent_is_not_tried() {
    let (setup, (_, line)) = (Setup::default(), Access::fresh_key());
    std::fs::write(setup.folder().join("keys"), &line).expect("our own folder");
    let text = "penalty_exempt = []\n[users.guest]\nplugin = \"probe\"\nauthorized_keys = \"keys\"\n";
    let gateway = setup.configuration(text).start();
    let keys: Vec<Access> = (0..8).map(|_| Access::fresh_key().0).collect();
    for _ in 0..5 {
        let call = Call::new(Client::OpenSsh100, &gateway, "guest").access(keys[0].clone()).exec("exit 5");
        let call = keys[1..].iter().fold(call, |call, key| match key {
            Access::Key(keys) => call.option(&format!("-oIdentityFile={}", keys.openssh().display())),
            _ => call,
        });
        let finished = call.run(Input::Nothing);
        assert!(finished.err.contains("Too many authentication failures"), "{}", finished.err);
        assert!(!finished.err.contains("Not allowed"), "{}", finished.err);
    }
    gateway.end();
}
