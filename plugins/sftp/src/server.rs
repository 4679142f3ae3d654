//! The server: packets in, requests executed, replies out.

mod extensions;
mod files;
mod names;
mod paths;
mod realpath;
mod reply;

use std::fmt;

pub use paths::Account;
use paths::Paths;
use reply::Replies;

use crate::filesystem::FileSystem;
use crate::handles::Handles;
use crate::request::{Request, kind};
use crate::status::Failure;
use crate::wire::{Fields, MAX_PACKET, PutFields};

/// [`Server::feed`] executes no further request while so many bytes of replies wait to be sent.
pub const OUTPUT_HIGH: usize = 64 << 10;

/// [`Server::feed`] executes no further request while so many replies wait to be sent, even if they are short. Bounds
/// how long a finished reply waits for the requests behind it. Two WRITEs of 32 KiB fill what is read at once, so bulk
/// transfers do not reach it.
const REPLIES_HIGH: usize = 16;

/// The version of the protocol. The server announces it to every client, as OpenSSH's sftp-server does; clients that
/// need another version disconnect.
const VERSION: u32 = 3;

/// The extensions and their versions, in the order of OpenSSH's sftp-server.
const EXTENSIONS: [(&str, &str); 11] = [
    ("posix-rename@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("hardlink@openssh.com", "1"),
    ("fsync@openssh.com", "1"),
    ("lsetstat@openssh.com", "1"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
    ("copy-data", "1"),
    ("home-directory", "1"),
    ("users-groups-by-id@openssh.com", "1"),
];

/// Input that is not SFTP. The session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolError {
    /// A packet announces more bytes than [`MAX_PACKET`].
    TooLong(u32),
    /// A packet is too short for its type and the number of the request, so no reply is possible.
    TooShort(u32),
    /// A request of this type came before INIT.
    NoInit(u8),
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(length) => write!(f, "a packet of {length} bytes arrived; at most {MAX_PACKET} are allowed"),
            Self::TooShort(length) => write!(f, "a packet of {length} bytes arrived, too short for any request"),
            Self::NoInit(kind) => {
                write!(f, "a request of type {kind} arrived before INIT: is the client speaking SFTP?")
            }
        }
    }
}

impl std::error::Error for ProtocolError {}

/// The server of one session.
pub struct Server<F: FileSystem> {
    files: F,
    paths: Paths,
    handles: Handles<F::File, F::Listing>,
    /// The beginning of a packet, with its length.
    partial: Vec<u8>,
    replies: Replies,
    /// The requests executed since no reply waited.
    unanswered: usize,
    /// INIT has arrived.
    has_begun: bool,
    /// Requests that change files are refused.
    is_read_only: bool,
}

impl<F: FileSystem> Server<F> {
    /// A session that waits for INIT.
    pub fn new(files: F, account: Account) -> Self {
        Self {
            files,
            paths: Paths::new(account),
            handles: Handles::new(),
            partial: Vec::new(),
            replies: Replies::default(),
            unanswered: 0,
            has_begun: false,
            is_read_only: false,
        }
    }

    /// The same session, which may not change files if `is_read_only`: such requests get `SSH_FX_PERMISSION_DENIED`, as
    /// from OpenSSH's sftp-server with `-R`.
    #[must_use]
    pub fn read_only(self, is_read_only: bool) -> Self {
        Self { is_read_only, ..self }
    }

    /// Takes bytes of the client, in pieces of any size, and executes the requests that are whole. Returns how many
    /// bytes it took: fewer than all only if replies wait to be sent. It stops at `OUTPUT_HIGH` bytes of replies, at 16
    /// replies, and before a request that may take long.
    ///
    /// # Errors
    ///
    /// The input is not SFTP. The replies until then can be sent; nothing more is to be fed.
    pub fn feed(&mut self, input: &[u8]) -> Result<usize, ProtocolError> {
        let mut rest = input;
        while !rest.is_empty() && self.output().len() < OUTPUT_HIGH && self.unanswered < REPLIES_HIGH {
            if self.partial.is_empty()
                && let Some(length) = packet_length(rest)?
                && let Some((packet, after)) = rest[4..].split_at_checked(length)
            {
                if self.must_send_before(packet[0]) {
                    break;
                }
                self.receive(packet)?;
                rest = after;
                continue;
            }
            let length = packet_length(&self.partial)?;
            let missing = length.map_or(4, |length| 4 + length) - self.partial.len();
            let (more, after) = rest.split_at(missing.min(rest.len()));
            let is_whole = length.is_some() && more.len() == missing;
            // Without its last bytes the request stays in `partial`.
            if is_whole && self.must_send_before(self.partial.get(4).map_or(more[0], |kind| *kind)) {
                break;
            }
            // The length is bounded, so growth by doubling would only copy.
            self.partial.reserve_exact(missing);
            self.partial.extend_from_slice(more);
            rest = after;
            if is_whole {
                let mut packet = std::mem::take(&mut self.partial);
                self.receive(&packet[4..])?;
                packet.clear();
                self.partial = packet;
            } else {
                // A length that is not allowed ends the session even if nothing follows it.
                packet_length(&self.partial)?;
            }
        }
        Ok(input.len() - rest.len())
    }

