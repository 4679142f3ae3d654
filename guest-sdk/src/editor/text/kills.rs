//! The kill ring: what was killed, to be inserted again.

use std::collections::VecDeque;

/// The latest kills, the newest last. Beyond its limits the oldest are forgotten.
#[derive(Debug, Clone)]
pub(in crate::editor) struct Kills {
    ring: VecDeque<String>,
    /// How far back the last yank looked.
    back: usize,
    bytes: usize,
    limit: usize,
}

/// The most kills that are kept, however short.
const MOST: usize = 60;

impl Kills {
    pub(in crate::editor) fn new(limit: usize) -> Self {
        Self { ring: VecDeque::new(), back: 0, bytes: 0, limit }
    }

    /// Keeps what was killed. `joined`: the command before was a kill too, and both are one text.
    pub(in crate::editor) fn push(&mut self, text: &str, backward: bool, joined: bool) {
        self.back = 0;
        if text.is_empty() {
            return;
        }
        self.bytes += text.len();
        match self.ring.back_mut().filter(|_| joined) {
            Some(last) if backward => last.insert_str(0, text),
            Some(last) => last.push_str(text),
            None => self.ring.push_back(text.to_owned()),
        }
        while (self.ring.len() > MOST || self.bytes > self.limit)
            && let Some(oldest) = self.ring.pop_front()
        {
            self.bytes -= oldest.len();
        }
    }

    /// The newest kill.
    pub(in crate::editor) fn newest(&mut self) -> Option<&str> {
        self.back = 0;
        self.ring.back().map(String::as_str)
    }

    /// The kill before the one that was last inserted; after the oldest comes the newest.
    pub(in crate::editor) fn rotate(&mut self) -> Option<&str> {
        let last = self.ring.len().checked_sub(1)?;
        self.back = if self.back < last { self.back + 1 } else { 0 };
        self.ring.get(last - self.back).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_in_a_row_are_one_and_the_ring_goes_around() {
        let mut kills = Kills::new(100);
        assert_eq!(kills.rotate(), None);
        kills.push("b", false, false);
        kills.push("c", false, true);
        kills.push("a", true, true);
        kills.push("next", false, false);
        assert_eq!(kills.newest(), Some("next"));
        assert_eq!(kills.rotate(), Some("abc"));
        assert_eq!(kills.rotate(), Some("next"));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut kills = Kills::new(10);
        for text in ["aaaa", "bbbb", "cccc"] {
            kills.push(text, false, false);
        }
        assert_eq!((kills.ring.len(), kills.newest()), (2, Some("cccc")));
        kills.push(&"x".repeat(11), false, false);
        assert_eq!(kills.newest(), None);
        for _ in 0..1000 {
            kills.limit = 10_000;
            kills.push("x", false, false);
        }
        assert_eq!(kills.ring.len(), MOST);
    }
}
