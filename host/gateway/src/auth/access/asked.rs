//! Decides on attempts about which an authenticator is asked.
//!
//! What the host requires comes first: signatures, certificates, revoked keys, the order of `methods`. A rejection
//! then has the steps of that of a name which is nobody's: the same files are read, and a password is hashed.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use whelk_runtime::{
    LoginAnswer, LoginCertificate, LoginChallenge, LoginCredential, LoginGrant, LoginKey, LoginMethod,
};
use whelk_ssh::auth::challenge::Challenge;
use whelk_ssh::auth::method::{AuthMethod, MethodSet};
use whelk_ssh::auth::server::Credential;
use whelk_ssh::crypto::key::{Certificate, option_text};

use super::decision::{Decision, Identity, Judgement, NO_CREDENTIALS, Overload, PASSWORD_PROMPT, PartialLogin};
use super::keys::{GrantedKey, KeyAccess, KeyRefusal};
use super::password::Passwords;
use super::progress::{AuthProgress, Next};
use crate::auth::attempt::AttemptContext;
use crate::auth::authenticators::{ConfiguredAuthenticator, GrantedAccount, NoAnswer, Question};
use crate::auth::proof::{Evidence, KeyProof, Proof, ShownCredential};
use crate::auth::restrictions::Restrictions;

/// Whether a name is taken in a tenant.
pub(super) type IsTaken<'a> = &'a (dyn Fn(&str, &str) -> bool + Sync);

/// An attempt about which an authenticator is asked.
pub(super) struct AskedAttempt<'a> {
    pub(super) keys: &'a KeyAccess,
    pub(super) passwords: &'a Passwords,
    pub(super) authenticator: &'a ConfiguredAuthenticator,
    /// The name that the client asks for.
    pub(super) user: &'a str,
    pub(super) context: &'a AttemptContext,
    pub(super) progress: &'a AuthProgress,
    /// Whether a user of the configuration has this name in this tenant.
    pub(super) is_taken: IsTaken<'a>,
}

