//! `whelk hash-password` on a terminal, and logins with what it and other programs have made.

use std::process::Command;

use whelk_tests::{Access, Call, Client, Finished, Input, PASSWORD, Running, SOON, Setup, client_program, program};

/// Types these lines.
fn typed(lines: &[&str]) -> Finished {
    let mut command = Command::new(client_program("python"));
    command.arg(whelk_tests::repository().join("tests/interop/typed.py")).arg(program());
    command.args(["hash-password", "--"]).args(lines);
    Running::run(command, Input::Nothing, SOON)
}

#[test]
fn a_password_is_asked_twice_without_echo_and_its_hash_logs_in() {
    let finished = typed(&[PASSWORD, PASSWORD]);
    let shown = finished.out.text();
    assert_eq!(finished.status, Some(0), "{shown}{}", finished.err);
    assert!(shown.starts_with("Password: ") && shown.contains("Repeat the password: "), "{shown}");
    assert!(!shown.contains(PASSWORD) && !shown.contains("correct"), "the terminal shows it: {shown}");
    let hash = shown.lines().find(|line| line.starts_with("$argon2id$")).expect("it prints a hash");
    // The others are crypt(3)'s, with few rounds, of the same password.
    let users = [
        ("argon2", hash),
        ("sha256", "$5$rounds=1000$saltstring$MGHTVAK1OdWrxoC7LJKeycAtdF/rZJH8EE46Glj/aT6"),
        (
            "sha512",
            "$6$saltstring$qvPJY4PeugKzKQqyIJ0gRdJnpS0uaaiZ.X1SaheFedsK/yZPwlluTLS90fJPM41sD5JxCHKgGr1..qt5HqEY8.",
        ),
        ("yescrypt", "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$y8e1eitiNDaQsFFW6d.9KbSTlk5zV3R3coZQtfcNAO5"),
    ];
    let table = |(name, hash): &(&str, &str)| format!("[users.{name}]\nplugin = \"probe\"\npassword = \"{hash}\"\n");
    let gateway = Setup::default().configuration(&users.iter().map(table).collect::<String>()).start();
    for (user, _) in users {
        for (access, status) in [(Access::right_password(), 5), (Access::password("wrong"), 255)] {
            let call = Call::new(Client::OpenSsh100, &gateway, user).access(access).exec("exit 5");
            let finished = call.run(Input::Nothing);
            assert_eq!(finished.status, Some(status), "{user}: {}", finished.err);
        }
    }
    gateway.end();
}

#[test]
fn two_different_passwords_make_no_hash() {
    let finished = typed(&[PASSWORD, "correct horse battery stable"]);
    let shown = finished.out.text();
    assert_eq!(finished.status, Some(2), "{shown}");
    assert!(shown.contains("the two passwords differ") && !shown.contains("$argon2"), "{shown}");
}

#[test]
fn an_unusable_password_is_refused_before_it_is_asked_again() {
    let long = "x".repeat(1025);
    for (line, why) in [("", "is empty"), (long.as_str(), "more than 1024 bytes")] {
        let finished = typed(&[line]);
        let shown = finished.out.text();
        assert_eq!(finished.status, Some(2), "{shown}");
        assert!(shown.contains(why) && !shown.contains("again"), "{shown}");
    }
}
