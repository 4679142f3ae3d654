//! Lock files of the workspaces besides the repository's own: tests build those with `--locked`, so they must list what
//! our packages depend on.

use crate::assert_none;
use crate::source::{repository, text_files};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// What a package depends on, without what only its own tests use.
struct Needs {
    /// In any case ...
    always: BTreeSet<String>,
    /// ... and if some features are on.
    at_most: BTreeSet<String>,
}

/// The packages of the repository's own workspace.
fn packages() -> BTreeMap<String, Needs> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(repository()).args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let output = cargo.output().expect("cargo runs this test");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let needs = |package: &Value| {
        let used: Vec<Value> = list(&package["dependencies"]).into_iter().filter(|one| one["kind"] != "dev").collect();
        let names = |used: &mut dyn Iterator<Item = &Value>| {
            used.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect()
        };
        Needs {
            always: names(&mut used.iter().filter(|one| one["optional"] == false)),
            at_most: names(&mut used.iter()),
        }
    };
    let named = |package: Value| Some((package["name"].as_str()?.to_owned(), needs(&package)));
    list(&metadata["packages"]).into_iter().filter_map(named).collect()
}

/// The packages of a lock file that come from no registry, and what they depend on.
fn locked(text: &str) -> Vec<(String, BTreeSet<String>)> {
    let of_ours = text.split("[[package]]").filter(|package| !package.contains("\nsource = "));
    let read = |package: &str| {
        let name = package.lines().find_map(|line| line.strip_prefix("name = "))?.trim_matches('"').to_owned();
        let listed = package.split_once("dependencies = [").map_or("", |(_, rest)| rest);
        let listed = listed.lines().filter_map(|line| line.trim().strip_prefix('"'));
        let first = |line: &str| line.split([' ', '"']).next().map(str::to_owned);
        Some((name, listed.filter_map(first).collect()))
    };
    of_ours.filter_map(read).collect()
}

#[test]
fn lock_files_list_what_our_packages_depend_on() {
    let packages = packages();
    let (mut seen, mut offenders) = (0, Vec::new());
    for (file, text) in text_files(&["lock"]).into_iter().filter(|(file, _)| file != "Cargo.lock") {
        for (name, listed) in locked(&text) {
            let Some(needs) = packages.get(&name) else { continue };
            seen += 1;
            let missing: Vec<&String> = needs.always.difference(&listed).collect();
            let surplus: Vec<&String> = listed.difference(&needs.at_most).collect();
            if !missing.is_empty() || !surplus.is_empty() {
                offenders.push(format!("{file}: {name}: lacks {missing:?}, lists {surplus:?} that it does not use"));
            }
        }
    }
    assert!(seen > 3, "only {seen} of our packages are in lock files");
    assert_none(&offenders, "lock files that are out of date: run `cargo metadata --offline` in their folders");
}
