//! The current plugin of each name, and the versions that still run.
//!
//! New sessions get the newest version of a name; running sessions keep their own until they end. The contents of the
//! file identify a version, so the same bytes are never a new one. Where the files are and when they are read is
//! decided elsewhere.
//!
//! The registry of a folder of programs, which are loaded when somebody needs them, keeps each as long as there is a
//! [`Hold`] of it.

mod preparing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use crate::event::{LogEvent, emit};
use crate::limits::{Limits, count};
use crate::plugin::Plugin;
use crate::plugin::lookup::Lookup;
use preparing::Preparing;

/// The message for a session whose version is too old.
const TOO_OLD: &str = "this version of the plugin was replaced too often; please log in again";
/// The message for a session whose time is over.
const DRAINED: &str = "this version of the plugin was replaced; please log in again";

/// How many removed names have their last number remembered individually. Further ones share one.
const MOST_REMOVED: usize = 4_096;
/// How many programs that were unloaded have their number and contents remembered.
const MOST_UNLOADED: usize = 1_024;

/// The plugins of one folder.
#[derive(Default)]
pub struct Registry {
    limits: Arc<Limits>,
    names: Mutex<Names>,
    preparing: Preparing,
    holds: Mutex<BTreeMap<String, Weak<Hold>>>,
}

/// Keeps a program loaded. When the last one of a name is dropped, the program is unloaded; sessions that run it keep
/// it until they end.
pub struct Hold {
    registry: Arc<Registry>,
    name: String,
}

/// The names of a registry.
#[derive(Default)]
struct Names {
    known: BTreeMap<String, Versions>,
    removed: Removed,
}

/// The last numbers of names that are unused now. Numbers never restart while the server runs: otherwise somebody with
/// a name and a number, such as the end of a drain, could mean another version.
#[derive(Default)]
struct Removed {
    last: BTreeMap<String, u32>,
    /// The highest number of all names that are in neither table.
    others: u32,
}

/// The versions of one name.
#[derive(Default)]
struct Versions {
    /// The version for new sessions; `None` after the plugin was removed.
    current: Option<Arc<Plugin>>,
    /// The newest earlier version that is known to start.
    good: Option<Arc<Plugin>>,
    /// All other versions that are still referenced, oldest first.
    older: Vec<Weak<Plugin>>,
    /// The number of the newest.
    last: u32,
    /// The contents of the newest, while it is unloaded.
    unloaded: Option<[u8; 32]>,
}

/// The result of publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// It is the version of new sessions from now on, with this number.
    As(u32),
    /// The same file is current already.
    Unchanged,
}

/// Whether the previous version is kept when a new one is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// To run in its place, if the new one does not start.
    Kept,
    /// Only what sessions run is kept.
    None,
}

/// One name, for listings.
pub struct Listed {
    /// The name.
    pub name: String,
    /// The version for new sessions; `None` when it was removed and sessions go on.
    pub current: Option<Arc<Plugin>>,
    /// Other versions with sessions, oldest first.
    pub older: Vec<Arc<Plugin>>,
    /// The newest version crashes at its start, for all users or some: they get an older one, or none.
    pub tripped: bool,
}

