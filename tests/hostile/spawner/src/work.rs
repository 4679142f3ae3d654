//! What a process does while others stop and continue it. It says `ready` on descriptor 3, works until it is told to
//! end by SIGTERM (a reader: until the end of its input), and says how much it has done.

use std::fs;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use whelk_guest::keyvalue::{self, Bucket};
use whelk_guest::process::{
    Change, Disposition, Event, Fd, Signal, get, identity, next_signal, poll, set_disposition, wait_any,
};

use crate::own;

/// What is printed at once: more than the channel takes while the client does not read.
const PRINTED: usize = 256 << 10;

pub(crate) fn run(words: &[&str]) -> io::Result<()> {
    let report = get(3).ok_or(ErrorKind::NotFound)?;
    let id = identity().id;
    set_disposition(Signal::Term, Disposition::Catch)?;
    say(&report, "ready")?;
    let done = match words {
        ["write"] => write(false)?,
        ["read"] => read(false)?,
        ["write-polling"] => write(true)?,
        ["read-polling"] => read(true)?,
        ["wait"] => until_told(|_| wait())?,
        ["sleep"] => until_told(|round| {
            sleep(Duration::from_millis(1 + round % 3));
            Ok(())
        })?,
        ["files", folder] => {
            let folder = Path::new(folder).join(format!("of-{id}"));
            fs::create_dir(&folder)?;
            let rounds = until_told(|round| files(&folder, round))?;
            fs::remove_dir(&folder)?;
            rounds
        }
        ["keys"] => {
            let bucket = keyvalue::open("stops").map_err(io::Error::other)?;
            let key = format!("of-{id}");
            let before = bucket.increment(&key, 0).map_err(io::Error::other)?;
            until_told(|round| keys(&bucket, &key, before + round))?
        }
        ["print"] => until_told(|_| {
            io::stdout().write_all(&vec![b'x'; PRINTED])?;
            sleep(Duration::from_millis(700));
            Ok(())
        })?,
        _ => return Err(io::Error::other("unknown")),
    };
    say(&report, &format!("{} {done}", words.join(" ")))
}

/// A line. It is short, so that it is written as a whole.
fn say(mut fd: &Fd, line: &str) -> io::Result<()> {
    let line = format!("{line}\n");
    loop {
        match fd.write(line.as_bytes()) {
            Ok(_) => return Ok(()),
            // It was told to end, which it does.
            Err(error) if error.kind() == ErrorKind::Interrupted => drop(next_signal()),
            Err(error) => return Err(error),
        }
    }
}

/// Works in rounds until it is told to end. Returns how many there were, at least one.
fn until_told(mut work: impl FnMut(u64) -> io::Result<()>) -> io::Result<u64> {
    for round in 0.. {
        work(round)?;
        if next_signal().is_some() {
            return Ok(round + 1);
        }
    }
    Ok(0)
}

/// The byte at a place of what goes through a pipe.
fn byte(place: u64) -> u8 {
    (place ^ place >> 8 ^ place >> 16).to_le_bytes()[0]
}

/// Writes bytes of which each says where it belongs, until it is told to end.
fn write(polls: bool) -> io::Result<u64> {
    let output = get(4).ok_or(ErrorKind::NotFound)?;
    let (mut place, mut size, mut told) = (0_u64, 1_usize, false);
    while !told {
        size = (size * 7 + 13) % 40_000;
        let block: Vec<u8> = (place..).take(size).map(byte).collect();
        let mut left = &block[..];
        while !left.is_empty() {
            if polls {
                poll(&[Event::Writable(&output), Event::Signal]);
            }
            match (&output).write(left) {
                Ok(count) => left = &left[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => told |= next_signal().is_some(),
                Err(error) => return Err(error),
            }
        }
        place += size as u64;
        told |= next_signal().is_some();
    }
    Ok(place)
}

/// Reads them to the end. None may be missing, and none be there twice.
fn read(polls: bool) -> io::Result<u64> {
    let input = get(4).ok_or(ErrorKind::NotFound)?;
    let (mut place, mut size) = (0_u64, 1_usize);
    loop {
        size = (size * 5 + 7) % 50_000;
        let mut block = vec![0; size + 1];
        if polls {
            poll(&[Event::Readable(&input)]);
        }
        let count = (&input).read(&mut block)?;
        if count == 0 {
            return Ok(place);
        }
        if let Some(wrong) = (place..).zip(&block[..count]).find(|(place, found)| byte(*place) != **found) {
            return Err(io::Error::other(format!("read {wrong:?}")));
        }
        place += count as u64;
    }
}

/// Starts a process and waits for it.
fn wait() -> io::Result<()> {
    let mut child = own(&["nothing"]).spawn()?;
    loop {
        match wait_any(&mut [&mut child]) {
            Ok((_, Change::Exited(status))) if status.success() => return Ok(()),
            Ok((_, change)) => return Err(io::Error::other(format!("a child: {change:?}"))),
            // The signal waits until this is over.
            Err(error) if error.kind() == ErrorKind::Interrupted => return child.wait().map(|_| ()),
            Err(error) => return Err(error),
        }
    }
}

/// Writes a file, reads it, and removes it under another name.
fn files(folder: &Path, round: u64) -> io::Result<()> {
    let (one, other) = (folder.join("one"), folder.join("other"));
    let written: Vec<u8> = (round..).take(1 + usize::try_from(round % 97).unwrap_or(0) * 300).map(byte).collect();
    fs::write(&one, &written)?;
    fs::rename(&one, &other)?;
    let mut file = fs::File::open(&other)?;
    file.seek(SeekFrom::Start(written.len() as u64 / 2))?;
    let mut half = Vec::new();
    file.read_to_end(&mut half)?;
    let listed = fs::read_dir(folder)?.count();
    if half != written[written.len() / 2..] || listed != 1 || file.metadata()?.len() != written.len() as u64 {
        return Err(io::Error::other(format!("{} bytes of {}, {listed} files", half.len(), written.len())));
    }
    fs::remove_file(&other)
}

/// Counts in the key-value store, which nothing may do twice.
fn keys(bucket: &Bucket, key: &str, before: u64) -> io::Result<()> {
    let count = bucket.increment(key, 1).map_err(io::Error::other)?;
    let read = bucket.get(key).map_err(io::Error::other)?;
    if count != before + 1 || read != Some(count.to_string().into_bytes()) {
        return Err(io::Error::other(format!("{before}, then {count}, read as {read:?}")));
    }
    Ok(())
}
