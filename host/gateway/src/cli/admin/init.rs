//! `whelk init`: a configuration that works, with its folders.

use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::Args;

use super::user::{NewUser, block, quoted, read_keys};
use crate::cli::inspect;
use crate::cli::outcome::{Failure, failed, lone_runtime, print, wrong};
use crate::config::{self, Config, Overrides};
use crate::credential::parse_key;
use crate::server::gateway::{lone_loader, trial_limits};
use crate::state::strict_modes::{self, Asked, Writers};

/// The plugins that are taken if none is named, the best one for a first login first.
const PREFERRED: [&str; 4] = ["terminal", "echo", "probe", "guestbook"];
/// Where plugins are, from the folder of the program: beside it, as packages have it, and in a clone that was built.
const SHIPPED: [&str; 4] = ["plugins", "../lib/whelk/plugins", "../share/whelk/plugins", "../../plugins"];
/// The key files that are taken if none is named, before others.
const KEYS: [&str; 4] = ["id_ed25519.pub", "id_ed25519_sk.pub", "id_ecdsa.pub", "id_rsa.pub"];

/// Write a configuration that works, with its folders of plugins and of state.
///
/// At a terminal it asks who may log in and with which key, unless that is given. Existing files are never overwritten:
/// an existing configuration is an error, existing folders and plugins are reused. The configuration has mode 0640.
/// After an error all new files are removed.
#[derive(Args)]
pub(in crate::cli) struct InitArguments {
    /// The folder for whelk.toml, which is made if it does not exist, or the file itself, whose name ends in .toml
    /// [default: the current folder]
    place: Option<PathBuf>,
    /// Who may log in [default: you]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The file of the user's public keys; `-` is standard input [default: the first of ~/.ssh/id_*.pub and
    /// ~/.ssh/*.pub]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Where to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:2222", value_parser = config::parse_address)]
    listen: SocketAddr,
    /// The plugin that answers: a file NAME.wasm, which is copied, or the name of a shipped one [default: terminal, or
    /// another one that is beside the program]
    #[arg(long, value_name = "FILE|NAME")]
    plugin: Option<PathBuf>,
    /// State folder (host keys, key-value store), relative to the configuration
    #[arg(long, value_name = "DIR", default_value = "state")]
    state: PathBuf,
}

/// Files and folders created so far, for removal after an error.
#[derive(Default)]
struct Made(Vec<PathBuf>);

impl Made {
    /// Makes a folder with all that lead to it, which have mode 0755, unless it is there.
    fn folder(&mut self, path: &Path, mode: u32) -> Result<(), Failure> {
        let missing: Vec<_> =
            path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
        for folder in missing.into_iter().rev() {
            // The mode is meant for the last one.
            let made = DirBuilder::new().mode(if folder == path { mode } else { 0o755 }).create(folder);
            made.map_err(|error| wrong(format!("{} cannot be made: {error}", folder.display())))?;
            self.0.push(folder.to_owned());
        }
        Ok(())
    }

    /// Writes a file that must not be there, whole or not at all.
    fn file(&mut self, path: &Path, mode: u32, contents: &[u8]) -> Result<(), Failure> {
        let failed = |error: io::Error| wrong(format!("{} cannot be written: {error}", path.display()));
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".new-{}", std::process::id()));
        let temporary = path.with_file_name(name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary).map_err(failed)?;
        let written = file.write_all(contents).and_then(|()| file.sync_all());
        // Unlike a rename, a link never replaces an existing file.
        let named = written.and_then(|()| fs::hard_link(&temporary, path));
        if named.is_ok() {
            self.0.push(path.to_owned());
        }
        named.and(fs::remove_file(&temporary)).map_err(failed)
    }

    /// Removes everything created so far, except folders that are no longer empty.
    fn undo(&self) {
        for path in self.0.iter().rev() {
            // The error is told; a folder that somebody else has put something into stays.
            let _ = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
        }
    }
}

