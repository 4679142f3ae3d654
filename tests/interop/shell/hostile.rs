//! Input that no shell should get: an error, or a wait for its owner alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use whelk_tests::{Call, Client, Gateway, Input, Running, SOON, size};

use super::{Ran, gateway, gateway_with, ran, run, script};

/// The script of a file.
fn run_file(gateway: &Gateway, user: &str, name: &str) -> Ran {
    let call = Call::new(Client::OpenSsh100, gateway, user).exec(&format!("bash /data/{name}"));
    let finished = call.run_long(Input::Nothing);
    Ran { out: finished.out.text(), err: finished.err, status: finished.status }
}

/// The user of another tenant is served.
fn assert_neighbour_is_served(gateway: &Gateway) {
    assert_eq!(script(gateway, "other", "echo a | { read x; echo $x; }"), ran("a\n", "", 0));
}

#[test]
fn long_scripts_long_words_and_deep_nesting_are_an_error_or_nothing_special() {
    let count = usize::try_from(size(100_000, 1_000_000)).expect("it is small");
    let depth = 100_000;
    let nested = |open: &str, close: &str| format!("{}:{}\n", open.repeat(depth), close.repeat(depth));
    let data = [
        ("lines", format!("{}echo $x\n", "x=1\n".repeat(count))),
        ("word", format!("x={}\necho ${{#x}}\n", "a".repeat(10_000_000))),
        ("parentheses", nested("( ", " )")),
        ("substitutions", format!("echo {}\n", nested("$(echo ", ")").trim_end())),
        ("parameters", format!("echo {}\n", nested("${x:-", "}").trim_end())),
        ("function", "f() { f; }\nf\n".to_owned()),
        ("functions", "f() { for i in 1; do case x in x) { ( f ); };; esac; done; }\nf\n".to_owned()),
        ("text", "x='eval \"$x\"'\neval \"$x\"\n".to_owned()),
        ("test", "f() { [ ".to_owned() + &"\\( ".repeat(95) + "x" + &" \\)".repeat(95) + " ]; f; }\nf\n"),
        ("expansion", format!("f() {{ : {}; f; }}\nf\n", "${x:-".repeat(90) + &"}".repeat(90))),
    ];
    let gateway = gateway_with(&data);
    assert_eq!(run_file(&gateway, "alice", "lines"), ran("1\n", "", 0));
    assert_eq!(run_file(&gateway, "alice", "word"), ran("10000000\n", "", 0));
    for (name, _) in &data[2..] {
        let Ran { out, err, status } = run_file(&gateway, "alice", name);
        let told = ["nested too deep", "recursion level exceeded", "unexpected"].iter().any(|what| err.contains(what));
        // Neither a signal, nor the end of the instance.
        assert!(told && out.is_empty() && matches!(status, Some(1 | 2)), "{name}: {status:?} {out}{err}");
    }
    assert_neighbour_is_served(&gateway);
    gateway.end();
}

/// The neighbour is served while a script comes over the connection and is read, each time within a few seconds.
fn run_beside_neighbour(gateway: &Gateway, call: &Call, input: Vec<u8>) -> Ran {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let neighbour = scope.spawn(|| {
            let mut served = 0;
            while served == 0 || !ended.load(Ordering::Relaxed) {
                let began = Instant::now();
                assert_neighbour_is_served(gateway);
                assert!(began.elapsed() < SOON / 4, "the neighbour waited {:?}", began.elapsed());
                served += 1;
            }
        });
        let finished = call.run_long(Input::Bytes(input));
        ended.store(true, Ordering::Relaxed);
        neighbour.join().expect("the neighbour is served");
        Ran { out: finished.out.text(), err: finished.err, status: finished.status }
    })
}

