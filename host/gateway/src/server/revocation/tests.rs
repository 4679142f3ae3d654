//! From a changed file to the end of a connection.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::time::timeout;
use whelk_ssh::auth::server::{Attempt, Credential};
use whelk_ssh::crypto::key::{HostKey, PublicKey};

use super::*;
use crate::auth::access::{AuthProgress, Decision, Identity};
use crate::auth::attempt::AttemptContext;
use crate::config::{Config, Overrides};
use crate::server::connection_table::Registration;
use crate::server::connection_table::live_logins::LiveLogins;
use crate::server::drain::Stopper;
use crate::source::Peer;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

/// A server of which nothing but its logins is real.
struct Place {
    folder: TempDir,
    gateway: Arc<Gateway>,
    current: CurrentGateway,
}

/// A connection that is logged in.
struct Live {
    registration: Registration,
    woken: Arc<Notify>,
}

impl Place {
    /// With these settings before its users Alice and Bob, who have a file of keys each.
    fn new(settings: &str) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        fs::create_dir(file("plugins")).unwrap();
        fs::write(file("plugins/echo.wasm"), "").unwrap();
        for name in ["alice", "bob", "revoked"] {
            fs::write(file(name), if name == "revoked" { String::new() } else { format!("{KEY}\n") }).unwrap();
        }
        let users = ["alice", "bob"]
            .map(|name| format!("[users.{name}]\nplugin = \"echo\"\nauthorized_keys = \"{name}\"\n"))
            .concat();
        fs::write(file("w.toml"), format!("state = \"state\"\n{settings}\n{users}[limits]\ninstances = 1\n")).unwrap();
        let config = Config::load(&file("w.toml"), &Overrides::default()).unwrap_or_else(|why| panic!("{why}"));
        let gateway = Gateway::new(&config, vec![HostKey::generate().unwrap()], &Stopper::new()).unwrap();
        let gateway = Arc::new(gateway);
        let current = CurrentGateway::new(Arc::clone(&gateway));
        Place { folder, gateway, current }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn identity(&self, user: &str) -> Option<Identity> {
        let key = PublicKey::from_openssh(KEY).unwrap();
        let attempt = Attempt { user: user.as_bytes(), credential: Credential::KeyProven(&key) };
        let (context, queued) = (AttemptContext::of(Peer::Unknown), AtomicBool::new(false));
        match self.gateway.access().decide(attempt, &context, &AuthProgress::default(), &queued).await {
            Decision::Accept(identity) => Some(identity),
            _ => None,
        }
    }

    /// Logs in on a connection of this number.
    async fn login(&self, connection: u64, user: &str) -> Live {
        let woken = Arc::new(Notify::new());
        let wake = Arc::clone(&woken);
        let registration =
            self.gateway.connections().register(connection, Peer::Unknown, Arc::new(move || wake.notify_one()));
        let login = AcceptedLogin::of(&self.identity(user).await.unwrap(), Peer::Unknown);
        registration.watch_login(login, self.gateway.access_number());
        Live { registration, woken }
    }
}

impl Live {
    /// Waits for the end, and returns what the client is told. The clock advances only while nobody works.
    async fn end(&self, task: &mut (impl Future<Output = Infallible> + Unpin)) -> (String, Duration) {
        let began = Instant::now();
        tokio::select! {
            never = task => match never {},
            ended = timeout(Duration::from_secs(60), self.woken.notified()) => ended.unwrap(),
        }
        (self.registration.row().end_reason().unwrap().to_owned(), began.elapsed())
    }

    fn lives(&self) -> bool {
        self.registration.row().end_reason().is_none()
    }
}

/// Lets the task work for this time.
async fn work(task: &mut (impl Future<Output = Infallible> + Unpin), time: Duration) {
    let _ = timeout(time, task).await;
}

const TOLD: &str = "the key of this login may no longer be used";
const MOST: Duration = Duration::from_secs(2);

