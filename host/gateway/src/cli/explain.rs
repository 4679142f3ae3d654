//! What users get and why, for the operator: the output of `whelk tenants`.
//!
//! Reports the configuration and the commands that keys force; it opens no plugin and no directory, and asks no
//! authenticator.

use std::fmt::Write;
use std::path::Path;

use whelk_runtime::{HomeLifetime, ProgramRequest};

use crate::config::sections::tenants::files::Server;
use crate::config::{
    Authentication, AuthenticatorConfig, Clock, Config, Directory, DirectoryAccess, Grants, HomesConfig,
    KeyFileSetting, LoginPolicy, MountConfig, RequiredMethods, TenantConfig, User, size,
};
use crate::credential::{AuthorizedKey, MOST_TOLD, read_authorized_keys};
use crate::observe::escape::escape;
use crate::observe::recording::recordings_folder;
use crate::state::plugin_files::is_name;
use crate::state::{ephemeral_folder, tenant_folder};

/// What every user gets, or the given one, in the order of their names. With `start`: which plugin would serve it, and
/// by which rule.
///
/// # Errors
/// When there is no such user.
pub fn explain(config: &Config, user: Option<&str>, start: Option<ProgramRequest<'_>>) -> Result<String, String> {
    let LoginPolicy::Users(users) = &config.login_policy else {
        return Err("in the demonstration each plugin is a tenant of its own name".to_owned());
    };
    let chosen: Vec<(&String, &User)> = match user {
        None => users.iter().collect(),
        Some(name) => match (users.get_key_value(name), config.authenticator(name)) {
            (Some(user), _) => vec![user],
            (None, Some(asked)) => return Ok(format!("{}\n{}", escape(name.as_bytes()), authenticator(config, asked))),
            (None, None) => return Err(format!("there is no user {name:?}")),
        },
    };
    let mut text = String::new();
    for (name, user) in chosen {
        if !text.is_empty() {
            text.push('\n');
        }
        // Every tenant that a user names exists: a configuration without it is refused.
        if let Some(tenant) = config.tenants.get(&user.tenant) {
            let view = View { config, name: &user.tenant, tenant, user };
            view.write(&mut text, name, start).expect("a String takes every write");
        }
    }
    for asked in config.authenticators.iter().filter(|_| user.is_none()) {
        let patterns: Vec<_> =
            asked.users.iter().map(|pattern| escape(pattern.to_string().as_bytes()).to_string()).collect();
        let gap = if text.is_empty() { "" } else { "\n" };
        text += &format!("{gap}others: {}\n{}", patterns.join(", "), authenticator(config, asked));
    }
    Ok(text)
}

/// What is known of the users of an authenticator: their tenant and plugin only its plugin knows.
fn authenticator(config: &Config, asked: &AuthenticatorConfig) -> String {
    let file = config.plugins.join(format!("{}.wasm", asked.plugin));
    let AuthenticatorConfig { name, plugin, tenants, methods, .. } = asked;
    let mut text = format!("  decided by the authenticator {name}, plugin {plugin}: {}\n", file.display());
    text += &format!("  tenant    one of {}\n", tenants.join(", "));
    if *methods != RequiredMethods::default() {
        text += &format!("  methods   {methods}, and what the authenticator requires\n");
    }
    text
}

/// One user and their tenant.
struct View<'a> {
    config: &'a Config,
    name: &'a str,
    tenant: &'a TenantConfig,
    user: &'a User,
}

