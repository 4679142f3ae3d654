//! A copy of the embedded store, made while it is in use.
//!
//! The copy is one committed state: everything that was confirmed before it began, and of later changes nothing. It is
//! read in one transaction, which hinders no writer, and written in pieces, so that its size does not matter. Replaced
//! pages are not freed until the copy ends, so the store may grow.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use redb::{
    Database, DatabaseError, Key, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError, Value,
};

use super::buckets::StoreError;
use super::file::File;
use super::tables::{BUCKETS, FORMAT, KEYS, META, ORDER, TENANTS};
use crate::supervise::catch;

/// Memory for pages of the copy, in bytes.
const CACHE: usize = 8 << 20;
/// How much is written in one transaction, in bytes of keys and values.
const PIECE: usize = 4 << 20;

/// What a copy has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupSummary {
    /// Keys of all tenants.
    pub keys: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Why a copy failed.
enum CopyError {
    /// The store: it is opened again.
    Store(redb::Error),
    /// The file of the copy.
    Copy(redb::Error),
    /// The store has failed in another operation, which waits for the copy to release the file.
    Stopped,
}

impl CopyError {
    fn copy(error: impl Into<redb::Error>) -> Self {
        Self::Copy(error.into())
    }

    fn store(error: impl Into<redb::Error>) -> Self {
        Self::Store(error.into())
    }
}

/// Copies the last committed state into a file that does not exist yet, for its owner only. Blocks.
pub(super) fn copy(store: &File, path: &Path) -> Result<BackupSummary, StoreError> {
    let unusable = |reason: String| StoreError::Unusable { file: path.to_owned(), reason };
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(|error| unusable(format!("cannot be made: {error}")))?;
    let copied = copy_into(store, file, path);
    if copied.is_err() {
        // The error is told; half a copy is of no use.
        let _ = fs::remove_file(path);
    }
    copied
}

fn copy_into(store: &File, file: fs::File, path: &Path) -> Result<BackupSummary, StoreError> {
    let unusable = |reason: String| StoreError::Unusable { file: path.to_owned(), reason };
    let target = Database::builder().set_cache_size(CACHE).create_file(file);
    let target = target.map_err(|error| unusable(format!("cannot be written: {error}")))?;
    let copied = store.with_database(|database| {
        let read = database.begin_read()?;
        match copy_tables(&read, &target, &|| store.is_closing()) {
            Ok(keys) => Ok(Ok(keys)),
            Err(CopyError::Store(error)) => Err(error),
            Err(CopyError::Copy(error)) => Ok(Err(unusable(format!("cannot be written: {error}")))),
            Err(CopyError::Stopped) => Ok(Err(StoreError::Failed("it has failed meanwhile".to_owned()))),
        }
    });
    let keys = copied??;
    drop(target);
    let bytes = fs::metadata(path).map_err(|error| unusable(error.to_string()))?.len();
    Ok(BackupSummary { keys, bytes })
}

/// Copies every table. Returns the number of keys of all tenants.
fn copy_tables(from: &ReadTransaction, to: &Database, stopped: &dyn Fn() -> bool) -> Result<u64, CopyError> {
    copy_table(from, to, META, stopped)?;
    copy_table(from, to, TENANTS, stopped)?;
    copy_table(from, to, BUCKETS, stopped)?;
    copy_table(from, to, ORDER, stopped)?;
    copy_table(from, to, KEYS, stopped)
}

/// Copies one table, and returns the number of its rows.
fn copy_table<K: Key + 'static, V: Value + 'static>(
    from: &ReadTransaction,
    to: &Database,
    definition: TableDefinition<'static, K, V>,
    stopped: &dyn Fn() -> bool,
) -> Result<u64, CopyError> {
    let table = from.open_table(definition).map_err(CopyError::store)?;
    let mut rows = table.iter().map_err(CopyError::store)?;
    let mut count = 0;
    loop {
        let mut transaction = to.begin_write().map_err(CopyError::copy)?;
        // As the store itself is written. With quick repair, opening the copy does not scan the whole file.
        transaction.set_two_phase_commit(true);
        transaction.set_quick_repair(true);
        let mut bytes = 0;
        {
            let mut table = transaction.open_table(definition).map_err(CopyError::copy)?;
            while bytes < PIECE {
                let Some(row) = rows.next() else { break };
                if stopped() {
                    return Err(CopyError::Stopped);
                }
                let (key, value) = row.map_err(CopyError::store)?;
                let (key, value) = (key.value(), value.value());
                bytes += K::as_bytes(&key).as_ref().len() + V::as_bytes(&value).as_ref().len();
                table.insert(key, value).map_err(CopyError::copy)?;
                count += 1;
            }
        }
        transaction.commit().map_err(CopyError::copy)?;
        if bytes < PIECE {
            return Ok(count);
        }
    }
}

