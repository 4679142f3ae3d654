//! Wrong usage in the words of GNU: uutils say it in those of clap, which scripts and people do not expect.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::utility::Utility;

/// Utilities whose status for wrong usage is 2.
const STATUS_2: [&str; 5] = ["dir", "ls", "printenv", "tty", "vdir"];
/// Utilities that call what they miss a file.
const FILES: [&str; 3] = ["cp", "ln", "mv"];

/// Tells of an option that a utility does not know, of an operand too many, and of none where one is needed. Its exit
/// status then.
pub(crate) fn check(utility: &Utility, arguments: &[OsString]) -> Option<u8> {
    let app = utility.app?;
    let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
    let has_options = words.iter().skip(1).any(|word| word.len() > 1 && word.starts_with('-'));
    let lacks_operands = words.len() < 2 && !OPERANDS_LEFT_ALONE.contains(&utility.name);
    let may_be_wrong = has_options || lacks_operands || NO_OPERANDS.contains(&utility.name);
    if !may_be_wrong {
        return None;
    }
    let error = app().try_get_matches_from(arguments).err()?;
    let invalid = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) => word.as_str(),
        _ => "",
    };
    let option = || words.iter().find(|word| word.starts_with(invalid)).copied().unwrap_or(invalid);
    let message = match error.kind() {
        ErrorKind::UnknownArgument if invalid.starts_with("--") => format!("unrecognized option '{}'", option()),
        ErrorKind::UnknownArgument if invalid.len() > 1 && invalid.starts_with('-') => {
            format!("invalid option -- '{}'", invalid.chars().nth(1).unwrap_or_default())
        }
        ErrorKind::UnknownArgument => format!("extra operand '{invalid}'"),
        ErrorKind::TooManyValues if ["--help", "--version"].contains(&invalid) => {
            format!("option '{invalid}' doesn't allow an argument")
        }
        ErrorKind::MissingRequiredArgument if words.iter().skip(1).all(|word| word.starts_with('-')) => {
            if FILES.contains(&utility.name) { "missing file operand" } else { "missing operand" }.to_owned()
        }
        _ => return None,
    };
    let name = utility.name;
    eprintln!("{name}: {message}\nTry '{name} --help' for more information.");
    Some(if STATUS_2.contains(&name) { 2 } else { 1 })
}

/// Utilities that read their standard input, or the current directory, without an operand.
const OPERANDS_LEFT_ALONE: [&str; 31] = [
    "b2sum",
    "base32",
    "base64",
    "cat",
    "cksum",
    "csplit",
    "dir",
    "hostid",
    "ls",
    "md5sum",
    "mktemp",
    "nproc",
    "paste",
    "printenv",
    "ptx",
    "pwd",
    "sha1sum",
    "sha224sum",
    "sha256sum",
    "sha384sum",
    "sha512sum",
    "shuf",
    "sum",
    "tee",
    "tsort",
    "tty",
    "uname",
    "vdir",
    "wc",
    "yes",
    "arch",
];
/// Utilities that take none.
const NO_OPERANDS: [&str; 5] = ["arch", "hostid", "nproc", "tty", "uname"];
