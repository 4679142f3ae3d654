//! The rules of the house, as tests. Each prints all offenders at once.
//!
//! `source` finds and measures the files, `modules` reads which module uses which, `circles` finds the circles. Not
//! checked here, since the compiler's lints do it: documentation, `unwrap`, `unsafe`.

mod circles;
mod columns;
mod folders;
mod homonyms;
mod locks;
mod log_lines;
mod modules;
mod paths;
mod rows;
mod source;
mod spawns;
mod vocabulary;
mod words;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use source::{Source, repository, rust_files};
use std::process::Command;

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 60;

fn assert_none(offenders: &[String], rule: &str) {
    assert!(offenders.is_empty(), "{rule}:\n  {}", offenders.join("\n  "));
}

#[test]
fn no_module_uses_one_that_uses_it() {
    let mut offenders = Vec::new();
    for root in modules::crate_roots() {
        let graph = modules::Graph::read(&root);
        offenders.extend(circles::find(&graph));
    }
    assert_none(&offenders, "import circles (a parent uses its children or its children use it, never both)");
}

#[test]
fn every_place_that_starts_a_task_or_a_thread_is_known() {
    let is_server = |source: &Source| {
        ["host/gateway/src/", "host/runtime/src/"].iter().any(|folder| source.name().starts_with(folder))
    };
    let found = rust_files().into_iter().filter(is_server).map(|source| (source.name(), source.uses_of("spawn")));
    let found: Vec<(String, usize)> = found.filter(|(_, count)| *count > 0).collect();
    let known: Vec<(String, usize)> =
        spawns::KNOWN.iter().map(|(file, count, _)| ((*file).to_owned(), *count)).collect();
    let one = |(file, count): &(String, usize)| format!("{file}: {count}");
    let offenders = found.iter().filter(|place| !known.contains(place)).map(one);
    let gone = known.iter().filter(|place| !found.contains(place)).map(|place| format!("no more: {}", one(place)));
    assert_none(
        &offenders.chain(gone).collect::<Vec<_>>(),
        "places that `spawns.rs` does not know, or knows otherwise",
    );
}

#[test]
fn only_events_write_lines_of_the_log() {
    let offenders: Vec<String> = rust_files().iter().flat_map(log_lines::written_elsewhere).collect();
    assert_none(&offenders, "lines of the log that are no event (declare one: `host/gateway/src/observe/event.rs`)");
}

#[test]
fn no_file_is_longer_than_one_can_hold() {
    let long = |source: &Source| {
        let lines = source.code_lines();
        (lines > FILE_LINES).then(|| format!("{}: {lines} lines of code", source.name()))
    };
    assert_none(&rust_files().iter().filter_map(long).collect::<Vec<_>>(), "files of more than 500 lines of code");
}

#[test]
fn no_function_is_longer_than_one_can_see() {
    let mut offenders = Vec::new();
    for source in rust_files() {
        for function in source.functions() {
            if function.lines > FUNCTION_LINES {
                let (name, lines) = (function.name, function.lines);
                offenders.push(format!("{}:{}: {name}: {lines} lines of code", source.name(), function.line));
            }
        }
    }
    assert_none(&offenders, "functions of more than 60 lines of code");
}

#[test]
fn names_say_what_things_are() {
    let mut offenders = Vec::new();
    for source in rust_files() {
        for (line, name) in source.declared_names() {
            if is_refused(&name) {
                offenders.push(format!("{}:{line}: {name}", source.name()));
            }
        }
    }
    assert_none(&offenders, "refused names (Manager, Common*, *Inner, utils, helpers, misc, process_*)");
}

fn is_refused(name: &str) -> bool {
    let whole = ["util", "utils", "helper", "helpers", "misc", "common"];
    name.contains("Manager")
        || name.starts_with("Common")
        || (name.ends_with("Inner") || name.ends_with("Utils") || name.ends_with("Helper"))
        // `process_group` is a method of the standard library.
        || name.starts_with("process_") && name != "process_group"
        || whole.contains(&name)
}

#[test]
fn every_message_cites_its_rfc() {
    let mut offenders = Vec::new();
    let mut messages = 0;
    for source in rust_files().iter().filter(|source| source.name().starts_with("host/ssh/src/message")) {
        each_table(source.tokens(), &mut |table| {
            for (line, name, doc) in entries(table) {
                messages += 1;
                if !doc.contains("RFC ") {
                    offenders.push(format!("{}:{line}: {name}", source.name()));
                }
            }
        });
    }
    assert!(
        messages > 20,
        "only {messages} messages were found in host/ssh/src/message: is the macro still `messages!`?"
    );
    assert_none(&offenders, "messages without a citation like `RFC 4254 §5.2`");
}

/// Calls `look` with the body of each `messages! { .. }`, wherever it is.
fn each_table(tokens: TokenStream, look: &mut impl FnMut(TokenStream)) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else { continue };
        let before = |back: usize| at.checked_sub(back).map(|at| tokens[at].to_string()).unwrap_or_default();
        if before(2) == "messages" && before(1) == "!" {
            group.stream().into_iter().for_each(|inner| {
                if let TokenTree::Group(body) = inner
                    && body.delimiter() == Delimiter::Brace
                {
                    look(body.stream());
                }
            });
        } else {
            each_table(group.stream(), look);
        }
    }
}

/// The entries `/// doc` `NUMBER Name` of a table: line, name, doc.
fn entries(table: TokenStream) -> Vec<(usize, String, String)> {
    let mut found = Vec::new();
    let mut doc = String::new();
    let mut number = false;
    for token in table {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => doc += &group.to_string(),
            TokenTree::Literal(_) => number = true,
            TokenTree::Ident(name) => {
                if std::mem::take(&mut number) {
                    found.push((name.span().start().line, name.to_string(), std::mem::take(&mut doc)));
                }
            }
            TokenTree::Group(_) | TokenTree::Punct(_) => {}
        }
    }
    found
}

#[test]
fn the_protocol_knows_neither_tokio_nor_wasmtime() {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(repository()).args(["tree", "--package", "whelk-ssh", "--prefix", "none"]);
    let output = cargo.args(["--edges", "normal,build,dev", "--all-features"]).output().expect("cargo runs this test");
    let (text, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("whelk-ssh"), "{said}");
    let strangers = ["tokio", "wasmtime", "whelk-runtime", "whelk"];
    let offenders: Vec<String> = text
        .lines()
        .filter(|line| {
            line.split_whitespace().next().is_some_and(|name| {
                strangers.contains(&name) || name.starts_with("tokio-") || name.starts_with("wasmtime-")
            })
        })
        .map(str::to_owned)
        .collect();
    assert_none(&offenders, "packages that whelk-ssh must not know");
}
