//! A sans-I/O SFTP server: version 3 of the protocol (draft-ietf-secsh-filexfer-02) with the
//! extensions of OpenSSH's sftp-server.
//!
//! [`Server::feed`] takes the client's bytes in pieces of any size and executes each request as soon as it is whole, on
//! a [`FileSystem`]; [`Server::output`] holds the replies. It stops when [`OUTPUT_HIGH`] bytes of replies wait to be
//! sent, so that a session's memory is bounded: one request, the unsent replies, and [`MAX_HANDLES`] handles.
//!
//! ```text
//! server      framing of packets, the handles, the replies
//!   files       requests on handles: OPEN, READ, WRITE, READDIR, ...
//!   names       requests on paths: STAT, REMOVE, RENAME, ...
//!   extensions  requests by name: posix-rename@openssh.com, ...
//!   realpath    paths without links, `.` and `..`
//! request     a packet as a request
//! attributes  the attributes of a file, as the protocol writes them
//! longname    a line of `ls -l`
//! handles     what is open, and the names that clients use for it
//! options     the command line
//! filesystem  what the server needs of a file system
//! status      the codes and messages of replies that report an error
//! wire        integers and strings
//! native      a file system on Unix, for tests and comparisons
//! ```
//!
//! `main.rs` connects it to the streams of a session, and in the sandbox to `wasi:filesystem`.

mod attributes;
mod filesystem;
mod handles;
mod longname;
#[cfg(unix)]
mod native;
mod options;
mod request;
mod server;
mod status;
mod wire;

pub use attributes::Attributes;
pub use filesystem::{FileKind, FileSystem, Metadata, NewTimes, OpenMode, Space};
pub use handles::MAX_HANDLES;
#[cfg(unix)]
pub use native::NativeFiles;
pub use options::Options;
pub use request::{Request, kind};
pub use server::{Account, OUTPUT_HIGH, ProtocolError, Server};
pub use status::{Failure, FileError, Status};
pub use wire::{MAX_PACKET, MAX_READ};
