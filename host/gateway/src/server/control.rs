//! The control socket: a socket in the state folder that answers one-line requests with JSON.
//!
//! A request is a name, optionally followed by a space and an argument, which goes to the end of the line. The answer
//! is an object on one line; one with only `error` says why the request was refused. The answer to a request for a list
//! (`lines`) is one object a line, and the last of them is `{"done": …}`: an answer that lacks it was cut off.
//!
//! `CONTROL.md`, beside `Cargo.toml`, lists the fields of the answers that `whelk` prints with `--json`.
//!
//! Only root and the user of the server get an answer. The number of clients at once, the size of a request, and the
//! time for receiving it, answering it and sending the answer are limited.

pub mod backup;
mod client;
pub mod console;
pub mod drain;
pub mod kill;
mod lines;
mod plugins;
pub mod session_id;
pub mod sessions;
pub mod status;
pub mod tenants;
pub mod watch;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use whelk_runtime::supervise::supervise;

pub use client::{Unanswered, ask, ask_lines, ask_within};
pub(crate) use client::{not_understood, open_request, read_line};
use lines::AnswerLines;

use crate::observe::metrics::TextFormat;
use crate::plugins::reload::Reload;
use crate::server::reload::{RELOAD, RELOAD_TIME, ReloadTrigger};
use crate::state::State;

/// How many clients are served at once. Others wait in the kernel's queue.
const MOST_ASKING: usize = 16;
/// The time limit for receiving a request, for answering it unless it has one of its own, and for sending the answer.
const TIME: Duration = Duration::from_secs(5);
/// The longest request, in bytes: a name and a list of sessions.
const LONGEST: u64 = 64 << 10;
/// Most bytes of a request that is too long which are read, so that its client reads why it was refused.
const MAX_DISCARDED: u64 = 64 << 20;
/// How long the end of the program waits for answers that are being sent.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// The pause after a failure of accept, for example because open files are used up.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// The request for all plugins.
pub const PLUGINS: &str = "plugins";
/// The request for all metrics.
pub const METRICS: &str = "metrics";

/// The socket. Dropping it removes the file.
pub struct Control {
    task: JoinHandle<Infallible>,
    state: State,
    places: Arc<Semaphore>,
}

