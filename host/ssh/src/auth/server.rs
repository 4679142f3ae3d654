//! RFC 4252, server role: takes requests, asks the application, owes each request one answer.
//!
//! This machine decides whatever has only one right answer: formats, limits, services, signatures. Whether a credential
//! is good enough for a user is a question for the application; while it is open, nothing more is read. Nothing here
//! depends on whether a user exists. There is no clock: the application applies delays and deadlines and answers when
//! it likes.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::refused::RefusedAttempts;
use super::{AuthStage, CONNECTION, Machine, Step, USERAUTH, decode, decode_service, number_of, signed_data};
use crate::crypto::key::{KeyError, Presence, PublicKey};
use crate::error::{Error, Violation};
use crate::message::Output;
use crate::message::auth::number::USERAUTH_REQUEST;
use crate::message::auth::{AuthMessage, Method};
use crate::message::transport::TransportMessage;
use crate::message::transport::number::SERVICE_REQUEST;
use crate::wire::NameList;

/// Longest user name in bytes. Our limit.
const USER: usize = 255;
/// Longest password in bytes, as in OpenSSH: the cost of hashing grows with the length (CVE-2016-6515).
const PASSWORD: usize = 1024;

/// The reason for a key that the application refused.
const NOT_AUTHORIZED: &str = "it is not a key of this user";
/// The reason for a key that we cannot verify.
const NOT_SUPPORTED: &str = "its type, size or signature is not supported: use ssh-ed25519, ECDSA or RSA with SHA-2";

/// What the operator configures about authentication. Shared by all connections.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The methods offered. Attempts by other methods are refused without a question; `none` is always passed to the
    /// application.
    pub methods: Methods,
    /// Text that clients show before login.
    pub banner: Option<Banner>,
    /// The number of the failure that ends the connection: 6 allows five answers of FAILURE. The first `none` does not
    /// count. RFC 4252 §4.
    pub max_failures: u32,
    /// The most requests that are answered, whatever the answer: it bounds queries and partial successes too.
    pub max_requests: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            methods: Methods { publickey: true, password: true },
            banner: None,
            max_failures: 6,
            max_requests: 64,
        }
    }
}

/// A set of methods. `none` is never a member: RFC 4252 §5.2 forbids listing it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Methods {
    /// RFC 4252 §7.
    pub publickey: bool,
    /// RFC 4252 §8.
    pub password: bool,
}

impl Methods {
    /// The list as FAILURE has it, RFC 4252 §5.1.
    fn list(self) -> NameList<'static> {
        NameList::new(match (self.publickey, self.password) {
            (true, true) => "publickey,password",
            (true, false) => "publickey",
            (false, true) => "password",
            (false, false) => "",
        })
    }
}

/// Text that clients show before login: at most 8 KiB, without characters that control a terminal. RFC 4252 §5.4.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Banner(String);

impl Banner {
    /// Longest banner in bytes. Our limit.
    const BYTES: usize = 8192;

    /// Takes `text` without its control characters except tabs and line ends, which become CR LF as the RFC requires.
    /// Longer text is cut.
    pub fn new(text: &str) -> Banner {
        let mut kept = String::with_capacity(text.len().min(Self::BYTES));
        for character in text.chars().filter(|character| matches!(character, '\n' | '\t') || !character.is_control()) {
            let returns = usize::from(character == '\n');
            if kept.len() + returns + character.len_utf8() > Self::BYTES {
                break;
            }
            if character == '\n' {
                kept.push('\r');
            }
            kept.push(character);
        }
        Banner(kept)
    }

    /// The text as sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A question to the application: does this credential authenticate this user?
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The user name: any bytes, at most 255, possibly empty. Look it up exactly; never use it as a path or show it
    /// unescaped.
    pub user: &'a [u8],
    /// What the user presented.
    pub credential: Credential<'a>,
}

