use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::posix::process::{ChildHandle, ProcessEntry};
use crate::posix::signal::Signal::{self, *};
use ProcessChange::{Continued, Exited, Stopped};

/// A session with a first process that runs a shell with a terminal.
fn session() -> (Arc<ProcessTable>, ProcessEntry) {
    let table = Arc::new(ProcessTable::new(32));
    table.has_terminal();
    let first = ProcessEntry::first(&table);
    (table, first)
}

fn new(group: GroupChoice) -> NewProcess {
    NewProcess { program: "cat".into(), group, ignored: SignalSet::default(), most: 64 }
}

fn child(parent: &ProcessEntry, group: GroupChoice) -> (ProcessEntry, ChildHandle) {
    parent.add_child(new(group)).unwrap()
}

fn end(process: &ProcessEntry, status: u8) {
    process.ended(ProcessEnding::Status(status), Duration::ZERO);
}

fn kill(process: &ProcessEntry, id: u32, signal: Signal) {
    process.kill(SignalTarget::Process(id), Some(signal)).unwrap();
}

#[test]
fn the_first_process_leads_the_session_and_its_children_have_numbers_of_their_own() {
    let (_, first) = session();
    assert_eq!(first.identity(), Identity { id: 1, parent: 0, group: 1, foreground: Some(1) });
    let (a, handle) = child(&first, GroupChoice::New);
    assert_eq!(a.identity(), Identity { id: 2, parent: 1, group: 2, foreground: Some(1) });
    let (b, _kept) = child(&a, GroupChoice::Inherit);
    assert_eq!(b.identity(), Identity { id: 3, parent: 2, group: 2, foreground: Some(1) });
    let (c, _kept) = child(&first, GroupChoice::Join(2));
    c.set_foreground(2).unwrap();
    assert_eq!(c.identity(), Identity { id: 4, parent: 1, group: 2, foreground: Some(2) });
    assert_eq!(first.add_child(new(GroupChoice::Join(77))).err(), Some(Errno::NotPermitted));
    assert_eq!(handle.id(), 2);
    // One that was not made after all leaves nothing behind.
    let (d, _kept) = child(&first, GroupChoice::New);
    d.abandon();
    assert_eq!(first.kill(SignalTarget::Process(d.id()), None), Err(Errno::NoProcess));
    let without = ProcessEntry::alone();
    assert_eq!(without.identity().foreground, None);
    assert_eq!(without.set_foreground(1), Err(Errno::NoTerminal));
}

#[test]
fn a_parent_is_told_each_change_once() {
    let (_, first) = session();
    let (a, handle) = child(&first, GroupChoice::New);
    assert_eq!(handle.take_change(), None);
    kill(&first, 2, Stop);
    assert!(a.is_stopped());
    assert_eq!((handle.take_change(), handle.take_change()), (Some(Stopped(Stop)), None));
    // It is stopped already.
    kill(&first, 2, Stop);
    assert_eq!(handle.take_change(), None);
    kill(&first, 2, Cont);
    assert!(!a.is_stopped());
    assert_eq!((handle.take_change(), handle.take_change()), (Some(Continued), None));
    kill(&first, 2, Cont);
    assert_eq!(handle.take_change(), None, "it ran");
    // Of changes that nobody asked about the newest is told.
    kill(&first, 2, Stop);
    kill(&first, 2, Cont);
    assert_eq!(handle.take_change(), Some(Continued));
    kill(&first, 2, Tstp);
    assert!(!handle.is_over());
    end(&a, 7);
    assert_eq!(handle.take_change(), Some(Exited(ProcessEnding::Status(7))));
    assert!(handle.is_over());
    assert_eq!(handle.take_change(), None);
}

