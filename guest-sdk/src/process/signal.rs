//! Signals, and what a program does with them.

use std::{error, fmt, io, str::FromStr};

use super::error::from_errno;
use super::host;

pub use super::host::Disposition;

macro_rules! signals {
    ($($variant:ident $name:literal $number:literal,)*) => {
        /// A signal of POSIX.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Signal {
            $(
                #[doc = concat!("SIG", $name)]
                $variant,
            )*
        }

        impl Signal {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name without `SIG`: `TERM`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Its number under Linux, which shells add to 128 for an exit status.
            pub const fn number(self) -> u8 {
                match self {
                    $(Self::$variant => $number,)*
                }
            }
        }
    };
}

signals! {
    Hup "HUP" 1,
    Int "INT" 2,
    Quit "QUIT" 3,
    Ill "ILL" 4,
    Trap "TRAP" 5,
    Abrt "ABRT" 6,
    Bus "BUS" 7,
    Fpe "FPE" 8,
    Kill "KILL" 9,
    Usr1 "USR1" 10,
    Segv "SEGV" 11,
    Usr2 "USR2" 12,
    Pipe "PIPE" 13,
    Alrm "ALRM" 14,
    Term "TERM" 15,
    Chld "CHLD" 17,
    Cont "CONT" 18,
    Stop "STOP" 19,
    Tstp "TSTP" 20,
    Ttin "TTIN" 21,
    Ttou "TTOU" 22,
    Urg "URG" 23,
    Xcpu "XCPU" 24,
    Xfsz "XFSZ" 25,
    Vtalrm "VTALRM" 26,
    Prof "PROF" 27,
    Winch "WINCH" 28,
    Poll "POLL" 29,
    Sys "SYS" 31,
}

impl Signal {
    /// A signal that the host names. It names no others than those above.
    pub(super) fn from_host(name: &str) -> Self {
        name.parse().unwrap_or_else(|_| panic!("the host names an unknown signal {name:?}"))
    }
}

/// Writes the name without `SIG`.
impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Parses the name with or without `SIG`, in capitals.
///
/// ```
/// # use whelk_guest::process::Signal;
/// assert_eq!("SIGTERM".parse(), Ok(Signal::Term));
/// assert_eq!("TERM".parse(), Ok(Signal::Term));
/// assert!("TERMINATE".parse::<Signal>().is_err());
/// ```
impl FromStr for Signal {
    type Err = UnknownSignal;

    fn from_str(name: &str) -> Result<Self, UnknownSignal> {
        let short = name.strip_prefix("SIG").unwrap_or(name);
        Self::ALL.iter().copied().find(|signal| signal.name() == short).ok_or(UnknownSignal)
    }
}

/// A name that is no signal's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownSignal;

impl fmt::Display for UnknownSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a signal; the names are POSIX's, such as TERM")
    }
}

impl error::Error for UnknownSignal {}

/// What a signal does: sigaction(2) without a new action. A program learns so what it was started with.
pub fn disposition(signal: Signal) -> Disposition {
    host::get_disposition(signal.name()).expect("the host knows the signals of POSIX")
}

/// Changes what a signal does, sigaction(2), and returns what it did. There are no handlers: a caught signal waits
/// until [`next_signal`] takes it, and calls that wait return [`Interrupted`](io::ErrorKind::Interrupted) meanwhile:
/// those of this module, and not those of [`std::io`], which go on. What reads its input so that a signal interrupts it
/// takes that with [`get`](super::get).
///
/// # Errors
/// `EINVAL` for KILL and STOP.
pub fn set_disposition(signal: Signal, how: Disposition) -> io::Result<Disposition> {
    host::set_disposition(signal.name(), how).map_err(from_errno)
}

/// Takes the oldest caught signal that has arrived. One that arrived several times before counts once.
pub fn next_signal() -> Option<Signal> {
    host::next_signal().map(|name| Signal::from_host(&name))
}

/// Waits for a caught signal, and takes it: sigwait(3).
pub fn wait_for_signal() -> Signal {
    loop {
        if let Some(signal) = next_signal() {
            return signal;
        }
        host::subscribe_signals().block();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signal_has_a_name_and_a_number_of_its_own() {
        for (place, signal) in Signal::ALL.iter().enumerate() {
            assert_eq!(signal.name().parse(), Ok(*signal));
            assert_eq!(format!("SIG{signal}").parse(), Ok(*signal));
            assert!(Signal::ALL[..place].iter().all(|other| other.number() < signal.number()), "{signal}");
        }
        for wrong in ["", "SIG", "term", "SIGSIGTERM", "15"] {
            assert_eq!(wrong.parse::<Signal>(), Err(UnknownSignal), "{wrong}");
        }
    }
}
