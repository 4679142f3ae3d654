//! The roles in which this program starts itself. What one says goes to 1; 3, where it is given, is for the lines by
//! which the parent knows how far it is.

use crate::Os;
use crate::measured;
use crate::start::{self, Fd, input, output, role, say};
use crate::system::{Disposition, Group, How, Result, SIGNALS, System, Target};

/// Plays a role, and returns the exit status. An error is said on 2, with status 99.
pub(crate) fn play(name: &str, words: &[&str]) -> u8 {
    act(name, words).unwrap_or_else(|error| {
        say(2, &format!("{name}: {error}"));
        99
    })
}

fn act(name: &str, words: &[&str]) -> Result<u8> {
    match (name, words) {
        ("exit", [status]) => return status.parse().map_err(|_| "no status".to_owned()),
        ("both", [out, err]) => {
            say(1, out);
            say(2, err);
        }
        ("again", [count, number, word]) => {
            let number = number.parse().map_err(|_| "no number".to_owned())?;
            (0..count.parse().unwrap_or(0)).for_each(|_| say(number, word));
        }
        ("cat", paths) => cat(paths)?,
        ("take", [count]) => start::write(&output()?, &Os::read(&input()?, count.parse().unwrap_or(0))?)?,
        ("upper", []) => filter(|byte| byte.to_ascii_uppercase())?,
        ("flip", []) => filter(|byte| byte ^ 0x5a)?,
        ("emit", [count]) => emit(count.parse().unwrap_or(0))?,
        ("sum", []) => say(1, &sum(&input()?)?),
        ("numbers", []) => say(1, &format!("{:?}", Os::numbers())),
        ("argv", _) => std::env::args().for_each(|word| say(1, &word.escape_default().to_string())),
        ("env", []) => {
            let mut all: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
            all.sort();
            say(1, &format!("{all:?}"));
        }
        ("cwd", [file]) => say(1, &start::text(&Os::open(&format!("{}/{file}", start::here()), How::READ)?)?),
        ("id", []) => say(1, &Os::identity().id.to_string()),
        ("wait-for-end", []) => wait_for_end()?,
        ("pipe", how) => return broken_pipe(how),
        ("dispositions", []) => say(1, &dispositions()),
        ("ignoring", [signal, rest @ ..]) => {
            Os::set_disposition(signal, Disposition::Ignore)?;
            return exec(rest, &[signal]);
        }
        ("catching", [signal, rest @ ..]) => {
            Os::set_disposition(signal, Disposition::Catch)?;
            return exec(rest, &[]);
        }
        ("count-signals", [signal]) => count_signals(signal)?,
        ("interrupted", [signal]) => interrupted(signal)?,
        ("to-parent", [signal]) => {
            start::line(&input()?)?;
            Os::kill(Target::Process(Os::identity().parent), Some(signal))?;
        }
        ("to-self", [signal]) => Os::kill(Target::Process(0), Some(signal))?,
        ("to-own-group", [signal]) => Os::kill(Target::Group(0), Some(signal))?,
        ("parent", []) => orphaning()?,
        ("orphan", []) => orphan()?,
        ("put", []) => put()?,
        ("exec", rest) => return exec(rest, &[]),
        ("exec-fds", []) => exec_fds()?,
        ("new-group", []) => {
            Os::set_group(0, Group::New)?;
            let own = Os::identity();
            say(1, &(own.id == own.group).to_string());
        }
        (_, words) => return measured::act(name, words).unwrap_or_else(|| terminal(name, words)),
    }
    Ok(0)
}

/// Roles for steps with a terminal.
fn terminal(name: &str, words: &[&str]) -> Result<u8> {
    match (name, words) {
        ("line", []) => say(1, &format!("read {:?}", start::line(&input()?))),
        ("line-of", [path]) => {
            let terminal = Os::open(path, How { write: true, ..How::READ })?;
            say(1, &format!("{} {:?}", Os::kind(&terminal), start::line(&terminal)));
        }
        ("read-ignoring", [signal]) => {
            Os::set_disposition(signal, Disposition::Ignore)?;
            say(1, &format!("read: {}", start::outcome(Os::read(&input()?, 1))));
        }
        ("to-the-front", signals) => {
            for signal in signals {
                Os::set_disposition(signal, Disposition::Ignore)?;
            }
            let own = Os::identity();
            say(1, &format!("set-foreground: {}", start::outcome(Os::set_foreground(own.group))));
            say(1, &format!("in front: {}", Os::identity().foreground == Some(own.group)));
        }
        ("orphaned-reader", []) => orphaned_reader()?,
        ("reader-without-parent", []) => {
            start::line(&Os::get(4).ok_or("no 4")?)?;
            say(1, &format!("read: {}", start::outcome(Os::read(&input()?, 1))));
        }
        ("until-hangup", [file]) => until_hangup(file)?,
        _ => return Err(format!("no such role with {words:?}")),
    }
    Ok(0)
}

/// Copies files, or the input.
fn cat(paths: &[&str]) -> Result<()> {
    let output = output()?;
    let inputs = match paths {
        [] => vec![input()?],
        paths => paths.iter().map(|path| Os::open(path, How::READ)).collect::<Result<_>>()?,
    };
    for input in inputs {
        loop {
            let bytes = Os::read(&input, 64 << 10)?;
            if bytes.is_empty() {
                break;
            }
            start::write(&output, &bytes)?;
        }
    }
    Ok(())
}

