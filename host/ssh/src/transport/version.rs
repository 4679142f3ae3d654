//! RFC 4253 §4.2: the identification lines that both sides send before anything else.

use crate::error::Violation;
use crate::message::Role;

/// The longest line, including its end. RFC 4253 §4.2.
const LINE: usize = 255;
/// The most lines that a server may send before its identification. Our limit.
const LINES: usize = 1024;

/// The peer's identification line.
pub(super) enum Peer {
    /// Not complete yet.
    Unknown(Identification),
    /// As it came, without CR LF.
    Known(Vec<u8>),
}

/// The peer's identification, read line by line.
#[derive(Debug)]
pub(super) struct Identification {
    role: Role,
    /// How many lines came before; only servers may send any.
    before: usize,
}

/// The result of reading the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// The line is incomplete.
    More,
    /// A line before the identification, of this many bytes, to be skipped.
    Skip(usize),
    /// The identification without its line end, and its length in bytes.
    Found(Vec<u8>, usize),
}

impl Identification {
    /// Expects the identification of the peer of `role`.
    pub(super) fn new(role: Role) -> Identification {
        Identification { role, before: 0 }
    }

    /// Reads the input so far. A line may end in LF alone, as some clients send it.
    pub(super) fn scan(&mut self, input: &[u8]) -> Result<Scan, Violation> {
        let head = input.get(..LINE.min(input.len())).unwrap_or(input);
        let end = head.iter().position(|byte| *byte == b'\n');
        let line = head.get(..end.unwrap_or(head.len())).unwrap_or(head);
        // A client must begin with these bytes, so that another protocol is noticed at once.
        let foreign = self.role == Role::Server && !b"SSH-".iter().zip(line).all(|(want, have)| want == have);
        if foreign || line.contains(&0) {
            return Err(Violation::Identification);
        }
        let Some(end) = end else {
            return if head.len() < LINE { Ok(Scan::More) } else { Err(Violation::IdentificationTooLong) };
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b"SSH-2.0-") || line.starts_with(b"SSH-1.99-") {
            return Ok(Scan::Found(line.to_vec(), end + 1));
        }
        if self.role == Role::Server || line.starts_with(b"SSH-") {
            return Err(Violation::Identification);
        }
        self.before += 1;
        if self.before > LINES { Err(Violation::IdentificationTooLong) } else { Ok(Scan::Skip(end + 1)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(input: &[u8]) -> Result<Scan, Violation> {
        Identification::new(Role::Server).scan(input)
    }

    /// P1, P2, P3, P5, P6.
    #[test]
    fn a_server_takes_one_line_of_ssh_2_and_nothing_else() {
        assert_eq!(server(b"SSH-2.0-x y\r\nrest"), Ok(Scan::Found(b"SSH-2.0-x y".to_vec(), 13)));
        assert_eq!(server(b"SSH-1.99-x\n"), Ok(Scan::Found(b"SSH-1.99-x".to_vec(), 11)));
        assert_eq!(server(b""), Ok(Scan::More));
        assert_eq!(server(b"SS"), Ok(Scan::More));
        for foreign in
            [&b"GET / HTTP/1.1\r\n"[..], b"G", b"SSH-1.5-x\r\n", b"hello\r\nSSH-2.0-x\r\n", b"SSH-2.0-a\0b\r\n"]
        {
            assert_eq!(server(foreign), Err(Violation::Identification), "{}", foreign.escape_ascii());
        }
        let mut long = b"SSH-2.0-".to_vec();
        long.resize(254, b'A');
        assert_eq!(server(&long), Ok(Scan::More));
        long.push(b'A');
        assert_eq!(server(&long), Err(Violation::IdentificationTooLong));
    }

    #[test]
    fn a_client_skips_a_greeting_but_not_without_end() {
        let mut client = Identification::new(Role::Client);
        assert_eq!(client.scan(b"welcome\r\nSSH-2.0-x\r\n"), Ok(Scan::Skip(9)));
        assert_eq!(client.scan(b"SSH-2.0-x\r\n"), Ok(Scan::Found(b"SSH-2.0-x".to_vec(), 11)));
        let ending = (0..=LINES).find_map(|_| client.scan(b"again\n").err());
        assert_eq!(ending, Some(Violation::IdentificationTooLong));
    }
}
