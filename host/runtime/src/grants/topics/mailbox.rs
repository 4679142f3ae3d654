//! The mailbox of one subscriber: bounded; the oldest messages are dropped first and counted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// The next delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mail {
    Message {
        topic: Arc<str>,
        data: Arc<[u8]>,
    },
    /// This many messages of the topic were dropped before the ones that wait.
    Lagged {
        topic: Arc<str>,
        missed: u32,
    },
}

#[derive(Default)]
pub(crate) struct Mailbox {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    messages: VecDeque<(Arc<str>, Arc<[u8]>)>,
    /// Bytes of all waiting messages, including the names of their topics.
    bytes: usize,
    /// Dropped messages that were not reported yet. At most one entry for each subscription.
    missed: Vec<(Arc<str>, u32)>,
    /// The waker of the session's task, if it waits.
    waker: Option<Waker>,
}

impl Mailbox {
    /// Adds a message. At most this many messages and bytes wait; the oldest are dropped.
    pub(super) fn put(&self, topic: &Arc<str>, data: &Arc<[u8]>, messages: usize, bytes: usize) {
        let mut state = self.lock();
        state.bytes += weight(topic, data);
        state.messages.push_back((Arc::clone(topic), Arc::clone(data)));
        while state.messages.len() > messages || state.bytes > bytes {
            let Some((topic, data)) = state.messages.pop_front() else { break };
            state.bytes -= weight(&topic, &data);
            state.miss(topic);
        }
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether there is a delivery; otherwise the task of `context` is woken when there is one.
    pub(crate) fn has_mail_or_listens(&self, context: &Context<'_>) -> bool {
        let mut state = self.lock();
        if state.messages.is_empty() && state.missed.is_empty() {
            state.waker = Some(context.waker().clone());
            return false;
        }
        true
    }

    /// The next delivery, oldest first. Dropped messages were older than the waiting ones.
    pub(crate) fn take(&self) -> Option<Mail> {
        let mut state = self.lock();
        if let Some((topic, missed)) = state.missed.pop() {
            return Some(Mail::Lagged { topic, missed });
        }
        let (topic, data) = state.messages.pop_front()?;
        state.bytes -= weight(&topic, &data);
        Some(Mail::Message { topic, data })
    }

    /// Drops the waiting messages of a topic.
    pub(super) fn forget(&self, topic: &str) {
        let mut state = self.lock();
        state.messages.retain(|(name, _)| **name != *topic);
        state.bytes = state.messages.iter().map(|(name, data)| weight(name, data)).sum();
        state.missed.retain(|(name, _)| **name != *topic);
    }

    /// Every change is complete or not made, so a panic elsewhere does not matter.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn miss(&mut self, topic: Arc<str>) {
        match self.missed.iter_mut().find(|(name, _)| *name == topic) {
            Some((_, missed)) => *missed = missed.saturating_add(1),
            None => self.missed.push((topic, 1)),
        }
    }
}

fn weight(topic: &str, data: &[u8]) -> usize {
    topic.len() + data.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, text: &str) -> Mail {
        Mail::Message { topic: topic.into(), data: text.as_bytes().into() }
    }

    fn put(mailbox: &Mailbox, topic: &str, text: &str) {
        mailbox.put(&topic.into(), &text.as_bytes().into(), 3, 20);
    }

    fn all(mailbox: &Mailbox) -> Vec<Mail> {
        std::iter::from_fn(|| mailbox.take()).collect()
    }

    #[test]
    fn messages_are_delivered_in_order() {
        let mailbox = Mailbox::default();
        let context = Context::from_waker(Waker::noop());
        assert!(!mailbox.has_mail_or_listens(&context));
        put(&mailbox, "a", "1");
        put(&mailbox, "b", "2");
        assert!(mailbox.has_mail_or_listens(&context));
        assert_eq!(all(&mailbox), [message("a", "1"), message("b", "2")]);
        assert!(!mailbox.has_mail_or_listens(&context));
    }

    #[test]
    fn a_full_mailbox_drops_its_oldest_and_counts_them_by_topic() {
        let mailbox = Mailbox::default();
        for text in ["1", "2", "3", "4", "5"] {
            put(&mailbox, "a", text);
        }
        let lagged = Mail::Lagged { topic: "a".into(), missed: 2 };
        assert_eq!(all(&mailbox), [lagged, message("a", "3"), message("a", "4"), message("a", "5")]);
        // The limit of bytes applies as well.
        put(&mailbox, "a", "0123456789");
        put(&mailbox, "b", "0123456789");
        assert_eq!(all(&mailbox), [Mail::Lagged { topic: "a".into(), missed: 1 }, message("b", "0123456789")]);
        // A message that could never fit is dropped itself.
        put(&mailbox, "a", "0123456789 0123456789");
        assert_eq!(all(&mailbox), [Mail::Lagged { topic: "a".into(), missed: 1 }]);
        assert_eq!(mailbox.lock().bytes, 0);
    }

    #[test]
    fn waiting_messages_of_a_topic_can_be_dropped() {
        let mailbox = Mailbox::default();
        for (topic, text) in [("a", "1"), ("a", "2"), ("b", "3"), ("a", "4"), ("b", "5")] {
            put(&mailbox, topic, text);
        }
        mailbox.forget("a");
        assert_eq!(all(&mailbox), [message("b", "3"), message("b", "5")]);
        assert_eq!(mailbox.lock().bytes, 0);
    }
}
