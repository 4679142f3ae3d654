//! What a case shows and what its program reads, with our line discipline and with the kernel's.

use whelk_runtime::terminal::{Flag, LineDiscipline, Read};

use crate::cases::{Case, Step};
use crate::kernel::Kernel;

/// What is seen after a step.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// What the program reads, one entry a read.
    pub(crate) reads: Vec<Vec<u8>>,
    pub(crate) shown: Vec<u8>,
    /// A signal among several keys has dropped output: how much is left depends on what the kernel had shown by then.
    is_dropped: bool,
}

impl Seen {
    fn new(mut reads: Vec<Vec<u8>>, shown: Vec<u8>, is_dropped: bool, joins: bool) -> Self {
        if joins {
            reads = vec![reads.concat()];
        }
        Self { reads, shown, is_dropped }
    }

    /// Whether the kernel may have shown this instead.
    pub(crate) fn agrees_with(&self, kernel: &Self) -> bool {
        let dropped_more = self.is_dropped && kernel.shown.ends_with(&self.shown);
        self.reads == kernel.reads && (self.shown == kernel.shown || dropped_more)
    }
}

/// Whether the program reads after this step: it does after each one, or only where the order of what it reads and of
/// what happens next must be known.
fn reads_after(case: &Case, index: usize) -> bool {
    let is_keys = |index| matches!(case.steps.get(index), Some(Step::Keys(_)));
    case.reads || !is_keys(index + 1) || !is_keys(index)
}

/// With ours. `by_width`: the setting in which the kernel's may differ.
pub(crate) fn ours(case: &Case, by_width: bool) -> Vec<Seen> {
    let mut discipline = LineDiscipline::new(case.modes.clone());
    discipline.erase_by_width(by_width);
    let mut seen = Vec::new();
    let (mut out, mut is_dropped) = (Vec::new(), false);
    for (index, step) in case.steps.iter().enumerate() {
        match step {
            Step::Modes(modes) => discipline.set_modes(modes.clone(), &mut out),
            Step::Write(bytes) if !discipline.is_held() => {
                let taken = discipline.write(bytes, usize::MAX, &mut |piece| out.extend_from_slice(piece));
                assert_eq!(taken, bytes.len());
            }
            Step::Write(_) => {}
            Step::Keys(keys) => is_dropped |= receive_all(&mut discipline, keys, &mut out) && keys.len() > 1,
        }
        if reads_after(case, index) {
            let reads = read_all(&mut discipline, case.size);
            let joins = !case.reads && !discipline.modes().has(Flag::Icanon);
            seen.push(Seen::new(reads, std::mem::take(&mut out), std::mem::take(&mut is_dropped), joins));
        }
    }
    seen
}

/// Whether a signal has dropped output.
fn receive_all(discipline: &mut LineDiscipline, mut keys: &[u8], out: &mut Vec<u8>) -> bool {
    let (begin, mut is_dropped) = (out.len(), false);
    while !keys.is_empty() {
        let mut more = Vec::new();
        let received = discipline.receive(keys, &mut more);
        if received.drops_output {
            is_dropped = true;
            out.truncate(begin);
        }
        out.extend(more);
        keys = &keys[received.taken..];
        if received.taken == 0 {
            break;
        }
    }
    is_dropped
}

fn read_all(discipline: &mut LineDiscipline, size: usize) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; size];
    let mut reads = Vec::new();
    while let Read::Bytes(count) = discipline.read(&mut buffer) {
        reads.push(buffer[..count].to_vec());
    }
    reads
}

/// With the kernel's.
pub(crate) fn kernels(case: &Case) -> Vec<Seen> {
    let kernel = Kernel::new();
    kernel.set(&case.modes);
    let mut now = &case.modes;
    let mut seen = Vec::new();
    for (index, step) in case.steps.iter().enumerate() {
        match step {
            Step::Modes(modes) => {
                kernel.set(modes);
                now = modes;
            }
            Step::Write(bytes) => kernel.writes(bytes),
            Step::Keys(keys) if keys.is_empty() => {}
            Step::Keys(keys) => kernel.types(keys),
        }
        if reads_after(case, index) {
            let joins = !case.reads && !now.has(Flag::Icanon);
            seen.push(Seen::new(kernel.reads(case.size), kernel.shown(), false, joins));
        }
    }
    seen
}
