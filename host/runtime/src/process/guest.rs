//! A store with an instance in it, and how it is entered: with a CPU budget, under the epoch ticker, with a run
//! permit, and never again after a failure.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};
use wasmtime::Store;

use super::functions::Functions;
use super::store::{ProcessContext, ProcessStore, make};
use crate::channel::Shared;
use crate::engine::Engine;
use crate::error::{Error, Limit, Stop, judge, judge_start};
use crate::event::{LogEvent, emit};
use crate::host::State;
use crate::limits::budget::Budget;
use crate::limits::meter::Meter;
use crate::limits::permit::PermitQueue;
use crate::limits::ticks;
use crate::plugin::Plugin;
use crate::supervise::catch;

/// A store with an instance in it.
pub(crate) struct Guest {
    store: ProcessStore,
    limits: CallLimits,
}

/// The limits that a call is held to.
pub(crate) struct CallLimits {
    meter: Arc<Meter>,
    pipes: Arc<Shared>,
    engine: Engine,
    budget: Arc<Budget>,
    grace: Duration,
}

/// How long a call may take by the clock, once that is limited. Paused while the call waits for a run permit.
struct GraceTimer {
    grace: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    paused_since: Option<Instant>,
}

/// Why a call did not return.
pub(crate) enum Failure {
    Wasm(wasmtime::Error),
    /// It went on for too long after the session's end.
    Overdue,
    /// The host panicked, in an import or around the call, with this message.
    Panicked(String),
    /// Its [`Watch`] has ended the call.
    Ended,
}

/// Who watches a call that lasts as long as its session.
pub(crate) trait Watch {
    /// Whether the call ends here. Asked before each poll of the call, and so at each tick; it registers the task's
    /// waker for what it looks at.
    fn must_end(&mut self, context: &Context<'_>) -> bool;
    /// The call was polled and goes on. `waits`: it waits in an import; otherwise it computes or is stopped.
    fn polled(&mut self, waits: bool);
    /// Whether it waits for a signal to continue, wherever it is.
    fn is_stopped(&self) -> bool;
    /// Whether the call should return now: it has the grace period from then on.
    fn is_over(&self) -> bool;
    /// Whether the call belongs to the session's task, and has the grace period once the session is over.
    fn is_of_session(&self) -> bool {
        true
    }
}

/// Of the making of an instance, in whichever task.
struct Making;

impl Watch for Making {
    fn must_end(&mut self, _: &Context<'_>) -> bool {
        false
    }

    fn polled(&mut self, _: bool) {}

    fn is_stopped(&self) -> bool {
        false
    }

    fn is_over(&self) -> bool {
        false
    }

    fn is_of_session(&self) -> bool {
        false
    }
}

/// Nobody.
impl Watch for () {
    fn must_end(&mut self, _: &Context<'_>) -> bool {
        false
    }

    fn polled(&mut self, _: bool) {}

    fn is_stopped(&self) -> bool {
        false
    }

    fn is_over(&self) -> bool {
        false
    }
}

impl Guest {
    /// Makes a store with an instance of the plugin in it, and looks up what it runs.
    pub(crate) async fn start(plugin: &Plugin, context: &ProcessContext<'_>) -> Result<(Self, Functions), Stop> {
        let began = Instant::now();
        let (mut store, meter) = make(plugin, context).map_err(Stop::Failed)?;
        let (engine, tenant) = (plugin.engine(), context.tenant);
        let limits = CallLimits {
            meter,
            pipes: Arc::clone(context.pipes),
            engine: engine.clone(),
            budget: Arc::clone(tenant.budget()),
            grace: tenant.limits().grace,
        };
        limits.meter.begin(ticks(tenant.limits().cpu_start), engine.ticker().epoch());
        match limits.instantiate(plugin, store.get()).await {
            Ok(functions) => {
                tell_started(plugin, context, began.elapsed());
                Ok((Self { store, limits }, functions))
            }
            Err(stop) => {
                store.reap().await;
                Err(stop)
            }
        }
    }

    pub(crate) fn state(&mut self) -> &mut State {
        self.store.get().data_mut()
    }

    /// Drops the store, off the workers if it is large. Its slot and its memory are free when this returns.
    pub(crate) async fn reap(self) {
        self.store.reap().await;
    }

    /// Begins a call that may use this many ticks.
    pub(crate) fn begin_call(&mut self, ticks: u32) -> (&CallLimits, &mut Store<State>) {
        self.begin(ticks, u64::MAX)
    }

    /// Begins a call that may use `most` ticks, and that ends when the session's processes have used `session`.
    pub(crate) fn begin_run(&mut self, most: u32, session: u32) -> (&CallLimits, &mut Store<State>) {
        self.begin(most, session.into())
    }

    fn begin(&mut self, most: u32, session: u64) -> (&CallLimits, &mut Store<State>) {
        let store = self.store.get();
        store.set_epoch_deadline(1);
        self.limits.meter.begin_in_session(most, session, self.limits.engine.ticker().epoch());
        store.data_mut().memory.begin();
        (&self.limits, store)
    }