impl AskedAttempt<'_> {
    /// Decides on it. Sets `queued` if it had to wait for a slot in which a password is hashed.
    pub(super) async fn judge(&self, credential: Credential<'_>, queued: &AtomicBool) -> Judgement {
        let now = |decision| Judgement { decision, waited: Duration::ZERO };
        if let Some((shown, proven)) = ShownCredential::of(credential) {
            return now(self.key(shown, proven).await);
        }
        match credential {
            Credential::None => now(self.none().await),
            Credential::Interactive => now(self.interactive().await),
            Credential::Password(password) => {
                let shown = str::from_utf8(password).ok().map(|text| LoginCredential::Password(text.to_owned()));
                let decision = self.secret(AuthMethod::Password, shown).await;
                self.or_hash(decision, Some(password), queued).await
            }
            Credential::NewPassword { old, new } => {
                let texts = str::from_utf8(old).ok().zip(str::from_utf8(new).ok());
                let change = |(old, new): (&str, &str)| (old.to_owned(), new.to_owned());
                let shown = texts.map(change).map(|(old, new)| LoginCredential::NewPassword { old, new });
                let decision = self.secret(AuthMethod::Password, shown).await;
                self.or_hash(decision, Some(old), queued).await
            }
            Credential::Answers(answers) => {
                let texts = answers.iter().map(|answer| str::from_utf8(answer).ok().map(str::to_owned));
                let shown = texts.collect::<Option<Vec<_>>>().map(LoginCredential::Answers);
                let decision = self.secret(AuthMethod::KeyboardInteractive, shown).await;
                self.or_hash(decision, answers.first().map(|answer| answer.as_slice()), queued).await
            }
            // Nothing was shown that a user could have.
            _ => now(Decision::Reject),
        }
    }

    /// The key or certificate was checked by the host before the authenticator sees it.
    async fn key(&self, shown: ShownCredential, proven: bool) -> Decision {
        let authorities = self.authenticator.authorities();
        let name = self.user.as_bytes();
        let key = match self.keys.check((name, authorities), shown.clone(), proven, self.context).await {
            Ok(key) => key,
            Err(refusal) => return refusal.into(),
        };
        if !self.expects(AuthMethod::PublicKey) || self.progress.has_used(&key.fingerprint) {
            return Decision::Reject;
        }
        let credential = login_key(&shown, &key.fingerprint);
        if proven {
            let answer = self.ask(AuthMethod::PublicKey.name(), LoginCredential::KeyProven(credential)).await;
            return self.decide(answer, Some(AuthMethod::PublicKey), Some(key));
        }
        match self.ask(AuthMethod::PublicKey.name(), LoginCredential::KeyOffered(credential)).await {
            // It may sign with it. Nobody is anybody yet.
            LoginAnswer::Accept(_) | LoginAnswer::Partial(_) => {
                Decision::Accept(self.unfinished(AuthMethod::PublicKey.name(), Some(key)))
            }
            LoginAnswer::Challenge(_) | LoginAnswer::ChangePassword(_) | LoginAnswer::Reject => Decision::Reject,
        }
    }

    /// No credentials are enough where no method is required, and the authenticator says so.
    async fn none(&self) -> Decision {
        if !self.authenticator.methods().lists().is_empty() || self.progress.done().next().is_some() {
            return Decision::Reject;
        }
        let answer = self.ask(NO_CREDENTIALS, LoginCredential::None).await;
        self.decide(answer, None, None)
    }

    /// Whoever the authenticator has no question for is asked what everybody is asked, and refused afterwards.
    async fn interactive(&self) -> Decision {
        let method = AuthMethod::KeyboardInteractive;
        let decision = self.secret(method, Some(LoginCredential::InteractiveStarted)).await;
        match decision {
            Decision::Reject => Decision::Challenge(Challenge::secret(PASSWORD_PROMPT)),
            other => other,
        }
    }

    /// A password or answers, unless they are no text, or the method is out of its turn.
    async fn secret(&self, method: AuthMethod, shown: Option<LoginCredential>) -> Decision {
        let Some(shown) = shown.filter(|_| self.expects(method)) else { return Decision::Reject };
        let answers = matches!(shown, LoginCredential::Answers(_));
        let answer = match self.answer(method.name(), shown).await {
            // The question was lost with its instance, which is not the fault of who has typed: another one asks again.
            Err(NoAnswer::BeginAnew) if answers => self.ask(method.name(), LoginCredential::InteractiveStarted).await,
            answer => answer.unwrap_or(LoginAnswer::Reject),
        };
        self.decide(answer, Some(method), None)
    }

    /// Hashes what was refused, as for a name that is nobody's.
    async fn or_hash(&self, decision: Decision, secret: Option<&[u8]>, queued: &AtomicBool) -> Judgement {
        let (Decision::Reject, Some(secret)) = (&decision, secret) else {
            return Judgement { decision, waited: Duration::ZERO };
        };
        let name = self.user.as_bytes();
        let (checked, waited) = self.passwords.check((name, secret), None, self.context, queued).await;
        let decision = checked.map_or_else(Decision::Undecided, |_| Decision::Reject);
        Judgement { decision, waited }
    }

    fn expects(&self, method: AuthMethod) -> bool {
        self.progress.offers(self.authenticator.methods(), method)
    }

    /// Asks the authenticator. Whatever goes wrong is a rejection.
    async fn ask(&self, method: &'static str, credential: LoginCredential) -> LoginAnswer {
        self.answer(method, credential).await.unwrap_or(LoginAnswer::Reject)
    }

    /// Asks the authenticator.
    ///
    /// # Errors
    /// There is no answer.
    async fn answer(&self, method: &'static str, credential: LoginCredential) -> Result<LoginAnswer, NoAnswer> {
        let AttemptContext { connection, peer, number, client_version, exchange, .. } = self.context;
        let question = Question {
            connection: *connection,
            peer: *peer,
            user: self.user,
            client_version,
            number: *number,
            satisfied: self.progress.done().map(login_method).collect(),
            method,
            credential,
        };
        exchange.ask(self.authenticator, &question).await
    }

    /// The decision that follows from an answer. `method`: none for a client that has shown nothing.
    fn decide(&self, answer: LoginAnswer, method: Option<AuthMethod>, key: Option<GrantedKey>) -> Decision {
        let required = |method| self.progress.after(self.authenticator.methods(), method);
        match (answer, method.map(|method| (method, required(method)))) {
            (LoginAnswer::Challenge(challenge), _) => challenge_of(&challenge),
            (LoginAnswer::ChangePassword(text), _) => Decision::ChangePassword(text),
            (LoginAnswer::Accept(grant), None) => self.accept(grant, NO_CREDENTIALS, key),
            (LoginAnswer::Accept(grant), Some((method, Next::Nothing))) => self.accept(grant, method.name(), key),
            (LoginAnswer::Accept(_), Some((method, Next::Methods(next)))) => self.partial(method, next, key),
            (LoginAnswer::Partial(own), Some((method, next))) => {
                let own: MethodSet = own.into_iter().filter_map(auth_method).collect();
                self.partial(method, both(next, own), key)
            }
            (LoginAnswer::Partial(_), None) | (LoginAnswer::Reject, _) => Decision::Reject,
        }
    }

    fn accept(&self, grant: LoginGrant, method: &'static str, key: Option<GrantedKey>) -> Decision {
        let whose = (self.context.connection, self.user);
        let Some(account) = self.authenticator.account(whose, grant, self.is_taken) else {
            return Decision::Reject;
        };
        let GrantedAccount { principal, tenant, plugin, attributes } = account;
        let attributes = attributes.into();
        self.joined(
            Identity { principal, tenant, plugin, attributes, ..self.unfinished(method, key) },
            Decision::Accept,
        )
    }

    fn partial(&self, method: AuthMethod, next: MethodSet, key: Option<GrantedKey>) -> Decision {
        let then = |identity| Decision::Partial(PartialLogin { method, identity, next });
        self.joined(self.unfinished(method.name(), key), then)
    }

    /// What follows for this identity and all that was proven before.
    fn joined(&self, identity: Identity, then: impl FnOnce(Identity) -> Decision) -> Decision {
        self.progress.join(identity).map_or_else(Decision::other_command, then)
    }

    /// Somebody who has no account yet.
    fn unfinished(&self, method: &'static str, key: Option<GrantedKey>) -> Identity {
        let (fingerprint, restrictions, certificate, proofs) = match key {
            Some(GrantedKey { fingerprint, restrictions, certificate, shown, files }) => {
                let proof = Proof::Key(KeyProof { shown, files });
                (Some(fingerprint), restrictions, certificate, vec![proof])
            }
            None => (None, Restrictions::default(), None, Vec::new()),
        };
        let authenticator = Some(self.authenticator.name().into());
        Identity {
            user: self.user.to_owned(),
            principal: self.user.to_owned(),
            tenant: String::new(),
            plugin: String::new(),
            method,
            fingerprint,
            restrictions: Arc::new(restrictions),
            certificate,
            attributes: Arc::default(),
            evidence: Arc::new(Evidence { authenticator, proofs }),
        }
    }
}

