//! Children: `whelk:process` where the program runs as a component, the standard library's natively.

use std::io;

#[cfg(not(target_family = "wasm"))]
pub use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
#[cfg(target_family = "wasm")]
pub use whelk_guest::process::{Child, Command, ExitStatus, Fd as ChildStdin, Fd as ChildStdout, Stdio};

/// How a child ended: its exit status, or the number of the signal that ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It exited.
    Status(u8),
    /// A signal ended it.
    Signal(u8),
}

/// How a child ended.
pub fn ending(status: ExitStatus) -> Ending {
    #[cfg(target_family = "wasm")]
    {
        match (status.code(), status.shell_status()) {
            (Some(_), code) => Ending::Status(code),
            (None, status) => Ending::Signal(status.wrapping_sub(128)),
        }
    }
    #[cfg(not(target_family = "wasm"))]
    {
        use std::os::unix::process::ExitStatusExt;
        let low = |number: i32| number.to_le_bytes()[0];
        match (status.code(), status.signal()) {
            (Some(code), _) => Ending::Status(low(code)),
            (None, signal) => Ending::Signal(low(signal.unwrap_or_default())),
        }
    }
}

/// Waits until any of several children has ended: its place, and how. Natively for the first of them.
///
/// # Errors
/// Without a child, and those of waiting.
pub fn wait_any<'a>(children: impl Iterator<Item = &'a mut Child>) -> io::Result<(usize, ExitStatus)> {
    let mut children: Vec<&mut Child> = children.collect();
    #[cfg(target_family = "wasm")]
    loop {
        let (index, change) = whelk_guest::process::wait_any(&mut children)?;
        if let whelk_guest::process::Change::Exited(status) = change {
            return Ok((index, status));
        }
    }
    #[cfg(not(target_family = "wasm"))]
    {
        let first = children.first_mut().ok_or_else(|| io::Error::other("there is no child"))?;
        Ok((0, first.wait()?))
    }
}
