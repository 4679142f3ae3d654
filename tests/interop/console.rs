//! The page of `whelk console` in Chromium.

mod browser;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};
use whelk_tests::{
    Call, Client, Gateway, Input, LATER, Output, Running, SOON, Setup, figure, program, repository, size,
};

use browser::{Browser, Tab};

use crate::watched::{CROWD_LIMITS, idle_crowd};

/// The picture of the README.
const PICTURE: &str = "tests/interop/console/console.png";

const USERS: &str = r#"
[users.alice]
plugin = "sh"
auth = "none"
tenant = "acme"
[users.bob]
plugin = "sh"
auth = "none"
tenant = "acme"
[users."<script>alert(1)</script>"]
plugin = "sh"
auth = "none"
tenant = "other"
[tenants.acme.limits]
tenant_sessions = 100
[tenants.acme.grants]
process = true
[tenants.other.grants]
process = true
"#;

/// A command that waits, with what a browser must not take for a part of the page.
const HOSTILE: &str = "read x #<img src onerror=alert(1)> \u{1b}]52;c;eA==\u{7}";

/// A page, and the address that opens it once.
struct Console {
    process: Running,
    /// `http://127.0.0.1:PORT`.
    origin: String,
    address: String,
}

fn console(gateway: &Gateway, options: &[&str]) -> Console {
    let mut command = Command::new(program());
    command
        .arg("console")
        .args(options)
        .args(["--listen", "127.0.0.1:0", "--state"])
        .arg(gateway.folder().join("state"));
    let process = Running::start(command, Input::Nothing, Output::Read, LATER);
    process.wait_for_output("\n");
    let address = process.wait("its address", |seen| Some(seen.out.text())).trim().to_owned();
    let origin = address.split("/#").next().expect("an address").to_owned();
    Console { process, origin, address }
}

fn served() -> Gateway {
    let setup = Setup::default().configuration(USERS).shell();
    let gateway = setup.start();
    std::fs::write(gateway.plugins().join("<b>bold.wasm"), "no plugin").expect("our own folder");
    gateway
}

/// A session of OpenSSH with a terminal.
fn shell(gateway: &Gateway, user: &str) -> Running {
    let shell = Call::new(Client::OpenSsh100, gateway, user).pty().start();
    shell.wait_for_output("$ ");
    shell
}

/// The page, logged in.
fn opened(browser: &mut Browser, console: &Console) -> Tab {
    let tab = browser.open();
    browser.visit(&tab, &console.address);
    browser.until_text(&tab, "#state", |text| text.starts_with("As of"));
    tab
}

/// A request by hand with these lines: its status.
fn status(origin: &str, lines: &str) -> u16 {
    let mut stream = TcpStream::connect(origin.trim_start_matches("http://")).expect("the page is served");
    stream.set_read_timeout(Some(SOON)).expect("a time");
    stream.write_all(format!("{lines}\r\n\r\n").as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers with text");
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("an answer has a status")
}

/// A site of somebody else on another port of this machine: its origin, and the cookies that browsers send to it.
fn other_site() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there are ports");
    let origin = format!("http://{}", listener.local_addr().expect("it is bound"));
    let (sender, cookies) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().filter_map(Result::ok) {
            let mut head = vec![0; 16 << 10];
            let count = stream.read(&mut head).unwrap_or_default();
            let head = String::from_utf8_lossy(&head[..count]).into_owned();
            let cookie = head.lines().find_map(|line| line.strip_prefix("Cookie: "));
            // Nobody may want to know it any more.
            let _ = sender.send(cookie.unwrap_or_default().to_owned());
            let page = "<!DOCTYPE html><title>other</title><link rel=icon href=data:,><body>other";
            let length = page.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n");
            let _ = stream.write_all(format!("{head}Connection: close\r\n\r\n{page}").as_bytes());
        }
    });
    (origin, cookies)
}

