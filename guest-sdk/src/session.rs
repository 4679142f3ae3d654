//! What happens in a session, as traits: [`Session`], which every plugin has, and the optional handlers beside it.

use crate::bindings::whelk::ssh::types::{Ending, Pty, SignalName, WindowSize};
use crate::output::finish;

/// A session: one person's visit, from the moment they knock until they have left. RFC 4254 §6.
///
/// The functions are called one at a time and in the order in which things happen. A usual visit is
/// [`open`](Self::open), perhaps [`env`](Self::env) and [`pty_req`](Self::pty_req), then one of [`shell`](Self::shell),
/// [`exec`](Self::exec) and [`subsystem`](Self::subsystem) that answers true, then [`data`](Self::data) as they type,
/// [`eof`](Self::eof) when there is no more, and [`closed`](Self::closed).
///
/// Where a function answers a `bool`, true means yes, and false tells the person's program that it was refused.
/// All have defaults, so write those that you need.
pub trait Session {
    /// Somebody knocks. False turns them away. By default they may come in.
    fn open(&mut self) -> bool {
        true
    }

    /// They would like an environment variable to be set, such as `LANG`. By default it is refused, which disturbs
    /// nobody. What was accepted is told by [`env`](crate::env()) at any time.
    fn env(&mut self, name: &str, value: &[u8]) -> bool {
        let _ = (name, value);
        false
    }

    /// They sit at a terminal of this kind and size. Without this call the session is a plain pipe of bytes.
    /// By default it is accepted; [`pty`](crate::pty) tells it again at any time.
    fn pty_req(&mut self, pty: &Pty) -> bool {
        let _ = pty;
        true
    }

    /// `ssh name@host`: greet them. By default accepted, in silence.
    fn shell(&mut self) -> bool {
        true
    }

    /// `ssh name@host some command`: do what it says. Usually text, but nobody promises that. By default refused.
    ///
    /// If you write output and then answer false, it counts as a yes that ended with status 1: what is printed cannot
    /// be unsaid.
    fn exec(&mut self, command: &[u8]) -> bool {
        let _ = command;
        false
    }

    /// `ssh -s name@host thing`: a program on their side wants to speak a protocol of this name, such as `sftp`.
    /// By default refused.
    fn subsystem(&mut self, name: &str) -> bool {
        let _ = name;
        false
    }

    /// Their window has a new size. By default nothing is done; [`terminal::size`](crate::terminal::size) tells the
    /// latest.
    fn window_change(&mut self, size: WindowSize) {
        let _ = size;
    }

    /// Their program sent a signal, as `kill` does. Not Ctrl-C, which is the byte 3 in [`data`](Self::data).
    /// By default nothing is done.
    fn signal(&mut self, name: SignalName) {
        let _ = name;
    }

    /// What was typed or piped in: at most 32 KiB a call, never empty, cut anywhere. By default it is thrown away.
    /// They can send more only as these calls return, so a slow plugin slows the one it serves and nobody else.
    fn data(&mut self, data: &[u8]) {
        let _ = data;
    }

    /// Bytes on a numbered side stream. Clients hardly ever do this. By default they are thrown away.
    fn extended_data(&mut self, kind: u32, data: &[u8]) {
        let _ = (kind, data);
    }

    /// They will send no more bytes; they still read. By default this ends the session with status 0, so that
    /// `ssh name@host < file` comes to its end.
    fn eof(&mut self) {
        finish(0);
    }

    /// Their program asked to close the session. It need not come, and [`closed`](Self::closed) always follows.
    /// By default nothing is done.
    fn close(&mut self) {}

    /// The last call, exactly once, whoever ended the session; nothing can be sent any more. It does not come after a
    /// crash, or after the plugin was stopped for using too much. By default nothing is done. The value is dropped
    /// then.
    fn closed(&mut self, why: Ending) {
        let _ = why;
    }
}

/// The timers that were set with [`timers`](crate::timers) ring here. `plugin!(Clock: timers)`.
pub trait TimerHandler: Session {
    /// The number is the one that the timer was set with.
    fn on_timer(&mut self, timer: u32);
}

/// For plugins that produce much and would rather not wait inside of [`print`](crate::print()): see what is
/// [`writable`](crate::writable), write that and return. `plugin!(Feed: drain)`.
pub trait DrainHandler: Session {
    /// There is room for output again.
    fn on_writable(&mut self);
}

/// For plugins that stand in for a serial line. `plugin!(Line: breaks)`.
pub trait BreakHandler: Session {
    /// They sent a break of so many milliseconds; 0 means of the usual length. RFC 4335.
    fn on_break(&mut self, length_ms: u32);
}

/// Requests that have no function of their own in [`Session`]. `plugin!(Odd: requests)`.
pub trait RequestHandler: Session {
    /// The name of the request, and its bytes as they came. True answers yes.
    fn on_request(&mut self, name: &str, payload: &[u8]) -> bool;
}

/// What others publish on the [`topics`](crate::topics) that were subscribed to. `plugin!(Chat: messages)`.
pub trait MessageHandler: Session {
    /// Somebody published this: another session of the tenant, or this one.
    fn on_message(&mut self, topic: &str, data: &[u8]);

    /// This plugin was too slow: so many messages of the topic were dropped, between the last one and the next.
    /// By default nothing is done.
    fn on_lagged(&mut self, topic: &str, missed: u32) {
        let _ = (topic, missed);
    }
}
