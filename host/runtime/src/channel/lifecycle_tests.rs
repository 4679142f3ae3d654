//! The session's lifecycle, transition by transition.

use super::*;

/// What a session has been through, by the names of the transitions.
fn lifecycle(steps: &[&str]) -> Lifecycle {
    let mut lifecycle = Lifecycle::default();
    for step in steps {
        match *step {
            "open" => assert!(lifecycle.open(OpenReply::Accepted)),
            "start" => assert!(lifecycle.begin_program()),
            "yes" => assert!(matches!(lifecycle.program_returned(true), ProgramAnswer::Accepted(_))),
            "no" => assert_eq!(lifecycle.program_returned(false), ProgramAnswer::Refused),
            "request-hand-over" => lifecycle.request_hand_over("next".to_owned()),
            "close" => {
                lifecycle.begin_close();
            }
            "hand-over" => lifecycle.hand_over(),
            "finish" => drop(lifecycle.request_exit(Exit::Status(7))),
            "eof" => lifecycle.send_eof(),
            "hold" => lifecycle.hold(Output::Stdout, b"held".to_vec()),
            "ended" => lifecycle.request_end(Ending::ClientClosed, Instant::now()),
            "exit" => assert!(lifecycle.exit(&Exit::Status(0), Some(Ending::Finished))),
            other => panic!("no step {other}"),
        }
    }
    lifecycle
}

#[test]
fn each_transition_leads_to_its_stage() {
    for (steps, stage) in [
        (&[][..], Stage::Opening),
        (&["open"], Stage::Waiting),
        (&["open", "start"], Stage::Starting),
        (&["open", "start", "yes"], Stage::Running),
        (&["open", "start", "no"], Stage::Waiting),
        (&["open", "start", "no", "start", "yes"], Stage::Running),
        (&["open", "start", "finish"], Stage::Running),
        (&["open", "start", "request-hand-over", "close"], Stage::Closing),
        (&["open", "start", "request-hand-over", "close", "hand-over"], Stage::Waiting),
        (&["open", "start", "yes", "close", "hand-over", "start"], Stage::Starting),
        (&["open", "start", "yes", "close", "exit"], Stage::Ended),
        (&["exit"], Stage::Ended),
    ] {
        assert_eq!(lifecycle(steps).stage(), stage, "{steps:?}");
    }
}

#[test]
fn after_the_exit_nothing_changes_the_stage_or_the_outcome() {
    let mut lifecycle = lifecycle(&["open", "start", "yes", "exit"]);
    assert!(!lifecycle.open(OpenReply::Refused) && !lifecycle.begin_program() && !lifecycle.accept_for_host());
    assert!(!lifecycle.exit(&Exit::Status(9), None) && !lifecycle.begin_close());
    lifecycle.hand_over();
    assert_eq!((lifecycle.stage(), lifecycle.output()), (Stage::Ended, Err(OutputClosed::SessionOver)));
    let outcome = lifecycle.outcome();
    assert_eq!((outcome.ending, outcome.exit), (Some(Ending::Finished), Some(Exit::Status(0))));
}

#[test]
fn a_refused_channel_open_is_the_end_without_an_exit() {
    let mut lifecycle = Lifecycle::default();
    assert!(lifecycle.open(OpenReply::Full) && !lifecycle.open(OpenReply::Accepted));
    assert!(!lifecycle.exit(&Exit::Status(0), None));
    assert_eq!((lifecycle.stage(), lifecycle.outcome().exit), (Stage::Ended, None));
}

#[test]
fn the_first_output_inside_a_start_accepts_it_and_what_was_held_goes_first() {
    let mut lifecycle = lifecycle(&["open", "hold", "hold", "start"]);
    let held = vec![(Output::Stdout, b"heldheld".to_vec())];
    assert_eq!(lifecycle.output(), Ok(OutputPath::Accepts(Acceptance { answer: true, held, eof: false })));
    assert_eq!((lifecycle.output(), lifecycle.held(), lifecycle.has_accepted()), (Ok(OutputPath::Open), 0, true));
    // Its no comes too late: it is the end, with a failure.
    assert_eq!(lifecycle.program_returned(false), ProgramAnswer::Given);
    assert_eq!(lifecycle.next_action(), NextAction::Finish(Exit::Status(1)));
}

#[test]
fn before_a_start_output_is_held_and_after_eof_there_is_none() {
    assert_eq!(Lifecycle::default().output(), Ok(OutputPath::Held));
    let mut lifecycle = lifecycle(&["open", "hold", "eof"]);
    assert_eq!((lifecycle.output(), lifecycle.request()), (Err(OutputClosed::EofSent), Ok(OutputPath::Held)));
    assert!(lifecycle.begin_program());
    let ProgramAnswer::Accepted(acceptance) = lifecycle.program_returned(true) else { panic!("it is accepted") };
    assert!(acceptance.answer && acceptance.eof && acceptance.held.len() == 1);
}

#[test]
fn a_start_is_given_once_and_not_to_a_session_that_ends() {
    for steps in [&[][..], &["open", "start"], &["open", "start", "yes"], &["open", "finish"], &["open", "ended"]] {
        assert!(!lifecycle(steps).begin_program(), "{steps:?}");
    }
}

