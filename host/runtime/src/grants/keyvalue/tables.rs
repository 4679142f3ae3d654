//! How the embedded store lies in its file, and the operations within one transaction.
//!
//! ```text
//! meta     "format" -> 1, "next" -> the next number of a tenant or bucket
//! tenants  name                  -> number, bytes, keys          the usage, updated with the data
//! buckets  (tenant, name)        -> number, keys, next serial
//! keys     (bucket, key)         -> serial, value
//! order    (bucket, serial)      -> key                          the order of lists; serials are stable cursors
//! ```
//!
//! Keys are typed tuples, and a bucket's number is found only by its tenant's: no name, whatever is in it, reaches
//! another's. A bucket counts as a key of its name's length, and is gone with its last key.

use std::collections::HashMap;

use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::buckets::{KeyValue, Keys, Page, StoreError, Values};

pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
pub(super) const TENANTS: TableDefinition<'_, &str, (u64, u64, u64)> = TableDefinition::new("tenants");
pub(super) const BUCKETS: TableDefinition<'_, (u64, &str), (u64, u64, u64)> = TableDefinition::new("buckets");
pub(super) const KEYS: TableDefinition<'_, (u64, &str), (u64, &[u8])> = TableDefinition::new("keys");
pub(super) const ORDER: TableDefinition<'_, (u64, u64), &str> = TableDefinition::new("order");

/// The version of the layout above.
pub(super) const FORMAT: u64 = 1;

/// The quota of one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreQuota {
    /// Bytes of keys, values and names of buckets.
    pub bytes: u64,
    /// Keys and buckets.
    pub keys: u64,
}

/// One change, which succeeds as a whole or changes nothing.
pub(super) enum Change {
    Set { bucket: String, entries: Vec<KeyValue> },
    Delete { bucket: String, keys: Vec<String> },
    Increment { bucket: String, key: String, delta: u64 },
}

/// The result of a change: the sum of an increment, 0 otherwise; or the error.
pub(super) type ChangeResult = Result<u64, StoreError>;

/// Checks that the file has a known layout; creates the tables of a new one.
pub(super) fn prepare(transaction: &WriteTransaction) -> Result<bool, redb::Error> {
    let mut meta = transaction.open_table(META)?;
    let format = meta.get("format")?.map(|format| format.value());
    if format.is_none() {
        meta.insert("format", FORMAT)?;
    }
    transaction.open_table(TENANTS)?;
    transaction.open_table(BUCKETS)?;
    transaction.open_table(KEYS)?;
    transaction.open_table(ORDER)?;
    Ok(format.is_none_or(|format| format == FORMAT))
}

/// All tables, open for a group of changes.
pub(super) struct Tables<'t> {
    meta: Table<'t, &'static str, u64>,
    tenants: Table<'t, &'static str, (u64, u64, u64)>,
    buckets: Table<'t, (u64, &'static str), (u64, u64, u64)>,
    keys: Table<'t, (u64, &'static str), (u64, &'static [u8])>,
    order: Table<'t, (u64, u64), &'static str>,
}

/// A row of `tenants`.
struct Account {
    id: u64,
    bytes: u64,
    keys: u64,
}

/// A row of `buckets`.
struct StoredBucket {
    id: u64,
    keys: u64,
    /// The serial of the next new key.
    next: u64,
}

