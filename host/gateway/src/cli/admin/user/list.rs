//! The users of a configuration, for people and for programs.

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use crate::cli::inspect::harmless;
use crate::cli::inspect::locale::padded;
use crate::config::{Authentication, Config, KeyFileSetting, LoginPolicy, User};
use crate::credential::{AuthorizedKey, KeyPath, read_key_file};

/// How a user logs in, as words.
struct Shown {
    methods: String,
    keys: Vec<AuthorizedKey>,
    has_password: bool,
    /// The user's own key files, each with the reason why it cannot be read.
    files: Vec<(String, Option<String>)>,
}

impl Shown {
    fn of(name: &str, user: &User, config: &Config) -> Shown {
        let Authentication::Required { password, keys, key_files } = &user.authentication else {
            let methods = "none: anybody".to_owned();
            return Shown { methods, keys: Vec::new(), has_password: false, files: Vec::new() };
        };
        let (mut keys, home) = (keys.clone(), config.home(&user.tenant, name));
        let path = |file: &KeyFileSetting| match (file, &home) {
            (KeyFileSetting::Named(path), _) => Some(KeyPath::named(path)),
            (KeyFileSetting::InHome(path), Some(home)) => Some(KeyPath::in_home(&home.as_path().into(), path)),
            (KeyFileSetting::InHome(_), None) => None,
        };
        let files = key_files.iter().filter_map(path);
        let files = files.map(|path| (path.to_string(), add_keys(&path, &mut keys))).collect();
        Shown { methods: user.methods.to_string(), keys, has_password: password.is_some(), files }
    }
}

/// Adds the keys of a file. Returns why it cannot be read.
fn add_keys(path: &KeyPath, keys: &mut Vec<AuthorizedKey>) -> Option<String> {
    match read_key_file(path) {
        Ok(file) => {
            keys.extend(file.keys.into_iter().map(|(_, key)| key));
            None
        }
        Err(reason) => Some(reason),
    }
}

fn users(config: &Config) -> impl Iterator<Item = (&String, &User)> {
    let users = match &config.login_policy {
        LoginPolicy::Users(users) => Some(users),
        LoginPolicy::Demonstration => None,
    };
    users.into_iter().flatten()
}

/// A line for each user and one for each key.
pub(super) fn text(config: &Config) -> String {
    let head = ["USER", "TENANT", "PLUGIN", "METHODS", "PASSWORD", "KEYS"].map(str::to_owned);
    let mut rows = vec![(head, Vec::new())];
    for (name, user) in users(config) {
        let Shown { methods, keys, has_password, files } = Shown::of(name, user, config);
        let mut below: Vec<_> = keys.iter().map(|key| format!("{} {}", key.kind, key.fingerprint)).collect();
        below.extend(files.into_iter().map(|(path, reason)| match reason {
            Some(reason) => format!("authorized_keys {path}: {reason}"),
            None => format!("authorized_keys {path}"),
        }));
        let password = if has_password { "yes" } else { "no" };
        let (name, tenant, plugin) = (harmless(name), harmless(&user.tenant), harmless(&user.plugin));
        let row = [name, tenant, plugin, methods, password.to_owned(), keys.len().to_string()];
        rows.push((row, below));
    }
    let width = |column: usize| rows.iter().map(|(row, _)| row[column].width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let mut text = String::new();
    for (row, below) in &rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| padded(cell, *width)).collect();
        text += &format!("{}\n", cells.join("  ").trim_end());
        below.iter().for_each(|line| text += &format!("    {line}\n"));
    }
    text
}

/// A list with an object for each user.
pub(super) fn json(config: &Config) -> Value {
    let user = |(name, user): (&String, &User)| {
        let Shown { methods, keys, has_password, files } = Shown::of(name, user, config);
        let keys = keys.iter().map(|key| json!({ "type": key.kind, "fingerprint": key.fingerprint }));
        // Why it cannot be read; null: it can.
        let files = files.iter().map(|(path, reason)| json!({ "path": path, "unreadable": reason }));
        json!({
            "name": name,
            "tenant": user.tenant,
            "plugin": user.plugin,
            "anybody": matches!(user.authentication, Authentication::NotRequired),
            "methods": methods,
            "password": has_password,
            "keys": keys.collect::<Vec<_>>(),
            "principals": user.principals,
            "authorized_keys": files.collect::<Vec<_>>(),
        })
    };
    users(config).map(user).collect()
}
