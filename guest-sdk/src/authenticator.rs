//! Deciding who may log in: the trait [`Authenticator`], and what it sees and answers.

pub(crate) use crate::bindings::authenticator::exports::whelk::ssh::authenticator::Credential;
pub use crate::bindings::authenticator::exports::whelk::ssh::authenticator::{
    Attempt, Certificate, ChallengeInfo as Challenge, Grant, Method as AuthMethod, Prompt, PublicKey, Verdict,
};

/// A plugin that decides who may log in. Export it with [`authenticator!`](crate::authenticator!).
///
/// The operator says about which user names it is asked, and which tenants it may grant. Whelk verifies signatures and
/// certificates before it shows them here, and requires its own `methods` besides. Each connection has an instance of
/// its own, with one value of the type that lives until the user is logged in or leaves; what must outlive it belongs
/// in [`keyvalue`](crate::keyvalue). A call may take 5 seconds, and a panic refuses the attempt.
///
/// All functions refuse by default, so implement only the methods that you want. Whoever is refused is told no reason:
/// answer a user who does not exist as you answer one who does, with the same questions and the same work.
///
/// This one asks for a word that everybody knows, and counts how often it was right:
///
/// ```
/// use whelk_guest::{Attempt, AuthMethod, Authenticator, Grant, Verdict, authenticator, config, keyvalue, log};
///
/// #[derive(Default)]
/// struct Door;
///
/// impl Authenticator for Door {
///     fn interactive_started(&mut self, _attempt: &Attempt) -> Verdict {
///         Verdict::ask("Who goes there? ")
///     }
///
///     fn answers(&mut self, attempt: &Attempt, answers: &[String]) -> Verdict {
///         let word = config::get("word").unwrap_or_else(|| "friend".to_owned());
///         if answers != [word] {
///             return Verdict::Reject;
///         }
///         match keyvalue::open("visits").and_then(|visits| visits.increment(&attempt.user, 1)) {
///             Ok(count) => Grant::new(&attempt.user, "public").attribute("visits", count.to_string()).into(),
///             Err(error) => {
///                 log::error(format!("the visit cannot be counted: {error}"));
///                 Verdict::Reject
///             }
///         }
///     }
/// }
///
/// authenticator!(Door);
/// ```
///
/// In the configuration of the server, `door.wasm` being in the folder of the operator's plugins:
///
/// ```toml
/// [[authenticators]]
/// name = "door"
/// plugin = "door"
/// users = "*"
/// tenants = ["public"]
/// config = { word = "mellon" }
/// ```
pub trait Authenticator {
    /// The method `none`: no credential. Many clients begin with it to learn which methods there are.
    fn none(&mut self, attempt: &Attempt) -> Verdict {
        let _ = attempt;
        Verdict::Reject
    }

    /// A password, at most 1 KiB. If it is right and must be changed, answer [`Verdict::ChangePassword`] with a line
    /// for the person.
    fn password(&mut self, attempt: &Attempt, password: &str) -> Verdict {
        let _ = (attempt, password);
        Verdict::Reject
    }

    /// The present password and a new one: the reply to [`Verdict::ChangePassword`], which some clients also send
    /// unasked. Accept it only when the new one is stored; with [`Verdict::ChangePassword`] the person chooses another.
    fn new_password(&mut self, attempt: &Attempt, old: &str, new: &str) -> Verdict {
        let _ = (attempt, old, new);
        Verdict::Reject
    }

    /// A public key, with or without a certificate.
    ///
    /// Most clients ask first whether a key is of use (`is_proven` is false): accepting it means "go on and sign", and
    /// what is granted is ignored. When the host has verified the signature it calls again with `is_proven`, and then
    /// the grant counts.
    fn public_key(&mut self, attempt: &Attempt, key: &PublicKey, is_proven: bool) -> Verdict {
        let _ = (attempt, key, is_proven);
        Verdict::Reject
    }

    /// The client begins keyboard-interactive: ask it something with [`Verdict::Challenge`].
    fn interactive_started(&mut self, attempt: &Attempt) -> Verdict {
        let _ = attempt;
        Verdict::Reject
    }

    /// The answers to the last challenge, one for each prompt. They may be followed by another challenge.
    fn answers(&mut self, attempt: &Attempt, answers: &[String]) -> Verdict {
        let _ = (attempt, answers);
        Verdict::Reject
    }

    /// The last challenge will not be answered: the client has turned to another method.
    fn abandoned(&mut self, attempt: &Attempt) {
        let _ = attempt;
    }
}

/// Calls the function for this credential.
pub(crate) fn decide(authenticator: &mut impl Authenticator, attempt: &Attempt, credential: &Credential) -> Verdict {
    match credential {
        Credential::None => authenticator.none(attempt),
        Credential::Password(password) => authenticator.password(attempt, password),
        Credential::NewPassword(change) => authenticator.new_password(attempt, &change.old, &change.new),
        Credential::KeyOffered(key) => authenticator.public_key(attempt, key, false),
        Credential::KeyProven(key) => authenticator.public_key(attempt, key, true),
        Credential::InteractiveStarted => authenticator.interactive_started(attempt),
        Credential::Answers(answers) => authenticator.answers(attempt, answers),
        Credential::Abandoned => {
            authenticator.abandoned(attempt);
            Verdict::Reject
        }
    }
}

