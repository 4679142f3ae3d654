//! The same modes and keys, the same bytes.
//!
//! Intended differences: [`LineDiscipline::erase_by_width`](whelk_runtime::terminal::LineDiscipline::erase_by_width),
//! and nothing else. Where keys that arrive at once hold a signal that drops output, how much the kernel has shown by
//! then depends on its scheduling: more than ours, of which ours is the end.

use whelk_runtime::terminal::{Flag, Modes};

use crate::cases::{Case, Counts, Step, case, describe, long_lines};
use crate::kernel::{CONTROLS, flags};
use crate::seen::{Seen, kernels, ours};

/// How many cases: all with WHELK_PROVE=1.
fn cases() -> u64 {
    if std::env::var_os("WHELK_PROVE").is_some_and(|value| value == "1") { 150_000 } else { 3_000 }
}

/// Of 100,000 cases, in how many each mode is on and off, and how often each control character is typed, at least.
const COVERAGE: u64 = 1_000;

/// How often a case is repeated in which ours and the kernel's differ. On a busy machine the kernel's threads take
/// turns in other ways, and the same case shows other things. A real difference is there each time.
const REPEATS: usize = 5;

/// Where ours differs from the kernel's each time.
fn difference(case: &Case) -> Option<String> {
    let mut differences = (0..=REPEATS).map(|_| differs_once(case));
    let first = differences.next()??;
    differences.all(|difference| difference.is_some()).then_some(first)
}

fn differs_once(case: &Case) -> Option<String> {
    let (ours, kernels) = (ours(case, false), kernels(case));
    let at = ours.iter().zip(&kernels).position(|(ours, kernels)| !ours.agrees_with(kernels))?;
    let show = |seen: &Seen| {
        let reads: Vec<_> = seen.reads.iter().map(|read| read.escape_ascii().to_string()).collect();
        format!("reads {reads:?} shows \"{}\"", seen.shown.escape_ascii())
    };
    Some(format!("step {at}\n  ours   {}\n  kernel {}", show(&ours[at]), show(&kernels[at])))
}

/// The smallest case that still differs.
fn shrink(mut case: Case) -> Case {
    while let Some(less) = smaller(&case).into_iter().find(|less| difference(less).is_some()) {
        case = less;
    }
    case
}

/// Cases with one step, key or mode less.
fn smaller(case: &Case) -> Vec<Case> {
    let normal = Modes::default();
    let without_step = (0..case.steps.len()).rev().filter(|_| case.steps.len() > 1).map(|index| {
        let mut less = case.clone();
        less.steps.remove(index);
        less
    });
    let keys = |index: usize| if let Step::Keys(keys) = &case.steps[index] { keys.len() } else { 0 };
    let without_key =
        (0..case.steps.len()).flat_map(|index| (0..keys(index)).rev().map(move |at| (index, at))).map(|(index, at)| {
            let mut less = case.clone();
            if let Step::Keys(keys) = &mut less.steps[index] {
                keys.remove(at);
            }
            less
        });
    let without_flag = flags().filter(|flag| case.modes.has(*flag) != normal.has(*flag)).map(|flag| {
        let mut less = case.clone();
        less.modes.set(flag, normal.has(flag));
        less
    });
    let changed = CONTROLS.iter().filter(|(control, _)| case.modes.control(*control) != normal.control(*control));
    let without_control = changed.map(|(control, _)| {
        let mut less = case.clone();
        less.modes.set_control(*control, normal.control(*control));
        less
    });
    without_step.chain(without_key).chain(without_flag).chain(without_control).collect()
}

/// Returns whether the case had to be repeated.
fn assert_equal(seed: u64, case: Case) -> bool {
    let Some(difference) = differs_once(&case) else { return false };
    if self::difference(&case).is_some() {
        let small = shrink(case);
        panic!("seed {seed}: {difference}\n{}{:?}", describe(&small), self::difference(&small));
    }
    println!("repeated: seed {seed}: {difference}");
    true
}

#[test]
fn the_line_discipline_equals_the_kernels() {
    let mut counts = Counts::new();
    let repeated = (0..cases()).filter(|seed| assert_equal(*seed, case(*seed, &mut counts))).count();
    println!("{} cases, of which {repeated} were repeated: {counts:#?}", cases());
    assert!(repeated as u64 <= 5 + cases() / 100, "{repeated} cases were repeated");
    let names = flags().flat_map(|flag| [format!("{flag:?} on"), format!("{flag:?} off")]);
    for name in names.chain(CONTROLS.iter().map(|(control, _)| format!("{control:?}"))) {
        let count = counts.get(&name).copied().unwrap_or_default();
        assert!(count as u64 * 100_000 >= COVERAGE * cases(), "{name}: {count}");
    }
}

#[test]
fn long_lines_equal_the_kernels() {
    for seed in 0..300 {
        assert_equal(seed, long_lines(seed));
    }
}

/// The intended difference is seen with characters of UTF-8 only.
#[test]
fn erasing_by_width_changes_nothing_but_characters_of_utf8() {
    let (mut differ, mut same) = (0, 0);
    for seed in 0..3_000 {
        let case = case(seed, &mut Counts::new());
        let modes = case.steps.iter().filter_map(|step| if let Step::Modes(modes) = step { Some(modes) } else { None });
        let has_utf8 = modes.chain([&case.modes]).any(|modes| modes.has(Flag::Iutf8));
        let is_same = ours(&case, true) == ours(&case, false);
        assert!(is_same || has_utf8, "{}", describe(&case));
        *(if is_same { &mut same } else { &mut differ }) += 1;
    }
    println!("{same} cases are the same, {differ} differ");
    assert!(differ > 0);
}
