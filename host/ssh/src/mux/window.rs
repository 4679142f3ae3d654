//! RFC 4254 §5.2: the windows of a channel, as arithmetic without messages.
//!
//! The window is the only back pressure: the peer may send what the owner has room for, and it gets credit back when
//! the owner has taken the bytes, not when we have read them.

use crate::error::Violation;

/// A peer may exceed a window by its size divided by this: 10 %, as with OpenSSH. Some clients miscount their headers.
const SLACK: u32 = 10;

/// What we let the peer send on one channel.
///
/// `base + grown + debt` bytes are, at every moment, in one of three places:
///
/// ```text
///        receive               taken               credit
///  left ---------> with owner --------> owed -------------> left
/// ```
///
/// There is debt only while `left` and `owed` are 0. What the owner takes pays it before anything is owed to the peer,
/// so that a peer that miscounts agrees with us again after each pause.
#[derive(Debug)]
pub(super) struct Inbound {
    /// Bytes that the peer may still send.
    left: u32,
    /// Bytes that the owner has taken and that were not granted again.
    owed: u32,
    /// Bytes that the peer has sent above the window and that the owner has not taken.
    debt: u32,
    /// The most that the debt may be.
    slack: u32,
    /// The share that is reserved for every session of the connection.
    base: u32,
    /// Bytes taken from the pool, at the start and by growing.
    grown: u32,
    /// Bytes that the owner has taken since the window last grew.
    progress: u32,
    /// The most bytes by which it may grow.
    max: u32,
    /// The maximum packet size that the peer was told. Larger messages are accepted.
    max_packet: u32,
}

impl Inbound {
    /// The window of a new channel: its reserved share, and more if the pool has it.
    pub(super) fn new(sizes: &Sizes, pool: &mut Pool) -> Inbound {
        let base = sizes.least;
        let grown = pool.take_first(sizes.start.saturating_sub(base));
        let (left, max) = (base.saturating_add(grown), sizes.max.max(base));
        let (slack, max_packet) = (left / SLACK, sizes.max_packet);
        Inbound { left, owed: 0, debt: 0, slack, base, grown, progress: 0, max, max_packet }
    }

    /// Bytes that the peer may send now.
    pub(super) fn left(&self) -> u32 {
        self.left
    }

    /// The maximum packet size that the peer was told.
    pub(super) fn max_packet(&self) -> u32 {
        self.max_packet
    }

    /// The size of the window when nothing is in flight.
    fn size(&self) -> u32 {
        self.base.saturating_add(self.grown)
    }

    /// A message with this many bytes arrived. Up to a tenth above the window is accepted and becomes debt.
    ///
    /// # Errors
    /// It is more than that. Nothing is accepted.
    pub(super) fn receive(&mut self, bytes: usize) -> Result<(), Violation> {
        let bytes = u32::try_from(bytes).map_err(|_| Violation::WindowExceeded)?;
        let over = bytes.saturating_sub(self.left);
        let paid = over.min(self.owed);
        let debt = self.debt.saturating_add(over.saturating_sub(paid));
        if debt > self.slack {
            return Err(Violation::WindowExceeded);
        }
        self.left = self.left.saturating_sub(bytes);
        self.owed = self.owed.saturating_sub(paid);
        self.debt = debt;
        Ok(())
    }

    /// The owner has taken this many bytes, which are now owed to the peer. The window doubles after each whole window
    /// that was taken: a fast reader gets the window that a long path needs.
    pub(super) fn taken(&mut self, bytes: usize, pool: &mut Pool) {
        let counted = self.size().saturating_add(self.debt);
        let with_owner = counted.saturating_sub(self.left).saturating_sub(self.owed);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(with_owner);
        self.owe(bytes);
        self.progress = self.progress.saturating_add(bytes);
        if self.progress >= self.size() {
            self.progress = 0;
            let more = pool.take_more(self.size().min(self.max.saturating_sub(self.size())));
            self.grown = self.grown.saturating_add(more);
            self.slack = self.size() / SLACK;
            self.owe(more);
        }
    }

    /// This many bytes have room again: they pay the debt first.
    fn owe(&mut self, bytes: u32) {
        let paid = bytes.min(self.debt);
        self.debt = self.debt.saturating_sub(paid);
        self.owed = self.owed.saturating_add(bytes.saturating_sub(paid));
    }

