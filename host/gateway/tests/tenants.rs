//! Tenants in the configuration file: what is read, each way to be wrong with its line, and which folders may be given.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use whelk::config::{
    Clock, Config, Directory, DirectoryAccess, Entrance, Grants, KeyValue, Limits, Overrides, reference,
};
use whelk::explain::{Start, explain};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
/// So that somebody can enter.
const GUEST: &str = "[users.guest]\nplugin = \"echo\"\nauth = \"none\"\n";

/// A folder with `whelk.toml`, the operator's plugins, a state folder, and two tenants' folders under `srv`, each with plugins.
struct Place {
    _folder: tempfile::TempDir,
    root: PathBuf,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["state", "plugins", "srv/acme/plugins", "srv/acme/home", "srv/other/plugins", "srv/other/home"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        for file in ["plugins/echo", "plugins/git", "srv/acme/plugins/shell", "srv/other/plugins/secret"] {
            fs::write(root.join(file).with_extension("wasm"), "").unwrap();
        }
        Place { _folder: folder, root }
    }

    fn load(&self, text: &str) -> Result<Config, String> {
        let file = self.root.join("whelk.toml");
        fs::write(&file, text).unwrap();
        Config::load(&file, &Overrides::default()).map_err(|refused| refused.to_string())
    }

    /// What is wrong with a text after `state = ...`, a line each, with the folder taken out of the paths.
    fn problems(&self, text: &str) -> Vec<String> {
        let text = format!("state = \"state\"\n{text}\n{GUEST}");
        let folder = format!("{}/", self.root.display());
        self.load(&text).err().unwrap_or_default().replace(&folder, "").lines().map(str::to_owned).collect()
    }

    fn good(&self, text: &str) -> Config {
        self.load(&format!("state = \"state\"\n{text}\n{GUEST}")).unwrap()
    }

    fn link(&self, link: &str, target: impl AsRef<Path>) {
        symlink(target, self.root.join(link)).unwrap();
    }
}

/// The problems of a text in a fresh place.
fn problems(text: &str) -> Vec<String> {
    Place::new().problems(text)
}

#[test]
fn a_tenant_is_read_as_it_is_written() {
    let place = Place::new();
    let config = place.good(
        r#"
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
memory = "16 MiB"
cpu_call = "100 ms"
[tenants.acme.grants]
directory = { path = "srv/acme/home", access = "read-write", bytes = "1 GiB", files = 500 }
environment = { A = "b", LANG = "C" }
clock = "fine"
keyvalue = { bytes = "1 MiB", keys = 10 }
topics = true
http = ["api.example.org", "127.0.0.1:8080"]
tcp = ["10.0.0.5:5432"]
[limits]
cpu_call = "2 s"
cpu_start = "50 ms"
"#,
    );
    let tenant = &config.tenants["acme"];
    assert_eq!(tenant.plugin.as_deref(), Some("shell"));
    assert_eq!(tenant.plugins, Some(place.root.join("srv/acme/plugins")));
    assert_eq!(tenant.routes.subsystem("sftp"), Some("echo"));
    assert_eq!(tenant.routes.exec(b"git lfs pull"), Some(("git lfs", "shell")));
    assert_eq!(tenant.routes.exec(b"git pull"), Some(("git", "git")));
    let limits = Limits { memory: 16 << 20, cpu_call: Duration::from_millis(100), ..config.limits.clone() };
    assert_eq!(tenant.limits, limits);
    assert_eq!(tenant.limits.cpu_start, Duration::from_millis(50), "the server's, where the tenant says nothing");
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let directory = Directory {
        path: Some(place.root.join("srv/acme/home")),
        access: DirectoryAccess::ReadWrite,
        bytes: 1 << 30,
        files: 500,
    };
    let grants = Grants {
        directory: Some(directory),
        environment: vec![variable("A", "b"), variable("LANG", "C")],
        clock: Clock::Fine,
        keyvalue: Some(KeyValue { bytes: 1 << 20, keys: 10 }),
        topics: true,
        http: vec!["api.example.org".to_owned(), "127.0.0.1:8080".to_owned()],
        tcp: vec!["10.0.0.5:5432".to_owned()],
        deploy: false,
    };
    assert_eq!(tenant.grants, grants);
    let Entrance::Users(users) = &config.entrance else { panic!("a file is no demonstration") };
    let of = |name: &str| (users[name].tenant.as_str(), users[name].plugin.as_str(), users[name].own_plugin);
    assert_eq!(of("alice"), ("acme", "shell", false));
    assert_eq!(of("bob"), ("acme", "echo", true));
    assert_eq!(of("guest"), ("default", "echo", true));
}

