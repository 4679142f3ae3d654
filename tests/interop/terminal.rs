//! Terminals: each client under tmux, which runs in control mode, with a line of text per event.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use whelk_tests::{Call, Client, Gateway, Input, Output, Running, SOON, client_program};

/// What the window shows after the client has ended. The client is not all that runs there: when nothing does, tmux
/// drops what it has read and not yet told its control client.
const ENDED: &str = "[the client has ended]";
/// Runs the client, and says that it has ended.
const WINDOW: &str = r#""$@"; printf '%s' "$0"; exec cat"#;

/// A tmux of the test with one window.
pub(crate) struct Tmux {
    socket: std::path::PathBuf,
    control: Running,
}

/// What a window shows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Its rows, with the escape sequences of their styles (ECMA-48, SGR).
    pub(crate) text: String,
    /// The column and the row of the cursor, from 0; none if it is hidden.
    pub(crate) cursor: Option<(usize, usize)>,
}

impl Tmux {
    pub(crate) fn open(gateway: &Gateway, call: &Call, columns: u32, rows: u32) -> Self {
        Self::start(gateway.folder(), &call.command(), columns, rows)
    }

    /// Opens a window with a command. The socket is in a folder of the test.
    pub(crate) fn start(folder: &Path, client: &Command, columns: u32, rows: u32) -> Self {
        // Several may be open in a folder.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let socket = folder.join(format!("tmux-{number}"));
        let settings = folder.join(format!("tmux-{number}.conf"));
        // The status line would take a row of the window. The server ends with its control client, which ends when its
        // input does: a test that is killed ends nothing itself.
        let lines = ["status off", "default-terminal screen-256color", "exit-unattached on"];
        std::fs::write(&settings, lines.map(|line| format!("set -g {line}\n")).concat()).expect("our own folder");
        let mut command = Command::new(client_program("tmux"));
        command.arg("-S").arg(&socket).arg("-f").arg(&settings).arg("-C").env_remove("TMUX");
        command.args(["new-session", "-x", &columns.to_string(), "-y", &rows.to_string()]);
        command.args(client.get_envs().flat_map(|(name, value)| value.map(|value| environment(name, value))).flatten());
        command.args(["sh", "-c", WINDOW, ENDED]).arg(client.get_program()).args(client.get_args());
        let control = Running::start(command, Input::Held, Output::Read, SOON);
        control.wait_soon("tmux that listens", |seen| (seen.out.total > 0).then_some(()));
        Self { socket, control }
    }

    /// Pastes a text, as the terminal of a person does.
    pub(crate) fn paste(&mut self, text: &str) {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$").replace('\n', "\\n");
        self.control.type_in(format!("set-buffer -- \"{quoted}\"\npaste-buffer -p\n").as_bytes());
    }

    /// What the window shows now.
    pub(crate) fn window(&self) -> Window {
        let mut command = Command::new(client_program("tmux"));
        command.arg("-u").arg("-S").arg(&self.socket).args(["capture-pane", "-p", "-e", ";"]);
        command.args(["display-message", "-p", "#{cursor_flag} #{cursor_x} #{cursor_y}"]);
        let finished = Running::run(command, Input::Nothing, SOON);
        let text = finished.out.text();
        let (text, cursor) = text.trim_end().rsplit_once('\n').unwrap_or_default();
        let numbers: Vec<usize> = cursor.split(' ').filter_map(|number| number.parse().ok()).collect();
        let [shown, column, row] = numbers[..] else { panic!("{}{}", finished.err, self.control.said()) };
        Window { text: text.to_owned(), cursor: (shown == 1).then_some((column, row)) }
    }

    /// Looks at the window each time that something happens in it, until `look` returns something. Nothing, if that
    /// has not happened for so long.
    pub(crate) fn wait_for_window<T>(&self, quiet: Duration, mut look: impl FnMut(Window) -> Option<T>) -> Option<T> {
        loop {
            let before = self.control.wait_soon("its output", |seen| Some(seen.out.total));
            if let Some(found) = look(self.window()) {
                return Some(found);
            }
            self.control.wait_at_most(quiet, |seen| (seen.out.total > before).then_some(()))?;
        }
    }

    pub(crate) fn resize(&mut self, columns: u32, rows: u32) {
        self.control.type_in(format!("resize-window -x {columns} -y {rows}\n").as_bytes());
    }

    /// Presses these keys.
    pub(crate) fn press(&mut self, keys: &[u8]) {
        let keys: Vec<String> = keys.iter().map(|key| format!("{key:x}")).collect();
        self.control.type_in(format!("send-keys -H {}\n", keys.join(" ")).as_bytes());
    }

    /// What the client has written so far.
    pub(crate) fn shown(&self) -> String {
        self.control.wait("output", |seen| Some(written(&seen.out.text()).0))
    }

