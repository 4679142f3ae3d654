//! The cases that just-bash tests itself with: those of the Oils project for shells (Apache-2.0), and its own commands
//! that it compares with bash (Apache-2.0). The package of the Python port carries both.
//!
//! As with brush's cases a shell is right when it does what bash does here: standard output and the status.

use crate::case::{Case, Comparison, File, Start, Value};
use crate::package;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;
use yaml_rust2::{Yaml, YamlLoader};

const VERSION: &str = "0.2.1";
const SHA256: &str = "c8545e21a921ae665ec44edfad7cdbe644c6ef1deb1a16d719cc64211745c836";

/// Needs a terminal with bash too.
const INTERACTIVE: &[&str] = &["interactive", "interactive-parse"];

/// Programs that the cases call, as scripts: what they print need only be the same for each shell.
const PROGRAMS: &[(&str, &str)] = &[
    ("argv.py", "printf '['; for a; do printf \"'%s', \" \"$a\"; done; echo ']'"),
    ("printenv.py", "for n; do eval \"printf '%s\\n' \\\"\\${$n-None}\\\"\"; done"),
    ("stdout_stderr.py", "echo \"${1-STDOUT}\"; echo \"${2-STDERR}\" >&2; exit \"${3-0}\""),
    ("read_from_fd.py", "for n; do printf '%s: ' \"$n\"; eval \"cat <&$n\"; echo; done"),
];

/// The cases.
pub fn cases() -> Vec<Case> {
    let source = package::of_pip("just-bash", "just_bash", VERSION, SHA256).join("just-bash/src");
    let mut cases = Vec::new();
    for (class, path) in package::files_of(&source.join("spec-tests/bash/cases"), ".test.sh") {
        let text = std::fs::read(&path).expect("a file of the suite");
        if !INTERACTIVE.contains(&class.as_str()) {
            cases.extend(oils(&class, &String::from_utf8_lossy(&text)));
        }
    }
    for (class, path) in package::files_of(&source.join("comparison-tests/fixtures"), ".comparison.fixtures.json") {
        cases.extend(comparisons(&class, &std::fs::read_to_string(&path).expect("a file of the suite")));
    }
    cases
}

fn case(name: String, arguments: Vec<String>, input: String, files: Vec<File>) -> Case {
    let environment = [("TMP", Value::Work), ("SH", Value::Shell), ("LC_ALL", Value::Text("C.UTF-8".to_owned()))];
    let start = Start {
        bash_options: Vec::new(),
        arguments,
        environment: environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        files,
        programs: PROGRAMS,
        input,
        limit: Duration::from_secs(5),
    };
    let comparison = Comparison { stdout: true, stderr: false, ignores_spaces: false };
    Case { name, start, comparison, is_applicable: true }
}

/// Reads a file of Oils: `#### title`, the script, and lines `## ..` with what is expected, some up to `## END`.
fn oils(class: &str, text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut within = false;
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("#### ") {
            let title = title.trim().replace(": ", " - ");
            let count = seen.entry(title.clone()).or_default();
            *count += 1;
            let title = if *count > 1 { format!("{title} ({count})") } else { title };
            cases.push(case(format!("oils/{class}: {title}"), Vec::new(), String::new(), Vec::new()));
            within = false;
        } else if let Some(case) = cases.last_mut() {
            if let Some(expected) = line.strip_prefix("## ") {
                let block = |word: &str| ["STDOUT:", "STDERR:"].contains(&word);
                within = expected.split_whitespace().last().is_some_and(block);
                if let Some(code) = expected.strip_prefix("code: ") {
                    case.start.input = format!("{code}\n");
                }
            } else if !within {
                let _ = writeln!(case.start.input, "{line}");
            }
        }
    }
    cases
}

fn comparisons(class: &str, text: &str) -> Vec<Case> {
    let documents = YamlLoader::load_from_str(text).unwrap_or_else(|error| panic!("{class}: {error}"));
    let mut cases = Vec::new();
    for (key, yaml) in documents.iter().filter_map(Yaml::as_hash).flatten() {
        let text = |yaml: &Yaml| yaml.as_str().unwrap_or_default().to_owned();
        let files = yaml["files"].as_hash().into_iter().flatten();
        let files = files.map(|(path, content)| File { path: text(path), text: text(content), is_executable: false });
        let arguments = vec!["-c".to_owned(), text(&yaml["command"])];
        cases.push(case(format!("comparison/{class}: {}", text(key)), arguments, String::new(), files.collect()));
    }
    cases
}
