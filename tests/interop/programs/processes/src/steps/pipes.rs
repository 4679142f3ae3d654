//! Pipes and pipelines.

use super::{Step, saw};
use crate::Os;
use crate::start::{self, Child, Start, change, end, outcome, role};
use crate::system::{Result, System, Whence};

pub(super) const STEPS: &[Step] = &[
    ("a pipe hands on bytes in order", in_order),
    ("a pipe ends after its last writer", last_writer),
    ("a pipe whose writer is a child ends with the child", writing_child),
    ("the wrong end, and offsets of a pipe", wrong_end),
    ("a pipeline has the ending of each stage", pipeline),
    ("10 MB pass three stages", large),
    ("a writer without readers is killed by PIPE", sigpipe),
    ("a writer that ignores PIPE gets EPIPE", ignored_sigpipe),
    ("a writer that was started with PIPE ignored gets EPIPE", inherited_sigpipe),
    ("a writer that catches PIPE gets EPIPE and the signal", caught_sigpipe),
    ("a full pipe holds 64 KiB and blocks", full),
    ("small writes of several writers stay whole", whole),
    ("a reader that is stopped takes nothing", stopped_reader),
    ("a pipe is still read after its writer was killed", killed_writer),
];

fn in_order() -> Result<()> {
    let (reader, writer) = Os::pipe()?;
    saw!("readable: {}, writable: {}", Os::is_readable(&reader), Os::is_writable(&writer));
    start::write(&writer, b"one ")?;
    start::write(&writer, b"two")?;
    saw!("readable: {}", Os::is_readable(&reader));
    saw!("read of 2: {:?}", String::from_utf8_lossy(&Os::read(&reader, 2)?));
    saw!("read of 100: {:?}", String::from_utf8_lossy(&Os::read(&reader, 100)?));
    saw!("a write of nothing: {}", Os::write(&writer, b"")?);
    saw!("kinds: {} {}", Os::kind(&reader), Os::kind(&writer));
    Ok(())
}

fn last_writer() -> Result<()> {
    let (reader, writer) = Os::pipe()?;
    let other = Os::dup(&writer)?;
    drop(writer);
    saw!("readable with a writer left: {}", Os::is_readable(&reader));
    start::write(&other, b"last")?;
    drop(other);
    saw!("read: {:?}", String::from_utf8_lossy(&Os::read(&reader, 100)?));
    saw!("then: {} bytes, and again {}", Os::read(&reader, 100)?.len(), Os::read(&reader, 100)?.len());
    let (reader, writer) = Os::pipe()?;
    drop(reader);
    saw!("writable without a reader: {}", Os::is_writable(&writer));
    Ok(())
}

fn writing_child() -> Result<()> {
    let (reader, writer) = Os::pipe()?;
    let (input, begin) = Os::pipe()?;
    let child = role(&["wait-for-end"]).fd(0, &input).fd(9, &writer).spawn()?;
    drop(writer);
    saw!("readable while the child lives: {}", Os::is_readable(&reader));
    drop(begin);
    saw!("read: {} bytes", Os::read(&reader, 1)?.len());
    saw!("{}", end(&child)?);
    Ok(())
}

fn wrong_end() -> Result<()> {
    let (reader, writer) = Os::pipe()?;
    saw!("read from the end to write to: {}", outcome(Os::read(&writer, 1)));
    saw!("write to the end to read from: {}", outcome(Os::write(&reader, b"x")));
    saw!("seek: {}", outcome(Os::seek(&reader, 0, Whence::Start)));
    saw!("seek: {}", outcome(Os::seek(&writer, 0, Whence::End)));
    saw!("truncate: {}", outcome(Os::truncate(&writer, 0)));
    Ok(())
}

/// Starts stages that are joined by pipes; the last writes to 1.
fn stages(all: Vec<Start<'_>>) -> Result<Vec<Child>> {
    let mut children = Vec::new();
    let mut input = None;
    let last = all.len() - 1;
    for (place, stage) in all.into_iter().enumerate() {
        let next = if place == last { None } else { Some(Os::pipe()?) };
        let stage = match &input {
            Some(reader) => stage.fd(0, reader),
            None => stage,
        };
        children.push(match &next {
            Some((_, writer)) => stage.fd(1, writer).spawn()?,
            None => stage.spawn()?,
        });
        input = next.map(|(reader, _)| reader);
    }
    Ok(children)
}

