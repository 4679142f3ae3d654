//! A server's authentication machine with a client's key, and its replies.

use std::sync::Arc;

use whelk_ssh::auth::server::{Attempt, Credential, ServerAuth, Settings, Verdict};
use whelk_ssh::auth::{AuthStage, Machine, Step};
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::error::Error;
use whelk_ssh::message::auth::{AuthMessage, Method};
use whelk_ssh::message::interactive::InteractiveMessage;
use whelk_ssh::message::transport::TransportMessage;
use whelk_ssh::message::{Encode, Output};
use whelk_ssh::wire::{Rest, Wire};

/// The session id of this connection.
pub(crate) const SESSION: &[u8] = &[7; 32];
/// FAILURE with all methods.
pub(crate) const FAILURE: &[u8] = b"\x33\0\0\0\x27publickey,password,keyboard-interactive\0";
/// SUCCESS.
pub(crate) const SUCCESS: &[u8] = b"\x34";

/// An output that records messages, with as much room as the test allows.
pub(crate) struct Sent {
    pub(crate) payloads: Vec<Vec<u8>>,
    pub(crate) room: usize,
}

impl Sent {
    pub(crate) fn new() -> Sent {
        Sent { payloads: Vec::new(), room: usize::MAX }
    }
}

impl Output for Sent {
    fn room(&self) -> usize {
        self.room
    }
    fn put(&mut self, message: &dyn Encode) {
        assert!(self.room > 0, "a message was put without room");
        self.payloads.push(encode(message));
    }
}

pub(crate) fn encode(message: &dyn Encode) -> Vec<u8> {
    let mut payload = Vec::new();
    message.encode(&mut payload);
    payload
}

pub(crate) fn service(service: &[u8]) -> Vec<u8> {
    encode(&TransportMessage::ServiceRequest { service })
}

/// A request with any method and body.
pub(crate) fn request(user: &[u8], service: &[u8], method: &[u8], body: &[u8]) -> Vec<u8> {
    encode(&AuthMessage::UserauthRequest { user, service, method, body: Rest(body) })
}

/// A request in the form of a legitimate client.
pub(crate) fn honest(user: &[u8], method: Method<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    let name = method.encode(&mut body);
    request(user, b"ssh-connection", name, &body)
}

pub(crate) fn none(user: &[u8]) -> Vec<u8> {
    honest(user, Method::None)
}

pub(crate) fn password(user: &[u8], password: &[u8]) -> Vec<u8> {
    honest(user, Method::Password { password, new: None })
}

/// INFO_RESPONSE, RFC 4256 §3.4.
pub(crate) fn response(answers: &[&[u8]]) -> Vec<u8> {
    let mut fields = Vec::new();
    answers.iter().for_each(|answer| answer.write(&mut fields));
    encode(&InteractiveMessage::InfoResponse { count: answers.len() as u32, answers: Rest(&fields) })
}

/// INFO_REQUEST with these prompts, and nothing else. RFC 4256 §3.2.
pub(crate) fn info_request(prompts: &[(&[u8], bool)]) -> Vec<u8> {
    let mut fields = Vec::new();
    for (text, echo) in prompts {
        text.write(&mut fields);
        echo.write(&mut fields);
    }
    let (count, prompts) = (prompts.len() as u32, Rest(&fields));
    encode(&InteractiveMessage::InfoRequest { name: b"", instruction: b"", language: b"", count, prompts })
}

pub(crate) fn key() -> HostKey {
    HostKey::generate().expect("the system has randomness")
}

/// Queries whether `key` would be accepted.
pub(crate) fn query(user: &[u8], key: &HostKey) -> Vec<u8> {
    honest(user, Method::PublicKey { algorithm: b"ssh-ed25519", key: key.public().blob(), signature: None })
}

/// The fields that a signature covers, to be changed one at a time.
pub(crate) struct Covered<'a> {
    pub(crate) session: &'a [u8],
    pub(crate) number: u8,
    pub(crate) user: &'a [u8],
    pub(crate) service: &'a [u8],
    pub(crate) method: &'a [u8],
    pub(crate) signed: bool,
    pub(crate) algorithm: &'a [u8],
    pub(crate) blob: &'a [u8],
    /// After everything else, where hostbound signatures have the host key.
    pub(crate) tail: &'a [u8],
}

impl<'a> Covered<'a> {
    /// In the form of RFC 4252 §7.
    pub(crate) fn right(user: &'a [u8], blob: &'a [u8]) -> Covered<'a> {
        Covered {
            session: SESSION,
            number: 50,
            user,
            service: b"ssh-connection",
            method: b"publickey",
            signed: true,
            algorithm: b"ssh-ed25519",
            blob,
            tail: b"",
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut data = Vec::new();
        self.session.write(&mut data);
        self.number.write(&mut data);
        self.user.write(&mut data);
        self.service.write(&mut data);
        self.method.write(&mut data);
        self.signed.write(&mut data);
        self.algorithm.write(&mut data);
        self.blob.write(&mut data);
        data.extend_from_slice(self.tail);
        data
    }
}

