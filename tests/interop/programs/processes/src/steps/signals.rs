//! Signals and their dispositions.

use super::{Step, saw};
use crate::Os;
use crate::start::{self, Child, Fd, Start, change, end, outcome, role, signal};
use crate::system::{Disposition, Group, Result, SIGNALS, System, Target};

pub(super) const STEPS: &[Step] = &[
    ("each signal that ends a process", endings),
    ("signals that do nothing", harmless),
    ("stop and continue are seen by wait", stop_and_continue),
    ("each signal that stops a process", stops),
    ("a stopped process keeps its signals, but for KILL", stopped),
    ("signals to a group that is orphaned do not stop it", orphaned_group),
    ("kill(0) of a living, an ended and a gone process", existence),
    ("signals that do not exist", unknown),
    ("dispositions of a new process", new_dispositions),
    ("what is ignored stays so across spawn and exec", ignored),
    ("what is caught is reset by exec", caught),
    ("set-disposition returns what it was", changed),
    ("KILL and STOP cannot be changed", unchangeable),
    ("a signal that waits counts once", once),
    ("an ignored signal does not arrive later", ignored_later),
    ("a caught signal interrupts a read", interrupted_read),
    ("a caught signal interrupts a wait", interrupted_wait),
    ("a process signals itself and its group", oneself),
];

/// A child that waits until it is told to end.
struct Waiting {
    child: Child,
    _begin: Fd,
}

fn waiting(start: Start<'_>) -> Result<Waiting> {
    let (input, begin) = Os::pipe()?;
    let (ready, report) = Os::pipe()?;
    let child = start.fd(0, &input).fd(3, &report).spawn()?;
    start::line(&ready)?;
    Ok(Waiting { child, _begin: begin })
}

fn endings() -> Result<()> {
    for name in ["KILL"].into_iter().chain(SIGNALS) {
        if matches!(name, "CHLD" | "CONT" | "URG" | "WINCH" | "TSTP" | "TTIN" | "TTOU") {
            continue;
        }
        let waiting = waiting(role(&["wait-for-end"]))?;
        signal(&waiting.child, name)?;
        saw!("{}", end(&waiting.child)?);
    }
    Ok(())
}

fn harmless() -> Result<()> {
    let Waiting { child, _begin: begin } = waiting(role(&["wait-for-end"]))?;
    for name in ["CHLD", "URG", "WINCH", "CONT"] {
        signal(&child, name)?;
    }
    drop(begin);
    saw!("{}", end(&child)?);
    Ok(())
}

fn stop_and_continue() -> Result<()> {
    let Waiting { child, _begin: begin } = waiting(role(&["wait-for-end"]))?;
    for round in 1..=2 {
        signal(&child, "STOP")?;
        saw!("{round}: {}", change(&child)?);
        signal(&child, "CONT")?;
        saw!("{round}: {}", change(&child)?);
    }
    saw!("more: {:?}", Os::poll(&child));
    drop(begin);
    saw!("{}", change(&child)?);
    Ok(())
}

fn stops() -> Result<()> {
    for name in ["STOP", "TSTP", "TTIN", "TTOU"] {
        let waiting = waiting(role(&["wait-for-end"]).group(Group::New))?;
        signal(&waiting.child, name)?;
        saw!("{}", change(&waiting.child)?);
        signal(&waiting.child, "CONT")?;
        saw!("{}", change(&waiting.child)?);
        signal(&waiting.child, "TERM")?;
        saw!("{}", change(&waiting.child)?);
    }
    Ok(())
}

fn stopped() -> Result<()> {
    let first = waiting(role(&["wait-for-end"]).group(Group::New))?;
    signal(&first.child, "STOP")?;
    saw!("{}", change(&first.child)?);
    signal(&first.child, "TERM")?;
    saw!("after TERM: {:?}, there: {}", Os::poll(&first.child), outcome(exists(&first.child)));
    signal(&first.child, "CONT")?;
    saw!("after CONT: {}", end(&first.child)?);
    let second = waiting(role(&["wait-for-end"]).group(Group::New))?;
    signal(&second.child, "STOP")?;
    saw!("{}", change(&second.child)?);
    signal(&second.child, "KILL")?;
    saw!("after KILL: {}", change(&second.child)?);
    // A CONT takes a stop that waits with it.
    let third = waiting(role(&["wait-for-end"]).group(Group::New))?;
    signal(&third.child, "CONT")?;
    saw!("CONT of a running process: {:?}", Os::poll(&third.child));
    signal(&third.child, "TERM")?;
    saw!("{}", change(&third.child)?);
    Ok(())
}

/// This process is in the group of the session's first one, which nobody in the session can continue.
fn orphaned_group() -> Result<()> {
    let Waiting { child, _begin: begin } = waiting(role(&["wait-for-end"]))?;
    for name in ["TSTP", "TTIN", "TTOU"] {
        signal(&child, name)?;
    }
    drop(begin);
    saw!("{}", change(&child)?);
    Ok(())
}

fn exists(child: &Child) -> Result<()> {
    Os::kill(Target::Process(Os::id(child)), None)
}

