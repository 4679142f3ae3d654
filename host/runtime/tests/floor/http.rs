//! HTTP requests of a tenant that grants hosts: which are sent, which are refused, and what is left when a session
//! ends.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use whelk_runtime::{AllowList, Error, Grants, Limit, Limits, Plugin, TcpAllow, Tenant};

use crate::client::Client;
use crate::{guests, log};

const LARGE: usize = 64 << 20;

/// The plugin that makes requests.
pub(crate) fn fetch() -> Arc<Plugin> {
    static FETCH: OnceLock<Arc<Plugin>> = OnceLock::new();
    Arc::clone(FETCH.get_or_init(|| Plugin::load(guests::engine(), "fetch", &guests::wasm("fetch")).unwrap()))
}

/// What the server reports about its connections.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// The head of a request.
    Asked(String),
    /// This many bytes were sent when no more were accepted.
    Stalled(usize),
    /// The body of a request had this many bytes, including framing.
    Uploaded(usize),
    /// The client has closed.
    Gone,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    told: mpsc::UnboundedReceiver<Told>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, told) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, tell.clone()));
            }
        });
        Self { address, told }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn asked(&mut self) -> String {
        match self.told.recv().await {
            Some(Told::Asked(head)) => head,
            other => panic!("{other:?}"),
        }
    }
}

/// Answers one request by its path.
async fn serve(mut stream: TcpStream, tell: mpsc::UnboundedSender<Told>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let path = head.split(' ').nth(1)?.to_owned();
    tell.send(Told::Asked(head)).ok()?;
    let answer = match path.as_str() {
        "/hello" => "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".to_owned(),
        "/moved" => "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/hello\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "/short" => "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello".to_owned(),
        "/nonsense" => "220 mail.example.org ESMTP\r\n\r\n".to_owned(),
        "/head" => format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(100_000)),
        "/upload" => {
            let mut bytes = Vec::new();
            while !bytes.ends_with(b"\r\n0\r\n\r\n") {
                if stream.read_buf(&mut bytes).await.ok()? == 0 {
                    break;
                }
            }
            tell.send(Told::Uploaded(bytes.len())).ok()?;
            "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
        }
        "/large" => {
            large(&mut stream, &tell).await?;
            String::new()
        }
        "/early" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly").await.ok()?;
            let _ = stream.read_to_end(&mut Vec::new()).await;
            tell.send(Told::Gone).ok()?;
            String::new()
        }
        // Never answers.
        _ => {
            let _ = stream.read_to_end(&mut Vec::new()).await;
            tell.send(Told::Gone).ok()?;
            String::new()
        }
    };
    stream.write_all(answer.as_bytes()).await.ok()
}

async fn large(stream: &mut TcpStream, tell: &mpsc::UnboundedSender<Told>) -> Option<()> {
    stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n").as_bytes()).await.ok()?;
    let (piece, mut sent, mut stalled) = (vec![1_u8; 64 << 10], 0, false);
    while sent < LARGE {
        match stream.try_write(&piece[..piece.len().min(LARGE - sent)]) {
            Ok(bytes) => sent += bytes,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                if !std::mem::replace(&mut stalled, true) {
                    tell.send(Told::Stalled(sent)).ok()?;
                }
                stream.writable().await.ok()?;
            }
            Err(_) => {
                tell.send(Told::Gone).ok()?;
                return None;
            }
        }
    }
    Some(())
}

fn client(entries: &[&str], limits: Limits) -> Client {
    let http = Some(Arc::new(AllowList::parse(entries).unwrap()));
    Client::of(&Tenant::new("acme", limits, Grants { http, ..Grants::default() }), &fetch(), &[])
}

