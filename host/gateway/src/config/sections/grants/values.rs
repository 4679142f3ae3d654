//! Values that several grants have.

use std::path::{Path, PathBuf};

use toml::de::DeValue;

use crate::config::reader::{Findings, Item, Section};
use crate::config::setting::{Setting, kind, text};
use crate::state::strict_modes::quoted;

/// A number of bytes as text, such as `64 MiB`.
pub fn size(bytes: usize) -> String {
    bytes.print().trim_matches('"').to_owned()
}

/// The table of one grant.
pub(super) fn given<'t>(item: &Item<'t>, findings: &mut Findings) -> Option<Section<'t>> {
    if let DeValue::Boolean(true) = item.value {
        findings.add(&item.span, &item.key, "must be a table, is true: write {} for what is given by default");
        return None;
    }
    if let DeValue::String(path) = item.value {
        findings.add(
            &item.span,
            &item.key,
            format!("must be a table, is {path:?}: a path is written as {{ path = {path:?} }}"),
        );
        return None;
    }
    item.section(findings)
}

/// A folder that must exist already.
pub(in crate::config) fn existing(path: &Path) -> Result<PathBuf, String> {
    let shown = path.display();
    match path.metadata() {
        Ok(facts) if facts.is_dir() => {
            std::path::absolute(path).map_err(|error| format!("the folder {shown} cannot be found: {error}"))
        }
        Ok(_) => Err(format!("{shown} is no folder")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(format!("the folder {shown} does not exist: mkdir -p -m 700 {}", quoted(path)))
        }
        Err(error) => Err(format!("the folder {shown} cannot be looked at: {error}")),
    }
}

/// One of these words, and what it stands for.
pub(super) fn choice<T: Copy>(item: &Item<'_>, names: &[(&str, T)]) -> Result<T, String> {
    let found = text(item.value).ok().and_then(|text| names.iter().find(|(name, _)| *name == text));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = names.iter().map(|(name, _)| format!("{name:?}")).collect();
        format!("must be {}, is {}", names.join(" or "), kind(item.value))
    })
}
