//! What a packet of channel data costs on its whole way through both sides, without sockets: sent, opened, handed to
//! the owner and credited.
//!
//! Run with `cargo bench -p whelk-ssh --bench session`.

#[path = "../tests/pair/mod.rs"]
mod pair;
#[path = "../tests/steady/mod.rs"]
mod steady;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use steady::{LARGE, Session, carry};
use whelk_ssh::crypto::cipher::{Cipher, Suite};

/// A keystroke and the largest packet.
const SIZES: [usize; 2] = [64, LARGE];

fn packets(c: &mut Criterion) {
    let data = [7; LARGE];
    for cipher in Cipher::ALL {
        let Some(suite) = Suite::new(cipher, None) else { continue };
        let mut group = c.benchmark_group(format!("session/{}", cipher.name()));
        for size in SIZES {
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::new("packet", size), |b| {
                let mut session = Session::new(suite);
                session.exchange(&data, 400);
                b.iter(|| {
                    session.client.send(&data[..size]);
                    carry(&mut session.client, &mut session.server);
                    session.server.credit();
                    carry(&mut session.server, &mut session.client);
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, packets);
criterion_main!(benches);