/// The requests that a control socket answers, by their names.
#[derive(Clone, Default)]
pub struct Requests(BTreeMap<&'static str, Request>);

#[derive(Clone)]
struct Request {
    /// How long the answer may take, unless it is a list.
    time: Duration,
    handler: Handler,
    /// Called when the answer has not reached the client.
    undelivered: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// A request, and who asks.
#[derive(Clone, Debug)]
pub(crate) struct AskedRequest {
    /// What follows the name.
    pub(crate) argument: Option<String>,
    /// The user of the client.
    pub(crate) uid: u32,
}

impl AskedRequest {
    /// The argument as a value; its default if there is none.
    ///
    /// # Errors
    /// It is not one: the client has another version.
    pub(crate) fn parse<T: DeserializeOwned + Default>(&self) -> Result<T, String> {
        let Some(argument) = &self.argument else { return Ok(T::default()) };
        serde_json::from_str(argument).map_err(|error| {
            format!("the running whelk does not understand the request ({error}): is it of another version?")
        })
    }
}

/// Makes the answer to a request.
#[derive(Clone)]
enum Handler {
    /// One object.
    One(Arc<dyn Fn(AskedRequest) -> Answer + Send + Sync>),
    /// Several lines, which it sends itself.
    Lines(Arc<dyn Fn(AskedRequest, AnswerLines) -> SentLines + Send + Sync>),
}

type Answer = Pin<Box<dyn Future<Output = Value> + Send>>;
type SentLines = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Requests {
    /// With the request [`PLUGINS`].
    #[must_use]
    pub fn new(reload: &Reload) -> Requests {
        let view = reload.view().clone();
        Requests::default().with(PLUGINS, TIME, move |_| {
            let answer = plugins::answer(&view);
            async move { answer }
        })
    }

    /// With the request [`RELOAD`] of a server with a configuration, which is refused by one without.
    #[must_use]
    pub fn with_reload(self, trigger: Option<ReloadTrigger>) -> Requests {
        self.with(RELOAD, RELOAD_TIME, move |_| {
            let trigger = trigger.clone();
            async move {
                let Some(trigger) = trigger else {
                    return error("the server runs without a configuration file: there is nothing to reload");
                };
                match trigger.reload().await {
                    Some(outcome) => json!(outcome),
                    None => error("the server is stopping"),
                }
            }
        })
    }

    /// With the request [`METRICS`], whose argument is empty or `openmetrics`.
    #[must_use]
    pub fn with_metrics(self, text: impl Fn(TextFormat) -> String + Send + Sync + 'static) -> Requests {
        self.with(METRICS, TIME, move |argument| {
            let answer = match argument.as_deref() {
                None => json!({ "text": text(TextFormat::Prometheus) }),
                Some("openmetrics") => json!({ "text": text(TextFormat::OpenMetrics) }),
                Some(_) => error("metrics are there as text, or with the argument openmetrics"),
            };
            async move { answer }
        })
    }

    /// Adds a request, whose answer may take `time`. After that the future is dropped, and the client gets an error:
    /// work that must not stop halfway belongs in a task of its own.
    #[must_use]
    pub fn with<F>(
        self,
        name: &'static str,
        time: Duration,
        handler: impl Fn(Option<String>) -> F + Send + Sync + 'static,
    ) -> Requests
    where
        F: Future<Output = Value> + Send + 'static,
    {
        self.with_asked(name, time, move |asked| handler(asked.argument))
    }

    /// The same for a request whose answer depends on who asks.
    #[must_use]
    pub(crate) fn with_asked<F>(
        mut self,
        name: &'static str,
        time: Duration,
        handler: impl Fn(AskedRequest) -> F + Send + Sync + 'static,
    ) -> Requests
    where
        F: Future<Output = Value> + Send + 'static,
    {
        let handler = Handler::One(Arc::new(move |asked| Box::pin(handler(asked))));
        self.0.insert(name, Request { time, handler, undelivered: None });
        self
    }

    /// Adds a request whose answer has any number of lines. The future is dropped when the client hangs up.
    #[must_use]
    pub(crate) fn with_lines<F>(
        mut self,
        name: &'static str,
        handler: impl Fn(AskedRequest, AnswerLines) -> F + Send + Sync + 'static,
    ) -> Requests
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let handler = Handler::Lines(Arc::new(move |asked, lines| Box::pin(handler(asked, lines))));
        self.0.insert(name, Request { time: TIME, handler, undelivered: None });
        self
    }

    /// Has `undelivered` called whenever an answer to this request has not reached the client.
    #[must_use]
    fn with_undelivered(mut self, name: &str, undelivered: impl Fn() + Send + Sync + 'static) -> Requests {
        if let Some(request) = self.0.get_mut(name) {
            request.undelivered = Some(Arc::new(undelivered));
        }
        self
    }

    fn undelivered(&self, line: &str) {
        let name = line.split_once(' ').map_or(line, |(name, _)| name);
        if let Some(undelivered) = self.0.get(name).and_then(|request| request.undelivered.as_ref()) {
            undelivered();
        }
    }

    /// The handler of a request, how long it may take, and the argument; or the answer to one that is not known.
    fn find(&self, line: &str) -> Result<(&Request, Option<String>), Value> {
        let (name, argument) = match line.split_once(' ') {
            Some((name, argument)) => (name, Some(argument.to_owned())),
            None => (line, None),
        };
        let unknown = "the running whelk does not know this request: is it of another version?";
        self.0.get(name).map(|request| (request, argument)).ok_or_else(|| error(unknown))
    }
}

impl Control {
    /// Starts answering. The state folder must be locked: then a file in the socket's place belongs to no running
    /// program. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn open(state: &State, requests: Requests) -> io::Result<Control> {
        let path = State::control_path(state.folder());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let (listener, requests) = (Arc::new(listener), Arc::new(requests));
        let places = Arc::new(Semaphore::new(MOST_ASKING));
        let start = {
            let places = Arc::clone(&places);
            move || serve(Arc::clone(&listener), Arc::clone(&requests), Arc::clone(&places))
        };
        Ok(Control { task: tokio::spawn(supervise("control", start, |_| ())), state: state.clone(), places })
    }

    /// Accepts no more requests, and waits up to a second for answers that are being sent: an operator whose
    /// `whelk kill` ends the last session of a server that drains gets one.
    pub async fn finish(&self) {
        self.task.abort();
        let all = u32::try_from(MOST_ASKING).unwrap_or(u32::MAX);
        // An error means that somebody takes longer.
        let _ = timeout(LAST_ANSWERS, self.places.acquire_many(all)).await;
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        // If it stays, the next start removes it.
        let _ = fs::remove_file(State::control_path(self.state.folder()));
    }
}

