//! The lifecycle of a session, from its channel open to its exit: the one state machine that knows where a session is.
//!
//! A *program request* is `shell`, `exec` or `subsystem` (RFC 4254 §6.5); at most one succeeds per channel. The plugin
//! interface calls it a start request.
//!
//! Both halves of the pipes, the imports of the process and the session's task ask it, and none of them keeps a copy.
//! It has no lock, no waker and no clock. [`Shared`](super::shared::Shared) holds it behind the lock of the inbox, and
//! `transitions.rs` makes each transition together with what the client is told of it.
//!
//! Decided 2026-11-29: the machine lies in `channel` and not in `session`, because the imports change it (the first
//! output of a process accepts the program request) and both halves of the pipes ask it, and all of those lie below
//! `session`. Refused: a trait object in each store through which imports call a machine in `session`: it costs an
//! indirect call for each write, and the pipes would still need copies.
//!
//! The functions that end something, here and in the modules around:
//!
//! | function | who calls it | what it does |
//! |---|---|---|
//! | [`request_exit`](Lifecycle::request_exit) | the plugin: `finish` | decides the exit |
//! | [`request_hand_over`](Lifecycle::request_hand_over) | the plugin: `hand-over` | decides the next plugin |
//! | [`request_end`](Lifecycle::request_end) | the connection's half | notes why the session is to end |
//! | [`retire`](Lifecycle::retire) | a replaced plugin version, an operator | the same, with a message for the client |
//! | [`begin_close`](Lifecycle::begin_close) | the session, before `closed` | nothing can be sent any more |
//! | [`hand_over`](Lifecycle::hand_over) | the session, after `closed` | the next process may begin |
//! | [`discard_process`](Lifecycle::discard_process) | the session | forgets a process that did not take the session |
//! | [`exit`](Lifecycle::exit) | the session | queues the exit; nothing follows |
//! | `Shared::abort` | the session, from any stage | refuses the channel open, or exits |
//! | `Shared::finish_task` | the session half, when dropped | kept values may go once the outbox is dropped |
//! | `Inbound::discard_input` | the session half, when dropped | frees the input queue |
//! | `Shared::outbox_dropped` | the outbox, when dropped | kept values may go once the task is over |

use std::mem;
use std::sync::Arc;

use tokio::time::Instant;

use super::output::OpenReply;
use crate::session_types::{Ending, Exit, Output};

/// Where a session is.
///
/// ```text
///          open: true         program request           true, or first output
/// Opening ------------> Waiting ------------> Starting -----------------------> Running
///    |                   ^  ^ |                |    |                              |
///    |                   |  '-|---- false -----'    | hand-over                    | hand-over
///    |                   |    | route               |                              |
///    |                   |    v                     v                              |
///    |      next process '-- Closing <----------------------------------------------'
///    |                          |  ^
///    |                          |  '-- from any stage: the client, the connection or the server ends the session
///    | open: false              | exit
///    |                          v
///    '----------------------> Ended <-- from any stage: `finish`, a crash, a limit, no process to run
/// ```
///
/// Whether the client was told that its program request succeeded is kept beside the stage, since that outlives the
/// process: after a hand-over, `Waiting` and `Starting` are those of the next process, and the client sees neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Stage {
    /// The channel open has no answer yet: the first process is made and asked whether it takes the session. Output is
    /// held.
    #[default]
    Opening,
    /// The process, if there is one, has no program request. Output is held.
    Waiting,
    /// The process has a program request and has not answered it. Its first output accepts the request.
    Starting,
    /// The process has accepted its program request: output flows.
    Running,
    /// The process is told that it ends. Nothing can be sent any more.
    Closing,
    /// The exit was queued, or the channel open was refused. Nothing follows.
    Ended,
}

