//! The keys of a terminal, pressed in tmux and sent by OpenSSH, with programs that know nothing of them.

use std::path::Path;
use std::sync::OnceLock;

use whelk_tests::{Call, Client, Gateway, Input, Setup, build_guest};

use crate::terminal::Tmux;

/// A gateway whose plugin `command` is the runtime's test program.
fn gateway() -> Gateway {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let program = BUILT.get_or_init(|| build_guest("host/runtime/tests/guests/command", "command", &target));
    let setup = Setup::default();
    let plugins = setup.folder().join("programs");
    std::fs::create_dir(&plugins).expect("our own folder");
    std::fs::write(plugins.join("command.wasm"), program).expect("our own folder");
    setup.plugins(plugins).start()
}

/// A program in a terminal, after it has done `first` and written `ready;`.
fn start(gateway: &Gateway, first: &str, words: &str) -> Shell {
    let command = format!("{first} 'print ready;' flush {words}");
    let tmux = Tmux::open(gateway, &Call::new(Client::OpenSsh100, gateway, "command").exec(&command).pty(), 80, 24);
    let mut shell = Shell { tmux, shown: String::new() };
    shell.shows("ready;");
    shell
}

struct Shell {
    tmux: Tmux,
    /// What the terminal got so far.
    shown: String,
}

impl Shell {
    /// Presses keys, and waits for exactly this output.
    fn keys(&mut self, keys: &str, output: &str) {
        self.tmux.press(keys.as_bytes());
        self.shows(output);
    }

    fn shows(&mut self, output: &str) {
        self.shown += output;
        self.tmux.wait_for_shown(&self.shown);
    }
}

#[test]
fn a_program_that_reads_lines_gets_them_edited_and_ends_by_control_d() {
    let gateway = gateway();
    let mut shell = start(&gateway, "", "cat 'print end;' flush line");
    let erased = |count: usize| "\x08 \x08".repeat(count);
    shell.keys("one two", "one two");
    // ^W
    shell.keys("\x17", &erased(3));
    shell.keys("x\r", "x\r\none x\r\n");
    // ^U
    shell.keys("gone", "gone");
    shell.keys("\x15", &erased(4));
    // ^V ^C
    shell.keys("\x16\x03", "^\x08^C");
    shell.keys("\r", "\r\n\x03\r\n");
    // ^R
    shell.keys("abc", "abc");
    shell.keys("\x12", "^R\r\nabc");
    shell.keys("\x7f\r", "\x08 \x08\r\nab\r\n");
    // ^S ^Q: what comes between them is shown after them.
    shell.keys("\x13held\r\x11", "held\r\nheld\r\n");
    // ^D in a line sends it, and in an empty one ends the input.
    shell.keys("part\x04", "partpart");
    shell.keys("\x04", "end;");
    shell.keys("last\r", "last\r\n\"last\\n\"\r\n");
    shell.tmux.wait_for_exit();
    gateway.end();
}

#[test]
fn control_s_stops_output_and_control_q_lets_it_go_on() {
    let gateway = gateway();
    let mut shell = start(&gateway, "", "ticks");
    shell.tmux.wait_for_more(0);
    shell.tmux.press(b"\x13");
    // Each takes longer than ten ticks.
    let pass = || {
        let ended = Call::new(Client::OpenSsh100, &gateway, "command").exec("'sleep 100'").run(Input::Nothing);
        assert_eq!(ended.status, Some(0), "{}", ended.err);
    };
    pass();
    let held = shell.tmux.shown().len();
    pass();
    assert_eq!(shell.tmux.shown().len(), held, "it goes on");
    shell.tmux.press(b"\x11");
    shell.tmux.wait_for_more(held);
    gateway.end();
}

#[test]
fn control_c_and_control_backslash_end_a_program_that_reads_and_one_that_computes() {
    let gateway = gateway();
    for words in ["cat", "spin"] {
        for (key, echo) in [(3, "^C"), (0x1c, "^\\")] {
            let mut shell = start(&gateway, "", words);
            shell.tmux.press(&[key]);
            shell.shows(echo);
            shell.tmux.wait_for_exit();
        }
    }
    gateway.end();
}

#[test]
fn a_raw_program_gets_every_key() {
    let gateway = gateway();
    let mut shell = start(&gateway, "'modes-are 36=0 38=0 50=0 51=0 53=0'", "cat");
    for key in "\x03\x1c\x04\x13\x11\x15\x17\x16\x12\x1a\x7f\r".chars() {
        shell.keys(&key.to_string(), &key.to_string());
    }
    gateway.end();
}
