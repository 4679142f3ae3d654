//! `wasi:keyvalue@0.2.0-draft`: `store`, `atomics` and `batch`, over the tenant's buckets, with any back end.
//!
//! Registered by hand, like `channel.rs`: a value stays in the plugin's memory until it is the tenant's turn, so that
//! what waits for the disk takes no host memory. Lengths and counts are checked here; back ends see nothing that is too
//! large.
//!
//! Without the grant everything answers `access-denied`.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::time::{Instant, sleep_until};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, LinkerInstance, Resource, ResourceType, WasmList, WasmStr};

use super::state::State;
use crate::grants::keyvalue::{Buckets, InFlight, KeyValue, Load, Page, StoreError, operations_of};
use crate::host::bindings::keyvalue::store as wit;
use crate::limits::budget::Charge;
use crate::limits::count;

/// The most bytes of keys on one page of a list.
const PAGE: usize = 256 << 10;

type Context<'s> = StoreContextMut<'s, State>;
/// The result of a call; the outer error is a violation of the component model.
type Answer<R> = wasmtime::Result<Result<R, wit::Error>>;
type Waits<'s, R> = Box<dyn Future<Output = wasmtime::Result<(Result<R, wit::Error>,)>> + Send + 's>;
type Entries = Vec<Option<KeyValue>>;

/// The value of a plugin's handle.
struct OpenBucket {
    name: String,
    /// Charged for the name: a plugin may hold a thousand handles.
    _charge: Charge,
}

type Handle = Resource<OpenBucket>;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut store = linker.instance("wasi:keyvalue/store@0.2.0-draft")?;
    store.resource("bucket", ResourceType::host::<OpenBucket>(), |mut store, handle| {
        store.data_mut().wasi().view().table.delete(Handle::new_own(handle))?;
        Ok(())
    })?;
    store.func_wrap("open", |mut store: Context<'_>, (name,): (String,)| Ok((store.data_mut().open(name),)))?;
    link_keys(&mut store)?;
    let mut atomics = linker.instance("wasi:keyvalue/atomics@0.2.0-draft")?;
    atomics.func_wrap_async("increment", |store: Context<'_>, args: (Handle, String, u64)| -> Waits<'_, _> {
        answer(increment(store, args))
    })?;
    let mut batch = linker.instance("wasi:keyvalue/batch@0.2.0-draft")?;
    batch.func_wrap_async("get-many", |store: Context<'_>, args: (Handle, WasmList<WasmStr>)| -> Waits<'_, _> {
        answer(get_many(store, args))
    })?;
    batch.func_wrap_async(
        "set-many",
        |store: Context<'_>, args: (Handle, WasmList<(WasmStr, WasmList<u8>)>)| -> Waits<'_, _> {
            answer(set_many(store, args))
        },
    )?;
    batch.func_wrap_async("delete-many", |store: Context<'_>, args: (Handle, WasmList<WasmStr>)| -> Waits<'_, _> {
        answer(delete_many(store, args))
    })
}

fn link_keys(store: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    store.func_wrap_async("[method]bucket.get", |store: Context<'_>, args: (Handle, String)| -> Waits<'_, _> {
        answer(get(store, args))
    })?;
    store.func_wrap_async(
        "[method]bucket.set",
        |store: Context<'_>, args: (Handle, String, WasmList<u8>)| -> Waits<'_, _> { answer(set(store, args)) },
    )?;
    store.func_wrap_async("[method]bucket.delete", |store: Context<'_>, args: (Handle, String)| -> Waits<'_, _> {
        answer(delete(store, args))
    })?;
    store.func_wrap_async("[method]bucket.exists", |store: Context<'_>, args: (Handle, String)| -> Waits<'_, _> {
        answer(exists(store, args))
    })?;
    store.func_wrap_async(
        "[method]bucket.list-keys",
        |store: Context<'_>, args: (Handle, Option<u64>)| -> Waits<'_, _> { answer(list_keys(store, args)) },
    )
}

/// In the form that the linker requires.
fn answer<'s, R>(call: impl Future<Output = Answer<R>> + Send + 's) -> Waits<'s, R> {
    Box::new(async move { Ok((call.await?,)) })
}

impl State {
    fn open(&mut self, name: String) -> Result<Handle, wit::Error> {
        if self.grants().keyvalue.is_none() {
            return Err(wit::Error::AccessDenied);
        }
        self.check_length("the name of the bucket", name.len(), self.limits().keyvalue_key)?;
        let charge = self.charges.memory(name.len()).ok_or_else(|| other("the tenant has no memory left"))?;
        let bucket = OpenBucket { name, _charge: charge };
        self.wasi().view().table.push(bucket).map_err(|_| other("too many handles"))
    }

