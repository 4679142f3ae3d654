//! A change of password, RFC 4252 §8.

use whelk_ssh::auth::client::{ClientAuth, ClientCredential};
use whelk_ssh::auth::server::Verdict;
use whelk_ssh::auth::{Machine, Step};
use whelk_ssh::error::{Error, Violation};
use whelk_ssh::message::auth::Method;
use whelk_ssh::message::password::PasswordMessage;

use crate::door::{Door, FAILURE, SUCCESS, encode, honest, none, password, query, response};
use crate::pair::Pair;

fn expired() -> Verdict {
    Verdict::ChangePassword("Your password has expired.".to_owned())
}

fn change(password: &[u8], new: &[u8]) -> Vec<u8> {
    honest(b"alice", Method::Password { password, new: Some(new) })
}

#[test]
fn the_application_demands_a_change_and_gets_both_passwords() {
    let mut door = Door::open();
    let demand = PasswordMessage::PasswdChangereq { prompt: b"Your password has expired.", language: b"" };
    assert_eq!(door.reply(&password(b"alice", b"old"), expired()), Ok(encode(&demand)));
    assert_eq!(door.question(&change(b"old", b"old")), "alice changes old to old");
    // The application does not like the new password, and asks again.
    assert_eq!(door.decide(expired()), Ok(()));
    assert_eq!(door.answers(), [encode(&demand)]);
    assert_eq!(door.reply(&change(b"old", b"n\0w\xff"), Verdict::Accept), Ok(SUCCESS.to_vec()));
    assert_eq!(door.server.user(), Some(&b"alice"[..]));
}

#[test]
fn a_client_may_offer_a_change_that_nobody_has_demanded() {
    let mut door = Door::open();
    assert_eq!(door.reply(&change(b"old", b"new"), Verdict::Reject), Ok(FAILURE.to_vec()));
    assert_eq!(door.server.refused().passwords, 1);
    assert_eq!(door.reply(&password(b"alice", b"old"), Verdict::Accept), Ok(SUCCESS.to_vec()));
}

#[test]
fn the_demand_has_no_control_characters_and_is_short() {
    let mut door = Door::open();
    let demand = Verdict::ChangePassword("a\x1b[31m\nb\0".to_owned());
    assert_eq!(door.reply(&password(b"alice", b"old"), demand), Ok(b"\x3c\0\0\0\x06a[31mb\0\0\0\0".to_vec()));
    let long = Verdict::ChangePassword("x".repeat(10_000));
    assert_eq!(door.reply(&password(b"alice", b"old"), long).map(|reply| reply.len()), Ok(1 + 4 + 512 + 4));
}

#[test]
fn a_demand_for_another_credential_is_a_rejection() {
    for payload in [none(b"alice"), query(b"alice", &crate::door::key()), honest(b"alice", Method::KeyboardInteractive)]
    {
        assert_eq!(Door::open().reply(&payload, expired()), Ok(FAILURE.to_vec()));
    }
}

#[test]
fn a_demand_opens_no_prompts() {
    let mut door = Door::open();
    door.reply(&password(b"alice", b"old"), expired()).unwrap();
    assert_eq!(door.give(&response(&[b"new"])), Err(Violation::Unexpected { number: 61 }.into()));
}

#[test]
fn u25_demands_are_counted_among_the_requests() {
    let mut door = Door::open();
    let demands = (0..1000).take_while(|_| door.reply(&change(b"old", b"new"), expired()).is_ok()).count();
    assert_eq!(demands, 63);
}

#[test]
fn a_client_changes_its_password() {
    let mut client = ClientAuth::new(b"alice");
    client.authenticate(ClientCredential::Password(b"old"));
    let mut pair = Pair::new(client, [expired(), Verdict::Accept]);
    assert_eq!(pair.drive(), Ok(()));
    assert_eq!(pair.client.change_prompt(), Some(&b"Your password has expired."[..]));
    pair.client.authenticate(ClientCredential::NewPassword { old: b"old", new: b"new" });
    assert_eq!(pair.client.change_prompt(), None);
    assert_eq!(pair.drive(), Ok(()));
    assert!(pair.entered(b"alice"));
    assert_eq!(pair.questions, ["alice password old", "alice changes old to new"]);
    assert_eq!(pair.told, ["asked", "entered"]);
}

#[test]
fn a_client_takes_a_demand_only_as_an_answer_to_a_password() {
    let demand = encode(&PasswordMessage::PasswdChangereq { prompt: b"Expired", language: b"" });
    let mut client = ClientAuth::new(b"alice");
    client.authenticate(ClientCredential::None);
    let mut pair = Pair::new(client, [Verdict::Reject]);
    assert_eq!(pair.drive(), Ok(()));
    let unsolicited: Result<Step<'_>, Error> = Err(Violation::Unsolicited.into());
    assert_eq!(pair.client.handle(&demand, crate::door::SESSION), unsolicited);
}
