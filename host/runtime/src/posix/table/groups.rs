//! Process groups: members, the foreground, and groups that nobody could continue.

use super::record::{Disposition, ProcessState, Record};
use super::{FIRST, GroupChoice, Processes, TerminalAccess};
use crate::posix::errno::Errno;
use crate::posix::signal::Signal;

impl Processes {
    /// The members of a group, those among them that were not waited for, in the order of their numbers.
    pub(super) fn members(&self, group: u32) -> Vec<u32> {
        let is_member = |record: &&Record| record.group == group && !record.is_reaped;
        let mut members: Vec<u32> = self.records.iter().filter(is_member).map(|record| record.id).collect();
        members.sort_unstable();
        members
    }

    pub(super) fn group_of(&self, id: u32) -> u32 {
        self.find(id).map_or(id, |record| record.group)
    }

    pub(super) fn signal_group(&mut self, group: u32, signal: Signal) {
        self.members(group).into_iter().for_each(|id| self.deliver(id, signal));
    }

    /// Whether every member has its parent in the group itself or outside the session. POSIX.1-2017, 3.264.
    pub(super) fn is_orphaned(&self, group: u32) -> bool {
        let mut members = self.records.iter().filter(|record| record.group == group && record.is_live());
        members.all(|record| record.is_adopted || record.parent == 0 || self.group_of(record.parent) == group)
    }

    /// The groups that may become orphaned when this process ends, and are not: its own and those of its children.
    pub(super) fn groups_that_may_be_orphaned(&self, id: u32) -> Vec<u32> {
        let is_near = |record: &&Record| record.id == id || record.parent == id;
        let mut groups: Vec<u32> = self.records.iter().filter(is_near).map(|record| record.group).collect();
        groups.sort_unstable();
        groups.dedup();
        groups.retain(|group| !self.is_orphaned(*group));
        groups
    }

    /// Those of these groups that have become orphaned and have a stopped member get SIGHUP and SIGCONT. POSIX.1-2017,
    /// `_exit`, Consequences of Process Termination.
    pub(super) fn signal_orphaned(&mut self, groups: &[u32]) {
        for group in groups {
            let has_stopped = |record: &Record| record.group == *group && matches!(record.state, ProcessState::Stopped);
            if self.is_orphaned(*group) && self.records.iter().any(has_stopped) {
                self.signal_group(*group, Signal::Hup);
                self.signal_group(*group, Signal::Cont);
            }
        }
    }

    pub(super) fn set_group(&mut self, caller: u32, id: u32, choice: GroupChoice) -> Result<(), Errno> {
        let parent = self.find(id).filter(|record| !record.is_reaped).ok_or(Errno::NoProcess)?.parent;
        if id != caller {
            // A child has begun its program.
            return Err(if parent == caller { Errno::Access } else { Errno::NoProcess });
        }
        // It leads the session.
        if id == FIRST {
            return Err(Errno::NotPermitted);
        }
        let group = match choice {
            GroupChoice::Inherit => self.group_of(parent),
            GroupChoice::New => id,
            GroupChoice::Join(group) => group,
        };
        if group != id && self.members(group).is_empty() {
            return Err(Errno::NotPermitted);
        }
        if let Some(record) = self.find_mut(id) {
            record.group = group;
        }
        // It may be in the foreground now.
        self.wake_all();
        Ok(())
    }

    pub(super) fn set_foreground(&mut self, group: u32) -> Result<(), Errno> {
        let foreground = self.foreground.ok_or(Errno::NoTerminal)?;
        // As Linux, where POSIX has EPERM.
        if self.members(group).is_empty() {
            return Err(Errno::NoProcess);
        }
        if foreground != group {
            self.foreground = Some(group);
            self.wake_all();
        }
        Ok(())
    }

    /// As `__tty_check_change` of Linux, and `job_control` of its line discipline.
    pub(super) fn terminal_access(&mut self, id: u32, signal: Signal) -> TerminalAccess {
        let Some(record) = self.find(id) else { return TerminalAccess::Refused };
        let group = record.group;
        if self.foreground.is_none_or(|foreground| foreground == group) {
            return TerminalAccess::Permitted;
        }
        if record.disposition(signal) == Disposition::Ignore {
            let permits = signal == Signal::Ttou;
            return if permits { TerminalAccess::Permitted } else { TerminalAccess::Refused };
        }
        if self.is_orphaned(group) {
            return TerminalAccess::Refused;
        }
        self.signal_group(group, signal);
        TerminalAccess::Stopped
    }
}