#[test]
fn an_ended_process_is_there_until_it_was_waited_for_and_its_number_as_long_as_somebody_holds_it() {
    let (table, first) = session();
    table.change(|processes| processes.last = HIGHEST - 1);
    let (a, handle) = child(&first, GroupChoice::New);
    assert_eq!(a.id(), HIGHEST);
    let check = |id| first.kill(SignalTarget::Process(id), None);
    end(&a, 0);
    assert_eq!(check(HIGHEST), Ok(()));
    assert_eq!(first.kill(SignalTarget::Group(HIGHEST), Some(Int)), Ok(()));
    // Its group can still be joined, as by the rest of a pipeline.
    let (b, _kept) = child(&first, GroupChoice::Join(HIGHEST));
    assert_eq!((b.id(), b.identity().group), (2, HIGHEST));
    assert!(handle.take_change().is_some());
    assert_eq!(check(HIGHEST), Err(Errno::NoProcess));
    let numbers = |count: u32| {
        let mut numbers = Vec::new();
        for _ in 0..count {
            table.change(|processes| processes.last = HIGHEST - 1);
            let (process, handle) = child(&first, GroupChoice::Inherit);
            numbers.push(process.id());
            drop(handle);
            end(&process, 0);
        }
        numbers
    };
    // Held by the handle, then by the group.
    assert_eq!(numbers(1), [3]);
    drop(handle);
    assert_eq!(numbers(1), [3]);
    assert_eq!(b.set_group(0, GroupChoice::New), Ok(()));
    assert_eq!(numbers(2), [HIGHEST, HIGHEST]);
}

#[test]
fn nobody_waits_for_a_child_that_was_dropped() {
    let (table, first) = session();
    let (a, handle) = child(&first, GroupChoice::New);
    drop(handle);
    assert_eq!(first.kill(SignalTarget::Process(2), None), Ok(()), "it goes on");
    end(&a, 0);
    assert_eq!(first.kill(SignalTarget::Process(2), None), Err(Errno::NoProcess));
    assert_eq!(table.live_others(), 0);
}

#[test]
fn there_are_only_so_many_processes_with_those_that_nobody_waited_for_and_only_so_many_generations() {
    let table = Arc::new(ProcessTable::new(2));
    let first = ProcessEntry::first(&table);
    let few = || NewProcess { most: 3, ..new(GroupChoice::Inherit) };
    let (a, of_a) = first.add_child(few()).unwrap();
    let (b, _of_b) = a.add_child(few()).unwrap();
    assert_eq!(first.add_child(few()).err(), Some(Errno::TooManyProcesses));
    end(&a, 0);
    assert_eq!(first.add_child(few()).err(), Some(Errno::TooManyProcesses));
    assert!(of_a.take_change().is_some());
    let (_c, _of_c) = first.add_child(few()).unwrap();
    // Its parent has ended, so that it is of the first generation now.
    let (d, _of_d) = b.add_child(new(GroupChoice::Inherit)).unwrap();
    assert_eq!(d.add_child(new(GroupChoice::Inherit)).err(), Some(Errno::TooManyProcesses), "the third generation");
    end(&d, 0);
    // A supervisor that starts its successor and ends.
    let (mut last, _of_last) = first.add_child(new(GroupChoice::Inherit)).unwrap();
    for _ in 0..10 {
        let (next, of_next) = last.add_child(new(GroupChoice::Inherit)).unwrap();
        end(&last, 0);
        // Whoever started it has ended, and its handles with it.
        drop(of_next);
        last = next;
    }
    table.close(Hup);
    assert_eq!(first.add_child(new(GroupChoice::Inherit)).err(), Some(Errno::TooManyProcesses));
}

