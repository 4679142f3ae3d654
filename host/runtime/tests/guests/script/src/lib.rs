//! A plugin that runs scripts. The script of a function is the command itself for `exec`, and for the others the fact
//! `attr.` followed by the function's name. The same code is the plugin `second`, whose facts begin with `second.`,
//! that of `exec` too. A script is actions separated by `;`; see `act`. `true` and `false` set the answer. Every call
//! is recorded; the action `trace` prints the record.

wit_bindgen::generate!({
    path: "../../../../../wit",
    inline: "
        package whelk:test;
        world script {
            include whelk:ssh/session-plugin@0.1.0;
            export whelk:ssh/timer-handler@0.1.0;
            export whelk:ssh/drain-handler@0.1.0;
            export whelk:ssh/break-handler@0.1.0;
            export whelk:ssh/request-handler@0.1.0;
            export whelk:ssh/message-handler@0.1.0;
        }
    ",
    world: "whelk:test/script",
    generate_all,
});

mod behaviours;
mod network;

use std::cell::RefCell;

use exports::whelk::ssh::{break_handler, drain_handler, message_handler, request_handler, session, timer_handler};
use session::{Ending, Pty, SignalName, WindowSize};
use whelk::ssh::types::{Exit, ExitSignal, Output, TerminalMode};
use whelk::ssh::{channel, connection, log, terminal, timers};

const SECOND: bool = matches!(env!("CARGO_PKG_NAME").as_bytes(), b"second");

/// The script of a function.
fn script(function: &str) -> Option<String> {
    connection::get(&format!("{}.{function}", if SECOND { "second" } else { "attr" }))
}

thread_local! {
    static NOTES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static DATA: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static CALLS: RefCell<u32> = const { RefCell::new(0) };
}

fn note(text: String) {
    NOTES.with_borrow_mut(|notes| notes.push(text));
}

fn write(to: Output, data: &[u8]) {
    if let Err(error) = channel::write(to, data) {
        note(format!("write {}", error.name()));
    }
}

fn say(text: &str) {
    write(Output::Stdout, text.as_bytes());
}

/// Records the call and runs its script; the answer is the script's last `true` or `false`, else `default`.
fn call(function: &str, detail: &str, default: bool) -> bool {
    note(format!("{function} {detail}").trim_end().to_owned());
    match script(function) {
        Some(script) => run(&script, default),
        None => default,
    }
}

fn run(script: &str, default: bool) -> bool {
    let mut answer = default;
    for action in script.split(';').map(str::trim_start).filter(|action| !action.is_empty()) {
        match action {
            "true" => answer = true,
            "false" => answer = false,
            _ => {
                let (word, rest) = action.split_once(' ').unwrap_or((action, ""));
                act(word, rest);
            }
        }
    }
    answer
}

fn number(text: &str) -> u32 {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text}"))
}

fn act(word: &str, rest: &str) {
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    match word {
        "write" => say(rest),
        // The bytes of the last `data`.
        "echo" => write(Output::Stdout, &DATA.take()),
        "err" => write(Output::Stderr, rest.as_bytes()),
        "ext" => write(Output::Extended(number(first)), second.as_bytes()),
        // This many bytes in one call, 0 to 250 repeated.
        "fill" => write(Output::Stdout, &(0..number(rest)).map(|at| (at % 251) as u8).collect::<Vec<_>>()),
        "eof" => channel::send_eof(),
        "finish" => channel::finish(&Exit::Status(number(rest))),
        "die" => channel::finish(&Exit::Signal(ExitSignal {
            name: SignalName::Term,
            core_dumped: true,
            message: rest.to_owned(),
        })),
        "trace" => say(&NOTES.take().join("\n")),
        "count" => say(&CALLS.with_borrow_mut(|calls| {
            *calls += 1;
            calls.to_string()
        })),
        "writable" => say(&channel::writable().to_string()),
        "env" => channel::get_env().iter().for_each(|(name, value)| {
            say(&format!("{name}={} ", String::from_utf8_lossy(value)));
        }),
        "pty" => say(&format!("{:?}", channel::get_pty().map(|pty| (pty.term, pty.size.columns, pty.modes.len())))),
        "size" => say(&format!("{:?}", terminal::get_size().map(|size| (size.columns, size.rows)))),
        "modes" => terminal::get_modes().iter().for_each(|mode| say(&format!("{}={} ", mode.opcode, mode.argument))),
        "set-mode" => {
            let mode = TerminalMode { opcode: number(first) as u8, argument: number(second) };
            say(&format!("{:?}", terminal::set_modes(&[mode]).map_err(|error| error.name())));
        }
        "get" => say(&format!("{:?}", connection::get(rest))),
        "facts" => connection::facts().iter().for_each(|(name, value)| say(&format!("{name}={value}\n"))),
        "disconnect" => connection::disconnect(number(first), second),
        "debug" => connection::debug(rest, true),
        "log" => log::log(log::Level::Info, rest),
        "logs" => (0..number(rest)).for_each(|line| log::log(log::Level::Info, &format!("line {line}"))),
        "timer" => {
            let mut numbers = rest.split(' ').map(number);
            let (which, after) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
            if let Err(error) = timers::set(which, after, numbers.next()) {
                say(error.name());
            }
        }
        "cancel" => timers::cancel(number(rest)),
        "request" => {
            say(&format!("{:?}", channel::request(first, second.as_bytes()).map_err(|error| error.name())));
        }
        // The same without a message to the client.
        "pass" => note(format!("{:?}", channel::hand_over(rest).map_err(|error| error.name()))),
        "hand-over" => say(&format!("{:?}", channel::hand_over(rest).map_err(|error| error.name()))),
        // Modes as `opcode=argument`, without a word.
        "modes-are" => set_modes(rest),
        // Those of a new terminal.
        "cook" => set_modes("36=1 38=1 50=1 51=1 53=1 54=1 55=1 59=1 60=1 61=1 70=1 72=1"),
        _ if signals(word, rest) || network::act(word, rest) => {}
        _ => behaviours::behave(word, rest),
    }
}

