//! The command as an operator meets it: exit status, what is printed, what is logged. No connection is needed here.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

const GUEST: &str = "[users.guest]\nplugin = \"echo\"\nauth = \"none\"\n";

/// A folder with a plugin folder and a place for state.
fn place() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    fs::write(folder.path().join("plugins/echo.wasm"), "").unwrap();
    folder
}

fn whelk(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whelk"));
    command.args(arguments).current_dir(folder).env_remove("WHELK_LOG").env("XDG_STATE_HOME", folder.join("state"));
    command
}

fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = whelk(folder, arguments).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A server that is stopped when the test ends, however it ends.
struct Server {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStderr>>,
}

impl Server {
    fn start(folder: &Path, arguments: &[&str]) -> Server {
        Server::spawn(whelk(folder, arguments))
    }

    /// The same, started by whoever has changed what SIGHUP is to its children: an option of env(1).
    fn start_by(option: &str, folder: &Path, arguments: &[&str]) -> Server {
        let inner = whelk(folder, arguments);
        let mut command = Command::new("env");
        command.arg(option).arg(inner.get_program()).args(inner.get_args()).current_dir(folder);
        command.env_remove("WHELK_LOG").env("XDG_STATE_HOME", folder.join("state"));
        Server::spawn(command)
    }

    fn spawn(mut command: Command) -> Server {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Server { child, lines }
    }

