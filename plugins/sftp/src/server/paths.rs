//! Paths of clients as absolute paths.

use crate::status::{Failure, FileError};

/// Whose session it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The name of the user: owner and group of every file.
    pub user: String,
    /// The absolute path where relative paths begin.
    pub home: String,
}

/// The longest name of an owner, in bytes. Bounds the reply to `users-groups-by-id@openssh.com`.
const MAX_OWNER: usize = 64;

/// The name, if it fits into a column of `ls -l`: clients that parse these lines split them at spaces.
fn owner(user: &str) -> &str {
    let fits = |letter: char| !letter.is_whitespace() && !letter.is_control();
    if !user.is_empty() && user.len() <= MAX_OWNER && user.chars().all(fits) { user } else { "user" }
}

/// Makes paths absolute.
pub(super) struct Paths {
    pub(super) account: Account,
    /// The user's name as owner of the files.
    pub(super) owner: String,
    /// The last path that was not absolute before.
    joined: String,
}

impl Paths {
    pub(super) fn new(account: Account) -> Self {
        let owner = owner(&account.user).to_owned();
        Self { account, owner, joined: String::new() }
    }

    /// A path of the client, absolute. Links, `.` and `..` stay in it.
    pub(super) fn absolute<'a>(&'a mut self, path: &'a str) -> Result<&'a str, Failure> {
        if path.is_empty() {
            return Err(FileError::NoEntry.into());
        }
        if path.starts_with('/') {
            return Ok(path);
        }
        self.joined.clear();
        self.joined.push_str(&self.account.home);
        if !self.joined.ends_with('/') {
            self.joined.push('/');
        }
        self.joined.push_str(path);
        Ok(&self.joined)
    }

    /// Two paths of the client, absolute.
    pub(super) fn both<'a>(&'a mut self, one: &str, other: &'a str) -> Result<(String, &'a str), Failure> {
        let one = self.absolute(one)?.to_owned();
        Ok((one, self.absolute(other)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_short_and_one_word() {
        let longest = "u".repeat(MAX_OWNER);
        for name in ["alice", "jörg", &longest] {
            assert_eq!(owner(name), name);
        }
        for name in ["", "alice b", "a\tb", "a\u{1b}[1m", &"u".repeat(MAX_OWNER + 1)] {
            assert_eq!(owner(name), "user", "{name:?}");
        }
    }

    #[test]
    fn a_relative_path_begins_at_home() {
        let mut paths = Paths::new(Account { user: "alice".into(), home: "/".into() });
        assert_eq!(paths.absolute("a/../b"), Ok("/a/../b"));
        assert_eq!(paths.absolute("/a//b/"), Ok("/a//b/"));
        assert_eq!(paths.absolute(""), Err(FileError::NoEntry.into()));
        paths.account.home = "/home/alice".into();
        assert_eq!(paths.both(".", "x"), Ok(("/home/alice/.".into(), "/home/alice/x")));
    }
}