    fn check_length(&self, what: &str, length: usize, most: usize) -> Result<(), wit::Error> {
        if length <= most { Ok(()) } else { Err(other(format_args!("{what} has more than {most} bytes"))) }
    }

    fn check_key(&self, key: &str) -> Result<(), wit::Error> {
        self.check_length("the key", key.len(), self.limits().keyvalue_key)
    }

    fn check_value(&self, length: usize) -> Result<(), wit::Error> {
        self.check_length("the value", length, self.limits().keyvalue_value)
    }

    fn check_count(&self, keys: usize) -> Result<(), wit::Error> {
        let most = count(self.limits().keyvalue_batch);
        if keys <= most { Ok(()) } else { Err(other(format_args!("more than {most} keys in one call"))) }
    }

    /// Charges the tenant for bytes that were read.
    fn charge_for_read(&self, bytes: usize) {
        let rate = &self.budget().keyvalue_rate;
        rate.fill(Instant::now());
        rate.take(operations_of(bytes));
    }
}

/// What an operation needs once it is its turn.
struct Turn {
    buckets: Arc<dyn Buckets>,
    bucket: String,
    room: InFlight,
}

/// Waits for the turn of an operation. The session's end ends the wait; in `closed` an operation may still wait, as
/// long as that call may take.
async fn turn(store: &mut Context<'_>, handle: &Handle, load: Load) -> Result<Turn, wit::Error> {
    let state = store.data_mut();
    let bucket = state.wasi().view().table.get(handle).map_err(|_| wit::Error::NoSuchStore)?.name.clone();
    let Some(buckets) = state.grants().keyvalue.clone() else { return Err(wit::Error::AccessDenied) };
    let (stays, pipes, budget) =
        (state.channel.pipes.is_closing(), Arc::clone(&state.channel.pipes), Arc::clone(state.budget()));
    let mut room = pin!(async {
        let now = Instant::now();
        let due = budget.keyvalue_rate.reserve(load.operations(), now);
        if due > now {
            sleep_until(due).await;
        }
        buckets.flow().room(load).await
    });
    let room = poll_fn(|context| {
        pipes.register_waker(context);
        match room.as_mut().poll(context) {
            Poll::Ready(room) => Poll::Ready(Ok(room)),
            Poll::Pending if !stays && pipes.ended().is_some() => Poll::Ready(Err(other("the session is over"))),
            Poll::Pending => Poll::Pending,
        }
    });
    let room = room.await?.of(store.data().charges.usage());
    Ok(Turn { buckets: Arc::clone(&buckets), bucket, room })
}

/// Returns early with a result for the plugin.
macro_rules! check {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Ok(Err(wit::Error::from(error))),
        }
    };
}

async fn get(mut store: Context<'_>, (handle, key): (Handle, String)) -> Answer<Option<Vec<u8>>> {
    check!(store.data().check_key(&key));
    let most = store.data().limits().keyvalue_value;
    let Turn { buckets, bucket, room } = check!(turn(&mut store, &handle, Load::read(1, most)).await);
    let mut values = check!(buckets.get_many(room, bucket, vec![key], most).await);
    let value = values.pop().flatten();
    store.data().charge_for_read(value.as_ref().map_or(0, Vec::len));
    Ok(Ok(value))
}

async fn set(mut store: Context<'_>, (handle, key, value): (Handle, String, WasmList<u8>)) -> Answer<()> {
    check!(store.data().check_key(&key));
    check!(store.data().check_value(value.len()));
    let Turn { buckets, bucket, room } =
        check!(turn(&mut store, &handle, Load::write(1, key.len() + value.len())).await);
    let value = value.as_le_slice(&store).to_vec();
    check!(buckets.set_many(room, bucket, vec![(key, value)]).await);
    Ok(Ok(()))
}

async fn delete(mut store: Context<'_>, (handle, key): (Handle, String)) -> Answer<()> {
    check!(store.data().check_key(&key));
    let Turn { buckets, bucket, room } = check!(turn(&mut store, &handle, Load::write(1, key.len())).await);
    check!(buckets.delete_many(room, bucket, vec![key]).await);
    Ok(Ok(()))
}

