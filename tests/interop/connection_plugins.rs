//! Connection plugins and real clients: channel types and global requests of one's own, in both directions; clients
//! that know nothing of them; and what ordinary sessions get of signals, breaks, extended data and half-closes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::json;
use whelk_tests::{
    Call, Client, Gateway, Input, Output, Running, SOON, Setup, build_guest, client_program, repository,
};

/// The folder of the runtime's test plugins `switchboard`, which handles connections, and `line`, which serves
/// channels.
fn plugins() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
        for name in ["switchboard", "line"] {
            build_guest(&format!("host/runtime/tests/guests/{name}"), name, &target);
        }
        target.join("wasm32-wasip2/release")
    })
}

/// A server whose user alice has a connection plugin, and a session plugin beside it.
fn gateway(more: &str) -> Gateway {
    let setup = Setup::default();
    let folder = setup.folder().join("own");
    std::fs::create_dir(&folder).expect("our own folder");
    for name in ["switchboard", "line"] {
        let file = format!("{name}.wasm");
        std::fs::copy(plugins().join(&file), folder.join(&file)).expect("it was just built");
    }
    std::fs::copy(repository().join("plugins/probe.wasm"), folder.join("probe.wasm")).expect("the plugins are built");
    let text = format!(
        "[users.alice]\ntenant = \"acme\"\nplugin = \"probe\"\nauth = \"none\"\n\
         [tenants.acme]\nconnection_plugin = \"switchboard\"\n{more}"
    );
    setup.plugins(folder).configuration(&text).start()
}

/// A connection of x/crypto that is told what to do.
struct Connection(Running);

impl Connection {
    fn new(gateway: &Gateway) -> Connection {
        let mut command = Command::new(client_program("x-crypto-connection"));
        command.args(["--port", &gateway.port().to_string(), "--user", "alice"]);
        Connection(Running::start(command, Input::Held, Output::Read, SOON))
    }

    /// Does this, and waits for this line.
    fn does(&mut self, line: &str, expected: &str) {
        self.0.type_in(format!("{line}\n").as_bytes());
        self.sees(expected);
    }

    fn sees(&mut self, line: &str) {
        self.0.wait_for_output(&format!("{line}\n"));
    }

    fn end(mut self) -> String {
        self.0.end_input();
        let finished = self.0.finish();
        assert_eq!(finished.status, Some(0), "{}", finished.err);
        finished.out.text()
    }
}

/// What a driver that uses paramiko prints.
fn paramiko(gateway: &Gateway, driver: &str, user: &str) -> serde_json::Value {
    let mut command = Command::new(client_program("python"));
    command.arg(repository().join("tests/interop").join(driver));
    command.args(["--port", &gateway.port().to_string(), "--user", user]);
    let finished = Running::run(command, Input::Nothing, SOON);
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    serde_json::from_str(&finished.out.text()).expect("the driver prints JSON")
}

#[test]
fn go_opens_channels_and_makes_requests_of_its_own_beside_its_sessions() {
    let gateway = gateway("");
    let mut client = Connection::new(&gateway);
    client.does("request reverse@example.org abc", "success cba");
    client.does("request unknown@example.org x", "failure");
    client.does("request fact@example.org user", "success alice");
    client.does("open thing@example.org why", "opened thing@example.org 776879");
    client.does("say hello", "heard hello");
    client.does("session exit 7", "session 7 ");
    client.does("control ask@example.org what", "success");
    client.does("say again", "heard reque");
    client.does("end", "rest \"st ask@example.org what\\nagaineof\\n\"");
    client.does("open thing@example.org refuse 4261412865", "refused 4261412865 not today\\u{1b}");
    client.does("open thing@example.org refuse 77", "refused 1 not today\\u{1b}");
    client.does("open thing@example.org serve nowhere", "refused 2 the plugin is not available");
    client.does("open thing@example.org no", "refused 2 the plugin is not available");
    client.does("request calls@example.org x", "success 9");
    client.end();
    gateway.wait("the last call", |event| (event.message == "closed after 9 calls").then_some(()));
    gateway.end();
}

#[test]
fn go_accepts_a_channel_that_the_plugin_opens_and_answers_its_request() {
    let gateway = gateway("");
    let mut client = Connection::new(&gateway);
    client.does("request open@example.org thing@example.org why", "success opened");
    client.sees("server opened thing@example.org \"why\": thing@example.org 776879");
    client.does(
        "request open@example.org other@example.org x",
        "success refused 3 unknown channel type: other@example.org",
    );
    client.does("request ask@example.org colour@example.org which", "success success blue");
    client.does("request ask@example.org size@example.org which", "success refused");
    client.does("request serve@example.org nowhere", "success unknown plugin");
    client.does("session exit 3", "session 3 ");
    client.end();
    gateway.end();
}

/// C3: what a client never answers takes no place of a session, and the plugin goes on.
#[test]
fn a_client_that_never_answers_an_open_keeps_its_sessions() {
    let gateway = gateway("[tenants.acme.limits]\nclient_answer = \"50 ms\"\nsessions_per_user = 2\n");
    let mut client = Connection::new(&gateway);
    for number in 1..=16 {
        client.does(&format!("request open@example.org silent@example.org {number}"), "success no answer");
        client.does(&format!("session exit {number}"), &format!("session {number} "));
    }
    client.does("request open@example.org silent@example.org 17", "success too many");
    client.does("open thing@example.org why", "opened thing@example.org 776879");
    assert_eq!(client.end().matches("success no answer\n").count(), 16);
    gateway.end();
}

