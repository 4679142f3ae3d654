//! Both machines back to back.

use std::collections::VecDeque;
use std::sync::Arc;

use whelk_ssh::auth::client::{ClientAuth, ClientCredential};
use whelk_ssh::auth::method::{AuthMethod, MethodSet};
use whelk_ssh::auth::server::{Attempt, Banner, ServerAuth, Settings, Verdict};
use whelk_ssh::auth::{AuthStage, Machine, Step};
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::error::{Error, Violation};
use whelk_ssh::message::auth::AuthMessage;
use whelk_ssh::message::transport::TransportMessage;
use whelk_ssh::wire::NameList;

use crate::door::{SESSION, Sent, encode, key, words};

/// A refusal after which all methods can continue.
pub(crate) const ALL_REFUSED: &str = "publickey,password,keyboard-interactive false";

/// A client and a server in memory.
pub(crate) struct Pair {
    pub(crate) client: ClientAuth,
    pub(crate) server: ServerAuth,
    /// The answers to the attempts, in turn.
    verdicts: VecDeque<Verdict>,
    /// The questions to the server's application.
    pub(crate) questions: Vec<String>,
    /// The events of the client's application.
    pub(crate) told: Vec<String>,
}

impl Pair {
    pub(crate) fn new(client: ClientAuth, verdicts: impl IntoIterator<Item = Verdict>) -> Pair {
        Pair::with(Settings::default(), client, verdicts)
    }

    fn with(settings: Settings, client: ClientAuth, verdicts: impl IntoIterator<Item = Verdict>) -> Pair {
        let server = ServerAuth::new(Arc::new(settings));
        Pair { client, server, verdicts: verdicts.into_iter().collect(), questions: Vec::new(), told: Vec::new() }
    }

    /// Carries payloads until neither side has anything to send.
    pub(crate) fn drive(&mut self) -> Result<(), Error> {
        while self.client.owes() || self.server.owes() {
            let mut out = Sent::new();
            self.client.write_owed(&mut out);
            for payload in out.payloads {
                if self.server.handle(&payload, SESSION)? == Step::Attempt {
                    self.judge()?;
                }
            }
            let mut out = Sent::new();
            self.server.write_owed(&mut out);
            for payload in out.payloads {
                match self.client.handle(&payload, SESSION)? {
                    Step::Nothing => {}
                    Step::Attempt => panic!("a client was asked to judge"),
                    Step::Banner(text) => self.told.push(format!("banner {}", text.escape_ascii())),
                    Step::Refused { partial } => self.told.push(format!("{} {partial}", self.client.methods())),
                    Step::Sign => self.told.push("sign".into()),
                    Step::Challenge | Step::ChangePassword => self.told.push("asked".into()),
                    Step::Authenticated => self.told.push("entered".into()),
                }
            }
        }
        Ok(())
    }

    fn judge(&mut self) -> Result<(), Error> {
        let attempt: Attempt<'_> = self.server.attempt().expect("a question stands after Step::Attempt");
        self.questions.push(words(attempt));
        let verdict = self.verdicts.pop_front().expect("the test has a verdict for each question");
        self.server.decide(verdict)
    }

    fn sign(&mut self, key: &HostKey) {
        let data = self.client.to_sign(SESSION).expect("the client wants a signature");
        self.client.signed(&key.sign(&data));
    }

    pub(crate) fn entered(&self, user: &[u8]) -> bool {
        self.server.user() == Some(user)
            && self.server.stage() == AuthStage::Open
            && self.client.stage() == AuthStage::Open
    }
}

fn with_key<'a>(blob: &'a [u8], ask: bool) -> ClientCredential<'a> {
    ClientCredential::Key { algorithm: "ssh-ed25519", blob, ask }
}

#[test]
fn a_client_logs_in_with_none_where_that_is_enough() {
    let mut pair = Pair::new(ClientAuth::new(b"alice"), [Verdict::Accept]);
    assert_eq!((pair.client.stage(), pair.server.stage()), (AuthStage::Service, AuthStage::Service));
    assert_eq!(pair.drive(), Ok(()));
    assert!(pair.entered(b"alice"));
    assert_eq!(pair.questions, ["alice none"]);
    assert_eq!(pair.told, ["entered"]);
}

