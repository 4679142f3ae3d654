//! 64 processes that are stopped and continued at any moment, wherever they are, while they do everything that can
//! wait. Each checks what it gets; at the end all must have gone on.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader};
use std::thread::sleep;
use std::time::{Duration, Instant};

use whelk_guest::process::{Change, Child, Fd, Signal, Target, kill, pipe, wait_any};

use crate::own;

/// The roles of [`work`](crate::work) that are joined by a pipe, and how often: 32 processes.
const PAIRS: [(&str, &str, usize); 2] = [("write", "read", 9), ("write-polling", "read-polling", 7)];
/// The others: 32.
const ALONE: [(&str, usize); 6] =
    [("wait", 8), ("sleep", 4), ("files /", 6), ("files /tmp", 4), ("keys", 6), ("print", 4)];

struct Worker {
    child: Child,
    role: &'static str,
    /// It goes on until a signal tells it to end. A reader ends with its writer.
    is_told: bool,
    is_stopped: bool,
}

/// Starts all, stops and continues them for so many seconds, and says on standard error what each has done.
pub(crate) fn run(seconds: u64) -> io::Result<()> {
    let (reports, report) = pipe()?;
    let mut workers = Vec::new();
    for (writing, reading, count) in PAIRS {
        for _ in 0..count {
            let (reader, writer) = pipe()?;
            workers.push(start(writing, &report, Some(writer))?);
            workers.push(start(reading, &report, Some(reader))?);
        }
    }
    for (role, count) in ALONE {
        for _ in 0..count {
            workers.push(start(role, &report, None)?);
        }
    }
    drop(report);
    let mut lines = BufReader::new(reports).lines();
    for _ in 0..workers.len() {
        let line = lines.next().ok_or_else(|| io::Error::other("one has ended at once"))??;
        if line != "ready" {
            return Err(io::Error::other(line));
        }
    }
    eprintln!("{} processes", workers.len());
    let count = stop_and_continue(&mut workers, Duration::from_secs(seconds))?;
    end(&mut workers)?;
    let mut done: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in lines {
        let line = line?;
        let (role, times) = line.rsplit_once(' ').ok_or_else(|| io::Error::other("no number"))?;
        done.entry(role.to_owned()).or_default().push(times.parse().map_err(io::Error::other)?);
    }
    for (role, times) in done {
        eprintln!(
            "{role}: {} processes, {} at least, {} in all",
            times.len(),
            times.iter().min().unwrap_or(&0),
            times.iter().sum::<u64>()
        );
    }
    eprintln!("{count} signals");
    Ok(())
}

fn start(role: &'static str, report: &Fd, joined: Option<Fd>) -> io::Result<Worker> {
    let words: Vec<&str> = ["work"].into_iter().chain(role.split(' ')).collect();
    let mut command = own(&words);
    command.fd(3, report.try_clone()?);
    if let Some(joined) = joined {
        command.fd(4, joined);
    }
    let child = command.spawn().map_err(|error| io::Error::new(error.kind(), format!("{role}: {error}")))?;
    Ok(Worker { child, role, is_told: !role.starts_with("read"), is_stopped: false })
}

/// Sends one process after the other the signal that changes its state. Returns how often.
fn stop_and_continue(workers: &mut [Worker], time: Duration) -> io::Result<u64> {
    let (began, mut count, mut random) = (Instant::now(), 0, 0x9e37_79b9_7f4a_7c15_u64);
    while began.elapsed() < time {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let place = usize::try_from(random >> 8).unwrap_or(0) % workers.len();
        let worker = &mut workers[place];
        let signal = if worker.is_stopped { Signal::Cont } else { Signal::Stop };
        kill(Target::Process(worker.child.id()), signal)?;
        worker.is_stopped = !worker.is_stopped;
        count += 1;
        // Some moments are a few microseconds after each other, and some milliseconds.
        if random % 16 == 0 {
            sleep(Duration::from_millis(random >> 4 & 3));
        }
    }
    Ok(count)
}

/// Lets all go on, and tells them to end. Each must end well.
fn end(workers: &mut [Worker]) -> io::Result<()> {
    for worker in workers.iter() {
        let process = Target::Process(worker.child.id());
        kill(process, Signal::Cont)?;
        if worker.is_told {
            kill(process, Signal::Term)?;
        }
    }
    let mut left: Vec<&mut Worker> = workers.iter_mut().collect();
    while !left.is_empty() {
        let mut children: Vec<&mut Child> = left.iter_mut().map(|worker| &mut worker.child).collect();
        let (place, change) = wait_any(&mut children)?;
        if let Change::Exited(status) = change {
            let worker = left.remove(place);
            if !status.success() {
                return Err(io::Error::other(format!("{} ended with {status}", worker.role)));
            }
        }
    }
    Ok(())
}