impl Registry {
    /// An empty one. The limits say how many versions of a plugin there may be, and when one is given up.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self { limits: Arc::new(limits.clone()), ..Self::default() }
    }

    /// Keeps the program of this name loaded, once it is.
    #[must_use]
    pub fn hold(self: &Arc<Self>, name: &str) -> Arc<Hold> {
        let mut holds = self.holds();
        if let Some(hold) = holds.get(name).and_then(Weak::upgrade) {
            return hold;
        }
        let hold = Arc::new(Hold { registry: Arc::clone(self), name: name.to_owned() });
        holds.insert(name.to_owned(), Arc::downgrade(&hold));
        hold
    }

    /// Whether somebody keeps the program of this name loaded.
    #[must_use]
    pub fn is_held(&self, name: &str) -> bool {
        self.holds().get(name).is_some_and(|hold| hold.strong_count() > 0)
    }

    /// Whether a session of this tenant runs any version of this name.
    pub(crate) fn runs_for(&self, name: &str, tenant: &str) -> bool {
        let held: Vec<_> = self.names().known.get(name).map(|versions| versions.held().collect()).unwrap_or_default();
        held.iter().any(|plugin| plugin.runs_for(tenant))
    }

    /// Forgets the compiled code of a name. The name stays: the same contents get the same number when they are loaded
    /// again. Circuit breakers begin anew then.
    pub fn unload(&self, name: &str) {
        drop(self.take_loaded(name));
    }

    /// Forgets the compiled code of a name, and returns it: the caller drops it where it holds no lock.
    fn take_loaded(&self, name: &str) -> Vec<Arc<Plugin>> {
        let (mut dropped, mut names) = (Vec::new(), self.names());
        let Some(versions) = names.known.get_mut(name) else { return dropped };
        let digest = versions.current.as_ref().map(|current| *current.digest());
        if versions.step_down(&mut dropped) {
            dropped.extend(versions.good.take());
            versions.unloaded = digest;
        }
        names.forget_unloaded();
        dropped
    }

    /// The version for a new session of exactly this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Plugin>> {
        self.names().known.get(name)?.current.clone()
    }

    /// The versions for new sessions, in the order of the names.
    #[must_use]
    pub fn plugins(&self) -> Vec<Arc<Plugin>> {
        self.names().known.values().filter_map(|versions| versions.current.clone()).collect()
    }

    /// The folder is about to be listed for the first time: until [`expect`](Self::expect), any name may be in
    /// preparation.
    pub fn expect_all(&self) {
        self.preparing.all();
    }

    /// The folder has been listed: these names are in preparation until [`prepared`](Self::prepared), and no other.
    pub fn expect(&self, names: BTreeSet<String>) {
        self.preparing.these(names);
    }

    /// This name is in preparation, too.
    pub fn expect_also(&self, name: &str) {
        self.preparing.add(name);
    }

    /// This name is no longer in preparation: it was published or refused.
    pub fn prepared(&self, name: &str) {
        self.preparing.done(name);
    }

    /// Records whether the file of this name was refused and will be tried again.
    pub fn set_retried(&self, name: &str, retried: bool) {
        self.preparing.set_retried(name, retried);
    }

    /// The names whose files were refused and will be tried again.
    #[must_use]
    pub fn retried(&self) -> Vec<String> {
        self.preparing.retried()
    }

    /// The meaning of this name for a new session.
    #[must_use]
    pub fn lookup(&self, name: &str) -> Lookup {
        // Read first: a plugin is published before its preparation ends.
        let (preparing, retried) = (self.preparing.has(name), self.preparing.is_retried(name));
        match self.get(name) {
            Some(plugin) => Lookup::Found(plugin),
            None if preparing => Lookup::Preparing,
            None if retried => Lookup::Retried,
            None => Lookup::Absent,
        }
    }

    /// The names that are known to be in preparation.
    #[must_use]
    pub fn preparing(&self) -> Vec<String> {
        self.preparing.names()
    }

    /// Waits until this name is not in preparation, and returns its meaning then. Cancel safe.
    pub async fn settled(&self, name: &str) -> Lookup {
        let now = self.lookup(name);
        if !matches!(now, Lookup::Preparing) {
            return now;
        }
        self.preparing.until_done(name).await;
        self.lookup(name)
    }

    /// All names with their versions, in order.
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        let now = Instant::now();
        let listed = |(name, versions): (&String, &Versions)| {
            let current = versions.current.clone();
            let older: Vec<_> = versions.older().filter(|older| older.sessions() > 0).collect();
            let tripped = current.as_ref().is_some_and(|current| is_tripped(current, now));
            (current.is_some() || !older.is_empty()).then(|| Listed { name: name.clone(), current, older, tripped })
        };
        self.names().known.iter().filter_map(listed).collect()
    }

    /// Bytes of compiled code that would be held beside a new version of this name: of all other names, and of its
    /// older versions that sessions run or that are kept to fall back to.
    #[must_use]
    pub fn code_beside(&self, name: &str, fallback: Fallback) -> usize {
        let code = |(known, versions): (&String, &Versions)| -> usize {
            if known == name {
                versions.staying(fallback).map(|plugin| plugin.code()).sum()
            } else {
                versions.held().map(|plugin| plugin.code()).sum()
            }
        };
        self.names().known.iter().map(code).sum()
    }

    /// Drops the versions to fall back to of all current versions that have proven themselves.
    pub fn forget_fallbacks(&self) {
        // Before the lock, so that it is dropped after it: see `Versions::step_down`.
        let mut dropped = Vec::new();
        let (mut names, now) = (self.names(), Instant::now());
        let is_well = |versions: &&mut Versions| {
            versions.current.as_deref().is_some_and(|current| is_proven(current) && !is_tripped(current, now))
        };
        names.known.values_mut().filter(is_well).for_each(|versions| versions.forget_fallback(&mut dropped));
    }

    /// Unloads programs that no session runs, but this one, until there is room.
    pub fn unload_idle(&self, kept: &str, has_room: impl Fn() -> bool) {
        let is_idle = |(name, versions): (&String, &Versions)| {
            let is_loaded = versions.current.is_some() && name != kept;
            (is_loaded && versions.held().all(|plugin| plugin.sessions() == 0)).then(|| name.clone())
        };
        let idle: Vec<String> = self.names().known.iter().filter_map(is_idle).collect();
        for name in idle {
            if has_room() {
                return;
            }
            self.unload(&name);
        }
    }

    /// Makes this the version for new sessions of its name. The previous one is kept to fall back to.
    pub fn publish(&self, plugin: &Arc<Plugin>) -> Published {
        self.publish_over(plugin, Fallback::Kept)
    }

    /// The same, without keeping the previous one.
    pub fn publish_alone(&self, plugin: &Arc<Plugin>) -> Published {
        self.publish_over(plugin, Fallback::None)
    }

    fn publish_over(&self, plugin: &Arc<Plugin>, fallback: Fallback) -> Published {
        let mut dropped = Vec::new();
        let mut names = self.names();
        let versions = names.versions(plugin.name());
        if versions.current.as_ref().is_some_and(|current| current.digest() == plugin.digest()) {
            return Published::Unchanged;
        }
        versions.step_down(&mut dropped);
        if fallback == Fallback::None {
            dropped.extend(versions.good.take());
        }
        if versions.unloaded.take().as_ref() != Some(plugin.digest()) {
            versions.last += 1;
        }
        plugin.stand(versions.last, Arc::clone(&self.limits), versions.good.clone());
        versions.current = Some(Arc::clone(plugin));
        versions.retire_oldest(count(self.limits.generations));
        Published::As(versions.last)
    }

    /// Removes the name for new sessions. False if it did not exist.
    pub fn remove(&self, name: &str) -> bool {
        let mut dropped = Vec::new();
        let mut names = self.names();
        let Names { known, removed } = &mut *names;
        let is_removed = known.get_mut(name).is_some_and(|versions| {
            versions.unloaded = None;
            versions.step_down(&mut dropped)
        });
        // Without a current version there is nothing to fall back from.
        let without = known.values_mut().filter(|versions| versions.current.is_none());
        dropped.extend(without.filter_map(|versions| versions.good.take()));
        let gone = known.extract_if(.., |_, versions| versions.is_gone());
        gone.for_each(|(name, versions)| removed.keep(name, versions.last));
        is_removed
    }

    /// Ends the sessions of all versions of a name up to this number, except those of the current version and of the
    /// ones that it fell back to.
    pub fn drain(&self, name: &str, up_to: u32) {
        let ending: Vec<_> = match self.names().known.get(name) {
            Some(versions) => versions.replaceable().filter(|older| older.generation() <= up_to).collect(),
            None => return,
        };
        for older in ending {
            older.retire(DRAINED);
        }
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holds(&self) -> MutexGuard<'_, BTreeMap<String, Weak<Hold>>> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    /// The registry of the program.
    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The name of the program.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut dropped = Vec::new();
        let mut holds = self.registry.holds();
        // Another one may have been made since the last reference to this one went.
        if holds.get(&self.name).is_some_and(|hold| hold.strong_count() == 0) {
            holds.remove(&self.name);
            dropped = self.registry.take_loaded(&self.name);
        }
        drop(holds);
        drop(dropped);
    }
}

