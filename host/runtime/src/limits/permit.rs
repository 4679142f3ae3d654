//! Run permits: which guests may use a processor now.
//!
//! A guest runs only while it holds a permit of its tenant; there is one fewer than there are workers, so no tenant
//! ever has all workers. After its first tick it also needs a permit of the engine, of which there are as many: so over
//! all tenants one worker is free for connections. A permit is held only while a guest is on a processor: every wait
//! and every tick releases it.
//!
//! Both queues are first come, first served. A guest queues for the engine only while it holds a permit of its tenant,
//! so a tenant has no more places there than it has permits. A permit that was held through a tick becomes free only
//! when the worker has run everything else that was ready and has polled the network: until then the tenant's other
//! guests wait in the tenant's queue and not in the worker's. So the cost of guests for others grows with the number of
//! busy tenants, a tick each, and never with their sessions. Work for guests outside their code needs no permit, and is
//! bounded where it is done: a turn of a connection, dropping an instance.
//!
//! Decided 2026-11-21: tokio's semaphore implements the queues: it is fair, cancel safe, and better tested than ours
//! would be. A wait is boxed, so that a call that need not wait carries only a pointer.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

/// The permits of a tenant, or of the engine.
#[derive(Debug)]
pub(crate) struct Permits {
    free: Arc<Semaphore>,
    /// How many there are.
    most: usize,
    /// Of the engine: the guests past their first tick that run or wait for a processor. Of a tenant: its own among
    /// them.
    wanting: AtomicUsize,
}

impl Permits {
    /// As many as leave one worker free, and at least one.
    pub(crate) fn new(workers: usize) -> Self {
        let most = workers.saturating_sub(1).clamp(1, Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(most)), most, wanting: AtomicUsize::new(0) }
    }

    /// Whether another guest of this tenant could run past its first tick only where one of another tenant would run
    /// otherwise. These are the engine's permits.
    pub(crate) fn are_contended(&self, tenant: &Permits) -> bool {
        let own = tenant.wanting.load(Ordering::Relaxed);
        let others = self.wanting.load(Ordering::Relaxed).saturating_sub(own);
        others > 0 && others + own.max(1) > self.most
    }

    /// Takes one if it is free and nobody waits.
    fn at_once(&self) -> Option<Permit<'_>> {
        self.free.try_acquire().ok().map(|held| Permit { held, home: &self.free })
    }

    async fn in_line(&self) -> Permit<'_> {
        let held = self.free.acquire().await.expect("it is never closed");
        Permit { held, home: &self.free }
    }
}

/// One permit, released on drop.
struct Permit<'p> {
    held: SemaphorePermit<'p>,
    home: &'p Arc<Semaphore>,
}

impl Permit<'_> {
    /// The same without a borrow.
    fn keep(self) -> Kept {
        self.held.forget();
        Kept { home: Arc::clone(self.home) }
    }
}

/// A permit that is released on drop, wherever that is.
struct Kept {
    home: Arc<Semaphore>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.home.add_permits(1);
    }
}

/// The right to run, until it is dropped.
pub(crate) struct Turn<'p> {
    tenant: Permit<'p>,
    engine: Option<Permit<'p>>,
}

impl Turn<'_> {
    /// The call has run through a tick: the permits become free when everything else on this worker has had a turn.
    pub(crate) fn end_later(self) {
        let permits = Later { _tenant: self.tenant.keep(), _engine: self.engine.map(Permit::keep) };
        let waker = Waker::from(Arc::new(permits));
        // Yielding leaves the waker with the scheduler, which then wakes it and drops it with what it holds. Without a
        // scheduler it is woken at once.
        let _ = pin!(tokio::task::yield_now()).poll(&mut Context::from_waker(&waker));
    }
}

/// The permits of a turn that is over, about to be released.
struct Later {
    _tenant: Kept,
    _engine: Option<Kept>,
}

impl Wake for Later {
    fn wake(self: Arc<Self>) {}
}

/// Where a call waits for its permits each time before it runs.
pub(crate) struct PermitQueue<'p> {
    tenant: &'p Permits,
    engine: &'p Permits,
    /// The call waits.
    waiting: Option<Pin<Box<dyn Future<Output = Turn<'p>> + Send + 'p>>>,
    /// The call is past its first tick.
    wants: Option<Wanting<'p>>,
}

impl<'p> PermitQueue<'p> {
    pub(crate) fn new(tenant: &'p Permits, engine: &'p Permits) -> Self {
        Self { tenant, engine, waiting: None, wants: None }
    }

    /// The call has been polled and goes on later: `long` if it only made room after a tick, otherwise it waits for
    /// something.
    pub(crate) fn polled(&mut self, long: bool) {
        if !long {
            self.wants = None;
        }
    }