pub(in crate::cli) fn init(arguments: &InitArguments) -> Result<(), Failure> {
    if rustix::process::geteuid().is_root() {
        // As of `whelk check`: the server may run as another user, who owns the state folder.
        strict_modes::ask(Asked::Modes);
    }
    let file = configuration_path(arguments.place.as_deref());
    if fs::symlink_metadata(&file).is_ok() {
        let shown = file.display();
        return Err(wrong(format!("{shown} is there already, and is left as it is: name another folder or file")));
    }
    let asks = io::stdin().is_terminal() && io::stderr().is_terminal();
    let user = match &arguments.user {
        Some(user) => user.clone(),
        None => answer(asks, "Who may log in", invoking_user())?
            .ok_or_else(|| wrong("cannot determine your user name; pass --user NAME"))?,
    };
    let key = match &arguments.key {
        Some(key) => key.clone(),
        None => answer(asks, "With which public key (a file)", first_key().map(|key| key.display().to_string()))?
            .map(PathBuf::from)
            .ok_or_else(|| {
                wrong("there is no public key in ~/.ssh: name one with --key FILE (`ssh-keygen -t ed25519` makes one)")
            })?,
    };
    let keys = read_keys(&expanded(key))?;
    let mut made = Made::default();
    let written = write(&mut made, arguments, &file, (&user, keys.clone()));
    let plugin = written.inspect_err(|_| made.undo())?;
    let fingerprints: Vec<_> = keys.iter().filter_map(|key| parse_key(key).ok()).map(|key| key.fingerprint).collect();
    let shown = strict_modes::quoted(&file);
    let address = arguments.listen;
    print(&format!(
        "{shown} is written: {user:?} may log in with {}, and the plugin {plugin} answers on {address}.\n\
         Next:\n  whelk check {shown}\n  whelk serve --config {shown}\n\
         And from another terminal:\n  ssh -p {} {}@{}\n",
        fingerprints.join(", "),
        address.port(),
        strict_modes::quoted(Path::new(&user)),
        if address.ip().is_unspecified() { "THIS-MACHINE".to_owned() } else { address.ip().to_string() }
    ))?;
    if rustix::process::geteuid().is_root() {
        let state = file.parent().unwrap_or(Path::new("")).join(&arguments.state);
        print(&format!(
            "If another user runs the server, as with the unit for systemd:\n  chgrp GROUP {shown}\n  chown USER {}\n",
            strict_modes::quoted(&state)
        ))?;
    }
    Ok(())
}

/// Makes the folders, the plugin and the configuration. Returns the plugin's name.
fn write(
    made: &mut Made,
    arguments: &InitArguments,
    file: &Path,
    (user, keys): (&str, Vec<String>),
) -> Result<String, Failure> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let plugins = folder.join("plugins");
    made.folder(folder, 0o755)?;
    let facts = folder.metadata().map_err(failed)?;
    Writers::Operator.check_folder(folder, facts.mode(), facts.uid()).map_err(wrong)?;
    made.folder(&plugins, 0o755)?;
    made.folder(&folder.join(&arguments.state), 0o700)?;
    let (plugin, source) = find_plugin(arguments.plugin.as_deref(), &plugins)?;
    if let Some(source) = source {
        let contents = fs::read(&source).map_err(|error| wrong(format!("{}: {error}", source.display())))?;
        let place = plugins.join(format!("{plugin}.wasm"));
        if place.exists() {
            // Of a file that was named.
            if fs::read(&place).map_err(|error| wrong(format!("{}: {error}", place.display())))? != contents {
                let (source, place) = (source.display(), place.display());
                return Err(wrong(format!(
                    "{place} is there already, and is not {source}: name that one, or remove it"
                )));
            }
        } else {
            made.file(&place, 0o644, &contents)?;
        }
    }
    let new = NewUser { plugin: Some(plugin.clone()), keys, ..NewUser::default() };
    let text = text(arguments, user, &new);
    let config = Config::parse(file, &text, &Overrides::default()).map_err(wrong)?;
    check_plugin(&config)?;
    made.file(file, 0o640, text.as_bytes())?;
    // What was written is what a server reads, and its folder is on disk.
    Config::load(file, &Overrides::default()).map_err(wrong)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(plugin)
}

/// Checks the plugin as `whelk check` does.
fn check_plugin(config: &Config) -> Result<(), Failure> {
    let loader = lone_loader(&trial_limits(config)).map_err(wrong)?;
    let faults = lone_runtime()?.block_on(inspect::check_named(config, &loader));
    if faults.operators.is_empty() { Ok(()) } else { Err(wrong(faults.operators.join("\n"))) }
}

