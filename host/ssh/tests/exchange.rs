//! Key exchanges, first and later ones, between our client and our server.

mod pair;

use std::time::Duration;

use pair::{Pair, Setup, twice};
use whelk_ssh::algorithm::Preferences;
use whelk_ssh::auth::client::ClientCredential;
use whelk_ssh::auth::server::Verdict;
use whelk_ssh::crypto::agreement;
use whelk_ssh::crypto::cipher::Suite;
use whelk_ssh::crypto::mac::Mac;
use whelk_ssh::error::{Error, Reason, Stage};
use whelk_ssh::message::mux::Stream;
use whelk_ssh::phase::LoginStage;
use whelk_ssh::transport::RekeyPolicy;

/// Enough for several packets and window adjustments, little enough to be carried byte by byte.
fn sample(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 + index / 251) as u8).collect()
}

/// Logs in, carries data both ways, and again after each side has changed keys.
fn carries_a_session(setup: Setup) -> Pair {
    let mut pair = setup.authenticated();
    let channel = pair.open_session();
    for round in 1..=3 {
        pair.client_writes(channel, b"up");
        pair.server_writes(channel, b"down");
        assert_eq!(pair.received_by_server(channel), b"up".repeat(round));
        assert_eq!(pair.received_by_client(channel), b"down".repeat(round));
        if round % 2 == 1 {
            pair.server.rekey();
        } else {
            pair.client.rekey();
        }
        pair.drive();
    }
    assert_eq!((&pair.server_error, &pair.client_error), (&None, &None));
    assert_eq!(pair.server.exchanges(), 4);
    pair
}

#[test]
fn every_cipher_with_every_mac_carries_a_session() {
    twice(|setup| {
        for suite in Suite::all() {
            let (cipher, macs) = (suite.cipher().name(), suite.mac().map_or("hmac-sha2-256", Mac::name));
            let mut setup = setup.clone();
            setup.client.preferences =
                Preferences::default().with_ciphers(&[cipher]).unwrap().with_macs(&[macs]).unwrap();
            let pair = carries_a_session(setup);
            let agreed = pair.server.negotiated().unwrap();
            assert_eq!((agreed.cipher_to_server, agreed.mac_to_server), (suite.cipher(), suite.mac()));
            assert_eq!((agreed.cipher_to_client, agreed.mac_to_client), (suite.cipher(), suite.mac()));
        }
    });
}

#[test]
fn every_key_exchange_and_cipher_carries_a_session() {
    twice(|setup| {
        let names: Vec<&str> = agreement::ALL.iter().map(|(name, _)| *name).collect();
        let all = Preferences::default().with_kex(&names).unwrap();
        for kex in names {
            for cipher in ["chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes256-ctr"] {
                let mut setup = setup.clone();
                setup.server.preferences = all.clone();
                setup.client.preferences =
                    Preferences::default().with_kex(&[kex]).unwrap().with_ciphers(&[cipher]).unwrap();
                let pair = carries_a_session(setup);
                let agreed = pair.server.negotiated().unwrap();
                assert_eq!((agreed.kex, agreed.cipher_to_client.name()), (kex, cipher));
            }
        }
    });
}

#[test]
fn both_sides_have_the_same_session_identifier_throughout() {
    twice(|setup| {
        let mut pair = setup.authenticated();
        let name = pair.server.session_id().unwrap().as_ref().to_vec();
        assert_eq!(pair.client.session_id().unwrap().as_ref(), &name[..]);
        pair.server.rekey();
        pair.drive();
        assert_eq!(pair.server.session_id().unwrap().as_ref(), &name[..]);
    });
}

#[test]
fn data_sent_during_a_rekey_arrives_after_it_in_order() {
    twice(|setup| {
        for (server_starts, client_starts) in [(true, false), (false, true), (true, true)] {
            let mut pair = setup.clone().authenticated();
            let channel = pair.open_session();
            let data = sample(20_000);
            let (mut sent_up, mut sent_down) = (0, 0);
            for _ in 0..4 {
                if server_starts {
                    pair.server.rekey();
                }
                if client_starts {
                    pair.client.rekey();
                }
                sent_up += pair.client.write(channel, Stream::Data, &data[sent_up..(sent_up + 5000).min(data.len())]);
                sent_down +=
                    pair.server.write(channel, Stream::Data, &data[sent_down..(sent_down + 5000).min(data.len())]);
                pair.drive();
            }
            pair.client_writes(channel, &data[sent_up..]);
            pair.server_writes(channel, &data[sent_down..]);
            assert_eq!((&pair.server_error, &pair.client_error), (&None, &None));
            assert_eq!(pair.received_by_server(channel), data);
            assert_eq!(pair.received_by_client(channel), data);
        }
    });
}

