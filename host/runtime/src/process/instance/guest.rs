//! One store with one instance in it, and how it is entered: with a budget, under the ticker, with a permit to run, and never again after it
//! has failed.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};
use wasmtime::{Store, UpdateDeadline};

use super::body::Body;
use crate::channel::Shared;
use crate::engine::Engine;
use crate::error::{Error, Limit, Stop, judge, judge_start};
use crate::host::State;
use crate::host::bindings::exports::{
    break_handler, drain_handler, message_handler, request_handler, session, timer_handler,
};
use crate::limits::budget::Budget;
use crate::limits::meter::{Meter, Tick};
use crate::limits::permit::Gate;
use crate::plugin::{Exports, Plugin};
use crate::supervise::catch;

/// A running plugin.
pub(super) struct Guest {
    body: Body,
    functions: Functions,
    watch: Watch,
}

/// What can be called.
pub(super) struct Functions {
    pub(super) session: session::Guest,
    pub(super) timer: Option<timer_handler::Guest>,
    pub(super) drain: Option<drain_handler::Guest>,
    pub(super) line_break: Option<break_handler::Guest>,
    pub(super) request: Option<request_handler::Guest>,
    pub(super) message: Option<message_handler::Guest>,
}

/// What a call is held to.
pub(super) struct Watch {
    meter: Arc<Meter>,
    pipes: Arc<Shared>,
    engine: Engine,
    budget: Arc<Budget>,
    grace: Duration,
}

/// How long a call may take by the clock, once that counts. It stands still while the call stands in line for a processor.
struct GraceTimer {
    grace: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    paused_since: Option<Instant>,
}

/// How a call did not return.
pub(super) enum Failure {
    Wasm(wasmtime::Error),
    /// It went on for too long after the session's end.
    Overdue,
    /// The host did, in an import or around the call; what it said.
    Panicked(String),
}

impl Guest {
    /// Makes an instance of the plugin.
    pub(super) async fn new(plugin: &Plugin, pipes: Arc<Shared>, state: State) -> Result<Self, Stop> {
        let engine = plugin.engine();
        let slot = engine.slot(plugin.memories()).map_err(Stop::Failed)?;
        let ticks = state.limits().instantiate_ticks;
        let watch = Watch {
            meter: Arc::new(Meter::new(Arc::clone(state.usage()))),
            pipes,
            engine: engine.clone(),
            budget: Arc::clone(state.budget()),
            grace: state.limits().grace,
        };
        let mut body = Body::new(engine, slot, state);
        let store = body.store();
        store.limiter(|state| state);
        store.set_hostcall_fuel(store.data().limits().host_call_bytes);
        store.set_max_component_handles(store.data().limits().resources);
        store.set_epoch_deadline(1);
        let (meter, ticker) = (Arc::clone(&watch.meter), Arc::clone(engine.ticker()));
        store.epoch_deadline_callback(move |_| {
            Ok(match meter.tick(ticker.epoch()) {
                Tick::Free => UpdateDeadline::Continue(1),
                // tokio's own: it lets the network be looked at too, which waking oneself would not. The permits go back meanwhile, as
                // they do whenever the call waits.
                Tick::Yield => UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())),
                Tick::Spent => UpdateDeadline::Interrupt,
            })
        });
        watch.meter.begin(ticks, engine.ticker().epoch());
        // Most of the work is the host's, which no tick interrupts: memory is filled with what the plugin begins with.
        watch.meter.set_exact(true);
        let made = Functions::make(plugin, &watch, store).await;
        watch.meter.set_exact(false);
        match made {
            Ok(functions) => Ok(Self { body, functions, watch }),
            Err(stop) => {
                body.reap().await;
                Err(stop)
            }
        }
    }

    pub(super) fn state(&mut self) -> &mut State {
        self.body.store().data_mut()
    }

    pub(super) fn has_drain_handler(&self) -> bool {
        self.functions.drain.is_some()
    }

    /// Lets it go, where that keeps nobody else waiting. Its room and its memory are free when this comes back.
    pub(super) async fn reap(self) {
        self.body.reap().await;
    }

    /// What one call needs: who watches it, what to call, and where. It may use so many ticks.
    pub(super) fn enter(&mut self, ticks: u32) -> (&Watch, &Functions, &mut Store<State>) {
        let store = self.body.store();
        store.set_epoch_deadline(1);
        self.watch.meter.begin(ticks, self.watch.engine.ticker().epoch());
        store.data_mut().memory().begin();
        (&self.watch, &self.functions, store)
    }

    /// What the end of a call means.
    pub(super) fn leave<R>(&mut self, result: Result<R, Failure>) -> Result<R, Stop> {
        self.state().tidy();
        result.map_err(|failure| match failure {
            Failure::Wasm(error) => judge(&error, self.state().memory().refused()),
            Failure::Overdue => overdue("the call went on after the session's end"),
            Failure::Panicked(words) => Stop::Failed(Error::panicked(&words)),
        })
    }
}

