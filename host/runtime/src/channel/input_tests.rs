//! The rules of the inbox, one by one.

use std::future::Future;
use std::task::{Context, Waker};

use super::super::output::OpenReply;
use super::stdin::StdinRead;
use super::*;
use crate::session_pipes;
use crate::session_types::Pty;

/// What comes out, in words.
fn drain(input: &mut Inbound) -> Vec<String> {
    let mut heard = Vec::new();
    let mut into = Buffer::default();
    while let Some(taken) = input.next(&mut into, 4) {
        heard.push(match taken {
            InputItem::Data { kind } => {
                let text = String::from_utf8_lossy(into.front(usize::MAX / 2)).into_owned();
                into.take(into.len());
                format!("{} {text}", kind.map_or("data".to_owned(), |kind| kind.to_string()))
            }
            InputItem::ChannelEvent(event) => format!("{event:?}"),
        });
    }
    heard
}

fn started() -> Inbound {
    let mut input = Inbound::default();
    start(&mut input);
    input
}

/// The session is opened and a program request accepted.
fn start(input: &mut Inbound) {
    assert!(
        input.lifecycle.open(OpenReply::Accepted)
            && input.lifecycle.begin_program()
            && input.lifecycle.accept().is_some()
    );
}

#[test]
fn a_run_that_is_alone_is_handed_over_whole_and_one_of_several_in_pieces() {
    let mut input = started();
    input.data(None, b"abc");
    input.data(None, b"defgh");
    assert_eq!(drain(&mut input), ["data abcdefgh"]);
    input.data(None, b"abcdef");
    input.data(Some(2), b"gh");
    input.data(None, b"ij");
    assert_eq!(drain(&mut input), ["data abcd", "data ef", "2 gh", "data ij"]);
}

#[test]
fn before_the_start_data_and_eof_wait_and_keep_their_order() {
    let mut input = Inbound::default();
    input.data(None, b"one");
    input.event(ChannelEvent::Shell);
    input.data(None, b"two");
    input.event(ChannelEvent::Eof);
    input.event(ChannelEvent::Close);
    assert_eq!(drain(&mut input), ["Shell", "Close"]);
    assert!(!input.has_next());
    start(&mut input);
    assert_eq!(drain(&mut input), ["data onetwo", "Eof"]);
}

#[test]
fn resizes_and_data_between_them_take_one_entry_each() {
    let mut input = started();
    assert_eq!(input.event(ChannelEvent::WindowChange(WindowSize::default())), Answer::Session);
    for _ in 0..10_000 {
        input.data(None, b"x");
        let resize = ChannelEvent::WindowChange(WindowSize { columns: 7, ..WindowSize::default() });
        assert_eq!(input.event(resize), Answer::Host(true));
    }
    assert!(input.queue.items.len() <= 2, "{} entries", input.queue.items.len());
    let heard = drain(&mut input);
    assert!(heard[0].contains("columns: 7"));
    assert_eq!(heard.len(), 2);
}

#[test]
fn what_the_plugin_has_no_handler_for_is_answered_at_once() {
    let mut input = started();
    let request =
        || ChannelEvent::Request { name: "winadj@putty.projects.tartarus.org".to_owned(), payload: Vec::new() };
    assert_eq!(input.event(request()), Answer::Session);
    input.queue.set_missing_handlers(MissingHandlers { requests: true, breaks: false });
    assert_eq!(input.event(request()), Answer::Host(false));
    assert_eq!(input.event(ChannelEvent::Break { length_ms: 0 }), Answer::Session);
    input.queue.set_missing_handlers(MissingHandlers { requests: false, breaks: true });
    assert_eq!(input.event(request()), Answer::Session);
    assert_eq!(input.event(ChannelEvent::Break { length_ms: 0 }), Answer::Host(false));
    assert_eq!(drain(&mut input).len(), 3);
}

#[test]
fn a_burst_of_variables_leaves_room_for_what_comes_after_it() {
    let mut input = Inbound::default();
    for number in 0..900 {
        let variable = ChannelEvent::Env { name: format!("LC_{number}"), value: vec![b'x'; 60] };
        assert_eq!(input.event(variable), Answer::Session);
    }
    assert_eq!(input.event(ChannelEvent::Exec(vec![b'x'; 255 << 10])), Answer::Session);
    assert_eq!(drain(&mut input).len(), 901);
    assert_eq!((input.queue.weight, input.queue.requests, input.queue.variables), (0, 0, 0));
}

