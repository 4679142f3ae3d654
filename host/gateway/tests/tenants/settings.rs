//! How tenants are read, and each kind of error with its line.

use std::time::Duration;

use whelk::config::{Clock, Directory, DirectoryAccess, Grants, KeyValue, Limits, LoginPolicy};
use whelk_runtime::ProgramRequest;

use crate::place::{Place, problems};

const WHOLE: &str = r#"
[users.alice]
tenant = "acme"
auth = "none"
[users.bob]
tenant = "acme"
plugin = "echo"
auth = "none"
[tenants.acme]
plugin = "shell"
plugins = "srv/acme/plugins"
[tenants.acme.routes]
subsystem = { sftp = "echo" }
exec = { "git" = "git", "git lfs" = "shell" }
[tenants.acme.limits]
memory = "128 MiB"
component_tenant = "32 MiB"
cpu_call = "100 ms"
[tenants.acme.grants]
directory = { path = "srv/acme/home", access = "read-write", bytes = "1 GiB", files = 500 }
environment = { A = "b", LANG = "C" }
clock = "fine"
keyvalue = { bytes = "1 MiB", keys = 10 }
topics = true
process = true
http = ["api.example.org", "127.0.0.1:8080"]
tcp = ["10.0.0.5:5432"]
[limits]
cpu_call = "2 s"
cpu_start = "50 ms"
"#;

#[test]
fn a_tenant_is_read_as_it_is_written() {
    let place = Place::new();
    let config = place.good(WHOLE);
    let tenant = &config.tenants["acme"];
    assert_eq!(tenant.plugin.as_deref(), Some("shell"));
    assert_eq!(tenant.plugins, Some(place.root.join("srv/acme/plugins")));
    assert_eq!(tenant.routes.find(&ProgramRequest::Subsystem("sftp")), Some(("sftp", "echo")));
    assert_eq!(tenant.routes.find(&ProgramRequest::Exec(b"git lfs pull")), Some(("git lfs", "shell")));
    assert_eq!(tenant.routes.find(&ProgramRequest::Exec(b"git pull")), Some(("git", "git")));
    // More than the server's default, which other tenants have.
    assert_eq!((config.limits.plugins.memory, config.limits.plugins.component_tenant), (64 << 20, 16 << 20));
    let (memory, component_tenant) = (128 << 20, 32 << 20);
    let cpu_call = Duration::from_millis(100);
    let plugins = whelk_runtime::Limits { memory, component_tenant, cpu_call, ..config.limits.plugins.clone() };
    assert_eq!(tenant.limits, Limits { plugins, ..config.limits.clone() });
    assert_eq!(
        tenant.limits.plugins.cpu_start,
        Duration::from_millis(50),
        "the server's, where the tenant says nothing"
    );
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let directory = Directory {
        path: Some(place.root.join("srv/acme/home")),
        access: DirectoryAccess::ReadWrite,
        bytes: 1 << 30,
        files: 500,
        homes: None,
    };
    let grants = Grants {
        directory: Some(directory),
        mounts: Vec::new(),
        system_folders: false,
        environment: vec![variable("A", "b"), variable("LANG", "C")],
        clock: Clock::Fine,
        keyvalue: Some(KeyValue { bytes: 1 << 20, keys: 10 }),
        topics: true,
        process: true,
        http: vec!["api.example.org".to_owned(), "127.0.0.1:8080".to_owned()],
        tcp: vec!["10.0.0.5:5432".to_owned()],
        deploy: false,
    };
    assert_eq!(tenant.grants, grants);
    let LoginPolicy::Users(users) = &config.login_policy else { panic!("a file is no demonstration") };
    let of = |name: &str| (users[name].tenant.as_str(), users[name].plugin.as_str(), users[name].own_plugin);
    assert_eq!(of("alice"), ("acme", "shell", false));
    assert_eq!(of("bob"), ("acme", "echo", true));
    assert_eq!(of("guest"), ("default", "echo", true));
}

#[test]
fn nothing_is_granted_by_default_and_the_tenant_default_always_exists() {
    let place = Place::new();
    let config = place.good("");
    assert_eq!(config.tenants.keys().collect::<Vec<_>>(), ["default"]);
    let tenant = &config.tenants["default"];
    assert_eq!((&tenant.grants, &tenant.limits, &tenant.plugin), (&Grants::default(), &config.limits, &None));
    assert_eq!(tenant.routes.all().count(), 0);
    let config = place.good("[tenants.default]\nplugin = \"git\"\n[users.x]\nauth = \"none\"");
    let LoginPolicy::Users(users) = &config.login_policy else { panic!("a file is no demonstration") };
    assert_eq!((users["x"].plugin.as_str(), users["guest"].plugin.as_str()), ("git", "echo"));
}