    /// Gives the call its turn, or queues it; the task of `context` is woken when it should poll again. The request is
    /// fixed when it is queued: a call that is past its first tick is `long`, and one whose session has used up its
    /// processor time waits until `before`.
    pub(crate) fn poll_turn(
        &mut self,
        context: &mut Context<'_>,
        long: bool,
        before: impl FnOnce() -> Option<Instant>,
    ) -> Poll<Turn<'p>> {
        let (tenant, engine) = (self.tenant, self.engine);
        let waiting = match &mut self.waiting {
            Some(waiting) => waiting,
            None => {
                let moment = before();
                match (long && moment.is_none(), &self.wants) {
                    (true, Some(_)) => {}
                    (true, None) => self.wants = Some(Wanting::new([tenant, engine])),
                    (false, _) => self.wants = None,
                }
                if moment.is_none()
                    && let Some(turn) = at_once(tenant, engine, long)
                {
                    return Poll::Ready(turn);
                }
                self.waiting.insert(Box::pin(in_line(tenant, engine, long, moment)))
            }
        };
        let turn = waiting.as_mut().poll(context);
        if turn.is_ready() {
            self.waiting = None;
        }
        turn
    }
}

/// Takes the permits if nobody else wants them.
fn at_once<'p>(tenant: &'p Permits, engine: &'p Permits, long: bool) -> Option<Turn<'p>> {
    let tenant = tenant.at_once()?;
    let engine = if long { Some(engine.at_once()?) } else { None };
    Some(Turn { tenant, engine })
}

/// The tenant's permit comes first: see the module documentation.
async fn in_line<'p>(tenant: &'p Permits, engine: &'p Permits, long: bool, moment: Option<Instant>) -> Turn<'p> {
    if let Some(moment) = moment {
        sleep_until(moment).await;
    }
    // One that comes from a wait for processor time is not counted by its queue.
    let _wants = (long && moment.is_some()).then(|| Wanting::new([tenant, engine]));
    let tenant = tenant.in_line().await;
    let engine = if long { Some(engine.in_line().await) } else { None };
    Turn { tenant, engine }
}

/// A guest past its first tick runs or waits for a processor: counted by its tenant and by the engine.
struct Wanting<'p>([&'p Permits; 2]);

