//! Errors as the standard library has them.

use std::io;

use super::host::Errno;

/// What the standard library makes of the error's number.
pub(super) fn from_errno(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(number(errno))
}

/// EINVAL.
pub(super) fn invalid() -> io::Error {
    from_errno(Errno::Invalid)
}

/// EILSEQ: it is not UTF-8.
pub(super) fn not_text() -> io::Error {
    from_errno(Errno::IllegalSequence)
}

/// The number of an error in the C library of WASI: `errno` of WASI 0.1.
fn number(errno: Errno) -> i32 {
    match errno {
        Errno::TooBig => 1,
        Errno::Access => 2,
        Errno::Again | Errno::TooManyProcesses => 6,
        Errno::BadDescriptor => 8,
        Errno::Busy => 10,
        Errno::Child => 12,
        Errno::Quota => 19,
        Errno::Exists => 20,
        Errno::FileTooBig => 22,
        Errno::IllegalSequence => 25,
        Errno::Interrupted => 27,
        Errno::Invalid => 28,
        Errno::Io => 29,
        Errno::IsDirectory => 31,
        Errno::LinkLoop => 32,
        Errno::TooManyFiles => 33,
        Errno::NameTooLong => 37,
        Errno::NoEntry => 44,
        Errno::NoExecutable => 45,
        Errno::NoMemory => 48,
        Errno::NoSpace => 51,
        Errno::NotADirectory => 54,
        Errno::NotEmpty => 55,
        Errno::NotSupported => 58,
        Errno::NoTerminal => 59,
        Errno::NoDevice => 60,
        Errno::NotPermitted => 63,
        Errno::BrokenPipe => 64,
        Errno::OutOfRange => 68,
        Errno::ReadOnly => 69,
        Errno::NotSeekable => 70,
        Errno::NoProcess => 71,
        Errno::TimedOut => 73,
        Errno::CrossDevice => 75,
    }
}
