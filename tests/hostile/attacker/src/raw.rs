//! What a compiler prevents: pointers out of bounds, invalid values, forged handles; and crashes.

use std::hint::black_box;
use std::process;

use wasip2::clocks::monotonic_clock;
use wasip2::io::poll::Pollable;

use crate::after::{After, number, say};
use crate::bindings::whelk::ssh::channel;
use crate::bindings::whelk::ssh::types::Output;

#[link(wasm_import_module = "whelk:ssh/channel@0.1.0")]
unsafe extern "C" {
    #[link_name = "write"]
    fn raw_write(to: i32, number: i32, data: usize, len: usize, result: usize);
    #[link_name = "catch-signals"]
    fn raw_catch_signals(names: usize, len: usize);
}

#[link(wasm_import_module = "whelk:ssh/log@0.1.0")]
unsafe extern "C" {
    #[link_name = "log"]
    fn raw_log(level: i32, text: usize, len: usize);
}

/// A signal's name as the canonical ABI lays it out: the case, and the text of `other`.
#[repr(C)]
struct SignalName {
    case: u8,
    text: usize,
    len: usize,
}

/// The case `other`.
const OTHER: u8 = 13;

pub(crate) fn behave(row: &str, shape: &[&str]) -> After {
    match (row, shape) {
        // SAFETY: none of these is sound; the host must handle them.
        ("W11", ["pointer"]) => unsafe { raw_write(0, 0, usize::MAX - 16, 8, 0) },
        ("W11", ["length"]) => unsafe { raw_write(0, 0, 16, usize::MAX >> 1, 0) },
        ("W11", ["result"]) => unsafe { raw_write(0, 0, 16, 1, usize::MAX - 1) },
        ("W11", ["huge", ..]) => say(&vec![b'h'; usize::try_from(number(shape, 1)).unwrap_or(usize::MAX)]),
        // One text of a MiB, referenced so often that the host would hold a GiB.
        ("W12", []) => {
            let text = vec![b't'; 1 << 20];
            let names: Vec<SignalName> =
                std::iter::repeat_with(|| SignalName { case: OTHER, text: text.as_ptr() as usize, len: text.len() })
                    .take(1024)
                    .collect();
            unsafe { raw_catch_signals(names.as_ptr() as usize, names.len()) }
        }
        // Small names, but a great many: each takes more memory in the host than here.
        ("W12", ["small"]) => {
            let names: Vec<SignalName> =
                std::iter::repeat_with(|| SignalName { case: 0, text: 0, len: 0 }).take(2 << 20).collect();
            unsafe { raw_catch_signals(names.as_ptr() as usize, names.len()) }
        }
        ("W13", ["utf8"]) => {
            let text = [b'a', 0xff, 0xc0, 0x80];
            unsafe { raw_log(2, text.as_ptr() as usize, text.len()) }
        }
        ("W13", ["misaligned"]) => {
            let names = [0_u8; 64];
            unsafe { raw_catch_signals((names.as_ptr() as usize | 3) + 2, 2) }
        }
        ("W14", ["variant"]) => unsafe { raw_write(77, 0, 0, 8, 0) },
        ("W14", ["enum"]) => unsafe { raw_log(77, 0, 0) },
        ("W18", ["forged"]) => unsafe { Pollable::from_handle(4711) }.block(),
        ("W18", ["twice"]) => {
            let handle = monotonic_clock::subscribe_duration(0).take_handle();
            drop(unsafe { Pollable::from_handle(handle) });
            drop(unsafe { Pollable::from_handle(handle) });
        }
        ("W18", ["stale"]) => {
            let handle = monotonic_clock::subscribe_duration(0).take_handle();
            drop(unsafe { Pollable::from_handle(handle) });
            unsafe { Pollable::from_handle(handle) }.block();
        }
        _ => panic!("no such behaviour: {row} {shape:?}"),
    }
    After::Report("nothing happened\n".to_owned())
}

/// Crashes in one of several ways.
pub(crate) fn crash(shape: &[&str]) -> After {
    let numbers = (black_box(i32::MIN), black_box(0_i32), black_box(-1_i32));
    match shape {
        [] | ["unreachable"] => core::arch::wasm32::unreachable(),
        // SAFETY: none; Rust checks before it divides, and is told here that it need not.
        ["divide"] => drop(black_box(unsafe { numbers.0.checked_div(numbers.1).unwrap_unchecked() })),
        ["overflow"] => drop(black_box(unsafe { numbers.0.checked_div(numbers.2).unwrap_unchecked() })),
        // SAFETY: none; the address is beyond all memory.
        ["bounds"] => drop(black_box(unsafe { std::ptr::read_volatile(black_box(0x7fff_0000_usize) as *const u64) })),
        // SAFETY: none; the table has nothing of this type there.
        ["call"] => {
            let function: extern "C" fn(f64, f64) -> f64 = unsafe { std::mem::transmute(black_box(1_usize)) };
            black_box(function(1.0, 2.0));
        }
        ["panic"] => panic!("a secret of the plugin's own"),
        ["abort"] => process::abort(),
        ["exit"] => process::exit(99),
        // After some output.
        ["said"] => {
            let _ = channel::write(Output::Stdout, b"last words");
            core::arch::wasm32::unreachable()
        }
        _ => panic!("no such crash: {shape:?}"),
    }
    After::Report("nothing happened\n".to_owned())
}
