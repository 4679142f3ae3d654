//! What is logged, as an operator writes it: a level, and other levels for parts of the server. `info,whelk::pump=debug`.
//!
//! tracing-subscriber takes more, and takes most mistakes for something: a word that is no level is a module of that name, of which
//! everything would be logged, and of all else nothing.

use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

const LEVELS: &str = "off, error, warn, info, debug, trace";
/// What events are logged by: our crates, the plugins' own lines, and what plugins do to files.
const PARTS: [&str; 5] = ["whelk", "whelk_ssh", "whelk_runtime", "plugin", "audit"];

/// Reads a filter. Nothing is `info`.
pub(super) fn parse(text: &str) -> Result<EnvFilter, String> {
    let items: Vec<&str> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
    if items.is_empty() {
        return Ok(EnvFilter::new("info"));
    }
    let mut says_something = false;
    for item in &items {
        let (part, level) = item.split_once('=').map_or((None, *item), |(part, level)| (Some(part), level));
        if level.is_empty() || LevelFilter::from_str(level).is_err() {
            let example = if part.is_none() { "; for one part of the server write whelk=debug" } else { "" };
            return Err(format!("{level:?} is no level ({LEVELS}){example}"));
        }
        if let Some(part) = part.filter(|part| !is_name(part)) {
            return Err(format!("{part:?} is no name of a part of the server (such as whelk=debug)"));
        }
        says_something |= part.is_none_or(is_ours);
    }
    if !says_something {
        return Err(format!("{text:?} names no part of the server ({}), so nothing would be logged", PARTS.join(", ")));
    }
    EnvFilter::builder().with_regex(false).parse(items.join(",")).map_err(|error| error.to_string())
}

fn is_name(part: &str) -> bool {
    !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-'))
}

fn is_ours(part: &str) -> bool {
    PARTS.iter().any(|ours| part.strip_prefix(ours).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_understood_is_logged_and_everything_else_is_an_error() {
        for (text, filter) in [
            ("", "info"),
            (" , ", "info"),
            ("debug", "debug"),
            ("WARN", "warn"),
            ("off", "off"),
            ("info,whelk=debug", "whelk=debug,info"),
            (" whelk::pump=trace , plugin=off ", "whelk::pump=trace,plugin=off"),
            ("warn,hyper=debug", "hyper=debug,warn"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), filter, "{text}");
        }
        for (text, error) in [
            ("verbose!!", "\"verbose!!\" is no level (off, error, warn, info, debug, trace); for one part"),
            ("whelk", "\"whelk\" is no level"),
            ("whelk=loud", "\"loud\" is no level (off, error, warn, info, debug, trace)"),
            ("whelk=", "\"\" is no level"),
            ("info,whelk=debug=x", "\"debug=x\" is no level"),
            ("whe lk=debug", "\"whe lk\" is no name of a part"),
            ("=debug", "\"\" is no name of a part"),
            ("info,[session]=debug", "\"[session]\" is no name of a part"),
            ("info;debug", "\"info;debug\" is no level"),
            ("whlk=debug", "\"whlk=debug\" names no part of the server (whelk, "),
        ] {
            let said = parse(text).err().unwrap_or_default();
            assert!(said.starts_with(error), "{text}: {said}");
        }
    }
}
