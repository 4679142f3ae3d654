//! U: authentication in the whole connection. The tests of the machine alone are in `tests/authentication`.

use whelk_ssh::auth::challenge::Challenge;
use whelk_ssh::auth::client::ClientCredential;
use whelk_ssh::auth::server::{ServerAuth, Verdict};
use whelk_ssh::crypto::agreement::ALL;
use whelk_ssh::crypto::cipher::{Opener, Sealer, Suite, SuiteKeys};
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::error::{Error, Violation};
use whelk_ssh::message::auth::{AuthMessage, Method};
use whelk_ssh::message::interactive::InteractiveMessage;
use whelk_ssh::message::mux::ChannelId;
use whelk_ssh::wire::{Rest, Wire};

use crate::kex::unimplemented;
use crate::memory::{held, leaks, peak};
use crate::pair::{Setup, twice};
use crate::raw::{FAILURE, Raw, SERVICE, SUCCESS, data, encode, none, on_channel, open, request};

fn unexpected(number: u8) -> Option<Violation> {
    Some(Violation::Unexpected { number })
}

/// A request of alice by any method.
fn attempt(method: Method<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    let name = method.encode(&mut body);
    let message =
        AuthMessage::UserauthRequest { user: b"alice", service: b"ssh-connection", method: name, body: Rest(&body) };
    encode(&message)
}

/// Queries whether the application's own key would be accepted.
fn query(raw: &Raw<ServerAuth>) -> Vec<u8> {
    let key = raw.application.key.public();
    attempt(Method::PublicKey { algorithm: b"ssh-ed25519", key: key.blob(), signature: None })
}

/// The four states before success: after the keys, after the service, after a failure, between a query and its
/// signature.
fn strangers(setup: &Setup) -> [Raw<ServerAuth>; 4] {
    let mut failed = Raw::serviced(setup);
    failed.application.verdict = Verdict::Reject;
    failed.send(&none(b"alice"));
    assert_eq!(failed.reply(), FAILURE);
    failed.application.verdict = Verdict::Accept;
    let mut queried = Raw::serviced(setup);
    let payload = query(&queried);
    queried.send(&payload);
    assert_eq!(queried.reply()[0], 60);
    [Raw::keyed(setup), Raw::serviced(setup), failed, queried]
}

/// U1, U2.
#[test]
fn server_messages_from_a_client_end_the_connection_in_every_phase() {
    twice(|setup| {
        for number in [6, 31, 51, 52, 53, 60] {
            // After login only key exchange messages are violations: the others have no effect.
            let entered = if number == 31 { vec![Raw::entered(&setup), Raw::opened(&setup)] } else { Vec::new() };
            for mut raw in strangers(&setup).into_iter().chain(entered) {
                let opens = raw.application.events.len();
                let packets = [raw.packet(&[number, 0, 0, 0, 0]), raw.packet(&open(9, 9, 9))].concat();
                raw.bytes(&packets);
                assert_eq!(raw.violation(), unexpected(number));
                assert_eq!(raw.disconnect_reason(), Some(2));
                assert_eq!(raw.application.events.len(), opens, "nobody heard of it");
            }
        }
    });
}

/// U1: a client cannot send success.
#[test]
fn a_client_that_sends_success_opens_no_channel() {
    twice(|setup| {
        for mut raw in strangers(&setup) {
            let packets =
                [raw.packet(SUCCESS), raw.packet(&open(0, 1, 1)), raw.packet(&request(b"exec", true, b"\0\0\0\0"))];
            raw.bytes(&packets.concat());
            assert_eq!((raw.violation(), raw.side.user()), (unexpected(52), None));
            assert!(raw.application.events.is_empty());
        }
    });
}

/// U3.
#[test]
fn channel_messages_before_success_are_refused_in_every_phase() {
    twice(|setup| {
        let all: Vec<Vec<u8>> = [open(0, 1 << 20, 1 << 15), request(b"exec", true, b"\0\0\0\x02id"), data(b"x")]
            .into_iter()
            .chain([b"\x50\0\0\0\x01x\x01".to_vec(), vec![81], vec![82]])
            .chain((91..=100).map(|number| on_channel(number, 0, &[0; 12])))
            .collect();
        for payload in all {
            for mut raw in strangers(&setup) {
                raw.send(&payload);
                assert_eq!(raw.violation(), unexpected(payload[0]));
                assert_eq!(raw.disconnect_reason(), Some(2));
                assert!(raw.application.events.is_empty());
            }
        }
    });
}

