//! When a rejection is sent: after a delay that reveals nothing about the user.

use std::time::Duration;

use super::secret::TimingSecret;

/// The largest extra delay of a user's failures, derived from the name by a secret: so that comparing the times of two
/// names reveals nothing.
const SPREAD_MICROSECONDS: u64 = 4000;

/// Delays rejections.
pub(super) struct FailureDelay {
    secret: TimingSecret,
    /// The least delay.
    least: Duration,
    /// The most, unless more time was spent.
    most: Duration,
}

impl FailureDelay {
    pub(super) fn new(secret: TimingSecret, least: Duration, most: Duration) -> FailureDelay {
        FailureDelay { secret, least, most }
    }

    /// The delay after which a rejection is sent: the failure delay, doubled until it exceeds the time spent, so that
    /// small timing differences do not show. At most `most`, or the time spent if that was longer.
    pub(super) fn answer_after(&self, user: &[u8], elapsed: Duration) -> Duration {
        let spread = Duration::from_micros(self.secret.number("delay", user, SPREAD_MICROSECONDS));
        let least = self.least + spread;
        let mut answer = least;
        while answer < elapsed && !answer.is_zero() {
            answer *= 2;
        }
        answer.min(self.most.max(elapsed)).max(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_work_is_answered_at_a_doubling_within_the_grace() {
        let delay = FailureDelay::new(TimingSecret::new([7; 32]), Duration::from_millis(5), Duration::from_secs(5));
        let first = delay.answer_after(b"alice", Duration::ZERO);
        assert_eq!(delay.answer_after(b"alice", first), first);
        assert_eq!(delay.answer_after(b"alice", first + Duration::from_nanos(1)), first * 2);
        assert_eq!(delay.answer_after(b"alice", first * 15), first * 16);
        assert_eq!(delay.answer_after(b"alice", Duration::from_secs(5)), Duration::from_secs(5));
        assert_eq!(delay.answer_after(b"alice", Duration::from_secs(9)), Duration::from_secs(9));
        let slow = FailureDelay::new(TimingSecret::new([7; 32]), Duration::from_secs(8), Duration::from_secs(5));
        assert_eq!(slow.answer_after(b"alice", Duration::ZERO).as_secs(), 8);
    }
}