/// What a user presented.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// Nothing: the method `none`. RFC 4252 §5.2.
    None,
    /// A password: at most 1024 bytes, any. RFC 4252 §8.
    Password(&'a [u8]),
    /// A query whether this key would be accepted. It proves nothing: anybody may offer anybody's public key. RFC 4252
    /// §7.
    KeyOffered(&'a PublicKey),
    /// The client holds this key: its signature was verified. RFC 4252 §7.
    KeyProven(&'a PublicKey),
    /// Something that no user can have as a credential, so it is not examined: a key of a type that we cannot verify, a
    /// password of more than 1024 bytes, or a password change. Only a user who needs no credentials is accepted with
    /// it. Acceptance authenticates the client at once, as for `None`.
    Unusable,
}

/// Names the kind alone: passwords are never printed.
impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credential::None => "None",
            Credential::Password(_) => "Password",
            Credential::KeyOffered(_) => "KeyOffered",
            Credential::KeyProven(_) => "KeyProven",
            Credential::Unusable => "Unusable",
        })
    }
}

/// The application's answer to an [`Attempt`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Accept. For a key that was only offered: sign with it.
    Accept,
    /// Reject, for whatever reason. The client does not learn it.
    Reject,
    /// Partial success: right, but one of these methods must follow. For a key that was only offered: sign with it. RFC
    /// 4252 §5.1.
    Partial(Methods),
}

/// The server's machine.
pub struct ServerAuth {
    /// The operator's settings.
    settings: Arc<Settings>,
    /// The state of the exchange.
    state: State,
    /// The user name of the first request. Later requests must repeat it: what one user has proven must not count for
    /// another.
    user: Option<Vec<u8>>,
    /// The methods that can continue. Partial success narrows them.
    methods: Methods,
    /// Requests so far, whatever their outcome.
    requests: u32,
    /// Requests that were refused.
    failures: u32,
    /// What was refused, for the log.
    refused: RefusedAttempts,
    /// `none` was tried before. Clients use the first to learn the methods; further ones count as attempts.
    none_seen: bool,
    /// The banner was not written yet.
    banner_owed: bool,
    /// The application judges signatures of security keys that nobody has touched.
    judges_touch: bool,
}

/// ```text
///                 5                     50, fit to ask            decide
/// ExpectService ----> Owing ----> Idle ---------------> Deciding --------> Owing ----> Idle
///                           put    |                                        ^  |  put
///                                  |  50, unfit: FAILURE                    |  '-----> Done
///                                  |  5 again                               |  SUCCESS
///                                  '----------------------------------------'
///      any error from anywhere: Ended
/// ```
enum State {
    /// Nothing has come yet.
    ExpectService,
    /// The client must send a request.
    Idle,
    /// The application must decide.
    Deciding {
        /// The attempt to decide on.
        question: Question,
        /// A failure does not count.
        free: bool,
    },
    /// An answer waits for room in the output.
    Owing(Reply),
    /// Authenticated.
    Done,
    /// The connection is over.
    Ended,
}

/// An [`Attempt`] as it is kept until the decision.
enum Question {
    None,
    Password(Zeroizing<Vec<u8>>),
    /// With the signature algorithm that the client will use.
    KeyOffered(PublicKey, Vec<u8>),
    /// With what a security key says of its user.
    KeyProven(PublicKey, Option<Presence>),
    UnusablePassword,
    /// The algorithm as the client named it, and the key blob: for the log.
    UnusableKey {
        algorithm: Vec<u8>,
        blob: Vec<u8>,
    },
}

/// An answer that is owed.
enum Reply {
    ServiceAccept,
    Failure {
        partial: bool,
    },
    /// The key and the signature algorithm of the query.
    PkOk(PublicKey, Vec<u8>),
    Success,
}

impl ServerAuth {
    /// A machine for one connection.
    pub fn new(settings: Arc<Settings>) -> ServerAuth {
        let methods = settings.methods;
        ServerAuth {
            settings,
            state: State::ExpectService,
            user: None,
            methods,
            requests: 0,
            failures: 0,
            refused: RefusedAttempts::default(),
            none_seen: false,
            banner_owed: false,
            judges_touch: false,
        }
    }

