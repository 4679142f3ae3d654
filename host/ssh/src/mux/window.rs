//! RFC 4254 §5.2: the windows of a channel, as arithmetic. No message is known here.
//!
//! The window is the only back-pressure there is: what the peer may send is what has room at the owner's, and room comes back
//! when the owner has taken the bytes, not when we have read them.

use crate::error::Violation;

/// What we let the peer send on one channel.
///
/// `base + grown` bytes are, at every moment, in one of three places:
///
/// ```text
///        receive               taken               credit
///  left ---------> with owner --------> owed -------------> left
/// ```
#[derive(Debug)]
pub(super) struct Inbound {
    /// Bytes that the peer may still send.
    left: u32,
    /// Bytes that were taken and not yet granted again.
    owed: u32,
    /// The size that it started with.
    base: u32,
    /// What it has grown by, out of the pool.
    grown: u32,
    /// Bytes taken since it last grew.
    progress: u32,
    /// The most that it may grow to.
    max: u32,
    /// Most bytes in one message.
    max_packet: u32,
}

impl Inbound {
    /// A window of `base` bytes, at most `max` later, filled by messages of at most `max_packet` bytes.
    pub(super) fn new(base: u32, max: u32, max_packet: u32) -> Inbound {
        Inbound { left: base, owed: 0, base, grown: 0, progress: 0, max, max_packet }
    }

    /// Bytes that the peer may send now.
    pub(super) fn left(&self) -> u32 {
        self.left
    }

    /// Most bytes that the peer may put into one message.
    pub(super) fn max_packet(&self) -> u32 {
        self.max_packet
    }

    /// What it is when nothing is under way.
    fn size(&self) -> u32 {
        self.base.saturating_add(self.grown)
    }

    /// So many bytes came in one message. Not one byte of slack: what the window says is what memory there is.
    pub(super) fn receive(&mut self, bytes: usize) -> Result<(), Violation> {
        let bytes = u32::try_from(bytes).map_err(|_| Violation::WindowExceeded)?;
        if bytes > self.max_packet {
            return Err(Violation::WindowExceeded);
        }
        self.left = self.left.checked_sub(bytes).ok_or(Violation::WindowExceeded)?;
        Ok(())
    }

    /// The owner has taken so many bytes, and they are owed to the peer. The window doubles after each whole window that
    /// was taken: who reads fast gets the window that a long way needs.
    pub(super) fn taken(&mut self, bytes: usize, pool: &mut Pool) {
        let with_owner = self.size().saturating_sub(self.left).saturating_sub(self.owed);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(with_owner);
        self.owed = self.owed.saturating_add(bytes);
        self.progress = self.progress.saturating_add(bytes);
        if self.progress >= self.size() {
            self.progress = 0;
            let more = pool.take(self.size().min(self.max.saturating_sub(self.size())));
            self.grown = self.grown.saturating_add(more);
            self.owed = self.owed.saturating_add(more);
        }
    }

    /// Whether so much is owed that a WINDOW_ADJUST is worth its packet: half of the window, or two full messages.
    pub(super) fn is_due(&self) -> bool {
        let worth = (self.size() / 2).min(self.max_packet.saturating_mul(2));
        self.owed >= worth.max(1)
    }

    /// Grants what is owed, and says how much that is.
    pub(super) fn credit(&mut self) -> u32 {
        let bytes = std::mem::take(&mut self.owed);
        self.left = self.left.saturating_add(bytes);
        bytes
    }

    /// Nobody will take anything any more: nothing is owed, and what was grown goes back. What the peer may still send stays
    /// counted, so that it cannot send more.
    pub(super) fn end(&mut self, pool: &mut Pool) {
        self.owed = 0;
        self.base = self.left;
        self.max = self.left;
        pool.give(std::mem::take(&mut self.grown));
    }
}

/// What the peer lets us send on one channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outbound {
    /// Bytes that we may still send.
    left: u32,
    /// Most bytes in one message.
    max_packet: u32,
}

impl Outbound {
    /// As the peer said when the channel was opened. Who can take no bytes at all can take none in any number of messages.
    pub(super) fn new(window: u32, max_packet: u32) -> Result<Outbound, Violation> {
        if max_packet == 0 { Err(Violation::MaxPacket) } else { Ok(Outbound { left: window, max_packet }) }
    }

    /// Bytes that we may send now.
    pub(super) fn left(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX)
    }

    /// How many of `bytes` may go in the next message.
    pub(super) fn fits(&self, bytes: usize) -> usize {
        bytes.min(usize::try_from(self.left.min(self.max_packet)).unwrap_or(usize::MAX))
    }

    /// So many bytes, no more than [`fits`](Outbound::fits) said, were sent.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// The peer grants more. Says whether that ends a time in which nothing could be sent.
    pub(super) fn adjust(&mut self, bytes: u32) -> Result<bool, Violation> {
        let was_empty = self.left == 0;
        self.left = self.left.checked_add(bytes).ok_or(Violation::WindowOverflow)?;
        Ok(was_empty && self.left > 0)
    }
}

/// What the windows of a connection may grow by, all together.
#[derive(Debug)]
pub(super) struct Pool {
    /// Bytes that no window has taken.
    free: u32,
}

impl Pool {
    /// A pool of so many bytes.
    pub(super) fn new(bytes: u32) -> Pool {
        Pool { free: bytes }
    }

    /// Takes up to so many bytes out.
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

    fn inbound() -> Inbound {
        Inbound::new(256 * KIB, 2048 * KIB, 32 * KIB)
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
    fn the_first_byte_over_the_window_is_one_too_many() {
        let mut window = Inbound::new(10, 10, 6);
        assert_eq!(window.receive(7), Err(Violation::WindowExceeded));
        assert_eq!(window.receive(6), Ok(()));
        assert_eq!(window.receive(5), Err(Violation::WindowExceeded));
        assert_eq!(window.receive(4), Ok(()));
        assert_eq!(window.receive(1), Err(Violation::WindowExceeded));
    }

    #[test]
    fn credit_is_owed_for_what_was_taken_and_for_nothing_else() {
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
    fn an_adjustment_is_due_after_two_messages_or_half_a_small_window() {
        let mut pool = Pool::new(0);
        let mut window = inbound();
        for _ in 0..2 {
            assert!(!window.is_due());
            window.receive(32 * 1024).unwrap();
            window.taken(32 * 1024, &mut pool);
        }
        assert!(window.is_due());
        let mut small = Inbound::new(1, 1, 32 * KIB);
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
        assert_eq!(window.size(), 2048 * KIB);
    }

    #[test]
    fn windows_grow_only_out_of_the_pool_and_give_it_back() {
        let mut pool = Pool::new(300 * KIB);
        let (mut first, mut second) = (inbound(), inbound());
        read(&mut first, 256 * 1024, &mut pool);
        read(&mut second, 256 * 1024, &mut pool);
        assert_eq!((first.size(), second.size()), (512 * KIB, 300 * KIB));
        first.end(&mut pool);
        assert_eq!(pool.free, 256 * KIB);
        let left = first.left();
        first.taken(usize::MAX, &mut pool);
        assert_eq!((first.credit(), first.left()), (0, left));
        first.end(&mut pool);
        assert_eq!(pool.free, 256 * KIB);
    }

    #[test]
    fn a_window_cannot_grow_past_what_its_number_holds() {
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
