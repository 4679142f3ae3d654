//! The name of our software, which the peer reads in the first line of a connection. RFC 4253 §4.2.
//!
//! Decided 2026-11-30: a server's default begins with `OpenSSH`. OpenSSH's client sends `eow@openssh.com` only to such
//! servers (`OpenSSH*` in its `compat.c`, asked in `nchan.c`), so that `ssh host prog | head -1` never ended a program
//! that writes for ever. It then also sends `no-more-sessions@openssh.com`, which we obey. No number follows the word:
//! clients that work around faults of old versions look for one, as PuTTY 0.78, JSch, node ssh2, libssh, libssh2 (RSA
//! certificates before 7.8) and OpenSSH itself do, and find none. dbclient, paramiko, Twisted Conch and net-ssh do not
//! look at the name.
//!
//! What else changes: for a remote forwarding of port 0, x/crypto takes us for a version before 6 and proposes ports
//! itself. SFTP clients expect OpenSSH's server: AsyncSSH and node ssh2 then send the two paths of SYMLINK in
//! its order, target first, as OpenSSH's sftp, paramiko and JSch do to every server (libssh needs a number for that);
//! node ssh2 and WinSCP send packets of 256 KiB, and WinSCP offers versions of SFTP above 3. An SFTP server of ours has
//! to take all of that.
//!
//! Refused: `Whelk_0` alone, for the reason above; a number such as `OpenSSH_10.0`, by which scanners would report
//! faults that are not here; ending a program whose client has stopped to read for a while, which also ends pagers and
//! stopped pipelines. Operators who do not want the name set another one, and lose `eow@openssh.com`.

use std::fmt;

use crate::message::Role;

/// What the line begins with: the version of the protocol.
const PROTOCOL: &str = "SSH-2.0-";
/// The longest line without CR LF. RFC 4253 §4.2 allows 255 bytes with it.
const LINE: usize = 253;

/// The `softwareversion` of RFC 4253 §4.2: 1 to 245 bytes of printable US-ASCII without whitespace and minus sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoftwareVersion {
    /// The whole line without CR LF.
    line: String,
}

/// Why a text is no software version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSoftwareVersion {
    /// It is empty.
    Empty,
    /// It has this many bytes.
    TooLong(usize),
    /// It has this character.
    Character(char),
}

impl SoftwareVersion {
    /// The most bytes of one.
    pub const LONGEST: usize = LINE - PROTOCOL.len();

    /// Our default in this role.
    pub fn of(role: Role) -> SoftwareVersion {
        let line = match role {
            Role::Server => concat!("SSH-2.0-OpenSSH_compatible_Whelk_", env!("CARGO_PKG_VERSION_MAJOR")),
            Role::Client => concat!("SSH-2.0-Whelk_", env!("CARGO_PKG_VERSION_MAJOR")),
        };
        SoftwareVersion { line: line.to_owned() }
    }

    /// Takes a text as it is.
    ///
    /// # Errors
    /// It is no software version of RFC 4253 §4.2.
    pub fn new(text: &str) -> Result<SoftwareVersion, BadSoftwareVersion> {
        if text.is_empty() {
            return Err(BadSoftwareVersion::Empty);
        }
        if let Some(wrong) = text.chars().find(|letter| !letter.is_ascii_graphic() || *letter == '-') {
            return Err(BadSoftwareVersion::Character(wrong));
        }
        if text.len() > Self::LONGEST {
            return Err(BadSoftwareVersion::TooLong(text.len()));
        }
        Ok(SoftwareVersion { line: format!("{PROTOCOL}{text}") })
    }

    /// The text alone.
    pub fn as_str(&self) -> &str {
        self.line.strip_prefix(PROTOCOL).unwrap_or_default()
    }

    /// The identification line without CR LF.
    pub fn line(&self) -> &str {
        &self.line
    }
}

impl fmt::Display for BadSoftwareVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadSoftwareVersion::Empty => f.write_str("must not be empty"),
            BadSoftwareVersion::TooLong(length) => {
                write!(f, "must have at most {} bytes, has {length}", SoftwareVersion::LONGEST)
            }
            BadSoftwareVersion::Character(letter) => write!(
                f,
                "must be printable US-ASCII without spaces and minus signs (RFC 4253 section 4.2), has {letter:?}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_software_version_is_printable_and_has_neither_spaces_nor_minus_signs() {
        for text in ["x", "OpenSSH_10.0", "!\"#$%&'()*+,./:;<=>?@[\\]^_`{|}~", &"x".repeat(245)] {
            let version = SoftwareVersion::new(text).unwrap();
            assert_eq!((version.as_str(), version.line()), (text, format!("SSH-2.0-{text}").as_str()));
        }
        assert_eq!(SoftwareVersion::new(""), Err(BadSoftwareVersion::Empty));
        assert_eq!(SoftwareVersion::new(&"x".repeat(246)), Err(BadSoftwareVersion::TooLong(246)));
        for letter in [' ', '-', '\t', '\r', '\n', '\0', '\x1b', '\x7f', '\u{e4}'] {
            let text = format!("a{letter}b");
            assert_eq!(SoftwareVersion::new(&text), Err(BadSoftwareVersion::Character(letter)));
        }
    }

    #[test]
    fn the_defaults_are_software_versions() {
        for role in [Role::Server, Role::Client] {
            let version = SoftwareVersion::of(role);
            assert_eq!(SoftwareVersion::new(version.as_str()), Ok(version));
        }
        assert!(SoftwareVersion::of(Role::Server).line().starts_with("SSH-2.0-OpenSSH_compatible_Whelk_"));
    }
}
