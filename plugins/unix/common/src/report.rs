//! Messages on standard error: the program's name, and errors in glibc's words.

use std::env;
use std::io;

/// The name that the program was called by, without its folder.
pub fn program() -> String {
    let name = env::args_os().next().unwrap_or_default();
    let name = name.to_string_lossy();
    name.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Writes a line to standard error: the program's name and the message.
pub fn error(message: &str) {
    eprintln!("{}: {message}", program());
}

/// Writes a line to standard error: a name that is not that of the program, and the message.
pub fn error_as(name: &str, message: &str) {
    eprintln!("{name}: {message}");
}

/// Writes a wrong use of options to standard error, with the hint that GNU's programs give.
pub fn usage_error(message: &str) {
    let program = program();
    eprintln!("{program}: {message}\nTry '{program} --help' for more information.");
}

/// An error as glibc's strerror(3) words it: WASI's C library has its own words for some.
pub fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let glibc = match text {
        // Kinds without a number of the system.
        "entity already exists" => "File exists",
        "entity not found" => "No such file or directory",
        "permission denied" => "Permission denied",
        "is a directory" => "Is a directory",
        "not a directory" => "Not a directory",
        "unsupported" => "Operation not supported",
        "Symbolic link loop" => "Too many levels of symbolic links",
        "I/O error" => "Input/output error",
        "Not a tty" => "Inappropriate ioctl for device",
        "Cross-device link" => "Invalid cross-device link",
        "Filename too long" => "File name too long",
        "Not supported" => "Operation not supported",
        "Quota exceeded" => "Disk quota exceeded",
        "Out of memory" => "Cannot allocate memory",
        "No file descriptors available" => "Too many open files",
        "Resource busy" => "Device or resource busy",
        other => other,
    };
    glibc.to_owned()
}

/// A text in quotes, as messages have names of files.
pub fn quoted(text: &str) -> String {
    format!("'{text}'")
}
