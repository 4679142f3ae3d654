//! The session's life, transition by transition.

use super::*;

/// What a session has been through, in the words of the transitions.
fn life(steps: &[&str]) -> Lifecycle {
    let mut life = Lifecycle::default();
    for step in steps {
        match *step {
            "open" => assert!(life.open(OpenReply::Accepted)),
            "start" => assert!(life.begin_start()),
            "yes" => assert!(matches!(life.start_returned(true), StartAnswer::Accepted(_))),
            "no" => assert_eq!(life.start_returned(false), StartAnswer::Refused),
            "hand-over" => life.hand_over("next".to_owned()),
            "close" => {
                life.close();
            }
            "hand-off" => life.hand_off(),
            "finish" => drop(life.finish(Exit::Status(7))),
            "eof" => life.send_eof(),
            "hold" => life.hold(Output::Stdout, b"held".to_vec()),
            "ended" => life.end(Ending::ClientClosed, Instant::now()),
            "exit" => assert!(life.exit(&Exit::Status(0), Some(Ending::Finished))),
            other => panic!("no step {other}"),
        }
    }
    life
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
        (&["open", "start", "hand-over", "close"], Stage::Closing),
        (&["open", "start", "hand-over", "close", "hand-off"], Stage::Waiting),
        (&["open", "start", "yes", "close", "hand-off", "start"], Stage::Starting),
        (&["open", "start", "yes", "close", "exit"], Stage::Ended),
        (&["exit"], Stage::Ended),
    ] {
        assert_eq!(life(steps).stage(), stage, "{steps:?}");
    }
}

#[test]
fn after_the_exit_nothing_changes_the_stage_or_the_outcome() {
    let mut life = life(&["open", "start", "yes", "exit"]);
    assert!(!life.open(OpenReply::Refused) && !life.begin_start() && !life.accept_for_host());
    assert!(!life.exit(&Exit::Status(9), None) && !life.close());
    life.hand_off();
    assert_eq!((life.stage(), life.output()), (Stage::Ended, Err(OutputClosed::SessionOver)));
    let outcome = life.outcome();
    assert_eq!((outcome.ending, outcome.exit), (Some(Ending::Finished), Some(Exit::Status(0))));
}

#[test]
fn a_refused_channel_open_is_the_end_without_an_exit() {
    let mut life = Lifecycle::default();
    assert!(life.open(OpenReply::Full) && !life.open(OpenReply::Accepted));
    assert!(!life.exit(&Exit::Status(0), None));
    assert_eq!((life.stage(), life.outcome().exit), (Stage::Ended, None));
}

#[test]
fn the_first_output_inside_a_start_accepts_it_and_what_was_held_goes_first() {
    let mut life = life(&["open", "hold", "hold", "start"]);
    let held = vec![(Output::Stdout, b"heldheld".to_vec())];
    assert_eq!(life.output(), Ok(OutputPath::Accepts(Acceptance { answer: true, held, eof: false })));
    assert_eq!((life.output(), life.held(), life.has_accepted()), (Ok(OutputPath::Open), 0, true));
    // Its no comes too late: it is the end, with a failure.
    assert_eq!(life.start_returned(false), StartAnswer::Given);
    assert_eq!(life.due(), Due::Finish(Exit::Status(1)));
}

#[test]
fn before_a_start_output_is_held_and_after_eof_there_is_none() {
    assert_eq!(Lifecycle::default().output(), Ok(OutputPath::Held));
    let mut life = life(&["open", "hold", "eof"]);
    assert_eq!((life.output(), life.request()), (Err(OutputClosed::EofSent), Ok(OutputPath::Held)));
    assert!(life.begin_start());
    let StartAnswer::Accepted(acceptance) = life.start_returned(true) else { panic!("it is accepted") };
    assert!(acceptance.answer && acceptance.eof && acceptance.held.len() == 1);
}

#[test]
fn a_start_is_given_once_and_not_to_a_session_that_ends() {
    for steps in [&[][..], &["open", "start"], &["open", "start", "yes"], &["open", "finish"], &["open", "ended"]] {
        assert!(!life(steps).begin_start(), "{steps:?}");
    }
}

#[test]
fn a_start_that_is_handed_over_is_answered_by_the_next_process() {
    let mut life = life(&["open", "hold", "start", "hand-over"]);
    assert_eq!(life.start_returned(false), StartAnswer::Given);
    assert_eq!(life.due(), Due::HandOver("next".to_owned()));
    // The start goes along; nobody has answered it.
    assert!(life.close());
    life.hand_off();
    assert!(life.begin_start() && !life.has_accepted());
    let acceptance = Acceptance { answer: true, held: Vec::new(), eof: false };
    assert_eq!(life.start_returned(true), StartAnswer::Accepted(acceptance));
}

#[test]
fn after_a_yes_the_client_hears_no_answer_of_the_next_process_and_a_no_is_the_end() {
    let steps = ["open", "start", "yes", "hand-over", "close", "hand-off", "hold", "start"];
    let acceptance = Acceptance { answer: false, held: vec![(Output::Stdout, b"held".to_vec())], eof: false };
    assert_eq!(life(&steps).start_returned(true), StartAnswer::Accepted(acceptance));
    let mut life = life(&steps);
    assert_eq!(life.start_returned(false), StartAnswer::Given);
    assert_eq!(life.due(), Due::Finish(Exit::Status(1)));
}

#[test]
fn an_eof_stays_said_after_a_yes_and_is_forgotten_with_held_output() {
    assert!(life(&["open", "start", "yes", "eof", "close", "hand-off"]).has_sent_eof());
    assert!(!life(&["open", "eof", "start", "hand-over", "close", "hand-off"]).has_sent_eof());
}

#[test]
fn of_finish_and_hand_over_the_first_word_counts() {
    assert!(!life(&["open", "start", "finish"]).may_hand_over(16));
    let mut life = life(&["open", "start", "hand-over", "finish"]);
    assert_eq!(life.due(), Due::HandOver("next".to_owned()));
}

#[test]
fn handing_over_takes_a_start_and_is_bounded() {
    for steps in [&["open"][..], &["open", "start", "yes", "ended"], &["open", "start", "close"]] {
        assert!(!life(steps).may_hand_over(16), "{steps:?}");
    }
    let life = life(&["open", "start", "close", "hand-off", "start"]);
    assert!(life.may_hand_over(2) && !life.may_hand_over(1));
}

#[test]
fn who_finished_before_the_other_side_ended_the_session_has_finished() {
    assert_eq!(life(&["open", "start", "finish", "ended"]).due(), Due::Finish(Exit::Status(7)));
    let mut late = life(&["open", "start", "ended", "finish"]);
    assert!(matches!(late.due(), Due::Ended(Ending::ClientClosed, _)));
    assert!(late.is_ending());
    late.close();
    assert_eq!(late.take_finish(), Some(Exit::Status(7)));
    let mut handing = life(&["open", "start", "hand-over", "ended"]);
    assert!(matches!(handing.due(), Due::Ended(..)));
    assert!(handing.close(), "its start has no answer");
    assert_eq!(handing.take_finish(), None);
}

#[test]
fn the_first_reason_to_end_counts_and_brings_its_words() {
    let mut life = life(&["open"]);
    life.retire(&Arc::from("replaced"), Instant::now());
    life.end(Ending::ConnectionLost, Instant::now());
    assert_eq!((life.ended().map(|(why, _)| why), life.words().as_deref()), (Some(Ending::Drained), Some("replaced")));
    let mut life = self::life(&["open", "ended"]);
    life.retire(&Arc::from("replaced"), Instant::now());
    assert_eq!(life.words(), None);
}