#[test]
fn what_is_not_granted_is_denied_and_the_tenant_default_is_always_there() {
    let place = Place::new();
    let config = place.good("");
    assert_eq!(config.tenants.keys().collect::<Vec<_>>(), ["default"]);
    let tenant = &config.tenants["default"];
    assert_eq!((&tenant.grants, &tenant.limits, &tenant.plugin), (&Grants::default(), &config.limits, &None));
    assert_eq!(tenant.routes.all().count(), 0);
    let config = place.good("[tenants.default]\nplugin = \"git\"\n[users.x]\nauth = \"none\"");
    let Entrance::Users(users) = &config.entrance else { panic!("a file is no demonstration") };
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
    assert_eq!((write.access, write.bytes, write.files), (DirectoryAccess::ReadWrite, 64 << 20, 10_000));
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
memory = "128 MiB"
instances = 5
cpu_call = 1
output = "32 KiB"
[tenants.acme.grants]
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
            r#"whelk.toml:3: tenants.acme.plugin: there is no plugin "sell" (did you mean "shell"?)"#,
            r#"whelk.toml:5: tenants.acme.pluigns: there is no such setting (did you mean `plugins`?)"#,
            r#"whelk.toml:7: tenants.acme.routes.exek: there is no such setting (did you mean `exec`?)"#,
            r#"whelk.toml:8: tenants.acme.routes.subsystem."": the name of a subsystem is a text without control characters, such as sftp"#,
            r#"whelk.toml:8: tenants.acme.routes.subsystem.sftp: there is no plugin "fils""#,
            r#"whelk.toml:10: tenants.acme.routes.exec."git  lfs": a route is one word or more with one blank between them, such as "git lfs""#,
            r#"whelk.toml:11: tenants.acme.routes.exec." git": a route is one word or more with one blank between them, such as "git lfs""#,
            r#"whelk.toml:12: tenants.acme.routes.exec.git: there is no plugin "got" (did you mean "git"?)"#,
            r#"whelk.toml:13: tenants.acme.routes.exec.tar: must be a text in quotes, is 1"#,
            r#"whelk.toml:15: tenants.acme.limits.memroy: there is no such setting (did you mean `memory`?)"#,
            r#"whelk.toml:16: tenants.acme.limits.memory: must be at most the whole server's `limits.memory`, which is "64 MiB", is "128 MiB""#,
            r#"whelk.toml:17: tenants.acme.limits.instances: is the whole server's and no tenant's: it can only be set as `limits.instances`"#,
            r#"whelk.toml:18: tenants.acme.limits.cpu_call: must be a time such as "30 s" (ms, s, min, h or d), is 1"#,
            r#"whelk.toml:21: tenants.acme.grants.directory.access: must be "read-only" or "read-write", is "write""#,
            r#"whelk.toml:21: tenants.acme.grants.directory.path: the folder srv/absent does not exist: mkdir -p -m 700 srv/absent"#,
            r#"whelk.toml:22: tenants.acme.grants.environment."A=B": the name of a variable is a text without = in it"#,
            r#"whelk.toml:22: tenants.acme.grants.environment.C: must be a text in quotes, is 1"#,
            r#"whelk.toml:23: tenants.acme.grants.clock: must be "coarse" or "fine", is "exact""#,
            r#"whelk.toml:24: tenants.acme.grants.keyvalue: must be a table, is true"#,
            r#"whelk.toml:25: tenants.acme.grants.topics: must be true or false, is "yes""#,
            r#"whelk.toml:26: tenants.acme.grants.http: must name at least one destination: without any, leave it away"#,
            r#"whelk.toml:27: tenants.acme.grants.tcp: "10.0.0.5:5432" is listed twice"#,
            r#"whelk.toml:27: tenants.acme.grants.tcp: must be a host or an address, is "a b""#,
            r#"whelk.toml:27: tenants.acme.grants.tcp: must be a text in quotes, is 7"#,
            r#"whelk.toml:28: tenants.acme.grants.network: there is no such setting"#,
            r#"whelk.toml:29: tenants."../acme": the name of a tenant has from 1 to 64 letters, digits, - and _"#,
            r#"whelk.toml:31: tenants.odd.limits: must be a table, is 1"#,
            r#"whelk.toml:33: users.x.tenant: there is no tenant "acem" (did you mean "acme"?)"#,
            r#"whelk.toml:35: users.y: has no plugin: add plugin = "NAME" here or in [tenants.odd]"#,
        ]
    );
}

