//! What the start of each utility takes: the columns `start` and `memory` of the table in `plugins/README.md`.
//!
//! `WHELK_PROVE=1` measures `NAME --version` and prints a row for each utility. With `WHELK_BLESS=1`, too, the figures
//! are written into the table.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use whelk_tests::{Call, Client, Event, Gateway, Input, figure, repository, size};

use super::start;

/// How often each is started for its processor time, which the kernel counts in units of 10 ms.
const STARTS: u32 = 500;

/// The cells of a row: the program, its size, its start, its memory.
const START: usize = 3;
const MEMORY: usize = 4;

/// The programs of `plugins/unix`, and a name that each is called by here.
fn programs() -> BTreeMap<String, String> {
    let folders = fs::read_dir(repository().join("plugins/unix")).expect("it is part of the repository");
    let programs = folders.filter_map(Result::ok).filter(|entry| entry.path().join("src/main.rs").is_file());
    programs
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .map(|program| {
            let name = match program.as_str() {
                "coreutils" => "ls",
                "procutils" => "env",
                name => name,
            };
            (program.clone(), name.to_owned())
        })
        .collect()
}

/// Processor time in ms and memory in MiB of a run, both with the instance itself.
fn measure(gateway: &Gateway, program: &str, name: &str) -> (String, String) {
    let run = |command: &str| {
        let ended = Call::new(Client::OpenSsh100, gateway, "batch").exec(command).run_long(Input::Nothing);
        assert_eq!(ended.status, Some(0), "{command}: {}", ended.err);
    };
    run(&format!("{name} --version"));
    let memory = gateway.wait_all("the end of its session", |events: &[Event]| {
        let mut ended = events.iter().rev().filter(|event| event.message == "session ended");
        ended.find(|event| [program, name].contains(&event.field("plugin").as_str())).map(|event| event.field("memory"))
    });
    let bytes: f64 = memory.parse().expect("it is a number");
    let repeat = |count: u32, command: &str| {
        let before = gateway.processor_time();
        run(&format!("sh -c 'i=0; while [ $i -lt {count} ]; do {command}; i=$((i+1)); done > /dev/null'"));
        gateway.processor_time().saturating_sub(before)
    };
    let loops = repeat(STARTS, ":");
    let took = repeat(STARTS, &format!("{name} --version")).saturating_sub(loops) / STARTS;
    (format!("{:.2} ms", took.as_secs_f64() * 1e3), format!("{:.1} MiB", bytes / f64::from(1 << 20)))
}

fn readme() -> PathBuf {
    repository().join("plugins/README.md")
}

/// Replaces the figures of a program in the table.
fn written(text: &str, program: &str, (start, memory): &(String, String)) -> String {
    let replaced = |line: &str| {
        let mut cells: Vec<String> = line.split('|').map(str::to_owned).collect();
        (cells[START], cells[MEMORY]) = (format!(" {start} "), format!(" {memory} "));
        cells.join("|")
    };
    let lines = text.lines().map(|line| if is_row(line, program) { replaced(line) } else { line.to_owned() });
    lines.map(|line| line + "\n").collect()
}

fn is_row(line: &str, program: &str) -> bool {
    line.starts_with(&format!("| [`{program}`](unix/{program}/)"))
}

#[test]
fn the_table_of_the_utilities_says_what_the_start_of_each_takes() {
    let programs = programs();
    if size(0, 1) == 1 {
        let gateway = start();
        let mut whelk = super::machine::Whelk::new(&gateway);
        whelk.wait_for("sh");
        let mut text = fs::read_to_string(readme()).expect("it is part of the repository");
        for (program, name) in &programs {
            whelk.wait_for(name);
            let figures = measure(&gateway, program, name);
            figure(&format!("{name} --version"), format!("{}, {}", figures.0, figures.1));
            text = written(&text, program, &figures);
        }
        if std::env::var_os("WHELK_BLESS").is_some_and(|value| value == "1") {
            fs::write(readme(), text).expect("the repository can be written");
        }
        gateway.end();
    }
    let text = fs::read_to_string(readme()).expect("it is part of the repository");
    let has_figures = |program: &String| {
        let row = text.lines().find(|line| is_row(line, program))?;
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let number = |cell: usize, unit| cells.get(cell)?.strip_suffix(unit)?.parse::<f64>().ok();
        number(START, " ms").zip(number(MEMORY, " MiB"))
    };
    let without: Vec<&String> = programs.keys().filter(|program| has_figures(program).is_none()).collect();
    assert!(without.is_empty(), "no figures in {}: {without:?}", readme().display());
}
