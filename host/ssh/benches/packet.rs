//! What cryptography costs: a packet sealed and opened, an agreement, a signature.
//!
//! These are the floors under every other number of the program. Run with
//! `cargo bench -p whelk-ssh --bench packet`, and again with `--no-default-features --features ring`.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use whelk_ssh::crypto::agreement::ALL;
use whelk_ssh::crypto::cipher::{Opener, Sealer, Suite, SuiteKeys};
use whelk_ssh::crypto::key::HostKey;
use whelk_ssh::crypto::random::{Random, SystemRandom};

/// A key stroke, and the largest packet that most clients send.
const SIZES: [usize; 2] = [64, 32 * 1024];

fn packets(c: &mut Criterion) {
    for suite in Suite::all() {
        let cipher = suite.cipher();
        let (key, iv) = (vec![1; cipher.key_len()], vec![2; cipher.iv_len()]);
        let mac = vec![3; suite.mac_key_len()];
        let keys = SuiteKeys { cipher: &key, iv: &iv, mac: &mac };
        let mac = suite.mac().map(|mac| format!("+{}", mac.name())).unwrap_or_default();
        let mut group = c.benchmark_group(format!("{}{mac}", cipher.name()));
        for size in SIZES {
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::new("seal", size), |b| {
                let mut sealer = Sealer::new(suite, &keys).expect("lengths are the suite's own");
                let (mut frame, mut tag) = (vec![0; size], vec![0; sealer.tag_len()]);
                b.iter(|| sealer.seal(3, black_box(&mut frame), &mut tag));
            });
            group.bench_function(BenchmarkId::new("open", size), |b| {
                let mut sealer = Sealer::new(suite, &keys).expect("lengths are the suite's own");
                let (mut frame, mut tag) = (vec![0; size], vec![0; sealer.tag_len()]);
                sealer.seal(3, &mut frame, &mut tag).expect("the first packet of a key");
                frame.extend_from_slice(&tag);
                // The counter of GCM goes on, so each round has a fresh opener; its key set-up is not measured.
                b.iter_batched_ref(
                    || (Opener::new(suite, &keys).expect("lengths are the suite's own"), frame.clone()),
                    |(opener, frame)| opener.open(3, black_box(frame)).expect("it was sealed above"),
                    BatchSize::SmallInput,
                );
            });
        }
        group.finish();
    }
}

fn agreements(c: &mut Criterion) {
    let mut group = c.benchmark_group("agreement");
    for (name, agreement) in ALL {
        let (_, share) = agreement.initiate().expect("the system has randomness");
        group.bench_function(format!("{name}/server"), |b| {
            b.iter(|| agreement.respond(black_box(&share)).expect("an honest share"));
        });
        group.bench_function(format!("{name}/both"), |b| {
            b.iter(|| {
                let (initiator, share) = agreement.initiate().expect("the system has randomness");
                let (answer, _) = agreement.respond(&share).expect("an honest share");
                initiator.finish(&answer).expect("an honest share")
            });
        });
    }
    group.finish();
}

fn signatures(c: &mut Criterion) {
    let fixtures = [
        include_str!("../src/crypto/key/host/fixtures/plain.key"),
        include_str!("../src/crypto/key/host/fixtures/ecdsa.key"),
        include_str!("../src/crypto/key/host/fixtures/ecdsa384.key"),
        include_str!("../src/crypto/key/host/fixtures/rsa_3072.key"),
    ];
    for key in fixtures.map(|text| HostKey::from_file(text).expect("a file of our own")) {
        let (public, data) = (key.public(), [7; 32]);
        let algorithm = public.signatures().first().copied().expect("every key makes one");
        let signature = key.sign(&data);
        let mut group = c.benchmark_group(algorithm);
        group.bench_function("sign", |b| b.iter(|| key.sign(black_box(&data))));
        group
            .bench_function("verify", |b| b.iter(|| public.verify(algorithm.as_bytes(), black_box(&data), &signature)));
        group.finish();
    }
}

fn padding(c: &mut Criterion) {
    let (mut random, mut padding) = (SystemRandom::new(), [0; 11]);
    c.bench_function("padding/11", |b| b.iter(|| random.fill(black_box(&mut padding))));
}

criterion_group!(benches, packets, agreements, signatures, padding);
criterion_main!(benches);
