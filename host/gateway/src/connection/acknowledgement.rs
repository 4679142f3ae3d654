//! When what was read from a TCP connection is acknowledged. Pure.

use std::time::Duration;

/// What a turn of the driver has done, as far as it decides about the acknowledgement of what was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TurnSummary {
    /// How many bytes have come.
    pub(crate) read: usize,
    /// Bytes have gone, and an acknowledgement with them, or more of them wait for the socket.
    pub(crate) written: bool,
    /// A message on a channel came that gets no answer.
    pub(crate) unanswered: bool,
    /// A part of a packet is there, and the rest is not.
    pub(crate) partial: bool,
    /// Nobody has logged in yet.
    pub(crate) before_login: bool,
    /// The turn has read as much as a turn may: there is probably more.
    pub(crate) full: bool,
}

/// When what was read is to be acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acknowledgement {
    /// When the kernel sees fit, or an earlier turn has said.
    Unchanged,
    /// It has gone out with data.
    Done,
    /// At once.
    Now,
    /// After [`ACKNOWLEDGE_DELAY`], unless something is sent before.
    Soon,
}

/// How long to wait for data that carries the acknowledgement. Most answers to a keystroke are faster.
pub(crate) const ACKNOWLEDGE_DELAY: Duration = Duration::from_millis(3);

/// Reads up to this size are taken for a client whose next write is held back by Nagle. It is smaller than every
/// maximum segment size.
const SMALL: usize = 512;

impl TurnSummary {
    /// When what was read is to be acknowledged.
    ///
    /// The kernel delays an acknowledgement by 40 ms in the hope of data to send along. A client without TCP_NODELAY
    /// holds its next small write back until then (Nagle): paramiko, node's ssh2 and OpenSSH without a terminal. This
    /// hurts whenever the client wants to send more and gets no answer:
    ///
    /// * after NEWKEYS
    /// * after a CLOSE, EOF, window adjustment, or request that wants no reply
    /// * inside a packet that the client writes in pieces, as ssh2 does
    /// * after data that EOF follows, however much data it was
    ///
    /// The kernel acknowledges every second segment at once, so only the last segment of an odd number is delayed. A
    /// read that takes a whole turn is left to the kernel.
    pub(crate) fn acknowledgement(self) -> Acknowledgement {
        let small = self.read > 0 && self.read <= SMALL;
        if self.written {
            Acknowledgement::Done
        } else if self.read > 0 && (self.before_login || self.unanswered) || small && self.partial {
            Acknowledgement::Now
        } else if self.read > 0 && !self.full {
            Acknowledgement::Soon
        } else {
            Acknowledgement::Unchanged
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gets_no_answer_is_acknowledged_at_once() {
        let close = TurnSummary { read: 52, unanswered: true, ..TurnSummary::default() };
        let login = TurnSummary { read: 64, before_login: true, ..TurnSummary::default() };
        let piece = TurnSummary { read: 4, partial: true, ..TurnSummary::default() };
        for turn in [close, login, piece] {
            assert_eq!(turn.acknowledgement(), Acknowledgement::Now, "{turn:?}");
        }
    }

    #[test]
    fn what_may_be_answered_soon_is_left_to_its_answer_for_a_moment() {
        for read in [36, 10_000, 100_000] {
            for partial in [false, read > SMALL] {
                let turn = TurnSummary { read, partial, ..TurnSummary::default() };
                assert_eq!(turn.acknowledgement(), Acknowledgement::Soon, "{turn:?}");
            }
        }
    }

    #[test]
    fn a_bulk_of_data_and_what_was_answered_cost_no_system_call() {
        let bulk = TurnSummary { read: 128 << 10, partial: true, full: true, ..TurnSummary::default() };
        for turn in [bulk, TurnSummary::default()] {
            assert_eq!(turn.acknowledgement(), Acknowledgement::Unchanged, "{turn:?}");
        }
        let answered =
            TurnSummary { read: 36, written: true, unanswered: true, partial: true, before_login: true, full: true };
        assert_eq!(answered.acknowledgement(), Acknowledgement::Done);
    }
}