    /// The open question, if any.
    pub fn attempt(&self) -> Option<Attempt<'_>> {
        let State::Deciding { question, .. } = &self.state else { return None };
        let credential = match question {
            Question::None => Credential::None,
            Question::Password(password) => Credential::Password(password),
            Question::KeyOffered(key, _) => Credential::KeyOffered(key),
            Question::KeyProven(key, _) => Credential::KeyProven(key),
            Question::UnusablePassword | Question::UnusableKey { .. } => Credential::Unusable,
        };
        Some(Attempt { user: self.user.as_deref()?, credential })
    }

    /// What the security key of the open question says of its user. `None` for every other credential.
    ///
    /// After [`Server::judge_touch`] the application must look at it: unless the user's entry for the key says that no
    /// touch is required, a key that was not touched must be rejected.
    pub fn presence(&self) -> Option<Presence> {
        match &self.state {
            State::Deciding { question: Question::KeyProven(_, presence), .. } => *presence,
            _ => None,
        }
    }

    /// From now on a signature of a security key that nobody has touched is passed to the application, which must judge
    /// [`Server::presence`]. Otherwise it is refused without a question.
    pub fn judge_touch(&mut self) {
        self.judges_touch = true;
    }

    /// Answers the open question; ignored without one. A caller that answers for somebody else (at a deadline) must
    /// drop the late answer, so that it does not answer the next question.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] when this was the last failure allowed.
    pub fn decide(&mut self, verdict: Verdict) -> Result<(), Error> {
        let (question, free) = match std::mem::replace(&mut self.state, State::Ended) {
            State::Deciding { question, free } => (question, free),
            other @ (State::ExpectService | State::Idle | State::Owing(_) | State::Done | State::Ended) => {
                self.state = other;
                return Ok(());
            }
        };
        let reply = match (verdict, question) {
            (Verdict::Reject, question) => {
                match question {
                    Question::None => self.refused.none(),
                    Question::Password(_) | Question::UnusablePassword => self.refused.password(),
                    Question::KeyOffered(key, _) | Question::KeyProven(key, _) => {
                        self.refused.key(key.algorithm().as_bytes(), key.blob(), NOT_AUTHORIZED);
                    }
                    Question::UnusableKey { algorithm, blob } => self.refused.key(&algorithm, &blob, NOT_SUPPORTED),
                }
                return self.fail(free);
            }
            (Verdict::Accept | Verdict::Partial(_), Question::KeyOffered(key, algorithm)) => {
                Reply::PkOk(key, algorithm)
            }
            (Verdict::Accept, _) => Reply::Success,
            (Verdict::Partial(methods), _) => {
                self.methods = methods;
                Reply::Failure { partial: true }
            }
        };
        self.state = State::Owing(reply);
        Ok(())
    }

    /// The attempts refused so far.
    pub fn refused(&self) -> &RefusedAttempts {
        &self.refused
    }

    /// Takes the refused attempts, so that their memory is free after authentication.
    pub fn take_refused(&mut self) -> RefusedAttempts {
        std::mem::take(&mut self.refused)
    }

    /// The user name of the first request: any bytes.
    pub fn asking(&self) -> Option<&[u8]> {
        self.user.as_deref()
    }

    /// The authenticated user. `None` before authentication.
    pub fn user(&self) -> Option<&[u8]> {
        match self.state {
            State::Done | State::Owing(Reply::Success) => self.user.as_deref(),
            State::Owing(Reply::ServiceAccept | Reply::Failure { .. } | Reply::PkOk(..))
            | State::ExpectService
            | State::Idle
            | State::Deciding { .. }
            | State::Ended => None,
        }
    }

    /// Dispatches by state and message number.
    fn dispatch(&mut self, payload: &[u8], session_id: &[u8]) -> Result<Step<'static>, Error> {
        let number = number_of(payload)?;
        let unexpected = Err(Violation::Unexpected { number }.into());
        match &self.state {
            State::ExpectService => match number {
                SERVICE_REQUEST => self.service(payload),
                _ => unexpected,
            },
            State::Idle => match number {
                SERVICE_REQUEST => self.service(payload),
                USERAUTH_REQUEST => self.request(payload, session_id),
                _ => unexpected,
            },
            // RFC 4252 §5.1: requests after success are ignored silently.
            State::Done => match number {
                USERAUTH_REQUEST => Ok(Step::Nothing),
                _ => unexpected,
            },
            State::Deciding { .. } | State::Owing(_) | State::Ended => unexpected,
        }
    }

    /// RFC 4253 §10: handles the request for the service. paramiko repeats it before each attempt.
    fn service(&mut self, payload: &[u8]) -> Result<Step<'static>, Error> {
        self.count_request()?;
        let TransportMessage::ServiceRequest { service: USERAUTH } = decode_service(payload)? else {
            return Err(Violation::Service.into());
        };
        self.state = State::Owing(Reply::ServiceAccept);
        Ok(Step::Nothing)
    }

    /// RFC 4252 §5: handles one attempt.
    fn request(&mut self, payload: &[u8], session_id: &[u8]) -> Result<Step<'static>, Error> {
        self.count_request()?;
        let AuthMessage::UserauthRequest { user, service, method, body } = decode(payload)? else {
            return Err(Violation::Unexpected { number: 50 }.into());
        };
        let method = Method::decode(method, body.0).map_err(|what| Violation::Malformed { number: 50, what })?;
        if service != CONNECTION {
            return Err(Violation::Service.into());
        }
        self.remember(user)?;
        let free = method == Method::None && !std::mem::replace(&mut self.none_seen, true);
        match self.examine(user, &method, session_id) {
            Ok(question) => {
                self.state = State::Deciding { question, free };
                Ok(Step::Attempt)
            }
            Err(reason) => {
                self.refused.add(&method, reason);
                self.fail(free).map(|()| Step::Nothing)
            }
        }
    }

    /// Every request counts: a client that queries for ever costs as much as one that fails for ever.
    fn count_request(&mut self) -> Result<(), Error> {
        self.requests = self.requests.saturating_add(1);
        if self.requests > self.settings.max_requests { Err(Error::TooManyAttempts) } else { Ok(()) }
    }

    /// Fixes the user name at the first request, which is also when the banner is due.
    fn remember(&mut self, user: &[u8]) -> Result<(), Violation> {
        // One byte more than the limit is enough to know that the name is too long.
        let user = user.get(..=USER).unwrap_or(user);
        match &self.user {
            Some(known) if known == user => Ok(()),
            Some(_) => Err(Violation::UserChanged),
            None => {
                self.user = Some(user.to_vec());
                self.banner_owed = self.settings.banner.is_some();
                Ok(())
            }
        }
    }

    /// What to ask about a request, or why it can only fail. No answer here depends on the user.
    fn examine(&self, user: &[u8], method: &Method<'_>, session_id: &[u8]) -> Result<Question, &'static str> {
        if user.len() > USER {
            return Err("the user name is too long");
        }
        match *method {
            Method::None => Ok(Question::None),
            Method::Password { password, new } => {
                if !self.methods.password {
                    return Err("no user has a password");
                }
                let usable = new.is_none() && password.len() <= PASSWORD;
                Ok(if usable {
                    Question::Password(Zeroizing::new(password.to_vec()))
                } else {
                    Question::UnusablePassword
                })
            }
            Method::PublicKey { algorithm, key: blob, signature } => {
                if !self.methods.publickey {
                    return Err("no user has a key");
                }
                // The blob must be the canonical encoding of the key: PK_OK repeats it, and it is the form that audit
                // logs search for.
                let makes = |key: &PublicKey| key.signatures().iter().any(|name| name.as_bytes() == algorithm);
                let unusable = || Question::UnusableKey { algorithm: algorithm.to_vec(), blob: blob.to_vec() };
                let fit = |key: &PublicKey| makes(key) && key.blob() == blob;
                let key = match PublicKey::from_blob(blob) {
                    Ok(key) if fit(&key) => key,
                    // Well formed, but nobody's credential: with SHA-1, or too short or too long.
                    Ok(key) if !makes(&key) && key.algorithm().as_bytes() == algorithm => return Ok(unusable()),
                    Err(KeyError::RsaSize(_)) => return Ok(unusable()),
                    // Malformed, not the canonical form of its key, or the key of another signature.
                    Ok(_) => return Err(NOT_SUPPORTED),
                    Err(_) if PublicKey::verifies(algorithm) => return Err(NOT_SUPPORTED),
                    Err(_) => return Ok(unusable()),
                };
                let Some(signature) = signature else {
                    return Ok(Question::KeyOffered(key, algorithm.to_vec()));
                };
                let data = signed_data(session_id, user, algorithm, blob);
                let presence = key.verify_presence(algorithm, &data, signature);
                match presence.map_err(|_| "its signature is wrong")? {
                    Some(Presence { touched: false, .. }) if !self.judges_touch => {
                        Err("the security key was not touched")
                    }
                    presence => Ok(Question::KeyProven(key, presence)),
                }
            }
            Method::Unknown => Err("the method is unknown"),
        }
    }

    /// Owes a FAILURE, or ends the connection at the last one allowed.
    fn fail(&mut self, free: bool) -> Result<(), Error> {
        if !free {
            self.failures = self.failures.saturating_add(1);
            if self.failures >= self.settings.max_failures {
                return Err(Error::TooManyAttempts);
            }
        }
        self.state = State::Owing(Reply::Failure { partial: false });
        Ok(())
    }
}

