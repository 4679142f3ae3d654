//! The task between the clock, the disk and the registries.

use std::collections::BTreeSet;
use std::fs;
use std::future::pending;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::Id;
use tokio::time::{Instant, sleep};
use whelk_runtime::{CompileSettings, Compiler, Engine, EngineSettings, Grants, Loader, Lookup, Tenant};

use super::folder::Outcome;
use super::refusal::FileRefusal;
use super::task::{Job, TENANTS_START};
use super::*;
use crate::plugins::watch::{Check, ROUND, Spot, Watcher};
use crate::state::strict_modes::Writers;

/// The operator's folder and acme's, both empty. Nothing can be compiled.
fn context() -> (tempfile::TempDir, Arc<Context>, watch::Receiver<bool>) {
    let place = tempfile::tempdir().unwrap();
    let limits = Limits::default();
    let slots = Arc::new(CompileSlots::new(1));
    let folder = |(name, tenant): (&str, Option<&str>)| {
        let path = place.path().canonicalize().unwrap().join(name);
        fs::create_dir(&path).unwrap();
        let writers = if tenant.is_some() { Writers::Tenant } else { Writers::Operator };
        let (tenant, registry) = (tenant.map(str::to_owned), Arc::default());
        let folder = FolderConfig { path, tenant, writers, registry, component: 64 << 20, programs: None };
        Arc::new(PluginFolder::new(folder, &limits, &slots))
    };
    let folders = [("operators", None), ("acmes", Some("acme"))].map(folder);
    let engine =
        Engine::new(&EngineSettings::of(&whelk_runtime::Limits { instances: 1, ..Default::default() })).unwrap();
    let settings =
        CompileSettings { memory: 1 << 30, time: Duration::from_secs(1), code: 1 << 20, instance_memory: 64 << 20 };
    let compiler = Compiler::new("/nowhere".into(), "compile", settings);
    let trial = Tenant::new("trial", whelk_runtime::Limits::default(), Grants::default());
    let loader = Arc::new(Loader::new(engine, compiler, None, trial));
    let loaders = Loaders { operators: Arc::clone(&loader), tenants: loader };
    let (tell, prepared) = watch::channel(false);
    (place, Arc::new(Context::new(Arc::new(folders), loaders, &limits, Arc::new(tell))), prepared)
}

/// A task that has not begun.
fn task() -> (tempfile::TempDir, Task) {
    let (place, context, _) = context();
    (place, Task::new(context))
}

fn no_watcher() -> Watcher {
    Watcher::new(&[], Arc::new(|_| ()))
}

impl Task {
    /// A check of this has begun, and goes on for ever.
    fn begin_check(&mut self, spot: &Spot) -> Id {
        self.debouncer.at_once(spot.clone(), Instant::now().into_std());
        assert_eq!(self.debouncer.due(Instant::now().into_std()), [Check { spot: spot.clone(), settled: true }]);
        self.begun(spot, true)
    }

    fn begun(&mut self, spot: &Spot, settled: bool) -> Id {
        let id = self.jobs.spawn(pending()).id();
        self.job_kinds.insert(id, Job::Check { spot: spot.clone(), settled });
        id
    }

    /// Checks `a.wasm` of the operator's folder as it is on the disk.
    async fn check_a(&mut self, settled: bool) {
        let (folder, spot) = (Arc::clone(&self.context.folders[0]), Spot::File(0, "a.wasm".to_owned()));
        let id = self.begun(&spot, settled);
        let outcome = folder.check_file("a.wasm".to_owned()).await;
        self.done(Ok((id, outcome)));
    }

