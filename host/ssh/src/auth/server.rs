//! RFC 4252, server role: takes requests, asks the application, owes each request one answer.
//!
//! This machine decides whatever has only one right answer: formats, limits, services, signatures. Whether a credential
//! is good enough for a user is a question for the application; while it is open, nothing more is read. Nothing here
//! depends on whether a user exists. There is no clock: the application applies delays and deadlines and answers when
//! it likes.

mod attempt;
mod examine;
mod settings;

use std::sync::Arc;

use super::challenge::{Challenge, UserAnswers};
use super::method::MethodSet;
use super::presented::Presented;
use super::refused::RefusedAttempts;
use super::text::{Lines, printable};
use super::{AuthStage, CONNECTION, Machine, Step, USERAUTH, decode, decode_service, number_of, violation};
use crate::crypto::key::Presence;
use crate::error::{Error, Violation};
use crate::message::Output;
use crate::message::auth::number::USERAUTH_REQUEST;
use crate::message::auth::{AuthMessage, Method};
use crate::message::interactive::InteractiveMessage;
use crate::message::interactive::number::USERAUTH_INFO_RESPONSE;
use crate::message::password::PasswordMessage;
use crate::message::transport::TransportMessage;
use crate::message::transport::number::SERVICE_REQUEST;
use crate::wire::NameList;
use attempt::Question;
use examine::{NOT_SUPPORTED, Rules, USER};

pub use super::text::Banner;
pub use attempt::{Attempt, Credential, Verdict};
pub use settings::Settings;

/// The reason for a key that the application refused.
const NOT_AUTHORIZED: &str = "it is not a key of this user";
/// The reason for a certificate that the application refused.
const NOT_TRUSTED: &str = "its authority is not trusted for this user";
/// Longest text of a request to change the password, in bytes. Our limit.
const CHANGE_PROMPT: usize = 512;

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
    methods: MethodSet,
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
    /// The server's host key in the first key exchange, as a blob: what `publickey-hostbound-v00@openssh.com` names.
    host_key: Option<Box<[u8]>>,
    /// The client has left a challenge unanswered, and the application does not know it yet.
    abandoned: bool,
}

