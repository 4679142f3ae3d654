//! `whelk plugin ...`: inspecting files without a server, and asking a server.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use crate::server::Place;
use crate::{bombs, guest, guests};

fn place() -> Place {
    let place = Place::new();
    place.put("good.wasm", &guests::plugin(1));
    place.put("trap.wasm", &guests::unborn());
    place.put("text.wasm", b"hello");
    place
}

#[test]
fn a_file_is_checked_as_a_server_would() {
    let place = place();
    assert_eq!(
        place.run(&["plugin", "check", "plugins/good.wasm"]),
        (0, "plugins/good.wasm: good\n".into(), "".into())
    );
    for (file, reason) in [
        ("text.wasm", "this is text, not a WebAssembly component"),
        ("trap.wasm", "no instance of it can be made: crashed (ABRT)"),
        ("absent.wasm", "there is no such file"),
        ("absent", "a plugin is called NAME.wasm, without control characters"),
    ] {
        let (status, stdout, stderr) = place.run(&["plugin", "check", &format!("plugins/{file}")]);
        assert_eq!((status, stdout.as_str()), (2, ""));
        assert!(stderr.starts_with(&format!("plugins/{file}: {reason}")) && stderr.lines().count() == 1, "{stderr}");
    }
}

#[test]
fn a_core_module_is_inspected_as_the_component_that_it_becomes() {
    let place = Place::new();
    let import = |name: &str| format!("(import \"wasi_snapshot_preview1\" \"{name}\" (func (param i32)))");
    let program = format!("(module {} (memory (export \"memory\") 1) (func (export \"_start\")))", import("proc_exit"));
    place.put("program.wasm", &wat::parse_str(&program).unwrap());
    let (status, text, errors) = place.run(&["plugin", "inspect", "plugins/program.wasm"]);
    assert_eq!((status, errors.as_str()), (0, ""));
    for line in ["format   core module, made a component when it is loaded", "exports  wasi:cli/run@0.2."] {
        assert!(text.contains(&format!("\n{line}")), "{line}: {text}");
    }
    // It keeps its status: 0 and 1 are all that wasi:cli/exit had before this version.
    assert!(text.contains("wasi:cli/exit@0.2.12"), "{text}");
    let (_, json, _) = place.run(&["plugin", "inspect", "--json", "plugins/program.wasm"]);
    assert!(json.contains("\"format\":\"core-module\""), "{json}");
    place.put("library.wasm", &wat::parse_str(format!("(module {})", import("fd_close"))).unwrap());
    let (status, _, errors) = place.run(&["plugin", "inspect", "plugins/library.wasm"]);
    let reason =
        "this is a core module, not a component: it is a library for WASI 0.1 without `_start`, and no program";
    assert!(status == 2 && errors.starts_with(&format!("plugins/library.wasm: {reason}")), "{errors}");
}

#[test]
fn an_import_that_needs_a_grant_is_reported_with_the_lines_that_grant_it() {
    let place = place();
    place.put("demanding.wasm", &guests::demanding());
    let (status, text, errors) = place.run(&["plugin", "check", "plugins/demanding.wasm"]);
    assert_eq!((status, errors.as_str()), (0, ""));
    assert!(text.contains("warning: it imports whelk:ssh/topics, for which each tenant that runs it needs"), "{text}");
    assert!(text.ends_with("plugins/demanding.wasm: good\n"), "{text}");
    // The lines can be pasted into a configuration.
    let lines: Vec<&str> =
        text.lines().filter(|line| !line.starts_with("warning") && !line.ends_with("good")).collect();
    assert_eq!(lines.iter().filter(|line| **line == "[tenants.NAME.grants]").count(), 2, "{text}");
    let values: Vec<&str> = lines.into_iter().filter(|line| !line.starts_with('[')).collect();
    let configure = |grants: &str| {
        let text = format!("{}[tenants.default.grants]\n{grants}\n", user("b", "demanding"));
        fs::write(place.folder.path().join("whelk.toml"), text).unwrap();
        place.run(&["plugin", "check", "--config", "whelk.toml", "plugins/demanding.wasm"]).1
    };
    assert_eq!(configure(&values.join("\n")), "plugins/demanding.wasm: good\n");
    let told = configure("topics = true");
    assert!(
        told.contains("tenant default would need in the configuration:\n[tenants.default.grants]\nkeyvalue = "),
        "{told}"
    );
    assert!(!told.contains("topics"), "{told}");
}

