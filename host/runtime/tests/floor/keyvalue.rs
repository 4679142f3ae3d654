//! Key-value: two tenants with the same names, quotas, hostile names, and a store whose process is killed while it
//! writes.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};

use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::Instant;
use whelk_runtime::keyvalue::{Buckets, Embedded, Load, Page, StoreError, StoreQuota};
use whelk_runtime::{ChannelEvent, Ending, Exit, Grant, Grants, Limits, Plugin, SignalName, Tenant, Topics};

use crate::client::{Client, Recorder};
use crate::guests;

const QUOTA: StoreQuota = StoreQuota { bytes: 16 << 20, keys: 10_000 };
/// For tests with many calls that are not about the rate.
const RATE: u32 = 1_000_000;
/// More than any value.
const MOST: usize = 1 << 30;

/// The plugin that uses the tenant's shared data.
pub(crate) fn neighbour() -> Arc<Plugin> {
    static NEIGHBOUR: OnceLock<Arc<Plugin>> = OnceLock::new();
    let load = || Plugin::load(guests::engine(), "neighbour", &guests::wasm("neighbour")).unwrap();
    Arc::clone(NEIGHBOUR.get_or_init(load))
}

/// Buckets in the store that most tests share, each for a tenant of its own.
pub(crate) fn store(tenant: &str) -> Arc<dyn Buckets> {
    static STORE: OnceLock<(tempfile::TempDir, Arc<Embedded>)> = OnceLock::new();
    let (_, store) = STORE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(&folder.path().join("keyvalue.redb")).unwrap();
        (folder, store)
    });
    store.tenant(tenant, QUOTA)
}

/// The grant of shared data and nothing else.
pub(crate) fn grants(buckets: Arc<dyn Buckets>) -> Grants {
    let mut grants = Grants::default();
    grants.keyvalue.replace(buckets);
    grants.topics.replace(Topics::new());
    grants
}

fn over(buckets: Arc<dyn Buckets>, limits: Limits) -> Arc<Tenant> {
    Tenant::new("tests", limits, grants(buckets))
}

/// A tenant in the shared store. Each test uses names of its own.
fn tenant(name: &str) -> Arc<Tenant> {
    let keyvalue_rate = RATE;
    over(store(name), Limits { keyvalue_rate, ..Limits::default() })
}

fn session(tenant: &Arc<Tenant>, command: &str) -> Client {
    Client::of(tenant, &neighbour(), &[]).and(ChannelEvent::Exec(command.into()))
}

/// The output of a session that runs this script and finishes.
async fn run(tenant: &Arc<Tenant>, script: &str) -> String {
    let (recorder, report): (Recorder, _) = session(tenant, &format!("{script};finish")).end().await;
    assert_eq!(recorder.exit(), Some(Exit::Status(0)), "{report:?}");
    recorder.text()
}

#[test]
fn a_plugin_needs_only_the_grants_of_its_imports() {
    let needs: Vec<_> = neighbour().needs().iter().copied().collect();
    assert_eq!(needs, [Grant::KeyValue, Grant::Topics]);
    assert!(guests::bare().needs().is_empty() && guests::script().needs().is_empty());
}

/// W29: it needs no grant, and what it reads is not the tenant's.
#[tokio::test]
async fn a_session_plugin_finds_its_configuration_empty() {
    assert_eq!(run(&tenant("config"), "config").await, "[]\n");
}

#[tokio::test]
async fn a_value_is_visible_to_later_sessions_until_it_is_deleted() {
    let acme = tenant("values");
    assert_eq!(run(&acme, "open b;get k;set k one;get k;set k two").await, "None\n()\nSome(\"one\")\n()\n");
    assert_eq!(run(&acme, "open b;get k;exists k;exists j;list").await, "Some(\"two\")\ntrue\nfalse\n\"k\"\n");
    assert_eq!(run(&acme, "open b;delete k;delete k;get k;exists k;list").await, "()\n()\nNone\nfalse\n\"\"\n");
}

#[tokio::test]
async fn tenants_with_the_same_names_do_not_see_each_other() {
    let (acme, zeta) = (tenant("same-1"), tenant("same-2"));
    run(&acme, "open b;set k acme;add n 5").await;
    assert_eq!(run(&zeta, "open b;get k;list;add n 1;delete k").await, "None\n\"\"\n1\n()\n");
    assert_eq!(run(&acme, "open b;get k;get n;list").await, "Some(\"acme\")\nSome(\"5\")\n\"k n\"\n");
    // Nor do buckets.
    assert_eq!(run(&acme, "open c;get k;list").await, "None\n\"\"\n");
}