#[test]
fn a_directory_is_read_only_unless_it_says_otherwise_or_is_one_that_whelk_makes() {
    let place = Place::new();
    let directory = |text: &str| {
        let config = place.good(&format!("[tenants.acme.grants]\ndirectory = {text}"));
        config.tenants["acme"].grants.directory.clone().unwrap()
    };
    let path = Some(place.root.join("srv/acme/home"));
    let read = directory("{ path = \"srv/acme/home\" }");
    assert_eq!((read.access, &read.path), (DirectoryAccess::ReadOnly, &path));
    let write = directory("{ path = \"srv/acme/home\", access = \"read-write\" }");
    assert_eq!((write.access, write.bytes, write.files), (DirectoryAccess::ReadWrite, 64 << 20, 20_000));
    let made = directory("{ bytes = \"1 MiB\" }");
    assert_eq!((made.access, made.path, made.bytes), (DirectoryAccess::ReadWrite, None, 1 << 20));
}

#[test]
fn every_problem_of_a_tenant_is_listed_with_its_line() {
    let found = problems(
        r#"[tenants.acme]
plugin = "sell"
plugins = "srv/acme/plugins"
pluigns = "x"
[tenants.acme.routes]
exek = {}
subsystem = { sftp = "fils", "" = "echo" }
[tenants.acme.routes.exec]
"git  lfs" = "git"
" git" = "git"
git = "got"
tar = 1
[tenants.acme.limits]
memroy = "1 MiB"
memory = "512 MiB"
instances = 5
cpu_call = 1
output = "32 KiB""#,
    );
    assert_eq!(
        found,
        [
            r#"whelk.toml:3: tenants.acme.plugin: there is no plugin "sell" (did you mean "shell"?)"#,
            r#"whelk.toml:5: tenants.acme.pluigns: there is no such setting (did you mean `plugins`?)"#,
            r#"whelk.toml:7: tenants.acme.routes.exek: there is no such setting (did you mean `exec`?)"#,
            r#"whelk.toml:8: tenants.acme.routes.subsystem."": the name of a subsystem is a text without control characters, such as sftp"#,
            r#"whelk.toml:8: tenants.acme.routes.subsystem.sftp: there is no plugin "fils" (there are "echo", "git", "shell")"#,
            r#"whelk.toml:10: tenants.acme.routes.exec."git  lfs": a route is one word or more with one blank between them, such as "git lfs""#,
            r#"whelk.toml:11: tenants.acme.routes.exec." git": a route is one word or more with one blank between them, such as "git lfs""#,
            r#"whelk.toml:12: tenants.acme.routes.exec.git: there is no plugin "got" (did you mean "git"?)"#,
            r#"whelk.toml:13: tenants.acme.routes.exec.tar: must be a text in quotes, is 1"#,
            r#"whelk.toml:14: tenants.acme.limits: `memory` needs "512 MiB", which is more than `memory_slot` allows ("256 MiB")"#,
            r#"whelk.toml:15: tenants.acme.limits.memroy: there is no such setting (did you mean `memory`?)"#,
            r#"whelk.toml:17: tenants.acme.limits.instances: is the whole server's and no tenant's: it can only be set as `limits.instances`"#,
            r#"whelk.toml:18: tenants.acme.limits.cpu_call: must be a time such as "30 s" (ms, s, min, h or d), is 1: write "1 s""#,
        ]
    );
}

#[test]
fn every_problem_of_grants_and_of_users_is_listed_with_its_line() {
    let found = problems(
        r#"[tenants.acme.grants]
directory = { path = "srv/absent", access = "write" }
environment = { "A=B" = "x", C = 1 }
clock = "exact"
keyvalue = true
topics = "yes"
http = []
tcp = ["10.0.0.5:5432", "10.0.0.5:5432", "a b", 7]
network = true
[tenants."../acme"]
[tenants.odd]
limits = 1
[users.x]
tenant = "acem"
auth = "none"
[users.y]
tenant = "odd"
auth = "none""#,
    );
    assert_eq!(
        found,
        [
            r#"whelk.toml:3: tenants.acme.grants.directory.access: must be "read-only" or "read-write", is "write""#,
            r#"whelk.toml:3: tenants.acme.grants.directory.path: the folder srv/absent does not exist: mkdir -p -m 700 srv/absent"#,
            r#"whelk.toml:4: tenants.acme.grants.environment."A=B": the name of a variable is a text without = in it"#,
            r#"whelk.toml:4: tenants.acme.grants.environment.C: must be a text in quotes, is 1"#,
            r#"whelk.toml:5: tenants.acme.grants.clock: must be "coarse" or "fine", is "exact""#,
            r#"whelk.toml:6: tenants.acme.grants.keyvalue: must be a table, is true: write {} for what is given by default"#,
            r#"whelk.toml:7: tenants.acme.grants.topics: must be true or false, is "yes": write true"#,
            r#"whelk.toml:8: tenants.acme.grants.http: must name at least one destination: to grant none, remove the setting"#,
            r#"whelk.toml:9: tenants.acme.grants.tcp: "10.0.0.5:5432" is listed twice (first at whelk.toml:9)"#,
            r#"whelk.toml:9: tenants.acme.grants.tcp: must be a host or an address, is "a b""#,
            r#"whelk.toml:9: tenants.acme.grants.tcp: must be a text in quotes, is 7"#,
            r#"whelk.toml:10: tenants.acme.grants.network: there is no such setting"#,
            r#"whelk.toml:11: tenants."../acme": the name of a tenant has from 1 to 64 letters, digits, - and _"#,
            r#"whelk.toml:13: tenants.odd.limits: must be a table, is 1"#,
            r#"whelk.toml:15: users.x.tenant: there is no tenant "acem" (did you mean "acme"?)"#,
            r#"whelk.toml:17: users.y: has no plugin: add plugin = "NAME" here or in [tenants.odd]"#,
        ]
    );
}

