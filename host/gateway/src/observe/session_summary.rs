//! The log line of a session that has ended: how, why and what it used. A failure is described as fully as its tenant's
//! `tenant_failure_rate` allows.

use tracing::Level;
use whelk_runtime::{Ending, Error, Exit, ProcessReport, Report, Telling, Tenant};

use crate::observe::escape::escape;
use crate::observe::event::{LimitEvent, ProcessEvent, SessionEvent, emit, emit_throttled};

/// How a session went, for the operator: everything that the client was not told.
pub(crate) struct SessionSummary<'t> {
    pub(crate) connection: u64,
    pub(crate) channel: u32,
    /// Its number on the connection. That of the channel may be another session's by now.
    pub(crate) session: u64,
    pub(crate) user: &'t str,
    pub(crate) tenant: &'t Tenant,
}

impl SessionSummary<'_> {
    /// What went wrong with a plugin that it had before has a line of its own.
    pub(crate) fn write(&self, report: &Report) {
        let (connection, channel, tenant) = (self.connection, self.channel, self.tenant.name());
        for ProcessReport { plugin, error, .. } in &report.before {
            let Some(error) = error else { continue };
            let (plugin, generation) = (plugin.name(), plugin.generation());
            let failure = error.label();
            let (level, error) = self.failure(plugin, error);
            let error = &*error;
            emit(ProcessEvent::Failed { level, connection, channel, tenant, plugin, generation, error, failure });
        }
        let ending = words(report.opened, report.ending, report.error.as_ref());
        let exit = report.exit.as_ref().map_or_else(|| "none".to_owned(), exit_words);
        let (cpu_ms, memory) = (report.cpu_ticks, report.peak_memory);
        let (plugin, generation) = (report.plugin.name(), report.plugin.generation());
        let failure = report.error.as_ref().map(|error| self.failure(plugin, error));
        let (level, error) = failure.map_or((Level::INFO, None), |(level, error)| (level, Some(error)));
        let (exit, error) = (&*exit, error.as_deref());
        emit(SessionEvent::Ended {
            connection,
            channel,
            session: self.session,
            user: escape(self.user.as_bytes()),
            tenant,
            plugin,
            generation,
            ending,
            exit,
            cpu_ms,
            memory,
            error,
            level,
            failure: report.error.as_ref().map(Error::label),
        });
    }

    /// How loudly a failure is told, and in which words.
    fn failure(&self, plugin: &str, error: &Error) -> (Level, String) {
        let whole = || escape(error.to_string().as_bytes()).to_string();
        // Ours to mend: whatever the tenant does beside it, its cause is not lost.
        if let Error::Host { .. } = error {
            return (Level::ERROR, whole());
        }
        match self.tenant.failed() {
            Telling::Whole => (Level::WARN, whole()),
            Telling::Brief { is_news } => {
                let (connection, channel, tenant) = (self.connection, self.channel, self.tenant.name());
                let limit = "tenant_failure_rate";
                emit_throttled(is_news, LimitEvent::TenantFailures { tenant, limit, plugin, connection, channel });
                (Level::INFO, error.for_client())
            }
        }
    }
}

/// An exit in words, as the log and recordings have it.
pub(crate) fn exit_words(exit: &Exit) -> String {
    match exit {
        Exit::Status(status) => format!("status {status}"),
        Exit::Signal { name, .. } => format!("signal {}", escape(name.as_str().as_bytes())),
    }
}

/// How a session came to its end, in a word or two.
fn words(opened: bool, ending: Option<Ending>, error: Option<&Error>) -> &'static str {
    match (ending, error) {
        // A fault of the host is told even if the plugin had finished by then.
        (_, Some(Error::Host { .. })) => "internal error",
        (Some(ending), _) => ending.as_str(),
        (None, Some(Error::Trap { .. })) => "crashed",
        (None, Some(Error::Limit { .. })) if opened => "killed by a limit",
        (None, Some(_)) => "not started",
        (None, None) => "refused by the plugin",
    }
}

#[cfg(test)]
mod tests {
    use whelk_runtime::{Limit, SignalName};

    use super::*;

    #[test]
    fn each_end_has_its_words() {
        let limit = Error::Limit { limit: Limit::Memory, detail: String::new() };
        let trap = Error::Trap { signal: SignalName::Segv, detail: String::new() };
        assert_eq!(words(true, None, Some(&limit)), "killed by a limit");
        assert_eq!(words(false, None, Some(&limit)), "not started");
        assert_eq!(words(true, None, Some(&trap)), "crashed");
        assert_eq!(words(false, None, None), "refused by the plugin");
        assert_eq!(words(true, Some(Ending::ClientClosed), Some(&trap)), Ending::ClientClosed.as_str());
        let host = Error::Host { incident: "1".to_owned(), detail: String::new() };
        assert_eq!(words(true, None, Some(&host)), "internal error");
        assert_eq!(words(true, Some(Ending::Finished), Some(&host)), "internal error");
    }
}