impl View<'_> {
    fn write(&self, text: &mut String, user: &str, start: Option<ProgramRequest<'_>>) -> std::fmt::Result {
        writeln!(text, "{}", escape(user.as_bytes()))?;
        writeln!(text, "  tenant    {}", self.name)?;
        let whose = if self.user.own_plugin {
            "the user's own".to_owned()
        } else {
            format!("the default of tenant {}", self.name)
        };
        writeln!(text, "  plugin    {}, {whose}: {}", self.user.plugin, self.file(&self.user.plugin))?;
        if let Some(plugin) = &self.tenant.connection_plugin {
            writeln!(
                text,
                "  requests  {plugin}, the connection plugin of tenant {}: {}",
                self.name,
                self.file(plugin)
            )?;
        }
        if self.user.methods != RequiredMethods::default() && self.needs_credentials() {
            writeln!(text, "  methods   {}", self.user.methods)?;
        }
        let routes = self
            .tenant
            .routes
            .all()
            .map(|(kind, from, to)| format!("{} -> {to}: {}", route(kind, from), self.file(to)));
        write_list(text, "routes", routes.collect())?;
        let files = self.tenant.serving().own_routes().map(|(kind, from, program)| {
            format!("{} -> {program}, {}: {}", route(kind, from), self.why_files(), self.file(program))
        });
        if self.tenant.serves_files() {
            write_list(text, "files", files.collect())?;
        }
        let limits = self.tenant.limits.differences(&self.config.limits);
        let limits = limits.into_iter().map(|(name, own, hosts)| format!("{name} = {own} (the server's: {hosts})"));
        write_list(text, "limits", limits.collect())?;
        write_list(text, "grants", self.grants(&self.tenant.grants))?;
        if let Some(recording) = &self.tenant.recording {
            let made = || recordings_folder(&self.config.state, self.name);
            let folder = recording.folder.clone().unwrap_or_else(made);
            writeln!(text, "  recorded  in {}: {recording}", folder.display())?;
        }
        match start {
            Some(start) => {
                writeln!(text, "  {}", self.served(start))?;
                self.write_forced(text)
            }
            None => Ok(()),
        }
    }

    fn needs_credentials(&self) -> bool {
        matches!(self.user.authentication, Authentication::Required { .. })
    }

    /// The path of a plugin's file.
    fn file(&self, plugin: &str) -> String {
        let found = self.tenant.file(plugin, &self.config.plugins);
        found.map_or_else(|| "missing".to_owned(), |(path, _)| path.display().to_string())
    }

    fn grants(&self, grants: &Grants) -> Vec<String> {
        let mut words = Vec::new();
        words.extend(grants.directory.as_ref().map(|directory| self.directory(directory)));
        for MountConfig { at, path } in &grants.mounts {
            words.push(format!("mount {} at {}, to read", path.display(), escape(at.as_bytes())));
        }
        if grants.system_folders {
            words.push("system_folders: its handlers see /dev, /tmp and /bin too, as its programs do".to_owned());
        }
        if self.tenant.deploys {
            words.push(format!(
                "deploy: its sessions may write to its plugin folder {}",
                shown(self.tenant.plugins.as_deref())
            ));
        }
        if grants.deploy && grants.process {
            words.push("deploy: its programs may start components from their files".to_owned());
        }
        if !grants.environment.is_empty() {
            let names: Vec<_> =
                grants.environment.iter().map(|(name, _)| escape(name.as_bytes()).to_string()).collect();
            words.push(format!("environment {}", names.join(", ")));
        }
        if grants.clock == Clock::Fine {
            words.push("clocks as fine as the system's".to_owned());
        }
        if let Some(keyvalue) = grants.keyvalue {
            words.push(format!(
                "key-value, at most {} in {} keys, seen by this tenant alone",
                size(keyvalue.bytes),
                keyvalue.keys
            ));
        }
        if grants.topics {
            words.push("topics among this tenant's sessions".to_owned());
        }
        if grants.process {
            words.push("programs that start other programs".to_owned());
        }
        if !grants.http.is_empty() {
            words.push(format!("HTTP to {}; the address that a name resolves to is checked", grants.http.join(", ")));
        }
        if !grants.tcp.is_empty() {
            words.push(format!("TCP to {}", grants.tcp.join(", ")));
        }
        words
    }

    fn directory(&self, directory: &Directory) -> String {
        let Directory { path, access, bytes, files, homes } = directory;
        let state = &self.config.state;
        let made =
            || if directory.lasts() { tenant_folder(state, self.name) } else { ephemeral_folder(state, self.name) };
        let note = if path.is_none() { ", made by whelk" } else { "" };
        let shown = path.clone().unwrap_or_else(made);
        if let Some(HomesConfig { from, total_bytes, total_files, lifetime }) = homes {
            let (each, total) = (size(*bytes), size(*total_bytes));
            let kind = match lifetime {
                HomeLifetime::Persistent => "a home for each principal",
                HomeLifetime::Connection => "a home for each connection, removed with it,",
                HomeLifetime::Session => "a home for each session, removed with it,",
            };
            let from = from.as_ref().map(|from| format!(", each with the contents of {}", from.display()));
            let from = from.unwrap_or_default();
            return format!(
                "{kind} in {}{note}, to read and write{from}; at most {each} in {files} files each, \
                 {total} in {total_files} files together",
                shown.display()
            );
        }
        let shown = shown.display();
        match access {
            DirectoryAccess::ReadOnly => format!("directory {shown}{note}, to read; nothing above it can be reached"),
            DirectoryAccess::ReadWrite => format!(
                "directory {shown}{note}, to read and write; at most {} in {files} files; nothing above it can be reached",
                size(*bytes)
            ),
        }
    }

    /// Which plugin serves a start, and by which rule.
    fn served(&self, start: ProgramRequest<'_>) -> String {
        let (kind, asked) = match start {
            ProgramRequest::Shell => ("shell", "a shell".to_owned()),
            ProgramRequest::Exec(command) => ("exec", format!("exec {:?}", String::from_utf8_lossy(command))),
            ProgramRequest::Subsystem(name) => ("subsystem", format!("subsystem {name:?}")),
        };
        let program = |program: &str, why: &str| {
            let file = self.file(program);
            let refused = if file == "missing" { ", so it is refused" } else { "" };
            format!("{asked} is served by the program {program}, {why}: {file}{refused}")
        };
        match self.tenant.serving().find(&start) {
            Server::Route { route: from, plugin } => {
                let route = route(kind, from);
                format!("{asked} is served by {plugin}, by the route {route}: {}", self.file(plugin))
            }
            Server::Files(name) => program(name, self.why_files()),
            Server::Program(name) if is_name(&name) => program(&name, "by `exec_programs = true`"),
            Server::Program(_) => format!(
                "{asked} is refused: by `exec_programs = true` it names a program, and none \
                                           has such a name"
            ),
            Server::Closed(_) => format!("{asked} is refused, {}", self.why_closed()),
            Server::Plugin => format!("{asked} is served by {}: no route fits", self.user.plugin),
        }
    }

    /// The commands of the user's keys that take the place of whatever a client asks for.
    fn write_forced(&self, text: &mut String) -> std::fmt::Result {
        let Authentication::Required { keys, key_files, .. } = &self.user.authentication else { return Ok(()) };
        let named = key_files.iter().filter_map(|file| match file {
            // What cannot be read is reported by `whelk check`.
            KeyFileSetting::Named(path) => read_authorized_keys(path).ok(),
            KeyFileSetting::InHome(_) => None,
        });
        let of_files = named.flat_map(|file| file.keys.into_iter().map(|(_, key)| key));
        let forced = |key: AuthorizedKey| Some((key.fingerprint, key.options.command?));
        let forced: Vec<_> = keys.iter().cloned().chain(of_files).filter_map(forced).collect();
        for (fingerprint, command) in forced.iter().take(MOST_TOLD) {
            let served = self.served(ProgramRequest::Exec(command.as_bytes()));
            writeln!(text, "  with the key {fingerprint} instead of what is asked for: {served}")?;
        }
        match forced.len().saturating_sub(MOST_TOLD) {
            0 => Ok(()),
            more => writeln!(text, "  and {more} more keys with forced commands"),
        }
    }

    /// Why sftp and scp reach the files of the tenant.
    fn why_files(&self) -> &'static str {
        if self.tenant.files.is_some() { "by `files = true`" } else { "as its directory is a home" }
    }

    /// Why they do not.
    fn why_closed(&self) -> &'static str {
        if self.tenant.files.is_some() { "by `files = false`" } else { "as `files = true` is not set" }
    }
}

fn route(kind: &str, from: &str) -> String {
    format!("{kind} {from:?}")
}

fn shown(path: Option<&Path>) -> String {
    path.map(|path| path.display().to_string()).unwrap_or_default()
}

fn write_list(text: &mut String, title: &str, lines: Vec<String>) -> std::fmt::Result {
    if lines.is_empty() {
        let none = if title == "limits" { "as the server's" } else { "none" };
        return writeln!(text, "  {title:<10}{none}");
    }
    for (index, line) in lines.iter().enumerate() {
        let title = if index == 0 { title } else { "" };
        writeln!(text, "  {title:<10}{line}")?;
    }
    Ok(())
}