/// The output of a script, a line for each action.
async fn lines(entries: &[&str], limits: Limits, script: &str) -> Vec<String> {
    let (recorder, report) = client(entries, limits).then(&format!("{script};finish")).await;
    assert!(report.error.is_none(), "{:?}", report.error);
    recorder.text().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_request_to_a_listed_host_succeeds() {
    let mut server = Server::start().await;
    let listed = server.address.to_string();
    let text = lines(&[&listed], Limits::default(), &format!("get {}", server.url("/hello"))).await;
    assert_eq!(text, ["200 hello"]);
    let head = server.asked().await;
    let (first, rest) = head.split_once("\r\n").unwrap();
    assert_eq!(first, "GET /hello HTTP/1.1");
    let mut headers: Vec<_> = rest.trim_end().split("\r\n").collect();
    headers.sort_unstable();
    assert_eq!(headers, [format!("host: {listed}"), "x-asked: by-test".to_owned()]);
}

#[tokio::test]
async fn a_redirect_is_returned_and_not_followed() {
    let server = Server::start().await;
    let text = lines(&[&server.address.to_string()], Limits::default(), &format!("get {}", server.url("/moved"))).await;
    assert_eq!(text, ["302 location=http://127.0.0.1:1/hello "]);
}

#[tokio::test]
async fn a_large_body_waits_at_the_server_until_it_is_read() {
    let mut server = Server::start().await;
    let mut client = client(&[&server.address.to_string()], Limits::default());
    client.run(&format!("open {}", server.url("/large")));
    client.until_stdout("opened\n".len()).await;
    server.asked().await;
    match server.told.recv().await {
        Some(Told::Stalled(sent)) => assert!(sent < LARGE, "{sent}"),
        other => panic!("{other:?}"),
    }
    client.send(format!("read {LARGE};read 1").as_bytes());
    let text = client.until_stdout("opened\nread\n1 missing: closed\n".len()).await;
    assert_eq!(text, "opened\nread\n1 missing: closed\n");
}

#[tokio::test]
async fn a_body_arrives_whole_both_ways() {
    let mut server = Server::start().await;
    let (large, upload) = (server.url("/large"), server.url("/upload"));
    let script = format!("sum {large};post {upload} 1000000");
    let text = lines(&[&server.address.to_string()], Limits::default(), &script).await;
    assert_eq!(text, [format!("{LARGE} {LARGE}"), "204 ".to_owned()]);
    loop {
        match server.told.recv().await.unwrap() {
            Told::Uploaded(bytes) => break assert!(bytes > 1_000_000, "{bytes}"),
            Told::Asked(_) | Told::Stalled(_) => {}
            Told::Gone => panic!("cut off"),
        }
    }
}

#[tokio::test]
async fn an_unlisted_address_is_denied_and_logged_once() {
    log::listen();
    let mut server = Server::start().await;
    let port = server.address.port();
    let client =
        client(&[&format!("127.0.0.1:{}", port ^ 1), "api.example.org", "http://localhost:1"], Limits::default());
    let id = client.id.clone();
    let here = server.url("/hello");
    let urls = [
        here.clone(),
        here.clone(),
        format!("http://localhost:{port}/"),
        "http://10.0.0.1/".to_owned(),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://api.example.org/".to_owned(),
        "https://api.example.org:8443/".to_owned(),
        "https://evil.example.org/".to_owned(),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
    ];
    let script: String = urls.iter().map(|url| format!("get {url};")).collect();
    let text = client.then(&format!("{script}finish")).await.0.text();
    assert_eq!(text.lines().collect::<Vec<_>>(), vec!["error ErrorCode::HttpRequestDenied"; urls.len()]);
    let lines = log::lines(&id);
    let denied: Vec<_> = lines.iter().filter(|line| line.fields["message"] == "destination denied").collect();
    // The first three have one destination, the last another.
    assert_eq!(denied.len(), urls.len() - 2);
    assert_eq!(denied[0].fields["destination"], format!("http://127.0.0.1:{port}"));
    assert_eq!(denied[0].fields["tenant"], "acme");
    assert!(server.told.try_recv().is_err(), "somebody came");
}

#[tokio::test]
async fn a_name_that_resolves_to_this_machine_is_refused_unless_listed() {
    log::listen();
    let mut server = Server::start().await;
    let (address, port) = (server.address.to_string(), server.address.port());
    let name = format!("http://localhost:{port}");
    let refused = client(&[&name], Limits::default());
    let id = refused.id.clone();
    let text = refused.then(&format!("get {name}/hello;finish")).await.0.text();
    assert_eq!(text, "error ErrorCode::DestinationIpProhibited\n");
    assert!(server.told.try_recv().is_err(), "somebody came");
    assert!(log::lines(&id).iter().any(|line| line.fields["destination"].ends_with("at 127.0.0.1")));
    let text = lines(&[&name, &address], Limits::default(), &format!("get {name}/hello")).await;
    assert_eq!(text, ["200 hello"]);
    assert!(server.asked().await.contains(&format!("host: localhost:{port}\r\n")));
}

#[tokio::test]
async fn requests_with_a_forbidden_method_url_or_header_are_refused() {
    let server = Server::start().await;
    let listed = server.address.to_string();
    let script = format!(
        "connect {};get http://api.example.org@{listed}/;header host evil;header connection close",
        server.url("/hello")
    );
    let text = lines(&[&listed], Limits::default(), &script).await;
    let forbidden = "HeaderError::Forbidden";
    assert_eq!(
        text,
        ["error ErrorCode::HttpRequestMethodInvalid", "error ErrorCode::HttpRequestUriInvalid", forbidden, forbidden]
    );
}

#[tokio::test]
async fn a_server_with_a_self_signed_certificate_is_refused() {
    use tokio_rustls::rustls::{ServerConfig, crypto, pki_types::PrivateKeyDer};
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    #[cfg(feature = "aws-lc-rs")]
    let provider = crypto::aws_lc_rs::default_provider();
    #[cfg(not(feature = "aws-lc-rs"))]
    let provider = crypto::ring::default_provider();
    let config = ServerConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let _ = tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(stream).await;
    });
    let text = lines(&[&address.to_string()], Limits::default(), &format!("get https://{address}/")).await;
    assert_eq!(text, ["error ErrorCode::TlsCertificateError"]);
}

