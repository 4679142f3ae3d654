//! The utilities: each command line runs under Whelk, by OpenSSH, and under Linux with the programs of this machine, in
//! equal trees of files. Output, errors, exit status and the files afterwards are compared.
//!
//! `tables` has the command lines, and the differences that are intended; a difference that is no more is a failure,
//! too. `WHELK_UTILITY=ls,cp` runs the lines of these utilities only.

mod compare;
mod figures;
mod machine;
mod table;
mod tables;
mod tree;

use std::collections::BTreeMap;
use std::fs;

use whelk_tests::{Call, Client, Gateway, Input, Setup, repository};

use compare::Comparison;
use machine::{Line, Linux, Whelk};
use table::Tables;
use tables::{CORE, TOOLS};

/// The fewest lines that a utility has.
const FEWEST: usize = 15;

const CONFIGURATION: &str = "\
[users.batch]
plugin = \"batch\"
auth = \"none\"
[tenants.default]
exec_programs = true
[tenants.default.grants]
process = true
directory = { path = \"tree\", access = \"read-write\" }
";

fn start() -> Gateway {
    let setup = Setup::default();
    fs::create_dir(setup.folder().join("tree")).expect("our own folder");
    machine::serve(setup, CONFIGURATION)
}

#[test]
fn core_utilities_do_what_those_of_gnu_do() {
    let gateway = start();
    compare_all(&gateway, CORE);
    all_names_are_tested(&gateway, CORE);
    gateway.end();
}

#[test]
fn tools_that_search_edit_compare_and_pack_do_what_those_of_gnu_do() {
    let gateway = start();
    compare_all(&gateway, TOOLS);
    gateway.end();
}

/// Runs the lines of these tables on both sides, prints the counts, and fails for what differs.
fn compare_all(gateway: &Gateway, tables: &Tables) {
    let only = std::env::var("WHELK_UTILITY").ok();
    let (mut whelk, linux) = (Whelk::new(gateway), Linux::new(&gateway.folder().join("linux")));
    // Lines of other programs start these.
    ["coreutils", "diff", "grep", "sed", "sh"].iter().for_each(|program| whelk.wait_for(program));
    let mut comparison = Comparison::new(tables);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (table, name) in tables
        .iter()
        .flat_map(|(tables, _)| *tables)
        .flat_map(|table| table.names.iter().map(move |name| (table, *name)))
    {
        if only.as_ref().is_some_and(|only| only.split(',').all(|only| *only != *name)) {
            continue;
        }
        Linux::require(name);
        whelk.wait_for(name);
        let lines: Vec<Line> = table.lines.iter().map(|line| Line::new(name, line)).collect();
        *counts.entry(name).or_default() += lines.len();
        println!("{name}");
        let (ours, theirs) = (whelk.run(&lines), linux.run(&lines));
        for (line, (ours, theirs)) in lines.iter().zip(ours.iter().zip(&theirs)) {
            comparison.add(name, line, ours, theirs);
        }
    }
    println!("{comparison}");
    let few = counts.iter().filter(|(_, count)| **count < FEWEST).map(|(name, count)| format!("{name}: {count} lines"));
    let mut wrong = comparison.finish(only.is_none());
    wrong.extend(few);
    assert!(wrong.is_empty(), "{} of Whelk's utilities:\n{}", wrong.len(), wrong.join("\n"));
}

/// The utilities of which this machine has none to compare with, or that need a terminal.
const UNCOMPARED: [&str; 5] = ["cal", "clear", "stty", "tree", "who"];

/// The names in the packages are those that the programs have, and each has a table.
fn all_names_are_tested(gateway: &Gateway, tables: &Tables) {
    let listed = Call::new(Client::OpenSsh100, gateway, "batch").exec("coreutils --list").run_long(Input::Nothing);
    assert_eq!(listed.out.text().lines().collect::<Vec<_>>(), names("coreutils"), "{}", listed.err);
    let tested = tables.iter().flat_map(|(tables, _)| *tables).flat_map(|table| table.names);
    let tested: Vec<&str> = tested.copied().chain(UNCOMPARED).collect();
    let names = ["coreutils", "procutils"].map(names).concat();
    let untested: Vec<&String> = names.iter().filter(|name| !tested.contains(&name.as_str())).collect();
    assert!(untested.is_empty(), "names without a table: {untested:?}");
}

/// The names of the programs of a package.
fn names(package: &str) -> Vec<String> {
    let manifest = repository().join("plugins/unix").join(package).join("Cargo.toml");
    let manifest = fs::read_to_string(manifest).expect("it is there");
    let names = manifest
        .split_once("names = [")
        .and_then(|(_, rest)| rest.split_once("\n]").or_else(|| rest.split_once("]\n")));
    let names = names.expect("it has names").0;
    names.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}
