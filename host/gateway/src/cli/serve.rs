//! `whelk serve`: starts everything in order, and ends the process if it does not end by itself.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use whelk_runtime::event::{self, FileEvents};
use whelk_runtime::supervise::{guard_future, supervise};

use super::outcome::{FAILED, Failure, failed, wrong};
use crate::config::{self, Config, LoginPolicy, Overrides};
use crate::connection::driver;
use crate::observe::audit;
use crate::observe::event::{ServerEvent, Subscriber, emit, subscribe};
use crate::observe::logging::{self, Output};
use crate::observe::metrics::{Metrics, MetricsServer, ServerHealth};
use crate::observe::strangers;
use crate::os_limits;
use crate::plugins::reload::Reload;
use crate::server::control::{Control, Requests};
use crate::server::drain::{DrainTime, ShutdownPhase, Stopper};
use crate::server::gateway::figures::figures;
use crate::server::gateway::{Gateway, THIS_PROGRAM};
use crate::server::generation::CurrentGateway;
use crate::server::heap_trim;
use crate::server::listener::{Listener, PassedSockets};
use crate::server::reload::{ReloadTrigger, Reloader, log_certificate};
use crate::server::revocation;
use crate::server::signals::{GaveUp, Hangup, Signals};
use crate::server::systemd::{Load, Systemd};
use crate::state::host_keys::HostKeys;
use crate::state::strict_modes;
use crate::state::{Lock, State};

/// How long a stopping server removes ephemeral homes. The next start removes the others.
const HOMES_SETTLE: Duration = Duration::from_secs(2);
/// How long a stopping server writes recordings.
pub(super) const RECORDINGS_SETTLE: Duration = Duration::from_secs(2);
/// How long a start waits for the state folder, which `whelk backup` and `whelk restore` lock for a moment ...
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// ... and how often it tries.
const LOCK_POLL: Duration = Duration::from_millis(100);

pub(super) fn serve(file: Option<&Path>, overrides: &Overrides, log: Output<'_>) -> Result<(), Failure> {
    let began = Instant::now();
    // It changes the environment, which no other thread may read meanwhile.
    let passed = PassedSockets::take().map_err(wrong)?;
    let maps = os_limits::map_large_allocations();
    strict_modes::tighten_umask();
    let config = read(file, overrides)?;
    os_limits::check_start(&config).map_err(wrong)?;
    let metrics = Metrics::new();
    start_log(log, &config, Some(&metrics))?;
    let demonstration = matches!(config.login_policy, LoginPolicy::Demonstration);
    // First of all: until then a SIGHUP would kill the process silently.
    let stopper = Stopper::new();
    let drain = DrainTime::new(config.limits.drain);
    let (trigger, requests) = ReloadTrigger::new(&drain);
    let hangup = if demonstration { Hangup::Stops } else { Hangup::Reloads(trigger.clone()) };
    let signals = Signals::catch().map_err(failed)?;
    signals.obey(stopper.clone(), hangup, drain.clone(), give_up).map_err(failed)?;
    log_start(&config);
    warn_at_start(&config, demonstration, maps);
    os_limits::forbid_dumps(!demonstration);
    let state = State::open(&config.state).map_err(wrong)?;
    let _lock = lock(&state, &stopper)?;
    let host_keys = host_keys(&config, &state)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)?;
    let served = runtime.block_on(async {
        let listener = if passed.is_empty() { Listener::bind(&config) } else { Listener::adopt(passed, &config) };
        let listener = listener.map_err(wrong)?;
        let page = config.metrics.listen.map(bind_metrics).transpose().map_err(wrong)?;
        let gateway = Arc::new(Gateway::new(&config, host_keys, &stopper).map_err(wrong)?);
        let mut stopped = stopper.drain();
        let reload = tokio::select! {
            reload = gateway.load(&config, &state, Path::new(THIS_PROGRAM)) => Arc::new(reload.map_err(wrong)?),
            () = stopped.reached(ShutdownPhase::Draining) => return Ok(()),
        };
        let newest = CurrentGateway::new(gateway);
        let last = newest.clone();
        show_metrics(&metrics, page, (&newest, &reload), (&config, &stopper)).map_err(failed)?;
        let parts = (&*reload, &newest, &listener, (&stopper, &drain));
        let control = open_control(&state, parts, file.map(|_| trigger), metrics);
        for address in listener.addresses().map_err(failed)? {
            emit(ServerEvent::Listening { seconds: began.elapsed().as_secs_f32(), address });
        }
        start_tasks(&newest, &reload, &config);
        revocation::start(&newest);
        let manager = Systemd::of_environment();
        report_to(&manager, &newest, &listener, &stopper);
        if let Some(file) = file {
            let parts = (newest.clone(), reload, Arc::clone(listener.control()));
            let reloader = Reloader::new((file, overrides), (config, state), parts, manager);
            tokio::spawn(reloader.run(requests));
        }
        let served = accept(listener, stopper.clone(), newest).await;
        settle(&last, control.as_ref()).await;
        served
    });
    // A password that is still being hashed is no reason to wait.
    runtime.shutdown_background();
    served
}