    /// Whether the replies that wait must be sent before a request of this type, because it may take long.
    fn must_send_before(&self, kind: u8) -> bool {
        !self.output().is_empty() && may_take_long(kind)
    }

    /// The replies that wait to be sent.
    pub fn output(&self) -> &[u8] {
        self.replies.waiting()
    }

    /// Drops this many bytes from the beginning of [`output`](Self::output): they were sent.
    pub fn sent(&mut self, bytes: usize) {
        self.replies.sent(bytes);
        if self.output().is_empty() {
            self.unanswered = 0;
        }
    }

    /// Whether the bytes fed so far end in the middle of a request.
    pub fn is_in_request(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Executes one packet.
    fn receive(&mut self, packet: &[u8]) -> Result<(), ProtocolError> {
        let too_short = |_| ProtocolError::TooShort(crate::wire::length(packet.len()));
        self.unanswered += 1;
        let mut fields = Fields(packet);
        let kind = fields.u8().map_err(too_short)?;
        // For INIT it is the client's version.
        let number = fields.u32().map_err(too_short)?;
        if kind == kind::INIT {
            self.has_begun = true;
            self.replies.put(kind::VERSION, VERSION, |reply| {
                for (name, version) in EXTENSIONS {
                    reply.put_string(name.as_bytes());
                    reply.put_string(version.as_bytes());
                }
            });
            return Ok(());
        }
        if !self.has_begun {
            return Err(ProtocolError::NoInit(kind));
        }
        let begin = self.replies.len();
        if let Err(failure) = Request::parse(kind, fields.0).and_then(|request| self.execute(number, request)) {
            self.replies.truncate(begin);
            self.replies.put_status(number, failure);
        }
        Ok(())
    }

    /// Executes one request and writes its reply, unless it fails.
    fn execute(&mut self, id: u32, request: Request<'_>) -> Result<(), Failure> {
        if self.is_read_only && request.changes_files() {
            return Err(Failure::READ_ONLY);
        }
        match request {
            Request::Open { path, mode } => self.open(id, path, mode),
            Request::Close { handle } => self.close(id, handle),
            Request::Read { handle, offset, length } => self.read(id, handle, offset, length),
            Request::Write { handle, offset, data } => self.write(id, handle, offset, data),
            Request::Stat { path, follow } => self.stat(id, path, follow),
            Request::FileStat { handle } => self.file_stat(id, handle),
            Request::SetStat { path, follow, attributes } => self.set_stat(id, path, follow, attributes),
            Request::FileSetStat { handle, attributes } => self.file_set_stat(id, handle, attributes),
            Request::OpenDirectory { path } => self.open_directory(id, path),
            Request::ReadDirectory { handle } => self.read_directory(id, handle),
            Request::Remove { path } => self.remove(id, path),
            Request::MakeDirectory { path } => self.make_directory(id, path),
            Request::RemoveDirectory { path } => self.remove_directory(id, path),
            Request::RealPath { path } => self.real_path(id, path),
            Request::Rename { old, new, replace } => self.rename(id, old, new, replace),
            Request::ReadLink { path } => self.read_link(id, path),
            Request::Symlink { target, path } => self.symlink(id, target, path),
            Request::Space { path } => self.space(id, path),
            Request::FileSpace { handle } => self.file_space(id, handle),
            Request::Link { old, new } => self.link(id, old, new),
            Request::Sync { handle } => self.sync(id, handle),
            Request::Limits => self.limits(id),
            Request::ExpandPath { path } => self.expand_path(id, path),
            Request::CopyData { from, offset, length, to, at } => self.copy_data(id, (from, offset, length), (to, at)),
            Request::HomeDirectory { user } => self.home_directory(id, user),
            Request::Names { users, groups } => self.names_of_numbers(id, users, groups),
        }
    }
}

/// Whether a request may take long: its work grows with the size of a file or of a directory, with the links on a path,
/// or it waits for the disk. OPEN, SETSTAT, REMOVE and RENAME may free the blocks of a large file. Extensions are rare,
/// so all of them count.
const fn may_take_long(kind: u8) -> bool {
    matches!(
        kind,
        kind::OPEN
            | kind::SETSTAT
            | kind::FSETSTAT
            | kind::READDIR
            | kind::REMOVE
            | kind::REALPATH
            | kind::RENAME
            | kind::EXTENDED
    )
}

/// The bytes of a packet behind its length, if that is there.
fn packet_length(bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
    let Some(length) = bytes.first_chunk() else { return Ok(None) };
    let length = u32::from_be_bytes(*length);
    match usize::try_from(length) {
        Ok(0) => Err(ProtocolError::TooShort(0)),
        Ok(bytes) if bytes <= MAX_PACKET => Ok(Some(bytes)),
        _ => Err(ProtocolError::TooLong(length)),
    }
}
