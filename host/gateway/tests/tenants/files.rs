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
    let told = explain(&config, Some("alice"), Some(request)).unwrap();
    told.replace(&format!("{}/", place.root.display()), "").lines().last().unwrap().trim().to_owned()
}

/// The notes of a configuration.
fn notes(place: &Place, text: &str) -> Vec<String> {
    let notes = place.good(text).notes;
    notes.iter().map(|note| note.to_string().replace(&format!("{}/", place.root.display()), "")).collect()
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
    assert!(home("{ subsystem = { sftp = \"git\" } }", SCP).contains("by the program scp"));
    for command in [&b"internal-sftp"[..], b"internal-sftp -R", b"'internal-sftp'"] {
        assert!(home("{}", ProgramRequest::Exec(command)).contains("by the program sftp, as"), "{command:?}");
    }
    for spelling in [&b"'scp' -t x"[..], b"/usr/bin/scp -t x", b"s\"cp\" -t x"] {
        let routed = home("{ exec = { scp = \"git\" } }", ProgramRequest::Exec(spelling));
        assert!(routed.ends_with("is served by git, by the route exec \"scp\": plugins/git.wasm"), "{routed}");
        assert!(home("{}", ProgramRequest::Exec(spelling)).contains("by the program scp, as"), "{spelling:?}");
    }
    for other in ["scpx", "sftp", "ls", "./scp", "/sbin/scp"] {
        assert!(home("{}", ProgramRequest::Exec(other.as_bytes())).contains("by echo: no route fits"), "{other}");
    }
    assert!(home("{}", ProgramRequest::Subsystem("netconf")).contains("by echo: no route fits"));
    assert!(home("{}", ProgramRequest::Shell).contains("by echo: no route fits"));
}

#[test]
fn a_route_for_every_command_closes_homes_unless_the_setting_opens_them() {
    let place = place();
    let asked = |files: &str, request| {
        let tenant = format!("grants.directory = {{ ephemeral = true }}\nroutes.exec = {{ \"\" = \"git\" }}\n{files}");
        served(&place, &tenant, request)
    };
    let internal = ProgramRequest::Exec(b"internal-sftp -R");
    assert!(asked("", SFTP).ends_with("is served by echo: no route fits"));
    assert!(asked("", SCP).contains("by git, by the route exec \"\""));
    assert_eq!(asked("", internal), "exec \"internal-sftp -R\" is refused, as `files = true` is not set");
    assert_eq!(asked("files = false", internal), "exec \"internal-sftp -R\" is refused, by `files = false`");
    assert!(asked("files = true", SFTP).contains("by the program sftp, by `files = true`"));
    assert!(asked("files = true", SCP).contains("by git, by the route exec \"\""));
    assert!(asked("files = true", internal).contains("by the program sftp, by `files = true`"));
}

#[test]
fn without_files_no_name_of_the_programs_that_serve_them_is_a_programs() {
    let place = place();
    fs::write(place.root.join("plugins/bin/ls.wasm"), "").unwrap();
    let asked = |tenant: &str, command: &str| {
        let tenant = format!("exec_programs = true\n{tenant}");
        served(&place, &tenant, ProgramRequest::Exec(command.as_bytes()))
    };
    let homes = "grants.directory = { ephemeral = true }";
    for (tenant, why) in [
        (&*format!("files = false\n{homes}"), "by `files = false`"),
        ("grants.directory = {}", "as `files = true` is not set"),
    ] {
        for command in ["scp -f x", "'scp' -f x", "/bin/scp -f x", "sftp", "/usr/bin/sftp", "internal-sftp"] {
            assert_eq!(asked(tenant, command), format!("exec {command:?} is refused, {why}"), "{tenant}");
        }
    }
    assert!(asked(homes, "/bin/scp -f x").contains("is served by the program scp, as its directory is a home"));
    // OpenSSH's `sftp -s /bin/sftp` sends the path as a command.
    assert_eq!(
        asked(homes, "/bin/sftp"),
        "exec \"/bin/sftp\" is served by the program sftp, by `exec_programs = true`: plugins/bin/sftp.wasm"
    );
    let by = "by `exec_programs = true`";
    for (command, what) in [
        ("/bin/ls -l", format!("is served by the program ls, {by}: plugins/bin/ls.wasm")),
        ("lss", format!("is served by the program lss, {by}: missing, so it is refused")),
        ("../ls", format!("is refused: {by} it names a program, and none has such a name")),
        ("  ", "is served by echo: no route fits".to_owned()),
    ] {
        assert_eq!(asked("files = false", command), format!("exec {command:?} {what}"));
    }
    // A route of the operator's is the operator's word.
    let routed = asked("files = false\nroutes.exec = { scp = \"scp\" }", "/bin/scp -f x");
    assert!(routed.ends_with("is served by scp, by the route exec \"scp\": plugins/bin/scp.wasm"), "{routed}");
}