impl<'p> Wanting<'p> {
    fn new(counts: [&'p Permits; 2]) -> Self {
        // The engine's count last, so that nobody takes its own guest for another's.
        counts.iter().for_each(|permits| _ = permits.wanting.fetch_add(1, Ordering::Relaxed));
        Self(counts)
    }
}

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        self.0.iter().rev().for_each(|permits| _ = permits.wanting.fetch_sub(1, Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::ready;

    use tokio::runtime::Builder;
    use tokio::task::yield_now;

    use super::*;

    /// Small pseudo-random numbers, the same each time.
    struct Dice(u64);

    impl Dice {
        fn throw(&mut self, sides: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % sides
        }
    }

    /// Counts the calls inside, and records when there were too many.
    #[derive(Default)]
    struct Room {
        inside: AtomicUsize,
        most: AtomicUsize,
        visits: AtomicUsize,
    }

    impl Room {
        fn visit(&self) {
            let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(inside, Ordering::SeqCst);
            std::hint::spin_loop();
            self.inside.fetch_sub(1, Ordering::SeqCst);
            self.visits.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Waits for its turn, runs while it holds it, and releases it, as a call does each time that it is polled.
    async fn turn(queue: &mut PermitQueue<'_>, long: bool, ticked: bool, room: &Room) {
        poll_fn(|context| {
            let turn = ready!(queue.poll_turn(context, long, || None));
            room.visit();
            if ticked {
                turn.end_later();
            }
            Poll::Ready(())
        })
        .await;
    }

    fn all_free(permits: &Permits, workers: usize) -> bool {
        permits.free.available_permits() == workers.saturating_sub(1).max(1)
    }

    #[test]
    fn a_permit_is_never_lost_or_duplicated_by_cancellation() {
        for seed in 1..=20 {
            let workers = 2 + usize::try_from(seed % 3).unwrap();
            let runtime = Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
            let (tenants, engine) =
                ([(); 3].map(|()| Arc::new(Permits::new(workers))), Arc::new(Permits::new(workers)));
            let (rooms, engine_room) = ([(); 3].map(|()| Arc::new(Room::default())), Arc::new(Room::default()));
            let tasks: Vec<_> = (0..24_u64)
                .map(|number| {
                    let of = usize::try_from(number % 3).unwrap();
                    let (tenant, engine) = (Arc::clone(&tenants[of]), Arc::clone(&engine));
                    let (room, engine_room) = (Arc::clone(&rooms[of]), Arc::clone(&engine_room));
                    let mut dice = Dice(seed * 1_000 + number + 1);
                    runtime.spawn(async move {
                        for _ in 0..200 {
                            let mut queue = PermitQueue::new(&tenant, &engine);
                            let long = dice.throw(2) == 0;
                            let ticked = dice.throw(2) == 0;
                            let mut pass =
                                pin!(turn(&mut queue, long, ticked, if long { &engine_room } else { &room }));
                            // Some give up after a few polls.
                            let mut looks = dice.throw(4);
                            let long_waits = dice.throw(3) > 0;
                            poll_fn(|context| match pass.as_mut().poll(context) {
                                Poll::Pending if !long_waits && looks == 0 => Poll::Ready(()),
                                Poll::Pending => {
                                    looks = looks.saturating_sub(1);
                                    if !long_waits {
                                        context.waker().wake_by_ref();
                                    }
                                    Poll::Pending
                                }
                                Poll::Ready(()) => Poll::Ready(()),
                            })
                            .await;
                            if dice.throw(3) == 0 {
                                yield_now().await;
                            }
                        }
                    })
                })
                .collect();
            // Every eighth is dropped, wherever it is.
            tasks.iter().step_by(8).for_each(tokio::task::JoinHandle::abort);
            runtime.block_on(async {
                for task in tasks {
                    let _ended = task.await;
                }
            });
            // Permits that are being released arrive.
            drop(runtime);
            assert!(
                tenants.iter().all(|tenant| all_free(tenant, workers)) && all_free(&engine, workers),
                "seed {seed}"
            );
            for room in rooms.iter().chain([&engine_room]) {
                assert!(room.most.load(Ordering::SeqCst) < workers, "seed {seed}");
                assert!(room.visits.load(Ordering::SeqCst) > 0, "seed {seed}");
            }
        }
    }

    #[test]
    fn the_cost_of_a_tenant_to_others_does_not_grow_with_its_sessions() {
        // One worker runs all, so each turn can be counted.
        let turns_of_a = |spinners: usize, long: bool| {
            let (a, b, engine) = (Permits::new(2), Permits::new(2), Permits::new(2));
            let (a, b, engine) = (Arc::new(a), Arc::new(b), Arc::new(engine));
            let noise = Arc::new(Room::default());
            let runtime = Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                for _ in 0..spinners {
                    let (a, engine, noise) = (Arc::clone(&a), Arc::clone(&engine), Arc::clone(&noise));
                    tokio::spawn(async move {
                        let mut queue = PermitQueue::new(&a, &engine);
                        loop {
                            turn(&mut queue, long, true, &noise).await;
                            yield_now().await;
                        }
                    });
                }
                let quiet = Room::default();
                let mut queue = PermitQueue::new(&b, &engine);
                for _ in 0..100 {
                    turn(&mut queue, false, false, &quiet).await;
                    yield_now().await;
                }
            });
            noise.visits.load(Ordering::SeqCst)
        };
        for long in [false, true] {
            let one = turns_of_a(1, long);
            assert!(one >= 50, "{one}");
            for many in [2, 16, 64] {
                let turns = turns_of_a(many, long);
                assert!(turns <= one + 2, "{many} spinners had {turns} turns where one had {one}");
            }
        }
    }

    #[test]
    fn waiting_calls_are_served_in_order() {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let (tenant, engine) = (Arc::new(Permits::new(1)), Arc::new(Permits::new(1)));
        runtime.block_on(async {
            let held = tenant.at_once().unwrap();
            let order = Arc::new(std::sync::Mutex::new(Vec::new()));
            let mut tasks = Vec::new();
            for number in 0..10 {
                let (tenant, engine, order) = (Arc::clone(&tenant), Arc::clone(&engine), Arc::clone(&order));
                tasks.push(tokio::spawn(async move {
                    turn(&mut PermitQueue::new(&tenant, &engine), number % 2 == 0, number % 3 == 0, &Room::default())
                        .await;
                    order.lock().unwrap().push(number);
                }));
                yield_now().await;
            }
            assert!(order.lock().unwrap().is_empty());
            drop(held);
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(*order.lock().unwrap(), (0..10).collect::<Vec<_>>());
        });
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_call_waits_without_a_permit() {
        let (tenant, engine) = (Permits::new(2), Permits::new(2));
        let start = Instant::now();
        let mut queue = PermitQueue::new(&tenant, &engine);
        let moment = start + std::time::Duration::from_millis(4);
        let look = poll_fn(|context| Poll::Ready(queue.poll_turn(context, true, || Some(moment)).is_ready()));
        assert!(!look.await);
        assert!(all_free(&tenant, 2) && all_free(&engine, 2));
        let _turn = poll_fn(|context| queue.poll_turn(context, true, || None)).await;
        assert!(start.elapsed() >= moment - start);
        assert!(!all_free(&tenant, 2) && !all_free(&engine, 2));
    }
}
