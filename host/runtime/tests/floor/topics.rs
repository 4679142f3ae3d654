//! Messages between the sessions of a tenant.

use std::sync::Arc;

use whelk_runtime::{ChannelEvent, Ending, Exit, Grants, Limits, Tenant};

use crate::client::Client;
use crate::keyvalue::{grants, neighbour, store};

fn tenant(name: &str) -> Arc<Tenant> {
    with(name, Limits::default())
}

fn with(name: &str, limits: Limits) -> Arc<Tenant> {
    Tenant::new(name, limits, grants(store(name)))
}

fn session(tenant: &Arc<Tenant>, command: &str) -> Client {
    Client::of(tenant, &neighbour(), &[]).and(ChannelEvent::Exec(command.into()))
}

/// A session that has subscribed.
async fn subscriber(tenant: &Arc<Tenant>, topic: &str) -> Client {
    let mut client = session(tenant, &format!("subscribe {topic}"));
    assert_eq!(client.until_stdout(3).await, "()\n");
    client
}

async fn say(tenant: &Arc<Tenant>, script: &str) -> String {
    session(tenant, &format!("{script};finish")).end().await.0.text()
}

#[tokio::test]
async fn a_message_reaches_every_subscriber_of_the_tenant_and_no_others() {
    let (acme, zeta) = (tenant("acme"), tenant("zeta"));
    let mut first = subscriber(&acme, "news").await;
    let mut second = subscriber(&acme, "news").await;
    let other_topic = subscriber(&acme, "new").await;
    let stranger = subscriber(&zeta, "news").await;
    assert_eq!(say(&acme, "publish news hello").await, "2\n");
    assert_eq!(say(&acme, "publish nothing hello").await, "0\n");
    assert!(first.until_stdout(15).await.ends_with("\nnews: hello\n"));
    assert!(second.until_stdout(15).await.ends_with("\nnews: hello\n"));
    for silent in [other_topic, stranger] {
        silent.happen(ChannelEvent::Eof);
        assert_eq!(silent.end().await.0.text(), "()\n");
    }
}

#[tokio::test]
async fn a_session_receives_its_own_messages() {
    let mut client = session(&tenant("acme"), "subscribe a;publish a 1;publish a 2");
    assert_eq!(client.until_stdout(17).await, "()\n1\n1\na: 1\na: 2\n");
}

#[tokio::test]
async fn an_unsubscribed_or_ended_session_gets_no_messages() {
    let acme = tenant("acme");
    // Messages that were queued and not delivered are dropped too.
    let mut client = session(&acme, "subscribe a;subscribe b;publish a 1;publish b 2;unsubscribe a;publish a 3");
    assert_eq!(client.until_stdout(17).await, "()\n()\n1\n1\n0\nb: 2\n");
    let ended = subscriber(&acme, "b").await;
    assert_eq!(say(&acme, "publish b x").await, "2\n");
    ended.inbox.end(Ending::ConnectionLost);
    ended.end().await;
    assert_eq!(say(&acme, "publish b x").await, "1\n");
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_learns_how_many_messages_it_missed_and_blocks_nobody() {
    let acme = tenant("acme");
    let mut slow = session(&acme, "subscribe a;sleep 10000;say awake");
    slow.until_stdout(3).await;
    // Published while the subscriber sleeps: all are accepted, though no more than 256 can wait.
    assert_eq!(say(&acme, "count a 1000").await, "1000 published\n");
    let expected: String = (744..1000).map(|number| format!("a: {number}\n")).collect();
    let expected = format!("()\nawake\na: missed 744\n{expected}");
    assert_eq!(slow.until_stdout(expected.len()).await, expected);
}

#[tokio::test(start_paused = true)]
async fn the_queue_of_a_subscriber_is_limited_in_bytes_too() {
    let acme = tenant("acme");
    let mut slow = session(&acme, "subscribe a;sleep 10000");
    slow.until_stdout(3).await;
    say(&acme, &"publish a ~60000;".repeat(10)).await;
    let heard = slow.until_stdout(4 * 60_004 + 13).await;
    assert!(heard.starts_with("()\na: missed 6\na: xxx"), "{}", &heard[..40]);
}

#[tokio::test]
async fn messages_do_not_delay_a_client() {
    // Each message makes two more, so the queue stays full.
    let endless = Limits { topic_rate: usize::MAX, ..Limits::default() };
    let scripts = [("on-message", "publish a x;publish a x")];
    let mut client = Client::of(&with("acme", endless), &neighbour(), &scripts);
    client.run("subscribe a;publish a x");
    client.until_stdout(1_000).await;
    client.send(b"finish");
    let (recorder, _) = client.end().await;
    assert_eq!(recorder.exit(), Some(Exit::Status(0)));
}

#[tokio::test]
async fn topics_and_messages_above_their_limits_fail_with_an_error() {
    let acme = with("acme", Limits { topics: 2, topic_rate: 100_000, ..Limits::default() });
    let heard = say(&acme, "subscribe a;subscribe \\e;subscribe \\0;subscribe a;subscribe ~257;publish ~257 x").await;
    assert_eq!(heard, "()\n()\nerror \"too-many\"\n()\nerror \"too-large\"\nerror \"too-large\"\n");
    // A burst of a second, then no more until the bucket refills.
    let heard = say(&acme, "publish x ~65537;publish x ~60000;publish x ~60000;publish x 1").await;
    assert_eq!(heard, "error \"too-large\"\n0\n0\nerror \"over-quota\"\n");
    // Another tenant is not affected.
    assert_eq!(say(&tenant("zeta"), "publish x 1").await, "0\n");
}

#[tokio::test]
async fn the_publish_rate_of_a_tenant_is_limited() {
    // W22
    let acme = with("acme", Limits { topic_rate: 64_000, ..Limits::default() });
    let taken = say(&acme, "count x 100000").await;
    let taken: u32 = taken.split(' ').next().unwrap().parse().unwrap();
    // A burst of 1,000 empty messages of 64 bytes and the numbers in them; more only as time passes.
    assert!((900..20_000).contains(&taken), "{taken}");
}

#[tokio::test]
async fn a_plugin_without_the_topics_grant_does_not_start() {
    let nothing = Tenant::new("acme", Limits::default(), Grants::default());
    let (_, report) = session(&nothing, "subscribe a").end().await;
    let error = report.error.unwrap().to_string();
    for line in ["[tenants.acme.grants] keyvalue = ", "[tenants.acme.grants] topics = true"] {
        assert!(error.contains(line), "{error}");
    }
}
