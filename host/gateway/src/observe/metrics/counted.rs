//! Counters and histograms with labels of fixed sets.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::description::MetricDescription;

/// The labels of one series, with their values.
type LabelSet<const N: usize> = [(&'static str, &'static str); N];

/// A counter for each combination of the values of its labels. Counting is a read lock and an atomic addition.
#[derive(Debug)]
pub(super) struct Counted<const N: usize> {
    labels: [&'static str; N],
    family: Family<LabelSet<N>, Counter>,
}

impl<const N: usize> Counted<N> {
    /// Registers the metric. `known`: values that have a series from the start, at 0.
    pub(super) fn new(registry: &mut Registry, metric: &MetricDescription, known: &[[&'static str; N]]) -> Self {
        let counted = Self { labels: labels_of(metric), family: Family::default() };
        registry.register(metric.base(), metric.help, counted.family.clone());
        known.iter().for_each(|values| counted.add(*values, 0));
        counted
    }

    pub(super) fn inc(&self, values: [&'static str; N]) {
        self.add(values, 1);
    }

    pub(super) fn add(&self, values: [&'static str; N], count: u64) {
        self.family.get_or_create(&label_set(self.labels, values)).inc_by(count);
    }
}

/// A histogram for each combination of the values of its labels.
#[derive(Debug)]
pub(super) struct Observed<const N: usize> {
    labels: [&'static str; N],
    family: Family<LabelSet<N>, Histogram, Buckets>,
}

/// The upper bounds of the buckets, in seconds.
type Buckets = fn() -> Histogram;

impl<const N: usize> Observed<N> {
    /// Registers the metric. `known`: values that have a series from the start.
    pub(super) fn new(
        registry: &mut Registry,
        metric: &MetricDescription,
        buckets: Buckets,
        known: &[[&'static str; N]],
    ) -> Self {
        let observed = Self { labels: labels_of(metric), family: Family::new_with_constructor(buckets) };
        registry.register(metric.base(), metric.help, observed.family.clone());
        for values in known {
            drop(observed.family.get_or_create(&label_set(observed.labels, *values)));
        }
        observed
    }

    pub(super) fn observe(&self, values: [&'static str; N], time: Duration) {
        self.family.get_or_create(&label_set(self.labels, values)).observe(time.as_secs_f64());
    }
}

/// Registers a gauge without labels.
pub(super) fn gauge(registry: &mut Registry, metric: &MetricDescription) -> Gauge {
    let gauge = Gauge::default();
    registry.register(metric.base(), metric.help, gauge.clone());
    gauge
}

fn labels_of<const N: usize>(metric: &MetricDescription) -> [&'static str; N] {
    metric.labels.try_into().expect("a metric is counted with as many labels as it is declared with")
}

fn label_set<const N: usize>(labels: [&'static str; N], values: [&'static str; N]) -> LabelSet<N> {
    let mut values = values.into_iter();
    labels.map(|label| (label, values.next().unwrap_or_default()))
}