    /// The digest of what is being loaded.
    fn loading(&self) -> Vec<[u8; 32]> {
        self.load_jobs.values().filter_map(|load| load.digest).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenants_folder_that_does_not_answer_delays_the_start_for_a_limited_time() {
    let (_place, mut task) = task();
    let folder = Arc::clone(&task.context.folders[1]);
    task.begin_check(&Spot::Folder(1));
    let running = tokio::spawn(task.run());
    let registry = &folder.config.registry;
    let began = Instant::now();
    assert!(matches!(registry.lookup("echo"), Lookup::Preparing));
    assert!(matches!(registry.settled("echo").await, Lookup::Absent));
    assert_eq!(began.elapsed().as_secs(), TENANTS_START.as_secs());
    running.abort();
    // When it answers after all, what is in it counts as at any start.
    fs::write(folder.config.path.join("echo.wasm"), "").unwrap();
    assert!(matches!(folder.list(&no_watcher()), Outcome::Listed { is_first: true, .. }));
    assert!(matches!(registry.lookup("echo"), Lookup::Preparing));
}

#[tokio::test(start_paused = true)]
async fn after_the_first_listing_files_are_checked_when_they_have_settled() {
    let (_place, mut task) = task();
    let folder = Arc::clone(&task.context.folders[0]);
    let now = || Instant::now().into_std();
    let due = |task: &mut Task| {
        let id = task.begun(&Spot::Folder(0), true);
        task.done(Ok((id, folder.list(&no_watcher()))));
        task.debouncer.due(now())
    };
    fs::write(folder.config.path.join("a.wasm"), "").unwrap();
    let a = Spot::File(0, "a.wasm".to_owned());
    assert_eq!(due(&mut task), [Check { spot: a, settled: true }]);
    // It is compiled meanwhile, and the start is not over.
    fs::write(folder.config.path.join("b.wasm"), "half of it").unwrap();
    assert_eq!(due(&mut task), []);
    assert!(task.is_starting());
    tokio::time::advance(Limits::default().plugins.reload_settle).await;
    let b = Spot::File(0, "b.wasm".to_owned());
    assert_eq!(task.debouncer.due(now()), [Check { spot: b, settled: true }]);
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_is_tried_again_is_reported_as_such() {
    let (_place, task) = task();
    let (folder, registry) = (&task.context.folders[0], &task.context.folders[0].config.registry);
    registry.expect(BTreeSet::new());
    let note = |refusal| folder.state().note(folder, "a.wasm", refusal, true);
    note(Some(FileRefusal::no_room("the folder is full".to_owned())));
    assert!(matches!(registry.lookup("a"), Lookup::Retried));
    note(Some(FileRefusal::unreadable("it cannot be read".to_owned())));
    assert!(matches!(registry.lookup("a"), Lookup::Absent));
    note(Some(FileRefusal::no_room("the folder is full".to_owned())));
    note(None);
    assert!(matches!(registry.lookup("a"), Lookup::Absent));
}

#[tokio::test]
async fn a_newer_version_or_the_removal_of_the_file_ends_the_load_of_the_older_one() {
    let (_place, mut task) = task();
    let folder = Arc::clone(&task.context.folders[0]);
    folder.config.registry.expect(BTreeSet::new());
    folder.list(&no_watcher());
    let file = folder.config.path.join("a.wasm");
    fs::write(&file, "one").unwrap();
    task.check_a(true).await;
    let first = task.loading();
    assert_eq!((first.len(), folder.state().pending["a.wasm"].digest), (1, Some(first[0])));
    assert!(
        matches!(folder.config.registry.lookup("a"), Lookup::Preparing),
        "its users are not told that it is absent"
    );
    // The same bytes again are the same load.
    fs::write(&file, "one").unwrap();
    task.check_a(true).await;
    assert_eq!((task.loading(), task.job_kinds.len()), (first.clone(), 1));
    // A version that may not be the last of a file that never stops changing ends nothing.
    fs::write(&file, "two").unwrap();
    task.check_a(false).await;
    assert_eq!(task.loading(), first);
    task.check_a(true).await;
    let second = task.loading();
    assert_eq!(
        (second.len(), folder.state().pending["a.wasm"].digest.unwrap(), task.job_kinds.len()),
        (1, second[0], 1)
    );
    assert_ne!(first, second);
    fs::remove_file(&file).unwrap();
    task.check_a(true).await;
    assert!(task.loading().is_empty() && folder.state().pending.is_empty());
    assert!(matches!(folder.config.registry.lookup("a"), Lookup::Absent));
    // What they have to say, should they have been over already, is nobody's concern.
    for _ in [first, second] {
        let done = task.jobs.join_next_with_id().await.unwrap();
        task.done(done);
    }
    assert!(folder.state().refused.is_empty() && task.loading().is_empty());
}

#[tokio::test]
async fn a_tenants_new_plugin_is_not_ready_and_waits_for_none_of_the_operators() {
    let (_place, mut task) = task();
    let folder = Arc::clone(&task.context.folders[1]);
    folder.config.registry.expect(BTreeSet::new());
    folder.list(&no_watcher());
    fs::write(folder.config.path.join("a.wasm"), "one").unwrap();
    let id = task.begun(&Spot::File(1, "a.wasm".to_owned()), true);
    let outcome = Arc::clone(&folder).check_file("a.wasm".to_owned()).await;
    task.done(Ok((id, outcome)));
    assert!(matches!(folder.config.registry.lookup("a"), Lookup::Retried));
    // It is refused.
    let done = task.jobs.join_next_with_id().await.unwrap();
    task.done(done);
    assert!(folder.state().refused.contains_key("a.wasm") && folder.state().pending.is_empty());
    assert!(matches!(folder.config.registry.lookup("a"), Lookup::Absent));
}

/// W40: what an unmounted disk leaves behind is noticed after a reload, too.
#[tokio::test]
async fn a_folder_stays_known_when_limits_change_and_its_refused_files_are_tried_again() {
    let (_place, context, _) = context();
    let folder = &context.folders[1];
    for file in ["a.wasm", "b.wasm"] {
        fs::write(folder.config.path.join(file), "text").unwrap();
        let Outcome::Read(source, stamp) = Arc::clone(folder).check_file(file.to_owned()).await else { panic!() };
        assert!(folder.found(&file[..1], file, stamp, source, true).is_some());
    }
    folder.list(&no_watcher());
    folder.state().note(folder, "a.wasm", Some(FileRefusal::unreadable("it is text".to_owned())), true);
    let identity = folder.state().identity;
    let configs = || context.folders.iter().map(|folder| folder.config.clone()).collect();
    let same = make_folders(configs(), &Limits::default(), (&context.folders, true));
    assert!(Arc::ptr_eq(&same[1], folder));
    let after = make_folders(configs(), &Limits::default(), (&context.folders, false));
    assert!(!Arc::ptr_eq(&after[1], folder) && identity.is_some());
    assert_eq!(after[1].state().identity, identity);
    assert!(after[1].state().refused.contains_key("a.wasm"));
    // No name is in preparation again.
    assert!(matches!(folder.config.registry.lookup("another"), Lookup::Absent));
    let Outcome::Listed { files, is_first: false } = after[1].list(&no_watcher()) else { panic!() };
    assert_eq!(files, ["a.wasm"], "the other has not changed");
}

#[tokio::test(start_paused = true)]
async fn after_a_panic_the_folders_are_checked_again_and_the_status_shows_the_gap() {
    let (_place, context, prepared) = context();
    let folder = Arc::clone(&context.folders[0]);
    let reload = Reload::start_with(Arc::clone(&context), prepared, &Limits::default()).await.unwrap();
    let status = Arc::clone(&reload.view().status);
    let refused = async |file: &str, reason: &str| {
        let is_told = || folder.state().refused.get(file).is_some_and(|refusal| refusal.reason == reason);
        while !is_told() {
            // The clock jumps as soon as nobody works.
            sleep(Duration::from_millis(10)).await;
        }
    };
    fs::write(folder.config.path.join("a.wasm"), "").unwrap();
    refused("a.wasm", "the file is empty").await;
    assert!(status.failure().is_none());
    context.fault.store(true, Ordering::SeqCst);
    while status.failure().is_none() {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(status.failure().unwrap().reason, "a fault that a test injected");
    fs::write(folder.config.path.join("b.wasm"), "").unwrap();
    refused("b.wasm", "the file is empty").await;
    fs::write(folder.config.path.join("a.wasm"), "hello").unwrap();
    refused("a.wasm", "this is text, not a WebAssembly component").await;
    sleep(2 * ROUND).await;
    assert!(status.failure().is_none());
}
