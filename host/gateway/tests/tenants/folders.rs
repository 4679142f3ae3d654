//! Which folders may be granted, wherever links lead.

use std::fs;

use whelk::config::{Config, Overrides};

use crate::place::{GUEST, KEY, Place};

/// The error of granting tenant `acme` a directory of this path.
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
        // The folder of the configuration contains everything here.
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
            ("srv/other/home", "srv/other/home is the directory of tenant other (srv/other/home, at whelk.toml:4)"),
            (
                "srv/other/home/deep",
                "srv/other/home/deep lies in the directory of tenant other (srv/other/home, at whelk.toml:4)",
            ),
            (
                "srv/other/plugins",
                "srv/other/plugins is the plugin folder of tenant other (srv/other/plugins, at whelk.toml:3)",
            ),
        ] {
            assert_eq!(given(&place, path, access), [what], "{path}");
        }
        let mut found = given(&place, "srv/other", access);
        found.sort();
        assert_eq!(
            found,
            [
                "srv/other holds the directory of tenant other (srv/other/home, at whelk.toml:4)",
                "srv/other holds the plugin folder of tenant other (srv/other/plugins, at whelk.toml:3)",
            ]
        );
    }
}

#[test]
fn links_are_followed_before_folders_are_compared() {
    let place = Place::new();
    fs::create_dir_all(place.root.join("elsewhere")).unwrap();
    place.link("to-state", "state");
    place.link("srv/acme/up", "../..");
    place.link("to-other", place.root.join("srv/other/home"));
    place.link("twice", "to-other");
    for (path, what) in [
        ("to-state", "state is the state folder (state)"),
        ("srv/acme/up/plugins", "plugins is the operator's plugin folder (plugins)"),
        ("twice", "srv/other/home is the directory of tenant other (srv/other/home, at whelk.toml:4)"),
    ] {
        assert_eq!(given(&place, path, "read-only"), [what], "{path}");
    }
    // A link to an unused place is judged by its target.
    place.link("mine", "srv/acme/home");
    let config = place.good("[tenants.acme.grants]\ndirectory = { path = \"mine\" }");
    let directory = config.tenants["acme"].grants.directory.as_ref().unwrap();
    assert_eq!(directory.path.as_deref(), Some(place.root.join("srv/acme/home").as_path()));
}

#[test]
fn the_operators_own_links_are_followed_too_and_may_not_lie_where_a_tenant_writes() {
    let place = Place::new();
    // A link leads to the state folder.
    fs::create_dir_all(place.root.join("later/state")).unwrap();
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
    assert_eq!(load("later", "read-only"), Err(format!("{key}later holds the state folder (later/state)")));
    // A configuration that is itself a link: neither the link nor its target may be granted.
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
        [
            "whelk.toml:5: tenants.b.plugins: srv/acme/plugins is the plugin folder of tenant a (srv/acme/plugins, at whelk.toml:3)"
        ]
    );
    assert_eq!(
        place.problems("[tenants.a]\nplugins = \"plugins\""),
        [
            "whelk.toml:3: tenants.a.plugins: plugins is the operator's plugin folder, which every tenant sees: remove the setting"
        ]
    );
}

#[test]
fn a_tenant_cannot_write_the_key_files_of_users() {
    let place = Place::new();
    fs::write(place.root.join("srv/acme/home/keys"), format!("{KEY}\n")).unwrap();
    let text = |tenant: &str, access: &str| {
        format!(
            "[users.bob]\nplugin = \"echo\"\ntenant = \"{tenant}\"\nauthorized_keys = \"srv/acme/home/keys\"\n\
             [tenants.other]\n[tenants.acme.grants]\ndirectory = {{ path = \"srv/acme/home\", access = \"{access}\" }}"
        )
    };
    for tenant in ["other", "acme"] {
        let what = format!("srv/acme/home holds the keys by which \"bob\" of tenant {tenant} enters");
        assert_eq!(
            place.problems(&text(tenant, "read-write")),
            [format!("whelk.toml:8: tenants.acme.grants.directory: {what}")]
        );
        assert_eq!(place.problems(&text(tenant, "read-only")), [""; 0]);
    }
    let text = |access: &str| {
        format!(
            "[tenants.other]\ntrusted_user_ca_keys = \"srv/acme/home/keys\"\n[tenants.acme.grants]\n\
             directory = {{ path = \"srv/acme/home\", access = \"{access}\" }}"
        )
    };
    let what = "srv/acme/home holds the authorities whose certificates let users in (srv/acme/home/keys)";
    assert_eq!(place.problems(&text("read-write")), [format!("whelk.toml:5: tenants.acme.grants.directory: {what}")]);
    assert_eq!(place.problems(&text("read-only")), [""; 0]);
}