    /// Ends a call, and says what its failure means.
    pub(crate) fn leave<R>(&mut self, result: Result<R, Failure>) -> Result<R, Stop> {
        self.state().tidy();
        result.map_err(|failure| match failure {
            Failure::Wasm(error) => judge(&error, self.state().memory.refused()),
            Failure::Overdue => overdue("the call went on after the session's end"),
            Failure::Panicked(message) => Stop::Failed(Error::panicked(&message)),
            // Who ends a call knows why, and does not ask here.
            Failure::Ended => overdue("the call was ended"),
        })
    }
}

fn tell_started(plugin: &Plugin, context: &ProcessContext<'_>, took: Duration) {
    let ProcessContext { tenant, facts, purpose, .. } = *context;
    emit(LogEvent::ProcessStarted {
        connection: facts.connection(),
        channel: facts.channel(),
        tenant: tenant.name(),
        plugin: plugin.name(),
        generation: plugin.generation(),
        took_ms: took.as_secs_f32() * 1_000.0,
        purpose: purpose.as_str(),
    });
}

/// The call did not return in time.
fn overdue(detail: &str) -> Stop {
    Stop::Failed(Error::Limit { limit: Limit::Time, detail: detail.to_owned() })
}

impl CallLimits {
    /// Makes the instance in its store.
    async fn instantiate(&self, plugin: &Plugin, store: &mut Store<State>) -> Result<Functions, Stop> {
        // Bounded: a start function may wait for ever as well as run for ever.
        let started = self.run_watched(true, pin!(plugin.pre().instantiate_async(&mut *store)), &mut Making).await;
        let instance = match started {
            Ok(instance) => instance,
            Err(Failure::Overdue | Failure::Ended) => return Err(overdue("it was not made in time")),
            Err(Failure::Panicked(message)) => return Err(Stop::Failed(Error::panicked(&message))),
            Err(Failure::Wasm(error)) => {
                let refused = store.data().memory.refused();
                return Err(judge_start(&error, refused, self.engine.capacity()));
            }
        };
        Functions::load(plugin.world(), store, &instance).map_err(|error| Stop::Failed(Error::host(&error)))
    }

    /// Runs a call to its end. Its processor time is always limited. Its wall-clock time is limited to the grace
    /// period once the session is over, or from the beginning if it is `bounded`. The caller pins the call, because a
    /// call that is moved in would count twice in the size of a session.
    ///
    /// The call holds run permits only while it is polled.
    pub(crate) async fn run<R>(
        &self,
        bounded: bool,
        call: Pin<&mut impl Future<Output = wasmtime::Result<R>>>,
    ) -> Result<R, Failure> {
        self.run_watched(bounded, call, &mut ()).await
    }

    /// The same for a call that is watched.
    pub(crate) async fn run_watched<R>(
        &self,
        bounded: bool,
        mut call: Pin<&mut impl Future<Output = wasmtime::Result<R>>>,
        watch: &mut impl Watch,
    ) -> Result<R, Failure> {
        let ticker = self.engine.ticker();
        let (tenant, engine) = (self.budget.permits(self.engine.workers()), self.engine.permits());
        let mut permits = PermitQueue::new(tenant, engine);
        let must_wait = || self.meter.wait_until(|| engine.are_contended(tenant));
        let mut grace = GraceTimer { grace: self.grace, deadline: None, paused_since: None };
        poll_fn(|context| {
            if watch.must_end(context) {
                return Poll::Ready(Err(Failure::Ended));
            }
            let long = self.meter.is_long() && !watch.is_stopped();
            let Poll::Ready(turn) = permits.poll_turn(context, long, must_wait) else {
                grace.pause();
                return Poll::Pending;
            };
            grace.resume();
            let running = ticker.run();
            let epoch = ticker.epoch();
            self.meter.resume(epoch);
            let polled = catch(|| call.as_mut().poll(context));
            self.meter.pause();
            drop(running);
            if ticker.epoch() != epoch {
                turn.end_later();
            }
            match polled {
                Ok(Poll::Ready(result)) => return Poll::Ready(result.map_err(Failure::Wasm)),
                Ok(Poll::Pending) => {
                    let (long, stopped) = (self.meter.is_long(), watch.is_stopped());
                    permits.polled(long && !stopped);
                    watch.polled(!long && !stopped);
                }
                Err(message) => return Poll::Ready(Err(Failure::Panicked(message))),
            }
            let mut counts = bounded || watch.is_over();
            if watch.is_of_session() {
                self.pipes.register_waker(context);
                counts |= self.pipes.ended().is_some();
            }
            grace.poll_end(context, counts).map(|()| Err(Failure::Overdue))
        })
        .await
    }
}

impl GraceTimer {
    fn pause(&mut self) {
        self.paused_since.get_or_insert_with(Instant::now);
    }

    fn resume(&mut self) {
        if let Some(since) = self.paused_since.take()
            && let Some(deadline) = &mut self.deadline
        {
            let later = deadline.deadline() + since.elapsed();
            deadline.as_mut().reset(later);
        }
    }

    /// Polls the grace period, which begins the first time that `counts` is true.
    fn poll_end(&mut self, context: &mut Context<'_>, counts: bool) -> Poll<()> {
        if counts && self.deadline.is_none() {
            self.deadline = Some(Box::pin(sleep_until(Instant::now() + self.grace)));
        }
        self.deadline.as_mut().map_or(Poll::Pending, |deadline| deadline.as_mut().poll(context))
    }
}