/// U4.
#[test]
fn messages_behind_the_last_request_are_read_after_success() {
    twice(|setup| {
        let mut raw = Raw::serviced(&setup);
        let key = raw.application.key.public();
        let unsigned = Method::PublicKey { algorithm: b"ssh-ed25519", key: key.blob(), signature: None };
        let mut signed = Vec::new();
        whelk_ssh::wire::Wire::write(&raw.session_id.as_ref().unwrap().as_ref(), &mut signed);
        let mut covered = attempt(unsigned);
        let flag = covered.len() - 4 - key.blob().len() - 4 - b"ssh-ed25519".len() - 1;
        covered[flag] = 1;
        signed.extend_from_slice(&covered);
        let signature = raw.application.key.sign(&signed);
        let request_to_enter =
            attempt(Method::PublicKey { algorithm: b"ssh-ed25519", key: key.blob(), signature: Some(&signature) });
        let global = b"\x50\0\0\0\x01x\x01";
        let packets = [raw.packet(&request_to_enter), raw.packet(&open(0, 1, 1)), raw.packet(global)].concat();
        // Nothing is decided yet: messages behind the request are not read.
        raw.application.decides = false;
        raw.bytes(&packets);
        assert!(raw.application.events.is_empty() && raw.replies().is_empty());
        raw.application.decides = true;
        raw.flush();
        assert_eq!(raw.application.events, ["open 0"]);
        let mut replies: Vec<u8> = raw.replies().iter().map(|reply| reply[0]).collect();
        assert_eq!((replies.remove(0), &raw.error), (52, &None));
        replies.sort_unstable();
        assert_eq!(replies, [82, 91]);
    });
}

/// U4: and if the client was refused, those messages end the connection.
#[test]
fn messages_behind_a_failed_request_end_the_connection() {
    twice(|setup| {
        let mut raw = Raw::serviced(&setup);
        raw.application.verdict = Verdict::Reject;
        let packets =
            [raw.packet(&none(b"alice")), raw.packet(&open(0, 1, 1)), raw.packet(&request(b"shell", true, b""))];
        raw.bytes(&packets.concat());
        assert_eq!(raw.violation(), unexpected(90));
        assert_eq!(raw.replies().iter().map(|reply| reply[0]).collect::<Vec<_>>(), [51, 1]);
        assert!(raw.application.events.is_empty());
    });
}

/// U4, U24, U25: attempts in one segment are decided one by one, up to the limit.
#[test]
fn attempts_in_one_segment_are_counted_one_by_one() {
    twice(|setup| {
        for (verdict, answers) in [(Verdict::Reject, 5), (Verdict::Accept, 63)] {
            let mut raw = Raw::serviced(&setup);
            raw.application.verdict = verdict;
            let payload = query(&raw);
            let packets: Vec<u8> = (0..200).flat_map(|_| raw.packet(&payload)).collect();
            raw.bytes(&packets);
            assert_eq!(raw.error, Some(Error::TooManyAttempts));
            let replies = raw.replies();
            assert_eq!(
                (replies.len(), replies.last().map(|last| last[..5].to_vec())),
                (answers + 1, Some(vec![1, 0, 0, 0, 2]))
            );
        }
    });
}

/// U19.
#[test]
fn an_unknown_service_is_refused_with_that_reason() {
    twice(|setup| {
        let long = vec![b's'; 30_000];
        for service in [&b"ssh-connection"[..], b"", b"ssh-userauth\0", b"SSH-USERAUTH", &long] {
            let payload = [&[5], &(service.len() as u32).to_be_bytes()[..], service].concat();
            for mut raw in [Raw::keyed(&setup), Raw::serviced(&setup)] {
                raw.send(&payload);
                assert_eq!(raw.violation(), Some(Violation::Service));
                assert_eq!(raw.disconnect_reason(), Some(7));
            }
        }
    });
}

/// U22.
#[test]
fn an_attempt_after_success_is_ignored() {
    twice(|setup| {
        let mut raw = Raw::opened(&setup);
        raw.application.verdict = Verdict::Reject;
        for payload in
            [none(b"root"), attempt(Method::Password { password: b"x", new: None }), vec![50], vec![50; 3000]]
        {
            raw.send(&payload);
        }
        assert_eq!((raw.replies(), &raw.error), (Vec::new(), &None));
        assert_eq!(raw.side.user(), Some(&b"alice"[..]));
        raw.send(&data(b"still open"));
        assert_eq!(raw.application.received(ChannelId(0)), b"still open");
    });
}

