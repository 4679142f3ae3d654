//! The request `watch`: the output of one session as it is sent to its client, for reading only.
//!
//! The first line is `{"session": …, "size": …}`, with the entry of the session as in `sessions` and the size of its
//! terminal. Then each line has one of these: `output_hex` (bytes that were sent, in hexadecimal digits), `size`
//! (columns and rows from now on), `lost` (so many bytes are left out here: they came faster than they were read). The
//! last is `{"done": {"exit": …}}`. An empty object says that nothing has happened for a while, so that a client which
//! takes nothing is noticed at a quiet session, too.
//!
//! A session that is watched is never slowed: see `observe/tap.rs`. What one who watches gets is bounded in rate, too,
//! so that a flood costs a copy in memory and little more.

mod buffer;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use whelk_runtime::WindowSize;

use super::lines::AnswerLines;
use super::session_id::SessionId;
use super::sessions::SessionEntry;
use super::{AskedRequest, Requests, error};
use crate::observe::event::{SessionEvent, emit};
use crate::observe::hex::hex;
use crate::server::connection_table::ConnectionTable;
use buffer::{WatchBuffer, Watched};

/// The request.
pub const WATCH: &str = "watch";
/// How many may watch at once.
const MOST_WATCHING: usize = 32;
/// How long output is collected before it is sent: with the size of the buffer about 1 MiB in a second, more than
/// anybody reads.
const COLLECT: Duration = Duration::from_millis(50);
/// A watcher who takes nothing for this long is dropped: a stopped one would keep its place for ever.
const UNREAD_TIME: Duration = Duration::from_secs(60);
/// How often one who watches a quiet session is sent an empty line. About 40 of them fill the socket of a client that
/// takes none, which begins [`UNREAD_TIME`].
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Most bytes of output in a line.
const LINE: usize = 16 << 10;

/// Which session is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchRequest {
    /// Its name, or that of its connection if that has no other.
    pub id: String,
}

/// A line of the answer but the last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WatchLine {
    /// The session, in the first line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionEntry>,
    /// The size of its terminal from now on. Without one in the first line it has no terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<TerminalSize>,
    /// Bytes that were sent to the client, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_hex: Option<String>,
    /// So many bytes are left out here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
}

/// The size of a terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Characters in a line.
    pub columns: u32,
    /// Lines.
    pub rows: u32,
}

impl From<WindowSize> for TerminalSize {
    fn from(size: WindowSize) -> TerminalSize {
        TerminalSize { columns: size.columns, rows: size.rows }
    }
}

impl Requests {
    /// With the request [`WATCH`].
    #[must_use]
    pub fn with_watch(self, table: &Arc<ConnectionTable>) -> Requests {
        let (table, places) = (Arc::clone(table), Arc::new(Semaphore::new(MOST_WATCHING)));
        self.with_lines(WATCH, move |asked, lines| answer(asked, lines, Arc::clone(&table), Arc::clone(&places)))
    }
}

async fn answer(asked: AskedRequest, mut lines: AnswerLines, table: Arc<ConnectionTable>, places: Arc<Semaphore>) {
    let found = asked.parse::<WatchRequest>().and_then(|request| find(&request, &table));
    let place = places.try_acquire_owned().map_err(|_| format!("the limit of {MOST_WATCHING} watchers is reached"));
    let sent = match (found, place) {
        (Ok((connection, session)), Ok(place)) => {
            lines.keep(place, UNREAD_TIME);
            watch(asked.uid, &mut lines, &table, connection, session).await
        }
        (Err(reason), _) | (_, Err(reason)) => lines.send_last(&error(&reason)).await,
    };
    // An error means that the client has gone.
    let _ = sent;
}

/// The connection and the number of the session that is asked for.
fn find(request: &WatchRequest, table: &ConnectionTable) -> Result<(u64, u64), String> {
    let id: SessionId = request.id.parse()?;
    let there: Vec<u64> = table.handles(id.connection).into_iter().map(|(number, _)| number).collect();
    match (id.session, &there[..]) {
        _ if !id.is_of_this_run() => Err(format!("{id}: that is of another run of the server")),
        (Some(session), _) if there.contains(&session) => Ok((id.connection, session)),
        (None, [only]) => Ok((id.connection, *only)),
        (None, [_, _, ..]) => Err(format!("{id}: the connection has several sessions: see `whelk sessions`")),
        _ => Err(format!("{id}: there is no such session")),
    }
}