#[tokio::test]
async fn no_name_reaches_another_tenants_values() {
    // All combinations of tenant, bucket and key that shift the borders between them, or contain bytes that end names
    // elsewhere.
    let pieces = ["", "a", "ab", "b", "\0", "a\0", "\0a", "a\0b", "/", "a/b", "../a", "\u{ffff}", "a\u{10ffff}"];
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("keyvalue.redb")).unwrap();
    let tenants: Vec<_> = pieces.iter().map(|name| (*name, store.tenant(name, QUOTA))).collect();
    for (name, buckets) in &tenants {
        for bucket in pieces {
            let entries = pieces.iter().map(|key| ((*key).to_owned(), format!("{name}|{bucket}|{key}").into_bytes()));
            let room = buckets.flow().room(Load::write(pieces.len(), 0)).await;
            buckets.set_many(room, bucket.to_owned(), entries.collect()).await.unwrap();
        }
    }
    for (name, buckets) in &tenants {
        for bucket in pieces {
            let (values, keys) = contents(&**buckets, bucket).await;
            assert_eq!(keys, pieces);
            for (key, value) in keys.iter().zip(values) {
                assert_eq!(String::from_utf8(value).unwrap(), format!("{name}|{bucket}|{key}"));
            }
        }
    }
}

/// All keys and values of a bucket, in the order of the list.
async fn contents(buckets: &dyn Buckets, bucket: &str) -> (Vec<Vec<u8>>, Vec<String>) {
    let (mut keys, mut cursor) = (Vec::new(), None);
    loop {
        let room = buckets.flow().room(Load::write(1, 0)).await;
        let page = Page { cursor, keys: 100, bytes: MOST };
        let mut found = buckets.list_keys(room, bucket.to_owned(), page).await.unwrap();
        keys.append(&mut found.keys);
        cursor = found.cursor;
        if cursor.is_none() {
            break;
        }
    }
    let room = buckets.flow().room(Load::write(1, 0)).await;
    let values = buckets.get_many(room, bucket.to_owned(), keys.clone(), MOST).await.unwrap();
    (values.into_iter().map(Option::unwrap).collect(), keys)
}

#[tokio::test]
async fn names_and_values_that_are_too_long_and_calls_that_are_too_large_are_errors() {
    let acme = tenant("lengths");
    let heard =
        run(&acme, "open ~1025;open \\e;set ~1025 v;set \\0 v;get \\0;set \\e e;get \\e;set ~1024 v;list").await;
    let name = "error Error::Other(\"the name of the bucket has more than 1024 bytes\")";
    let key = "error Error::Other(\"the key has more than 1024 bytes\")";
    let long = "x".repeat(1024);
    assert_eq!(heard, format!("{name}\n{key}\n()\nSome(\"v\")\n()\nSome(\"e\")\n()\n\"\\0  {long}\"\n"));
    let heard = run(&acme, "open \\e;set k ~1048577;fill 1001 1;delete-many;set-many;set k ~1048576").await;
    let value = "error Error::Other(\"the value has more than 1048576 bytes\")";
    let count = "error Error::Other(\"more than 1000 keys in one call\")";
    assert_eq!(heard, format!("{value}\n{count}\n()\n()\n()\n"));
    // Values written in two calls cannot be read in one.
    let heard = run(&acme, "open big;fill 4 900000;set key4 ~900000;read 4;read 5").await;
    assert_eq!(heard, "()\n()\n4\nerror Error::Other(\"the values are too many for one call\")\n");
}