async fn serve(listener: Arc<UnixListener>, requests: Arc<Requests>, places: Arc<Semaphore>) -> Infallible {
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(attend(stream, Arc::clone(&requests), place));
            }
            Err(_) => sleep(ACCEPT_BACKOFF).await,
        }
    }
}

/// Errors of the client are ignored.
async fn attend(stream: UnixStream, requests: Arc<Requests>, place: OwnedSemaphorePermit) {
    let Ok(asking) = stream.peer_cred() else { return };
    let (mut read, write) = stream.into_split();
    let Ok(Ok(line)) = timeout(TIME, request(&mut read)).await else { return };
    let mut lines = AnswerLines::new(write, TIME, place);
    let line = match line {
        Ok(line) => line,
        Err(reason) => {
            let _ = lines.send_last(&error(&reason)).await;
            // A client that is still sending would be told of a broken pipe, and not why.
            let _ = timeout(TIME, tokio::io::copy(&mut read.take(MAX_DISCARDED), &mut tokio::io::sink())).await;
            return;
        }
    };
    let sent = match refusal(asking.uid(), rustix::process::geteuid().as_raw()) {
        Some(refusal) => lines.send_last(&error(&refusal)).await,
        None => match requests.find(&line) {
            Ok((request, argument)) => {
                answer(request, AskedRequest { argument, uid: asking.uid() }, lines, &read).await
            }
            Err(unknown) => lines.send_last(&unknown).await,
        },
    };
    if sent.is_err() {
        requests.undelivered(&line);
    }
}

/// Answers a request. An error: the answer has not reached the client.
async fn answer(
    request: &Request,
    asked: AskedRequest,
    mut lines: AnswerLines,
    read: &OwnedReadHalf,
) -> io::Result<()> {
    let gone = || Err(ErrorKind::BrokenPipe.into());
    match &request.handler {
        Handler::One(handler) => {
            // An answer may take minutes, and the places are few.
            let made = tokio::select! {
                made = in_time(request.time, handler(asked)) => made,
                () = hung_up(read) => return gone(),
            };
            lines.send_last(&made).await
        }
        Handler::Lines(handler) => tokio::select! {
            () = handler(asked, lines) => Ok(()),
            () = hung_up(read) => gone(),
        },
    }
}

/// The answer, or an error if it takes longer than this.
async fn in_time(time: Duration, answer: Answer) -> Value {
    timeout(time, answer).await.unwrap_or_else(|_| error(&format!("there was no answer within {time:?}")))
}

/// Returns when the client has hung up. It keeps its side open until it has its answer, and sends nothing more.
async fn hung_up(stream: &OwnedReadHalf) {
    let mut surplus = [0; 64];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut surplus) {
            Ok(0) => return,
            Err(error) if error.kind() != ErrorKind::WouldBlock => return,
            Ok(_) | Err(_) => tokio::task::consume_budget().await,
        }
    }
}

