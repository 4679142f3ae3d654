//! A test before a plugin is published: whether an instance of it can be made.

use std::sync::Arc;

use super::guest::Guest;
use super::store::ProcessContext;
use crate::channel::session_pipes;
use crate::engine::Purpose;
use crate::error::{Error, Limit, Stop};
use crate::host::HandOverCheck;
use crate::host::bindings::imports::channel::HandOverError;
use crate::limits::usage::{ProcessUsage, SessionUsage};
use crate::limits::{Limits, ticks};
use crate::plugin::Plugin;
use crate::session_types::Facts;
use crate::tenant::Tenant;

impl Plugin {
    /// Makes one instance and drops it. No function of the plugin's is called; what runs is what runs before the
    /// first of them. The tenant says with which limits, and should grant nothing.
    ///
    /// # Errors
    /// [`Error::Refused`] with what happened, or [`Error::Unfinished`] if it took too long. [`Error::Full`] when
    /// there is no room to try.
    pub async fn smoke(self: &Arc<Self>, tenant: &Arc<Tenant>) -> Result<(), Error> {
        let (_inbox, _outbox, half) = session_pipes(1, Arc::new(|| {}));
        let facts = Facts::from_iter([("connection-id", "none")]);
        let session = SessionUsage::new(tenant.limits());
        let hand_over_check: HandOverCheck = Arc::new(|_| Err(HandOverError::NotPermitted));
        let context = ProcessContext {
            tenant,
            facts: &facts,
            pipes: half.shared(),
            hand_over_check: &hand_over_check,
            purpose: Purpose::Session,
            usage: &Arc::new(ProcessUsage::of(&Arc::new(session))),
            temporary: &Arc::default(),
            session_files: &Arc::default(),
            process: None,
        };
        match Box::pin(Guest::start(self, &context)).await {
            Ok((guest, _)) => {
                // Its slot is free for the next test.
                guest.reap().await;
                Ok(())
            }
            Err(Stop::Exited(status)) => {
                Err(Error::Refused(format!("an instance of it ends as it is made, with status {status}")))
            }
            Err(Stop::Failed(error)) => Err(refusal(error, self.world().is_program(), tenant.limits())),
        }
    }
}

/// What a trial that failed says of the file. What may go better at another time, on a machine with less to do, is no
/// refusal.
fn refusal(error: Error, is_program: bool, limits: &Limits) -> Error {
    let (setting, memory) =
        if is_program { ("memory_program", limits.memory_program) } else { ("memory", limits.memory) };
    match error {
        Error::Limit { limit: Limit::Cpu, .. } => {
            let most = ticks(limits.cpu_start);
            Error::Unfinished(format!(
                "making an instance of it takes more processor time than limits.cpu_start ({most} ms): let it do less before \
                 its first call, or raise the limit"
            ))
        }
        Error::Limit { limit: Limit::Time, .. } => {
            Error::Unfinished("making an instance of it takes too long; the machine may be too busy".to_owned())
        }
        Error::Limit { limit: Limit::AllMemory | Limit::TenantMemory | Limit::Sessions, .. } => {
            Error::Unfinished("the server has no memory left to make an instance of it".to_owned())
        }
        Error::Limit { limit: Limit::Memory, detail } => Error::Refused(format!(
            "making an instance of it takes more than limits.{setting} ({memory} bytes) or a table of more than \
             limits.table_elements ({}): {}",
            limits.table_elements,
            detail.replace('\n', " ")
        )),
        Error::Limit { .. } | Error::Trap { .. } => {
            let whole = error.to_string().replace('\n', " ");
            Error::Refused(format!("no instance of it can be made: {whole}"))
        }
        Error::Refused(_)
        | Error::Unfinished(_)
        | Error::Killed(_)
        | Error::Suspended
        | Error::Full { .. }
        | Error::Host { .. } => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ms;

    #[test]
    fn only_the_files_own_failures_count_against_it() {
        let limits = Limits { memory: 1 << 20, cpu_start: ms(100), ..Limits::default() };
        let of = |limit| refusal(Error::Limit { limit, detail: "f".to_owned() }, false, &limits);
        for limit in [Limit::Cpu, Limit::Time, Limit::AllMemory, Limit::TenantMemory, Limit::Sessions] {
            assert!(matches!(of(limit), Error::Unfinished(_)), "{limit:?}");
        }
        assert!(of(Limit::Cpu).to_string().contains("limits.cpu_start (100 ms)"));
        let memory = of(Limit::Memory);
        assert!(
            matches!(&memory, Error::Refused(words) if words.contains("limits.memory (1048576 bytes)")),
            "{memory}"
        );
    }
}
