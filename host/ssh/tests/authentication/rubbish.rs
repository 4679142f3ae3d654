//! Random bytes for both machines. Whatever they contain, nobody is authenticated without a decision, and nothing
//! panics.

use proptest::prelude::*;

use whelk_ssh::auth::challenge::Challenge;
use whelk_ssh::auth::client::{ClientAuth, ClientCredential};
use whelk_ssh::auth::server::{Credential, Settings, Verdict};
use whelk_ssh::auth::{AuthStage, Machine, Step};
use whelk_ssh::message::auth::{AuthMessage, Method};
use whelk_ssh::message::password::PasswordMessage;
use whelk_ssh::message::transport::TransportMessage;
use whelk_ssh::wire::NameList;

use crate::door::{
    Door, SESSION, Sent, encode, honest, info_request, key, none, password, query, response, service, signed,
};

/// What a client may send.
fn requests() -> Vec<Vec<u8>> {
    let key = key();
    let change = honest(b"a", Method::Password { password: b"b", new: Some(b"c") });
    let interactive = honest(b"a", Method::KeyboardInteractive);
    let requests =
        [service(b"ssh-userauth"), none(b"a"), password(b"a", b"b"), query(b"a", &key), signed(b"a", &key), change];
    requests.into_iter().chain([interactive, response(&[b"b"])]).collect()
}

/// What a server may send.
fn answers() -> Vec<Vec<u8>> {
    vec![
        encode(&TransportMessage::ServiceAccept { service: b"ssh-userauth" }),
        encode(&AuthMessage::UserauthFailure { methods: NameList::new("publickey,password"), partial_success: true }),
        encode(&AuthMessage::UserauthSuccess {}),
        encode(&AuthMessage::UserauthBanner { text: b"hello", language: b"en" }),
        encode(&AuthMessage::UserauthPkOk { algorithm: b"ssh-ed25519", key: b"key" }),
        info_request(&[(b"Password: ", false)]),
        encode(&PasswordMessage::PasswdChangereq { prompt: b"Expired", language: b"" }),
    ]
}

/// A client that awaits the answer to a query.
fn asking() -> ClientAuth {
    asking_by(ClientCredential::Key { algorithm: "ssh-ed25519", blob: b"key", ask: true })
}

/// A client that awaits the answer to any request.
fn asking_by(credential: ClientCredential<'_>) -> ClientAuth {
    let mut client = ClientAuth::new(b"a");
    client.authenticate(credential);
    client.write_owed(&mut Sent::new());
    client
}

#[test]
fn every_message_cut_anywhere_is_an_error_to_either_side() {
    for payload in requests() {
        for length in 0..payload.len() {
            assert!(Door::open().give(&payload[..length]).is_err(), "{length} bytes of {payload:02x?}");
            assert!(Door::new(Settings::default()).give(&payload[..length]).is_err());
        }
    }
    let accept = answers().remove(0);
    for payload in answers() {
        for length in 0..payload.len() {
            assert!(asking().handle(&payload[..length], SESSION).is_err());
            let mut client = asking();
            assert_eq!(client.handle(&accept, SESSION), Ok(Step::Nothing));
            client.write_owed(&mut Sent::new());
            assert!(client.handle(&payload[..length], SESSION).is_err(), "{length} bytes of {payload:02x?}");
        }
    }
}

/// A payload: random, or one of `known` with a byte changed and an end cut off or added.
fn payload(known: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changed = (prop::sample::select(known), any::<prop::sample::Index>(), any::<u8>(), any::<bool>(), 0usize..4)
        .prop_map(|(mut payload, at, byte, change, cut)| {
            if change {
                let at = at.index(payload.len());
                payload[at] = byte;
            }
            payload.truncate(payload.len() - cut.min(payload.len()) / 2);
            payload
        });
    prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..200), 4 => changed]
}

proptest! {
    #[test]
    fn no_sequence_of_requests_authenticates_without_a_decision(
        payloads in prop::collection::vec(payload(requests()), 0..80),
    ) {
        let mut door = Door::new(Settings::default());
        for payload in payloads {
            let Ok(step) = door.give(&payload) else { break };
            if step == Step::Attempt {
                let asks = match door.server.attempt().map(|attempt| attempt.credential) {
                    Some(Credential::Interactive) => Verdict::Challenge(Challenge::secret("Password: ")),
                    Some(Credential::Password(_)) => Verdict::ChangePassword("Expired".to_owned()),
                    Some(_) => Verdict::Reject,
                    None => panic!("a question stands after Step::Attempt"),
                };
                if door.decide(asks).is_err() {
                    break;
                }
            }
            prop_assert!(!door.server.has_open_question());
        }
        prop_assert_ne!(door.server.stage(), AuthStage::Open);
        prop_assert_eq!(door.server.user(), None);
    }

    #[test]
    fn no_sequence_of_offered_keys_authenticates(
        payloads in prop::collection::vec(payload(vec![query(b"a", &key())]), 0..80),
    ) {
        let mut door = Door::open();
        for payload in payloads {
            let Ok(step) = door.give(&payload) else { break };
            if step == Step::Attempt {
                let offered = door.server.attempt().is_some_and(|attempt| {
                    matches!(attempt.credential, Credential::KeyOffered(_))
                });
                let verdict = if offered { Verdict::Accept } else { Verdict::Reject };
                if door.decide(verdict).is_err() {
                    break;
                }
            }
        }
        prop_assert_ne!(door.server.stage(), AuthStage::Open);
    }

    #[test]
    fn no_sequence_of_answers_breaks_a_client(
        payloads in prop::collection::vec(payload(answers()), 0..80),
        interactive in any::<bool>(),
    ) {
        let mut client = if interactive { asking_by(ClientCredential::Interactive) } else { asking() };
        for payload in payloads {
            if client.handle(&payload, SESSION).is_err() {
                break;
            }
            client.signed(b"signature");
            client.answer(&[b"x"]);
            client.authenticate(ClientCredential::Password(b"x"));
            client.write_owed(&mut Sent::new());
        }
    }
}
