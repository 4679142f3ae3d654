//! The tables `[[authenticators]]`, and what the operator's verbs say of them. Mistakes are in `mistakes.txt`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use whelk::config::{AuthenticatorConfig, Config, KeyValue, Overrides, RequiredMethods};
use whelk_ssh::auth::method::AuthMethod;

use crate::guest;

const WHOLE: &str = r#"
state = "s"
methods = ["password"]
[users.alice]
plugin = "echo"
auth = "none"
[tenants.acme]
plugin = "echo"
[tenants.other]
[[authenticators]]
name = "second"
plugin = "door"
users = ["ops-*@acme", "*@acme", "alice"]
tenants = ["acme", "other"]
methods = ["publickey,keyboard-interactive"]
config = { secret = "s3cr3t", issuer = "acme" }
keyvalue = { bytes = "1 MiB", keys = 7 }
[[authenticators]]
name = "first"
plugin = "echo"
users = "bob@acme"
tenants = ["acme"]
"#;

/// A folder with a configuration and these plugins: an empty file, or that of a package.
fn place(text: &str, plugins: &[(&str, Option<&str>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    for (name, package) in plugins {
        let file = folder.path().join("plugins").join(name).with_extension("wasm");
        let wasm = package.map(|name| fs::read(guest::build(&[name]).join(name).with_extension("wasm")).unwrap());
        fs::write(file, wasm.unwrap_or_default()).unwrap();
    }
    fs::write(folder.path().join("w.toml"), text).unwrap();
    folder
}

fn load(folder: &Path) -> Config {
    Config::load(&folder.join("w.toml"), &Overrides::default()).unwrap()
}

/// The status, what was printed, and the errors.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_whelk")).args(arguments).current_dir(folder).output().unwrap();
    let Output { status, stdout, stderr } = output;
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn they_are_read_as_they_are_written_and_in_the_order_of_the_file() {
    let folder = place(WHOLE, &[("echo", None), ("door", None)]);
    let config = load(folder.path());
    let [second, first] = config.authenticators.as_slice() else { panic!("{:?}", config.authenticators) };
    let AuthenticatorConfig { name, plugin, users, tenants, methods, authorities, config: own, keyvalue } = second;
    assert_eq!((name.as_str(), plugin.as_str()), ("second", "door"));
    assert_eq!(users.iter().map(ToString::to_string).collect::<Vec<_>>(), ["ops-*@acme", "*@acme", "alice"]);
    assert_eq!(*tenants, ["acme", "other"]);
    let both = vec![AuthMethod::PublicKey, AuthMethod::KeyboardInteractive];
    assert_eq!(*methods, RequiredMethods::one_of(vec![both]));
    assert_eq!(*authorities, None, "the server's");
    let mut own = own.clone();
    own.sort();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(own, [pair("issuer", "acme"), pair("secret", "s3cr3t")]);
    assert_eq!(*keyvalue, KeyValue { bytes: 1 << 20, keys: 7 });
    // What it does not say is the server's, or the default.
    assert_eq!(first.methods, RequiredMethods::one_of(vec![vec![AuthMethod::Password]]));
    assert_eq!(first.keyvalue, KeyValue::default());
    let asked = |name| config.authenticator(name).map(|asked| asked.name.as_str());
    assert_eq!([asked("x@acme"), asked("bob@acme"), asked("bob")], [Some("second"), Some("second"), None]);
    // What has no effect is noted.
    let root = format!("{}/", folder.path().display());
    let notes: Vec<String> = config.notes.iter().map(|note| note.to_string().replace(&root, "")).collect();
    assert_eq!(
        notes,
        [
            "w.toml:13: authenticators.users: has no effect: \"alice\" is a user of the configuration, which comes first",
            "w.toml:14: authenticators.tenants: [tenants.other] has no `plugin`: whoever is granted it needs a plugin of the \
             authenticator's choice",
            "w.toml:21: authenticators.users: has no effect: every name that it fits, \"*@acme\" fits (first at w.toml:13)",
        ]
    );
}

#[test]
fn nobody_needs_to_be_a_user_of_the_configuration() {
    let only =
        "state = \"s\"\n[[authenticators]]\nname = \"a\"\nplugin = \"echo\"\nusers = \"*\"\ntenants = [\"default\"]\n";
    for text in [only.to_owned(), format!("{only}[users]\n")] {
        assert_eq!(load(place(&text, &[("echo", None)]).path()).authenticators.len(), 1);
    }
}

#[test]
fn what_each_would_get_is_told_as_far_as_it_is_known() {
    let folder = place(WHOLE, &[("echo", None), ("door", None)]);
    let (status, text, errors) = run(folder.path(), &["tenants", "w.toml"]);
    assert_eq!((status, errors.as_str()), (0, ""));
    assert!(text.starts_with("alice\n  tenant    default\n"), "{text}");
    let others = "\nothers: ops-*@acme, *@acme, alice\n  decided by the authenticator second, plugin door: ";
    assert!(text.contains(others) && text.contains("  tenant    one of acme, other\n"), "{text}");
    assert!(
        text.contains("  methods   publickey,keyboard-interactive, and what the authenticator requires\n"),
        "{text}"
    );
    assert!(!text.contains("s3cr3t"), "{text}");
    let (status, text, _) = run(folder.path(), &["tenants", "w.toml", "x@acme"]);
    assert!(status == 0 && text.starts_with("x@acme\n  decided by the authenticator second"), "{text}");
    let (status, _, errors) = run(folder.path(), &["tenants", "w.toml", "nobody"]);
    assert!(status != 0 && errors.contains("there is no user \"nobody\""), "{errors}");
}

#[test]
fn the_plugin_must_be_an_authenticator_and_that_of_sessions_must_not() {
    let text = |asked: &str, sessions: &str| {
        format!(
            "state = \"s\"\n[tenants.acme]\nplugin = \"{sessions}\"\n[[authenticators]]\nname = \"a\"\nplugin = \"{asked}\"\n\
             users = \"*\"\ntenants = [\"acme\"]\n"
        )
    };
    let plugins = [("echo", Some("bare")), ("door", Some("doorman"))];
    let folder = place(&text("door", "echo"), &plugins);
    assert_eq!(run(folder.path(), &["check", "w.toml"]), (0, "w.toml: good\n".to_owned(), String::new()));
    // One process for each connection has no store.
    let (status, told, _) = run(folder.path(), &["check", "--stdio", "w.toml"]);
    assert!(status == 0 && told.contains("authenticators.a.keyvalue: has no store with --stdio"), "{told}");
    fs::write(folder.path().join("w.toml"), text("echo", "door")).unwrap();
    let (status, _, errors) = run(folder.path(), &["check", "w.toml"]);
    assert_ne!(status, 0);
    for what in [
        "echo.wasm: it is of the world session-plugin and no authenticator, which the authenticator \"a\" needs",
        "door.wasm: it is an authenticator, which decides about logins and serves no sessions",
    ] {
        assert!(errors.contains(what), "{errors}");
    }
    let (_, told, _) = run(folder.path(), &["plugin", "inspect", "plugins/door.wasm"]);
    assert!(told.contains("world    authenticator-plugin\n"), "{told}");
}
