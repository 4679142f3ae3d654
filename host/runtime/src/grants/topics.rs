//! The grant `topics`: publish and subscribe between the sessions of one tenant, in this process.
//!
//! A message is stored once for all subscribers and stays in the mailbox of each until its session delivers it.
//! Publishing never blocks: a full mailbox drops its oldest messages and counts them. A rate limits what a tenant
//! publishes; a message costs its bytes and a fixed amount for each subscriber, because each is work for the host.

mod mailbox;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::time::Instant;

pub(crate) use mailbox::{Mail, Mailbox};

use crate::limits::rate::TokenBucket;
use crate::limits::{Limits, count};

/// The longest name of a topic, in bytes.
const NAME: usize = 256;
/// The fixed cost of a message, and of each of its deliveries.
const POSTAGE: usize = 64;

/// Why a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    TooLarge,
    TooMany,
    OverQuota,
}

/// The subscribers of a topic, by their numbers.
type Boxes = BTreeMap<u64, Arc<Mailbox>>;

/// The topics of one tenant. Only messages that wait for a subscriber are stored.
#[derive(Default)]
pub struct Topics {
    /// The subscribers of each topic. A topic without subscribers has no entry.
    subscribers: RwLock<HashMap<Arc<str>, Boxes>>,
    next: AtomicU64,
}

impl Topics {
    /// No topics.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Puts a message into the mailbox of each subscriber and returns their number. Copies the bytes after all checks.
    /// `rate` is the tenant's, in bytes.
    pub(crate) fn publish(
        &self,
        topic: &str,
        bytes: usize,
        data: impl FnOnce() -> Arc<[u8]>,
        limits: &Limits,
        rate: &TokenBucket,
    ) -> Result<u32, Refusal> {
        if bytes > limits.topic_message || topic.len() > NAME {
            return Err(Refusal::TooLarge);
        }
        let table = self.subscribers.read().unwrap_or_else(PoisonError::into_inner);
        let found = table.get_key_value(topic);
        let subscribers = found.map_or(0, |(_, boxes)| boxes.len());
        let cost = bytes + POSTAGE * (1 + subscribers);
        if !rate.try_take_on_credit(u64::try_from(cost).unwrap_or(u64::MAX), Instant::now()) {
            return Err(Refusal::OverQuota);
        }
        if let Some((name, boxes)) = found {
            let (data, waiting) = (data(), count(limits.topic_waiting));
            boxes.values().for_each(|mailbox| mailbox.put(name, &data, waiting, limits.topic_waiting_bytes));
        }
        Ok(u32::try_from(subscribers).unwrap_or(u32::MAX))
    }

    /// A session without subscriptions.
    pub(crate) fn subscriber(self: &Arc<Self>) -> Subscriber {
        Subscriber {
            topics: Arc::clone(self),
            number: self.next.fetch_add(1, Ordering::Relaxed),
            mailbox: Arc::default(),
            subscriptions: Vec::new(),
        }
    }
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topics").finish_non_exhaustive()
    }
}

/// The subscriptions of one session and its mailbox. Dropping it unsubscribes.
pub(crate) struct Subscriber {
    topics: Arc<Topics>,
    number: u64,
    mailbox: Arc<Mailbox>,
    subscriptions: Vec<Arc<str>>,
}

impl Subscriber {
    pub(crate) fn subscribe(&mut self, topic: &str, most: usize) -> Result<(), Refusal> {
        if topic.len() > NAME {
            return Err(Refusal::TooLarge);
        }
        if self.subscriptions.iter().any(|name| **name == *topic) {
            return Ok(());
        }
        if self.subscriptions.len() >= most {
            return Err(Refusal::TooMany);
        }
        let mut table = self.topics.subscribers.write().unwrap_or_else(PoisonError::into_inner);
        let name = table.get_key_value(topic).map_or_else(|| Arc::from(topic), |(name, _)| Arc::clone(name));
        table.entry(Arc::clone(&name)).or_default().insert(self.number, Arc::clone(&self.mailbox));
        self.subscriptions.push(name);
        Ok(())
    }

