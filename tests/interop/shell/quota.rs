//! A home that is full: an error for whoever fills it, and nothing for others.

use whelk_tests::{Call, Client};

use super::{gateway_with_utilities, ran, script};

#[test]
fn a_program_that_fills_its_home_gets_an_error_and_its_neighbours_go_on() {
    let gateway = gateway_with_utilities();
    // The C library under Rust's knows one error of streams only; the shell has the host's own.
    let full = "yes: standard output: I/O error\nsh: line 1: echo: write error: Disk quota exceeded\n";
    let filled = script(&gateway, "other", "yes > file; echo $?; wc -c < file; echo more >> file; echo $?");
    assert_eq!((filled.out.as_str(), filled.err.as_str()), ("1\n1048576\n1\n", full), "{filled:?}");
    // What is removed can be written again.
    let again = script(&gateway, "other", "yes > file 2> /dev/null; rm file; echo kept > file; cat file");
    assert_eq!(again, ran("kept\n", "", 0));
    // One that does it without end.
    let endless = "echo ready; while :; do yes > file; rm file; done 2> /dev/null";
    let greedy = Call::new(Client::OpenSsh100, &gateway, "other").exec(endless).start();
    greedy.wait_for_output("ready");
    for user in ["other", "alice", "posix"] {
        for round in 0..5 {
            let written = script(&gateway, user, &format!("echo {round} > file; sort file"));
            assert_eq!(written, ran(&format!("{round}\n"), "", 0), "{user}");
        }
    }
    assert!(greedy.is_alive(), "{}", greedy.said());
    greedy.kill_and_wait();
    assert_eq!(script(&gateway, "other", "echo a > file; cat file"), ran("a\n", "", 0));
    gateway.end();
}