#[tokio::test]
async fn only_a_tenant_at_its_quota_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("keyvalue.redb")).unwrap();
    let acme = over(store.tenant("acme", StoreQuota { bytes: 1_000, keys: 5 }), Limits::default());
    let zeta = over(store.tenant("zeta", QUOTA), Limits::default());
    let over = "error Error::Other(\"over quota\")";
    // The bucket's name and the key are two bytes.
    assert_eq!(
        run(&acme, "open b;set k ~999;set k ~998;set k ~999;get k").await,
        format!("{over}\n()\n{over}\nSome(\"998 bytes\")\n")
    );
    assert_eq!(run(&acme, "open b;set j \\e;set k ~997;set j \\e").await, format!("{over}\n()\n()\n"));
    assert_eq!(
        run(&acme, "open b;set k \\e;set 1 \\e;set 2 \\e;set 3 \\e;add 4 1").await,
        format!("()\n()\n()\n{over}\n{over}\n")
    );
    // A bucket counts as a key, and disappears with its last one.
    assert_eq!(
        run(&acme, "open c;set k v;open b;delete 1;delete 2;open c;set k v").await,
        format!("{over}\n()\n()\n()\n")
    );
    assert_eq!(run(&acme, "open b;delete-many k j;open c;set-many 1 a 2 b").await, "()\n()\n");
    // A batch succeeds as a whole or changes nothing.
    assert_eq!(run(&acme, "open c;set-many 1 x 3 c 4 d;get 1;list").await, format!("{over}\nSome(\"a\")\n\"k 1 2\"\n"));
    assert_eq!(run(&zeta, "open b;set k ~2000;fill 100 100").await, "()\n()\n");
    // Reducing an excess is allowed after a quota was lowered.
    let lower = self::over(store.tenant("zeta", StoreQuota { bytes: 1_000, keys: 10 }), Limits::default());
    assert_eq!(run(&lower, "open b;set k ~1999;set k ~2000;set new \\e").await, format!("()\n{over}\n{over}\n"));
}

#[tokio::test]
async fn a_key_that_is_named_twice_in_a_batch_counts_once() {
    let acme = tenant("twice");
    assert_eq!(
        run(&acme, "open b;set-many k 1 j 2 k 3;get-many j k none j").await,
        "()\n[Some((\"j\", Some(\"2\"))), Some((\"k\", Some(\"3\"))), None, Some((\"j\", Some(\"2\")))]\n"
    );
    assert_eq!(run(&acme, "open b;delete-many k k j;list").await, "()\n\"\"\n");
}