#[test]
fn a_client_learns_the_methods_and_logs_in_with_a_password() {
    let mut pair = Pair::new(ClientAuth::new(b"alice"), [Verdict::Reject, Verdict::Reject, Verdict::Accept]);
    assert_eq!(pair.drive(), Ok(()));
    assert_eq!((pair.client.stage(), pair.server.stage()), (AuthStage::Auth, AuthStage::Auth));
    assert!(pair.client.methods().contains("password"));
    for password in [&b"wrong"[..], b"right"] {
        pair.client.authenticate(ClientCredential::Password(password));
        assert_eq!(pair.drive(), Ok(()));
    }
    assert!(pair.entered(b"alice"));
    assert_eq!(pair.questions, ["alice none", "alice password wrong", "alice password right"]);
    assert_eq!(pair.told, [ALL_REFUSED, ALL_REFUSED, "entered"]);
}

#[test]
fn a_client_queries_a_key_and_then_signs() {
    let key = key();
    let (public, mut client) = (key.public(), ClientAuth::new(b"alice"));
    client.authenticate(with_key(public.blob(), true));
    let mut pair = Pair::new(client, [Verdict::Accept, Verdict::Accept]);
    assert_eq!(pair.drive(), Ok(()));
    assert_eq!(pair.told, ["sign"]);
    pair.sign(&key);
    assert_eq!(pair.drive(), Ok(()));
    assert!(pair.entered(b"alice"));
    let fingerprint = public.fingerprint();
    assert_eq!(pair.questions, [format!("alice offers {fingerprint}"), format!("alice proves {fingerprint}")]);
}

#[test]
fn a_client_signs_at_once_when_told_so() {
    let key = key();
    let (public, mut client) = (key.public(), ClientAuth::new(b"alice"));
    client.authenticate(with_key(public.blob(), false));
    let mut pair = Pair::new(client, [Verdict::Accept]);
    assert_eq!(pair.drive(), Ok(()));
    assert_eq!(pair.told, ["sign"]);
    pair.sign(&key);
    assert_eq!(pair.drive(), Ok(()));
    assert!(pair.entered(b"alice"));
    assert_eq!(pair.questions, [format!("alice proves {}", public.fingerprint())]);
}

#[test]
fn a_client_that_cannot_sign_tries_something_else() {
    let (refused, locked) = (key().public().clone(), key().public().clone());
    let mut pair =
        Pair::new(ClientAuth::new(b"alice"), [Verdict::Reject, Verdict::Reject, Verdict::Accept, Verdict::Accept]);
    assert_eq!(pair.drive(), Ok(()));
    for key in [refused, locked] {
        pair.client.authenticate(with_key(key.blob(), true));
        assert_eq!(pair.drive(), Ok(()));
    }
    assert_eq!(pair.told, [ALL_REFUSED, ALL_REFUSED, "sign"]);
    pair.client.authenticate(ClientCredential::Password(b"right"));
    assert_eq!(pair.drive(), Ok(()));
    assert!(pair.entered(b"alice"));
}

#[test]
fn a_key_and_a_password_can_both_be_demanded() {
    let key = key();
    let public = key.public();
    let then_password = Verdict::Partial(MethodSet::NONE.with(AuthMethod::Password));
    let mut pair = Pair::new(ClientAuth::new(b"alice"), [Verdict::Reject, then_password, Verdict::Accept]);
    assert_eq!(pair.drive(), Ok(()));
    pair.client.authenticate(with_key(public.blob(), false));
    pair.sign(&key);
    assert_eq!(pair.drive(), Ok(()));
    // The same factor twice is not two factors: the server does not even ask.
    pair.client.authenticate(with_key(public.blob(), false));
    pair.sign(&key);
    assert_eq!(pair.drive(), Ok(()));
    pair.client.authenticate(ClientCredential::Password(b"right"));
    assert_eq!(pair.drive(), Ok(()));
    assert!(pair.entered(b"alice"));
    assert_eq!(pair.told, [ALL_REFUSED, "password true", "password false", "entered"]);
    assert_eq!(pair.questions.len(), 3);
}

#[test]
fn a_client_sees_the_banner_before_anything_else() {
    let settings = Settings { banner: Some(Banner::new("be kind\n")), ..Settings::default() };
    let mut pair = Pair::with(settings, ClientAuth::new(b"alice"), [Verdict::Accept]);
    assert_eq!(pair.drive(), Ok(()));
    assert_eq!(pair.told, ["banner be kind\\r\\n", "entered"]);
}

