//! An allocator that counts the memory of each thread, and searches freed memory for secrets.

#![expect(unsafe_code, reason = "an allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::slice;

#[global_allocator]
static ALLOCATOR: Watching = Watching;

struct Watching;

thread_local! {
    /// Bytes that this thread has allocated and not freed, and the peak since the last reset.
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    /// The secret that must not be in freed memory, and how often it was found.
    static SECRET: Cell<&'static [u8]> = const { Cell::new(b"") };
    static LEAKED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator. Memory is allocated zeroed, so that all of it may be read
// when it is freed; `realloc` is the trait's own and uses the two functions below.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = HELD.try_with(|held| {
            held.set(held.get() + layout.size() as isize);
            PEAK.try_with(|peak| peak.set(peak.get().max(held.get())))
        });
        // SAFETY: the caller's promises are those that the system's allocator requires.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let _ = HELD.try_with(|held| held.set(held.get() - layout.size() as isize));
        let secret = SECRET.try_with(Cell::get).unwrap_or_default();
        if !secret.is_empty() && layout.size() >= secret.len() {
            // SAFETY: the block is the caller's until it is freed below, and all of it was initialised.
            let bytes = unsafe { slice::from_raw_parts(block, layout.size()) };
            if bytes.windows(secret.len()).any(|window| window == secret) {
                let _ = LEAKED.try_with(|leaked| leaked.set(leaked.get() + 1));
            }
        }
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Bytes that this thread holds now.
pub(crate) fn held() -> isize {
    HELD.with(Cell::get)
}

/// The peak of additional bytes while `script` ran.
pub(crate) fn peak(script: impl FnOnce()) -> isize {
    let before = held();
    PEAK.with(|peak| peak.set(before));
    script();
    PEAK.with(Cell::get) - before
}

/// How many blocks with `secret` in them `script` freed.
pub(crate) fn leaks(secret: &'static [u8], script: impl FnOnce()) -> usize {
    LEAKED.with(|leaked| leaked.set(0));
    SECRET.with(|watched| watched.set(secret));
    script();
    SECRET.with(|watched| watched.set(b""));
    LEAKED.with(Cell::get)
}

#[test]
fn the_memory_meter_counts_allocations_and_finds_leftovers() {
    let before = held();
    let block = vec![7u8; 100_000];
    assert_eq!(held() - before, 100_000);
    drop(block);
    assert_eq!(held(), before);
    assert_eq!(peak(|| drop(vec![7u8; 100_000])), 100_000);
    assert_eq!(leaks(b"left behind", || drop(b"was left behind".to_vec())), 1);
    assert_eq!(leaks(b"left behind", || drop(b"was wiped".to_vec())), 0);
}
