//! Plugins and the folders that they are loaded from.

use std::path::Path;

use crate::observe::escape::Escaped;

whelk_runtime::events! {
    /// What happens to plugins and their folders.
    pub enum PluginEvent<'a> {
        /// New sessions get this version from now on.
        Loaded("plugin_loaded", INFO, "whelk::plugins::reload::folder", "plugin loaded") {
            #[display] plugin: Escaped<'a>,
            tenant: Option<&'a str>,
            digest: &'a str,
            generation: u32,
        }
        /// The file of a plugin is gone, and new sessions do not get it any more.
        Removed("plugin_removed", INFO, "whelk::plugins::reload::folder", "plugin removed") {
            #[display] plugin: Escaped<'a>,
            tenant: Option<&'a str>,
            generation: Option<u32>,
        }
        /// A program was needed for the first time, or its file was replaced: new processes get this version from now
        /// on. `tenant` has the file; without one it is the operator's.
        ProgramLoaded("plugin_program_loaded", INFO, "whelk::plugins::reload::folder", "program loaded") {
            #[display] plugin: Escaped<'a>,
            tenant: Option<&'a str>,
            digest: &'a str,
            generation: u32,
        }
        /// The file of a loaded program is gone.
        ProgramRemoved("plugin_program_removed", INFO, "whelk::plugins::reload::folder", "program removed") {
            #[display] plugin: Escaped<'a>,
            tenant: Option<&'a str>,
            generation: Option<u32>,
        }
        /// A file is no plugin that can be served, or its compiler failed. With `retry_s` it is tried again.
        Refused("plugin_refused", ERROR, "whelk::plugins::reload::refusal", "plugin refused") {
            #[display] file: Escaped<'a>,
            tenant: Option<&'a str>,
            #[display] reason: Escaped<'a>,
            retry_s: Option<u64>,
        }
        /// A file was replaced or removed while it was compiled: its compiler is ended.
        LoadCancelled("plugin_load_cancelled", INFO, "whelk::plugins::reload::task", "plugin load cancelled") {
            #[display] file: Escaped<'a>,
            tenant: Option<&'a str>,
            reason: &'a str,
        }
        /// A file in a plugin folder has a name that no plugin can have.
        FileIgnored("plugin_file_ignored", WARN, "whelk::plugins::reload::folder", "plugin file ignored") {
            #[display] file: Escaped<'a>,
            tenant: Option<&'a str>,
            reason: &'a str,
        }
        /// The folder has no room for two versions of a plugin, so none is kept to go back to.
        NoOlderVersion(
            "plugin_no_older_version", WARN, "whelk::plugins::reload::folder", "no older version of the plugin is kept"
        ) {
            #[display] plugin: Escaped<'a>,
            tenant: Option<&'a str>,
            limit: &'a str,
        }
        /// Every plugin that was there at the start is loaded or refused.
        AllPrepared("plugin_all_prepared", INFO, "whelk::plugins::reload::task", "plugins prepared") {
            plugins: usize,
            refused: usize,
            seconds: f32,
        }
        /// The configuration names a plugin that needs more than its tenant is granted: its sessions are refused.
        LacksGrants("plugin_lacks_grants", ERROR, "whelk::tenant", "plugin refused") {
            tenant: &'a str,
            plugin: &'a str,
            #[display] reason: Escaped<'a>,
        }
        /// A tenant names a plugin as its `connection_plugin` that is none: what would be asked of it is refused.
        OfAnotherKind("plugin_of_another_kind", ERROR, "whelk::tenant", "plugin is no connection plugin") {
            tenant: &'a str,
            plugin: &'a str,
        }
        /// A tenant cannot be given something that it is granted: one of the demonstration, or any its `/tmp`.
        GrantMissing("plugin_grant_missing", WARN, "whelk::tenant", "tenant goes without a grant") {
            #[display] tenant: Escaped<'a>,
            #[display] reason: Escaped<'a>,
        }
        /// The kernel tells of changes in a folder again.
        FolderWatched("plugin_folder_watched", INFO, "whelk::plugins::reload::folder", "plugin folder is watched") {
            #[path] folder: &'a Path,
            tenant: Option<&'a str>,
        }
        /// The kernel does not tell of changes in a folder.
        FolderNotWatched(
            "plugin_folder_not_watched", WARN, "whelk::plugins::reload::folder",
            "plugin folder is not watched: it is looked at every {every} s"
        ) {
            #[path] folder: &'a Path,
            reason: &'a str,
            ; every: u64,
        }
        /// The kernel tells of no changes in any folder.
        FoldersNotWatched(
            "plugin_folders_not_watched", WARN, "whelk::plugins::reload::task",
            "plugin folders are not watched: they are looked at every {every} s"
        ) {
            reason: &'a str,
            ; every: u64,
        }
        /// A folder cannot be read, or an empty one is in its place.
        FolderLost(
            "plugin_folder_lost", ERROR, "whelk::plugins::reload::folder", "plugin folder lost: what is loaded stays"
        ) {
            #[path] folder: &'a Path,
            tenant: Option<&'a str>,
            reason: &'a str,
        }
        /// A folder that was lost can be read again.
        FolderBack("plugin_folder_back", INFO, "whelk::plugins::reload::folder", "plugin folder is back") {
            #[path] folder: &'a Path,
            tenant: Option<&'a str>,
        }
        /// A tenant's folder was not listed in time at the start: sessions get the operator's plugins until it is.
        FolderSilent(
            "plugin_folder_silent", ERROR, "whelk::plugins::reload::task",
            "plugin folder does not answer: served without it"
        ) {
            #[path] folder: &'a Path,
            tenant: Option<&'a str>,
        }
        /// The host panicked while it read a folder. It is read again in the next round.
        FolderLookFailed(
            "plugin_folder_look_failed", ERROR, "whelk::plugins::reload::task", "a look at a plugin folder failed"
        ) {
            number: usize,
        }
        /// The task that looks at folders had panicked, and works again.
        ReloadRecovered(
            "plugin_reload_recovered", INFO, "whelk::plugins::reload::status", "plugin folders are looked at again"
        ) {}
    }
}
