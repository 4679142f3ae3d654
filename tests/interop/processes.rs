//! Processes: `programs/processes` does the same as a program of Linux behind OpenSSH's sshd and as one of Whelk.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use whelk_tests::{Access, Call, Client, Gateway, Input, MIB, SOON, Setup, Sshd, build_guest, build_native};

use crate::recipe::Recipe;

const CONFIGURATION: &str = "\
[users.processes]
plugin = \"processes\"
auth = \"none\"
[users.pipeline]
plugin = \"processes\"
auth = \"none\"
tenant = \"examples\"
[tenants.examples]
exec_programs = true
grants.process = true
[tenants.default.grants]
process = true
directory = { path = \"files\", access = \"read-write\" }
";

/// Lines in which the two must differ: the step, what Linux says, what Whelk says, and why.
const DIFFERENCES: &[(&str, &str, &str, &str)] = &[];

/// What is typed where the program asks for it, in order.
const TYPED: [(&str, &[u8]); 12] = [
    ("a line", b"one line\n"),
    ("the end", b"\x04"),
    ("a corrected line", b"a lime\x7f\x7fne\n"),
    ("a line for the child", b"for the child\n"),
    ("a line for the parent", b"for the parent\n"),
    ("a line for the job", b"for the job\n"),
    ("INT", b"\x03"),
    ("QUIT", b"\x1c"),
    ("TSTP", b"\x1a"),
    ("INT", b"\x03"),
    ("a line at the prompt", b"at the prompt\n"),
    ("a line for /dev/tty", b"for /dev/tty\n"),
];

/// One of the two: how it is called, and the directory of its programs.
struct Machine {
    program: Call,
    /// Before the arguments of the program.
    command: String,
    directory: PathBuf,
}

impl Machine {
    fn call(&self, arguments: &str) -> Call {
        self.program.clone().exec(format!("{}{arguments}", self.command).trim())
    }

    /// What the program says without a terminal.
    fn steps(&self, arguments: &str) -> Vec<String> {
        let finished = self.call(arguments).run_long(Input::Nothing);
        assert_eq!(finished.status, Some(0), "{}{}", finished.out.text(), finished.err);
        lines(&format!("{}{}", finished.out.text(), finished.err))
    }

    /// What it says with one, where what it asks for is typed.
    fn terminal(&self) -> Vec<String> {
        let mut running = self.call("terminal").pty().start();
        for (number, (what, keys)) in TYPED.iter().enumerate() {
            running.wait_for_output(&format!("type {}: {what}\r\n", number + 1));
            running.type_in(keys);
        }
        let finished = running.finish();
        assert_eq!(finished.status, Some(0), "{}{}", finished.out.text(), finished.err);
        let mut said = lines(&finished.out.text());
        said.push(format!("  after the end: {}", self.wait_for_file("hangup.txt")));
        said
    }

    /// The contents of a file that a process of an earlier session writes.
    fn wait_for_file(&self, name: &str) -> String {
        let began = Instant::now();
        while began.elapsed() < SOON {
            let finished = self.call(&format!("role cat {}/{name}", self.inside())).run(Input::Nothing);
            if finished.status == Some(0) && finished.out.total > 0 {
                return finished.out.text();
            }
        }
        panic!("no {name} in time");
    }

    /// The directory as the program sees it.
    fn inside(&self) -> String {
        if self.command.is_empty() { String::new() } else { self.directory.display().to_string() }
    }
}

/// The lines of an output. What is echoed for a key that is a signal is left out: Linux sends the signal first.
fn lines(text: &str) -> Vec<String> {
    let text = ["^C", "^\\", "^Z"].iter().fold(text.to_owned(), |text, echo| text.replace(echo, ""));
    text.lines().map(str::to_owned).collect()
}

/// The program for Linux, and who may log in to run it.
fn linux(setup: &Setup, key: &(Access, String)) -> (Sshd, Machine) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("native");
    let program = build_native("tests/interop/programs/processes", "processes", &target);
    let directory = setup.folder().join("linux");
    fs::create_dir(&directory).expect("our own folder");
    let sshd = Sshd::start(&key.1, "");
    let call = Call::to(Client::OpenSsh100, sshd.port(), sshd.user()).access(key.0.clone());
    let command = format!("cd {} && exec {} ", directory.display(), program.display());
    (sshd, Machine { program: call, command, directory })
}

/// `pipeline` in C.
const ZIG: Recipe = Recipe {
    name: "c-pipeline",
    source: "programs/pipeline.c",
    inputs: &["tests/requirements.txt", "wit/process", "tests/interop/programs/bindings"],
    tool: "zig",
    arguments: &[
        "cc",
        "-target",
        "wasm32-wasi",
        "-Os",
        "-IHEADERS",
        "-o",
        "OUT",
        "SOURCE",
        "HEADERS/processes.c",
        "HEADERS/processes_component_type.o",
    ],
};

