//! Files and devices.

use super::{Step, saw};
use crate::Os;
use crate::start::{self, Fd, contents, file, outcome, path, role};
use crate::system::{How, Result, System, Whence};

pub(super) const STEPS: &[Step] = &[
    ("output and errors in one file, 2>&1", one_description),
    ("two opens have an offset each", two_descriptions),
    ("appends go to the end", append),
    ("children append to one file", appending_children),
    ("how a file is opened", flags),
    ("what cannot be opened", refusals),
    ("reads and writes that the description does not allow", directions),
    ("seek", seek),
    ("truncate", truncate),
    ("a relative path begins at the directory of the start", relative),
    ("/dev/null and /dev/zero", null),
    ("/dev/fd/N is what the number leads to", dev_fd),
    ("/dev/stdin, /dev/stdout and /dev/stderr", dev_std),
    ("/dev/tty without a terminal", no_terminal),
    ("kinds", kinds),
];

fn said(fd: &Fd, count: u32) -> Result<String> {
    Ok(format!("{:?}", String::from_utf8_lossy(&Os::read(fd, count)?)))
}

fn one_description() -> Result<()> {
    let file = Os::open(&path("both.txt"), How::NEW)?;
    for word in ["one", "two"] {
        role(&["both", &format!("output {word}"), &format!("errors {word}")]).fd(1, &file).fd(2, &file).run()?;
    }
    start::write(&file, b"and here")?;
    saw!("{}", contents("both.txt")?);
    Ok(())
}

fn two_descriptions() -> Result<()> {
    let (one, other) = (Os::open(&path("two.txt"), How::NEW)?, Os::open(&path("two.txt"), How::WRITE)?);
    role(&["both", "longer output", "errors"]).fd(1, &one).fd(2, &other).run()?;
    saw!("{}", contents("two.txt")?);
    Ok(())
}

fn append() -> Result<()> {
    file("append.txt", "first")?;
    let (one, other) = (Os::open(&path("append.txt"), How::APPEND)?, Os::open(&path("append.txt"), How::APPEND)?);
    start::write(&one, b" second")?;
    start::write(&other, b" third")?;
    saw!("offsets {} and {}", Os::seek(&one, 0, Whence::Current)?, Os::seek(&other, 0, Whence::Current)?);
    Os::seek(&one, 0, Whence::Start)?;
    start::write(&one, b" fourth")?;
    saw!("{}", contents("append.txt")?);
    Ok(())
}

fn appending_children() -> Result<()> {
    file("log.txt", "")?;
    let start = |word: &str| {
        let log = Os::open(&path("log.txt"), How::APPEND)?;
        role(&["again", "200", "1", word]).fd(1, &log).spawn()
    };
    let children = [start("from the first child")?, start("from the other")?];
    for child in &children {
        start::end(child)?;
    }
    let log = contents("log.txt")?;
    let count = |word: &str| log.split(" | ").filter(|line| *line == word).count();
    saw!("{} and {}", count("from the first child"), count("from the other"));
    Ok(())
}

fn flags() -> Result<()> {
    let new = path("flags.txt");
    saw!("no such file: {}", outcome(Os::open(&new, How::WRITE)));
    let create = How { create: true, ..How::WRITE };
    start::write(&Os::open(&new, create)?, b"contents")?;
    saw!("created again: {}, {:?}", outcome(Os::open(&new, create)), contents("flags.txt")?);
    saw!("exclusive: {}", outcome(Os::open(&new, How { exclusive: true, ..create })));
    saw!("truncated: {}, {:?}", outcome(Os::open(&new, How { truncate: true, ..How::WRITE })), contents("flags.txt")?);
    saw!("as a directory: {}", outcome(Os::open(&new, How { directory: true, ..How::READ })));
    let both = Os::open(&new, How::BOTH)?;
    start::write(&both, b"read back")?;
    Os::seek(&both, 0, Whence::Start)?;
    saw!("{}", said(&both, 100)?);
    Ok(())
}

fn refusals() -> Result<()> {
    std::fs::create_dir_all("folder").map_err(|error| error.to_string())?;
    file("plain.txt", "plain")?;
    saw!("nothing: {}", outcome(Os::open(&path("absent"), How::READ)));
    saw!("below nothing: {}", outcome(Os::open(&path("absent/x"), How::NEW)));
    saw!("below a file: {}", outcome(Os::open(&path("plain.txt/x"), How::READ)));
    saw!("a directory to write: {}", outcome(Os::open(&path("folder"), How::WRITE)));
    saw!("a directory to read: {}", outcome(Os::open(&path("folder"), How::READ)));
    saw!("a read of it: {}", outcome(Os::read(&Os::open(&path("folder"), How::READ)?, 1)));
    saw!("an empty path: {}", outcome(Os::open("", How::READ)));
    saw!("a long name: {}", outcome(Os::open(&path(&"x".repeat(300)), How::READ)));
    link("plain.txt", "to-plain");
    link("to-itself", "to-itself");
    saw!("a link: {}", said(&Os::open(&path("to-plain"), How::READ)?, 9)?);
    saw!("a link, not followed: {}", outcome(Os::open(&path("to-plain"), How { no_follow: true, ..How::READ })));
    saw!("a link to itself: {}", outcome(Os::open(&path("to-itself"), How::READ)));
    Ok(())
}

/// The standard library of WASI has this under another name.
fn link(to: &str, from: &str) {
    let _ = std::fs::remove_file(from);
    #[cfg(unix)]
    let made = std::os::unix::fs::symlink(to, from);
    #[cfg(target_family = "wasm")]
    let made = crate::system::whelk::symlink(to, from);
    made.expect("a link can be made in our own directory");
}

