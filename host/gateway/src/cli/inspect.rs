//! Reports on plugins: those of a running server, and files. `whelk plugin ...`.
//!
//! Whatever a file or another program supplies is escaped before it is printed.

mod columns;
pub(super) mod flat;
pub(super) mod locale;
mod programs;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::timeout;
use whelk_runtime::{CompileSlots, Contents, Error, Format, Grant, Loader, Plugin, Source, Terms};

use crate::config::{AuthenticatorConfig, Config, Limits, TenantConfig};
use crate::plugins::watch::ROUND;
use crate::state::plugin_files::{self, Links, Reading};
use crate::state::strict_modes::Writers;
pub(super) use columns::{aligned, harmless};
use columns::{digest, list, seconds, words};
pub(super) use programs::{count_names, refused_links};

/// What is known of a file.
pub(super) struct Inspected {
    name: String,
    source: Source,
    contents: Contents,
}

/// Why a file did not pass a check.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CheckError {
    /// A server would refuse it.
    Refused(String),
    /// The check could not be completed: a server would start without the plugin, and try again.
    Unfinished(String),
}

impl CheckError {
    fn refused(reason: &str) -> CheckError {
        CheckError::Refused(reason.to_owned())
    }

    /// The runtime's message about the file or about itself.
    fn of(error: &Error) -> CheckError {
        let reason = harmless(&error.to_string());
        match error {
            Error::Unfinished(_) | Error::Killed(_) | Error::Host { .. } => CheckError::Unfinished(reason),
            _ => CheckError::Refused(reason),
        }
    }

    /// The reason.
    #[must_use]
    pub(super) fn reason(&self) -> &str {
        match self {
            CheckError::Refused(reason) | CheckError::Unfinished(reason) => reason,
        }
    }
}