/// U23: JSch requests a service after login, and late answers of a finished authentication may arrive as well.
#[test]
fn late_authentication_messages_have_no_effect() {
    twice(|setup| {
        let mut raw = Raw::opened(&setup);
        let others = (51..=79).map(|number| vec![number, 0, 0, 0, 0]);
        for late in
            [SERVICE, b"\x05\0\0\0\x0essh-connection", b"\x05", b"\x06"].into_iter().map(<[u8]>::to_vec).chain(others)
        {
            assert_eq!(unimplemented(&mut raw, &late), None, "{}", late[0]);
        }
        raw.send(&data(b"still there"));
        assert_eq!(
            (raw.application.received(ChannelId(0)), raw.side.user()),
            (&b"still there"[..], Some(&b"alice"[..]))
        );
    });
}

/// A hostile server: it accepts, refuses and asks for keys out of turn.
#[test]
fn a_client_accepts_only_answers_to_its_requests() {
    twice(|setup| {
        let early = [SUCCESS, FAILURE, b"\x3c\0\0\0\x01a\0\0\0\x01b", b"\x35\0\0\0\0\0\0\0\0"];
        for payload in early {
            let mut raw = Raw::serving(&setup);
            raw.send(payload);
            assert_eq!(raw.violation(), unexpected(payload[0]), "before the service is there");
        }
        let mut raw = Raw::asked(&setup);
        raw.send(b"\x3c\0\0\0\x01a\0\0\0\x01b");
        assert_eq!(raw.violation(), Some(Violation::Unsolicited), "no key was asked about");
        let mut raw = Raw::asked(&setup);
        raw.send(FAILURE);
        raw.send(SUCCESS);
        assert_eq!(raw.violation(), Some(Violation::Unsolicited), "the attempt has failed already");
        assert!(!raw.application.saw("entered"));
        for number in [5, 50, 80, 90, 98] {
            let mut raw = Raw::asked(&setup);
            raw.send(&[number, 0, 0, 0, 0]);
            assert_eq!(raw.violation(), unexpected(number));
        }
    });
}

/// An unauthenticated client may use no more memory than the largest packet that it may send.
#[test]
fn a_flood_before_authentication_is_read_only_a_little_ahead() {
    let setup = Setup::new(usize::MAX);
    let mut raw = Raw::serviced(&setup);
    raw.application.decides = false;
    raw.send(&none(b"alice"));
    let packets: Vec<u8> = (0..100).flat_map(|_| raw.packet(&[&[50], &[0; 30_000][..]].concat())).collect();
    let before = held();
    raw.bytes(&packets);
    let kept = packets.len() - raw.unwanted();
    drop(raw.take_unwanted());
    assert!(kept <= 48 << 10, "{kept} bytes were read");
    assert!(held() - before < 100_000, "{} bytes are held", held() - before);
}

const PASSWORD: &[u8] = b"correct horse battery staple, as everybody knows";

/// I6: input that may contain a password is wiped.
#[test]
fn the_server_wipes_a_password() {
    twice(|setup| {
        for decides_at_once in [true, false] {
            let mut raw = Raw::serviced(&setup);
            let payload = attempt(Method::Password { password: PASSWORD, new: None });
            let packet = raw.packet(&payload);
            let next =
                [raw.packet(&open(0, 1, 1)), raw.packet(&[&[2, 0, 0, 0x80, 0][..], &[0; 32 << 10]].concat())].concat();
            let found = leaks(PASSWORD, || {
                raw.application.decides = decides_at_once;
                raw.bytes(&packet);
                // Input that arrives during the decision moves the contents of the buffer.
                raw.bytes(&next);
                raw.application.decides = true;
                raw.flush();
                assert_eq!(raw.side.user(), Some(&b"alice"[..]));
                drop(raw.side);
            });
            assert_eq!(found, 0);
        }
    });
}

/// I6: the same for a wrong password, and for a connection that ends during the decision.
#[test]
fn the_server_wipes_a_wrong_password_too() {
    twice(|setup| {
        for decides in [true, false] {
            let mut raw = Raw::serviced(&setup);
            raw.application.verdict = Verdict::Reject;
            raw.application.decides = decides;
            // The second is too long to be asked about.
            let long = [&[b'x'; 2000][..], PASSWORD].concat();
            let payloads = [PASSWORD, &long].map(|password| attempt(Method::Password { password, new: None }));
            let packets = payloads.each_ref().map(|payload| raw.packet(payload));
            let found = leaks(PASSWORD, || {
                raw.bytes(&packets[0]);
                raw.bytes(&packets[1]);
                drop(raw.side);
            });
            assert_eq!(found, 0);
        }
    });
}

