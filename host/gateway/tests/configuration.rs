//! The configuration file, from its text to what is served or refused. One test for each kind of error.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use whelk::config::{Authentication, Config, KeyFileSetting, Limits, LoginPolicy, Overrides, reference};
use whelk_ssh::algorithm::Preferences;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
const HASH: &str = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
const GUEST: &str = "[users.guest]\nplugin = \"echo\"\nauth = \"none\"\n";

/// A folder with a configuration, the plugins `echo` and `probe`, and Alice's keys.
struct Place {
    folder: tempfile::TempDir,
    file: PathBuf,
}

fn place(text: &str) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("whelk.toml");
    fs::write(&file, text).unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    for name in ["echo", "probe"] {
        fs::write(folder.path().join(format!("plugins/{name}.wasm")), "").unwrap();
    }
    fs::create_dir(folder.path().join("keys")).unwrap();
    fs::write(folder.path().join("keys/alice"), format!("# Alice\n{KEY} alice\n")).unwrap();
    Place { folder, file }
}

impl Place {
    fn load(&self) -> Result<Config, String> {
        let overrides = Overrides { state: None, ..Overrides::default() };
        Config::load(&self.file, &overrides).map_err(|refused| refused.to_string())
    }

    /// The problems, a line each, without the folder in the paths.
    fn problems(&self) -> Vec<String> {
        let folder = format!("{}/", self.folder.path().display());
        let refused = self.load().unwrap_err().replace(&folder, "").replace(folder.trim_end_matches('/'), "PLACE");
        refused.lines().map(str::to_owned).collect()
    }
}

/// The problems of a file with a state folder and a guest user.
fn problems(text: &str) -> Vec<String> {
    place(&format!("state = \"s\"\n{text}\n{GUEST}")).problems()
}

#[test]
fn a_whole_configuration_is_read_as_it_is_written() {
    let place = place(&format!(
        r#"
listen = ["0.0.0.0:2222", "[::]:2222"]
plugins = "plugins"
state = "var/lib/whelk"
banner = "Authorised\nuse only"
[users.alice]
plugin = "echo"
password = "{HASH}"
authorized_keys = "keys/alice"
keys = ["{KEY} inline"]
[users."bob@example.org"]
plugin = "probe"
keys = ["{KEY}"]
[users.guest]
plugin = "echo"
auth = "none"
[limits]
drain = "2 min"
memory = "32 MiB"
failed_attempts = 3
"#
    ));
    let config = place.load().unwrap();
    assert_eq!(config.listen.iter().map(ToString::to_string).collect::<Vec<_>>(), ["0.0.0.0:2222", "[::]:2222"]);
    assert_eq!(config.plugins, place.folder.path().join("plugins"));
    assert_eq!(config.state, place.folder.path().join("var/lib/whelk"));
    assert_eq!(config.banner.as_deref(), Some("Authorised\nuse only\n"));
    let mut limits = Limits { drain: Duration::from_secs(120), failed_attempts: 3, ..Limits::default() };
    limits.plugins.memory = 32 << 20;
    assert_eq!(config.limits, limits);
    let LoginPolicy::Users(users) = config.login_policy else { panic!("a file is no demonstration") };
    assert_eq!(users.keys().collect::<Vec<_>>(), ["alice", "bob@example.org", "guest"]);
    assert_eq!(users["bob@example.org"].plugin, "probe");
    assert!(matches!(users["guest"].authentication, Authentication::NotRequired));
    let Authentication::Required { password, keys, key_files } = &users["alice"].authentication else {
        panic!("Alice has credentials")
    };
    assert!(password.as_ref().unwrap().verify(b"password").unwrap());
    assert_eq!(keys.len(), 1);
    assert_eq!(key_files[..], [KeyFileSetting::Named(place.folder.path().join("keys/alice"))]);
    assert_eq!(config.notes, []);
}

