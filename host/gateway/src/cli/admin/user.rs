//! `whelk user`: the users of a configuration file, added, removed and listed.

mod list;
mod text;

use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::readable;
use super::replace::EditedFile;
use crate::cli::hash_password;
use crate::cli::outcome::{Failure, failed, print, wrong};
use crate::cli::running::ServerArguments;
use crate::cli::running::reload::reload;
use crate::config::{Config, Overrides, Problem};
use crate::credential::parse_key;
use crate::state::strict_modes::{self, Asked};
use text::UsersText;
pub(super) use text::{NewUser, block, quoted};

/// The largest file of keys that is read, in bytes.
const MOST_BYTES: u64 = 1 << 20;

#[derive(Subcommand)]
pub(in crate::cli) enum UserVerb {
    /// Add a user to a configuration. Everything else in the file stays as it is, byte for byte.
    ///
    /// The new text is checked as by `whelk check`, without loading the plugins, before it replaces the file. If it has
    /// mistakes, the file is left alone, and the exit status is 2. A running server uses the new file after a reload.
    Add(NewUserArguments),
    /// Remove a user from a configuration, and the comment lines in, directly above and directly below the user's
    /// table.
    ///
    /// Everything else stays as it is, byte for byte; comments that were removed are printed, and those above the first
    /// user stay. The new text is checked as for `whelk user add`.
    Remove {
        /// The exact name
        name: String,
        #[command(flatten)]
        file: EditedArguments,
    },
    /// List the users of a configuration: tenant, plugin, methods, and the fingerprints of their keys.
    List {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// For programs instead of people
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
pub(in crate::cli) struct NewUserArguments {
    /// The exact name by which the user logs in
    name: String,
    #[command(flatten)]
    file: EditedArguments,
    /// A file of public keys of OpenSSH's format, which are written into the configuration; `-` is standard input. May
    /// be given several times
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// The path of a file of public keys that is read at each login (AuthorizedKeysFile). It need not exist yet
    #[arg(long, value_name = "FILE")]
    authorized_keys: Option<String>,
    /// Ask for a password twice without echo, or read the first line of standard input if that is no terminal, and
    /// write its hash
    #[arg(long)]
    password: bool,
    /// The tenant [default: the one called default]
    #[arg(long)]
    tenant: Option<String>,
    /// The plugin [default: the tenant's]
    #[arg(long)]
    plugin: Option<String>,
}

/// The file that is edited.
#[derive(Args)]
pub(in crate::cli) struct EditedArguments {
    /// The configuration. If this is a symbolic link, its target is edited
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Skip the checks of owner and mode (`StrictModes no`), as in `whelk serve`
    #[arg(long)]
    no_strict_modes: bool,
    /// Have the running server read the configuration afterwards, with the exit status of `whelk reload`
    #[arg(long)]
    reload: bool,
}

pub(in crate::cli) fn user(verb: UserVerb) -> Result<(), Failure> {
    match verb {
        UserVerb::Add(arguments) => add(arguments),
        UserVerb::Remove { name, file } => remove(&name, &file),
        UserVerb::List { config, json } => {
            strict_modes::ask(Asked::Nothing);
            let config = Config::load(&config, &Overrides::default()).map_err(wrong)?;
            print(&if json { format!("{}\n", list::json(&config)) } else { list::text(&config) })
        }
    }
}

fn add(arguments: NewUserArguments) -> Result<(), Failure> {
    let NewUserArguments { name, file, key, authorized_keys, password, tenant, plugin } = arguments;
    let reads_keys = key.iter().any(|path| path == Path::new("-"));
    if password && reads_keys {
        return Err(wrong("--password and --key - would both read standard input: give the key as a file"));
    }
    let keys = key.iter().map(|path| read_keys(path)).collect::<Result<Vec<_>, _>>()?.concat();
    // Fails early, before the password prompt; the lock is taken again for the edit.
    edited(&file, &name, |users| if users.has(&name) { Err(wrong(exists(&name, &file.config))) } else { Ok(None) })?;
    let password = password.then(hash_password::new_hash).transpose()?;
    let user = NewUser { tenant, plugin, password, keys, authorized_keys };
    let change = |users: &UsersText<'_>| {
        if users.has(&name) {
            return Err(wrong(exists(&name, &file.config)));
        }
        let text = users.with(&name, &user);
        if !UsersText::parse(&text).is_some_and(|users| users.has(&name)) {
            let shown = file.config.display();
            let reason =
                "a user without a setting cannot be written as `users.NAME.SETTING`, as this file has its users";
            return Err(wrong(format!("{shown}: {reason}: give --key, --password or --plugin")));
        }
        Ok(Some(text))
    };
    let config = edited(&file, &name, change)?;
    let prefix = format!("users.{}", toml_edit::Key::new(&*name));
    let is_own =
        |key: &str| key.strip_prefix(&prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    let notes = config.iter().flat_map(|config| &config.notes).filter(|note| is_own(&note.key));
    let notes: String = notes.map(|note| format!("{note}\n")).collect();
    let readable = config.and_then(|config| readable::note(&file.config, &config));
    print(&format!("{notes}{}", readable.map_or_else(String::new, |note| format!("{note}\n"))))?;
    done(&file, &name, "added")
}

fn remove(name: &str, file: &EditedArguments) -> Result<(), Failure> {
    let mut comments = String::new();
    edited(file, name, |users| {
        if users.has(name) {
            comments = users.comments_of(name);
            Ok(Some(users.without(name)))
        } else {
            Err(wrong(format!("{}: there is no user {name:?}", file.config.display())))
        }
    })?;
    if !comments.is_empty() {
        print(&format!("these comments are removed with the user:\n{comments}"))?;
    }
    done(file, name, "removed")
}

/// Says what was done, and has the running server do the same if that is asked.
fn done(file: &EditedArguments, name: &str, what: &str) -> Result<(), Failure> {
    let shown = file.config.display();
    let hint = if file.reload {
        String::new()
    } else {
        format!("; `whelk reload --config {}` tells a running server", strict_modes::quoted(&file.config))
    };
    print(&format!("{shown}: the user {name:?} is {what}{hint}\n"))?;
    if file.reload { reload(&ServerArguments::of(&file.config)) } else { Ok(()) }
}

fn exists(name: &str, file: &Path) -> String {
    format!("{}: there is a user {name:?} already: remove it first, or edit the file", file.display())
}

/// Changes the lines of a user in a configuration, unless `change` returns none. Returns the new configuration.
fn edited(
    file: &EditedArguments,
    name: &str,
    change: impl FnOnce(&UsersText<'_>) -> Result<Option<String>, Failure>,
) -> Result<Option<Config>, Failure> {
    strict_modes::ask(match file {
        EditedArguments { no_strict_modes: true, .. } => Asked::Nothing,
        // The server runs as another user.
        _ if rustix::process::geteuid().is_root() => Asked::Modes,
        _ => Asked::All,
    });
    let edited = EditedFile::open(&file.config).map_err(wrong)?;
    let before = edited.text();
    let parsed = |text: &str| Config::parse(&file.config, text, &Overrides::default());
    let Some(users) = UsersText::parse(before) else {
        let problems = parsed(before).err().map(|problems| problems.to_string());
        return Err(wrong(problems.unwrap_or_else(|| format!("{} cannot be edited", file.config.display()))));
    };
    let Some(after) = change(&users)? else { return Ok(None) };
    if !text::differ_in_one_user(before, &after, name) {
        return Err(failed(format!(
            "{}: cannot edit users in this layout; edit the file by hand",
            file.config.display()
        )));
    }
    let config = parsed(&after).map_err(|problems| refused(&file.config, &problems.0))?;
    edited.replace(&after).map_err(failed)?;
    Ok(Some(config))
}

/// The mistakes of a text that is not written.
fn refused(file: &Path, problems: &[Problem]) -> Failure {
    let problems: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
    wrong(format!("{problems}{} was not changed: the change would cause the errors above", file.display()))
}

/// The lines of a key file, each checked.
pub(super) fn read_keys(path: &Path) -> Result<Vec<String>, Failure> {
    let failed = |error: io::Error| wrong(format!("{}: {error}", path.display()));
    let mut text = String::new();
    // One more than may be, so that a longer text is noticed.
    let most = MOST_BYTES + 1;
    if path == Path::new("-") {
        if io::stdin().is_terminal() {
            // Nothing else would tell why it waits.
            print("Public keys, one a line; Ctrl-D ends them:\n")?;
        }
        io::stdin().lock().take(most).read_to_string(&mut text).map_err(failed)?;
    } else {
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(wrong(format!("{} is not a regular file", path.display())));
        }
        fs::File::open(path).map_err(failed)?.take(most).read_to_string(&mut text).map_err(failed)?;
    }
    if text.len() as u64 > MOST_BYTES {
        return Err(wrong(format!("{} is larger than {MOST_BYTES} bytes", path.display())));
    }
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    let lines = lines.map(|(index, line)| (index + 1, line.trim()));
    let mut keys = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        parse_key(line).map_err(|what| wrong(format!("{}:{number}: {what}", path.display())))?;
        keys.push(line.to_owned());
    }
    if keys.is_empty() {
        return Err(wrong(format!("{}: has no public key: name the .pub file", path.display())));
    }
    Ok(keys)
}
