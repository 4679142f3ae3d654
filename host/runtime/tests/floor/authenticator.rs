//! A plugin that decides about logins: what it sees, what it may answer, and that each of its failures is a refusal.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::timeout;
use whelk_runtime::{
    Authenticator, Error, Facts, Grants, Limit, Limits, LoginAnswer, LoginAttempt, LoginCertificate, LoginCredential,
    LoginGrant, LoginKey, LoginMethod, Plugin, Tenant,
};

use crate::client::Client;
use crate::{guests, keyvalue};

fn gatekeeper() -> Arc<Plugin> {
    static GATEKEEPER: OnceLock<Arc<Plugin>> = OnceLock::new();
    let load = || Plugin::load(guests::engine(), "gatekeeper", &guests::wasm("gatekeeper")).unwrap();
    Arc::clone(GATEKEEPER.get_or_init(load))
}

async fn instance() -> Authenticator {
    instance_with(Duration::from_secs(60), Grants::default()).await
}

/// `grace`: the time of each call by the clock.
async fn instance_with(grace: Duration, grants: Grants) -> Authenticator {
    let limits = Limits { grace, cpu_call: Duration::from_millis(100), ..Limits::default() };
    let tenant = Tenant::new("authenticator gatekeeper", limits, grants);
    gatekeeper().authenticator(&Facts::default(), &tenant).await.unwrap()
}

fn attempt(user: &str, number: u32) -> LoginAttempt {
    LoginAttempt {
        user: user.to_owned(),
        address: "192.0.2.1:22".to_owned(),
        client_version: "SSH-2.0-test".to_owned(),
        number,
        satisfied: vec![LoginMethod::PublicKey],
    }
}

async fn ask(instance: &mut Authenticator, user: &str, credential: LoginCredential) -> Result<LoginAnswer, Error> {
    instance.authenticate(&attempt(user, 1), &credential).await
}

fn password(text: &str) -> LoginCredential {
    LoginCredential::Password(text.to_owned())
}

fn granted(user: &str, attributes: &[(&str, &str)]) -> LoginAnswer {
    let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    LoginAnswer::Accept(LoginGrant {
        principal: format!("{user}@acme"),
        tenant: "acme".to_owned(),
        plugin: Some("echo".to_owned()),
        attributes,
    })
}

#[tokio::test]
async fn it_sees_the_attempt_and_grants_an_account_with_attributes() {
    assert!(gatekeeper().is_authenticator() && !guests::script().is_authenticator());
    let mut instance = instance().await;
    assert_eq!(ask(&mut instance, "alice", password("wrong")).await.unwrap(), LoginAnswer::Reject);
    assert_eq!(ask(&mut instance, "alice", LoginCredential::None).await.unwrap(), LoginAnswer::Reject);
    let accepted = ask(&mut instance, "alice", password("right")).await.unwrap();
    assert_eq!(accepted, granted("alice", &[("seen", "192.0.2.1:22 1 1")]));
    let partial = ask(&mut instance, "partial", password("")).await.unwrap();
    assert_eq!(partial, LoginAnswer::Partial(vec![LoginMethod::KeyboardInteractive]));
    instance.end().await;
}

#[tokio::test]
async fn it_sees_keys_with_their_certificates_offered_and_proven() {
    let certificate = LoginCertificate {
        key_id: "alice's laptop".to_owned(),
        serial: 7,
        principals: vec!["alice".to_owned()],
        extensions: vec![("permit-pty".to_owned(), String::new())],
        authority_fingerprint: "SHA256:ca".to_owned(),
    };
    let key = LoginKey {
        algorithm: "ssh-ed25519".to_owned(),
        blob: vec![1, 2, 3],
        fingerprint: "SHA256:key".to_owned(),
        certificate: Some(certificate),
    };
    let mut instance = instance().await;
    let offered = ask(&mut instance, "key", LoginCredential::KeyOffered(key.clone())).await.unwrap();
    assert_eq!(offered, granted("key", &[]));
    let proven = ask(&mut instance, "key", LoginCredential::KeyProven(key)).await.unwrap();
    assert_eq!(proven, granted("key", &[("fingerprint", "SHA256:key"), ("id", "alice's laptop")]));
    instance.end().await;
}

#[tokio::test]
async fn an_instance_lives_through_an_exchange_of_questions() {
    let mut instance = instance().await;
    let answers = |answers: &[&str]| LoginCredential::Answers(answers.iter().map(|text| (*text).to_owned()).collect());
    for (said, expected) in [("41", LoginAnswer::Reject), ("42", granted("code", &[("calls", "4")]))] {
        match ask(&mut instance, "code", LoginCredential::InteractiveStarted).await.unwrap() {
            LoginAnswer::Challenge(challenge) => assert_eq!(challenge.prompts, [("Code: ".to_owned(), false)]),
            other => panic!("{other:?}"),
        }
        assert_eq!(ask(&mut instance, "code", answers(&[said])).await.unwrap(), expected);
    }
    // U27: answers to nothing, and too many of them.
    assert!(matches!(ask(&mut instance, "code", answers(&["42"])).await, Err(Error::Refused(_))));
    ask(&mut instance, "code", LoginCredential::InteractiveStarted).await.unwrap();
    assert!(matches!(ask(&mut instance, "code", answers(&["42", "42"])).await, Err(Error::Refused(_))));
    // U28
    assert_eq!(ask(&mut instance, "code", LoginCredential::Abandoned).await.unwrap(), LoginAnswer::Reject);
    instance.end().await;
}

