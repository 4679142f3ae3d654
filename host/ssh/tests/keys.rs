//! Host keys and users' keys of every kind, between two of us.

mod pair;

use pair::{Application, Forge, Pair, Setup, twice};
use whelk_ssh::algorithm::Preferences;
use whelk_ssh::auth::client::ClientCredential;
use whelk_ssh::auth::server::Verdict;
use whelk_ssh::connection::ServerQuestion;
use whelk_ssh::crypto::agreement::{ALL, Agreement, CostlyExchange, Group};
use whelk_ssh::crypto::key::{HOST_SIGNATURES, HostCertificate, HostKey, SIGNATURES};
use whelk_ssh::error::{Error, Reason, Violation};

/// A private key of every kind, as its program has written it.
const FILES: &[&str] = &[
    include_str!("../src/crypto/key/host/fixtures/plain.key"),
    include_str!("../src/crypto/key/host/fixtures/ecdsa.key"),
    include_str!("../src/crypto/key/host/fixtures/ecdsa384.key"),
    #[cfg(feature = "aws-lc-rs")]
    include_str!("../src/crypto/key/host/fixtures/sec1_521.key"),
    include_str!("../src/crypto/key/host/fixtures/rsa_3072_pkcs8.key"),
];

fn keys() -> Vec<HostKey> {
    FILES.iter().map(|text| HostKey::from_file(text).expect("a file of our own")).collect()
}

/// A server with all keys, in this order.
fn server(mut keys: Vec<HostKey>) -> Application {
    let key = keys.remove(0);
    Application { key, others: keys, ..Application::new() }
}

/// Drives both sides, and changes keys from either side.
fn enters(mut pair: Pair) -> Pair {
    pair.client.authenticate(ClientCredential::None);
    pair.drive();
    for _ in 0..2 {
        pair.server.rekey();
        pair.drive();
        pair.client.rekey();
        pair.drive();
    }
    assert_eq!((&pair.server_error, &pair.client_error), (&None, &None));
    assert!(pair.at_client.saw("entered"));
    assert_eq!(pair.server.exchanges(), 5);
    pair
}

#[test]
fn a_server_with_several_keys_proves_itself_with_the_one_that_the_client_prefers() {
    twice(|setup| {
        for name in HOST_SIGNATURES {
            let mut setup = setup.clone();
            // What follows is the server's to ignore.
            let list: Vec<&str> = std::iter::once(*name).chain(HOST_SIGNATURES.iter().copied()).collect();
            setup.client.preferences = Preferences::default().with_host_key_algorithms(&list).unwrap();
            let pair = enters(setup.pair_of(server(keys()), Application::new()));
            assert_eq!(pair.server.negotiated().unwrap().host_key, *name);
        }
    });
}

/// K29: the application computes such an exchange when and where it can, and nothing is read meanwhile.
#[test]
fn a_costly_exchange_is_a_question_to_the_application() {
    for (name, agreement) in ALL.iter().filter(|(_, agreement)| *agreement != Agreement::ModP(Group::Group16)) {
        let mut setup = Setup::new(usize::MAX);
        setup.server.preferences = Preferences::everything();
        setup.client.preferences = Preferences::everything().with_kex(&[name]).unwrap();
        let mut pair = setup.pair();
        pair.at_server.computes = false;
        pair.client.authenticate(ClientCredential::None);
        pair.drive();
        assert_eq!(pair.at_client.saw("entered"), !agreement.is_costly(), "{name}");
        if let Some(ServerQuestion::Agree(exchange)) = pair.server.question() {
            let agreed = exchange.respond();
            assert!(agreement.is_costly() && pair.server.exchanges() == 0);
            pair.server.agreed(agreed, pair.now).unwrap();
            pair.at_server.computes = true;
            pair.drive();
        }
        assert_eq!(pair.server.negotiated().unwrap().kex, *name);
        if agreement.is_costly() {
            enters(pair);
        }
    }
}

