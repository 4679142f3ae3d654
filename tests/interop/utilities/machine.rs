//! The two sides: how each runs a batch of command lines, and what comes of a line.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use whelk_tests::{Call, Client, Gateway, Input, Setup, build_guest};

use super::tree::{self, Files};

/// The environment of each program.
const ENVIRONMENT: [(&str, &str); 5] =
    [("HOME", "/"), ("LC_ALL", "C.UTF-8"), ("PATH", "/usr/bin:/bin"), ("TZ", "UTC"), ("USER", "batch")];

/// One command line.
pub(super) struct Line {
    /// As it is written in the tables, with its name.
    pub(super) text: String,
    words: Vec<String>,
    /// The file that it reads as its standard input; empty: none.
    input: String,
}

/// What came of a line.
pub(super) struct Outcome {
    pub(super) status: u32,
    pub(super) out: String,
    pub(super) err: String,
    pub(super) files: Files,
}

impl Line {
    /// The line of a table for one of its utilities.
    pub(super) fn new(name: &str, line: &str) -> Line {
        if let Some(script) = line.strip_prefix("$ ") {
            let words = ["sh", "-c", script].map(str::to_owned).to_vec();
            return Line { text: line.to_owned(), words, input: String::new() };
        }
        let text = format!("{name} {line}").trim_end().to_owned();
        let (command, input) = text.rsplit_once(" < ").unwrap_or((&text, ""));
        let words = shlex::split(command).unwrap_or_else(|| panic!("an open quote: {text}"));
        Line { words, input: input.to_owned(), text }
    }
}

/// A gateway with the utilities, and with the program that runs a batch.
pub(super) fn serve(setup: Setup, configuration: &str) -> Gateway {
    let setup = setup.configuration(configuration).utilities();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let batch = build_guest("tests/interop/programs/batch", "batch", &target);
    fs::write(setup.folder().join("shipped/bin/batch.wasm"), batch).expect("our own folder");
    setup.start()
}

/// The gateway.
pub(super) struct Whelk<'a> {
    gateway: &'a Gateway,
    /// What a session sees as `/`.
    root: PathBuf,
    /// The programs that are compiled.
    ready: BTreeSet<PathBuf>,
}

impl<'a> Whelk<'a> {
    pub(super) fn new(gateway: &'a Gateway) -> Self {
        Self { gateway, root: gateway.folder().join("tree"), ready: BTreeSet::new() }
    }

    /// Waits until a program is compiled, as a session does for a moment. Its other names are ready then, too.
    pub(super) fn wait_for(&mut self, program: &str) {
        let file = self.gateway.plugins().join("bin").join(format!("{program}.wasm"));
        let file = fs::read_link(&file).unwrap_or(file);
        while !self.ready.contains(&file) {
            let ended = self.call().exec(&format!("{program} --version")).run_long(Input::Nothing);
            if !ended.err.contains("not ready yet") {
                self.ready.insert(file.clone());
            }
        }
    }

    /// Runs the lines, one after another in one session, each in a directory of its own.
    pub(super) fn run(&self, lines: &[Line]) -> Vec<Outcome> {
        let mut input = Vec::new();
        for (number, line) in lines.iter().enumerate() {
            tree::make(&self.root.join(number.to_string()));
            let environment: Vec<String> = ENVIRONMENT.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let directory = format!("/{number}");
            let mut texts =
                vec![directory.clone(), line.input.clone(), format!("{}\nPWD={directory}", environment.join("\n"))];
            texts.extend(line.words.iter().cloned());
            write_number(&mut input, texts.len());
            for text in texts {
                write_number(&mut input, text.len());
                input.extend_from_slice(text.as_bytes());
            }
        }
        let ended = self.call().exec("batch").run(Input::Bytes(input));
        let last = &lines.last().map(|line| &line.text);
        assert_eq!((ended.err.as_str(), ended.status), ("", Some(0)), "the batch before {last:?}");
        let mut output = ended.out.kept.as_slice();
        let read = |number: usize| {
            let status = read_number(&mut output);
            let (out, err) = (read_text(&mut output), read_text(&mut output));
            let directory = self.root.join(number.to_string());
            let files = tree::take(&directory, &self.root);
            Outcome { status, out, err, files }
        };
        (0..lines.len()).map(read).collect()
    }

    fn call(&self) -> Call {
        Call::new(Client::OpenSsh100, self.gateway, "batch")
    }
}

fn write_number(to: &mut Vec<u8>, number: usize) {
    to.extend_from_slice(&u32::try_from(number).expect("a batch is small").to_le_bytes());
}

fn read_number(from: &mut &[u8]) -> u32 {
    let (bytes, rest) = from.split_first_chunk().expect("the batch has written all");
    *from = rest;
    u32::from_le_bytes(*bytes)
}

fn read_text(from: &mut &[u8]) -> String {
    let length = read_number(from) as usize;
    let (text, rest) = from.split_at(length);
    *from = rest;
    String::from_utf8_lossy(text).into_owned()
}

/// A program that, even where root runs the tests, can do nothing to the machine itself, such as setting its time.
fn without_capabilities(name: &str) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(name);
    }
    let mut command = Command::new("setpriv");
    command.args(["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--", name]);
    command
}

/// This machine.
pub(super) struct Linux {
    /// What stands for `/`.
    root: PathBuf,
}

impl Linux {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Fails where this machine lacks a utility, or has another one of its name than the lines are for.
    pub(super) fn require(name: &str) {
        let packages = [("awk", "gawk"), ("rg", "ripgrep")];
        let package = packages.iter().find(|(program, _)| *program == name).map_or(name, |(_, package)| package);
        let folders = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(name));
        let program = folders.iter().find(|program| program.exists());
        let install = format!("install it (Debian: apt-get install {package})");
        let program = program.unwrap_or_else(|| panic!("{name} is missing: {install}"));
        if name == "awk" {
            let version = Command::new(program).arg("--version").stdin(Stdio::null()).output().expect("it is there");
            let is_gawk = String::from_utf8_lossy(&version.stdout).starts_with("GNU Awk");
            assert!(is_gawk, "{} is not gawk: {install}, and update-alternatives --auto awk", program.display());
        }
    }

    /// Runs the lines, one after another, each in a directory of its own.
    pub(super) fn run(&self, lines: &[Line]) -> Vec<Outcome> {
        lines.iter().enumerate().map(|(number, line)| self.run_one(&number.to_string(), line)).collect()
    }

    fn run_one(&self, number: &str, line: &Line) -> Outcome {
        let directory = self.root.join(number);
        tree::make(&directory);
        let (name, arguments) = line.words.split_first().expect("a line has a name");
        let input = match line.input.as_str() {
            "" => Stdio::null(),
            file => File::open(directory.join(file)).expect("the input is in the tree").into(),
        };
        let mut command = without_capabilities(name);
        command.args(arguments).current_dir(&directory).stdin(input);
        command.env_clear().envs(ENVIRONMENT).env("PWD", &directory);
        let ended = command.output().unwrap_or_else(|error| panic!("{}: {error}; install it", line.text));
        let status = ended.status.code().or_else(|| Some(128 + ended.status.signal()?)).expect("it has ended");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&*self.root.to_string_lossy(), "");
        let status = u32::try_from(status).expect("it is not negative");
        // GNU's programs quote as the language does.
        let err = text(&ended.stderr).replace(['\u{2018}', '\u{2019}'], "'");
        Outcome { status, out: text(&ended.stdout), err, files: tree::take(&directory, &self.root) }
    }
}