/// Checks that a file is an undamaged store of this version, and reads all of it. Opening it repairs an interrupted
/// transaction, so it must be open for reading and writing.
///
/// # Errors
/// What is wrong with it.
pub fn check_store(file: &fs::File) -> Result<(), String> {
    let unreadable = |error: std::io::Error| format!("it cannot be read: {error}");
    // The library would make a store of an empty file.
    if file.metadata().map_err(unreadable)?.len() == 0 {
        return Err("it is empty".to_owned());
    }
    let file = file.try_clone().map_err(unreadable)?;
    // A damaged file can make the library panic instead of returning an error.
    let checked = catch(|| {
        let mut database =
            Database::builder().set_cache_size(CACHE).create_file(file).map_err(|error| match error {
                DatabaseError::UpgradeRequired(version) => format!("its format {version} is too old"),
                other => damaged(other),
            })?;
        // Before the check, which takes longer.
        check_tables(&database)?;
        match database.check_integrity() {
            Ok(true) => Ok(()),
            Ok(false) => Err(damaged("its contents do not have the checksums that they were written with")),
            Err(error) => Err(damaged(error)),
        }
    });
    checked.unwrap_or_else(|_| Err(damaged("its structure makes no sense")))
}

/// Checks that there are the tables of a store, in the layout that this version uses.
fn check_tables(database: &Database) -> Result<(), String> {
    let read = database.begin_read().map_err(damaged)?;
    let other = |error: TableError| match error {
        TableError::Storage(error) => damaged(error),
        _ => "it is a database of another program".to_owned(),
    };
    let meta = read.open_table(META).map_err(other)?;
    read.open_table(TENANTS).map_err(other)?;
    read.open_table(BUCKETS).map_err(other)?;
    read.open_table(KEYS).map_err(other)?;
    read.open_table(ORDER).map_err(other)?;
    match meta.get("format").map_err(damaged)?.map(|format| format.value()) {
        Some(FORMAT) => Ok(()),
        Some(newer) => Err(format!("its layout {newer} is of another version of whelk, which must open it")),
        None => Err("it is a database of another program".to_owned()),
    }
}