#[test]
fn a_variable_of_the_host_is_no_request_and_keeps_its_place() {
    let mut input = Inbound::default();
    let variable = |name: &str| ChannelEvent::HostVariable { name: name.to_owned(), value: b"x".to_vec() };
    assert_eq!(input.event(variable("A")), Answer::None);
    assert_eq!(input.event(ChannelEvent::Env { name: "B".to_owned(), value: Vec::new() }), Answer::Session);
    assert_eq!(input.event(variable("C")), Answer::None);
    assert_eq!(input.event(ChannelEvent::Shell), Answer::Session);
    assert_eq!(drain(&mut input).len(), 4);
    assert_eq!((input.queue.weight, input.queue.requests, input.queue.variables), (0, 0, 0));
    input.request_end(Ending::Drained);
    assert_eq!(input.event(variable("D")), Answer::None);
}

#[test]
fn a_program_request_and_its_variable_are_queued_together_or_not_at_all() {
    let variable = || ChannelEvent::HostVariable { name: "ORIGINAL".to_owned(), value: vec![b'x'; 255 << 10] };
    let exec = || ChannelEvent::Exec(b"forced".to_vec());
    let mut input = Inbound::default();
    let answers: Vec<_> = (0..256).map(|_| input.event_with_variable(variable(), exec())).collect();
    assert!(answers[..4].iter().all(|answer| *answer == Answer::Session));
    assert!(answers[4..].iter().all(|answer| *answer == Answer::Host(false)));
    assert!(input.queue.weight <= WEIGHT);
    assert_eq!((input.queue.items.len(), input.queue.variables, input.queue.requests), (8, 4, 4));
    let heard = drain(&mut input);
    assert!(heard[0].starts_with("HostVariable") && heard[1].starts_with("Exec"));
    assert_eq!((heard.len(), input.queue.weight), (8, 0));
    // Short ones are bounded by the number of requests.
    let short = || ChannelEvent::HostVariable { name: "A".to_owned(), value: Vec::new() };
    for number in 0..1000 {
        let expected = if number < REQUESTS { Answer::Session } else { Answer::Host(false) };
        assert_eq!(input.event_with_variable(short(), exec()), expected, "{number}");
    }
    assert_eq!(input.queue.items.len(), 2 * REQUESTS);
    drain(&mut input);
    // After a program has started the request is answered in its turn, and the variable is dropped.
    start(&mut input);
    assert_eq!(input.event_with_variable(variable(), exec()), Answer::Session);
    assert_eq!((input.queue.items.len(), input.queue.weight), (1, 6));
    assert_eq!(drain(&mut input).len(), 1);
    input.request_end(Ending::ClientClosed);
    assert_eq!(input.event_with_variable(variable(), exec()), Answer::None);
    assert_eq!((input.queue.items.len(), input.queue.weight), (0, 0));
}

#[test]
fn runs_of_ever_changing_kinds_cannot_fill_the_memory() {
    let mut input = started();
    for kind in 0..100_000 {
        input.data(Some(kind), b"x");
    }
    assert_eq!(input.queue.items.len(), RUNS);
    assert_eq!(input.queue.bytes.len(), RUNS);
    // Nothing in the middle is missing: the session is over.
    assert_eq!(input.lifecycle.ended().map(|(why, _)| why), Some(Ending::Drained));
    assert_eq!(input.lifecycle.notice().as_deref(), Some(TOO_MANY_RUNS));
    assert_eq!(drain(&mut input).len(), RUNS);
}