/// The instance did not come back in time.
fn overdue(detail: &str) -> Stop {
    Stop::Failed(Error::Limit { limit: Limit::Time, detail: detail.to_owned() })
}

impl Functions {
    /// Makes the instance in its store.
    async fn make(plugin: &Plugin, watch: &Watch, store: &mut Store<State>) -> Result<Self, Stop> {
        // A start function may wait for ever as well as run for ever.
        let started = watch.run(true, pin!(plugin.pre().instantiate_async(&mut *store))).await;
        let instance = match started {
            Ok(instance) => instance,
            Err(Failure::Overdue) => return Err(overdue("it was not made in time")),
            Err(Failure::Panicked(words)) => return Err(Stop::Failed(Error::panicked(&words))),
            Err(Failure::Wasm(error)) => {
                let refused = store.data_mut().memory().refused();
                return Err(judge_start(&error, refused, watch.engine.capacity()));
            }
        };
        Self::load(plugin.exports(), store, &instance).map_err(|error| Stop::Failed(Error::host(&error)))
    }

    fn load(
        exports: &Exports,
        store: &mut Store<State>,
        instance: &wasmtime::component::Instance,
    ) -> wasmtime::Result<Self> {
        Ok(Self {
            session: exports.session.load(&mut *store, instance)?,
            timer: exports.timer.as_ref().map(|timer| timer.load(&mut *store, instance)).transpose()?,
            drain: exports.drain.as_ref().map(|drain| drain.load(&mut *store, instance)).transpose()?,
            line_break: exports.line_break.as_ref().map(|line| line.load(&mut *store, instance)).transpose()?,
            request: exports.request.as_ref().map(|request| request.load(&mut *store, instance)).transpose()?,
            message: exports.message.as_ref().map(|message| message.load(&mut *store, instance)).transpose()?,
        })
    }
}

impl Watch {
    /// Runs a call to its end. Once the session is over, or from the beginning if it is `bounded`, the call has the time of grace left,
    /// by the clock; processor time is limited always. The call is pinned by the caller: moved in, it would count twice in the size of a session.
    ///
    /// Each time it is polled it needs permits, and has none when it is not.
    pub(super) async fn run<R>(
        &self,
        bounded: bool,
        mut call: Pin<&mut impl Future<Output = wasmtime::Result<R>>>,
    ) -> Result<R, Failure> {
        let ticker = self.engine.ticker();
        let mut gate = Gate::new(self.budget.permits(self.engine.workers()), self.engine.permits());
        let mut grace = GraceTimer { grace: self.grace, deadline: None, paused_since: None };
        poll_fn(|context| {
            let pass = gate.poll_pass(context, self.meter.is_long(), || self.meter.wait_until());
            let Poll::Ready(turn) = pass else {
                grace.pause();
                return Poll::Pending;
            };
            grace.resume();
            let running = ticker.run();
            let epoch = ticker.epoch();
            self.meter.resume(epoch);
            let polled = catch(|| call.as_mut().poll(context));
            self.meter.pause(ticker.epoch());
            drop(running);
            if ticker.epoch() != epoch {
                turn.end_later();
            }
            match polled {
                Ok(Poll::Ready(result)) => return Poll::Ready(result.map_err(Failure::Wasm)),
                Ok(Poll::Pending) => {}
                Err(words) => return Poll::Ready(Err(Failure::Panicked(words))),
            }
            self.pipes.listen(context);
            grace.poll_end(context, bounded || self.pipes.ended().is_some()).map(|()| Err(Failure::Overdue))
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

    /// Whether the time is over; it `counts` from the first time that it is said to.
    fn poll_end(&mut self, context: &mut Context<'_>, counts: bool) -> Poll<()> {
        if counts && self.deadline.is_none() {
            self.deadline = Some(Box::pin(sleep_until(Instant::now() + self.grace)));
        }
        self.deadline.as_mut().map_or(Poll::Pending, |deadline| deadline.as_mut().poll(context))
    }
}