#[test]
fn every_problem_of_a_file_is_listed_in_the_order_of_its_lines() {
    let place = place(
        r#"state = "s"
listen = ["127.0.0.1:2222", "example.org:22", "127.0.0.1:2222"]
banana = 1
banner = "\u001b[2J"
[users.alice]
plugin = "ecko"
password = "secret"
shell = "/bin/sh"
[users.bob]
auth = "none"
[limits]
sesions = 3
window = "lots"
failed_attempts = 0
"#,
    );
    assert_eq!(
        place.problems(),
        [
            r#"whelk.toml:2: listen: 127.0.0.1:2222 is listed twice (first at whelk.toml:2)"#,
            r#"whelk.toml:2: listen: must be an address in numbers and a port, such as "127.0.0.1:2222" or "[::]:2222", is "example.org:22": a name may lead elsewhere tomorrow: write its address, or "0.0.0.0:22" for every IPv4 address"#,
            r#"whelk.toml:3: banana: there is no such setting"#,
            r#"whelk.toml:4: banner: must have no control characters, has '\u{1b}'"#,
            r#"whelk.toml:6: users.alice.plugin: there is no plugin "ecko" (did you mean "echo"?)"#,
            r#"whelk.toml:7: users.alice.password: must be a hash of argon2 ($argon2id$...), yescrypt ($y$...), bcrypt ($2b$...) or SHA-crypt ($6$..., $5$...), never the password itself: `whelk hash-password` makes one"#,
            r#"whelk.toml:8: users.alice.shell: there is no such setting here: it belongs in [programs.NAME] or [tenants.NAME.programs.NAME]"#,
            r#"whelk.toml:9: users.bob: has no plugin: add plugin = "NAME" here or in [tenants.default]"#,
            r#"whelk.toml:12: limits.sesions: there is no such setting (did you mean `sessions`?)"#,
            r#"whelk.toml:13: limits.window: must be a size such as "64 KiB" (B, KiB, MiB or GiB), is "lots""#,
            r#"whelk.toml:14: limits.failed_attempts: must be from 1 to 1000, is 0"#,
        ]
    );
}

#[test]
fn a_text_that_is_no_toml_is_placed_at_its_line() {
    let found = place("state = \"s\"\nlisten = [\n[users.alice\n").problems();
    assert!(!found.is_empty());
    assert!(found.iter().all(|line| line.starts_with("whelk.toml:")), "{found:?}");
    let twice = place("state = \"a\"\nstate = \"b\"\n").problems();
    assert_eq!(twice, ["whelk.toml:2: state: is set twice: remove one of them (first at whelk.toml:1)"]);
}

#[test]
fn an_error_about_a_wrong_type_names_the_right_one() {
    for (text, problem) in [
        (
            "listen = \"127.0.0.1:1\"",
            "whelk.toml:2: listen: must be a list, is \"127.0.0.1:1\": write [\"127.0.0.1:1\"]",
        ),
        ("listen = []", "whelk.toml:2: listen: must name at least one address"),
        ("listen = [1]", "whelk.toml:2: listen: must be a text in quotes, is 1"),
        ("plugins = 1", "whelk.toml:2: plugins: must be a text in quotes, is 1"),
        ("banner = true", "whelk.toml:2: banner: must be a text in quotes, is true"),
        (
            "environment_names = [\"LANG\", \"A=B\"]",
            "whelk.toml:2: environment_names: must be a name such as \"LANG\" or a beginning such as \"LC_*\", is \"A=B\"",
        ),
        ("limits = 1", "whelk.toml:2: limits: must be a table, is 1"),
        (
            "limits.drain = 30",
            "whelk.toml:2: limits.drain: must be a time such as \"30 s\" (ms, s, min, h or d), is 30: write \"30 s\"",
        ),
        ("limits.sessions = \"ten\"", "whelk.toml:2: limits.sessions: must be a whole number, is \"ten\""),
        ("limits.sessions = -1", "whelk.toml:2: limits.sessions: must be from 0 to 4294967295, is -1"),
        ("users.x = { password = 1234 }", "whelk.toml:2: users.x.password: must be a hash in quotes"),
        ("users.x = 1", "whelk.toml:2: users.x: must be a table, is 1"),
    ] {
        assert!(problems(text).contains(&problem.to_owned()), "{text}: {:?}", problems(text));
    }
}