/// A key that is about to be set.
struct Planned<'e> {
    key: &'e str,
    value: &'e [u8],
    /// Its existing serial, and the length of the value that is replaced.
    before: Option<(u64, u64)>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            meta: transaction.open_table(META)?,
            tenants: transaction.open_table(TENANTS)?,
            buckets: transaction.open_table(BUCKETS)?,
            keys: transaction.open_table(KEYS)?,
            order: transaction.open_table(ORDER)?,
        })
    }

    /// Applies one change, or refuses it and changes nothing. An `Err` is the store's: the transaction must not be
    /// committed.
    pub(super) fn apply(
        &mut self,
        tenant: &str,
        quota: StoreQuota,
        change: &Change,
    ) -> Result<ChangeResult, redb::Error> {
        match change {
            Change::Set { bucket, entries } => {
                let entries: Vec<_> = entries.iter().map(|(key, value)| (key.as_str(), value.as_slice())).collect();
                self.set(tenant, quota, bucket, &entries)
            }
            Change::Delete { bucket, keys } => self.delete(tenant, bucket, keys).map(|()| Ok(0)),
            Change::Increment { bucket, key, delta } => self.increment(tenant, quota, bucket, key, *delta),
        }
    }

    fn set(
        &mut self,
        tenant: &str,
        quota: StoreQuota,
        bucket: &str,
        entries: &[(&str, &[u8])],
    ) -> Result<ChangeResult, redb::Error> {
        let account = account(&self.tenants, tenant)?;
        let row = match &account {
            Some(account) => find_bucket(&self.buckets, account.id, bucket)?,
            None => None,
        };
        let plan = self.plan(row.as_ref(), entries)?;
        let (bytes, keys) = account.as_ref().map_or((0, 0), |account| (account.bytes, account.keys));
        let (mut more_bytes, mut less_bytes, mut new_keys) = (0, 0, 0);
        if row.is_none() && !plan.is_empty() {
            more_bytes += length(bucket.as_bytes());
            new_keys += 1;
        }
        for planned in &plan {
            more_bytes += length(planned.value);
            match planned.before {
                Some((_, replaced)) => less_bytes += replaced,
                None => {
                    more_bytes += length(planned.key.as_bytes());
                    new_keys += 1;
                }
            }
        }
        let after = (bytes + more_bytes).saturating_sub(less_bytes);
        // Reducing the usage is allowed above the quota, which may have been lowered.
        if (after > quota.bytes && after > bytes) || (new_keys > 0 && keys + new_keys > quota.keys) {
            return Ok(Err(StoreError::OverQuota));
        }
        let id = match account {
            Some(account) => account.id,
            None => self.fresh()?,
        };
        self.tenants.insert(tenant, (id, after, keys + new_keys))?;
        self.put(id, bucket, row, &plan)?;
        Ok(Ok(0))
    }

    /// The existing keys among these; of several values for one key the last counts.
    fn plan<'e>(
        &self,
        bucket: Option<&StoredBucket>,
        entries: &[(&'e str, &'e [u8])],
    ) -> Result<Vec<Planned<'e>>, redb::Error> {
        let mut last: HashMap<&str, &[u8]> = entries.iter().copied().collect();
        let mut plan = Vec::with_capacity(last.len());
        for (key, _) in entries {
            let Some(value) = last.remove(key) else { continue };
            let before = match bucket {
                Some(bucket) => self.keys.get((bucket.id, *key))?.map(|row| {
                    let (serial, value) = row.value();
                    (serial, length(value))
                }),
                None => None,
            };
            plan.push(Planned { key, value, before });
        }
        Ok(plan)
    }

    fn put(
        &mut self,
        tenant: u64,
        name: &str,
        bucket: Option<StoredBucket>,
        plan: &[Planned<'_>],
    ) -> Result<(), redb::Error> {
        if plan.is_empty() {
            return Ok(());
        }
        let mut bucket = match bucket {
            Some(bucket) => bucket,
            None => StoredBucket { id: self.fresh()?, keys: 0, next: 0 },
        };
        for planned in plan {
            let serial = match planned.before {
                Some((serial, _)) => serial,
                None => {
                    let serial = bucket.next;
                    bucket.next += 1;
                    bucket.keys += 1;
                    self.order.insert((bucket.id, serial), planned.key)?;
                    serial
                }
            };
            self.keys.insert((bucket.id, planned.key), (serial, planned.value))?;
        }
        self.buckets.insert((tenant, name), (bucket.id, bucket.keys, bucket.next))?;
        Ok(())
    }

    fn delete(&mut self, tenant: &str, name: &str, keys: &[String]) -> Result<(), redb::Error> {
        let Some(mut account) = account(&self.tenants, tenant)? else { return Ok(()) };
        let Some(mut bucket) = find_bucket(&self.buckets, account.id, name)? else { return Ok(()) };
        for key in keys {
            let gone = self.keys.remove((bucket.id, key.as_str()))?.map(|row| {
                let (serial, value) = row.value();
                (serial, length(value))
            });
            let Some((serial, value)) = gone else { continue };
            self.order.remove((bucket.id, serial))?;
            account.bytes = account.bytes.saturating_sub(length(key.as_bytes()) + value);
            account.keys = account.keys.saturating_sub(1);
            bucket.keys = bucket.keys.saturating_sub(1);
        }
        if bucket.keys == 0 {
            self.buckets.remove((account.id, name))?;
            account.bytes = account.bytes.saturating_sub(length(name.as_bytes()));
            account.keys = account.keys.saturating_sub(1);
        } else {
            self.buckets.insert((account.id, name), (bucket.id, bucket.keys, bucket.next))?;
        }
        self.tenants.insert(tenant, (account.id, account.bytes, account.keys))?;
        Ok(())
    }

    fn increment(
        &mut self,
        tenant: &str,
        quota: StoreQuota,
        bucket: &str,
        key: &str,
        delta: u64,
    ) -> Result<ChangeResult, redb::Error> {
        let now = match find(&self.tenants, &self.buckets, tenant, bucket)? {
            Some(id) => self.keys.get((id, key))?.map(|row| number(row.value().1)),
            None => None,
        };
        let Some(sum) = now.unwrap_or(Some(0)).and_then(|now| now.checked_add(delta)) else {
            return Ok(Err(StoreError::NotANumber));
        };
        let digits = sum.to_string();
        Ok(self.set(tenant, quota, bucket, &[(key, digits.as_bytes())])?.map(|_| sum))
    }

    /// A number that was never used.
    fn fresh(&mut self) -> Result<u64, redb::Error> {
        let next = self.meta.get("next")?.map_or(1, |next| next.value());
        self.meta.insert("next", next + 1)?;
        Ok(next)
    }
}

