//! Numbers of descriptors, and what children get of them.

use super::{Step, saw};
use crate::Os;
use crate::start::{self, end, outcome, role};
use crate::system::{How, Result, System, Whence};

pub(super) const STEPS: &[Step] = &[
    ("output and errors change places: 3>&1 1>&2 2>&3", swapped),
    ("a child has the descriptors that it is given and no others", only_given),
    ("a child without any descriptor runs", none_given),
    ("numbers up to 1023", high_numbers),
    ("numbers that are not in use", unused),
    ("put gives a number another description", replaced),
    ("put redirects the standard library's streams", standard_streams),
    ("duplicates share their offset", shared_offset),
    ("exec keeps the descriptors that it is given, and the number", kept_by_exec),
    ("an exec that fails comes back", failed_exec),
    ("a child reads on where its parent stopped", inherited_offset),
    ("a description stays open in the child", open_in_child),
];

fn swapped() -> Result<()> {
    let (out, to_out) = Os::pipe()?;
    let (err, to_err) = Os::pipe()?;
    let child = role(&["both", "to output", "to errors"]).fd(1, &to_err).fd(2, &to_out).spawn()?;
    drop((to_out, to_err));
    saw!("{}", end(&child)?);
    saw!("output: {:?}, errors: {:?}", start::text(&out)?, start::text(&err)?);
    // The same by `put`, in this process.
    let (kept, three) = (Os::get(1).ok_or("no 1")?, 3);
    let (err, to_err) = Os::pipe()?;
    Os::put(three, &kept)?;
    Os::put(1, &to_err)?;
    Os::put(2, &Os::get(three).ok_or("no 3")?)?;
    Os::close(three)?;
    drop(to_err);
    let child = role(&["both", "into the pipe", "  into the output"]).spawn();
    Os::put(1, &kept)?;
    saw!("{}", end(&child?)?);
    saw!("errors: {:?}", start::text(&err)?);
    Ok(())
}

fn only_given() -> Result<()> {
    let (reader, writer) = Os::pipe()?;
    Os::put(5, &reader)?;
    Os::put(6, &writer)?;
    saw!("here: {:?}", Os::numbers());
    saw!("0 and 7: {}", role(&["numbers"]).fd(7, &reader).without(2).output()?);
    saw!("all three: {}", role(&["numbers"]).output()?);
    let order = role(&["numbers"]).without(0).without(2).fd(20, &reader).fd(4, &writer).fd(12, &reader);
    saw!("in any order: {}", order.output()?);
    Ok(())
}

fn none_given() -> Result<()> {
    saw!("{}", role(&["exit", "6"]).without(0).without(1).without(2).run()?);
    saw!("{}", role(&["cat"]).without(0).without(2).output()?);
    Ok(())
}

fn high_numbers() -> Result<()> {
    let (reader, writer) = Os::pipe()?;
    saw!("put 1023: {}", outcome(Os::put(1023, &writer)));
    saw!("{}", role(&["again", "1", "1023", "from far above"]).fd(1023, &writer).run()?);
    saw!("close 1023: {}", outcome(Os::close(1023)));
    drop(writer);
    saw!("read {:?}", start::text(&reader)?);
    Ok(())
}

fn unused() -> Result<()> {
    saw!("close 77: {}", outcome(Os::close(77)));
    saw!("get 77: {}", Os::get(77).is_some());
    let (reader, writer) = Os::pipe()?;
    Os::put(77, &reader)?;
    saw!("get 77: {}", Os::get(77).is_some());
    saw!("close 77: {}, again: {}", outcome(Os::close(77)), outcome(Os::close(77)));
    start::write(&writer, b"still open")?;
    drop(writer);
    saw!("read {:?}", start::text(&reader)?);
    Ok(())
}

fn replaced() -> Result<()> {
    let (first, to_first) = Os::pipe()?;
    let (second, to_second) = Os::pipe()?;
    Os::put(9, &to_first)?;
    drop(to_first);
    let before = Os::get(9).ok_or("no 9")?;
    Os::put(9, &to_second)?;
    drop(to_second);
    start::say(9, "second");
    start::write(&before, b"first")?;
    drop(before);
    saw!("first: {:?}", start::text(&first)?);
    Os::close(9)?;
    saw!("second: {:?}", start::text(&second)?);
    // To itself.
    Os::put(9, &second)?;
    let same = Os::get(9).ok_or("no 9")?;
    saw!("to itself: {}", outcome(Os::put(9, &same)));
    saw!("numbers: {:?}", Os::numbers());
    Ok(())
}

fn standard_streams() -> Result<()> {
    saw!("output: {}", role(&["put"]).output()?);
    saw!("file: {}", start::contents("put.txt")?);
    Ok(())
}

fn shared_offset() -> Result<()> {
    start::file("shared.txt", "0123456789")?;
    let one = Os::open(&start::path("shared.txt"), How::READ)?;
    let other = Os::dup(&one)?;
    Os::put(8, &one)?;
    let numbered = Os::get(8).ok_or("no 8")?;
    for fd in [&one, &other, &numbered, &one] {
        saw!("{:?}", String::from_utf8_lossy(&Os::read(fd, 3)?));
    }
    saw!("offset {}", Os::seek(&other, 0, Whence::Current)?);
    Os::seek(&other, 2, Whence::Start)?;
    saw!("{:?}", String::from_utf8_lossy(&Os::read(&one, 3)?));
    Ok(())
}

fn kept_by_exec() -> Result<()> {
    saw!("{}", role(&["exec-fds"]).output()?);
    let (reader, writer) = Os::pipe()?;
    let child = role(&["exec", "exec", "id"]).fd(1, &writer).spawn()?;
    drop(writer);
    let said = start::text(&reader)?;
    saw!("{}, with its number: {}", end(&child)?, said == Os::id(&child).to_string());
    saw!("{}", role(&["exec", "exit", "9"]).run()?);
    Ok(())
}

fn failed_exec() -> Result<()> {
    saw!("{}", start::program("/no/such/program", &["x"]).exec());
    saw!("still here");
    Ok(())
}

fn inherited_offset() -> Result<()> {
    start::file("lines.txt", "first\nsecond\nthird\n")?;
    let file = Os::open(&start::path("lines.txt"), How::READ)?;
    saw!("{}", start::line(&file)?);
    saw!("child: {}", role(&["take", "7"]).fd(0, &file).output()?);
    saw!("{}", start::line(&file)?);
    Ok(())
}

fn open_in_child() -> Result<()> {
    let (reader, writer) = Os::pipe()?;
    let (input, begin) = Os::pipe()?;
    let file = Os::open(&start::path("inherited.txt"), How::NEW)?;
    let child = role(&["cat"]).fd(0, &input).fd(1, &file).spawn()?;
    drop((file, input));
    start::write(&begin, b"written later")?;
    drop(begin);
    saw!("{}, {:?}", end(&child)?, start::contents("inherited.txt")?);
    drop((reader, writer));
    Ok(())
}
