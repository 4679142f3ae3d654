//! What two tenants that use the same plugin with the same names see of each other: nothing.

use std::path::Path;

use whelk_tests::Input;

use crate::components::{file, install};
use crate::world::{Plan, World};
use whelk_tests::shipped_plugins;

/// The plugin that keeps and tells things: `kv set KEY TEXT`, `kv get KEY`, `publish TOPIC TEXT`, `subscribe TOPIC`.
const PLUGIN: &str = "guestbook";

/// Both tenants have it, and everything that it needs.
fn sharing() -> World {
    let grants = |tenant: &str| {
        format!("[tenants.{tenant}.grants]\nkeyvalue = {{ bytes = \"64 KiB\", keys = 100 }}\ntopics = true")
    };
    let bytes = std::fs::read(file(&shipped_plugins(), PLUGIN)).expect("the plugins are built");
    let plan = Plan::default().hostile(&grants("hostile")).quiet(&grants("quiet"));
    plan.plugin(PLUGIN, bytes).also("other-guestbook", "quiet", PLUGIN).start()
}

/// What a command answers a user.
fn say(world: &World, user: &str, command: &str) -> (Option<i32>, String) {
    let finished = world.call(user).exec(command).run(Input::Nothing);
    (finished.status, finished.out.text())
}

#[test]
fn two_tenants_with_the_same_plugin_and_the_same_keys_have_each_their_own() {
    let mut world = sharing();
    assert_eq!(say(&world, PLUGIN, "kv set name hostile").0, Some(0));
    assert_eq!(say(&world, "other-guestbook", "kv get name").0, Some(1), "a key of another tenant's is there");
    assert_eq!(say(&world, "other-guestbook", "kv list").1, "");
    assert_eq!(say(&world, "other-guestbook", "kv set name quiet").0, Some(0));
    assert_eq!(say(&world, PLUGIN, "kv get name").1, "hostile\n");
    assert_eq!(say(&world, "other-guestbook", "kv get name").1, "quiet\n");
    assert_eq!(say(&world, PLUGIN, "kv add visits 5").1, "5\n");
    assert_eq!(say(&world, "other-guestbook", "kv add visits 1").1, "1\n");
    assert_eq!(say(&world, PLUGIN, "kv delete name").0, Some(0));
    assert_eq!(say(&world, "other-guestbook", "kv get name").1, "quiet\n");
    world.neighbour_goes_on();
    world.end();
}

#[test]
fn a_tenant_at_its_quota_of_keys_is_refused_and_nobody_else_is() {
    let mut world = sharing();
    let text = "x".repeat(8 << 10);
    let refused =
        (0..20).map(|key| say(&world, PLUGIN, &format!("kv set key-{key} {text}")).0).find(|status| *status != Some(0));
    assert_eq!(refused, Some(Some(1)), "64 KiB took all of 160");
    assert_eq!(say(&world, "other-guestbook", &format!("kv set key-0 {text}")).0, Some(0));
    assert_eq!(say(&world, PLUGIN, "kv get key-0").1.trim(), text);
    world.neighbour_goes_on();
    world.end();
}

#[test]
fn two_tenants_with_the_same_plugin_and_the_same_topics_hear_nothing_of_each_other() {
    let mut world = sharing();
    let listen = |user: &str| {
        let listening = world.call(user).exec("subscribe news").start();
        listening.wait_for_output("subscribed");
        listening
    };
    let (theirs, ours) = (listen(PLUGIN), listen("other-guestbook"));
    assert_eq!(
        say(&world, PLUGIN, "publish news from the hostile").1,
        "1\n",
        "more than its own tenant's session hears it"
    );
    assert_eq!(say(&world, "other-guestbook", "publish news from the quiet").1, "1\n");
    theirs.wait_for_output("from the hostile");
    ours.wait_for_output("from the quiet");
    let (theirs, ours) = (theirs.finish().out.text(), ours.finish().out.text());
    assert!(!theirs.contains("quiet") && !ours.contains("hostile"), "{theirs:?} {ours:?}");
    world.neighbour_goes_on();
    world.end();
}

#[test]
fn a_plugin_of_a_tenant_s_own_folder_is_there_for_that_tenant_alone() {
    let own = |folder: &Path| {
        let plugins = folder.join("own");
        std::fs::create_dir(&plugins).expect("our own folder");
        install(&plugins, "secret", &crate::components::version(7));
        // Where both folders have a plugin of a name, the tenant's own goes first.
        install(&plugins, "echo", &crate::components::version(8));
    };
    let plan = Plan::default().hostile("plugins = \"FOLDER/own\"").before(own);
    let plan = plan
        .also("their-secret", "hostile", "secret")
        .also("their-echo", "hostile", "echo")
        .also("our-echo", "quiet", "echo");
    let mut world = plan.start();
    assert_eq!(say(&world, "their-secret", "which").1, crate::components::version_line(7));
    assert_eq!(say(&world, "their-echo", "which").1, crate::components::version_line(8));
    let finished = world.call("our-echo").run(Input::Bytes(b"hi".to_vec()));
    assert!(finished.out.text().contains("echo: \"hi\""), "{}", finished.out.text());
    world.neighbour_goes_on();
    world.end();
}
