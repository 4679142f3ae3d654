//! The metrics of a server with real clients, as Prometheus reads them, and its own tool on them.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use whelk_tests::{
    Access, Call, Client, Finished, Gateway, Input, LATER, Output, Running, SOON, Setup, client_program, figure,
    program, repository, size,
};

use crate::logs::ARGON2;

/// A port of which nobody else was told.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are ports");
    listener.local_addr().expect("it is bound").port()
}

/// A request by hand: the status, the head and the body of the answer.
fn request(port: u16, lines: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("metrics are served");
    stream.set_read_timeout(Some(SOON)).expect("a time");
    stream.write_all(format!("{lines}\r\nHost: localhost\r\n\r\n").as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers with text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("an answer has a status");
    (status, head.to_owned(), body.to_owned())
}

fn get(port: u16, path: &str) -> (u16, String) {
    let (status, _, body) = request(port, &format!("GET {path} HTTP/1.1"));
    (status, body)
}

/// The values by their series.
fn values(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let value = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        (series.to_owned(), value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
    };
    lines.map(value).collect()
}

/// Reads the metrics until these series have these values.
fn wait_for(port: u16, expected: &[(&str, f64)]) -> BTreeMap<String, f64> {
    let began = Instant::now();
    loop {
        let (status, text) = get(port, "/metrics");
        assert_eq!(status, 200);
        let found = values(&text);
        let missing = expected.iter().find(|(series, value)| found.get(*series) != Some(value));
        let Some((series, value)) = missing else { return found };
        let so_far = found.get(*series);
        assert!(began.elapsed() < SOON, "{series} is not {value} but {so_far:?} in {text}");
    }
}

fn run(gateway: &Gateway, user: &str, access: Access, command: &str) -> Finished {
    Call::new(Client::OpenSsh100, gateway, user).access(access).exec(command).run(Input::Nothing)
}

fn whelk(arguments: &[&str]) -> Finished {
    let mut command = Command::new(program());
    command.args(arguments);
    Running::run(command, Input::Nothing, LATER)
}

/// What `promtool` says of a text: nothing, if it is good.
fn promtool(arguments: &[&str], input: Input) -> (Option<i32>, String) {
    let mut command = Command::new(client_program("promtool"));
    command.args(arguments);
    let finished = Running::run(command, input, LATER);
    (finished.status, format!("{}{}", finished.out.text(), finished.err))
}

fn configuration(port: u16) -> String {
    format!(
        "[metrics]\nlisten = \"127.0.0.1:{port}\"\n\
         [users.alice]\nplugin = \"probe\"\npassword = \"{ARGON2}\"\n\
         [users.guest]\nplugin = \"probe\"\nauth = \"none\"\n\
         [users.only]\ntenant = \"narrow\"\nplugin = \"probe\"\nauth = \"none\"\n\
         [tenants.narrow.limits]\nconnections_per_user = 1\n"
    )
}

/// Does what is counted: logins of each result, sessions that end in each way, a user over a limit, and two reloads.
/// Returns the client that the limit leaves room for, in its session.
fn do_everything(gateway: &Gateway) -> Running {
    assert_eq!(run(gateway, "guest", Access::Nothing, "exit 5").status, Some(5));
    let alice = |access| Call::new(Client::Ours, gateway, "alice").access(access).exec("exit 5").run(Input::Nothing);
    assert_eq!(alice(Access::right_password()).status, Some(5));
    assert_ne!(alice(Access::password("wrong")).status, Some(5));
    run(gateway, "guest", Access::Nothing, "trap");
    run(gateway, "guest", Access::Nothing, "alloc 1000000000");
    let command = Call::new(Client::OpenSsh100, gateway, "only").exec("cat").command();
    let mut holding = Running::start(command, Input::Held, Output::Read, LATER);
    holding.type_in(b"first\n");
    holding.wait_for_output("first");
    assert_ne!(run(gateway, "only", Access::Nothing, "exit 5").status, Some(5));
    // One reload that is done, and one that is refused for two errors.
    let file = gateway.configuration().expect("it has one").to_owned();
    let state = gateway.folder().join("state").display().to_string();
    assert_eq!(whelk(&["reload", "--state", &state]).status, Some(0));
    let good = std::fs::read_to_string(&file).expect("it is there");
    std::fs::write(&file, format!("bananas = 1\napples = 2\n{good}")).expect("our own folder");
    assert_eq!(whelk(&["reload", "--state", &state]).status, Some(2));
    holding
}

/// What is counted then.
const EVERYTHING: [(&str, f64); 26] = [
    ("whelk_connections", 1.0),
    ("whelk_connections_unauthenticated", 0.0),
    ("whelk_sessions", 1.0),
    ("whelk_login_attempts_total{result=\"success\",method=\"none\"}", 4.0),
    ("whelk_login_attempts_total{result=\"success\",method=\"password\"}", 1.0),
    ("whelk_login_attempts_total{result=\"rejected\",method=\"password\"}", 1.0),
    ("whelk_logins_failed_total", 1.0),
    ("whelk_connections_opened_total", 7.0),
    ("whelk_connections_closed_total{outcome=\"user_limit\"}", 1.0),
    ("whelk_limits_hit_total{limit=\"connections_per_user\"}", 1.0),
    ("whelk_handshake_seconds_count", 7.0),
    ("whelk_sessions_opened_total", 5.0),
    ("whelk_session_starts_total{kind=\"exec\"}", 5.0),
    ("whelk_sessions_ended_total{ending=\"crashed\"}", 1.0),
    ("whelk_sessions_ended_total{ending=\"killed by a limit\"}", 1.0),
    ("whelk_failures_total{kind=\"trap\",reason=\"ABRT\"}", 1.0),
    ("whelk_failures_total{kind=\"limit\",reason=\"memory\"}", 1.0),
    ("whelk_reloads_total{result=\"done\"}", 1.0),
    ("whelk_reloads_total{result=\"refused\"}", 1.0),
    ("whelk_last_reload_done", 0.0),
    ("whelk_tenants", 2.0),
    ("whelk_tenant_sessions{tenant=\"narrow\"}", 1.0),
    ("whelk_tenant_sessions{tenant=\"default\"}", 0.0),
    ("whelk_plugin_generation{tenant=\"\",kind=\"plugin\",plugin=\"probe\"}", 1.0),
    ("whelk_plugin_sessions{tenant=\"\",kind=\"plugin\",plugin=\"probe\"}", 1.0),
    ("whelk_draining", 0.0),
];

/// O24.
#[test]
fn what_happens_is_counted_and_prometheus_reads_it() {
    let port = free_port();
    let mut gateway = Setup::default().configuration(&configuration(port)).start();
    wait_for(port, &[("whelk_connections", 0.0), ("whelk_sessions_opened_total", 0.0)]);
    let mut holding = do_everything(&gateway);
    let found = wait_for(port, &EVERYTHING);
    for (series, least) in [
        ("whelk_received_bytes_total", 7_000.0),
        ("whelk_sent_bytes_total", 7_000.0),
        ("whelk_guest_cpu_seconds_total", 1e-6),
        ("whelk_instance_start_seconds_count{purpose=\"session\"}", 5.0),
        ("whelk_instances_started_total", 5.0),
        ("process_resident_memory_bytes", 1e6),
        ("process_open_fds", 10.0),
    ] {
        assert!(found[series] >= least, "{series}: {}", found[series]);
    }
    let ciphers = |series: &str| series.starts_with("whelk_negotiated_algorithms_total{kind=\"cipher\"");
    let ciphers: f64 = found.iter().filter(|(series, _)| ciphers(series)).map(|(_, value)| value).sum();
    assert_eq!(ciphers, 7.0);
    // A server that stops is no longer ready, but well, and shows its metrics.
    assert_eq!((get(port, "/readyz").0, get(port, "/healthz").0), (200, 200));
    gateway.signal(rustix::process::Signal::TERM);
    let began = Instant::now();
    while get(port, "/readyz").0 != 503 {
        assert!(began.elapsed() < SOON);
    }
    assert_eq!(get(port, "/healthz").0, 200);
    wait_for(port, &[("whelk_draining", 1.0), ("whelk_sessions", 1.0)]);
    holding.end_input();
    assert_eq!(holding.finish().status, Some(0));
    gateway.wait_for_end();
}

#[test]
fn promtool_accepts_the_metrics_and_the_alerts() {
    let port = free_port();
    let gateway = Setup::default().configuration(&configuration(port)).start();
    run(&gateway, "guest", Access::Nothing, "exit 5");
    run(&gateway, "guest", Access::Nothing, "trap");
    let found = wait_for(port, &[("whelk_sessions_ended_total{ending=\"crashed\"}", 1.0)]);
    let (_, head, text) = request(port, "GET /metrics HTTP/1.1");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert_eq!(promtool(&["check", "metrics"], Input::Bytes(text.into_bytes())), (Some(0), String::new()));
    let (_, head, open) = request(port, "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text; version=1.0.0");
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(open.ends_with("\n# EOF\n"), "{open}");
    // The command shows the same series, in both forms.
    let state = gateway.folder().join("state").display().to_string();
    for arguments in [vec!["metrics", "--state", &state], vec!["metrics", "--openmetrics", "--state", &state]] {
        let shown = whelk(&arguments);
        assert_eq!(shown.status, Some(0), "{}", shown.err);
        let (shown, is_same) = (values(&shown.out.text()), |series: &&String| !series.contains("_bucket{"));
        assert_eq!(shown.keys().filter(is_same).collect::<Vec<_>>(), found.keys().filter(is_same).collect::<Vec<_>>());
    }
    let alerts = repository().join("host/gateway/service/prometheus/alerts.yml").display().to_string();
    let (status, said) = promtool(&["check", "rules", &alerts], Input::Nothing);
    assert!(status == Some(0) && said.contains("SUCCESS"), "{said}");
    gateway.end();
}

/// O25: readers that never read, clients that never ask, and a thousand who do both cost sessions nothing.
#[test]
fn readers_of_metrics_hold_up_no_session() {
    let port = free_port();
    let gateway = Setup::default().configuration(&configuration(port)).start();
    let session = || {
        let began = Instant::now();
        assert_eq!(run(&gateway, "guest", Access::Nothing, "exit 5").status, Some(5));
        began.elapsed()
    };
    let alone = (0..5).map(|_| session()).min().expect("five");
    let mut silent = Vec::new();
    for number in 0..size(200, 1_000) {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("metrics are served");
        let sent = if number % 2 == 0 { "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" } else { "GET /me" };
        // It may have been ended for a newer one.
        let _ = stream.write_all(sent.as_bytes());
        silent.push(stream);
    }
    let beside = (0..5).map(|_| session()).min().expect("five");
    let began = Instant::now();
    assert_eq!(get(port, "/healthz").0, 200);
    figure("healthz beside silent readers", format!("{:?}", began.elapsed()));
    figure("a session alone, and beside silent readers", format!("{alone:?}, {beside:?}"));
    assert!(beside < alone * 3 + Duration::from_secs(1), "{alone:?} alone, {beside:?} beside");
    assert_eq!(get(port, "/metrics").0, 200);
    drop(silent);
    gateway.end();
}

#[test]
fn metrics_are_not_served_by_http_unless_asked_for_and_never_where_a_plugin_may_connect() {
    let port = free_port();
    let users = "[users.guest]\nplugin = \"probe\"\nauth = \"none\"\n";
    let gateway = Setup::default().configuration(users).start();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    let state = gateway.folder().join("state").display().to_string();
    let shown = whelk(&["metrics", "--state", &state]);
    assert!(shown.out.text().contains("\nwhelk_sessions 0\n"), "{}", shown.out.text());
    gateway.end();
    let granted = format!("{}[tenants.narrow.grants]\ntcp = [\"127.0.0.0/8:{port}\"]\n", configuration(port));
    let refused = Setup::default().configuration(&granted).start_in_vain();
    assert_eq!(refused.status, Some(2));
    assert!(refused.err.contains("tenants.narrow.grants.tcp lets plugins connect to"), "{}", refused.err);
    let taken = TcpListener::bind(("127.0.0.1", port)).expect("it is free");
    let refused = Setup::default().configuration(&configuration(port)).start_in_vain();
    assert_eq!(refused.status, Some(2));
    assert!(refused.err.contains("metrics.listen: 127.0.0.1:"), "{}", refused.err);
    drop(taken);
    let nobody = whelk(&["metrics", "--state", &state]);
    assert!(nobody.status == Some(1), "{}", nobody.err);
}