#[test]
fn contradicting_limits_are_reported_at_their_lines() {
    assert_eq!(
        problems("[limits]\nchannels = 4\nmemory = \"2 GiB\"\ntenant_memory = \"1 GiB\""),
        [
            "whelk.toml:2: limits.sessions: needs 64, which is more than `channels` allows (4)",
            "whelk.toml:4: limits.memory: needs \"2 GiB\", which is more than `memory_slot` allows (\"256 MiB\")",
            "whelk.toml:4: limits.memory: needs \"2 GiB\", which is more than `tenant_memory` allows (\"1 GiB\")",
        ]
    );
}

#[test]
fn algorithms_are_named_as_ssh_names_them_and_offered_in_that_order() {
    let text = "[algorithms]\nkey_exchange = [\"curve25519-sha256\", \"diffie-hellman-group14-sha256\"]\n\
                ciphers = [\"aes256-gcm@openssh.com\", \"chacha20-poly1305@openssh.com\"]\n\
                macs = [\"hmac-sha2-512\"]\nhost_key_algorithms = [\"rsa-sha2-256\", \"ssh-ed25519\"]\n\
                compression = [\"none\", \"zlib@openssh.com\"]";
    let config = place(&format!("state = \"s\"\n{text}\n{GUEST}")).load().unwrap();
    assert_eq!(config.algorithms.kex_names(), ["curve25519-sha256", "diffie-hellman-group14-sha256"]);
    assert_eq!(config.algorithms.cipher_names(), ["aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"]);
    assert_eq!(config.algorithms.mac_names(), ["hmac-sha2-512"]);
    assert_eq!(config.algorithms.host_key_algorithm_names(), ["rsa-sha2-256", "ssh-ed25519"]);
    assert_eq!(config.algorithms.compression_names(), ["none", "zlib@openssh.com"]);
}

#[test]
fn an_unknown_algorithm_and_an_empty_list_are_errors() {
    let known = |names: Vec<&str>| names.join(", ");
    let everything = Preferences::everything();
    assert_eq!(
        problems(
            "[algorithms]\nkey_exchange = [\"curve25519-sha265\"]\nciphers = []\nmacs = [\"hmac-sha1\"]\n\
             host_key_algorithms = [\"ssh-rsa\"]\nbanana = []"
        ),
        [
            format!(
                "whelk.toml:3: algorithms.key_exchange: there is no algorithm \"curve25519-sha265\" \
                 (did you mean \"curve25519-sha256\"?): {}",
                known(everything.kex_names())
            ),
            "whelk.toml:4: algorithms.ciphers: must name at least one algorithm".to_owned(),
            format!(
                "whelk.toml:5: algorithms.macs: there is no algorithm \"hmac-sha1\" (did you mean \"hmac-sha2-512\"?): {}",
                known(everything.mac_names())
            ),
            format!(
                "whelk.toml:6: algorithms.host_key_algorithms: there is no algorithm \"ssh-rsa\": {}",
                known(everything.host_key_algorithm_names().to_vec())
            ),
            "whelk.toml:7: algorithms.banana: there is no such setting".to_owned(),
        ]
    );
    let twice = problems("algorithms.ciphers = [\"aes128-gcm@openssh.com\", \"aes128-gcm@openssh.com\"]");
    assert_eq!(
        twice,
        ["whelk.toml:2: algorithms.ciphers: \"aes128-gcm@openssh.com\" is listed twice (first at whelk.toml:2)"]
    );
}

