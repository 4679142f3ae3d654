//! The devices of `/dev`. What reading and writing them does is in `host/wasi/files/device.rs`.

use crate::posix::NUMBERS;

/// A device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device {
    /// Takes everything and holds nothing.
    Null,
    /// Endless zeros.
    Zero,
    /// Endless zeros; each write fails because there is no space.
    Full,
    /// Endless random bytes.
    Random,
    /// The terminal of the session, if it has one.
    Terminal,
    /// What this number leads to: a descriptor of a program. Of a handler standard output and error, which are its log.
    Number(u32),
}

/// Those of `/dev`. As under Linux, both names of random bytes mean the same.
pub(super) const DEVICES: [(&str, Device); 9] = [
    ("full", Device::Full),
    ("null", Device::Null),
    ("random", Device::Random),
    ("stderr", Device::Number(2)),
    ("stdin", Device::Number(0)),
    ("stdout", Device::Number(1)),
    ("tty", Device::Terminal),
    ("urandom", Device::Random),
    ("zero", Device::Zero),
];

/// The number that a name of `/dev/fd` stands for.
pub(super) fn number(name: &str) -> Option<u32> {
    // Each has one name.
    let number = name.parse().ok().filter(|number| *number < NUMBERS)?;
    (!name.starts_with('+') && (name == "0" || !name.starts_with('0'))).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_one_name() {
        assert_eq!(["0", "1", "10", "1023"].map(number), [Some(0), Some(1), Some(10), Some(1023)]);
        assert_eq!(["", "00", "01", "+1", "-1", "1024", "1 ", "one", "99999999999"].map(number), [None; 9]);
    }
}
