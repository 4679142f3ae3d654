//! What is logged, as an operator writes it: a level, and other levels for parts of the server.
//! `info,whelk::connection=debug`.
//!
//! Decided 2026-11-29: whatever would log nothing is an error. tracing-subscriber accepts any word: a mistyped level is
//! then a module of that name, and a mistyped module is one that never logs. So a part is one that an event names
//! ([`event::descriptions`]); a library is accepted by its name if it writes events of `tracing`. Others, such as tokio
//! and wasmtime itself, write none that would reach this log.

use tracing_subscriber::EnvFilter;

use crate::config::suggest::nearest;
use crate::observe::event;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// Libraries that write events of tracing. A test compares it with what is linked.
const LIBRARIES: [&str; 4] = ["h2", "wasmtime_wasi", "wasmtime_wasi_http", "wasmtime_wasi_io"];

/// Reads a filter. Nothing is `info`.
pub(super) fn parse(text: &str) -> Result<EnvFilter, String> {
    let items: Vec<&str> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
    if items.is_empty() {
        return Ok(EnvFilter::new("info"));
    }
    for item in &items {
        let (part, level) = item.split_once('=').map_or((None, *item), |(part, level)| (Some(part), level));
        if !LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level)) {
            let meant = meant(level, LEVELS.into_iter());
            let example = if part.is_none() { "; for one part of the server write whelk=debug" } else { "" };
            return Err(format!("{level:?} is no level ({}){meant}{example}", LEVELS.join(", ")));
        }
        if let Some(part) = part.filter(|part| !logs(part)) {
            let meant = meant(part, known_parts());
            return Err(format!(
                "{part:?} is no part of the server that logs{meant}; write a module (whelk::connection=debug)"
            ));
        }
    }
    EnvFilter::builder().with_regex(false).parse(items.join(",")).map_err(|error| error.to_string())
}

/// Whether lines can be from this: a part, one above it, or a library.
fn logs(part: &str) -> bool {
    known_parts().any(|known| known == part)
}

/// Every part that an event names with the parts above it, and the libraries.
fn known_parts() -> impl Iterator<Item = &'static str> {
    let with_parents =
        |part: &'static str| part.match_indices("::").map(|(at, _)| &part[..at]).chain(std::iter::once(part));
    event::descriptions().map(|event| event.part).flat_map(with_parents).chain(LIBRARIES)
}

fn meant<'n>(word: &str, known: impl Iterator<Item = &'n str>) -> String {
    nearest(word, known).map(|known| format!(" (did you mean {known}?)")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::process::Command;

    use super::*;

    #[test]
    fn valid_filters_are_accepted_and_everything_else_is_an_error() {
        for (text, filter) in [
            ("", "info"),
            (" , ", "info"),
            ("debug", "debug"),
            ("WARN", "warn"),
            ("off", "off"),
            ("info,whelk=debug", "whelk=debug,info"),
            (" whelk::connection=trace , plugin=off ", "whelk::connection=trace,plugin=off"),
            ("whelk_runtime::grants=trace", "whelk_runtime::grants=trace"),
            ("warn,wasmtime_wasi_http=debug", "wasmtime_wasi_http=debug,warn"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), filter, "{text}");
        }
        for (text, error) in [
            ("verbose!!", "\"verbose!!\" is no level (off, error, warn, info, debug, trace); for one part"),
            ("whelk", "\"whelk\" is no level"),
            ("3", "\"3\" is no level"),
            ("info,whelk=5", "\"5\" is no level"),
            ("debgu", "\"debgu\" is no level (off, error, warn, info, debug, trace) (did you mean debug?)"),
            ("whelk=loud", "\"loud\" is no level (off, error, warn, info, debug, trace)"),
            ("whelk=", "\"\" is no level"),
            ("info,whelk=debug=x", "\"debug=x\" is no level"),
            ("whe lk=debug", "\"whe lk\" is no part of the server that logs (did you mean whelk?)"),
            ("=debug", "\"\" is no part of the server that logs; write"),
            ("info,[session]=debug", "\"[session]\" is no part of the server"),
            ("info;debug", "\"info;debug\" is no level"),
            ("info,whlk=debug", "\"whlk\" is no part of the server that logs (did you mean whelk?)"),
            (
                "whelk::conection=debug",
                "\"whelk::conection\" is no part of the server that logs (did you mean whelk::connection?)",
            ),
            ("info,whelk::co=debug", "\"whelk::co\" is no part of the server"),
            // It never logs: the protocol knows no log.
            ("whelk_ssh=debug", "\"whelk_ssh\" is no part of the server"),
            ("info,tokio=debug", "\"tokio\" is no part of the server"),
        ] {
            let said = parse(text).err().unwrap_or_default();
            assert!(said.starts_with(error), "{text}: {said}");
        }
    }

    #[test]
    fn the_libraries_are_those_that_use_tracing() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let arguments = ["tree", "--workspace", "--locked", "--offline", "--edges", "normal", "--prefix", "none"];
        let output = Command::new(cargo)
            .args(arguments)
            .args(["--invert", "tracing", "--depth", "1", "--format", "{p}"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let names = text.lines().filter_map(|line| line.split_whitespace().next()).map(|name| name.replace('-', "_"));
        let ours = ["tracing", "tracing_subscriber", "whelk", "whelk_runtime"].map(str::to_owned);
        let found: BTreeSet<String> = names.filter(|name| !ours.contains(name)).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), LIBRARIES, "{}", String::from_utf8_lossy(&output.stderr));
    }
}
