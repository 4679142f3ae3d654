//! Every client across every algorithm that it shares with Whelk, and beside it with OpenSSH's sshd.
//!
//! A crossing is a connection for which only one name of a kind is left, by a setting of the client or of the server.
//! Bytes are echoed on it, unchanged, with an orderly end and status 0. The names are asked from the client itself, so
//! that one that either side loses is a difference. What a client does when it is connected is in `matrix.rs` and
//! `terminal.rs`.

mod client;
mod report;
mod run;
mod server;

use std::sync::Mutex;

use client::CLIENTS;
use report::Matrix;
use run::{Crossed, Crossing, cross, cross_lines};
use server::{EVERYTHING, Make, Narrowed, Servers};
use whelk_tests::{AlgorithmKind, Client, Offer, figure, size};

/// How many clients cross at the same time.
const AT_ONCE: usize = 3;

/// What Whelk and a client have in common and sshd does not, so that the two tables differ.
const NOT_IN_SSHD: &[(&str, &str)] = &[
    ("mlkem768x25519-sha256", "sshd has it since 9.9, and this one is 9.2"),
    ("mlkem768nistp256-sha256", "sshd has never had it"),
];

/// Runs all clients against one server.
fn matrix(servers: &Servers, offered: &[Crossing]) -> Matrix {
    let left = Mutex::new(CLIENTS.iter().rev().collect::<Vec<_>>());
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = left.lock().expect("no thread panics while it holds the list").pop();
                    let Some((client, heading)) = next else { break };
                    let crossed = cross(*client, servers, offered);
                    results.lock().expect("no thread panics while it holds the list").push((*heading, crossed));
                }
            });
        }
    });
    let mut results: Vec<(&str, Vec<Crossed>)> = results.into_inner().expect("the threads have ended");
    results.sort_by_key(|(heading, _)| CLIENTS.iter().position(|(_, other)| other == heading));
    Matrix::new(results)
}

/// What a server offers, of everything that Whelk knows.
fn offered(servers: &Servers) -> Vec<Crossing> {
    let offer = servers.with(Narrowed::Not, |server| Offer::of_server(server.port()));
    let is_offered = |crossing: &Crossing| match crossing {
        Crossing::Name(kind, name) => offer.names(*kind).iter().any(|offered| offered == name),
        _ => true,
    };
    run::all().into_iter().filter(is_offered).collect()
}

#[test]
fn every_client_crosses_every_name_that_it_shares_with_the_server() {
    let servers = Servers::new(Make::Whelk);
    let offered = offered(&servers);
    assert_eq!(offered, run::all(), "it offers everything that the test has named");
    let ours = matrix(&servers, &offered);
    println!("{}", ours.table());
    servers.end();
    assert!(ours.failures().is_empty(), "{}", ours.failures().join("\n"));
    report::check_readme(&ours.table());
}

#[test]
fn the_same_clients_cross_the_same_names_with_sshd() {
    let servers = Servers::new(Make::Sshd);
    let offered = offered(&servers);
    let missing = |crossing: &Crossing| !offered.contains(crossing);
    let missing: Vec<String> = run::all().into_iter().filter(missing).map(|crossing| crossing.to_string()).collect();
    assert_eq!(missing, NOT_IN_SSHD.iter().map(|(name, _)| *name).collect::<Vec<_>>(), "what sshd does not have");
    let theirs = matrix(&servers, &offered);
    println!("sshd:\n{}", theirs.table());
    NOT_IN_SSHD.iter().for_each(|(name, reason)| println!("{name}: {reason}"));
    servers.end();
    assert!(theirs.failures().is_empty(), "{}", theirs.failures().join("\n"));
}

/// Every key exchange with every cipher, MAC and compression, on fresh connections.
#[test]
fn asyncssh_crosses_every_combination() {
    let servers = Servers::new(Make::Whelk);
    let knows = client::names(Client::AsyncSsh);
    let of = |kind: AlgorithmKind| -> Vec<&str> {
        let everything =
            EVERYTHING.iter().filter(|(one, ..)| *one == kind).flat_map(|(.., names)| names.iter().copied());
        everything.filter(|name| knows(kind).iter().any(|known| known == name)).collect()
    };
    let is_ctr = |cipher: &str| cipher.ends_with("-ctr");
    let macs = of(AlgorithmKind::Mac);
    let mut lines = Vec::new();
    for kex in of(AlgorithmKind::Kex) {
        for cipher in of(AlgorithmKind::Cipher) {
            // An AEAD has no MAC.
            for mac in if is_ctr(cipher) { macs.iter() } else { macs[..1].iter() } {
                for compression in [&["none"][..], &of(AlgorithmKind::Compression)].concat() {
                    let line = format!("kex={kex} cipher={cipher} mac={mac} compression={compression} bytes=4096\n");
                    lines.push((Crossing::Name(AlgorithmKind::Kex, kex), line));
                }
            }
        }
    }
    // A few of them in each run: spread over all lists.
    let lines: Vec<_> = lines.into_iter().step_by(usize::try_from(size(17, 1)).expect("a small number")).collect();
    let crossed = servers.with(Narrowed::Not, |server| cross_lines(Client::AsyncSsh, server, &lines));
    let failed = lines.iter().zip(&crossed).filter_map(|((_, line), (_, result))| Some((line, result.as_ref().err()?)));
    let failed: Vec<String> = failed.map(|(line, error)| format!("{}: {error}", line.trim_end())).collect();
    figure("AsyncSSH: kex x cipher x MAC x compression", format!("{} crossed", crossed.len()));
    servers.end();
    assert!(failed.is_empty(), "{failed:#?}");
}
