//! The roles that `cargo xtask bench processes` measures. Each says `ready`, waits for a line, works, says `done`, and
//! waits for another line.

use crate::Os;
use crate::start::{self, input, role, say};
use crate::system::{Change, Result, System};

const MIB: usize = 1 << 20;
/// What is written, and read, at once.
const BLOCK: usize = 64 << 10;

/// Plays one of these roles, if it is one.
pub(crate) fn act(name: &str, words: &[&str]) -> Option<Result<u8>> {
    let played = match (name, words) {
        ("starts", [program, count]) => starts(program, count.parse().unwrap_or(0)),
        ("pour", [mib]) => pour(mib.parse().unwrap_or(0)),
        ("drain", [mib]) => drain(mib.parse().unwrap_or(0)),
        _ => return None,
    };
    Some(played.map(|()| 0))
}

/// Starts a program and waits for its end, again and again.
fn starts(program: &str, count: u32) -> Result<()> {
    measured(|| {
        for _ in 0..count {
            match Os::run(program)? {
                Change::Exited(0) => {}
                ended => return Err(format!("{program}: {ended}")),
            }
        }
        Ok(())
    })
}

/// Writes so many MiB to another process, through a pipe.
fn pour(mib: usize) -> Result<()> {
    let (reader, writer) = Os::pipe()?;
    let child = role(&["drain", &mib.to_string()]).fd(0, &reader).spawn()?;
    drop(reader);
    measured(move || {
        let block = vec![b'x'; BLOCK];
        for _ in 0..mib * MIB / BLOCK {
            start::write(&writer, &block)?;
        }
        drop(writer);
        match start::end(&child)? {
            Change::Exited(0) => Ok(()),
            ended => Err(format!("the reader {ended}")),
        }
    })
}

/// Reads so many MiB.
fn drain(mib: usize) -> Result<()> {
    let input = input()?;
    let mut count = 0;
    loop {
        match Os::read(&input, 64 << 10)?.len() {
            0 if count == mib * MIB => return Ok(()),
            0 => return Err(format!("{count} bytes instead of {mib} MiB")),
            more => count += more,
        }
    }
}

fn measured(work: impl FnOnce() -> Result<()>) -> Result<()> {
    say(1, "ready");
    start::line(&input()?)?;
    work()?;
    say(1, "done");
    start::line(&input()?).map(|_| ())
}
