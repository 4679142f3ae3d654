//! The place of a client, and how clients are started and judged.

use std::time::Duration;

use whelk_tests::{Call, Client, Finished, Input, LATER, Output, Running, size};

use super::load::{End, Load};

/// A kind of client.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// How many there are in a test, and in a proof ...
    pub(super) programs: [u64; 2],
    /// ... each with so many connections.
    pub(super) connections: [u64; 2],
    /// Seconds between the end of one and the next in its place, in a proof.
    pub(super) pause: u64,
    /// One client, from its beginning to its end.
    pub(super) turn: fn(&Load, &Slot, u64) -> Result<End, String>,
}

/// The place of a client, where one comes after the other.
pub(super) struct Slot {
    pub(super) kind: &'static Kind,
    /// Among those of its kind.
    pub(super) number: u64,
    /// Among all.
    pub(super) place: u32,
}

/// Which of the two sizes this is.
pub(super) fn scale() -> usize {
    usize::from(size(0, 1) == 1)
}

impl Slot {
    /// A number that looks random, and is the same in each run.
    pub(super) fn random(&self, turn: u64) -> u64 {
        let mut mixed = turn.wrapping_mul(1_000_003).wrapping_add(u64::from(self.place) + 1);
        for _ in 0..3 {
            mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        }
        mixed >> 8
    }

    /// Half of a time to one and a half of it.
    pub(super) fn spread(&self, turn: u64, time: Duration) -> Duration {
        time / 2 + time.mul_f64((self.random(turn) % 1_000) as f64 / 1_000.0)
    }

    /// One of these, each time another.
    pub(super) fn choose<T: Copy>(&self, turn: u64, from: &[T]) -> T {
        let at = (self.number + turn) % u64::try_from(from.len()).expect("a short list");
        from[usize::try_from(at).expect("less than that")]
    }

    /// So many bytes that do not compress.
    pub(super) fn bytes(&self, turn: u64, count: u64) -> Vec<u8> {
        let mut state = self.random(turn) | 1;
        let next = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        };
        (0..count).map(next).collect()
    }
}

/// A client of a user without credentials.
pub(super) fn call(load: &Load, client: Client, user: &str) -> Call {
    Call::to(client, load.site.gateway.port(), user).trusting(&load.site.fingerprints)
}

/// Starts a client whose input stays open.
pub(super) fn start(call: &Call) -> Running {
    Running::start(call.command(), Input::Held, Output::Read, LATER)
}

/// An end with this status and this output.
pub(super) fn expect(finished: &Finished, status: i32, output: &[u8]) -> Result<End, String> {
    if finished.status == Some(status) && finished.out.kept == output {
        return Ok(End::Done);
    }
    let count = finished.out.total;
    let expected = output.len();
    Err(format!("status {:?}, not {status}; {count} bytes, {expected} expected; {}", finished.status, finished.err))
}