fn directions() -> Result<()> {
    let path = file("directions.txt", "text")?;
    saw!("read of one to write: {}", outcome(Os::read(&Os::open(&path, How::WRITE)?, 1)));
    saw!("write to one to read: {}", outcome(Os::write(&Os::open(&path, How::READ)?, b"x")));
    saw!("truncate of one to read: {}", outcome(Os::truncate(&Os::open(&path, How::READ)?, 0)));
    Ok(())
}

fn seek() -> Result<()> {
    let fd = Os::open(&path("seek.txt"), How::BOTH)?;
    start::write(&fd, b"0123456789")?;
    saw!("from the start: {}, {}", Os::seek(&fd, 4, Whence::Start)?, said(&fd, 2)?);
    saw!("from here: {}, {}", Os::seek(&fd, -3, Whence::Current)?, said(&fd, 2)?);
    saw!("from the end: {}, {}", Os::seek(&fd, -1, Whence::End)?, said(&fd, 2)?);
    saw!("before the start: {}", outcome(Os::seek(&fd, -1, Whence::Start)));
    saw!("before the start: {}", outcome(Os::seek(&fd, -11, Whence::End)));
    saw!("beyond the end: {}, {}", Os::seek(&fd, 3, Whence::End)?, said(&fd, 2)?);
    start::write(&fd, b"x")?;
    Os::seek(&fd, 9, Whence::Start)?;
    saw!("a gap: {:?}", Os::read(&fd, 100)?);
    Ok(())
}

fn truncate() -> Result<()> {
    let fd = Os::open(&path("truncate.txt"), How::BOTH)?;
    start::write(&fd, b"0123456789")?;
    Os::truncate(&fd, 3)?;
    saw!("offset {}, size {}", Os::seek(&fd, 0, Whence::Current)?, Os::seek(&fd, 0, Whence::End)?);
    Os::truncate(&fd, 5)?;
    Os::seek(&fd, 0, Whence::Start)?;
    saw!("{:?}", Os::read(&fd, 100)?);
    Ok(())
}

fn relative() -> Result<()> {
    file("relative.txt", "found")?;
    saw!("{}", said(&Os::open("relative.txt", How::READ)?, 9)?);
    std::fs::create_dir_all("folder").map_err(|error| error.to_string())?;
    file("folder/inner.txt", "inside")?;
    saw!("in another directory: {}", role(&["cat", "inner.txt"]).cwd(&path("folder")).output()?);
    saw!("above it: {}", role(&["cat", "../relative.txt"]).cwd(&path("folder")).output()?);
    Ok(())
}

fn null() -> Result<()> {
    let null = Os::open("/dev/null", How { write: true, ..How::READ })?;
    saw!("{} took {}, has {}", Os::kind(&null), Os::write(&null, b"anything")?, Os::read(&null, 10)?.len());
    saw!("from a child: {}", role(&["both", "x", "y"]).fd(1, &null).fd(2, &null).run()?);
    saw!("as an input: {:?}", role(&["cat"]).fd(0, &null).output()?);
    let zero = Os::open("/dev/zero", How::READ)?;
    saw!("{:?}", Os::read(&zero, 3)?);
    saw!("{} bytes", Os::read(&zero, 1 << 20)?.len());
    Ok(())
}

fn dev_fd() -> Result<()> {
    let (reader, writer) = Os::pipe()?;
    start::write(&writer, b"through the path")?;
    drop(writer);
    saw!("{}", role(&["cat", "/dev/fd/5"]).fd(5, &reader).output()?);
    let (reader, writer) = Os::pipe()?;
    Os::put(6, &writer)?;
    drop(writer);
    let opened = Os::open("/dev/fd/6", How::WRITE)?;
    Os::close(6)?;
    start::write(&opened, b"after the close")?;
    drop(opened);
    saw!("{}", start::text(&reader)?);
    saw!("not in use: {}", outcome(Os::open("/dev/fd/55", How::READ)));
    Os::put(6, &reader)?;
    let (reader, writer) = Os::pipe()?;
    start::write(&writer, b"by the standard library")?;
    drop(writer);
    Os::put(6, &reader)?;
    saw!("{:?}", std::fs::read_to_string("/dev/fd/6").map_err(|error| error.kind()));
    Ok(())
}

fn dev_std() -> Result<()> {
    let (reader, writer) = Os::pipe()?;
    start::write(&writer, b"standard input")?;
    drop(writer);
    saw!("{}", role(&["cat", "/dev/stdin"]).fd(0, &reader).output()?);
    let (reader, writer) = Os::pipe()?;
    Os::put(11, &writer)?;
    drop(writer);
    for (number, path) in [(1, "/dev/stdout"), (2, "/dev/stderr")] {
        let kept = Os::get(number).ok_or("not there")?;
        Os::put(number, &Os::get(11).ok_or("no 11")?)?;
        let opened = Os::open(path, How::WRITE);
        Os::put(number, &kept)?;
        start::write(&opened?, format!("{path} ").as_bytes())?;
    }
    Os::close(11)?;
    saw!("{}", start::text(&reader)?);
    Ok(())
}

fn no_terminal() -> Result<()> {
    saw!("{}", outcome(Os::open("/dev/tty", How::READ)));
    Ok(())
}

fn kinds() -> Result<()> {
    file("kind.txt", "")?;
    std::fs::create_dir_all("folder").map_err(|error| error.to_string())?;
    let kind = |path: &str| Ok(Os::kind(&Os::open(path, How::READ)?));
    let all: Result<Vec<&str>> = [path("kind.txt"), path("folder"), "/dev/null".into(), "/dev/urandom".into()]
        .iter()
        .map(|it| kind(it))
        .collect();
    saw!("{:?}", all?);
    saw!("standard output: {}", Os::kind(&Os::get(1).ok_or("no 1")?));
    Ok(())
}