#[test]
fn a_file_that_could_not_be_checked_is_not_an_error_of_the_configuration() {
    let place = Place::new();
    place.put("slow.wasm", &bombs::one_large_function(40_000));
    let limits = "[limits]\ncompile_time = \"1 s\"\n";
    fs::write(place.folder.path().join("whelk.toml"), format!("{limits}{}", user("a", "slow"))).unwrap();
    let reason = "compiling it takes more than the 1 s of CPU time that are allowed: raise compile_time";
    let (status, text, errors) = place.run(&["check", "whelk.toml"]);
    // A server with this configuration starts, and tries the file again.
    assert_eq!((status, errors.as_str()), (0, ""), "{text}");
    assert!(text.contains(&format!("slow.wasm: could not be checked: {reason}\n")), "{text}");
    let (status, text, errors) = place.run(&["plugin", "check", "--config", "whelk.toml", "plugins/slow.wasm"]);
    assert_eq!((status, text.as_str(), errors), (1, "", format!("plugins/slow.wasm: {reason}\n")));
}

/// A user of the default tenant.
fn user(name: &str, plugin: &str) -> String {
    format!("[users.{name}]\nplugin = \"{plugin}\"\nauth = \"none\"\n")
}

#[test]
fn the_printed_reference_needs_only_a_user_to_be_a_good_configuration() {
    let place = place();
    let (status, reference, _) = place.run(&["config"]);
    assert_eq!(status, 0);
    fs::write(place.folder.path().join("whelk.toml"), format!("{reference}\n{}", user("guest", "good"))).unwrap();
    let (status, text, errors) = place.run(&["check", "whelk.toml"]);
    // Shortages of this machine are reported and prevent nothing.
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("this machine: ")).collect();
    assert_eq!((status, lines, errors), (0, vec!["whelk.toml: good"], String::new()));
}

#[test]
fn the_example_of_a_sandbox_is_a_good_configuration_of_a_home_for_each_connection() {
    let place = place();
    let (status, example, _) = place.run(&["config", "--example", "sandbox"]);
    assert_eq!(status, 0);
    fs::write(place.folder.path().join("whelk.toml"), example).unwrap();
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti agent";
    fs::write(place.folder.path().join("agents.pub"), key).unwrap();
    place.put("sh.wasm", &guests::plugin(1));
    for program in ["bin/sftp.wasm", "bin/scp.wasm"] {
        place.put(program, &guests::plugin(1));
    }
    let (status, text, errors) = place.run(&["check", "whelk.toml"]);
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("this machine: ")).collect();
    assert_eq!((status, lines, errors), (0, vec!["whelk.toml: good"], String::new()));
    let (status, text, errors) = place.run(&["tenants", "whelk.toml", "agent"]);
    assert_eq!((status, errors), (0, String::new()));
    assert!(["sandbox", "connection", "process"].iter().all(|word| text.contains(word)), "{text}");
}

