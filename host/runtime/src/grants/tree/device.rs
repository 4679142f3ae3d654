//! The devices of `/dev`. What reading and writing them does is in `host/wasi/files/device.rs`.

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
    /// Standard input.
    Input,
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// Those of `/dev`. As under Linux, both names of random bytes mean the same.
pub(super) const DEVICES: [(&str, Device); 9] = [
    ("full", Device::Full),
    ("null", Device::Null),
    ("random", Device::Random),
    ("stderr", Device::Error),
    ("stdin", Device::Input),
    ("stdout", Device::Output),
    ("tty", Device::Terminal),
    ("urandom", Device::Random),
    ("zero", Device::Zero),
];

/// Those of `/dev/fd`.
pub(super) const STREAMS: [(&str, Device); 3] = [("0", Device::Input), ("1", Device::Output), ("2", Device::Error)];