#[tokio::test]
async fn the_concurrent_requests_of_a_session_are_limited() {
    let server = Server::start().await;
    let limits = Limits { http_requests: 2, ..Limits::default() };
    let (large, hello) = (server.url("/large"), server.url("/hello"));
    let script = format!("open {large};open {large};get {hello};close;get {hello};get {hello}");
    let text = lines(&[&server.address.to_string()], limits, &script).await;
    let full = "error ErrorCode::ConnectionLimitReached";
    assert_eq!(text, ["opened", "opened", full, "closed", "200 hello", "200 hello"]);
}

#[tokio::test]
async fn a_request_with_a_complete_response_keeps_no_connection_whatever_remains_to_send() {
    let mut server = Server::start().await;
    let limits = Limits { http_requests: 1, ..Limits::default() };
    let mut client = client(&[&server.address.to_string()], limits);
    client.run("close");
    for round in 1..=3 {
        client.send(format!("begin {}", server.url("/early")).as_bytes());
        let text = client.until_stdout("none\n".len() + "early\n".len() * round).await;
        assert!(text.ends_with("early\n"), "{text}");
        server.asked().await;
        // The sent bytes had time to arrive.
        assert_eq!(server.told.recv().await, Some(Told::Gone));
    }
}

#[tokio::test]
async fn files_sockets_and_requests_of_a_tenant_are_counted_together() {
    let server = Server::start().await;
    let listed = server.address.to_string();
    let http = Some(Arc::new(AllowList::parse(&[&listed]).unwrap()));
    let tcp = Some(Arc::new(TcpAllow::parse(&[&listed]).unwrap()));
    let limits = Limits { tenant_open_files: 5, ..Limits::default() };
    let tenant = Tenant::new("acme", limits, Grants { http, tcp, ..Grants::default() });
    let mut sockets = Client::of(&tenant, &guests::script(), &[]);
    sockets.run(&format!("tcp-hold {listed} 4"));
    assert_eq!(sockets.until_stdout(1).await, "4");
    let large = server.url("/large");
    let mut requests = Client::of(&tenant, &fetch(), &[]);
    requests.run(&format!("open {large};open {large}"));
    let told = "opened\nerror ErrorCode::ConnectionLimitReached\n";
    assert_eq!(requests.until_stdout(told.len()).await, told);
    let hold = format!("tcp-hold {listed} 9;finish 0");
    let text = Client::of(&tenant, &guests::script(), &[]).then(&hold).await.0.text();
    assert!(text.ends_with(" after 0"), "{text}");
    sockets.task.abort();
    assert!(sockets.task.await.unwrap_err().is_cancelled());
    let text = Client::of(&tenant, &guests::script(), &[]).then(&hold).await.0.text();
    assert!(text.ends_with(" after 4"), "{text}");
}

