//! Who decides about which name, what a plugin is shown, and what follows from its answers.

use whelk_ssh::crypto::key::HostKey;

use crate::client::{Told, asked, refused};
use crate::log::heard;
use crate::place::{DOOR, HOST_KEY, Place};

/// A hash of `password`.
pub(crate) const HASH: &str = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

#[tokio::test]
async fn a_user_of_the_configuration_is_never_its_business() {
    let place = Place::new(&format!("users.alice = {{ plugin = \"script\", password = \"{HASH}\" }}\n{DOOR}")).await;
    let mut alice = place.connect("alice");
    assert_eq!(alice.none().await, refused());
    assert_eq!(alice.password("accept acme script").await, refused());
    assert_eq!(alice.interactive().await, asked("", "Password: "));
    assert_eq!(alice.answer("accept acme script").await, refused());
    assert_eq!(alice.password("password").await, Told::LoggedIn);
    assert_eq!(heard(alice.number), ["alice is the same"]);
    // Byte by byte another name.
    let mut other = place.connect("Alice");
    assert_eq!(other.password("password").await, refused());
    assert_eq!(other.password("accept acme script").await, Told::LoggedIn);
    assert_eq!(heard(other.number), ["door password reject", "door password accept", "Alice is account of Alice"]);
}

#[tokio::test]
async fn the_first_whose_pattern_fits_is_asked_and_no_other() {
    let place = Place::new(
        r#"
[tenants.acme]
[tenants.other]
[[authenticators]]
name = "first"
plugin = "doorman"
users = ["ops-*", "*@acme"]
tenants = ["acme"]
[[authenticators]]
name = "second"
plugin = "doorman"
users = "*@*"
tenants = ["other"]
"#,
    )
    .await;
    for (user, by) in [("a@acme", "first"), ("ops-", "first"), ("ops-@other", "first"), ("a@b", "second")] {
        let mut visitor = place.connect(user);
        // What it may not grant nobody else is asked for.
        let tenants = if by == "first" { ["other", "acme"] } else { ["acme", "other"] };
        for (tenant, expected) in tenants.into_iter().zip([refused(), Told::LoggedIn]) {
            assert_eq!(visitor.password(&format!("accept {tenant} script")).await, expected, "{user}");
        }
        let heard = heard(visitor.number);
        assert!(heard.iter().all(|heard| heard.starts_with(by) || heard.starts_with(user)), "{heard:?}");
    }
    // Nobody decides about these.
    let key = HostKey::from_file(HOST_KEY).unwrap();
    for user in ["acme", "Ops-a", "a\n@acme", ""] {
        let mut visitor = place.connect(user);
        assert_eq!(visitor.none().await, refused());
        assert_eq!(visitor.password("accept acme script").await, refused());
        assert_eq!(visitor.offer(&key).await, refused());
        assert_eq!(visitor.interactive().await, asked("", "Password: "));
        assert_eq!(visitor.answer("accept acme script").await, refused());
        assert!(heard(visitor.number).is_empty(), "{user}");
    }
}

/// U28
#[tokio::test]
async fn one_instance_asks_in_several_rounds_and_hears_of_what_is_abandoned() {
    let place = Place::new(DOOR).await;
    let mut visitor = place.connect("a");
    assert_eq!(visitor.none().await, refused());
    assert_eq!(visitor.interactive().await, asked("Door", "Well? "));
    assert_eq!(visitor.answer("ask Really? ").await, asked("Door", "Really? "));
    // It turns to another method, and comes back.
    assert_eq!(visitor.password("reject").await, refused());
    assert_eq!(visitor.interactive().await, asked("Door", "Well? "));
    assert_eq!(visitor.answer("accept acme script").await, Told::LoggedIn);
    let facts = visitor.run("facts;finish 0").await;
    for fact in [
        "attr.calls=7",
        "attr.abandoned=1",
        "attr.number=6",
        "attr.address=192.0.2.1:1000",
        "attr.version=SSH-2.0-",
        "method=keyboard-interactive",
    ] {
        assert!(facts.contains(fact), "{fact}: {facts}");
    }
}

/// RFC 4252 §8
#[tokio::test]
async fn it_has_a_password_changed_and_is_asked_about_nothing_else_for_it() {
    let place = Place::new(DOOR).await;
    let mut visitor = place.connect("a");
    let to_change = |text: &str| Told::ToChange(text.to_owned());
    assert_eq!(visitor.password("change It has expired.").await, to_change("It has expired."));
    assert_eq!(visitor.new_password("old", "change It is too short.").await, to_change("It is too short."));
    assert_eq!(visitor.new_password("old", "reject").await, refused());
    assert_eq!(visitor.new_password("old", "accept acme script").await, Told::LoggedIn);
    let facts = visitor.run("facts;finish 0").await;
    assert!(facts.contains("method=password") && facts.contains("attr.calls=4"), "{facts}");
    // Whoever has sent no password cannot change it.
    let mut other = place.connect("a");
    assert_eq!(other.interactive().await, asked("Door", "Well? "));
    assert_eq!(other.answer("change It has expired.").await, refused());
    let log = heard(other.number);
    assert!(log.iter().any(|line| line.contains("keyboard-interactive failed")), "{log:?}");
}

