//! K36: proofs of host keys, `hostkeys-prove-00@openssh.com`. OpenSSH PROTOCOL §2.5.

use whelk_ssh::auth::server::ServerAuth;
use whelk_ssh::crypto::key::{HostKey, HostKeyKind, PublicKey};
use whelk_ssh::message::mux::MuxMessage;
use whelk_ssh::wire::Rest;

use crate::pair::{Application, Setup, twice};
use crate::raw::{Raw, SERVICE, encode, none};

const PROVE: &[u8] = b"hostkeys-prove-00@openssh.com";

/// The `string` of RFC 4251 §5.
fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).expect("short").to_be_bytes()[..], bytes].concat()
}

fn global(kind: &[u8], want_reply: bool, body: &[u8]) -> Vec<u8> {
    encode(&MuxMessage::GlobalRequest { kind, want_reply, body: Rest(body) })
}

/// A request for these blobs.
fn prove<'b>(blobs: impl IntoIterator<Item = &'b [u8]>, want_reply: bool) -> Vec<u8> {
    global(PROVE, want_reply, &blobs.into_iter().flat_map(string).collect::<Vec<_>>())
}

/// A server with an Ed25519 and an ECDSA key, in which alice has logged in.
fn entered(setup: &Setup) -> (Raw<ServerAuth>, Vec<PublicKey>) {
    let others = vec![HostKey::generate_kind(HostKeyKind::EcdsaP256).expect("randomness")];
    let raw = Raw::client_of(setup, Application { others, ..Application::new() }).key().service().log_in();
    let keys = raw.application.keys().map(|key| key.public().clone()).collect();
    (raw, keys)
}

#[test]
fn a_client_has_keys_of_the_server_proven_over_the_session_and_nothing_else() {
    twice(|setup| {
        let (mut raw, keys) = entered(&setup);
        raw.send(&prove([keys[1].blob(), keys[0].blob()], true));
        let reply = raw.reply();
        let session = raw.side.session_id().unwrap().as_ref().to_vec();
        let mut rest = reply.strip_prefix(&[81]).unwrap();
        for key in [&keys[1], &keys[0]] {
            let (length, after) = rest.split_first_chunk::<4>().unwrap();
            let (signature, after) = after.split_at(u32::from_be_bytes(*length) as usize);
            rest = after;
            let signed = [string(PROVE), string(&session), string(key.blob())].concat();
            let algorithm = key.signatures()[0].as_bytes();
            assert_eq!(key.verify(algorithm, &signed, signature), Ok(()));
            assert!(key.verify(algorithm, &session, signature).is_err(), "it is no exchange hash's");
        }
        assert_eq!((rest, &raw.error), (&[][..], &None));
    });
}

#[test]
fn a_request_for_other_keys_or_too_many_or_none_fails() {
    twice(|setup| {
        let foreign = HostKey::generate().unwrap();
        for many in [0, 1, 17, 1000] {
            let (mut raw, keys) = entered(&setup);
            let own = keys[0].blob();
            // One key of another server makes the whole request fail.
            let blobs = std::iter::repeat_n(own, many).chain((many == 1).then(|| foreign.public().blob()));
            raw.send(&prove(blobs, true));
            assert_eq!((raw.reply(), &raw.error), (vec![82], &None), "{many}");
        }
        let (mut raw, keys) = entered(&setup);
        let mut cut = prove([keys[0].blob()], true);
        cut.pop();
        raw.send(&cut);
        assert_eq!((raw.reply(), &raw.error), (vec![82], &None));
        raw.send(&prove(std::iter::repeat_n(keys[0].blob(), 16), true));
        assert_eq!(raw.reply()[0], 81);
    });
}

#[test]
fn a_client_that_asks_again_and_again_is_refused() {
    let (mut raw, keys) = entered(&Setup::new(usize::MAX));
    let request = prove([keys[0].blob()], true);
    let answers: Vec<u8> = (0..8)
        .map(|_| {
            raw.send(&request);
            raw.reply()[0]
        })
        .collect();
    assert_eq!((answers, &raw.error), (vec![81, 81, 81, 81, 82, 82, 82, 82], &None));
    // Without an answer there is nothing to do.
    let (mut raw, keys) = entered(&Setup::new(usize::MAX));
    for _ in 0..8 {
        raw.send(&prove([keys[0].blob()], false));
    }
    assert!(raw.replies().is_empty() && raw.side.question().is_none());
}

/// RFC 4254 §4: answers come in the order of the requests.
#[test]
fn proofs_keep_their_place_among_other_answers() {
    let (mut raw, keys) = entered(&Setup::new(usize::MAX));
    let requests =
        [global(b"a@b", true, b""), prove([keys[0].blob()], true), global(b"c@d", true, b""), prove([], true)];
    let packets: Vec<u8> = requests.iter().flat_map(|request| raw.packet(request)).collect();
    raw.bytes(&packets);
    raw.flush();
    let answers: Vec<u8> = raw.replies().iter().map(|reply| reply[0]).collect();
    assert_eq!((answers, &raw.error), (vec![82, 81, 82, 82], &None));
}

#[test]
fn nothing_is_proven_before_login() {
    twice(|setup| {
        let mut raw = Raw::keyed(&setup);
        let key = raw.application.key.public().blob().to_vec();
        raw.send(&prove([&key[..]], true));
        assert!(raw.violation().is_some());
        let mut raw = Raw::keyed(&setup);
        raw.send(SERVICE);
        raw.replies();
        raw.application.decides = false;
        raw.send(&none(b"alice"));
        raw.send(&prove([&key[..]], true));
        assert!(raw.replies().is_empty(), "it is not read while the login is decided");
    });
}