#[test]
fn signals_are_ignored_caught_or_do_what_they_do_by_default() {
    let (_, first) = session();
    let (a, handle) = child(&first, GroupChoice::New);
    assert_eq!(a.set_disposition(Int, Disposition::Catch), Ok(Disposition::Default));
    assert_eq!(a.set_disposition(Term, Disposition::Ignore), Ok(Disposition::Default));
    for signal in [Winch, Urg, Chld, Term, Int, Int] {
        kill(&first, 2, signal);
    }
    assert!(a.is_interrupted() && a.killed().is_none());
    assert_eq!((a.next_signal(), a.next_signal()), (Some(Int), None));
    assert!(!a.is_interrupted());
    // In the order in which they came, each once.
    a.catch_only([Usr1, Usr2, Int, Kill].into_iter().collect());
    for signal in [Usr2, Int, Usr1, Int, Usr2] {
        kill(&first, 2, signal);
    }
    assert_eq!([(); 4].map(|()| a.next_signal()), [Some(Usr2), Some(Int), Some(Usr1), None]);
    // One that is no longer caught does not wait.
    kill(&first, 2, Usr1);
    assert_eq!(a.set_disposition(Usr1, Disposition::Ignore), Ok(Disposition::Catch));
    assert!(!a.is_interrupted() && a.next_signal().is_none());
    for signal in [Kill, Stop] {
        assert_eq!(a.set_disposition(signal, Disposition::Ignore), Err(Errno::Invalid));
    }
    assert_eq!(a.disposition(Kill), Disposition::Default);
    kill(&first, 2, Hup);
    kill(&first, 2, Kill);
    assert_eq!(a.killed(), Some(Hup), "the first counts");
    assert_eq!(handle.take_change(), None, "its instance lives yet");
    // A program that takes its place ignores what its parent wants, and catches nothing.
    let (b, _of_b) =
        first.add_child(NewProcess { ignored: [Hup, Kill].into_iter().collect(), ..new(GroupChoice::New) }).unwrap();
    assert_eq!((b.disposition(Hup), b.disposition(Kill)), (Disposition::Ignore, Disposition::Default));
    b.catch_only([Int].into_iter().collect());
    kill(&first, b.id(), Int);
    b.replaced("sed".into(), [Term, Kill, Stop].into_iter().collect());
    assert_eq!([Kill, Stop].map(|signal| b.disposition(signal)), [Disposition::Default; 2]);
    assert_eq!((b.is_interrupted(), b.killed()), (false, Some(Int)), "it was not taken before");
    let (c, _of_c) = child(&first, GroupChoice::New);
    c.catch_only([Term, Winch].into_iter().collect());
    kill(&first, c.id(), Term);
    kill(&first, c.id(), Winch);
    c.replaced("sed".into(), [Term].into_iter().collect());
    assert_eq!((c.is_interrupted(), c.killed()), (false, None));
    assert_eq!([Int, Term, Hup].map(|signal| b.disposition(signal)), {
        [Disposition::Default, Disposition::Ignore, Disposition::Default]
    });
}

#[test]
fn a_stopped_process_handles_nothing_but_kill_until_it_continues() {
    let (_, first) = session();
    let (a, _of_a) = child(&first, GroupChoice::New);
    a.catch_only([Usr1].into_iter().collect());
    for signal in [Stop, Term, Usr1] {
        kill(&first, 2, signal);
    }
    assert!(a.is_stopped() && a.must_wait() && a.killed().is_none());
    kill(&first, 2, Cont);
    assert!(!a.is_stopped());
    assert_eq!((a.killed(), a.next_signal()), (Some(Term), Some(Usr1)));
    assert!(a.must_wait(), "what a signal ends goes on nowhere");
    let (b, _of_b) = child(&first, GroupChoice::New);
    kill(&first, 3, Stop);
    kill(&first, 3, Kill);
    assert_eq!(b.killed(), Some(Kill));
    // It continues even if it ignores that or catches it.
    let (c, of_c) = child(&first, GroupChoice::New);
    for how in [Disposition::Ignore, Disposition::Catch] {
        c.set_disposition(Cont, how).unwrap();
        kill(&first, 4, Stop);
        assert_eq!((c.is_stopped(), of_c.take_change()), (true, Some(Stopped(Stop))));
        kill(&first, 4, Cont);
        assert_eq!((c.is_stopped(), of_c.take_change()), (false, Some(Continued)));
    }
    assert_eq!(c.next_signal(), Some(Cont));
}

