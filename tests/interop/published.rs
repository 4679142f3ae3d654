//! Guests that were compiled against earlier versions of the packages in `wit/` load and run for ever.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::process::Command;

use whelk_tests::{Call, Client, Finished, Gateway, Input, Output, Running, SOON, Setup, client_program, repository};

use crate::recipe::loaded;

/// `somebody` is whom the authenticator lets in, whatever name is typed.
const CONFIGURATION: &str = "\
[users.session]
plugin = \"session\"
auth = \"none\"
[users.linked]
tenant = \"linked\"
plugin = \"session\"
auth = \"none\"
[users.program]
plugin = \"program\"
auth = \"none\"
[tenants.default]
exec_programs = true
plugin = \"session\"
[tenants.default.grants]
topics = true
process = true
directory = { ephemeral = true }
[tenants.linked]
connection_plugin = \"connection\"
grants.topics = true
[[authenticators]]
name = \"door\"
plugin = \"authenticator\"
users = \"*\"
tenants = [\"default\"]
";

const LINE: &str = "published for 0.1.0\n";

/// A gateway with the guests of this folder, and with this configuration.
fn gateway() -> Gateway {
    let (setup, published) = (Setup::default(), repository().join("tests/interop/published"));
    let plugins = setup.folder().join("published");
    fs::DirBuilder::new().recursive(true).mode(0o755).create(plugins.join("bin")).expect("our own folder");
    for name in ["session", "authenticator", "connection", "bin/program", "bin/process"] {
        let file = format!("{}.wasm", name.trim_start_matches("bin/"));
        let bytes = fs::read(published.join(file)).expect("it is in the repository");
        fs::write(plugins.join(name).with_extension("wasm"), bytes).expect("our own folder");
    }
    setup.plugins(plugins).configuration(CONFIGURATION).start()
}

fn said(finished: &Finished) -> (String, Option<i32>) {
    assert_eq!(finished.err, "");
    (finished.out.text(), finished.status)
}

#[test]
fn guests_of_whelk_ssh_0_1_0_run() {
    let gateway = gateway();
    for name in ["session", "authenticator", "connection"] {
        loaded(&gateway, name);
    }
    let run = |user: &str, command: Option<&str>| {
        let call = Call::new(Client::OpenSsh100, &gateway, user);
        said(&command.map_or(call.clone(), |command| call.exec(command)).run(Input::Nothing))
    };
    assert_eq!(run("session", None), (LINE.to_owned(), Some(7)));
    assert_eq!(run("whoever", None), (LINE.to_owned(), Some(7)), "the authenticator");
    assert_eq!(run("program", Some("program")), (LINE.to_owned(), Some(0)));
    let mut command = Command::new(client_program("x-crypto-connection"));
    command.args(["--port", &gateway.port().to_string(), "--user", "linked"]);
    let mut client = Running::start(command, Input::Held, Output::Read, SOON);
    for (line, answer) in
        [("request anything@example.org x", "success answered"), ("open thing@example.org why", "refused 4 refused")]
    {
        client.type_in(format!("{line}\n").as_bytes());
        client.wait_for_output(answer);
    }
    client.kill_and_wait();
    gateway.end();
}

#[test]
fn guests_of_whelk_process_0_1_0_run() {
    let gateway = gateway();
    let finished = Call::new(Client::OpenSsh100, &gateway, "program").exec("process").run(Input::Nothing);
    assert_eq!(said(&finished), (format!("{LINE}the child has ended with 0\n"), Some(0)));
    gateway.end();
}
