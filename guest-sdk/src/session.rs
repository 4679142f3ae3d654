//! The events of a session, as traits: [`Session`], which every plugin implements, and the optional handlers.

mod signal;

use crate::bindings::whelk::ssh::types::{Ending, Pty, SignalName, WindowSize};
use crate::output::finish;
pub use signal::ParseSignalError;

/// A session, from the moment the client opens it until it is closed. RFC 4254 §6.
///
/// The host calls the functions one at a time, in the order of events. A typical session is [`open`](Self::open),
/// perhaps [`env`](Self::env) and [`pty_req`](Self::pty_req), then one of [`shell`](Self::shell), [`exec`](Self::exec)
/// and [`subsystem`](Self::subsystem) that returns true, then [`data`](Self::data) as the person types,
/// [`eof`](Self::eof) when there is no more input, and [`closed`](Self::closed).
///
/// Where a function returns a `bool`, true accepts the request and false refuses it. All have defaults, so implement
/// those that you need.
pub trait Session {
    /// The client opens a session. Returning false refuses it. The default accepts.
    fn open(&mut self) -> bool {
        true
    }

    /// The client asks to set an environment variable, such as `LANG`. The default refuses, which clients ignore.
    /// [`env`](crate::env()) returns the accepted variables at any time.
    fn env(&mut self, name: &str, value: &[u8]) -> bool {
        let _ = (name, value);
        false
    }

    /// The client has a terminal of this kind and size. Without this call the session is a plain pipe of bytes. The
    /// default accepts; [`pty`](crate::pty) returns the terminal at any time.
    fn pty_req(&mut self, pty: &Pty) -> bool {
        let _ = pty;
        true
    }

    /// `ssh name@host`: start an interactive session. The default accepts and prints nothing.
    fn shell(&mut self) -> bool {
        true
    }

    /// `ssh name@host some command`: run this command. It is usually text, but may be any bytes. The default refuses.
    ///
    /// Writing output accepts the request. If you write and then return false, the session ends with status 1.
    fn exec(&mut self, command: &[u8]) -> bool {
        let _ = command;
        false
    }

    /// `ssh -s name@host thing`: a client program wants to speak the protocol of this name, such as `sftp`. The default
    /// refuses.
    fn subsystem(&mut self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// The terminal window has a new size. The default does nothing; [`terminal::size`](crate::terminal::size) returns
    /// the latest size.
    fn window_change(&mut self, size: WindowSize) {
        let _ = size;
    }

    /// The client sent a signal, as `kill` does. Ctrl-C is no signal but the byte 3 in [`data`](Self::data). The
    /// default does nothing.
    fn signal(&mut self, name: SignalName) {
        let _ = name;
    }

    /// Input: what was typed or piped in, at most 32 KiB a call, never empty, split anywhere. The default discards it.
    /// The client can send more only as these calls return, so a slow plugin slows down only its own client.
    fn data(&mut self, data: &[u8]) {
        let _ = data;
    }

    /// Input on an extended data stream (RFC 4254 §5.2). Clients hardly ever send any. The default discards it.
    fn extended_data(&mut self, kind: u32, data: &[u8]) {
        let _ = (kind, data);
    }

    /// The client will send no more input; it still reads output. The default ends the session with status 0, so that
    /// `ssh name@host < file` ends.
    fn eof(&mut self) {
        finish(0);
    }

    /// The client asked to close the session. Not every client sends this, and [`closed`](Self::closed) always follows.
    /// The default does nothing.
    fn close(&mut self) {}

    /// The last call, exactly once, whoever ended the session. Nothing can be sent any more. It is not called after a
    /// crash, or after the host stopped the plugin for exceeding a limit. The default does nothing. The value is
    /// dropped afterwards.
    fn closed(&mut self, why: Ending) {
        let _ = why;
    }
}

/// Receives the timers that were set with [`timers`](crate::timers). `plugin!(Clock: timers)`.
pub trait TimerHandler: Session {
    /// A timer has expired; `timer` is the number that it was set with.
    fn on_timer(&mut self, timer: u32);
}

/// For plugins that produce much output and do not want to block in [`print`](crate::print()): ask how much is
/// [`writable`](crate::writable), write that much and return. `plugin!(Feed: drain)`.
pub trait DrainHandler: Session {
    /// There is room for output again.
    fn on_writable(&mut self);
}

/// For plugins that act as a serial line. `plugin!(Line: breaks)`.
pub trait BreakHandler: Session {
    /// The client sent a break of this length in milliseconds; 0 means the usual length. RFC 4335.
    fn on_break(&mut self, length_ms: u32);
}

/// Receives channel requests that have no function of their own in [`Session`]. `plugin!(Odd: requests)`.
pub trait RequestHandler: Session {
    /// A request with its name and payload as they arrived. Returning true answers success.
    fn on_request(&mut self, name: &str, payload: &[u8]) -> bool;
}

/// Receives messages on the [`topics`](crate::topics) that the session subscribes to. `plugin!(Chat: messages)`.
pub trait MessageHandler: Session {
    /// A session of the tenant, perhaps this one, published a message.
    fn on_message(&mut self, topic: &str, data: &[u8]);

    /// This plugin was too slow: this many messages of the topic were dropped between the previous message and the
    /// next. The default does nothing.
    fn on_lagged(&mut self, topic: &str, missed: u32) {
        let _ = (topic, missed);
    }
}