#[tokio::test]
async fn a_begin_and_answers_to_a_challenge_without_prompts_are_told_apart() {
    let mut instance = instance().await;
    let prompts = |answer: LoginAnswer| match answer {
        LoginAnswer::Challenge(challenge) => challenge.prompts.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(prompts(ask(&mut instance, "silent", LoginCredential::InteractiveStarted).await.unwrap()), 0);
    assert_eq!(prompts(ask(&mut instance, "silent", LoginCredential::Answers(Vec::new())).await.unwrap()), 1);
    let answers = LoginCredential::Answers(vec!["42".to_owned()]);
    assert_eq!(ask(&mut instance, "silent", answers).await.unwrap(), granted("silent", &[]));
    instance.end().await;
}

#[tokio::test]
async fn it_asks_only_a_client_that_waits_for_questions() {
    for credential in [LoginCredential::None, password("right"), LoginCredential::Abandoned] {
        let mut instance = instance().await;
        let error = ask(&mut instance, "curious", credential).await.unwrap_err();
        assert!(error.to_string().contains("has not begun keyboard-interactive"), "{error}");
        instance.end().await;
    }
}

#[tokio::test]
async fn it_reads_its_own_configuration_and_writes_its_own_store() {
    let config = [("one", "a"), ("two", "b")].map(|(name, text)| (name.to_owned(), text.to_owned()));
    let own = Grants { config: config.into_iter().collect(), ..keyvalue::grants(keyvalue::store("gatekeeper")) };
    assert_eq!(format!("{:?}", own.config), "Configuration { .. }");
    for count in ["1", "2"] {
        let mut instance = instance_with(Duration::from_secs(60), own.clone()).await;
        let answer = ask(&mut instance, "kept", LoginCredential::None).await.unwrap();
        assert_eq!(answer, granted("kept", &[("one", "a"), ("two", "b"), ("both", "ab"), ("asked", count)]));
        instance.end().await;
    }
    // Without either.
    let mut bare = instance().await;
    let answer = ask(&mut bare, "kept", LoginCredential::None).await.unwrap();
    assert_eq!(answer, granted("kept", &[("both", ""), ("asked", "Error::AccessDenied")]));
    bare.end().await;
}

#[tokio::test]
async fn whatever_it_does_wrong_is_an_error_and_it_is_never_called_again() {
    for user in ["trap", "exit", "spin", "greedy"] {
        let mut instance = instance().await;
        let error = ask(&mut instance, user, password("right")).await.unwrap_err();
        match user {
            "trap" => assert!(matches!(error, Error::Trap { .. }), "{error}"),
            "exit" => assert!(error.to_string().contains("ended itself with status 0"), "{error}"),
            "spin" => assert!(matches!(error, Error::Limit { limit: Limit::Cpu, .. }), "{error}"),
            _ => assert!(error.to_string().contains("17 attributes"), "{error}"),
        }
        let again = ask(&mut instance, "alice", password("right")).await.unwrap_err();
        assert!(again.to_string().contains("failed before"), "{again}");
        instance.end().await;
    }
}

/// U36
#[tokio::test]
async fn a_call_that_hangs_ends_at_its_deadline() {
    let mut instance = instance_with(Duration::from_millis(200), Grants::default()).await;
    let call = ask(&mut instance, "sleep", password("right"));
    let error = timeout(Duration::from_secs(60), call).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Limit { limit: Limit::Time, .. }), "{error}");
    instance.end().await;
}

#[tokio::test]
async fn it_serves_no_session_and_a_session_plugin_decides_about_no_login() {
    let granting = Tenant::new("t", Limits::default(), keyvalue::grants(keyvalue::store("t")));
    let (_, report) = Client::of(&granting, &gatekeeper(), &[]).then("").await;
    assert!(!report.opened, "{report:?}");
    let error = report.error.unwrap_or_else(|| panic!("it was served"));
    assert!(error.to_string().contains("serves no sessions"), "{error}");

    let tenant = Tenant::new("t", Limits::default(), Grants::default());
    let refused = guests::script().authenticator(&Facts::default(), &tenant).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("is no authenticator")));
}

#[tokio::test]
async fn it_is_tried_before_it_is_published_like_any_plugin() {
    let tenant = Tenant::new("t", Limits::default(), Grants::default());
    gatekeeper().smoke(&tenant).await.unwrap();
}
