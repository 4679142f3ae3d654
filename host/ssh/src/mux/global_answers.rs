//! Our answers to the peer's global requests, in the order of the requests (RFC 4254 §4).
//!
//! One queue holds the answers that the mux gives at once and the places of answers that the owner gives later. An
//! answer is sent when no earlier one is missing.

use std::collections::VecDeque;

/// The most requests that wait for the owner and successes with a body that wait to be sent, together. Our limit: each
/// may hold as much memory as a packet.
const MOST_HELD: usize = 16;

/// What is sent for one request, or for several in a row.
#[derive(PartialEq, Eq, Debug)]
enum GlobalAnswer {
    /// The same answer, without a body, so many times.
    Alike { success: bool, times: u32 },
    /// A success with a body.
    WithBody(Vec<u8>),
    /// The owner has not answered yet. Nothing after it is sent.
    Awaited,
}

impl GlobalAnswer {
    /// How many answers it is.
    fn count(&self) -> usize {
        match self {
            GlobalAnswer::Alike { times, .. } => usize::try_from(*times).unwrap_or(usize::MAX),
            GlobalAnswer::WithBody(_) => 1,
            GlobalAnswer::Awaited => 0,
        }
    }
}

/// One answer to write.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum NextGlobalAnswer {
    /// REQUEST_SUCCESS.
    Success(Vec<u8>),
    /// REQUEST_FAILURE.
    Failure,
}

/// Answers to global requests, in order.
#[derive(Debug, Default)]
pub(super) struct GlobalAnswers {
    queue: VecDeque<GlobalAnswer>,
    /// The number of answers before the first that is awaited: they can be sent.
    ready: usize,
    /// How many bodies are held.
    bodies: usize,
    /// One entry for each request that the owner has not answered: whether the peer wants an answer.
    unanswered: VecDeque<bool>,
    /// How many of these want an answer. The queue has one `Awaited` for each.
    awaited: usize,
}

impl GlobalAnswers {
    /// Answers the newest request without a body. A run of equal answers is stored once.
    pub(super) fn push(&mut self, success: bool) {
        match self.queue.back_mut() {
            Some(GlobalAnswer::Alike { success: same, times }) if *same == success && *times < u32::MAX => {
                *times = times.saturating_add(1);
            }
            Some(_) | None => self.queue.push_back(GlobalAnswer::Alike { success, times: 1 }),
        }
        self.count_ready(1);
    }

    /// Answers the newest request with a success that has a body, or with a failure if as many bodies wait to be sent
    /// as may.
    pub(super) fn push_body(&mut self, body: Vec<u8>) {
        if self.held() >= MOST_HELD {
            return self.push(false);
        }
        self.bodies = self.bodies.saturating_add(1);
        self.queue.push_back(GlobalAnswer::WithBody(body));
        self.count_ready(1);
    }

    /// This many answers were added at the end of the queue.
    fn count_ready(&mut self, count: usize) {
        if self.awaited == 0 {
            self.ready = self.ready.saturating_add(count);
        }
    }

    /// The number of requests that wait for the owner and of bodies that wait to be sent.
    fn held(&self) -> usize {
        self.unanswered.len().saturating_add(self.bodies)
    }

    /// Whether one more request may be passed to the owner.
    pub(super) fn may_expect(&self) -> bool {
        self.held() < MOST_HELD
    }

    /// The newest request was passed to the owner, who will answer it. `wanted`: the peer wants the answer.
    pub(super) fn expect(&mut self, wanted: bool) {
        self.unanswered.push_back(wanted);
        if wanted {
            self.awaited = self.awaited.saturating_add(1);
            self.queue.push_back(GlobalAnswer::Awaited);
        }
    }

