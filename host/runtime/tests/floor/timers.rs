//! Timers, under a clock that the test moves.

use std::time::Duration;

use tokio::time::Instant;
use whelk_runtime::{ChannelEvent, Ending, Exit, Limits};

use crate::client::Client;
use crate::guests;

#[tokio::test(start_paused = true)]
async fn a_timer_expires_on_time_and_can_finish_the_session() {
    let before = Instant::now();
    let client = Client::new(&[("on-timer", "trace;finish 0")]);
    client.run("timer 5 1500");
    let (recorder, report) = client.end().await;
    assert_eq!(before.elapsed().as_millis(), 1500);
    assert_eq!(recorder.text(), "open\nexec\non-timer 5");
    assert_eq!((recorder.exit(), report.ending), (Some(Exit::Status(0)), Some(Ending::Finished)));
}

#[tokio::test(start_paused = true)]
async fn a_repeating_timer_expires_until_it_is_cancelled() {
    let before = Instant::now();
    let client = Client::new(&[("on-timer", "write x"), ("data", "cancel 1;trace;finish 0")]);
    client.run("timer 1 10 20");
    let mut client = client;
    client.until_stdout(4).await;
    assert_eq!(before.elapsed().as_millis(), 70);
    client.send(b"enough");
    let (recorder, _) = client.end().await;
    let rings = "\non-timer 1".repeat(4);
    assert_eq!(recorder.text(), format!("xxxxopen\nexec{rings}\ndata 6 enough"));
}

#[tokio::test(start_paused = true)]
async fn missed_expirations_of_a_repeating_timer_are_delivered_once() {
    let client = Client::new(&[("on-timer", "trace;finish 0")]);
    // The plugin is busy for a second, and misses a hundred expirations.
    client.run("timer 1 10 10;sleep 1000");
    client.happen(ChannelEvent::Break { length_ms: 1 });
    let (recorder, _) = client.end().await;
    let text = recorder.text();
    assert_eq!(text.matches("on-timer").count(), 1, "{text}");
}

#[tokio::test(start_paused = true)]
async fn timers_and_input_take_turns() {
    let client = Client::new(&[("on-timer", "sleep 15"), ("data", ""), ("eof", "trace;finish 0")]);
    // Each call takes longer than the time to the next expiration: input must get through all the same.
    client.run("timer 1 10 10");
    let mut client = client;
    client.until_replies(1).await;
    tokio::time::advance(Duration::from_millis(100)).await;
    client.send(b"hello");
    client.happen(ChannelEvent::Eof);
    let (recorder, _) = client.end().await;
    assert!(recorder.text().ends_with("\neof"), "{}", recorder.text());
}

#[tokio::test]
async fn timers_beyond_their_limits_fail_with_an_error() {
    // W21
    let all = (0..65).map(|number| format!("timer {number} 60000;")).collect::<String>();
    let (recorder, _) = Client::exec(&format!("timer 1 9;timer 1 10 9;timer 1 0;{all}finish 0")).end().await;
    assert_eq!(recorder.text(), "too-soontoo-soontoo-soontoo-many");
}

#[tokio::test(start_paused = true)]
async fn a_timer_of_a_plugin_without_the_handler_calls_nothing() {
    let client = Client::with(&guests::bare(), &[], &Limits::default());
    client.happen(ChannelEvent::Shell);
    let mut client = client;
    client.until_replies(1).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    client.send(b"still here");
    client.until_stdout(10).await;
}