#[test]
fn a_configuration_is_checked_with_the_plugins_that_it_names_and_with_what_they_need() {
    let place = place();
    place.put("demanding.wasm", &guests::demanding());
    let users = [("a", "good"), ("b", "demanding"), ("c", "text"), ("d", "trap"), ("e", "text")];
    let users: String = users.iter().map(|(name, plugin)| user(name, plugin)).collect();
    let configuration = place.folder.path().join("whelk.toml");
    fs::write(&configuration, &users).unwrap();
    let (status, stdout, stderr) = place.run(&["check", "whelk.toml"]);
    assert_eq!((status, stdout.as_str()), (2, ""));
    let told: Vec<&str> = stderr.lines().collect();
    assert_eq!(told.len(), 3, "{stderr}");
    for (line, words) in told.iter().zip([
        &["demanding.wasm: imports wasi:keyvalue/", "[tenants.default.grants] topics = true"][..],
        &["text.wasm: this is text"],
        &["trap.wasm: no instance of it can be made"],
    ]) {
        assert!(words.iter().all(|word| line.contains(word)), "{words:?} are not all in {line}");
    }
    let granted = "[tenants.default.grants]\nkeyvalue = {}\ntopics = true\n";
    fs::write(&configuration, format!("{}{granted}", user("b", "demanding"))).unwrap();
    assert_eq!(place.run(&["check", "whelk.toml"]).0, 0);
}

#[test]
fn a_connection_plugin_is_checked_to_be_one_and_to_serve_no_sessions() {
    let place = place();
    place.put("switchboard.wasm", &fs::read(guest::build(&["switchboard"]).join("switchboard.wasm")).unwrap());
    let check = |plugin: &str, connections: &str| {
        let tenant = format!("[tenants.default]\nconnection_plugin = \"{connections}\"\n");
        fs::write(place.folder.path().join("whelk.toml"), format!("{}{tenant}", user("a", plugin))).unwrap();
        let (status, _, errors) = place.run(&["check", "whelk.toml"]);
        (status, errors)
    };
    assert_eq!(check("good", "switchboard"), (0, String::new()));
    let (status, errors) = check("good", "good");
    assert!(status == 2 && errors.contains("default.connection_plugin: it is no connection plugin"), "{errors}");
    let (status, errors) = check("switchboard", "switchboard");
    assert!(status == 2 && errors.contains("tenant default: it is a connection plugin, and serves no"), "{errors}");
    let (_, text, _) = place.run(&["plugin", "inspect", "plugins/switchboard.wasm"]);
    assert!(text.contains("world    connection-plugin\n"), "{text}");
}

#[test]
fn problems_in_a_tenants_own_folder_are_reported_and_leave_the_configuration_valid() {
    let place = place();
    let folder = place.folder.path();
    fs::create_dir_all(folder.join("acme/plugins")).unwrap();
    fs::write(folder.join("acme/plugins/text.wasm"), "hello").unwrap();
    let tenant = |deploy: bool, directory: &str| {
        format!(
            "[tenants.acme]\nplugins = \"acme/plugins\"\nplugin = \"text\"\n[tenants.acme.grants]\ndeploy = {deploy}\n\
             directory = {{ path = \"{directory}\", access = \"read-write\" }}\n[users.a]\ntenant = \"acme\"\nauth = \"none\"\n"
        )
    };
    let check = |text: &str| {
        fs::write(folder.join("whelk.toml"), text).unwrap();
        place.run(&["check", "whelk.toml"])
    };
    let fault = "acme/plugins/text.wasm: this is text, not a WebAssembly component";
    let (status, text, errors) = check(&tenant(true, "acme"));
    assert_eq!((status, errors.as_str()), (0, ""), "{text}");
    let told = text.lines().find(|line| line.starts_with("put there by its tenant: "));
    assert!(told.is_some_and(|line| line.contains(fault)), "{text}");
    // When it is removed, the name means one of the operator's plugins, which needs what the tenant is not granted.
    place.put("text.wasm", &guests::demanding());
    fs::remove_file(folder.join("acme/plugins/text.wasm")).unwrap();
    let (status, text, errors) = check(&tenant(true, "acme"));
    assert_eq!((status, errors.as_str()), (0, ""), "{text}");
    assert!(text.contains("until its tenant puts one there: ") && text.contains("imports wasi:keyvalue/"), "{text}");
    std::os::unix::fs::symlink("/etc/passwd", folder.join("acme/plugins/text.wasm")).unwrap();
    assert!(
        check(&tenant(true, "acme")).1.contains("plugins/text.wasm: imports wasi:keyvalue/"),
        "a link is no plugin"
    );
    fs::remove_file(folder.join("acme/plugins/text.wasm")).unwrap();
    fs::write(folder.join("acme/plugins/text.wasm"), "hello").unwrap();
    fs::create_dir(folder.join("acme/home")).unwrap();
    let (status, _, errors) = check(&tenant(false, "acme/home"));
    assert!(status == 2 && errors.contains(fault), "{errors}");
}