fn existence() -> Result<()> {
    let (reader, writer) = Os::pipe()?;
    let Waiting { child, _begin: begin } = waiting(role(&["wait-for-end"]).fd(9, &writer))?;
    drop(writer);
    saw!("living: {}", outcome(exists(&child)));
    drop(begin);
    // Its end closes what it has.
    start::text(&reader)?;
    saw!("ended: {}, TERM: {}", outcome(exists(&child)), outcome(signal(&child, "TERM")));
    saw!("{}", end(&child)?);
    saw!("gone: {}, TERM: {}", outcome(exists(&child)), outcome(signal(&child, "TERM")));
    Ok(())
}

fn unknown() -> Result<()> {
    saw!("kill: {}", outcome(Os::kill(Target::Process(0), Some("NONE"))));
    saw!("set-disposition: {}", outcome(Os::set_disposition("SIGTERM", Disposition::Ignore)));
    saw!("get-disposition: {}", outcome(Os::disposition("term")));
    Ok(())
}

fn new_dispositions() -> Result<()> {
    saw!("none: {:?}", role(&["dispositions"]).output()?);
    Os::set_disposition("USR1", Disposition::Ignore)?;
    Os::set_disposition("USR2", Disposition::Catch)?;
    saw!("here: {} and {}", Os::disposition("USR1")?, Os::disposition("USR2")?);
    saw!("given: {:?}", role(&["dispositions"]).ignoring(&["TERM", "INT", "CHLD"]).output()?);
    saw!("all: {:?}", role(&["dispositions"]).ignoring(&SIGNALS).output()?);
    Ok(())
}

fn ignored() -> Result<()> {
    saw!("{:?}", role(&["ignoring", "HUP", "dispositions"]).output()?);
    let Waiting { child, _begin: begin } = waiting(role(&["ignoring", "TERM", "wait-for-end"]))?;
    signal(&child, "TERM")?;
    drop(begin);
    saw!("after TERM: {}", end(&child)?);
    Ok(())
}

fn caught() -> Result<()> {
    saw!("{:?}", role(&["catching", "TERM", "dispositions"]).output()?);
    let waiting = waiting(role(&["catching", "TERM", "wait-for-end"]))?;
    signal(&waiting.child, "TERM")?;
    saw!("after TERM: {}", end(&waiting.child)?);
    Ok(())
}

fn changed() -> Result<()> {
    for how in [Disposition::Ignore, Disposition::Catch, Disposition::Default, Disposition::Default] {
        saw!("{how}: before {}", Os::set_disposition("USR1", how)?);
    }
    Ok(())
}

fn unchangeable() -> Result<()> {
    for name in ["KILL", "STOP"] {
        for how in [Disposition::Ignore, Disposition::Catch] {
            saw!("{name} {how}: {}", outcome(Os::set_disposition(name, how)));
        }
        saw!("{name}: {}", Os::disposition(name)?);
    }
    Ok(())
}

fn once() -> Result<()> {
    let (reader, writer) = Os::pipe()?;
    let Waiting { child, _begin: begin } = waiting(role(&["count-signals", "USR1"]).fd(1, &writer))?;
    drop(writer);
    for _ in 0..3 {
        signal(&child, "USR1")?;
    }
    drop(begin);
    saw!("{:?}, {}", start::text(&reader)?, end(&child)?);
    Ok(())
}

fn ignored_later() -> Result<()> {
    Os::set_disposition("USR1", Disposition::Ignore)?;
    Os::kill(Target::Process(0), Some("USR1"))?;
    Os::set_disposition("USR1", Disposition::Catch)?;
    saw!("{:?}", Os::next_signal());
    Os::kill(Target::Process(0), Some("USR1"))?;
    Os::wait_for_signal();
    saw!("{:?}, then {:?}", Os::next_signal(), Os::next_signal());
    // One that waits is dropped.
    Os::kill(Target::Process(0), Some("USR1"))?;
    Os::set_disposition("USR1", Disposition::Ignore)?;
    Os::set_disposition("USR1", Disposition::Catch)?;
    saw!("{:?}", Os::next_signal());
    Ok(())
}

fn interrupted_read() -> Result<()> {
    let (reader, writer) = Os::pipe()?;
    let waiting = waiting(role(&["interrupted", "USR1"]).fd(1, &writer))?;
    drop(writer);
    signal(&waiting.child, "USR1")?;
    saw!("{:?}, {}", start::text(&reader)?, end(&waiting.child)?);
    Ok(())
}

fn interrupted_wait() -> Result<()> {
    Os::set_disposition("USR1", Disposition::Catch)?;
    let long = waiting(role(&["wait-for-end"]))?;
    let (input, begin) = Os::pipe()?;
    let sender = role(&["to-parent", "USR1"]).fd(0, &input).spawn()?;
    start::write(&begin, b"\n")?;
    saw!("{:?} by {:?}", Os::wait(&[&long.child]), Os::next_signal());
    saw!("{}", end(&sender)?);
    signal(&long.child, "TERM")?;
    saw!("{:?}", Os::wait(&[&long.child]));
    Ok(())
}

fn oneself() -> Result<()> {
    saw!("{}", role(&["to-self", "TERM"]).run()?);
    let stopped = role(&["to-self", "STOP"]).spawn()?;
    saw!("{}", change(&stopped)?);
    signal(&stopped, "CONT")?;
    saw!("{}", end(&stopped)?);
    saw!("{}", role(&["to-own-group", "USR2"]).group(Group::New).run()?);
    Ok(())
}
