//! Circles in a graph of modules.

use crate::modules::{Graph, Module};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// For each group of modules that use each other, the shortest circle, with the places of the uses.
pub(crate) fn find(graph: &Graph) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for start in graph.uses.keys() {
        if seen.contains(start) {
            continue;
        }
        if let Some(circle) = shortest(graph, start) {
            seen.extend(circle.iter().cloned());
            circles.push(describe(graph, &circle));
        }
    }
    circles
}

/// The shortest path from `start` back to itself.
fn shortest(graph: &Graph, start: &Module) -> Option<Vec<Module>> {
    let mut came_from: BTreeMap<&Module, &Module> = BTreeMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(module) = waiting.pop_front() {
        for next in graph.uses.get(module)?.keys() {
            if next == start {
                let mut circle = vec![module.clone()];
                let mut at = module;
                while let Some(before) = came_from.get(at) {
                    circle.push((*before).clone());
                    at = before;
                }
                circle.reverse();
                return Some(circle);
            }
            if !came_from.contains_key(next) && graph.uses.contains_key(next) {
                came_from.insert(next, module);
                waiting.push_back(next);
            }
        }
    }
    None
}

fn describe(graph: &Graph, circle: &[Module]) -> String {
    let name = |module: &Module| if module.is_empty() { "crate".to_owned() } else { module.join("::") };
    let steps = circle.iter().zip(circle.iter().cycle().skip(1)).map(|(from, to)| {
        let place = &graph.uses[from][to];
        format!("{} uses {} ({}:{})", name(from), name(to), place.file, place.line)
    });
    format!("{}: {}", graph.name, steps.collect::<Vec<_>>().join(", "))
}
