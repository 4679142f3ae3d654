//! `METRICS.md` says what the code does, every series has the labels that its metric is declared with, and the alerts
//! and the dashboard ask for metrics that there are.

mod queries;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io;
use std::path::Path;

use tracing::Level;
use whelk_runtime::event::LogEvent;
use whelk_runtime::limits::Amount;
use whelk_runtime::{FailureLabel, TenantUsage};

use super::*;
use crate::observe::escape::{Escaped, escape};
use crate::observe::event::{
    ConnectionEvent, Event, LimitEvent, LoginEvent, PluginEvent, ProcessEvent, ServerEvent, SessionEvent,
};
use crate::source::Peer;

fn document() -> String {
    let mut text = "\
# Metrics

Generated. To regenerate after an intended change:

    WHELK_BLESS=1 cargo test --release --workspace --lib observe::metrics

`whelk metrics` prints them. With `listen` in `[metrics]` of the configuration Prometheus reads them at `/metrics` of
that address, as OpenMetrics or as text. `/healthz` answers 200 while the server works, `/readyz` while it accepts
connections.

Names, types and labels are stable; labels may get further values. No label has a value that a client chooses: each is
of a fixed set, or the name of a tenant or of a plugin that is there. Metrics of tenants, and those of plugins in
folders of tenants, are shown unless `tenants = false`. `service/prometheus` has alerts and a dashboard for Grafana.

| metric | type | labels | what it means |
|---|---|---|---|
"
    .to_owned();
    for MetricDescription { name, kind, labels, help } in ALL {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let kind = format!("{kind:?}").to_lowercase();
        writeln!(text, "| `{name}` | {kind} | {} | {help} |", labels.join(", ")).unwrap();
    }
    text
}

#[test]
fn the_list_of_metrics_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("METRICS.md");
    let document = document();
    if std::env::var_os("WHELK_BLESS").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    let other = kept.lines().zip(document.lines()).find(|(kept, made)| kept != made);
    assert!(kept == document, "write METRICS.md anew, as it says itself; it has, and should have: {other:#?}");
}

#[test]
fn names_and_units_are_as_prometheus_recommends() {
    let mut names = BTreeSet::new();
    for MetricDescription { name, kind, labels, help } in ALL {
        assert!(names.insert(name), "{name}: twice");
        assert!(name.starts_with("whelk_") || name.starts_with("process_"), "{name}");
        let is_snake = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        assert!(is_snake(name) && labels.iter().all(|label| is_snake(label)), "{name}");
        assert_eq!(name.ends_with("_total"), *kind == MetricKind::Counter, "{name}");
        assert!(*kind != MetricKind::Histogram || name.ends_with("_seconds"), "{name}");
        assert!(["_ms", "_milliseconds", "_kib"].iter().all(|unit| !name.ends_with(unit)), "{name}");
        assert!(!help.ends_with('.') && !help.is_empty(), "{name}: {help}");
    }
}

const FAILURE: FailureLabel = FailureLabel { kind: "trap", reason: "SEGV" };

fn user() -> Escaped<'static> {
    escape(b"evil\"\n{user}")
}

fn of_connections() -> [Event<'static>; 2] {
    let negotiated = ConnectionEvent::Negotiated {
        connection: 1,
        key_exchange: "mlkem768x25519-sha256",
        host_key: "ssh-ed25519",
        cipher: "aes256-gcm@openssh.com",
        mac: None,
        compression: "none",
        took_ms: 20.0,
    };
    let closed = ConnectionEvent::Closed {
        connection: 1,
        peer: Peer::Unknown,
        seconds: 1.0,
        received: 10,
        sent: 20,
        sessions: 1,
        attempts: 0,
        user: None,
        tenant: None,
        reason: user(),
        level: Level::INFO,
        outcome: "hung_up",
    };
    [negotiated.into(), closed.into()]
}

fn of_logins() -> [Event<'static>; 2] {
    let rejected = LoginEvent::Rejected {
        connection: 1,
        peer: Peer::Unknown,
        method: "gssapi-with-mic\"} 1\n",
        user: user(),
        tenant: None,
        reason: user(),
        algorithm: None,
        fingerprint: None,
        key_id: None,
        serial: None,
        authority: None,
        level: Level::INFO,
    };
    let asked = LoginEvent::AuthenticatorAsked {
        connection: 1,
        user: user(),
        authenticator: "acme",
        method: "password",
        answer: "accept",
        took_ms: 1.0,
    };
    [rejected.into(), asked.into()]
}

fn of_sessions() -> [Event<'static>; 3] {
    let ended = SessionEvent::Ended {
        connection: 1,
        channel: 0,
        session: 1,
        user: user(),
        tenant: "acme",
        plugin: "echo",
        generation: 1,
        ending: "crashed",
        exit: "signal SEGV",
        cpu_ms: 1,
        memory: 1,
        error: Some("it crashed"),
        level: Level::WARN,
        failure: Some(FAILURE),
    };
    let failed = ProcessEvent::Failed {
        connection: 1,
        channel: 0,
        tenant: "acme",
        plugin: "echo",
        generation: 1,
        error: "it crashed",
        level: Level::WARN,
        failure: FAILURE,
    };
    let over = LimitEvent::UserSessions {
        connection: 1,
        channel: None,
        user: user(),
        tenant: user(),
        limit: "sessions_per_user",
        most: 1,
    };
    [ended.into(), failed.into(), over.into()]
}

