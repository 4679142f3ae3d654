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
use run::{Crossed, Crossing, cross, cross_lines, echo};
pub(crate) use server::names_of;
use server::{Make, Narrowed, Servers};
use whelk_tests::AlgorithmKind::{Cipher, Compression, Kex, Mac};
use whelk_tests::{Client, Offer, figure, size};

/// How many clients cross at the same time.
const AT_ONCE: usize = 3;
/// The load of each combination, in bytes.
const LITTLE: u64 = 4096;

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
    report::check_copy(&ours.table());
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

/// Every key exchange with every cipher, MAC and compression, on fresh connections: those that AsyncSSH knows by it,
/// the others by OpenSSH.
#[test]
fn asyncssh_crosses_every_combination() {
    let servers = Servers::new(Make::Whelk);
    // A few of them in each run: spread over all lists.
    let step = usize::try_from(size(17, 1)).expect("a small number");
    let knows = client::names(Client::AsyncSsh)(Kex);
    let (theirs, others): (Vec<_>, Vec<_>) =
        names_of(Kex).into_iter().partition(|kex| knows.iter().any(|known| known == kex));
    let by_asyncssh: Vec<_> = combinations(&theirs).into_iter().step_by(step).collect();
    let lines: Vec<_> = by_asyncssh.iter().map(|[kex, ..]| Crossing::Name(Kex, kex)).zip(&by_asyncssh).collect();
    let lines: Vec<_> = lines
        .into_iter()
        .map(|(crossing, [kex, cipher, mac, compression])| {
            let line = format!("kex={kex} cipher={cipher} mac={mac} compression={compression} bytes={LITTLE}\n");
            (crossing, line)
        })
        .collect();
    let by_openssh: Vec<_> = combinations(&others).into_iter().step_by(step).collect();
    let crossed: Vec<Result<(), String>> = servers.with(Narrowed::Not, |server| {
        let by_asyncssh = cross_lines(Client::AsyncSsh, server, &lines).into_iter().map(|(_, result)| result);
        let by_openssh = by_openssh.iter().map(|[kex, cipher, mac, compression]| {
            let compresses = if *compression == "none" { "no" } else { "yes" };
            let arguments = [("KexAlgorithms", *kex), ("Ciphers", cipher), ("MACs", mac), ("Compression", compresses)];
            echo(Client::OpenSsh100, server, &arguments.map(|(name, value)| format!("-o{name}={value}")), LITTLE)
        });
        by_asyncssh.chain(by_openssh).collect()
    });
    for (client, count) in [("AsyncSSH", by_asyncssh.len()), ("OpenSSH", by_openssh.len())] {
        figure(&format!("{client}: kex x cipher x MAC x compression"), format!("{count} crossed"));
    }
    servers.end();
    assert_eq!(crossed.len(), by_asyncssh.len() + by_openssh.len());
    let all = by_asyncssh.iter().chain(&by_openssh).zip(&crossed);
    let failed: Vec<String> =
        all.filter_map(|(names, result)| Some(format!("{names:?}: {}", result.as_ref().err()?))).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// These key exchanges with everything: key exchange, cipher, MAC and compression. An AEAD has one of the MACs, which
/// is without effect.
fn combinations(kex: &[&'static str]) -> Vec<[&'static str; 4]> {
    let mut combinations = Vec::new();
    for kex in kex {
        for cipher in names_of(Cipher) {
            let macs = names_of(Mac);
            let macs = if cipher.ends_with("-ctr") { &macs[..] } else { &macs[..1] };
            for mac in macs {
                combinations
                    .extend(names_of(Compression).into_iter().map(|compression| [*kex, cipher, mac, compression]));
            }
        }
    }
    combinations
}
