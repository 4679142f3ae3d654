//! A headless Chromium, by the DevTools protocol: JSON messages that end with a zero byte, on descriptors 3 and 4.

use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;
use whelk_tests::{Input, LATER, Output, Running, SOON, client_program};

/// A browser without a profile. It is killed when it is dropped.
pub(super) struct Browser {
    process: Running,
    /// How many messages have been sent.
    sent: u64,
    _profile: TempDir,
}

/// A tab of it.
pub(super) struct Tab {
    session: String,
}

/// Moves the pipes of the shell to the descriptors of the protocol, and becomes the browser.
const WITH_PIPES: &str = "exec \"$@\" 3<&0 4>&1 </dev/null >&2";

const OPTIONS: [&str; 11] = [
    "--headless",
    "--remote-debugging-pipe",
    // Tests run as root in containers, too, where its sandbox cannot be made.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

impl Browser {
    pub(super) fn start() -> Browser {
        let profile = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new("sh");
        command.args(["-c", WITH_PIPES, "sh"]).arg(client_program("chromium")).args(OPTIONS);
        command.arg(format!("--user-data-dir={}", profile.path().display())).env("HOME", profile.path());
        let process = Running::start(command, Input::Held, Output::Read, LATER);
        Browser { process, sent: 0, _profile: profile }
    }

    /// A tab, of which everything is told that happens in it.
    pub(super) fn open(&mut self) -> Tab {
        let target = self.ask(None, "Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = self.ask(None, "Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        let tab = Tab { session: attached["sessionId"].as_str().expect("a tab has a session").to_owned() };
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"] {
            self.ask(Some(&tab), domain, json!({}));
        }
        tab
    }

    /// The result of a command of the protocol.
    pub(super) fn ask(&mut self, tab: Option<&Tab>, method: &str, parameters: Value) -> Value {
        self.sent += 1;
        let id = self.sent;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(tab) = tab {
            message["sessionId"] = tab.session.clone().into();
        }
        self.process.type_in(format!("{message}\0").as_bytes());
        let answer = self.wait(method, |message| (message["id"] == id).then(|| message.clone()));
        assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
        answer["result"].clone()
    }

    /// Waits for a message of the browser.
    fn wait<T>(&self, what: &str, look: impl Fn(&Value) -> Option<T>) -> T {
        let mut read = 0;
        self.process.wait_soon(what, |seen| {
            let unread = seen.out.kept.get(read..).unwrap_or_default();
            let whole = unread.iter().rposition(|byte| *byte == 0).map_or(0, |end| end + 1);
            read += whole;
            messages(&unread[..whole]).find_map(|message| look(&message))
        })
    }

    /// Everything that has happened in a tab so far: the parameters of the events of this name.
    pub(super) fn events(&self, tab: &Tab, name: &str) -> Vec<Value> {
        let is_it = |message: &Value| message["method"] == name && message["sessionId"] == tab.session;
        self.process.wait_soon("messages", |seen| {
            Some(messages(&seen.out.kept).filter(is_it).map(|message| message["params"].clone()).collect())
        })
    }

    /// Goes to an address, and waits until that is loaded.
    pub(super) fn visit(&mut self, tab: &Tab, address: &str) {
        let before = self.events(tab, "Page.loadEventFired").len();
        self.ask(Some(tab), "Page.navigate", json!({ "url": address }));
        self.until(tab, address, |browser| browser.events(tab, "Page.loadEventFired").len() > before);
    }

    /// What an expression is in a tab, once it is settled.
    pub(super) fn evaluate(&mut self, tab: &Tab, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.ask(Some(tab), "Runtime.evaluate", parameters);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// The text of an element, as it is shown.
    pub(super) fn text(&mut self, tab: &Tab, selector: &str) -> String {
        let shown = self.evaluate(tab, &format!("document.querySelector({selector:?})?.innerText ?? ''"));
        shown.as_str().expect("a text").to_owned()
    }

    /// Waits until an element shows what is expected.
    pub(super) fn until_text(&mut self, tab: &Tab, selector: &str, is_expected: impl Fn(&str) -> bool) -> String {
        let mut text = String::new();
        self.until(tab, selector, |browser| {
            text = browser.text(tab, selector);
            is_expected(&text)
        });
        text
    }

    fn until(&mut self, tab: &Tab, what: &str, mut is_so: impl FnMut(&mut Browser) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            assert!(began.elapsed() < SOON, "{what}: {}", self.text(tab, "body"));
        }
    }

    /// Presses Enter, or another key.
    pub(super) fn press(&mut self, tab: &Tab, key: &str, code: u32) {
        for kind in ["keyDown", "keyUp"] {
            let mut parameters = json!({ "type": kind, "key": key, "windowsVirtualKeyCode": code });
            if kind == "keyDown" && key == "Enter" {
                parameters["text"] = "\r".into();
            }
            self.ask(Some(tab), "Input.dispatchKeyEvent", parameters);
        }
    }

    pub(super) fn type_text(&mut self, tab: &Tab, text: &str) {
        self.ask(Some(tab), "Input.insertText", json!({ "text": text }));
    }

    /// The size of the tab, in pixels.
    pub(super) fn resize(&mut self, tab: &Tab, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.ask(Some(tab), "Emulation.setDeviceMetricsOverride", size);
    }

    /// A picture of the tab: PNG, in base64.
    pub(super) fn picture(&mut self, tab: &Tab) -> String {
        let picture = self.ask(Some(tab), "Page.captureScreenshot", json!({ "format": "png" }));
        picture["data"].as_str().expect("a picture").to_owned()
    }

    /// What the tab says is wrong: exceptions, and errors of its console and of its log.
    pub(super) fn errors(&self, tab: &Tab) -> Vec<Value> {
        let of_console = self.events(tab, "Runtime.consoleAPICalled").into_iter();
        let of_log = self.events(tab, "Log.entryAdded").into_iter();
        let errors = of_console.filter(|event| event["type"] == "error");
        let errors = errors.chain(of_log.filter(|event| event["entry"]["level"] == "error"));
        errors.chain(self.events(tab, "Runtime.exceptionThrown")).collect()
    }
}

fn messages(bytes: &[u8]) -> impl Iterator<Item = Value> {
    let whole = bytes.split(|byte| *byte == 0).filter(|message| !message.is_empty());
    whole.filter_map(|message| serde_json::from_slice(message).ok())
}