#[test]
fn the_parent_gets_a_signal_of_each_change() {
    let (_, first) = session();
    first.catch_only([Chld].into_iter().collect());
    let (a, _of_a) = child(&first, GroupChoice::New);
    for signal in [Stop, Cont] {
        kill(&first, 2, signal);
        assert_eq!((first.next_signal(), first.next_signal()), (Some(Chld), None));
    }
    end(&a, 0);
    assert_eq!(first.next_signal(), Some(Chld));
}

#[test]
fn signals_reach_groups_and_nobody_outside_the_session() {
    let (_, first) = session();
    let (a, _of_a) = child(&first, GroupChoice::New);
    let (b, _of_b) = child(&first, GroupChoice::Join(2));
    let (c, _of_c) = child(&first, GroupChoice::New);
    let other = ProcessEntry::alone();
    for target in [SignalTarget::Process(5), SignalTarget::Group(5), SignalTarget::Process(u32::MAX)] {
        assert_eq!(first.kill(target, Some(Kill)), Err(Errno::NoProcess));
        assert_eq!(first.kill(target, None), Err(Errno::NoProcess));
    }
    assert_eq!(other.kill(SignalTarget::Process(2), Some(Kill)), Err(Errno::NoProcess));
    assert_eq!(first.kill(SignalTarget::Group(2), None), Ok(()));
    first.kill(SignalTarget::Group(2), Some(Term)).unwrap();
    assert_eq!([&a, &b, &c, &first].map(ProcessEntry::killed), [Some(Term), Some(Term), None, None]);
    c.kill(SignalTarget::Process(0), Some(Usr1)).unwrap();
    assert_eq!(c.killed(), Some(Usr1));
    first.kill(SignalTarget::Group(0), Some(Usr2)).unwrap();
    assert_eq!(first.killed(), Some(Usr2));
}

#[test]
fn the_terminals_signals_go_to_the_foreground_and_the_clients_to_the_first_group() {
    let (table, first) = session();
    let (a, _of_a) = child(&first, GroupChoice::New);
    let (b, _of_b) = child(&first, GroupChoice::New);
    first.set_foreground(2).unwrap();
    table.signal_foreground(Int);
    assert_eq!([&a, &b, &first].map(ProcessEntry::killed), [Some(Int), None, None]);
    assert_eq!(first.set_foreground(9), Err(Errno::NoProcess));
    first.set_foreground(3).unwrap();
    table.hang_up_foreground();
    assert_eq!([&b, &first].map(ProcessEntry::killed), [Some(Hup), None]);
    table.signal_first_group(Term);
    assert_eq!(first.killed(), Some(Term));
}

#[test]
fn a_process_of_the_background_stops_when_it_uses_the_terminal() {
    let (_, first) = session();
    let (a, of_a) = child(&first, GroupChoice::New);
    assert_eq!(first.read_terminal(), TerminalAccess::Permitted);
    assert_eq!(a.read_terminal(), TerminalAccess::Stopped);
    assert_eq!((a.is_stopped(), of_a.take_change()), (true, Some(Stopped(Ttin))));
    kill(&first, 2, Cont);
    assert_eq!(a.change_terminal(), TerminalAccess::Stopped);
    first.set_foreground(2).unwrap();
    kill(&first, 2, Cont);
    assert_eq!((a.read_terminal(), a.change_terminal()), (TerminalAccess::Permitted, TerminalAccess::Permitted));
    // Now the first process is in the background, and nobody could continue it.
    assert_eq!((first.read_terminal(), first.change_terminal()), (TerminalAccess::Refused, TerminalAccess::Refused));
    first.set_disposition(Ttou, Disposition::Ignore).unwrap();
    assert_eq!((first.read_terminal(), first.change_terminal()), (TerminalAccess::Refused, TerminalAccess::Permitted));
    first.set_foreground(1).unwrap();
    a.set_disposition(Ttin, Disposition::Ignore).unwrap();
    assert_eq!(a.read_terminal(), TerminalAccess::Refused);
    a.set_disposition(Ttin, Disposition::Catch).unwrap();
    assert_eq!((a.read_terminal(), a.is_stopped(), a.next_signal()), (TerminalAccess::Stopped, false, Some(Ttin)));
    let without = ProcessEntry::alone();
    assert_eq!(without.read_terminal(), TerminalAccess::Permitted);
}

