//! Two tenants that use the same plugin with the same names do not see each other, and each has its limits.

use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use whelk_tests::{Event, Input, figure, shipped_plugins, size};

use crate::components::{file, install, version, version_line};
use crate::world::{Plan, Told, World};

/// The plugin with key-value and topics: `kv set KEY TEXT`, `kv get KEY`, `publish TOPIC TEXT`, `subscribe TOPIC`.
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

/// The output of a command of a user.
fn say(world: &World, user: &str, command: &str) -> (Option<i32>, String) {
    let finished = world.call(user).exec(command).run(Input::Nothing);
    (finished.status, finished.out.text())
}

#[test]
fn two_tenants_with_the_same_plugin_and_keys_do_not_share_values() {
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
fn only_a_tenant_at_its_key_quota_is_refused() {
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
fn two_tenants_with_the_same_plugin_and_topics_do_not_share_messages() {
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
fn a_plugin_of_a_tenants_own_folder_serves_that_tenant_alone() {
    let own = |folder: &Path| {
        let plugins = folder.join("own");
        std::fs::create_dir(&plugins).expect("our own folder");
        install(&plugins, "secret", &version(7));
        // If both folders have a plugin of a name, the tenant's own takes precedence.
        install(&plugins, "echo", &version(8));
    };
    let plan = Plan::default().hostile("plugins = \"FOLDER/own\"").before(own);
    let plan = plan
        .also("their-secret", "hostile", "secret")
        .also("their-echo", "hostile", "echo")
        .also("our-echo", "quiet", "echo");
    let mut world = plan.start();
    assert_eq!(say(&world, "their-secret", "which").1, version_line(7));
    assert_eq!(say(&world, "their-echo", "which").1, version_line(8));
    let finished = world.call("our-echo").run(Input::Bytes(b"hi".to_vec()));
    assert!(finished.out.text().contains("echo: \"hi\""), "{}", finished.out.text());
    world.neighbour_goes_on();
    world.end();
}

#[test]
fn a_tenant_that_breaks_its_own_plugins_affects_no_other_even_after_a_restart() {
    let own = |folder: &Path| {
        let plugins = folder.join("theirs/plugins");
        std::fs::create_dir_all(&plugins).expect("our own folder");
        install(&plugins, "secret", &version(7));
    };
    let lines = "plugins = \"FOLDER/theirs/plugins\"\n[tenants.hostile.grants]\ndeploy = true\n\
                 directory = { path = \"FOLDER/theirs\", access = \"read-write\" }";
    let plan = Plan::watched().hostile(lines).before(own).also("their-secret", "hostile", "secret");
    let mut world = plan.start();
    assert_eq!(say(&world, "their-secret", "which").1, version_line(7));
    let theirs = world.gateway.folder().join("theirs");
    let ruins: [&dyn Fn(); 4] = [
        &|| std::fs::remove_file(file(&theirs.join("plugins"), "secret")).expect("it was there"),
        &|| std::fs::remove_dir(theirs.join("plugins")).expect("it is empty"),
        &|| std::os::unix::fs::symlink("../plugins", theirs.join("plugins")).expect("nothing is there"),
        &|| {
            std::fs::remove_file(theirs.join("plugins")).expect("it is a link");
            std::fs::write(theirs.join("plugins"), "no folder").expect("nothing is there");
        },
    ];
    for ruin in ruins {
        ruin();
        world.kill_and_restart();
        world.neighbour_goes_on();
        // The operator's plugins still work for this tenant.
        assert_eq!(world.exec("cat").told, Told::Status(0));
        let refused = world.call("their-secret").exec("which").run(Input::Nothing);
        assert!(refused.status != Some(0) && refused.out.text().is_empty(), "{}", refused.out.text());
    }
    // And the tenant can repair its folder.
    std::fs::remove_file(theirs.join("plugins")).expect("it is a file");
    std::fs::create_dir(theirs.join("plugins")).expect("nothing is there");
    install(&theirs.join("plugins"), "secret", &version(8));
    world.gateway.wait("loading of what was mended", |event| {
        (event.message == "plugin loaded" && event.field("plugin") == "secret").then_some(())
    });
    assert_eq!(say(&world, "their-secret", "which").1, version_line(8));
    world.end();
}

/// A file that does not fit into the pool, with a body that would take seconds to compile. `number` makes files differ.
fn misfit(number: u64) -> Vec<u8> {
    static MISFIT: OnceLock<Vec<u8>> = OnceLock::new();
    let misfit = MISFIT.get_or_init(|| {
        let functions = "(func (param i64) (result i64) local.get 0 i64.const 3 i64.mul i64.clz)".repeat(40_000);
        let tables = "(table 1 funcref)".repeat(200);
        let text = format!("(component (core module $m {tables} {functions}) (core instance (instantiate $m)))");
        wat::parse_str(text).expect("our own text")
    });
    // A custom section: its kind, its length, its name, the number.
    [misfit.as_slice(), &[0, 10, 1, b'n'], &number.to_le_bytes()].concat()
}

#[test]
fn plugins_that_do_not_fit_are_logged_once_and_delay_no_other_tenants() {
    let folders = |folder: &Path| {
        for name in ["theirs", "ours"] {
            std::fs::create_dir(folder.join(name)).expect("our own folder");
        }
        install(&folder.join("ours"), "small", &version(0));
    };
    let plan = Plan::watched().hostile("plugins = \"FOLDER/theirs\"").quiet("plugins = \"FOLDER/ours\"");
    let mut world = plan.before(folders).also("ours", "quiet", "small").start();
    let (theirs, ours) = (world.gateway.folder().join("theirs"), world.gateway.folder().join("ours"));
    let (deploys, mut longest) = (size(3, 30), Duration::ZERO);
    for number in 1..=deploys {
        // Several at once, so that some always wait.
        (0..4).for_each(|at| install(&theirs, &format!("misfit-{number}-{at}"), &misfit(4 * number + at)));
        let began = Instant::now();
        install(&ours, "small", &version(number));
        world.gateway.wait_all("loading of a small plugin", |events| {
            let loaded = |event: &&Event| event.message == "plugin loaded" && event.field("plugin") == "small";
            (u64::try_from(events.iter().filter(loaded).count()).ok()? > number).then_some(())
        });
        longest = longest.max(began.elapsed());
    }
    figure(
        "longest wait for a small plugin beside a tenant that drops misfits",
        format!("{:.2} s", longest.as_secs_f32()),
    );
    assert_eq!(say(&world, "ours", "which").1, version_line(deploys));
    for number in 1..=deploys {
        for at in 0..4 {
            let reason = world.refusal(&format!("misfit-{number}-{at}"));
            assert!(reason.contains("it needs 200 tables, and limits.tables is "), "{reason}");
        }
    }
    // Each once, although the folder was checked again and again.
    let refused = world.log().into_iter().filter(|event| event.message == "plugin refused").count();
    assert_eq!(u64::try_from(refused).expect("a small number"), 4 * deploys);
    world.neighbour_goes_on();
    world.end();
}

/// The operator's events of a tenant that exceeds a limit.
fn alarms(world: &World) -> Vec<String> {
    let events = world.log().into_iter().filter(|event| event.message == "tenant over limit");
    events.filter(|event| event.field("tenant") == "hostile").map(|event| event.field("limit")).collect()
}

#[test]
fn only_a_tenant_with_too_many_sessions_is_refused() {
    let mut world = Plan::default().hostile("[tenants.hostile.limits]\ntenant_sessions = 3").start();
    let mut held: Vec<_> = (0..3).map(|_| world.call("attacker").exec("W20 sleep").start()).collect();
    held.iter().for_each(|session| session.wait_for_output("waiting"));
    for _ in 0..5 {
        let seen = world.run(&world.call("accomplice").exec("cat"));
        assert_eq!(seen.told, Told::Signal("KILL: too many sessions at once".to_owned()), "{seen:?}");
        let seen = world.run(&world.call("stranger").exec("cat"));
        assert_eq!(seen.told, Told::Status(0), "{seen:?}");
    }
    assert_eq!(alarms(&world).len(), 1, "one event for all of it: {:?}", alarms(&world));
    world.neighbour_goes_on();
    held.remove(0).kill_and_wait();
    world.endings("attacker", 11);
    assert_eq!(world.exec("cat").told, Told::Status(0));
    world.end();
}

#[test]
fn w5_the_sessions_of_a_tenant_share_a_memory_limit() {
    let mut world = Plan::default().hostile("[tenants.hostile.limits]\ntenant_memory = \"128 MiB\"").start();
    let held: Vec<_> = (0..2).map(|_| world.call("attacker").exec("W5 hold").start()).collect();
    held.iter().for_each(|session| session.wait_for_output("held"));
    let seen = world.run(&world.call("accomplice").exec("W5 hold"));
    assert_eq!(seen.told, Told::Signal("KILL: out of memory: all sessions together".to_owned()), "{seen:?}");
    // The other tenant has its own limit.
    let mut stranger = world.call("stranger").exec("W5 hold").start();
    stranger.wait_for_output("held");
    stranger.end_input();
    assert_eq!(stranger.finish().status, Some(0));
    assert_eq!(alarms(&world).len(), 1, "{:?}", alarms(&world));
    world.neighbour_goes_on();
    // Resources of a session are free again after it has ended.
    held.into_iter().for_each(|session| assert_eq!(session.finish().status, Some(0)));
    world.endings("attacker", 4);
    let seen = world.exec("W5 hold");
    assert_eq!((seen.told, seen.out.as_str()), (Told::Status(0), "held\nx"));
    world.end();
}

#[test]
fn w20_a_session_may_have_an_idle_and_a_total_timeout() {
    for (limit, told) in
        [("session_time", "KILL: the session has reached its time limit"), ("idle_time", "HUP: idle for too long")]
    {
        let lines = format!("[tenants.hostile.limits]\n{limit} = \"1 s\"");
        let mut world = Plan::default().hostile(&lines).start();
        for behaviour in ["W20 sleep", "in signal cat"] {
            let waiting = world.call("attacker").exec(behaviour).start();
            waiting.wait_for_stderr(told);
            assert_eq!(waiting.finish().status, Some(255), "{limit}, {behaviour}");
            world.neighbour_goes_on();
        }
        world.end();
    }
}

#[test]
fn w16_a_tenant_may_have_an_output_rate() {
    let lines = "[tenants.hostile.limits]\ntenant_output_rate = \"256 KiB\"";
    let mut world = Plan::default().hostile(lines).start();
    let mut storm = world.siege("attacker", "storm", &["--count", "0", "--at-once", "4"], "W16");
    storm.type_in(b"go\n");
    // Meanwhile the quiet tenant receives four MiB at full speed.
    let stranger = world.call("neighbour").exec("zeros 4194304").run(Input::Nothing);
    assert_eq!((stranger.status, stranger.out.total), (Some(0), 4 << 20));
    storm.end_input();
    storm.wait_for_output("done");
    world.neighbour_goes_on();
    world.end();
}

#[test]
fn only_a_user_at_the_connection_limit_is_refused() {
    let mut world = Plan::default().limit("connections_per_user", "3").start();
    let enter = |world: &World| {
        let mut held = world.call("attacker").exec("cat").start();
        held.type_in(b"here\n");
        held.wait_for_output("here");
        held
    };
    let mut held: Vec<_> = (0..3).map(|_| enter(&world)).collect();
    for _ in 0..5 {
        let seen = world.exec("cat");
        assert_eq!(seen.told, Told::Cut, "{seen:?}");
    }
    assert_eq!(world.run(&world.call("accomplice").exec("cat")).told, Told::Status(0));
    world.neighbour_goes_on();
    let told = world.log().into_iter().filter(|event| event.field("limit") == "connections_per_user").count();
    assert_eq!(told, 1, "the operator is told once");
    // A connection that ends makes room.
    assert_eq!(held.pop().expect("three of them").finish().status, Some(0));
    world.gateway.wait_all("end of a connection", |events| {
        let left = |event: &&whelk_tests::Event| {
            event.message == "connection closed" && event.field("reason") == "the peer hung up"
        };
        (events.iter().filter(left).count() >= 2).then_some(())
    });
    held.push(enter(&world));
    for held in held {
        assert_eq!(held.finish().status, Some(0));
    }
    world.end();
}
