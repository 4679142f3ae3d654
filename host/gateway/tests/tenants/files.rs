//! The setting `files`: whose files sftp and scp reach, and what the operator is told.

use std::fs;

use whelk::cli::explain::explain;
use whelk_runtime::ProgramRequest;

use crate::place::{KEY, Place};

const SFTP: ProgramRequest<'_> = ProgramRequest::Subsystem("sftp");
const SCP: ProgramRequest<'_> = ProgramRequest::Exec(b"scp -t x");

/// A place with the two programs.
fn place() -> Place {
    let place = Place::new();
    fs::create_dir_all(place.root.join("plugins/bin")).unwrap();
    fs::create_dir_all(place.root.join("srv/acme/homes")).unwrap();
    for name in ["sftp", "scp"] {
        fs::write(place.root.join("plugins/bin").join(name).with_extension("wasm"), "").unwrap();
    }
    place
}

/// Who serves a request of alice, by the settings of her tenant.
fn served(place: &Place, tenant: &str, request: ProgramRequest<'_>) -> String {
    let config = place.good(&format!(
        "[users.alice]\ntenant = \"acme\"\nkeys = [\"{KEY}\"]\n[tenants.acme]\nplugin = \"echo\"\n{tenant}"
    ));
    assert_eq!(config.notes, [], "{tenant}");
    let told = explain(&config, Some("alice"), Some(request)).unwrap();
    told.replace(&format!("{}/", place.root.display()), "").lines().last().unwrap().trim().to_owned()
}

#[test]
fn homes_are_reached_without_a_word_and_other_directories_by_one() {
    let place = place();
    let home = "as its directory is a home: plugins/bin/sftp.wasm";
    let setting = "by `files = true`: plugins/bin/sftp.wasm";
    for (tenant, expected) in [
        ("", None),
        ("grants.directory = {}", None),
        ("grants.directory = { path = \"srv/acme/home\" }", None),
        ("grants.directory = { path = \"srv/acme/home\", access = \"read-write\" }", None),
        ("grants.directory = { ephemeral = false }", None),
        ("grants.directory = { path = \"srv/acme/homes/{principal}\" }", Some(home)),
        ("grants.directory = { ephemeral = true }", Some(home)),
        ("grants.directory = { ephemeral = \"session\" }", Some(home)),
        ("grants.directory = { ephemeral = true }\nfiles = false", None),
        ("grants.directory = { ephemeral = true }\nfiles = true", Some(setting)),
        ("grants.directory = {}\nfiles = true", Some(setting)),
        ("grants.directory = { path = \"srv/acme/home\" }\nfiles = true", Some(setting)),
        ("grants.mounts = { \"/data\" = \"srv/acme/home\" }\nfiles = true", Some(setting)),
    ] {
        let (sftp, scp) = (served(&place, tenant, SFTP), served(&place, tenant, SCP));
        match expected {
            None => {
                assert_eq!(sftp, "subsystem \"sftp\" is served by echo: no route fits", "{tenant}");
                assert_eq!(scp, "exec \"scp -t x\" is served by echo: no route fits", "{tenant}");
            }
            Some(why) => {
                assert_eq!(sftp, format!("subsystem \"sftp\" is served by the program sftp, {why}"), "{tenant}");
                let why = why.replace("sftp.wasm", "scp.wasm");
                assert_eq!(scp, format!("exec \"scp -t x\" is served by the program scp, {why}"), "{tenant}");
            }
        }
    }
}

#[test]
fn the_operators_routes_come_first_and_nothing_else_is_taken() {
    let place = place();
    let home = |routes: &str, request| {
        served(&place, &format!("grants.directory = {{ ephemeral = true }}\nroutes = {routes}"), request)
    };
    assert_eq!(
        home("{ subsystem = { sftp = \"git\" } }", SFTP),
        "subsystem \"sftp\" is served by git, by the route subsystem \"sftp\": plugins/git.wasm"
    );
    assert_eq!(
        home("{ exec = { scp = \"git\" } }", SCP),
        "exec \"scp -t x\" is served by git, by the route exec \"scp\": plugins/git.wasm"
    );
    assert_eq!(
        home("{ exec = { \"\" = \"git\" } }", SCP),
        "exec \"scp -t x\" is served by git, by the route exec \"\": plugins/git.wasm"
    );
    assert!(home("{ exec = { \"\" = \"git\" } }", SFTP).contains("by the program sftp"));
    assert!(home("{ subsystem = { sftp = \"git\" } }", SCP).contains("by the program scp"));
    for command in [&b"internal-sftp"[..], b"internal-sftp -R"] {
        assert!(home("{}", ProgramRequest::Exec(command)).contains("by the program sftp, as"), "{command:?}");
    }
    for other in ["scpx", "sftp", "ls", "'scp' -t x", "/usr/bin/scp"] {
        assert!(home("{}", ProgramRequest::Exec(other.as_bytes())).contains("by echo: no route fits"), "{other}");
    }
    assert!(home("{}", ProgramRequest::Subsystem("netconf")).contains("by echo: no route fits"));
    assert!(home("{}", ProgramRequest::Shell).contains("by echo: no route fits"));
}

