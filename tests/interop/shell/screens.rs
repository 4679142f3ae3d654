//! Sessions of a person at a terminal: tmux presses the keys, and the window is compared after each step.
//!
//! The sessions are the files beside this one, `screens/*.txt`; [`transcript`] says how they are read. With
//! `WHELK_BLESS=1` the rows are written anew, to be looked at; `SESSIONS=jobs,paging` chooses. Where a file says
//! `beside bash`, bash on this machine goes through the same steps in the same kind of window, and has to show the
//! same, or what the file says that it shows.

mod picture;
mod transcript;
mod view;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use transcript::{Action, Transcript};
use whelk_tests::{
    Access, Call, Client, Gateway, Input, LATER, OPENSSH_OPTIONS, SOON, Setup, client_program, repository, write_script,
};

use crate::terminal::{Tmux, Window};

/// How long nothing happens in a window before its rows are written down.
const QUIET: Duration = Duration::from_millis(1500);

/// The files that a home has at the beginning: a short prompt, no greeting, and what the sessions use.
const SKELETON: [(&str, &str); 6] = [
    (".profile", "PS1='$ '\n"),
    (".hushlogin", ""),
    ("two words.txt", "two words\n"),
    ("twelve.txt", "twelve\n"),
    // Who sees its first line knows that the job runs.
    ("slow.sh", "echo begun\nsleep 1000\n"),
    ("poem.txt", include_str!("screens/poem.txt")),
];

fn is_blessed() -> bool {
    std::env::var_os("WHELK_BLESS").is_some_and(|value| value == "1")
}

fn file(name: &str) -> PathBuf {
    repository().join("tests/interop/shell/screens").join(name)
}

