//! `whelk:ssh/topics`: messages to and from the other sessions of the tenant.
//!
//! Registered by hand, like `channel.rs`, so that a message is copied once, from the plugin's memory to the copy that
//! all subscribers share. Without the grant every call fails with over quota.

use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmList};

use crate::grants::topics::{Mailbox, Refusal, Subscriber};
use crate::host::bindings::imports::topics::TopicError;
use crate::limits::count;
use crate::tenant::Tenant;

/// What a process has of its tenant's topics.
pub(crate) struct SessionTopics {
    tenant: Arc<Tenant>,
    /// Made when it first subscribes.
    subscriber: Option<Subscriber>,
}

/// A store whose data has topics.
pub(super) trait HasTopics: Send + 'static {
    fn topics(&mut self) -> &mut SessionTopics;
}

type Context<'s, T> = StoreContextMut<'s, T>;

pub(super) fn link<T: HasTopics>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut topics = linker.instance("whelk:ssh/topics@0.1.0")?;
    topics.func_wrap("publish", |mut store: Context<'_, T>, (topic, data): (String, WasmList<u8>)| {
        let tenant = Arc::clone(&store.data_mut().topics().tenant);
        Ok((publish(&store, &tenant, &topic, &data),))
    })?;
    topics.func_wrap("subscribe", |mut store: Context<'_, T>, (topic,): (String,)| {
        Ok((store.data_mut().topics().subscribe(&topic),))
    })?;
    topics.func_wrap("unsubscribe", |mut store: Context<'_, T>, (topic,): (String,)| {
        if let Some(subscriber) = &mut store.data_mut().topics().subscriber {
            subscriber.unsubscribe(&topic);
        }
        Ok(())
    })
}

fn publish<T: 'static>(
    store: &Context<'_, T>,
    tenant: &Tenant,
    topic: &str,
    data: &WasmList<u8>,
) -> Result<u32, TopicError> {
    let Some(topics) = &tenant.grants().topics else { return Err(TopicError::OverQuota) };
    let copy = || data.as_le_slice(store).into();
    Ok(topics.publish(topic, data.len(), copy, tenant.limits(), &tenant.budget().topic_rate)?)
}

impl SessionTopics {
    pub(crate) fn new(tenant: &Arc<Tenant>) -> Self {
        Self { tenant: Arc::clone(tenant), subscriber: None }
    }

    /// The messages that have come; none if it has never subscribed.
    pub(crate) fn mailbox(&self) -> Option<&Mailbox> {
        self.subscriber.as_ref().map(Subscriber::mailbox)
    }

    fn subscribe(&mut self, topic: &str) -> Result<(), TopicError> {
        let Some(topics) = &self.tenant.grants().topics else { return Err(TopicError::OverQuota) };
        let subscriber = self.subscriber.get_or_insert_with(|| topics.subscriber());
        Ok(subscriber.subscribe(topic, count(self.tenant.limits().topics))?)
    }
}

impl From<Refusal> for TopicError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooLarge => Self::TooLarge,
            Refusal::TooMany => Self::TooMany,
            Refusal::OverQuota => Self::OverQuota,
        }
    }
}
