//! brush's cases: a shell is right when it does what bash does.

use crate::case::{Case, Comparison, File, Start, Value};
use crate::package;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use yaml_rust2::{Yaml, YamlLoader};

const VERSION: &str = "0.4.0";

/// The cases.
pub fn cases() -> Vec<Case> {
    let folder = package::of_cargo("brush-shell", VERSION).join("tests/cases/compat");
    let mut paths = Vec::new();
    find_files(&folder, &mut paths);
    paths.sort();
    paths.iter().flat_map(|path| read(&folder, path)).collect()
}

fn find_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the suite").filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            find_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
}

fn read(folder: &Path, path: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(path).expect("a file of the suite");
    let class = path.strip_prefix(folder).expect("it lies there").with_extension("").display().to_string();
    let documents = YamlLoader::load_from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut cases = Vec::new();
    for document in &documents {
        let configs = document["incompatible_configs"].as_vec();
        let is_compatible =
            !configs.is_some_and(|configs| configs.iter().any(|config| config.as_str() == Some("bash")));
        for yaml in document["cases"].as_vec().into_iter().flatten() {
            let title = yaml["name"].as_str().unwrap_or_default().replace('\n', " ");
            let count = seen.entry(title.clone()).or_default();
            *count += 1;
            let title = if *count > 1 { format!("{title} ({count})") } else { title };
            cases.push(Case {
                name: format!("{class}: {title}"),
                start: start(yaml, &document["common_test_files"]),
                comparison: Comparison {
                    stdout: !is_true(&yaml["ignore_stdout"]),
                    stderr: !is_true(&yaml["ignore_stderr"]),
                    ignores_spaces: is_true(&yaml["ignore_whitespace"]),
                },
                is_applicable: is_compatible && is_applicable(yaml),
            });
        }
    }
    cases
}

fn start(yaml: &Yaml, common_files: &Yaml) -> Start {
    let removed = strings(&yaml["removed_default_args"]);
    let defaults = ["--norc", "--noprofile"].map(str::to_owned).into_iter();
    let files = [common_files, &yaml["test_files"]].into_iter().filter_map(Yaml::as_vec).flatten();
    let variables = yaml["env"].as_hash().into_iter().flatten().map(|(name, value)| {
        let value = strings(&Yaml::Array(vec![value.clone()])).concat();
        (name.as_str().unwrap_or_default().to_owned(), Value::Text(value))
    });
    Start {
        bash_options: defaults.filter(|default| !removed.contains(default)).collect(),
        arguments: strings(&yaml["args"]),
        environment: [("PS1".to_owned(), Value::Text("test$ ".to_owned()))].into_iter().chain(variables).collect(),
        files: files
            .map(|file| File {
                path: file["path"].as_str().unwrap_or_default().to_owned(),
                text: file["contents"].as_str().unwrap_or_default().to_owned(),
                is_executable: is_true(&file["executable"]),
            })
            .collect(),
        programs: &[],
        input: yaml["stdin"].as_str().unwrap_or_default().to_owned(),
        limit: Duration::from_secs(10),
    }
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

/// Whether a case says anything here.
fn is_applicable(yaml: &Yaml) -> bool {
    let newer = match &yaml["min_oracle_version"] {
        Yaml::Real(version) | Yaml::String(version) => version.starts_with("5.3"),
        _ => false,
    };
    !(is_true(&yaml["skip"]) || is_true(&yaml["pty"]) || newer || !yaml["max_oracle_version"].is_badvalue())
}
