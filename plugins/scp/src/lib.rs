//! The remote end of the SCP (rcp) protocol: `scp -t PATH` and `scp -f PATH…`, which `scp -O`, `pscp -scp` and many
//! libraries run.
//!
//! No document specifies the protocol; the reference is OpenSSH's `scp.c`. Messages are lines: `C0644 SIZE NAME` begins
//! a file, `D0755 0 NAME` a directory, `E` ends one, `T MTIME 0 ATIME 0` sets the times of what follows. The receiver
//! answers each with a zero byte, or with byte 1, a message and a newline.
//!
//! [`Sink`] and [`Source`] are the two roles as state machines: they take and give bytes, and reach files through
//! [`Files`]. [`NativeFiles`] is that trait by the standard library, for tests; a program for WASI calls WASI itself,
//! since the C library in between writes at most 4 KiB at a time.

mod arguments;
mod expand;
mod files;
mod program;
mod sink;
mod source;
#[cfg(test)]
mod tests;
mod text;

pub use arguments::{Request, Role};
pub use expand::{Expanded, expand_home, expand_patterns};
#[cfg(not(target_family = "wasm"))]
pub use files::native::NativeFiles;
pub use files::{FileError, Files, Found, Kind, Names, Times};
pub use program::run;
pub use sink::Sink;
pub use source::{Source, Step};
