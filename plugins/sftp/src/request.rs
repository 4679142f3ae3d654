//! A packet of the client as a request: draft-ietf-secsh-filexfer-02 §6, and OpenSSH's PROTOCOL file for the
//! extensions.

use crate::attributes::Attributes;
use crate::filesystem::OpenMode;
use crate::status::Failure;
use crate::wire::Fields;

/// Types of packets.
pub mod kind {
    /// `SSH_FXP_INIT`.
    pub const INIT: u8 = 1;
    /// `SSH_FXP_VERSION`.
    pub const VERSION: u8 = 2;
    /// `SSH_FXP_OPEN`.
    pub const OPEN: u8 = 3;
    /// `SSH_FXP_CLOSE`.
    pub const CLOSE: u8 = 4;
    /// `SSH_FXP_READ`.
    pub const READ: u8 = 5;
    /// `SSH_FXP_WRITE`.
    pub const WRITE: u8 = 6;
    /// `SSH_FXP_LSTAT`.
    pub const LSTAT: u8 = 7;
    /// `SSH_FXP_FSTAT`.
    pub const FSTAT: u8 = 8;
    /// `SSH_FXP_SETSTAT`.
    pub const SETSTAT: u8 = 9;
    /// `SSH_FXP_FSETSTAT`.
    pub const FSETSTAT: u8 = 10;
    /// `SSH_FXP_OPENDIR`.
    pub const OPENDIR: u8 = 11;
    /// `SSH_FXP_READDIR`.
    pub const READDIR: u8 = 12;
    /// `SSH_FXP_REMOVE`.
    pub const REMOVE: u8 = 13;
    /// `SSH_FXP_MKDIR`.
    pub const MKDIR: u8 = 14;
    /// `SSH_FXP_RMDIR`.
    pub const RMDIR: u8 = 15;
    /// `SSH_FXP_REALPATH`.
    pub const REALPATH: u8 = 16;
    /// `SSH_FXP_STAT`.
    pub const STAT: u8 = 17;
    /// `SSH_FXP_RENAME`.
    pub const RENAME: u8 = 18;
    /// `SSH_FXP_READLINK`.
    pub const READLINK: u8 = 19;
    /// `SSH_FXP_SYMLINK`.
    pub const SYMLINK: u8 = 20;
    /// `SSH_FXP_STATUS`.
    pub const STATUS: u8 = 101;
    /// `SSH_FXP_HANDLE`.
    pub const HANDLE: u8 = 102;
    /// `SSH_FXP_DATA`.
    pub const DATA: u8 = 103;
    /// `SSH_FXP_NAME`.
    pub const NAME: u8 = 104;
    /// `SSH_FXP_ATTRS`.
    pub const ATTRS: u8 = 105;
    /// `SSH_FXP_EXTENDED`.
    pub const EXTENDED: u8 = 200;
    /// `SSH_FXP_EXTENDED_REPLY`.
    pub const EXTENDED_REPLY: u8 = 201;
}

/// The longest handle that a client may send, in bytes (draft-ietf-secsh-filexfer-02 §6.3).
const MAX_HANDLE: usize = 256;

