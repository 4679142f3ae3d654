//! RFC 4254 §5.4: the answers to the peer's requests on one channel go out in the order of the requests.

use std::collections::VecDeque;

use crate::error::Violation;

/// What the peer's request was, as far as answering it goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ask {
    /// The peer wants an answer.
    Wanted,
    /// The peer wants none.
    Silent,
    /// The peer wants none, and a run of these may be answered as cheaply as one.
    Run,
}

/// A request whose answer cannot go out yet, because it or one before it waits for the owner.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    /// Its event is with the owner, and the answer goes to the peer.
    Wanted,
    /// Their events are with the owner, so many in a row, and the answers go nowhere.
    Silent(u32),
    /// The mux said no itself; the no waits for its turn.
    Refused,
}

/// The answers of one channel, in order.
///
/// ```text
///  ask, refuse             reply                settle
/// -------------> waiting ---------> ready ----------------> peer
/// ```
#[derive(Debug, Default)]
pub(super) struct Replies {
    /// Answers that may go out: everything before them has.
    ready: VecDeque<bool>,
    /// What waits behind the oldest unanswered event. Never starts with a `Refused`.
    waiting: VecDeque<Waiting>,
}

impl Replies {
    /// An event goes to the owner, who will answer it. At most `most` wait.
    pub(super) fn ask(&mut self, ask: Ask, most: usize) -> Result<(), Violation> {
        if let (Ask::Run, Some(Waiting::Silent(run))) = (ask, self.waiting.back_mut()) {
            *run = run.checked_add(1).ok_or(Violation::TooManyRequests)?;
            return Ok(());
        }
        self.wait(
            match ask {
                Ask::Wanted => Waiting::Wanted,
                Ask::Silent | Ask::Run => Waiting::Silent(1),
            },
            most,
        )
    }

    /// The mux says no itself to a request that wants an answer.
    pub(super) fn refuse(&mut self, most: usize) -> Result<(), Violation> {
        if self.waiting.is_empty() {
            self.ready.push_back(false);
            return Ok(());
        }
        self.wait(Waiting::Refused, most)
    }

    fn wait(&mut self, what: Waiting, most: usize) -> Result<(), Violation> {
        if self.waiting.len() >= most {
            return Err(Violation::TooManyRequests);
        }
        self.waiting.push_back(what);
        Ok(())
    }

    /// The owner answers so many of its oldest unanswered events alike. Beyond those that there are this is nothing. A run of silent ones
    /// costs what one does: a client may make millions of them.
    pub(super) fn reply(&mut self, success: bool, mut times: u32) {
        while times > 0 {
            match self.waiting.front_mut() {
                Some(Waiting::Silent(run)) if *run > times => {
                    *run -= times;
                    times = 0;
                }
                Some(Waiting::Silent(run)) => {
                    times -= *run;
                    self.waiting.pop_front();
                }
                Some(Waiting::Wanted) => {
                    times -= 1;
                    self.waiting.pop_front();
                    self.ready.push_back(success);
                }
                // It is never first.
                Some(Waiting::Refused) | None => times = 0,
            }
            while let Some(Waiting::Refused) = self.waiting.front() {
                self.waiting.pop_front();
                self.ready.push_back(false);
            }
        }
    }

    /// How many answers may go out.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// The next answer to put.
    pub(super) fn next(&mut self) -> Option<bool> {
        self.ready.pop_front()
    }

    /// No event will be answered any more; what may go out stays.
    pub(super) fn give_up(&mut self) {
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(replies: &mut Replies) -> Vec<bool> {
        std::iter::from_fn(|| replies.next()).collect()
    }

    #[test]
    fn an_answer_of_the_mux_waits_for_the_owners_that_came_before() {
        let mut replies = Replies::default();
        replies.refuse(9).unwrap();
        assert_eq!(out(&mut replies), [false]);
        replies.ask(Ask::Wanted, 9).unwrap();
        replies.refuse(9).unwrap();
        replies.refuse(9).unwrap();
        replies.ask(Ask::Wanted, 9).unwrap();
        assert_eq!(out(&mut replies), Vec::<bool>::new());
        replies.reply(true, 1);
        assert_eq!(out(&mut replies), [true, false, false]);
        replies.reply(true, 1);
        replies.reply(true, 1);
        assert_eq!(out(&mut replies), [true]);
    }

    #[test]
    fn answers_that_nobody_wants_are_swallowed_in_their_turn() {
        let mut replies = Replies::default();
        for ask in [Ask::Silent, Ask::Wanted, Ask::Run, Ask::Run, Ask::Wanted] {
            replies.ask(ask, 9).unwrap();
        }
        for success in [false, true, false, false, true] {
            replies.reply(success, 1);
        }
        assert_eq!(out(&mut replies), [true, true]);
    }

    #[test]
    fn a_run_counts_as_one_and_everything_else_by_the_piece() {
        let mut replies = Replies::default();
        for _ in 0..1000 {
            replies.ask(Ask::Run, 3).unwrap();
        }
        replies.ask(Ask::Silent, 3).unwrap();
        replies.ask(Ask::Wanted, 3).unwrap();
        assert_eq!(replies.ask(Ask::Silent, 3), Err(Violation::TooManyRequests));
        assert_eq!(replies.refuse(3), Err(Violation::TooManyRequests));
        for _ in 0..1002 {
            replies.reply(true, 1);
        }
        assert_eq!(out(&mut replies), [true]);
    }

    #[test]
    fn a_run_of_millions_is_answered_as_cheaply_as_one() {
        let mut replies = Replies::default();
        for _ in 0..3_000_000 {
            replies.ask(Ask::Run, 8).unwrap();
        }
        replies.ask(Ask::Wanted, 8).unwrap();
        replies.refuse(8).unwrap();
        replies.reply(true, 2_999_999);
        assert_eq!(out(&mut replies), []);
        replies.reply(true, 1);
        assert_eq!(out(&mut replies), []);
        // One more than there are.
        replies.reply(true, 2);
        assert_eq!(out(&mut replies), [true, false]);
    }
}