/// Serves connections until the server stops. They are accepted on a worker: each begins and ends with a message
/// between its task and the one that accepts, which on the main thread would switch between threads.
async fn accept(listener: Listener, stopper: Stopper, newest: CurrentGateway) -> Result<(), Failure> {
    let accepted = tokio::spawn(async move {
        let serve = move |stream, peer, permit| driver::run(stream, peer, permit, newest.current());
        guard_future("listener", listener.serve(&stopper, serve)).await
    });
    // Both are panics, the outer one of what catches the inner.
    let ended = accepted.await.ok().and_then(Result::ok);
    ended.ok_or_else(|| failed("the task that accepts connections has panicked; exiting"))
}

/// Finishes what goes on after the last connection.
async fn settle(last: &CurrentGateway, control: Option<&Control>) {
    last.current().recordings().finish(RECORDINGS_SETTLE).await;
    last.current().settle_homes(HOMES_SETTLE).await;
    if let Some(control) = control {
        control.finish().await;
    }
}

/// The configuration of the file, or of the demonstration.
fn read(file: Option<&Path>, overrides: &Overrides) -> Result<Config, Failure> {
    let config = match file {
        Some(file) => Config::load(file, overrides),
        None => Config::demonstration(overrides),
    };
    config.map_err(wrong)
}

/// Locks the state folder. Waits a moment for another process that has locked it, unless the server is to stop.
fn lock(state: &State, stopper: &Stopper) -> Result<Lock, Failure> {
    let (drain, end) = (stopper.drain(), Instant::now() + LOCK_WAIT);
    lock_when_free(state, || {
        let may_wait = Instant::now() < end && drain.phase() == ShutdownPhase::Serving;
        if may_wait {
            thread::sleep(LOCK_POLL);
        }
        may_wait
    })
}

/// Locks the state folder as soon as no other process has locked it. `wait` returns `false` once it is too late. The
/// service manager may try again then: the configuration is not what is wrong.
fn lock_when_free(state: &State, mut wait: impl FnMut() -> bool) -> Result<Lock, Failure> {
    loop {
        match state.lock() {
            Ok(lock) => return Ok(lock),
            // Any other error names the file of the lock.
            Err(held) if held.path == state.folder() => {
                if !wait() {
                    return Err(failed(held));
                }
            }
            Err(error) => return Err(wrong(error)),
        }
    }
}

/// Starts what runs beside the connections.
fn start_tasks(newest: &CurrentGateway, reload: &Reload, config: &Config) {
    let trimmed = newest.clone();
    tokio::spawn(supervise("heap trim", move || heap_trim::give_back(trimmed.clone()), |_| ()));
    watch_log();
    let (prepared, checking, named) = (reload.prepared(), newest.current(), config.clone());
    tokio::spawn(async move {
        prepared.await;
        checking.warn_of_missing_grants(&named).await;
        // What the start alone has used. A panic in it leaves that.
        let _ = tokio::task::spawn_blocking(os_limits::trim_heap).await;
    });
}

