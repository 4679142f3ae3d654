//! RFC 4252, client role: asks for the service and tries the credentials that the application supplies.
//!
//! Signatures are made outside ([`ClientAuth::to_sign`], [`ClientAuth::signed`]), so the key may be in a file, an agent
//! or a device. Tests and benchmarks use this role.

use zeroize::Zeroizing;

use super::challenge::{ReceivedChallenge, Response};
use super::{
    AuthStage, CONNECTION, Machine, Step, USERAUTH, decode, decode_service, number_of, signed_data, violation,
};
use crate::error::{Error, Violation};
use crate::message::Output;
use crate::message::auth::number::USERAUTH_PK_OK;
use crate::message::auth::{AuthMessage, Method};
use crate::message::interactive::InteractiveMessage;
use crate::message::password::PasswordMessage;
use crate::message::transport::TransportMessage;
use crate::wire::Rest;

/// A credential to try. No `Debug`, so that passwords are never printed.
#[derive(Clone, Copy)]
pub enum ClientCredential<'a> {
    /// `none`: returns the list of methods. RFC 4252 §5.2.
    None,
    /// RFC 4252 §8.
    Password(&'a [u8]),
    /// The current password and a new one. RFC 4252 §8.
    NewPassword {
        /// The current password.
        old: &'a [u8],
        /// The new password.
        new: &'a [u8],
    },
    /// Asks the server for prompts, which are in [`ClientAuth::challenge`] then. RFC 4256 §3.1.
    Interactive,
    /// A public key; with `ask`, the server is first asked whether it would accept it. RFC 4252 §7.
    Key {
        /// The algorithm to sign with.
        algorithm: &'a str,
        /// The public key blob, RFC 4253 §6.6.
        blob: &'a [u8],
        /// Ask before signing: for keys whose signature needs a touch or a passphrase.
        ask: bool,
    },
}

/// The client's machine.
pub struct ClientAuth {
    /// The user name.
    user: Vec<u8>,
    /// The methods that can continue, as listed in the last FAILURE.
    methods: String,
    /// The state of the exchange.
    state: State,
}

/// ```text
///                put 5               6          put 50, 61               51
/// OwingService -------> ExpectAccept --> Owing ----------> ExpectAnswer ----> Choosing
///                                          ^                |       | 52         |
///                                          | signed      60 v       '--> Done    | authenticate
///                                          | answer      Signing, Prompted       v
///                                          '---------- or Changing       Owing or Signing
///      any error: Ended
/// ```
enum State {
    /// SERVICE_REQUEST waits for room in the output.
    OwingService(Request),
    /// SERVICE_REQUEST was sent; the first request follows its answer.
    ExpectAccept(Request),
    /// The application must supply the next credential.
    Choosing,
    /// The application must sign.
    Signing(Key),
    /// The application must answer prompts, or supply another credential.
    Prompted(ReceivedChallenge),
    /// The application must supply another password or another credential. This is the server's text for the user.
    Changing(Vec<u8>),
    /// A request waits for room in the output.
    Owing(Request),
    /// A request was sent.
    ExpectAnswer(Message60),
    /// Authenticated.
    Done,
    /// The connection is over.
    Ended,
}

/// A public key and how it signs.
struct Key {
    algorithm: String,
    blob: Vec<u8>,
}

/// What message 60 means as the answer to the last request.
enum Message60 {
    /// Nothing: the request cannot be answered by it.
    Nothing,
    /// PK_OK: the server would accept this key.
    PkOk(Key),
    /// INFO_REQUEST: the server asks the user.
    InfoRequest,
    /// PASSWD_CHANGEREQ: the password must be changed.
    PasswdChangereq,
}

/// A request that is owed.
enum Request {
    None,
    Password(Zeroizing<Vec<u8>>),
    NewPassword {
        old: Zeroizing<Vec<u8>>,
        new: Zeroizing<Vec<u8>>,
    },
    Interactive,
    /// Message 61 instead of 50.
    Answers(Vec<Zeroizing<Vec<u8>>>),
    Query(Key),
    /// No signature yet: it must be supplied before the request is written.
    Unsigned(Key),
    Signed {
        key: Key,
        signature: Vec<u8>,
    },
}