#[test]
fn a_name_that_cannot_be_a_folder_is_not_a_tenant_name() {
    let long = "x".repeat(65);
    for name in ["\"\"", "\".\"", "\"..\"", "\"a/b\"", "\"a.b\"", "\"a b\"", "\"é\"", "\"a\\u0000b\"", &long] {
        let found = problems(&format!("[tenants.{name}]"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with("the name of a tenant has from 1 to 64 letters, digits, - and _"), "{found:?}");
    }
    Place::new().good(&format!("[tenants.{}]\n[tenants._-9]", "x".repeat(64)));
}

#[test]
fn a_tenants_limits_that_contradict_the_servers_are_reported_at_the_tenant() {
    assert_eq!(
        problems("[tenants.acme.limits]\noutput = \"32 KiB\"\n[limits]\nchannel_packet = \"64000 B\""),
        [
            "whelk.toml:2: tenants.acme.limits: `channel_packet` needs \"64000 B\", which is more than `output` allows (\"32 KiB\")"
        ]
    );
    let found = problems("[tenants.acme.limits]\nmemory = \"1 MiB\"\n[limits]\nchannels = 4");
    assert_eq!(found, ["whelk.toml:4: limits.sessions: needs 64, which is more than `channels` allows (4)"]);
}

#[test]
fn a_plugin_in_another_tenants_folder_cannot_be_named() {
    let folders = "[tenants.acme]\nplugins = \"srv/acme/plugins\"\n[tenants.other]\nplugins = \"srv/other/plugins\"\n";
    let user = |tenant: &str, plugin: &str| {
        problems(&format!("{folders}[users.x]\ntenant = \"{tenant}\"\nplugin = \"{plugin}\"\nauth = \"none\""))
    };
    for (tenant, plugin) in [("acme", "shell"), ("acme", "echo"), ("other", "secret"), ("default", "echo")] {
        assert_eq!(user(tenant, plugin), [""; 0], "{tenant} {plugin}");
    }
    for (tenant, plugin) in [("acme", "secret"), ("other", "shell"), ("default", "shell"), ("default", "secret")] {
        let (found, what) =
            (user(tenant, plugin), format!("whelk.toml:8: users.x.plugin: there is no plugin {plugin:?} (there are "));
        assert!(found.len() == 1 && found[0].starts_with(&what) && found[0].matches(plugin).count() == 1, "{found:?}");
    }
}

#[test]
fn a_missing_plugin_folder_is_reported_once() {
    let found = problems(
        "[tenants.acme]\nplugins = \"absent\"\nplugin = \"shell\"\n[users.x]\ntenant = \"acme\"\nauth = \"none\"",
    );
    assert_eq!(found, ["whelk.toml:3: tenants.acme.plugins: the folder absent does not exist: mkdir -p -m 700 absent"]);
    let found = problems("[tenants.acme]\nplugins = \"whelk.toml\"");
    assert_eq!(found, ["whelk.toml:3: tenants.acme.plugins: whelk.toml is no folder"]);
}

#[test]
fn a_grant_without_effect_is_reported() {
    let deploy = "deploy = true does nothing here: it takes a directory to write in that holds the tenant's own `plugins`, or `process = true`";
    assert_eq!(
        problems("[tenants.acme.grants]\ndirectory = { path = \"srv/acme\", bytes = 1, files = 1 }"),
        [
            "whelk.toml:3: tenants.acme.grants.directory.bytes: means nothing in a directory that is only read: take it away",
            "whelk.toml:3: tenants.acme.grants.directory.files: means nothing in a directory that is only read: take it away",
        ]
    );
    for grants in [
        "deploy = true",
        "deploy = true\ndirectory = { path = \"srv/acme\" }",
        "deploy = true\ndirectory = { path = \"srv/acme/home\", access = \"read-write\" }",
        "deploy = true\ndirectory = {}",
    ] {
        let text = format!("[tenants.acme]\nplugins = \"srv/acme/plugins\"\n[tenants.acme.grants]\n{grants}");
        let found = problems(&text);
        assert!(found.len() == 1 && found[0].ends_with(deploy), "{grants}: {found:?}");
        // Programs that start others may start what they have put into files.
        assert_eq!(problems(&format!("{text}\nprocess = true")), [""; 0], "{grants}");
    }
}
