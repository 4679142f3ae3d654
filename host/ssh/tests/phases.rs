//! The phase table as a golden file: what a reader of `phases.txt` sees is what the code does for all 256 numbers.

use std::fmt::Write;

use whelk_ssh::message::Role;
use whelk_ssh::phase::{Admission, Phase, admits};

/// The table, a block for each side and phase, runs of numbers joined.
fn print() -> String {
    let mut text = String::from("What each side does with the messages of its peer, by phase and message number.\n");
    for role in [Role::Server, Role::Client] {
        for phase in Phase::ALL {
            write!(text, "\n{role:?} {phase:?}\n").expect("a String takes all");
            for admission in [Admission::Handle, Admission::Ignore, Admission::Unimplemented, Admission::Disconnect] {
                let numbers: Vec<u8> = (0..=255).filter(|number| admits(role, phase, *number) == admission).collect();
                if !numbers.is_empty() {
                    let name = format!("{admission:?}").to_lowercase();
                    writeln!(text, "  {name:<13} {}", runs(&numbers)).expect("a String takes all");
                }
            }
        }
    }
    text
}

fn runs(numbers: &[u8]) -> String {
    let mut runs: Vec<(u8, u8)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if u16::from(*last) + 1 == u16::from(number) => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let show = |(first, last): &(u8, u8)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    runs.iter().map(show).collect::<Vec<_>>().join(" ")
}

/// After a change that is meant: `WHELK_BLESS=1 cargo test -p whelk-ssh --test phases`, and read the difference.
#[test]
fn the_phase_table_is_the_golden_file() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/phases.txt");
    if std::env::var_os("WHELK_BLESS").is_some() {
        std::fs::write(path, print()).unwrap();
    }
    assert_eq!(print(), std::fs::read_to_string(path).unwrap(), "the table and {path} differ");
}

#[test]
fn no_channel_message_is_handled_before_authentication() {
    for phase in [Phase::FirstKex, Phase::StrictKex, Phase::Service, Phase::Auth, Phase::Rekey] {
        for number in 80..=127 {
            assert_eq!(admits(Role::Server, phase, number), Admission::Disconnect, "{phase:?} {number}");
        }
    }
}
