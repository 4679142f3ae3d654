//! Folders of the operator that plugins see, and what a directory holds that they do not see.

use std::fs;

use crate::place::{Place, problems};

/// The notes of a configuration, without the folder in the paths.
fn notes(place: &Place, text: &str) -> Vec<String> {
    let folder = format!("{}/", place.root.display());
    place.good(text).notes.iter().map(|note| note.to_string().replace(&folder, "")).collect()
}

#[test]
fn mounts_are_read_in_the_order_of_their_paths_and_tenants_may_share_them() {
    let place = Place::new();
    fs::create_dir_all(place.root.join("data/books")).unwrap();
    place.link("linked", "data/books");
    let config = place.good(
        "[tenants.acme.grants]\nmounts = { \"/usr/share/data\" = \"data\", \"/opt\" = \"linked\" }\n\
         system_folders = true\n[tenants.other.grants]\nmounts = { \"/data\" = \"data\" }",
    );
    let grants = &config.tenants["acme"].grants;
    let seen: Vec<_> = grants.mounts.iter().map(|mount| (mount.at.as_str(), mount.path.clone())).collect();
    assert_eq!(seen, [("/opt", place.root.join("data/books")), ("/usr/share/data", place.root.join("data"))]);
    assert!(grants.system_folders && !config.tenants["other"].grants.system_folders);
}

#[test]
fn a_mount_stands_at_a_path_of_its_own_and_is_a_folder() {
    let found = problems(
        "[tenants.acme.grants]\nmounts = { \"data\" = \"srv\", \"/dev/data\" = \"srv\", \"/tmp\" = \"srv\", \"/\" = \"srv\", \
         \"/a/../b\" = \"srv\", \"/c\" = \"absent\", \"/d\" = \"whelk.toml\", \"/e\" = 1 }\nsystem_folders = \"yes\"",
    );
    let key = "whelk.toml:3: tenants.acme.grants.mounts";
    let wanted = [
        "plugins see a folder at an absolute path such as \"/usr/share/data\", not at \"data\"",
        "/dev is whelk's own",
        "/tmp is whelk's own",
        "the root is the directory: grant that as `directory`",
        "a path of plugins has at most 1024 bytes",
        "the folder absent does not exist: mkdir -p -m 700 absent",
        "whelk.toml is no folder",
        "must be a text",
    ];
    for what in wanted {
        assert!(found.iter().any(|line| line.starts_with(key) && line.contains(what)), "{what}: {found:#?}");
    }
    assert!(
        found.iter().any(|line| line.starts_with("whelk.toml:4: tenants.acme.grants.system_folders: ")),
        "{found:#?}"
    );
    assert_eq!(found.len(), wanted.len() + 1, "{found:#?}");
    assert_eq!(
        problems("[tenants.acme.grants]\nmounts = {}"),
        ["whelk.toml:3: tenants.acme.grants.mounts: must name at least one folder: to grant none, remove the setting"]
    );
}

#[test]
fn a_mount_shows_nothing_of_the_operators_or_of_another_tenants() {
    let of = |folder: &str| {
        problems(&format!(
            "[tenants.acme.grants]\nmounts = {{ \"/x\" = \"{folder}\" }}\n\
             [tenants.other]\nplugins = \"srv/other/plugins\"\ngrants.directory = {{ path = \"srv/other/home\" }}"
        ))
        .join("\n")
    };
    assert!(of("state").contains("state is the state folder"), "{}", of("state"));
    assert!(of(".").contains("holds the state folder") && of(".").contains("holds the configuration"), "{}", of("."));
    assert!(of("plugins").contains("plugins is the operator's plugin folder"), "{}", of("plugins"));
    assert!(of("srv/other").contains("srv/other holds the plugin folder of tenant other"), "{}", of("srv/other"));
    assert!(of("srv/other/home").contains("the mount of tenant acme"), "{}", of("srv/other/home"));
    assert_eq!(of("srv/acme/home"), "");
}

#[test]
fn names_that_are_hidden_from_plugins_are_noted_once() {
    let place = Place::new();
    for name in ["tmp", "usr/local", "note"] {
        fs::create_dir_all(place.root.join("srv/acme/home").join(name)).unwrap();
    }
    let directory = "directory = { path = \"srv/acme/home\" }";
    let note = "whelk.toml:3: tenants.acme.grants.directory: srv/acme/home holds what is hidden from its sessions: ";
    let only = notes(&place, &format!("[tenants.acme.grants]\n{directory}"));
    let bin = "`usr` (programs see their own /usr)";
    assert_eq!(only, [format!("{note}`tmp` (programs see their own /tmp), {bin}")]);
    let mounted = format!("[tenants.acme.grants]\n{directory}\nmounts = {{ \"/usr/share/x\" = \"srv/acme/plugins\" }}");
    let mounted = mounted.replace("srv/acme/plugins", "srv/data");
    fs::create_dir(place.root.join("srv/data")).unwrap();
    assert_eq!(
        notes(&place, &mounted),
        [format!("{note}`tmp` (programs see their own /tmp), `usr` (plugins see their own /usr)")]
    );
    let whole = format!("[tenants.acme.grants]\n{directory}\nsystem_folders = true");
    let seen = "`tmp` (plugins see their own /tmp), `usr` (plugins see their own /usr)";
    assert_eq!(notes(&place, &whole), [format!("{note}{seen}")]);
    for name in ["tmp", "usr"] {
        fs::remove_dir_all(place.root.join("srv/acme/home").join(name)).unwrap();
    }
    assert!(notes(&place, &format!("[tenants.acme.grants]\n{directory}")).is_empty());
}
