//! Reports on programs: the names in a running server's folders of programs, and links that are no names of programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::columns::{digest, harmless, list, words};
use crate::config::Config;
use crate::state::plugin_files::programs::{self, BIN, ProgramName, ProgramNames};
use crate::state::plugin_files::{self, Links};
use crate::state::strict_modes::Writers;

/// Whether there is nothing to say of a folder of programs, such as one that does not exist.
pub(super) fn is_empty(folder: &Value) -> bool {
    let has_none = |what: &str| list(&folder[what]).is_empty();
    folder["programs"].is_array()
        && folder["trouble"].is_null()
        && ["programs", "plugins", "refused"].iter().all(|what| has_none(what))
}

/// Every name of a folder of programs in a server's answer, with a heading; `None`: it has plugins.
pub(super) fn rows(folder: &Value) -> Option<Vec<[String; 8]>> {
    let programs = folder["programs"].as_array()?;
    let versions: BTreeMap<String, &Value> =
        list(&folder["plugins"]).iter().map(|version| (words(&version["name"]), version)).collect();
    let heading = ["NAME", "PROGRAM", "SIZE", "DIGEST", "GEN", "SESSIONS", "WORLD", "STATE"].map(str::to_owned);
    let mut rows = vec![heading];
    for entry in programs.iter().filter(|entry| entry["refused"].is_null()) {
        let (name, program) = (words(&entry["name"]), words(&entry["program"]));
        let size = entry["size"].to_string();
        let none = || "-".to_owned();
        if name != program {
            rows.push([name, program, size, none(), none(), none(), none(), "another name".to_owned()]);
            continue;
        }
        let listed = versions.get(&name);
        let current = listed.map(|listed| &listed["current"]).filter(|current| !current.is_null());
        let state = match current {
            Some(_) if listed.is_some_and(|listed| listed["crashing"] == true) => "crashing",
            Some(_) => "loaded",
            None => "not loaded",
        };
        let older = listed.map(|listed| list(&listed["older"])).unwrap_or_default();
        let row = |version: &Value, state: &str| {
            let (generation, sessions) = (version["generation"].to_string(), version["sessions"].to_string());
            let (digest, world) = (digest(&version["digest"]), words(&version["world"]));
            [name.clone(), none(), size.clone(), digest, generation, sessions, world, state.to_owned()]
        };
        match current {
            Some(current) => rows.push(row(current, state)),
            None => rows.push([name.clone(), none(), size.clone(), none(), none(), none(), none(), state.to_owned()]),
        }
        rows.extend(older.iter().map(|older| row(older, "replaced")));
    }
    Some(rows)
}

/// The names that are none of a program, as the refused files of an answer.
pub(super) fn refused(folder: &Value) -> Vec<Value> {
    let refused = list(&folder["programs"]).iter().filter(|entry| !entry["refused"].is_null());
    refused
        .map(|entry| json!({ "file": format!("{}.wasm", words(&entry["name"])), "reason": entry["refused"] }))
        .collect()
}

/// The file that a link in a folder of programs is another name of; any other path as it is.
///
/// # Errors
/// The link is no name of a program.
pub(super) fn target(path: &Path) -> Result<PathBuf, String> {
    let folder = path.parent().filter(|folder| folder.file_name().is_some_and(|name| name == BIN));
    let name = path.file_name().and_then(|file| plugin_files::plugin_name(file.to_str()?));
    let (Some(folder), Some(name), true) = (folder, name, path.is_symlink()) else { return Ok(path.to_owned()) };
    match programs::find(folder, name, Links::Within, Writers::Anybody) {
        Ok(Some(ProgramName::File { program, .. })) => Ok(folder.join(format!("{program}.wasm"))),
        Ok(Some(ProgramName::Refused(reason))) => Err(harmless(&reason)),
        Ok(None) => Err("there is no such file".to_owned()),
        Err(error) => Err(harmless(&error.to_string())),
    }
}

/// The links in folders of programs that are no names of programs, a line each.
pub(in crate::cli) fn refused_links(config: &Config) -> Vec<String> {
    let own = config.tenants.values().filter_map(|tenant| tenant.plugins.as_deref());
    let own = own.map(|plugins| (plugins.join(BIN), Links::Refuse));
    let folders = std::iter::once((config.plugins.join(BIN), Links::Within)).chain(own);
    let refused = folders.flat_map(|(folder, links)| {
        let refused = names(&folder, links).programs.into_iter().filter_map(|(name, found)| match found {
            ProgramName::Refused(reason) => Some((name, reason)),
            ProgramName::File { .. } => None,
        });
        refused.map(|(name, reason)| format!("{}/{name}.wasm: {reason}", folder.display())).collect::<Vec<_>>()
    });
    refused.map(|line| harmless(&line)).collect()
}

/// How many programs the operator has, how many other names they have, and how many names are refused.
pub(in crate::cli) fn count_names(config: &Config) -> [usize; 3] {
    let mut counts = [0; 3];
    for (name, found) in names(&config.plugins.join(BIN), Links::Within).programs {
        let kind = match found {
            ProgramName::File { program, .. } if program == name => 0,
            ProgramName::File { .. } => 1,
            ProgramName::Refused(_) => 2,
        };
        counts[kind] += 1;
    }
    counts
}

/// The names of a folder, which need not exist: what is wrong with the folder was reported when the configuration was
/// read.
fn names(folder: &Path, links: Links) -> ProgramNames {
    let listed = plugin_files::open_folder(folder, links).and_then(|folder| programs::list(&folder, usize::MAX));
    listed.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_of_a_program_has_a_line_and_so_has_each_older_version() {
        let version = |generation: u32, sessions: u32| json!({ "digest": "0123456789abcdef", "generation": generation, "world": "program", "sessions": sessions });
        let folder = json!({
            "programs": [
                { "name": "cat", "program": "coreutils", "size": 4 },
                { "name": "coreutils", "program": "coreutils", "size": 4 },
                { "name": "out", "refused": "it is \u{1b} a link" },
                { "name": "rg", "program": "rg", "size": 9 },
            ],
            "plugins": [{ "name": "coreutils", "current": version(2, 1), "older": [version(1, 3)], "crashing": false }],
            "trouble": null, "refused": [],
        });
        let rows: Vec<String> = rows(&folder).unwrap().iter().map(|row| row.join(" ")).collect();
        assert_eq!(
            rows,
            [
                "NAME PROGRAM SIZE DIGEST GEN SESSIONS WORLD STATE",
                "cat coreutils 4 - - - - another name",
                "coreutils - 4 0123456789ab 2 1 program loaded",
                "coreutils - 4 0123456789ab 1 3 program replaced",
                "rg - 9 - - - - not loaded",
            ]
        );
        assert_eq!(refused(&folder)[0]["file"], "out.wasm");
        assert!(!is_empty(&folder));
        assert!(is_empty(&json!({ "programs": [], "plugins": [], "refused": [], "trouble": null })));
        assert!(super::rows(&json!({ "programs": null })).is_none());
    }
}
