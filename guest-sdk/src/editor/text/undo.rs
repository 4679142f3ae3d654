//! The changes of a text, so that they can be taken back.

use std::collections::VecDeque;

/// One replacement: at a byte, this text gave way to that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) at: usize,
    pub(super) removed: String,
    pub(super) inserted: String,
    /// Where the cursor was before.
    pub(super) cursor: usize,
    /// Changes of one group are taken back together.
    group: u64,
}

impl Edit {
    fn bytes(&self) -> usize {
        self.removed.len() + self.inserted.len() + size_of::<Self>()
    }
}

/// The changes in order. Beyond the limit of bytes the oldest are forgotten.
#[derive(Debug, Clone)]
pub(super) struct Undo {
    done: VecDeque<Edit>,
    undone: Vec<Edit>,
    group: u64,
    bytes: usize,
    limit: usize,
}

impl Undo {
    pub(super) fn new(limit: usize) -> Self {
        Self { done: VecDeque::new(), undone: Vec::new(), group: 0, bytes: 0, limit }
    }

    /// What changes from now on is taken back by itself.
    pub(super) fn next_group(&mut self) {
        self.group += 1;
    }

    pub(super) fn record(&mut self, at: usize, removed: String, inserted: &str, cursor: usize) {
        self.bytes -= self.undone.drain(..).map(|change| change.bytes()).sum::<usize>();
        match self.done.back_mut() {
            // Typing on: one change for all of it.
            Some(last) if last.group == self.group && removed.is_empty() && at == last.at + last.inserted.len() => {
                last.inserted.push_str(inserted);
                self.bytes += inserted.len();
            }
            _ => {
                let change = Edit { at, removed, inserted: inserted.to_owned(), cursor, group: self.group };
                self.bytes += change.bytes();
                self.done.push_back(change);
            }
        }
        while self.bytes > self.limit
            && let Some(oldest) = self.done.pop_front()
        {
            self.bytes -= oldest.bytes();
        }
    }

    /// The changes to take back, the newest first.
    pub(super) fn take_back(&mut self) -> Vec<Edit> {
        let group = self.done.back().map(|change| change.group);
        let mut changes = Vec::new();
        while let Some(change) = self.done.pop_back_if(|change| Some(change.group) == group) {
            self.undone.push(change.clone());
            changes.push(change);
        }
        changes
    }

    /// The changes to make again, in their order.
    pub(super) fn make_again(&mut self) -> Vec<Edit> {
        let group = self.undone.last().map(|change| change.group);
        let mut changes = Vec::new();
        while let Some(change) = self.undone.pop_if(|change| Some(change.group) == group) {
            self.done.push_back(change.clone());
            changes.push(change);
        }
        changes
    }
}
