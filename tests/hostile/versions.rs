//! A plugin is replaced again and again while users log in, and while one session that began with the first version
//! goes on.

use whelk_tests::{MIB, Running, figure, size};

use crate::components::{install, version, version_line};
use crate::world::{Plan, World};

const NAME: &str = "turncoat";

/// The next event that another version was loaded. Looks only at new log lines.
struct Loads {
    looked_at: usize,
    count: u64,
}

impl Loads {
    fn wait_for(&mut self, world: &World, number: u64) {
        world.gateway.wait_all(&format!("version {number}"), |events| {
            let new = &events[self.looked_at..];
            let it = |event: &&whelk_tests::Event| event.message == "plugin loaded" && event.field("plugin") == NAME;
            self.count += new.iter().filter(it).count() as u64;
            self.looked_at = events.len();
            (self.count >= number).then_some(())
        });
    }
}

/// The logins: the version that had certainly been loaded when each began, and the one that answered.
fn answers(logins: Running) -> Vec<(u64, u64)> {
    let finished = logins.finish();
    assert_eq!(finished.status, Some(0), "{}", finished.err);
    let read = |line: &str| -> (u64, u64) {
        let found = line.split_once(" answered version ");
        let (began, answered) = found.unwrap_or_else(|| panic!("a login failed: {line}"));
        (began.parse().expect("our own word"), answered.parse().expect("a version is a number"))
    };
    finished.out.text().lines().filter_map(|line| line.strip_prefix("login ")).map(read).collect()
}

#[test]
fn logins_succeed_while_a_plugin_is_being_replaced() {
    let replacements = size(10, 1_000);
    let mut world = Plan::watched().limit("generations", "100").plugin(NAME, version(1)).start();
    let mut loads = Loads { looked_at: 0, count: 0 };
    loads.wait_for(&world, 1);
    let mut old = world.call(NAME).exec("stay").start_long();
    old.wait_for_output(&version_line(1));
    let mut logins = world.siege(NAME, "logins", &["--rate", "50"], "which");
    logins.type_in(b"1\n");
    let before = world.gateway.resident_memory();
    for number in 2..=replacements + 1 {
        install(&world.plugins(), NAME, &version(number));
        loads.wait_for(&world, number);
        // Logins that begin from here on must not get an older one.
        logins.type_in(format!("{number}\n").as_bytes());
        old.type_in(b"x");
        if number % 100 == 0 {
            world.neighbour_goes_on();
        }
    }
    let own = version_line(1).repeat(usize::try_from(replacements + 1).expect("a count"));
    old.wait("own version of the old session", |seen| (seen.out.text() == own).then_some(()));
    let answers = answers(logins);
    for (began, answered) in &answers {
        assert!(answered >= began, "version {answered} answered when {began} had been loaded");
        assert!(*answered <= replacements + 1, "nobody made a version {answered}");
    }
    assert!(!answers.is_empty(), "nobody logged in");
    assert_eq!(old.finish().status, Some(0));
    let (peak, after) = (world.gateway.peak_memory(), world.gateway.resident_memory());
    figure("replacements of a plugin, all loaded", replacements);
    figure("logins meanwhile, none failed", answers.len());
    let mib = |bytes: u64| format!("{:.1}", bytes as f64 / MIB as f64);
    figure("memory before, peak, after, MiB", format!("{}, {}, {}", mib(before), mib(peak), mib(after)));
    if size(0, 1) == 1 {
        assert!(after < before + before / 4 + 16 * MIB, "memory does not return to where it was");
    }
    world.end();
}
