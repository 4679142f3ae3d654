//! The shell as a program of this machine, for the suites of `tests/suites/main.rs`.

use std::os::unix::ffi::OsStringExt;
use std::rc::Rc;

fn main() -> std::io::Result<()> {
    let thread = std::thread::Builder::new().stack_size(sh::native::STACK).spawn(run)?;
    let status = thread.join().unwrap_or(Ok(134))?;
    std::process::exit(status)
}

fn run() -> std::io::Result<i32> {
    let text = |text: std::ffi::OsString| sh::decode(&text.into_vec());
    let argv: Vec<String> = std::env::args_os().map(text).collect();
    let env = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
    let cwd = text(std::env::current_dir()?.into_os_string());
    Ok(sh::run(Rc::new(sh::native::Native::new()?), &argv, env, &cwd))
}