fn text(arguments: &InitArguments, user: &str, new: &NewUser) -> String {
    format!(
        "# The configuration of whelk. `whelk config` prints every setting with its default, and `whelk check` checks this \
         file.\n\n\
         # Where to listen. \"0.0.0.0:2222\" and \"[::]:2222\" can be reached from elsewhere.\nlisten = [{}]\n\n\
         # What whelk keeps, such as its host keys, which are made at the first start.\nstate = {}\n\n\
         # The folder of the plugins: the file NAME.wasm is the plugin NAME.\nplugins = \"plugins\"\n\n\
         # Who may log in, with which keys, and which plugin answers. `whelk user add` adds others.\n{}",
        quoted(&arguments.listen.to_string()),
        quoted(&arguments.state.display().to_string()),
        block(user, new, "\n")
    )
}

/// The file to write.
fn configuration_path(place: Option<&Path>) -> PathBuf {
    match place {
        None => PathBuf::from("whelk.toml"),
        Some(place) if !place.is_dir() && place.extension().is_some_and(|extension| extension == "toml") => {
            place.to_owned()
        }
        Some(folder) => folder.join("whelk.toml"),
    }
}

/// Asks a question on the terminal, whose answer is the default if nothing is typed; without a terminal the default.
fn answer(asks: bool, question: &str, default: Option<String>) -> Result<Option<String>, Failure> {
    if !asks {
        return Ok(default);
    }
    let shown = default.as_deref().map(|default| format!(" [{default}]")).unwrap_or_default();
    write!(io::stderr(), "{question}{shown}: ").map_err(failed)?;
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(failed)?;
    let typed = line.trim();
    Ok(if typed.is_empty() { default } else { Some(typed.to_owned()) })
}

/// The user who called sudo, or the one of the session.
fn invoking_user() -> Option<String> {
    let name = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    name("SUDO_USER").or_else(|| name("LOGNAME")).or_else(|| name("USER"))
}

/// The home folder of [`invoking_user`]: under sudo `HOME` is that of root.
fn home() -> Option<PathBuf> {
    let Some(user) = env::var("SUDO_USER").ok().filter(|user| !user.is_empty()) else {
        return env::var_os("HOME").map(PathBuf::from);
    };
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let line = users.lines().find(|line| line.split(':').next() == Some(&*user))?;
    line.split(':').nth(5).map(PathBuf::from)
}

/// A path that was typed, in which `~` is the home folder.
fn expanded(path: PathBuf) -> PathBuf {
    match (path.strip_prefix("~"), home()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    }
}

/// The first public key in `~/.ssh`.
fn first_key() -> Option<PathBuf> {
    let folder = home()?.join(".ssh");
    let preferred = KEYS.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    preferred.or_else(|| {
        let files = fs::read_dir(&folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        let is_key = |path: &PathBuf| path.extension().is_some_and(|end| end == "pub") && path.is_file();
        // A certificate is no key.
        files.filter(is_key).filter(|path| !path.to_string_lossy().ends_with("-cert.pub")).min()
    })
}

/// The name of the plugin, and the file that is copied; none if it is in the folder already.
fn find_plugin(asked: Option<&Path>, folder: &Path) -> Result<(String, Option<PathBuf>), Failure> {
    let shipped: Vec<PathBuf> = env::current_exe()
        .ok()
        .and_then(|program| program.parent().map(|beside| SHIPPED.map(|below| beside.join(below))))
        .into_iter()
        .flatten()
        .collect();
    let find = |name: &str| {
        let file = format!("{name}.wasm");
        if folder.join(&file).exists() {
            return Some((name.to_owned(), None));
        }
        let found = shipped.iter().map(|folder| folder.join(&file)).find(|path| path.is_file())?;
        Some((name.to_owned(), Some(found)))
    };
    let Some(asked) = asked else {
        let places: Vec<_> = shipped.iter().map(|folder| folder.display().to_string()).collect();
        return PREFERRED
            .iter()
            .find_map(|name| find(name))
            .ok_or_else(|| wrong(format!("no shipped plugin is in {}: pass --plugin FILE.wasm", places.join(", "))));
    };
    let is_file = asked.extension().is_some_and(|end| end == "wasm");
    let name = asked.file_stem().and_then(|name| name.to_str()).filter(|_| is_file || asked.components().count() == 1);
    let Some(name) = name else {
        return Err(wrong(format!("{}: a plugin is a file NAME.wasm", asked.display())));
    };
    if !is_file {
        return find(name)
            .ok_or_else(|| wrong(format!("there is no plugin {name:?} beside the program: pass --plugin FILE.wasm")));
    }
    Ok((name.to_owned(), Some(asked.to_owned())))
}
