//! Whatever an authenticator does wrong is a refusal, for the attempt alone.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::client::{Told, refused};
use crate::guest;
use crate::log::heard;
use crate::place::{DOOR, Place};

/// Long enough for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Replaces a file at once.
fn install(from: &str, to: &Path) {
    let built = guest::build(&[from]).join(from).with_extension("wasm");
    let beside = to.with_extension("new");
    fs::copy(built, &beside).unwrap();
    fs::rename(beside, to).unwrap();
}

/// Logs in again and again until one of the lines of the log about it contains this.
async fn until(place: &Place, user: &str, password: &str, what: &str) {
    let began = Instant::now();
    loop {
        let mut visitor = place.connect(user);
        visitor.password(password).await;
        let heard = heard(visitor.number);
        if heard.iter().any(|heard| heard.contains(what)) {
            return;
        }
        assert!(began.elapsed() < TIMEOUT, "{heard:?}");
        // Lets the task run that watches the folder.
        visitor.leave().await;
    }
}

#[tokio::test]
async fn a_crash_and_a_late_answer_are_refusals_and_the_next_attempt_has_a_new_instance() {
    let text = format!("{DOOR}[limits]\nauthenticator_call = \"100 ms\"\n");
    for (told, reason) in [("trap", "crashed"), ("sleep", "did not answer in time")] {
        let place = Place::new(&text).await;
        let mut visitor = place.connect("a");
        assert_eq!(visitor.password(told).await, refused());
        let heard = heard(visitor.number);
        let failed = heard.iter().find(|heard| heard.starts_with("door doorman failed: ")).unwrap();
        assert!(failed.contains(reason), "{heard:?}");
        assert_eq!(heard.last().unwrap(), "door password failed");
        assert_eq!(visitor.password("accept acme script").await, Told::LoggedIn);
        assert!(visitor.run("facts;finish 0").await.contains("attr.calls=1\n"));
    }
}

/// U36
#[tokio::test]
async fn one_login_that_hangs_delays_no_other() {
    let place = Place::new(DOOR).await;
    let mut hanging = place.connect("a");
    let mut other = place.connect("b");
    tokio::select! {
        biased;
        told = hanging.password("sleep") => panic!("{told:?}"),
        told = other.password("accept acme script") => assert_eq!(told, Told::LoggedIn),
    }
    // Its connection ends, and the call with it.
    hanging.leave().await;
}

#[tokio::test]
async fn a_plugin_of_sessions_and_a_missing_file_let_nobody_in() {
    let place = Place::new(&DOOR.replace("plugin = \"doorman\"", "plugin = \"script\"")).await;
    let mut visitor = place.connect("a");
    assert_eq!(visitor.password("accept acme script").await, refused());
    let said = heard(visitor.number);
    assert!(said[0].contains("its plugin is of the world session-plugin and no authenticator"), "{said:?}");
    let place = Place::new(DOOR).await;
    fs::remove_file(place.plugin("doorman")).unwrap();
    until(&place, "a", "accept acme script", "door doorman failed: its plugin is not served").await;
}

/// A version that crashes refuses, and stays: what was replaced may have let in the wrong people.
#[tokio::test]
async fn a_version_that_crashes_is_never_rolled_back_and_the_next_one_is_used() {
    let place = Place::new(DOOR).await;
    let mut old = place.connect("trap");
    assert_eq!(old.interactive().await, crate::client::asked("Door", "Well? "));
    assert_eq!(place.connect("trap").password("accept acme script").await, Told::LoggedIn);
    // The other one crashes for this name.
    install("gatekeeper", &place.plugin("doorman"));
    until(&place, "trap", "accept acme script", "door password failed").await;
    for _ in 0..20 {
        let mut visitor = place.connect("trap");
        assert_eq!(visitor.password("accept acme script").await, refused());
        assert!(heard(visitor.number).contains(&"door password failed".to_owned()));
    }
    // A login that has begun keeps its version.
    assert_eq!(old.answer("accept acme script").await, Told::LoggedIn);
    install("doorman", &place.plugin("doorman"));
    until(&place, "trap", "accept acme script", "door password accept").await;
}