/// An answer that nobody asked for changes nothing.
#[test]
fn an_exchange_that_was_not_asked_for_is_ignored() {
    let mut pair = enters(Setup::new(usize::MAX).pair());
    let exchange = CostlyExchange::new(Agreement::ModP(Group::Group14), &[2]);
    pair.server.agreed(exchange.respond(), pair.now).unwrap();
    pair.server.agreed(CostlyExchange::new(Agreement::Curve25519, &[]).respond(), pair.now).unwrap();
    pair.client.rekey();
    pair.drive();
    assert_eq!((pair.server.exchanges(), &pair.server_error), (6, &None));
}

/// OpenSSH `PROTOCOL.certkeys`: a certificate is offered before its key.
#[test]
fn a_certificate_is_offered_before_the_plain_keys() {
    let certified = HostKey::from_file(include_str!("../src/crypto/key/host/fixtures/certified.key")).unwrap();
    let certificate =
        HostCertificate::from_openssh(include_str!("../src/crypto/key/host/fixtures/host-cert.pub")).unwrap();
    assert_eq!(certificate.key().as_ref(), certified.public());
    let ecdsa = HostKey::from_file(FILES[1]).unwrap();
    let application = Application { certificates: vec![certificate], ..server(vec![certified, ecdsa]) };
    // Our client knows no authorities.
    let pair = enters(Setup::new(usize::MAX).pair_of(application, Application::new()));
    assert_eq!(pair.server.negotiated().unwrap().host_key, "ssh-ed25519");
    let offer = String::from_utf8_lossy(&pair.wire.1).into_owned();
    assert!(offer.contains("\x40ssh-ed25519-cert-v01@openssh.com,ssh-ed25519,ecdsa-sha2-nistp256"), "{offer}");
    let offer = String::from_utf8_lossy(&pair.wire.0).into_owned();
    assert!(!offer.contains("-cert-v01@openssh.com"));
}

#[test]
fn every_host_key_alone_is_enough() {
    twice(|setup| {
        for key in keys() {
            let best = key.public().signatures()[0];
            let pair = enters(setup.clone().pair_of(server(vec![key]), Application::new()));
            assert_eq!(pair.server.negotiated().unwrap().host_key, best);
        }
    });
}

#[test]
fn the_order_of_the_preferences_decides_not_that_of_the_keys() {
    let mut reversed = keys();
    reversed.reverse();
    let mut pair = Setup::new(usize::MAX).pair_of(server(reversed), Application::new());
    pair.drive();
    let offer = String::from_utf8_lossy(&pair.wire.1).into_owned();
    let offered: Vec<&str> = HOST_SIGNATURES.to_vec();
    assert!(offer.contains(&offered.join(",")), "ours is not the order of OpenSSH");

    let mut setup = Setup::new(usize::MAX);
    setup.server.preferences = Preferences::default().with_host_key_algorithms(&["rsa-sha2-256"]).unwrap();
    let pair = enters(setup.pair_of(server(keys()), Application::new()));
    assert_eq!(pair.server.negotiated().unwrap().host_key, "rsa-sha2-256");
}

#[test]
fn a_client_without_a_signature_in_common_is_told_so() {
    twice(|setup| {
        let mut setup = setup;
        setup.client.preferences = Preferences::default().with_host_key_algorithms(&["ecdsa-sha2-nistp384"]).unwrap();
        let mut pair = setup.pair_of(server(vec![HostKey::from_file(FILES[0]).unwrap()]), Application::new());
        pair.drive();
        let error = pair.server_error.clone().unwrap();
        assert!(matches!(error, Error::Incompatible { kind: "host key algorithm", .. }), "{error:?}");
    });
}