/// Tells the service manager that the server serves, and from then on how it is.
fn report_to(manager: &Systemd, newest: &CurrentGateway, listener: &Listener, stopper: &Stopper) {
    manager.ready();
    let (manager, newest, liveness, stopper) = (manager.clone(), newest.clone(), listener.liveness(), stopper.clone());
    let report = move || {
        let newest = newest.clone();
        manager.clone().report(move || Load::of(&newest.current()), Arc::clone(&liveness), stopper.clone())
    };
    tokio::spawn(supervise("systemd", report, |_| ()));
}

/// Opens the control socket. A server without one serves all the same.
fn open_control(
    state: &State,
    (reload, newest, listener, (stopper, drain)): (&Reload, &CurrentGateway, &Listener, (&Stopper, &DrainTime)),
    trigger: Option<ReloadTrigger>,
    metrics: Arc<Metrics>,
) -> Option<Control> {
    let (stores, table) = (newest.clone(), Arc::clone(newest.current().connections()));
    let requests = Requests::new(reload).with_reload(trigger);
    let requests = requests
        .with_backup(state.folder(), move || stores.current().existing_store())
        .with_status(newest, reload, listener.control(), &stopper.drain())
        .with_sessions(&table)
        .with_tenants(newest)
        .with_kill(&table)
        .with_watch(&table)
        .with_drain(&table, stopper, drain)
        .with_console(newest.current().reserved_addresses())
        .with_metrics(move |format| metrics.text(format));
    Control::open(state, requests).inspect_err(|error| emit(ServerEvent::ControlFailed { error })).ok()
}

/// Binds the socket that serves the metrics.
fn bind_metrics(address: SocketAddr) -> Result<MetricsServer, String> {
    MetricsServer::bind(address).map_err(|error| format!("metrics.listen: {address} cannot be listened on: {error}"))
}

/// Has the metrics read the server's tables from now on, and serves them at `page` if there is one.
fn show_metrics(
    metrics: &Arc<Metrics>,
    page: Option<MetricsServer>,
    (newest, reload): (&CurrentGateway, &Reload),
    (config, stopper): (&Config, &Stopper),
) -> io::Result<()> {
    let (newest, view, with_tenants) = (newest.clone(), reload.view().clone(), config.metrics.tenants);
    metrics.read_tables(Box::new(move || figures(&newest.current(), &view, with_tenants)));
    let drain = stopper.drain();
    let health = ServerHealth::new(move || drain.phase() == ShutdownPhase::Serving);
    let (measured, beats) = (Arc::clone(metrics), Arc::clone(&health));
    let measure = move || {
        let beats = Arc::clone(&beats);
        Arc::clone(&measured).measure_delay(move || beats.beat())
    };
    tokio::spawn(supervise("scheduling delay", measure, |_| ()));
    if let Some(page) = page {
        let (address, metrics) = (page.address()?, Arc::clone(metrics));
        page.serve(Box::new(move |format| metrics.text(format)), health)?;
        emit(ServerEvent::MetricsListening { address });
    }
    Ok(())
}

/// Starts the log, the metrics and the audit.
pub(super) fn start_log(log: Output<'_>, config: &Config, metrics: Option<&Arc<Metrics>>) -> Result<(), Failure> {
    logging::start(log, give_up_the_log).map_err(wrong)?;
    let audit = config.audit.as_ref().map(audit::start).transpose().map_err(wrong)?;
    let files = if audit.is_some() { FileEvents::All } else { FileEvents::Logged };
    let subscribers: Vec<Subscriber> = metrics.map(Metrics::subscriber).into_iter().chain(audit).collect();
    let is_first = subscribers.is_empty() || subscribe(subscribers, files);
    if is_first { Ok(()) } else { Err(wrong("the events have other subscribers already")) }
}

