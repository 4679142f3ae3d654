//! What processes can do, as one program that runs under Linux and under Whelk and prints the same on both.
//!
//! `processes` runs all steps and prints a line for each thing that it sees; `processes NAME` runs one of them.
//! `processes terminal` does what needs a terminal and somebody who types. For everything else it starts itself in
//! other roles: see [`roles`].

#![cfg_attr(unix, no_main)]

mod measured;
mod roles;
mod start;
mod steps;
mod system;

#[cfg(unix)]
pub(crate) use system::posix::Posix as Os;
#[cfg(target_family = "wasm")]
pub(crate) use system::whelk::Whelk as Os;

#[cfg(target_family = "wasm")]
whelk_guest::whelk_command!();

#[cfg(target_family = "wasm")]
fn main() {
    std::process::exit(i32::from(run()));
}

/// In place of Rust's own start, which ignores SIGPIPE and opens the standard streams that are closed.
#[cfg(unix)]
#[unsafe(no_mangle)]
extern "C" fn main(_: std::ffi::c_int, _: *const *const std::ffi::c_char) -> std::ffi::c_int {
    system::posix::begin();
    std::ffi::c_int::from(run())
}

/// Does what the arguments say, and returns the exit status.
fn run() -> u8 {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => steps::run_all(),
        ["terminal"] => steps::terminal::run(),
        [name] if steps::find(name).is_some() => steps::run_one(name),
        // The interpreter of a script says what it was given.
        ["role", script, ..] | [script, ..] if script.contains('/') || script.starts_with("role ") => {
            roles::play("argv", &[])
        }
        ["role", role, rest @ ..] => roles::play(role, rest),
        [name, ..] => steps::run_one(name),
    }
}
