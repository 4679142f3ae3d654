//! Input that no shell should get: an error, or a wait for its owner alone.

use whelk_tests::{Call, Client, Gateway, Input, Running, SOON, size};

use super::{Ran, gateway, gateway_with, ran, script};

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

#[test]
fn a_pattern_over_ten_thousand_files_is_expanded() {
    let gateway = gateway();
    let command = "for i in {1..10000}; do : > f$i; done; set -- f*; echo $#";
    let finished = Call::new(Client::OpenSsh100, &gateway, "alice").exec(command).run_long(Input::Nothing);
    assert_eq!((finished.out.text().as_str(), finished.err.as_str()), ("10000\n", ""));
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