impl Names {
    /// The versions of a name, which may have been removed.
    fn versions(&mut self, name: &str) -> &mut Versions {
        let Names { known, removed } = self;
        let fresh = || Versions { last: removed.take(name), ..Versions::default() };
        known.entry(name.to_owned()).or_insert_with(fresh)
    }

    /// Forgets what was unloaded once there is too much of it, but for the last numbers.
    fn forget_unloaded(&mut self) {
        if self.known.values().filter(|versions| versions.unloaded.is_some()).count() <= MOST_UNLOADED {
            return;
        }
        let Self { known, removed } = self;
        known.values_mut().for_each(|versions| versions.unloaded = None);
        let gone = known.extract_if(.., |_, versions| versions.is_gone());
        gone.for_each(|(name, versions)| removed.keep(name, versions.last));
    }
}

impl Removed {
    fn keep(&mut self, name: String, last: u32) {
        self.last.insert(name, last);
        if self.last.len() > MOST_REMOVED {
            let highest = std::mem::take(&mut self.last).into_values().max();
            self.others = self.others.max(highest.unwrap_or_default());
        }
    }

    /// The number that the next version of a name must exceed.
    fn take(&mut self, name: &str) -> u32 {
        self.last.remove(name).unwrap_or(self.others)
    }
}

