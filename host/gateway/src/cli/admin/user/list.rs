//! The users of a configuration, for people and for programs.

use std::path::Path;

use serde_json::{Value, json};

use crate::config::{Authentication, Config, LoginPolicy, User};
use crate::credential::{AuthorizedKey, read_authorized_keys};
use crate::observe::escape::escape;

/// How a user logs in, as words.
struct Shown {
    methods: String,
    keys: Vec<AuthorizedKey>,
    has_password: bool,
    /// The user's own key file, and why it cannot be read.
    file: Option<(String, Option<String>)>,
}

impl Shown {
    fn of(user: &User) -> Shown {
        let Authentication::Required { password, keys, key_file } = &user.authentication else {
            let methods = "none: anybody".to_owned();
            return Shown { methods, keys: Vec::new(), has_password: false, file: None };
        };
        let mut keys = keys.clone();
        let file = key_file.as_deref().map(|path| (path.display().to_string(), add_keys(path, &mut keys)));
        Shown { methods: user.methods.to_string(), keys, has_password: password.is_some(), file }
    }
}

/// Adds the keys of a file. Returns why it cannot be read.
fn add_keys(path: &Path, keys: &mut Vec<AuthorizedKey>) -> Option<String> {
    match read_authorized_keys(path) {
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
        let Shown { methods, keys, has_password, file } = Shown::of(user);
        let mut below: Vec<_> = keys.iter().map(|key| format!("{} {}", key.kind, key.fingerprint)).collect();
        below.extend(file.map(|(path, reason)| match reason {
            Some(reason) => format!("authorized_keys {path}: {reason}"),
            None => format!("authorized_keys {path}"),
        }));
        let password = if has_password { "yes" } else { "no" };
        let name = escape(name.as_bytes()).to_string();
        let row =
            [name, user.tenant.clone(), user.plugin.clone(), methods, password.to_owned(), keys.len().to_string()];
        rows.push((row, below));
    }
    let width = |column: usize| rows.iter().map(|(row, _)| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let mut text = String::new();
    for (row, below) in &rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text += &format!("{}\n", cells.join("  ").trim_end());
        below.iter().for_each(|line| text += &format!("    {line}\n"));
    }
    text
}

/// A list with an object for each user.
pub(super) fn json(config: &Config) -> Value {
    let user = |(name, user): (&String, &User)| {
        let Shown { methods, keys, has_password, file } = Shown::of(user);
        let keys = keys.iter().map(|key| json!({ "type": key.kind, "fingerprint": key.fingerprint }));
        let (file, reason) = file.unzip();
        json!({
            "name": name,
            "tenant": user.tenant,
            "plugin": user.plugin,
            "anybody": matches!(user.authentication, Authentication::NotRequired),
            "methods": methods,
            "password": has_password,
            "keys": keys.collect::<Vec<_>>(),
            "principals": user.principals,
            "authorized_keys": file,
            // Why it cannot be read; null: it can.
            "unreadable": reason.flatten(),
        })
    };
    users(config).map(user).collect()
}