#[tokio::test]
async fn bodies_above_their_limit_are_aborted() {
    let server = Server::start().await;
    let limits = Limits { http_body: 100_000, ..Limits::default() };
    let (large, upload) = (server.url("/large"), server.url("/upload"));
    let script = format!("sum {large};post {upload} 200000;post {upload} 1000");
    let text = lines(&[&server.address.to_string()], limits, &script).await;
    assert!(text[0].contains("broken off: HTTP response body size exceeds limit"), "{text:?}");
    let read: usize = text[0].split(' ').next().unwrap().parse().unwrap();
    assert!(read <= 100_000, "{read}");
    assert_eq!(text[1..], ["error ErrorCode::HttpRequestBodySize(Some(100000))", "204 "]);
}

#[tokio::test]
async fn headers_above_their_limit_end_the_request_or_the_plugin() {
    let server = Server::start().await;
    let listed = server.address.to_string();
    let text = lines(&[&listed], Limits::default(), &format!("get {};headers 50", server.url("/head"))).await;
    assert!(text[0].starts_with("error ErrorCode::HttpResponseHeaderSectionSize(Some("), "{text:?}");
    assert_eq!(text[1], "made");
    let (_, report) = client(&[&listed], Limits::default()).then("headers 500").await;
    assert!(matches!(report.error, Some(Error::Limit { limit: Limit::Resources, .. })), "{:?}", report.error);
}

#[tokio::test]
async fn the_header_lists_of_a_session_are_limited() {
    let text = lines(&["api.example.org"], Limits::default(), "lists 60;lists 60").await;
    assert_eq!(text, ["60 lists", "60 lists"]);
    let (_, report) = client(&["api.example.org"], Limits::default()).then("lists 70").await;
    assert!(matches!(report.error, Some(Error::Limit { limit: Limit::Resources, .. })), "{:?}", report.error);
}

/// A tenant with and without the grant.
fn tenants(limits: &Limits) -> [Arc<Tenant>; 2] {
    let http = Some(Arc::new(AllowList::parse(&["api.example.org"]).unwrap()));
    [Grants { http, ..Grants::default() }, Grants::default()].map(|grants| Tenant::new("acme", limits.clone(), grants))
}

#[tokio::test]
async fn unsent_requests_take_little_host_memory() {
    for tenant in tenants(&Limits::default()) {
        let client = || Client::of(&tenant, &fetch(), &[]);
        // None of the long texts is kept, granted or not.
        let text = client().then("requests 10 4000000;drop;requests 1 60;finish").await.0.text();
        assert_eq!(text, "0 taken\ndropped\n4 taken\n");
        let (_, report) = client().then("requests 1000 4000000").await;
        assert!(matches!(report.error, Some(Error::Limit { limit: Limit::Resources, .. })), "{:?}", report.error);
        assert_eq!(tenant.memory(), 0);
    }
}