#[test]
fn a_user_who_can_never_log_in_or_is_open_by_mistake_is_an_error() {
    for (door, problem) in [
        ("", "whelk.toml:2: users.x: could never enter: add a password, a key, or auth = \"none\" to let everybody in"),
        (
            "keys = []",
            "whelk.toml:2: users.x: could never enter: add a password, a key, or auth = \"none\" to let everybody in",
        ),
        (
            "auth = \"None\"",
            "whelk.toml:4: users.x.auth: can only be \"none\", which lets everybody in without credentials, is \"None\": remove it where there is a password or a key",
        ),
        (
            "auth = \"none\"\nkeys = []",
            "whelk.toml:4: users.x.auth: \"none\" lets everybody in: remove either `auth` or the credentials",
        ),
        (
            "keys = [\"ssh-foo AAAA\"]",
            "whelk.toml:4: users.x.keys: names no known type of key: \"ssh-foo\" (such as ssh-ed25519)",
        ),
        ("authorized_keys = 1", "whelk.toml:4: users.x.authorized_keys: must be a text in quotes, is 1"),
    ] {
        assert_eq!(problems(&format!("[users.x]\nplugin = \"echo\"\n{door}")), [problem], "{door}");
    }
}

#[test]
fn a_file_in_which_nobody_could_log_in_is_an_error() {
    let nobody = "users: nobody could enter: add at least one [users.NAME]";
    assert_eq!(place("state = \"s\"\n").problems(), [format!("whelk.toml:1: {nobody}")]);
    assert_eq!(place("state = \"s\"\n[users]\n").problems(), [format!("whelk.toml:2: {nobody}")]);
}

#[test]
fn a_user_name_that_no_client_can_send_is_an_error() {
    let long = "x".repeat(256);
    for (name, what) in
        [("\"\"", "from 1 to 255 bytes"), (long.as_str(), "from 1 to 255 bytes"), ("\"a\\nb\"", "no control")]
    {
        let found = problems(&format!("[users.{name}]\nplugin = \"echo\"\nauth = \"none\""));
        assert!(found.len() == 1 && found[0].contains(what), "{found:?}");
        assert!(found[0].bytes().all(|byte| byte >= 0x20), "{found:?}");
    }
}

/// A user whose keys are in a file, and the file's path.
fn with_file() -> (Place, PathBuf) {
    let place = place("state = \"s\"\n[users.alice]\nplugin = \"echo\"\nauthorized_keys = \"keys/alice\"\n");
    let keys = place.folder.path().join("keys/alice");
    (place, keys)
}

/// The notes of a valid configuration, as they are printed.
fn notes(place: &Place) -> Vec<String> {
    let config = place.load().unwrap();
    let LoginPolicy::Users(users) = &config.login_policy else { panic!("there are users") };
    let Authentication::Required { key_files, .. } = &users["alice"].authentication else {
        panic!("Alice has credentials")
    };
    assert!(!key_files.is_empty(), "the file is read at each login, whatever it holds now");
    let root = format!("{}/", place.folder.path().display());
    config.notes.iter().map(|note| note.to_string().replace(&root, "")).collect()
}

#[test]
fn a_wrong_line_of_an_authorized_keys_file_is_named_by_that_file_and_the_others_count() {
    let (place, keys) = with_file();
    let text = format!(
        "{KEY}\n\ncommand=\"ls\",no-pty {KEY} x\nnonsense-1\nbanana {KEY}\nfrom=\"*.example.org,192.0.2.1\" {KEY}\n"
    );
    fs::write(&keys, text).unwrap();
    assert_eq!(
        notes(&place),
        [
            "keys/alice:4: users.alice.authorized_keys: line skipped: names no known type of key: \"nonsense-1\" (such as ssh-ed25519)",
            "keys/alice:5: users.alice.authorized_keys: line skipped: has the option `banana`, which is not known",
            "keys/alice:6: users.alice.authorized_keys: from= of the key SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ has \
             names of hosts, which match nobody, because names are not looked up: *.example.org",
        ]
    );
}