#[test]
fn a_start_that_is_handed_over_is_answered_by_the_next_process() {
    let mut lifecycle = lifecycle(&["open", "hold", "start", "request-hand-over"]);
    assert_eq!(lifecycle.program_returned(false), ProgramAnswer::Given);
    assert_eq!(lifecycle.next_action(), NextAction::HandOver("next".to_owned()));
    // The start goes along; nobody has answered it.
    assert!(lifecycle.begin_close());
    lifecycle.hand_over();
    assert!(lifecycle.begin_program() && !lifecycle.has_accepted());
    let acceptance = Acceptance { answer: true, held: Vec::new(), eof: false };
    assert_eq!(lifecycle.program_returned(true), ProgramAnswer::Accepted(acceptance));
}

#[test]
fn after_a_yes_the_client_hears_no_answer_of_the_next_process_and_a_no_is_the_end() {
    let steps = ["open", "start", "yes", "request-hand-over", "close", "hand-over", "hold", "start"];
    let acceptance = Acceptance { answer: false, held: vec![(Output::Stdout, b"held".to_vec())], eof: false };
    assert_eq!(lifecycle(&steps).program_returned(true), ProgramAnswer::Accepted(acceptance));
    let mut lifecycle = lifecycle(&steps);
    assert_eq!(lifecycle.program_returned(false), ProgramAnswer::Given);
    assert_eq!(lifecycle.next_action(), NextAction::Finish(Exit::Status(1)));
}

#[test]
fn an_eof_stays_said_after_a_yes_and_is_forgotten_with_held_output() {
    assert!(lifecycle(&["open", "start", "yes", "eof", "close", "hand-over"]).has_sent_eof());
    assert!(!lifecycle(&["open", "eof", "start", "request-hand-over", "close", "hand-over"]).has_sent_eof());
}

#[test]
fn of_finish_and_hand_over_the_first_word_counts() {
    assert!(!lifecycle(&["open", "start", "finish"]).may_hand_over(16));
    let mut lifecycle = lifecycle(&["open", "start", "request-hand-over", "finish"]);
    assert_eq!(lifecycle.next_action(), NextAction::HandOver("next".to_owned()));
}

#[test]
fn handing_over_takes_a_start_and_is_bounded() {
    for steps in [&["open"][..], &["open", "start", "yes", "ended"], &["open", "start", "close"]] {
        assert!(!lifecycle(steps).may_hand_over(16), "{steps:?}");
    }
    let lifecycle = lifecycle(&["open", "start", "close", "hand-over", "start"]);
    assert!(lifecycle.may_hand_over(2) && !lifecycle.may_hand_over(1));
}

#[test]
fn who_finished_before_the_other_side_ended_the_session_has_finished() {
    assert_eq!(lifecycle(&["open", "start", "finish", "ended"]).next_action(), NextAction::Finish(Exit::Status(7)));
    let mut late = lifecycle(&["open", "start", "ended", "finish"]);
    assert!(matches!(late.next_action(), NextAction::Ended(Ending::ClientClosed, _)));
    assert!(late.is_ending());
    late.begin_close();
    assert_eq!(late.take_finish(), Some(Exit::Status(7)));
    let mut handing = lifecycle(&["open", "start", "request-hand-over", "ended"]);
    assert!(matches!(handing.next_action(), NextAction::Ended(..)));
    assert!(handing.begin_close(), "its start has no answer");
    assert_eq!(handing.take_finish(), None);
}

#[test]
fn the_first_reason_to_end_counts_and_brings_its_words() {
    let mut lifecycle = lifecycle(&["open"]);
    lifecycle.retire(&Arc::from("replaced"), Instant::now());
    lifecycle.request_end(Ending::ConnectionLost, Instant::now());
    assert_eq!(
        (lifecycle.ended().map(|(why, _)| why), lifecycle.notice().as_deref()),
        (Some(Ending::Drained), Some("replaced"))
    );
    let mut lifecycle = self::lifecycle(&["open", "ended"]);
    lifecycle.retire(&Arc::from("replaced"), Instant::now());
    assert_eq!(lifecycle.notice(), None);
}

#[test]
fn a_process_that_does_not_take_the_session_leaves_nothing_behind() {
    // The next one is asked whether it takes the session: it writes, sends EOF and finishes meanwhile.
    for accepted in [&["open", "start", "yes"][..], &["open", "start"]] {
        let steps = [accepted, &["request-hand-over", "close", "hand-over", "hold", "eof", "finish"]].concat();
        let mut lifecycle = lifecycle(&steps);
        assert!(lifecycle.held() > 0 && lifecycle.has_sent_eof() && lifecycle.is_ending());
        lifecycle.discard_process();
        assert_eq!((lifecycle.held(), lifecycle.next_action()), (0, NextAction::Continue));
        assert_eq!(lifecycle.has_sent_eof(), lifecycle.has_accepted(), "the client has seen EOF only if it has output");
        assert_eq!(lifecycle.stage(), Stage::Waiting);
    }
    let mut refused = Lifecycle::default();
    refused.hold(Output::Stdout, b"held".to_vec());
    assert!(refused.open(OpenReply::Refused) && refused.held() == 0);
}
