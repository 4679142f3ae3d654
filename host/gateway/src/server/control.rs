//! The control socket: a socket in the state folder that answers one-line requests with one line of JSON.
//!
//! A request is a name, optionally followed by a space and an argument, which goes to the end of the line. The answer
//! is an object; one with only `error` says why the request was refused.
//!
//! Only the user who runs the program and root get an answer. Requests are few and small, and no client can hinder the
//! program: there are limits on their number, size and time.

pub mod backup;
mod client;
mod plugins;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use whelk_runtime::supervise::supervise;

pub use client::{Unanswered, ask, ask_within};

use crate::plugins::reload::Reload;
use crate::server::reload::{RELOAD, RELOAD_TIME, ReloadTrigger};
use crate::state::State;

/// How many clients are served at once. Others wait in the kernel's queue.
const MOST_ASKING: usize = 8;
/// The time limit for receiving a request, for answering it unless it has one of its own, and for sending the answer.
const TIME: Duration = Duration::from_secs(5);
/// The longest request, in bytes: a name and a path.
const LONGEST: u64 = 8 << 10;
/// The pause after a failure of accept, for example because open files are used up.
const REST: Duration = Duration::from_millis(100);

/// The request for all plugins.
pub const PLUGINS: &str = "plugins";

/// The socket. Dropping it removes the file.
pub struct Control {
    task: JoinHandle<Infallible>,
    state: State,
}

/// The requests that a control socket answers, by their names.
#[derive(Clone, Default)]
pub struct Requests(BTreeMap<&'static str, Request>);

#[derive(Clone)]
struct Request {
    /// How long the answer may take.
    time: Duration,
    handler: Handler,
    /// Called when the answer has not reached the client.
    undelivered: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// Makes the answer to a request from its argument.
type Handler = Arc<dyn Fn(Option<String>) -> Answer + Send + Sync>;
type Answer = Pin<Box<dyn Future<Output = Value> + Send>>;

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

    /// Adds a request, whose answer may take `time`. After that the future is dropped, and the client gets an error:
    /// work that must not stop halfway belongs in a task of its own.
    #[must_use]
    pub fn with<F>(
        mut self,
        name: &'static str,
        time: Duration,
        handler: impl Fn(Option<String>) -> F + Send + Sync + 'static,
    ) -> Requests
    where
        F: Future<Output = Value> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |argument| Box::pin(handler(argument)));
        self.0.insert(name, Request { time, handler, undelivered: None });
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

    async fn answer(&self, line: &str) -> Value {
        let (name, argument) = match line.split_once(' ') {
            Some((name, argument)) => (name, Some(argument.to_owned())),
            None => (line, None),
        };
        let Some(Request { time, handler, .. }) = self.0.get(name) else {
            return error("the running whelk does not know this request: is it of another version?");
        };
        let answer = timeout(*time, handler(argument)).await;
        answer.unwrap_or_else(|_| error(&format!("there was no answer within {time:?}")))
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
        let start = move || serve(Arc::clone(&listener), Arc::clone(&requests));
        Ok(Control { task: tokio::spawn(supervise("control", start, |_| ())), state: state.clone() })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        // If it stays, the next start removes it.
        let _ = fs::remove_file(State::control_path(self.state.folder()));
    }
}

async fn serve(listener: Arc<UnixListener>, requests: Arc<Requests>) -> Infallible {
    let places = Arc::new(Semaphore::new(MOST_ASKING));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(attend(stream, Arc::clone(&requests), place));
            }
            Err(_) => sleep(REST).await,
        }
    }
}

/// Errors of the client are ignored.
async fn attend(mut stream: UnixStream, requests: Arc<Requests>, _place: OwnedSemaphorePermit) {
    let Ok(asking) = stream.peer_cred() else { return };
    let Ok(Ok(line)) = timeout(TIME, request(&mut stream)).await else { return };
    let answer = match refusal(asking.uid(), rustix::process::geteuid().as_raw()) {
        Some(refusal) => error(&refusal),
        None => {
            let answer = requests.answer(line.trim_end());
            tokio::select! {
                answer = answer => answer,
                // An answer may take minutes, and the places are few.
                () = hung_up(&stream) => return requests.undelivered(line.trim_end()),
            }
        }
    };
    let sent = timeout(TIME, stream.write_all(format!("{answer}\n").as_bytes())).await;
    if !matches!(sent, Ok(Ok(()))) {
        requests.undelivered(line.trim_end());
    }
}

/// Returns when the client has hung up. It keeps its side open until it has its answer, and sends nothing more.
async fn hung_up(stream: &UnixStream) {
    let mut surplus = [0; 64];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut surplus) {
            Ok(0) => return,
            Err(error) if error.kind() != ErrorKind::WouldBlock => return,
            Ok(_) | Err(_) => tokio::task::consume_budget().await,
        }
    }
}

async fn request(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST)).read_line(&mut line).await?;
    Ok(line)
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
mod tests {
    use super::*;
    use crate::server::drain::DrainTime;

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
