//! Changes that can be undone.

use std::collections::VecDeque;

use super::position::Position;

/// Lines that were replaced by others.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) at: usize,
    pub(super) removed: Vec<String>,
    pub(super) inserted: usize,
}

impl Change {
    fn bytes(&self) -> usize {
        self.removed.iter().map(|line| line.len() + size_of::<String>()).sum::<usize>() + size_of::<Self>()
    }
}

/// Changes that are undone at once, and where the cursor was before.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) changes: Vec<Change>,
    pub(super) cursor: Position,
    /// The numbers of the text before and after it.
    before: u64,
    after: u64,
    bytes: usize,
}

/// The most bytes that the changes that can be undone take. The oldest go.
const LARGEST: usize = 64 << 20;

/// All steps.
#[derive(Debug, Default)]
pub(super) struct History {
    done: VecDeque<Step>,
    undone: Vec<Step>,
    open: Option<Step>,
    bytes: usize,
    /// Numbers of texts: the last given, that of the text as it is, and that of the saved one.
    given: u64,
    current: u64,
    saved: u64,
}

impl History {
    pub(super) fn begin(&mut self, cursor: Position) {
        match &mut self.open {
            Some(step) if step.changes.is_empty() => step.cursor = cursor,
            Some(_) => {}
            None => {
                self.open = Some(Step { changes: Vec::new(), cursor, before: self.current, after: 0, bytes: 0 });
            }
        }
    }

    pub(super) fn commit(&mut self) {
        let Some(step) = self.open.take() else { return };
        if step.changes.is_empty() {
            return;
        }
        self.bytes += step.bytes;
        self.done.push_back(step);
        while self.bytes > LARGEST && self.done.len() > 1 {
            self.bytes -= self.done.pop_front().map_or(0, |step| step.bytes);
        }
    }

    pub(super) fn record(&mut self, change: Change) {
        if self.open.is_none() {
            self.begin(Position::new(change.at, 0));
        }
        self.bytes -= self.undone.drain(..).map(|step| step.bytes).sum::<usize>();
        if let Some(step) = &mut self.open {
            if step.changes.is_empty() {
                self.given += 1;
                step.after = self.given;
                self.current = self.given;
            }
            step.bytes += change.bytes();
            step.changes.push(change);
        }
    }

    /// Whether the last change already holds the old text of this line.
    pub(super) fn covers(&self, line: usize) -> bool {
        let last = self.open.as_ref().and_then(|step| step.changes.last());
        last.is_some_and(|change| (change.at..change.at + change.inserted).contains(&line))
    }

    pub(super) fn is_modified(&self) -> bool {
        self.current != self.saved
    }

    pub(super) fn set_saved(&mut self) {
        self.saved = self.current;
    }

    pub(super) fn set_modified(&mut self) {
        self.saved = u64::MAX;
    }

    pub(super) fn take_done(&mut self) -> Option<Step> {
        self.commit();
        let step = self.done.pop_back()?;
        self.bytes -= step.bytes;
        self.current = step.before;
        Some(step)
    }

    pub(super) fn take_undone(&mut self) -> Option<Step> {
        self.commit();
        let step = self.undone.pop()?;
        self.bytes -= step.bytes;
        self.current = step.after;
        Some(step)
    }

    /// Keeps a step that was carried out, with the changes that take it back.
    pub(super) fn put_undone(&mut self, step: Step, changes: Vec<Change>) {
        let step = self.turned(step, changes);
        self.undone.push(step);
    }

    pub(super) fn put_done(&mut self, step: Step, changes: Vec<Change>) {
        let step = self.turned(step, changes);
        self.done.push_back(step);
    }

    fn turned(&mut self, step: Step, changes: Vec<Change>) -> Step {
        let bytes = changes.iter().map(Change::bytes).sum();
        self.bytes += bytes;
        Step { changes, bytes, ..step }
    }
}
