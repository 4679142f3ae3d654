//! Status codes of replies (draft-ietf-secsh-filexfer-02 §7), and the errors of a file system as such codes.

/// The code of a reply of type STATUS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// `SSH_FX_OK`.
    Ok = 0,
    /// `SSH_FX_EOF`: no more bytes, or no more names.
    Eof = 1,
    /// `SSH_FX_NO_SUCH_FILE`.
    NoSuchFile = 2,
    /// `SSH_FX_PERMISSION_DENIED`.
    PermissionDenied = 3,
    /// `SSH_FX_FAILURE`: any other error; the message says which.
    Failure = 4,
    /// `SSH_FX_BAD_MESSAGE`: the request is malformed, or names something that cannot exist.
    BadMessage = 5,
    /// `SSH_FX_OP_UNSUPPORTED`.
    OpUnsupported = 8,
}

/// An error of a file system, with the name of POSIX.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileError {
    /// ENOENT.
    NoEntry,
    /// EPERM.
    NotPermitted,
    /// EACCES.
    Access,
    /// EEXIST.
    Exists,
    /// EISDIR.
    IsDirectory,
    /// ENOTDIR.
    NotDirectory,
    /// ENOTEMPTY.
    NotEmpty,
    /// EBUSY.
    Busy,
    /// EXDEV.
    CrossDevice,
    /// ELOOP.
    Loop,
    /// ENAMETOOLONG.
    NameTooLong,
    /// EINVAL.
    Invalid,
    /// EBADF: the file is not open for this.
    BadDescriptor,
    /// EILSEQ: the name is not UTF-8.
    NotUtf8,
    /// EDQUOT.
    Quota,
    /// ENOSPC.
    NoSpace,
    /// EFBIG.
    FileTooLarge,
    /// EROFS.
    ReadOnly,
    /// EMFILE.
    TooManyFiles,
    /// ENOMEM.
    NoMemory,
    /// EMLINK.
    TooManyLinks,
    /// ENODEV, ENXIO.
    NoDevice,
    /// EPIPE, ESPIPE: the file is a device that has no offsets, or nobody reads.
    NotSeekable,
    /// ENOSYS.
    Unsupported,
    /// EIO, and whatever has no other name.
    Io,
}

impl FileError {
    /// The status code, as OpenSSH's sftp-server maps `errno`.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::NoEntry | Self::NotDirectory | Self::BadDescriptor | Self::Loop => Status::NoSuchFile,
            Self::NotPermitted | Self::Access => Status::PermissionDenied,
            Self::NameTooLong | Self::Invalid => Status::BadMessage,
            Self::Unsupported => Status::OpUnsupported,
            _ => Status::Failure,
        }
    }

    /// What is wrong, for the person at the client.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::NoEntry => "no such file or directory",
            Self::NotPermitted => "operation not permitted",
            Self::Access => "permission denied",
            Self::Exists => "the file exists",
            Self::IsDirectory => "is a directory",
            Self::NotDirectory => "not a directory",
            Self::NotEmpty => "the directory is not empty",
            Self::Busy => "busy: in use by the system",
            Self::CrossDevice => "the two names are on different file systems",
            Self::Loop => "too many levels of symbolic links",
            Self::NameTooLong => "the file name is too long",
            Self::Invalid => "invalid argument",
            Self::BadDescriptor => "the file is not open for this operation",
            Self::NotUtf8 => "the file name is not UTF-8: this server knows only names in UTF-8",
            Self::Quota => "quota exceeded",
            Self::NoSpace => "no space is left on the disk",
            Self::FileTooLarge => "the file is too large",
            Self::ReadOnly => "the file system is read-only",
            Self::TooManyFiles => "too many files are open: close one first",
            Self::NoMemory => "the server has no memory left for this",
            Self::TooManyLinks => "the file has too many links",
            Self::NoDevice => "no such device",
            Self::NotSeekable => "the file is a stream without offsets",
            Self::Unsupported => "not supported by this file system",
            Self::Io => "input/output error",
        }
    }
}

/// A request that failed: what the STATUS reply says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The code.
    pub status: Status,
    /// What is wrong.
    pub message: &'static str,
}

impl Failure {
    pub(crate) const SHORT: Self = Self::malformed("malformed request: it ends in the middle of a field");
    pub(crate) const NUL: Self = Self::malformed("malformed request: a name holds a NUL byte");
    pub(crate) const NOT_UTF8: Self =
        Self { status: FileError::NotUtf8.status(), message: FileError::NotUtf8.message() };
    pub(crate) const EOF: Self = Self { status: Status::Eof, message: "end of file" };
    pub(crate) const BAD_HANDLE: Self =
        Self::failed("the handle is not open: it was closed, or is of the other kind (file or directory)");
    pub(crate) const TOO_MANY_HANDLES: Self =
        Self::failed("too many files and directories are open in this session: close one first");
    pub(crate) const SAME_FILE: Self = Self::failed("a file cannot be copied to itself");
    pub(crate) const DEVICE: Self = Self {
        status: Status::PermissionDenied,
        message: "devices, pipes and sockets cannot be opened over SFTP, only files and directories",
    };
    pub(crate) const READ_ONLY: Self =
        Self { status: Status::PermissionDenied, message: "this session may only read: the server runs with -R" };
    pub(crate) const OPEN_QUOTA: Self =
        Self::failed("too many files are open, or the quota is exceeded: close or remove some first");

    /// The request is malformed.
    pub(crate) const fn malformed(message: &'static str) -> Self {
        Self { status: Status::BadMessage, message }
    }

    /// `SSH_FX_FAILURE`.
    pub(crate) const fn failed(message: &'static str) -> Self {
        Self { status: Status::Failure, message }
    }

    /// The server does not know such a request.
    pub(crate) const fn unsupported(message: &'static str) -> Self {
        Self { status: Status::OpUnsupported, message }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self { status: error.status(), message: error.message() }
    }
}