/// The state of one session. Only the session's task changes the stage. The connection's side, and the retirement of
/// the plugin's version, only note that the session is to end ([`request_end`](Self::request_end),
/// [`retire`](Self::retire)).
#[derive(Default)]
pub(crate) struct Lifecycle {
    stage: Stage,
    /// The client was told that its program request succeeded. From then on its data and EOF are delivered.
    accepted: bool,
    /// The channel has a type without program requests.
    without_program: bool,
    /// The process sends no more output.
    eof_sent: bool,
    /// Output from before the program request, in order. The caller of [`hold`](Self::hold) bounds it.
    held: Vec<(Output, Vec<u8>)>,
    /// How the process wants to end. The first decision counts.
    decision: Option<Decision>,
    /// How often the session has been handed over to another process.
    hand_overs: u32,
    /// Why the connection's side has ended the session, and when. The first reason counts.
    ended: Option<(Ending, Instant)>,
    /// The message for the client whose plugin version was retired or whose session an operator ended.
    notice: Option<Arc<str>>,
    outcome: Outcome,
}

/// What the process has decided about its end.
enum Decision {
    Finish {
        exit: Exit,
        /// The connection's side had ended the session before.
        late: bool,
    },
    /// The plugin of this name takes over.
    HandOver(String),
}

/// How a session ended.
#[derive(Default, Clone)]
pub(crate) struct Outcome {
    /// Why; none if it was refused, crashed or was stopped.
    pub(crate) ending: Option<Ending>,
    /// What the client was told; none if it was refused.
    pub(crate) exit: Option<Exit>,
}

/// What the client is sent when a program request is accepted, in this order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Acceptance {
    /// The answer to the request. False if an earlier process has accepted it.
    pub(super) answer: bool,
    /// The output from before.
    pub(super) held: Vec<(Output, Vec<u8>)>,
    /// No output follows.
    pub(super) eof: bool,
}

/// Where output goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OutputPath {
    /// It is held until a program request is accepted.
    Held,
    /// To the client.
    Open,
    /// To the client, after this: the output accepts the program request.
    Accepts(Acceptance),
}

/// Why output cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputClosed {
    EofSent,
    /// The session is over, for either side.
    SessionOver,
}

/// What the return of a call with a program request means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ProgramAnswer {
    Accepted(Acceptance),
    /// The request is refused; another may come.
    Refused,
    /// Nothing: the client has its answer, or gets it from the next process.
    Given,
}

/// What the session has to do before the process is called again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NextAction {
    /// The process goes on.
    Continue,
    /// The process has finished with this exit.
    Finish(Exit),
    /// The plugin of this name is to take over.
    HandOver(String),
    /// The connection's side has ended the session, at this time.
    Ended(Ending, Instant),
}

impl Lifecycle {
    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    /// Answers the channel open; false if it has its answer.
    pub(super) fn open(&mut self, reply: OpenReply) -> bool {
        if self.stage != Stage::Opening {
            return false;
        }
        self.stage = match reply {
            OpenReply::Accepted => Stage::Waiting,
            OpenReply::Refused | OpenReply::Full => {
                self.discard_process();
                Stage::Ended
            }
        };
        true
    }

    /// The process is about to get a program request. False if it must not: one was accepted before, or the session is
    /// about to end.
    pub(super) fn begin_program(&mut self) -> bool {
        let begins = self.stage == Stage::Waiting && self.decision.is_none() && self.ended.is_none();
        if begins {
            self.stage = Stage::Starting;
        }
        begins
    }

    /// The call with the program request has returned: whether the process accepts it.
    pub(super) fn program_returned(&mut self, accepted: bool) -> ProgramAnswer {
        if matches!(self.decision, Some(Decision::HandOver(_))) {
            return ProgramAnswer::Given;
        }
        match self.stage {
            Stage::Starting if !accepted && !self.accepted => {
                self.stage = Stage::Waiting;
                ProgramAnswer::Refused
            }
            // Its first output, or an earlier process, has accepted the request: a refusal now is a failed program.
            Stage::Starting | Stage::Running if !accepted => {
                self.stage = Stage::Running;
                self.decide(Exit::Status(1));
                ProgramAnswer::Given
            }
            _ => self.accept().map_or(ProgramAnswer::Given, ProgramAnswer::Accepted),
        }
    }

