//! The answer to the request `plugins`: every plugin folder, and every name in it.

use serde_json::{Value, json};
use tokio::time::Instant;
use whelk_runtime::{Listed, Plugin};

use crate::observe::hex::hex;
use crate::plugins::programs::ProgramFolder;
use crate::plugins::reload::{PluginFolder, View};
use crate::state::plugin_files::programs::ProgramName;

/// Every folder with every name in it.
pub(super) fn answer(view: &View) -> Value {
    let folders: Vec<Value> = view.folders().iter().map(|plugins| folder(plugins)).collect();
    // Why nothing is loaded and removed any more, and for how many seconds; null: all is well.
    let stopped = view.status.failure().map(|failure| {
        let for_s = failure.since.elapsed().as_secs();
        json!({ "reason": failure.reason, "for_s": for_s })
    });
    json!({ "stopped": stopped, "folders": folders })
}

fn folder(folder: &PluginFolder) -> Value {
    let registry = &folder.config.registry;
    let plugins: Vec<Value> = registry.list().iter().map(plugin).collect();
    let state = folder.state();
    let for_s = |since: Instant| since.elapsed().as_secs();
    let pending = state.pending.iter().map(|(file, pending)| {
        // null: it is being read.
        let digest = pending.digest.map(|digest| hex(&digest));
        json!({ "file": file, "digest": digest, "for_s": for_s(pending.since) })
    });
    let gone = state.removals.gone().map(|(file, since)| json!({ "file": file, "for_s": for_s(since) }));
    let unwatched = state.unwatched.as_ref();
    let unwatched = unwatched.map(|(reason, since)| json!({ "reason": reason, "for_s": for_s(*since) }));
    let refused = state.refused.iter().map(|(file, refusal)| {
        // In how many seconds it is tried again; null: when the file changes.
        let retry_s = refusal.retry_in().map(|wait| wait.as_secs());
        json!({ "file": file, "reason": refusal.reason, "retry_s": retry_s })
    });
    json!({
        "tenant": folder.config.tenant,
        "path": folder.config.path.display().to_string(),
        "trouble": state.trouble,
        // Why it is only polled.
        "unwatched": unwatched,
        "plugins": plugins,
        // Every name of a folder of programs; null: it has plugins.
        "programs": folder.config.programs.as_ref().map(|programs| names(programs)),
        // Names without a served version yet.
        "preparing": registry.preparing(),
        // Files that are being loaded, for served names or others.
        "pending": pending.collect::<Vec<_>>(),
        // Files that are gone, while their plugins are served until the folder has settled.
        "gone": gone.collect::<Vec<_>>(),
        "ignored": state.ignored,
        "refused": refused.collect::<Vec<_>>(),
    })
}

/// The names of a folder of programs, each with the program of which it is a name, or why it is none.
fn names(programs: &ProgramFolder) -> Vec<Value> {
    let name = |(name, found): (&String, &ProgramName)| match found {
        ProgramName::File { program, size } => json!({ "name": name, "program": program, "size": size }),
        ProgramName::Refused(reason) => json!({ "name": name, "refused": reason }),
    };
    programs.names().iter().map(name).collect()
}

fn plugin(listed: &Listed) -> Value {
    let version = |plugin: &Plugin| {
        json!({
            "digest": plugin.digest_hex(),
            "generation": plugin.generation(),
            "world": plugin.world_name(),
            "handlers": plugin.handlers(),
            "needs": plugin.needs().iter().map(|grant| grant.as_str()).collect::<Vec<_>>(),
            "code": plugin.code(),
            "sessions": plugin.sessions(),
        })
    };
    json!({
        "name": listed.name,
        "current": listed.current.as_deref().map(version),
        "older": listed.older.iter().map(|older| version(older)).collect::<Vec<_>>(),
        "crashing": listed.tripped,
    })
}