    /// Waits until it has written this and nothing else.
    pub(crate) fn wait_for_shown(&self, text: &str) {
        self.control.wait(&format!("output {text:?}"), |seen| (written(&seen.out.text()).0 == text).then_some(()));
    }

    /// Waits until it has written this after so many bytes, and returns how many it has written.
    pub(crate) fn wait_for_text(&self, after: usize, text: &str) -> usize {
        self.control.wait(&format!("output with {text:?}"), |seen| {
            let shown = written(&seen.out.text()).0;
            shown.get(after..).is_some_and(|rest| rest.contains(text)).then_some(shown.len())
        })
    }

    /// Waits until it has written more than so many bytes.
    pub(crate) fn wait_for_more(&self, bytes: usize) {
        self.control.wait("more output", |seen| (written(&seen.out.text()).0.len() > bytes).then_some(()));
    }

    /// Waits until it has ended.
    pub(crate) fn wait_for_exit(&self) {
        self.control.wait("end", |seen| written(&seen.out.text()).1.then_some(()));
    }

    /// Waits for a line of the plugin that contains all of these numbers and words.
    fn wait_for_line(&self, words: &[&str]) {
        self.control.wait(&format!("line with {words:?}"), |seen| {
            let text = seen.out.text();
            // Control mode writes control characters as octal numbers: \015\012.
            let lines =
                text.lines().filter_map(|line| line.strip_prefix("%output ")).flat_map(|line| line.split("\\015"));
            let holds = |line: &str| words.iter().all(|word| pieces(line).any(|piece| piece == *word));
            lines.into_iter().any(holds).then_some(())
        });
    }
}

impl Drop for Tmux {
    // So that what runs in the window has ended before the test goes on. Without its socket the server is not found.
    fn drop(&mut self) {
        let mut command = Command::new(client_program("tmux"));
        command.arg("-S").arg(&self.socket).arg("kill-server");
        Running::run(command, Input::Nothing, SOON);
    }
}

/// The client's output, in which control mode writes control characters and backslashes as octal numbers, and whether
/// the client has ended.
fn written(text: &str) -> (String, bool) {
    let mut written = String::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("%output ")) {
        let (_, mut rest) = line.split_once(' ').unwrap_or((line, ""));
        while let Some((before, escaped)) = rest.split_once('\\') {
            let code = escaped.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
            written += before;
            written.extend(code.map(char::from));
            rest = escaped.get(3..).unwrap_or_default();
        }
        written += rest;
    }
    match written.strip_suffix(ENDED) {
        Some(before) => (before.to_owned(), true),
        None => (written, false),
    }
}

fn environment(name: &std::ffi::OsStr, value: &std::ffi::OsStr) -> [std::ffi::OsString; 2] {
    let mut pair = name.to_owned();
    pair.push("=");
    pair.push(value);
    ["-e".into(), pair]
}

fn pieces(line: &str) -> impl Iterator<Item = &str> {
    line.split(|letter: char| !letter.is_alphanumeric() && letter != '-')
}

#[test]
fn a_server_of_tmux_ends_with_its_test_even_if_its_socket_is_gone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tmux = Tmux::start(folder.path(), &Command::new("cat"), 80, 24);
    let mut command = Command::new(client_program("tmux"));
    command.arg("-S").arg(&tmux.socket).args(["display-message", "-p", "#{pid}"]);
    let pid = Running::run(command, Input::Nothing, SOON).out.text().trim().parse().ok().and_then(Pid::from_raw);
    let server = pidfd_open(pid.expect("a process"), PidfdFlags::empty()).expect("it runs");
    // As when a gateway, whose folder it is in, ends before the window.
    std::fs::remove_file(&tmux.socket).expect("our own folder");
    drop(tmux);
    let limit = Timespec::try_from(SOON).expect("some seconds");
    assert_eq!(poll(&mut [PollFd::new(&server, PollFlags::IN)], Some(&limit)), Ok(1), "the server goes on");
}

fn shows_the_size_and_follows_it(client: Client) {
    let gateway = Gateway::demonstration();
    let mut tmux = Tmux::open(&gateway, &Call::new(client, &gateway, "terminal").pty(), 93, 31);
    // plink is a terminal emulation of its own.
    tmux.wait_for_line(&[if client == Client::Plink { "xterm" } else { "screen-256color" }]);
    tmux.wait_for_line(&["93", "31"]);
    tmux.resize(117, 42);
    tmux.wait_for_line(&["117", "42"]);
    drop(tmux);
    gateway.end();
}

#[test]
fn openssh_9_2_shows_its_size_and_a_resize() {
    shows_the_size_and_follows_it(Client::OpenSsh92);
}

#[test]
fn openssh_10_0_shows_its_size_and_a_resize() {
    shows_the_size_and_follows_it(Client::OpenSsh100);
}

#[test]
fn dbclient_shows_its_size_and_a_resize() {
    shows_the_size_and_follows_it(Client::Dbclient);
}