#[test]
fn nothing_is_written_while_our_own_key_exchange_is_open() {
    twice(|setup| {
        let mut pair = setup.authenticated();
        let channel = pair.open_session();
        pair.server.rekey();
        assert_eq!(pair.server.room(channel), 0);
        assert_eq!(pair.server.write(channel, Stream::Data, b"too early"), 0);
        pair.drive();
        assert_eq!(pair.server.write(channel, Stream::Data, b"in time"), 7);
    });
}

/// K14.
#[test]
fn data_of_a_peer_that_has_not_seen_our_kexinit_is_taken() {
    twice(|setup| {
        let mut pair = setup.authenticated();
        let channel = pair.open_session();
        let data = sample(64 << 10);
        pair.server.rekey();
        let mut sent = 0;
        while sent < data.len() {
            sent += pair.client.write(channel, Stream::Data, &data[sent..]);
        }
        pair.drive();
        assert_eq!((&pair.server_error, &pair.client_error), (&None, &None));
        assert_eq!(pair.received_by_server(channel), data);
    });
}

fn rekeys(pair: &Pair) -> u64 {
    pair.server.exchanges()
}

#[test]
fn keys_change_after_a_number_of_bytes_packets_or_seconds() {
    twice(|setup| {
        let never = RekeyPolicy { bytes: u64::MAX, packets: u64::MAX, time: Duration::from_secs(1 << 30) };
        for (policy, writes) in [
            (RekeyPolicy { bytes: 2_000, ..never }, true),
            (RekeyPolicy { packets: 10, ..never }, true),
            (RekeyPolicy { time: Duration::from_secs(60), ..never }, false),
        ] {
            let mut setup = setup.clone();
            setup.server.rekey = policy;
            setup.client.rekey = never;
            let mut pair = setup.authenticated();
            let channel = pair.open_session();
            let before = rekeys(&pair);
            if writes {
                for _ in 0..40 {
                    pair.server_writes(channel, &sample(200));
                }
            } else {
                pair.wait(Duration::from_secs(61));
                assert_eq!(rekeys(&pair), before, "no data has moved");
                pair.server_writes(channel, &sample(200));
            }
            assert!(rekeys(&pair) > before, "{policy:?}");
            assert_eq!((&pair.server_error, &pair.client_error), (&None, &None));
        }
    });
}

#[test]
fn a_hundred_rekeys_in_a_row_succeed() {
    twice(|setup| {
        // Byte by byte it is slow.
        let rounds = if setup.cut == 1 { 20 } else { 100 };
        let mut pair = setup.authenticated();
        let channel = pair.open_session();
        for round in 0..rounds {
            if round % 2 == 0 {
                pair.server.rekey()
            } else {
                pair.client.rekey()
            }
            pair.client_writes(channel, &[round]);
        }
        assert_eq!(pair.received_by_server(channel), (0..rounds).collect::<Vec<u8>>());
        assert_eq!(rekeys(&pair), u64::from(rounds) + 1);
    });
}

/// P7, P8: a deadline belongs to its stage and is not extended by bytes.
#[test]
fn each_stage_has_its_deadline() {
    twice(|setup| {
        let mut pair = setup.pair();
        let start = pair.now;
        assert_eq!(pair.server.deadline(), Some(start + Duration::from_secs(10)));
        assert_eq!(
            pair.server.handle_timeout(start + Duration::from_secs(10)),
            Err(Error::TimedOut(Stage::Identification))
        );
        pair.at_server.verdict = Verdict::Reject;
        while pair.server.exchanges() == 0 {
            assert!(pair.step());
        }
        assert_eq!(pair.server.deadline(), Some(start + Duration::from_secs(120)), "the first attempt is awaited");
        pair.drive();
        assert_eq!(pair.server.deadline(), Some(start + Duration::from_secs(120)), "the first attempt has failed");
        pair.at_server.verdict = Verdict::Accept;
        pair.now += Duration::from_secs(100);
        pair.client.authenticate(ClientCredential::Password(b"right"));
        pair.drive();
        assert_eq!((pair.server.deadline(), &pair.server_error), (None, &None), "entered");
    });
}

#[test]
fn sides_without_a_common_algorithm_report_it() {
    twice(|setup| {
        let mut setup = setup;
        setup.client.preferences = Preferences::default().with_ciphers(&["aes128-gcm@openssh.com"]).unwrap();
        setup.server.preferences = Preferences::default().with_ciphers(&["aes256-gcm@openssh.com"]).unwrap();
        let mut pair = setup.pair();
        pair.drive();
        let error = pair.server_error.clone().unwrap();
        assert!(matches!(error, Error::Incompatible { kind: "cipher to server", .. }), "{error:?}");
        assert_eq!(error.reason(), Some(Reason::KeyExchangeFailed as u32));
    });
}

/// P15, P29: whatever byte is changed on the wire, nothing that was not sealed is ever handled.
#[test]
fn a_flipped_bit_anywhere_ends_the_connection() {
    let length = {
        let mut pair = Setup::new(usize::MAX).authenticated();
        pair.open_session();
        pair.wire.0.len()
    };
    for position in (40..length).step_by(97) {
        let mut pair = Setup::new(usize::MAX).pair();
        pair.flip.0 = Some(position);
        pair.client.authenticate(ClientCredential::None);
        pair.drive();
        pair.client_opens();
        pair.drive();
        let ended = pair.server_error.is_some() || pair.client_error.is_some();
        assert!(ended || !pair.at_client.saw("opened 0"), "flipped {position}");
    }
}