fn filter(change: impl Fn(u8) -> u8) -> Result<()> {
    let (input, output) = (input()?, output()?);
    loop {
        let bytes = Os::read(&input, 64 << 10)?;
        if bytes.is_empty() {
            return Ok(());
        }
        start::write(&output, &bytes.into_iter().map(&change).collect::<Vec<u8>>())?;
    }
}

/// Writes so many bytes that do not repeat soon.
fn emit(count: usize) -> Result<()> {
    let output = output()?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut left = count;
    while left > 0 {
        let block: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .take(left.min(50_000))
        .collect();
        start::write(&output, &block)?;
        left -= block.len();
    }
    Ok(())
}

/// The number of bytes, and their hash (FNV-1a).
pub(crate) fn sum(input: &Fd) -> Result<String> {
    let (mut count, mut hash) = (0, 0xcbf2_9ce4_8422_2325_u64);
    loop {
        let bytes = Os::read(input, 64 << 10)?;
        if bytes.is_empty() {
            return Ok(format!("{count} bytes {hash:016x}"));
        }
        count += bytes.len();
        hash = bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    }
}

/// Says that it is there, and waits for the end of its input.
fn wait_for_end() -> Result<()> {
    say(3, "ready");
    start::bytes(&input()?).map(|_| ())
}

/// Writes until that fails: status 3 then.
fn broken_pipe(how: &[&str]) -> Result<u8> {
    match how {
        ["caught"] => drop(Os::set_disposition("PIPE", Disposition::Catch)?),
        ["ignored"] => drop(Os::set_disposition("PIPE", Disposition::Ignore)?),
        _ => {}
    }
    let output = output()?;
    loop {
        if let Err(error) = Os::write(&output, b"x") {
            say(2, &format!("{error}, then signal {:?}", Os::next_signal()));
            return Ok(3);
        }
    }
}

/// The signals that do not have their default action.
fn dispositions() -> String {
    let all = SIGNALS.iter().filter_map(|name| Some((name, Os::disposition(name).ok()?)));
    let changed = all.filter(|(_, how)| *how != Disposition::Default);
    changed.map(|(name, how)| format!("{name} {how}")).collect::<Vec<_>>().join(" | ")
}

/// Takes another role in place of this one, with all descriptors.
fn exec(words: &[&str], ignored: &[&str]) -> Result<u8> {
    let open: Vec<(u32, Fd)> =
        Os::numbers().into_iter().filter_map(|number| Some((number, Os::get(number)?))).collect();
    let start = open.iter().fold(role(words).ignoring(ignored), |start, (number, fd)| start.fd(*number, fd));
    Err(start.exec())
}

/// Keeps 1, gives what was 1 the number 7 too, and gives 5 to nobody.
fn exec_fds() -> Result<()> {
    let output = output()?;
    Os::put(5, &output)?;
    Err(role(&["numbers"]).without(0).without(2).fd(7, &output).exec())
}

/// Catches a signal, does not take it before its input ends, and counts.
fn count_signals(signal: &str) -> Result<()> {
    Os::set_disposition(signal, Disposition::Catch)?;
    say(3, "ready");
    // It is interrupted as long as a signal waits.
    while !Os::is_readable(&input()?) {
        std::hint::spin_loop();
    }
    let taken = std::iter::from_fn(Os::next_signal).collect::<Vec<_>>();
    say(1, &taken.join(" "));
    Ok(())
}

/// Reads until a signal interrupts it.
fn interrupted(signal: &str) -> Result<()> {
    Os::set_disposition(signal, Disposition::Catch)?;
    say(3, "ready");
    let read = start::outcome(Os::read(&input()?, 1));
    say(1, &format!("{read} by {:?}", Os::next_signal()));
    Ok(())
}

/// Leaves a child behind. That has 4 to know when this one has ended.
fn orphaning() -> Result<()> {
    let fds = [3, 4].map(|number| Os::get(number).ok_or("not given"));
    let [report, begin] = fds;
    let (report, begin) = (report?, begin?);
    let child = role(&["orphan"]).fd(3, &report).fd(4, &begin).spawn()?;
    say(1, &Os::id(&child).to_string());
    start::line(&input()?)?;
    Ok(())
}

fn orphan() -> Result<()> {
    let before = Os::identity().parent;
    say(3, "ready");
    start::line(&Os::get(4).ok_or("no 4")?)?;
    say(3, &format!("another parent: {}", Os::identity().parent != before));
    Ok(())
}

/// Redirects the standard library's own streams.
fn put() -> Result<()> {
    print!("to the first | ");
    std::io::Write::flush(&mut std::io::stdout()).map_err(|error| error.to_string())?;
    Os::put(1, &Os::open(&start::path("put.txt"), How::NEW)?)?;
    println!("to the file");
    let (reader, writer) = Os::pipe()?;
    start::write(&writer, b"from the pipe\n")?;
    drop(writer);
    Os::put(0, &reader)?;
    let line = std::io::stdin().lines().next().transpose().map_err(|error| error.to_string())?;
    println!("read {line:?}");
    Ok(())
}

/// Starts a reader in a group of its own and ends: then that group is orphaned.
fn orphaned_reader() -> Result<()> {
    let begin = Os::get(4).ok_or("no 4")?;
    role(&["reader-without-parent"]).group(Group::New).fd(4, &begin).spawn()?;
    Ok(())
}

/// Waits for HUP, and writes into a file that it came.
fn until_hangup(file: &str) -> Result<()> {
    Os::set_disposition("HUP", Disposition::Catch)?;
    say(3, "ready");
    Os::wait_for_signal();
    start::file(file, &format!("{:?}", Os::next_signal()))?;
    Ok(())
}
