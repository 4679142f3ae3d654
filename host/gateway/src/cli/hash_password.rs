//! `whelk hash-password`: the hash of a password, for a configuration.

use std::io::{self, BufRead, IsTerminal};

use zeroize::Zeroizing;

use super::outcome::{Failure, failed, print, wrong};
use crate::credential::PasswordHash;

/// Longest password that can log in, in bytes.
const LONGEST: usize = 1024;

/// Prints the hash of a password.
pub(super) fn hash_password() -> Result<(), Failure> {
    print(&format!("{}\n", new_hash()?))
}

/// Asks for a password twice on the terminal, or reads it from the first line of standard input, and returns its hash.
pub(super) fn new_hash() -> Result<String, Failure> {
    let password = if io::stdin().is_terminal() { asked()? } else { read(io::stdin().lock())? };
    PasswordHash::make(password.as_bytes()).map_err(failed)
}

/// Asks twice, without echo.
fn asked() -> Result<Zeroizing<String>, Failure> {
    let ask = |prompt| {
        let typed = rpassword::prompt_password(prompt);
        typed.map(Zeroizing::new).map_err(|error| failed(format!("no password was read: {error}")))
    };
    let password = ask("Password: ")?;
    checked(password.as_bytes())?;
    if ask("Repeat the password: ")? != password {
        return Err(wrong("the two passwords differ: try again"));
    }
    Ok(password)
}

/// Reads one line; its end is not part of the password.
fn read(input: impl BufRead) -> Result<Zeroizing<String>, Failure> {
    // Reserves room for everything: a buffer that grows leaves copies behind.
    let most = LONGEST + 2;
    let mut line = Zeroizing::new(Vec::with_capacity(most + 1));
    let read = input.take(most as u64 + 1).read_until(b'\n', &mut line);
    read.map_err(|error| failed(format!("no password was read: {error}")))?;
    let password = line.strip_suffix(b"\n").unwrap_or(&line);
    let password = password.strip_suffix(b"\r").unwrap_or(password);
    checked(password).map(|password| Zeroizing::new(password.to_owned()))
}

/// Whether it can be a password.
fn checked(password: &[u8]) -> Result<&str, Failure> {
    if password.is_empty() {
        return Err(wrong("the password is empty: type one, or write it to standard input, on one line"));
    }
    if password.len() > LONGEST {
        return Err(wrong(format!("the password has more than {LONGEST} bytes: nobody could log in with it")));
    }
    str::from_utf8(password).map_err(|_| wrong("the password is not UTF-8, in which clients send it (RFC 4252 §8)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bytes: &[u8]) -> Result<String, String> {
        read(bytes).map(|password| password.to_string()).map_err(|failure| failure.text)
    }

    #[test]
    fn the_first_line_without_its_end_is_the_password() {
        for bytes in [&b"secret"[..], b"secret\n", b"secret\r\n", b"secret\nmore\n"] {
            assert_eq!(line(bytes).as_deref(), Ok("secret"));
        }
        assert_eq!(line(" pässword \n".as_bytes()).as_deref(), Ok(" pässword "));
        let longest = "x".repeat(1024);
        assert_eq!(line(format!("{longest}\r\n").as_bytes()), Ok(longest));
    }

    #[test]
    fn what_cannot_be_a_password_is_refused() {
        let long = [b'x'; 5000];
        for (bytes, why) in [
            (&b""[..], "is empty"),
            (b"\nsecret\n", "is empty"),
            (b"\r\n", "is empty"),
            (b"\xffsecret\n", "not UTF-8"),
            (&long, "more than 1024 bytes"),
            (&long[..1025], "more than 1024 bytes"),
        ] {
            let error = line(bytes).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
