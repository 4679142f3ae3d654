//! What the processes of a session share, as POSIX has it. Knows nothing of wasmtime, of the channel and of files on
//! disk.

mod description;
mod descriptors;
mod errno;
mod pipe;
mod wakers;

pub(crate) use description::{
    ChannelStream, DescriptionKind, DescriptionTarget, FileDescription, OpenDescription, Operation, Whence,
};
pub(crate) use descriptors::{Descriptors, NUMBERS};
pub(crate) use errno::Errno;
pub(crate) use pipe::{ATOMIC_WRITE, PipeReader, PipeWait, PipeWriter, pipe};
pub(crate) use wakers::Wakers;