fn pipeline() -> Result<()> {
    let children = stages(vec![role(&["both", "word", ""]).without(2), role(&["upper"]), role(&["sum"])])?;
    let endings: Vec<String> = children.iter().map(|child| Ok(end(child)?.to_string())).collect::<Result<_>>()?;
    saw!("{endings:?}");
    let children = stages(vec![role(&["exit", "3"]), role(&["cat"]), role(&["exit", "5"])])?;
    let endings: Vec<String> = children.iter().map(|child| Ok(end(child)?.to_string())).collect::<Result<_>>()?;
    saw!("{endings:?}");
    Ok(())
}

fn large() -> Result<()> {
    let count = (10 << 20) + 12_345;
    let children = stages(vec![role(&["emit", &count.to_string()]), role(&["flip"]), role(&["cat"]), role(&["sum"])])?;
    let endings: Vec<String> = children.iter().map(|child| Ok(end(child)?.to_string())).collect::<Result<_>>()?;
    saw!("{endings:?}");
    Ok(())
}

/// Runs a writer whose reader is gone. What it says is its output on 2.
fn without_reader(writer: Start<'_>) -> Result<()> {
    let (reader, output) = Os::pipe()?;
    let (said, errors) = Os::pipe()?;
    drop(reader);
    let child = writer.fd(1, &output).fd(2, &errors).spawn()?;
    drop((output, errors));
    let ended = end(&child)?;
    saw!("{ended}, said {:?}", start::text(&said)?);
    Ok(())
}

fn sigpipe() -> Result<()> {
    without_reader(role(&["pipe"]))
}

fn ignored_sigpipe() -> Result<()> {
    without_reader(role(&["pipe", "ignored"]))
}

fn inherited_sigpipe() -> Result<()> {
    without_reader(role(&["pipe"]).ignoring(&["PIPE"]))
}

fn caught_sigpipe() -> Result<()> {
    without_reader(role(&["pipe", "caught"]))
}

fn full() -> Result<()> {
    let (reader, writer) = Os::pipe()?;
    let mut held = 0;
    while Os::is_writable(&writer) {
        held += Os::write(&writer, &[b'x'; 4096])?;
    }
    saw!("holds {held}");
    let (said, errors) = Os::pipe()?;
    let child = role(&["again", "1", "1", "after"]).fd(1, &writer).fd(3, &errors).spawn()?;
    drop((writer, errors));
    saw!("the other writer has ended: {}", Os::poll(&child).is_some());
    let mut read = 0;
    while read < held {
        // No more than that: the other writer may go on at once.
        read += Os::read(&reader, u32::try_from(held - read).unwrap_or(u32::MAX))?.len();
    }
    saw!("then {:?}, and {}", start::text(&reader)?, end(&child)?);
    saw!("said {:?}", start::text(&said)?);
    Ok(())
}

fn whole() -> Result<()> {
    let (reader, writer) = Os::pipe()?;
    let tags = ["a", "b", "c", "d"];
    let children: Vec<Child> = tags
        .iter()
        .map(|tag| role(&["again", "500", "1", &tag.repeat(99)]).fd(1, &writer).spawn())
        .collect::<Result<_>>()?;
    drop(writer);
    let all = start::bytes(&reader)?;
    let lines: Vec<&[u8]> = all.split_inclusive(|byte| *byte == b'\n').collect();
    let is_whole = |line: &&[u8]| line.len() == 100 && line[..99].iter().all(|byte| *byte == line[0]);
    saw!("{} lines, {} whole", lines.len(), lines.iter().copied().filter(is_whole).count());
    for child in &children {
        end(child)?;
    }
    Ok(())
}

fn stopped_reader() -> Result<()> {
    let (reader, writer) = Os::pipe()?;
    let (ready, report) = Os::pipe()?;
    let stopped = role(&["wait-for-end"]).fd(0, &reader).fd(3, &report).spawn()?;
    start::line(&ready)?;
    start::signal(&stopped, "STOP")?;
    saw!("{}", change(&stopped)?);
    start::write(&writer, b"for the other")?;
    let taken = role(&["take", "100"]).fd(0, &reader).output()?;
    saw!("the other took {taken:?}");
    start::signal(&stopped, "KILL")?;
    saw!("{}", end(&stopped)?);
    Ok(())
}

fn killed_writer() -> Result<()> {
    let (reader, writer) = Os::pipe()?;
    let (input, _begin) = Os::pipe()?;
    let child = role(&["wait-for-end"]).fd(0, &input).fd(3, &writer).spawn()?;
    drop(writer);
    saw!("said {:?}", start::line(&reader)?);
    start::signal(&child, "KILL")?;
    saw!("{}", end(&child)?);
    saw!("then {} bytes", Os::read(&reader, 1)?.len());
    Ok(())
}
