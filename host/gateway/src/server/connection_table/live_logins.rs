//! Which connections are logged in, and on which files their logins depend.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::auth::access::{AcceptedLogin, Access};
use crate::auth::proof::SeenFile;
use crate::credential::{FileStamp, KeyPath, is_passing};

/// Files are looked at in this many parts, one after the other, so that the work is spread over the time.
pub(crate) const TURNS: usize = 16;
/// The operator's files and those of homes have parts of their own, so that a home that hangs delays none of the
/// former.
pub(crate) const SLICES: usize = 2 * TURNS;

/// What a look at a file has found. No stamp: it is not there, or may not be accessed.
pub(crate) type Looked = (KeyPath, Option<FileStamp>);

/// All logins of live connections.
pub(crate) struct LiveLogins {
    state: Mutex<LoginState>,
    added: Notify,
}

struct LoginState {
    logins: BTreeMap<u64, LiveLogin>,
    /// The files by which slice they are looked at in.
    slices: Vec<BTreeMap<KeyPath, WatchedFile>>,
    /// The connections that are to be judged, whatever their files.
    pending: Vec<u64>,
    /// The newest `Access`.
    newest: Option<Arc<Access>>,
}

struct LiveLogin {
    login: Arc<AcceptedLogin>,
    /// The files that had a say when it was judged last. A set would have room for eleven.
    files: Box<[KeyPath]>,
    /// The number of the `Access` that has judged it last.
    judged_by: u64,
}

struct WatchedFile {
    stamp: Option<FileStamp>,
    connections: BTreeSet<u64>,
}

impl Default for LiveLogins {
    fn default() -> LiveLogins {
        let slices = (0..SLICES).map(|_| BTreeMap::new()).collect();
        let state = LoginState { logins: BTreeMap::new(), slices, pending: Vec::new(), newest: None };
        LiveLogins { state: Mutex::new(state), added: Notify::new() }
    }
}

impl LiveLogins {
    /// What decides about new logins from now on.
    pub(crate) fn set_newest(&self, access: &Arc<Access>) {
        let mut state = self.state();
        let number = access.number();
        if state.newest.as_ref().is_none_or(|newest| newest.number() < number) {
            state.newest = Some(Arc::clone(access));
            let older =
                state.logins.iter().filter(|(_, live)| live.judged_by < number).map(|(connection, _)| *connection);
            let older: Vec<u64> = older.collect();
            state.pending.extend(older);
        }
    }

    /// What decides about new logins, if it is newer than that of this number.
    pub(crate) fn newer_than(&self, number: u64) -> Option<Arc<Access>> {
        self.state().newest.clone().filter(|newest| newest.number() > number)
    }

    /// Adds the login of a connection, which the `Access` of this number has accepted.
    pub(crate) fn add(&self, connection: u64, login: AcceptedLogin, judged_by: u64) {
        let mut state = self.state();
        let mut is_pending = state.newest.as_ref().is_some_and(|newest| judged_by < newest.number());
        for (path, stamp) in login.files() {
            is_pending |= state.watch(connection, path, *stamp);
        }
        let files: BTreeSet<&KeyPath> = login.files().map(|(path, _)| path).collect();
        let files = files.into_iter().cloned().collect();
        if is_pending {
            state.pending.push(connection);
        }
        state.logins.insert(connection, LiveLogin { login: Arc::new(login), files, judged_by });
        drop(state);
        self.added.notify_one();
    }

    /// Waits for a login that was added since the last call. Cancel safe.
    pub(crate) async fn added(&self) {
        self.added.notified().await;
    }

    /// Removes the login of a connection that is over.
    pub(crate) fn remove(&self, connection: u64) {
        let mut state = self.state();
        let Some(removed) = state.logins.remove(&connection) else { return };
        for path in &removed.files {
            state.unwatch(connection, path);
        }
    }

    /// The login of a connection.
    pub(crate) fn get(&self, connection: u64) -> Option<Arc<AcceptedLogin>> {
        self.state().logins.get(&connection).map(|live| Arc::clone(&live.login))
    }

