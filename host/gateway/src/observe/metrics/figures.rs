//! What is read from the server's tables when somebody reads the metrics.

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use whelk_runtime::TenantUsage;

use super::description::{self as described, MetricDescription, MetricKind};
use super::process::ProcessFigures;
use crate::observe::logging;

/// What the server's tables say at one time.
#[derive(Debug, Default)]
pub struct ServerFigures {
    /// Connections that are served, and those of them that have not logged in.
    pub connections: (usize, usize),
    /// Open sessions.
    pub sessions: usize,
    /// Bytes read from clients and written to them since the start.
    pub moved: (u64, u64),
    /// Instances that run, and how many may.
    pub instances: (usize, usize),
    /// Instances that were begun since the start.
    pub instances_started: u64,
    /// Processor time of all guests since the start.
    pub guest_cpu: Duration,
    /// Memory of all guests in bytes, and how much they may have.
    pub guest_memory: (usize, usize),
    /// Open files of all guests, and how many they may have.
    pub guest_files: (usize, usize),
    /// Whether the server drains.
    pub draining: bool,
    /// How many tenants there are.
    pub tenant_count: usize,
    /// What each tenant has, by name; empty if that is not wanted.
    pub tenants: Vec<(String, TenantUsage)>,
    /// Plugins and loaded programs.
    pub plugins: Vec<PluginFigures>,
    /// Plugins and programs that are being compiled.
    pub preparing: usize,
}

/// A plugin or a loaded program.
#[derive(Debug)]
pub struct PluginFigures {
    /// Whose folder it is in; empty for the operator's.
    pub tenant: String,
    /// `plugin` or `program`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The version that new sessions get. None if its file is gone.
    pub generation: Option<u32>,
    /// How many sessions and processes run it.
    pub sessions: usize,
    /// The newest version crashes at its start.
    pub tripped: bool,
}

/// Reads the tables.
pub type ReadFigures = Box<dyn Fn() -> ServerFigures + Send + Sync>;

/// Adds what the tables say to the metrics: nothing until there are tables.
pub(super) struct Figures {
    read: OnceLock<ReadFigures>,
    began: (Instant, SystemTime),
}

impl Figures {
    pub(super) fn new() -> Self {
        Self { read: OnceLock::new(), began: (Instant::now(), SystemTime::now()) }
    }

    /// From now on these tables are read. The first call counts.
    pub(super) fn set(&self, read: ReadFigures) {
        let _ = self.read.set(read);
    }
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figures").field("began", &self.began).finish_non_exhaustive()
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut out = Writer(&mut encoder);
        if let Some(read) = self.read.get() {
            let figures = read();
            out.server(&figures)?;
            out.tenants(&figures)?;
            out.plugins(&figures)?;
        }
        out.program(self.began)?;
        out.process(&ProcessFigures::read())
    }
}

/// Writes metrics of which the values are known.
struct Writer<'w, 'e>(&'w mut DescriptorEncoder<'e>);

impl Writer<'_, '_> {
    fn server(&mut self, figures: &ServerFigures) -> fmt::Result {
        let ServerFigures { connections, moved, instances, instances_started, guest_memory, guest_files, .. } = figures;
        self.gauge(&described::CONNECTIONS, number(connections.0))?;
        self.gauge(&described::UNAUTHENTICATED, number(connections.1))?;
        self.gauge(&described::SESSIONS, number(figures.sessions))?;
        self.counter(&described::RECEIVED, moved.0)?;
        self.counter(&described::SENT, moved.1)?;
        self.gauge(&described::INSTANCES, number(instances.0))?;
        self.gauge(&described::INSTANCES_LIMIT, number(instances.1))?;
        self.counter(&described::INSTANCES_STARTED, *instances_started)?;
        self.counter(&described::INSTANCES_ENDED, instances_started.saturating_sub(number(instances.0)))?;
        self.counter(&described::GUEST_CPU, figures.guest_cpu.as_secs_f64())?;
        self.gauge(&described::GUEST_MEMORY, number(guest_memory.0))?;
        self.gauge(&described::GUEST_MEMORY_LIMIT, number(guest_memory.1))?;
        self.gauge(&described::GUEST_FILES, number(guest_files.0))?;
        self.gauge(&described::GUEST_FILES_LIMIT, number(guest_files.1))?;
        self.gauge(&described::TENANTS, number(figures.tenant_count))?;
        self.gauge(&described::PLUGINS_PREPARING, number(figures.preparing))?;
        self.counter(&described::LOG_LINES_DROPPED, number(logging::dropped_lines()))?;
        self.gauge(&described::DRAINING, u64::from(figures.draining))
    }