fn set_modes(modes: &str) {
    let mode = |text: &str| {
        let (opcode, argument) = text.split_once('=').unwrap();
        TerminalMode { opcode: number(opcode) as u8, argument: number(argument) }
    };
    if let Err(error) = terminal::set_modes(&modes.split(' ').map(mode).collect::<Vec<_>>()) {
        note(format!("set-modes {}", error.name()));
    }
}

/// Actions with signals. Returns whether it was one of these.
fn signals(word: &str, rest: &str) -> bool {
    let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
    match word {
        // This many names of this many bytes.
        "catch-many" => {
            let name = |at: u32| SignalName::Other(format!("{at:0>width$}", width = number(second) as usize));
            channel::catch_signals(&(0..number(first)).map(name).collect::<Vec<_>>());
        }
        "die-of" => channel::finish(&Exit::Signal(ExitSignal {
            name: SignalName::Other(first.to_owned()),
            core_dumped: false,
            message: second.to_owned(),
        })),
        "catch" => channel::catch_signals(&rest.split(' ').map(signal).collect::<Vec<_>>()),
        "caught" => {
            let caught: Vec<_> = std::iter::from_fn(channel::next_signal).collect();
            say(&format!("{caught:?}"));
        }
        _ => return false,
    }
    true
}

fn signal(name: &str) -> SignalName {
    match name {
        "INT" => SignalName::Int,
        "TERM" => SignalName::Term,
        other => SignalName::Other(other.to_owned()),
    }
}

struct Script;

impl session::Guest for Script {
    fn open() -> bool {
        call("open", "", true)
    }
    fn env(name: String, value: Vec<u8>) -> bool {
        call("env", &format!("{name}={}", String::from_utf8_lossy(&value)), true)
    }
    fn pty_req(pty: Pty) -> bool {
        call("pty-req", &pty.term, true)
    }
    fn shell() -> bool {
        call("shell", "", true)
    }
    fn exec(command: Vec<u8>) -> bool {
        note("exec".to_owned());
        let told = if SECOND { script("exec") } else { None };
        run(&told.unwrap_or_else(|| String::from_utf8_lossy(&command).into_owned()), true)
    }
    fn subsystem(name: String) -> bool {
        call("subsystem", &name, true)
    }
    fn window_change(size: WindowSize) {
        call("window-change", &format!("{}x{}", size.columns, size.rows), true);
    }
    fn signal(name: SignalName) {
        call("signal", &format!("{name:?}"), true);
    }
    fn data(data: Vec<u8>) {
        let text = String::from_utf8_lossy(&data[..data.len().min(20)]).into_owned();
        DATA.set(data);
        call("data", &format!("{} {text}", DATA.with_borrow(Vec::len)), true);
        if script("data").is_none() {
            write(Output::Stdout, &DATA.take());
        }
    }
    fn extended_data(kind: u32, data: Vec<u8>) {
        call("extended-data", &format!("{kind} {}", data.len()), true);
    }
    fn eof() {
        call("eof", "", true);
    }
    fn close() {
        call("close", "", true);
    }
    fn closed(why: Ending) {
        log::log(log::Level::Info, &format!("closed {why:?}: {}", NOTES.take().join(", ")));
        call("closed", "", true);
    }
}

impl timer_handler::Guest for Script {
    fn on_timer(timer: u32) {
        call("on-timer", &timer.to_string(), true);
    }
}

impl drain_handler::Guest for Script {
    fn on_writable() {
        call("on-writable", &channel::writable().to_string(), true);
    }
}

impl break_handler::Guest for Script {
    fn on_break(length_ms: u32) {
        call("on-break", &length_ms.to_string(), true);
    }
}

impl request_handler::Guest for Script {
    fn on_request(name: String, payload: Vec<u8>) -> bool {
        call("on-request", &format!("{name} {}", payload.len()), false)
    }
}

/// It never subscribes, and need not import topics for this.
impl message_handler::Guest for Script {
    fn on_message(topic: String, _: Vec<u8>) {
        call("on-message", &topic, true);
    }
    fn on_lagged(topic: String, missed: u32) {
        call("on-lagged", &format!("{topic} {missed}"), true);
    }
}

export!(Script);
