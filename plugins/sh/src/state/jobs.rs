//! The table of jobs.

use crate::system::{Change, signal_number};

/// A pipeline in the background, or stopped.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) number: u32,
    /// Its processes, and how each ended.
    pub(crate) processes: Vec<(u32, Option<Change>)>,
    /// Its process group, under job control.
    pub(crate) group: Option<u32>,
    pub(crate) text: String,
    pub(crate) stopped: bool,
    /// Whether the user was told of its last change.
    pub(crate) told: bool,
    pub(crate) disowned: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JobState {
    Running,
    Stopped(String),
    Done(i32),
    Killed(String),
}

impl Job {
    pub(crate) fn state(&self) -> JobState {
        if self.processes.iter().all(|(_, change)| matches!(change, Some(Change::Exited(_) | Change::Killed(_)))) {
            return match self.processes.last() {
                Some((_, Some(Change::Exited(status)))) => JobState::Done(*status),
                Some((_, Some(Change::Killed(signal)))) => JobState::Killed(signal.clone()),
                _ => JobState::Done(0),
            };
        }
        let stopped = self.processes.iter().find_map(|(_, change)| match change {
            Some(Change::Stopped(signal)) => Some(signal.clone()),
            _ => None,
        });
        stopped.map_or(JobState::Running, JobState::Stopped)
    }

    /// `$?` of it, while it is not done 0.
    pub(crate) fn status(&self) -> i32 {
        self.processes.last().and_then(|(_, change)| change.as_ref()).map_or(0, status_of)
    }

    pub(crate) fn last_process(&self) -> u32 {
        self.processes.last().map_or(0, |(process, _)| *process)
    }
}

/// `$?` after a change: 128 and the number of a signal.
pub(crate) fn status_of(change: &Change) -> i32 {
    match change {
        Change::Exited(status) => *status,
        Change::Killed(signal) | Change::Stopped(signal) => 128 + signal_number(signal).unwrap_or(0),
        Change::Continued => 0,
    }
}

/// The jobs, the oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Jobs {
    pub(crate) list: Vec<Job>,
    /// The numbers of the current job and of the one before.
    pub(crate) current: Vec<u32>,
    /// Statuses of processes that have ended and whose job is gone: `wait` may still ask for them.
    pub(crate) ended: Vec<(u32, i32)>,
}

/// How many statuses are kept.
const MAX_ENDED: usize = 1024;

impl Jobs {
    /// Adds a job, which becomes the current one.
    pub(crate) fn add(&mut self, processes: &[u32], group: Option<u32>, text: String) -> u32 {
        let number = self.list.iter().map(|job| job.number).max().unwrap_or(0) + 1;
        let processes = processes.iter().map(|process| (*process, None)).collect();
        self.list.push(Job { number, processes, group, text, stopped: false, told: true, disowned: false });
        self.make_current(number);
        number
    }

    pub(crate) fn make_current(&mut self, number: u32) {
        self.current.retain(|other| *other != number);
        self.current.push(number);
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Job> {
        self.list.iter().find(|job| job.number == number)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut Job> {
        self.list.iter_mut().find(|job| job.number == number)
    }

    pub(crate) fn by_process(&self, process: u32) -> Option<&Job> {
        self.list.iter().find(|job| job.processes.iter().any(|(number, _)| *number == process))
    }

    /// Notes how a process changed.
    pub(crate) fn note(&mut self, process: u32, change: &Change) {
        for job in &mut self.list {
            for (number, last) in &mut job.processes {
                if *number == process {
                    *last = (*change != Change::Continued).then(|| change.clone());
                    job.told = false;
                }
            }
        }
    }

    /// Removes a job. The status of its last process stays.
    pub(crate) fn remove(&mut self, number: u32) {
        if let Some(job) = self.get(number) {
            let ended: Vec<(u32, i32)> = job
                .processes
                .iter()
                .filter_map(|(process, change)| Some((*process, status_of(change.as_ref()?))))
                .collect();
            self.ended.extend(ended);
            let excess = self.ended.len().saturating_sub(MAX_ENDED);
            self.ended.drain(..excess);
        }
        self.list.retain(|job| job.number != number);
        self.current.retain(|other| *other != number);
    }

    /// The current job (0) or the one before (1).
    pub(crate) fn current(&self, back: usize) -> Option<u32> {
        let running = |number: &&u32| self.get(**number).is_some();
        let mut numbers: Vec<u32> = self.current.iter().rev().filter(running).copied().collect();
        // A stopped job is the current one before those that run.
        let stopped = |number: &u32| self.get(*number).is_some_and(|job| matches!(job.state(), JobState::Stopped(_)));
        numbers.sort_by_key(|number| !stopped(number));
        numbers.get(back).or(if back == 1 { numbers.first() } else { None }).copied()
    }

    /// The processes that have not ended.
    pub(crate) fn live(&self) -> Vec<u32> {
        let ended = |change: &Option<Change>| matches!(change, Some(Change::Exited(_) | Change::Killed(_)));
        let processes = self.list.iter().flat_map(|job| job.processes.iter());
        processes.filter(|(_, change)| !ended(change)).map(|(process, _)| *process).collect()
    }
}
