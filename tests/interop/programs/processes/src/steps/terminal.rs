//! Steps with a terminal. This process is the session's first, as a shell is.

use std::sync::atomic::{AtomicU32, Ordering};

use super::saw;
use crate::Os;
use crate::start::{self, Child, Fd, Start, change, end, outcome, role, say, signal};
use crate::system::{Change, Disposition, Group, How, Result, System, Target};

/// Runs the steps. A line that begins with `type` asks whoever sits before the terminal to type something.
pub(crate) fn run() -> u8 {
    // As a shell does, to give the foreground away and take it back.
    for name in ["TTIN", "TTOU", "TSTP", "INT", "QUIT"] {
        let _ = Os::set_disposition(name, Disposition::Ignore);
    }
    let steps: [(&str, fn() -> Result<()>); 14] = [
        ("the first process is in the foreground", first),
        ("a line", line),
        ("the foreground is handed over and taken back", handed_over),
        ("a background process is stopped when it reads", background_read),
        ("a background process that ignores TTIN gets EIO", ignored_ttin),
        ("a reader in an orphaned group gets EIO", orphaned_reader),
        ("a background process writes", background_write),
        ("a background process is stopped when it takes the foreground", background_foreground),
        ("a background process that ignores TTOU takes the foreground", ignored_ttou),
        ("foreground groups that do not exist", bad_groups),
        ("INT, QUIT and TSTP go to the foreground group", keys),
        ("a child that ends interrupts the read at a prompt", prompt),
        ("/dev/tty is the terminal", dev_tty),
        ("HUP at the end", hangup),
    ];
    for (name, step) in steps {
        say(1, &format!("{name}:"));
        if let Err(error) = step() {
            saw!("failed: {error}");
        }
    }
    0
}

/// Asks for keys. The requests are numbered, since some are alike.
fn ask(what: &str) {
    static ASKED: AtomicU32 = AtomicU32::new(1);
    saw!("type {}: {what}", ASKED.fetch_add(1, Ordering::Relaxed));
}

fn ours() -> Result<()> {
    Os::set_foreground(Os::identity().group)
}

fn input() -> Result<Fd> {
    Os::get(0).ok_or("no input".to_owned())
}

fn first() -> Result<()> {
    let own = Os::identity();
    saw!("group leader: {}, in front: {}", own.group == own.id, own.foreground == Some(own.group));
    let kinds = (0..3).map(|number| Os::get(number).map_or("none", |fd| Os::kind(&fd)));
    saw!("{:?}", kinds.collect::<Vec<_>>());
    saw!("a new group of its own: {}", outcome(Os::set_group(0, Group::New)));
    Ok(())
}

fn line() -> Result<()> {
    ask("a line");
    saw!("read {:?}", start::line(&input()?)?);
    ask("the end");
    saw!("read {:?}", start::text(&input()?)?);
    ask("a corrected line");
    saw!("child {}", role(&["line"]).run()?);
    Ok(())
}

fn handed_over() -> Result<()> {
    ask("a line for the child");
    let child = role(&["line"]).foreground().spawn()?;
    saw!("the child's group is in front: {}", Os::identity().foreground == Some(Os::id(&child)));
    let ended = end(&child)?;
    ours()?;
    saw!("{ended}");
    ask("a line for the parent");
    saw!("read {:?}", start::line(&input()?)?);
    Ok(())
}

fn background_read() -> Result<()> {
    let child = role(&["line"]).group(Group::New).spawn()?;
    saw!("{}", change(&child)?);
    // It stops again as long as it is in the background; whether it is seen to go on before, nobody knows.
    signal(&child, "CONT")?;
    let again = match change(&child)? {
        Change::Continued => change(&child)?,
        other => other,
    };
    saw!("again: {again}");
    Os::set_foreground(Os::id(&child))?;
    Os::kill(Target::Group(Os::id(&child)), Some("CONT"))?;
    saw!("{}", change(&child)?);
    ask("a line for the job");
    let ended = end(&child)?;
    ours()?;
    saw!("{ended}");
    Ok(())
}

fn ignored_ttin() -> Result<()> {
    saw!("{}", role(&["read-ignoring", "TTIN"]).group(Group::New).run()?);
    Ok(())
}