/// As a hostile server would have it: the key is right and the signature is of another algorithm, or of another key.
#[test]
fn a_client_refuses_a_signature_that_is_not_the_one_agreed_on() {
    let setup = Setup::new(usize::MAX);
    let rsa = || HostKey::from_file(include_str!("../src/crypto/key/host/fixtures/rsa_3072.key")).unwrap();
    let signed: [Forge; 4] = [
        |key, hash| key.sign_with("rsa-sha2-256", hash).unwrap(),
        |_, _| Vec::new(),
        |key, _| key.sign_with("rsa-sha2-512", b"another hash").unwrap(),
        |_, hash| HostKey::generate().unwrap().sign(hash),
    ];
    for sign in signed {
        let mut pair = setup.clone().pair_of(server(vec![rsa()]), Application::new());
        pair.at_server.forges = Some(sign);
        pair.drive();
        assert_eq!(pair.client_error, Some(Error::Peer(Violation::HostKeySignature)));
        assert_eq!(pair.client_error.unwrap().reason(), Some(Reason::KeyExchangeFailed as u32));
    }
}

#[test]
fn users_enter_with_every_kind_of_key_and_every_signature() {
    twice(|setup| {
        for text in FILES {
            let key = HostKey::from_file(text).unwrap();
            for algorithm in key.public().signatures() {
                for ask in [true, false] {
                    let key = HostKey::from_file(text).unwrap();
                    let blob = key.public().blob().to_vec();
                    let at_client = Application { key, signs_with: Some(algorithm), ..Application::new() };
                    let mut pair = setup.clone().pair_of(Application::new(), at_client);
                    pair.client.authenticate(ClientCredential::Key { algorithm, blob: &blob, ask });
                    pair.drive();
                    assert_eq!((&pair.server_error, &pair.client_error), (&None, &None));
                    assert!(pair.at_client.saw("entered"), "{algorithm}: {:?}", pair.at_client.events);
                }
            }
        }
    });
}

/// The algorithm of the request, of the signature and of the key.
#[test]
fn a_signature_of_another_algorithm_than_the_requests_does_not_enter() {
    let rsa = || HostKey::from_file(include_str!("../src/crypto/key/host/fixtures/rsa_3072.key")).unwrap();
    for (claimed, made) in [
        ("rsa-sha2-512", "rsa-sha2-256"),
        ("rsa-sha2-256", "rsa-sha2-512"),
        ("ecdsa-sha2-nistp256", "rsa-sha2-512"),
        ("ssh-ed25519", "rsa-sha2-512"),
    ] {
        let at_client = Application { key: rsa(), signs_with: Some(made), ..Application::new() };
        let mut pair = Setup::new(usize::MAX).pair_of(Application::new(), at_client);
        pair.client.authenticate(ClientCredential::Key { algorithm: claimed, blob: rsa().public().blob(), ask: false });
        pair.drive();
        assert!(!pair.at_client.saw("entered") && pair.at_client.saw("refused false"), "{claimed} {made}");
        assert_eq!(pair.server_error, None);
    }
}

/// A signature with SHA-1 is nobody's credential, whatever the key.
#[test]
fn a_key_that_would_sign_with_sha_1_is_refused_before_it_signs() {
    let rsa = HostKey::from_file(include_str!("../src/crypto/key/host/fixtures/rsa_3072.key")).unwrap();
    let mut pair = Setup::new(usize::MAX).pair();
    pair.at_server.verdict = Verdict::Reject;
    pair.client.authenticate(ClientCredential::Key { algorithm: "ssh-rsa", blob: rsa.public().blob(), ask: true });
    pair.drive();
    assert!(pair.at_client.saw("refused false") && !pair.at_client.saw("entered"));
    let refused = pair.server.refused();
    assert_eq!((refused.key_count, &refused.keys()[0].algorithm[..]), (1, &b"ssh-rsa"[..]));
    assert_eq!(refused.keys()[0].fingerprint, rsa.public().fingerprint());
}

/// RFC 8308 §3.1: `server-sig-algs` has exactly these names.
#[test]
fn the_listed_signatures_are_those_that_are_verified() {
    for key in keys() {
        assert!(key.public().signatures().iter().all(|name| SIGNATURES.contains(name)));
    }
    for weak in ["ssh-rsa", "ssh-dss", "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"] {
        assert!(!SIGNATURES.contains(&weak));
    }
}
