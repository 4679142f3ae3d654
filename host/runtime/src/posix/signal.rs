//! Signals by POSIX's names, and what they do by default. POSIX.1-2017, 2.4.3 and `<signal.h>`.

/// What a signal does to a process that neither ignores nor catches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DefaultAction {
    /// It ends the process.
    Terminate,
    /// It stops the process.
    Stop,
    /// It continues a stopped process.
    Continue,
    /// Nothing.
    Ignore,
}

macro_rules! signals {
    ($($variant:ident $name:literal $action:ident,)*) => {
        /// A signal.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub(crate) enum Signal {
            $(
                #[doc = concat!("SIG", $name)]
                $variant,
            )*
        }

        impl Signal {
            /// All of them.
            const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name without `SIG`.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it does to a process that neither ignores nor catches it.
            pub(crate) fn default_action(self) -> DefaultAction {
                match self {
                    $(Self::$variant => DefaultAction::$action,)*
                }
            }
        }
    };
}

signals! {
    Abrt "ABRT" Terminate,
    Alrm "ALRM" Terminate,
    Bus "BUS" Terminate,
    Chld "CHLD" Ignore,
    Cont "CONT" Continue,
    Fpe "FPE" Terminate,
    Hup "HUP" Terminate,
    Ill "ILL" Terminate,
    Int "INT" Terminate,
    Kill "KILL" Terminate,
    Pipe "PIPE" Terminate,
    Poll "POLL" Terminate,
    Prof "PROF" Terminate,
    Quit "QUIT" Terminate,
    Segv "SEGV" Terminate,
    Stop "STOP" Stop,
    Sys "SYS" Terminate,
    Term "TERM" Terminate,
    Trap "TRAP" Terminate,
    Tstp "TSTP" Stop,
    Ttin "TTIN" Stop,
    Ttou "TTOU" Stop,
    Urg "URG" Ignore,
    Usr1 "USR1" Terminate,
    Usr2 "USR2" Terminate,
    Vtalrm "VTALRM" Terminate,
    Winch "WINCH" Ignore,
    Xcpu "XCPU" Terminate,
    Xfsz "XFSZ" Terminate,
}

impl Signal {
    /// The signal of this name without `SIG`; names are in capitals.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|signal| signal.name() == name)
    }

    /// Whether a process may ignore or catch it.
    pub(crate) fn is_catchable(self) -> bool {
        !matches!(self, Self::Kill | Self::Stop)
    }

    /// Whether it is of the terminal's job control: it does not stop a process of an orphaned group.
    pub(super) fn is_of_terminal(self) -> bool {
        matches!(self, Self::Tstp | Self::Ttin | Self::Ttou)
    }

    /// The signal of this place in the list.
    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    fn bit(self) -> u32 {
        1 << (self as u8)
    }
}

/// A set of signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SignalSet(u32);

impl SignalSet {
    pub(crate) fn contains(self, signal: Signal) -> bool {
        self.0 & signal.bit() != 0
    }

    pub(crate) fn insert(&mut self, signal: Signal) {
        self.0 |= signal.bit();
    }

    pub(crate) fn remove(&mut self, signal: Signal) {
        self.0 &= !signal.bit();
    }

    /// Without those that always have their default action.
    pub(crate) fn catchable(self) -> Self {
        self.iter().filter(|signal| signal.is_catchable()).collect()
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Signal> {
        Signal::ALL.iter().copied().filter(move |signal| self.contains(*signal))
    }
}

impl FromIterator<Signal> for SignalSet {
    fn from_iter<I: IntoIterator<Item = Signal>>(signals: I) -> Self {
        let mut set = Self::default();
        signals.into_iter().for_each(|signal| set.insert(signal));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_has_one_name_and_one_place_in_a_set() {
        for signal in Signal::ALL {
            assert_eq!(Signal::from_name(signal.name()), Some(*signal));
            assert_eq!(SignalSet::from_iter([*signal]).iter().collect::<Vec<_>>(), [*signal]);
        }
        for name in ["SIGINT", "int", "", "RTMIN", "nonsense"] {
            assert_eq!(Signal::from_name(name), None, "{name}");
        }
        let mut all: SignalSet = Signal::ALL.iter().copied().collect();
        assert_eq!(all.iter().count(), Signal::ALL.len());
        all.remove(Signal::Int);
        assert!(!all.contains(Signal::Int) && all.contains(Signal::Kill));
    }

    #[test]
    fn signals_do_what_posix_says() {
        for signal in Signal::ALL {
            let action = match signal.name() {
                "CHLD" | "URG" | "WINCH" => DefaultAction::Ignore,
                "STOP" | "TSTP" | "TTIN" | "TTOU" => DefaultAction::Stop,
                "CONT" => DefaultAction::Continue,
                _ => DefaultAction::Terminate,
            };
            assert_eq!(signal.default_action(), action, "{}", signal.name());
            assert_eq!(signal.is_catchable(), !["KILL", "STOP"].contains(&signal.name()));
        }
    }
}