/// Logs which program this is, and by which configuration it serves.
pub(super) fn log_start(config: &Config) {
    let users = match &config.login_policy {
        LoginPolicy::Demonstration => 0,
        LoginPolicy::Users(users) => users.len(),
    };
    let file = config.source.as_ref().map(|source| source.file.display().to_string());
    emit(ServerEvent::Started {
        version: env!("CARGO_PKG_VERSION"),
        run: &event::run(),
        file: file.as_deref(),
        digest: config.source.as_ref().map(|source| source.digest.as_str()),
        users,
        tenants: config.tenants.len(),
    });
}

/// Tells from now on, once in a while, what the log left out.
fn watch_log() {
    tokio::spawn(supervise("dropped lines", logging::tell_dropped, |_| ()));
    tokio::spawn(supervise("strangers", strangers::tell, |_| ()));
}

/// Logs the notes of a valid configuration. `maps`: the C library maps large pieces of memory.
fn warn_at_start(config: &Config, demonstration: bool, maps: bool) {
    if !maps {
        emit(ServerEvent::HeapThresholdFailed {});
    }
    for note in &config.notes {
        emit(ServerEvent::Note { note: &note.to_string() });
    }
    for os_limits::Shortage { resource, has, needs, change } in os_limits::shortages(config) {
        emit(ServerEvent::Shortage { resource, has, needs, change: &change });
    }
    if demonstration {
        emit(ServerEvent::Note { note: config::DEMONSTRATION });
    }
}

/// Ends a process that does not end by itself, because a thread hangs in a disk, a plugin or a library.
pub(super) fn give_up(why: GaveUp) {
    emit(ServerEvent::GaveUp { why: &why.to_string() });
    audit::finish();
    logging::finish();
    os_limits::exit_at_once(FAILED)
}

/// Ends the process when its log can no longer be written. Standard error may still take a line.
fn give_up_the_log() {
    let _ = writeln!(std::io::stderr(), "the thread that writes the log has panicked; exiting");
    os_limits::exit_at_once(FAILED)
}

/// The host keys, of which those of the state folder are made at the first start. Users compare the fingerprint of one
/// at their first login.
fn host_keys(config: &Config, state: &State) -> Result<HostKeys, Failure> {
    let started = Instant::now();
    let (keys, made) = HostKeys::load(state, &config.host_keys).map_err(wrong)?;
    if made {
        emit(ServerEvent::HostKeysMade { seconds: started.elapsed().as_secs_f32() });
    }
    log_host_keys(&keys);
    Ok(keys)
}

/// Logs by which keys clients know this server.
pub(super) fn log_host_keys(keys: &HostKeys) {
    for key in keys.public() {
        emit(ServerEvent::HostKey { algorithm: key.algorithm(), fingerprint: &key.fingerprint() });
    }
    keys.certificates().iter().for_each(|certificate| log_certificate(certificate));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::outcome::WRONG;

    #[test]
    fn a_start_waits_for_a_state_folder_that_is_locked_for_a_moment() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(&folder.path().join("state")).unwrap();
        let mut held = Some(state.lock().unwrap());
        let mut waits = 0;
        let lock = lock_when_free(&state, || {
            waits += 1;
            if waits == 3 {
                held = None;
            }
            true
        });
        assert!(lock.is_ok());
        assert_eq!(waits, 3);
        let failure = lock_when_free(&state, || false).err().unwrap();
        assert_eq!(failure.status, FAILED);
        assert!(failure.text.ends_with("another whelk is running with this state folder"), "{}", failure.text);
        drop(lock);
        std::fs::remove_file(folder.path().join("state/lock")).unwrap();
        std::fs::create_dir(folder.path().join("state/lock")).unwrap();
        let failure = lock_when_free(&state, || panic!("nobody has locked it")).err().unwrap();
        assert_eq!(failure.status, WRONG);
    }
}
