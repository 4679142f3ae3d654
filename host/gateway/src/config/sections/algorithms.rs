//! The table `[algorithms]`: the algorithms to offer, best first, by their names in SSH.
//!
//! The protocol crate knows the names and which are on by default.

use toml::de::DeValue;
use whelk_ssh::algorithm::Preferences;

use crate::config::reader::{Findings, Item, Section};
use crate::config::setting::text;
use crate::config::suggest::nearest;

/// A list of the table.
struct AlgorithmList {
    /// The setting.
    name: &'static str,
    /// Its lines in the reference.
    docs: &'static [&'static str],
    /// Reads the names from preferences.
    names: fn(&Preferences) -> Vec<&'static str>,
    /// Sets the names, all of which are known.
    with: for<'n> fn(Preferences, &[&'n str]) -> Result<Preferences, &'n str>,
}

const LISTS: [AlgorithmList; 5] = [
    AlgorithmList {
        name: "key_exchange",
        docs: &[
            "How both sides agree on a secret (KexAlgorithms). Off by default: \"mlkem768nistp256-sha256\", and those that cost",
            "the server much more than the client: \"diffie-hellman-group16-sha512\", \"diffie-hellman-group14-sha256\".",
        ],
        names: |preferences| preferences.kex_names(),
        with: Preferences::with_kex,
    },
    AlgorithmList {
        name: "host_key_algorithms",
        docs: &["Signatures of host keys (HostKeyAlgorithms). Only those that the host keys can make are offered."],
        names: |preferences| preferences.host_key_algorithm_names().to_vec(),
        with: Preferences::with_host_key_algorithms,
    },
    AlgorithmList {
        name: "ciphers",
        docs: &["Encryption of packets (Ciphers)."],
        names: |preferences| preferences.cipher_names(),
        with: Preferences::with_ciphers,
    },
    AlgorithmList {
        name: "macs",
        docs: &[
            "Integrity of packets under the -ctr ciphers (MACs). The other ciphers have integrity checks of their own.",
        ],
        names: |preferences| preferences.mac_names(),
        with: Preferences::with_macs,
    },
    AlgorithmList {
        name: "compression",
        docs: &[
            "Compression after login (Compression delayed). Off by default, because it takes about ten times the processor",
            "time of a connection. To let clients choose it (ssh -C): [\"none\", \"zlib@openssh.com\"]. See also",
            "`compressed_connections`.",
        ],
        names: |preferences| preferences.compression_names(),
        with: Preferences::with_compression,
    },
];

/// Reads the table; settings that are absent keep their defaults.
pub(in crate::config) fn read(mut section: Section<'_>, findings: &mut Findings) -> Preferences {
    let (mut preferences, everything) = (Preferences::default(), Preferences::everything());
    for list in LISTS {
        if let Some(item) = section.take(list.name)
            && let Some(names) = read_names(&item, &(list.names)(&everything), findings)
        {
            // Every name has been found among the known ones.
            preferences = (list.with)(preferences.clone(), &names).unwrap_or(preferences);
        }
    }
    section.finish(findings);
    preferences
}

/// The table `[algorithms]` with every name of these preferences, as it stands in a configuration.
pub fn table(preferences: &Preferences) -> String {
    let list = |list: AlgorithmList| {
        let names: String = (list.names)(preferences).iter().map(|name| format!("  {name:?},\n")).collect();
        format!("{} = [\n{names}]\n", list.name)
    };
    LISTS.into_iter().map(list).fold("[algorithms]\n".to_owned(), |text, list| text + &list)
}

/// The settings of the table as the reference prints them: what each is, and its default.
pub(in crate::config) fn reference() -> String {
    let preferences = Preferences::default();
    let setting = |list: AlgorithmList| {
        let docs: String = list.docs.iter().map(|line| format!("# {line}\n")).collect();
        let names: Vec<String> = (list.names)(&preferences).iter().map(|name| format!("{name:?}")).collect();
        format!("{docs}#{} = [{}]\n", list.name, names.join(", "))
    };
    LISTS.into_iter().map(setting).collect()
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
