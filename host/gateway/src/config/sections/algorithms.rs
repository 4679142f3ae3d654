//! The table `[algorithms]`: the algorithms to offer, best first, by their names in SSH.
//!
//! The protocol crate knows the names and refuses unknown ones.

use toml::de::DeValue;
use whelk_ssh::algorithm::Preferences;

use crate::config::reader::{Findings, Item, Section};
use crate::config::setting::text;
use crate::config::suggest::nearest;

/// Reads the table; settings that are absent keep their defaults.
pub(in crate::config) fn read(mut section: Section<'_>, findings: &mut Findings) -> Preferences {
    let mut preferences = Preferences::default();
    if let Some(item) = section.take("key_exchange")
        && let Some(names) = read_names(&item, &preferences.kex_names(), findings)
    {
        // Every name has been found among the known ones.
        preferences = preferences.clone().with_kex(&names).unwrap_or(preferences);
    }
    if let Some(item) = section.take("ciphers")
        && let Some(names) = read_names(&item, &preferences.cipher_names(), findings)
    {
        preferences = preferences.clone().with_ciphers(&names).unwrap_or(preferences);
    }
    section.finish(findings);
    preferences
}

/// The table in the reference: each setting with its default.
pub(in crate::config) fn table() -> [(&'static str, String); 2] {
    let preferences = Preferences::default();
    let list =
        |names: Vec<&str>| format!("[{}]", names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "));
    [("key_exchange", list(preferences.kex_names())), ("ciphers", list(preferences.cipher_names()))]
}

fn read_names<'t>(item: &Item<'t>, known: &[&'static str], findings: &mut Findings) -> Option<Vec<&'t str>> {
    let before = findings.problems.len();
    let (mut names, mut spans) = (Vec::new(), Vec::new());
    let elements = item.elements(findings);
    if let (DeValue::Array(_), true) = (item.value, elements.is_empty()) {
        findings.add(&item.span, &item.key, "must name at least one algorithm");
    }
    for element in elements {
        let Some(name) = findings.keep(&element, text(element.value)) else { continue };
        if let Some(first) = spans.iter().zip(&names).find_map(|(span, other)| (*other == name).then_some(span)) {
            let first = findings.first(first);
            findings.add(&element.span, &element.key, format!("{name:?} is listed twice {first}"));
        } else if !known.contains(&name) {
            let meant = nearest(name, known.iter().copied()).map(|meant| format!(" (did you mean {meant:?}?)"));
            let what = format!("there is no algorithm {name:?}{}: {}", meant.unwrap_or_default(), known.join(", "));
            findings.add(&element.span, &element.key, what);
        }
        names.push(name);
        spans.push(element.span);
    }
    (findings.problems.len() == before).then_some(names)
}
