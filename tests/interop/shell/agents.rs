//! Agents and CI jobs: scripts without a terminal, many commands over one connection, and the sandbox of the examples.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use whelk_tests::{Access, Call, Client, Gateway, Input, OPENSSH_VERSIONS, Running, SOON, Setup, program, size};

use super::master::Master;
use super::{Ran, gateway, ran, ready, run};

#[test]
fn a_script_is_quiet_and_what_it_says_to_either_stream_arrives_there_alone() {
    let gateway = gateway();
    let text = "echo 1; echo 2 >&2; printf 3; printf 4 >&2; { echo 5 >&2; } 2>/dev/null; exec 2>&1; echo 6 >&2; exit 9";
    for client in [Client::OpenSsh92, Client::OpenSsh100] {
        let call = || Call::new(client, &gateway, "alice");
        let expected = ran("1\n36\n", "2\n4", 9);
        assert_eq!(run(&call().exec(text), Input::Nothing), expected, "{client:?}");
        assert_eq!(run(&call(), Input::Bytes(text.as_bytes().to_vec())), expected, "{client:?}");
        assert_eq!(run(&call().exec(":"), Input::Nothing), ran("", "", 0));
        assert_eq!(run(&call(), Input::Nothing), ran("", "", 0));
    }
    gateway.end();
}

#[test]
fn a_signal_that_ends_the_script_itself_is_told_as_one() {
    let gateway = gateway();
    for name in ["TERM", "KILL", "INT", "HUP", "PIPE"] {
        let call = Call::new(Client::OpenSsh100, &gateway, "posix").option("-v").exec(&format!("kill -{name} $$"));
        let finished = call.run(Input::Nothing);
        // 255 is what OpenSSH makes of a signal (RFC 4254 §6.10).
        let told = finished.err.contains("rtype exit-signal");
        assert!(told && finished.status == Some(255), "{name}: {:?} {}", finished.status, finished.err);
    }
    gateway.end();
}

#[test]
fn hundreds_of_commands_run_over_one_connection_20_at_a_time() {
    let gateway = gateway();
    let master = Master::open(&gateway, OPENSSH_VERSIONS[1], "guest", &Access::Nothing, ":");
    let count = usize::try_from(size(300, 3000)).expect("it is small");
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                while let Some(number) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < count) {
                    let status = i32::try_from(number % 256).expect("it is small");
                    let command = format!("echo {number} | {{ read x; echo $((x + 1)); }}; echo e >&2; exit {status}");
                    let expected = ran(&format!("{}\n", number + 1), "e\n", status);
                    assert_eq!(run(&master.exec(&command), Input::Nothing), expected);
                }
            });
        }
    });
    master.close();
    gateway.end();
}

/// The example, with other values for some of its settings: (setting, value there, value here).
fn sandbox(changes: &[(&str, &str, &str)]) -> (Gateway, Access) {
    let mut printed = Command::new(program());
    printed.args(["config", "--example", "sandbox"]);
    let mut text = Running::run(printed, Input::Nothing, SOON).out.text();
    for (setting, there, here) in changes {
        let (from, to) = (format!("{setting} = \"{there}\""), format!("{setting} = \"{here}\""));
        assert!(text.contains(&from), "the example has no {from}");
        text = text.replace(&from, &to);
    }
    let setup = Setup::default();
    let (access, line) = Access::fresh_key();
    std::fs::write(setup.folder().join("agents.pub"), line).expect("our own folder");
    (ready(setup.configuration(&text).utilities().start()), access)
}

#[test]
fn the_example_of_a_sandbox_does_what_it_says() {
    let changes = [
        ("bytes", "256 MiB", "8 MiB"),
        ("tmp_bytes", "64 MiB", "4 MiB"),
        ("cpu_program", "1 min", "1 s"),
        ("memory_program", "128 MiB", "24 MiB"),
    ];
    let (gateway, access) = sandbox(&changes);
    let version = OPENSSH_VERSIONS[1];
    let alone = |command: &str| {
        let call = Call::new(Client::OpenSsh100, &gateway, "agent").access(access.clone());
        run(&call.exec(command), Input::Nothing)
    };
    assert_eq!(alone("printf \"b\\na\\n\" | sort"), ran("a\nb\n", "", 0));
    assert_eq!(alone("echo $LANG; pwd; ls -A"), ran("C.UTF-8\n/\nbin\ndev\ntmp\nusr\n", "", 0));
    let substituted = "bash -c 'cat -n <(echo one) file <(echo two)'";
    assert_eq!(
        alone(&format!("echo kept > file; {substituted}")),
        ran("     1\tone\n     2\tkept\n     3\ttwo\n", "", 0)
    );
    // A link to a program of the table runs it.
    let linked = "ln -s /usr/bin/basename . && ln -s bin/wc wc && ./basename a/b && ./wc -c </dev/null";
    assert_eq!(alone(linked), ran("b\n0\n", "", 0));
    let master = Master::open(&gateway, version, "agent", &access, "echo kept > file");
    let run_here = |command: &str| run(&master.exec(command), Input::Nothing);
    assert_eq!(run_here("cat file"), ran("kept\n", "", 0));
    let copy = gateway.folder().join("copy");
    let mut scp = master.tool("scp");
    scp.arg("agent@127.0.0.1:file").arg(&copy);
    assert_eq!(Running::run(scp, Input::Nothing, SOON).status, Some(0));
    assert_eq!(std::fs::read_to_string(copy).expect("scp has written it"), "kept\n");
    assert_eq!(alone("cat file"), ran("", "cat: file: No such file or directory\n", 1));
    // Each limit in the words of its error, for its owner alone.
    let fill = |path: &str| format!("while printf '%100000d' 1; do :; done > {path}; exit 3");
    for (command, said, status) in [
        (fill("big"), "Disk quota exceeded", 3),
        (fill("/tmp/big"), "Disk quota exceeded", 3),
        ("bash -c 'while :; do :; done'".to_owned(), "bash: cpu budget exhausted", 152),
        ("bash -c 'x=$(yes | head -c 40M)'".to_owned(), "bash: out of memory", 137),
        ("exec 3<>/dev/tcp/127.0.0.1/1".to_owned(), "/dev/tcp/127.0.0.1/1: No such file or directory", 1),
    ] {
        let Ran { err, status: ended, .. } = run_here(&command);
        assert!(err.contains(said) && ended == Some(status), "{command}: {ended:?} {err}");
        assert_eq!(alone("echo served | cat"), ran("served\n", "", 0), "beside {command}");
    }
    master.close();
    let audit = std::fs::read_to_string(gateway.folder().join("audit.log")).expect("the example names it");
    assert!(audit.contains("cat file") && audit.contains("agent"), "{audit}");
    gateway.end();
}