    /// Whether enough is owed for a WINDOW_ADJUST: half of a small window; of a larger one two full messages or an
    /// eighth, whichever is more. Each adjustment is a packet, a write and a wake-up of the peer. On a long path what
    /// is owed is missing from the window, so it is no more than an eighth.
    pub(super) fn is_due(&self) -> bool {
        let worth = (self.size() / 2).min(self.max_packet.saturating_mul(2).max(self.size() / 8));
        self.owed >= worth.max(1)
    }

    /// Grants what is owed and returns how much that is.
    pub(super) fn credit(&mut self) -> u32 {
        let bytes = std::mem::take(&mut self.owed);
        self.left = self.left.saturating_add(bytes);
        bytes
    }

    /// The owner takes nothing more: nothing is owed, and the bytes from the pool go back to it. What the peer may
    /// still send stays counted, so that it cannot send more.
    pub(super) fn end(&mut self, pool: &mut Pool) {
        self.owed = 0;
        self.base = self.left;
        self.max = self.left;
        pool.give(std::mem::take(&mut self.grown));
    }
}

/// The window of our data on one channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outbound {
    /// Bytes that we may still send.
    left: u32,
    /// The most bytes in one message.
    max_packet: u32,
}

impl Outbound {
    /// The window of a channel on which nothing is sent.
    pub(super) const CLOSED: Outbound = Outbound { left: 0, max_packet: 0 };

    /// From the peer's CHANNEL_OPEN or its confirmation. A maximum packet size of zero is an error: no data could ever
    /// be sent.
    pub(super) fn new(window: u32, max_packet: u32) -> Result<Outbound, Violation> {
        if max_packet == 0 { Err(Violation::MaxPacket) } else { Ok(Outbound { left: window, max_packet }) }
    }

    /// Bytes that we may send now.
    pub(super) fn left(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX)
    }

    /// How many of `bytes` may go into the next message.
    pub(super) fn fits(&self, bytes: usize) -> usize {
        bytes.min(usize::try_from(self.left.min(self.max_packet)).unwrap_or(usize::MAX))
    }

    /// This many bytes were sent, no more than [`fits`](Outbound::fits) allowed.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// The peer adjusts its window. Returns whether sending was blocked and is possible again.
    pub(super) fn adjust(&mut self, bytes: u32) -> Result<bool, Violation> {
        let was_empty = self.left == 0;
        self.left = self.left.checked_add(bytes).ok_or(Violation::WindowOverflow)?;
        Ok(was_empty && self.left > 0)
    }
}

/// How a connection sizes its windows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// The share that is reserved for each session.
    pub(super) least: u32,
    /// The initial size of a window while the pool has enough.
    pub(super) start: u32,
    /// The size to which it may grow.
    pub(super) max: u32,
    /// The maximum packet size that the peer is told.
    pub(super) max_packet: u32,
}

/// The bytes that the windows of a connection share beyond the reserved ones.
///
/// The pool is never used up: a new window takes at most a sixteenth of what is free, and growing windows leave a
/// quarter to new ones. So the first and the busy sessions get large windows, and later ones still get something.
#[derive(Debug)]
pub(super) struct Pool {
    /// Bytes that are free.
    free: u32,
    /// Bytes that growing windows must leave.
    kept: u32,
}

impl Pool {
    /// A pool of this many bytes.
    pub(super) fn new(bytes: u32) -> Pool {
        Pool { free: bytes, kept: bytes / 4 }
    }

    /// Takes up to this many bytes for a new window.
    fn take_first(&mut self, bytes: u32) -> u32 {
        self.take(bytes.min(self.free / 16))
    }

    /// Takes up to this many bytes for a growing window.
    fn take_more(&mut self, bytes: u32) -> u32 {
        self.take(bytes.min(self.free.saturating_sub(self.kept)))
    }

    /// Takes up to this many bytes.
    fn take(&mut self, bytes: u32) -> u32 {
        let bytes = bytes.min(self.free);
        self.free = self.free.saturating_sub(bytes);
        bytes
    }

