//! brush's cases: a shell is right when it does what bash does.

use crate::cases::{self, Outcome, Ran, Shells, Suite, Verdicts, code_of, each, package, shows};
use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use yaml_rust2::{Yaml, YamlLoader};

const VERSION: &str = "0.4.0";

struct BrushCase {
    name: String,
    yaml: Yaml,
    /// Files that all cases of its file have.
    files: Yaml,
    incompatible: bool,
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the suite").filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
}

fn read(folder: &Path) -> Vec<BrushCase> {
    let mut paths = Vec::new();
    files(folder, &mut paths);
    paths.sort();
    let mut all: Vec<BrushCase> = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a file of the suite");
        let class = path.strip_prefix(folder).expect("it lies there").with_extension("").display().to_string();
        let documents = YamlLoader::load_from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        for document in &documents {
            let configs = document["incompatible_configs"].as_vec();
            let incompatible =
                configs.is_some_and(|configs| configs.iter().any(|config| config.as_str() == Some("bash")));
            for yaml in document["cases"].as_vec().into_iter().flatten() {
                let title = yaml["name"].as_str().unwrap_or_default().replace('\n', " ");
                let count = seen.entry(title.clone()).or_default();
                *count += 1;
                let title = if *count > 1 { format!("{title} ({count})") } else { title };
                all.push(BrushCase {
                    name: format!("{class}: {title}"),
                    yaml: yaml.clone(),
                    files: document["common_test_files"].clone(),
                    incompatible,
                });
            }
        }
    }
    all
}

fn strings(yaml: &Yaml) -> Vec<String> {
    let one = |yaml: &Yaml| match yaml {
        Yaml::String(text) | Yaml::Real(text) => text.clone(),
        Yaml::Integer(number) => number.to_string(),
        Yaml::Boolean(value) => value.to_string(),
        _ => String::new(),
    };
    yaml.as_vec().into_iter().flatten().map(one).collect()
}

fn is_true(yaml: &Yaml) -> bool {
    yaml.as_bool() == Some(true)
}

/// Why a case says nothing here.
fn is_applicable(case: &BrushCase) -> bool {
    let yaml = &case.yaml;
    let newer = match &yaml["min_oracle_version"] {
        Yaml::Real(version) | Yaml::String(version) => version.starts_with("5.3"),
        _ => false,
    };
    !(case.incompatible
        || is_true(&yaml["skip"])
        || is_true(&yaml["pty"])
        || newer
        || !yaml["max_oracle_version"].is_badvalue())
}

fn run_case(shells: &Shells, case: &BrushCase, shell: &str) -> Ran {
    let yaml = &case.yaml;
    let outer = tempfile::tempdir().expect("a temporary folder");
    let work = outer.path().join("work");
    std::fs::create_dir(&work).expect("a new folder");
    for file in [&case.files, &yaml["test_files"]].into_iter().filter_map(Yaml::as_vec).flatten() {
        let path = work.join(file["path"].as_str().unwrap_or_default());
        std::fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a new folder");
        std::fs::write(&path, file["contents"].as_str().unwrap_or_default()).expect("a new file");
        if is_true(&file["executable"]) {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("our own file");
        }
    }
    let removed = strings(&yaml["removed_default_args"]);
    let defaults = if shell == "dash" { vec![] } else { vec!["--norc".to_owned(), "--noprofile".to_owned()] };
    let program = shells.path(shell, "bash");
    let mut command = Command::new(&program);
    command.arg0("bash").args(defaults.into_iter().filter(|default| !removed.contains(default)));
    command.args(strings(&yaml["args"])).current_dir(&work).env_clear();
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", program.parent().expect("a folder").display());
    command.env("PATH", path).env("TERM", "linux").env("PS1", "test$ ").env("HOME", outer.path());
    for (name, value) in yaml["env"].as_hash().into_iter().flatten() {
        let value = strings(&Yaml::Array(vec![value.clone()]));
        command.env(name.as_str().unwrap_or_default(), &value[0]);
    }
    let mut ran =
        cases::run(command, yaml["stdin"].as_str().unwrap_or_default(), outer.path(), Duration::from_secs(10));
    for (from, to) in [
        (outer.path().display().to_string(), "TEMP"),
        (program.parent().expect("a folder").display().to_string(), "SHELLS"),
    ] {
        ran.stdout = ran.stdout.replace(&from, to);
        ran.stderr = ran.stderr.replace(&from, to);
    }
    ran
}

fn same(case: &BrushCase, oracle: &Ran, ran: &Ran) -> bool {
    let yaml = &case.yaml;
    let spaces = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let equal = |one: &str, other: &str| {
        if is_true(&yaml["ignore_whitespace"]) { spaces(one) == spaces(other) } else { one == other }
    };
    code_of(oracle) == code_of(ran)
        && (is_true(&yaml["ignore_stdout"]) || equal(&oracle.stdout, &ran.stdout))
        && (is_true(&yaml["ignore_stderr"]) || equal(&oracle.stderr, &ran.stderr))
}

fn judge(shells: &Shells, case: &BrushCase) -> Verdicts {
    if !is_applicable(case) {
        return Verdicts::default();
    }
    let oracle = run_case(shells, case, "bash");
    if oracle.status.is_none() || !same(case, &oracle, &run_case(shells, case, "bash")) {
        // bash itself takes too long, or does something else each time.
        return Verdicts::default();
    }
    let ran = run_case(shells, case, "ours");
    let outcome = |ran: &Ran| if same(case, &oracle, ran) { Outcome::Passed } else { Outcome::Failed };
    let ours = outcome(&ran);
    if ours == Outcome::Failed && shows() {
        println!(
            "=== {}\n{}{}\n--- bash {:?}\n{}{}--- ours {:?}\n{}{}",
            case.name,
            strings(&case.yaml["args"]).join(" "),
            case.yaml["stdin"].as_str().unwrap_or_default(),
            oracle.status,
            oracle.stdout,
            oracle.stderr,
            ran.status,
            ran.stdout,
            ran.stderr
        );
    }
    Verdicts { ours, dash: outcome(&run_case(shells, case, "dash")), bash: Outcome::Passed }
}

pub(crate) fn run(shells: &Shells, wanted: &dyn Fn(&str) -> bool) -> Suite {
    let folder = package("brush-shell", VERSION).join("tests/cases/compat");
    let mut all = read(&folder);
    all.retain(|case| wanted(&case.name));
    let judged = each(&all, |case| (case.name.clone(), judge(shells, case)));
    Suite { name: "brush", cases: judged.into_iter().collect() }
}