fn damaged(reason: impl fmt::Display) -> String {
    format!("it is damaged: {reason}")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::super::buckets::{Buckets, Page};
    use super::super::embedded::{Embedded, StoreQuota};
    use super::super::flow::Load;
    use super::*;

    const QUOTA: StoreQuota = StoreQuota { bytes: 1 << 30, keys: 1 << 20 };

    async fn set(buckets: &dyn Buckets, keys: &[String]) {
        let room = buckets.flow().room(Load::write(1, 1)).await;
        let entries = keys.iter().map(|key| (key.clone(), vec![7; 1_000])).collect();
        buckets.set_many(room, "bucket".to_owned(), entries).await.unwrap();
    }

    async fn keys(buckets: &dyn Buckets) -> Vec<String> {
        let (mut keys, mut cursor) = (Vec::new(), None);
        loop {
            let room = buckets.flow().room(Load::read(1, 0)).await;
            let page = Page { cursor, keys: 1_000, bytes: 1 << 20 };
            let mut page = buckets.list_keys(room, "bucket".to_owned(), page).await.unwrap();
            keys.append(&mut page.keys);
            cursor = page.cursor;
            if cursor.is_none() {
                return keys;
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_copy_is_one_state_of_a_store_that_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (folder.path().join("store"), folder.path().join("copy"));
        let store = Embedded::open(&path).unwrap();
        let (acme, other) = (store.tenant("acme", QUOTA), store.tenant("other", QUOTA));
        // More than one piece.
        let before: Vec<String> = (0..6_000).map(|number| format!("before {number}")).collect();
        for keys in before.chunks(500) {
            set(&*acme, keys).await;
        }
        // Each change sets two keys, after the one before it is confirmed.
        let done = Arc::new(AtomicU32::new(0));
        let (writing, confirmed) = (Arc::clone(&other), Arc::clone(&done));
        let writer = tokio::spawn(async move {
            for number in 0.. {
                set(&*writing, &[format!("{number} a"), format!("{number} b")]).await;
                confirmed.store(number + 1, Ordering::SeqCst);
            }
        });
        while done.load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
        }
        let least = done.load(Ordering::SeqCst);
        let (copied, into) = (Arc::clone(&store), copy.clone());
        let summary = tokio::task::spawn_blocking(move || copied.back_up(&into)).await.unwrap().unwrap();
        let most = done.load(Ordering::SeqCst) + 1;
        assert!(most > least + 1, "nothing was confirmed while the copy was made");
        writer.abort();
        set(&*other, &["after".to_owned()]).await;
        assert_eq!(copy.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(summary.bytes, copy.metadata().unwrap().len());
        check_store(&opened(&copy)).unwrap();
        let restored = Embedded::open(&copy).unwrap();
        let mut found = keys(&*restored.tenant("acme", QUOTA)).await;
        assert_eq!(found.len(), before.len());
        found.sort();
        let mut sorted = before;
        sorted.sort();
        assert_eq!(found, sorted);
        let found = keys(&*restored.tenant("other", QUOTA)).await;
        let count = u32::try_from(found.len() / 2).unwrap();
        let expected: Vec<_> = (0..count).flat_map(|number| [format!("{number} a"), format!("{number} b")]).collect();
        assert_eq!(found, expected);
        assert!((least..=most).contains(&count), "{least} {count} {most}");
        assert_eq!(summary.keys, u64::try_from(6_000 + found.len()).unwrap());
        // It can be written to, and the quota counts what it has.
        set(&*restored.tenant("other", QUOTA), &["more".to_owned()]).await;
        let full = restored.tenant("acme", StoreQuota { bytes: 6_000_000, keys: 1 << 20 });
        let room = full.flow().room(Load::write(1, 1)).await;
        let refused = full.set_many(room, "bucket".to_owned(), vec![("more".to_owned(), vec![0])]).await;
        assert_eq!(refused, Err(StoreError::OverQuota));
    }

    #[test]
    fn a_copy_replaces_no_file_and_what_is_no_store_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(&folder.path().join("store")).unwrap();
        let copy = folder.path().join("copy");
        fs::write(&copy, "mine").unwrap();
        let error = store.back_up(&copy).unwrap_err().to_string();
        assert!(error.contains("copy: cannot be made: File exists"), "{error}");
        assert_eq!(fs::read_to_string(&copy).unwrap(), "mine");
        assert!(check_store(&opened(&copy)).unwrap_err().starts_with("it is damaged: "));
        fs::write(&copy, "").unwrap();
        assert_eq!(check_store(&opened(&copy)), Err("it is empty".to_owned()));
        assert_eq!(copy.metadata().unwrap().len(), 0);
        let foreign = folder.path().join("foreign");
        let transaction = Database::create(&foreign).unwrap().begin_write().unwrap();
        transaction.open_table(TableDefinition::<&str, u64>::new("theirs")).unwrap();
        transaction.commit().unwrap();
        assert_eq!(check_store(&opened(&foreign)), Err("it is a database of another program".to_owned()));
    }

    #[tokio::test]
    async fn a_copy_of_which_one_byte_of_a_value_has_changed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (folder.path().join("store"), folder.path().join("copy"));
        let store = Embedded::open(&path).unwrap();
        let keys: Vec<String> = (0..500).map(|number| format!("key {number}")).collect();
        set(&*store.tenant("acme", QUOTA), &keys).await;
        store.back_up(&copy).unwrap();
        check_store(&opened(&copy)).unwrap();
        let mut bytes = fs::read(&copy).unwrap();
        let value = bytes.windows(64).position(|window| window == [7; 64]).unwrap();
        bytes[value + 32] = 8;
        fs::write(&copy, &bytes).unwrap();
        assert!(check_store(&opened(&copy)).unwrap_err().starts_with("it is damaged: "));
        // Half of it.
        fs::write(&copy, &bytes[..bytes.len() / 2]).unwrap();
        assert!(check_store(&opened(&copy)).unwrap_err().starts_with("it is damaged: "));
    }

    #[test]
    fn a_copy_ends_when_an_operation_fails_and_waits_for_it_also_after_an_earlier_failure() {
        let folder = tempfile::tempdir().unwrap();
        let store = File::open(&folder.path().join("store")).unwrap();
        let fail = || store.with_database(|_| Err::<(), _>(redb::Error::Corrupted("for a test".to_owned())));
        let write_row = |database: &Database| {
            let transaction = database.begin_write()?;
            transaction.open_table(META)?.insert("next", 2)?;
            transaction.commit()?;
            Ok(())
        };
        store.with_database(write_row).unwrap();
        for copy in ["first", "second"] {
            let target = Database::create(folder.path().join(copy)).unwrap();
            std::thread::scope(|scope| {
                let stopped = store.with_database(|database| {
                    let read = database.begin_read()?;
                    scope.spawn(|| fail().unwrap_err());
                    while !store.is_closing() {
                        std::thread::yield_now();
                    }
                    Ok(matches!(copy_tables(&read, &target, &|| store.is_closing()), Err(CopyError::Stopped)))
                });
                assert_eq!(stopped, Ok(true));
            });
            assert!(!store.is_closing());
        }
        // Nothing was written since, and a copy is made all the same.
        copy_into_new(&store, &folder.path().join("third"));
    }

    fn copy_into_new(store: &File, path: &Path) {
        assert_eq!(copy(store, path).unwrap().keys, 0);
        check_store(&opened(path)).unwrap();
    }

    #[test]
    fn half_a_copy_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let store = File::open(&path).unwrap();
        store
            .with_database(|database| {
                let transaction = database.begin_write()?;
                transaction.delete_table(KEYS)?;
                transaction.commit()?;
                Ok(())
            })
            .unwrap();
        let copied = folder.path().join("copy");
        assert!(matches!(copy(&store, &copied), Err(StoreError::Failed(_))));
        assert!(!copied.exists());
    }

    fn opened(path: &Path) -> fs::File {
        OpenOptions::new().read(true).write(true).open(path).unwrap()
    }
}
