//! Who writes lines of the log.

use crate::source::Source;
use proc_macro2::{TokenStream, TokenTree};

/// The files and folders that may: those that declare events, and the log.
const WRITERS: [&str; 2] = ["host/runtime/src/event.rs", "host/gateway/src/observe/"];
/// The macros of `tracing` that write a line.
const MACROS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "event"];

/// The places in a file that write a line although its file may not.
pub(crate) fn written_elsewhere(source: &Source) -> Vec<String> {
    let name = source.name();
    if !name.starts_with("host/") || name.contains("/tests/") || WRITERS.iter().any(|writer| name.starts_with(writer)) {
        return Vec::new();
    }
    let mut lines = Vec::new();
    find(source.tokens(), &mut lines);
    lines.iter().map(|line| format!("{name}:{line}")).collect()
}

/// Finds `tracing::info!`, and `use tracing::` with one of the macros.
fn find(tokens: TokenStream, lines: &mut Vec<usize>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token.to_string() == text);
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => find(group.stream(), lines),
            TokenTree::Ident(name) if *name == "tracing" && is(at + 1, ":") && is(at + 2, ":") => {
                let named = tokens.get(at + 3).map(names).unwrap_or_default();
                let imported = at > 0 && is(at - 1, "use");
                if (imported || is(at + 4, "!")) && named.iter().any(|name| MACROS.contains(&name.as_str())) {
                    lines.push(name.span().start().line);
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// The names in a token, or in the braces that it is.
fn names(token: &TokenTree) -> Vec<String> {
    match token {
        TokenTree::Group(group) => group.stream().into_iter().flat_map(|token| names(&token)).collect(),
        TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => vec![token.to_string()],
    }
}

#[test]
fn each_way_to_write_a_line_is_found() {
    for (text, count) in [
        ("fn a() { tracing::info!(x, \"words\"); if b { tracing :: error!(\"words\") } }", 2),
        ("use tracing::{Level, warn};", 1),
        ("use tracing::debug;", 1),
        ("use tracing::Level; fn a() { tracing::subscriber::set_default(b); emit(Event::Info {}) }", 0),
    ] {
        let mut lines = Vec::new();
        find(text.parse().expect("it is Rust"), &mut lines);
        assert_eq!(lines.len(), count, "{text}");
    }
}
