//! Generated from `wit/`: the interfaces of the component model, and conversions between its records and our own types.
//! Private to the crate.

pub(crate) use generated::wasi::keyvalue;
pub(crate) use generated::{exports::whelk::ssh as exports, whelk::ssh as imports};
pub(crate) use wasmtime_wasi::p2::bindings::exports::wasi::cli::run;

use crate::session_types::{Ending, Exit, Output, Pty, SignalName, WindowSize};
use imports::types as wit;

mod generated {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package whelk:host;
            /// Every interface that a plugin may import or export; the exports that it has are looked up when it is
            /// loaded.
            world host {
                import whelk:ssh/channel@0.1.0;
                import whelk:ssh/terminal@0.1.0;
                import whelk:ssh/connection@0.1.0;
                import whelk:ssh/connection-control@0.1.0;
                import whelk:ssh/timers@0.1.0;
                import whelk:ssh/log@0.1.0;
                import whelk:ssh/space@0.1.0;
                import whelk:ssh/files@0.1.0;
                import whelk:ssh/topics@0.1.0;
                import wasi:keyvalue/store@0.2.0-draft;
                export whelk:ssh/authenticator@0.1.0;
                export whelk:ssh/connection-handler@0.1.0;
                export whelk:ssh/session@0.1.0;
                export whelk:ssh/timer-handler@0.1.0;
                export whelk:ssh/drain-handler@0.1.0;
                export whelk:ssh/break-handler@0.1.0;
                export whelk:ssh/request-handler@0.1.0;
                export whelk:ssh/message-handler@0.1.0;
            }
        ",
        world: "whelk:host/host",
        exports: { default: async },
    });
}

impl From<wit::Output> for Output {
    fn from(to: wit::Output) -> Self {
        match to {
            wit::Output::Stdout => Self::Stdout,
            // RFC 4254 §5.2: SSH_EXTENDED_DATA_STDERR.
            wit::Output::Stderr | wit::Output::Extended(1) => Self::Stderr,
            wit::Output::Extended(number) => Self::Extended(number),
        }
    }
}

impl From<WindowSize> for wit::WindowSize {
    fn from(size: WindowSize) -> Self {
        let WindowSize { columns, rows, width_px, height_px } = size;
        Self { columns, rows, width_px, height_px }
    }
}

impl From<Pty> for wit::Pty {
    fn from(pty: Pty) -> Self {
        let modes = pty.modes.into_iter().map(|(opcode, argument)| wit::TerminalMode { opcode, argument }).collect();
        Self { term: pty.term, size: pty.size.into(), modes }
    }
}

impl From<Ending> for wit::Ending {
    fn from(why: Ending) -> Self {
        match why {
            Ending::Finished => Self::Finished,
            Ending::ClientClosed => Self::ClientClosed,
            Ending::ConnectionLost => Self::ConnectionLost,
            Ending::Drained => Self::Drained,
            Ending::Routed => Self::Routed,
        }
    }
}

impl From<wit::Exit> for Exit {
    fn from(how: wit::Exit) -> Self {
        match how {
            wit::Exit::Status(status) => Self::Status(status),
            wit::Exit::Signal(signal) => {
                Self::Signal { name: signal.name.into(), core_dumped: signal.core_dumped, message: signal.message }
            }
        }
    }
}

/// The same thirteen names on both sides.
macro_rules! signal_names {
    ($($name:ident)*) => {
        impl From<wit::SignalName> for SignalName {
            fn from(name: wit::SignalName) -> Self {
                match name {
                    $(wit::SignalName::$name => Self::$name,)*
                    wit::SignalName::Other(name) => Self::from_wire(&name),
                }
            }
        }

        impl From<SignalName> for wit::SignalName {
            fn from(name: SignalName) -> Self {
                match name {
                    $(SignalName::$name => Self::$name,)*
                    SignalName::Other(name) => Self::Other(name),
                }
            }
        }
    };
}
signal_names! { Abrt Alrm Fpe Hup Ill Int Kill Pipe Quit Segv Term Usr1 Usr2 }