/// I6: answers to prompts, and both passwords of a change.
#[test]
fn the_server_wipes_answers_and_new_passwords() {
    twice(|setup| {
        for verdict in [Verdict::Accept, Verdict::Reject] {
            let mut raw = Raw::serviced(&setup);
            raw.application.verdict = Verdict::Challenge(Challenge::secret("Password: "));
            raw.send(&attempt(Method::KeyboardInteractive));
            assert_eq!(raw.reply(), b"\x3c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x0aPassword: \0");
            let fields = [&(PASSWORD.len() as u32).to_be_bytes()[..], PASSWORD].concat();
            let answer = encode(&InteractiveMessage::InfoResponse { count: 1, answers: Rest(&fields) });
            let change = attempt(Method::Password { password: PASSWORD, new: Some(PASSWORD) });
            let packets = [answer, change].map(|payload| raw.packet(&payload));
            let found = leaks(PASSWORD, || {
                raw.application.verdict = verdict.clone();
                raw.bytes(&packets[0]);
                // After login there is nothing to wipe.
                if verdict == Verdict::Reject {
                    raw.bytes(&packets[1]);
                }
                drop(raw.side);
            });
            assert_eq!(found, 0, "{verdict:?}");
        }
    });
}

/// I6: as above.
#[test]
fn the_client_wipes_answers_and_new_passwords() {
    twice(|setup| {
        for longer in 0..20 {
            let mut raw = Raw::asked(&setup);
            raw.send(FAILURE);
            let password = [&vec![b'x'; longer * 16][..], PASSWORD].concat();
            let prompts = encode(&InteractiveMessage::InfoRequest {
                name: b"",
                instruction: b"",
                language: b"",
                count: 1,
                prompts: Rest(b"\0\0\0\x01?\0"),
            });
            let (prompts, failure) = (raw.packet(&prompts), raw.packet(FAILURE));
            let found = leaks(PASSWORD, || {
                raw.side.authenticate(ClientCredential::Interactive);
                raw.flush();
                raw.bytes(&prompts);
                raw.side.release_buffers();
                raw.reads = false;
                raw.side.answer(&[&password]);
                raw.flush();
                raw.reads = true;
                raw.flush();
                raw.bytes(&failure);
                raw.side.release_buffers();
                raw.reads = false;
                raw.side.authenticate(ClientCredential::NewPassword { old: &password, new: &password });
                raw.flush();
                drop(raw.side);
            });
            assert_eq!(found, 0);
        }
    });
}

/// I6.
#[test]
fn the_client_wipes_a_password() {
    twice(|setup| {
        // Of several lengths, so that the buffer must grow at each position.
        for longer in 0..20 {
            let mut raw = Raw::serving(&setup);
            let password = [&vec![b'x'; longer * 16][..], PASSWORD].concat();
            let packet = raw.packet(b"\x06\0\0\0\x0cssh-userauth");
            let found = leaks(PASSWORD, || {
                raw.side.authenticate(ClientCredential::Password(&password));
                raw.side.release_buffers();
                raw.reads = false;
                raw.bytes(&packet);
                drop(raw.side);
            });
            assert_eq!(found, 0);
        }
    });
}

/// I6: secrets of the key exchange, with each agreement and each suite.
#[test]
fn shared_secrets_and_keys_are_wiped() {
    let mut setup = Setup::new(usize::MAX);
    let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
    setup.client.preferences = setup.client.preferences.with_kex(&names).expect("names of ours");
    // `ring` does not wipe the keys of its AEADs, and offers no way to.
    let is_aead = |suite: &Suite| !suite.cipher().needs_mac();
    let suites = || Suite::all().filter(|suite| cfg!(feature = "aws-lc-rs") || !is_aead(suite));
    let usual = (ALL[0].1, suites().next().expect("there are some"));
    let agreements = ALL.iter().map(|(_, agreement)| (*agreement, usual.1));
    for (agreement, suite) in agreements.chain(suites().map(|suite| (usual.0, suite))) {
        for which in 0.. {
            let mut raw = Raw::server(&setup);
            (raw.agreement, raw.suite) = (agreement, suite);
            raw.identify();
            raw.replies();
            raw.init(&raw.offer());
            let share = raw.reply()[5..].to_vec();
            let reply = raw.ecdh_reply(&share);
            if which == raw.secrets.len() {
                break;
            }
            let secret: &'static [u8] = raw.secrets.swap_remove(which).leak();
            // A vector that grows would leave its beginning in memory.
            let secret = secret.get(..32).unwrap_or(secret);
            let found = leaks(secret, || {
                raw.send(&reply);
                raw.new_keys();
                assert_eq!((raw.side.exchanges(), &raw.error), (1, &None));
                drop(raw.side);
            });
            assert_eq!(found, 0, "{agreement:?} {suite:?} secret {which}");
        }
    }
}

