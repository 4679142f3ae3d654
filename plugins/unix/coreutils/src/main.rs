//! The core utilities as one program: which one it is says the name that it is called by.

mod adapt;
mod own;
mod sorted;
mod table;
mod usage;
mod utility;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

whelk_guest::whelk_command!();

/// Runs the utility that the first argument names, `coreutils` aside: that runs the one that its own first argument
/// names.
fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let mut name = called_as(arguments.first());
    if name == "coreutils" && arguments.len() > 1 {
        uucore::set_utility_is_second_arg();
        arguments.remove(0);
        name = called_as(arguments.first());
    }
    let Some(utility) = table::find(&name) else {
        return list(&name);
    };
    if let Some(messages) = utility.messages
        && let Err(error) = uucore::locale::setup_localization(messages)
    {
        eprintln!("{name}: its messages: {error}");
        return ExitCode::from(99);
    }
    if let Some(status) = usage::check(utility, &arguments) {
        return ExitCode::from(status);
    }
    let failed = |(message, status): adapt::Failure| {
        eprintln!("{name}: {message}");
        ExitCode::from(status)
    };
    if name == "sort"
        && let Some(checked) = sorted::check(&arguments)
    {
        return checked.map_or_else(failed, |status| ExitCode::from(status.to_le_bytes()[0]));
    }
    if name == "cat"
        && let Some(status) = own::cat::of_pipes(&arguments)
    {
        return ExitCode::from(status.to_le_bytes()[0]);
    }
    let arguments = match adapt::adapt(&name, arguments) {
        Ok(arguments) => arguments,
        Err(failure) => return failed(failure),
    };
    let status = (utility.main)(arguments.into_iter());
    ExitCode::from(status.to_le_bytes()[0])
}

/// The last part of a path.
fn called_as(path: Option<&OsString>) -> String {
    path.and_then(|path| Path::new(path).file_name()).unwrap_or_default().to_string_lossy().into_owned()
}

/// Says which utilities there are. A name that is none of them is an error.
fn list(name: &str) -> ExitCode {
    if ["coreutils", "--list"].contains(&name) {
        table::names().into_iter().for_each(|name| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    eprintln!("coreutils: unknown program '{name}'");
    ExitCode::FAILURE
}