#[tokio::test]
async fn a_batch_with_more_bytes_than_a_call_may_carry_ends_the_session() {
    // W11
    let (recorder, _) = session(&tenant("batch"), "open b;fill 5 900000").end().await;
    let exit = recorder.exit();
    assert!(matches!(&exit, Some(Exit::Signal { message, .. }) if message == "write too large"), "{exit:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_concurrent_sessions_lose_no_increment() {
    let acme = tenant("count");
    let counting: Vec<_> = (0..8).map(|_| session(&acme, "open b;adds n 50;finish")).collect();
    for client in counting {
        client.end().await;
    }
    assert_eq!(run(&acme, "open b;get n").await, "Some(\"400\")\n");
}

#[tokio::test]
async fn a_value_that_is_not_a_number_or_overflows_is_not_incremented() {
    let heard = run(
        &tenant("numbers"),
        "open b;set k one;add k 1;get k;set n 18446744073709551614;add n 1;add n 1;get n;add new 7;set s -1;add s 1",
    )
    .await;
    let not = "error Error::Other(\"not a number of 64 bits\")";
    assert_eq!(
        heard,
        format!(
            "()\n{not}\nSome(\"one\")\n()\n18446744073709551615\n{not}\nSome(\"18446744073709551615\")\n7\n()\n{not}\n"
        )
    );
}

#[tokio::test]
async fn keys_are_listed_in_pages_in_insertion_order_despite_changes() {
    let acme = tenant("pages");
    assert_eq!(run(&acme, "open b;fill 1000 1;set more 1;set key0 2;count-keys").await, "()\n()\n()\n1001\n");
    let heard = run(&acme, "open b;page first").await;
    assert!(heard.starts_with("([\"key0\", \"key1\", ") && heard.ends_with("\"key999\"], Some(1000))\n"), "{heard}");
    // The second page starts where it did, whatever was deleted from the first and added at the end.
    let heard = run(&acme, "open b;delete-many key0 key1;set last 1;page 1000;page 18446744073709551615").await;
    assert_eq!(heard, "()\n()\n([\"more\", \"last\"], None)\n([], None)\n");
}

#[tokio::test]
async fn handles_are_limited() {
    // W19
    assert_eq!(run(&tenant("handles"), "hoard 1000").await, "1000\n");
    let (recorder, report) = session(&tenant("handles"), "hoard 1000;hoard 1000;finish").end().await;
    let killed = Exit::Signal { name: SignalName::Kill, core_dumped: false, message: "too many resources".to_owned() };
    assert_eq!(recorder.exit(), Some(killed), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn calls_above_the_rate_wait() {
    // W22
    let keyvalue_rate = 10;
    let acme = over(store("rate"), Limits { keyvalue_rate, ..Limits::default() });
    let before = Instant::now();
    run(&acme, &format!("open b;{}", "exists k;".repeat(31))).await;
    assert_eq!(before.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_while_it_waits_for_the_rate_ends_normally() {
    let keyvalue_rate = 1;
    let acme = over(store("ending"), Limits { keyvalue_rate, ..Limits::default() });
    let client = Client::of(&acme, &neighbour(), &[]);
    client.run("open b;exists 1;exists 2;say waiting;exists 3");
    let mut client = client;
    client.until_stdout(20).await;
    client.inbox.end(Ending::ClientClosed);
    let (_, report) = client.end().await;
    assert!(report.error.is_none(), "{report:?}");
    assert_eq!(report.ending, Some(Ending::ClientClosed));
}

#[tokio::test]
async fn values_persist_after_the_store_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyvalue.redb");
    let acme = over(Embedded::open(&path).unwrap().tenant("acme", QUOTA), Limits::default());
    run(&acme, "open b;set k v").await;
    drop(acme);
    let acme = over(Embedded::open(&path).unwrap().tenant("acme", QUOTA), Limits::default());
    assert_eq!(run(&acme, "open b;get k").await, "Some(\"v\")\n");
}

fn refusal(path: &Path) -> String {
    Embedded::open(path).unwrap_err().to_string()
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_the_reason_and_what_to_do() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyvalue.redb");
    let name = path.display().to_string();
    let store = Embedded::open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        refusal(&path),
        format!(
            "the key-value store {name}: another whelk runs on this state folder; stop it, or give this one a folder of its own"
        )
    );
    drop(store);
    let whole = fs::read(&path).unwrap();
    for damage in [&b"this is no store, but a text"[..], &whole[..whole.len() / 2], &[0; 4096]] {
        fs::write(&path, damage).unwrap();
        let refusal = refusal(&path);
        assert!(refusal.starts_with(&format!("the key-value store {name}: it is damaged (")), "{refusal}");
        assert!(
            refusal.ends_with("put a backup in its place, or move it away to begin with an empty store"),
            "{refusal}"
        );
    }
    let nowhere = refusal(&folder.path().join("none/keyvalue.redb"));
    assert!(nowhere.contains("cannot be opened: No such file"), "{nowhere}");
}

/// Tells the test program that it is the process to be killed, and where its store is.
const VICTIM: &str = "WHELK_KEYVALUE_VICTIM";
/// How many tasks of the killed process write at the same time.
const WRITERS: u64 = 8;

/// How many kills: the full number in `cargo xtask prove`.
fn kills() -> u64 {
    if std::env::var_os("WHELK_PROVE").is_some_and(|value| value == "1") { 200 } else { 12 }
}

/// The store is opened, written to by eight tasks at once, and its process killed at some moment, again and again. The
/// test program starts itself with a variable set as the process to kill.
#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed_and_the_store_always_opens() {
    if let Some(path) = std::env::var_os(VICTIM) {
        return write_until_killed(Path::new(&path));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyvalue.redb");
    let mut acknowledged = 0;
    for kill in 0..kills() {
        acknowledged += one_kill(&path, kill);
        check_store(&path, acknowledged);
    }
    println!("figure: kills during key-value writes: {}, {acknowledged} acknowledged keys, 0 lost", kills());
}

/// The process is killed as soon as it has created a file, or a little later: it leaves a store or nothing.
#[test]
fn a_store_that_was_being_made_when_the_process_was_killed_opens() {
    let mut unfinished = 0;
    for kill in 0..kills() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyvalue.redb");
        let mut victim = victim(&path);
        while folder.path().read_dir().unwrap().next().is_none() {
            assert!(victim.try_wait().unwrap().is_none(), "the victim has ended");
        }
        // A few microseconds more each time, up to a few milliseconds.
        for _ in 0..kill * kill * 3 % 2_000 {
            folder.path().read_dir().unwrap();
        }
        victim.kill().unwrap();
        victim.wait().unwrap();
        unfinished += u64::from(!path.exists());
        drop(Embedded::open(&path).unwrap());
    }
    println!("figure: kills while the store was made: {}, {unfinished} of them before it had its name", kills());
}

#[test]
fn a_store_may_be_a_dangling_link_to_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyvalue.redb");
    fs::create_dir(folder.path().join("disk")).unwrap();
    std::os::unix::fs::symlink("disk/link", &path).unwrap();
    std::os::unix::fs::symlink("store", folder.path().join("disk/link")).unwrap();
    // What was left of a store that was being created.
    fs::write(folder.path().join("disk/store.new"), "half").unwrap();
    drop(Embedded::open(&path).unwrap());
    assert!(folder.path().join("disk/store").is_file() && !folder.path().join("disk/store.new").exists());
    drop(Embedded::open(&path).unwrap());
}

fn victim(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("keyvalue::nothing_acknowledged_is_lost_when_the_process_is_killed_and_the_store_always_opens")
        .env(VICTIM, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Starts a process and kills it after a number of acknowledgements that depends on the number of the kill; returns
/// that number.
fn one_kill(path: &Path, kill: u64) -> usize {
    let mut victim = victim(path);
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    // 1 to 61 lines, in no pattern that a group of writes could follow.
    let mut left = 1 + kill.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 61;
    let mut acknowledged = 0;
    while let Some(Ok(line)) = lines.next() {
        acknowledged += usize::from(line.starts_with("kept "));
        left = left.saturating_sub(1);
        if left == 0 {
            victim.kill().unwrap();
        }
    }
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&victim.wait().unwrap()), Some(9));
    acknowledged
}

/// Writes new keys, each with a value that identifies it, and prints each one that was acknowledged.
fn write_until_killed(path: &Path) {
    let store = Embedded::open(path).unwrap();
    Builder::new_multi_thread().worker_threads(2).build().unwrap().block_on(async move {
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let buckets = store.tenant(&format!("tenant {}", writer % 2), QUOTA);
            writers.spawn(async move {
                loop {
                    let room = buckets.flow().room(Load::write(1, 0)).await;
                    let number = buckets.increment(room, "numbers".to_owned(), "next".to_owned(), 1).await.unwrap();
                    let room = buckets.flow().room(Load::write(1, 0)).await;
                    let entry = (format!("{number}"), value(number));
                    buckets.set_many(room, "kept".to_owned(), vec![entry]).await.unwrap();
                    // One write, so that lines do not mix.
                    std::io::stdout().write_all(format!("kept {number}\n").as_bytes()).unwrap();
                }
            });
        }
        writers.join_all().await;
    });
}

