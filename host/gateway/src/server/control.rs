//! The control socket: a socket in the state folder that answers one-line requests with one line of JSON.
//!
//! Only the user who runs the program and root get an answer. Requests are few and small, and no client can hinder the
//! program: there are limits on their number, size and time.

use std::convert::Infallible;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as Blocking;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio::time::{sleep, timeout};
use whelk_runtime::supervise::supervise;
use whelk_runtime::{Listed, Plugin};

use crate::plugins::reload::{PluginFolder, Reload, View};
use crate::state::State;

/// How many clients are served at once. Others wait in the kernel's queue.
const MOST_ASKING: usize = 8;
/// The time limit of a request and its answer.
const TIME: Duration = Duration::from_secs(5);
/// The longest request, in bytes.
const LONGEST: u64 = 256;
/// The pause after a failure of accept, for example because open files are used up.
const REST: Duration = Duration::from_millis(100);
/// The largest answer that the client accepts, in bytes.
const LARGEST: u64 = 64 << 20;

/// The request for all plugins.
pub const PLUGINS: &str = "plugins";

/// The socket. Dropping it removes the file.
pub struct Control {
    task: JoinHandle<Infallible>,
    state: State,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// No program runs with this state folder.
    Nobody,
    /// Another error.
    Failed(String),
}

impl Control {
    /// Starts answering. The state folder must be locked: then a file in the socket's place belongs to no running
    /// program. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn open(state: &State, reload: &Reload) -> io::Result<Control> {
        let path = State::control_path(state.folder());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let (listener, view) = (Arc::new(listener), reload.view().clone());
        let start = move || serve(Arc::clone(&listener), view.clone());
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

async fn serve(listener: Arc<UnixListener>, view: View) -> Infallible {
    let places = Arc::new(Semaphore::new(MOST_ASKING));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(attend(stream, view.clone(), place));
            }
            Err(_) => sleep(REST).await,
        }
    }
}

/// A client that has closed does not matter.
async fn attend(stream: UnixStream, view: View, _place: OwnedSemaphorePermit) {
    let _ = timeout(TIME, answer(stream, &view)).await;
}

async fn answer(mut stream: UnixStream, view: &View) -> io::Result<()> {
    let asking = stream.peer_cred()?.uid();
    // The mode of the socket says the same, but is set a moment after it is created.
    if asking != 0 && asking != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    let mut question = String::new();
    let (reader, mut writer) = stream.split();
    BufReader::new(reader.take(LONGEST)).read_line(&mut question).await?;
    let answer = match question.trim_end() {
        PLUGINS => plugins(view),
        _ => json!({ "error": "there is no such question" }),
    };
    writer.write_all(format!("{answer}\n").as_bytes()).await
}

/// Every folder with every name in it.
fn plugins(view: &View) -> Value {
    let folders: Vec<Value> = view.folders.iter().map(|plugins| folder(plugins)).collect();
    // Why nothing is loaded and removed any more, and for how many seconds; null: all is well.
    let stopped = view.status.failure().map(|failure| {
        let for_s = failure.since.elapsed().as_secs();
        json!({ "reason": failure.reason, "for_s": for_s })
    });
    json!({ "stopped": stopped, "folders": folders })
}

