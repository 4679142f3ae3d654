//! The errors of POSIX, as the granted files have them and as WASI has them.

use rustix::io::Errno as SystemError;
use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;

use crate::grants::Refused;
use crate::posix::Errno;

/// Why an operation on files fails.
pub(super) fn errno_of(refused: &Refused) -> Errno {
    match refused {
        Refused::Quota => Errno::Quota,
        Refused::TooManyFiles => Errno::TooManyFiles,
        Refused::Memory => Errno::NoMemory,
        Refused::ReadOnly => Errno::ReadOnly,
        Refused::NotPermitted => Errno::NotPermitted,
        Refused::Busy => Errno::Busy,
        Refused::CrossDevice => Errno::CrossDevice,
        Refused::NoDevice => Errno::NoDevice,
        Refused::Exists => Errno::Exists,
        Refused::IsDirectory => Errno::IsDirectory,
        Refused::NotDirectory => Errno::NotADirectory,
        Refused::Link => Errno::LinkLoop,
        Refused::Invalid => Errno::Invalid,
        Refused::TooLarge => Errno::FileTooBig,
        Refused::NameTooLong => Errno::NameTooLong,
        Refused::BadDescriptor => Errno::BadDescriptor,
        Refused::NoText => Errno::IllegalSequence,
        Refused::System(error) => SystemError::from_io_error(error).map_or_else(
            || if error.kind() == std::io::ErrorKind::NotFound { Errno::NoEntry } else { Errno::Io },
            of_system,
        ),
    }
}

fn of_system(error: SystemError) -> Errno {
    match error {
        SystemError::ACCESS => Errno::Access,
        SystemError::BADF => Errno::BadDescriptor,
        SystemError::BUSY => Errno::Busy,
        SystemError::DQUOT => Errno::Quota,
        SystemError::EXIST => Errno::Exists,
        SystemError::FBIG => Errno::FileTooBig,
        SystemError::ILSEQ => Errno::IllegalSequence,
        SystemError::INVAL => Errno::Invalid,
        SystemError::ISDIR => Errno::IsDirectory,
        SystemError::LOOP => Errno::LinkLoop,
        SystemError::MFILE | SystemError::NFILE => Errno::TooManyFiles,
        SystemError::NAMETOOLONG => Errno::NameTooLong,
        SystemError::NOENT => Errno::NoEntry,
        SystemError::NOMEM => Errno::NoMemory,
        SystemError::NOSPC => Errno::NoSpace,
        SystemError::NOTDIR => Errno::NotADirectory,
        SystemError::NOTEMPTY => Errno::NotEmpty,
        SystemError::NXIO => Errno::NoDevice,
        SystemError::OVERFLOW => Errno::OutOfRange,
        SystemError::PERM => Errno::NotPermitted,
        SystemError::ROFS => Errno::ReadOnly,
        SystemError::XDEV => Errno::CrossDevice,
        _ => Errno::Io,
    }
}

/// The same error in WASI.
pub(super) fn code_of(errno: Errno) -> ErrorCode {
    match errno {
        Errno::Access => ErrorCode::Access,
        Errno::Again => ErrorCode::WouldBlock,
        Errno::BadDescriptor => ErrorCode::BadDescriptor,
        Errno::Busy => ErrorCode::Busy,
        Errno::CrossDevice => ErrorCode::CrossDevice,
        Errno::Exists => ErrorCode::Exist,
        Errno::FileTooBig => ErrorCode::FileTooLarge,
        Errno::IllegalSequence => ErrorCode::IllegalByteSequence,
        Errno::Interrupted => ErrorCode::Interrupted,
        Errno::Invalid | Errno::OutOfRange | Errno::TooBig => ErrorCode::Invalid,
        Errno::IsDirectory => ErrorCode::IsDirectory,
        Errno::LinkLoop => ErrorCode::Loop,
        Errno::NameTooLong => ErrorCode::NameTooLong,
        Errno::NoDevice => ErrorCode::NoSuchDevice,
        Errno::NoEntry => ErrorCode::NoEntry,
        Errno::NoMemory => ErrorCode::InsufficientMemory,
        Errno::NoSpace => ErrorCode::InsufficientSpace,
        Errno::NoTerminal => ErrorCode::NoTty,
        Errno::NotADirectory => ErrorCode::NotDirectory,
        Errno::NotEmpty => ErrorCode::NotEmpty,
        Errno::NotPermitted => ErrorCode::NotPermitted,
        Errno::NotSupported => ErrorCode::Unsupported,
        Errno::BrokenPipe => ErrorCode::Pipe,
        Errno::Quota | Errno::TooManyFiles | Errno::TooManyProcesses => ErrorCode::Quota,
        Errno::ReadOnly => ErrorCode::ReadOnly,
        Errno::NotSeekable => ErrorCode::InvalidSeek,
        Errno::Child | Errno::Io | Errno::NoExecutable | Errno::NoProcess | Errno::TimedOut => ErrorCode::Io,
    }
}
