//! Counters and histograms with labels of fixed sets.

use std::sync::OnceLock;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::description::MetricDescription;

/// The labels of one series, with their values.
type LabelSet<const N: usize> = [(&'static str, &'static str); N];

/// A counter for each combination of the values of its labels. Counting is an atomic addition.
#[derive(Debug)]
pub(super) struct Counted<const N: usize> {
    labels: [&'static str; N],
    family: Family<LabelSet<N>, Counter>,
    handles: Handles<N, Counter>,
}

impl<const N: usize> Counted<N> {
    /// Registers the metric. `known`: values that have a series from the start, at 0.
    pub(super) fn new(registry: &mut Registry, metric: &MetricDescription, known: &[[&'static str; N]]) -> Self {
        let counted = Self { labels: labels_of(metric), family: Family::default(), handles: Handles::default() };
        registry.register(metric.base(), metric.help, counted.family.clone());
        known.iter().for_each(|values| counted.add(*values, 0));
        counted
    }

    pub(super) fn inc(&self, values: [&'static str; N]) {
        self.add(values, 1);
    }

    pub(super) fn add(&self, values: [&'static str; N], count: u64) {
        let make = || self.family.get_or_create_owned(&label_set(self.labels, values));
        self.handles.find(values, make).inc_by(count);
    }
}

/// A histogram for each combination of the values of its labels.
#[derive(Debug)]
pub(super) struct Observed<const N: usize> {
    labels: [&'static str; N],
    family: Family<LabelSet<N>, Histogram, Buckets>,
    handles: Handles<N, Histogram>,
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
        let (labels, family) = (labels_of(metric), Family::new_with_constructor(buckets));
        registry.register(metric.base(), metric.help, family.clone());
        let observed = Self { labels, family, handles: Handles::default() };
        known.iter().for_each(|values| _ = observed.histogram(*values));
        observed
    }

    pub(super) fn observe(&self, values: [&'static str; N], time: Duration) {
        self.histogram(values).observe(time.as_secs_f64());
    }

    fn histogram(&self, values: [&'static str; N]) -> &Histogram {
        let make = || self.family.get_or_create_owned(&label_set(self.labels, values));
        self.handles.find(values, make)
    }
}

/// The series of a family that were counted in, as a list that only grows. It is read without a lock.
///
/// Decided 2026-11-30: values are compared by their addresses. They are texts of the program, so that the list is
/// short; a text that the program has twice has two handles of one series. Refused: asking the family each time, which
/// hashes every label and value and takes a lock, about ten times in each handshake.
#[derive(Debug)]
struct Handles<const N: usize, M>(OnceLock<Box<Handle<N, M>>>);

#[derive(Debug)]
struct Handle<const N: usize, M> {
    values: [&'static str; N],
    metric: M,
    next: Handles<N, M>,
}

impl<const N: usize, M> Default for Handles<N, M> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<const N: usize, M> Handles<N, M> {
    /// The series with these values, which is made the first time.
    fn find(&self, values: [&'static str; N], make: impl Fn() -> M) -> &M {
        let mut place = self;
        loop {
            let handle = place.0.get_or_init(|| Box::new(Handle { values, metric: make(), next: Self::default() }));
            if handle.values.iter().zip(values).all(|(has, value)| std::ptr::eq(*has, value)) {
                return &handle.metric;
            }
            place = &handle.next;
        }
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

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::prometheus_text;

    use super::super::description;
    use super::*;

    #[test]
    fn a_series_is_one_for_all_threads_and_wherever_the_texts_of_its_values_are() {
        let mut registry = Registry::default();
        let counted = Counted::new(&mut registry, &description::ALGORITHMS, &[]);
        let elsewhere: &'static str = String::from("cipher").leak();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for values in [["cipher", "a"], [elsewhere, "a"], ["mac", "a"], ["cipher", "b"]].repeat(1_000) {
                        counted.inc(values);
                    }
                });
            }
        });
        let mut text = String::new();
        prometheus_text::encode(&mut text, &registry).unwrap();
        let mut counts: Vec<&str> =
            text.lines().filter_map(|line| line.split_once(' ')).map(|(_, count)| count).collect();
        counts.retain(|count| count.parse::<u64>().is_ok());
        counts.sort_unstable();
        assert_eq!(counts, ["4000", "4000", "8000"], "{text}");
    }
}