#[tokio::test]
async fn who_gets_no_question_is_asked_what_everybody_is_asked_and_refused() {
    let place = Place::new(&DOOR.replace("config =", "keyvalue = {} #")).await;
    let mut visitor = place.connect("a");
    assert_eq!(visitor.interactive().await, asked("", "Password: "));
    assert_eq!(visitor.answer("accept acme script").await, refused());
    assert_eq!(heard(visitor.number), ["door keyboard-interactive reject", "door keyboard-interactive not asked"]);
}

#[tokio::test]
async fn a_key_is_shown_when_it_is_offered_and_when_it_is_proven() {
    let key = HostKey::from_file(HOST_KEY).unwrap();
    let door = |config: &str| DOOR.replace("config = { interactive = \"ask Well? \" }", config);
    let place = Place::new(&door(r#"config = { offered = "accept - -", proven = "accept acme script" }"#)).await;
    let mut visitor = place.connect("a");
    assert_eq!(visitor.offer(&key).await, Told::MaySign);
    assert_eq!(heard(visitor.number), ["door publickey accept"]);
    assert_eq!(visitor.prove(&key).await, Told::LoggedIn);
    let facts = visitor.run("facts;finish 0").await;
    let fingerprint = key.public().fingerprint();
    for fact in [format!("attr.fingerprint={fingerprint}"), format!("key-fingerprint={fingerprint}")] {
        assert!(facts.contains(&fact), "{fact}: {facts}");
    }
    // Without an offer first.
    let mut direct = place.connect("b");
    assert_eq!(direct.prove(&key).await, Told::LoggedIn);
    assert_eq!(heard(direct.number)[0], "door publickey accept");
    // Offered is not proven, and an offer that is refused is no question of a signature.
    let place = Place::new(&door(r#"config = { proven = "accept acme script" }"#)).await;
    assert_eq!(place.connect("a").offer(&key).await, refused());
    let place = Place::new(&door(r#"config = { offered = "accept acme script" }"#)).await;
    let mut visitor = place.connect("a");
    assert_eq!(visitor.offer(&key).await, Told::MaySign);
    assert_eq!(visitor.prove(&key).await, refused());
}

#[tokio::test]
async fn no_credentials_are_enough_where_it_says_so_and_no_method_is_required() {
    let door = DOOR.replace("interactive = \"ask Well? \"", "none = \"accept acme script\"");
    let place = Place::new(&door).await;
    let mut visitor = place.connect("a");
    assert_eq!(visitor.none().await, Told::LoggedIn);
    assert!(visitor.run("facts;finish 0").await.contains("method=none"));
    let place = Place::new(&format!("methods = [\"password\"]\n{door}")).await;
    let mut visitor = place.connect("a");
    assert_eq!(visitor.none().await, Told::Refused("password".to_owned()));
    assert_eq!(visitor.password("accept acme script").await, Told::LoggedIn);
}

#[tokio::test]
async fn the_host_requires_its_methods_besides_and_partial_asks_for_more() {
    let key = HostKey::from_file(HOST_KEY).unwrap();
    let door =
        DOOR.replace("config = {", "methods = [\"publickey,password\"]\nconfig = { offered = \"accept - -\", PROVEN");
    // It would let the client in by the key alone.
    let place = Place::new(&door.replace("PROVEN", "proven = \"accept acme script\",")).await;
    let mut visitor = place.connect("a");
    assert_eq!(visitor.none().await, Told::Refused("publickey".to_owned()));
    assert_eq!(visitor.prove(&key).await, Told::Partial("password".to_owned()));
    assert_eq!(visitor.prove(&key).await, Told::Refused("password".to_owned()));
    assert_eq!(visitor.password("accept acme script").await, Told::LoggedIn);
    let facts = visitor.run("facts;finish 0").await;
    assert!(facts.contains("attr.satisfied=[Method::PublicKey]"), "{facts}");
    assert!(facts.contains("key-fingerprint=SHA256:"), "the key of the first step: {facts}");
    // It cannot ask for less than the host, and it can ask for more.
    let place = Place::new(&door.replace("PROVEN", "proven = \"partial keyboard-interactive\",")).await;
    let mut visitor = place.connect("a");
    assert_eq!(visitor.prove(&key).await, Told::Partial("password".to_owned()));
    let more = visitor.password("partial keyboard-interactive publickey").await;
    assert_eq!(more, Told::Partial("publickey,keyboard-interactive".to_owned()));
    assert_eq!(visitor.prove(&key).await, Told::Refused("publickey,keyboard-interactive".to_owned()), "the same key");
    assert_eq!(visitor.interactive().await, asked("Door", "Well? "));
    assert_eq!(visitor.answer("accept acme script").await, Told::LoggedIn);
    let facts = visitor.run("facts;finish 0").await;
    assert!(facts.contains("attr.satisfied=[Method::PublicKey, Method::Password]"), "{facts}");
    // Where the host requires nothing, it alone decides what follows.
    let place = Place::new(DOOR).await;
    let mut visitor = place.connect("a");
    assert_eq!(
        visitor.password("partial keyboard-interactive").await,
        Told::Partial("keyboard-interactive".to_owned())
    );
    assert_eq!(visitor.interactive().await, asked("Door", "Well? "));
    assert_eq!(visitor.answer("reject").await, Told::Refused("keyboard-interactive".to_owned()));
    assert_eq!(visitor.interactive().await, asked("Door", "Well? "));
    assert_eq!(visitor.answer("accept acme script").await, Told::LoggedIn);
}
