//! `environment_names`, the variables that a client may set (RFC 4254 §6.4 warns against accepting all of them), and
//! `erase_by_width`.

use std::sync::Arc;

use crate::config::reader::{Findings, Item, Section};
use crate::config::setting::{text, truth};

/// The accepted names, exact or by prefix. A clone shares the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentNames {
    names: Arc<[Name]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Exact(String),
    Beginning(String),
}

/// Language and region, as OpenSSH's servers ship, and the terminal capabilities besides TERM, which comes with the
/// terminal.
impl Default for EnvironmentNames {
    fn default() -> EnvironmentNames {
        let exact = ["LANG", "COLORTERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "NO_COLOR"];
        let exact = exact.into_iter().map(|name| Name::Exact(name.to_owned()));
        EnvironmentNames { names: exact.chain([Name::Beginning("LC_".to_owned())]).collect() }
    }
}

impl EnvironmentNames {
    /// Whether a client may set a variable of this name.
    pub(crate) fn allows(&self, name: &[u8]) -> bool {
        self.names.iter().any(|admitted| match admitted {
            Name::Exact(exact) => name == exact.as_bytes(),
            Name::Beginning(start) => name.strip_prefix(start.as_bytes()).is_some_and(|rest| !rest.is_empty()),
        })
    }
}

/// Reads both settings.
pub(in crate::config) fn read(top: &mut Section<'_>, findings: &mut Findings) -> (EnvironmentNames, bool) {
    let names = match top.take("environment_names") {
        Some(item) => read_names(&item, findings),
        None => EnvironmentNames::default(),
    };
    let by_width = top.take("erase_by_width").and_then(|item| findings.keep(&item, truth(item.value)));
    (names, by_width.unwrap_or(true))
}

/// Reads the list; invalid entries are left out and reported.
fn read_names(item: &Item<'_>, findings: &mut Findings) -> EnvironmentNames {
    let (mut names, mut spans) = (Vec::new(), Vec::new());
    for element in item.elements(findings) {
        let read = text(element.value).and_then(name);
        let Some(name) = findings.keep(&element, read) else { continue };
        if let Some((_, first)) = names.iter().zip(&spans).find(|(other, _)| **other == name) {
            let first = findings.first(first);
            findings.note(&element, format!("is listed twice {first}"));
        }
        names.push(name);
        spans.push(element.span);
    }
    EnvironmentNames { names: names.into() }
}

fn name(text: &str) -> Result<Name, String> {
    let (letters, begins) = match text.strip_suffix('*') {
        Some(letters) => (letters, true),
        None => (text, false),
    };
    let sound = letters.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match (sound && !text.is_empty(), begins) {
        (false, _) => Err(format!("must be a name such as \"LANG\" or a beginning such as \"LC_*\", is {text:?}")),
        (true, false) => Ok(Name::Exact(letters.to_owned())),
        (true, true) => Ok(Name::Beginning(letters.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str]) -> EnvironmentNames {
        EnvironmentNames { names: texts.iter().map(|text| name(text).unwrap()).collect() }
    }

    #[test]
    fn language_region_and_terminal_variables_are_accepted_by_default() {
        let names = EnvironmentNames::default();
        for yes in ["LANG", "LC_ALL", "LC_X", "COLORTERM", "TERM_PROGRAM"] {
            assert!(names.allows(yes.as_bytes()), "{yes}");
        }
        for no in ["", "LC_", "LANGUAGE", "lang", "PATH", "LD_PRELOAD", "TERMCAP", "TERM"] {
            assert!(!names.allows(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn names_are_exact_or_end_in_a_star() {
        let names = names(&["GIT_*", "EDITOR"]);
        assert!(names.allows(b"GIT_PROTOCOL") && names.allows(b"EDITOR"));
        assert!(!names.allows(b"LANG") && !names.allows(b"GIT") && !names.allows(b"EDITORS"));
        assert!(self::names(&["*"]).allows(b"ANYTHING"));
        assert!(!self::names(&[]).allows(b"LANG"));
        for wrong in ["", "L*G", "**", "A=B", "LÄNG", "LC_?"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }
}
