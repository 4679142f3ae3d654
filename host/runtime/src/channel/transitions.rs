//! The transitions of a session's lifecycle, each together with what the client is told of it. The session's task makes
//! them: `session` between calls, and the imports during a call.

use std::sync::Arc;

use super::lifecycle::{Acceptance, Due, Outcome, OutputClosed, OutputPath, Stage, StartAnswer};
use super::output::{Message, OpenReply};
use super::shared::{Shared, line};
use crate::channel_event::{Ending, Exit, Output};

/// Where output of the process goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// No start request was accepted: it is held.
    Held,
    /// To the client.
    Open,
}

// The opening, and requests.
impl Shared {
    /// Answers the channel open, unless it has its answer.
    pub(crate) fn answer_open(&self, reply: OpenReply) {
        if self.life(|life| life.open(reply)) {
            self.say(Message::Opened(reply));
        }
    }

    /// Answers the oldest request that the session has to answer. Start requests are answered by their transitions.
    pub(crate) fn reply(&self, success: bool) {
        self.say(Message::reply(success));
    }

    /// Queues a request to the client; false if too many wait.
    pub(crate) fn ask_client(&self, name: String, payload: Vec<u8>) -> bool {
        self.say(Message::Request(Box::new((name, payload))))
    }

    /// Ends the whole connection, with this text.
    pub(crate) fn disconnect(&self, reason: u32, text: String) {
        self.say(Message::Disconnect(Box::new((reason, text))));
    }

    /// A debug message for the client. RFC 4253 section 11.3.
    pub(crate) fn debug(&self, text: String, always_display: bool) {
        self.say(Message::Debug(Box::new((text, always_display))));
    }
}

// The start.
impl Shared {
    pub(crate) fn stage(&self) -> Stage {
        self.life(|life| life.stage())
    }

    /// The process is about to get a start request. If it must not, the request is refused and this returns false.
    pub(crate) fn begin_start(&self) -> bool {
        let begins = self.life(|life| life.begin_start());
        if !begins {
            self.decline_start();
        }
        begins
    }

    /// Refuses the start request that nobody serves, unless it was accepted before a hand-over.
    pub(crate) fn decline_start(&self) {
        if !self.has_accepted() {
            self.reply(false);
        }
    }

    /// The call with the start request has returned: whether the process accepts it. True if the request is refused and
    /// another may come.
    pub(crate) fn start_returned(&self, accepted: bool) -> bool {
        match self.life(|life| life.start_returned(accepted)) {
            StartAnswer::Accepted(acceptance) => self.queue_acceptance(acceptance),
            StartAnswer::Given => {}
            StartAnswer::Refused => {
                self.reply(false);
                return true;
            }
        }
        false
    }

    /// The call with the start request has failed. The request is accepted: a program that crashes was started.
    pub(crate) fn start_failed(&self) {
        if let Some(acceptance) = self.life(|life| life.accept()) {
            self.queue_acceptance(acceptance);
        }
    }

    /// Accepts a start request without a process, so that the host can tell the client something.
    pub(crate) fn accept_for_host(&self) {
        if self.life(|life| life.accept_for_host()) {
            self.reply(true);
        }
    }

    /// Whether the client was told that its start request has succeeded.
    pub(crate) fn has_accepted(&self) -> bool {
        self.life(|life| life.has_accepted())
    }

    /// Queues the answer, then the held output.
    fn queue_acceptance(&self, acceptance: Acceptance) {
        if acceptance.answer {
            self.reply(true);
        }
        for (to, bytes) in acceptance.held {
            self.push_whole(to, &bytes);
        }
        if acceptance.eof {
            self.say(Message::Eof);
        }
    }
}

// Output.
impl Shared {
    /// Where output of the process goes. The first output inside a start request is its acceptance.
    pub(crate) fn open_output(&self) -> Result<Flow, OutputClosed> {
        self.life(|life| life.output()).map(|path| self.flow(path))
    }

    /// The same for a request to the client, which accepts as output does.
    pub(crate) fn open_request(&self) -> Result<Flow, OutputClosed> {
        self.life(|life| life.request()).map(|path| self.flow(path))
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
        self.life(|life| life.is_closed())
    }

    /// Whether the process is in its last call, or past it.
    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.stage(), Stage::Closing | Stage::Ended)
    }

    /// Holds the bytes until a start request is accepted. The caller has looked at
    /// [`room_for_output`](Self::room_for_output).
    pub(crate) fn hold(&self, to: Output, bytes: Vec<u8>) {
        self.life(|life| life.hold(to, bytes));
    }

    /// Bytes of output for which there is room now. `most`: the limit of bytes held before a start.
    pub(crate) fn room_for_output(&self, most: usize) -> usize {
        let (stage, held, eof) = self.life(|life| (life.stage(), life.held(), life.has_sent_eof()));
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
            self.life(|life| life.send_eof());
            if flow == Flow::Open {
                self.say(Message::Eof);
            }
        }
    }

    /// Queues a line of the host's on stderr, if a start was accepted (no output may overtake that answer) and EOF
    /// was not sent.
    pub(crate) fn host_line(&self, text: &str, terminal: bool) {
        if self.has_accepted() {
            self.push_whole(Output::Stderr, line(text, terminal).as_bytes());
        }
    }
}

// The end.
impl Shared {
    /// The process finishes with this exit.
    pub(crate) fn finish(&self, exit: Exit) {
        if let Some(acceptance) = self.life(|life| life.finish(exit)) {
            self.queue_acceptance(acceptance);
        }
    }

    /// Whether the process may hand the session over. `most`: the limit of hand-offs for a session.
    pub(crate) fn may_hand_over(&self, most: u32) -> bool {
        self.life(|life| life.may_hand_over(most))
    }

    /// The process wants the plugin of this name to take over when its call returns.
    pub(crate) fn hand_over(&self, plugin: String) {
        self.life(|life| life.hand_over(plugin));
    }

    /// Whether the process has finished, or the connection's side has ended the session.
    pub(crate) fn is_ending(&self) -> bool {
        self.life(|life| life.is_ending())
    }

    /// What is to be done before the process is called again.
    pub(crate) fn due(&self) -> Due {
        self.life(|life| life.due())
    }

    /// The process is about to be told that the session ends. A start request without an answer is refused.
    pub(crate) fn close(&self) {
        if self.life(|life| life.close()) {
            self.reply(false);
        }
    }

    /// The process is about to be told that another takes over. A start request without an answer goes to that.
    pub(crate) fn close_for_handoff(&self) {
        self.life(|life| life.close());
    }

    /// The session goes to another process, or waits for one.
    pub(crate) fn hand_off(&self) {
        self.life(|life| life.hand_off());
    }

    /// How often the session has been handed off.
    pub(crate) fn handoffs(&self) -> u32 {
        self.life(|life| life.handoffs())
    }

    /// The exit with which the process finished, if it did.
    pub(crate) fn take_finish(&self) -> Option<Exit> {
        self.life(|life| life.take_finish())
    }

    /// The line for the client about a retired version, if that ended the session.
    pub(crate) fn words(&self) -> Option<Arc<str>> {
        self.life(|life| life.words())
    }

    /// The session exits, unless it has ended before. `ending`: why; none for a crash or a limit.
    pub(crate) fn exit(&self, exit: Exit, ending: Option<Ending>) {
        if self.life(|life| life.exit(&exit, ending)) {
            self.say(Message::Exit(Box::new(exit)));
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
        self.life(|life| life.outcome())
    }
}