#[test]
fn what_forced_commands_do_is_told_beside_what_is_asked_for() {
    let place = place();
    let read_only = format!("command=\"internal-sftp -R\" {KEY}");
    fs::write(place.root.join("keys"), format!("command=\"ls\" {KEY}\n")).unwrap();
    let told = |files: bool| {
        let config = place.good(&format!(
            "[users.alice]\ntenant = \"acme\"\nkeys = ['{read_only}']\nauthorized_keys = \"keys\"\n\
             [tenants.acme]\nplugin = \"echo\"\ngrants.directory = {{}}\nfiles = {files}"
        ));
        let told = explain(&config, Some("alice"), Some(SCP)).unwrap();
        told.lines()
            .filter(|line| line.contains("instead of what is asked for: "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let (open, closed) = (told(true), told(false));
    assert!(open[0].contains("exec \"internal-sftp -R\" is served by the program sftp, by `files = true`"), "{open:?}");
    assert!(open[1].ends_with("exec \"ls\" is served by echo: no route fits"), "{open:?}");
    assert!(closed[0].ends_with("exec \"internal-sftp -R\" is refused, by `files = false`"), "{closed:?}");
    assert_eq!((open.len(), closed.len()), (2, 2));
}

#[test]
fn check_names_what_stands_between_users_and_homes_that_are_open_without_a_word() {
    let place = place();
    let user = "[users.alice]\ntenant = \"acme\"\nauth = \"none\"\n";
    let with = |user: &str, tenant: &str| {
        let homes = "grants.directory = { ephemeral = true }";
        notes(&place, &format!("{user}[tenants.acme]\nplugin = \"echo\"\n{tenant}\n{homes}"))
    };
    let [first] = &with(user, "")[..] else { panic!("one note") };
    assert_eq!(
        first,
        "whelk.toml:8: tenants.acme.grants.directory: scp and sftp reach these homes past the plugin echo: write \
         `files = true` in [tenants.acme] to permit that, or `files = false`"
    );
    let said = |user: &str, tenant: &str| {
        let notes = with(user, tenant);
        assert!(notes.len() <= 1, "{notes:?}");
        notes.first().map(|note| note.split_once("directory: ").unwrap().1.split(": write").next().unwrap().to_owned())
    };
    let own = format!("{user}plugin = \"git\"\n");
    assert_eq!(said(&own, "").unwrap(), "scp and sftp reach these homes past the plugin git");
    let both = format!("{own}[users.bob]\ntenant = \"acme\"\nauth = \"none\"\n");
    assert_eq!(said(&both, "").unwrap(), "scp and sftp reach these homes past the plugin echo, the plugin git");
    assert_eq!(
        said(user, "routes.subsystem = { sftp = \"git\" }\nroutes.exec = { internal-sftp = \"git\" }").unwrap(),
        "scp reaches these homes past the plugin echo, the route subsystem \"sftp\", the route exec \"internal-sftp\""
    );
    assert_eq!(
        said(user, "routes.exec = { \"\" = \"git\" }").unwrap(),
        "the route exec \"\" keeps sftp and scp from these homes"
    );
    let asked = "[[authenticators]]\nname = \"gate\"\nplugin = \"git\"\nusers = \"*@a\"\ntenants = [\"acme\"]\n";
    assert_eq!(said(asked, "").unwrap(), "scp and sftp reach these homes past the plugins that gate grants");
    // Nothing stands between, nothing is open, or the operator has decided.
    assert_eq!(said(&format!("{user}plugin = \"sftp\"\n"), ""), None);
    let all = "routes = { subsystem = { sftp = \"git\" }, exec = { scp = \"git\", internal-sftp = \"git\" } }";
    assert_eq!(said(user, all), None);
    assert_eq!(said(user, "files = true"), None);
    assert_eq!(said(user, "files = false"), None);
    assert_eq!(said("", ""), None);
}

#[test]
fn a_tenant_that_deploys_serves_files_with_the_operators_programs_alone() {
    let place = place();
    fs::create_dir_all(place.root.join("srv/acme/plugins/bin")).unwrap();
    for own in ["plugins/bin/sftp", "plugins/scp", "plugins/bin/tool"] {
        fs::write(place.root.join("srv/acme").join(own).with_extension("wasm"), "").unwrap();
    }
    let tenant = "plugins = \"srv/acme/plugins\"\nexec_programs = true\n\
                  grants.directory = { path = \"srv/acme\", access = \"read-write\" }";
    let served = |more: &str, request| served(&place, &format!("{tenant}\n{more}"), request);
    let deploys = "grants.deploy = true\nfiles = true";
    for (request, file) in [
        (SFTP, "plugins/bin/sftp.wasm"),
        (SCP, "plugins/bin/scp.wasm"),
        (ProgramRequest::Exec(b"internal-sftp"), "plugins/bin/sftp.wasm"),
        (ProgramRequest::Exec(b"/bin/sftp"), "plugins/bin/sftp.wasm"),
        (ProgramRequest::Exec(b"tool"), "srv/acme/plugins/bin/tool.wasm"),
    ] {
        assert!(served(deploys, request).ends_with(&format!(": {file}")), "{request:?}: {}", served(deploys, request));
    }
    let user = format!("[users.alice]\ntenant = \"acme\"\nkeys = [\"{KEY}\"]\n");
    let noted = || {
        let all = notes(&place, &format!("{user}[tenants.acme]\nplugin = \"echo\"\n{tenant}\n{deploys}"));
        all.into_iter().map(|note| note.split_once("files: ").unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    let code = "with `deploy` the directory holds the tenant's plugins: whoever writes there by sftp or scp, even by a \
                forced command, can run code as every user of the tenant";
    assert_eq!(noted(), [code]);
    // The same where the operator's own routes lead to them.
    let routed = "grants.deploy = true\nroutes.subsystem = { sftp = \"sftp\" }\nroutes.exec = { scp = \"scp\" }";
    assert!(served(routed, SFTP).ends_with(": plugins/bin/sftp.wasm"), "{}", served(routed, SFTP));
    assert!(served(routed, SCP).ends_with(": plugins/bin/scp.wasm"), "{}", served(routed, SCP));
    // Without the operator's program there is none.
    fs::remove_file(place.root.join("plugins/bin/sftp.wasm")).unwrap();
    assert!(served(deploys, SFTP).ends_with(": missing, so it is refused"));
    let missing = "sftp will be refused: no such program is in `bin` of the operator's plugin folder";
    assert_eq!(noted(), [missing, code]);
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
    let notes = |tenant: &str| notes(&place, &format!("[tenants.acme]\nplugin = \"echo\"\n{tenant}"));
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

#[test]
fn check_notes_users_whose_keys_or_files_are_not_what_they_seem() {
    let place = place();
    let noted = |user: &str, tenant: &str| {
        let text = format!("[users.alice]\ntenant = \"acme\"\n{user}\n[tenants.acme]\nplugin = \"echo\"\n{tenant}");
        let about_alice = |note: &String| note.contains("users.alice");
        let notes: Vec<String> = notes(&place, &text).into_iter().filter(about_alice).collect();
        notes.iter().map(|note| note.split_once(": users.alice.").unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    let shared = "files = true\ngrants.directory = { access = \"read-write\" }";
    let homes = "files = true\ngrants.directory = { path = \"srv/acme/homes/{principal}\" }";
    // Without credentials.
    let everybody = "auth = \"none\"";
    assert_eq!(
        noted(everybody, shared),
        ["auth: everybody can read and change the directory of tenant acme by sftp and scp"]
    );
    let reading = "files = true\ngrants.directory = { path = \"srv/acme/home\" }";
    assert_eq!(noted(everybody, reading), ["auth: everybody can read the directory of tenant acme by sftp and scp"]);
    assert_eq!(noted(everybody, "files = true\ngrants.directory = { ephemeral = true }"), [""; 0]);
    assert_eq!(noted(everybody, "grants.directory = { access = \"read-write\" }"), [""; 0]);
    // A key for sftp alone where there is none.
    let forced = format!("keys = ['command=\"internal-sftp -R\" {KEY}']");
    let closed = noted(&forced, "grants.directory = {}");
    assert_eq!(closed.len(), 1, "{closed:?}");
    let what = "forces \"internal-sftp -R\", which is refused, because sftp and scp reach no files of tenant acme: see \
                `files`";
    assert!(closed[0].starts_with("keys: the key SHA256:") && closed[0].ends_with(what), "{closed:?}");
    assert_eq!(noted(&forced, shared), [""; 0]);
    // Keys in a directory that others write to.
    let in_home = "authorized_keys = \"{home}/.ssh/authorized_keys\"";
    let added = noted(in_home, shared);
    assert_eq!(added.len(), 1, "{added:?}");
    assert!(added[0].contains("can add keys of this user"), "{added:?}");
    assert_eq!(noted(in_home, homes), [""; 0]);
    assert_eq!(noted(in_home, "grants.directory = { access = \"read-write\" }"), [""; 0]);
    // A restricted key makes such a file useless, in whichever list it is.
    fs::write(place.root.join("keys"), format!("command=\"internal-sftp\" {KEY}\n")).unwrap();
    let both = "authorized_keys = [\"keys\", \"{home}/.ssh/authorized_keys\"]";
    for tenant in [shared, homes] {
        let useless = noted(both, tenant);
        assert!(useless.len() == 1 && useless[0].contains("the file in the home has no effect"), "{useless:?}");
    }
}