fn of_the_plugin_host() -> [Event<'static>; 4] {
    let (tenant, plugin, connection, channel, generation) = ("acme", "echo", None, 0, 1);
    let (took_ms, purpose, limit) = (0.3, "process", "tenant_memory");
    [
        LogEvent::ProcessStarted { connection, channel, tenant, plugin, generation, took_ms, purpose },
        LogEvent::LimitOfTenant { tenant, limit, plugin, connection, channel },
        LogEvent::ServerStoreFailing { reason: "the disk is full" },
        LogEvent::ProcessChildFailed {
            connection,
            channel,
            tenant,
            plugin,
            generation,
            error: "out of memory",
            failure: FailureLabel { kind: "limit", reason: "memory" },
        },
    ]
    .map(Event::Runtime)
}

/// One of each event that is counted, from a client that chooses every name it can.
fn sample_events(metrics: &Metrics) {
    let error = io::Error::other("out of files");
    let (peer, reason) = ("192.0.2.1:22".parse().unwrap(), format_args!("a reason"));
    let refused_reload = |is_first| ServerEvent::ReloadRefused { reason: user(), is_first };
    let others: [Event<'_>; 7] = [
        ConnectionEvent::Refused { peer, reason, more: 0, cause: "penalty" }.into(),
        ConnectionEvent::NotAccepted { error: &error, more: 3 }.into(),
        PluginEvent::Loaded { plugin: user(), tenant: None, digest: "00", generation: 1 }.into(),
        refused_reload(true).into(),
        refused_reload(false).into(),
        ServerEvent::AuditFailing { reason: "the disk is full" }.into(),
        ServerEvent::AuditRecovered { left_out: 5 }.into(),
    ];
    let of_clients = of_connections().into_iter().chain(of_logins()).chain(of_sessions());
    of_clients.chain(of_the_plugin_host()).for_each(|event| metrics.counters.take(&event));
    others.iter().for_each(|event| metrics.counters.take(event));
}

fn sample_figures() -> ServerFigures {
    let of = |used| Amount { used, most: 100 };
    let (sessions, processes, memory, files) = (of(2), of(1), of(4), of(5));
    let usage = TenantUsage { sessions, instances: 3, processes, memory, files, cpu_ms: 1500 };
    let plugin = PluginFigures {
        tenant: "acme".to_owned(),
        kind: "plugin",
        name: "odd \"name\\\n".to_owned(),
        generation: Some(3),
        sessions: 2,
        tripped: false,
    };
    ServerFigures {
        connections: (7, 2),
        moved: (100, 200),
        instances: (3, 100),
        instances_started: 10,
        tenant_count: 1,
        tenants: vec![("acme".to_owned(), usage)],
        plugins: vec![plugin],
        ..ServerFigures::default()
    }
}

/// Metrics with a series of each.
fn sample() -> Arc<Metrics> {
    let metrics = Metrics::new();
    sample_events(&metrics);
    metrics.counters.ran_late(Duration::from_millis(1));
    metrics.read_tables(Box::new(sample_figures));
    metrics
}

/// The series of a text: their names, and the labels in braces.
fn series(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"))).collect()
}

/// The names of the labels of a series.
fn labels(series: &str) -> Vec<&str> {
    let Some((_, inside)) = series.split_once('{') else { return Vec::new() };
    let mut names = Vec::new();
    let mut rest = inside.trim_end_matches('}');
    while let Some((name, value)) = rest.split_once("=\"") {
        names.push(name.trim_start_matches(','));
        let mut is_escaped = false;
        let end = value.find(|letter: char| {
            let ends = letter == '"' && !is_escaped;
            is_escaped = letter == '\\' && !is_escaped;
            ends
        });
        rest = &value[end.unwrap_or_else(|| panic!("no end: {series}")) + 1..];
    }
    names
}

#[test]
fn every_metric_is_there_with_its_type_meaning_and_labels() {
    let metrics = sample();
    let (text, open) = (metrics.text(TextFormat::Prometheus), metrics.text(TextFormat::OpenMetrics));
    assert!(open.ends_with("# EOF\n"));
    let found = series(&text);
    let mut seen = BTreeSet::new();
    for of in found.keys() {
        let name = of.split('{').next().unwrap();
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let metric = ALL.iter().find(|metric| metric.name == name || metric.name == base);
        let metric = metric.unwrap_or_else(|| panic!("{of} is not declared"));
        let own: Vec<&str> = labels(of).into_iter().filter(|label| *label != "le").collect();
        assert_eq!(own, metric.labels, "{of}");
        seen.insert(metric.name);
    }
    for MetricDescription { name, kind, help, .. } in ALL {
        assert!(seen.contains(name), "{name} has no series");
        let kind = format!("{kind:?}").to_lowercase();
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}");
        assert!(text.contains(&format!("# HELP {name} {help}.\n")), "{name}");
    }
    // Both forms have the same series. They write the bounds of buckets otherwise.
    let same = |name: &&&str| !name.starts_with("process_") && !name.contains("le=\"");
    let (found, others) = (found.keys().filter(same).collect::<Vec<_>>(), series(&open));
    assert_eq!(found, others.keys().filter(same).collect::<Vec<_>>());
}