/// A request. Paths are UTF-8 without NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the draft describes the fields")]
pub enum Request<'a> {
    Open { path: &'a str, mode: OpenMode },
    Close { handle: &'a [u8] },
    Read { handle: &'a [u8], offset: u64, length: u32 },
    Write { handle: &'a [u8], offset: u64, data: &'a [u8] },
    Stat { path: &'a str, follow: bool },
    FileStat { handle: &'a [u8] },
    SetStat { path: &'a str, follow: bool, attributes: Attributes },
    FileSetStat { handle: &'a [u8], attributes: Attributes },
    OpenDirectory { path: &'a str },
    ReadDirectory { handle: &'a [u8] },
    Remove { path: &'a str },
    MakeDirectory { path: &'a str },
    RemoveDirectory { path: &'a str },
    RealPath { path: &'a str },
    Rename { old: &'a str, new: &'a str, replace: bool },
    ReadLink { path: &'a str },
    Symlink { target: &'a str, path: &'a str },
    Space { path: &'a str },
    FileSpace { handle: &'a [u8] },
    Link { old: &'a str, new: &'a str },
    Sync { handle: &'a [u8] },
    Limits,
    ExpandPath { path: &'a str },
    CopyData { from: &'a [u8], offset: u64, length: u64, to: &'a [u8], at: u64 },
    HomeDirectory { user: &'a str },
    Names { users: &'a [u8], groups: &'a [u8] },
}

impl<'a> Request<'a> {
    /// Whether it changes files, or opens one for that.
    #[must_use]
    pub fn changes_files(&self) -> bool {
        match self {
            Self::Open { mode, .. } => mode.write || mode.append || mode.create || mode.truncate,
            Self::Write { .. }
            | Self::SetStat { .. }
            | Self::FileSetStat { .. }
            | Self::Remove { .. }
            | Self::MakeDirectory { .. }
            | Self::RemoveDirectory { .. }
            | Self::Rename { .. }
            | Self::Symlink { .. }
            | Self::Link { .. }
            | Self::CopyData { .. } => true,
            Self::Close { .. }
            | Self::Read { .. }
            | Self::Stat { .. }
            | Self::FileStat { .. }
            | Self::OpenDirectory { .. }
            | Self::ReadDirectory { .. }
            | Self::RealPath { .. }
            | Self::ReadLink { .. }
            | Self::Space { .. }
            | Self::FileSpace { .. }
            | Self::Sync { .. }
            | Self::Limits
            | Self::ExpandPath { .. }
            | Self::HomeDirectory { .. }
            | Self::Names { .. } => false,
        }
    }

    /// Reads the fields behind the type and the number of a request. What follows the last field is ignored, as
    /// OpenSSH's sftp-server does.
    ///
    /// # Errors
    ///
    /// What the client is told: `BadMessage` if a field is malformed, `OpUnsupported` for an unknown type or
    /// extension.
    pub fn parse(packet_kind: u8, fields: &'a [u8]) -> Result<Self, Failure> {
        let fields = &mut Fields(fields);
        Ok(match packet_kind {
            kind::OPEN => {
                let (path, mode) = (fields.name()?, open_mode(fields.u32()?));
                Attributes::read(fields)?;
                Self::Open { path, mode }
            }
            kind::CLOSE => Self::Close { handle: handle(fields)? },
            kind::READ => Self::Read { handle: handle(fields)?, offset: fields.u64()?, length: fields.u32()? },
            kind::WRITE => Self::Write { handle: handle(fields)?, offset: fields.u64()?, data: fields.string()? },
            kind::LSTAT | kind::STAT => Self::Stat { path: fields.name()?, follow: packet_kind == kind::STAT },
            kind::FSTAT => Self::FileStat { handle: handle(fields)? },
            kind::SETSTAT => set_stat(fields, true)?,
            kind::FSETSTAT => Self::FileSetStat { handle: handle(fields)?, attributes: Attributes::read(fields)? },
            kind::OPENDIR => Self::OpenDirectory { path: fields.name()? },
            kind::READDIR => Self::ReadDirectory { handle: handle(fields)? },
            kind::REMOVE => Self::Remove { path: fields.name()? },
            kind::MKDIR => {
                let path = fields.name()?;
                // Clients of early drafts leave the attributes out.
                if !fields.is_empty() {
                    Attributes::read(fields)?;
                }
                Self::MakeDirectory { path }
            }
            kind::RMDIR => Self::RemoveDirectory { path: fields.name()? },
            kind::REALPATH => Self::RealPath { path: fields.name()? },
            kind::RENAME => Self::Rename { old: fields.name()?, new: fields.name()?, replace: false },
            kind::READLINK => Self::ReadLink { path: fields.name()? },
            // The draft has the path first. OpenSSH's sftp-server takes the target first from every client; those that
            // know both orders choose by the server's software version (see the README).
            kind::SYMLINK => Self::Symlink { target: fields.name()?, path: fields.name()? },
            kind::EXTENDED => return Self::parse_extended(fields),
            _ => return Err(Failure::unsupported("unknown type of request")),
        })
    }

    fn parse_extended(fields: &mut Fields<'a>) -> Result<Self, Failure> {
        Ok(match fields.string()? {
            b"posix-rename@openssh.com" => Self::Rename { old: fields.name()?, new: fields.name()?, replace: true },
            b"statvfs@openssh.com" => Self::Space { path: fields.name()? },
            b"fstatvfs@openssh.com" => Self::FileSpace { handle: handle(fields)? },
            b"hardlink@openssh.com" => Self::Link { old: fields.name()?, new: fields.name()? },
            b"fsync@openssh.com" => Self::Sync { handle: handle(fields)? },
            b"lsetstat@openssh.com" => set_stat(fields, false)?,
            b"limits@openssh.com" => Self::Limits,
            b"expand-path@openssh.com" => Self::ExpandPath { path: fields.name()? },
            b"copy-data" => Self::CopyData {
                from: handle(fields)?,
                offset: fields.u64()?,
                length: fields.u64()?,
                to: handle(fields)?,
                at: fields.u64()?,
            },
            b"home-directory" => Self::HomeDirectory { user: fields.name()? },
            b"users-groups-by-id@openssh.com" => Self::Names { users: fields.string()?, groups: fields.string()? },
            _ => return Err(Failure::unsupported("unknown extension")),
        })
    }
}

fn handle<'a>(fields: &mut Fields<'a>) -> Result<&'a [u8], Failure> {
    let handle = fields.string()?;
    if handle.len() > MAX_HANDLE {
        return Err(Failure::malformed("malformed request: the handle is longer than 256 bytes"));
    }
    Ok(handle)
}

fn set_stat<'a>(fields: &mut Fields<'a>, follow: bool) -> Result<Request<'a>, Failure> {
    Ok(Request::SetStat { path: fields.name()?, follow, attributes: Attributes::read(fields)? })
}

/// The flags of OPEN, as OpenSSH's sftp-server gives them to open(2): without READ and WRITE the
/// file is opened for reading.
fn open_mode(flags: u32) -> OpenMode {
    let has = |flag| flags & flag != 0;
    let (write, create) = (has(0x02), has(0x08));
    let read = has(0x01) || !write;
    OpenMode { read, write, append: has(0x04), create, truncate: has(0x10), exclusive: create && has(0x20) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;
    use crate::wire::PutFields;

    fn strings(parts: &[&[u8]]) -> Vec<u8> {
        let mut packet = Vec::new();
        parts.iter().for_each(|part| packet.put_string(part));
        packet
    }

    #[test]
    fn a_request_that_ends_early_is_malformed_wherever_it_ends() {
        let mut open = strings(&[b"/f"]);
        open.put_u32(0x3b);
        open.put_u32(0);
        let mode = OpenMode { read: true, write: true, append: false, create: true, exclusive: true, truncate: true };
        assert_eq!(Request::parse(kind::OPEN, &open), Ok(Request::Open { path: "/f", mode }));
        let mut copy = strings(&[b"copy-data", b"from"]);
        copy.put_u64(1);
        copy.put_u64(2);
        copy.put_string(b"to");
        copy.put_u64(3);
        let expected = Request::CopyData { from: b"from", offset: 1, length: 2, to: b"to", at: 3 };
        assert_eq!(Request::parse(kind::EXTENDED, &copy), Ok(expected));
        let rename = strings(&[b"a", b"b"]);
        for (kind, packet) in [(kind::OPEN, open), (kind::EXTENDED, copy), (kind::RENAME, rename)] {
            for end in 0..packet.len() {
                assert_eq!(Request::parse(kind, &packet[..end]), Err(Failure::SHORT), "{kind} {end}");
            }
        }
    }

    #[test]
    fn what_follows_a_request_is_ignored() {
        assert_eq!(Request::parse(kind::REMOVE, &strings(&[b"a", b"b"])), Ok(Request::Remove { path: "a" }));
    }

    #[test]
    fn unknown_requests_are_unsupported() {
        for (kind, packet) in [(0, &[][..]), (21, b""), (kind::STATUS, b""), (255, b"x")] {
            assert_eq!(Request::parse(kind, packet).map_err(|failure| failure.status), Err(Status::OpUnsupported));
        }
        let unknown = strings(&[b"space-available", b"/"]);
        let refused = Request::parse(kind::EXTENDED, &unknown);
        assert_eq!(refused.map_err(|failure| failure.status), Err(Status::OpUnsupported));
    }

    #[test]
    fn the_arguments_of_symlink_are_in_the_order_of_openssh() {
        let packet = strings(&[b"target", b"/link"]);
        let expected = Request::Symlink { target: "target", path: "/link" };
        assert_eq!(Request::parse(kind::SYMLINK, &packet), Ok(expected));
    }

    #[test]
    fn a_long_handle_is_malformed() {
        let parse = |length| Request::parse(kind::CLOSE, &strings(&[&vec![0; length]])).map(|_| ());
        assert_eq!(parse(256), Ok(()));
        assert_eq!(parse(257).map_err(|failure| failure.status), Err(Status::BadMessage));
    }

    #[test]
    fn neither_reading_nor_writing_is_reading_and_exclusive_needs_create() {
        let reading = OpenMode { read: true, ..OpenMode::default() };
        assert_eq!(open_mode(0), reading);
        assert_eq!(open_mode(0x20), reading);
        assert_eq!(open_mode(0x06), OpenMode { write: true, append: true, ..OpenMode::default() });
    }
}