#[test]
fn plink_shows_its_size_and_a_resize() {
    shows_the_size_and_follows_it(Client::Plink);
}

// The libraries have no terminal of their own: their drivers ask for an xterm of 80 by 24.
fn a_library_shows_its_size(client: Client) {
    let gateway = Gateway::demonstration();
    let running = Call::new(client, &gateway, "terminal").pty().start();
    let pixels: &[&str] = match client {
        // The library has no parameters for them.
        Client::NetSsh2 | Client::XCrypto => &[],
        _ => &["640", "480"],
    };
    for word in ["xterm", "80", "24"].iter().chain(pixels) {
        running.wait_for_output(word);
    }
    drop(running);
    gateway.end();
}

#[test]
fn asyncssh_shows_its_size() {
    a_library_shows_its_size(Client::AsyncSsh);
}

#[test]
fn paramiko_shows_its_size() {
    a_library_shows_its_size(Client::Paramiko);
}

#[test]
fn ssh2_shows_its_size() {
    a_library_shows_its_size(Client::Ssh2);
}

#[test]
fn conch_shows_its_size() {
    a_library_shows_its_size(Client::Conch);
}

#[test]
fn net_ssh2_shows_its_size() {
    a_library_shows_its_size(Client::NetSsh2);
}

#[test]
fn net_ssh_shows_its_size() {
    a_library_shows_its_size(Client::NetSsh);
}

#[test]
fn x_crypto_shows_its_size() {
    a_library_shows_its_size(Client::XCrypto);
}

#[test]
fn jsch_shows_its_size() {
    a_library_shows_its_size(Client::Jsch);
}

#[test]
fn russh_shows_its_size() {
    a_library_shows_its_size(Client::Russh);
}

#[test]
fn a_session_without_a_terminal_says_so() {
    let gateway = Gateway::demonstration();
    let finished = Call::new(Client::OpenSsh100, &gateway, "terminal").run(Input::Bytes(Vec::new()));
    let text = finished.out.text();
    assert!(text.to_lowercase().contains("no "), "it says {text:?}, {}", finished.err);
    gateway.end();
}

/// What a person does at a terminal before they leave: a call, and what they type and then see.
type Visit = (&'static str, Option<&'static str>, &'static str, &'static str);

/// Each shipped plugin, in each state in which it can stay for long.
const VISITS: [Visit; 9] = [
    ("echo", None, "a", "echo: \"a\""),
    ("lifecycle", None, "", "shell"),
    ("lifecycle", Some("anything"), "", "exec"),
    ("probe", None, "a", "a"),
    ("probe", Some("sink"), "", ""),
    ("probe", Some("sleep 600000"), "", ""),
    ("terminal", None, "", "resize the window"),
    ("guestbook", None, "", "The guestbook"),
    ("guestbook", Some("subscribe news"), "", "subscribed"),
];

/// A key ends each of them with status 0.
fn is_left_by(key: u8) {
    let gateway = Gateway::demonstration();
    for (plugin, command, typed, seen) in VISITS {
        let call = Call::new(Client::OpenSsh100, &gateway, plugin).pty();
        let mut running = command.iter().fold(call, |call, command| call.exec(command)).start();
        running.type_in(typed.as_bytes());
        running.wait_for_output(seen);
        running.type_in(&[key]);
        let ended = running.wait("end", |seen| seen.status);
        assert_eq!(ended.code(), Some(0), "{plugin} {command:?} by {key}: {}", running.said());
    }
    gateway.end();
}

#[test]
fn control_c_leaves_every_plugin_of_the_demonstration() {
    is_left_by(3);
}

#[test]
fn control_d_leaves_every_plugin_of_the_demonstration() {
    is_left_by(4);
}

#[test]
fn without_a_terminal_control_c_and_d_are_bytes() {
    let gateway = Gateway::demonstration();
    for (plugin, expected) in [
        ("echo", "echo: \"\\x03\\x04\"\r\neof received\r\n"),
        ("lifecycle", "data \"\\x03\\x04\"\r\neof\r\n"),
        ("probe", "\u{3}\u{4}"),
    ] {
        let finished = Call::new(Client::OpenSsh100, &gateway, plugin).run(Input::Bytes(vec![3, 4]));
        assert!(finished.out.text().ends_with(expected), "{plugin}: {:?}", finished.out.text());
        assert_eq!(finished.status, Some(0), "{plugin}: {}", finished.err);
    }
    gateway.end();
}

#[test]
fn the_list_of_plugins_says_how_to_leave() {
    let gateway = Gateway::demonstration();
    let finished = Call::new(Client::OpenSsh100, &gateway, "nobody").run(Input::Nothing);
    let text = finished.out.text() + &finished.err;
    assert!(text.contains("  echo\r\n") && text.contains("Ctrl-C or Ctrl-D"), "{text:?}");
    gateway.end();
}