#[test]
fn a_name_that_could_not_be_a_folders_is_no_tenants() {
    let long = "x".repeat(65);
    for name in ["\"\"", "\".\"", "\"..\"", "\"a/b\"", "\"a.b\"", "\"a b\"", "\"é\"", "\"a\\u0000b\"", &long] {
        let found = problems(&format!("[tenants.{name}]"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with("the name of a tenant has from 1 to 64 letters, digits, - and _"), "{found:?}");
    }
    Place::new().good(&format!("[tenants.{}]\n[tenants._-9]", "x".repeat(64)));
}

#[test]
fn a_tenants_limits_that_contradict_the_servers_are_told_at_the_tenant_and_only_there() {
    assert_eq!(
        problems("[tenants.acme.limits]\noutput = \"32 KiB\"\n[limits]\nchannel_packet = \"64000 B\""),
        [
            "whelk.toml:2: tenants.acme.limits: `channel_packet` needs \"64000 B\", which is more than `output` allows (\"32 KiB\")"
        ]
    );
    let found = problems("[tenants.acme.limits]\nmemory = \"1 MiB\"\n[limits]\nchannels = 4");
    assert_eq!(found, ["whelk.toml:4: limits.sessions: needs 10, which is more than `channels` allows (4)"]);
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
        let what = format!("whelk.toml:8: users.x.plugin: there is no plugin {plugin:?}");
        assert_eq!(user(tenant, plugin), [what]);
    }
}

#[test]
fn a_plugin_folder_that_is_not_there_is_told_once() {
    let found = problems(
        "[tenants.acme]\nplugins = \"absent\"\nplugin = \"shell\"\n[users.x]\ntenant = \"acme\"\nauth = \"none\"",
    );
    assert_eq!(found, ["whelk.toml:3: tenants.acme.plugins: the folder absent does not exist: mkdir -p -m 700 absent"]);
    let found = problems("[tenants.acme]\nplugins = \"whelk.toml\"");
    assert_eq!(found, ["whelk.toml:3: tenants.acme.plugins: whelk.toml is no folder"]);
}

#[test]
fn what_is_granted_to_no_end_is_told() {
    let deploy =
        "deploy = true does nothing here: it takes a directory to write in that holds the tenant's own `plugins`";
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
    }
}

/// The problem of giving tenant `acme` a directory of this path.
fn given(place: &Place, path: &str, access: &str) -> Vec<String> {
    let others = "[tenants.other]\nplugins = \"srv/other/plugins\"\ngrants.directory = { path = \"srv/other/home\" }\n";
    let found = place.problems(&format!(
        "{others}[tenants.acme]\nplugins = \"srv/acme/plugins\"\n[tenants.acme.grants]\n\
         directory = {{ path = \"{path}\", access = \"{access}\" }}"
    ));
    let key = "whelk.toml:8: tenants.acme.grants.directory: ";
    found.iter().map(|line| line.strip_prefix(key).unwrap_or(line).to_owned()).collect()
}