#[test]
fn a_users_key_file_never_prevents_the_start() {
    let nobody =
        "whelk.toml:4: users.alice.authorized_keys: nobody can log in as this user: no key of the file can be used";
    let (place, keys) = with_file();
    let told = |what: &str| {
        let told = notes(&place);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains(what), "{told:?}");
        assert_eq!(told[1], nobody);
    };
    fs::write(&keys, "nonsense-1\n").unwrap();
    told("keys/alice:1: users.alice.authorized_keys: line skipped");
    let text = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
    fs::write(&keys, text).unwrap();
    told(
        "keys/alice:1: users.alice.authorized_keys: line skipped: is a private key: only the public key \
         (the .pub file)",
    );
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o666)).unwrap();
    told("whelk.toml:4: users.alice.authorized_keys: others may write to keys/alice");
    fs::remove_file(&keys).unwrap();
    told("whelk.toml:4: users.alice.authorized_keys: keys/alice cannot be read");
    fs::write(&keys, "# none yet\n").unwrap();
    assert_eq!(notes(&place), [nobody]);
}

/// An RSA key of 1024 bits.
const SHORT: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCr+B5aSpfaVGbR7rHF12iex7t7DdnZn0L+Jiy9ODGZEtDqQMGJZS69IEgJIKNiaieB4tDs0zP3vakI+yHuRBU1WYwbh6pVWxXndcCe/svREwOKLFRA58LW20gEeF10I8tJkrhw2xXi6TNRVRjf1+gpa5MnfINE+GiAf2Y2P6/MwQ==";

#[test]
fn a_user_none_of_whose_listed_keys_can_log_in_is_an_error_and_one_of_several_keys_a_note() {
    let why = "it is an RSA key of 1024 bits (2048 to 8192 are supported)";
    let user = |door: &str| place(&format!("state = \"s\"\n[users.x]\nplugin = \"echo\"\n{door}\n"));
    let nobody = "whelk.toml:4: users.x.keys: nobody could log in as this user: no key of the list can be used \
                  (`ssh-keygen -t ed25519` makes one that can)";
    assert_eq!(user(&format!("keys = [\"{SHORT}\"]")).problems(), [nobody]);
    for other in [format!("keys = [\"{SHORT}\", \"{KEY}\"]"), format!("keys = [\"{SHORT}\"]\npassword = \"{HASH}\"")] {
        let notes = user(&other).load().unwrap().notes;
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].key == "users.x.keys" && notes[0].what.ends_with(why), "{notes:?}");
    }
    // The file is the user's own: it affects nobody else.
    let (place, keys) = with_file();
    fs::write(&keys, format!("{SHORT}\n")).unwrap();
    let told = notes(&place);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].ends_with(why) || told[0].ends_with(why), "{told:?}");
}

#[test]
fn authorities_and_revoked_keys_are_read_and_their_mistakes_named() {
    let place = place(&format!(
        "state = \"s\"\ntrusted_user_ca_keys = \"keys/ca\"\nrevoked_keys = \"keys/revoked\"\n[users.x]\nplugin = \"echo\"\n\
         principals = [\"a\", \"b\"]\n[tenants.default]\ntrusted_user_ca_keys = [\"{KEY} ca\"]\n"
    ));
    let folder = place.folder.path().join("keys");
    fs::write(folder.join("ca"), format!("# ours\n{KEY}\nno-pty {KEY}\nnonsense-1\n")).unwrap();
    fs::write(folder.join("revoked"), "").unwrap();
    let config = place.load().unwrap();
    assert_eq!(config.authorities.file.as_deref(), Some(folder.join("ca").as_path()));
    assert_eq!((config.revoked.keys, config.revoked.ends), (Some(folder.join("revoked")), true));
    let LoginPolicy::Users(users) = &config.login_policy else { panic!("there are users") };
    // A certificate is enough.
    assert!(
        matches!(&users["x"].authentication, Authentication::Required { password: None, keys, .. } if keys.is_empty())
    );
    assert_eq!(users["x"].principals.as_deref(), Some(&["a".to_owned(), "b".to_owned()][..]));
    let root = format!("{}/", place.folder.path().display());
    assert_eq!(
        config.notes.iter().map(|note| note.to_string().replace(&root, "")).collect::<Vec<_>>(),
        [
            "keys/ca:3: trusted_user_ca_keys: line skipped: has options, which belong to a cert-authority among the keys of a user",
            "keys/ca:4: trusted_user_ca_keys: line skipped: names no known type of key: \"nonsense-1\" (such as ssh-ed25519)",
        ]
    );
}