    /// The next line of the log that holds `text`.
    fn line(&mut self, text: &str) -> String {
        self.lines.by_ref().map(Result::unwrap).find(|line| line.contains(text)).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn status(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails when it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_wrong_command_line_is_status_2() {
    let place = place();
    for arguments in [&["serve", "--banana"][..], &["banana"], &["serve", "--listen", "example.org"], &["check"], &[]] {
        let (status, _, stderr) = run(place.path(), arguments);
        assert_eq!(status, 2, "{arguments:?}: {stderr}");
        assert!(stderr.contains("Usage") || stderr.contains("--help"), "{stderr}");
    }
    assert_eq!(run(place.path(), &["--help"]).0, 0);
    assert_eq!(run(place.path(), &["--version"]).1, concat!("whelk ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn without_a_configuration_only_loopback_is_listened_on() {
    let place = place();
    for address in ["0.0.0.0:0", "[::]:0", "192.168.0.1:2222", "[fe80::1]:2222"] {
        let (status, stdout, stderr) = run(place.path(), &["serve", "--listen", address]);
        assert_eq!((status, stdout.as_str()), (2, ""));
        assert_eq!(stderr, format!("a configuration is needed to listen on {address}\n"));
    }
    assert!(!place.path().join("state").exists(), "nothing is written by a start that is refused");
}

#[test]
fn the_demonstration_says_what_it_is_and_ends_cleanly_on_either_signal() {
    for (address, signal) in [("127.0.0.1:0", Signal::TERM), ("localhost:0", Signal::INT)] {
        let place = place();
        let mut server = Server::start(place.path(), &["serve", "--listen", address]);
        server.line("DEMONSTRATION: anyone on this machine can log in");
        let line = server.line("listening");
        let (_, bound) = line.split_once("address=127.0.0.1:").unwrap();
        assert_ne!(bound.parse::<u16>().unwrap(), 0);
        server.signal(signal);
        server.line("stopped");
        assert_eq!(server.status(), Some(0));
    }
}

#[test]
fn signals_that_mean_nothing_to_a_server_are_told_and_it_goes_on() {
    let place = place();
    let text = format!("listen = [\"127.0.0.1:0\"]\nstate = \"state\"\n{GUEST}");
    fs::write(place.path().join("whelk.toml"), text).unwrap();
    // Whoever runs the tests may have them ignore SIGHUP.
    let mut server = Server::start_by("--default-signal=HUP", place.path(), &["serve", "--config", "whelk.toml"]);
    server.line("listening");
    server.signal(Signal::HUP);
    let line = server.line("signal=SIGHUP");
    assert!(line.contains("SIGHUP: the configuration is not re-read yet; restart to apply changes"), "{line}");
    let others = [
        (Signal::USR1, "SIGUSR1"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::VTALARM, "SIGVTALRM"),
        (Signal::PROF, "SIGPROF"),
        (Signal::IO, "SIGIO"),
        (Signal::POWER, "SIGPWR"),
        (Signal::STKFLT, "SIGSTKFLT"),
        (Signal::XFSZ, "SIGXFSZ"),
    ];
    for (signal, name) in others {
        server.signal(signal);
        assert!(server.line(&format!("signal={name}")).contains("signal ignored"), "{name}");
    }
    server.signal(Signal::TERM);
    server.line("stopped");
    assert_eq!(server.status(), Some(0));
}

#[test]
fn a_closed_terminal_drains_a_demonstration_unless_it_was_started_to_outlive_it() {
    let place = place();
    let arguments = ["serve", "--listen", "127.0.0.1:0"];
    let mut server = Server::start_by("--default-signal=HUP", place.path(), &arguments);
    server.line("listening");
    server.signal(Signal::HUP);
    server.line("signal=SIGHUP");
    server.line("stopped");
    assert_eq!(server.status(), Some(0));
    // As nohup(1) does.
    let mut server = Server::start_by("--ignore-signal=HUP", place.path(), &arguments);
    server.line("listening");
    server.signal(Signal::HUP);
    server.signal(Signal::USR1);
    let until: Vec<String> =
        server.lines.by_ref().map(Result::unwrap).take_while(|line| !line.contains("SIGUSR1")).collect();
    assert!(until.iter().all(|line| !line.contains("stopping")), "{until:?}");
    server.signal(Signal::TERM);
    assert_eq!(server.status(), Some(0));
}

#[test]
fn a_log_that_nobody_reads_keeps_the_server_neither_from_serving_nor_from_ending() {
    let place = place();
    let (reader, writer) = std::io::pipe().unwrap();
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
    let mut filler = fs::OpenOptions::new().write(true).custom_flags(flags).open(path).unwrap();
    // Both streams are one pipe, as under many supervisors.
    let mut command = whelk(place.path(), &["serve", "--listen", "127.0.0.1:0"]);
    let child = command.stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap();
    drop(command);
    let mut lines = BufReader::new(reader).lines();
    let line = lines.by_ref().map(Result::unwrap).find(|line| line.contains("listening")).unwrap();
    let (_, address) = line.split_once("address=").unwrap();
    // From here on nobody reads. Each of these leaves two lines, more than the queue and the pipe hold together.
    for _ in 0..8_000 {
        let mut greeting = [0; 4];
        TcpStream::connect(address).unwrap().read_exact(&mut greeting).unwrap();
        assert_eq!(&greeting, b"SSH-");
    }
    // Not even a short line finds room any more.
    while filler.write(b".").is_ok() {}
    let pid = Pid::from_child(&child);
    let (tell, told) = channel();
    let waiting = std::thread::spawn(move || tell.send({ child }.wait().unwrap().code()).unwrap());
    kill_process(pid, Signal::TERM).unwrap();
    let status = told.recv_timeout(Duration::from_secs(60));
    if status.is_err() {
        // Or it stays when the test is over.
        kill_process(pid, Signal::KILL).unwrap();
    }
    waiting.join().unwrap();
    assert_eq!(status, Ok(Some(0)));
    drop(lines);
}

#[test]
fn in_json_a_start_that_fails_is_told_by_one_object() {
    let place = place();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    fs::write(place.path().join("whelk.toml"), "lisen = []\nbanana = 1\n").unwrap();
    let starts: [(&[&str], &str, &str); 6] = [
        (&["--config", "absent.toml", "--log", "json"], "", "--config: absent.toml: "),
        (&["--config", "whelk.toml", "--log=json"], "", "did you mean `listen`?"),
        (&["--listen", "0.0.0.0:0", "--log", "json"], "", "a configuration is needed to listen on 0.0.0.0:0"),
        (&["--listen", &taken, "--log", "json"], "", "the port is in use"),
        (&["--banana", "--log", "json"], "", "--banana"),
        (&["--listen", "127.0.0.1:0", "--log", "json"], "verbose!!", "WHELK_LOG: \"verbose!!\" is no level"),
    ];
    for (arguments, filter, reason) in starts {
        let mut command = whelk(place.path(), &[&["serve"], arguments].concat());
        let output = command.env("WHELK_LOG", filter).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let is_fatal = |line: &&serde_json::Value| line["fields"]["message"] == "fatal error";
        let fatal: Vec<_> = lines.iter().filter(is_fatal).collect();
        assert!(fatal.len() == 1 && lines.last() == Some(fatal[0]), "{text}");
        let fields = &fatal[0]["fields"];
        assert!(fatal[0]["level"] == "ERROR" && fields["status"] == 2, "{text}");
        assert!(fields["reason"].as_str().unwrap().contains(reason), "{text}");
    }
}

#[test]
fn in_json_every_line_of_the_log_is_an_object() {
    let place = place();
    let mut server = Server::start(place.path(), &["serve", "--listen", "127.0.0.1:0", "--log", "json"]);
    loop {
        let line: serde_json::Value = serde_json::from_str(&server.line("")).unwrap();
        if line["fields"]["message"] == "listening" {
            assert!(line["fields"]["address"].as_str().unwrap().starts_with("127.0.0.1:"));
            break;
        }
    }
    server.signal(Signal::TERM);
    for line in server.lines.by_ref() {
        serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap();
    }
    assert_eq!(server.status(), Some(0));
}

#[test]
fn a_port_in_use_is_told_and_nothing_is_served() {
    let place = place();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, _, stderr) = run(place.path(), &["serve", "--listen", "127.0.0.1:0", "--listen", &address]);
    assert_eq!(status, 2);
    assert!(stderr.ends_with(&format!("cannot listen on {address}: the port is in use\n")), "{stderr}");
    assert!(!stderr.contains("listening"), "{stderr}");
}

#[test]
fn a_wrong_configuration_is_told_whole_with_status_2_by_serve_and_by_check() {
    let place = place();
    let file = place.path().join("whelk.toml");
    fs::write(&file, "lisen = []\n[users.x]\nplugin = \"echo\"\n[limits]\nsessions = 0\n").unwrap();
    let expected = "whelk.toml:1: lisen: there is no such setting (did you mean `listen`?)\n\
                    whelk.toml:2: users.x: could never enter: add a password, a key, or auth = \"none\" to let everybody in\n\
                    whelk.toml:5: limits.sessions: must be from 1 to 1000, is 0\n";
    for arguments in [&["check", "whelk.toml"][..], &["serve", "--config", "whelk.toml"]] {
        assert_eq!(run(place.path(), arguments), (2, String::new(), expected.to_owned()));
    }
    let (status, _, stderr) = run(place.path(), &["serve", "--config", "absent.toml"]);
    assert_eq!((status, stderr.starts_with("--config: absent.toml: ")), (2, true), "{stderr}");
}

#[test]
fn a_reference_read_no_further_than_its_first_line_is_no_failure() {
    let place = place();
    let mut child = whelk(place.path(), &["config"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn with_a_configuration_any_address_may_be_listened_on() {
    let place = place();
    let text = format!("listen = [\"0.0.0.0:0\"]\nstate = \"state\"\n{GUEST}");
    fs::write(place.path().join("whelk.toml"), text).unwrap();
    let mut server = Server::start(place.path(), &["serve", "--config", "whelk.toml"]);
    assert!(server.line("listening").contains("address=0.0.0.0:"));
    server.signal(Signal::TERM);
    assert_eq!(server.status(), Some(0));
}

#[test]
fn a_state_folder_that_others_may_write_to_is_refused() {
    let place = place();
    let state = place.path().join("wide");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
    let (status, _, stderr) = run(place.path(), &["serve", "--listen", "127.0.0.1:0", "--state", "wide"]);
    assert_eq!(status, 2);
    assert!(stderr.ends_with("wide: others may write to the state folder (mode 0777): chmod go-w it\n"), "{stderr}");
}

#[test]
fn a_filter_that_cannot_be_read_is_status_2() {
    let place = place();
    for filter in ["whelk=loud", "verbose!!", "verbose", "whelk", "whlk=debug", "info;debug"] {
        let mut command = whelk(place.path(), &["serve", "--listen", "127.0.0.1:0"]);
        let output = command.env("WHELK_LOG", filter).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{filter}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with("WHELK_LOG: ") && text.lines().count() == 1, "{filter}: {text}");
    }
}

#[test]
fn what_a_user_would_get_is_printed_and_a_wrong_file_or_user_is_status_2() {
    let place = place();
    let text = format!("{GUEST}[tenants.default.routes]\nexec = {{ ls = \"echo\" }}\n");
    fs::write(place.path().join("whelk.toml"), text).unwrap();
    let (status, told, _) = run(place.path(), &["tenants", "whelk.toml"]);
    assert_eq!((status, told.starts_with("guest\n  tenant    default\n")), (0, true), "{told}");
    let (status, told, _) = run(place.path(), &["tenants", "whelk.toml", "guest", "--exec", "ls -l"]);
    let served = "  exec \"ls -l\" is served by echo, by the route exec \"ls\": plugins/echo.wasm\n";
    assert_eq!((status, told.ends_with(served)), (0, true), "{told}");
    let unknown = run(place.path(), &["tenants", "whelk.toml", "mallory"]);
    assert_eq!(unknown, (2, String::new(), "there is no user \"mallory\"\n".to_owned()));
    assert_eq!(run(place.path(), &["tenants", "absent.toml"]).0, 2);
}