    fn tenants(&mut self, ServerFigures { tenants, .. }: &ServerFigures) -> fmt::Result {
        let each = |value: fn(&TenantUsage) -> usize| {
            tenants.iter().map(move |(name, usage)| ([name.as_str()], number(value(usage))))
        };
        self.gauges(&described::TENANT_SESSIONS, each(|usage| usage.sessions.used))?;
        self.gauges(&described::TENANT_INSTANCES, each(|usage| usage.instances))?;
        self.gauges(&described::TENANT_MEMORY, each(|usage| usage.memory.used))?;
        self.gauges(&described::TENANT_FILES, each(|usage| usage.files.used))?;
        let cpu =
            tenants.iter().map(|(name, usage)| ([name.as_str()], Duration::from_millis(usage.cpu_ms).as_secs_f64()));
        self.counters(&described::TENANT_CPU, cpu)
    }

    fn plugins(&mut self, ServerFigures { plugins, .. }: &ServerFigures) -> fmt::Result {
        let each = |value: fn(&PluginFigures) -> Option<u64>| {
            plugins.iter().filter_map(move |plugin| {
                let PluginFigures { tenant, kind, name, .. } = plugin;
                Some(([tenant.as_str(), *kind, name.as_str()], value(plugin)?))
            })
        };
        self.gauges(&described::PLUGIN_GENERATION, each(|plugin| plugin.generation.map(u64::from)))?;
        self.gauges(&described::PLUGIN_SESSIONS, each(|plugin| Some(number(plugin.sessions))))?;
        self.gauges(&described::PLUGIN_TRIPPED, each(|plugin| Some(u64::from(plugin.tripped))))
    }

    fn program(&mut self, (began, since): (Instant, SystemTime)) -> fmt::Result {
        self.gauges(&described::BUILD_INFO, [([env!("CARGO_PKG_VERSION")], 1_u64)])?;
        self.gauge(&described::UPTIME, began.elapsed().as_secs_f64())?;
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.gauge(&described::PROCESS_START, since.as_secs_f64())
    }

    fn process(&mut self, figures: &ProcessFigures) -> fmt::Result {
        self.counter(&described::PROCESS_CPU, figures.cpu.as_secs_f64())?;
        self.gauge(&described::PROCESS_RESIDENT, figures.resident)?;
        self.gauge(&described::PROCESS_VIRTUAL, figures.virtual_memory)?;
        self.gauge(&described::PROCESS_FDS, figures.files)?;
        if let Some(most) = figures.most_files {
            self.gauge(&described::PROCESS_MAX_FDS, most)?;
        }
        self.gauge(&described::PROCESS_THREADS, figures.threads)
    }

    fn gauge(&mut self, metric: &MetricDescription, value: impl EncodeGaugeValue) -> fmt::Result {
        self.gauges(metric, [([], value)])
    }

    fn gauges<'l, const N: usize, V: EncodeGaugeValue>(
        &mut self,
        metric: &MetricDescription,
        series: impl IntoIterator<Item = ([&'l str; N], V)>,
    ) -> fmt::Result {
        self.write(metric, series.into_iter().map(|(labels, value)| (labels, ConstGauge::new(value))))
    }

    fn counter(&mut self, metric: &MetricDescription, value: impl EncodeCounterValue) -> fmt::Result {
        self.counters(metric, [([], value)])
    }

    fn counters<'l, const N: usize, V: EncodeCounterValue>(
        &mut self,
        metric: &MetricDescription,
        series: impl IntoIterator<Item = ([&'l str; N], V)>,
    ) -> fmt::Result {
        self.write(metric, series.into_iter().map(|(labels, value)| (labels, ConstCounter::new(value))))
    }

    /// Writes all series of a metric; nothing if there are none.
    fn write<'l, const N: usize, M: EncodeMetric>(
        &mut self,
        metric: &MetricDescription,
        series: impl Iterator<Item = ([&'l str; N], M)>,
    ) -> fmt::Result {
        let mut series = series.peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let kind = match metric.kind {
            MetricKind::Counter => MetricType::Counter,
            MetricKind::Gauge => MetricType::Gauge,
            MetricKind::Histogram => MetricType::Histogram,
        };
        let help = format!("{}.", metric.help);
        let mut encoder = self.0.encode_descriptor(metric.base(), &help, None, kind)?;
        for (values, value) in series {
            let mut values = values.into_iter();
            let labels: Vec<(&'static str, &str)> =
                metric.labels.iter().map(|label| (*label, values.next().unwrap_or_default())).collect();
            value.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
