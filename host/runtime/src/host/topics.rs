//! `whelk:ssh/topics`: messages to and from the other sessions of the tenant.
//!
//! Registered by hand, as `channel.rs` is, so that a message is copied once, out of the plugin's memory into what all subscribers share.
//! Without the grant everything is over quota.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmList};

use super::state::State;
use crate::grants::topics::Refusal;
use crate::host::bindings::imports::topics::TopicError;

type Context<'s> = StoreContextMut<'s, State>;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut topics = linker.instance("whelk:ssh/topics@0.1.0")?;
    topics.func_wrap("publish", |store: Context<'_>, (topic, data): (String, WasmList<u8>)| {
        Ok((publish(&store, &topic, &data),))
    })?;
    topics.func_wrap("subscribe", |mut store: Context<'_>, (topic,): (String,)| {
        Ok((store.data_mut().subscribe(&topic),))
    })?;
    topics.func_wrap("unsubscribe", |mut store: Context<'_>, (topic,): (String,)| {
        if let Some(subscriber) = &mut store.data_mut().subscriber {
            subscriber.unsubscribe(&topic);
        }
        Ok(())
    })
}

fn publish(store: &Context<'_>, topic: &str, data: &WasmList<u8>) -> Result<u32, TopicError> {
    let state = store.data();
    let Some(topics) = &state.grants().topics else { return Err(TopicError::OverQuota) };
    let copy = || data.as_le_slice(store).into();
    Ok(topics.publish(topic, data.len(), copy, &state.limits().topics, &state.budget().topic_rate)?)
}

impl State {
    fn subscribe(&mut self, topic: &str) -> Result<(), TopicError> {
        let Some(topics) = self.grants().topics.clone() else { return Err(TopicError::OverQuota) };
        let limits = self.limits().topics.clone();
        Ok(self.subscriber.get_or_insert_with(|| topics.subscriber()).subscribe(topic, &limits)?)
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