#[test]
fn a_client_with_too_many_attempts_is_disconnected() {
    let mut pair = Pair::new(ClientAuth::new(b"alice"), [const { Verdict::Reject }; 7]);
    assert_eq!(pair.drive(), Ok(()));
    for _ in 0..5 {
        pair.client.authenticate(ClientCredential::Password(b"wrong"));
        assert_eq!(pair.drive(), Ok(()));
    }
    pair.client.authenticate(ClientCredential::Password(b"wrong"));
    assert_eq!(pair.drive(), Err(Error::TooManyAttempts));
    assert_eq!(pair.server.user(), None);
}

/// A client that has sent its request: `none`, or one with this credential.
pub(crate) fn requesting(credential: Option<ClientCredential<'_>>) -> ClientAuth {
    let mut client = ClientAuth::new(b"alice");
    if let Some(credential) = credential {
        client.authenticate(credential);
    }
    client.write_owed(&mut Sent::new());
    let accept = encode(&TransportMessage::ServiceAccept { service: b"ssh-userauth" });
    assert_eq!(client.handle(&accept, SESSION), Ok(Step::Nothing));
    client.write_owed(&mut Sent::new());
    client
}

#[test]
fn a_client_refuses_an_answer_without_a_request() {
    let failure = encode(&AuthMessage::UserauthFailure { methods: NameList::new("password"), partial_success: false });
    let success = encode(&AuthMessage::UserauthSuccess {});
    let pk_ok = |algorithm, key| encode(&AuthMessage::UserauthPkOk { algorithm, key });
    let unsolicited = Err(Error::Peer(Violation::Unsolicited));
    for answer in [&failure, &success, &pk_ok(b"ssh-ed25519", b"key")] {
        let number = answer[0];
        let early = Err(Error::Peer(Violation::Unexpected { number }));
        assert_eq!(ClientAuth::new(b"alice").handle(answer, SESSION), early, "{number} before the service");
        let mut client = requesting(None);
        assert_eq!(client.handle(&failure, SESSION), Ok(Step::Refused { partial: false }));
        assert_eq!(client.handle(answer, SESSION), unsolicited, "{number} without a request");
        assert_eq!(client.handle(&failure, SESSION), Err(Error::Peer(Violation::Unexpected { number: 51 })), "the end");
        let mut client = requesting(None);
        assert_eq!(client.handle(&success, SESSION), Ok(Step::Authenticated));
        assert_eq!(client.handle(answer, SESSION), early, "{number} after success");
    }
    // A server that names another key than the queried one would choose what we sign.
    assert_eq!(requesting(None).handle(&pk_ok(b"ssh-ed25519", b"key"), SESSION), unsolicited);
    assert_eq!(requesting(Some(with_key(b"key", true))).handle(&pk_ok(b"ssh-ed25519", b"yek"), SESSION), unsolicited);
    assert_eq!(requesting(Some(with_key(b"key", true))).handle(&pk_ok(b"ssh-rsa", b"key"), SESSION), unsolicited);
    assert_eq!(
        requesting(Some(with_key(b"key", true))).handle(&pk_ok(b"ssh-ed25519", b"key"), SESSION),
        Ok(Step::Sign)
    );
}

#[test]
fn a_client_refuses_another_service_and_a_second_accept() {
    let accept = |service| encode(&TransportMessage::ServiceAccept { service });
    let mut client = ClientAuth::new(b"alice");
    assert_eq!(
        client.handle(&accept(b"ssh-userauth"), SESSION),
        Err(Error::Peer(Violation::Unexpected { number: 6 })),
        "before it was asked for"
    );
    let mut client = ClientAuth::new(b"alice");
    client.write_owed(&mut Sent::new());
    assert_eq!(client.handle(&accept(b"ssh-connection"), SESSION), Err(Error::Peer(Violation::Service)));
    let mut client = requesting(None);
    assert_eq!(client.handle(&accept(b"ssh-userauth"), SESSION), Err(Error::Peer(Violation::Unexpected { number: 6 })));
}

#[test]
fn a_client_ignores_commands_out_of_turn() {
    let mut client = requesting(None);
    client.authenticate(ClientCredential::Password(b"x"));
    client.signed(b"signature");
    assert!(!client.owes());
    assert_eq!(client.to_sign(SESSION), None);
}