#[test]
fn a_directory_that_is_holds_or_lies_in_what_is_the_operators_is_refused() {
    let place = Place::new();
    for folder in ["state/files", "plugins/deep"] {
        fs::create_dir_all(place.root.join(folder)).unwrap();
    }
    for access in ["read-only", "read-write"] {
        for (path, what) in [
            ("state", "state is the state folder (state)"),
            ("state/files", "state/files lies in the state folder (state)"),
            ("plugins", "plugins is the operator's plugin folder (plugins)"),
            ("plugins/deep", "plugins/deep lies in the operator's plugin folder (plugins)"),
            ("srv/../state/./files", "state/files lies in the state folder (state)"),
        ] {
            assert_eq!(given(&place, path, access), [what], "{path}");
        }
        // The folder of the configuration holds everything here.
        let found = given(&place, ".", access);
        let root = place.root.display();
        assert!(found.contains(&format!("{root} holds the configuration (whelk.toml)")), "{found:?}");
        assert!(found.contains(&format!("{root} holds the state folder (state)")), "{found:?}");
        assert!(found.contains(&format!("{root} holds the operator's plugin folder (plugins)")), "{found:?}");
        assert!(given(&place, "/", access).contains(&"/ holds the configuration (whelk.toml)".to_owned()));
        assert_eq!(given(&place, "srv/acme/home", access), [""; 0]);
    }
}

#[test]
fn a_directory_that_is_holds_or_lies_in_another_tenants_is_refused() {
    let place = Place::new();
    fs::create_dir_all(place.root.join("srv/other/home/deep")).unwrap();
    for access in ["read-only", "read-write"] {
        for (path, what) in [
            ("srv/other/home", "srv/other/home is the directory of tenant other (srv/other/home)"),
            ("srv/other/home/deep", "srv/other/home/deep lies in the directory of tenant other (srv/other/home)"),
            ("srv/other/plugins", "srv/other/plugins is the plugin folder of tenant other (srv/other/plugins)"),
        ] {
            assert_eq!(given(&place, path, access), [what], "{path}");
        }
        let mut found = given(&place, "srv/other", access);
        found.sort();
        assert_eq!(
            found,
            [
                "srv/other holds the directory of tenant other (srv/other/home)",
                "srv/other holds the plugin folder of tenant other (srv/other/plugins)",
            ]
        );
    }
}

#[test]
fn links_hide_nothing() {
    let place = Place::new();
    fs::create_dir_all(place.root.join("elsewhere")).unwrap();
    place.link("to-state", "state");
    place.link("srv/acme/up", "../..");
    place.link("to-other", place.root.join("srv/other/home"));
    place.link("twice", "to-other");
    for (path, what) in [
        ("to-state", "state is the state folder (state)"),
        ("srv/acme/up/plugins", "plugins is the operator's plugin folder (plugins)"),
        ("twice", "srv/other/home is the directory of tenant other (srv/other/home)"),
    ] {
        assert_eq!(given(&place, path, "read-only"), [what], "{path}");
    }
    // A link to what is nobody's is taken for what it leads to.
    place.link("mine", "srv/acme/home");
    let config = place.good("[tenants.acme.grants]\ndirectory = { path = \"mine\" }");
    let directory = config.tenants["acme"].grants.directory.as_ref().unwrap();
    assert_eq!(directory.path.as_deref(), Some(place.root.join("srv/acme/home").as_path()));
}

