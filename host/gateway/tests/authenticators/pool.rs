//! The places of instances: who has one, who loses one, and when they are free.

use crate::client::{Told, asked, refused};
use crate::log::heard;
use crate::place::{DOOR, Place};

fn door(instances: u32) -> String {
    format!("{DOOR}[limits]\nauthenticator_instances = {instances}\n")
}

/// How often a client of this source had to begin anew.
fn given_up(source: u8) -> usize {
    let start = format!("192.0.2.{source} authenticator_instances ");
    heard(0).iter().filter(|heard| heard.starts_with(&start)).count()
}

#[tokio::test]
async fn when_all_are_taken_the_source_that_has_most_loses_its_latest_question() {
    let place = Place::new(&door(3)).await;
    let question = || asked("Door", "Well? ");
    let (mut one, mut two) = (place.connect_from("a", 11), place.connect_from("b", 11));
    let mut alone = place.connect_from("c", 12);
    for visitor in [&mut one, &mut two, &mut alone] {
        assert_eq!(visitor.interactive().await, question());
    }
    let mut newcomer = place.connect_from("d", 13);
    assert_eq!(newcomer.interactive().await, question());
    assert_eq!((given_up(11), given_up(12), given_up(13)), (1, 0, 0));
    for visitor in [&mut one, &mut alone, &mut newcomer] {
        assert_eq!(visitor.answer("accept acme script").await, Told::LoggedIn);
    }
    // Its answer comes too late, and it is asked again.
    assert_eq!(two.answer("accept acme script").await, question());
    assert_eq!(two.answer("accept acme script").await, Told::LoggedIn);
}

#[tokio::test]
async fn an_instance_ends_with_the_login_and_when_the_client_leaves() {
    let place = Place::new(&door(1)).await;
    let mut gone = place.connect_from("a", 21);
    assert_eq!(gone.interactive().await, asked("Door", "Well? "));
    gone.leave().await;
    let mut visitor = place.connect_from("b", 22);
    assert_eq!(visitor.interactive().await, asked("Door", "Well? "));
    assert_eq!(visitor.answer("accept acme script").await, Told::LoggedIn);
    // It is connected, and logging in no more.
    let mut next = place.connect_from("c", 23);
    assert_eq!(next.interactive().await, asked("Door", "Well? "));
    assert_eq!(next.answer("accept acme script").await, Told::LoggedIn);
    assert!(visitor.run("facts;finish 0").await.contains("principal=account of b"));
    assert_eq!([21, 22, 23].map(given_up), [0, 0, 0]);
}

#[tokio::test]
async fn a_client_without_an_open_question_loses_nothing_with_its_place() {
    let place = Place::new(&door(1)).await;
    let (mut one, mut two) = (place.connect_from("a", 31), place.connect_from("b", 32));
    assert_eq!(one.password("reject").await, refused());
    assert_eq!(two.password("reject").await, refused());
    assert_eq!(one.password("accept acme script").await, Told::LoggedIn);
    assert!(one.run("facts;finish 0").await.contains("attr.calls=1\n"), "another instance");
    assert_eq!(two.password("accept acme script").await, Told::LoggedIn);
}

/// A call in progress is given up, too: nobody can keep others out by making the plugin wait.
#[tokio::test]
async fn a_place_is_given_up_in_the_middle_of_a_call() {
    let place = Place::new(&door(1)).await;
    let (mut hanging, mut other) = (place.connect_from("a", 41), place.connect_from("b", 42));
    let hanging_number = hanging.number;
    let (first, second) = tokio::join!(hanging.password("sleep"), async {
        while !heard(hanging_number).contains(&"says: sleeps".to_owned()) {
            tokio::task::yield_now().await;
        }
        other.password("accept acme script").await
    });
    assert_eq!((first, second), (refused(), Told::LoggedIn));
    assert_eq!(heard(hanging.number), ["says: sleeps", "door password begin anew"]);
}