/// C29: names that mean something in the field are refused in both directions, whatever the plugin says.
#[test]
fn names_with_a_meaning_are_refused_both_ways() {
    let gateway = gateway("");
    let mut client = Connection::new(&gateway);
    for name in ["auth-agent@openssh.com", "auth-agent@example.org", "x11", "session", "forwarded-tcpip", "thing"] {
        client.does(&format!("request open@example.org {name} x"), "success not permitted");
        client.does(&format!("request ask@example.org {name} x"), "success not-permitted");
    }
    client.does("open auth-agent@openssh.com x", "refused 1 forwarding is not supported yet");
    client.does("open auth-agent@example.org x", "refused 3 unknown channel type");
    client.does("open thing x", "refused 3 unknown channel type");
    for name in ["tcpip-forward", "hostkeys-00@example.org", "streamlocal-forward@openssh.com", "thing"] {
        client.does(&format!("request {name} x"), "failure");
    }
    client.does("request calls@example.org x", "success 13");
    client.end();
    gateway.end();
}

#[test]
fn paramiko_opens_channels_and_makes_requests_of_its_own() {
    let gateway = gateway("");
    let seen = paramiko(&gateway, "paramiko_connection.py", "alice");
    let refused = json!([3, "Unknown channel type"]);
    let expected = json!({
        "reverse": "cba\u{3}\0\0\0",
        "unknown": null,
        "without a domain": null,
        "asked in turn": "not-permitted",
        "thing": "thing@example.org \nhelloeof\n",
        "x11": refused,
        "without": refused,
        "session": 5,
        "calls": "5",
    });
    assert_eq!(seen, expected);
    gateway.end();
}

/// OpenSSH's client knows no channel type and no request of ours, refuses them, and goes on: with its agent offered to
/// nobody.
#[test]
fn openssh_goes_on_beside_a_connection_plugin() {
    let gateway = gateway("");
    for client in [Client::OpenSsh92, Client::OpenSsh100] {
        let call = Call::new(client, &gateway, "alice").option("-A").option("-oServerAliveInterval=1");
        let finished = call.exec("exit 5").run(Input::Nothing);
        assert_eq!(finished.status, Some(5), "{}", finished.err);
    }
    gateway.end();
}

#[test]
fn a_plugin_that_crashes_or_hangs_ends_no_connection() {
    let gateway = gateway("[tenants.acme.limits]\nconnection_call = \"2 s\"\ncpu_call = \"100 ms\"\n");
    for (number, failure) in ["trap", "spin", "sleep"].into_iter().enumerate() {
        let mut client = Connection::new(&gateway);
        client.does("open thing@example.org why", "opened thing@example.org 776879");
        client.does(&format!("request {failure}@example.org x"), "failure");
        client.does("request reverse@example.org abc", "failure");
        client.does("say still there", "heard still there");
        client.does("session exit 4", "session 4 ");
        client.does("open thing@example.org why", "refused 2 the plugin is not available");
        client.end();
        gateway.wait_all(failure, |events| {
            let failed = events.iter().filter(|event| event.message == "connection plugin failed");
            (failed.count() > number).then_some(())
        });
    }
    let mut client = Connection::new(&gateway);
    client.does("open thing@example.org trap", "refused 2 the plugin is not available");
    client.does("request reverse@example.org abc", "success cba");
    client.end();
    gateway.end();
}

#[test]
fn it_may_end_the_connection() {
    let gateway = gateway("");
    let mut client = Connection::new(&gateway);
    client.0.type_in(b"request disconnect@example.org x\n");
    client.0.end_input();
    let finished = client.0.finish();
    assert_eq!(finished.status, Some(255));
    gateway.wait("the end", |event| {
        (event.message == "connection closed" && event.field("reason").contains("as asked")).then_some(())
    });
    gateway.end();
}

#[test]
fn sessions_get_every_signal_and_stream_and_are_half_closed_both_ways() {
    let gateway = gateway("plugin = \"line\"\n[users.bob]\ntenant = \"acme\"\nauth = \"none\"\n");
    let seen = paramiko(&gateway, "paramiko_channels.py", "bob");
    // The plugin answers extended data on the stream of the next number.
    let extended: Vec<_> = [1_u32, 2, 3, 100, 0].iter().map(|kind| json!([kind, "aside"])).collect();
    let expected = json!({
        "sessions": ["at 2\n", "at 0\n", "at 1\n"],
        "signals": "signal INFO@openssh.com\nsignal TERM\n",
        "requests": "break 500\nrequest thing@example.org \\x00\\x00\\x00\\x01x\n",
        "extended": extended,
        "after our EOF": ["eof\n", 0],
        "to their EOF": "",
        "after their EOF": 7,
        "last": 7,
    });
    assert_eq!(seen, expected);
    gateway.end();
}

/// A connection without a connection plugin refuses all of it, as ever.
#[test]
fn without_a_connection_plugin_everything_is_refused() {
    let gateway = Setup::default().configuration("[users.alice]\nplugin = \"probe\"\nauth = \"none\"\n").start();
    let mut client = Connection::new(&gateway);
    client.does("open thing@example.org why", "refused 3 unknown channel type");
    client.does("request reverse@example.org abc", "failure");
    client.does("session exit 7", "session 7 ");
    client.end();
    gateway.end();
}