#[test]
fn a_key_that_is_listed_twice_is_a_note_with_both_places() {
    let user = format!("state = \"s\"\n[users.x]\nplugin = \"echo\"\nkeys = [\n\"{KEY} a\",\n\"{KEY} b\"]\n");
    let place = place(&user);
    let notes = place.load().unwrap().notes;
    let root = format!("{}/", place.folder.path().display());
    let fingerprint = "SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ";
    assert_eq!(
        notes.iter().map(|note| note.to_string().replace(&root, "")).collect::<Vec<_>>(),
        [format!("whelk.toml:6: users.x.keys: the key {fingerprint} is listed twice (first at whelk.toml:5)")]
    );
}

fn chmod(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn files_that_others_may_change_are_refused_like_key_files() {
    let place = place(&format!("state = \"s\"\n{GUEST}"));
    let root = place.folder.path();
    assert_eq!(place.load().err(), None);
    for (path, mode, good, problem) in [
        ("whelk.toml", 0o664, 0o640, "--config: others may write to whelk.toml (mode 0664): chmod go-w whelk.toml"),
        ("whelk.toml", 0o606, 0o640, "--config: others may write to whelk.toml (mode 0606): chmod go-w whelk.toml"),
        ("plugins", 0o775, 0o755, "whelk.toml:1: plugins: others may write to plugins (mode 0775): chmod go-w plugins"),
        ("plugins", 0o757, 0o755, "whelk.toml:1: plugins: others may write to plugins (mode 0757): chmod go-w plugins"),
    ] {
        chmod(root.join(path), mode);
        assert_eq!(place.problems(), [problem]);
        chmod(root.join(path), good);
    }
    // Whoever may write to the folder can replace the file, unless the folder is sticky.
    chmod(root, 0o777);
    assert!(place.load().unwrap_err().contains("(mode 0777): chmod go-w"));
    chmod(root, 0o1777);
    assert_eq!(place.load().err(), None);
    chmod(root, 0o700);
    // A demonstration is open to everybody.
    chmod(root.join("plugins"), 0o777);
    let plugins = Some(root.join("plugins"));
    assert!(Config::demonstration(&Overrides { plugins, state: Some("s".into()), ..Overrides::default() }).is_ok());
}

#[test]
fn a_tenants_plugin_folder_may_be_its_groups_and_not_everybodys() {
    let place = place(&format!("state = \"s\"\n[tenants.acme]\nplugins = \"acme\"\n{GUEST}"));
    let folder = place.folder.path().join("acme");
    fs::create_dir(&folder).unwrap();
    chmod(&folder, 0o775);
    assert_eq!(place.load().err(), None);
    chmod(&folder, 0o777);
    // The tenant must fix that, and the others are served.
    let notes: Vec<String> = place.load().unwrap().notes.iter().map(ToString::to_string).collect();
    let note = "others may write to acme (mode 0777): chmod o-w acme: its tenant has the operator's plugins until then";
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].replace(&format!("{}/", place.folder.path().display()), "").ends_with(note), "{notes:?}");
}

#[test]
fn byte_order_marks_and_line_ends_do_not_matter() {
    let place = place("");
    for text in [format!("\u{feff}state = \"s\"\n{GUEST}"), format!("state = \"s\"\n{GUEST}").replace('\n', "\r\n")] {
        fs::write(&place.file, text).unwrap();
        assert_eq!(place.load().err(), None);
    }
    for (bytes, problem) in [
        (&b"a = 1\n# M\xfcller\n"[..], "--config: whelk.toml:2: is not UTF-8 text (byte 0xfc): save it as UTF-8"),
        (b"\xff\xfea\0", "--config: whelk.toml is UTF-16 text: save it as UTF-8"),
    ] {
        fs::write(&place.file, bytes).unwrap();
        assert_eq!(place.problems(), [problem]);
    }
    fs::remove_file(&place.file).unwrap();
    let absent = "--config: whelk.toml: No such file or directory (os error 2): `whelk init` writes a configuration to start from";
    assert_eq!(place.problems(), [absent]);
    fs::create_dir(&place.file).unwrap();
    assert_eq!(
        place.problems(),
        ["--config: whelk.toml is a folder: name the file in it, such as whelk.toml/whelk.toml"]
    );
}

