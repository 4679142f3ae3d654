//! Exit statuses, and waiting for children.

use super::{Step, saw};
use crate::Os;
use crate::start::{self, Child, end, outcome, role, signal};
use crate::system::{Change, Result, System};

pub(super) const STEPS: &[Step] = &[
    ("exit statuses from 0 to 255", statuses),
    ("a poll does not wait", poll),
    ("wait for any of several", any),
    ("wait for nothing", nothing),
    ("children that outlive their parent", orphan),
    ("many at once", many),
];

fn statuses() -> Result<()> {
    let mut wrong = Vec::new();
    for status in 0..=255 {
        let ended = role(&["exit", &status.to_string()]).run()?;
        if ended != Change::Exited(status) {
            wrong.push((status, ended));
        }
    }
    saw!("wrong: {wrong:?}");
    Ok(())
}

fn poll() -> Result<()> {
    let (input, begin) = Os::pipe()?;
    let (reader, writer) = Os::pipe()?;
    let child = role(&["wait-for-end"]).fd(0, &input).fd(9, &writer).spawn()?;
    drop(writer);
    saw!("living: {:?}", Os::poll(&child));
    drop(begin);
    start::text(&reader)?;
    // What it had is closed before it can be waited for.
    let ended = end(&child)?;
    saw!("{ended}, then {:?}", Os::poll(&child));
    saw!("wait: {}", outcome(Os::wait(&[&child])));
    Ok(())
}

fn any() -> Result<()> {
    let mut begins = Vec::new();
    let mut children = Vec::new();
    for _ in 0..4 {
        let (input, begin) = Os::pipe()?;
        children.push(role(&["wait-for-end"]).without(3).fd(0, &input).spawn()?);
        begins.push(begin);
    }
    let all: Vec<&Child> = children.iter().collect();
    signal(&children[2], "TERM")?;
    saw!("{:?}", Os::wait(&all)?);
    signal(&children[1], "STOP")?;
    saw!("{:?}", Os::wait(&all)?);
    drop(begins.remove(0));
    saw!("{:?}", Os::wait(&all)?);
    saw!("of the ended ones: {}", outcome(Os::wait(&[all[0], all[2]])));
    signal(&children[1], "KILL")?;
    saw!("{:?}", Os::wait(&all)?);
    signal(&children[3], "INT")?;
    saw!("{:?}", Os::wait(&[all[3], all[0]])?);
    saw!("of all: {}", outcome(Os::wait(&all)));
    Ok(())
}

fn nothing() -> Result<()> {
    saw!("{}", outcome(Os::wait(&[])));
    Ok(())
}

fn orphan() -> Result<()> {
    let (said, report) = Os::pipe()?;
    let (number, output) = Os::pipe()?;
    let (wait, begin) = Os::pipe()?;
    let (input, end_of_parent) = Os::pipe()?;
    let parent = role(&["parent"]).fd(0, &input).fd(1, &output).fd(3, &report).fd(4, &wait).spawn()?;
    drop((report, output, wait));
    saw!("{}", start::line(&said)?);
    let orphan: u32 = start::line(&number)?.parse().map_err(|_| "no number".to_owned())?;
    drop(end_of_parent);
    saw!("parent {}", end(&parent)?);
    saw!("there: {}", outcome(Os::kill(crate::system::Target::Process(orphan), None)));
    start::write(&begin, b"\n")?;
    saw!("{}", start::text(&said)?);
    Ok(())
}

fn many() -> Result<()> {
    let (reader, writer) = Os::pipe()?;
    let (input, begin) = Os::pipe()?;
    let children: Vec<Child> =
        (0..40).map(|_| role(&["wait-for-end"]).fd(0, &input).fd(3, &writer).spawn()).collect::<Result<_>>()?;
    drop((writer, input));
    for _ in 0..40 {
        start::line(&reader)?;
    }
    let mut numbers: Vec<u32> = children.iter().map(Os::id).collect();
    numbers.sort_unstable();
    numbers.dedup();
    drop(begin);
    let ended = children.iter().map(end).collect::<Result<Vec<Change>>>()?;
    saw!("{} numbers, {} ended well", numbers.len(), ended.iter().filter(|end| **end == Change::Exited(0)).count());
    Ok(())
}