/// Goes through the steps of a session in windows with this command. Returns what went wrong.
fn go_through(transcript: &mut Transcript, bash: bool, folder: &Path, command: &Command) -> Result<Window, String> {
    // Whoever types before the prompt types to another program.
    let begin = |(columns, rows)| {
        let tmux = Tmux::start(folder, command, columns, rows);
        let mut shown = String::new();
        let prompt = tmux.wait_for_window(SOON, |window| {
            shown = window.text;
            shown.contains('$').then_some(())
        });
        prompt.map(|()| tmux).ok_or(format!("no prompt: {shown}"))
    };
    let size = transcript.size;
    let mut tmux = begin(size)?;
    let mut wrong = String::new();
    for step in &mut transcript.steps {
        for action in &step.actions {
            match action {
                Action::Press(keys) => tmux.press(keys),
                Action::Paste(text) => tmux.paste(text),
                Action::Resize(columns, rows) => tmux.resize(*columns, *rows),
                Action::LogIn => tmux = begin(size)?,
            }
        }
        let title = step.title.clone();
        // What bash shows as well is written down as it is here.
        let written = is_blessed() && (!bash || step.differs);
        let expected = step.expected(bash);
        let mut last = Vec::new();
        let found = tmux.wait_for_window(if is_blessed() { QUIET } else { SOON }, |window| {
            last = view::rows(&window);
            (last == *expected && !is_blessed()).then_some(())
        });
        if written {
            *expected = last;
        } else if found.is_none() && last != *expected {
            let rows = |rows: &[String]| rows.iter().map(|row| format!("  | {row}\n")).collect::<String>();
            wrong += &format!("\n== {title}\nexpected:\n{}shown:\n{}", rows(expected), rows(&last));
            if !is_blessed() {
                break;
            }
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok(tmux.window())
}

/// bash on this machine, with a home of its own.
fn local_bash(home: &Path) -> Command {
    let mut command = Command::new("env");
    command.args(["-i", "-C"]).arg(home).arg(format!("HOME={}", home.display()));
    command.args(["PATH=/usr/bin:/bin", "TERM=screen-256color", "LC_ALL=C.UTF-8", "LESSHISTFILE=-"]);
    // Without it what was pasted is reversed until the next key.
    let settings = home.join(".inputrc");
    std::fs::write(settings, "set enable-active-region off\n").expect("our own folder");
    command.args(["PS1=$ ", "/usr/bin/bash", "--noprofile", "--login", "-i"]);
    command
}

fn write_home(folder: &Path) {
    std::fs::create_dir_all(folder).expect("our own folder");
    for (name, text) in SKELETON {
        std::fs::write(folder.join(name), text).expect("our own folder");
    }
}

/// The session of a file, with the shell and, where the file says so, with bash.
fn compare(name: &str, gateway: &Gateway, access: &Access) -> Result<(), String> {
    let told = |who: &str, error: String| format!("{name}, {who}: {error}");
    let mut transcript = Transcript::read(&file(&format!("{name}.txt")));
    let call = Call::new(Client::OpenSsh100, gateway, name).access(access.clone()).pty();
    go_through(&mut transcript, false, gateway.folder(), &call.command()).map_err(|error| told("the shell", error))?;
    let mut compared = Ok(());
    if transcript.beside_bash {
        let home = gateway.folder().join("bash").join(name);
        write_home(&home);
        let bash = go_through(&mut transcript, true, gateway.folder(), &local_bash(&home));
        compared = bash.map(drop).map_err(|error| told("bash", error));
    }
    if is_blessed() {
        transcript.write();
    }
    compared
}

/// Lets programs be compiled, as they are when they are first needed: no step waits for that. Status 126 says that one
/// is not ready yet.
pub(super) fn warm_up(call: &Call, names: &str) {
    let once = "while $name --version >/dev/null 2>&1; status=$?; [ $status = 126 ]; do :; done";
    let script = format!("for name in {names}; do {once}; [ $status = 0 ] || exit $status; done");
    let call = call.clone().exec(&script);
    let began = Instant::now();
    // The shell itself may not be ready either.
    while call.run_long(Input::Nothing).status != Some(0) {
        assert!(began.elapsed() < LATER, "{names} are not compiled in time");
    }
}

/// The sessions, each of a user with a home of its own.
const SESSIONS: [&str; 9] =
    ["editing", "completing", "recalling", "repeating", "resizing", "jobs", "long-commands", "paging", "vi"];

#[test]
fn a_person_sees_at_each_step_what_bash_and_readline_show() {
    let setup = Setup::default();
    write_home(&setup.folder().join("skel"));
    std::fs::create_dir(setup.folder().join("homes")).expect("our own folder");
    let (access, line) = Access::fresh_key();
    std::fs::write(setup.folder().join("keys"), line).expect("our own folder");
    let users = SESSIONS.map(|user| format!("[users.{user}]\nplugin = \"bash\"\nauthorized_keys = \"keys\"\n"));
    let configuration = format!(
        "{}[tenants.default.grants]\nprocess = true\ndirectory = {{ path = \"homes/{{principal}}\", from = \"skel\" }}\n",
        users.concat()
    );
    let gateway = setup.configuration(&configuration).utilities().start();
    warm_up(&Call::new(Client::OpenSsh100, &gateway, SESSIONS[0]).access(access.clone()), "ls less vi");
    let chosen = |name: &&str| match std::env::var("SESSIONS") {
        Ok(names) => names.split(',').any(|chosen| chosen == *name),
        Err(_) => true,
    };
    let failed: Vec<String> = std::thread::scope(|scope| {
        let (gateway, access) = (&gateway, &access);
        let started = |name| scope.spawn(move || compare(name, gateway, access));
        let all: Vec<_> = SESSIONS.into_iter().filter(chosen).map(started).collect();
        all.into_iter().filter_map(|one| one.join().expect("comparing does not panic").err()).collect()
    });
    assert!(failed.is_empty(), "{} sessions:\n{}", failed.len(), failed.join("\n"));
    gateway.end();
}

/// The picture of the README.
const PICTURE: &str = "first-minute.svg";

/// A shell of this machine, where `ssh -p 2222` leads to a gateway.
fn local_shell(gateway: &Gateway) -> Command {
    let folder = gateway.folder().join("path");
    std::fs::create_dir(&folder).expect("our own folder");
    let (ssh, port) = (client_program("ssh-10.0"), gateway.port());
    // Of several ports the first one counts.
    let script =
        format!("exec '{}' -p {port} {} -oPubkeyAuthentication=no \"$@\"", ssh.display(), OPENSSH_OPTIONS.join(" "));
    write_script(&folder.join("ssh"), &script);
    let mut command = Command::new("env");
    command.arg("-i").args(["TERM=screen-256color", "PS1=$ "]);
    command.arg(format!("PATH={}:/usr/bin:/bin", folder.display())).args(["dash", "-i"]);
    command
}

#[test]
fn the_first_minute_of_the_demonstration_is_as_its_picture_shows() {
    let gateway = Setup::default().utilities().start();
    warm_up(&Call::new(Client::OpenSsh100, &gateway, "shell"), "ls awk");
    let mut transcript = Transcript::read(&file("first-minute.txt"));
    let shown = go_through(&mut transcript, false, gateway.folder(), &local_shell(&gateway));
    let shown = shown.unwrap_or_else(|error| panic!("{error}"));
    let picture = picture::svg(&shown, transcript.size);
    if is_blessed() {
        transcript.write();
        std::fs::write(file(PICTURE), picture).expect("the repository can be written");
    } else {
        let kept = std::fs::read_to_string(file(PICTURE)).expect("the repository has the picture");
        assert!(kept == picture, "the window is no longer as in {PICTURE}: WHELK_BLESS=1 draws it anew");
    }
    gateway.end();
}
