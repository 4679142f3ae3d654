//! An authenticator that does what it is told: by a password, by the answers to its question, or for a client that has
//! shown neither by its configuration, under the name of what was shown.

wit_bindgen::generate!({
    path: "../../../../../wit",
    inline: "
        package whelk:test;
        world doorman {
            include whelk:ssh/authenticator-plugin@0.1.0;
            import wasi:config/store@0.2.0-rc.1;
            import wasi:keyvalue/store@0.2.0-draft;
        }
    ",
    world: "whelk:test/doorman",
    generate_all,
});

use std::cell::Cell;
use std::thread::sleep;
use std::time::Duration;

use exports::whelk::ssh::authenticator::{
    Attempt, ChallengeInfo, Credential, Grant, Guest, Method, Prompt, PublicKey, Verdict,
};
use wasi::config::store as config;
use wasi::keyvalue::store::{self, Error};
use whelk::ssh::log;

struct Doorman;

thread_local! {
    /// Calls of this instance so far, and how many of them said that a question was abandoned.
    static CALLS: Cell<u32> = const { Cell::new(0) };
    static ABANDONED: Cell<u32> = const { Cell::new(0) };
}

/// What it is told for a client that has shown this, if anything.
fn configured(shown: &str) -> Option<String> {
    config::get(shown).ok().flatten()
}

fn challenge(text: &str) -> Verdict {
    let prompts = vec![Prompt { text: text.to_owned(), echo: true }];
    Verdict::Challenge(ChallengeInfo { name: "Door".to_owned(), instruction: "Say what to do.".to_owned(), prompts })
}

fn method(name: &str) -> Method {
    match name {
        "none" => Method::None,
        "publickey" => Method::PublicKey,
        "password" => Method::Password,
        _ => Method::KeyboardInteractive,
    }
}

fn stored(key: &str, value: Option<&str>) -> Result<String, Error> {
    let bucket = store::open("doorman")?;
    if let Some(value) = value {
        bucket.set(key, value.as_bytes())?;
    }
    Ok(bucket.get(key)?.map_or("nothing".to_owned(), |value| String::from_utf8_lossy(&value).into_owned()))
}

/// A grant of a tenant and, unless it is `-`, of a plugin, with further attributes as `NAME=VALUE`. The attribute `as`
/// is the account, too.
fn accept(attempt: &Attempt, words: &[&str], key: Option<&PublicKey>) -> Verdict {
    let [tenant, plugin, words @ ..] = words else { return Verdict::Reject };
    let mut attributes = vec![
        ("calls".to_owned(), CALLS.get().to_string()),
        ("abandoned".to_owned(), ABANDONED.get().to_string()),
        ("number".to_owned(), attempt.number.to_string()),
        ("satisfied".to_owned(), format!("{:?}", attempt.satisfied)),
        ("address".to_owned(), attempt.address.clone()),
        ("version".to_owned(), attempt.client_version.clone()),
    ];
    attributes.extend(key.map(|key| ("fingerprint".to_owned(), key.fingerprint.clone())));
    let named = |word: &&str| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    attributes.extend(words.iter().filter_map(named));
    let principal = attributes.iter().find(|(name, _)| name == "as").map(|(_, value)| value.clone());
    Verdict::Accept(Grant {
        principal: principal.unwrap_or_else(|| format!("account of {}", attempt.user)),
        tenant: (*tenant).to_owned(),
        plugin: Some((*plugin).to_owned()).filter(|plugin| plugin != "-"),
        attributes,
    })
}

fn obey(attempt: &Attempt, told: &str, key: Option<&PublicKey>) -> Verdict {
    let words: Vec<&str> = told.split(' ').collect();
    match words.as_slice() {
        ["accept", words @ ..] => accept(attempt, words, key),
        ["partial", names @ ..] => Verdict::Partial(names.iter().map(|name| method(name)).collect()),
        ["ask", words @ ..] => challenge(&words.join(" ")),
        ["change", words @ ..] => Verdict::ChangePassword(words.join(" ")),
        ["keep", name, value, words @ ..] => {
            let kept = stored(name, Some(value)).unwrap_or_else(|error| format!("{error:?}"));
            accept(attempt, &[words, &[&format!("kept={kept}")]].concat(), key)
        }
        ["kept", name, words @ ..] => {
            let kept = stored(name, None).unwrap_or_else(|error| format!("{error:?}"));
            accept(attempt, &[words, &[&format!("kept={kept}")]].concat(), key)
        }
        ["trap"] => panic!("told to"),
        ["sleep"] => {
            log::log(log::Level::Info, "sleeps");
            sleep(Duration::from_secs(3600));
            Verdict::Reject
        }
        _ => Verdict::Reject,
    }
}

impl Guest for Doorman {
    fn authenticate(attempt: Attempt, credential: Credential) -> Verdict {
        CALLS.set(CALLS.get() + 1);
        let by_configuration = |shown: &str, key: Option<&PublicKey>| {
            configured(shown).map_or(Verdict::Reject, |told| obey(&attempt, &told, key))
        };
        match credential {
            Credential::None => by_configuration("none", None),
            Credential::Password(password) => obey(&attempt, &password, None),
            Credential::NewPassword(change) => obey(&attempt, &change.new, None),
            Credential::KeyOffered(key) => by_configuration("offered", Some(&key)),
            Credential::KeyProven(key) => by_configuration("proven", Some(&key)),
            Credential::InteractiveStarted => by_configuration("interactive", None),
            Credential::Answers(answers) => obey(&attempt, &answers.join(" "), None),
            Credential::Abandoned => {
                ABANDONED.set(ABANDONED.get() + 1);
                Verdict::Reject
            }
        }
    }
}

export!(Doorman);