#[test]
fn the_operators_own_links_are_followed_too_and_may_not_lie_where_a_tenant_writes() {
    let place = Place::new();
    // The state folder does not exist yet, and a link leads to where it will be.
    place.link("srv/acme/home/state", "../../../later/state");
    let text = |path: &str, access: &str| {
        format!("[tenants.acme.grants]\ndirectory = {{ path = \"{path}\", access = \"{access}\" }}\n{GUEST}")
    };
    let load = |path: &str, access: &str| {
        let folder = format!("{}/", place.root.display());
        let text = format!("state = \"srv/acme/home/state\"\n{}", text(path, access));
        place.load(&text).map(|_| ()).map_err(|problems| problems.replace(&folder, ""))
    };
    let key = "whelk.toml:3: tenants.acme.grants.directory: ";
    let linked = "srv/acme/home holds a link on the way to the state folder (later/state)";
    assert_eq!(load("srv/acme/home", "read-write"), Err(format!("{key}{linked}")));
    assert_eq!(load("srv/acme/home", "read-only"), Ok(()));
    fs::create_dir(place.root.join("later")).unwrap();
    assert_eq!(load("later", "read-only"), Err(format!("{key}later holds the state folder (later/state)")));
    // A configuration that is itself a link: neither the link nor what it leads to is given away.
    let real = place.root.join("srv/acme/home/real.toml");
    let write = |path: &str, access: &str| {
        fs::write(&real, format!("plugins = \"plugins\"\nstate = \"state\"\n{}", text(path, access))).unwrap();
    };
    place.link("link.toml", &real);
    write("srv/acme/home", "read-only");
    let refused = Config::load(&place.root.join("link.toml"), &Overrides::default()).unwrap_err().to_string();
    assert!(refused.contains("srv/acme/home holds the configuration"), "{refused}");
    place.link("srv/other/home/link.toml", place.root.join("whelk.toml"));
    place.load("").unwrap_err();
    let text = text(&place.root.join("srv/other/home").display().to_string(), "read-write");
    let plugins = place.root.join("plugins").display().to_string();
    fs::write(place.root.join("whelk.toml"), format!("plugins = {plugins:?}\nstate = \"s\"\n{text}")).unwrap();
    let refused = Config::load(&place.root.join("srv/other/home/link.toml"), &Overrides::default()).unwrap_err();
    assert!(refused.to_string().contains("holds a link on the way to the configuration"), "{refused}");
}

#[test]
fn only_with_the_grant_to_deploy_may_a_tenant_write_where_its_plugins_are() {
    let place = Place::new();
    fs::create_dir_all(place.root.join("srv/acme/plugins/deep")).unwrap();
    let own = |path: &str, grants: &str| {
        let found = place.problems(&format!(
            "[tenants.acme]\nplugins = \"srv/acme/plugins\"\n[tenants.acme.grants]\n\
             directory = {{ path = \"{path}\", {grants}"
        ));
        let key = "whelk.toml:5: tenants.acme.grants.directory: ";
        found.iter().map(|line| line.strip_prefix(key).unwrap_or(line).to_owned()).collect::<Vec<_>>()
    };
    for (path, relation) in [("srv/acme", "holds"), ("srv/acme/plugins", "is"), ("srv/acme/plugins/deep", "lies in")] {
        let what = format!(
            "{path} {relation} the tenant's own plugin folder (srv/acme/plugins): to write plugins takes deploy = true"
        );
        assert_eq!(own(path, "access = \"read-write\" }"), [what]);
        assert_eq!(own(path, "access = \"read-write\" }\ndeploy = true"), [""; 0], "{path}");
        assert_eq!(own(path, "access = \"read-only\" }"), [""; 0], "{path}");
    }
    assert_eq!(own("srv/acme/home", "access = \"read-write\" }"), [""; 0]);
}

#[test]
fn two_tenants_share_no_plugin_folder_and_none_has_the_operators() {
    let place = Place::new();
    place.link("same", "srv/acme/plugins");
    assert_eq!(
        place.problems("[tenants.a]\nplugins = \"srv/acme/plugins\"\n[tenants.b]\nplugins = \"same\""),
        ["whelk.toml:5: tenants.b.plugins: srv/acme/plugins is the plugin folder of tenant a (srv/acme/plugins)"]
    );
    assert_eq!(
        place.problems("[tenants.a]\nplugins = \"plugins\""),
        [
            "whelk.toml:3: tenants.a.plugins: plugins is the operator's plugin folder, which every tenant sees: leave it away"
        ]
    );
}

#[test]
fn a_tenant_does_not_write_the_keys_by_which_others_enter() {
    let place = Place::new();
    fs::write(place.root.join("srv/acme/home/keys"), format!("{KEY}\n")).unwrap();
    let text = |tenant: &str, access: &str| {
        format!(
            "[users.bob]\nplugin = \"echo\"\ntenant = \"{tenant}\"\nauthorized_keys = \"srv/acme/home/keys\"\n\
             [tenants.other]\n[tenants.acme.grants]\ndirectory = {{ path = \"srv/acme/home\", access = \"{access}\" }}"
        )
    };
    assert_eq!(
        place.problems(&text("other", "read-write")),
        [
            "whelk.toml:8: tenants.acme.grants.directory: srv/acme/home holds the keys by which \"bob\" of tenant other enters"
        ]
    );
    assert_eq!(place.problems(&text("other", "read-only")), [""; 0]);
    assert_eq!(place.problems(&text("acme", "read-write")), [""; 0]);
}

