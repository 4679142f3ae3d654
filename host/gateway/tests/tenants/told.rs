//! Output for the operator: the reference, the README, and what a user gets.

use std::fs;

use whelk::cli::explain::explain;
use whelk::config::{RecordingConfig, reference};
use whelk_runtime::ProgramRequest;
use whelk_ssh::algorithm::Preferences;
use whelk_ssh::crypto::key::SIGNATURES;

use crate::place::{KEY, Place};

/// The tenants' part of the reference, with its settings uncommented.
fn example_of_the_reference() -> String {
    let text = reference();
    let lines = text.lines().skip_while(|line| *line != "# [tenants.acme]").take_while(|line| line.starts_with('#'));
    lines
        .filter_map(|line| line.strip_prefix("# ").filter(|rest| !rest.starts_with(' ')))
        .fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn the_tenant_in_the_reference_is_valid() {
    let place = Place::new();
    fs::create_dir_all(place.root.join("tenants/acme/plugins")).unwrap();
    fs::create_dir(place.root.join("data")).unwrap();
    fs::create_dir_all(place.root.join("recordings/acme")).unwrap();
    for name in ["files", "lfs"] {
        fs::write(place.root.join("plugins").join(name).with_extension("wasm"), "").unwrap();
    }
    let config = place.good(&example_of_the_reference());
    let tenant = &config.tenants["acme"];
    assert!(tenant.grants.deploy && tenant.grants.topics);
    assert_eq!(tenant.limits.plugins.sessions_per_user, 10);
    assert_eq!(tenant.routes.all().count(), 3);
    let defaults = RecordingConfig { folder: tenant.recording.as_ref().unwrap().folder.clone(), ..Default::default() };
    assert_eq!(tenant.recording.as_ref(), Some(&defaults), "the reference shows the defaults");
}

#[test]
fn the_reference_marks_what_a_tenant_may_set_and_nothing_else() {
    let text = reference();
    let (marked, others): (Vec<&str>, Vec<&str>) = text
        .lines()
        .skip_while(|line| *line != "[limits]")
        .filter(|line| line.starts_with('#') && line.contains(" = "))
        .partition(|line| line.contains(" # tenant"));
    assert!(marked.len() > 10 && others.len() > 10);
    let place = Place::new();
    for (lines, accepted) in [(marked, true), (others, false)] {
        for line in lines {
            let found = place.problems(&format!("[tenants.acme.limits]\n{}", line.trim_start_matches('#')));
            assert_eq!(found.is_empty(), accepted, "{line}: {found:?}");
        }
    }
}

#[test]
fn the_example_of_the_readme_is_accepted() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let blocks = readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let example = blocks.filter(|block| block.contains("\n[tenants.")).collect::<Vec<_>>();
    assert_eq!(example.len(), 1, "one example");
    let place = Place::new();
    fs::create_dir_all(place.root.join("tenants/acme/plugins")).unwrap();
    fs::write(place.root.join("keys"), format!("{KEY} alice\n")).unwrap();
    // The shipped plugins, and no others.
    fs::remove_dir_all(place.root.join("plugins")).unwrap();
    fs::create_dir(place.root.join("plugins")).unwrap();
    for shipped in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins")).unwrap().map(Result::unwrap) {
        if shipped.path().join("Cargo.toml").exists() {
            fs::write(place.root.join("plugins").join(shipped.file_name()).with_extension("wasm"), "").unwrap();
        }
    }
    // Only root could create that one.
    let config = place.load(&example[0].replace("/var/lib/whelk", "state")).unwrap();
    assert_eq!(config.notes, []);
    assert!(config.tenants["acme"].grants.directory.is_some());
}

