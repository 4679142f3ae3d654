//! The host's errors.

use crate::system::Errno;
use wasip2::filesystem::types::ErrorCode;

/// An error of `whelk_guest::process`: its number is that of WASI 0.1.
pub(super) fn io_errno(error: &std::io::Error) -> Errno {
    match error.raw_os_error().unwrap_or_default() {
        1 => Errno::E2BIG,
        2 => Errno::EACCES,
        6 => Errno::EAGAIN,
        8 => Errno::EBADF,
        12 => Errno::ECHILD,
        19 => Errno::EDQUOT,
        20 => Errno::EEXIST,
        22 => Errno::EFBIG,
        25 => Errno::EILSEQ,
        27 => Errno::EINTR,
        28 => Errno::EINVAL,
        31 => Errno::EISDIR,
        32 => Errno::ELOOP,
        33 => Errno::EMFILE,
        37 => Errno::ENAMETOOLONG,
        44 => Errno::ENOENT,
        45 => Errno::ENOEXEC,
        48 => Errno::ENOMEM,
        51 => Errno::ENOSPC,
        54 => Errno::ENOTDIR,
        58 => Errno::ENOTSUP,
        59 => Errno::ENOTTY,
        60 => Errno::ENXIO,
        63 => Errno::EPERM,
        64 => Errno::EPIPE,
        69 => Errno::EROFS,
        70 => Errno::ESPIPE,
        71 => Errno::ESRCH,
        _ => Errno::EIO,
    }
}

/// An error of `wasi:filesystem`.
pub(super) fn file_errno(error: ErrorCode) -> Errno {
    match error {
        ErrorCode::Access => Errno::EACCES,
        ErrorCode::WouldBlock => Errno::EAGAIN,
        ErrorCode::BadDescriptor => Errno::EBADF,
        ErrorCode::Quota => Errno::EDQUOT,
        ErrorCode::Exist => Errno::EEXIST,
        ErrorCode::FileTooLarge => Errno::EFBIG,
        ErrorCode::IllegalByteSequence => Errno::EILSEQ,
        ErrorCode::Interrupted => Errno::EINTR,
        ErrorCode::Invalid => Errno::EINVAL,
        ErrorCode::IsDirectory => Errno::EISDIR,
        ErrorCode::Loop => Errno::ELOOP,
        ErrorCode::NameTooLong => Errno::ENAMETOOLONG,
        ErrorCode::NoEntry => Errno::ENOENT,
        ErrorCode::InsufficientMemory => Errno::ENOMEM,
        ErrorCode::InsufficientSpace => Errno::ENOSPC,
        ErrorCode::NotDirectory => Errno::ENOTDIR,
        ErrorCode::Unsupported => Errno::ENOTSUP,
        ErrorCode::NoTty => Errno::ENOTTY,
        ErrorCode::NoDevice => Errno::ENXIO,
        ErrorCode::NotPermitted => Errno::EPERM,
        ErrorCode::Pipe => Errno::EPIPE,
        ErrorCode::ReadOnly => Errno::EROFS,
        ErrorCode::InvalidSeek => Errno::ESPIPE,
        _ => Errno::EIO,
    }
}