#[test]
fn an_unreadable_plugin_folder_is_reported_once_at_its_line() {
    let found = problems("plugins = \"absent\"");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("whelk.toml:2: plugins: the plugin folder absent cannot be read"), "{found:?}");
}

#[test]
fn the_command_line_overrides_the_file_which_is_still_checked() {
    let place = place(&format!("listen = [\"127.0.0.1:1\"]\nplugins = \"absent\"\nstate = \"s\"\n{GUEST}"));
    let overrides = Overrides {
        listen: vec!["127.0.0.2:0".parse().unwrap()],
        plugins: Some(place.folder.path().join("plugins")),
        state: Some(PathBuf::from("here")),
    };
    let config = Config::load(&place.file, &overrides).unwrap();
    assert_eq!(
        (config.listen, config.plugins, config.state),
        (overrides.listen.clone(), overrides.plugins.clone().unwrap(), "here".into())
    );
    fs::write(&place.file, format!("listen = [\"nowhere\"]\n{GUEST}")).unwrap();
    assert!(Config::load(&place.file, &overrides).is_err());
}

#[test]
fn without_a_file_only_loopback_is_listened_on() {
    let place = place("");
    let demonstration = |listen: &[&str]| {
        let listen = listen.iter().map(|address| address.parse().unwrap()).collect();
        let plugins = Some(place.folder.path().join("plugins"));
        Config::demonstration(&Overrides { listen, plugins, state: Some("s".into()) })
    };
    for address in ["127.0.0.1:2222", "127.0.0.2:0", "[::1]:2222"] {
        let config = demonstration(&[address]).unwrap();
        assert!(matches!(config.login_policy, LoginPolicy::Demonstration));
        assert_eq!(config.banner.as_deref(), Some("DEMONSTRATION: anyone on this machine can log in\n"));
    }
    for address in
        ["0.0.0.0:2222", "[::]:2222", "192.168.1.5:2222", "10.0.0.1:0", "[fe80::1]:2222", "[::ffff:0.0.0.0]:2222"]
    {
        let refused = demonstration(&[address, "127.0.0.1:2223"]).unwrap_err();
        assert_eq!(refused.to_string(), format!("a configuration is needed to listen on {address}"));
    }
}

/// The reference with its settings uncommented.
fn uncommented() -> String {
    reference()
        .lines()
        .map(|line| if line.starts_with("# ") { line } else { line.strip_prefix('#').unwrap_or(line) })
        .fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn the_reference_is_a_configuration_with_every_default() {
    let as_printed = place(&format!("{}{GUEST}", reference())).load().unwrap();
    // Only root could create the state folder of the reference.
    let taken_out = uncommented().replace("/var/lib/whelk", "s");
    let taken_out = place(&format!("{taken_out}{GUEST}")).load().unwrap();
    for config in [&as_printed, &taken_out] {
        assert_eq!(config.limits, Limits::default());
        assert_eq!(config.listen, ["127.0.0.1:2222".parse().unwrap()]);
        assert_eq!(config.algorithms.kex_names(), Preferences::default().kex_names());
        assert_eq!(config.algorithms.cipher_names(), Preferences::default().cipher_names());
        assert_eq!(config.algorithms.mac_names(), Preferences::default().mac_names());
        assert_eq!(config.algorithms.host_key_algorithm_names(), Preferences::default().host_key_algorithm_names());
    }
    let limits =
        uncommented().lines().skip_while(|line| *line != "[limits]").filter(|line| line.contains(" = ")).count();
    let fields = format!("{:?}", Limits::default()).matches(": ").count();
    // The field that holds the limits of plugins is none itself, and two limits are fixed.
    assert_eq!(limits, fields - 3, "every limit stands in the reference once");
}