/// Says in the log and in the audit that somebody watches a session, and no longer does.
struct Watching {
    connection: u64,
    channel: u32,
    session: u64,
    uid: u32,
    lost: u64,
}

impl Watching {
    fn begin(connection: u64, channel: u32, session: u64, uid: u32) -> Watching {
        emit(SessionEvent::WatchBegan { connection, channel, session, uid });
        Watching { connection, channel, session, uid, lost: 0 }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let Watching { connection, channel, session, uid, lost } = *self;
        emit(SessionEvent::WatchEnded { connection, channel, session, uid, lost });
    }
}

async fn watch(
    uid: u32,
    lines: &mut AnswerLines,
    table: &ConnectionTable,
    connection: u64,
    session: u64,
) -> io::Result<()> {
    let gone = || error(&format!("{connection}.{session}: the session has just ended"));
    let Some((info, point)) = table.tap_point(connection, session) else {
        return lines.send_last(&gone()).await;
    };
    let Some(shown) = info.sessions.iter().find(|shown| shown.number == session) else {
        return lines.send_last(&gone()).await;
    };
    // Before the first byte is seen.
    let mut watching = Watching::begin(connection, shown.channel, session, uid);
    let buffer = Arc::new(WatchBuffer::default());
    let (_attached, size) = point.attach(Arc::clone(&buffer) as _);
    let entry = SessionEntry::of(&info, shown);
    lines.add(&WatchLine { session: Some(entry), size: size.map(Into::into), ..WatchLine::default() }).await?;
    lines.flush().await?;
    loop {
        if timeout(HEARTBEAT, buffer.changed()).await.is_err() {
            lines.add(&WatchLine::default()).await?;
            lines.flush().await?;
            continue;
        }
        for watched in buffer.take() {
            let line = match watched {
                Watched::Lost(lost) => {
                    watching.lost += lost;
                    WatchLine { lost: Some(lost), ..WatchLine::default() }
                }
                Watched::Resized(size) => WatchLine { size: Some(size.into()), ..WatchLine::default() },
                Watched::Output(bytes) => {
                    for bytes in bytes.chunks(LINE) {
                        lines.add(&WatchLine { output_hex: Some(hex(bytes)), ..WatchLine::default() }).await?;
                    }
                    continue;
                }
                Watched::Ended(exit) => return lines.send_last(&json!({ "done": { "exit": exit } })).await,
            };
            lines.add(&line).await?;
        }
        lines.flush().await?;
        sleep(COLLECT).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::UnixStream;
    use tokio::time::Instant;
    use whelk_runtime::session_pipes;

    use super::*;
    use crate::server::control::attend;
    use crate::source::Peer;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Watches a quiet session; `read` gets the client. Returns how long it was watched, an hour at most.
    async fn watch_for(read: impl AsyncFnOnce(UnixStream)) -> Duration {
        let table = Arc::new(ConnectionTable::default());
        let connection = table.register(7, Peer::Unknown, Arc::new(|| ()));
        let (inbox, _outbox, _side) = session_pipes(1 << 10, Arc::new(|| ()));
        let _session = connection.row().add_session(0, inbox.handle());
        let requests = Arc::new(Requests::default().with_watch(&table));
        let (server, mut client) = UnixStream::pair().unwrap();
        client.write_all(b"watch {\"id\":\"7.1\"}\n").await.unwrap();
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let began = Instant::now();
        tokio::select! {
            () = attend(server, requests, place) => {}
            _ = timeout(HOUR, read(client)) => {}
        }
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_takes_nothing_of_a_quiet_session_loses_the_place_and_one_who_reads_keeps_it() {
        let watched = watch_for(async |_stopped| std::future::pending().await).await;
        assert!(watched >= UNREAD_TIME && watched < Duration::from_secs(600), "{watched:?}");
        let watched = watch_for(async |client| {
            let mut lines = BufReader::new(client).lines();
            assert!(lines.next_line().await.unwrap().unwrap().starts_with("{\"session\":"));
            while let Some(line) = lines.next_line().await.unwrap() {
                assert_eq!(serde_json::from_str::<WatchLine>(&line).unwrap(), WatchLine::default());
            }
        });
        assert_eq!(watched.await, HOUR);
    }
}
