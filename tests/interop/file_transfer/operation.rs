//! What clients do to files: the columns of the table.

/// One operation of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Put,
    Get,
    List,
    Rename,
    Remove,
    MakeFolder,
    RemoveFolder,
    /// Goes on with an upload of which the first half is there.
    ResumePut,
    ResumeGet,
    PutTree,
    GetTree,
    /// Many small files.
    PutMany,
    GetMany,
    /// Files with unusual names, there and back.
    Names,
    /// An upload that keeps the time of modification.
    PutTime,
    GetTime,
    /// Makes a symbolic link, and reads a file through it.
    Link,
    /// How much space there is: `statvfs@openssh.com`.
    Space,
    Mode,
}

/// The entries of the folder that is listed.
pub(super) const LISTED: [&str; 3] = ["listed-one", "listed-two", "listed-folder"];

impl Operation {
    pub(super) const ALL: [Self; 19] = [
        Self::Put,
        Self::Get,
        Self::List,
        Self::Rename,
        Self::Remove,
        Self::MakeFolder,
        Self::RemoveFolder,
        Self::ResumePut,
        Self::ResumeGet,
        Self::PutTree,
        Self::GetTree,
        Self::PutMany,
        Self::GetMany,
        Self::Names,
        Self::PutTime,
        Self::GetTime,
        Self::Link,
        Self::Space,
        Self::Mode,
    ];

    /// The title of its column, and of its folder.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::List => "list",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::MakeFolder => "mkdir",
            Self::RemoveFolder => "rmdir",
            Self::ResumePut => "reput",
            Self::ResumeGet => "reget",
            Self::PutTree => "put-r",
            Self::GetTree => "get-r",
            Self::PutMany => "put-many",
            Self::GetMany => "get-many",
            Self::Names => "names",
            Self::PutTime => "put-p",
            Self::GetTime => "get-p",
            Self::Link => "link",
            Self::Space => "df",
            Self::Mode => "chmod",
        }
    }
}
