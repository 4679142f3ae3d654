//! Keeps answers in the order of their requests, whether the session or the host gives them.

use std::collections::VecDeque;

/// A run of unanswered requests.
enum AnswerRun {
    /// The session will answer this many.
    Session(u32),
    /// The host has answered `times` of them with `success`.
    Host { success: bool, times: u32 },
}

/// The channel open and the requests that have no answer yet, the oldest first. The mux bounds how many there are.
#[derive(Default)]
pub(super) struct AnswerOrder(VecDeque<AnswerRun>);

impl AnswerOrder {
    /// The session has to answer the channel open before anything else.
    pub(super) fn opening() -> Self {
        let mut order = Self::default();
        order.push_request();
        order
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A request was passed to the session.
    pub(super) fn push_request(&mut self) {
        match self.0.back_mut() {
            Some(AnswerRun::Session(times)) => *times = times.saturating_add(1),
            Some(AnswerRun::Host { .. }) | None => self.0.push_back(AnswerRun::Session(1)),
        }
    }

    /// The host answers a request. The answer waits for those of earlier requests.
    pub(super) fn push_answer(&mut self, answer: bool) {
        match self.0.back_mut() {
            Some(AnswerRun::Host { success, times }) if *success == answer => *times = times.saturating_add(1),
            Some(_) | None => self.0.push_back(AnswerRun::Host { success: answer, times: 1 }),
        }
    }

    /// The session has answered the `times` oldest.
    pub(super) fn session_answered(&mut self, mut times: u32) {
        while times > 0
            && let Some(AnswerRun::Session(waiting)) = self.0.front_mut()
        {
            let gone = times.min(*waiting);
            *waiting -= gone;
            times -= gone;
            if *waiting == 0 {
                self.0.pop_front();
            }
        }
    }

    /// The host's next answers, unless an earlier request waits for the session.
    pub(super) fn next_answers(&mut self) -> Option<(bool, u32)> {
        match self.0.front() {
            Some(AnswerRun::Host { success, times }) => {
                let answers = (*success, *times);
                self.0.pop_front();
                Some(answers)
            }
            Some(AnswerRun::Session(_)) | None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_answers_wait_for_the_sessions_that_came_before() {
        let mut order = AnswerOrder::default();
        order.push_answer(false);
        assert_eq!((order.next_answers(), order.next_answers()), (Some((false, 1)), None));
        order.push_request();
        order.push_request();
        order.push_answer(false);
        order.push_answer(false);
        order.push_answer(true);
        order.push_request();
        order.push_answer(true);
        assert_eq!(order.next_answers(), None);
        order.session_answered(1);
        assert_eq!(order.next_answers(), None);
        order.session_answered(1);
        assert_eq!(
            (order.next_answers(), order.next_answers(), order.next_answers()),
            (Some((false, 2)), Some((true, 1)), None)
        );
        order.session_answered(1);
        assert_eq!((order.next_answers(), order.next_answers()), (Some((true, 1)), None));
        // An answer without a request changes nothing.
        order.session_answered(1);
        assert_eq!(order.next_answers(), None);
    }
}
