//! A session without a plugin: it accepts any program request, prints a message and ends.

use crate::channel::{InputItem, OpenReply, SessionHalf};
use crate::session_types::{ChannelEvent, Exit, Output};

/// Serves a session in place of a plugin: any program request prints `text` on stderr and ends with `exit`. Dropping
/// the future ends the session with exit status 70.
pub async fn notice(mut half: SessionHalf, text: &str, exit: Exit) {
    serve_notice(&mut half, text, exit).await;
}

/// The same for a session half that is kept.
pub(crate) async fn serve_notice(half: &mut SessionHalf, text: &str, exit: Exit) {
    half.shared().answer_open(OpenReply::Accepted);
    while half.shared().ended().is_none() {
        // Nothing else here waits while the client goes on sending.
        tokio::task::consume_budget().await;
        match half.next() {
            Some(InputItem::ChannelEvent(ChannelEvent::Shell | ChannelEvent::Exec(_) | ChannelEvent::Subsystem(_))) => {
                half.shared().accept_for_host();
                half.shared().push_whole(Output::Stderr, text.as_bytes());
                half.shared().exit(exit, None);
                return;
            }
            // These have no answer.
            Some(InputItem::ChannelEvent(
                ChannelEvent::HostVariable { .. } | ChannelEvent::Eof | ChannelEvent::Close,
            )) => {}
            // A terminal is accepted, so that clients show the text as they would a program's.
            Some(InputItem::ChannelEvent(event)) => {
                let agreed = matches!(event, ChannelEvent::PtyReq(_) | ChannelEvent::WindowChange(_));
                half.shared().reply(agreed);
            }
            Some(InputItem::Data { .. }) => half.taken(),
            None => half.arrival().await,
        }
    }
}
