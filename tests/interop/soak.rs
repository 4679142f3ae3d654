//! Many real clients for a long time, while an operator lists, watches and ends sessions, reloads the configuration and
//! replaces a plugin. The server's memory and descriptors do not grow, and no session ends that nobody has ended.
//!
//! Every client knows what it must get, and how it may end: by itself, by the operator, or because its plugin was
//! replaced. Any other end, or a wrong byte, fails the test with the name of the client. A test takes about 20 s with a
//! client of each kind, a proof 30 minutes with 300 of them; `WHELK_SOAK_MINUTES` sets another length for a proof.

mod clients;
mod load;
mod meter;
mod operator;
mod site;
mod slot;

use std::time::{Duration, Instant};

use whelk_tests::{SOON, figure, size};

use load::{End, Load};
use site::Site;

/// Growth of the resident memory that is still taken for the noise of a load, bytes.
const NOISE: f64 = 16.0 * 1024.0 * 1024.0;
/// The same of descriptors.
const NOISE_FILES: f64 = 32.0;
/// The same as a part of what there is after the warm-up, for both.
const NOISE_PART: f64 = 0.1;

/// Ends the load when it is dropped.
struct Over<'l>(&'l Load<'l>);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// How long clients work before the measurement begins, how long it lasts, and the time between two samples.
fn times() -> [Duration; 3] {
    if size(0, 1) == 0 {
        return [8_000, 12_000, 500].map(Duration::from_millis);
    }
    let minutes = std::env::var("WHELK_SOAK_MINUTES").ok().and_then(|minutes| minutes.parse().ok()).unwrap_or(30);
    let all = Duration::from_secs(60 * minutes);
    let warm_up = (all / 4).min(Duration::from_secs(300));
    [warm_up, all - warm_up, Duration::from_secs(5)]
}

#[test]
fn many_clients_for_long_leave_nothing_behind_and_none_ends_unexplained() {
    let site = Site::start();
    let load = Load::new(&site, clients::victims());
    // What the server loads at the first use and keeps: the programs, the older version of a plugin.
    clients::come_once(&load).expect("one client of each program");
    operator::replace(&site);
    until_all_are_gone(&site);
    let before = (site.gateway.open_files(), site.gateway.resident_memory());
    let [warm_up, measured, every] = times();
    let samples = std::thread::scope(|scope| {
        for slot in clients::slots() {
            let load = &load;
            scope.spawn(move || clients::work(load, &slot));
        }
        scope.spawn(|| operator::operate(&load));
        // However this thread ends.
        let _over = Over(&load);
        meter::measure(&load, warm_up, measured, every)
    });
    let tally = load.into_tally();
    figure(&format!("ends of {} clients in {:?}", clients::count(), warm_up + measured), &tally);
    let growth = meter::growth(&samples);
    figure(
        "RSS slope",
        format!("{:.1} KiB/min, descriptors slope {:.2}/min", growth.memory.slope / 1024.0, growth.files.slope),
    );
    let mib = |bytes: f64| format!("{:.1} MiB", bytes / (1024.0 * 1024.0));
    let (memory, files) = (growth.memory, growth.files);
    figure("RSS after the warm-up, and growth since", format!("{}, {}", mib(memory.first), mib(memory.grown)));
    figure("descriptors after the warm-up, and growth since", format!("{:.0}, {:.1}", files.first, files.grown));
    assert!(tally.unexplained.is_empty(), "not explained:\n{}", tally.unexplained.join("\n"));
    for end in End::ALL {
        assert!(tally.count(end) > 0, "no client has ended so: {end:?}");
    }
    let most = NOISE.max(memory.first * NOISE_PART);
    assert!(memory.grown < most, "the memory has grown by {} from {}", mib(memory.grown), mib(memory.first));
    let most = f64::max(NOISE_FILES, files.first * NOISE_PART);
    assert!(files.grown < most, "descriptors have grown by {:.0} from {:.0}", files.grown, files.first);
    check_left(&site, before);
    site.end();
}

fn until_all_are_gone(site: &Site) {
    let began = Instant::now();
    loop {
        let listed = operator::told(site, &["sessions", "--connections", "--json"]);
        if listed.is_empty() {
            break;
        }
        assert!(began.elapsed() < SOON, "there are still sessions:\n{listed}");
    }
}

/// Waits until all clients are gone, and with them everything that the server had open for them.
fn check_left(site: &Site, (files, memory): (usize, u64)) {
    until_all_are_gone(site);
    let began = Instant::now();
    while site.gateway.open_files() > files {
        let open = meter::descriptors(&site.gateway);
        assert!(began.elapsed() < SOON, "{files} descriptors before the clients came, now {}: {open:?}", open.len());
        std::thread::yield_now();
    }
    let now = site.gateway.resident_memory();
    let mib = |bytes: u64| bytes / (1 << 20);
    figure("RSS before the clients and after them", format!("{} MiB, {} MiB", mib(memory), mib(now)));
}
