//! The transitions of a session's lifecycle, each together with what the client is told of it. The session's task makes
//! them: `session` between calls, and the imports during a call.

use std::sync::Arc;

use super::lifecycle::{Acceptance, NextAction, Outcome, OutputClosed, OutputPath, ProgramAnswer, Stage};
use super::output::{Message, OpenReply};
use super::shared::{Shared, line};
use crate::session_types::{Ending, Exit, Output, ProgramRequest};

/// Where output of the process goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// No program request was accepted: it is held.
    Held,
    /// To the client.
    Open,
}

// The opening, and requests.
impl Shared {
    /// Answers the channel open, unless it has its answer.
    pub(crate) fn answer_open(&self, reply: OpenReply) {
        if self.lifecycle(|lifecycle| lifecycle.open(reply)) {
            self.push_message(Message::Opened(reply));
        }
    }

    /// Answers the oldest request that the session has to answer. Program requests are answered by their transitions.
    pub(crate) fn reply(&self, success: bool) {
        self.push_message(Message::reply(success));
    }

    /// Queues a request to the client; false if too many wait.
    pub(crate) fn queue_client_request(&self, name: String, payload: Vec<u8>) -> bool {
        self.push_message(Message::Request(Box::new((name, payload))))
    }

    /// Ends the whole connection, with this text.
    pub(crate) fn disconnect(&self, reason: u32, text: String) {
        self.push_message(Message::Disconnect(Box::new((reason, text))));
    }

    /// A debug message for the client. RFC 4253 section 11.3.
    pub(crate) fn debug(&self, text: String, always_display: bool) {
        self.push_message(Message::Debug(Box::new((text, always_display))));
    }
}

// The program request.
impl Shared {
    pub(crate) fn stage(&self) -> Stage {
        self.lifecycle(|lifecycle| lifecycle.stage())
    }

    /// The process is about to get a program request. If it must not, the request is refused and this returns false.
    pub(crate) fn begin_program(&self, request: &ProgramRequest<'_>) -> bool {
        self.program_requested(matches!(request, ProgramRequest::Subsystem(_)));
        let begins = self.lifecycle(|lifecycle| lifecycle.begin_program());
        if !begins {
            self.refuse_program();
        }
        begins
    }

    /// Lets data flow without a program request, once the process has taken a channel whose type has none.
    pub(crate) fn begin_without_program(&self) {
        if let Some(acceptance) = self.lifecycle(|lifecycle| lifecycle.begin_without_program()) {
            self.queue_acceptance(acceptance);
        }
    }

    /// Refuses the program request that nobody serves, unless it was accepted before a hand-over.
    pub(crate) fn refuse_program(&self) {
        if !self.has_accepted() {
            self.reply(false);
        }
    }

    /// The call with the program request has returned: whether the process accepts it. True if the request is refused
    /// and another may come.
    pub(crate) fn program_returned(&self, accepted: bool) -> bool {
        match self.lifecycle(|lifecycle| lifecycle.program_returned(accepted)) {
            ProgramAnswer::Accepted(acceptance) => self.queue_acceptance(acceptance),
            ProgramAnswer::Given => {}
            ProgramAnswer::Refused => {
                self.reply(false);
                return true;
            }
        }
        false
    }

    /// The call with the program request has failed. The request is accepted: a program that crashes was started.
    pub(crate) fn program_failed(&self) {
        if let Some(acceptance) = self.lifecycle(|lifecycle| lifecycle.accept()) {
            self.queue_acceptance(acceptance);
        }
    }

    /// Accepts a program request without a process, so that the host can tell the client something.
    pub(crate) fn accept_for_host(&self) {
        if self.lifecycle(|lifecycle| lifecycle.accept_for_host()) {
            self.reply(true);
        }
    }

    /// Whether the client was told that its program request has succeeded.
    pub(crate) fn has_accepted(&self) -> bool {
        self.lifecycle(|lifecycle| lifecycle.has_accepted())
    }

    /// Queues the answer, then the held output.
    fn queue_acceptance(&self, acceptance: Acceptance) {
        if acceptance.answer {
            self.reply(true);
            self.program_accepted();
        }
        for (to, bytes) in acceptance.held {
            self.push_beyond(to, &bytes);
        }
        if acceptance.eof {
            self.push_message(Message::Eof);
        }
    }
}

// Output.
impl Shared {
    /// Where output of the process goes. The first output inside a program request is its acceptance.
    pub(crate) fn open_output(&self) -> Result<Flow, OutputClosed> {
        self.lifecycle(|lifecycle| lifecycle.output()).map(|path| self.flow(path))
    }

    /// The same for a request to the client, which accepts as output does.
    pub(crate) fn open_request(&self) -> Result<Flow, OutputClosed> {
        self.lifecycle(|lifecycle| lifecycle.request()).map(|path| self.flow(path))
    }

    fn flow(&self, path: OutputPath) -> Flow {
        match path {
            OutputPath::Held => Flow::Held,
            OutputPath::Open => Flow::Open,
            OutputPath::Accepts(acceptance) => {
                self.queue_acceptance(acceptance);
                Flow::Open
            }
        }
    }

