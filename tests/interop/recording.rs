//! Recordings of sessions: played by asciinema and by `whelk play`, verified, bounded, and on disks that fail.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, prlimit};
use serde_json::Value;
use whelk_tests::{
    Call, Client, Finished, Gateway, Input, LATER, MIB, Running, SOON, Setup, client_program, figure, program,
    shipped_plugins, size,
};

use crate::terminal::Tmux;

/// Users of tenants that are recorded in different ways, and of one that is not.
const TENANTS: &str = "\
[users.alice]
plugin = \"sh\"
auth = \"none\"
tenant = \"acme\"
[users.must]
plugin = \"sh\"
auth = \"none\"
tenant = \"must\"
[users.bob]
plugin = \"sh\"
auth = \"none\"
tenant = \"plain\"
[users.flood]
plugin = \"probe\"
auth = \"none\"
tenant = \"small\"
[users.guest]
plugin = \"probe\"
auth = \"none\"
[tenants.acme.recording]
input = true
hmac = true
[tenants.acme.grants]
process = true
directory = { ephemeral = \"connection\" }
[tenants.must.recording]
required = true
rate = \"0 B\"
size = \"4 GiB\"
[tenants.must.grants]
process = true
directory = { ephemeral = \"connection\" }
[tenants.plain.grants]
process = true
directory = { ephemeral = \"connection\" }
[tenants.small.recording]
format = \"v3\"
size = \"1 MiB\"
";

/// A gateway with these programs beside the shell, and its audit.
fn gateway(programs: &[&str]) -> (Gateway, PathBuf) {
    let setup = Setup::default();
    let audit = setup.folder().join("audit.log");
    let text = format!("[audit]\nfile = \"{}\"\n{TENANTS}", audit.display());
    let setup = setup.configuration(&text).shell();
    for program in programs {
        let file = format!("{program}.wasm");
        fs::copy(shipped_plugins().join("bin").join(&file), setup.folder().join("shipped/bin").join(&file))
            .expect("it is built, and the folder is ours");
    }
    let gateway = setup.start();
    for program in programs {
        // It is compiled when somebody asks for it.
        ssh(&gateway, "bob").exec(program).run(Input::Nothing);
    }
    for program in programs.iter().chain(&["sh"]) {
        gateway.wait(program, |event| {
            (event.message == "program loaded" && event.field("plugin") == *program).then_some(())
        });
    }
    (gateway, audit)
}

/// The recordings of a tenant, the oldest first.
fn recordings(gateway: &Gateway, tenant: &str) -> Vec<PathBuf> {
    let folder = gateway.folder().join("state/recordings").join(tenant);
    let mut files: Vec<_> =
        fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("ours").path()).collect();
    files.sort_by_key(|file| fs::metadata(file).and_then(|facts| facts.modified()).expect("ours"));
    files
}

/// Waits until so many recordings have ended.
fn wait_for_ends(gateway: &Gateway, count: usize) {
    gateway.wait_all("ends of recordings", |events| {
        (events.iter().filter(|event| event.message == "recording has ended").count() >= count).then_some(())
    });
}

/// The events of a recording: codes and data.
fn events(file: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(file).expect("a recording is text");
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let parse = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        (event[1].as_str().expect("a code").to_owned(), event[2].as_str().expect("a text").to_owned())
    };
    whole.lines().skip(1).map(parse).collect()
}

/// What the events of one code say together.
fn said(file: &Path, code: &str) -> String {
    events(file).into_iter().filter(|(of, _)| of == code).map(|(_, data)| data).collect()
}

fn play(arguments: &[&str], file: &Path) -> Finished {
    let mut command = Command::new(program());
    command.arg("play").args(arguments).arg(file).env_remove("WHELK_LOG");
    Running::run(command, Input::Nothing, SOON)
}

/// What verification says of a recording that is as it was written.
fn verified(arguments: &[&str], file: &Path) -> String {
    let finished = play(&[&["--verify"], arguments].concat(), file);
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    finished.out.text()
}

/// What verification says of one that is not.
fn refused(arguments: &[&str], file: &Path) -> String {
    let finished = play(&[&["--verify"], arguments].concat(), file);
    assert_eq!(finished.status, Some(1), "{}", finished.out.text());
    finished.err
}

fn ssh(gateway: &Gateway, user: &str) -> Call {
    Call::new(Client::OpenSsh100, gateway, user)
}

#[test]
fn an_editor_is_played_by_asciinema_and_every_change_is_found() {
    let (gateway, audit) = gateway(&["vi"]);
    let mut editor = Tmux::open(&gateway, &ssh(&gateway, "alice").exec("vi notes").pty(), 80, 24);
    editor.wait_for_window(SOON, |window| window.text.contains('~').then_some(())).expect("an editor");
    editor.press(b"ihello editor\x1b");
    let editing =
        |tmux: &Tmux| tmux.wait_for_window(SOON, |window| window.text.contains("hello editor").then_some(window));
    editing(&editor).expect("what was typed");
    let [file] = &recordings(&gateway, "acme")[..] else { panic!("one recording") };
    // The recorder is a moment behind. Each look runs a program.
    let shown = (0..500).find_map(|_| {
        let window = editor.window();
        (said(file, "o") == editor.shown()).then_some(window)
    });
    let shown = shown.expect("all that the client was sent is recorded");
    let snapshot = gateway.folder().join("snapshot.cast");
    fs::copy(file, &snapshot).expect("our own folder");
    let mut asciinema = Command::new("sh");
    asciinema.args(["-c", "\"$0\" play --idle-time-limit 0.01 \"$1\"; exec cat"]).env("LC_ALL", "C.UTF-8");
    asciinema.arg(client_program("asciinema")).arg(&snapshot);
    let player = Tmux::start(gateway.folder(), &asciinema, 80, 24);
    let mut last = None;
    let played = player.wait_for_window(Duration::from_secs(20), |window| {
        let is_same = window == shown;
        last = Some(window);
        is_same.then_some(())
    });
    assert!(played.is_some(), "asciinema shows {last:#?}\nthe client {shown:#?}");
    editor.press(b":wq\r");
    editor.wait_for_exit();
    wait_for_ends(&gateway, 1);
    // While the folder with their sockets is there.
    drop((editor, player));
    // Keys of a program that reads keys are not input.
    assert_eq!(said(file, "i"), "");
    let text = play(&[], file);
    let text = text.out.text();
    assert!(text.contains("hello editor") && !text.contains('\u{1b}'), "{text:?}");
    // A second recording, to replace the first with.
    ssh(&gateway, "alice").exec("echo another").run(Input::Nothing);
    wait_for_ends(&gateway, 2);
    find_changes(&gateway, &audit, file);
    gateway.end();
}

/// Cuts, changes and replaces the first of two recordings.
fn find_changes(gateway: &Gateway, audit: &Path, file: &Path) {
    let (audit, state) = (audit.display().to_string(), gateway.folder().join("state").display().to_string());
    let (by_audit, by_key) = (["--audit", &audit], ["--state", &state]);
    let whole = fs::read(file).expect("it is there");
    assert!(verified(&by_audit, file).contains("2 records of the audit fit"));
    assert!(verified(&by_key, file).contains("the seals are of the key"));
    assert!(verified(&[], file).contains("this does not show who has written it"));
    let change = |bytes: &[u8]| fs::write(file, bytes).expect("the tests own it");
    for evidence in [&by_audit[..], &by_key, &[]] {
        change(&whole[..whole.len() / 2]);
        refused(evidence, file);
        let text = String::from_utf8(whole.clone()).expect("a recording is text");
        change(text.replacen("hello", "HELLO", 1).as_bytes());
        refused(evidence, file);
    }
    let files = recordings(gateway, "acme");
    let other = files.iter().find(|other| *other != file).expect("there are two");
    change(&fs::read(other).expect("it is there"));
    assert!(refused(&by_audit, file).contains("are others than the audit has"));
    // One that was made anew without the key, which is whole by itself.
    change(text_without_seals(&whole).as_bytes());
    assert!(refused(&by_key, file).contains("has no seals"));
    refused(&by_audit, file);
    change(&whole);
    verified(&[&by_audit[..], &by_key].concat(), file);
}

/// The first line without its seals, and nothing else.
fn text_without_seals(whole: &[u8]) -> String {
    let text = String::from_utf8_lossy(whole);
    text.lines().next().expect("a header").replace("\"hmac\":true", "\"hmac\":false") + "\n"
}

#[test]
fn commands_and_lines_that_are_typed_are_recorded_and_passwords_are_not() {
    let (gateway, _) = gateway(&["stty"]);
    let command = "printf 'out\\n'; printf 'err\\n' >&2; printf '\\033]52;c;eA==\\007done'";
    let finished = ssh(&gateway, "alice").exec(command).run(Input::Nothing);
    assert_eq!((finished.status, finished.err.as_str()), (Some(0), "err\n"));
    let reads = "read x; echo got $x; stty -echo; echo hidden; read y; stty echo; echo over";
    let mut typing = ssh(&gateway, "alice").exec(reads).pty().start();
    typing.type_in(b"a line\r");
    typing.wait_for_output("hidden");
    typing.type_in(b"a secret\r");
    typing.wait_for_output("over");
    typing.finish();
    wait_for_ends(&gateway, 2);
    let files = recordings(&gateway, "acme");
    let of = |text: &str| files.iter().find(|file| said(file, "o").contains(text)).expect("it is recorded");
    let first = of("out\n");
    let output = said(first, "o");
    assert!(output.contains("out\n") && output.contains("err\n") && output.ends_with("\u{1b}]52;c;eA==\u{7}done"));
    // The clipboard of who plays it is not set.
    assert!(play(&[], first).out.text().ends_with("done") && !play(&[], first).out.text().contains("52;"));
    let second = of("got a line");
    assert_eq!(said(second, "i"), "a line\r");
    let text = fs::read_to_string(second).expect("it is there");
    assert!(!text.contains("a secret"), "{text}");
    // Neither are sessions of a tenant without the table.
    ssh(&gateway, "bob").exec("echo plain").run(Input::Nothing);
    assert!(recordings(&gateway, "plain").is_empty() && recordings(&gateway, "acme").len() == 2);
    gateway.end();
}

#[test]
fn a_flood_without_a_newline_leaves_a_small_recording() {
    let (gateway, _) = gateway(&[]);
    let bytes = 100 * MIB;
    let call = ssh(&gateway, "flood").exec(&format!("zeros {bytes}"));
    let finished = call.run_within(Input::Nothing, LATER);
    assert_eq!((finished.status, finished.out.total), (Some(0), bytes), "{}", finished.err);
    wait_for_ends(&gateway, 1);
    let [file] = &recordings(&gateway, "small")[..] else { panic!("one recording") };
    assert!(fs::metadata(file).expect("it is there").len() <= MIB);
    assert!(verified(&[], file).contains("the recording is as long as `size` allows"));
    let reason =
        gateway.wait("why", |event| (event.message == "session cannot be recorded").then(|| event.field("reason")));
    assert_eq!(reason, "the recording is as long as `size` allows");
    gateway.end();
}

/// A session that must be recorded, and one that need not be, when the recordings can no longer be written.
fn without_recordings(gateway: &Gateway, reason: &str, breaks: impl FnOnce()) {
    let cat = |user: &str| {
        let mut cat = ssh(gateway, user).exec("while read x; do echo got $x; done").start();
        cat.type_in(b"first\n");
        cat.wait_for_output("got first");
        cat
    };
    let (mut must, mut may) = (cat("must"), cat("alice"));
    breaks();
    for session in [&mut must, &mut may] {
        session.type_in(format!("{} second\n", "x".repeat(3_000)).repeat(100).as_bytes());
    }
    let ended = must.finish();
    assert_ne!(ended.status, Some(0));
    assert!(ended.err.contains("this session has to be recorded, and the recording has failed"), "{}", ended.err);
    // No more than waits to be written.
    assert!(ended.out.total < 300_000, "{} bytes", ended.out.total);
    may.wait("all of it", |seen| (seen.out.total > 300_000).then_some(()));
    may.end_input();
    assert_eq!(may.finish().status, Some(0));
    let failures = gateway.wait_all("what has failed", |events| {
        let failed = events.iter().filter(|event| event.message == "session cannot be recorded");
        let reasons: Vec<_> = failed.map(|event| event.field("reason")).collect();
        (reasons.len() >= 2).then_some(reasons)
    });
    assert!(failures.len() == 2 && failures.iter().all(|failure| failure.contains(reason)), "{failures:?}");
}

#[test]
fn without_its_folder_a_session_ends_or_goes_on_as_the_tenant_has_it() {
    let (gateway, audit) = gateway(&[]);
    let folder = gateway.folder().join("state/recordings");
    without_recordings(&gateway, "No such file or directory", || {
        fs::rename(&folder, gateway.folder().join("elsewhere")).expect("our own folder");
    });
    // A new session cannot be recorded either: a file is in the place of the folder.
    fs::write(&folder, "").expect("our own folder");
    let refused = ssh(&gateway, "must").exec("echo unseen").run(Input::Nothing);
    assert!(refused.status != Some(0) && refused.out.text().is_empty(), "{}", refused.out.text());
    assert!(refused.err.contains("this session has to be recorded"), "{}", refused.err);
    assert_eq!(ssh(&gateway, "alice").exec("echo seen").run(Input::Nothing).out.text(), "seen\n");
    let text = fs::read_to_string(audit).expect("it is there");
    assert!(text.contains("\"session_recording_failed\"") && text.contains("is no folder"), "{text}");
    gateway.end();
}

#[test]
fn on_a_full_disk_a_session_ends_or_goes_on_as_the_tenant_has_it() {
    let (gateway, _) = gateway(&[]);
    // A file can become no longer than this: what a full disk does, for one process.
    without_recordings(&gateway, "File too large", || {
        let limit = Rlimit { current: Some(64 << 10), maximum: Some(64 << 10) };
        prlimit(Some(gateway.process()), Resource::Fsize, limit).expect("the process is ours");
    });
    for tenant in ["must", "acme"] {
        let [file] = &recordings(&gateway, tenant)[..] else { panic!("one recording") };
        // Whole lines alone stay, whether or not there was room for the last.
        let whole = fs::read_to_string(file).expect("it is there");
        assert!(whole.ends_with("]\n"), "{tenant}");
        assert!(said(file, "o").contains("got first"), "{tenant}");
    }
    gateway.end();
}

/// The processor time of the gateway for a command that writes so many lines.
fn cost(gateway: &Gateway, user: &str, lines: u64) -> Duration {
    let before = gateway.processor_time();
    let finished = ssh(gateway, user).exec(&format!("seq {lines}")).run_within(Input::Nothing, LATER);
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    gateway.processor_time() - before
}

#[test]
fn a_recording_of_much_output_costs_little_more_than_the_output() {
    let (gateway, _) = gateway(&["seq"]);
    let lines = size(1_000_000, 13_000_000);
    let (mut plain, mut recorded) = (Duration::MAX, Duration::MAX);
    // In turns, so that both see the same machine; the least of each, since other work only adds.
    for _ in 0..size(1, 5) {
        plain = plain.min(cost(&gateway, "bob", lines));
        recorded = recorded.min(cost(&gateway, "must", lines));
    }
    wait_for_ends(&gateway, 1);
    let file = recordings(&gateway, "must").pop().expect("a recording");
    let output = said(&file, "o").len() as u64;
    let ratio = recorded.as_secs_f64() / plain.as_secs_f64();
    let mb = output as f64 / 1e6;
    figure(&format!("processor time of {mb:.0} MB of output"), format!("{} ms", plain.as_millis()));
    figure("with a recording that is required", format!("{} ms, {ratio:.2} times that", recorded.as_millis()));
    assert!(ratio <= 1.3 || size(0, 1) == 0, "{ratio:.2}");
    gateway.end();
}
