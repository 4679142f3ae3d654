//! The request `backup`: a copy of the key-value store in the state folder, which the client takes away.
//!
//! The server writes into its own folder, because it may run as a user who can write nowhere else. The client runs as
//! the same user or as root, so it can read the copy there.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Mutex;
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
        let turn = Arc::new(Mutex::new(()));
        self.with(BACKUP, TIME, move |_| answer(folder.clone(), Arc::clone(&store), Arc::clone(&turn)))
    }
}

async fn answer(folder: PathBuf, store: Arc<OpenStore>, turn: Arc<Mutex<()>>) -> Value {
    let Ok(turn) = turn.try_lock_owned() else { return error("another backup is being made: try again later") };
    let made = spawn_blocking(move || {
        let made = make(&folder, &*store);
        // Also if nobody waits for the answer any more.
        drop(turn);
        made
    });
    match made.await {
        Ok(Ok(answer)) => answer,
        Ok(Err(reason)) => error(&reason),
        Err(failure) => error(&failure.to_string()),
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
        return Err("there is no key-value store: no tenant and no authenticator has been granted one".to_owned());
    };
    check_room(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let started = Instant::now();
    let BackupSummary { keys, bytes } = store.back_up(&new).map_err(|error| error.to_string())?;
    fs::rename(&new, &copy).map_err(|error| format!("{}: {error}", copy.display()))?;
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    emit(ServerEvent::StoreCopied { keys, bytes, took_ms });
    Ok(json!({ "keys": keys, "bytes": bytes }))
}

/// Checks that a copy as large as the store leaves the store room to grow.
fn check_room(folder: &Path) -> io::Result<()> {
    let size = fs::metadata(folder.join(KEYVALUE))?.len();
    let disk = rustix::fs::statvfs(folder)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free / 2 < size {
        let what = format!("the disk has {free} bytes left, and a copy of {size} bytes has to leave as many free");
        return Err(io::Error::other(what));
    }
    Ok(())
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
        whelk_runtime::keyvalue::check_store(&copy).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[tokio::test]
    async fn without_a_store_or_while_another_is_made_there_is_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let answer = asked(folder.path(), None).await;
        assert!(answer["error"].as_str().unwrap().starts_with("there is no key-value store"), "{answer}");
        let turn = Arc::new(Mutex::new(()));
        let _held = Arc::clone(&turn).try_lock_owned().unwrap();
        let answer = answer_while(folder.path(), turn).await;
        assert!(answer["error"].as_str().unwrap().starts_with("another backup"), "{answer}");
    }

    async fn answer_while(folder: &Path, turn: Arc<Mutex<()>>) -> Value {
        super::answer(folder.to_owned(), Arc::new(|| Ok(None)), turn).await
    }
}
