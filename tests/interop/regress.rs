//! OpenSSH's own regress scripts, with `whelk serve` in the place of sshd.
//!
//! `regress/README.md` lists every script of OpenSSH's regression suite: passed, failed with a reason, or why it does
//! not apply. The tests run the scripts and compare. `regress/sshd.py` translates what a script writes for sshd, and
//! sessions run real commands by the plugin in `regress/relay`.

mod list;
mod run;

use std::collections::BTreeSet;
use std::sync::Mutex;

use whelk_tests::{figure, size};

use list::{Entry, Outcome, entries};
use run::{Scripts, script_names};

/// Scripts at the same time. Most of their time they sleep.
const AT_ONCE: usize = 6;

/// Those that take a few seconds each and cover most: in every run. All others run at full size.
const QUICK: [&str; 14] = [
    "banner",
    "brokenkeys",
    "cert-file",
    "connect",
    "connect-uri",
    "envpass",
    "exit-status-signal",
    "hostkey-rotate",
    "keys-command",
    "multipubkey",
    "proto-version",
    "proxy-connect",
    "transfer",
    "yes-head",
];

#[test]
fn the_list_names_every_script_once() {
    let listed: Vec<String> = entries().into_iter().map(|entry| entry.script).collect();
    let distinct: BTreeSet<&String> = listed.iter().collect();
    assert_eq!(distinct.len(), listed.len(), "a script is listed twice");
    let scripts = script_names();
    let missing: Vec<_> = scripts.iter().filter(|script| !listed.contains(script)).collect();
    let surplus: Vec<_> = listed.iter().filter(|script| !scripts.contains(script)).collect();
    assert!(missing.is_empty() && surplus.is_empty(), "not listed: {missing:?}; no such script: {surplus:?}");
    assert!(QUICK.iter().all(|quick| listed.iter().any(|script| script == quick)));
}

#[test]
fn every_script_comes_out_as_the_list_says() {
    let is_quick = |entry: &Entry| QUICK.contains(&entry.script.as_str());
    let entries: Vec<Entry> =
        entries().into_iter().filter(|entry| entry.runs() && (size(0, 1) == 1 || is_quick(entry))).collect();
    let scripts = Scripts::prepare();
    let left = Mutex::new(entries.iter().rev().collect::<Vec<_>>());
    let others = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = left.lock().expect("no thread panics while it holds the list").pop();
                    let Some(entry) = next else { break };
                    let (outcome, said) = scripts.run(&entry.script, &entry.left_out);
                    figure(&format!("OpenSSH's {}", entry.script), &outcome);
                    if !outcome.is_expected(&entry.outcome) {
                        let other = format!("{}: {outcome}, the list says {}\n{said}", entry.script, entry.outcome);
                        others.lock().expect("no thread panics while it holds the list").push(other);
                    }
                }
            });
        }
    });
    scripts.end();
    let others = others.into_inner().expect("the threads have ended");
    let passed = entries.iter().filter(|entry| entry.outcome == Outcome::Passed).count();
    figure("OpenSSH's regress scripts", format!("{} of {} that run pass", passed, entries.len()));
    assert!(others.is_empty(), "{}", others.join("\n"));
}
