//! keyboard-interactive (RFC 4256): rows U26 to U28, and both machines back to back.

use std::iter::repeat_n;

use whelk_ssh::auth::challenge::Challenge;
use whelk_ssh::auth::client::{ClientAuth, ClientCredential};
use whelk_ssh::auth::method::{AuthMethod, MethodSet};
use whelk_ssh::auth::server::{Settings, Verdict};
use whelk_ssh::auth::{AuthStage, Machine, Step};
use whelk_ssh::error::{Error, Violation};
use whelk_ssh::message::auth::Method;
use whelk_ssh::message::interactive::InteractiveMessage;
use whelk_ssh::wire::{Malformed, Rest, Wire};

use crate::door::{
    Door, FAILURE, SESSION, SUCCESS, Sent, encode, honest, info_request, key, none, password, query, request, response,
    service,
};
use crate::pair::{ALL_REFUSED, Pair, requesting};

fn interactive() -> Vec<u8> {
    honest(b"alice", Method::KeyboardInteractive)
}

fn ask(prompts: &[(&str, bool)]) -> Verdict {
    Verdict::Challenge(Challenge::new("", "", prompts.iter().copied()).expect("few prompts"))
}

/// A machine whose client was asked for a password and an account number.
fn asked() -> Door {
    let mut door = Door::open();
    let request = door.reply(&interactive(), ask(&[("Password: ", false), ("Account: ", true)]));
    assert_eq!(request, Ok(info_request(&[(b"Password: ", false), (b"Account: ", true)])));
    door
}

#[test]
fn a_challenge_is_sent_as_rfc_4256_says() {
    let challenge = Challenge::new("SecurID", "Touch\nit", [("Code: ", true), ("PIN: ", false)]).unwrap();
    let expected = [
        &b"\x3c"[..],
        b"\0\0\0\x07SecurID",
        b"\0\0\0\x08Touch\nit",
        b"\0\0\0\0",
        b"\0\0\0\x02",
        b"\0\0\0\x06Code: \x01",
        b"\0\0\0\x05PIN: \0",
    ];
    let reply = Door::open().reply(&interactive(), Verdict::Challenge(challenge));
    assert_eq!(reply, Ok(expected.concat()));
}