/// A gateway with these programs, of which the first is what the user runs.
fn serve(setup: Setup, programs: &[(&str, Vec<u8>)]) -> Gateway {
    let plugins = setup.folder().join("programs");
    for folder in [&plugins, &plugins.join("bin"), &setup.folder().join("files")] {
        fs::DirBuilder::new().mode(0o755).create(folder).expect("our own folder");
    }
    for (name, program) in programs {
        fs::write(plugins.join("bin").join(name).with_extension("wasm"), program).expect("our own folder");
    }
    setup.plugins(plugins).configuration(CONFIGURATION).start()
}

fn built(name: &str) -> Vec<u8> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    build_guest(&format!("tests/interop/programs/{name}"), name, &target)
}

fn whelk(setup: Setup) -> (Gateway, Machine) {
    let directory = setup.folder().join("files");
    let gateway = serve(setup, &[("processes", built("processes"))]);
    let program = Call::new(Client::OpenSsh100, &gateway, "processes");
    (gateway, Machine { program, command: String::new(), directory })
}

/// The lines of each step, under its name.
fn by_step(lines: &[String]) -> Vec<(&str, Vec<&str>)> {
    let mut steps: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in lines {
        match steps.last_mut() {
            Some((_, said)) if line.starts_with(' ') => said.push(line),
            Some((_, said)) if !line.ends_with(':') => said.push(line),
            _ => steps.push((line, Vec::new())),
        }
    }
    steps
}

/// Compares them line by line.
fn same(linux: &[String], whelk: &[String]) {
    let (linux, mut whelk) = (by_step(linux), by_step(whelk));
    for (step, theirs, ours, _) in DIFFERENCES {
        for (name, said) in &mut whelk {
            if name == step {
                said.iter_mut().filter(|line| *line == ours).for_each(|line| *line = theirs);
            }
        }
    }
    let mut wrong = String::new();
    for place in 0..linux.len().max(whelk.len()) {
        if linux.get(place) != whelk.get(place) {
            let (linux, whelk) = (linux.get(place), whelk.get(place));
            writeln!(wrong, "Linux: {linux:#?}\nWhelk: {whelk:#?}").expect("it is a string");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn processes_do_what_they_do_under_linux() {
    let (setup, key) = (Setup::default(), Access::fresh_key());
    let (_sshd, linux) = linux(&setup, &key);
    let said = linux.steps("");
    let (gateway, whelk) = whelk(setup);
    same(&said, &whelk.steps(""));
    gateway.end();
}

#[test]
fn processes_with_a_terminal_do_what_they_do_under_linux() {
    let (setup, key) = (Setup::default(), Access::fresh_key());
    let (_sshd, linux) = linux(&setup, &key);
    let said = linux.terminal();
    let (gateway, whelk) = whelk(setup);
    same(&said, &whelk.terminal());
    gateway.end();
}

#[test]
fn the_example_programs_run_a_pipeline() {
    let rust = ("pipeline-rust", built("pipeline"));
    let c = ("pipeline-c", fs::read(ZIG.build()).expect("it is built"));
    let gateway = serve(Setup::default(), &[("processes", built("processes")), rust, c]);
    for name in ["pipeline-rust", "pipeline-c"] {
        let run = |words: &str, input: Input| {
            let finished =
                Call::new(Client::OpenSsh100, &gateway, "pipeline").exec(&format!("{name} {words}")).run(input);
            (finished.out.text(), finished.err, finished.status)
        };
        let three = "processes role upper '|' processes role cat '|' processes role sum";
        let (out, err, status) = run(three, Input::Generated(4 * MIB));
        assert!(out.starts_with(&format!("{} bytes ", 4 * MIB)), "{name}: {out}{err}");
        assert_eq!((err.as_str(), status), ("", Some(0)), "{name}");
        let (out, _, status) = run("processes role both word x '|' processes role upper", Input::Nothing);
        assert_eq!((out.as_str(), status), ("WORD\n", Some(0)), "{name}");
        let (_, _, status) = run("processes role emit 9 '|' processes role exit 77", Input::Nothing);
        assert_eq!(status, Some(77), "{name}");
        let (_, err, status) = run("processes role exit 0 '|' absent", Input::Nothing);
        assert!(err.contains("pipeline: absent"), "{name}: {err}");
        assert!(matches!(status, Some(126 | 127)), "{name}: {status:?}");
    }
    gateway.end();
}
