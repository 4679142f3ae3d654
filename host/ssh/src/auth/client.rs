//! RFC 4252, client role: asks for the service and tries the credentials that the application supplies.
//!
//! Signatures are made outside ([`ClientAuth::to_sign`], [`ClientAuth::signed`]), so the key may be in a file, an agent
//! or a device. Tests and benchmarks use this role.

use zeroize::Zeroizing;

use super::{AuthStage, CONNECTION, Machine, Step, USERAUTH, decode, decode_service, number_of, signed_data};
use crate::error::{Error, Violation};
use crate::message::Output;
use crate::message::auth::{AuthMessage, Method};
use crate::message::transport::TransportMessage;
use crate::wire::Rest;

/// A credential to try. No `Debug`, so that passwords are never printed.
#[derive(Clone, Copy)]
pub enum ClientCredential<'a> {
    /// `none`: returns the list of methods. RFC 4252 §5.2.
    None,
    /// RFC 4252 §8.
    Password(&'a [u8]),
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
///                put 5               6            put 50                 51
/// OwingService -------> ExpectAccept --> Owing ----------> ExpectAnswer ----> Choosing
///                                          ^                |       | 52         |
///                                          | signed      60 v       '--> Done    | authenticate
///                                          '----------- Signing                  v
///                                                                        Owing or Signing
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
    /// A request waits for room in the output.
    Owing(Request),
    /// A request was sent. Holds the key that it asked about.
    ExpectAnswer(Option<Key>),
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

/// A request that is owed.
enum Request {
    None,
    Password(Zeroizing<Vec<u8>>),
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
            ClientCredential::Password(password) => Request::Password(Zeroizing::new(password.to_vec())),
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
            Request::None | Request::Password(_) | Request::Query(_) | Request::Signed { .. } => State::Owing(self),
        }
    }

    /// The request in the RFC's form.
    fn method(&self) -> Method<'_> {
        match self {
            Request::None => Method::None,
            Request::Password(password) => Method::Password { password, new: None },
            Request::Query(Key { algorithm, blob }) | Request::Unsigned(Key { algorithm, blob }) => {
                Method::PublicKey { algorithm: algorithm.as_bytes(), key: blob, signature: None }
            }
            Request::Signed { key: Key { algorithm, blob }, signature } => {
                Method::PublicKey { algorithm: algorithm.as_bytes(), key: blob, signature: Some(signature) }
            }
        }
    }

    /// Upper bound of the size of the request's body in bytes.
    fn size(&self) -> usize {
        match self {
            Request::None => 0,
            Request::Password(password) => 5 + password.len(),
            Request::Query(key) | Request::Unsigned(key) => 9 + key.algorithm.len() + key.blob.len(),
            Request::Signed { key, signature } => 13 + key.algorithm.len() + key.blob.len() + signature.len(),
        }
    }

    /// What an answer may refer to.
    fn asked(self) -> Option<Key> {
        match self {
            Request::Query(key) => Some(key),
            Request::None | Request::Password(_) | Request::Unsigned(_) | Request::Signed { .. } => None,
        }
    }
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
            State::Choosing | State::Signing(_) => self.state = request.begin(),
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
        Some(signed_data(session_id, &self.user, key.algorithm.as_bytes(), &key.blob))
    }

    /// The signature over [`to_sign`](ClientAuth::to_sign), as a blob (RFC 4253 §6.6). Without effect when none is
    /// awaited.
    pub fn signed(&mut self, signature: &[u8]) {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Signing(key) => self.state = State::Owing(Request::Signed { key, signature: signature.to_vec() }),
            other @ (State::OwingService(_)
            | State::ExpectAccept(_)
            | State::Choosing
            | State::Owing(_)
            | State::ExpectAnswer(_)
            | State::Done
            | State::Ended) => self.state = other,
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
        let message = decode(payload)?;
        let asked = match &mut self.state {
            State::ExpectAnswer(asked) => Some(asked),
            State::Choosing | State::Signing(_) | State::Owing(_) => None,
            State::OwingService(_) | State::ExpectAccept(_) | State::Done | State::Ended => {
                return Err(Violation::Unexpected { number: number_of(payload)? });
            }
        };
        match message {
            AuthMessage::UserauthRequest { .. } => Err(Violation::Unexpected { number: 50 }),
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
            AuthMessage::UserauthPkOk { algorithm, key: blob } => {
                let same = |key: &mut Key| key.algorithm.as_bytes() == algorithm && key.blob == blob;
                let key = asked.and_then(|asked| asked.take_if(same)).ok_or(Violation::Unsolicited)?;
                self.state = State::Signing(key);
                Ok(Step::Sign)
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
                let method = request.method().encode(&mut body);
                let body = Rest(&body);
                out.put(&AuthMessage::UserauthRequest { user: &self.user, service: CONNECTION, method, body });
                self.state = State::ExpectAnswer(request.asked());
            }
            other @ (State::ExpectAccept(_)
            | State::Choosing
            | State::Signing(_)
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
            State::Choosing | State::Signing(_) | State::Owing(_) | State::ExpectAnswer(_) | State::Ended => {
                AuthStage::Auth
            }
            State::Done => AuthStage::Open,
        }
    }

    /// Never waits: banners and a DISCONNECT are read while the application decides.
    fn has_open_question(&self) -> bool {
        false
    }
}