/// What may follow when the host and the authenticator have both said what must. The host's part comes first.
fn both(host: Next, own: MethodSet) -> MethodSet {
    match host {
        Next::Nothing => own,
        Next::Methods(next) if next.and(own).is_empty() => next,
        Next::Methods(next) => next.and(own),
    }
}

fn challenge_of(challenge: &LoginChallenge) -> Decision {
    let LoginChallenge { name, instruction, prompts } = challenge;
    let prompts = prompts.iter().map(|(text, echo)| (text.as_str(), *echo));
    // The plugin host allows no more prompts than the protocol.
    Challenge::new(name, instruction, prompts).map_or(Decision::Reject, Decision::Challenge)
}

fn login_method(method: AuthMethod) -> LoginMethod {
    match method {
        AuthMethod::PublicKey => LoginMethod::PublicKey,
        AuthMethod::Password => LoginMethod::Password,
        AuthMethod::KeyboardInteractive => LoginMethod::KeyboardInteractive,
    }
}

fn auth_method(method: LoginMethod) -> Option<AuthMethod> {
    match method {
        LoginMethod::None => None,
        LoginMethod::Password => Some(AuthMethod::Password),
        LoginMethod::PublicKey => Some(AuthMethod::PublicKey),
        LoginMethod::KeyboardInteractive => Some(AuthMethod::KeyboardInteractive),
    }
}

fn login_key(shown: &ShownCredential, fingerprint: &str) -> LoginKey {
    let (key, certificate) = match shown {
        ShownCredential::Key(key) => (key, None),
        ShownCredential::Certificate(certificate) => (certificate.key(), Some(login_certificate(certificate))),
    };
    let (algorithm, blob) = (key.algorithm().to_owned(), key.blob().to_vec());
    LoginKey { algorithm, blob, fingerprint: fingerprint.to_owned(), certificate }
}

/// Names that are no text are left out: no authenticator can know them.
fn login_certificate(certificate: &Certificate) -> LoginCertificate {
    let text = |bytes: &[u8]| str::from_utf8(bytes).ok().map(str::to_owned);
    let extension = |(name, value): (&[u8], &[u8])| {
        // The contents of most are one string, and of those that only permit something they are empty.
        Some((text(name)?, text(option_text(value).unwrap_or(value))?))
    };
    LoginCertificate {
        key_id: String::from_utf8_lossy(certificate.key_id()).into_owned(),
        serial: certificate.serial(),
        principals: certificate.principals().filter_map(text).collect(),
        extensions: certificate.extensions().filter_map(extension).collect(),
        authority_fingerprint: certificate.authority().fingerprint(),
    }
}

impl From<KeyRefusal> for Decision {
    fn from(refusal: KeyRefusal) -> Decision {
        match refusal {
            KeyRefusal::Unknown => Decision::Reject,
            KeyRefusal::NotNow(reason) => Decision::RejectKey(reason),
            KeyRefusal::Slow => Decision::Undecided(Overload::SlowFile),
            KeyRefusal::Panic => Decision::Undecided(Overload::Panic),
        }
    }
}