#[test]
fn the_stage_of_a_login_follows_what_the_client_has_sent() {
    let mut pair = Setup::new(1).pair();
    pair.at_server.decides = false;
    pair.client.authenticate(ClientCredential::None);
    let mut stages = vec![pair.server.login_stage()];
    while pair.step() {
        stages.push(pair.server.login_stage());
    }
    stages.dedup();
    assert_eq!(
        stages,
        [LoginStage::Identification, LoginStage::KeyExchange, LoginStage::NewKeys, LoginStage::Authentication]
    );
    pair.at_server.decides = true;
    pair.drive();
    assert_eq!(pair.server.login_stage(), LoginStage::Done);
}

/// The smallest limit: every packet of data is followed by a key exchange, and all of it arrives.
#[test]
fn a_limit_of_one_kib_changes_keys_after_each_packet_in_both_directions() {
    for (at_server, at_client) in [(true, false), (false, true), (true, true)] {
        for compression in [&["none"][..], &["zlib@openssh.com"]] {
            let mut setup = Setup::new(usize::MAX);
            let small = RekeyPolicy { bytes: 1 << 10, ..RekeyPolicy::default() };
            for (settings, limited) in [(&mut setup.server, at_server), (&mut setup.client, at_client)] {
                settings.preferences = Preferences::default().with_compression(compression).unwrap();
                if limited {
                    settings.rekey = small;
                }
            }
            let mut pair = setup.authenticated();
            let channel = pair.open_session();
            let sent = sample(1 << 20);
            for part in sent.chunks(128 << 10) {
                pair.client_writes(channel, part);
                pair.server_writes(channel, part);
            }
            assert!(pair.received_by_server(channel) == sent && pair.received_by_client(channel) == sent);
            assert_eq!((&pair.server_error, &pair.client_error), (&None, &None));
            let (exchanges, packets) = (pair.server.exchanges(), 2 * sent.len() as u64 / (32 << 10));
            assert!(compression[0] != "none" || exchanges >= packets / 2, "{exchanges} for {packets} packets");
            assert!(exchanges > 8, "{exchanges}");
        }
    }
}

/// A limit below what a key exchange itself sends: each key still protects a packet, so that the connection gets on.
#[test]
fn a_limit_of_one_byte_does_not_change_keys_without_end() {
    let mut setup = Setup::new(usize::MAX);
    let least = RekeyPolicy { bytes: 1, packets: 1, ..RekeyPolicy::default() };
    (setup.server.rekey, setup.client.rekey) = (least, least);
    let mut pair = setup.authenticated();
    let channel = pair.open_session();
    let sent = sample(300 << 10);
    pair.client_writes(channel, &sent);
    pair.server_writes(channel, &sent);
    assert!(pair.received_by_server(channel) == sent && pair.received_by_client(channel) == sent);
    assert_eq!((&pair.server_error, &pair.client_error), (&None, &None));
}

#[test]
fn both_sides_open_channels_and_make_requests_of_their_own() {
    twice(|setup| {
        let mut pair = setup.authenticated();
        pair.server.pass_on_private_names();
        pair.client.pass_on_private_names();
        for round in 0..3 {
            let (here, there) = (
                pair.client.open_channel(b"thing@example.org", b"from the client").unwrap(),
                pair.server.open_channel(b"thing@example.org", b"from the server").unwrap(),
            );
            pair.at_client.born(here);
            pair.at_server.born(there);
            for tag in [round * 2, round * 2 + 1] {
                assert_eq!(pair.server.ask(b"to-client@example.org", b"", tag), Ok(()));
                assert!(pair.server.global_request(b"keepalive@openssh.com", b"", true));
                assert_eq!(pair.client.ask(b"to-server@example.org", b"", tag), Ok(()));
            }
            // Nothing of this may be sent during a key exchange, nor be lost in it.
            pair.server.rekey();
            pair.drive();
            pair.client_writes(here, b"up");
            pair.server_writes(there, b"down");
            for tag in [round * 2, round * 2 + 1] {
                let line = format!("answered to {tag}: true here you are");
                assert!(pair.at_client.saw(&line) && pair.at_server.saw(&line), "{:?}", pair.at_server.events);
            }
        }
        assert!(pair.at_server.events.iter().filter(|event| *event == "global answered false").count() == 6);
        assert_eq!(pair.at_server.lives.iter().filter(|life| life.data == b"up").count(), 3);
        assert_eq!(pair.at_client.lives.iter().filter(|life| life.data == b"down").count(), 3);
        assert_eq!((&pair.server_error, &pair.client_error), (&None, &None));
    });
}