#[test]
fn no_key_stops_a_group_that_nobody_could_continue() {
    let (_, first) = session();
    for signal in [Tstp, Ttin, Ttou] {
        first.raise(signal);
        assert!(!first.is_stopped() && first.killed().is_none());
    }
    // A child in the group of its parent, which is orphaned.
    let (a, _of_a) = child(&first, GroupChoice::Inherit);
    kill(&first, a.id(), Tstp);
    assert!(!a.is_stopped());
    kill(&first, a.id(), Stop);
    assert!(a.is_stopped());
    kill(&first, 1, Stop);
    assert!(first.is_stopped());
}

#[test]
fn a_group_with_stopped_members_that_becomes_orphaned_is_hung_up_and_continues() {
    let (_, first) = session();
    let (shell, of_shell) = child(&first, GroupChoice::New);
    let (job, _of_job) = child(&shell, GroupChoice::New);
    let (runs, _of_runs) = child(&shell, GroupChoice::New);
    job.catch_only([Hup, Cont].into_iter().collect());
    kill(&first, job.id(), Tstp);
    assert!(job.is_stopped());
    end(&shell, 0);
    assert!(!job.is_stopped());
    assert_eq!((job.next_signal(), job.next_signal()), (Some(Hup), Some(Cont)));
    assert_eq!(runs.killed(), None, "none of its group was stopped");
    assert_eq!(job.identity().parent, 1);
    assert_eq!(of_shell.take_change(), Some(Exited(ProcessEnding::Status(0))));
    // Nobody is left that would continue it.
    kill(&first, job.id(), Tstp);
    assert!(!job.is_stopped());
}

#[test]
fn the_end_of_the_first_process_orphans_the_groups_of_its_children() {
    let (table, first) = session();
    let (job, _of_job) = child(&first, GroupChoice::New);
    let (runs, _of_runs) = child(&first, GroupChoice::New);
    job.catch_only([Hup, Cont].into_iter().collect());
    kill(&first, job.id(), Tstp);
    assert_eq!((job.is_stopped(), runs.read_terminal()), (true, TerminalAccess::Stopped));
    kill(&first, runs.id(), Cont);
    table.first_ended();
    assert_eq!([job.next_signal(), job.next_signal()], [Some(Hup), Some(Cont)]);
    assert_eq!((job.is_stopped(), runs.read_terminal(), runs.is_stopped()), (false, TerminalAccess::Refused, false));
    assert_eq!((job.identity().parent, table.live_others()), (1, 2));
    assert_eq!(runs.kill(SignalTarget::Process(1), None), Err(Errno::NoProcess));
    end(&runs, 0);
    assert_eq!(table.others(), ["2 (cat)"]);
}

#[test]
fn groups_are_joined_and_left_by_oneself() {
    let (_, first) = session();
    let (a, _of_a) = child(&first, GroupChoice::Inherit);
    let (b, _of_b) = child(&a, GroupChoice::Inherit);
    assert_eq!(first.set_group(2, GroupChoice::New), Err(Errno::Access), "it runs its program");
    assert_eq!(a.set_group(0, GroupChoice::New), Ok(()));
    assert_eq!(a.identity().group, 2);
    assert_eq!(first.set_group(3, GroupChoice::Join(2)), Err(Errno::NoProcess), "it is no child");
    assert_eq!(b.set_group(0, GroupChoice::Join(2)), Ok(()));
    assert_eq!(b.set_group(0, GroupChoice::Join(4)), Err(Errno::NotPermitted));
    assert_eq!(b.set_group(0, GroupChoice::Join(3)), Ok(()), "its own");
    assert_eq!(b.set_group(3, GroupChoice::Inherit), Ok(()));
    assert_eq!(b.identity().group, 2);
    assert_eq!(first.set_group(0, GroupChoice::New), Err(Errno::NotPermitted), "it leads the session");
}