#[test]
fn no_tenant_may_place_a_link_on_the_path_to_anothers_directory() {
    let place = Place::new();
    place.link("srv/acme/home/theirs", place.root.join("srv/other/home"));
    let text = |access: &str| {
        format!(
            "[tenants.acme.grants]\ndirectory = {{ path = \"srv/acme/home\", access = \"{access}\" }}\n\
             [tenants.other.grants]\ndirectory = {{ path = \"srv/acme/home/theirs\" }}"
        )
    };
    let what =
        "srv/acme/home holds a link on the way to the directory of tenant other (srv/other/home, at whelk.toml:5)";
    assert_eq!(place.problems(&text("read-write")), [format!("whelk.toml:3: tenants.acme.grants.directory: {what}")]);
    assert_eq!(place.problems(&text("read-only")), [""; 0]);
}

/// The messages of a start about the folder of a tenant that deploys its own plugins.
fn deployed(place: &Place) -> Vec<String> {
    let config = place.good(
        "[users.alice]\ntenant = \"acme\"\nauth = \"none\"\n[tenants.acme]\nplugins = \"srv/acme/plugins/mine\"\n\
         plugin = \"shell\"\n[tenants.acme.routes]\nexec = { git = \"git\", mine = \"other\" }\n\
         [tenants.acme.grants]\ndeploy = true\ndirectory = { path = \"srv/acme\", access = \"read-write\" }",
    );
    let own = config.tenants["acme"].plugins.as_deref();
    assert_eq!(own, Some(place.root.join("srv/acme/plugins/mine").as_path()), "whatever there is");
    let folder = format!("{}/", place.root.display());
    config.notes.iter().map(|note| note.to_string().replace(&folder, "")).collect()
}

#[test]
fn a_missing_plugin_that_no_tenant_could_deploy_is_reported() {
    let place = Place::new();
    fs::create_dir(place.root.join("srv/acme/plugins/home")).unwrap();
    let problems = |directory: &str, plugin: &str| {
        place.problems(&format!(
            "[tenants.acme]\nplugins = \"srv/acme/plugins\"\nplugin = \"{plugin}\"\n[tenants.acme.grants]\n\
             deploy = true\ndirectory = {{ path = \"{directory}\", access = \"read-write\" }}"
        ))
    };
    // The tenant may write in the folder but not deploy plugins there.
    let missing =
        "whelk.toml:4: tenants.acme.plugin: there is no plugin \"other\" (there are \"echo\", \"git\", \"shell\")";
    assert_eq!(problems("srv/acme/plugins/home", "other"), [missing]);
    assert_eq!(problems("srv/acme", "other"), [""; 0]);
    for name in ["", "a/b", "../git", "/"] {
        assert_eq!(problems("srv/acme", name).len(), 1, "{name:?}");
    }
}

#[test]
fn a_tenants_own_plugins_never_prevent_the_start() {
    let place = Place::new();
    let own = place.root.join("srv/acme/plugins/mine");
    fs::create_dir(&own).unwrap();
    let missing = |line: u32, setting: &str, plugin: &str| {
        let when = "it is served once its tenant has put it there";
        format!(
            "whelk.toml:{line}: tenants.acme.{setting}: there is no plugin {plugin:?} (there are \"echo\", \"git\"): {when}"
        )
    };
    let absent = [missing(7, "plugin", "shell"), missing(9, "routes.exec.mine", "other")];
    assert_eq!(deployed(&place), absent);
    for plugin in ["shell", "other"] {
        fs::write(own.join(plugin).with_extension("wasm"), "").unwrap();
    }
    assert_eq!(deployed(&place), [""; 0]);
    // A link in place of the folder: to another tenant's, to the operator's, dangling, to itself.
    let lost = |why: &str| {
        let until = "its tenant can mend that, and has the operator's plugins until then";
        format!(
            "whelk.toml:6: tenants.acme.plugins: the plugin folder srv/acme/plugins/mine cannot be read: {why}: {until}"
        )
    };
    let linked = "a symbolic link is on the way to it, which is not followed here";
    for target in ["../../other/plugins", "../../../plugins", "nowhere", "mine", "/"] {
        fs::remove_dir_all(&own).or_else(|_| fs::remove_file(&own)).unwrap();
        place.link("srv/acme/plugins/mine", target);
        assert_eq!(deployed(&place), [lost(linked)], "{target}");
    }
    // The same for a parent folder, a file, and nothing at all.
    fs::remove_dir_all(place.root.join("srv/acme/plugins")).unwrap();
    place.link("srv/acme/plugins", "../other");
    assert_eq!(deployed(&place), [lost(linked)]);
    fs::remove_file(place.root.join("srv/acme/plugins")).unwrap();
    assert_eq!(deployed(&place), [lost("No such file or directory (os error 2)")]);
    fs::write(place.root.join("srv/acme/plugins"), "").unwrap();
    assert!(
        deployed(&place)[0]
            .contains("srv/acme/plugins/mine is no folder: name the folder that the plugins are in: its tenant")
    );
}
