//! Signal names: what the client sends to a program, or what ended it. RFC 4254 §6.10.

use std::{error, fmt, str::FromStr};

use crate::bindings::whelk::ssh::types::SignalName;

/// Writes the name without SIG, in capitals, as on the wire: `TERM`.
///
/// ```
/// # use whelk_guest::SignalName;
/// assert_eq!(SignalName::Term.to_string(), "TERM");
/// assert_eq!(SignalName::Other("WINCH".to_owned()).to_string(), "WINCH");
/// ```
impl fmt::Display for SignalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Abrt => "ABRT",
            Self::Alrm => "ALRM",
            Self::Fpe => "FPE",
            Self::Hup => "HUP",
            Self::Ill => "ILL",
            Self::Int => "INT",
            Self::Kill => "KILL",
            Self::Pipe => "PIPE",
            Self::Quit => "QUIT",
            Self::Segv => "SEGV",
            Self::Term => "TERM",
            Self::Usr1 => "USR1",
            Self::Usr2 => "USR2",
            Self::Other(name) => name,
        })
    }
}

/// Parses a name as [`Display`](fmt::Display) writes it. A name outside the standard's list becomes
/// [`SignalName::Other`].
///
/// ```
/// # use whelk_guest::SignalName;
/// assert_eq!("TERM".parse(), Ok(SignalName::Term));
/// assert!("".parse::<SignalName>().is_err());
/// ```
impl FromStr for SignalName {
    type Err = ParseSignalError;

    fn from_str(name: &str) -> Result<Self, ParseSignalError> {
        Ok(match name {
            "ABRT" => Self::Abrt,
            "ALRM" => Self::Alrm,
            "FPE" => Self::Fpe,
            "HUP" => Self::Hup,
            "ILL" => Self::Ill,
            "INT" => Self::Int,
            "KILL" => Self::Kill,
            "PIPE" => Self::Pipe,
            "QUIT" => Self::Quit,
            "SEGV" => Self::Segv,
            "TERM" => Self::Term,
            "USR1" => Self::Usr1,
            "USR2" => Self::Usr2,
            other if !other.is_empty() && other.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Self::Other(other.to_owned())
            }
            _ => return Err(ParseSignalError),
        })
    }
}

/// The error for a signal name that is empty, or not printable ASCII without spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseSignalError;

impl fmt::Display for ParseSignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a signal is printable ASCII without spaces, and not empty")
    }
}

impl error::Error for ParseSignalError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_parsed_back() {
        for name in "ABRT ALRM FPE HUP ILL INT KILL PIPE QUIT SEGV TERM USR1 USR2 WINCH local@example".split(' ') {
            let signal: SignalName = name.parse().expect("a printable name");
            assert_eq!(signal.to_string(), name);
            assert_eq!(matches!(signal, SignalName::Other(_)), name == "WINCH" || name.contains('@'));
        }
    }

    #[test]
    fn invalid_names_are_refused() {
        for name in ["", "TERM ", "TE RM", "T\u{e9}RM", "TERM\n"] {
            assert_eq!(name.parse::<SignalName>(), Err(ParseSignalError), "{name:?}");
        }
    }
}
