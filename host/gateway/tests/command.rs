//! The command as an operator meets it: exit status, what is printed, what is logged. No connection is needed here.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

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
        let mut child = whelk(folder, arguments).stderr(Stdio::piped()).spawn().unwrap();
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
    let output =
        whelk(place.path(), &["serve", "--listen", "127.0.0.1:0"]).env("WHELK_LOG", "whelk=loud").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("WHELK_LOG: "));
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
