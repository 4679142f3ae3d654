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

/// Makes paths absolute.
pub(super) struct Paths {
    pub(super) account: Account,
    /// The last path that was not absolute before.
    joined: String,
}

impl Paths {
    pub(super) fn new(account: Account) -> Self {
        Self { account, joined: String::new() }
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
    fn a_relative_path_begins_at_home() {
        let mut paths = Paths::new(Account { user: "alice".into(), home: "/".into() });
        assert_eq!(paths.absolute("a/../b"), Ok("/a/../b"));
        assert_eq!(paths.absolute("/a//b/"), Ok("/a//b/"));
        assert_eq!(paths.absolute(""), Err(FileError::NoEntry.into()));
        paths.account.home = "/home/alice".into();
        assert_eq!(paths.both(".", "x"), Ok(("/home/alice/.".into(), "/home/alice/x")));
    }
}