async fn exists(mut store: Context<'_>, (handle, key): (Handle, String)) -> Answer<bool> {
    check!(store.data().check_key(&key));
    let Turn { buckets, bucket, room } = check!(turn(&mut store, &handle, Load::read(1, 0)).await);
    Ok(Ok(check!(buckets.exists(room, bucket, key).await)))
}

async fn list_keys(mut store: Context<'_>, (handle, cursor): (Handle, Option<u64>)) -> Answer<wit::KeyResponse> {
    let page = Page { cursor, keys: count(store.data().limits().keyvalue_batch), bytes: PAGE };
    let Turn { buckets, bucket, room } = check!(turn(&mut store, &handle, Load::read(1, PAGE)).await);
    let found = check!(buckets.list_keys(room, bucket, page).await);
    store.data().charge_for_read(found.keys.iter().map(String::len).sum());
    Ok(Ok(wit::KeyResponse { keys: found.keys, cursor: found.cursor }))
}

async fn increment(mut store: Context<'_>, (handle, key, delta): (Handle, String, u64)) -> Answer<u64> {
    check!(store.data().check_key(&key));
    let Turn { buckets, bucket, room } = check!(turn(&mut store, &handle, Load::write(1, key.len())).await);
    Ok(Ok(check!(buckets.increment(room, bucket, key, delta).await)))
}

async fn get_many(mut store: Context<'_>, (handle, keys): (Handle, WasmList<WasmStr>)) -> Answer<Entries> {
    let most = store.data().limits().call_data;
    let keys = check!(read_keys(&mut store, &keys)?);
    let Turn { buckets, bucket, room } = check!(turn(&mut store, &handle, Load::read(keys.len(), most)).await);
    let values = check!(buckets.get_many(room, bucket, keys.clone(), most).await);
    store.data().charge_for_read(values.iter().flatten().map(Vec::len).sum());
    Ok(Ok(keys.into_iter().zip(values).map(|(key, value)| value.map(|value| (key, value))).collect()))
}

async fn set_many(
    mut store: Context<'_>,
    (handle, entries): (Handle, WasmList<(WasmStr, WasmList<u8>)>),
) -> Answer<()> {
    check!(store.data().check_count(entries.len()));
    // In place; the limit of one call bounds them.
    let entries = entries.iter(&mut store)?.collect::<wasmtime::Result<Vec<_>>>()?;
    let mut bytes = 0;
    for (key, value) in &entries {
        check!(store.data().check_key(&key.to_str(&store)?));
        check!(store.data().check_value(value.len()));
        bytes += key.to_str(&store)?.len() + value.len();
    }
    let Turn { buckets, bucket, room } = check!(turn(&mut store, &handle, Load::write(entries.len(), bytes)).await);
    let entries = entries
        .iter()
        .map(|(key, value)| Ok((key.to_str(&store)?.into_owned(), value.as_le_slice(&store).to_vec())))
        .collect::<wasmtime::Result<Vec<KeyValue>>>()?;
    check!(buckets.set_many(room, bucket, entries).await);
    Ok(Ok(()))
}

async fn delete_many(mut store: Context<'_>, (handle, keys): (Handle, WasmList<WasmStr>)) -> Answer<()> {
    let keys = check!(read_keys(&mut store, &keys)?);
    let bytes = keys.iter().map(String::len).sum();
    let Turn { buckets, bucket, room } = check!(turn(&mut store, &handle, Load::write(keys.len(), bytes)).await);
    check!(buckets.delete_many(room, bucket, keys).await);
    Ok(Ok(()))
}

/// Keys are small: they are copied out of the plugin's memory at once, at most 1 MiB of them.
fn read_keys(store: &mut Context<'_>, keys: &WasmList<WasmStr>) -> Answer<Vec<String>> {
    check!(store.data().check_count(keys.len()));
    let keys = keys.iter(&mut *store)?.collect::<wasmtime::Result<Vec<_>>>()?;
    let mut read = Vec::with_capacity(keys.len());
    for key in keys {
        let key = key.to_str(&*store)?;
        check!(store.data().check_key(&key));
        read.push(key.into_owned());
    }
    Ok(Ok(read))
}

fn other(words: impl fmt::Display) -> wit::Error {
    wit::Error::Other(words.to_string())
}

/// The plugin's error; what the operator should know was logged where it happened.
impl From<StoreError> for wit::Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::OverQuota | StoreError::TooMuch | StoreError::NotANumber => other(error),
            StoreError::Unusable { .. } | StoreError::Failed(_) => other("the store does not work at the moment"),
        }
    }
}
