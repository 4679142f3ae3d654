//! The plugins of a folder that are still being prepared after a start: found, but neither published nor refused yet.
//!
//! A server listens before its plugins are compiled. A session that needs one of them waits here, or learns that it is
//! not ready yet, which is different from not existing.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// The names that are being prepared. None at first.
#[derive(Default)]
pub(crate) struct Preparing {
    names: watch::Sender<Names>,
    /// Names that were refused and will be tried again.
    retried: Mutex<BTreeSet<String>>,
}

enum Names {
    /// The folder has not been listed: any name is possible.
    All,
    These(BTreeSet<String>),
}

impl Default for Names {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

impl Names {
    fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.contains(name),
        }
    }
}

impl Preparing {
    /// Any name may be prepared: the folder has not been listed.
    pub(crate) fn all(&self) {
        self.names.send_replace(Names::All);
    }

    /// The folder has been listed: exactly these names are being prepared.
    pub(crate) fn these(&self, names: BTreeSet<String>) {
        self.names.send_replace(Names::These(names));
    }

    /// This name is being prepared, too.
    pub(crate) fn add(&self, name: &str) {
        self.names.send_if_modified(|names| match names {
            Names::These(names) => names.insert(name.to_owned()),
            Names::All => false,
        });
    }

    /// This name was published or refused, or is gone.
    pub(crate) fn done(&self, name: &str) {
        self.names.send_if_modified(|names| match names {
            Names::These(names) => names.remove(name),
            Names::All => false,
        });
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.borrow().has(name)
    }

    /// Whether this name was refused and will be tried again.
    pub(crate) fn set_retried(&self, name: &str, retried: bool) {
        let mut names = self.retried.lock().unwrap_or_else(PoisonError::into_inner);
        if retried {
            names.insert(name.to_owned());
        } else {
            names.remove(name);
        }
    }

    pub(crate) fn is_retried(&self, name: &str) -> bool {
        self.retried.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    /// The names that were refused and will be tried again, in order.
    pub(crate) fn retried(&self) -> Vec<String> {
        self.retried.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// The names that are known to be in preparation, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        match &*self.names.borrow() {
            Names::All => Vec::new(),
            Names::These(names) => names.iter().cloned().collect(),
        }
    }

    /// Waits until this name is no longer being prepared. Cancel safe.
    pub(crate) async fn until_done(&self, name: &str) {
        // An error means that the sender is gone, but it is borrowed here.
        let _ = self.names.subscribe().wait_for(|names| !names.has(name)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    fn these(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_up_waits_for_its_own_name_only() {
        let preparing = Preparing::default();
        preparing.until_done("a").await;
        preparing.all();
        assert!(preparing.has("a") && preparing.names().is_empty());
        let mut waiting = pin!(preparing.until_done("a"));
        assert!(tokio::time::timeout(std::time::Duration::from_secs(1), &mut waiting).await.is_err());
        preparing.these(these(&["a", "b"]));
        preparing.until_done("c").await;
        assert_eq!(preparing.names(), ["a", "b"]);
        preparing.done("b");
        assert!(tokio::time::timeout(std::time::Duration::from_secs(1), &mut waiting).await.is_err());
        preparing.done("a");
        waiting.await;
        assert!(!preparing.has("a"));
        preparing.add("c");
        assert_eq!(preparing.names(), ["c"]);
    }
}