impl Machine for ServerAuth {
    fn handle<'p>(&mut self, payload: &'p [u8], session_id: &[u8]) -> Result<Step<'p>, Error> {
        self.dispatch(payload, session_id).inspect_err(|_| self.state = State::Ended)
    }

    fn write_owed(&mut self, out: &mut impl Output) {
        if self.banner_owed && out.room() > 0 {
            self.banner_owed = false;
            if let Some(banner) = &self.settings.banner {
                out.put(&AuthMessage::UserauthBanner { text: banner.as_str().as_bytes(), language: b"" });
            }
        }
        // The banner comes before the answer, so without room for the banner nothing is written.
        if out.room() == 0 {
            return;
        }
        let State::Owing(reply) = &self.state else { return };
        match reply {
            Reply::ServiceAccept => out.put(&TransportMessage::ServiceAccept { service: USERAUTH }),
            Reply::Failure { partial } => {
                out.put(&AuthMessage::UserauthFailure { methods: self.methods.list(), partial_success: *partial });
            }
            Reply::PkOk(key, algorithm) => {
                out.put(&AuthMessage::UserauthPkOk { algorithm, key: key.blob() });
            }
            Reply::Success => out.put(&AuthMessage::UserauthSuccess {}),
        }
        self.state = if matches!(reply, Reply::Success) { State::Done } else { State::Idle };
    }

    fn owes(&self) -> bool {
        self.banner_owed || matches!(self.state, State::Owing(_))
    }

    fn stage(&self) -> AuthStage {
        match self.state {
            State::ExpectService => AuthStage::Service,
            State::Idle | State::Deciding { .. } | State::Owing(_) | State::Ended => AuthStage::Auth,
            State::Done => AuthStage::Open,
        }
    }

    fn has_open_question(&self) -> bool {
        matches!(self.state, State::Deciding { .. } | State::Owing(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_banner_keeps_text_and_line_ends_only() {
        let banner = Banner::new("one\x1b[31m\r\ntwo\tü\x07\u{9b}2J\0\u{7f}");
        assert_eq!(banner.as_str(), "one[31m\r\ntwo\tü2J");
    }

    #[test]
    fn a_password_is_never_printed() {
        let attempt = Attempt { user: b"alice", credential: Credential::Password(b"hunter2") };
        assert!(!format!("{attempt:?}").contains("hunter2"));
        assert!(!format!("{:?}", attempt.credential).contains("104"));
    }

    #[test]
    fn a_banner_has_at_most_8_kib_and_is_cut_between_characters() {
        let banner = Banner::new(&format!("a{}", "ü".repeat(10_000)));
        assert_eq!(banner.as_str().len(), 8191);
        assert!(Banner::new(&"\n".repeat(10_000)).as_str().len() <= 8192);
    }
}