#[test]
fn the_application_asks_and_gets_the_answers() {
    let mut door = Door::open();
    assert_eq!(door.question(&interactive()), "alice asks to be asked");
    assert_eq!(door.decide(ask(&[("Password: ", false)])), Ok(()));
    assert_eq!(door.answers(), [info_request(&[(b"Password: ", false)])]);
    assert_eq!((door.server.stage(), door.server.has_open_question()), (AuthStage::Auth, false));
    // Any bytes, and nothing of them is changed.
    assert_eq!(door.question(&response(&[b"a\0b\xff\n"])), r#"alice answers ["a\\x00b\\xff\\n"]"#);
    assert_eq!(door.decide(Verdict::Accept), Ok(()));
    assert_eq!((door.answers(), door.server.user()), (vec![SUCCESS.to_vec()], Some(&b"alice"[..])));
    assert!(!door.server.take_abandoned());
}

#[test]
fn an_exchange_has_several_rounds_of_which_some_only_tell() {
    let mut client = ClientAuth::new(b"alice");
    client.authenticate(ClientCredential::Interactive);
    let told = Verdict::Challenge(Challenge::new("Note", "Wait for the next code", []).unwrap());
    let verdicts = [ask(&[("Password: ", false)]), ask(&[("Code: ", true), ("PIN: ", false)]), told, Verdict::Accept];
    let mut pair = Pair::new(client, verdicts);
    let rounds: [&[&[u8]]; 3] = [&[b"secret"], &[b"123456", b"99"], &[]];
    for answers in rounds {
        assert_eq!(pair.drive(), Ok(()));
        let challenge = pair.client.challenge().unwrap();
        assert_eq!(challenge.prompts.len(), answers.len());
        if answers.is_empty() {
            assert_eq!((&*challenge.name, &*challenge.instruction), (&b"Note"[..], &b"Wait for the next code"[..]));
        }
        pair.client.answer(answers);
    }
    assert_eq!(pair.drive(), Ok(()));
    assert!(pair.entered(b"alice"));
    let answers = [r#"["secret"]"#, r#"["123456", "99"]"#, "[]"].map(|answers| format!("alice answers {answers}"));
    assert_eq!(pair.questions[0], "alice asks to be asked");
    assert_eq!(pair.questions[1..], answers);
    assert_eq!(pair.told, ["asked", "asked", "asked", "entered"]);
}

#[test]
fn wrong_answers_are_refused_like_a_wrong_password_and_the_client_may_ask_again() {
    let mut door = asked();
    assert_eq!(door.reply(&response(&[b"x", b"y"]), Verdict::Reject), Ok(FAILURE.to_vec()));
    assert_eq!(door.server.refused().interactive, 1);
    assert!(door.reply(&interactive(), ask(&[])).is_ok());
    assert_eq!(door.reply(&response(&[]), Verdict::Accept), Ok(SUCCESS.to_vec()));
}

#[test]
fn the_exchange_can_be_one_of_several_factors() {
    let mut client = ClientAuth::new(b"alice");
    client.authenticate(ClientCredential::Password(b"secret"));
    let then = MethodSet::NONE.with(AuthMethod::KeyboardInteractive);
    let mut pair =
        Pair::new(client, [Verdict::Partial(then), ask(&[("Code: ", true)]), Verdict::Reject, Verdict::Accept]);
    assert_eq!(pair.drive(), Ok(()));
    pair.client.authenticate(ClientCredential::Interactive);
    assert_eq!(pair.drive(), Ok(()));
    pair.client.answer(&[b"000000"]);
    assert_eq!(pair.drive(), Ok(()));
    assert_eq!(pair.told, ["keyboard-interactive true", "asked", "keyboard-interactive false"]);
    pair.client.authenticate(ClientCredential::Interactive);
    assert_eq!(pair.drive(), Ok(()));
    assert!(pair.entered(b"alice"));
}

#[test]
fn a_challenge_for_another_credential_is_a_rejection() {
    for payload in [none(b"alice"), password(b"alice", b"x"), query(b"alice", &key())] {
        let mut door = Door::open();
        assert_eq!(door.reply(&payload, ask(&[("Password: ", false)])), Ok(FAILURE.to_vec()));
        assert_eq!(door.give(&response(&[b"x"])), Err(Violation::Unexpected { number: 61 }.into()));
    }
}

#[test]
fn a_server_that_does_not_offer_it_asks_nothing() {
    let methods = MethodSet::NONE.with(AuthMethod::PublicKey);
    let mut door = Door::with(Settings { methods, ..Settings::default() });
    assert_eq!(door.give(&interactive()), Ok(Step::Nothing));
    assert_eq!(door.answers(), [b"\x33\0\0\0\x09publickey\0"]);
}

#[test]
fn u26_submethods_cost_nothing_however_often_they_are_repeated() {
    let mut body = Vec::new();
    b"en".as_slice().write(&mut body);
    repeat_n(&b"pam,"[..], 10_000).collect::<Vec<_>>().concat().as_slice().write(&mut body);
    let repeated = request(b"alice", b"ssh-connection", b"keyboard-interactive", &body);
    let mut door = Door::open();
    // One attempt each, counted like any other: five failures are answered.
    for _ in 0..5 {
        assert!(door.reply(&repeated, ask(&[("Password: ", false)])).is_ok());
        assert_eq!(door.reply(&response(&[b"guess"]), Verdict::Reject), Ok(FAILURE.to_vec()));
    }
    assert!(door.reply(&repeated, ask(&[("Password: ", false)])).is_ok());
    assert_eq!(door.reply(&response(&[b"guess"]), Verdict::Reject), Err(Error::TooManyAttempts));
}

#[test]
fn u27_the_number_of_answers_must_be_that_of_the_prompts() {
    for answers in [&[][..], &[&b"x"[..]], &[b"x", b"y", b"z"]] {
        assert_eq!(asked().give(&response(answers)), Err(Violation::AnswerCount.into()));
    }
    let lie = |count| encode(&InteractiveMessage::InfoResponse { count, answers: Rest(b"") });
    for count in [1, 0x1000_0000, u32::MAX] {
        assert_eq!(asked().give(&lie(count)), Err(Violation::AnswerCount.into()));
    }
    let truncated = Violation::Malformed { number: 61, what: Malformed::Truncated };
    assert_eq!(asked().give(&lie(2)), Err(truncated.into()));
    let trailing = Violation::Malformed { number: 61, what: Malformed::Trailing };
    assert_eq!(asked().give(&[&response(&[b"x", b"y"])[..], b"z"].concat()), Err(trailing.into()));
}

#[test]
fn u27_answers_that_nobody_asked_for_end_the_connection() {
    let unexpected = Err(Error::Peer(Violation::Unexpected { number: 61 }));
    assert_eq!(Door::new(Settings::default()).give(&response(&[b"x"])), unexpected, "before the service");
    assert_eq!(Door::open().give(&response(&[b"x"])), unexpected, "before any request");
    let mut door = Door::open();
    assert_eq!(door.reply(&interactive(), Verdict::Reject), Ok(FAILURE.to_vec()));
    assert_eq!(door.give(&response(&[b"x"])), unexpected, "after a refusal");
    let mut door = asked();
    assert_eq!(door.reply(&response(&[b"x", b"y"]), Verdict::Reject), Ok(FAILURE.to_vec()));
    assert_eq!(door.give(&response(&[b"x", b"y"])), unexpected, "twice");
    let mut door = asked();
    assert_eq!(door.reply(&password(b"alice", b"x"), Verdict::Reject), Ok(FAILURE.to_vec()));
    assert_eq!(door.give(&response(&[b"x", b"y"])), unexpected, "after another request");
}

#[test]
fn u28_a_new_request_abandons_the_prompts() {
    let user = b"alice";
    for other in [none(user), password(user, b"x"), query(user, &key()), interactive()] {
        let mut door = asked();
        assert_eq!(door.give(&other), Ok(Step::Attempt));
        assert!(door.server.take_abandoned() && !door.server.take_abandoned());
        assert_eq!(door.decide(Verdict::Accept), Ok(()));
    }
    // So does a request about which the application is not asked. It learns of that with the next attempt.
    let unknown = request(user, b"ssh-connection", b"gssapi-with-mic", b"");
    for silent in [service(b"ssh-userauth"), unknown] {
        let mut door = asked();
        assert_eq!(door.give(&silent), Ok(Step::Nothing));
        door.question(&password(user, b"x"));
        assert!(door.server.take_abandoned());
    }
}

#[test]
fn u25_rounds_are_counted_among_the_requests() {
    let mut door = Door::open();
    let tell = ask(&[]);
    assert!(door.reply(&interactive(), tell.clone()).is_ok());
    let rounds = (0..1000).take_while(|_| door.reply(&response(&[]), tell.clone()).is_ok()).count();
    // The requests for the service and for the exchange were the first of the 64.
    assert_eq!(rounds, 62);
    let mut door = Door::open();
    let abandoned = (0..1000).take_while(|_| door.reply(&interactive(), tell.clone()).is_ok()).count();
    assert_eq!(abandoned, 63);
}

#[test]
fn u29_an_answer_of_more_than_1024_bytes_is_not_kept() {
    let mut door = asked();
    assert_eq!(door.question(&response(&[b"x", &[b'y'; 1025]])), "alice unusable");
    assert_eq!(door.decide(Verdict::Reject), Ok(()));
    assert_eq!((door.answers(), door.server.refused().interactive), (vec![FAILURE.to_vec()], 1));
    let longest = [b'y'; 1024];
    let question = asked().question(&response(&[b"", &longest]));
    assert_eq!(question, format!(r#"alice answers ["", "{}"]"#, longest.escape_ascii()));
}

/// A client that has asked for prompts.
fn asking() -> ClientAuth {
    requesting(Some(ClientCredential::Interactive))
}

#[test]
fn a_client_allocates_nothing_by_the_number_of_prompts() {
    for count in [1, 0x1000_0000, u32::MAX] {
        let lie =
            InteractiveMessage::InfoRequest { name: b"", instruction: b"", language: b"", count, prompts: Rest(b"") };
        let truncated = Violation::Malformed { number: 60, what: Malformed::Truncated };
        assert_eq!(asking().handle(&encode(&lie), SESSION), Err(truncated.into()));
    }
}

#[test]
fn a_client_answers_only_while_it_is_asked() {
    let mut client = asking();
    client.answer(&[b"x"]);
    assert!(!client.owes() && client.challenge().is_none());
    assert_eq!(client.handle(&info_request(&[(b"?", true)]), SESSION), Ok(Step::Challenge));
    assert_eq!(client.challenge().map(|challenge| challenge.prompts.clone()), Some(vec![(b"?".to_vec(), true)]));
    client.answer(&[b"x"]);
    let mut out = Sent::new();
    client.write_owed(&mut out);
    assert_eq!(out.payloads, [response(&[b"x"])]);
    assert_eq!(client.handle(&info_request(&[]), SESSION), Ok(Step::Challenge));
    assert_eq!(client.handle(&info_request(&[]), SESSION), Err(Violation::Unsolicited.into()));
}

#[test]
fn a_client_may_turn_to_another_method() {
    let mut pair = Pair::new(
        ClientAuth::new(b"alice"),
        [Verdict::Reject, ask(&[("Password: ", false)]), Verdict::Reject, Verdict::Accept],
    );
    assert_eq!(pair.drive(), Ok(()));
    pair.client.authenticate(ClientCredential::Interactive);
    assert_eq!(pair.drive(), Ok(()));
    for password in [&b"wrong"[..], b"right"] {
        pair.client.authenticate(ClientCredential::Password(password));
        assert_eq!(pair.drive(), Ok(()));
    }
    assert!(pair.entered(b"alice") && pair.server.take_abandoned());
    assert_eq!(pair.told, [ALL_REFUSED, "asked", ALL_REFUSED, "entered"]);
}