#[test]
fn the_time_of_children_counts_when_they_were_waited_for() {
    let (_, first) = session();
    let (a, of_a) = child(&first, GroupChoice::Inherit);
    let (b, of_b) = child(&a, GroupChoice::Inherit);
    let (c, of_c) = child(&a, GroupChoice::Inherit);
    b.ended(ProcessEnding::Status(0), Duration::from_millis(3));
    c.ended(ProcessEnding::Status(0), Duration::from_millis(5));
    assert!(of_b.take_change().is_some());
    assert_eq!(a.children_time(), Duration::from_millis(3));
    drop(of_c);
    a.ended(ProcessEnding::Status(0), Duration::from_millis(10));
    assert_eq!(first.children_time(), Duration::ZERO);
    assert!(of_a.take_change().is_some());
    assert_eq!(first.children_time(), Duration::from_millis(13));
}

#[test]
fn the_end_of_the_session_hangs_up_then_kills_and_is_watched() {
    let (table, first) = session();
    let (a, _of_a) = child(&first, GroupChoice::New);
    let (b, _of_b) = child(&first, GroupChoice::New);
    a.set_disposition(Hup, Disposition::Ignore).unwrap();
    kill(&first, 2, Stop);
    table.close(Hup);
    assert!(!a.is_stopped());
    assert_eq!([&a, &b, &first].map(ProcessEntry::killed), [None, Some(Hup), None]);
    table.close(Kill);
    assert_eq!(a.killed(), Some(Kill));
    struct Wakes(std::sync::atomic::AtomicUsize);
    impl std::task::Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }
    let wakes = Arc::new(Wakes(0.into()));
    let waker = Waker::from(Arc::clone(&wakes));
    let context = Context::from_waker(&waker);
    for process in [&a, &b] {
        assert!(table.has_others_or_watches(&context));
        end(process, 0);
    }
    assert!(!table.has_others_or_watches(&context));
    assert_eq!(wakes.0.load(std::sync::atomic::Ordering::SeqCst), 2);
    // One that could not be made after all.
    let (table, first) = session();
    let (c, _of_c) = child(&first, GroupChoice::New);
    assert!(table.has_others_or_watches(&context));
    c.abandon();
    assert_eq!(wakes.0.load(std::sync::atomic::Ordering::SeqCst), 3);
    assert!(!table.has_others_or_watches(&context));
}

#[test]
fn a_process_is_woken_by_what_concerns_it() {
    struct Wakes(std::sync::atomic::AtomicUsize);
    impl std::task::Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }
    let (_, first) = session();
    let (a, _of_a) = child(&first, GroupChoice::New);
    let woken = |process: &ProcessEntry, work: &dyn Fn()| {
        let wakes = Arc::new(Wakes(0.into()));
        let waker = Waker::from(Arc::clone(&wakes));
        process.register_waker(&Context::from_waker(&waker));
        work();
        wakes.0.load(std::sync::atomic::Ordering::SeqCst) == 1
    };
    assert!(!woken(&a, &|| kill(&first, 2, Winch)));
    assert!(woken(&a, &|| kill(&first, 2, Stop)));
    assert!(woken(&a, &|| kill(&first, 2, Cont)));
    assert!(woken(&a, &|| first.set_foreground(2).unwrap()));
    assert!(!woken(&a, &|| first.set_foreground(2).unwrap()));
    assert!(woken(&first, &|| kill(&first, 2, Stop)), "its child was stopped");
    assert!(woken(&first, &|| end(&a, 0)));
}