/// A request of `user` with `key`, signed over `covered` by `signer`.
pub(crate) fn signed_over(user: &[u8], key: &HostKey, signer: &HostKey, covered: &[u8]) -> Vec<u8> {
    let signature = signer.sign(covered);
    let public = key.public();
    honest(user, Method::PublicKey { algorithm: b"ssh-ed25519", key: public.blob(), signature: Some(&signature) })
}

/// A request of `user`, correctly signed with `key`.
pub(crate) fn signed(user: &[u8], key: &HostKey) -> Vec<u8> {
    signed_over(user, key, key, &Covered::right(user, key.public().blob()).bytes())
}

/// An attempt as text: what the application was asked.
pub(crate) fn words(attempt: Attempt<'_>) -> String {
    let how = match attempt.credential {
        Credential::None => "none".to_owned(),
        Credential::Password(password) => format!("password {}", password.escape_ascii()),
        Credential::KeyOffered(key) => format!("offers {}", key.fingerprint()),
        Credential::KeyProven(key) => format!("proves {}", key.fingerprint()),
        Credential::NewPassword { old, new } => {
            format!("changes {} to {}", old.escape_ascii(), new.escape_ascii())
        }
        Credential::Interactive => "asks to be asked".to_owned(),
        Credential::Answers(answers) => {
            let answers: Vec<_> = answers.iter().map(|answer| answer.escape_ascii().to_string()).collect();
            format!("answers {answers:?}")
        }
        Credential::CertificateOffered(shown) => format!("offers a certificate of {}", shown.key().fingerprint()),
        Credential::CertificateProven(shown) => format!("proves a certificate of {}", shown.key().fingerprint()),
        Credential::Unusable => "unusable".to_owned(),
    };
    format!("{} {how}", attempt.user.escape_ascii())
}

/// A server's machine and its output.
pub(crate) struct Door {
    pub(crate) server: ServerAuth,
    pub(crate) out: Sent,
}

impl Door {
    pub(crate) fn new(settings: Settings) -> Door {
        Door { server: ServerAuth::new(Arc::new(settings)), out: Sent::new() }
    }

    /// A machine with default settings whose client has requested the service.
    pub(crate) fn open() -> Door {
        Door::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Door {
        let mut door = Door::new(settings);
        assert_eq!(door.give(&service(b"ssh-userauth")), Ok(Step::Nothing));
        assert_eq!(door.answers(), [b"\x06\0\0\0\x0cssh-userauth"]);
        door
    }

    /// Handles one payload and writes what is owed.
    pub(crate) fn give<'p>(&mut self, payload: &'p [u8]) -> Result<Step<'p>, Error> {
        let step = self.server.handle(payload, SESSION);
        self.server.write_owed(&mut self.out);
        step
    }

    /// Handles a payload that must lead to a question; returns it.
    pub(crate) fn question(&mut self, payload: &[u8]) -> String {
        assert_eq!(self.give(payload), Ok(Step::Attempt));
        assert!(self.server.has_open_question());
        self.server.attempt().map(words).expect("a question stands after Step::Attempt")
    }

    pub(crate) fn decide(&mut self, verdict: Verdict) -> Result<(), Error> {
        let result = self.server.decide(verdict);
        self.server.write_owed(&mut self.out);
        result
    }

    pub(crate) fn refuse_key(&mut self, reason: &str) -> Result<(), Error> {
        let result = self.server.refuse_key(reason.to_owned());
        self.server.write_owed(&mut self.out);
        result
    }

    /// Handles a payload, answers the question if there is one, and returns the one reply.
    pub(crate) fn reply(&mut self, payload: &[u8], verdict: Verdict) -> Result<Vec<u8>, Error> {
        match self.give(payload)? {
            Step::Attempt => self.decide(verdict)?,
            Step::Nothing => {}
            step => panic!("{step:?} is a client's"),
        }
        let mut replies = self.answers();
        assert_eq!(replies.len(), 1, "one request, one reply");
        Ok(replies.remove(0))
    }

    /// The output since the last call.
    pub(crate) fn answers(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.out.payloads)
    }

    /// A payload with something that no user can have as a credential. It must be refused with FAILURE if the user
    /// needs credentials, and accepted at once otherwise.
    pub(crate) fn is_unusable(payload: &[u8]) {
        let mut door = Door::open();
        assert_eq!(door.question(payload), "alice unusable");
        assert_eq!(door.decide(Verdict::Reject), Ok(()));
        assert_eq!((door.answers(), door.server.stage()), (vec![FAILURE.to_vec()], AuthStage::Auth));
        assert_eq!(door.reply(payload, Verdict::Accept), Ok(SUCCESS.to_vec()));
        assert_eq!((door.server.user(), door.server.stage()), (Some(&b"alice"[..]), AuthStage::Open));
    }

    /// A payload that must be refused with FAILURE, without asking the application, and without ending the connection.
    pub(crate) fn refuses(&mut self, payload: &[u8]) {
        assert_eq!(self.give(payload), Ok(Step::Nothing));
        assert!(self.server.attempt().is_none());
        assert_eq!(self.answers(), [FAILURE]);
        assert_eq!(self.server.stage(), AuthStage::Auth);
    }
}
