//! RFC 4254 §4, §5.4: answers to the peer's requests, in the order of the requests. [`Answers`] holds those that may be
//! sent, global ones too; [`Replies`] keeps the order of one channel.

use std::collections::VecDeque;

/// The kind of a peer's request, as far as answers are concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReplyKind {
    /// The peer wants an answer.
    Wanted,
    /// The peer wants none.
    Silent,
    /// The peer wants none, and a run of these is stored and answered as one.
    Run,
}

/// Answers that may be sent, in order. A run of equal ones is stored once.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Each answer and how often it is given.
    runs: VecDeque<(bool, u32)>,
    /// The number of answers.
    total: usize,
}

impl Answers {
    /// Adds this many equal answers.
    pub(super) fn push(&mut self, success: bool, times: u32) {
        if times == 0 {
            return;
        }
        self.total = self.total.saturating_add(usize::try_from(times).unwrap_or(usize::MAX));
        match self.runs.back_mut() {
            Some((same, run)) if *same == success && run.checked_add(times).is_some() => {
                *run = run.saturating_add(times)
            }
            Some(_) | None => self.runs.push_back((success, times)),
        }
    }

    /// The next answer to write.
    pub(super) fn pop(&mut self) -> Option<bool> {
        let (success, run) = self.runs.front_mut()?;
        let success = *success;
        *run = run.saturating_sub(1);
        self.total = self.total.saturating_sub(1);
        if *run == 0 {
            self.runs.pop_front();
        }
        Some(success)
    }

    /// The number of answers.
    pub(super) fn len(&self) -> usize {
        self.total
    }

    /// The number of stored runs.
    pub(super) fn weight(&self) -> usize {
        self.runs.len()
    }
}

/// A request that the owner has not answered, or several of a kind.
#[derive(Clone, Copy, Debug)]
enum Waiting {
    /// The answer is sent to the peer, followed by this many refusals of the mux.
    Wanted { refused: u32 },
    /// The answer is not sent.
    Silent,
    /// This many in a row whose answers are not sent.
    Run(u32),
}

/// The answers of one channel, in order.
///
/// ```text
///  expect, refuse             reply            write_owed
/// ----------------> waiting ---------> ready ------------> peer
/// ```
#[derive(Debug, Default)]
pub(super) struct Replies {
    /// Answers that may be sent: everything before them has been.
    ready: Answers,
    /// Requests that wait for the owner.
    waiting: VecDeque<Waiting>,
    /// How many of these are `Wanted`.
    wanted: usize,
    /// How many follow the last `Wanted`.
    behind: usize,
}

impl Replies {
    /// Whether one more event may go to the owner, who may have at most `most` unanswered ones.
    pub(super) fn admits(&self, reply: ReplyKind, most: usize) -> bool {
        self.waiting.len() < most || self.run_goes_on(reply)
    }

    /// Whether this request extends the run before it.
    fn run_goes_on(&self, reply: ReplyKind) -> bool {
        reply == ReplyKind::Run && matches!(self.waiting.back(), Some(Waiting::Run(run)) if *run < u32::MAX)
    }

    /// A request was passed to the owner, who will answer it.
    pub(super) fn expect(&mut self, reply: ReplyKind) {
        if self.run_goes_on(reply)
            && let Some(Waiting::Run(run)) = self.waiting.back_mut()
        {
            *run = run.saturating_add(1);
            return;
        }
        self.behind = self.behind.saturating_add(1);
        self.waiting.push_back(match reply {
            ReplyKind::Wanted => {
                self.wanted = self.wanted.saturating_add(1);
                self.behind = 0;
                Waiting::Wanted { refused: 0 }
            }
            ReplyKind::Silent => Waiting::Silent,
            ReplyKind::Run => Waiting::Run(1),
        });
    }

    /// A request is refused without asking the owner. If the peer wants an answer, it is sent after those before it.
    /// Any number of these takes no memory.
    pub(super) fn refuse(&mut self, reply: ReplyKind) {
        if reply != ReplyKind::Wanted {
            return;
        }
        if self.wanted == 0 {
            return self.ready.push(false, 1);
        }
        let last = self.waiting.len().saturating_sub(self.behind).saturating_sub(1);
        if let Some(Waiting::Wanted { refused }) = self.waiting.get_mut(last) {
            *refused = refused.saturating_add(1);
        }
    }

    /// The owner gives the same answer to this many of its oldest unanswered requests. Extra answers are ignored. A run
    /// costs as much as one: a client may make millions of them.
    pub(super) fn reply(&mut self, success: bool, mut times: u32) {
        while times > 0
            && let Some(first) = self.waiting.front_mut()
        {
            match first {
                Waiting::Run(run) if *run > times => {
                    *run = run.saturating_sub(times);
                    return;
                }
                Waiting::Run(run) => times = times.saturating_sub(*run),
                Waiting::Silent => times = times.saturating_sub(1),
                Waiting::Wanted { refused } => {
                    times = times.saturating_sub(1);
                    self.wanted = self.wanted.saturating_sub(1);
                    self.ready.push(success, 1);
                    self.ready.push(false, *refused);
                }
            }
            self.waiting.pop_front();
        }
    }