impl Versions {
    /// Removes the current version. False if there was none. What is no longer needed goes to `dropped`, which the
    /// caller drops after the lock: the last reference to a version unmaps its code.
    fn step_down(&mut self, dropped: &mut Vec<Arc<Plugin>>) -> bool {
        let Some(before) = self.current.take() else { return false };
        self.older.retain(|older| older.strong_count() > 0);
        self.older.push(Arc::downgrade(&before));
        match before.standing() {
            Some(standing) => {
                dropped.extend(standing.supersede());
                let is_good = standing.is_proven() || self.good.is_none();
                dropped.extend(if is_good { self.good.replace(before) } else { Some(before) });
            }
            None => dropped.push(before),
        }
        true
    }

    /// Whether nothing of it is left to remember but its last number.
    fn is_gone(&self) -> bool {
        self.current.is_none() && self.unloaded.is_none() && self.older.iter().all(|older| older.strong_count() == 0)
    }

    fn forget_fallback(&mut self, dropped: &mut Vec<Arc<Plugin>>) {
        dropped.extend(self.good.take());
        let standing = self.current.as_ref().and_then(|current| current.standing());
        dropped.extend(standing.and_then(|standing| standing.supersede()));
    }

    /// Every referenced version, the current one last.
    fn held(&self) -> impl Iterator<Item = Arc<Plugin>> {
        self.older().chain(self.current.clone())
    }

    /// Those that would still be referenced after a newer one has become current.
    fn staying(&self, fallback: Fallback) -> impl Iterator<Item = Arc<Plugin>> {
        let becomes_good = |current: &&Arc<Plugin>| self.good.is_none() || is_proven(current);
        let good = self.current.as_ref().filter(becomes_good).or(self.good.as_ref());
        let good = good.filter(|_| fallback == Fallback::Kept);
        self.held().filter(move |held| held.sessions() > 0 || good.is_some_and(|good| Arc::ptr_eq(good, held)))
    }

    /// Referenced versions, oldest first.
    fn older(&self) -> impl Iterator<Item = Arc<Plugin>> {
        self.older.iter().filter_map(Weak::upgrade)
    }

    /// Those with sessions, without the one that runs in place of the current one.
    fn replaceable(&self) -> impl Iterator<Item = Arc<Plugin>> {
        let tripped = self.current.as_ref().is_some_and(|current| is_tripped(current, Instant::now()));
        let kept = self.good.as_ref().filter(|_| tripped).map(|good| good.generation());
        self.older().filter(move |older| older.sessions() > 0 && Some(older.generation()) != kept)
    }

    /// Ends the versions with sessions beyond this number, counting the current one.
    fn retire_oldest(&self, generations: usize) {
        let older: Vec<_> = self.replaceable().collect();
        let excess = (older.len() + 1).saturating_sub(generations);
        for oldest in older.iter().take(excess) {
            emit(LogEvent::PluginGenerationEnded { plugin: oldest.name(), generation: oldest.generation() });
            oldest.retire(TOO_OLD);
        }
    }
}

fn is_proven(plugin: &Plugin) -> bool {
    plugin.standing().is_some_and(|standing| standing.is_proven())
}

fn is_tripped(plugin: &Plugin, now: Instant) -> bool {
    plugin.standing().is_some_and(|standing| standing.is_tripped(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_unloaded_names_are_kept_in_bounded_memory() {
        let mut names = Names::default();
        for number in 0..10_000 {
            let versions = names.versions(&format!("{number}"));
            (versions.last, versions.unloaded) = (1, Some([0; 32]));
            names.forget_unloaded();
        }
        assert!(names.known.len() <= MOST_UNLOADED);
        let mut removed = std::mem::take(&mut names.removed);
        assert_eq!(removed.take("0"), 1);
    }

    #[test]
    fn generations_of_removed_names_continue_in_bounded_memory() {
        let mut removed = Removed::default();
        removed.keep("a".to_owned(), 7);
        assert_eq!((removed.take("a"), removed.take("b")), (7, 0));
        removed.keep("a".to_owned(), 9);
        for number in 0..100_000 {
            removed.keep(format!("{number}"), 1);
        }
        assert!(removed.last.len() <= MOST_REMOVED);
        assert_eq!(removed.take("a"), 9);
    }
}
