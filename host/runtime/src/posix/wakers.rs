//! The tasks that wait for one thing.

use std::task::{Context, Waker};

/// The wakers of several tasks, each with a key of its own. A task that waits no more removes its own, so that those of
/// tasks that were dropped do not accumulate.
#[derive(Default)]
pub(crate) struct Wakers(Vec<(u64, Waker)>);

impl Wakers {
    /// Registers the task of `context`. Replaces what is registered with this key.
    pub(crate) fn register(&mut self, key: u64, context: &Context<'_>) {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some((_, waker)) => waker.clone_from(context.waker()),
            None => self.0.push((key, context.waker().clone())),
        }
    }

    pub(crate) fn remove(&mut self, key: u64) {
        self.0.retain(|(known, _)| *known != key);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes all of them. Call [`wake`](Self::wake) once no lock is held.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    pub(crate) fn wake(self) {
        self.0.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_key_is_woken_once_and_one_that_was_removed_is_not() {
        let counts = [(); 3].map(|()| Arc::<Count>::default());
        let mut wakers = Wakers::default();
        for round in 0..2 {
            for (key, count) in (0..).zip(&counts) {
                wakers.register(key, &Context::from_waker(&Waker::from(Arc::clone(count))));
            }
            assert!(!wakers.is_empty(), "round {round}");
        }
        wakers.remove(1);
        wakers.take().wake();
        wakers.take().wake();
        assert_eq!(counts.map(|count| count.0.load(Ordering::Relaxed)), [1, 0, 1]);
    }
}