#[tokio::test]
async fn the_memory_of_requests_is_charged_to_the_tenant_while_they_exist() {
    // At most, for 10 requests with their bodies: fields and trailers, a path, and two writes to a body.
    for (tenant, part) in tenants(&Limits::default()).iter().zip([(16 + 8 + 16 + 32) << 10, (4 + 8 + 4 + 8) << 10]) {
        let mut client = Client::of(tenant, &fetch(), &[]);
        client.run("drop");
        client.until_stdout("dropped\n".len()).await;
        let before = tenant.memory();
        client.send(b"requests 10 1");
        let text = client.until_stdout("dropped\n40 taken\n".len()).await;
        assert!(text.ends_with("taken\n"), "{text}");
        let held = tenant.memory() - before;
        assert!((10 * part..=20 * part + (1 << 20)).contains(&held), "{held}");
        client.send(b"drop");
        client.until_stdout("dropped\n40 taken\ndropped\n".len()).await;
        client.send(b"close");
        client.until_stdout("dropped\n40 taken\ndropped\nnone\n".len()).await;
        let after = tenant.memory() - before;
        assert!(after + 10 * part <= held, "{after} of {held}");
    }
}

#[tokio::test]
async fn server_failures_are_distinguished() {
    let server = Server::start().await;
    let listed = server.address.to_string();
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let (short, nonsense, never) = (server.url("/short"), server.url("/nonsense"), server.url("/never"));
    // The plugin's own timeout is 1 ms, and the server never answers.
    let script = format!("get http://{gone}/;get {nonsense};get {never} 1;get {short}");
    let text = lines(&[&listed, &gone], Limits::default(), &script).await;
    let codes = ["ConnectionRefused", "HttpProtocolError", "ConnectionReadTimeout"];
    assert_eq!(text[..3], codes.map(|code| format!("error ErrorCode::{code}")));
    assert!(text[3] == "200 hello broken off: incomplete HTTP response", "{text:?}");
}

#[tokio::test]
async fn a_session_that_is_dropped_in_the_middle_of_a_request_closes_its_connection() {
    let mut server = Server::start().await;
    for path in ["/never", "/large"] {
        let mut client = client(&[&server.address.to_string()], Limits::default());
        let word = if path == "/large" { "open" } else { "get" };
        client.run(&format!("{word} {}", server.url(path)));
        server.asked().await;
        if path == "/large" {
            client.until_stdout("opened\n".len()).await;
            assert!(matches!(server.told.recv().await, Some(Told::Stalled(_))));
        }
        client.task.abort();
        assert_eq!(server.told.recv().await, Some(Told::Gone));
    }
}

#[tokio::test]
async fn without_the_grant_a_plugin_runs_and_each_request_is_denied() {
    // W31
    log::listen();
    let mut server = Server::start().await;
    let plugin = fetch();
    assert!(plugin.imports().iter().any(|import| import.starts_with("wasi:http/outgoing-handler@0.2.")));
    assert!(plugin.needs().is_empty(), "toolchains import it whether it is used or not");
    let tenant = Tenant::new("acme", Limits::default(), Grants::default());
    plugin.check_grants(&tenant).unwrap();
    let client = Client::of(&tenant, &plugin, &[]);
    let (id, here) = (client.id.clone(), server.url("/hello"));
    let (recorder, report) = client.then(&format!("get {here};get https://example.org/;headers 3;finish")).await;
    let denied = "error ErrorCode::HttpRequestDenied\n";
    assert_eq!(recorder.text(), format!("{denied}{denied}made\n"), "{report:?}");
    assert!(server.told.try_recv().is_err(), "somebody came");
    // Logged with the line that would grant it, once however many sessions a client begins.
    let denials = |id: &str| -> Vec<_> {
        log::lines(id).into_iter().filter(|line| line.fields["message"] == "destination denied").collect()
    };
    let told = denials(&id);
    assert_eq!(told.len(), 1);
    let reason = &told[0].fields["reason"];
    assert!(reason.ends_with(": [tenants.acme.grants] http = [\"HOST\"]"), "{reason}");
    for _ in 0..3 {
        let client = Client::of(&tenant, &plugin, &[]);
        let id = client.id.clone();
        assert_eq!(client.then(&format!("get {here};finish")).await.0.text(), denied);
        assert_eq!(denials(&id).len(), 0);
    }
}