/// The values of the keys, in their order.
pub(super) fn get_many(
    transaction: &ReadTransaction,
    tenant: &str,
    bucket: &str,
    keys: &[String],
    most: usize,
) -> Result<Result<Values, StoreError>, redb::Error> {
    let Some(bucket) = find(&transaction.open_table(TENANTS)?, &transaction.open_table(BUCKETS)?, tenant, bucket)?
    else {
        return Ok(Ok(vec![None; keys.len()]));
    };
    let table = transaction.open_table(KEYS)?;
    let mut left = most;
    let mut values = Vec::with_capacity(keys.len());
    for key in keys {
        let Some(row) = table.get((bucket, key.as_str()))? else {
            values.push(None);
            continue;
        };
        let (_, value) = row.value();
        let Some(rest) = left.checked_sub(value.len()) else { return Ok(Err(StoreError::TooMuch)) };
        left = rest;
        values.push(Some(value.to_vec()));
    }
    Ok(Ok(values))
}

/// The bytes and the keys of a tenant, as they are counted.
pub(super) fn usage(transaction: &ReadTransaction, tenant: &str) -> Result<(u64, u64), redb::Error> {
    let account = account(&transaction.open_table(TENANTS)?, tenant)?;
    Ok(account.map_or((0, 0), |account| (account.bytes, account.keys)))
}

/// Whether the key has a value.
pub(super) fn exists(
    transaction: &ReadTransaction,
    tenant: &str,
    bucket: &str,
    key: &str,
) -> Result<bool, redb::Error> {
    match find(&transaction.open_table(TENANTS)?, &transaction.open_table(BUCKETS)?, tenant, bucket)? {
        Some(bucket) => Ok(transaction.open_table(KEYS)?.get((bucket, key))?.is_some()),
        None => Ok(false),
    }
}

/// A page of keys by their serials.
pub(super) fn list_keys(
    transaction: &ReadTransaction,
    tenant: &str,
    bucket: &str,
    page: Page,
) -> Result<Keys, redb::Error> {
    let Some(bucket) = find(&transaction.open_table(TENANTS)?, &transaction.open_table(BUCKETS)?, tenant, bucket)?
    else {
        return Ok(Keys::default());
    };
    let mut found = Keys::default();
    let mut bytes = 0;
    for row in transaction.open_table(ORDER)?.range((bucket, page.cursor.unwrap_or(0))..=(bucket, u64::MAX))? {
        let (place, key) = row?;
        let (_, serial) = place.value();
        bytes += key.value().len();
        if found.keys.len() >= page.keys || (bytes > page.bytes && !found.keys.is_empty()) {
            found.cursor = Some(serial);
            break;
        }
        found.keys.push(key.value().to_owned());
    }
    Ok(found)
}

fn account(
    tenants: &impl ReadableTable<&'static str, (u64, u64, u64)>,
    name: &str,
) -> Result<Option<Account>, redb::Error> {
    Ok(tenants.get(name)?.map(|row| {
        let (id, bytes, keys) = row.value();
        Account { id, bytes, keys }
    }))
}

fn find_bucket(
    buckets: &impl ReadableTable<(u64, &'static str), (u64, u64, u64)>,
    tenant: u64,
    name: &str,
) -> Result<Option<StoredBucket>, redb::Error> {
    Ok(buckets.get((tenant, name))?.map(|row| {
        let (id, keys, next) = row.value();
        StoredBucket { id, keys, next }
    }))
}

/// The number of a tenant's bucket.
fn find(
    tenants: &impl ReadableTable<&'static str, (u64, u64, u64)>,
    buckets: &impl ReadableTable<(u64, &'static str), (u64, u64, u64)>,
    tenant: &str,
    bucket: &str,
) -> Result<Option<u64>, redb::Error> {
    match account(tenants, tenant)? {
        Some(account) => Ok(find_bucket(buckets, account.id, bucket)?.map(|bucket| bucket.id)),
        None => Ok(None),
    }
}

fn number(value: &[u8]) -> Option<u64> {
    str::from_utf8(value).ok()?.parse().ok()
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
