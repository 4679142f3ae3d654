//! Homes in the configuration: how they are read, what is refused, and which folders they may be in.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use whelk::config::{Config, Directory, DirectoryAccess};
use whelk_runtime::HomeLifetime;

use crate::place::{KEY, Place};

/// A place with a folder for homes and a skeleton.
fn place() -> Place {
    let place = Place::new();
    for folder in ["srv/acme/homes", "srv/acme/skel/.config"] {
        fs::create_dir_all(place.root.join(folder)).unwrap();
        fs::set_permissions(place.root.join(folder), Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(place.root.join("srv/acme/skel"), Permissions::from_mode(0o755)).unwrap();
    fs::write(place.root.join("srv/acme/skel/.profile"), "hello").unwrap();
    place
}

fn granted(config: &Config) -> Directory {
    config.tenants["acme"].grants.directory.clone().unwrap()
}

/// The errors of such a directory, without the key.
fn refused(place: &Place, directory: &str) -> Vec<String> {
    let found = place.problems(&format!("[tenants.acme.grants]\ndirectory = {directory}"));
    let key = "whelk.toml:3: tenants.acme.grants.directory";
    found
        .iter()
        .map(|line| line.strip_prefix(key).unwrap_or(line).trim_start_matches(['.', ':', ' ']).to_owned())
        .collect()
}

#[test]
fn homes_are_written_with_a_path_that_ends_in_the_principal_or_as_ephemeral() {
    let place = place();
    let read = |text: &str| granted(&place.good(&format!("[tenants.acme.grants]\ndirectory = {text}")));
    let homes = read("{ path = \"srv/acme/homes/{principal}\", from = \"srv/acme/skel\" }");
    assert_eq!((homes.path, homes.access), (Some(place.root.join("srv/acme/homes")), DirectoryAccess::ReadWrite));
    let each = (homes.bytes, homes.files);
    let homes = homes.homes.unwrap();
    let total = (homes.total_bytes, homes.total_files);
    assert_eq!((each, total), ((64 << 20, 20_000), (10 << 30, 1_000_000)));
    assert_eq!(homes.lifetime, HomeLifetime::Persistent);
    assert_eq!(homes.from, Some(place.root.join("srv/acme/skel")));
    for (text, lifetime) in [
        ("{ ephemeral = true }", Some(HomeLifetime::Connection)),
        ("{ ephemeral = \"connection\" }", Some(HomeLifetime::Connection)),
        ("{ ephemeral = \"session\", total_bytes = \"1 GiB\" }", Some(HomeLifetime::Session)),
        ("{ ephemeral = false }", None),
        ("{ ephemeral = \"session\", path = \"srv/acme/homes/{principal}\" }", Some(HomeLifetime::Session)),
    ] {
        let directory = read(text);
        assert_eq!(directory.homes.map(|homes| homes.lifetime), lifetime, "{text}");
        assert_eq!(directory.path.is_some(), text.contains("path"), "{text}");
    }
    // The default total is never less than one home.
    assert_eq!(read("{ ephemeral = true, bytes = \"1024 GiB\" }").homes.unwrap().total_bytes, 1 << 40);
    assert_eq!(read("{ ephemeral = true, files = 3000000 }").homes.unwrap().total_files, 3_000_000);
    // Where only a total is written that is smaller than what one home has by default, one home has that.
    let small = read("{ ephemeral = true, total_bytes = \"1 MiB\", total_files = 15000 }");
    assert_eq!((small.bytes, small.files), (1 << 20, 15_000));
}

#[test]
fn each_mistake_is_told_with_what_to_write() {
    let place = place();
    let last = "path: the path of homes must end in \"/{principal}\", and have that only there";
    let is_for = "is for homes: a path that ends in \"/{principal}\", or ephemeral = true";
    for (text, what) in [
        ("{ path = \"srv/acme/homes/{principal}/files\" }", last.to_owned()),
        ("{ path = \"srv/acme/homes/x-{principal}\" }", last.to_owned()),
        ("{ path = \"srv/{principal}/{principal}\" }", last.to_owned()),
        ("{ path = \"srv/acme/homes\", ephemeral = true }", last.to_owned()),
        (
            "{ path = \"srv/acme/absent/{principal}\" }",
            "path: the folder srv/acme/absent does not exist: mkdir -p -m 700 srv/acme/absent".to_owned(),
        ),
        ("{ from = \"srv/acme/skel\" }", format!("from: {is_for}")),
        ("{ total_bytes = \"1 GiB\" }", format!("total_bytes: {is_for}")),
        ("{ total_files = 10 }", format!("total_files: {is_for}")),
        (
            "{ ephemeral = \"login\" }",
            "ephemeral: must be true, false, \"connection\" or \"session\", is \"login\"".to_owned(),
        ),
        (
            "{ ephemeral = true, access = \"read-only\" }",
            "access: homes are there to be written to: take it away".to_owned(),
        ),
        (
            "{ ephemeral = true, bytes = \"64 MiB\", total_bytes = \"1 MiB\" }",
            "total_bytes: must be at least `bytes` (64 MiB), is 1 MiB".to_owned(),
        ),
        (
            "{ ephemeral = true, files = 20, total_files = 10 }",
            "total_files: must be at least `files` (20), is 10".to_owned(),
        ),
        (
            "{ ephemeral = true, from = \"srv/acme/skel\", bytes = \"4 B\" }",
            "from: holds 5 bytes in 2 files, and a home may hold 4 B in 20000".to_owned(),
        ),
        (
            "{ ephemeral = true, from = \"srv/acme/skel\", files = 1 }",
            "from: holds 5 bytes in 2 files, and a home may hold 64 MiB in 1".to_owned(),
        ),
        (
            "{ ephemeral = true, from = \"srv/acme/none\" }",
            "from: the folder srv/acme/none does not exist: mkdir -p -m 700 srv/acme/none".to_owned(),
        ),
    ] {
        assert_eq!(refused(&place, text), [what], "{text}");
    }
    let hinted = refused(&place, "{ path = \"srv/acme/homes/{user}\" }").join("");
    assert!(hinted.ends_with("(did you mean {principal} instead of {user}?)"), "{hinted}");
}

#[test]
fn the_folder_above_homes_counts_as_wholly_granted() {
    let place = place();
    for folder in ["srv/acme/homes/bob", "srv/other/homes/alice", "state/deep"] {
        fs::create_dir_all(place.root.join(folder)).unwrap();
    }
    let other = "[tenants.other]\ngrants.directory = { path = \"srv/other/homes/alice\" }\n";
    let refused = |path: &str, more: &str| {
        let text = format!("{other}[tenants.acme]\n{more}\ngrants.directory = {{ path = \"{path}/{{principal}}\" }}");
        let key = "whelk.toml:6: tenants.acme.grants.directory: ";
        let found = place.problems(&text);
        found.iter().map(|line| line.strip_prefix(key).unwrap_or(line).to_owned()).collect::<Vec<_>>()
    };
    let theirs = "of tenant other (srv/other/homes/alice, at whelk.toml:3)";
    for (path, what) in [
        // Another tenant's path meets it, whoever alice is.
        ("srv/other/homes", format!("srv/other/homes holds the directory {theirs}")),
        ("srv/other/homes/alice", format!("srv/other/homes/alice is the directory {theirs}")),
        ("state", "state is the state folder (state)".to_owned()),
        ("state/deep", "state/deep lies in the state folder (state)".to_owned()),
        ("plugins", "plugins is the operator's plugin folder (plugins)".to_owned()),
    ] {
        assert_eq!(refused(path, ""), [what], "{path}");
    }
    assert_eq!(refused("srv/acme/homes", ""), [""; 0]);
    // The tenant's own plugins, even with deploy: one principal would write what all run.
    fs::create_dir_all(place.root.join("srv/acme/homes/bob/plugins")).unwrap();
    let found = refused("srv/acme/homes", "plugins = \"srv/acme/homes/bob/plugins\"");
    assert!(found.concat().contains("holds the tenant's own plugin folder"), "{found:?}");
    let found = refused("srv/acme/homes", "grants.deploy = true");
    assert!(found.concat().contains("deploy = true does nothing here"), "{found:?}");
    // A user's key file in a home of the name that {home} does not lead to.
    let text = "[tenants.acme]\nplugin = \"echo\"\ngrants.directory = { path = \"srv/acme/homes/{principal}\" }\n\
                [users.bob]\ntenant = \"acme\"\nauthorized_keys = \"srv/acme/homes/bob/keys\"\n";
    let found = place.problems(text).concat();
    assert!(found.contains("srv/acme/homes holds the keys by which \"bob\" of tenant acme enters"), "{found}");
}

#[test]
fn a_skeleton_is_nobody_elses_and_never_among_the_homes() {
    let place = place();
    for folder in ["srv/acme/homes/skel", "srv/other/homes"] {
        fs::create_dir_all(place.root.join(folder)).unwrap();
    }
    let other = "[tenants.other]\ngrants.directory = { path = \"srv/other/homes/{principal}\" }\n";
    let refused = |from: &str| {
        let homes = format!("{{ path = \"srv/acme/homes/{{principal}}\", from = \"{from}\" }}");
        let found = place.problems(&format!("{other}[tenants.acme.grants]\ndirectory = {homes}"));
        let key = "whelk.toml:5: tenants.acme.grants.directory: ";
        found.iter().map(|line| line.strip_prefix(key).unwrap_or(line).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(refused("srv/acme/skel"), [""; 0]);
    for (from, what) in [
        ("state", "state is the state folder (state)"),
        ("srv/other/homes", "srv/other/homes is the directory of tenant other (srv/other/homes, at whelk.toml:3)"),
        ("plugins", "plugins is the operator's plugin folder (plugins)"),
    ] {
        assert_eq!(refused(from), [what], "{from}");
    }
    let own = refused("srv/acme/homes/skel").concat();
    assert!(own.contains("srv/acme/homes holds the skeleton of tenant acme (srv/acme/homes/skel"), "{own}");
    // Two tenants may share one.
    let text = "[tenants.a.grants]\ndirectory = { ephemeral = true, from = \"srv/acme/skel\" }\n\
                [tenants.b.grants]\ndirectory = { ephemeral = true, from = \"srv/acme/skel\" }\n";
    assert_eq!(place.problems(text), [""; 0]);
}

#[test]
fn nobody_else_may_write_to_homes_or_their_skeleton_and_special_files_are_noted() {
    let place = place();
    let text = "{ path = \"srv/acme/homes/{principal}\", from = \"srv/acme/skel\" }";
    for folder in ["srv/acme/homes", "srv/acme/skel"] {
        fs::set_permissions(place.root.join(folder), Permissions::from_mode(0o775)).unwrap();
        let found = refused(&place, text);
        assert!(
            found.len() == 1 && found[0].contains(&format!("others may write to {folder} (mode 0775)")),
            "{found:?}"
        );
        fs::set_permissions(place.root.join(folder), Permissions::from_mode(0o755)).unwrap();
    }
    let _socket = UnixListener::bind(place.root.join("srv/acme/skel/socket")).unwrap();
    symlink("/etc", place.root.join("srv/acme/skel/etc")).unwrap();
    let config = place.good(&format!("[tenants.acme.grants]\ndirectory = {text}"));
    let notes: Vec<String> = config.notes.iter().map(ToString::to_string).collect();
    let note = "tenants.acme.grants.directory.from: FIFOs, sockets and devices are not copied into homes: socket";
    assert!(notes.iter().any(|other| other.ends_with(note)), "{notes:?}");
}

#[test]
fn who_needs_no_credentials_has_no_home_that_stays() {
    let place = place();
    let users = "[users.eve]\ntenant = \"acme\"\nauth = \"none\"\n";
    let with = |directory: &str| format!("[tenants.acme]\nplugin = \"echo\"\ngrants.directory = {directory}\n{users}");
    let found = place.problems(&with("{ path = \"srv/acme/homes/{principal}\" }"));
    let what = "whelk.toml:7: users.eve.auth: everybody would share the home of this user: add credentials, or make the \
                homes of its tenant ephemeral";
    assert_eq!(found, [what]);
    for directory in
        ["{ path = \"srv/acme/homes/{principal}\", ephemeral = true }", "{ ephemeral = \"session\" }", "{}"]
    {
        assert_eq!(place.problems(&with(directory)), [""; 0], "{directory}");
    }
}

#[test]
fn keys_in_the_home_are_in_the_users_own_and_in_none_that_is_removed() {
    let place = place();
    let with = |directory: &str| {
        format!(
            "[tenants.acme]\nplugin = \"echo\"\ngrants.directory = {directory}\n[users.Alice]\ntenant = \"acme\"\n\
             keys = [\"{KEY}\"]\nauthorized_keys = \"{{home}}/.ssh/authorized_keys\"\n"
        )
    };
    assert_eq!(place.problems(&with("{ path = \"srv/acme/homes/{principal}\" }")), [""; 0]);
    let found = place.problems(&with("{ ephemeral = true }")).concat();
    assert!(found.contains("names a file in {home}, and the tenant has none"), "{found}");
}
