//! The attacks. Those that end in `-on` are the roles of the children.

use std::hint::black_box;
use std::io::{self, Read, Write};

use whelk_guest::process::{Change, Child, Fd, Signal, Target, kill, pipe, wait_any, wait_for_signal};

use crate::own;

/// What a pipe holds.
const FULL: usize = 64 << 10;
/// EMFILE of WASI 0.1.
const TOO_MANY_FILES: i32 = 33;

pub(crate) fn run(words: &[&str]) -> io::Result<()> {
    match words {
        ["count"] => {
            let (children, error) = start_all(&["hold-on"]);
            say(&format!("{} children, then {error}", children.len()))
        }
        ["hold-on"] => {
            wait_for_signal();
            Ok(())
        }
        ["bomb"] => {
            let (_, error) = start_all(&["bomb-on"]);
            hold(&format!("bombs, then {error}"))
        }
        // It starts others without end, whatever comes of it.
        ["bomb-on"] => loop {
            let _ = own(&["bomb-on"]).spawn();
        },
        ["pipes"] => {
            let (pipes, error) = fill_pipes();
            let count = pipes.len();
            drop(pipes);
            let children = [start_some(&["fill-on"], 31), started(&["pipe-on"]).map_while(Result::ok).collect()];
            hold(&format!("{count} full pipes, then {error}; {} children", children.iter().flatten().count()))
        }
        // It fills all the pipes that it gets, and begins again.
        ["fill-on"] => loop {
            drop(fill_pipes());
        },
        // It waits for ever in a write.
        ["pipe-on"] => {
            let (reader, writer) = pipe()?;
            let waits = (0..=1).try_for_each(|_| (&writer).write_all(&[0; FULL]));
            drop(reader);
            waits
        }
        ["spin"] => {
            let (children, error) = start_all(&["spin-on"]);
            hold(&format!("{} children spin, then {error}", children.len()))
        }
        ["spin-on"] => loop {
            black_box(());
        },
        ["stopped"] => {
            let (mut children, error) = start_all(&["spin-on"]);
            children.iter_mut().try_for_each(stop)?;
            hold(&format!("{} children are stopped, then {error}", children.len()))
        }
        ["brief"] => {
            let children = start_some(&["brief-on"], 8);
            own(&["nothing"]).status()?;
            hold(&format!("{} children start others", children.len()))
        }
        // It starts what ends at once, and waits for that.
        ["brief-on"] => loop {
            let _ = own(&["nothing"]).status();
        },
        _ => Err(io::Error::other("unknown")),
    }
}

/// Starts copies until that fails.
fn start_all(words: &[&str]) -> (Vec<Child>, io::Error) {
    let mut children = Vec::new();
    loop {
        match own(words).spawn() {
            Ok(child) => children.push(child),
            Err(error) => return (children, error),
        }
    }
}

/// Copies that are started one after another. Those that are there may have all files of the session open for a
/// moment, which is no error here.
fn started(words: &[&str]) -> impl Iterator<Item = io::Result<Child>> {
    let is_for_now = |error: &io::Error| error.raw_os_error() == Some(TOO_MANY_FILES);
    std::iter::repeat_with(|| own(words).spawn()).filter(move |made| !made.as_ref().is_err_and(is_for_now))
}

/// Starts so many copies, or as many as there may be.
fn start_some(words: &[&str], count: usize) -> Vec<Child> {
    started(words).take(count).flatten().collect()
}

fn stop(child: &mut Child) -> io::Result<()> {
    kill(Target::Process(child.id()), Signal::Stop)?;
    match wait_any(&mut [child])? {
        (_, Change::Stopped(_)) => Ok(()),
        (_, other) => Err(io::Error::other(format!("it was stopped, and {other:?}"))),
    }
}

/// Makes pipes and fills them until that fails.
fn fill_pipes() -> (Vec<(Fd, Fd)>, io::Error) {
    let mut pipes = Vec::new();
    loop {
        let made = pipe().and_then(|(reader, writer)| {
            (&writer).write_all(&[0; FULL])?;
            Ok((reader, writer))
        });
        match made {
            Ok(ends) => pipes.push(ends),
            Err(error) => return (pipes, error),
        }
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut output = io::stdout();
    writeln!(output, "{line}")?;
    output.flush()
}

/// Says how far it came, and waits for the end of the input.
fn hold(line: &str) -> io::Result<()> {
    say(line)?;
    io::stdin().read_to_end(&mut Vec::new()).map(|_| ())
}