fn folder(folder: &PluginFolder) -> Value {
    let registry = &folder.config.registry;
    let plugins: Vec<Value> = registry.list().iter().map(plugin).collect();
    let state = folder.state();
    let for_s = |since: Instant| since.elapsed().as_secs();
    let pending = state.pending.iter().map(|(file, pending)| {
        let digest: String = pending.digest.iter().map(|byte| format!("{byte:02x}")).collect();
        json!({ "file": file, "digest": digest, "for_s": for_s(pending.since) })
    });
    let gone = state.removals.gone().map(|(file, since)| json!({ "file": file, "for_s": for_s(since) }));
    let unwatched = state.unwatched.as_ref();
    let unwatched = unwatched.map(|(reason, since)| json!({ "reason": reason, "for_s": for_s(*since) }));
    let refused = state.refused.iter().map(|(file, refusal)| {
        // In how many seconds it is tried again; null: when the file changes.
        let retry_s = refusal.retry_in().map(|wait| wait.as_secs());
        json!({ "file": file, "reason": refusal.reason, "retry_s": retry_s })
    });
    json!({
        "tenant": folder.config.tenant,
        "path": folder.config.path.display().to_string(),
        "trouble": state.trouble,
        // Why it is only polled.
        "unwatched": unwatched,
        "plugins": plugins,
        // Names without a served version yet.
        "preparing": registry.preparing(),
        // Files that are being loaded, for served names or others.
        "pending": pending.collect::<Vec<_>>(),
        // Files that are gone, while their plugins are served until the folder has settled.
        "gone": gone.collect::<Vec<_>>(),
        "ignored": state.ignored,
        "refused": refused.collect::<Vec<_>>(),
    })
}

fn plugin(listed: &Listed) -> Value {
    let version = |plugin: &Plugin| {
        json!({
            "digest": plugin.digest_hex(),
            "generation": plugin.generation(),
            "world": plugin.world_name(),
            "handlers": plugin.handlers(),
            "needs": plugin.needs().iter().map(|grant| grant.as_str()).collect::<Vec<_>>(),
            "code": plugin.code(),
            "sessions": plugin.sessions(),
        })
    };
    json!({
        "name": listed.name,
        "current": listed.current.as_deref().map(version),
        "older": listed.older.iter().map(|older| version(older)).collect::<Vec<_>>(),
        "crashing": listed.tripped,
    })
}

/// Sends a request to the program that runs with a state folder. Blocks at most ten seconds for each of connecting,
/// sending and receiving a part of the answer.
///
/// # Errors
/// When there is no answer in time, or an unexpected one.
pub fn ask(folder: &Path, question: &str) -> Result<Value, Unanswered> {
    ask_within(folder, question, 2 * TIME)
}

fn ask_within(folder: &Path, question: &str, time: Duration) -> Result<Value, Unanswered> {
    let failed = |error: io::Error| {
        let reason = match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                format!("the running whelk has not answered within {time:?}")
            }
            _ => error.to_string(),
        };
        Unanswered::Failed(format!("{}: {reason}", folder.display()))
    };
    let mut stream = match connect(&State::control_path(folder), time) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Err(Unanswered::Nobody);
        }
        Err(error) => return Err(failed(error)),
    };
    stream.set_read_timeout(Some(time)).map_err(failed)?;
    stream.write_all(format!("{question}\n").as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.take(LARGEST).read_to_string(&mut answer).map_err(failed)?;
    serde_json::from_str(&answer).map_err(|_| Unanswered::Failed(format!("{}: no answer", folder.display())))
}

/// Connects. The send timeout that it sets on the socket first also limits how long connect(2) waits while the server's
/// queue is full, unix(7).
fn connect(path: &Path, time: Duration) -> io::Result<Blocking> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Send, Some(time))?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_to_a_server_that_does_not_answer_times_out() {
        let folder = tempfile::tempdir().unwrap();
        let short = Duration::from_millis(20);
        let ask = || match ask_within(folder.path(), PLUGINS, short) {
            Err(Unanswered::Failed(reason)) => reason,
            other => panic!("{other:?}"),
        };
        let path = State::control_path(folder.path());
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        rustix::net::bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&socket, 0).unwrap();
        let late = format!("{}: the running whelk has not answered within 20ms", folder.path().display());
        // This one is in the queue, and is never accepted.
        assert_eq!(ask(), late);
        // Now there is no room in the queue.
        let _waiting: Vec<Blocking> = std::iter::from_fn(|| connect(&path, short).ok()).collect();
        assert_eq!(ask(), late);
    }
}
