//! What a plugin must not do, done on purpose, so that tests see the host stop it.
//!
//! `black_box` keeps the compiler from seeing that all this leads nowhere, and leaving it out.

use std::hint::black_box;

const PAGE: usize = 4096;

/// Crashes.
pub(crate) fn trap() -> ! {
    #[cfg(target_family = "wasm")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_family = "wasm"))]
    std::process::abort();
}

/// Never returns, and never calls the host.
pub(crate) fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Takes so many bytes and writes to every page of them.
pub(crate) fn alloc(bytes: usize) {
    let mut memory = vec![0_u8; bytes];
    memory.chunks_mut(PAGE).for_each(|page| page[0] = 1);
    black_box(memory);
}

/// Calls itself until there is no stack left. Adding after the call keeps it from becoming a loop.
#[expect(unconditional_recursion, reason = "running out of stack is the purpose")]
pub(crate) fn recurse(depth: u64) -> u64 {
    black_box(recurse(black_box(depth) + 1)) + 1
}