#[test]
fn runs_are_one_again_when_the_event_between_them_has_left() {
    let mut input = started();
    for round in 0..10_000 {
        input.data(None, b"x");
        input.event(ChannelEvent::Break { length_ms: 0 });
        if round % 50 == 49 {
            while input.queue.next_event().is_some() {}
            assert_eq!((input.queue.items.len(), input.queue.runs), (1, 1));
        }
    }
    input.data(Some(1), b"yy");
    input.event(ChannelEvent::Break { length_ms: 0 });
    input.data(None, b"z");
    assert!(input.queue.next_event().is_some() && input.queue.next_event().is_none());
    assert_eq!(input.queue.runs, 3);
    let (read, taken) = input.queue.read(20_000);
    assert!(matches!(read, StdinRead::Bytes(bytes) if bytes.len() == 10_000) && taken == 10_000);
    assert_eq!(input.queue.read(20_000), (StdinRead::Bytes("z".into()), 3));
    assert_eq!((input.queue.runs, input.queue.bytes.len()), (0, 0));
    input.data(None, b"second");
    let mut first = Buffer::default();
    first.push(b"first ");
    input.queue.put_back(None, first);
    assert_eq!(input.queue.runs, 1);
    assert_eq!(input.queue.read(100), (StdinRead::Bytes("first second".into()), 12));
}

#[test]
fn no_signal_that_waits_keeps_out_one_that_ends_the_process_or_stops_it() {
    let signal = |name: &str| ChannelEvent::Signal(SignalName::from_wire(name));
    let mut input = started();
    input.queue.catch(vec![SignalName::Int]);
    for _ in 0..1000 {
        assert_eq!(input.event(signal("INT")), Answer::Host(true));
    }
    assert_eq!(input.queue.caught.len(), 1);
    for name in ["URG", "nonsense"].repeat(100) {
        input.event(signal(name));
    }
    assert_eq!(input.queue.signals, SIGNALS);
    for _ in 0..REQUESTS {
        input.event(ChannelEvent::Break { length_ms: 0 });
    }
    let serious = ["KILL", "TERM", "HUP", "QUIT", "PIPE", "USR1", "STOP", "CONT"];
    for name in serious.repeat(100) {
        input.event(signal(name));
    }
    assert_eq!(input.queue.signals, SIGNALS + serious.len());
    assert!(serious.iter().all(|name| input.queue.waits(&signal(name))));
    drain(&mut input);
    assert_eq!((input.queue.signals, input.queue.requests, input.queue.weight), (0, 0, 0));
}

#[test]
fn what_a_program_leaves_behind_is_the_next_processes_and_interrupts_nothing() {
    let mut input = started();
    for name in [SignalName::Int, SignalName::Term, SignalName::Int] {
        input.queue.leave_caught(name);
    }
    assert!(input.queue.has_caught() && !input.queue.interrupts());
    let taken = [(); 3].map(|()| input.queue.take_caught());
    assert_eq!(taken, [Some(SignalName::Int), Some(SignalName::Term), None]);
}

#[test]
fn what_was_caught_before_a_program_runs_keeps_nobody_awake() {
    let (inbox, _outbox, mut half) = session_pipes(1 << 10, Arc::new(|| {}));
    half.shared().catch(vec![SignalName::Int, SignalName::from_wire("WINCH")]);
    inbox.event(ChannelEvent::Signal(SignalName::Int));
    inbox.event(ChannelEvent::WindowChange(WindowSize::default()));
    assert!(half.has_next() && half.next_early().is_none());
    let waits = std::pin::pin!(half.arrival()).poll(&mut Context::from_waker(Waker::noop()));
    assert!(waits.is_pending());
}

#[test]
fn a_read_of_no_bytes_is_no_end_while_some_wait() {
    let (inbox, _outbox, half) = session_pipes(1 << 10, Arc::new(|| {}));
    inbox.data(None, b"x");
    inbox.end(Ending::ClientClosed);
    let pipes = half.shared();
    assert_eq!(pipes.read_stdin(0), StdinRead::Nothing);
    assert_eq!(pipes.read_stdin(9), StdinRead::Bytes("x".into()));
    assert_eq!(pipes.read_stdin(0), StdinRead::End);
}

#[test]
fn the_weight_of_what_waits_is_bounded_and_given_back() {
    let mut input = started();
    let large = || ChannelEvent::Request { name: "large".to_owned(), payload: vec![0; 100_000] };
    let answers: Vec<_> = (0..12).map(|_| input.event(large())).collect();
    assert_eq!(answers[..10], [Answer::Session; 10]);
    assert_eq!(answers[10..], [Answer::Host(false); 2]);
    assert_eq!(drain(&mut input).len(), 10);
    assert_eq!((input.queue.weight, input.queue.requests, input.queue.signals), (0, 0, 0));
}

