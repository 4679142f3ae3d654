//! A shell: POSIX's language with the common extensions of bash, over a [`System`] of processes and files.
//!
//! A shell called `sh` keeps to POSIX (`set -o posix`), one of another name is bash's. [`run`] is all of it: options,
//! commands from a text, a script or standard input, and the status. Line editing is no part of it.
//!
//! ```text
//! system      what the shell needs of a system; `whelk`: the host's processes; `native`: those of Unix, for tests
//! syntax      text to trees and back, one complete command at a time
//! state       variables, options, descriptors, jobs, traps
//! expand      words to fields: parameters, arithmetic, braces, patterns
//! exec        trees: lists, pipelines, compound commands, redirections, subshells
//! builtins    the commands that are part of the shell
//! startup     the command line, the environment, where commands come from
//! pattern     matching without recursion on the text
//! arithmetic  C's integer expressions
//! primaries   what `test` and `[[ ]]` ask
//! text        strings that hold any bytes, quoting
//! time        calendar time
//! ```
//!
//! # Decisions
//!
//! 2026-11-30, the base of the language. Chosen: a parser and an evaluator of our own. The others were measured on a
//! stack of 384 KiB, that of a WebAssembly instance; ours stops at the depth that its system allows
//! ([`System::stack`]):
//!
//! | | own | brush-parser 0.4 | wasmsh-parse 0.9 | brush-core 0.5 |
//! |---|---|---|---|---|
//! | 5,000 nested `$(` | an error | stack overflow, abort | stack overflow, abort | as brush-parser |
//! | 1,000 nested `(` | an error | parsed | stack overflow, abort | as brush-parser |
//! | 100,000 lines | line by line | 1.3 s, the whole tree in memory | more than 20 s (quadratic) | as brush-parser |
//! | commands run before the rest is read | yes | no | no | no |
//! | processes of a host | `System` | no evaluator | its own utilities in the instance | fixed to `std::process` |
//!
//! Refused: brush-parser, because a hostile script ends the instance instead of getting an error, because it reads the
//! whole text before the first command (so that aliases, `read` and errors further down come too early), and because
//! it parses words again whenever they are expanded. wasmsh, for the same reasons, and because its evaluator is one
//! file of 11,000 lines around utilities in memory. brush-core, because it has no place for a host's processes and its
//! pipes, substitutions and here-documents fail in WebAssembly. yash, for its licence (GPL).
//!
//! 2026-11-30, subshells. `fork` does not exist. `( )`, `$( )` and the last command of a pipeline run in the shell, on
//! a copy of its state. What runs at the same time as the shell (the other commands of a pipeline, `&`, `<( )`,
//! `coproc`) is a program, or the shell itself started again with its state as text on a descriptor. So is a `( )` that
//! could signal the shell. Refused: a new instance for every subshell, because `$( )` is the most frequent of all.

mod arithmetic;
mod builtins;
mod exec;
mod expand;
mod pattern;
mod primaries;
mod startup;
mod state;
mod syntax;
mod system;
mod text;
mod time;

pub use startup::{is_builtin, run};
#[cfg(all(unix, feature = "native"))]
pub use system::native;
#[cfg(target_family = "wasm")]
pub use system::whelk;
pub use system::{
    Change, Description, Disposition, Errno, Fd, FileKind, FileStatus, Group, Identity, Limit, OpenHow, Request,
    SIGNALS, System, signal_name, signal_number,
};
pub use text::decode;
