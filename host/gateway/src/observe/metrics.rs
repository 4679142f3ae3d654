//! The metrics: what events are counted in, and what the server's tables say, in the forms that Prometheus reads.
//! `METRICS.md` beside the manifest lists them all, and is written by a test here.
//!
//! ```text
//!  event ──► counters     a match, a short search and an atomic addition, where the event happens
//!  tables ─► figures      read by whoever reads the metrics
//!        ──► `whelk metrics`, by the control socket
//!        ──► http         GET /metrics on an address of its own, on a thread of its own
//! ```
//!
//! Nothing is counted for each packet or byte: the bytes of connections are those of the connection table, and the
//! processor time of guests is added where it is charged.
//!
//! Decided 2026-11-30: `prometheus-client`, by Prometheus itself: it writes both forms of the text, and starts no
//! thread. Refused: `metrics` with its exporter, which keeps every series in a global table behind a hash
//! of its name and labels, and brings a runtime and a server of its own.

mod counted;
mod counters;
mod description;
mod figures;
mod form;
mod http;
mod process;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;
use tokio::time::{Instant, sleep_until};

use crate::observe::event::Subscriber;
use counters::Counters;
pub use description::{ALL, MetricDescription, MetricKind};
use figures::Figures;
pub use figures::{PluginFigures, ReadFigures, ServerFigures};
pub use form::TextFormat;
pub use http::{MakeText, MetricsServer, ServerHealth};

/// How often the server's own task runs whose delay is measured.
const BEAT: Duration = Duration::from_millis(500);

/// The metrics of a server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    counters: Counters,
    figures: Arc<Figures>,
}

impl Metrics {
    /// Counts nothing yet: see [`subscriber`](Self::subscriber).
    #[must_use]
    pub fn new() -> Arc<Self> {
        let mut registry = Registry::default();
        let (counters, figures) = (Counters::new(&mut registry), Arc::new(Figures::new()));
        registry.register_collector(Box::new(Arc::clone(&figures)));
        Arc::new(Self { registry, counters, figures })
    }

    /// What counts the events.
    pub fn subscriber(self: &Arc<Self>) -> Subscriber {
        let metrics = Arc::clone(self);
        Box::new(move |event| metrics.counters.take(event))
    }

    /// From now on these tables are read with the metrics. The first call counts.
    pub fn read_tables(&self, read: ReadFigures) {
        self.figures.set(read);
    }

    /// All metrics as text.
    #[must_use]
    pub fn text(&self, format: TextFormat) -> String {
        let mut written = String::new();
        let encoded = match format {
            TextFormat::Prometheus => prometheus_text::encode(&mut written, &self.registry),
            TextFormat::OpenMetrics => text::encode(&mut written, &self.registry),
        };
        encoded.expect("a String takes every write");
        written
    }

    /// Measures how late it runs, and calls `beat` each time, for as long as it is polled.
    pub async fn measure_delay(self: Arc<Self>, beat: impl Fn()) -> Infallible {
        loop {
            let due = Instant::now() + BEAT;
            sleep_until(due).await;
            self.counters.ran_late(due.elapsed());
            beat();
        }
    }
}