/// A packet is sealed and opened where it is.
#[test]
fn sealing_and_opening_allocate_nothing() {
    for suite in Suite::all() {
        let cipher = vec![1; suite.cipher().key_len()];
        let (iv, mac) = (vec![2; suite.cipher().iv_len()], vec![3; suite.mac_key_len()]);
        let keys = SuiteKeys { cipher: &cipher, iv: &iv, mac: &mac };
        let mut sealer = Sealer::new(suite, &keys).expect("lengths are the suite's own");
        let mut opener = Opener::new(suite, &keys).expect("lengths are the suite's own");
        let mut packet = vec![0; 32 * 1024];
        packet.resize(packet.len() + sealer.tag_len(), 0);
        let most = peak(|| {
            for sequence in 0..3 {
                let (frame, tag) = packet.split_at_mut(32 * 1024);
                sealer.seal(sequence, frame, tag).expect("a key for few packets");
                let _ = opener.length(sequence, *packet.first_chunk().expect("a whole packet"));
                opener.open(sequence, &mut packet).expect("it was sealed above");
            }
        });
        assert_eq!(most, 0, "{suite:?}");
    }
}

/// U40: a key that is bound to our host key logs in; one that is bound to another is refused, offered or signed.
#[test]
fn a_key_bound_to_a_host_is_accepted_for_our_host_key_only() {
    twice(|setup| {
        for (ours, signs_it, answer) in [(true, true, 52), (true, false, 51), (false, true, 51)] {
            let mut raw = Raw::serviced(&setup);
            let server = raw.application.key.public().blob().to_vec();
            let host_key = if ours { server } else { raw.host_key.public().blob().to_vec() };
            let user = HostKey::generate().expect("randomness");
            let (algorithm, key) = (&b"ssh-ed25519"[..], user.public().blob());
            let method = |signature| Method::HostBoundKey { algorithm, key, host_key: &host_key, signature };
            raw.send(&attempt(method(None)));
            assert_eq!(raw.reply()[0], if ours { 60 } else { 51 });
            // RFC 4252 §7 with the host key at its end, or the data of an ordinary request.
            let mut signed = Vec::new();
            raw.session_id.as_ref().expect("keys").as_ref().write(&mut signed);
            let whole = attempt(if signs_it {
                method(Some(b""))
            } else {
                Method::PublicKey { algorithm, key, signature: Some(b"") }
            });
            // Without the empty signature.
            signed.extend_from_slice(&whole[..whole.len() - 4]);
            let signature = user.sign(&signed);
            raw.send(&attempt(method(Some(&signature))));
            assert_eq!((raw.reply()[0], &raw.error), (answer, &None), "{ours} {signs_it}");
        }
        let mut raw = Raw::serviced(&setup);
        let cut = [&b"\0\0\0\0\x0bssh-ed25519"[..], b"\0\0\0\x01k"].concat();
        let method = b"publickey-hostbound-v00@openssh.com";
        let (user, service) = (&b"alice"[..], &b"ssh-connection"[..]);
        raw.send(&encode(&AuthMessage::UserauthRequest { user, service, method, body: Rest(&cut) }));
        assert!(matches!(raw.violation(), Some(Violation::Malformed { number: 50, .. })));
    });
}

/// U40: host-based authentication is not offered.
#[test]
fn host_based_authentication_is_refused() {
    twice(|setup| {
        let mut raw = Raw::serviced(&setup);
        let (user, service, method) = (&b"alice"[..], &b"ssh-connection"[..], &b"hostbased"[..]);
        raw.send(&encode(&AuthMessage::UserauthRequest { user, service, method, body: Rest(b"any") }));
        assert_eq!((raw.reply(), &raw.error), (FAILURE.to_vec(), &None));
    });
}