/// The tenants' part of the reference, with what is a setting taken out of its comments.
fn example_of_the_reference() -> String {
    let text = reference();
    let lines = text.lines().skip_while(|line| *line != "# [tenants.acme]").take_while(|line| line.starts_with('#'));
    lines
        .filter_map(|line| line.strip_prefix("# ").filter(|rest| !rest.starts_with(' ')))
        .fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn the_tenant_in_the_reference_is_one_that_is_accepted() {
    let place = Place::new();
    fs::create_dir_all(place.root.join("tenants/acme/plugins")).unwrap();
    for name in ["files", "lfs"] {
        fs::write(place.root.join("plugins").join(name).with_extension("wasm"), "").unwrap();
    }
    let config = place.good(&example_of_the_reference());
    let tenant = &config.tenants["acme"];
    assert!(tenant.grants.deploy && tenant.grants.topics);
    assert_eq!(tenant.limits.sessions_per_user, 10);
    assert_eq!(tenant.routes.all().count(), 3);
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
    let example = blocks.filter(|block| block.contains("[tenants.")).collect::<Vec<_>>();
    assert_eq!(example.len(), 1, "one example");
    let place = Place::new();
    let folder = place.root.join("tenants/acme/plugins");
    fs::create_dir_all(&folder).unwrap();
    fs::write(place.root.join("keys"), format!("{KEY} alice\n")).unwrap();
    for name in ["shell", "files"] {
        fs::write(folder.join(name).with_extension("wasm"), "").unwrap();
    }
    let config = place.load(example[0]).unwrap();
    assert_eq!(config.notes, []);
    assert!(config.tenants["acme"].grants.directory.is_some());
}

const TOLD: &str = r#"
[users.alice]
tenant = "acme"
auth = "none"
[tenants.acme]
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
clock = "fine"
environment = { TOKEN = "hunter2" }
http = ["api.example.org"]
tcp = ["10.0.0.5:5432"]
"#;

#[test]
fn what_a_user_would_get_is_told_with_the_reason() {
    let place = Place::new();
    let config = place.good(TOLD);
    let told = explain(&config, Some("alice"), None).unwrap().replace(&format!("{}/", place.root.display()), "");
    assert_eq!(
        told,
        "alice
  tenant    acme
  plugin    shell, the default of tenant acme: srv/acme/plugins/shell.wasm
  routes    subsystem \"sftp\" -> echo: plugins/echo.wasm
            exec \"git\" -> git: plugins/git.wasm
  limits    memory = \"16 MiB\" (the server's: \"64 MiB\")
  grants    directory srv/acme, to read and write; at most 64 MiB in 10000 files; nothing above it can be reached
            deploy: its sessions may write to its plugin folder srv/acme/plugins
            environment TOKEN
            clocks as fine as the system's
            key-value, at most 16 MiB in 10000 keys, seen by this tenant alone
            topics among this tenant's sessions
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
fn what_would_serve_a_command_is_told_with_the_rule() {
    let place = Place::new();
    let config = place.good(TOLD);
    let served = |start| {
        let told = explain(&config, Some("alice"), Some(start)).unwrap();
        told.replace(&format!("{}/", place.root.display()), "").lines().last().unwrap().trim().to_owned()
    };
    assert_eq!(
        served(Start::Exec("git lfs pull")),
        "exec \"git lfs pull\" is served by git, by the route exec \"git\": plugins/git.wasm"
    );
    assert_eq!(served(Start::Exec("github")), "exec \"github\" is served by shell: no route fits");
    assert_eq!(
        served(Start::Subsystem("sftp")),
        "subsystem \"sftp\" is served by echo, by the route subsystem \"sftp\": plugins/echo.wasm"
    );
    assert_eq!(served(Start::Subsystem("netconf")), "subsystem \"netconf\" is served by shell: no route fits");
}