#[tokio::test(start_paused = true)]
async fn a_key_that_is_taken_away_ends_the_connections_of_its_user_alone() {
    let place = Place::new("");
    let (one, two, other) = (place.login(1, "alice").await, place.login(2, "alice").await, place.login(3, "bob").await);
    let mut task = Box::pin(run(place.current.clone()));
    work(&mut task, 5 * PERIOD).await;
    assert!(one.lives() && two.lives() && other.lives());
    fs::write(place.path("alice"), "").unwrap();
    for live in [&one, &two] {
        let (told, after) = live.end(&mut task).await;
        assert!(told == TOLD && after < MOST, "{told} {after:?}");
    }
    // A line that is added, and a file that is replaced, change nothing.
    fs::write(place.path("new"), format!("# more\n{KEY}\n")).unwrap();
    fs::rename(place.path("new"), place.path("bob")).unwrap();
    work(&mut task, 5 * PERIOD).await;
    assert!(other.lives());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_gone_for_a_moment_ends_nothing_and_one_that_stays_away_does() {
    let place = Place::new("");
    let live = place.login(1, "alice").await;
    let mut task = Box::pin(run(place.current.clone()));
    work(&mut task, 2 * PERIOD).await;
    fs::rename(place.path("alice"), place.path("alice~")).unwrap();
    // Long enough for one look. The second comes a period after the first, so later than this.
    work(&mut task, PERIOD).await;
    fs::rename(place.path("alice~"), place.path("alice")).unwrap();
    work(&mut task, 5 * PERIOD).await;
    assert!(live.lives());
    fs::remove_file(place.path("alice")).unwrap();
    let (told, after) = live.end(&mut task).await;
    assert!(told == TOLD && after < MOST && after >= PERIOD, "{told} {after:?}");
}

/// As many programs write: they empty the file first.
#[tokio::test(start_paused = true)]
async fn a_file_that_is_empty_for_a_moment_ends_nothing_whatever_else_changes() {
    let place = Place::new("revoked_keys = \"revoked\"");
    let live = place.login(1, "alice").await;
    let mut task = Box::pin(run(place.current.clone()));
    work(&mut task, 2 * PERIOD).await;
    fs::write(place.path("alice"), "").unwrap();
    work(&mut task, PERIOD).await;
    fs::write(place.path("alice"), format!("{KEY}\n")).unwrap();
    work(&mut task, 5 * PERIOD).await;
    assert!(live.lives());
    // Each of two files that change is looked at, and the second look is none at the first file again.
    fs::write(place.path("alice"), "").unwrap();
    fs::write(place.path("revoked"), "# none\n").unwrap();
    let (told, after) = live.end(&mut task).await;
    assert!(told == TOLD && after < MOST && after >= PERIOD, "{told} {after:?}");
}

/// A reload may move its keys to another file.
#[tokio::test]
async fn a_login_depends_on_the_files_of_its_last_judgement() {
    let place = Place::new("");
    let logins = place.gateway.connections().logins();
    let files = || (0..SLICES).flat_map(|slice| logins.files(slice)).collect::<Vec<_>>();
    let live = place.login(1, "alice").await;
    let bob = crate::credential::KeyPath::named(&place.path("bob"));
    let seen = (bob.clone(), bob.stamp().ok());
    fs::write(place.path("bob"), "").unwrap();
    logins.judged(1, place.gateway.access_number(), &[seen]);
    assert_eq!(files(), std::slice::from_ref(&bob));
    let changed: Vec<u64> =
        (0..SLICES).flat_map(|slice| logins.looked(slice, live_logins::look(logins.files(slice)))).collect();
    assert_eq!(changed, [1]);
    drop(live);
    assert_eq!(files(), []);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_key_ends_all_its_connections_and_without_the_list_none_ends() {
    let place = Place::new("revoked_keys = \"revoked\"");
    let lives = [place.login(1, "alice").await, place.login(2, "bob").await];
    let mut task = Box::pin(run(place.current.clone()));
    fs::remove_file(place.path("revoked")).unwrap();
    work(&mut task, 2 * RETRY).await;
    assert!(lives.iter().all(Live::lives));
    fs::write(place.path("revoked"), KEY).unwrap();
    for live in &lives {
        let (told, after) = live.end(&mut task).await;
        assert!(told == TOLD && after < MOST, "{told} {after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_setting_keeps_connections() {
    let place = Place::new("end_revoked = false");
    let live = place.login(1, "alice").await;
    let mut task = Box::pin(run(place.current.clone()));
    fs::remove_file(place.path("alice")).unwrap();
    work(&mut task, 5 * PERIOD).await;
    assert!(live.lives());
    assert_eq!(place.identity("alice").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_change_between_the_login_and_the_first_look_is_seen() {
    let place = Place::new("");
    let identity = place.identity("alice").await.unwrap();
    let bob = place.login(2, "bob").await;
    let mut task = Box::pin(run(place.current.clone()));
    // The stamp is that of the time when the file was read.
    fs::write(place.path("alice"), "").unwrap();
    let woken = Arc::new(Notify::new());
    let wake = Arc::clone(&woken);
    let registration = place.gateway.connections().register(1, Peer::Unknown, Arc::new(move || wake.notify_one()));
    let login = AcceptedLogin::of(&identity, Peer::Unknown);
    registration.watch_login(login, place.gateway.access_number());
    let (told, _) = Live { registration, woken }.end(&mut task).await;
    assert!(told == TOLD && bob.lives());
}

#[tokio::test]
async fn files_are_looked_at_while_a_login_depends_on_them() {
    let place = Place::new("");
    let logins = place.gateway.connections().logins();
    let files = || (0..SLICES).flat_map(|slice| logins.files(slice)).count();
    assert_eq!(files(), 0);
    let (one, two) = (place.login(1, "alice").await, place.login(2, "alice").await);
    let other = place.login(3, "bob").await;
    assert_eq!(files(), 2);
    drop((one, other));
    assert_eq!(files(), 1);
    drop(two);
    assert_eq!(files(), 0);
    assert!(Path::new(&place.path("alice")).exists());
}

/// A connection keeps the configuration of its beginning, and is judged by the newest one.
#[tokio::test]
async fn what_an_older_configuration_has_accepted_is_judged_by_the_newest_one() {
    let (old, new) = (Place::new(""), Place::new(""));
    let logins = old.gateway.connections().logins();
    let _live = old.login(1, "alice").await;
    assert_eq!(logins.take_pending(), Vec::<u64>::new());
    assert!(logins.newer_than(old.gateway.access_number()).is_none());
    logins.set_newest(&new.gateway.access());
    assert_eq!(logins.take_pending(), [1]);
    assert!(logins.newer_than(old.gateway.access_number()).is_some());
    // It was accepted by the old one after the new one came.
    let _late = old.login(2, "bob").await;
    assert_eq!(logins.take_pending(), [2]);
    // The older one is not newer.
    logins.set_newest(&old.gateway.access());
    assert_eq!(logins.take_pending(), Vec::<u64>::new());
}

/// A connection may last for months, and a reload may come each minute.
#[tokio::test]
async fn a_generation_that_was_replaced_keeps_no_users() {
    let place = Place::new("");
    let config = Config::load(&place.path("w.toml"), &Overrides::default()).unwrap_or_else(|why| panic!("{why}"));
    let next = place.gateway.reloaded(&config, vec![HostKey::generate().unwrap()].into()).unwrap();
    let users = Arc::downgrade(&place.gateway.access());
    place.current.replace(Arc::new(next));
    assert!(users.upgrade().is_none());
    // Whoever logs in through a connection of that generation is judged by the newest one.
    assert_eq!(place.gateway.access().number(), place.current.current().access_number());
}

/// What it costs while nothing changes: the processor time of one look at the files of 10,000 connections, each with a
/// file of its own.
#[test]
fn ten_thousand_files_cost_a_small_part_of_a_processor() {
    const FILES: u64 = 10_000;
    let folder = tempfile::tempdir().unwrap();
    let logins = LiveLogins::default();
    let key = PublicKey::from_openssh(KEY).unwrap();
    for number in 0..FILES {
        let path = folder.path().join(format!("user-{number}"));
        fs::write(&path, KEY).unwrap();
        let path = crate::credential::KeyPath::named(&path);
        let stamp = path.stamp().ok();
        logins.add(number, AcceptedLogin::by_file(key.clone(), (path, stamp)), 1);
    }
    let processor = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let round = || {
        let began = processor();
        let slices = (0..SLICES).map(|slice| logins.looked(slice, live_logins::look(logins.files(slice))).len());
        let changed: usize = slices.sum();
        let (now, nanoseconds) = (processor(), 1_000_000_000);
        (changed, (now.tv_sec - began.tv_sec) * nanoseconds + now.tv_nsec - began.tv_nsec)
    };
    let mut costs: Vec<_> = (0..5).map(|_| round().1).collect();
    costs.sort_unstable();
    let per_mille = u128::try_from(costs[2]).unwrap() * 1000 / PERIOD.as_nanos();
    println!("figure: a look at 10,000 files each {PERIOD:?}: {per_mille} per mille of a processor");
    assert!(per_mille < 200, "{costs:?}");
}
