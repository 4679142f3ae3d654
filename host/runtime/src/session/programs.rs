//! A program that serves a session and may start others: what it has of the session, and how both end.

use std::sync::{Arc, Mutex};

use crate::channel::{SessionHalf, Shared};
use crate::posix::ProcessLimits;
use crate::posix::process::ProcessEntry;
use crate::posix::table::ProcessTable;
use crate::process::{Process, ProcessEnd, ProgramContext, SessionSpawner, SharedSpawner};
use crate::session::{Session, exit_after_end, exit_after_stop};
use crate::session_types::Ending;

impl Session {
    /// What a program that is to serve the session has of it: it is the first process of a new table.
    pub(super) fn first_process(&mut self, half: &SessionHalf) -> ProgramContext {
        let table = Arc::new(ProcessTable::new(self.tenant.limits().process_depth));
        self.children.table = Some(Arc::clone(&table));
        half.shared().has_processes(&table);
        let spawner = SessionSpawner {
            tenant: Arc::clone(&self.tenant),
            facts: self.facts.clone(),
            pipes: Arc::clone(half.shared()),
            hand_over_check: Arc::clone(&self.hand_over_check),
            plugins: Arc::clone(self.router.plugins()),
            usage: Arc::clone(self.processes.session_usage()),
            temporary: Arc::clone(&self.temporary),
            open_files: Arc::clone(&self.open_files),
        };
        ProgramContext {
            entry: Arc::new(ProcessEntry::first(&table)),
            spawner: Arc::new(SharedSpawner(Arc::new(spawner))),
            limits: ProcessLimits::default(),
            terminal: Arc::new(Mutex::default()),
        }
    }

    /// Ends the first process, which has started others, and with it the session. First its instance is gone, and with
    /// it its ends of pipes; then the others end, and what they have written is sent. Without a terminal they may end
    /// by themselves first, since nobody hangs up: sshd, too, waits then for whoever holds the session's output.
    pub(super) async fn end_with_children(&mut self, mut process: Box<Process>, how: ProcessEnd, pipes: &Shared) {
        let terminal = process.has_terminal();
        process.end().await;
        self.children.lose_parent();
        let grace = self.tenant.limits().grace;
        if matches!(how, ProcessEnd::Finished(_)) && !terminal {
            self.children.end_by_themselves(grace).await;
        }
        self.children.end(grace, &self.facts, self.tenant.name()).await;
        match how {
            ProcessEnd::Finished(exit) => pipes.exit(exit, Some(Ending::Finished)),
            ProcessEnd::HungUp(why) => {
                let notice = pipes.notice();
                pipes.begin_close();
                if let Some(notice) = &notice {
                    pipes.host_line(notice, terminal);
                }
                let exit = pipes.take_finish().unwrap_or_else(|| exit_after_end(why, notice.as_deref()));
                pipes.exit(exit, Some(why));
            }
            ProcessEnd::Stopped(stop) => {
                if let Some(notice) = pipes.notice() {
                    pipes.host_line(&notice, terminal);
                }
                exit_after_stop(&stop, terminal, Some(Ending::Finished), pipes);
                self.processes.set_error(stop.error());
            }
        }
    }
}