impl Request {
    fn new(credential: ClientCredential<'_>) -> Request {
        match credential {
            ClientCredential::None => Request::None,
            ClientCredential::Password(password) => Request::Password(secret(password)),
            ClientCredential::NewPassword { old, new } => Request::NewPassword { old: secret(old), new: secret(new) },
            ClientCredential::Interactive => Request::Interactive,
            ClientCredential::Key { algorithm, blob, ask } => {
                let key = Key { algorithm: algorithm.to_owned(), blob: blob.to_vec() };
                if ask { Request::Query(key) } else { Request::Unsigned(key) }
            }
        }
    }

    /// The state in which the request is written next.
    fn begin(self) -> State {
        match self {
            Request::Unsigned(key) => State::Signing(key),
            other => State::Owing(other),
        }
    }

    /// The request as a USERAUTH_REQUEST. None for answers, which are another message.
    fn method(&self) -> Option<Method<'_>> {
        Some(match self {
            Request::None => Method::None,
            Request::Password(password) => Method::Password { password, new: None },
            Request::NewPassword { old, new } => Method::Password { password: old, new: Some(new) },
            Request::Interactive => Method::KeyboardInteractive,
            Request::Query(Key { algorithm, blob }) | Request::Unsigned(Key { algorithm, blob }) => {
                Method::PublicKey { algorithm: algorithm.as_bytes(), key: blob, signature: None }
            }
            Request::Signed { key: Key { algorithm, blob }, signature } => {
                Method::PublicKey { algorithm: algorithm.as_bytes(), key: blob, signature: Some(signature) }
            }
            Request::Answers(_) => return None,
        })
    }

    /// Upper bound of the size of the request's body in bytes.
    fn size(&self) -> usize {
        match self {
            Request::None | Request::Answers(_) => 0,
            Request::Password(password) => 5 + password.len(),
            Request::NewPassword { old, new } => 9 + old.len() + new.len(),
            Request::Interactive => 8,
            Request::Query(key) | Request::Unsigned(key) => 9 + key.algorithm.len() + key.blob.len(),
            Request::Signed { key, signature } => 13 + key.algorithm.len() + key.blob.len() + signature.len(),
        }
    }

    /// What message 60 means as the answer to this request.
    fn message_60(self) -> Message60 {
        match self {
            Request::Query(key) => Message60::PkOk(key),
            Request::Interactive | Request::Answers(_) => Message60::InfoRequest,
            Request::Password(_) | Request::NewPassword { .. } => Message60::PasswdChangereq,
            Request::None | Request::Unsigned(_) | Request::Signed { .. } => Message60::Nothing,
        }
    }
}

/// A copy that is zeroized on drop.
fn secret(secret: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(secret.to_vec())
}

impl ClientAuth {
    /// A client that authenticates as `user`. It asks for the service and then tries `none`, unless
    /// [`authenticate`](ClientAuth::authenticate) supplies something else before.
    pub fn new(user: &[u8]) -> ClientAuth {
        ClientAuth { user: user.to_vec(), methods: String::new(), state: State::OwingService(Request::None) }
    }

    /// Tries `credential` next. Ignored while an answer is awaited, and after the end.
    pub fn authenticate(&mut self, credential: ClientCredential<'_>) {
        let request = Request::new(credential);
        match &self.state {
            State::OwingService(_) => self.state = State::OwingService(request),
            State::ExpectAccept(_) => self.state = State::ExpectAccept(request),
            State::Choosing | State::Signing(_) | State::Prompted(_) | State::Changing(_) => {
                self.state = request.begin();
            }
            State::Owing(_) | State::ExpectAnswer(_) | State::Done | State::Ended => {}
        }
    }

    /// The methods that can continue, as listed in the last FAILURE.
    pub fn methods(&self) -> &str {
        &self.methods
    }

