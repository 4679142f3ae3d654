//! The shell at a terminal: tmux presses the keys, and OpenSSH sends them.

use whelk_tests::{Call, Client, Gateway, Setup};

use super::gateway;
use crate::terminal::Tmux;

/// A shell at a terminal.
struct Keyboard {
    tmux: Tmux,
    /// How many bytes of what was written are known.
    seen: usize,
}

impl Keyboard {
    fn open(gateway: &Gateway, user: &str) -> Self {
        let call = Call::new(Client::OpenSsh100, gateway, user).pty();
        let mut keyboard = Self { tmux: Tmux::open(gateway, &call, 80, 24), seen: 0 };
        keyboard.shows("$ ");
        keyboard
    }

    /// Waits for a text after what is known.
    fn shows(&mut self, text: &str) {
        self.seen = self.tmux.wait_for_text(self.seen, text);
    }

    /// Presses keys, and waits for a text.
    fn press(&mut self, keys: &str, text: &str) {
        self.tmux.press(keys.as_bytes());
        self.shows(text);
    }
}

#[test]
fn jobs_are_stopped_continued_and_interrupted_by_keys() {
    let gateway = gateway();
    let mut shell = Keyboard::open(&gateway, "alice");
    // The text is put together by the shell, so that it is not what was typed.
    shell.press("sh -c 'echo beg\"\"un; while :; do :; done'\r", "begun");
    shell.press("\x1a", "Stopped");
    shell.press("echo s$((100 + $? - 100))\r", "s148");
    shell.press("jobs\r", "[1]+  Stopped");
    shell.press("bg\r", "[1]+ ");
    shell.press("jobs\r", "Running");
    shell.press("fg; echo f$((100 + $? - 100))\r", "while :; do :; done\r\n");
    shell.press("\x03", "$ ");
    shell.press("echo s$((100 + $? - 100))\r", "s130");
    shell.press("while :; do :; done\r", "done\r\n");
    shell.press("\x03", "$ ");
    shell.press("echo s$((100 + $? - 100))\r", "s130");
    shell.press("x=$(while :; do :; done)\r", "done)\r\n");
    shell.press("\x03", "$ ");
    shell.press("echo s$((100 + $? - 100))\r", "s130");
    shell.press("while :; do echo; done | while read x; do :; done\r", "done\r\n");
    shell.press("\x03", "$ ");
    // What would follow is given up, too.
    shell.press("sh -c 'echo beg\"\"un >&2; while :; do :; done' | read x; echo follo\"\"wed\r", "begun");
    shell.press("\x03", "$ ");
    shell.press("echo s$((100 + $? - 100))\r", "s130\r\n");
    assert!(!shell.tmux.shown().contains("followed"));
    shell.press("jobs; echo no\"\"ne\r", "none");
    // It warns once of a job that is stopped.
    shell.press("sh -c 'echo beg\"\"un; while :; do :; done'\r", "begun");
    shell.press("\x1a", "Stopped");
    shell.press("exit 3\r", "There are stopped jobs.");
    shell.press("echo s$((100 + $? - 100))\r", "s1\r\n");
    shell.press("exit 3\r", "There are stopped jobs.");
    shell.press("exit 3\r", "");
    shell.tmux.wait_for_exit();
    gateway.end();
}

#[test]
fn lines_are_edited_completed_and_remembered() {
    let gateway = gateway();
    let mut shell = Keyboard::open(&gateway, "guest");
    shell.press("echo o\"\"ne\r", "one");
    // A line that is given up, and one whose beginning and end are changed.
    shell.press("gone\x03", "$ ");
    shell.press("two\x01echo t\x05-\"\"end\r", "ttwo-end");
    // The line before that, from the history.
    shell.press("\x1b[A\x1b[A\r", "one");
    shell.press("folder() { echo in $((1 + 1)); }\r", "$ ");
    shell.press("fold\t\r", "in 2");
    shell.press(": > long-name\r", "$ ");
    shell.press("echo 1lo\x08\x08\x08lo\t-\"\"end\r", "long-name -end");
    shell.press("echo 2$USE\t\"\"end\r", "2guest end");
    shell.press("for i in 1 2; do\recho l$((i + 1))\rdone\r", "l3");
    shell.tmux.resize(100, 30);
    // The keys may be faster than the news of the size.
    while !shell.tmux.shown().contains("c100-end") {
        shell.press("echo c$COLUMNS-\"\"end\r", "-end");
    }
    shell.press("history\r", "1  echo o\"\"ne");
    shell.press("\x04", "logout");
    shell.tmux.wait_for_exit();
    gateway.end();
}

#[test]
fn a_line_is_edited_with_another_program_and_executed() {
    let gateway = gateway();
    let mut shell = Keyboard::open(&gateway, "alice");
    // An editor of builtins alone, which is called vi.
    shell.press("vi() { read -r line < $1; echo \"${line/one/two} v\" > $1; }; echo rea\"\"dy\r", "ready\r\n");
    shell.press("echo one $((1 + 1))\x18\x05", "\r\ntwo 2 v\r\n");
    // What was executed is what the history has.
    shell.press("fc -l -1\r", "echo two $((1 + 1)) v");
    shell.press("fc echo\r", "\r\ntwo 2 v v\r\n");
    shell.press("set -o vi\r", "$ ");
    shell.press("echo one $((2 + 1))\x1bv", "\r\ntwo 3 v\r\n");
    // Nothing is executed if the editor fails.
    shell.press("EDITOR=false; echo s$((100 + $? - 100))\r", "s0");
    shell.press("echo not$((4 + 4))\x1bv", "$ ");
    shell.press("echo s$((100 + $? - 100))\r", "s1");
    assert!(!shell.tmux.shown().contains("not8"));
    shell.press("VISUAL=vi; echo s$((100 + $? - 100))\r", "s0");
    shell.press("echo one $((3 + 1))\x1bv", "\r\ntwo 4 v\r\n");
    shell.press("exit\r", "");
    shell.tmux.wait_for_exit();
    gateway.end();
}

#[test]
fn the_interrupt_key_stops_a_command_of_vi() {
    let setup = Setup::default();
    std::fs::create_dir(setup.folder().join("data")).expect("our own folder");
    let gateway = setup.configuration(super::CONFIGURATION).utilities().start();
    let mut shell = Keyboard::open(&gateway, "alice");
    // Status 126 says that a program is not compiled yet.
    let once = "while $name --version >/dev/null 2>&1; [ $? = 126 ]; do :; done";
    shell.press(&format!("for name in vi sleep sed; do {once}; done; echo rea\"\"dy\r"), "ready\r\n");
    shell.press("vi\r", "~");
    shell.press("ikept\x1b", "kept");
    // The text is put together by the shell, so that it is not what was typed.
    for command in ["sleep 9999", "read line </dev/tty", "while :; do :; done", "exec >&- 2>&-; sleep 9999"] {
        shell.press(&format!(":r !echo beg\"\"un >/dev/tty; {command}\r"), "begun");
        shell.press("\x03", "Interrupted");
    }
    shell.press(":w !sed s/^/what-was-/\r", "what-was-kept");
    shell.press("\r:q!\r", "$ ");
}
