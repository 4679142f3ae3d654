//! One name, one meaning: the types of one crate have different names.

use crate::assert_none;
use crate::modules::{Graph, crate_roots};
use std::collections::{BTreeMap, BTreeSet};

/// Types of one name in several modules of a crate: the crate's root file, the name, and why that confuses nobody.
const HOMONYMS: &[(&str, &str, &str)] = &[
    ("host/ssh/src/lib.rs", "CtrKey", "one type: the features select which provider compiles"),
    ("host/ssh/src/lib.rs", "Event", "the events of a layer, always written with it: `mux::Event`"),
    ("host/ssh/src/lib.rs", "KemKey", "one type: the features select which provider compiles"),
    ("host/ssh/src/lib.rs", "Settings", "the settings of a layer, always written with it: `mux::Settings`"),
];

#[test]
fn no_two_modules_of_a_crate_give_one_name_to_two_types() {
    let mut offenders = Vec::new();
    let mut needed = BTreeSet::new();
    for root in crate_roots().iter().filter(|root| root.ends_with("src/lib.rs")) {
        let graph = Graph::read(root);
        let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (module, types) in &graph.types {
            for name in types {
                places.entry(name).or_default().push(format!("{}::{name}", module.join("::")));
            }
        }
        for (name, places) in places.into_iter().filter(|(_, places)| places.len() > 1) {
            if let Some(entry) = HOMONYMS.iter().find(|(root, homonym, _)| *root == graph.name && *homonym == name) {
                needed.insert(entry);
            } else {
                offenders.push(format!("{}: {}", graph.name, places.join(", ")));
            }
        }
    }
    let unneeded = HOMONYMS.iter().filter(|entry| !needed.contains(entry));
    offenders.extend(unneeded.map(|(root, name, _)| format!("{root}: {name}: its entry is no longer needed")));
    assert_none(
        &offenders,
        "types of one name that are not private: say of what each is, `PluginState`, `AuthVerdict`",
    );
}