    /// Accepts the program request, if the process has one that it has not accepted.
    pub(super) fn accept(&mut self) -> Option<Acceptance> {
        if self.stage != Stage::Starting {
            return None;
        }
        self.stage = Stage::Running;
        let answer = !mem::replace(&mut self.accepted, true);
        Some(Acceptance { answer, held: mem::take(&mut self.held), eof: self.eof_sent })
    }

    /// The channel has a type of a plugin's own, which has no program requests: the process, which waits for one, runs
    /// at once.
    pub(super) fn begin_without_program(&mut self) -> Option<Acceptance> {
        if self.stage != Stage::Waiting {
            return None;
        }
        self.stage = Stage::Running;
        (self.accepted, self.without_program) = (true, true);
        Some(Acceptance { answer: false, held: mem::take(&mut self.held), eof: self.eof_sent })
    }

    /// Accepts a program request without a process, so that the host can tell the client something. False if the client
    /// has its answer.
    pub(super) fn accept_for_host(&mut self) -> bool {
        if self.stage == Stage::Ended {
            return false;
        }
        self.stage = Stage::Running;
        !mem::replace(&mut self.accepted, true)
    }

    /// Whether the client was told that its program request has succeeded.
    pub(super) fn has_accepted(&self) -> bool {
        self.accepted
    }

    /// Where output of the process goes. The first output inside a program request is its acceptance.
    pub(super) fn output(&mut self) -> Result<OutputPath, OutputClosed> {
        if self.eof_sent { Err(OutputClosed::EofSent) } else { self.request() }
    }

    /// The same for a request to the client, which EOF does not stop.
    pub(super) fn request(&mut self) -> Result<OutputPath, OutputClosed> {
        if self.is_closed() {
            return Err(OutputClosed::SessionOver);
        }
        Ok(match (self.accept(), self.stage) {
            (Some(acceptance), _) => OutputPath::Accepts(acceptance),
            (None, Stage::Running) => OutputPath::Open,
            (None, _) => OutputPath::Held,
        })
    }