    /// The bytes that the key must sign now, if a signature is awaited. RFC 4252 §7.
    pub fn to_sign(&self, session_id: &[u8]) -> Option<Vec<u8>> {
        let State::Signing(key) = &self.state else { return None };
        Some(signed_data(session_id, &self.user, key.algorithm.as_bytes(), &key.blob, None))
    }

    /// The signature over [`to_sign`](ClientAuth::to_sign), as a blob (RFC 4253 §6.6). Without effect when none is
    /// awaited.
    pub fn signed(&mut self, signature: &[u8]) {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Signing(key) => self.state = State::Owing(Request::Signed { key, signature: signature.to_vec() }),
            other @ (State::OwingService(_)
            | State::ExpectAccept(_)
            | State::Choosing
            | State::Prompted(_)
            | State::Changing(_)
            | State::Owing(_)
            | State::ExpectAnswer(_)
            | State::Done
            | State::Ended) => self.state = other,
        }
    }

    /// What the server asks the user, while it waits for answers. RFC 4256 §3.2.
    pub fn challenge(&self) -> Option<&ReceivedChallenge> {
        if let State::Prompted(challenge) = &self.state { Some(challenge) } else { None }
    }

    /// The server's text for the user while it demands another password: any bytes. RFC 4252 §8.
    pub fn change_prompt(&self) -> Option<&[u8]> {
        if let State::Changing(prompt) = &self.state { Some(prompt) } else { None }
    }

    /// Answers [`challenge`](ClientAuth::challenge), one answer for each prompt, in order: a server disconnects a
    /// client that gives another number. Ignored when no answers are awaited.
    pub fn answer(&mut self, answers: &[&[u8]]) {
        if matches!(self.state, State::Prompted(_)) {
            self.state = State::Owing(Request::Answers(answers.iter().map(|answer| secret(answer)).collect()));
        }
    }

    /// RFC 4253 §10: the service was accepted.
    fn accepted(&mut self, payload: &[u8]) -> Result<Step<'static>, Violation> {
        let TransportMessage::ServiceAccept { service: USERAUTH } = decode_service(payload)? else {
            return Err(Violation::Service);
        };
        let State::ExpectAccept(request) = std::mem::replace(&mut self.state, State::Ended) else {
            return Err(Violation::Unexpected { number: 6 });
        };
        self.state = request.begin();
        Ok(if matches!(self.state, State::Signing(_)) { Step::Sign } else { Step::Nothing })
    }

    /// Handles a message of RFC 4252 §6. An answer needs a request that it answers.
    fn answered<'p>(&mut self, payload: &'p [u8]) -> Result<Step<'p>, Violation> {
        let number = number_of(payload)?;
        let asked = match &mut self.state {
            State::ExpectAnswer(asked) => Some(asked),
            State::Choosing | State::Signing(_) | State::Prompted(_) | State::Changing(_) | State::Owing(_) => None,
            State::OwingService(_) | State::ExpectAccept(_) | State::Done | State::Ended => {
                return Err(Violation::Unexpected { number });
            }
        };
        if number == USERAUTH_PK_OK {
            return self.handle_message_60(payload);
        }
        match decode(payload)? {
            AuthMessage::UserauthRequest { .. } | AuthMessage::UserauthPkOk { .. } => {
                Err(Violation::Unexpected { number })
            }
            AuthMessage::UserauthBanner { text, .. } => Ok(Step::Banner(text)),
            AuthMessage::UserauthFailure { methods, partial_success } => {
                asked.ok_or(Violation::Unsolicited)?;
                self.methods = methods.quote();
                self.state = State::Choosing;
                Ok(Step::Refused { partial: partial_success })
            }
            AuthMessage::UserauthSuccess {} => {
                asked.ok_or(Violation::Unsolicited)?;
                self.state = State::Done;
                Ok(Step::Authenticated)
            }
        }
    }

    /// Handles message 60: PK_OK, INFO_REQUEST or PASSWD_CHANGEREQ, depending on the request that it answers.
    fn handle_message_60(&mut self, payload: &[u8]) -> Result<Step<'static>, Violation> {
        let malformed = |what| violation(USERAUTH_PK_OK, what);
        let State::ExpectAnswer(asked) = &mut self.state else { return Err(Violation::Unsolicited) };
        match std::mem::replace(asked, Message60::Nothing) {
            Message60::Nothing => Err(Violation::Unsolicited),
            Message60::PkOk(key) => {
                let AuthMessage::UserauthPkOk { algorithm, key: blob } = decode(payload)? else {
                    return Err(Violation::Unexpected { number: USERAUTH_PK_OK });
                };
                if key.algorithm.as_bytes() != algorithm || key.blob != blob {
                    return Err(Violation::Unsolicited);
                }
                self.state = State::Signing(key);
                Ok(Step::Sign)
            }
            Message60::InfoRequest => {
                let message = InteractiveMessage::decode(payload).map_err(malformed)?;
                let InteractiveMessage::InfoRequest { name, instruction, count, prompts, .. } = message else {
                    return Err(Violation::Unexpected { number: USERAUTH_PK_OK });
                };
                let challenge = ReceivedChallenge::read(name, instruction, count, prompts.0).map_err(malformed)?;
                self.state = State::Prompted(challenge);
                Ok(Step::Challenge)
            }
            Message60::PasswdChangereq => {
                let PasswordMessage::PasswdChangereq { prompt, .. } =
                    PasswordMessage::decode(payload).map_err(malformed)?;
                self.state = State::Changing(prompt.to_vec());
                Ok(Step::ChangePassword)
            }
        }
    }
}