#[test]
fn long_and_deep_scripts_from_standard_input_and_as_a_command_keep_no_neighbour_waiting() {
    let gateway = gateway();
    let count = usize::try_from(size(100_000, 1_000_000)).expect("it is small");
    let word = usize::try_from(size(1_000_000, 10_000_000)).expect("it is small");
    let call = || Call::new(Client::OpenSsh100, &gateway, "alice");
    let lines = format!("{}echo $x\n", "x=1\n".repeat(count)).into_bytes();
    assert_eq!(run_beside_neighbour(&gateway, &call(), lines), ran("1\n", "", 0));
    let long = format!("x={}\necho ${{#x}}\n", "a".repeat(word)).into_bytes();
    assert_eq!(run_beside_neighbour(&gateway, &call(), long), ran(&format!("{word}\n"), "", 0));
    let nested = format!("{}:{}\n", "( ".repeat(100_000), " )".repeat(100_000)).into_bytes();
    let told = |Ran { out, err, status }: Ran| {
        assert!(err.contains("line 1: ") && err.contains("nested too deep"), "{err}");
        assert!(out.is_empty() && status == Some(2), "{status:?} {out}");
    };
    told(run_beside_neighbour(&gateway, &call(), nested));
    // The longest argument of a program is 128 KiB under Linux, and that of `ssh` is the command.
    told(run_beside_neighbour(&gateway, &call().exec(&"( ".repeat(60_000)), Vec::new()));
    let unfinished = run(&call().exec("echo a\nif true; then\necho b\n"), Input::Nothing);
    let expected = "bash: line 4: syntax error: unexpected end of file\n";
    assert_eq!(unfinished, ran("a\n", expected, 2));
    gateway.end();
}

#[test]
fn a_pattern_over_ten_thousand_files_is_expanded() {
    let gateway = gateway();
    let command = "for i in {1..10000}; do : > f$i; done; set -- f*; echo $#";
    let call = Call::new(Client::OpenSsh100, &gateway, "alice").exec(command);
    assert_eq!(run_beside_neighbour(&gateway, &call, Vec::new()), ran("10000\n", "", 0));
    gateway.end();
}

/// A session that does something without end, once it has begun.
fn endless(gateway: &Gateway, command: &str) -> Running {
    let running = Call::new(Client::OpenSsh100, gateway, "alice").exec(&format!("echo begun; {command}")).start();
    running.wait_for_output("begun");
    running
}

#[test]
fn what_never_ends_keeps_nobody_else_from_working() {
    let gateway = gateway();
    let running: Vec<_> =
        ["while :; do :; done", "while :; do ( : ); done", "while :; do echo; done | while :; do :; done"]
            .iter()
            .map(|command| endless(&gateway, command))
            .collect();
    for _ in 0..5 {
        assert_neighbour_is_served(&gateway);
    }
    running.into_iter().for_each(Running::kill_and_wait);
    gateway.end();
}

#[test]
fn a_fork_bomb_is_told_of_its_limit_and_nobody_else_notices() {
    let gateway = gateway();
    let bomb = Call::new(Client::OpenSsh100, &gateway, "alice").exec(":(){ :|:& }; :; while :; do :; done").start();
    bomb.wait_for_stderr("Resource temporarily unavailable");
    for _ in 0..5 {
        assert_neighbour_is_served(&gateway);
    }
    bomb.kill_and_wait();
    // Its own user, too, has processes again.
    let until_served = || script(&gateway, "alice", "echo a | { read x; echo $x; }") == ran("a\n", "", 0);
    let began = std::time::Instant::now();
    while !until_served() {
        assert!(began.elapsed() < SOON, "processes of the session that has ended are still there");
    }
    gateway.end();
}

#[test]
fn a_full_home_is_an_error_of_the_write() {
    let gateway = gateway();
    let line = "y".repeat(1000);
    let Ran { err, status, .. } = script(&gateway, "other", &format!("while echo {line}; do :; done > file; exit 7"));
    assert!(err.contains("Disk quota exceeded") && status == Some(7), "{status:?} {err}");
    assert_neighbour_is_served(&gateway);
    gateway.end();
}