#[test]
fn a_file_is_inspected_without_a_server() {
    let place = place();
    let (status, text, _) = place.run(&["plugin", "inspect", "plugins/good.wasm"]);
    assert_eq!(status, 0);
    for line in ["name     good\n", "world    session-plugin\n", "needs    no grants\n", "whelk:ssh/session@0.1.0\n"] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
    let program = r#"(component (component $inner) (instance $i (instantiate $inner))
        (import "wasi:http/types@0.2.0" (instance)) (export "wasi:cli/run@0.2.0" (instance $i)))"#;
    fs::write(place.plugins().join("other.wasm"), wat::parse_str(program).unwrap()).unwrap();
    let (status, text, _) = place.run(&["plugin", "inspect", "plugins/other.wasm"]);
    assert_eq!(status, 0, "{text}");
    assert!(
        text.contains("world    none that can be run\n") && text.contains("refused  its wasi:cli/run does not fit"),
        "{text}"
    );
    assert_eq!(place.run(&["plugin", "inspect", "plugins/text.wasm"]).0, 2);
}

#[test]
fn the_control_socket_lists_the_plugins() {
    let place = place();
    let (status, _, stderr) = place.run(&["plugin", "list"]);
    assert_eq!(status, 1);
    assert!(stderr.starts_with("no whelk is running with the state folder "), "{stderr}");
    let (server, _) = place.serve();
    let (status, text, _) = place.run(&["plugin", "list", "--state", place.state().to_str().unwrap()]);
    assert_eq!(status, 0);
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["operator:", "plugins"]);
    assert_eq!(lines[1], ["NAME", "DIGEST", "GEN", "SESSIONS", "WORLD", "NEEDS", "STATE"]);
    assert_eq!((lines[2][0], &lines[2][2..]), ("good", &["1", "0", "session-plugin", "-", "current"][..]));
    assert_eq!(lines.len(), 5, "{text}");
    server.kill();
    // The socket still exists, and nobody answers.
    assert_eq!(place.run(&["plugin", "list"]).0, 1);
    let (_server, _) = place.serve();
    assert_eq!(place.run(&["plugin", "list"]).0, 0);
}

#[test]
fn invalid_input_on_the_control_socket_does_not_end_the_server() {
    let place = Place::new();
    let (_server, _) = place.serve();
    let socket = place.state().join("control");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let say = |bytes: &[u8]| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        // It may have closed the connection.
        let _ = stream.write_all(bytes);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    assert_eq!(
        say(b"banana\n"),
        "{\"error\":\"the running whelk does not know this request: is it of another version?\"}\n"
    );
    say(&[b'x'; 1 << 20]);
    say(&[0xff, b'\n']);
    // More than may ask at a time, all of them silent.
    let silent: Vec<UnixStream> = (0..7).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    assert!(say(b"plugins\n").starts_with("{\"folders\":["));
    drop(silent);
}

#[test]
fn a_state_folder_belongs_to_one_server() {
    let place = Place::new();
    let (server, _) = place.serve();
    let (status, _, stderr) = place.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(status, 1);
    assert!(stderr.ends_with("another whelk is running with this state folder\n"), "{stderr}");
    server.kill();
    place.serve();
}

#[test]
fn the_compile_verb_is_hidden() {
    let place = Place::new();
    let (_, help, _) = place.run(&["--help"]);
    assert!(help.contains("plugin") && !help.contains("compile"), "{help}");
}
