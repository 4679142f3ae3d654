//! The program table of a tenant: one component by several names, what is loaded, and what makes room.

use std::sync::Arc;

use whelk_runtime::{Ending, Grants, Limits, Lookup, Plugin, ProgramTable, Published, Registry, TableFull, Tenant};

use crate::client::Client;
use crate::guests;

fn tenant(name: &str) -> Arc<Tenant> {
    Tenant::new(name, Limits::default(), Grants::default())
}

/// A program of this name, as if it had just been loaded.
fn load(registry: &Registry, name: &str) -> (Arc<Plugin>, Published) {
    let plugin = Plugin::load(guests::engine(), name, &guests::wasm("script")).unwrap();
    let published = registry.publish(&plugin);
    (plugin, published)
}

fn loaded(registry: &Registry) -> Vec<String> {
    registry.plugins().iter().map(|plugin| plugin.name().to_owned()).collect()
}

/// A session that lasts until its client leaves.
async fn running(plugin: &Arc<Plugin>, tenant: &str) -> Client {
    let mut client = Client::as_user(plugin, &self::tenant(tenant), "alice", &[]);
    client.run("true");
    client.until_replies(1).await;
    client
}

#[tokio::test]
async fn one_component_has_any_number_of_names() {
    let registry = Registry::default();
    let (coreutils, _) = load(&registry, "coreutils");
    let ls = coreutils.called("ls");
    assert_eq!((ls.name(), ls.file_name(), ls.generation()), ("ls", "coreutils", 1));
    let cat = ls.called("cat");
    assert_eq!((cat.name(), cat.file_name(), cat.called("coreutils").file_name()), ("cat", "coreutils", "coreutils"));
    assert!(Arc::ptr_eq(&cat.called("coreutils"), &coreutils) && Arc::ptr_eq(&ls.called("ls"), &ls));
    let session = running(&cat, "acme").await;
    assert_eq!((coreutils.sessions(), ls.sessions()), (1, 1));
    drop((ls, cat, coreutils));
    // The session keeps the version that it has by its other name: it is listed, and ended when its time is over.
    assert!(registry.remove("coreutils"));
    let older: Vec<_> = registry.list().iter().flat_map(|listed| listed.older.clone()).collect();
    assert_eq!((older.len(), older[0].name(), older[0].sessions()), (1, "coreutils", 1));
    drop(older);
    registry.drain("coreutils", 1);
    let (_, report) = session.end().await;
    assert_eq!((report.ending, report.plugin.name()), (Some(Ending::Drained), "cat"));
}

#[tokio::test]
async fn the_program_that_was_used_least_recently_makes_room_unless_it_runs() {
    let (registry, table) = (Arc::new(Registry::default()), ProgramTable::default());
    let note = |name: &str| table.note_use(&registry, name, "acme", 3);
    let mut programs = Vec::new();
    for name in ["a", "b", "c"] {
        note(name).unwrap();
        programs.push(load(&registry, name).0);
    }
    let running = running(&programs[0].called("other"), "acme").await;
    drop(programs);
    note("b").unwrap();
    note("d").unwrap();
    load(&registry, "d");
    // Not a, which runs, nor b, which was used after c.
    assert_eq!((loaded(&registry), table.loaded()), (vec!["a".to_owned(), "b".to_owned(), "d".to_owned()], 3));
    assert!(matches!(registry.lookup("c"), Lookup::Absent));
    note("c").unwrap();
    assert_eq!(load(&registry, "c").1, Published::As(1), "the same contents are no new version");
    assert_eq!(loaded(&registry), ["a", "c", "d"]);
    running.inbox.end(Ending::ClientClosed);
    running.end().await;
    note("b").unwrap();
    assert_eq!(loaded(&registry), ["c", "d"]);
}

#[tokio::test]
async fn a_table_in_which_everything_runs_or_is_loaded_is_full() {
    let (registry, table) = (Arc::new(Registry::default()), ProgramTable::default());
    let note = |name: &str| table.note_use(&registry, name, "acme", 2);
    note("a").unwrap();
    let session = running(&load(&registry, "a").0, "acme").await;
    note("b").unwrap();
    registry.expect_also("b");
    assert_eq!((note("c"), table.loaded()), (Err(TableFull), 2));
    note("a").unwrap();
    note("b").unwrap();
    // It was refused: nobody waits for it any more.
    registry.prepared("b");
    note("c").unwrap();
    assert!(!registry.is_held("b") && registry.is_held("c"));
    drop(session);
}

#[tokio::test]
async fn tenants_share_what_is_loaded_and_make_room_for_themselves_alone() {
    let registry = Arc::new(Registry::default());
    let [acme, bolt] = [(); 2].map(|()| ProgramTable::default());
    acme.note_use(&registry, "a", "acme", 1).unwrap();
    bolt.note_use(&registry, "a", "bolt", 1).unwrap();
    let session = running(&load(&registry, "a").0, "bolt").await;
    // It does not run for acme, so it makes room there, and stays loaded for bolt.
    acme.note_use(&registry, "b", "acme", 1).unwrap();
    assert_eq!(loaded(&registry), ["a"]);
    assert_eq!(bolt.note_use(&registry, "b", "bolt", 1), Err(TableFull));
    drop(bolt);
    assert!(loaded(&registry).is_empty());
    session.inbox.end(Ending::ClientClosed);
    session.end().await;
}
