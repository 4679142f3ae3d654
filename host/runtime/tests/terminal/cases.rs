//! Generated cases: modes, and what is typed and written under them.

use std::collections::BTreeMap;

use whelk_runtime::terminal::{Flag, Modes};

use crate::kernel::{CONTROLS, flags};

/// How often something was covered, by its name.
pub(crate) type Counts = BTreeMap<String, usize>;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The program sets these modes.
    Modes(Modes),
    /// The client sends these keys at once.
    Keys(Vec<u8>),
    /// The program writes.
    Write(Vec<u8>),
}

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) modes: Modes,
    pub(crate) steps: Vec<Step>,
    /// The size of the program's reads.
    pub(crate) size: usize,
    /// Whether the program reads after each step, or only at the end.
    pub(crate) reads: bool,
}

/// Random numbers that a seed determines.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// One of these.
    pub(crate) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// The case of this seed.
pub(crate) fn case(seed: u64, counts: &mut Counts) -> Case {
    let mut random = Random(seed);
    let start = modes(&mut random, &Modes::default());
    for flag in flags() {
        count(counts, format!("{flag:?} {}", if start.has(flag) { "on" } else { "off" }));
    }
    let steps = steps(&mut random, &start, counts);
    let mut case = Case { modes: start, steps, size: random.of(&[1, 3, 100, 5000]), reads: random.one_in(2) };
    count(counts, format!("reads of {} bytes", case.size));
    if !case.reads {
        // A signal that drops what is pending would drop more or less, as the kernel has processed it or not.
        keep_what_waits(&mut case.modes);
        for step in &mut case.steps {
            if let Step::Modes(modes) = step {
                keep_what_waits(modes);
            }
        }
    }
    case
}

fn count(counts: &mut Counts, name: String) {
    *counts.entry(name).or_default() += 1;
}

fn keep_what_waits(modes: &mut Modes) {
    modes.set(Flag::Noflsh, true);
    modes.set(Flag::Ixon, false);
}

fn steps(random: &mut Random, start: &Modes, counts: &mut Counts) -> Vec<Step> {
    let mut now = start.clone();
    let window = random.of(&[1, 1, 2, 5, 20]);
    count(counts, format!("window of {window} keys"));
    let mut steps = Vec::new();
    for _ in 0..=random.below(25) {
        match random.below(20) {
            0 => {
                now = modes(random, &now);
                steps.push(Step::Modes(now.clone()));
            }
            1 | 2 => {
                let text = (0..random.below(12)).map(|_| random.of(b"ab\n\r\t\x08\x07\xc3\xa9Z")).collect();
                steps.push(Step::Write(text));
            }
            _ => {
                let mut keys = Vec::new();
                for _ in 0..window {
                    type_key(random, &now, &mut keys, counts);
                }
                // Keys of one step can be one write, so one byte a step shows what several in one hide.
                if window == 1 {
                    steps.extend(keys.into_iter().map(|byte| Step::Keys(vec![byte])));
                } else {
                    steps.push(Step::Keys(keys));
                }
            }
        }
    }
    steps
}

fn modes(random: &mut Random, from: &Modes) -> Modes {
    let mut modes = from.clone();
    let many = random.one_in(2);
    for flag in flags() {
        let rare = matches!(flag, Flag::Parmrk | Flag::Istrip | Flag::Iuclc | Flag::Olcuc | Flag::Igncr | Flag::Xcase);
        let odds = match (rare, many) {
            (true, _) => 12,
            (false, true) => 2,
            (false, false) => 10,
        };
        if random.one_in(odds) {
            modes.set(flag, !modes.has(flag));
        }
    }
    for (control, _) in CONTROLS {
        if random.one_in(10) {
            let byte = match random.below(4) {
                0 => 0,
                1 => random.byte(),
                2 => random.of(b"ab\n\r\t \x7f"),
                _ => modes.control(random.of(&CONTROLS).0),
            };
            modes.set_control(control, byte);
        }
    }
    modes
}

fn type_key(random: &mut Random, modes: &Modes, keys: &mut Vec<u8>, counts: &mut Counts) {
    match random.below(10) {
        0..=3 => {
            let (control, _) = random.of(&CONTROLS);
            let byte = modes.control(control);
            if byte != 0 {
                count(counts, format!("{control:?}"));
                keys.push(byte);
            }
        }
        4 | 5 => keys.push(random.of(b"\n\r\t \x08\x1b_-.")),
        6 => keys.extend(random.of(&["a", "é", "漢", "😀", "ÿ", "ß"]).as_bytes()),
        7 => keys.push(random.byte()),
        _ => keys.push(random.of(b"abcdefghijklmnopqrstuvwxyz")),
    }
}

/// Lines that are longer than the buffer, with erasing where it is full.
pub(crate) fn long_lines(seed: u64) -> Case {
    let mut random = Random(seed);
    let mut modes = Modes::default();
    modes.set(Flag::Iutf8, random.one_in(2));
    modes.set(Flag::Echo, random.one_in(2));
    modes.set(Flag::Parmrk, random.one_in(4));
    modes.set(Flag::Icanon, !random.one_in(8));
    let is_one_line = seed.is_multiple_of(2);
    let mut steps = Vec::new();
    for _ in 0..random.below(60) + 35 {
        let keys = (0..random.below(128)).map(|_| match random.below(300) {
            0 => b'\x7f',
            1 => b'\x17',
            2 => 255,
            3 => b'\x04',
            4 => b'\n',
            5 => b'\t',
            _ => random.of(b"abcdefghijklmnopqrstuvwxyz"),
        });
        steps.push(Step::Keys(keys.filter(|byte| !(is_one_line && matches!(byte, b'\n' | b'\x04'))).collect()));
    }
    steps.push(Step::Keys(b"\x7fend\n".to_vec()));
    Case { modes, steps, size: random.of(&[100, 64, 4096, 5000]), reads: true }
}

/// The case in words, as far as it differs from a new terminal.
pub(crate) fn describe(case: &Case) -> String {
    let mut text = format!("modes {} size {} reads {}\n", changes(&case.modes), case.size, case.reads);
    for step in &case.steps {
        text += &match step {
            Step::Modes(modes) => format!("  modes {}\n", changes(modes)),
            Step::Keys(keys) => format!("  keys {}\n", keys.escape_ascii()),
            Step::Write(bytes) => format!("  write {}\n", bytes.escape_ascii()),
        };
    }
    text
}

fn changes(modes: &Modes) -> String {
    let normal = Modes::default();
    let flags = flags().filter(|flag| modes.has(*flag) != normal.has(*flag));
    let flags = flags.map(|flag| format!("{}{flag:?}", if modes.has(flag) { "" } else { "-" }));
    let controls = CONTROLS.iter().filter(|(control, _)| modes.control(*control) != normal.control(*control));
    let controls = controls.map(|(control, _)| format!("{control:?}={}", modes.control(*control).escape_ascii()));
    flags.chain(controls).collect::<Vec<_>>().join(" ")
}