/// Up to 2 KB.
fn value(number: u64) -> Vec<u8> {
    number.to_string().repeat(usize::try_from(number * 37 % 500).unwrap()).into_bytes()
}

/// Opens the store: it has at least what was acknowledged, and its contents are complete and counted correctly.
fn check_store(path: &Path, acknowledged: usize) {
    let store = Embedded::open(path).unwrap();
    Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
        let mut there = 0;
        for tenant in ["tenant 0", "tenant 1"] {
            let buckets = store.tenant(tenant, QUOTA);
            let (values, keys) = contents(&*buckets, "kept").await;
            let (numbers, _) = contents(&*buckets, "numbers").await;
            let last: u64 = numbers.first().map_or(0, |last| String::from_utf8_lossy(last).parse().unwrap());
            let mut bytes = if numbers.is_empty() { 0 } else { "numbers".len() + "next".len() + numbers[0].len() };
            bytes += if keys.is_empty() { 0 } else { "kept".len() };
            for (key, kept) in keys.iter().zip(&values) {
                let number: u64 = key.parse().unwrap();
                assert!(number <= last, "{number} was kept before it was counted");
                assert!(*kept == value(number), "the value of {number} is not what was written");
                bytes += key.len() + kept.len();
            }
            there += keys.len();
            let count = keys.len() + usize::from(!keys.is_empty()) + 2 * usize::from(!numbers.is_empty());
            check_count(&store, tenant, bytes, count).await;
        }
        assert!(there >= acknowledged, "{there} keys are there, {acknowledged} were acknowledged");
    });
}

/// Checks the store's own count from outside: exactly the right amount of a quota is left. Leaves nothing behind.
async fn check_count(store: &Arc<Embedded>, tenant: &str, bytes: usize, keys: usize) {
    let spare = "probe".len() * 2 + 100;
    let quota = |bytes: usize, keys: usize| StoreQuota { bytes: bytes as u64, keys: keys as u64 };
    let try_with = async |quota| {
        let buckets = store.tenant(tenant, quota);
        let room = buckets.flow().room(Load::write(1, 0)).await;
        let set = buckets.set_many(room, "probe".to_owned(), vec![("probe".to_owned(), vec![0; 100])]).await;
        let room = buckets.flow().room(Load::write(1, 0)).await;
        buckets.delete_many(room, "probe".to_owned(), vec!["probe".to_owned()]).await.unwrap();
        set
    };
    assert_eq!(try_with(quota(bytes + spare - 1, keys + 2)).await, Err(StoreError::OverQuota));
    assert_eq!(try_with(quota(bytes + spare, keys + 1)).await, Err(StoreError::OverQuota));
    assert_eq!(try_with(quota(bytes + spare, keys + 2)).await, Ok(()));
}
