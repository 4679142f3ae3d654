//! Grants beyond the session: environment and clocks. W29, W32, W33.

use std::sync::Arc;

use whelk_runtime::{ChannelEvent, Clock, Exit, Grants, Limits, SignalName, Tenant};

use crate::client::{Client, Recorder};
use crate::guests;

async fn run(grants: Grants, command: &str) -> Recorder {
    let tenant = Tenant::new("acme", Limits::default(), grants);
    let client = Client::of(&tenant, &guests::script(), &[]).and(ChannelEvent::Exec(command.into()));
    client.end().await.0
}

async fn text(grants: Grants, command: &str) -> String {
    run(grants, &format!("{command};finish 0")).await.text()
}

#[tokio::test]
async fn the_environment_has_only_what_is_granted() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let environment = vec![pair("MODE", "test"), pair("EMPTY", "")];
    let granted = Grants { environment, ..Grants::default() };
    assert_eq!(text(granted.clone(), "vars").await, "MODE=test EMPTY= ");
    assert_eq!(text(Grants::default(), "vars").await, "");
    // The grant includes no arguments, files or network.
    assert!(
        text(granted, "world").await.contains("env=2 args=0 files=true write=true connect=true bind=true names=true")
    );
}

#[tokio::test]
async fn clocks_are_coarse_unless_granted_finer() {
    let fine = Grants { clock: Clock::Fine, ..Grants::default() };
    assert_eq!(text(Grants::default(), "clocks").await, "1000000 0.1000000");
    let resolution = text(fine, "clocks").await;
    assert!(!resolution.is_empty() && resolution != "1000000 0.1000000", "{resolution}");
}

#[tokio::test(start_paused = true)]
async fn waiting_does_not_make_a_coarse_clock_finer() {
    // W32: a sleep of any length ends on a tick, at least one later.
    for (nap, least) in [(1, 1), (999_999, 1), (1_000_001, 2), (2_500_000, 3)] {
        let slept = text(Grants::default(), &format!("nap {nap}")).await;
        let (fraction, milliseconds) = slept.split_once(' ').unwrap();
        assert_eq!(fraction, "0", "{nap}");
        assert!(milliseconds.parse::<u32>().unwrap() >= least, "{nap}: {slept}");
    }
}

#[tokio::test]
async fn a_flood_of_randomness_is_refused() {
    // W33
    assert_eq!(text(Grants::default(), "random 65536").await, "65536");
    let recorder = run(Grants::default(), "random 65537").await;
    assert!(matches!(recorder.exit(), Some(Exit::Signal { name: SignalName::Ill, .. })), "{:?}", recorder.exit());
    let generous = Arc::new(Limits { random: 1 << 20, ..Limits::default() });
    let tenant = Tenant::new("acme", (*generous).clone(), Grants::default());
    let client = Client::of(&tenant, &guests::script(), &[]);
    assert_eq!(client.then("random 65537;finish 0").await.0.text(), "65537");
}
