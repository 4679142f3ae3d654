//! `cargo xtask <verb>`: builds, serves, tests and measures Whelk on a machine that has nothing but Rust.
//!
//! A verb is a file. What a verb runs is printed before it is run; what fails is named.

mod bench;
mod build;
mod clients;
mod serve;
mod step;
mod test;
mod workspace;

use std::process::ExitCode;

use rustix::fs::Mode;

const HELP: &str = "\
cargo xtask <verb>

  build            the program and the plugins: target/release/whelk, plugins/*.wasm
  serve [ARGS..]   build, then serve on 127.0.0.1:2222; ARGS go to `whelk serve`
  test [FILTER]    every test, from unit to interop; brings the foreign clients it needs
  prove [NAME]     the tests against foreign clients and hostile plugins at their full sizes, with the figures
  clients          only brings the foreign clients of the tests
  bench [PART..]   Whelk beside other servers or another build: CPU time, latency and memory, as ratios

  <verb> --help    more about one of them";

/// One verb: what it is called, what its help says, what it does.
struct Verb {
    name: &'static str,
    help: &'static str,
    run: fn(&[String]) -> step::Outcome,
}

const VERBS: [Verb; 6] = [
    Verb { name: "build", help: build::HELP, run: build::run },
    Verb { name: "serve", help: serve::HELP, run: serve::run },
    Verb { name: "test", help: test::HELP, run: test::run },
    Verb { name: "prove", help: test::PROVE_HELP, run: test::prove },
    Verb { name: "clients", help: clients::HELP, run: clients::run },
    Verb { name: "bench", help: bench::HELP, run: bench::run },
];

fn main() -> ExitCode {
    // Under umask 002, plugins that are built and configurations that tests write would be refused for being writable
    // by the group.
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = arguments.split_first() else {
        eprintln!("{HELP}");
        return ExitCode::from(2);
    };
    if ["help", "--help", "-h"].contains(&name.as_str()) {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let Some(verb) = VERBS.iter().find(|verb| verb.name == name) else {
        eprintln!("no verb {name:?}\n\n{HELP}");
        return ExitCode::from(2);
    };
    // Arguments after `--` belong to the program that is run.
    if rest.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--help" || argument == "-h") {
        println!("{}", verb.help);
        return ExitCode::SUCCESS;
    }
    match (verb.run)(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\ncargo xtask {name}: {failure}");
            ExitCode::FAILURE
        }
    }
}