#[test]
fn events_are_counted_by_words_that_no_client_chooses() {
    let text = sample().text(TextFormat::Prometheus);
    let found = series(&text);
    let value = |series: &str| *found.get(series).unwrap_or_else(|| panic!("no {series} in {text}"));
    for (of, expected) in [
        ("whelk_login_attempts_total{result=\"rejected\",method=\"other\"}", "1"),
        ("whelk_login_attempts_total{result=\"success\",method=\"password\"}", "0"),
        ("whelk_connections_closed_total{outcome=\"hung_up\"}", "1"),
        ("whelk_connections_refused_total{reason=\"penalty\"}", "1"),
        ("whelk_negotiated_algorithms_total{kind=\"mac\",algorithm=\"none\"}", "1"),
        ("whelk_handshake_seconds_bucket{le=\"0.01\"}", "0"),
        ("whelk_handshake_seconds_bucket{le=\"0.025\"}", "1"),
        ("whelk_sessions_ended_total{ending=\"crashed\"}", "1"),
        // Of a session and of a process.
        ("whelk_failures_total{kind=\"trap\",reason=\"SEGV\"}", "2"),
        ("whelk_failures_total{kind=\"limit\",reason=\"memory\"}", "1"),
        ("whelk_limits_hit_total{limit=\"sessions_per_user\"}", "1"),
        ("whelk_limits_hit_total{limit=\"tenant_memory\"}", "1"),
        // Two errors of one reload.
        ("whelk_reloads_total{result=\"refused\"}", "1"),
        ("whelk_last_reload_done", "0"),
        ("whelk_audit_failures_total", "1"),
        ("whelk_audit_failing", "0"),
        ("whelk_audit_records_left_out_total", "5"),
        ("whelk_store_failing", "1"),
        ("whelk_instance_start_seconds_count{purpose=\"process\"}", "1"),
        ("whelk_instances_ended_total", "7"),
        ("whelk_tenant_cpu_seconds_total{tenant=\"acme\"}", "1.5"),
        ("whelk_plugin_generation{tenant=\"acme\",kind=\"plugin\",plugin=\"odd \\\"name\\\\\\n\"}", "3"),
    ] {
        assert_eq!(value(of), expected, "{of}");
    }
    assert!(!text.contains("evil") && !text.contains("gssapi"), "{text}");
}

/// Metrics are there before there are tables.
#[test]
fn a_server_that_only_begins_shows_what_is_known() {
    let text = Metrics::new().text(TextFormat::Prometheus);
    assert!(text.contains("\nprocess_threads ") && text.contains("\nwhelk_build_info{version=\""), "{text}");
    assert!(!text.contains("whelk_sessions "), "{text}");
}

#[tokio::test(start_paused = true)]
async fn what_holds_up_the_tasks_is_measured() {
    let metrics = Metrics::new();
    let beats = std::cell::Cell::new(0);
    let measured = Arc::clone(&metrics).measure_delay(|| beats.set(beats.get() + 1));
    // The clock goes on by three seconds while nothing runs, twice.
    let blocked = async {
        for _ in 0..2 {
            tokio::task::yield_now().await;
            tokio::time::advance(Duration::from_secs(3)).await;
        }
    };
    tokio::select! {
        never = measured => match never {},
        () = blocked => {}
    }
    let text = metrics.text(TextFormat::Prometheus);
    let found = series(&text);
    assert!(beats.get() >= 1);
    assert_eq!(found["whelk_scheduling_delay_seconds_bucket{le=\"1\"}"], "0", "{text}");
    assert_eq!(found["whelk_scheduling_delay_seconds_count"], beats.get().to_string(), "{text}");
}

/// A session has some ten events: less than 2 % of the 150 µs of processor time that the shortest one takes.
#[test]
fn counting_an_event_costs_little() {
    let metrics = Metrics::new();
    let event = Event::from(SessionEvent::NotReady {
        connection: 1,
        channel: 0,
        tenant: escape(b"acme"),
        plugin: escape(b"echo"),
        reason: "not yet",
    });
    let took = (0..20).map(|_| {
        let began = std::time::Instant::now();
        (0..1_000).for_each(|_| metrics.counters.take(&event));
        began.elapsed()
    });
    let best = took.min().unwrap() / 1_000;
    println!("one event: {best:?}");
    // Without optimisation it takes about ten times as long.
    assert!(best < Duration::from_micros(3), "one event: {best:?}");
}