/// The line of a request, without its end. The inner error says why it is none.
async fn request(stream: &mut OwnedReadHalf) -> io::Result<Result<String, String>> {
    let mut line = Vec::new();
    BufReader::new(stream.take(LONGEST)).read_until(b'\n', &mut line).await?;
    let has_end = line.pop_if(|last| *last == b'\n').is_some();
    if !has_end {
        let is_long = line.len() as u64 >= LONGEST - 1;
        return Ok(Err(if is_long {
            format!("the request is longer than {LONGEST} bytes")
        } else {
            "the request was cut off: it does not end with a newline".to_owned()
        }));
    }
    let line = String::from_utf8(line).map_err(|_| "the request is not UTF-8".to_owned());
    Ok(line.map(|line| line.trim_end().to_owned()))
}

/// Why a user gets no answer. The mode of the socket says the same, but is set a moment after it is created.
fn refusal(asking: u32, own: u32) -> Option<String> {
    (asking != 0 && asking != own)
        .then(|| format!("only root and the user of the server (uid {own}) may ask; you are uid {asking}"))
}

fn error(reason: &str) -> Value {
    json!({ "error": reason })
}

#[cfg(test)]
pub(crate) mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::server::drain::DrainTime;

    impl Requests {
        /// The lines of the answer to a request of this process's user.
        pub(crate) async fn ask(&self, line: &str) -> Vec<Value> {
            let (server, mut client) = UnixStream::pair().unwrap();
            let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
            let asked = async {
                client.write_all(format!("{line}\n").as_bytes()).await.unwrap();
                let mut text = String::new();
                client.read_to_string(&mut text).await.unwrap();
                text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
            };
            tokio::join!(attend(server, Arc::new(self.clone()), place), asked).1
        }

        /// The answer to a request that has one line, without a socket.
        pub(crate) async fn answer(&self, line: &str) -> Value {
            let (request, argument) = match self.find(line) {
                Ok(found) => found,
                Err(unknown) => return unknown,
            };
            let Handler::One(handler) = &request.handler else { panic!("{line} has several lines") };
            in_time(request.time, handler(AskedRequest { argument, uid: 0 })).await
        }
    }

    /// What a client gets that sends these bytes and closes its side.
    async fn told(bytes: Vec<u8>) -> String {
        let (server, client) = UnixStream::pair().unwrap();
        let requests =
            Requests::default().with("echo", TIME, |argument| async move { json!({ "argument": argument }) });
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (mut read, mut write) = client.into_split();
        let send = async {
            // Fails where the server has closed its side.
            let _ = write.write_all(&bytes).await;
            // A client keeps its side open until it has its answer, unless it has no more to say.
            let write = bytes.ends_with(b"\n").then_some(write);
            let mut text = String::new();
            read.read_to_string(&mut text).await.unwrap();
            drop(write);
            text
        };
        tokio::join!(attend(server, Arc::new(requests), place), send).1
    }

    /// The fields of a declaration, as they are in the JSON.
    fn declared(source: &'static str, name: &str) -> Vec<&'static str> {
        let (_, rest) = source.split_once(&format!("pub struct {name} {{\n")).unwrap();
        let (declaration, _) = rest.split_once("\n}\n").unwrap();
        let fields = declaration.lines().filter_map(|line| line.trim().strip_prefix("pub "));
        fields.map(|field| field.split_once(':').unwrap().0).collect()
    }

    #[test]
    fn every_field_that_programs_read_is_documented() {
        let document = include_str!("../../CONTROL.md");
        for (verb, source, name) in [
            ("status", include_str!("control/status.rs"), "ServerStatus"),
            ("sessions", include_str!("control/sessions.rs"), "SessionEntry"),
            ("tenants", include_str!("control/tenants.rs"), "TenantEntry"),
            ("watch ID", include_str!("control/watch.rs"), "WatchLine"),
            ("kill", include_str!("control/kill.rs"), "KillOutcome"),
            ("drain", include_str!("control/drain.rs"), "DrainOutcome"),
        ] {
            let (_, section) = document.split_once(&format!("## `whelk {verb} --json`\n")).unwrap();
            let section = section.split("\n## ").next().unwrap();
            let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
            let documented: Vec<&str> = rows.map(|(field, _)| field).collect();
            assert_eq!(documented, declared(source, name), "{verb}");
        }
    }

    #[tokio::test]
    async fn a_request_that_is_no_line_is_refused_in_words() {
        let long = format!("the request is longer than {LONGEST} bytes");
        for (bytes, words) in [
            (vec![b'x'; 10 << 20], long.as_str()),
            (b"echo 12".to_vec(), "the request was cut off: it does not end with a newline"),
            (b"echo \xff\n".to_vec(), "the request is not UTF-8"),
        ] {
            let told: Value = serde_json::from_str(&told(bytes).await).unwrap();
            assert_eq!(told["error"], words);
        }
        let most = [b"echo ".to_vec(), vec![b'y'; 60 << 10], b"\n".to_vec()].concat();
        assert!(told(most).await.starts_with("{\"argument\":\"yyy"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_has_a_name_and_an_argument_and_ends_in_time() {
        let long = Duration::from_secs(60);
        let requests = Requests::default()
            .with("echo", TIME, |argument| async move { json!({ "argument": argument }) })
            .with("hang", long, |_| std::future::pending());
        assert_eq!(requests.answer("echo").await, json!({ "argument": null }));
        assert_eq!(requests.answer("echo a path/with  spaces").await, json!({ "argument": "a path/with  spaces" }));
        assert_eq!(requests.answer("hang").await, json!({ "error": "there was no answer within 60s" }));
        for unknown in ["", " echo", "ECHO", "echo\techo"] {
            let answer = requests.answer(unknown).await;
            assert!(answer["error"].as_str().unwrap().contains("does not know"), "{unknown:?}: {answer}");
        }
    }

    #[tokio::test]
    async fn metrics_are_there_in_both_forms() {
        let requests = Requests::default().with_metrics(|format| format!("{format:?}"));
        assert_eq!(requests.answer("metrics").await, json!({ "text": "Prometheus" }));
        assert_eq!(requests.answer("metrics openmetrics").await, json!({ "text": "OpenMetrics" }));
        assert!(requests.answer("metrics json").await["error"].is_string());
    }

    #[tokio::test]
    async fn a_server_without_a_configuration_refuses_to_reload_and_one_that_stops_says_so() {
        let answer = Requests::default().with_reload(None).answer(RELOAD).await;
        assert_eq!(answer["error"], "the server runs without a configuration file: there is nothing to reload");
        let (trigger, requests) = ReloadTrigger::new(&DrainTime::new(TIME));
        drop(requests);
        let answer = Requests::default().with_reload(Some(trigger)).answer(RELOAD).await;
        assert_eq!(answer["error"], "the server is stopping");
    }

    #[tokio::test]
    async fn a_client_that_hangs_up_leaves_its_place() {
        let (server, mut client) = UnixStream::pair().unwrap();
        let (told, mut undelivered) = tokio::sync::mpsc::unbounded_channel();
        let requests = Requests::default()
            .with("hang", Duration::from_secs(600), |_| std::future::pending())
            .with_undelivered("hang", move || told.send(()).unwrap());
        let places = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&places).try_acquire_owned().unwrap();
        let task = tokio::spawn(attend(server, Arc::new(requests), place));
        client.write_all(b"hang\nand more that nobody reads").await.unwrap();
        drop(client);
        task.await.unwrap();
        assert_eq!(places.available_permits(), 1);
        assert!(undelivered.try_recv().is_ok());
    }

    #[test]
    fn only_root_and_the_servers_own_user_may_ask() {
        assert_eq!((refusal(0, 7), refusal(7, 7), refusal(0, 0)), (None, None, None));
        let reason = refusal(8, 7).unwrap();
        assert_eq!(reason, "only root and the user of the server (uid 7) may ask; you are uid 8");
        assert!(refusal(8, 0).is_some());
    }
}
