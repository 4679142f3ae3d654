//! Scripts that a small grammar makes, executed by bash and by the shell: standard output and the status must be the
//! same. Each number is a script; one that fails is printed.
//!
//! Settings: `WHELK_PROVE` executes many more, `DIFFERENTIAL` is the number of one.

mod grammar;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const SCRIPTS: u64 = 400;
const SCRIPTS_OF_PROOFS: u64 = 20_000;

/// The shell under the name of bash, so that it has bash's language.
fn own(folder: &Path) -> PathBuf {
    let test = std::env::current_exe().expect("the path of the test");
    let program = test.parent().and_then(Path::parent).expect("target/PROFILE/deps").join("examples/native-sh");
    let link = folder.join("bash");
    std::os::unix::fs::symlink(program, &link).expect("a new link");
    link
}

/// What a shell makes of a script: its status and its output. None: it took too much time of the processor, as a loop
/// without end does.
fn run(shell: &Path, script: &Path, folder: &Path) -> Option<(Option<i32>, String)> {
    let output = Command::new("/usr/bin/dash")
        .args(["-c", "ulimit -t 2; exec timeout 20 \"$0\" \"$1\""])
        .arg(shell)
        .arg(script)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", "/home/tester")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .expect("dash runs");
    let status = output.status.code();
    // 124 is that of timeout.
    status.is_some_and(|status| status != 124).then(|| (status, String::from_utf8_lossy(&output.stdout).into_owned()))
}

fn compare(own: &Path, seed: u64) -> Option<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = grammar::script(seed);
    let path = folder.path().join("script");
    std::fs::write(&path, &script).expect("a new file");
    std::fs::write(folder.path().join("afile"), "").expect("a new file");
    let theirs = run(Path::new("/usr/bin/bash"), &path, folder.path())?;
    let ours = run(own, &path, folder.path());
    if ours.as_ref() == Some(&theirs) {
        return None;
    }
    Some(format!("script {seed}:\n{script}\nbash: {theirs:?}\nours: {ours:?}\n"))
}

#[test]
fn scripts_do_what_they_do_with_bash() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let own = own(folder.path());
    let one = std::env::var("DIFFERENTIAL").ok().and_then(|number| number.parse::<u64>().ok());
    let count = if std::env::var_os("WHELK_PROVE").is_some() { SCRIPTS_OF_PROOFS } else { SCRIPTS };
    let (next, end) = one.map_or((0, count), |one| (one, one + 1));
    let next = AtomicU64::new(next);
    let different = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= end {
                        return;
                    }
                    if let Some(difference) = compare(&own, seed) {
                        different.lock().expect("no thread has panicked").push(difference);
                    }
                }
            });
        }
    });
    let different = different.into_inner().expect("no thread has panicked");
    assert!(different.is_empty(), "{} scripts differ:\n{}", different.len(), different.join("\n"));
}
