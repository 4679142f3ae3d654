//! [`whelk_command!`](crate::whelk_command!) for programs, and what it expands to.

#[cfg(target_family = "wasm")]
use std::{
    env, process,
    sync::atomic::{AtomicBool, Ordering},
};

#[cfg(target_family = "wasm")]
use crate::bindings::command::wasi::cli::environment;
use crate::bindings::command::wasi::cli::exit;

/// Lets a program in Rust, a plain `fn main`, end with any exit status and begin in its working directory. Use it once
/// per crate, in `main.rs`.
///
/// A program needs nothing of this crate to run: `cargo build --target wasm32-wasip2` makes one of any `fn main`. But
/// the standard library of that target knows only success and failure, so `exit(42)` would be status 1; and it takes
/// `/` for the current directory, whatever the session's is. With this line
///
/// * [`std::process::exit`] and the [`ExitCode`](std::process::ExitCode) of `main` keep their status, 0 to 255;
/// * [`std::env::current_dir`] is the session's directory, and relative paths begin there.
///
/// ```no_run
/// use std::io::{Read, stdin};
/// use std::process::ExitCode;
///
/// whelk_guest::whelk_command!();
///
/// /// Counts the bytes of standard input. Status 3 if there are none.
/// fn main() -> ExitCode {
///     match stdin().bytes().count() {
///         0 => ExitCode::from(3),
///         bytes => {
///             println!("{bytes}");
///             ExitCode::SUCCESS
///         }
///     }
/// }
/// ```
///
/// A program whose terminal is to be raw, or that wants to know its size, asks [`terminal`](crate::terminal). On other
/// targets the macro does nothing, so that the same crate can be tested natively.
#[macro_export]
macro_rules! whelk_command {
    () => {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code)]
        const _: () = {
            /// What `exit` of the C library ends with, in place of the library's own.
            #[unsafe(no_mangle)]
            extern "C" fn _Exit(status: ::core::ffi::c_int) -> ! {
                $crate::export::command::exit_with(status)
            }

            extern "C" fn run() {
                $crate::export::command::run();
            }

            #[used]
            #[unsafe(link_section = ".init_array.0")]
            static RUN: extern "C" fn() = run;
        };
    };
}

/// Runs the program, as the first of its constructors. Whatever calls `main` after them turns its result into success
/// or failure, so this runs the other constructors, then `main`, and ends.
///
/// Not in the macro: the compiler makes the symbol `__main_void` where `main` is, and refuses another mention there.
#[cfg(target_family = "wasm")]
#[inline(never)]
pub fn run() {
    #[expect(unsafe_code, reason = "both are functions of the program itself, without arguments")]
    unsafe extern "C" {
        /// Runs all constructors, this one among them. The linker makes it.
        safe fn __wasm_call_ctors();
        /// `main` with the standard library around it, and what it returns.
        safe fn __main_void() -> std::ffi::c_int;
    }
    static BEGUN: AtomicBool = AtomicBool::new(false);
    if !BEGUN.swap(true, Ordering::Relaxed) {
        __wasm_call_ctors();
        enter_directory();
        process::exit(__main_void());
    }
}

/// Makes the session's directory the current one. A session without a directory keeps `/`.
#[cfg(target_family = "wasm")]
fn enter_directory() {
    if let Some(directory) = environment::initial_cwd() {
        // It may be gone; then relative paths fail one by one, as under Unix.
        let _ = env::set_current_dir(directory);
    }
}

/// Ends the program with the last eight bits of a status, as under Unix.
pub fn exit_with(status: i32) -> ! {
    exit::exit_with_code(status.to_le_bytes()[0]);
    unreachable!("the host ends the program")
}