impl Machine for ClientAuth {
    fn handle<'p>(&mut self, payload: &'p [u8], _session_id: &[u8]) -> Result<Step<'p>, Error> {
        let step = number_of(payload).and_then(|number| match number {
            6 => self.accepted(payload),
            50..=79 => self.answered(payload),
            _ => Err(Violation::Unexpected { number }),
        });
        step.map_err(Error::from).inspect_err(|_| self.state = State::Ended)
    }

    fn write_owed(&mut self, out: &mut impl Output) {
        if out.room() == 0 {
            return;
        }
        match std::mem::replace(&mut self.state, State::Ended) {
            State::OwingService(request) => {
                out.put(&TransportMessage::ServiceRequest { service: USERAUTH });
                self.state = State::ExpectAccept(request);
            }
            State::Owing(request) => {
                // Reserves room for the whole password: a buffer that grows leaves copies behind.
                let mut body = Zeroizing::new(Vec::with_capacity(request.size()));
                if let Request::Answers(answers) = &request {
                    out.put(&Response(answers));
                } else if let Some(method) = request.method() {
                    let method = method.encode(&mut body);
                    let body = Rest(&body);
                    out.put(&AuthMessage::UserauthRequest { user: &self.user, service: CONNECTION, method, body });
                }
                self.state = State::ExpectAnswer(request.message_60());
            }
            other @ (State::ExpectAccept(_)
            | State::Choosing
            | State::Signing(_)
            | State::Prompted(_)
            | State::Changing(_)
            | State::ExpectAnswer(_)
            | State::Done
            | State::Ended) => self.state = other,
        }
    }

    fn owes(&self) -> bool {
        matches!(self.state, State::OwingService(_) | State::Owing(_))
    }

    fn stage(&self) -> AuthStage {
        match self.state {
            State::OwingService(_) | State::ExpectAccept(_) => AuthStage::Service,
            State::Choosing
            | State::Signing(_)
            | State::Prompted(_)
            | State::Changing(_)
            | State::Owing(_)
            | State::ExpectAnswer(_)
            | State::Ended => AuthStage::Auth,
            State::Done => AuthStage::Open,
        }
    }

    /// Never waits: banners and a DISCONNECT are read while the application decides.
    fn has_open_question(&self) -> bool {
        false
    }
}
