//! The operator's log: the plugins' lines, the record of their file operations, and the host's own lines.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// One line.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) level: Level,
    pub(crate) fields: BTreeMap<&'static str, String>,
}

static LINES: Mutex<Vec<Line>> = Mutex::new(Vec::new());

/// Starts listening. Call it before the session.
pub(crate) fn listen() {
    static LISTENING: OnceLock<()> = OnceLock::new();
    LISTENING.get_or_init(|| {
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Ear)).unwrap();
    });
}

/// The lines of one connection so far.
pub(crate) fn lines(connection: &str) -> Vec<Line> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().filter(|line| line.fields.get("connection").is_some_and(|of| of == connection)).cloned().collect()
}

/// Their texts.
pub(crate) fn texts(connection: &str) -> Vec<String> {
    lines(connection).into_iter().map(|line| line.fields["message"].clone()).collect()
}

struct Ear;

impl<S: Subscriber> Layer<S> for Ear {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let target = event.metadata().target();
        if !["plugin", "audit"].contains(&target) && !target.starts_with("whelk_runtime") {
            return;
        }
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        // Every session has it, and those that look at lines look for others.
        if fields.0.get("message").is_some_and(|message| message == "process started") {
            return;
        }
        let line = Line { level: *event.metadata().level(), fields: fields.0 };
        LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