#[test]
fn sessions_are_seen_live_and_ended_from_the_page() {
    let gateway = served();
    let console = console(&gateway, &[]);
    let mut browser = Browser::start();
    let tab = opened(&mut browser, &console);
    assert_eq!(browser.evaluate(&tab, "location.href"), json!(format!("{}/", console.origin)), "the token has gone");
    browser.until_text(&tab, "#sessions", |text| text.contains("No sessions."));
    browser.until_text(&tab, "#refused", |text| text.contains("<b>bold.wasm"));
    let shells = [shell(&gateway, "alice"), shell(&gateway, "bob")];
    let hostile = Call::new(Client::Ours, &gateway, "<script>alert(1)</script>").exec(HOSTILE).start();
    let shown = browser.until_text(&tab, "#sessions", |text| text.contains("onerror"));
    for text in
        ["alice", "bob", "<script>alert(1)</script>", "(shell)", "<img src onerror=alert(1)> \\x1b]52;c;eA==\\x07"]
    {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    let logins = browser.until_text(&tab, "#logins", |text| text.contains("<script>alert(1)</script>"));
    assert!(logins.contains("none") && logins.contains("127.0.0.1:"), "{logins}");
    let tenants = browser.text(&tab, "#tenants");
    assert!(tenants.contains("acme\t2/100\t"), "{tenants}");
    let plugins = browser.text(&tab, "#plugins");
    assert!(plugins.contains("operator\tprogram\tsh\t1\t"), "{plugins}");
    assert!(browser.text(&tab, "#status").contains("serving"));
    let made = "[document.images.length, document.querySelectorAll('body script, b').length, document.title]";
    assert_eq!(browser.evaluate(&tab, made), json!([0, 0, "Whelk console"]));
    picture(&mut browser, &tab);
    // By keys alone: the button, a reason, Enter.
    let find = "document.querySelector('#sessions button[aria-label$=\" of alice\"]')";
    let label = browser.evaluate(&tab, &format!("(button => (button.focus(), button.ariaLabel))({find})"));
    assert!(label.as_str().is_some_and(|label| label.starts_with("End session ")), "{label}");
    browser.press(&tab, "Enter", 13);
    browser.until_text(&tab, "#ending", |text| text.contains("User alice of tenant acme."));
    browser.type_text(&tab, "maintenance at noon");
    browser.press(&tab, "Enter", 13);
    let [alice, bob] = shells;
    // The end of its input would end it, too.
    alice.wait_soon("the reason", |seen| {
        let texts = [seen.out.text(), seen.err.text()];
        texts.iter().any(|text| text.contains("whelk: maintenance at noon")).then_some(())
    });
    assert_ne!(alice.finish().status, Some(0));
    browser.until_text(&tab, "#outcome", |text| text.contains("ended: 1 session"));
    let shown = browser.until_text(&tab, "#sessions", |text| !text.contains("alice"));
    assert!(shown.contains("bob") && shown.contains("<script>alert(1)</script>"), "{shown}");
    // Escape changes nothing, and a session that ends by itself goes.
    browser.evaluate(&tab, "document.querySelector('#sessions button[aria-label$=\" of bob\"]').click()");
    browser.until_text(&tab, "#ending", |text| text.contains("User bob"));
    browser.press(&tab, "Escape", 27);
    bob.kill_and_wait();
    browser.until_text(&tab, "#sessions", |text| !text.contains("bob"));
    hostile.kill_and_wait();
    browser.until_text(&tab, "#sessions", |text| text.contains("No sessions."));
    assert_eq!(browser.errors(&tab), [Value::Null; 0]);
    weigh(&browser, &tab);
    gateway.end();
    browser.until_text(&tab, "#notice", |text| text.contains("does not answer"));
    assert_eq!(console.process.finish().status, Some(1));
}

/// The picture of the README is written anew on request: what it shows of the moment differs each time.
fn picture(browser: &mut Browser, tab: &Tab) {
    browser.resize(tab, 390, 800);
    let width = browser.evaluate(tab, "document.documentElement.scrollWidth");
    assert!(width.as_u64().is_some_and(|width| width <= 390), "a phone shows it without scrolling sideways: {width}");
    let ground = "getComputedStyle(document.body).backgroundColor";
    assert_eq!(browser.evaluate(tab, ground), json!("rgb(255, 255, 255)"));
    let dark = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
    browser.ask(Some(tab), "Emulation.setEmulatedMedia", dark);
    assert_eq!(browser.evaluate(tab, ground), json!("rgb(22, 25, 29)"));
    browser.ask(Some(tab), "Emulation.setEmulatedMedia", json!({ "features": [] }));
    browser.resize(tab, 1240, 680);
    let picture = browser.picture(tab);
    if std::env::var_os("WHELK_BLESS").is_some() {
        let mut decode = Command::new("base64");
        decode.arg("-d");
        let decoded = Running::run(decode, Input::Bytes(picture.into_bytes()), SOON).out.kept;
        std::fs::write(repository().join(PICTURE), decoded).expect("the repository can be written");
    }
}

/// Prints what the page weighs.
fn weigh(browser: &Browser, tab: &Tab) {
    let of: std::collections::BTreeMap<String, String> = browser
        .events(tab, "Network.requestWillBeSent")
        .iter()
        .map(|event| (event["requestId"].to_string(), event["request"]["url"].as_str().unwrap_or_default().to_owned()))
        .collect();
    let (mut files, mut states) = (0, Vec::new());
    for event in browser.events(tab, "Network.loadingFinished") {
        let bytes = event["encodedDataLength"].as_u64().unwrap_or_default();
        match of.get(&event["requestId"].to_string()) {
            Some(url) if url.ends_with("/state") => states.push(bytes),
            _ => files += bytes,
        }
    }
    assert!(files > 0 && files < 40_000, "{files} bytes");
    figure("bytes of the page with its files and its login", files);
    figure("bytes of a state, at least and at most", format!("{:?} {:?}", states.iter().min(), states.iter().max()));
}

#[test]
fn another_origin_and_another_name_get_nothing() {
    let gateway = served();
    let console = console(&gateway, &[]);
    let mut browser = Browser::start();
    let page = opened(&mut browser, &console);
    let alice = shell(&gateway, "alice");
    browser.until_text(&page, "#sessions", |text| text.contains("alice"));
    let (origin, cookies) = other_site();
    let other = browser.open();
    browser.visit(&other, &origin);
    let id = browser.evaluate(&page, "document.querySelector('#sessions tbody td').innerText");
    let target = &console.origin;
    let tries = |options: &str, path: &str| {
        format!(
            "fetch('{target}/{path}', {options}).then(answer => answer.text().then(text => answer.type + text), \
                 () => 'blocked')"
        )
    };
    let body = format!("body: JSON.stringify({{ id: {id}, reason: '' }})");
    for (options, path) in [
        ("{ credentials: 'include' }".to_owned(), "state"),
        ("{ credentials: 'include', headers: { 'x-whelk-console': '1' } }".to_owned(), "state"),
        ("{ credentials: 'include', mode: 'no-cors' }".to_owned(), "state"),
        ("{ credentials: 'include', mode: 'no-cors' }".to_owned(), "page.js"),
        (format!("{{ credentials: 'include', method: 'POST', mode: 'no-cors', {body} }}"), "end"),
        (format!("{{ credentials: 'include', method: 'POST', headers: {{ 'x-whelk-console': '1' }}, {body} }}"), "end"),
    ] {
        let got = browser.evaluate(&other, &tries(&options, path));
        assert_eq!(got, json!("blocked"), "{path} {options}");
    }
    // A form, of which nobody can see the answer, and a frame.
    let form = format!(
        "new Promise(done => {{ const frame = document.createElement('iframe'); frame.name = 'f'; \
         document.body.append(frame); const form = document.createElement('form'); form.method = 'post'; \
         form.action = '{target}/end'; form.target = 'f'; form.enctype = 'text/plain'; document.body.append(form); \
         frame.onload = () => done(frame.contentDocument === null); form.submit(); }})"
    );
    assert_eq!(browser.evaluate(&other, &form), json!(true));
    let frame = format!(
        "new Promise(done => {{ const frame = document.createElement('iframe'); frame.src = '{target}/'; \
         frame.onload = () => done(frame.contentDocument === null && frame.contentWindow.length === 0); \
         document.body.append(frame); }})"
    );
    assert_eq!(browser.evaluate(&other, &frame), json!(true));
    // Browsers send cookies to every port of a host. The cookie alone opens nothing.
    browser.visit(&other, &origin);
    let cookie = cookies.iter().find(|cookie| cookie.contains("whelk_console_")).expect("the other site gets it");
    let host = console.origin.trim_start_matches("http://");
    let own = format!("GET /state HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nX-Whelk-Console: 1");
    assert_eq!(status(&console.origin, &own), 401);
    // A name that leads to this machine and is not ours, and the address a second time.
    let renamed = console.address.replace("127.0.0.1", "rebound.localhost");
    browser.visit(&other, &renamed);
    assert!(browser.text(&other, "body").contains("the page has another name"));
    browser.visit(&other, &console.address);
    browser.until_text(&other, "#notice", |text| text.contains("the address is not valid any more"));
    assert!(!browser.text(&other, "body").contains("alice"));
    assert!(browser.text(&page, "#sessions").contains("alice"), "it goes on");
    assert!(alice.is_alive());
    alice.kill_and_wait();
    assert_eq!(browser.errors(&page), [Value::Null; 0]);
    gateway.end();
}

/// The page of a busy server has an end, and one state serves several tabs.
#[test]
fn many_sessions_are_shown_as_far_as_there_are_rows() {
    let many = size(50, 1_000);
    let user = "[users.crowd]\nplugin = \"probe\"\nauth = \"none\"\n";
    let gateway = Setup::default().configuration(&format!("{CROWD_LIMITS}{user}")).start();
    let most = (many / 2).to_string();
    let crowd = idle_crowd(&gateway, many);
    let console = console(&gateway, &["--rows", &most]);
    let mut browser = Browser::start();
    let tab = opened(&mut browser, &console);
    let rest = format!("{} more are not shown: see whelk sessions, or --rows.", many - many / 2);
    browser.until_text(&tab, "#sessions", |text| text.contains(&rest));
    let rows = "document.querySelectorAll('#sessions tbody tr').length";
    assert_eq!(browser.evaluate(&tab, rows), json!(many / 2));
    let read = "(async () => { const began = performance.now(); const headers = \
                { 'x-whelk-console': sessionStorage.getItem('key') }; \
                const answers = await Promise.all([1, 2, 3, 4, 5].map(() => fetch('state', { headers }))); \
                const texts = await Promise.all(answers.map(answer => answer.text())); \
                return [performance.now() - began, texts[0].length, new Set(texts).size]; })()";
    let read = browser.evaluate(&tab, read);
    assert!(read[2].as_u64().is_some_and(|different| different <= 2), "one is for all: {read}");
    figure("five states of the page at once, ms", &read[0]);
    figure("bytes of one", &read[1]);
    assert_eq!(browser.errors(&tab), [Value::Null; 0]);
    drop(crowd);
    gateway.end();
}