    /// Whether nothing can be sent any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.lifecycle(|lifecycle| lifecycle.is_closed())
    }

    /// Whether the process is in its last call, or past it.
    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.stage(), Stage::Closing | Stage::Ended)
    }

    /// Holds the bytes until a program request is accepted. The caller has looked at
    /// [`room_for_output`](Self::room_for_output).
    pub(crate) fn hold(&self, to: Output, bytes: Vec<u8>) {
        self.lifecycle(|lifecycle| lifecycle.hold(to, bytes));
    }

    /// Bytes of output for which there is room now. `most`: the limit of bytes held before a program request.
    pub(crate) fn room_for_output(&self, most: usize) -> usize {
        let (stage, held, eof) =
            self.lifecycle(|lifecycle| (lifecycle.stage(), lifecycle.held(), lifecycle.has_sent_eof()));
        match stage {
            _ if eof => 0,
            Stage::Opening | Stage::Waiting => most.saturating_sub(held),
            Stage::Starting => self.room().saturating_sub(held),
            Stage::Running => self.room(),
            Stage::Closing | Stage::Ended => 0,
        }
    }

    /// The process sends no more output.
    pub(crate) fn send_eof(&self) {
        if let Ok(flow) = self.open_output() {
            self.lifecycle(|lifecycle| lifecycle.send_eof());
            if flow == Flow::Open {
                self.push_message(Message::Eof);
            }
        }
    }

    /// Queues a line of the host's on the terminal, as wall(1) writes it, once the client has its answer to a program
    /// request. Without a terminal, and of a subsystem, the bytes belong to a program, and nothing is queued; nor after
    /// EOF or the exit.
    pub(super) fn terminal_line(&self, text: &str) {
        let line = format!("\r\n{}", line(text, true));
        self.emit(|output| output.terminal_line(line));
    }

    /// Queues a line of the host's on stderr, if a program request was accepted (no output may overtake that answer)
    /// and EOF was not sent.
    pub(crate) fn host_line(&self, text: &str, terminal: bool) {
        if self.has_accepted() {
            self.push_whole(Output::Stderr, line(text, terminal).as_bytes());
        }
    }
}

// The end.
impl Shared {
    /// The process wants to finish with this exit.
    pub(crate) fn request_exit(&self, exit: Exit) {
        if let Some(acceptance) = self.lifecycle(|lifecycle| lifecycle.request_exit(exit)) {
            self.queue_acceptance(acceptance);
        }
    }

    /// Whether the process may hand the session over. `most`: the limit of hand-overs for a session.
    pub(crate) fn may_hand_over(&self, most: u32) -> bool {
        self.lifecycle(|lifecycle| lifecycle.may_hand_over(most))
    }

    /// The process wants the plugin of this name to take over when its call returns.
    pub(crate) fn request_hand_over(&self, plugin: String) {
        self.lifecycle(|lifecycle| lifecycle.request_hand_over(plugin));
    }

    /// Whether the process has asked for its end or for a hand-over.
    pub(crate) fn has_decided(&self) -> bool {
        self.lifecycle(|lifecycle| lifecycle.has_decided())
    }

    /// A signal has ended the process, whatever it has decided before.
    pub(crate) fn forget_decision(&self) {
        self.lifecycle(|lifecycle| lifecycle.forget_decision());
    }

    /// Whether the process has finished, or the connection's side has ended the session.
    pub(crate) fn is_ending(&self) -> bool {
        self.lifecycle(|lifecycle| lifecycle.is_ending())
    }

    /// What the session must do before the process is called again.
    pub(crate) fn next_action(&self) -> NextAction {
        self.lifecycle(|lifecycle| lifecycle.next_action())
    }

    /// The process is about to be told that the session ends. A program request without an answer is refused.
    pub(crate) fn begin_close(&self) {
        if self.lifecycle(|lifecycle| lifecycle.begin_close()) {
            self.reply(false);
        }
    }

    /// The process is about to be told that another takes over. A program request without an answer goes to that.
    pub(crate) fn close_for_hand_over(&self) {
        self.lifecycle(|lifecycle| lifecycle.begin_close());
    }

    /// The session goes to another process, which catches no signals yet.
    pub(crate) fn hand_over(&self) {
        self.catch(Vec::new());
        self.lifecycle(|lifecycle| lifecycle.hand_over());
    }

    /// Forgets what a process that did not take the session has left behind, with the signals that it would have
    /// caught.
    pub(crate) fn discard_process(&self) {
        self.lifecycle(|lifecycle| lifecycle.discard_process());
        self.discard_caught();
    }

    /// How often the session has been handed over.
    pub(crate) fn hand_overs(&self) -> u32 {
        self.lifecycle(|lifecycle| lifecycle.hand_overs())
    }

    /// The exit with which the process finished, if it did.
    pub(crate) fn take_finish(&self) -> Option<Exit> {
        self.lifecycle(|lifecycle| lifecycle.take_finish())
    }

    /// The message for the client whose plugin version was retired or whose session an operator ended.
    pub(crate) fn notice(&self) -> Option<Arc<str>> {
        self.lifecycle(|lifecycle| lifecycle.notice())
    }

    /// The session exits, unless it has ended before. `ending`: why; none for a crash or a limit.
    pub(crate) fn exit(&self, exit: Exit, ending: Option<Ending>) {
        if self.lifecycle(|lifecycle| lifecycle.exit(&exit, ending)) {
            self.push_message(Message::Exit(Box::new(exit)));
        }
    }

    /// Ends the session in any stage: refuses the channel open if it has no answer, otherwise exits.
    pub(crate) fn abort(&self, exit: Exit) {
        if self.stage() == Stage::Opening {
            self.answer_open(OpenReply::Refused);
        } else {
            self.exit(exit, None);
        }
    }

    /// How the session ended; empty while it lasts.
    pub(crate) fn outcome(&self) -> Outcome {
        self.lifecycle(|lifecycle| lifecycle.outcome())
    }
}
