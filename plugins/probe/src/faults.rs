//! Faults on purpose, so that tests see the host stop them.
//!
//! `black_box` keeps the compiler from removing code without an effect.

use std::hint::black_box;

const PAGE: usize = 4096;

/// Crashes.
pub(crate) fn trap() -> ! {
    #[cfg(target_family = "wasm")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_family = "wasm"))]
    std::process::abort();
}

/// Loops for ever without calling the host.
pub(crate) fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Allocates `bytes` and writes to every page.
pub(crate) fn alloc(bytes: usize) {
    let mut memory = vec![0_u8; bytes];
    memory.chunks_mut(PAGE).for_each(|page| page[0] = 1);
    black_box(memory);
}

/// Recurses until the stack overflows. Adding after the call keeps it from becoming a loop.
#[expect(unconditional_recursion, reason = "running out of stack is the purpose")]
pub(crate) fn recurse(depth: u64) -> u64 {
    black_box(recurse(black_box(depth) + 1)) + 1
}