#[test]
fn what_a_user_gets_says_so() {
    let place = place();
    fs::remove_file(place.root.join("plugins/bin/scp.wasm")).unwrap();
    let told = |tenant: &str| {
        let config =
            place.good(&format!("[users.alice]\ntenant = \"acme\"\nauth = \"none\"\n[tenants.acme]\n{tenant}"));
        let told = explain(&config, Some("alice"), Some(SCP)).unwrap();
        told.replace(&format!("{}/", place.root.display()), "")
    };
    let homes = told("plugin = \"echo\"\ngrants.directory = { ephemeral = true }");
    let expected = "
  routes    none
  files     subsystem \"sftp\" -> sftp, as its directory is a home: plugins/bin/sftp.wasm
            exec \"scp\" -> scp, as its directory is a home: missing
            exec \"internal-sftp\" -> sftp, as its directory is a home: plugins/bin/sftp.wasm
  limits ";
    assert!(homes.contains(expected), "{homes}");
    let last =
        "exec \"scp -t x\" is served by the program scp, as its directory is a home: missing, so it is refused\n";
    assert!(homes.ends_with(last), "{homes}");
    assert!(!told("plugin = \"echo\"\ngrants.directory = {}").contains("files   "));
}

#[test]
fn check_tells_which_program_is_missing_and_where_there_is_nothing_to_reach() {
    let place = place();
    let notes = |tenant: &str| -> Vec<String> {
        let config = place.good(&format!("[tenants.acme]\nplugin = \"echo\"\n{tenant}"));
        config.notes.iter().map(|note| note.to_string().replace(&format!("{}/", place.root.display()), "")).collect()
    };
    let at = "whelk.toml:4: tenants.acme.files:";
    let directory = "files = true\ngrants.directory = {}";
    assert_eq!(notes(directory), [""; 0]);
    assert_eq!(
        notes("files = true"),
        [format!("{at} the tenant has no directory: sftp and scp reach /tmp and /dev alone")]
    );
    fs::remove_file(place.root.join("plugins/bin/scp.wasm")).unwrap();
    let missing = |what: &str| format!("{at} {what} in `bin` of a plugin folder");
    assert_eq!(notes(directory), [missing("scp will be refused: no such program is")]);
    assert_eq!(notes(&format!("{directory}\nroutes.exec = {{ scp = \"git\" }}")), [""; 0]);
    fs::remove_file(place.root.join("plugins/bin/sftp.wasm")).unwrap();
    assert_eq!(notes(directory), [missing("scp and sftp will be refused: no such programs are")]);
    // Nobody asked for it.
    assert_eq!(notes("grants.directory = { ephemeral = true }"), [""; 0]);
    assert_eq!(notes("files = false\ngrants.directory = {}"), [""; 0]);
    // A program of the tenant's own counts.
    fs::create_dir_all(place.root.join("srv/acme/plugins/bin")).unwrap();
    for name in ["sftp", "scp"] {
        fs::write(place.root.join("srv/acme/plugins/bin").join(name).with_extension("wasm"), "").unwrap();
    }
    assert_eq!(notes(&format!("{directory}\nplugins = \"srv/acme/plugins\"")), [""; 0]);
}

#[test]
fn a_wrong_value_or_place_is_an_error_that_says_what_to_write() {
    let place = place();
    let found = place.problems("[tenants.acme]\nfiles = \"yes\"");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("whelk.toml:3: tenants.acme.files: must be true or false"), "{found:?}");
    let found = place.problems("[tenants.acme]\ngrants.directory = { files = true }");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].ends_with("sftp and scp reach the directory is the setting `files` of [tenants.NAME]"),
        "{found:?}"
    );
}