    /// The owner answers its oldest unanswered request, with a body for a success. An extra answer is ignored.
    pub(super) fn answer(&mut self, body: Option<Vec<u8>>) {
        if self.unanswered.pop_front() != Some(true) {
            return;
        }
        self.awaited = self.awaited.saturating_sub(1);
        let Some(place) = self.queue.iter().position(|answer| *answer == GlobalAnswer::Awaited) else { return };
        if let Some(answer) = self.queue.get_mut(place) {
            *answer = match body {
                Some(body) => {
                    self.bodies = self.bodies.saturating_add(1);
                    GlobalAnswer::WithBody(body)
                }
                None => GlobalAnswer::Alike { success: false, times: 1 },
            };
        }
        let freed = self.queue.iter().skip(place).take_while(|answer| **answer != GlobalAnswer::Awaited);
        let freed = freed.map(GlobalAnswer::count).fold(0, usize::saturating_add);
        self.ready = self.ready.saturating_add(freed);
    }

    /// The next answer to write.
    pub(super) fn pop(&mut self) -> Option<NextGlobalAnswer> {
        let next = match self.queue.front_mut()? {
            GlobalAnswer::Awaited => return None,
            GlobalAnswer::WithBody(body) => NextGlobalAnswer::Success(std::mem::take(body)),
            GlobalAnswer::Alike { success, times } => {
                let success = *success;
                *times = times.saturating_sub(1);
                if *times == 0 {
                    self.queue.pop_front();
                }
                self.ready = self.ready.saturating_sub(1);
                return Some(if success { NextGlobalAnswer::Success(Vec::new()) } else { NextGlobalAnswer::Failure });
            }
        };
        self.queue.pop_front();
        self.bodies = self.bodies.saturating_sub(1);
        self.ready = self.ready.saturating_sub(1);
        Some(next)
    }

    /// How many answers may be sent.
    pub(super) fn len(&self) -> usize {
        self.ready
    }

    /// The number of entries in memory.
    pub(super) fn weight(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What can be written, as text.
    fn out(answers: &mut GlobalAnswers) -> Vec<String> {
        let words = |answer| match answer {
            NextGlobalAnswer::Success(body) => format!("+{}", body.escape_ascii()),
            NextGlobalAnswer::Failure => "-".to_owned(),
        };
        let ready = answers.len();
        let written: Vec<String> = std::iter::from_fn(|| answers.pop()).map(words).collect();
        assert_eq!((written.len(), answers.len()), (ready, 0));
        written
    }

    #[test]
    fn answers_go_out_in_the_order_of_the_requests() {
        let mut answers = GlobalAnswers::default();
        answers.push(true);
        answers.expect(true);
        answers.push(false);
        answers.expect(false);
        answers.expect(true);
        answers.push_body(b"proof".to_vec());
        assert_eq!(out(&mut answers), ["+"]);
        answers.answer(Some(b"one".to_vec()));
        assert_eq!(out(&mut answers), ["+one", "-"]);
        answers.answer(Some(b"nobody wants it".to_vec()));
        assert_eq!(out(&mut answers), Vec::<String>::new());
        answers.answer(None);
        assert_eq!(out(&mut answers), ["-", "+proof"]);
        answers.answer(Some(b"extra".to_vec()));
        assert_eq!((out(&mut answers), answers.weight()), (Vec::new(), 0));
    }

    #[test]
    fn a_run_of_refusals_behind_an_awaited_answer_costs_one_entry() {
        let mut answers = GlobalAnswers::default();
        answers.expect(true);
        (0..1_000_000).for_each(|_| answers.push(false));
        assert_eq!((answers.weight(), answers.len()), (2, 0));
        answers.answer(None);
        assert_eq!(answers.len(), 1_000_001);
    }

    #[test]
    fn what_is_held_is_bounded_whether_it_is_answered_or_not() {
        let mut answers = GlobalAnswers::default();
        for wanted in [true, false].into_iter().cycle().take(16) {
            assert!(answers.may_expect());
            answers.expect(wanted);
        }
        assert!(!answers.may_expect());
        // A silent one leaves nothing behind when it is answered, a wanted one its body.
        answers.answer(Some(b"body".to_vec()));
        assert!(!answers.may_expect());
        answers.answer(Some(b"unwanted".to_vec()));
        assert!(answers.may_expect());
        assert_eq!(out(&mut answers), ["+body"]);
        assert!(answers.may_expect());
    }
}
