//! A session without a plugin: it accepts any start request, prints a message and ends.

use crate::channel::{Next, OpenReply, SessionSide};
use crate::channel_event::{ChannelEvent, Exit, Output};

/// Serves a session in place of a plugin: any start request prints `text` on stderr and ends with `exit`. Dropping the
/// future ends the session with exit status 70.
pub async fn notice(mut side: SessionSide, text: &str, exit: Exit) {
    serve_notice(&mut side, text, exit).await;
}

/// The same for a side that is kept.
pub(crate) async fn serve_notice(side: &mut SessionSide, text: &str, exit: Exit) {
    side.shared().answer_open(OpenReply::Accepted);
    while side.shared().ended().is_none() {
        match side.next() {
            Some(Next::ChannelEvent(ChannelEvent::Shell | ChannelEvent::Exec(_) | ChannelEvent::Subsystem(_))) => {
                side.shared().accept_for_host();
                side.shared().push_whole(Output::Stderr, text.as_bytes());
                side.shared().exit(exit, None);
                return;
            }
            // These have no answer.
            Some(Next::ChannelEvent(ChannelEvent::Eof | ChannelEvent::Close)) => {}
            // A terminal is accepted, so that clients show the text as they would a program's.
            Some(Next::ChannelEvent(event)) => {
                let agreed = matches!(event, ChannelEvent::PtyReq(_) | ChannelEvent::WindowChange(_));
                side.shared().reply(agreed);
            }
            Some(Next::Data { .. }) => side.taken(),
            None => side.arrival().await,
        }
    }
}