    /// Whether nothing can be sent any more.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.stage, Stage::Closing | Stage::Ended) || self.ended.is_some()
    }

    /// Holds output until a program request is accepted.
    pub(super) fn hold(&mut self, to: Output, bytes: Vec<u8>) {
        match self.held.last_mut() {
            Some((before, held)) if *before == to => held.extend_from_slice(&bytes),
            Some(_) | None => self.held.push((to, bytes)),
        }
    }

    /// Bytes that are held.
    pub(super) fn held(&self) -> usize {
        self.held.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// The process sends no more output.
    pub(super) fn send_eof(&mut self) {
        self.eof_sent = true;
    }

    pub(super) fn has_sent_eof(&self) -> bool {
        self.eof_sent
    }

    /// The process wants to finish with this exit, which accepts a program request. It takes effect when its call
    /// returns.
    pub(super) fn request_exit(&mut self, exit: Exit) -> Option<Acceptance> {
        if matches!(self.decision, Some(Decision::HandOver(_))) {
            return None;
        }
        let acceptance = self.accept();
        self.decide(exit);
        acceptance
    }

    fn decide(&mut self, exit: Exit) {
        let late = self.ended.is_some();
        self.decision.get_or_insert(Decision::Finish { exit, late });
    }

    /// Whether the process may hand the session over: it has a program request, and nothing else is decided. `most`:
    /// the limit of hand-overs for a session.
    pub(super) fn may_hand_over(&self, most: u32) -> bool {
        matches!(self.stage, Stage::Starting | Stage::Running)
            && !self.without_program
            && self.decision.is_none()
            && self.ended.is_none()
            && self.hand_overs < most
    }

    /// The process wants the plugin of this name to take over when its call returns.
    pub(super) fn request_hand_over(&mut self, plugin: String) {
        self.decision = Some(Decision::HandOver(plugin));
    }

    pub(super) fn has_decided(&self) -> bool {
        self.decision.is_some()
    }

    /// The process has ended otherwise than it had decided.
    pub(super) fn forget_decision(&mut self) {
        self.decision = None;
    }

    /// Whether the process has finished, or the connection's side has ended the session.
    pub(super) fn is_ending(&self) -> bool {
        matches!(self.decision, Some(Decision::Finish { .. })) || self.ended.is_some()
    }

    /// What the session must do before the process is called again. A process that finished before the connection's
    /// side ended the session has finished.
    pub(super) fn next_action(&mut self) -> NextAction {
        match (self.decision.take(), self.ended) {
            (None, None) => NextAction::Continue,
            (Some(Decision::Finish { exit, .. }), None) | (Some(Decision::Finish { exit, late: false }), _) => {
                NextAction::Finish(exit)
            }
            (Some(Decision::HandOver(plugin)), None) => NextAction::HandOver(plugin),
            (decision, Some((why, since))) => {
                // `take_finish` uses it: it says with which exit the session ends.
                self.decision = decision;
                NextAction::Ended(why, since)
            }
        }
    }

    /// The process is about to be told that it ends. Held output is discarded. True if its program request has no
    /// answer.
    pub(super) fn begin_close(&mut self) -> bool {
        let is_unanswered = self.stage == Stage::Starting && !self.accepted;
        if self.stage != Stage::Ended {
            self.stage = Stage::Closing;
        }
        self.held = Vec::new();
        if matches!(self.decision, Some(Decision::HandOver(_))) {
            self.decision = None;
        }
        is_unanswered
    }

    /// The exit with which the process finished, before or after the connection's side ended the session.
    pub(super) fn take_finish(&mut self) -> Option<Exit> {
        match self.decision.take() {
            Some(Decision::Finish { exit, .. }) => Some(exit),
            Some(Decision::HandOver(_)) | None => None,
        }
    }

    /// The session goes to another process. Held output is discarded, and an EOF among it.
    pub(super) fn hand_over(&mut self) {
        if self.stage != Stage::Ended {
            self.stage = Stage::Waiting;
        }
        self.discard_process();
        self.hand_overs += 1;
    }

    /// Forgets what the process has left behind: the output that is held, an EOF among it, and how it wanted to end.
    pub(super) fn discard_process(&mut self) {
        self.held = Vec::new();
        self.decision = None;
        self.eof_sent &= self.accepted;
    }

    pub(super) fn hand_overs(&self) -> u32 {
        self.hand_overs
    }

    /// The session exits; false if it has ended before. `ending`: why; none for a crash or a limit.
    pub(super) fn exit(&mut self, exit: &Exit, ending: Option<Ending>) -> bool {
        if self.stage == Stage::Ended {
            return false;
        }
        self.stage = Stage::Ended;
        self.held = Vec::new();
        self.decision = None;
        self.outcome = Outcome { ending, exit: Some(exit.clone()) };
        true
    }

    pub(super) fn outcome(&self) -> Outcome {
        self.outcome.clone()
    }

    /// The connection's side wants the session to end. The first reason counts.
    pub(super) fn request_end(&mut self, why: Ending, now: Instant) {
        self.ended.get_or_insert((why, now));
    }

    /// The plugin's version is retired, or an operator ends the session: the session is to end, with this message for
    /// its client.
    pub(super) fn retire(&mut self, notice: &Arc<str>, now: Instant) {
        if self.ended.is_none() {
            self.notice = Some(Arc::clone(notice));
        }
        self.request_end(Ending::Drained, now);
    }

    /// Whether the session has not exited and nobody has ended it.
    pub(super) fn is_live(&self) -> bool {
        self.ended.is_none() && self.stage != Stage::Ended
    }

    /// Why the connection's side has ended the session, and when.
    pub(super) fn ended(&self) -> Option<(Ending, Instant)> {
        self.ended
    }

    /// The message for the client whose plugin version was retired or whose session an operator ended.
    pub(super) fn notice(&self) -> Option<Arc<str>> {
        self.notice.clone()
    }
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
