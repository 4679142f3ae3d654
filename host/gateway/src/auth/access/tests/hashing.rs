//! Passwords: the slots in which they are hashed, their grace and their memory.

use std::sync::atomic::AtomicU32;
use std::task::{Context, Waker};

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::source::SourcePenalty;

/// The penalty of a source that is refused from a number of rejections on.
#[derive(Debug)]
struct RefusedAfter {
    rejections: AtomicU32,
    most: u32,
}

impl SourcePenalty for RefusedAfter {
    fn refuses(&self) -> bool {
        self.rejections.load(Ordering::Relaxed) >= self.most
    }

    fn add_failed_login(&self) {
        self.rejections.fetch_add(1, Ordering::Relaxed);
    }
}

// F2
#[tokio::test(start_paused = true)]
async fn guesses_that_wait_for_a_slot_are_not_hashed_once_their_source_is_refused() {
    let access = two_users();
    let penalty = Arc::new(RefusedAfter { rejections: AtomicU32::new(0), most: 2 });
    let attempt = |user: &'static [u8], password: &'static [u8]| {
        let context = AttemptContext { penalty: Some(Arc::<RefusedAfter>::clone(&penalty)), ..context(1) };
        let access = &access;
        async move {
            let (progress, queued) = (AuthProgress::default(), AtomicBool::new(false));
            let attempt = Attempt { user, credential: Credential::Password(password) };
            let decision = access.decide(attempt, &context, &progress, &queued).await;
            (decision, Instant::now())
        }
    };
    // Right: no penalty. Wrong or of nobody: each is one, before the delay is over.
    assert!(matches!(attempt(b"alice", b"right").await.0, Decision::Accept(_)));
    // One slot, so that they are hashed one after the other.
    let mut slots = all_slots(&access).await;
    let mut attempts: Vec<_> = [b"wrong" as &[u8], b"right"]
        .into_iter()
        .flat_map(|password| [b"alice" as &[u8], b"mallory"].map(|user| Box::pin(attempt(user, password))))
        .collect();
    for attempt in &mut attempts {
        assert!(attempt.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    drop(slots.pop());
    let late = attempts.split_off(2);
    for attempt in attempts {
        assert_eq!(attempt.await.0, Decision::Reject);
    }
    let began = Instant::now();
    for attempt in late {
        assert_eq!(attempt.await, (Decision::Undecided(Overload::Penalty), began), "known and unknown alike, at once");
    }
    assert_eq!(penalty.rejections.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_password_that_is_too_long_is_refused_before_any_work() {
    let access = two_users();
    // No work can be done: hashing would wait.
    let _all = all_slots(&access).await;
    let started = Instant::now();
    assert!(try_in(&access, b"alice", Credential::Password(&[b'x'; 1025])).await.is_none());
    assert!(started.elapsed() < Duration::from_millis(11));
    let longest = [b'x'; 1024];
    let waits = try_in(&access, b"alice", Credential::Password(&longest));
    assert!(timeout(Duration::from_secs(60), waits).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_slot_is_never_a_failure_for_any_user() {
    let access = two_users();
    for (user, right) in [(&b"alice"[..], true), (b"mallory", false)] {
        let all = all_slots(&access).await;
        let (queued, asker, started) = (AtomicBool::new(false), context(1), Instant::now());
        let attempt = Attempt { user, credential: Credential::Password(b"right") };
        let progress = AuthProgress::default();
        let mut decision = std::pin::pin!(access.decide(attempt, &asker, &progress, &queued));
        // Much longer than the grace to decide.
        assert!(timeout(Duration::from_secs(100), decision.as_mut()).await.is_err());
        assert!(queued.load(Ordering::Relaxed));
        drop(all);
        assert_eq!(matches!(decision.await, Decision::Accept(_)), right);
        assert_eq!(started.elapsed().as_secs(), 100);
    }
}

#[tokio::test(start_paused = true)]
async fn passwords_are_hashed_in_a_bounded_number_of_slots_and_all_are_served() {
    let access = Arc::new(two_users());
    let all = all_slots(&access).await;
    let mut tries = JoinSet::new();
    for from in 0..20 {
        let access = Arc::clone(&access);
        tries.spawn(async move { decide(&access, from, b"alice", Credential::Password(b"right")).await });
    }
    // The clock moves only when every task waits.
    assert!(timeout(Duration::from_secs(60), tries.join_next()).await.is_err());
    drop(all);
    let entered = tries.join_all().await;
    assert!(entered.iter().all(|decision| matches!(decision, Decision::Accept(_))), "{entered:?}");
    assert_eq!(entered.len(), 20);
}

/// A configuration with one user, `alice`, with this hash.
fn alice(hash: &str, limits: Limits) -> Config {
    let password = Some(PasswordHash::parse(hash).unwrap());
    let authentication = Authentication::Required { password, keys: Vec::new(), key_files: Vec::new() };
    config(LoginPolicy::Users(BTreeMap::from([("alice".to_owned(), member(authentication))])), limits)
}

#[tokio::test(start_paused = true)]
async fn hashing_beyond_its_grace_is_not_a_wrong_password_for_any_user() {
    let hash = bcrypt::hash("right", 4).unwrap();
    // 2^13 rounds take most of a second, during which the clock is moved past the grace.
    let limits = Limits { hashing: 2, ..Limits::default() };
    let access = access_of(&alice(&hash.replace("$04$", "$13$"), limits));
    for user in [&b"alice"[..], b"mallory"] {
        let (queued, asker) = (AtomicBool::new(false), context(1));
        let attempt = Attempt { user, credential: Credential::Password(b"right") };
        let progress = AuthProgress::default();
        let mut decision = std::pin::pin!(access.decide(attempt, &asker, &progress, &queued));
        assert!(decision.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(decision.await, Decision::Undecided(Overload::Slow));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hash_above_the_memory_limit_is_never_computed_for_any_user() {
    let hash = "$argon2id$v=19$m=1048576,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    let mut access = access_of(&alice(hash, Limits::default()));
    access.passwords.most_memory = 512 << 20;
    for user in [&b"alice"[..], b"mallory"] {
        let decision = decide(&access, 1, user, Credential::Password(b"right")).await;
        assert_eq!(decision, Decision::Undecided(Overload::Memory));
    }
}
