//! `whelk hash-password` with a pipe instead of a terminal. A terminal is in `tests/interop/hash_password.rs`.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::io::Write;
use std::process::{Command, Stdio};

use whelk::credential::PasswordHash;

/// Runs it with this standard input: status, standard output, standard error.
fn hash(input: &[u8]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whelk"));
    command.arg("hash-password").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have ended before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_first_line_of_a_pipe_is_hashed() {
    for input in ["pässword\n", "pässword", "pässword\r\n", "pässword\nmore\n"] {
        let (status, stdout, stderr) = hash(input.as_bytes());
        assert_eq!((status, stderr.as_str()), (Some(0), ""));
        let made = stdout.strip_suffix('\n').unwrap();
        assert!(made.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{made}");
        let made = PasswordHash::parse(made).unwrap();
        assert_eq!((made.verify("pässword".as_bytes()), made.verify(b"more")), (Ok(true), Ok(false)));
    }
}

#[test]
fn what_cannot_be_a_password_ends_with_status_2_and_no_hash() {
    let long = [b'x'; 1025];
    for (input, why) in [(&b""[..], "empty"), (b"\n", "empty"), (&long, "more than 1024 bytes"), (b"\xff\n", "UTF-8")] {
        let (status, stdout, stderr) = hash(input);
        assert_eq!((status, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert!(stderr.contains(why), "{stderr}");
    }
}
