//! Homes: each principal, connection or session has its own, and what is temporary leaves nothing behind. X13.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use whelk_runtime::{
    ChannelEvent, ConnectionHome, Directories, Error, Exit, Grants, HomeLifetime, HomeQuota, HomeSettings, Homes,
    Limit, Limits, Output, Quota, Tenant, Usage,
};

use crate::client::{Client, Heard};
use crate::guests;
use crate::shell::{AMPLE, Shell};

/// Longer than any removal takes here.
const SETTLED: Duration = Duration::from_secs(60);

/// A folder for homes, and a skeleton beside it.
struct Place {
    place: TempDir,
    directories: Directories,
}

/// A tenant with homes.
struct Village {
    homes: Arc<Homes>,
    tenant: Arc<Tenant>,
}

fn quota(bytes: u64, files: u64, total_bytes: u64) -> HomeQuota {
    HomeQuota { each: Quota { bytes, files }, total: Quota { bytes: total_bytes, files: 1_000 } }
}

impl Place {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        for folder in ["homes", "skel"] {
            fs::create_dir(place.path().join(folder)).unwrap();
        }
        Self { place, directories: Directories::default() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.place.path().join(path)
    }

    /// A file of the skeleton.
    fn skeleton(&self, name: &str, text: &str) {
        fs::write(self.path("skel").join(name), text).unwrap();
    }

    fn village(&self, lifetime: HomeLifetime, quota: HomeQuota) -> Village {
        let settings = HomeSettings { lifetime, skeleton: Some(self.path("skel")), quota };
        let homes = self.directories.homes(&self.path("homes"), settings, "acme", "/").unwrap();
        homes.apply_quota();
        let limits = Limits { cpu_call: Duration::from_secs(1_000), ..Limits::default() };
        let grants = Grants { homes: Some(Arc::clone(&homes)), ..Grants::default() };
        Village { homes, tenant: Tenant::new("acme", limits, grants) }
    }

    fn ample(&self, lifetime: HomeLifetime) -> Village {
        self.village(lifetime, HomeQuota { each: AMPLE, total: Quota { bytes: 1 << 30, files: 1 << 20 } })
    }

    /// What is in the folder above the homes once all work on it is done.
    fn settled(&self) -> Vec<String> {
        assert!(self.directories.settle(SETTLED), "the reaper does not come to an end");
        names(&self.path("homes"))
    }

