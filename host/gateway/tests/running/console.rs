//! `whelk console`: the page, by HTTP as it is on the wire.

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use whelk_ssh::message::request::Request;

use crate::peer::{Happened, Peer};
use crate::server::Server;
use crate::visit;

/// A console, which is killed when the test ends, however it ends.
struct Console {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// `127.0.0.1:PORT`.
    host: String,
    token: String,
    cookie: String,
    key: String,
}

impl Console {
    fn start(server: &Server) -> Console {
        let mut command = server.whelk(&["console", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (host, token) = address(&lines.next().unwrap().unwrap());
        Console { child, lines, host, token, cookie: String::new(), key: String::new() }
    }

    /// A request as it is, of which only the connection is this test's: the status, the head, and the body.
    fn send(&self, request: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        // What is refused is not read to its end.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        (status, head.to_owned(), body.to_owned())
    }

    /// A request with these header fields besides `Host`.
    fn ask(&self, request: &str, fields: &[&str], body: &str) -> (u16, String, String) {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let length = body.len();
        let head = format!("{request} HTTP/1.1\r\nHost: {}\r\n{fields}Content-Length: {length}\r\n\r\n", self.host);
        self.send(&(head + body))
    }

    fn origin(&self) -> String {
        format!("Origin: http://{}", self.host)
    }

    /// Logs in by the token of the address.
    fn log_in(&mut self) {
        let token = format!("X-Whelk-Console: {}", self.token);
        let (status, head, body) = self.ask("POST /login", &[&self.origin(), &token], "");
        assert_eq!(status, 200, "{body}");
        let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        assert!(cookie.contains("; HttpOnly; SameSite=Strict; Path=/; Max-Age="), "{cookie}");
        cookie.split(';').next().unwrap().clone_into(&mut self.cookie);
        let answer: Value = serde_json::from_str(&body).unwrap();
        answer["key"].as_str().unwrap().clone_into(&mut self.key);
    }

    /// The header fields of a tab that has logged in.
    fn own(&self) -> [String; 2] {
        [format!("Cookie: {}", self.cookie), format!("X-Whelk-Console: {}", self.key)]
    }

    fn state(&self) -> Value {
        let [cookie, key] = self.own();
        let (status, _, body) = self.ask("GET /state", &[&cookie, &key], "");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The cells of the rows of a table.
    fn rows(&self, table: &str) -> Vec<Vec<String>> {
        let rows = self.state()["tables"][table]["rows"].as_array().unwrap().clone();
        rows.into_iter().map(|row| serde_json::from_value(row["cells"].clone()).unwrap()).collect()
    }

    fn end(&self, body: &str) -> (u16, String) {
        let [cookie, key] = self.own();
        let (json, origin) = ("Content-Type: application/json", self.origin());
        let (status, _, told) = self.ask("POST /end", &[&cookie, &key, json, &origin], body);
        (status, told)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // Fails if it has ended already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The host and the token of a printed address.
fn address(line: &str) -> (String, String) {
    let (host, token) = line.strip_prefix("http://").unwrap().split_once("/#").unwrap();
    (host.to_owned(), token.to_owned())
}

/// What a client gets until its channel is closed.
async fn received(peer: &mut Peer) -> String {
    let mut text = Vec::new();
    loop {
        match peer.happens().await.unwrap() {
            Happened::Data(_, _, data) => text.extend(data),
            Happened::Closed(_) => return String::from_utf8(text).unwrap(),
            _ => {}
        }
    }
}

#[test]
fn nothing_but_the_files_is_there_for_others() {
    let server = Server::start("");
    let mut console = Console::start(&server);
    for path in ["/", "/page.css", "/page.js", "/icon.svg"] {
        let (status, head, body) = console.ask(&format!("GET {path}"), &[], "");
        assert!(status == 200 && !body.is_empty(), "{path}: {head}");
        for field in
            ["content-security-policy: default-src 'self'; ", "frame-ancestors 'none'", "cache-control: no-store"]
        {
            assert!(head.contains(field), "{path}: {head}");
        }
    }
    let named = |secret: &str| format!("X-Whelk-Console: {secret}");
    let (origin, wrong, token) = (console.origin(), named(&"0".repeat(64)), named(&console.token));
    let (origin, wrong, token) = (origin.as_str(), wrong.as_str(), token.as_str());
    let other = "Origin: http://127.0.0.1:1";
    for (request, fields, status) in [
        ("GET /state", &[][..], 401),
        ("GET /state", &[token], 401),
        ("POST /state", &[], 405),
        ("OPTIONS /state", &[other, "Access-Control-Request-Headers: x-whelk-console"], 405),
        ("POST /end", &[origin], 401),
        ("POST /end", &[], 403),
        ("GET /end", &[], 405),
        ("POST /login", &[origin], 403),
        ("POST /login", &[origin, wrong], 403),
        ("POST /login", &[token], 403),
        ("POST /login", &[other, token], 403),
        ("POST /login", &[origin, "Sec-Fetch-Site: same-site", token], 403),
        ("POST /login", &[origin, token, token], 403),
        ("GET /login", &[token], 405),
        ("GET /else", &[], 404),
        ("POST /", &[], 405),
    ] {
        let (found, head, _) = console.ask(request, fields, "");
        assert_eq!(found, status, "{request} {fields:?}: {head}");
        assert!(!head.contains("access-control") && !head.contains("set-cookie"), "{head}");
    }
    for host in ["Host: evil.example\r\n", "Host: 127.0.0.1\r\n", "", "Host: evil.example\r\nHost: HOST\r\n"] {
        let host = host.replace("HOST", &console.host);
        for request in ["GET / HTTP/1.1", "GET /state HTTP/1.1", "POST /login HTTP/1.1"] {
            let (status, ..) = console.send(&format!("{request}\r\n{host}{token}\r\n{origin}\r\n\r\n"));
            assert_eq!(status, 421, "{request} {host}");
        }
    }
    let long = format!("X: {}", "y".repeat(40 << 10));
    assert_eq!(console.ask("GET /", &[&long], "").0, 431);
    assert_eq!(console.send("SSH-2.0-client\r\n\r\n").0, 400);
    // All of that has not used up the token, and now it is.
    console.log_in();
    assert_eq!(console.ask("POST /login", &[origin, token], "").0, 403);
    // A new one replaces it.
    kill_process(Pid::from_child(&console.child), Signal::USR1).unwrap();
    let next = address(&console.lines.next().unwrap().unwrap());
    assert!(next.0 == console.host && next.1 != console.token);
}

#[tokio::test]
async fn the_page_shows_what_there_is_and_ends_a_session() {
    let server = Server::start("[audit]\nfile = \"audit.json\"\n");
    std::fs::write(server.path("plugins/<script>.wasm"), "no plugin").unwrap();
    let mut console = Console::start(&server);
    console.log_in();
    assert_eq!(console.rows("sessions"), [[""; 0]; 0]);
    let hostile = b"write <script>alert(1)</script>\x1b]52,c,eA==\x07";
    let (mut alice, _) = server.client("alice", hostile).await;
    let _idle = visit::log_in(server.address, "zoe").await;
    // A state is given to others for some time.
    while console.rows("logins").len() < 2 {}
    let [session] = &console.rows("sessions")[..] else { panic!("one session") };
    assert_eq!((session[0].as_str(), session[1].as_str(), session[2].as_str()), ("1.1", "alice", "acme"));
    assert_eq!(session[12], "write <script>alert(1)</script>\\x1b]52,c,eA==\\x07");
    let logins: Vec<_> = console.rows("logins").into_iter().map(|row| [row[0].clone(), row[1].clone()]).collect();
    assert_eq!(logins, [["1", "alice"], ["2", "zoe"]]);
    let tenants: Vec<_> = console.rows("tenants").into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(tenants, ["acme", "default", "other"]);
    let plugins: Vec<_> = console.rows("plugins").into_iter().map(|row| row[..4].join(" ")).collect();
    assert_eq!(plugins, ["operator plugin script 1"]);
    assert_eq!(console.state()["status"][1], json!(["state", "serving"]));
    while !console.rows("refused").iter().any(|row| row[1] == "<script>.wasm") {}
    // Each of the two secrets alone is nothing.
    let [cookie, key] = console.own();
    for fields in [[cookie.as_str()], [key.as_str()]] {
        assert_eq!(console.ask("GET /state", &fields, "").0, 401);
        let json = ["Content-Type: application/json", &console.origin(), fields[0]];
        assert_eq!(console.ask("POST /end", &json, "{\"id\":\"1.1\",\"reason\":\"\"}").0, 401);
    }
    let (json, origin) = ("Content-Type: application/json", console.origin());
    let own = [cookie.as_str(), &key, &origin];
    assert_eq!(console.ask("POST /end", &own, "{\"id\":\"1.1\",\"reason\":\"\"}").0, 415);
    let form = [&own[..], &["Content-Type: text/plain"]].concat();
    assert_eq!(console.ask("POST /end", &form, "{\"id\":\"1.1\",\"reason\":\"\"}").0, 415);
    let elsewhere = [cookie.as_str(), &key, json, "Origin: http://localhost:1"];
    assert_eq!(console.ask("POST /end", &elsewhere, "{\"id\":\"1.1\",\"reason\":\"\"}").0, 403);
    for (body, status) in [
        ("", 400),
        ("{\"id\":\"1.1\"}", 400),
        ("{\"id\":\"1.1\",\"reason\":\"\",\"user\":\"alice\"}", 400),
        ("{\"id\":\"1.1\\nkill\",\"reason\":\"\"}", 502),
        (&"x".repeat(5 << 10), 413),
    ] {
        assert_eq!(console.end(body).0, status, "{body}");
    }
    assert_eq!(console.rows("sessions").len(), 1, "none of that has ended it");
    let console = Arc::new(console);
    let asking = Arc::clone(&console);
    let end = move || asking.end("{\"id\":\"1.1\",\"reason\":\" maintenance\\u001b[2J \"}");
    let (ended, told) = tokio::join!(spawn_blocking(end), received(&mut alice));
    let ended = ended.unwrap();
    assert!(ended.0 == 200 && ended.1.starts_with("ended: 1 session\n"), "{ended:?}");
    assert!(told.ends_with("whelk: maintenance\\x1b[2J\n"), "{told:?}");
    while !console.rows("sessions").is_empty() {}
    assert_eq!(console.end("{\"id\":\"9.9\",\"reason\":\"\"}").1, "9.9: there is no such session or connection\n");
    let records = server.audited(2, |event| ["session_end_requested", "server_console_opened"].contains(&event));
    let uid = rustix::process::geteuid().as_raw();
    assert!(records.iter().all(|record| record["uid"] == uid), "{records:?}");
    assert_eq!((&records[0]["address"], &records[1]["user"]), (&json!(console.host), &json!("alice")));
}

#[tokio::test]
async fn no_plugin_reaches_the_page_and_the_page_ends_with_the_server() {
    // Any port of this machine, as no operator should write it.
    let ports: Vec<u16> =
        (0..2).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()).collect();
    let (page, other) = (ports[0], ports[1]);
    let grants = format!("[tenants.acme.grants]\ntcp = [\"127.0.0.0/8:{page}\", \"127.0.0.0/8:{other}\"]\n");
    let mut server = Server::start(&grants);
    let listen = format!("127.0.0.1:{page}");
    let mut command = server.whelk(&["console", "--listen", &listen]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    address(&lines.next().unwrap().unwrap());
    let connect = async |server: &Server, port: u16| {
        let command = format!("tcp 127.0.0.1:{port} GET / HTTP/1.1;finish 0");
        let mut peer = visit::log_in(server.address, "alice").await;
        visit::open(&mut peer, Some(&Request::Exec { command: command.as_bytes() })).await;
        received(&mut peer).await
    };
    assert_eq!(connect(&server, page).await, "denied");
    assert!(server.line("destination denied").contains("the operator has reserved the address"));
    // Where nobody listens, it is the machine that refuses.
    assert!(connect(&server, other).await.contains("refused"));
    let (status, _, told) = server.ask(&["console", "--listen", &listen]);
    assert!(status == 2 && told.contains("cannot be listened on"), "{told}");
    server.child.kill().unwrap();
    let ended = child.wait_with_output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.code() == Some(1) && told.contains("it may have stopped"), "{told}");
    for (arguments, words) in [
        (&["--listen", "127.0.0.1:0"][..], "no whelk is running"),
        (&["--listen", "192.0.2.1:2280"], "add --tls-certificate and --tls-key"),
        (&["--listen", "0.0.0.0:2280"], "name one of them"),
        (&["--tls-key", "key"], "--tls-certificate"),
        (&["--name", "a b"], "must be a host name"),
        (&["--tls-key", "absent", "--tls-certificate", "absent"], "--tls-certificate: absent: "),
    ] {
        let (status, _, told) = server.ask(&[&["console"], arguments].concat());
        assert!(status != 0 && told.contains(words), "{arguments:?}: {told}");
    }
}
