//! The kernel's errors, and paths as it takes them.

use crate::system::Errno;

pub(super) fn errno(error: rustix::io::Errno) -> Errno {
    use rustix::io::Errno as Native;
    let table = [
        (Native::TOOBIG, Errno::E2BIG),
        (Native::ACCESS, Errno::EACCES),
        (Native::AGAIN, Errno::EAGAIN),
        (Native::BADF, Errno::EBADF),
        (Native::CHILD, Errno::ECHILD),
        (Native::EXIST, Errno::EEXIST),
        (Native::FBIG, Errno::EFBIG),
        (Native::INTR, Errno::EINTR),
        (Native::INVAL, Errno::EINVAL),
        (Native::ISDIR, Errno::EISDIR),
        (Native::LOOP, Errno::ELOOP),
        (Native::MFILE, Errno::EMFILE),
        (Native::NAMETOOLONG, Errno::ENAMETOOLONG),
        (Native::NOENT, Errno::ENOENT),
        (Native::NOEXEC, Errno::ENOEXEC),
        (Native::NOMEM, Errno::ENOMEM),
        (Native::NOSPC, Errno::ENOSPC),
        (Native::NOTDIR, Errno::ENOTDIR),
        (Native::NOTTY, Errno::ENOTTY),
        (Native::NXIO, Errno::ENXIO),
        (Native::PERM, Errno::EPERM),
        (Native::PIPE, Errno::EPIPE),
        (Native::ROFS, Errno::EROFS),
        (Native::SPIPE, Errno::ESPIPE),
        (Native::SRCH, Errno::ESRCH),
        (Native::DQUOT, Errno::EDQUOT),
        (Native::TXTBSY, Errno::EACCES),
        (Native::OPNOTSUPP, Errno::ENOTSUP),
    ];
    table.iter().find(|(native, _)| *native == error).map_or(Errno::EIO, |(_, errno)| *errno)
}

pub(super) fn io_errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, |code| errno(rustix::io::Errno::from_raw_os_error(code)))
}

pub(super) fn path_of(path: &str) -> std::ffi::OsString {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(crate::text::encode(path).into_owned())
}
