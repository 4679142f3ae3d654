//! The W rows of the threat list: each has a test here, or a reason in this file.

use std::collections::BTreeSet;

use whelk_tests::repository;

/// The last row.
const LAST: u32 = 53;

/// Rows without a test here, and the reasons.
const ELSEWHERE: [(u32, &str); 4] = [
    (47, "what a pool could leave behind is looked for in w30, which is this row's test"),
    (48, "a policy: Cranelift is the only compiler that is built in, and wasmtime's patches are taken within a week"),
    (50, "no plugin decides yet who may enter"),
    (53, "a residual risk that is documented; what can be tested of it is the clock, in w32"),
];

/// The rows in the name of a test: `w6_w7_...` is about two.
fn rows_of(name: &str) -> Vec<u32> {
    name.split('_').map_while(|word| word.strip_prefix('w').and_then(|row| row.parse().ok())).collect()
}

#[test]
fn every_row_has_a_test_or_a_reason() {
    let mut tested = BTreeSet::new();
    for entry in std::fs::read_dir(repository().join("tests/hostile")).expect("our own folder").flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        let mut lines = text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            if line == "#[test]" {
                let name = lines.next().and_then(|line| line.strip_prefix("fn ")).unwrap_or_default();
                tested.extend(rows_of(name));
            }
        }
    }
    let listed: BTreeSet<u32> = ELSEWHERE.iter().map(|(row, _)| *row).collect();
    let missing: Vec<u32> = (1..=LAST).filter(|row| !tested.contains(row) && !listed.contains(row)).collect();
    assert!(missing.is_empty(), "rows that are neither tested nor listed: {missing:?}");
    let both: Vec<&u32> = tested.intersection(&listed).collect();
    assert!(both.is_empty(), "rows that are listed as untested and tested: {both:?}");
}