impl Grant {
    /// The account `principal` in this tenant, with the tenant's own plugin and without attributes.
    #[must_use]
    pub fn new(principal: impl Into<String>, tenant: impl Into<String>) -> Self {
        Self { principal: principal.into(), tenant: tenant.into(), plugin: None, attributes: Vec::new() }
    }

    /// The same with this plugin instead of the tenant's.
    #[must_use]
    pub fn plugin(self, plugin: impl Into<String>) -> Self {
        Self { plugin: Some(plugin.into()), ..self }
    }

    /// The same with one more attribute: the sessions' plugins see it as the fact `attr.NAME`. At most 16, with a name
    /// of at most 64 letters, digits, `-`, `_` and `.`, and a value of at most 1 KiB.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }
}

impl From<Grant> for Verdict {
    fn from(grant: Grant) -> Self {
        Self::Accept(grant)
    }
}

impl Verdict {
    /// Asks one question, whose answer is not shown while it is typed.
    #[must_use]
    pub fn ask(question: impl Into<String>) -> Self {
        let prompts = vec![Prompt { text: question.into(), echo: false }];
        Self::Challenge(Challenge { name: String::new(), instruction: String::new(), prompts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::authenticator::exports::whelk::ssh::authenticator::PasswordChange;

    /// Refuses everything.
    struct Wall;
    impl Authenticator for Wall {}

    /// Notes what it is asked.
    #[derive(Default)]
    struct Scribe(String);

    impl Authenticator for Scribe {
        fn none(&mut self, attempt: &Attempt) -> Verdict {
            self.0 += &format!("none {};", attempt.number);
            Verdict::Reject
        }
        fn password(&mut self, _: &Attempt, password: &str) -> Verdict {
            self.0 += &format!("password {password};");
            Verdict::Partial(vec![AuthMethod::PublicKey])
        }
        fn new_password(&mut self, _: &Attempt, old: &str, new: &str) -> Verdict {
            self.0 += &format!("{old} becomes {new};");
            Verdict::ChangePassword("It is too short.".to_owned())
        }
        fn public_key(&mut self, attempt: &Attempt, key: &PublicKey, is_proven: bool) -> Verdict {
            self.0 += &format!("key {} {is_proven};", key.fingerprint);
            Grant::new(&attempt.user, "acme").plugin("echo").attribute("a", "b").into()
        }
        fn interactive_started(&mut self, _: &Attempt) -> Verdict {
            self.0 += "started;";
            Verdict::ask("Code: ")
        }
        fn answers(&mut self, _: &Attempt, answers: &[String]) -> Verdict {
            self.0 += &format!("answers {};", answers.join(" "));
            Verdict::Reject
        }
        fn abandoned(&mut self, _: &Attempt) {
            self.0 += "abandoned;";
        }
    }

    fn attempt() -> Attempt {
        let (user, address, client_version) = ("alice".to_owned(), "unknown".to_owned(), "SSH-2.0-test".to_owned());
        Attempt { user, address, client_version, number: 3, satisfied: Vec::new() }
    }

    fn credentials() -> [Credential; 8] {
        let (algorithm, fingerprint) = ("ssh-ed25519".to_owned(), "SHA256:key".to_owned());
        let key = PublicKey { algorithm, blob: vec![1], fingerprint, certificate: None };
        [
            Credential::None,
            Credential::Password("secret".to_owned()),
            Credential::NewPassword(PasswordChange { old: "secret".to_owned(), new: "new".to_owned() }),
            Credential::KeyOffered(key.clone()),
            Credential::KeyProven(key),
            Credential::InteractiveStarted,
            Credential::Answers(vec!["1".to_owned(), "2".to_owned()]),
            Credential::Abandoned,
        ]
    }

    #[test]
    fn everything_is_refused_by_default() {
        for credential in credentials() {
            assert_eq!(decide(&mut Wall, &attempt(), &credential), Verdict::Reject, "{credential:?}");
        }
    }

    #[test]
    fn each_credential_has_its_function() {
        let mut scribe = Scribe::default();
        let verdicts = credentials().map(|credential| decide(&mut scribe, &attempt(), &credential));
        assert_eq!(
            scribe.0,
            "none 3;password secret;secret becomes new;key SHA256:key false;key SHA256:key true;started;answers 1 2;abandoned;"
        );
        let granted = Verdict::Accept(Grant {
            principal: "alice".to_owned(),
            tenant: "acme".to_owned(),
            plugin: Some("echo".to_owned()),
            attributes: vec![("a".to_owned(), "b".to_owned())],
        });
        let [none, password, changed, offered, proven, started, answers, abandoned] = verdicts;
        assert_eq!(changed, Verdict::ChangePassword("It is too short.".to_owned()));
        assert_eq!([none, answers, abandoned], [const { Verdict::Reject }; 3]);
        assert_eq!(password, Verdict::Partial(vec![AuthMethod::PublicKey]));
        assert_eq!([offered, proven], [granted.clone(), granted]);
        match started {
            Verdict::Challenge(challenge) => assert_eq!(challenge.prompts[0].text, "Code: "),
            other => panic!("{other:?}"),
        }
    }
}
