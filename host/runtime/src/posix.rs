//! What the processes of a session share, as POSIX has it. Knows nothing of wasmtime, of the channel and of files on
//! disk.
//!
//! | module | what it owns |
//! |---|---|
//! | `signal` | signals by name, and what they do by default |
//! | `table` | the processes of one session: groups, the foreground, who waits for whom |
//! | `process` | one process as its own task and its imports see it, and a child as its parent sees it |
//! | `description` | open file descriptions, and `descriptors`: the numbers of one process for them |
//! | `pipe` | pipes, and `wakers`: who waits for one |
//! | `errno` | why a call fails, and `limits`: what one process may have |

mod description;
mod descriptors;
mod errno;
mod limits;
mod pipe;
pub(crate) mod process;
pub(crate) mod signal;
pub(crate) mod table;
mod wakers;

pub(crate) use description::{
    ChannelStream, DescriptionKind, DescriptionTarget, FileDescription, OpenDescription, Operation, Whence,
};
pub(crate) use descriptors::{Descriptors, NUMBERS};
pub(crate) use errno::Errno;
pub(crate) use limits::ProcessLimits;
pub(crate) use pipe::{ATOMIC_WRITE, PipeMemory, pipe};
pub(crate) use wakers::Wakers;