    /// The answers that may be sent.
    pub(super) fn ready(&self) -> &Answers {
        &self.ready
    }

    /// The next answer to write.
    pub(super) fn next(&mut self) -> Option<bool> {
        self.ready.pop()
    }

    /// No further request will be answered; answers that may be sent stay.
    pub(super) fn give_up(&mut self) {
        self.waiting.clear();
        self.wanted = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(replies: &mut Replies) -> Vec<bool> {
        std::iter::from_fn(|| replies.next()).collect()
    }

    #[test]
    fn an_answer_of_the_mux_waits_for_earlier_answers_of_the_owner() {
        let mut replies = Replies::default();
        replies.refuse(ReplyKind::Wanted);
        assert_eq!(out(&mut replies), [false]);
        replies.expect(ReplyKind::Wanted);
        replies.refuse(ReplyKind::Wanted);
        replies.refuse(ReplyKind::Wanted);
        replies.expect(ReplyKind::Wanted);
        assert_eq!(out(&mut replies), []);
        replies.reply(true, 1);
        assert_eq!(out(&mut replies), [true, false, false]);
        replies.reply(true, 1);
        replies.reply(true, 1);
        assert_eq!(out(&mut replies), [true]);
    }

    #[test]
    fn a_refusal_does_not_wait_for_requests_without_an_answer() {
        let mut replies = Replies::default();
        replies.expect(ReplyKind::Silent);
        replies.refuse(ReplyKind::Wanted);
        assert_eq!(out(&mut replies), [false]);
        replies.expect(ReplyKind::Wanted);
        replies.expect(ReplyKind::Silent);
        replies.expect(ReplyKind::Run);
        replies.refuse(ReplyKind::Wanted);
        replies.refuse(ReplyKind::Silent);
        replies.reply(true, 2);
        assert_eq!(out(&mut replies), [true, false], "the two behind it are not answered yet");
        assert_eq!(replies.waiting.len(), 2);
        replies.refuse(ReplyKind::Wanted);
        assert_eq!(out(&mut replies), [false]);
    }

    #[test]
    fn unwanted_answers_are_dropped_in_order() {
        let mut replies = Replies::default();
        for reply in [ReplyKind::Silent, ReplyKind::Wanted, ReplyKind::Run, ReplyKind::Run, ReplyKind::Wanted] {
            replies.expect(reply);
        }
        for success in [false, true, false, false, true] {
            replies.reply(success, 1);
        }
        assert_eq!(out(&mut replies), [true, true]);
    }

    #[test]
    fn a_run_counts_as_one_and_other_events_individually() {
        let mut replies = Replies::default();
        for _ in 0..1000 {
            assert!(replies.admits(ReplyKind::Run, 3));
            replies.expect(ReplyKind::Run);
        }
        for reply in [ReplyKind::Silent, ReplyKind::Wanted] {
            assert!(replies.admits(reply, 3));
            replies.expect(reply);
        }
        for reply in [ReplyKind::Silent, ReplyKind::Wanted, ReplyKind::Run] {
            assert!(!replies.admits(reply, 3));
        }
        replies.reply(true, 1002);
        assert!(replies.admits(ReplyKind::Silent, 3));
        assert_eq!(out(&mut replies), [true]);
    }

    #[test]
    fn refusals_cost_no_memory_whatever_stands_between_them() {
        let mut replies = Replies::default();
        for _ in 0..1_000_000 {
            if replies.admits(ReplyKind::Wanted, 5) {
                replies.expect(ReplyKind::Wanted);
            }
            replies.refuse(ReplyKind::Wanted);
        }
        assert_eq!((replies.waiting.len(), replies.ready.weight()), (5, 0));
        replies.reply(true, 4);
        assert_eq!(out(&mut replies), [true, false, true, false, true, false, true, false]);
        replies.reply(true, 1);
        assert_eq!((replies.ready.len(), replies.ready.weight()), (1 + 999_996, 2));
        assert_eq!(replies.next(), Some(true));
        assert_eq!((replies.ready.len(), replies.next()), (999_996, Some(false)));
    }

    #[test]
    fn a_run_of_millions_is_answered_as_cheaply_as_one() {
        let mut replies = Replies::default();
        for _ in 0..3_000_000 {
            replies.expect(ReplyKind::Run);
        }
        replies.expect(ReplyKind::Wanted);
        replies.refuse(ReplyKind::Wanted);
        replies.reply(true, 2_999_999);
        assert_eq!(out(&mut replies), []);
        replies.reply(true, 1);
        assert_eq!(out(&mut replies), []);
        // One more than there are requests.
        replies.reply(true, 2);
        assert_eq!(out(&mut replies), [true, false]);
    }
}
