//! Generated from `wit/process/`: the types of `whelk:process`.

pub(super) use generated::whelk::process::process as wit;

use crate::posix::{DescriptionKind, Errno, Whence};

mod generated {
    wasmtime::component::bindgen!({
        path: "../../wit/process",
        world: "whelk:process/processes",
        require_store_data_send: true,
        with: {
            "wasi:io/poll": wasmtime_wasi::p2::bindings::io::poll,
            "whelk:process/process.fd": crate::host::process::handle::FdHandle,
            "whelk:process/process.child": crate::host::process::handle::ChildResource,
        },
    });
}

/// The same names on both sides.
macro_rules! errno_names {
    ($($name:ident)*) => {
        impl From<Errno> for wit::Errno {
            fn from(errno: Errno) -> Self {
                match errno {
                    $(Errno::$name => Self::$name,)*
                }
            }
        }
    };
}
errno_names! {
    Access Again BadDescriptor Busy Child CrossDevice Exists FileTooBig IllegalSequence Interrupted Invalid Io
    IsDirectory LinkLoop NameTooLong NoDevice NoEntry NoExecutable NoMemory NoSpace NoTerminal NotADirectory NotEmpty
    NotPermitted NotSupported NoProcess OutOfRange BrokenPipe Quota ReadOnly NotSeekable TimedOut TooBig TooManyFiles
    TooManyProcesses
}

impl From<DescriptionKind> for wit::Kind {
    fn from(kind: DescriptionKind) -> Self {
        match kind {
            DescriptionKind::File => Self::File,
            DescriptionKind::Directory => Self::Directory,
            DescriptionKind::Pipe => Self::Pipe,
            DescriptionKind::Terminal => Self::Terminal,
            DescriptionKind::Device => Self::Device,
        }
    }
}

impl From<wit::Whence> for Whence {
    fn from(whence: wit::Whence) -> Self {
        match whence {
            wit::Whence::Start => Self::Start,
            wit::Whence::Current => Self::Current,
            wit::Whence::End => Self::End,
        }
    }
}