    pub(crate) fn unsubscribe(&mut self, topic: &str) {
        if let Some(index) = self.subscriptions.iter().position(|name| **name == *topic) {
            let name = self.subscriptions.swap_remove(index);
            self.leave(&name);
            self.mailbox.forget(&name);
        }
    }

    fn leave(&self, name: &Arc<str>) {
        let mut table = self.topics.subscribers.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(boxes) = table.get_mut(name) {
            boxes.remove(&self.number);
            if boxes.is_empty() {
                table.remove(name);
            }
        }
    }

    /// The mailbox.
    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        for name in std::mem::take(&mut self.subscriptions) {
            self.leave(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Subscriptions that a session may have here.
    const MOST: usize = 2;

    fn publish(topics: &Topics, topic: &str, text: &str) -> Result<u32, Refusal> {
        topics.publish(topic, text.len(), || text.as_bytes().into(), &Limits::default(), &rate())
    }

    fn rate() -> TokenBucket {
        TokenBucket::of_a_second(8 << 20, Instant::now())
    }

    #[test]
    fn a_topic_without_subscribers_leaves_no_state() {
        let topics = Topics::new();
        let mut first = topics.subscriber();
        let mut second = topics.subscriber();
        first.subscribe("a", MOST).unwrap();
        first.subscribe("a", MOST).unwrap();
        second.subscribe("a", MOST).unwrap();
        second.subscribe("b", MOST).unwrap();
        assert_eq!(publish(&topics, "a", "x"), Ok(2));
        first.unsubscribe("a");
        first.unsubscribe("never");
        assert_eq!((publish(&topics, "a", "x"), publish(&topics, "b", "x")), (Ok(1), Ok(1)));
        drop(second);
        assert_eq!(publish(&topics, "a", "x"), Ok(0));
        assert!(topics.subscribers.read().unwrap().is_empty());
    }

    #[test]
    fn a_message_is_stored_once_for_all_subscribers() {
        let topics = Topics::new();
        let subscribers: Vec<_> = (0..100)
            .map(|_| {
                let mut subscriber = topics.subscriber();
                subscriber.subscribe("a", MOST).unwrap();
                subscriber
            })
            .collect();
        let data: Arc<[u8]> = vec![7; 1_000].into();
        let published = topics.publish("a", data.len(), || Arc::clone(&data), &Limits::default(), &rate());
        assert_eq!(published, Ok(100));
        assert_eq!(Arc::strong_count(&data), 101);
        drop(subscribers);
        assert_eq!(Arc::strong_count(&data), 1);
    }

    #[test]
    fn the_publish_rate_of_a_tenant_is_limited() {
        let (topics, limits) = (Topics::new(), Limits::default());
        let rate = TokenBucket::of_a_second(1_000, Instant::now());
        let publish = || topics.publish("a", 1_000, || Arc::from(vec![0; 1_000]), &limits, &rate);
        assert_eq!([publish(), publish()], [Ok(0), Err(Refusal::OverQuota)]);
    }

    #[test]
    fn overlong_names_and_messages_and_too_many_subscriptions_are_refused() {
        let (topics, limits) = (Topics::new(), Limits::default());
        let long = "x".repeat(NAME + 1);
        let mut subscriber = topics.subscriber();
        assert_eq!(subscriber.subscribe(&long, MOST), Err(Refusal::TooLarge));
        assert_eq!(publish(&topics, &long, ""), Err(Refusal::TooLarge));
        assert_eq!(publish(&topics, "a", &"x".repeat(limits.topic_message + 1)), Err(Refusal::TooLarge));
        subscriber.subscribe("", MOST).unwrap();
        subscriber.subscribe("\0", MOST).unwrap();
        assert_eq!(subscriber.subscribe("c", MOST), Err(Refusal::TooMany));
        subscriber.subscribe("", MOST).unwrap();
    }
}
