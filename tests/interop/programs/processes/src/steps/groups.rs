//! Process groups.

use super::{Step, saw};
use crate::Os;
use crate::start::{self, Child, end, outcome, role, signal};
use crate::system::{Group, Result, System, Target};

pub(super) const STEPS: &[Step] = &[
    ("identity", identity),
    ("a group is made and joined", made_and_joined),
    ("a signal to a group reaches all of it", to_all),
    ("groups without members", without_members),
    ("a process moves itself", moves_itself),
    ("a child that runs is not moved", not_moved),
    ("a foreground without a terminal", no_terminal),
];

fn identity() -> Result<()> {
    let own = Os::identity();
    saw!("positive: {}, foreground: {:?}", own.id > 0 && own.parent > 0 && own.group > 0, own.foreground);
    let output = role(&["id"]).output()?;
    saw!("a child has another: {}", output != own.id.to_string());
    Ok(())
}

/// Children that wait until the descriptor that is returned is dropped.
fn waiting(groups: &[Group]) -> Result<(Vec<Child>, start::Fd)> {
    let (ready, report) = Os::pipe()?;
    let (input, begin) = Os::pipe()?;
    let mut children = Vec::new();
    for group in groups {
        let first = children.first().map(Os::id);
        let group = if let (Group::Join(0), Some(first)) = (group, first) { Group::Join(first) } else { *group };
        children.push(role(&["wait-for-end"]).fd(0, &input).fd(3, &report).group(group).spawn()?);
        start::line(&ready)?;
    }
    Ok((children, begin))
}

fn made_and_joined() -> Result<()> {
    let (children, begin) = waiting(&[Group::New, Group::Join(0), Group::Inherit])?;
    let first = Os::id(&children[0]);
    Os::kill(Target::Group(first), Some("STOP"))?;
    saw!("{} | {}", start::change(&children[0])?, start::change(&children[1])?);
    saw!("the other: {:?}", Os::poll(&children[2]));
    Os::kill(Target::Group(first), Some("CONT"))?;
    saw!("{} | {}", start::change(&children[0])?, start::change(&children[1])?);
    drop(begin);
    for child in &children {
        saw!("{}", end(child)?);
    }
    let group = Group::Join(first);
    saw!("joined when all are gone: {}", outcome(role(&["exit", "0"]).group(group).run()));
    Ok(())
}

fn to_all() -> Result<()> {
    let (children, _begin) = waiting(&[Group::New, Group::Join(0), Group::Join(0)])?;
    let (others, begin) = waiting(&[Group::New])?;
    let group = Os::id(&children[0]);
    saw!("there: {}", outcome(Os::kill(Target::Group(group), None)));
    Os::kill(Target::Group(group), Some("TERM"))?;
    for child in &children {
        saw!("{}", end(child)?);
    }
    drop(begin);
    saw!("the other: {}", end(&others[0])?);
    Ok(())
}

fn without_members() -> Result<()> {
    let (children, begin) = waiting(&[Group::New, Group::Join(0)])?;
    let group = Os::id(&children[0]);
    signal(&children[0], "KILL")?;
    saw!("{}", end(&children[0])?);
    saw!("its first process is gone: {}", outcome(Os::kill(Target::Group(group), None)));
    drop(begin);
    saw!("{}", end(&children[1])?);
    saw!("all are gone: {}", outcome(Os::kill(Target::Group(group), None)));
    saw!("TERM: {}", outcome(Os::kill(Target::Group(group), Some("TERM"))));
    Ok(())
}

fn moves_itself() -> Result<()> {
    saw!("{}", role(&["new-group"]).output()?);
    saw!("a group that is not there: {}", outcome(Os::set_group(0, Group::Join(999_999))));
    saw!("its own: {}", outcome(Os::set_group(0, Group::Join(Os::identity().group))));
    Ok(())
}

fn not_moved() -> Result<()> {
    let (children, begin) = waiting(&[Group::Inherit])?;
    saw!("{}", outcome(Os::set_group(Os::id(&children[0]), Group::New)));
    saw!("no such process: {}", outcome(Os::set_group(999_999, Group::New)));
    drop(begin);
    saw!("{}", end(&children[0])?);
    Ok(())
}

fn no_terminal() -> Result<()> {
    saw!("{}", outcome(Os::set_foreground(Os::identity().group)));
    saw!("{}", outcome(role(&["exit", "0"]).foreground().run()));
    Ok(())
}