#[test]
fn the_readme_names_every_algorithm_that_is_offered() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let row =
        |kind: &str| readme.lines().find_map(|line| line.strip_prefix(&format!("| {kind} |"))).unwrap().to_owned();
    let (offered, everything) = (Preferences::default(), Preferences::everything());
    let by_setting = everything.kex_names().into_iter().filter(|name| !offered.kex_names().contains(name)).collect();
    // Of two names of one method the older is for clients that know no other.
    let kex = offered.kex_names().into_iter().filter(|name| !name.contains('@')).collect();
    // The algorithms of certificates are left out: they are named after those of their keys.
    let plain = offered.host_key_algorithm_names().iter().copied().filter(|name| !name.contains("-cert-")).collect();
    let kinds = [
        ("key exchange", kex),
        ("by setting only", by_setting),
        ("host keys", plain),
        ("users' keys", SIGNATURES.to_vec()),
        ("ciphers", offered.cipher_names()),
        ("MACs", offered.mac_names()),
    ];
    for (kind, names) in kinds {
        let told: Vec<String> = row(kind).split('`').skip(1).step_by(2).map(str::to_owned).collect();
        assert_eq!(told, names, "{kind}");
    }
}

const TOLD: &str = r#"
[users.alice]
tenant = "acme"
auth = "none"
[tenants.acme]
connection_plugin = "git"
plugin = "shell"
plugins = "srv/acme/plugins"
routes.subsystem = { sftp = "echo" }
routes.exec = { "git" = "git" }
limits.memory = "16 MiB"
[tenants.acme.grants]
directory = { path = "srv/acme", access = "read-write" }
deploy = true
keyvalue = {}
topics = true
process = true
clock = "fine"
environment = { TOKEN = "hunter2" }
http = ["api.example.org"]
tcp = ["10.0.0.5:5432"]
"#;

#[test]
fn tenants_explains_what_a_user_gets() {
    let place = Place::new();
    let config = place.good(TOLD);
    let told = explain(&config, Some("alice"), None).unwrap().replace(&format!("{}/", place.root.display()), "");
    assert_eq!(
        told,
        "alice
  tenant    acme
  plugin    shell, the default of tenant acme: srv/acme/plugins/shell.wasm
  requests  git, the connection plugin of tenant acme: plugins/git.wasm
  routes    subsystem \"sftp\" -> echo: plugins/echo.wasm
            exec \"git\" -> git: plugins/git.wasm
  limits    memory = \"16 MiB\" (the server's: \"64 MiB\")
  grants    directory srv/acme, to read and write; at most 64 MiB in 20000 files; nothing above it can be reached
            deploy: its sessions may write to its plugin folder srv/acme/plugins
            deploy: its programs may start components from their files
            environment TOKEN
            clocks as fine as the system's
            key-value, at most 16 MiB in 10000 keys, seen by this tenant alone
            topics among this tenant's sessions
            programs that start other programs
            HTTP to api.example.org; the address that a name resolves to is checked
            TCP to 10.0.0.5:5432
"
    );
    let all = explain(&config, None, None).unwrap().replace(&format!("{}/", place.root.display()), "");
    let guest = "guest
  tenant    default
  plugin    echo, the user's own: plugins/echo.wasm
  routes    none
  limits    as the server's
  grants    none
";
    assert_eq!(all, format!("{told}\n{guest}"));
    assert_eq!(explain(&config, Some("mallory"), None), Err("there is no user \"mallory\"".to_owned()));
}

#[test]
fn tenants_explains_which_rule_serves_a_command() {
    let place = Place::new();
    let config = place.good(TOLD);
    let served = |start| {
        let told = explain(&config, Some("alice"), Some(start)).unwrap();
        told.replace(&format!("{}/", place.root.display()), "").lines().last().unwrap().trim().to_owned()
    };
    assert_eq!(
        served(ProgramRequest::Exec(b"git lfs pull")),
        "exec \"git lfs pull\" is served by git, by the route exec \"git\": plugins/git.wasm"
    );
    assert_eq!(served(ProgramRequest::Exec(b"github")), "exec \"github\" is served by shell: no route fits");
    assert_eq!(
        served(ProgramRequest::Subsystem("sftp")),
        "subsystem \"sftp\" is served by echo, by the route subsystem \"sftp\": plugins/echo.wasm"
    );
    assert_eq!(served(ProgramRequest::Subsystem("netconf")), "subsystem \"netconf\" is served by shell: no route fits");
}
