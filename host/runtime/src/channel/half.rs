//! The session half of both pipes. Whatever happens to the session's task, the connection gets a refused channel
//! open or an exit.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::buffer::Buffer;
use super::input::InputItem;
use super::shared::{Shared, lock};
use crate::posix::Wakers;
use crate::posix::table::FIRST;
use crate::session_types::Exit;

/// Most bytes that one `data` call carries.
pub(super) const PIECE: usize = 32 << 10;
/// `EX_SOFTWARE` of sysexits.h: the session's task was dropped or panicked.
const SOFTWARE: u32 = 70;

/// The session half of both pipes. Dropping it ends the session: see [`session_pipes`](crate::session_pipes).
pub struct SessionHalf {
    shared: Arc<Shared>,
    /// Data on its way to the plugin, all of one kind.
    data: Buffer,
    kind: Option<u32>,
    /// Their credit was returned when the terminal received them.
    is_credited: bool,
}

impl SessionHalf {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, data: Buffer::default(), kind: None, is_credited: false }
    }

    /// Keeps a value, such as the session's place in its user's session count, until the connection has taken the
    /// session's exit and all output before it. If the connection drops its outbox before that, until the session's
    /// task has ended: a client that closes its channels does not get more sessions than it may have.
    pub fn keep(&self, value: impl Send + 'static) {
        self.shared.keep(Box::new(value));
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Whether [`next`](Self::next) would return something.
    pub(crate) fn has_next(&self) -> bool {
        self.data.len() > 0 || self.shared.has_input()
    }

    /// Takes the next entry. Data is then in [`data`](Self::data).
    pub(crate) fn next(&mut self) -> Option<InputItem> {
        if self.data.len() > 0 && self.kind.is_none() && self.shared.wants_back() {
            // The process has changed the modes of the terminal, from the next byte on.
            self.shared.put_back(std::mem::take(&mut self.data));
        }
        if self.data.len() > 0 {
            return Some(InputItem::Data { kind: self.kind });
        }
        let (next, is_credited) = self.shared.next(&mut self.data, PIECE)?;
        if let InputItem::Data { kind } = next {
            (self.kind, self.is_credited) = (kind, is_credited);
        }
        Some(next)
    }

    /// Waits until there is an entry to take, or the connection's side has ended the session.
    pub(crate) async fn arrival(&self) {
        poll_fn(|context| {
            self.shared.register_waker(context);
            if self.has_next() || self.shared.ended().is_some() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Waits until the connection's side ends the session: the client or the connection is gone, or the server stops.
    pub async fn until_ended(&self) {
        self.shared.until_ended().await;
    }

    /// Takes the data that are on their way to the plugin, and their kind.
    pub(super) fn take_rest(&mut self) -> (Option<u32>, Buffer) {
        (self.kind, std::mem::take(&mut self.data))
    }

    /// The next piece of data, at most 32 KiB.
    pub(crate) fn data(&self) -> &[u8] {
        self.data.front(PIECE)
    }

    /// The plugin has taken the piece: returns its credit to the client.
    pub(crate) fn taken(&mut self) {
        let piece = self.data.front(PIECE).len();
        self.data.take(piece);
        self.data.relax();
        if !self.is_credited {
            self.shared.credit(piece);
        }
    }
}

impl Shared {
    /// Registers the session's task, which `context` belongs to, to be woken by the next change. Call it before looking
    /// at the queues.
    pub(crate) fn register_waker(&self, context: &Context<'_>) {
        let mut session = lock(&self.session);
        if !session.first.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            session.first = Some(context.waker().clone());
        }
    }

    /// The same for the task of any process of the session: the first runs in the session's task.
    pub(crate) fn register_process(&self, number: u32, context: &Context<'_>) {
        if number == FIRST {
            return self.register_waker(context);
        }
        lock(&self.session).others.register(number.into(), context);
    }

    /// A process that is not the first has ended: nothing is left of its task.
    pub(crate) fn forget_process(&self, number: u32) {
        lock(&self.session).others.remove(number.into());
    }

    /// Wakes the session's task, and those of its other processes, if they wait.
    pub(super) fn wake_session(&self) {
        let mut session = lock(&self.session);
        let first = session.first.take();
        let others = (!session.others.is_empty()).then(|| session.others.take());
        drop(session);
        if let Some(waker) = first {
            waker.wake();
        }
        others.into_iter().for_each(Wakers::wake);
    }
}

impl Drop for SessionHalf {
    fn drop(&mut self) {
        self.shared.abort(Exit::Status(SOFTWARE));
        self.shared.discard_input();
        self.shared.finish_task();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use crate::channel::session_pipes;

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn every_process_that_waits_is_woken_once_and_one_that_has_ended_is_not() {
        let (inbox, _outbox, half) = session_pipes(1 << 10, Arc::new(|| {}));
        let woken = [(); 4].map(|()| Arc::<Woken>::default());
        let wakers = woken.clone().map(Waker::from);
        half.shared().register_waker(&Context::from_waker(&wakers[0]));
        for (number, waker) in (2..).zip(&wakers[1..]) {
            half.shared().register_process(number, &Context::from_waker(waker));
        }
        half.shared().forget_process(3);
        inbox.data(None, b"x");
        inbox.data(None, b"y");
        assert_eq!(woken.map(|woken| woken.0.load(Ordering::Relaxed)), [1, 1, 0, 1]);
        // The first runs in the session's task.
        let last = Arc::<Woken>::default();
        half.shared().register_process(FIRST, &Context::from_waker(&wakers[0]));
        half.shared().register_waker(&Context::from_waker(&Waker::from(Arc::clone(&last))));
        inbox.data(None, b"z");
        assert_eq!(last.0.load(Ordering::Relaxed), 1);
    }
}
