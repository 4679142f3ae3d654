//! The task between the clock, the disk and the registries.

use std::fs;
use std::future::pending;

use whelk_runtime::{CompileSettings, Compiler, Engine, EngineSettings, Grants, Lookup, Tenant};

use super::*;

/// The operator's folder and acme's, both empty, and a task that has not begun. Nothing can be compiled.
fn task() -> (tempfile::TempDir, Task) {
    let place = tempfile::tempdir().unwrap();
    let limits = Limits::default();
    let slots = Arc::new(CompileSlots::new(1));
    let shelf = |(name, tenant): (&str, Option<&str>)| {
        let path = place.path().canonicalize().unwrap().join(name);
        fs::create_dir(&path).unwrap();
        let folder = Folder { path, tenant: tenant.map(str::to_owned), registry: Arc::default(), component: 64 << 20 };
        Arc::new(Shelf::new(folder, &limits, &slots))
    };
    let shelves = [("operators", None), ("acmes", Some("acme"))].map(shelf);
    let engine = Engine::new(&EngineSettings { sessions: 1, ..EngineSettings::default() }).unwrap();
    let settings =
        CompileSettings { memory: 1 << 30, time: Duration::from_secs(1), code: 1 << 20, instance_memory: 64 << 20 };
    let compiler = Compiler::new("/nowhere".into(), "compile", settings);
    let trial = Tenant::new("trial", whelk_runtime::Limits::default(), Grants::default());
    let loader = Arc::new(Loader::new(engine, compiler, None, trial));
    let loaders = Loaders { operators: Arc::clone(&loader), tenants: loader };
    (place, Task::new(Arc::new(shelves), loaders, &limits, watch::channel(false).0))
}

impl Task {
    /// A look at this has begun, and goes on for ever.
    fn begin_look(&mut self, spot: &Spot) -> Id {
        self.debouncer.at_once(spot.clone(), now());
        assert_eq!(self.debouncer.due(now()), [Look { spot: spot.clone(), settled: true }]);
        let id = self.looks.spawn(pending()).id();
        self.looking.insert(id, spot.clone());
        id
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenants_folder_that_does_not_answer_is_not_waited_for_for_ever() {
    let (_place, mut task) = task();
    let shelf = Arc::clone(&task.shelves[1]);
    task.begin_look(&Spot::Folder(1));
    let running = tokio::spawn(task.run());
    let registry = &shelf.folder.registry;
    let began = Instant::now();
    assert!(matches!(registry.lookup("echo"), Lookup::Preparing));
    assert!(matches!(registry.settled("echo").await, Lookup::Absent));
    assert_eq!(began.elapsed().as_secs(), TENANTS_START.as_secs());
    running.abort();
    // When it answers after all, what is in it counts as at any start.
    fs::write(shelf.folder.path.join("echo.wasm"), "").unwrap();
    let (watcher, _) = Watcher::new(&[], Box::new(|_| ()));
    assert!(matches!(shelf.list(&watcher), Outcome::Listed { is_first: true, .. }));
    assert!(matches!(registry.lookup("echo"), Lookup::Preparing));
}

#[tokio::test(start_paused = true)]
async fn after_a_folders_first_listing_files_are_looked_at_when_they_have_settled() {
    let (_place, mut task) = task();
    let shelf = Arc::clone(&task.shelves[0]);
    let (watcher, _) = Watcher::new(&[], Box::new(|_| ()));
    let due = |task: &mut Task| {
        let id = task.looks.spawn(pending()).id();
        task.looking.insert(id, Spot::Folder(0));
        task.looked(Ok((id, shelf.list(&watcher))));
        task.debouncer.due(now())
    };
    fs::write(shelf.folder.path.join("a.wasm"), "").unwrap();
    let a = Spot::File(0, "a.wasm".to_owned());
    assert_eq!(due(&mut task), [Look { spot: a, settled: true }]);
    // It is compiled meanwhile, and the start is not over.
    fs::write(shelf.folder.path.join("b.wasm"), "half of it").unwrap();
    assert_eq!(due(&mut task), []);
    assert!(task.starting);
    tokio::time::advance(Limits::default().reload_settle).await;
    let b = Spot::File(0, "b.wasm".to_owned());
    assert_eq!(task.debouncer.due(now()), [Look { spot: b, settled: true }]);
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_a_file_that_is_tried_again_can_be_told_so() {
    let (_place, task) = task();
    let (shelf, registry) = (&task.shelves[0], &task.shelves[0].folder.registry);
    registry.expect(BTreeSet::new());
    let note = |refusal| shelf.known().note(shelf, "a.wasm", refusal, true);
    note(Some(Refusal::no_room("the folder is full".to_owned())));
    assert!(matches!(registry.lookup("a"), Lookup::Retried));
    note(Some(Refusal::of("it cannot be read".to_owned())));
    assert!(matches!(registry.lookup("a"), Lookup::Absent));
    note(Some(Refusal::no_room("the folder is full".to_owned())));
    note(None);
    assert!(matches!(registry.lookup("a"), Lookup::Absent));
}
