//! A running server's plugins and programs in one table, as the page of `whelk console` shows them.

use serde_json::Value;

use super::columns::{harmless, list, words};
use super::{programs, unserved, version_rows};

/// The rows of the two tables, and what else there is to say.
pub(in crate::cli) struct PluginRows {
    /// A row for each version that is served: those of [`HEADER`](Self::HEADER).
    pub(in crate::cli) plugins: Vec<[String; 8]>,
    /// A row for each file that is refused: those of [`REFUSED_HEADER`](Self::REFUSED_HEADER).
    pub(in crate::cli) refused: Vec<[String; 4]>,
    /// A line each.
    pub(in crate::cli) notes: Vec<String>,
}

impl PluginRows {
    pub(in crate::cli) const HEADER: [&'static str; 8] =
        ["OF", "KIND", "NAME", "GEN", "DIGEST", "WORLD", "SESSIONS", "STATE"];
    pub(in crate::cli) const REFUSED_HEADER: [&'static str; 4] = ["OF", "FILE", "REASON", "TRIED AGAIN"];
}

/// A server's answer to [`PLUGINS`](crate::server::control::PLUGINS). Programs that nobody has started are not loaded,
/// and are counted.
pub(in crate::cli) fn plugin_rows(answer: &Value) -> PluginRows {
    let mut rows = PluginRows { plugins: Vec::new(), refused: Vec::new(), notes: Vec::new() };
    if let Some(reason) = answer["stopped"]["reason"].as_str() {
        rows.notes.push(format!("plugins are not loaded or removed any more: {}", harmless(reason)));
    }
    for folder in list(&answer["folders"]) {
        let owner = folder["tenant"].as_str().map_or_else(|| "operator".to_owned(), harmless);
        rows.add(&owner, folder);
    }
    rows
}

impl PluginRows {
    fn add(&mut self, owner: &str, folder: &Value) {
        if let Some(trouble) = folder["trouble"].as_str() {
            self.notes.push(format!("{owner}: the folder is lost, what is loaded stays: {}", harmless(trouble)));
        }
        if let Some(reason) = folder["unwatched"]["reason"].as_str() {
            self.notes.push(format!("{owner}: the folder is not watched: {}", harmless(reason)));
        }
        let kind = if folder["programs"].is_array() { "program" } else { "plugin" };
        for row in list(&folder["plugins"]).iter().flat_map(version_rows) {
            let [name, digest, generation, sessions, world, _, state] = row;
            self.plugins.push([owner.to_owned(), kind.to_owned(), name, generation, digest, world, sessions, state]);
        }
        let names = list(&folder["programs"]).len();
        if names > 0 {
            let loaded = list(&folder["plugins"]).len();
            self.notes.push(format!("{owner}: {names} names of programs, of which {loaded} have been loaded"));
        }
        self.notes.extend(unserved(folder).lines().map(|line| format!("{owner}: {line}")));
        for refused in list(&folder["refused"]).iter().chain(&programs::refused(folder)) {
            let retry = refused["retry_s"].as_u64().map(|seconds| format!("in {seconds} s"));
            let retry = retry.unwrap_or_else(|| "when it changes".to_owned());
            self.refused.push([owner.to_owned(), words(&refused["file"]), words(&refused["reason"]), retry]);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_refusals_and_notes_of_all_folders_are_together() {
        let version = |generation: u32| {
            json!({ "digest": "0123456789abcdef", "generation": generation, "world": "session-plugin",
                    "handlers": [], "needs": [], "sessions": 3 })
        };
        let answer = json!({ "stopped": null, "folders": [
            { "tenant": null, "plugins": [{ "name": "echo", "current": version(2), "older": [version(1)] }],
              "refused": [{ "file": "x.wasm", "reason": "it is \u{1b}[2J", "retry_s": null },
                          { "file": "y.wasm", "reason": "its compiler was killed", "retry_s": 16 }],
              "preparing": ["large"] },
            { "tenant": "ac\u{7}me", "programs": [{ "name": "ls", "program": "ls" }, { "name": "<b>", "refused": "a link" }],
              "plugins": [], "trouble": "it is gone" },
        ] });
        let PluginRows { plugins, refused, notes } = plugin_rows(&answer);
        let expected = |generation, state| {
            ["operator", "plugin", "echo", generation, "0123456789ab", "session-plugin", "3", state].map(str::to_owned)
        };
        assert_eq!(plugins, [expected("2", "current"), expected("1", "replaced")]);
        let refused: Vec<Vec<&str>> = refused.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        assert_eq!(
            refused,
            [
                ["operator", "x.wasm", "it is \\x1b[2J", "when it changes"],
                ["operator", "y.wasm", "its compiler was killed", "in 16 s"],
                ["ac\\x07me", "<b>.wasm", "a link", "when it changes"],
            ]
        );
        let expected = [
            "operator: preparing large",
            "ac\\x07me: the folder is lost, what is loaded stays: it is gone",
            "ac\\x07me: 2 names of programs, of which 0 have been loaded",
        ];
        assert_eq!(notes, expected);
    }
}
