//! Whole logins, with a store in memory.

use std::cell::RefCell;

use whelk_guest::Certificate;

use super::*;
use crate::memory::Memory;

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
/// A time of the standard's vectors, and its code of six digits for that secret.
const TIME: u64 = 1_111_111_109;
const CODE: &str = "081804";
/// The code of the next step.
const NEXT: &str = "050471";

thread_local! {
    /// What the operator was told.
    static TOLD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn told() -> Vec<String> {
    TOLD.take()
}

/// alice has a code, bob a code and a key, carol something that is no secret.
fn lookup(name: &str) -> Option<String> {
    match name {
        "alice@acme" => Some(SECRET.to_owned()),
        "bob@acme" => Some(format!("{SECRET} SHA256:bob")),
        "carol@acme" => Some("?".to_owned()),
        "wrong-codes" => Some("3".to_owned()),
        _ => None,
    }
}

fn attempt(user: &str, satisfied: &[AuthMethod]) -> Attempt {
    let (address, client_version) = ("192.0.2.1:22".to_owned(), "SSH-2.0-test".to_owned());
    Attempt { user: user.to_owned(), address, client_version, number: 1, satisfied: satisfied.to_vec() }
}

fn step(store: &Memory, time: u64, attempt: &Attempt, code: &str) -> Result<Verdict, String> {
    let warn = |words: &str| TOLD.with_borrow_mut(|told| told.push(words.to_owned()));
    Login { lookup: &lookup, warn: &warn, counters: store, attempt, time }.code(code)
}

fn key(attempt: &Attempt, fingerprint: &str, is_proven: bool, certificate: Option<Certificate>) -> Verdict {
    let (algorithm, fingerprint) = ("ssh-ed25519".to_owned(), fingerprint.to_owned());
    let key = PublicKey { algorithm, blob: Vec::new(), fingerprint, certificate };
    Login { lookup: &lookup, warn: &|_| (), counters: &Memory::default(), attempt, time: TIME }
        .key(&key, is_proven)
        .unwrap()
}

fn granted(user: &str) -> Verdict {
    Grant::new(user, "acme").into()
}

#[test]
fn a_right_code_lets_in_once() {
    let (store, alice) = (Memory::default(), attempt("alice@acme", &[]));
    assert_eq!(step(&store, TIME, &alice, "000000"), Ok(Verdict::Reject));
    assert_eq!(step(&store, TIME, &alice, CODE), Ok(granted("alice@acme")));
    assert_eq!(told(), [""; 0]);
    assert_eq!(step(&store, TIME, &alice, CODE), Ok(Verdict::Reject));
    assert_eq!(told(), ["the user \"alice@acme\" has used this code or a later one before"]);
    assert_eq!(step(&store, TIME + 30, &alice, NEXT), Ok(granted("alice@acme")));
    assert_eq!(step(&store, TIME + 30, &alice, CODE), Ok(Verdict::Reject), "it is older than the last");
}

#[test]
fn after_too_many_wrong_codes_none_is_right_until_they_are_forgotten() {
    let (store, alice) = (Memory::default(), attempt("alice@acme", &[]));
    for _ in 0..3 {
        assert_eq!(step(&store, TIME, &alice, "000000"), Ok(Verdict::Reject));
    }
    assert_eq!(step(&store, TIME, &alice, CODE), Ok(Verdict::Reject));
    assert_eq!(step(&store, TIME, &alice, CODE), Ok(Verdict::Reject));
    let words = "the user \"alice@acme\" has had 3 wrong codes: no code is right for up to 15 minutes";
    assert_eq!(told(), [words], "and that once");
    // The same code of a later period would be too old: another user has the same secret.
    assert_eq!(step(&store, TIME, &attempt("bob@acme", &[AuthMethod::PublicKey]), CODE), Ok(granted("bob@acme")));
    let later = (TIME / 900 + 1) * 900;
    let code = format!("{:06}", (0..1_000_000).find(|code| is_right(*code, later)).unwrap());
    assert_eq!(step(&store, later, &alice, &code), Ok(granted("alice@acme")));
    // A right one has the wrong ones before it forgotten.
    for _ in 0..2 {
        assert_eq!(step(&store, later, &alice, "000000"), Ok(Verdict::Reject));
    }
}

fn is_right(code: u32, time: u64) -> bool {
    let generator = Account::parse(SECRET).map(|account| account.generator).unwrap_or_else(|_| nobodys());
    generator.step_of(&format!("{code:06}"), time).is_some()
}

#[test]
fn strangers_are_refused_whatever_they_say_and_take_no_users_attempts() {
    let store = Memory::default();
    for name in ["mallory@acme", "tenant", "wrong-codes", ""] {
        for code in [CODE, "000000", ""] {
            assert_eq!(step(&store, TIME, &attempt(name, &[]), code), Ok(Verdict::Reject), "{name}");
        }
    }
    assert_eq!(step(&store, TIME, &attempt("alice@acme", &[]), CODE), Ok(granted("alice@acme")));
}

#[test]
fn whoever_has_a_key_needs_both_in_either_order() {
    let (store, bob) = (Memory::default(), |satisfied| attempt("bob@acme", satisfied));
    let code_next = Verdict::Partial(vec![AuthMethod::KeyboardInteractive]);
    assert_eq!(key(&bob(&[]), "SHA256:bob", false, None), code_next);
    assert_eq!(key(&bob(&[]), "SHA256:bob", true, None), code_next);
    assert_eq!(step(&store, TIME, &bob(&[AuthMethod::PublicKey]), CODE), Ok(granted("bob@acme")));
    let key_next = Verdict::Partial(vec![AuthMethod::PublicKey]);
    assert_eq!(step(&store, TIME + 30, &bob(&[]), NEXT), Ok(key_next));
    let interactive = [AuthMethod::KeyboardInteractive];
    assert_eq!(key(&bob(&interactive), "SHA256:bob", false, None), code_next, "an offered key lets nobody in");
    assert_eq!(key(&bob(&interactive), "SHA256:bob", true, None), granted("bob@acme"));
    // Others' keys, and those of users who have none.
    for (user, fingerprint) in [("bob@acme", "SHA256:alice"), ("alice@acme", "SHA256:bob"), ("mallory", "SHA256:bob")] {
        assert_eq!(key(&attempt(user, &interactive), fingerprint, true, None), Verdict::Reject, "{user}");
    }
    let certificate = Certificate {
        key_id: String::new(),
        serial: "1".to_owned(),
        principals: vec!["bob@acme".to_owned()],
        extensions: Vec::new(),
        authority_fingerprint: "SHA256:ca".to_owned(),
    };
    assert_eq!(key(&bob(&interactive), "SHA256:bob", true, Some(certificate)), Verdict::Reject);
}

#[test]
fn what_keeps_it_from_deciding_is_an_error_that_names_it() {
    let reason = step(&Memory::absent(), TIME, &attempt("alice@acme", &[]), CODE).unwrap_err();
    assert_eq!(reason, "nobody can log in, since used codes cannot be kept: there is no key-value store");
    let reason = step(&Memory::default(), TIME, &attempt("carol@acme", &[]), CODE).unwrap_err();
    assert!(reason.starts_with("the user \"carol@acme\": its secret is not base32"), "{reason}");
}