    /// Puts bytes back.
    fn give(&mut self, bytes: u32) {
        self.free = self.free.saturating_add(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u32 = 1024;

    /// A window of this many bytes, none of them from the pool.
    fn fixed(bytes: u32, max: u32, max_packet: u32) -> Inbound {
        Inbound::new(&Sizes { least: bytes, start: bytes, max, max_packet }, &mut Pool::new(0))
    }

    fn inbound() -> Inbound {
        fixed(256 * KIB, 2048 * KIB, 32 * KIB)
    }

    fn read(window: &mut Inbound, bytes: usize, pool: &mut Pool) {
        for _ in 0..bytes / KIB as usize {
            window.receive(KIB as usize).unwrap();
            window.taken(KIB as usize, pool);
            if window.is_due() {
                window.credit();
            }
        }
    }

    #[test]
    fn a_tenth_over_the_window_is_taken_and_not_one_byte_more() {
        let mut window = fixed(100, 100, 60);
        assert_eq!(window.receive(70), Ok(()), "more than a packet is no fault");
        assert_eq!(window.receive(41), Err(Violation::WindowExceeded));
        assert_eq!((window.left, window.debt), (30, 0), "nothing of it is taken");
        assert_eq!(window.receive(36), Ok(()));
        assert_eq!((window.left, window.debt), (0, 6));
        assert_eq!(window.receive(5), Err(Violation::WindowExceeded));
        assert_eq!(window.receive(4), Ok(()));
        assert_eq!(window.receive(1), Err(Violation::WindowExceeded));
        assert_eq!(window.receive(usize::MAX), Err(Violation::WindowExceeded));
    }

    #[test]
    fn data_above_the_window_is_paid_off_before_new_credit() {
        let (mut window, mut pool) = (fixed(100, 100, 60), Pool::new(0));
        window.receive(110).unwrap();
        window.taken(8, &mut pool);
        assert_eq!((window.credit(), window.left, window.debt), (0, 0, 2));
        assert_eq!(window.receive(8), Ok(()), "what was worked off may be exceeded again");
        window.taken(1000, &mut pool);
        assert_eq!((window.credit(), window.left, window.debt), (100, 100, 0));
    }

    #[test]
    fn sending_taken_but_ungranted_bytes_causes_no_debt() {
        let (mut window, mut pool) = (fixed(100, 100, 60), Pool::new(0));
        window.receive(100).unwrap();
        window.taken(40, &mut pool);
        assert_eq!(window.receive(45), Ok(()));
        assert_eq!((window.owed, window.debt), (0, 5));
        window.taken(105, &mut pool);
        assert_eq!((window.credit(), window.left), (100, 100));
    }

    /// Whatever happens, the owner never holds more than window and slack, and the three places add up.
    #[test]
    fn a_peer_that_miscounts_each_message_goes_on_for_ever() {
        let (mut window, mut pool) = (fixed(1000, 1000, 100), Pool::new(0));
        // What the peer believes that it may send: it does not count 9 bytes of each message.
        let mut believed = 1000;
        for _ in 0..1000 {
            let mut held = 0;
            while believed >= 91 {
                window.receive(100).unwrap();
                believed -= 91;
                held += 100;
                assert!(held <= 1100);
                assert_eq!(window.size() + window.debt, window.left + window.owed + held);
            }
            window.taken(held as usize, &mut pool);
            believed += window.credit();
        }
    }

    #[test]
    fn credit_is_owed_only_for_taken_bytes() {
        let (mut window, mut pool) = (inbound(), Pool::new(0));
        window.receive(1000).unwrap();
        assert_eq!(window.credit(), 0);
        window.taken(400, &mut pool);
        assert!(!window.is_due(), "400 bytes are not worth a packet");
        window.taken(5000, &mut pool);
        assert_eq!(window.credit(), 1000);
        assert_eq!(window.left(), 256 * KIB);
    }

    #[test]
    fn an_adjustment_is_due_after_two_messages_half_a_small_window_or_an_eighth_of_a_large_one() {
        let mut pool = Pool::new(0);
        let mut window = inbound();
        for _ in 0..2 {
            assert!(!window.is_due());
            window.receive(32 * 1024).unwrap();
            window.taken(32 * 1024, &mut pool);
        }
        assert!(window.is_due());
        let mut large = fixed(2048 * KIB, 2048 * KIB, 32 * KIB);
        large.receive(256 << 10).unwrap();
        large.taken((256 << 10) - 1, &mut pool);
        assert!(!large.is_due());
        large.taken(1, &mut pool);
        assert!(large.is_due());
        let mut small = fixed(1, 1, 32 * KIB);
        assert!(!small.is_due());
        small.receive(1).unwrap();
        small.taken(1, &mut pool);
        assert!(small.is_due());
    }

    #[test]
    fn a_window_doubles_with_each_window_taken_until_its_limit() {
        let (mut window, mut pool) = (inbound(), Pool::new(8192 * KIB));
        for size in [256, 512, 1024, 2048, 2048] {
            assert_eq!(window.size(), size * KIB);
            read(&mut window, (size * KIB) as usize, &mut pool);
        }
        assert_eq!((window.size(), window.slack), (2048 * KIB, 2048 * KIB / 10));
    }

    #[test]
    fn windows_grow_only_out_of_the_pool_and_give_it_back() {
        let mut pool = Pool::new(400 * KIB);
        let (mut first, mut second) = (inbound(), inbound());
        read(&mut first, 256 * 1024, &mut pool);
        read(&mut second, 256 * 1024, &mut pool);
        assert_eq!((first.size(), second.size()), (512 * KIB, 300 * KIB));
        first.end(&mut pool);
        assert_eq!(pool.free, 356 * KIB);
        let left = first.left();
        first.taken(usize::MAX, &mut pool);
        assert_eq!((first.credit(), first.left()), (0, left));
        first.end(&mut pool);
        assert_eq!(pool.free, 356 * KIB);
    }

    /// 64 sessions, 8 MiB, 256 KiB at the start while there is enough, never less than 32 KiB.
    #[test]
    fn ten_windows_start_whole_and_those_of_sixty_four_fit_with_something_left_to_grow() {
        let sizes = Sizes { least: 32 * KIB, start: 256 * KIB, max: 2048 * KIB, max_packet: 32 * KIB };
        let mut pool = Pool::new(6 * 1024 * KIB);
        let windows: Vec<Inbound> = (0..64).map(|_| Inbound::new(&sizes, &mut pool)).collect();
        assert!(windows[..10].iter().all(|window| window.left() == 256 * KIB));
        assert!(windows.iter().all(|window| window.left() > 32 * KIB));
        let all: u32 = windows.iter().map(Inbound::left).sum();
        assert!(all + pool.free == 8192 * KIB && pool.free > 64 * KIB, "{all} and {} free", pool.free);
    }

    #[test]
    fn three_busy_windows_leave_room_for_a_fourth() {
        let sizes = Sizes { least: 32 * KIB, start: 256 * KIB, max: 2048 * KIB, max_packet: 32 * KIB };
        let mut pool = Pool::new(6 * 1024 * KIB);
        for _ in 0..3 {
            let mut window = Inbound::new(&sizes, &mut pool);
            read(&mut window, 8 << 20, &mut pool);
            assert!(window.size() > 512 * KIB, "{} KiB", window.size() / KIB);
        }
        let fourth = Inbound::new(&sizes, &mut pool);
        assert!(fourth.size() > 64 * KIB, "{} KiB", fourth.size() / KIB);
    }

    #[test]
    fn a_window_cannot_overflow() {
        let mut window = Outbound::new(1, 9).unwrap();
        assert_eq!(window.adjust(u32::MAX), Err(Violation::WindowOverflow));
        assert_eq!(window.adjust(u32::MAX - 1), Ok(false));
        assert_eq!(window.adjust(1), Err(Violation::WindowOverflow));
    }

    #[test]
    fn the_smaller_of_window_and_packet_limit_bounds_a_message() {
        let mut window = Outbound::new(5, 3).unwrap();
        assert_eq!(window.fits(100), 3);
        window.sent(3);
        assert_eq!(window.fits(100), 2);
        window.sent(2);
        assert_eq!(window.fits(100), 0);
        assert_eq!(window.adjust(0), Ok(false));
        assert_eq!(window.adjust(1), Ok(true));
        assert_eq!(Outbound::new(5, 0).unwrap_err(), Violation::MaxPacket);
    }
}