fn orphaned_reader() -> Result<()> {
    let (said, report) = Os::pipe()?;
    let (wait, begin) = Os::pipe()?;
    saw!("its parent {}", role(&["orphaned-reader"]).group(Group::New).fd(1, &report).fd(4, &wait).run()?);
    drop((report, wait));
    start::write(&begin, b"\n")?;
    saw!("{}", start::text(&said)?);
    Ok(())
}

fn background_write() -> Result<()> {
    saw!("{}", role(&["both", "  to the terminal", "  and again"]).group(Group::New).run()?);
    Ok(())
}

fn background_foreground() -> Result<()> {
    let child = role(&["to-the-front"]).group(Group::New).spawn()?;
    saw!("{}", change(&child)?);
    saw!("in front: {}", Os::identity().foreground == Some(Os::id(&child)));
    signal(&child, "KILL")?;
    saw!("{}", change(&child)?);
    Ok(())
}

fn ignored_ttou() -> Result<()> {
    let ended = role(&["to-the-front", "TTOU"]).group(Group::New).run()?;
    ours()?;
    saw!("{ended}");
    Ok(())
}

fn bad_groups() -> Result<()> {
    saw!("none: {}", outcome(Os::set_foreground(999_999)));
    let child = role(&["exit", "0"]).group(Group::New).spawn()?;
    end(&child)?;
    saw!("gone: {}", outcome(Os::set_foreground(Os::id(&child))));
    Ok(())
}

/// A child in the foreground, once it runs.
fn in_front(start: Start<'_>) -> Result<Child> {
    let (ready, report) = Os::pipe()?;
    let child = start.foreground().fd(3, &report).spawn()?;
    start::line(&ready)?;
    Ok(child)
}

fn keys() -> Result<()> {
    for key in ["INT", "QUIT"] {
        let child = in_front(role(&["wait-for-end"]))?;
        ask(key);
        let ended = end(&child)?;
        ours()?;
        saw!("{ended}");
    }
    let child = in_front(role(&["wait-for-end"]))?;
    let partner = role(&["wait-for-end"]).group(Group::Join(Os::id(&child))).without(3).spawn()?;
    ask("TSTP");
    let stopped = [change(&child)?, change(&partner)?];
    ours()?;
    saw!("{} | {}", stopped[0], stopped[1]);
    Os::set_foreground(Os::id(&child))?;
    Os::kill(Target::Group(Os::id(&child)), Some("CONT"))?;
    saw!("{} | {}", change(&child)?, change(&partner)?);
    ask("INT");
    let ended = [end(&child)?, end(&partner)?];
    ours()?;
    saw!("{} | {}", ended[0], ended[1]);
    Ok(())
}

fn prompt() -> Result<()> {
    Os::set_disposition("CHLD", Disposition::Catch)?;
    while Os::next_signal().is_some() {}
    let (wait, begin) = Os::pipe()?;
    let child = role(&["wait-for-end"]).group(Group::New).fd(0, &wait).without(3).spawn()?;
    // A child that ends while nobody waits for it.
    drop((wait, begin));
    saw!("read: {}", outcome(Os::read(&input()?, 1)));
    saw!("signal {:?}, child {:?}", Os::next_signal(), Os::poll(&child));
    ask("a line at the prompt");
    saw!("read {:?}", start::line(&input()?)?);
    Os::set_disposition("CHLD", Disposition::Default)?;
    Ok(())
}

fn dev_tty() -> Result<()> {
    let null = Os::open("/dev/null", How::READ)?;
    ask("a line for /dev/tty");
    let ended = role(&["line-of", "/dev/tty"]).fd(0, &null).foreground().run()?;
    ours()?;
    saw!("{ended}");
    Ok(())
}

/// The children outlive this process, for as long as they are let.
fn hangup() -> Result<()> {
    let _ = std::fs::remove_file("hangup.txt");
    let child = in_front(role(&["until-hangup", "hangup.txt"]))?;
    saw!("there: {}", Os::poll(&child).is_none_or(|change| change == Change::Continued));
    Ok(())
}
