//! An authenticator that does what the user's name says, well or badly.

wit_bindgen::generate!({
    path: "../../../../../wit",
    inline: "
        package whelk:test;
        world gatekeeper {
            include whelk:ssh/authenticator-plugin@0.1.0;
            import wasi:config/store@0.2.0-rc.1;
            import wasi:keyvalue/store@0.2.0-draft;
            import wasi:keyvalue/atomics@0.2.0-draft;
        }
    ",
    world: "whelk:test/gatekeeper",
    generate_all,
});

use std::cell::Cell;
use std::thread::sleep;
use std::time::Duration;

use exports::whelk::ssh::authenticator::{Attempt, ChallengeInfo, Credential, Grant, Guest, Method, Prompt, Verdict};
use wasi::config::store as config;
use wasi::keyvalue::{atomics, store};

struct Gatekeeper;

thread_local! {
    /// Calls of this instance so far.
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

fn grant(user: &str, attributes: Vec<(String, String)>) -> Verdict {
    Verdict::Accept(Grant {
        principal: format!("{user}@acme"),
        tenant: "acme".to_owned(),
        plugin: Some("echo".to_owned()),
        attributes,
    })
}

fn challenge(prompts: &[&str]) -> Verdict {
    let prompts = prompts.iter().map(|text| Prompt { text: (*text).to_owned(), echo: false }).collect();
    Verdict::Challenge(ChallengeInfo { name: "Code".to_owned(), instruction: String::new(), prompts })
}

/// The configuration, and how often this has been asked of the store.
fn kept() -> Vec<(String, String)> {
    let mut kept = config::get_all().expect("it can be read");
    kept.sort();
    let text = |name: &str| config::get(name).expect("it can be read").unwrap_or_default();
    kept.push(("both".to_owned(), text("one") + &text("two")));
    let count = store::open("calls").and_then(|bucket| atomics::increment(&bucket, "asked", 1));
    kept.push(("asked".to_owned(), count.map_or_else(|error| format!("{error:?}"), |count| count.to_string())));
    kept
}

impl Guest for Gatekeeper {
    fn authenticate(attempt: Attempt, credential: Credential) -> Verdict {
        let calls = CALLS.get() + 1;
        CALLS.set(calls);
        match (attempt.user.as_str(), credential) {
            ("trap", _) => panic!("asked to"),
            ("exit", _) => std::process::exit(0),
            ("spin", _) => loop {
                std::hint::spin_loop();
            },
            ("sleep", _) => {
                sleep(Duration::from_secs(3600));
                Verdict::Reject
            }
            ("greedy", _) => grant("greedy", (0..17).map(|number| (format!("a{number}"), String::new())).collect()),
            ("partial", _) => Verdict::Partial(vec![Method::KeyboardInteractive]),
            ("code", Credential::Answers(answers)) if answers == ["42"] => {
                grant("code", vec![("calls".to_owned(), calls.to_string())])
            }
            ("code", Credential::InteractiveStarted) => challenge(&["Code: "]),
            // Begins without a prompt, asks the second time, and knows its own calls from answers to none.
            ("silent", Credential::InteractiveStarted) => challenge(&[]),
            ("silent", Credential::Answers(answers)) if answers.is_empty() => challenge(&["Code: "]),
            ("silent", Credential::Answers(answers)) if answers == ["42"] => grant("silent", Vec::new()),
            // Asks a client that does not wait for questions.
            ("curious", _) => challenge(&["Code: "]),
            ("kept", _) => grant("kept", kept()),
            ("key", Credential::KeyProven(key)) => {
                let certificate = key.certificate.map(|certificate| certificate.key_id).unwrap_or_default();
                grant("key", vec![("fingerprint".to_owned(), key.fingerprint), ("id".to_owned(), certificate)])
            }
            ("key", Credential::KeyOffered(_)) => grant("key", Vec::new()),
            (user, Credential::Password(password)) if password == "right" => {
                let seen = format!("{} {} {}", attempt.address, attempt.number, attempt.satisfied.len());
                grant(user, vec![("seen".to_owned(), seen)])
            }
            _ => Verdict::Reject,
        }
    }
}

export!(Gatekeeper);
