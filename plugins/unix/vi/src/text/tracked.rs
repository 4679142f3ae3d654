//! Lines that a command will come to, which move with the text.

use std::collections::VecDeque;

/// Lines in ascending order, each as the distance from the one before it. A change moves all lines behind it by one
/// distance.
#[derive(Debug, Default)]
pub(crate) struct Tracked {
    gaps: VecDeque<usize>,
    last: usize,
}

impl Tracked {
    /// Tracks these lines, in ascending order.
    pub(crate) fn new(lines: &[usize]) -> Self {
        let before = std::iter::once(0).chain(lines.iter().copied());
        let gaps = lines.iter().zip(before).map(|(line, before)| line - before).collect();
        Self { gaps, last: lines.last().copied().unwrap_or_default() }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.gaps.is_empty()
    }

    /// The first line, which is then tracked no more.
    pub(crate) fn take_first(&mut self) -> Option<usize> {
        let first = self.gaps.pop_front()?;
        if let Some(next) = self.gaps.front_mut() {
            *next += first;
        }
        Some(first)
    }

    /// Moves them as lines are replaced by others. A line stays as long as one is there for it.
    pub(super) fn adjust(&mut self, at: usize, removed: usize, inserted: usize) {
        if self.gaps.is_empty() || at > self.last {
            return;
        }
        let kept = at + removed.min(inserted);
        let (mut index, mut before) = (0, 0);
        while let Some(gap) = self.gaps.get(index).copied() {
            let line = before + gap;
            if line >= at + removed {
                self.gaps[index] = gap + inserted - removed;
                self.last = self.last + inserted - removed;
                return;
            }
            if line < kept {
                (index, before) = (index + 1, line);
                continue;
            }
            self.gaps.remove(index);
            match self.gaps.get_mut(index) {
                Some(next) => *next += gap,
                None => self.last = before,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_move_with_the_text() {
        for (at, removed, inserted, expected) in [
            (0, 0, 1, [1, 3, 6, 10].as_slice()),
            (3, 0, 2, &[0, 2, 7, 11]),
            (2, 1, 0, &[0, 4, 8]),
            (1, 5, 2, &[0, 2, 6]),
            (2, 4, 1, &[0, 2, 6]),
            (9, 1, 0, &[0, 2, 5]),
            (5, 9, 0, &[0, 2]),
            (10, 0, 7, &[0, 2, 5, 9]),
            (0, 10, 0, &[]),
            (0, 10, 3, &[0, 2]),
        ] {
            let mut tracked = Tracked::new(&[0, 2, 5, 9]);
            tracked.adjust(at, removed, inserted);
            let last = tracked.last;
            let mut lines = Vec::new();
            while let Some(line) = tracked.take_first() {
                lines.push(line);
            }
            assert_eq!(lines, expected, "{at} {removed} {inserted}");
            assert!(lines.is_empty() || lines.last() == Some(&last), "{at} {removed} {inserted}");
        }
    }
}
