//! The events of this process.

use std::sync::{Mutex, OnceLock, PoisonError};

use whelk::observe::event::{self, Event, LimitEvent, LoginEvent};
use whelk_runtime::event::{FileEvents, LogEvent};

/// What was said of one connection, in short.
static HEARD: Mutex<Vec<(u64, String)>> = Mutex::new(Vec::new());

/// Hears every event from now on.
pub(crate) fn listen() {
    static LISTENS: OnceLock<bool> = OnceLock::new();
    LISTENS.get_or_init(|| event::subscribe(vec![Box::new(hear)], FileEvents::All));
}

fn hear(event: &Event<'_>) {
    let heard = match event {
        Event::Login(LoginEvent::AuthenticatorAsked { connection, authenticator, method, answer, .. }) => {
            (*connection, format!("{authenticator} {method} {answer}"))
        }
        Event::Login(LoginEvent::AuthenticatorFailed { connection, authenticator, plugin, reason, .. }) => {
            (*connection, format!("{authenticator} {plugin} failed: {reason}"))
        }
        Event::Login(LoginEvent::GrantRefused { connection, authenticator, reason, .. }) => {
            (*connection, format!("{authenticator} refused: {reason}"))
        }
        Event::Login(LoginEvent::Succeeded { connection, user, principal, .. }) => {
            (*connection, format!("{user} is {}", principal.unwrap_or("the same")))
        }
        // Of no connection.
        Event::Limit(LimitEvent::AuthenticatorInstances { source, limit, most }) => {
            (0, format!("{source} {limit} {most}"))
        }
        Event::Runtime(LogEvent::PluginLine { connection: Some(connection), message, .. }) => {
            (*connection, format!("says: {message}"))
        }
        _ => return,
    };
    HEARD.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
}

/// What was said of a connection so far.
pub(crate) fn heard(connection: u64) -> Vec<String> {
    let heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
    heard.iter().filter(|(of, _)| *of == connection).map(|(_, text)| text.clone()).collect()
}