/// Reads a file that is to be a plugin.
///
/// # Errors
/// The reason why it cannot be one.
fn read(path: &Path, links: Links, writers: Writers, most: usize) -> Result<(String, Source), CheckError> {
    let Some(file) = path.file_name().and_then(|name| name.to_str()) else {
        return Err(CheckError::refused("its name is not UTF-8; rename it"));
    };
    let Some(name) = plugin_files::plugin_name(file) else {
        return Err(CheckError::refused(
            "a plugin is called NAME.wasm, without control characters and without a dot at the beginning",
        ));
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match plugin_files::read(folder, file, links, writers, most).map_err(CheckError::Refused)? {
        Reading::Whole(source, _) => Ok((name.to_owned(), source)),
        Reading::Changing => Err(CheckError::Unfinished("it is being written to".to_owned())),
        Reading::Absent(_) | Reading::NoFolder => Err(CheckError::refused("there is no such file")),
    }
}

/// Checks a file as a server does before it publishes it.
///
/// # Errors
/// Why a server would refuse it, or why the check could not be completed.
pub(super) async fn check(path: &Path, loader: &Loader, limits: &Limits) -> Result<(Arc<Plugin>, Format), CheckError> {
    let most = limits.plugins.component;
    let path = programs::target(path).map_err(CheckError::Refused)?;
    let (name, source) = read(&path, Links::Follow, Writers::Anybody, most)?;
    Ok((load(&name, &source, most, loader).await?, source.format()))
}

async fn check_as(
    path: &Path,
    links: Links,
    writers: Writers,
    most: usize,
    loader: &Loader,
) -> Result<Arc<Plugin>, CheckError> {
    let (name, source) = read(path, links, writers, most)?;
    load(&name, &source, most, loader).await
}

async fn load(name: &str, source: &Source, most: usize, loader: &Loader) -> Result<Arc<Plugin>, CheckError> {
    let slots = CompileSlots::new(1);
    let terms = Terms { component: most, slots: &slots, tenant: "" };
    loader.load(name, source, terms).await.map_err(|error| CheckError::of(&error))
}

/// The grants that a plugin needs, with the lines of the configuration; empty if it needs none. With a configuration
/// only tenants count that lack the grant there.
#[must_use]
pub(super) fn grant_warnings(plugin: &Plugin, config: Option<&Config>) -> String {
    let mut text = String::new();
    for grant in plugin.needs() {
        let imports = plugin.imports().iter().filter(|import| Grant::of_import(import) == Some(*grant));
        let imports: Vec<&str> = imports.map(|import| import.split('@').next().unwrap_or(import)).collect();
        let lacks = |config: &Config| -> Vec<String> {
            let lacking = config.tenants.iter().filter(|(_, tenant)| !tenant.grants.has(*grant));
            lacking.map(|(name, _)| name.clone()).collect()
        };
        let tenants = config.map_or_else(|| vec!["NAME".to_owned()], lacks);
        let Some(first) = tenants.first() else { continue };
        let which = match (config, tenants.as_slice()) {
            (None, _) => "each tenant that runs it needs".to_owned(),
            (Some(_), [one]) => format!("tenant {} would need", harmless(one)),
            (Some(_), [_, others @ ..]) => {
                let others: Vec<String> = others.iter().map(|name| harmless(name)).collect();
                format!("tenant {} would need, and likewise {}", harmless(first), others.join(", "))
            }
            (Some(_), []) => continue,
        };
        let (imports, toml) = (harmless(&imports.join(", ")), grant.toml(first));
        let _ = write!(text, "warning: it imports {imports}, for which {which} in the configuration:\n{toml}");
    }
    text
}

/// Prefix for problems of a tenant's own file ...
const PUT: &str = "put there by its tenant: ";
/// ... and of one of the operator's where the tenant may put its own.
const TAKEN: &str = "until its tenant puts one there: ";

/// Problems of the plugins that a configuration names, a line each.
#[derive(Default)]
pub(super) struct Faults {
    /// For the operator to fix.
    pub operators: Vec<String>,
    /// Caused by what tenants put into their own folders, or did not.
    pub tenants: Vec<String>,
    /// Plugins whose check could not be completed. A server would start, and try them again.
    pub unfinished: Vec<String>,
}

impl Faults {
    fn of(&mut self, tenant: bool) -> &mut Vec<String> {
        if tenant { &mut self.tenants } else { &mut self.operators }
    }
}

/// What is wrong with the use of a plugin by a tenant that names it: sessions need another kind than connections.
fn misused(config: &Config, named: (&str, &str), plugin: &Plugin) -> Option<String> {
    let (tenant, _) = named;
    let of_connections = config.connection_plugins().contains(&named);
    if of_connections && !plugin.is_connection_plugin() {
        let missing = "it does not export whelk:ssh/connection-handler";
        return Some(format!("tenants.{tenant}.connection_plugin: it is no connection plugin: {missing}"));
    }
    (plugin.is_connection_plugin() && config.session_plugins().contains(&named))
        .then(|| format!("tenant {tenant}: it is a connection plugin, and serves no sessions"))
}

/// Checks every plugin that a configuration names: finds each file that a server would refuse, and each that needs more
/// than a tenant that names it is granted, or that is not what it is named for.
pub(super) async fn check_named(config: &Config, loader: &Loader) -> Faults {
    let (mut faults, limits) = (Faults::default(), &config.limits);
    // For all plugins that tenants deploy, together. Wall-clock time, because a check before a start (ExecStartPre=)
    // delays that start: what there is no time for is not an error.
    let mut time_left = limits.plugins.compile_time;
    let mut files: BTreeMap<PathBuf, Option<Arc<Plugin>>> = BTreeMap::new();
    check_authenticators(config, loader, &mut files, &mut faults).await;
    for (name, named) in config.named_plugins() {
        let tenant = config.tenants.get(name);
        // An unknown name was reported when the configuration was read.
        let Some((tenant, (path, is_own))) =
            tenant.and_then(|tenant| Some((tenant, tenant.file(named, &config.plugins)?)))
        else {
            continue;
        };
        let shown = path.display().to_string();
        if !files.contains_key(&path) {
            let (links, writers, most) = match is_own {
                true => (Links::Refuse, Writers::Tenant, tenant.limits.plugins.component_tenant),
                false => (Links::Follow, Writers::Operator, limits.plugins.component),
            };
            let is_theirs = is_own && tenant.deploys;
            let (began, time) = (Instant::now(), if is_theirs { time_left } else { Duration::MAX });
            let checked = timeout(time, check_as(&path, links, writers, most, loader)).await;
            let checked = checked.unwrap_or_else(|_| Err(CheckError::Unfinished(no_time_left(limits))));
            if is_theirs {
                time_left = time_left.saturating_sub(began.elapsed());
            }
            let put = if is_theirs { PUT } else { "" };
            match &checked {
                Ok(_) => {}
                Err(CheckError::Refused(reason)) => faults.of(is_theirs).push(format!("{put}{shown}: {reason}")),
                Err(CheckError::Unfinished(reason)) => {
                    faults.unfinished.push(format!("{put}{shown}: could not be checked: {reason}"));
                }
            }
            files.insert(path.clone(), checked.ok());
        }
        if let Some(Some(plugin)) = files.get(&path)
            && let Some(fault) = misused(config, (name, named), plugin)
        {
            faults.of(tenant.deploys).push(format!("{shown}: {fault}"));
        }
        // A tenant that deploys could change which file it is: it need only remove its own.
        if let Some(Some(plugin)) = files.get(&path)
            && let Err(error) = serves(plugin, name, tenant)
        {
            let whose = match (tenant.deploys, is_own) {
                (false, _) => "",
                (true, true) => PUT,
                (true, false) => TAKEN,
            };
            faults.of(tenant.deploys).push(format!("{whose}{shown}: {}", harmless(&error)));
        }
    }
    faults
}

/// Whether a plugin can serve the sessions of a tenant.
fn serves(plugin: &Plugin, name: &str, tenant: &TenantConfig) -> Result<(), String> {
    if plugin.is_authenticator() {
        return Err("it is an authenticator, which decides about logins and serves no sessions".to_owned());
    }
    plugin.suits(name, |grant| tenant.grants.has(grant)).map_err(|error| error.to_string())
}

/// Checks the plugins of authenticators, all of which are the operator's. Adds the checked ones to `files`.
async fn check_authenticators(
    config: &Config,
    loader: &Loader,
    files: &mut BTreeMap<PathBuf, Option<Arc<Plugin>>>,
    faults: &mut Faults,
) {
    for AuthenticatorConfig { name, plugin, .. } in &config.authenticators {
        let path = config.plugins.join(format!("{plugin}.wasm"));
        let shown = path.display().to_string();
        if !files.contains_key(&path) {
            let most = config.limits.plugins.component;
            let checked = check_as(&path, Links::Follow, Writers::Operator, most, loader).await;
            match &checked {
                Ok(_) => {}
                Err(CheckError::Refused(reason)) => faults.operators.push(format!("{shown}: {reason}")),
                Err(CheckError::Unfinished(reason)) => {
                    faults.unfinished.push(format!("{shown}: could not be checked: {reason}"));
                }
            }
            files.insert(path.clone(), checked.ok());
        }
        let Some(Some(plugin)) = files.get(&path) else { continue };
        if !plugin.is_authenticator() {
            faults.operators.push(format!(
                "{shown}: it is of the world {} and no authenticator, which the authenticator {name:?} needs",
                plugin.world_name()
            ));
        } else if plugin.needs().contains(&Grant::Topics) {
            faults.operators.push(format!("{shown}: it imports whelk:ssh/topics, which no authenticator is granted"));
        }
    }
}

fn no_time_left(limits: &Limits) -> String {
    let most = limits.plugins.compile_time.as_secs_f32();
    format!("checking all that tenants put into their folders takes more than the {most} s that are allowed")
}

/// Describes a file.
///
/// # Errors
/// Why it is not a component, or why that could not be determined.
pub(super) async fn inspect(path: &Path, loader: &Loader, limits: &Limits) -> Result<Inspected, CheckError> {
    let (name, source) = read(path, Links::Follow, Writers::Anybody, limits.plugins.component)?;
    let slots = CompileSlots::new(1);
    let terms = Terms { component: limits.plugins.component, slots: &slots, tenant: "" };
    match loader.inspect(&source, terms).await {
        Ok(contents) => Ok(Inspected { name, source, contents }),
        Err(error) => Err(CheckError::of(&error)),
    }
}

impl Inspected {
    /// As text.
    #[must_use]
    pub(super) fn text(&self) -> String {
        let contents = &self.contents;
        let mut text = String::new();
        let digest: String = self.source.digest().iter().map(|byte| format!("{byte:02x}")).collect();
        let needs: Vec<&str> = contents.needs.iter().map(|grant| grant.as_str()).collect();
        let world = contents.world.unwrap_or("none that can be run");
        let lines = [
            ("name", harmless(&self.name)),
            ("digest", digest),
            ("size", format!("{} bytes", self.source.size())),
            ("format", self.source.format().description().to_owned()),
            ("world", world.to_owned()),
            ("needs", if needs.is_empty() { "no grants".to_owned() } else { needs.join(", ") }),
        ];
        for (what, value) in lines {
            line(&mut text, what, &value);
        }
        for (what, names) in [("imports", &contents.imports), ("exports", &contents.exports)] {
            for (at, name) in names.iter().enumerate() {
                line(&mut text, if at == 0 { what } else { "" }, &harmless(name));
            }
        }
        if let Some(refused) = &contents.refused {
            line(&mut text, "refused", &harmless(&refused.to_string()));
        }
        text
    }

    /// As JSON.
    #[must_use]
    pub(super) fn json(&self) -> Value {
        let contents = &self.contents;
        json!({
            "name": self.name,
            "digest": self.source.digest().iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            "size": self.source.size(),
            "format": self.source.format().as_str(),
            "world": contents.world,
            "needs": contents.needs.iter().map(|grant| grant.as_str()).collect::<Vec<_>>(),
            "imports": contents.imports,
            "exports": contents.exports,
            "refused": contents.refused.as_ref().map(Error::to_string),
        })
    }
}

fn line(text: &mut String, what: &str, value: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{what:<8} {value}");
}

/// A server's answer to [`PLUGINS`](crate::server::control::PLUGINS) as text: a table for each folder.
#[must_use]
pub(super) fn table(answer: &Value) -> String {
    let mut text = String::new();
    let stopped = &answer["stopped"];
    if let Some(reason) = stopped["reason"].as_str() {
        let reason = harmless(reason);
        let _ = writeln!(text, "plugins have not been loaded or removed for {}: {reason}\n", seconds(stopped));
    }
    for (at, folder) in list(&answer["folders"]).iter().enumerate() {
        let owner = match folder["tenant"].as_str() {
            Some(tenant) => format!("tenant {}", harmless(tenant)),
            None => "operator".to_owned(),
        };
        if programs::is_empty(folder) {
            continue;
        }
        let gap = if at == 0 { "" } else { "\n" };
        let _ = writeln!(text, "{gap}{owner}: {}", words(&folder["path"]));
        if let Some(trouble) = folder["trouble"].as_str() {
            let _ = writeln!(text, "the folder is lost, what is loaded stays: {}", harmless(trouble));
        }
        if let Some(reason) = folder["unwatched"]["reason"].as_str() {
            let (for_s, every, reason) = (seconds(&folder["unwatched"]), ROUND.as_secs(), harmless(reason));
            let _ = writeln!(
                text,
                "the folder has not been watched for {for_s}, it is looked at every {every} s: {reason}"
            );
        }
        if let Some(rows) = programs::rows(folder) {
            text.push_str(&aligned(&rows));
        } else {
            text.push_str(&aligned(&all_rows(folder)));
        }
        text.push_str(&unserved(folder));
        for refused in list(&folder["refused"]).iter().chain(&programs::refused(folder)) {
            let retry = refused["retry_s"].as_u64().map(|seconds| format!(" (tried again in {seconds} s)"));
            let (file, reason) = (words(&refused["file"]), words(&refused["reason"]));
            let _ = writeln!(text, "refused {file}: {reason}{}", retry.unwrap_or_default());
        }
    }
    text
}

/// The versions of every plugin of a folder, with a heading.
fn all_rows(folder: &Value) -> Vec<[String; 7]> {
    let heading = ["NAME", "DIGEST", "GEN", "SESSIONS", "WORLD", "NEEDS", "STATE"].map(str::to_owned);
    std::iter::once(heading).chain(list(&folder["plugins"]).iter().flat_map(version_rows)).collect()
}

/// What is not served yet, or soon no longer, a line each.
fn unserved(folder: &Value) -> String {
    let mut text = String::new();
    let preparing: Vec<String> = list(&folder["preparing"]).iter().map(words).collect();
    for name in &preparing {
        let _ = writeln!(text, "preparing {name}");
    }
    for pending in list(&folder["pending"]) {
        let (file, digest) = (words(&pending["file"]), digest(&pending["digest"]));
        let digest = if digest.is_empty() { "being read".to_owned() } else { digest };
        let is_served =
            |plugin: &Value| !plugin["current"].is_null() && file == format!("{}.wasm", words(&plugin["name"]));
        let what = if list(&folder["plugins"]).iter().any(is_served) { "a newer version, " } else { "" };
        let _ = writeln!(text, "loading {file}: {what}{digest}, for {}", seconds(pending));
    }
    for gone in list(&folder["gone"]) {
        let (file, for_s) = (words(&gone["file"]), seconds(gone));
        let _ = writeln!(text, "gone {file}: for {for_s}, served until the folder has settled");
    }
    for ignored in list(&folder["ignored"]) {
        let _ = writeln!(text, "ignored {}: {}", words(ignored), plugin_files::MISSPELLED);
    }
    text
}

/// A row for each version of a name.
fn version_rows(plugin: &Value) -> Vec<[String; 7]> {
    let current = Some(&plugin["current"]).filter(|current| !current.is_null());
    let state = if plugin["crashing"] == true { "crashing" } else { "current" };
    let older =
        list(&plugin["older"]).iter().map(|older| (older, if current.is_some() { "replaced" } else { "removed" }));
    let row = |(version, state): (&Value, &str)| {
        let handlers = list(&version["handlers"]).iter().map(|handler| format!("+{}", words(handler)));
        let needs: Vec<String> = list(&version["needs"]).iter().map(words).collect();
        [
            words(&plugin["name"]),
            digest(&version["digest"]),
            version["generation"].to_string(),
            version["sessions"].to_string(),
            std::iter::once(words(&version["world"])).chain(handlers).collect::<Vec<_>>().join(" "),
            if needs.is_empty() { "-".to_owned() } else { needs.join(",") },
            state.to_owned(),
        ]
    };
    current.map(|current| (current, state)).into_iter().chain(older).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_check_is_not_a_refusal() {
        let words = || "words".to_owned();
        for error in
            [Error::Unfinished(words()), Error::Killed(words()), Error::Host { incident: words(), detail: words() }]
        {
            assert!(matches!(CheckError::of(&error), CheckError::Unfinished(_)), "{error:?}");
        }
        assert_eq!(CheckError::of(&Error::Refused(words())), CheckError::Refused(words()));
    }

    #[test]
    fn the_table_has_a_line_for_each_version_and_for_each_refused_file() {
        let version = |generation: u32, sessions: usize| {
            json!({
                "digest": "0123456789abcdef", "generation": generation, "world": "session-plugin",
                "handlers": ["timer-handler"], "needs": ["http"], "sessions": sessions,
            })
        };
        let stopped = json!({ "reason": "it \u{1b} panicked", "for_s": 7 });
        let answer = json!({ "stopped": stopped, "folders": [
            { "tenant": null, "path": "plugins", "trouble": null, "refused": [
                { "file": "x.wasm", "reason": "it is \u{1b}[2J", "retry_s": null },
                { "file": "y.wasm", "reason": "its compiler was killed", "retry_s": 16 },
              ],
              "preparing": ["large"],
              "pending": [
                { "file": "large.wasm", "digest": "0123456789abcdef", "for_s": 3 },
                { "file": "echo.wasm", "digest": "fedcba9876543210", "for_s": 12 },
              ],
              "gone": [{ "file": "b.wasm", "for_s": 1 }],
              "ignored": ["X.WASM"],
              "unwatched": { "reason": "too many open files", "for_s": 60 },
              "plugins": [{ "name": "echo", "current": version(2, 3), "older": [version(1, 1)], "crashing": false }] },
            { "tenant": "acme", "path": "t/acme", "trouble": "it is gone", "refused": [], "plugins": [] },
        ] });
        let expected = "plugins have not been loaded or removed for 7 s: it \\x1b panicked\n\n\
            operator: plugins\n\
            the folder has not been watched for 60 s, it is looked at every 2 s: too many open files\n\
            NAME  DIGEST        GEN  SESSIONS  WORLD                         NEEDS  STATE\n\
            echo  0123456789ab  2    3         session-plugin +timer-handler  http   current\n\
            echo  0123456789ab  1    1         session-plugin +timer-handler  http   replaced\n\
            preparing large\n\
            loading large.wasm: 0123456789ab, for 3 s\n\
            loading echo.wasm: a newer version, fedcba987654, for 12 s\n\
            gone b.wasm: for 1 s, served until the folder has settled\n\
            ignored X.WASM: its name must end in \".wasm\", in small letters: rename it\n\
            refused x.wasm: it is \\x1b[2J\n\
            refused y.wasm: its compiler was killed (tried again in 16 s)\n\
            \n\
            tenant acme: t/acme\n\
            the folder is lost, what is loaded stays: it is gone\n\
            NAME  DIGEST  GEN  SESSIONS  WORLD  NEEDS  STATE\n";
        let squeezed = |text: &str| text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        assert_eq!(squeezed(&table(&answer)), squeezed(expected));
    }
}