    /// The same once there are so many, or after [`SETTLED`]: a call that may wait for the disk holds a home for a
    /// moment longer than its session.
    async fn settled_at(&self, count: usize) -> Vec<String> {
        let start = Instant::now();
        loop {
            let names = self.settled();
            if names.len() == count || start.elapsed() > SETTLED {
                return names;
            }
            tokio::task::yield_now().await;
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.collect();
    names.sort();
    names
}

impl Village {
    /// A session of a principal on a connection.
    fn on(&self, connection: &Arc<ConnectionHome>, principal: &str) -> Shell {
        Shell::of(&self.tenant.for_principal(principal, connection))
    }

    /// A session on a connection of its own.
    fn session(&self, principal: &str) -> Shell {
        self.on(&ConnectionHome::new(1), principal)
    }

    /// A session that gets no home: what its client is told.
    async fn refused(&self, principal: &str) -> (String, Error) {
        let tenant = self.tenant.for_principal(principal, &ConnectionHome::new(1));
        let client = Client::of(&tenant, &guests::files(), &[]);
        client.happen(ChannelEvent::Shell);
        let (recorder, report) = client.end().await;
        assert!(matches!(report.exit, Some(Exit::Status(70))), "{report:?}");
        let told = recorder.heard.iter().filter_map(|heard| match heard {
            Heard::Bytes(Output::Stderr, bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        });
        (told.collect(), report.error.unwrap())
    }
}

#[tokio::test]
async fn each_principal_has_one_home_that_no_other_sees_whatever_the_names_are() {
    let place = Place::new();
    place.skeleton(".profile", "hello");
    let village = place.ample(HomeLifetime::Persistent);
    let (long, longer) = ("x".repeat(255), "x".repeat(256));
    let all = "\0\u{1}\t\n !\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~\u{7f}é\u{202e}\u{10ffff}";
    let principals =
        ["alice", "Alice", "ALICE", "bob", "..", ".", "../bob", "/etc", "", "%", "%41lice", "-rf", all, &long, &longer];
    for (number, principal) in principals.iter().enumerate() {
        let mut shell = village.session(principal);
        assert_eq!(shell.run("list .;read .profile").await, ".profile:file\nhello", "{principal:?}");
        assert_eq!(shell.run(&format!("write who {number}")).await, "ok");
        for way in ["../alice", "../%41lice", "/alice", "../bob/who", "../../homes/bob"] {
            let denied = shell.run(&format!("stat {way}")).await;
            assert!(["denied", "none"].contains(&&*denied), "{principal:?}: {way}: {denied}");
        }
        shell.end().await;
    }
    for (number, principal) in principals.iter().enumerate() {
        let mut shell = village.session(principal);
        assert_eq!(shell.run("read who").await, number.to_string(), "{principal:?}");
        shell.end().await;
    }
    let names = place.settled();
    assert_eq!(names.len(), principals.len(), "{names:?}");
    for principal in principals {
        let name = Homes::folder_name(principal);
        assert!(names.contains(&name) && name.len() <= 255 && name == name.to_ascii_lowercase(), "{name}");
        let mode = fs::metadata(place.path("homes").join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700, "{name}");
    }
}

#[tokio::test]
async fn first_sessions_at_once_make_one_home_and_all_are_in_it() {
    let place = Place::new();
    (0..200).for_each(|number| place.skeleton(&number.to_string(), "12345"));
    let village = place.ample(HomeLifetime::Persistent);
    let mut shells: Vec<Shell> = (0..8).map(|_| village.session("alice")).collect();
    shells.push(village.session("bob"));
    for shell in &mut shells {
        assert_eq!(shell.run("count .").await, "200");
    }
    assert_eq!(shells[0].run("write shared yes").await, "ok");
    for shell in &mut shells[1..8] {
        assert_eq!(shell.run("read shared").await, "yes");
    }
    assert_eq!(shells[8].run("read shared").await, "none");
    for shell in shells {
        shell.end().await;
    }
    assert_eq!(place.settled(), ["alice", "bob"]);
    assert_eq!(village.homes.total().bytes, 2 * 200 * 5 + 3);
}

#[tokio::test]
async fn the_room_of_a_home_is_its_quota_or_what_all_homes_have_left() {
    for lifetime in [HomeLifetime::Persistent, HomeLifetime::Connection, HomeLifetime::Session] {
        let place = Place::new();
        place.skeleton(".profile", "hello");
        let village = place.village(lifetime, quota(100, 9, 150));
        let (mut alice, mut bob) = (village.session("alice"), village.session("bob"));
        assert_eq!(alice.run("room .;fill f 80;room .").await, "100 95 9 8 0\nok\n100 15 9 7 0", "{lifetime:?}");
        // All homes together have 90 bytes.
        assert_eq!(bob.run("room .;fill f 61;fill f 60;room .").await, "100 60 9 8 0\nio\nok\n100 0 9 7 0");
        assert_eq!(alice.run("room .;remove f;room .").await, "100 0 9 7 0\nok\n100 80 9 8 0");
        alice.end().await;
        bob.end().await;
    }
    // The total is the smaller one.
    let place = Place::new();
    let village = place.village(HomeLifetime::Persistent, quota(100, 9, 40));
    let mut alice = village.session("alice");
    assert_eq!(alice.run("write f 12345;room .").await, "ok\n40 35 9 8 0");
    alice.end().await;
}

#[tokio::test]
async fn a_copy_that_meets_the_quota_leaves_no_half_home_and_is_told() {
    let place = Place::new();
    (0..10).for_each(|number| place.skeleton(&number.to_string(), "1234567890"));
    symlink("/etc/passwd", place.path("skel/passwd")).unwrap();
    for (lifetime, quota) in [
        (HomeLifetime::Persistent, quota(55, 100, 1_000)),
        (HomeLifetime::Session, quota(1_000, 5, 1_000)),
        (HomeLifetime::Connection, quota(1_000, 100, 55)),
    ] {
        let village = place.village(lifetime, quota);
        let (told, error) = village.refused("alice").await;
        assert!(told.contains("your home cannot be made: its quota is full"), "{told}");
        assert!(matches!(error, Error::Limit { limit: Limit::Home, .. }), "{error}");
        assert_eq!(place.settled_at(0).await, [""; 0], "{lifetime:?}");
        assert_eq!(village.homes.total().bytes, 0);
    }
    // The operator raises the quota, and a reload applies it.
    let mut shell = place.ample(HomeLifetime::Persistent).session("alice");
    assert_eq!(shell.run("count .;stat passwd").await, "11\nnone");
    shell.end().await;
    assert_eq!(place.settled_at(1).await, ["alice"]);
}

#[tokio::test]
async fn homes_have_their_quota_each_and_their_total_together_also_after_a_restart() {
    let mut place = Place::new();
    let settings = quota(80, 10, 100);
    {
        let village = place.village(HomeLifetime::Persistent, settings);
        let (mut alice, mut bob) = (village.session("alice"), village.session("bob"));
        assert_eq!(alice.run("fill a 81").await, "io");
        assert_eq!(alice.run("remove a;fill a 80").await, "ok\nok");
        assert_eq!(bob.run("fill b 20;append b x").await, "ok\nio");
        assert_eq!(alice.run("truncate a 50").await, "ok");
        assert_eq!(bob.run("fill c 30;append c x").await, "ok\nio");
        assert_eq!(village.homes.total().bytes, 100);
        alice.end().await;
        bob.end().await;
    }
    place.directories = Directories::default();
    let village = place.village(HomeLifetime::Persistent, settings);
    // Of homes that nobody has opened, too.
    let mut carol = village.session("carol");
    assert_eq!(carol.run("write a x").await, "io");
    assert_eq!(village.homes.total().bytes, 100);
    // A home that the operator has removed is made again, and its bytes are free.
    let mut alice = village.session("alice");
    assert_eq!(alice.run("stat a").await, "file 50");
    alice.end().await;
    fs::remove_dir_all(place.path("homes/alice")).unwrap();
    let mut alice = village.session("alice");
    assert_eq!(alice.run("stat a;fill a 50").await, "none\nok");
    assert_eq!(carol.run("write a x").await, "io");
    alice.end().await;
    carol.end().await;
}

#[tokio::test]
async fn the_files_of_all_homes_have_a_total_too() {
    let place = Place::new();
    let total = Quota { bytes: 1 << 20, files: 3 };
    let village = place.village(HomeLifetime::Persistent, HomeQuota { each: AMPLE, total });
    let (mut alice, mut bob) = (village.session("alice"), village.session("bob"));
    assert_eq!(alice.run("new a;mkdir b").await, "ok\nok");
    assert_eq!(bob.run("new c;new d;mkdir d").await, "ok\nquota\nquota");
    assert_eq!(alice.run("remove a;stat a").await, "ok\nnone");
    assert_eq!(bob.run("new d;new e").await, "ok\nquota");
    assert_eq!(village.homes.total(), Usage { bytes: 0, files: 3 });
    alice.end().await;
    bob.end().await;
}

#[tokio::test]
async fn what_an_operator_puts_into_a_home_is_counted_when_it_is_opened_later() {
    let place = Place::new();
    let village = place.village(HomeLifetime::Persistent, quota(80, 3, 1_000));
    let mut alice = village.session("alice");
    assert_eq!(alice.run("write a 12345").await, "ok");
    fs::write(place.path("homes/alice/theirs"), [0; 70]).unwrap();
    fs::create_dir(place.path("homes/alice/folder")).unwrap();
    alice.end().await;
    // One that is opened soon has what was counted.
    let mut alice = village.session("alice");
    assert_eq!(alice.run("stat theirs").await, "file 70");
    assert_eq!(village.homes.total(), Usage { bytes: 5, files: 1 });
    alice.end().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    // The last session may have it open for a moment longer than its client knows.
    while village.homes.total().files == 1 {
        let mut alice = village.session("alice");
        assert_eq!(alice.run("stat a").await, "file 5");
        alice.end().await;
    }
    assert_eq!(village.homes.total(), Usage { bytes: 75, files: 3 });
    let mut alice = village.session("alice");
    assert_eq!(alice.run("new b;append a 123456;append a 12345").await, "quota\nio\nok");
    alice.end().await;
}

#[tokio::test]
async fn sessions_of_one_connection_share_its_home_which_is_gone_when_it_ends() {
    let place = Place::new();
    place.skeleton("greeting", "hello");
    let village = place.ample(HomeLifetime::Connection);
    let (one, other) = (ConnectionHome::new(1), ConnectionHome::new(2));
    let mut first = village.on(&one, "alice");
    assert_eq!(first.run("read greeting;write sent data").await, "hello\nok");
    first.end().await;
    // One after the other, and at once: as scp and then ssh.
    let (mut second, mut third) = (village.on(&one, "alice"), village.on(&other, "alice"));
    assert_eq!(second.run("read sent").await, "data");
    assert_eq!(third.run("read sent;write mine yes").await, "none\nok");
    drop(one);
    assert_eq!(second.run("read sent").await, "data", "a session that lasts keeps it");
    assert_eq!(place.settled().len(), 2);
    second.end().await;
    assert_eq!(place.settled_at(1).await.len(), 1);
    assert_eq!(third.run("read mine").await, "yes");
    third.end().await;
    assert_eq!(place.settled().len(), 1, "the connection may open another session");
    drop(other);
    assert_eq!(place.settled_at(0).await, [""; 0]);
    assert_eq!(village.homes.total().bytes, 0);
}

#[tokio::test]
async fn a_home_of_a_session_is_its_own_and_gone_with_it_however_it_ends() {
    let place = Place::new();
    let village = place.ample(HomeLifetime::Session);
    let connection = ConnectionHome::new(1);
    let (mut one, mut two) = (village.on(&connection, "alice"), village.on(&connection, "alice"));
    assert_eq!(one.run("mkdir deep;write deep/file 12345").await, "ok\nok");
    assert_eq!(two.run("count .;write other 1").await, "0\nok");
    assert_eq!(village.homes.total().bytes, 6);
    one.end().await;
    two.client.task.abort();
    let _ = two.client.task.await;
    assert_eq!(place.settled_at(0).await, [""; 0]);
    assert_eq!(village.homes.total().bytes, 0);
}

/// X13, with fewer files unless `cargo xtask prove` runs it: what waits for its removal is charged until it is gone,
/// and delays nobody's end.
#[tokio::test]
async fn homes_of_many_files_that_end_again_and_again_are_all_removed() {
    let is_proof = std::env::var_os("WHELK_PROVE").is_some_and(|value| value == "1");
    // A skeleton has at most 100,000 files and folders.
    let (folders, files, rounds) = if is_proof { (100, 998, 100) } else { (10, 50, 10) };
    let place = Place::new();
    for folder in 0..folders {
        fs::create_dir(place.path(&format!("skel/{folder}"))).unwrap();
        (0..files).for_each(|file| place.skeleton(&format!("{folder}/{file}"), "1"));
    }
    let all = folders * (files + 1);
    let each = Quota { bytes: 2 * all, files: 2 * all };
    // Room for all of them, however slowly they are removed.
    let total = Quota { bytes: 1 << 30, files: 2 * all * rounds };
    let village = place.village(HomeLifetime::Session, HomeQuota { each, total });
    let (began, mut longest) = (Instant::now(), Duration::ZERO);
    for _ in 0..rounds {
        let mut shell = village.session("alice");
        assert_eq!(shell.run("count 7").await, files.to_string());
        let ending = Instant::now();
        shell.end().await;
        longest = longest.max(ending.elapsed());
    }
    let (served, charged) = (began.elapsed(), village.homes.total().files);
    assert_eq!(place.settled_at(0).await, [""; 0]);
    println!("figure: {rounds} homes of {all} files: {served:?}, the longest end {longest:?}");
    println!("figure: files that waited for their removal: {charged}, for {:?}", began.elapsed() - served);
    assert_eq!(village.homes.total(), Usage { bytes: 0, files: 0 });
}

#[tokio::test]
async fn a_start_removes_what_a_crash_left_and_nothing_else() {
    let mut place = Place::new();
    place.skeleton("file", "12345");
    let village = place.ample(HomeLifetime::Session);
    let mut shell = village.session("alice");
    // A plugin cannot make a mark that counts, nor one for another home.
    assert_eq!(
        shell.run("symlink x mark;mkdir .whelk-temporary-0;symlink x .whelk-temporary-0/mark").await,
        "ok\nok\nok"
    );
    // The disk as it would be if the process were killed now.
    let mut other = village.session("bob");
    assert_eq!(other.run("mkdir a;write a/b x").await, "ok\nok");
    let crashed = place.path("crashed");
    let copied = Command::new("cp").arg("-a").arg(place.path("homes")).arg(&crashed).status().unwrap();
    assert!(copied.success());
    shell.end().await;
    other.end().await;
    // One was being removed: what was below its contents stands beside them, and they are gone.
    let removed = names(&crashed).into_iter().map(|name| crashed.join(name));
    let removed = removed.filter(|folder| folder.join("contents/a").exists());
    removed.for_each(|folder| {
        fs::rename(folder.join("contents/a"), folder.join("0")).unwrap();
        fs::remove_dir_all(folder.join("contents")).unwrap();
    });
    for kept in ["alice", ".whelk-temporary-0123", "lost+found"] {
        fs::create_dir(crashed.join(kept)).unwrap();
        fs::write(crashed.join(kept).join("data"), "x").unwrap();
    }
    // The reaper moves what it removes: nobody else can remove the folder meanwhile.
    assert_eq!(place.settled_at(0).await, [""; 0]);
    drop(village);
    fs::remove_dir_all(place.path("homes")).unwrap();
    fs::rename(&crashed, place.path("homes")).unwrap();
    assert_eq!(names(&place.path("homes")).len(), 5);
    place.directories = Directories::default();
    let village = place.ample(HomeLifetime::Persistent);
    assert_eq!(place.settled(), [".whelk-temporary-0123", "alice", "lost+found"]);
    let mut alice = village.session("alice");
    assert_eq!(alice.run("read data;list .").await, "x\ndata:file");
    alice.end().await;
}

#[tokio::test]
async fn settings_that_change_while_sessions_live_are_for_those_that_come_and_quotas_for_all() {
    let place = Place::new();
    place.skeleton("file", "12345");
    let brief = place.village(HomeLifetime::Connection, quota(20, 9, 100));
    let connection = ConnectionHome::new(1);
    let mut first = brief.on(&connection, "alice");
    assert_eq!(first.run("read file;fill big 20").await, "12345\nio");
    // A reload: homes that stay, of the same folder, with more room.
    let lasting = place.village(HomeLifetime::Persistent, quota(40, 9, 100));
    let mut second = lasting.on(&connection, "alice");
    assert_eq!(second.run("stat big;fill mine 35").await, "none\nok");
    assert_eq!(lasting.homes.total().bytes, brief.homes.total().bytes);
    second.end().await;
    // Another, with less room: what is there stays.
    let small = place.village(HomeLifetime::Persistent, quota(10, 9, 10));
    let mut third = small.on(&connection, "alice");
    assert_eq!(third.run("stat mine;append mine x;remove mine;append file 1").await, "file 35\nio\nok\nio");
    third.end().await;
    first.end().await;
    drop(brief);
    assert_eq!(place.settled().len(), 2, "the connection has its home");
    drop(connection);
    assert_eq!(place.settled_at(1).await, ["alice"]);
}

#[tokio::test]
async fn a_home_that_others_may_change_is_refused_and_so_are_links() {
    let place = Place::new();
    let village = place.ample(HomeLifetime::Persistent);
    fs::create_dir(place.path("homes/wide")).unwrap();
    fs::set_permissions(place.path("homes/wide"), Permissions::from_mode(0o777)).unwrap();
    symlink("/etc", place.path("homes/link")).unwrap();
    fs::write(place.path("homes/file"), "").unwrap();
    for (principal, why) in [
        ("wide", "must be writable for whelk alone, has mode 0777"),
        ("link", "cannot be used"),
        ("file", "cannot be used"),
    ] {
        let (told, error) = village.refused(principal).await;
        assert!(told.contains("internal error, incident"), "{told}");
        assert!(error.to_string().contains(why), "{error}");
    }
    assert_eq!(place.settled(), ["file", "link", "wide"]);
}

#[test]
fn two_processes_cannot_have_homes_in_one_folder() {
    let place = Place::new();
    let first = place.ample(HomeLifetime::Session);
    let other = Directories::default();
    let settings = HomeSettings { lifetime: HomeLifetime::Session, skeleton: None, quota: quota(1, 1, 1) };
    let open = || other.homes(&place.path("homes"), settings.clone(), "acme", "/");
    let error = open().unwrap_err().to_string();
    assert!(error.ends_with("another whelk has its homes in this folder"), "{error}");
    drop(first);
    assert!(open().is_ok());
}
