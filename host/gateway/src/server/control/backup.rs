//! The request `backup`: a copy of the key-value store in the state folder, which the client takes away.
//!
//! The server writes into its own folder, because it may run as a user who can write nowhere else. The client runs as
//! the same user or as root, so it can read the copy there.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::{Mutex, oneshot};
use tokio::task::spawn_blocking;
use whelk_runtime::keyvalue::{BackupSummary, Embedded};

use super::{Requests, error};
use crate::observe::event::{ServerEvent, emit};
use crate::state::KEYVALUE;

/// The request.
pub const BACKUP: &str = "backup";
/// The name of the copy in the state folder.
pub const COPY: &str = "keyvalue.backup";
/// The time limit of one copy.
pub const TIME: Duration = Duration::from_secs(60 * 60);

/// Opens the store, if there is one.
type OpenStore = dyn Fn() -> Result<Option<Arc<Embedded>>, String> + Send + Sync;

impl Requests {
    /// Adds the request [`BACKUP`]. `store` opens the store in the state folder `folder`, and may block.
    #[must_use]
    pub fn with_backup(
        self,
        folder: &Path,
        store: impl Fn() -> Result<Option<Arc<Embedded>>, String> + Send + Sync + 'static,
    ) -> Requests {
        let (folder, store): (PathBuf, Arc<OpenStore>) = (folder.to_owned(), Arc::new(store));
        // What a server that was killed has left.
        remove_copies(&folder);
        let turn = Arc::new(Mutex::new(()));
        let place = folder.clone();
        let requests = self.with(BACKUP, TIME, move |_| answer(folder.clone(), Arc::clone(&store), Arc::clone(&turn)));
        requests.with_undelivered(BACKUP, move || remove_copies(&place))
    }
}

/// Removes a copy that nobody takes, and half a copy.
fn remove_copies(folder: &Path) {
    for name in [COPY.to_owned(), format!("{COPY}.new")] {
        // Mostly there is none. If one stays, the next copy replaces it.
        let _ = fs::remove_file(folder.join(name));
    }
}

async fn answer(folder: PathBuf, store: Arc<OpenStore>, turn: Arc<Mutex<()>>) -> Value {
    let Ok(turn) = turn.try_lock_owned() else { return error("another backup is being made: try again later") };
    let (done, made) = oneshot::channel();
    let task = spawn_blocking(move || {
        // Fails if nobody waits for the answer any more.
        if done.send(make(&folder, &*store)).is_err() {
            remove_copies(&folder);
        }
        drop(turn);
    });
    match made.await {
        Ok(Ok(answer)) => answer,
        Ok(Err(reason)) => error(&reason),
        Err(_) => {
            error(&task.await.err().map_or_else(|| "the copy was not made".to_owned(), |failure| failure.to_string()))
        }
    }
}

fn make(folder: &Path, store: &OpenStore) -> Result<Value, String> {
    let (new, copy) = (folder.join(format!("{COPY}.new")), folder.join(COPY));
    for left in [&new, &copy] {
        match fs::remove_file(left) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(format!("{}: {error}", left.display())),
            Ok(()) | Err(_) => {}
        }
    }
    let Some(store) = store()? else {
        return Err("nothing has used the key-value store yet".to_owned());
    };
    check_room(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let started = Instant::now();
    let BackupSummary { keys, bytes } = store.back_up(&new).map_err(|error| error.to_string())?;
    fs::rename(&new, &copy).map_err(|error| format!("{}: {error}", copy.display()))?;
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    emit(ServerEvent::StoreCopied { keys, bytes, took_ms });
    Ok(json!({ "keys": keys, "bytes": bytes }))
}

/// Checks that a copy as large as the store leaves the store room to grow, unless that is on another disk.
fn check_room(folder: &Path) -> io::Result<()> {
    let store = fs::metadata(folder.join(KEYVALUE))?;
    let disk = rustix::fs::statvfs(folder)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    enough(free, store.len(), fs::metadata(folder)?.dev() == store.dev()).map_err(io::Error::other)
}

fn enough(free: u64, size: u64, is_same_disk: bool) -> Result<(), String> {
    let needed = size.saturating_mul(if is_same_disk { 2 } else { 1 });
    if free >= needed {
        return Ok(());
    }
    let what = if is_same_disk { "the copy, and room for the store" } else { "the copy" };
    Err(format!("needs {needed} bytes free, has {free} ({what})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn asked(folder: &Path, store: Option<Arc<Embedded>>) -> Value {
        let requests = Requests::default().with_backup(folder, move || Ok(store.clone()));
        requests.answer(BACKUP).await
    }

    #[tokio::test]
    async fn a_copy_is_made_in_the_state_folder_and_replaces_one_that_nobody_took() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(&folder.path().join(KEYVALUE)).unwrap();
        fs::write(folder.path().join(COPY), "left").unwrap();
        fs::write(folder.path().join(format!("{COPY}.new")), "left").unwrap();
        let answer = asked(folder.path(), Some(store)).await;
        assert_eq!(answer["keys"], 0, "{answer}");
        let copy = folder.path().join(COPY);
        assert_eq!(answer["bytes"], copy.metadata().unwrap().len());
        let opened = fs::OpenOptions::new().read(true).write(true).open(&copy).unwrap();
        whelk_runtime::keyvalue::check_store(&opened).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[tokio::test]
    async fn a_copy_that_nobody_takes_does_not_stay() {
        let folder = tempfile::tempdir().unwrap();
        let names = || fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        let store = Embedded::open(&folder.path().join(KEYVALUE)).unwrap();
        // Of a server that was killed.
        fs::write(folder.path().join(COPY), "left").unwrap();
        fs::write(folder.path().join(format!("{COPY}.new")), "left").unwrap();
        let requests = Requests::default().with_backup(folder.path(), move || Ok(Some(Arc::clone(&store))));
        assert_eq!(names(), [KEYVALUE]);
        // The client has gone away when its answer is sent.
        let (mut client, server) = tokio::net::UnixStream::pair().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut client, b"backup\n").await.unwrap();
        drop(client);
        let place = Arc::new(tokio::sync::Semaphore::new(1)).acquire_owned().await.unwrap();
        super::super::attend(server, Arc::new(requests), place).await;
        assert_eq!(names(), [KEYVALUE]);
    }

    #[test]
    fn a_copy_needs_room_for_itself_and_for_the_store_on_the_same_disk() {
        assert_eq!((enough(200, 100, true), enough(100, 100, false)), (Ok(()), Ok(())));
        assert_eq!(
            enough(199, 100, true),
            Err("needs 200 bytes free, has 199 (the copy, and room for the store)".to_owned())
        );
        assert_eq!(enough(99, 100, false), Err("needs 100 bytes free, has 99 (the copy)".to_owned()));
    }

    #[tokio::test]
    async fn without_a_store_or_while_another_is_made_there_is_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let answer = asked(folder.path(), None).await;
        assert!(answer["error"].as_str().unwrap().starts_with("nothing has used the key-value store"), "{answer}");
        let turn = Arc::new(Mutex::new(()));
        let _held = Arc::clone(&turn).try_lock_owned().unwrap();
        let answer = answer_while(folder.path(), turn).await;
        assert!(answer["error"].as_str().unwrap().starts_with("another backup"), "{answer}");
    }

    async fn answer_while(folder: &Path, turn: Arc<Mutex<()>>) -> Value {
        super::answer(folder.to_owned(), Arc::new(|| Ok(None)), turn).await
    }
}