    /// The login was judged to be valid, and depends on these files from now on.
    pub(crate) fn judged(&self, connection: u64, by: u64, files: &[SeenFile]) {
        let mut state = self.state();
        let Some(live) = state.logins.get_mut(&connection) else { return };
        live.judged_by = live.judged_by.max(by);
        let now: BTreeSet<&KeyPath> = files.iter().map(|(path, _)| path).collect();
        let before = std::mem::replace(&mut live.files, now.iter().copied().cloned().collect());
        for path in before.iter().filter(|path| !now.contains(path)) {
            state.unwatch(connection, path);
        }
        let mut is_pending = false;
        // A change of the others is seen by the look at them.
        for (path, stamp) in files.iter().filter(|(path, _)| !before.contains(path)) {
            is_pending |= state.watch(connection, path, *stamp);
        }
        if is_pending {
            state.pending.push(connection);
        }
    }

    /// All logins are to be judged: judgements were lost.
    pub(crate) fn judge_all(&self) {
        let mut state = self.state();
        state.pending = state.logins.keys().copied().collect();
    }

    /// The connections that are to be judged whatever their files: all that an older `Access` has judged than the
    /// newest one.
    pub(crate) fn take_pending(&self) -> Vec<u64> {
        std::mem::take(&mut self.state().pending)
    }

    /// Whether any login depends on a file, or is to be judged.
    pub(crate) fn depends_on_files(&self) -> bool {
        let state = self.state();
        !state.pending.is_empty() || state.slices.iter().any(|files| !files.is_empty())
    }

    /// The files of a slice.
    pub(crate) fn files(&self, slice: usize) -> Vec<KeyPath> {
        self.state().slices.get(slice).map(|files| files.keys().cloned().collect()).unwrap_or_default()
    }

    /// Takes what a look at a slice has found, and returns the connections whose files have changed since they were
    /// read, or may have. What could not be looked at is left out.
    pub(crate) fn looked(&self, slice: usize, found: Vec<Looked>) -> Vec<u64> {
        let mut state = self.state();
        let Some(files) = state.slices.get_mut(slice) else { return Vec::new() };
        let mut changed = Vec::new();
        for (path, stamp) in found {
            let Some(file) = files.get_mut(&path) else { continue };
            // A missing file needs no recheck: its reappearance changes the stamp.
            let may_have_changed = file.stamp.is_some_and(|stamp| !stamp.is_settled()) && stamp.is_some();
            if file.stamp != stamp || may_have_changed {
                changed.extend(file.connections.iter().copied());
                file.stamp = stamp;
            }
        }
        changed
    }

    /// Nothing panics while it holds the lock, so a poisoned one guards consistent data.
    fn state(&self) -> MutexGuard<'_, LoginState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LoginState {
    /// Watches a file for a connection. Returns whether it may have changed since it was read with this stamp.
    fn watch(&mut self, connection: u64, path: &KeyPath, stamp: Option<FileStamp>) -> bool {
        let Some(slice) = self.slices.get_mut(slice_of(path)) else { return false };
        let file = slice.entry(path.clone()).or_insert_with(|| WatchedFile { stamp, connections: BTreeSet::new() });
        file.connections.insert(connection);
        let has_changed = file.stamp != stamp;
        // The next look, if it finds the same, must not be taken for settled.
        if !has_changed && stamp.is_some_and(|stamp| !stamp.is_settled()) {
            file.stamp = stamp;
        }
        has_changed
    }

    fn unwatch(&mut self, connection: u64, path: &KeyPath) {
        let Some(slice) = self.slices.get_mut(slice_of(path)) else { return };
        if let Some(file) = slice.get_mut(path) {
            file.connections.remove(&connection);
            if file.connections.is_empty() {
                slice.remove(path);
            }
        }
    }
}

/// Looks at files. Waits for the disk. What cannot be looked at for a reason that passes is left out.
pub(crate) fn look(files: Vec<KeyPath>) -> Vec<Looked> {
    files
        .into_iter()
        .filter_map(|file| match file.stamp() {
            Ok(stamp) => Some((file, Some(stamp))),
            Err(error) => (!is_passing(&error)).then_some((file, None)),
        })
        .collect()
}

fn slice_of(path: &KeyPath) -> usize {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    let turn = usize::try_from(hasher.finish() % TURNS as u64).unwrap_or_default();
    if path.is_in_home() { TURNS + turn } else { turn }
}
