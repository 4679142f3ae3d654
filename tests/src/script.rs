//! Shell scripts that other programs run in tests.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes a shell script that can be executed at once.
///
/// A process of its own writes it. If this process did, a child that another thread starts meanwhile would have the
/// file open for writing for a moment, and executing it would fail (ETXTBSY).
pub fn write_script(path: &Path, text: &str) {
    let mut shell = Command::new("sh")
        .args(["-c", "umask 077 && cat > \"$0\" && chmod 700 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("there is a shell");
    let mut stdin = shell.stdin.take().expect("it was asked to be a pipe");
    stdin.write_all(format!("#!/bin/sh\n{text}\n").as_bytes()).expect("the shell reads all of it");
    drop(stdin);
    let status = shell.wait().expect("the shell is ours");
    assert!(status.success(), "{} cannot be written: {status}", path.display());
}
