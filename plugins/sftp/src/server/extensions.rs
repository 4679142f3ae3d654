//! Requests by name: OpenSSH's PROTOCOL file, and draft-ietf-secsh-filexfer-extensions-00 for `copy-data` and
//! `home-directory`.

use super::files::write_all;
use super::reply::set_length;
use super::{Server, realpath};
use crate::attributes::OWNER_NUMBER;
use crate::filesystem::{FileSystem, Space};
use crate::handles::MAX_HANDLES;
use crate::request::kind;
use crate::status::{Failure, FileError, Status};
use crate::wire::{Fields, MAX_READ, PutFields};

/// The longest packet that clients are told of, in bytes.
const PACKET: u64 = 256 << 10;
/// The most bytes of one piece that `copy-data` holds in memory.
const COPIED: usize = 64 << 10;
/// The most numbers of users, and of groups, that one request may ask about.
const NUMBERS: usize = 1024;
const READ_ONLY: u64 = 1;
const NO_SUCH_USER: &str = "no such user";

impl<F: FileSystem> Server<F> {
    pub(super) fn space(&mut self, id: u32, path: &str) -> Result<(), Failure> {
        let space = self.files.space(self.paths.absolute(path)?)?;
        self.put_space(id, &space);
        Ok(())
    }

    pub(super) fn file_space(&mut self, id: u32, handle: &[u8]) -> Result<(), Failure> {
        let space = self.files.space(&self.handles.file(handle)?.path)?;
        self.put_space(id, &space);
        Ok(())
    }

    fn put_space(&mut self, id: u32, space: &Space) {
        let flags = if space.read_only { READ_ONLY } else { 0 };
        self.replies.put(kind::EXTENDED_REPLY, id, |reply| {
            let blocks = [space.block, space.fragment, space.blocks, space.free, space.available];
            let files = [space.files, space.free_files, space.available_files];
            let rest = [space.identifier, flags, space.name_length];
            blocks.into_iter().chain(files).chain(rest).for_each(|value| reply.put_u64(value));
        });
    }

    #[expect(clippy::unnecessary_wraps, reason = "as every request")]
    pub(super) fn limits(&mut self, id: u32) -> Result<(), Failure> {
        let handles = self.files.most_open().min(MAX_HANDLES) as u64;
        self.replies.put(kind::EXTENDED_REPLY, id, |reply| {
            let data = MAX_READ as u64;
            [PACKET, data, data, handles].into_iter().for_each(|value| reply.put_u64(value));
        });
        Ok(())
    }

    /// `~` and `~NAME` at the beginning are the home.
    pub(super) fn expand_path(&mut self, id: u32, path: &str) -> Result<(), Failure> {
        let Some(rest) = path.strip_prefix('~') else { return self.real_path(id, path) };
        let (user, below) = rest.split_once('/').unwrap_or((rest, ""));
        let account = &self.paths.account;
        if !user.is_empty() && user != account.user {
            return Err(Failure { status: Status::NoSuchFile, message: NO_SUCH_USER });
        }
        let path = format!("{}/{below}", account.home);
        let resolved = realpath::resolve(&mut self.files, &path)?;
        self.replies.put_path(id, &resolved);
        Ok(())
    }

    pub(super) fn home_directory(&mut self, id: u32, user: &str) -> Result<(), Failure> {
        let account = &self.paths.account;
        if !user.is_empty() && user != account.user {
            return Err(Failure::failed(NO_SUCH_USER));
        }
        self.replies.put_path(id, &account.home);
        Ok(())
    }

    /// The user's name for the owner of the files, and an empty one for every other number.
    pub(super) fn names_of_numbers(&mut self, id: u32, users: &[u8], groups: &[u8]) -> Result<(), Failure> {
        if users.len().max(groups.len()) > 4 * NUMBERS {
            return Err(Failure::failed("too many numbers: ask about at most 1024 users and 1024 groups at once"));
        }
        let owner = self.paths.owner.as_bytes();
        self.replies.try_put(kind::EXTENDED_REPLY, id, |reply| {
            for numbers in [users, groups] {
                let (begin, mut numbers) = (reply.len(), Fields(numbers));
                reply.put_u32(0);
                while !numbers.is_empty() {
                    reply.put_string(if numbers.u32()? == OWNER_NUMBER { owner } else { b"" });
                }
                set_length(reply, begin);
            }
            Ok(())
        })
    }

    /// Copies `length` bytes, or all until the end if 0, between two open files.
    pub(super) fn copy_data(
        &mut self,
        id: u32,
        (from, mut offset, length): (&[u8], u64, u64),
        (to, mut at): (&[u8], u64),
    ) -> Result<(), Failure> {
        let files = &mut self.files;
        let [from, to] = self.handles.two_files(from, to).map_err(|failure| match failure {
            Failure::BAD_HANDLE => FileError::BadDescriptor.into(),
            failure => failure,
        })?;
        if files.is_same(&from.file, &to.file)? {
            return Err(Failure::SAME_FILE);
        }
        let until_end = length == 0;
        let mut left = if until_end { u64::MAX } else { length };
        let mut piece = Vec::new();
        while left > 0 {
            piece.clear();
            let asked = usize::try_from(left).unwrap_or(usize::MAX).min(COPIED).min(F::PIECE);
            let got = files.read(&mut from.file, offset, asked, &mut piece)?;
            if got == 0 {
                break;
            }
            write_all(files, to, at, &piece)?;
            let got = u64::from(crate::wire::length(got));
            (offset, at, left) = (offset.saturating_add(got), at.saturating_add(got), left - got);
        }
        if left > 0 && !until_end {
            return Err(Failure::EOF);
        }
        self.replies.put_ok(id);
        Ok(())
    }
}