/// ```text
///                 5                     50, fit to ask            decide
/// ExpectService ----> Owing ----> Idle ---------------> Deciding --------> Owing ----> Idle
///                           put    |                       ^                ^  |  put
///                                  |  50, unfit: FAILURE   |                |  |-----> Done
///                                  |  5 again              |                |  |  SUCCESS
///                                  '-----------------------|----------------'  '-----> Asking
///                                                          |           INFO_REQUEST      |
///                                                          '-----------------------------'
///                                                                       61; 50 and 5 as in Idle
///      any error from anywhere: Ended
/// ```
enum State {
    /// Nothing has come yet.
    ExpectService,
    /// The client must send a request.
    Idle,
    /// The client must answer a challenge with this many prompts, or make another request.
    Asking { prompts: usize },
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

/// An answer that is owed.
enum Reply {
    ServiceAccept,
    Failure {
        partial: bool,
    },
    /// The key or certificate, and the algorithm of the query.
    PkOk(Presented, Vec<u8>),
    InfoRequest(Challenge),
    /// With the text for the user.
    ChangePassword(String),
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
            host_key: None,
            abandoned: false,
        }
    }

    /// Sets the server's host key in the first key exchange, as a blob: the one that users' keys may be bound to.
    pub fn set_host_key(&mut self, blob: &[u8]) {
        self.host_key = Some(blob.into());
    }

    /// The open question, if any.
    pub fn attempt(&self) -> Option<Attempt<'_>> {
        let State::Deciding { question, .. } = &self.state else { return None };
        Some(Attempt { user: self.user.as_deref()?, credential: question.credential() })
    }

    /// What the security key of the open question says about its user. `None` for every other credential.
    ///
    /// After [`ServerAuth::judge_touch`] the application must check it: it must reject a key that was not touched,
    /// unless the user's entry for the key says that no touch is required.
    pub fn presence(&self) -> Option<Presence> {
        match &self.state {
            State::Deciding { question: Question::KeyProven(_, presence), .. } => *presence,
            _ => None,
        }
    }

    /// From now on a signature of a security key that nobody has touched is passed to the application, which must judge
    /// [`ServerAuth::presence`]. Otherwise it is refused without a question.
    pub fn judge_touch(&mut self) {
        self.judges_touch = true;
    }

    /// Whether the client has made another request instead of answering a challenge, since the last call. Ask with each
    /// attempt, and end what belongs to that exchange. RFC 4256 §3.1.
    pub fn take_abandoned(&mut self) -> bool {
        std::mem::take(&mut self.abandoned)
    }

    /// Answers the open question; ignored without one. A caller that answers for somebody else (at a deadline) must
    /// drop the late answer, so that it does not answer the next question.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] when this was the last failure allowed.
    pub fn decide(&mut self, verdict: Verdict) -> Result<(), Error> {
        let (question, free) = match std::mem::replace(&mut self.state, State::Ended) {
            State::Deciding { question, free } => (question, free),
            other @ (State::ExpectService
            | State::Idle
            | State::Asking { .. }
            | State::Owing(_)
            | State::Done
            | State::Ended) => {
                self.state = other;
                return Ok(());
            }
        };
        let reply = match (verdict, question) {
            (Verdict::Accept | Verdict::Partial(_), Question::KeyOffered(presented, algorithm)) => {
                Reply::PkOk(presented, algorithm)
            }
            (Verdict::Accept, _) => Reply::Success,
            (Verdict::Partial(methods), _) => {
                self.methods = methods;
                Reply::Failure { partial: true }
            }
            (Verdict::Challenge(challenge), Question::Interactive | Question::Answers(_)) => {
                Reply::InfoRequest(challenge)
            }
            (Verdict::ChangePassword(prompt), Question::Password(_) | Question::NewPassword { .. }) => {
                Reply::ChangePassword(printable(&prompt, Lines::One, CHANGE_PROMPT))
            }
            (Verdict::Reject | Verdict::Challenge(_) | Verdict::ChangePassword(_), question) => {
                self.note_refused(question);
                return self.fail(free);
            }
        };
        self.state = State::Owing(reply);
        Ok(())
    }

    /// Notes a credential that the application has rejected.
    fn note_refused(&mut self, question: Question) {
        match question {
            Question::None => self.refused.none(),
            Question::Password(_) | Question::NewPassword { .. } | Question::UnusablePassword => {
                self.refused.password();
            }
            Question::Interactive | Question::Answers(_) | Question::UnusableAnswers => self.refused.interactive(),
            Question::KeyOffered(shown, _) | Question::KeyProven(shown, _) => {
                let reason = match &shown {
                    Presented::Key(_) => NOT_AUTHORIZED,
                    Presented::Certificate(_) => NOT_TRUSTED,
                };
                self.refused.presented(&shown, reason.into(), false);
            }
            Question::UnusableKey { algorithm, blob } => self.refused.key(&algorithm, &blob, NOT_SUPPORTED.into()),
        }
    }

    /// Refuses a key that the user has. The reason is only logged: the client gets the same answer as for any
    /// rejection. If the open question is not about a key, this is [`Verdict::Reject`].
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] when this was the last failure allowed.
    pub fn refuse_key(&mut self, reason: String) -> Result<(), Error> {
        match &self.state {
            State::Deciding { question: Question::KeyOffered(shown, _) | Question::KeyProven(shown, _), free } => {
                self.refused.presented(shown, reason.into(), true);
                let free = *free;
                self.fail(free).inspect_err(|_| self.state = State::Ended)
            }
            _ => self.decide(Verdict::Reject),
        }
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
            State::Owing(
                Reply::ServiceAccept
                | Reply::Failure { .. }
                | Reply::PkOk(..)
                | Reply::InfoRequest(_)
                | Reply::ChangePassword(_),
            )
            | State::ExpectService
            | State::Idle
            | State::Asking { .. }
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
            // RFC 4256 §3.1: a new request abandons the open prompts.
            State::Asking { prompts } => match number {
                USERAUTH_INFO_RESPONSE => self.info_response(payload, *prompts),
                SERVICE_REQUEST => self.abandon().service(payload),
                USERAUTH_REQUEST => self.abandon().request(payload, session_id),
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

    fn abandon(&mut self) -> &mut ServerAuth {
        self.abandoned = true;
        self
    }

    /// RFC 4256 §3.4: handles the answers to a challenge with this many prompts.
    fn info_response(&mut self, payload: &[u8], prompts: usize) -> Result<Step<'static>, Error> {
        self.count_request()?;
        let number = USERAUTH_INFO_RESPONSE;
        let message = InteractiveMessage::decode(payload).map_err(|what| violation(number, what))?;
        let InteractiveMessage::InfoResponse { count, answers } = message else {
            return Err(Violation::Unexpected { number }.into());
        };
        if usize::try_from(count) != Ok(prompts) {
            return Err(Violation::AnswerCount.into());
        }
        let answers = UserAnswers::read(answers.0, prompts).map_err(|what| Violation::Malformed { number, what })?;
        let question = answers.map_or(Question::UnusableAnswers, Question::Answers);
        self.state = State::Deciding { question, free: false };
        Ok(Step::Attempt)
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
        let (methods, judges_touch) = (self.methods, self.judges_touch);
        let rules = Rules { methods, judges_touch, session_id, host_key: self.host_key.as_deref() };
        match rules.examine(user, &method) {
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
        let mut next = State::Idle;
        match reply {
            Reply::ServiceAccept => out.put(&TransportMessage::ServiceAccept { service: USERAUTH }),
            Reply::Failure { partial } => {
                let methods = self.methods.list();
                out.put(&AuthMessage::UserauthFailure { methods: NameList::new(&methods), partial_success: *partial });
            }
            Reply::PkOk(shown, algorithm) => {
                out.put(&AuthMessage::UserauthPkOk { algorithm, key: shown.blob() });
            }
            Reply::InfoRequest(challenge) => {
                challenge.put(out);
                next = State::Asking { prompts: challenge.prompts() };
            }
            Reply::ChangePassword(prompt) => {
                out.put(&PasswordMessage::PasswdChangereq { prompt: prompt.as_bytes(), language: b"" });
            }
            Reply::Success => {
                out.put(&AuthMessage::UserauthSuccess {});
                next = State::Done;
            }
        }
        self.state = next;
    }

    fn owes(&self) -> bool {
        self.banner_owed || matches!(self.state, State::Owing(_))
    }

    fn stage(&self) -> AuthStage {
        match self.state {
            State::ExpectService => AuthStage::Service,
            State::Idle | State::Asking { .. } | State::Deciding { .. } | State::Owing(_) | State::Ended => {
                AuthStage::Auth
            }
            State::Done => AuthStage::Open,
        }
    }

    fn has_open_question(&self) -> bool {
        matches!(self.state, State::Deciding { .. } | State::Owing(_))
    }
}