#[test]
fn a_signal_that_does_not_fit_takes_no_signals_place() {
    let mut input = started();
    for _ in 0..REQUESTS {
        input.event(ChannelEvent::Break { length_ms: 0 });
    }
    for _ in 0..40 {
        input.event(ChannelEvent::Signal(SignalName::Int));
    }
    drain(&mut input);
    assert_eq!(input.queue.signals, 0);
    input.event(ChannelEvent::Signal(SignalName::Int));
    assert_eq!(drain(&mut input), ["Signal(Int)"]);
}

#[test]
fn caught_signals_are_taken_apart_and_answered_by_the_host() {
    let mut input = started();
    input.queue.catch(vec![SignalName::Int, SignalName::Other("WINCH".to_owned())]);
    input.event(ChannelEvent::Shell);
    for caught in [
        ChannelEvent::Signal(SignalName::Int),
        ChannelEvent::WindowChange(WindowSize::default()),
        ChannelEvent::WindowChange(WindowSize::default()),
    ] {
        assert_eq!(input.event(caught), Answer::Host(true));
    }
    input.event(ChannelEvent::Signal(SignalName::Term));
    assert!(input.queue.has_caught());
    assert_eq!(drain(&mut input), ["Shell", "Signal(Term)"]);
    assert_eq!(input.queue.take_caught(), Some(SignalName::Int));
    assert_eq!(input.queue.take_caught(), Some(SignalName::Other("WINCH".to_owned())));
    assert_eq!(input.queue.take_caught(), None);
}

#[test]
fn the_size_of_a_new_terminal_counts_more_than_one_from_before() {
    let mut input = started();
    let size = |columns| WindowSize { columns, ..WindowSize::default() };
    input.event(ChannelEvent::WindowChange(size(1)));
    input.event(ChannelEvent::PtyReq(Pty {
        term: String::new(),
        size: size(2),
        modes: Vec::new(),
        erase_by_width: false,
    }));
    assert_eq!(input.queue.size(), Some(size(2)));
    input.event(ChannelEvent::WindowChange(size(3)));
    assert_eq!(input.queue.size(), Some(size(3)));
    assert_eq!(drain(&mut input).len(), 2);
}

#[test]
fn eof_and_close_count_once_and_after_the_end_nothing_comes() {
    let mut input = started();
    for _ in 0..3 {
        input.event(ChannelEvent::Eof);
        input.event(ChannelEvent::Close);
    }
    input.request_end(Ending::Drained);
    input.request_end(Ending::ClientClosed);
    input.data(None, b"late");
    input.event(ChannelEvent::Shell);
    assert_eq!(input.lifecycle.ended().map(|(why, _)| why), Some(Ending::Drained));
    assert_eq!(drain(&mut input), ["Eof", "Close"]);
}

#[test]
fn an_answer_that_nobody_waits_for_is_not_given_to_the_next() {
    let mut input = started();
    input.queue.forget_answer();
    input.queue.answered(false);
    assert_eq!(input.queue.take_answer(), None);
    input.queue.answered(true);
    assert_eq!(input.queue.take_answer(), Some(true));
}

#[test]
fn what_waits_for_a_session_that_is_gone_is_freed() {
    let mut input = started();
    input.data(None, &[0; 100_000]);
    input.event(ChannelEvent::Shell);
    input.discard_input();
    input.data(None, &[0; 100_000]);
    assert_eq!(input.queue.bytes.len(), 0);
    assert!(!input.has_next());
}

#[test]
fn whoever_is_left_with_unread_output_is_still_answered() {
    let mut retired = started();
    retired.retire(&Arc::from("the plugin was replaced"));
    assert_eq!(retired.event(ChannelEvent::Shell), Answer::Host(false));
    let mut closed = started();
    closed.request_end(Ending::ClientClosed);
    assert_eq!(closed.event(ChannelEvent::Shell), Answer::None);
}

#[test]
fn of_a_command_for_a_program_that_runs_the_front_is_kept() {
    let mut input = started();
    input.event(ChannelEvent::Exec(vec![b'x'; 255 << 10]));
    assert_eq!(drain(&mut input), [format!("{:?}", ChannelEvent::Exec(vec![b'x'; REFUSED_COMMAND]))]);
}
