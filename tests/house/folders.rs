//! Folders: a module together with all modules below it.

use crate::modules::{Graph, Module, crate_roots};
use crate::{assert_none, circles};
use std::collections::BTreeMap;

/// The most child modules a module may have without an entry in [`WIDE`].
const CHILDREN: usize = 12;

/// Modules with more children: the crate's root file, the module, and why a reader still finds things there.
const WIDE: &[(&str, &str, &str)] = &[
    ("guest-sdk/src/lib.rs", "crate", "one file an interface of the host or a world of plugins"),
    ("host/runtime/src/lib.rs", "crate", "the map in `lib.rs` has a line for each"),
    ("host/runtime/src/lib.rs", "host", "one file an interface that a guest may import"),
    ("plugins/sh/src/lib.rs", "builtins", "one file a group of builtins, and a table of all"),
    ("tests/hostile/main.rs", "crate", "one file a kind of attack"),
    ("tests/house/main.rs", "crate", "one file a kind of rule"),
    ("tests/interop/main.rs", "crate", "one file a promise to real clients"),
];

#[test]
fn no_folder_uses_a_sibling_that_uses_it() {
    let offenders: Vec<String> =
        crate_roots().iter().flat_map(|root| circles::find(&between_siblings(&Graph::read(root)))).collect();
    assert_none(&offenders, "circles between folders (each counted with all modules below it)");
}

/// The uses between the children of each module: a use of `a::y` in `b::x` counts as one of `a` in `b`.
fn between_siblings(graph: &Graph) -> Graph {
    let mut uses: BTreeMap<Module, BTreeMap<_, _>> =
        graph.uses.keys().map(|module| (module.clone(), BTreeMap::new())).collect();
    for (user, used_by) in &graph.uses {
        for (used, place) in used_by {
            let common = user.iter().zip(used).take_while(|(one, other)| one == other).count();
            if common < user.len() && common < used.len() {
                let siblings = uses.entry(user[..=common].to_vec()).or_default();
                siblings.entry(used[..=common].to_vec()).or_insert_with(|| place.clone());
            }
        }
    }
    Graph { name: graph.name.clone(), uses, types: BTreeMap::new() }
}

#[test]
fn no_module_has_more_than_12_children_without_a_reason() {
    let mut offenders = Vec::new();
    let mut needed = Vec::new();
    for root in crate_roots() {
        let graph = Graph::read(&root);
        let mut children: BTreeMap<&[String], usize> = BTreeMap::new();
        for module in graph.uses.keys() {
            if let Some((_, parent)) = module.split_last() {
                *children.entry(parent).or_default() += 1;
            }
        }
        for (module, count) in children.into_iter().filter(|(_, count)| *count > CHILDREN) {
            let module = if module.is_empty() { "crate".to_owned() } else { module.join("::") };
            if WIDE.iter().any(|(root, wide, _)| *root == graph.name && *wide == module) {
                needed.push((graph.name.clone(), module));
            } else {
                offenders.push(format!("{}: {module}: {count} child modules", graph.name));
            }
        }
    }
    for (root, module, _) in WIDE {
        if !needed.iter().any(|(name, wide)| name == root && wide == module) {
            offenders.push(format!("{root}: {module}: its entry in `WIDE` is no longer needed"));
        }
    }
    assert_none(
        &offenders,
        "modules with more than 12 children: group them into folders, or write a reason into `WIDE`",
    );
}
