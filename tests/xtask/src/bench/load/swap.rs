//! A plugin that is replaced while sessions start at a fixed rate.

use super::driver::Driver;
use crate::bench::server::{PLUGIN, Place, Server};
use crate::step::{Outcome, doing};
use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a version may take until new sessions get it. A compiler has low priority.
const LONGEST: Duration = Duration::from_secs(60);
/// How often to look whether the load has ended.
const LOOK: Duration = Duration::from_millis(50);
/// The name of the section that makes one version another file.
const SECTION: &str = "whelk-bench";

/// Starts so many sessions. Gives the slowest, the median and the 99th percentile in ms, how many have failed, how late
/// the client was at most in ms, and with `swap` how many versions of the plugin the server has served meanwhile.
pub(super) fn run(place: &Place, server: &Server, count: u32, swap: bool) -> Outcome<Vec<f64>> {
    let mut driver = Driver::start_at_rate(place, server, count)?;
    driver.hear("ready")?;
    driver.go_on()?;
    let (numbers, swaps) =
        if swap { replacing(place, server, || driver.hear("done"))? } else { (driver.hear("done")?, None) };
    driver.end()?;
    let [ended, failed, p50, p99, most, late] = numbers[..] else {
        return Err(format!("the load said {numbers:?} after `done`"));
    };
    if ended + failed != f64::from(count) {
        return Err(format!("of {count} sessions {ended} have ended and {failed} have failed"));
    }
    Ok([most, p50, p99, failed, late].into_iter().chain(swaps).collect())
}

/// Does some work, and replaces the plugin meanwhile. Also gives how often.
fn replacing<R>(place: &Place, server: &Server, work: impl FnOnce() -> Outcome<R>) -> Outcome<(R, Option<f64>)> {
    let file = place.file("plugins").join(PLUGIN).with_extension("wasm");
    let wasm = doing(file.display(), fs::read(&file))?;
    let (end, ended) = channel::<()>();
    let (done, swaps) = std::thread::scope(|scope| {
        let swaps = scope.spawn(|| replace_until(server, &file, &wasm, ended));
        let done = work();
        drop(end);
        (done, swaps.join().unwrap_or_else(|_| Err("the thread that replaces the plugin has panicked".to_owned())))
    });
    put(&file, &wasm)?;
    let (done, swaps) = (done?, swaps?);
    if swaps == 0 {
        return Err("the server has served no other version of the plugin while the load ran".to_owned());
    }
    Ok((done, Some(f64::from(swaps))))
}

/// Replaces a plugin by other versions, one after the other, each as soon as the server serves the one before it. How
/// many it has served before the end.
fn replace_until(server: &Server, file: &Path, wasm: &[u8], ended: Receiver<()>) -> Outcome<u32> {
    let mut swaps = 0;
    loop {
        let now = doing("the clock", SystemTime::now().duration_since(UNIX_EPOCH).map_err(std::io::Error::other))?;
        put(file, &version(wasm, &now.as_nanos().to_string()))?;
        let began = Instant::now();
        while !server.has_loaded_plugin()? {
            if ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Disconnected) {
                return Ok(swaps);
            }
            if began.elapsed() > LONGEST {
                return Err(format!("the server has not served another version of the plugin for {LONGEST:?}"));
            }
        }
        swaps += 1;
    }
}

/// The same component with one more custom section: it is compiled anew, and does the same.
fn version(wasm: &[u8], stamp: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).ok().filter(|length| *length < 0x80);
    let short = "both are far shorter than 64 bytes";
    let name = [&[length(SECTION).expect(short)], SECTION.as_bytes(), stamp.as_bytes()].concat();
    let size = u8::try_from(name.len()).ok().filter(|size| *size < 0x80).expect(short);
    [wasm, &[0, size], &name].concat()
}

/// Puts a file in the place of another, whole.
fn put(file: &Path, bytes: &[u8]) -> Outcome {
    let new = file.with_extension("wasm.new");
    doing(new.display(), fs::write(&new, bytes))?;
    doing(file.display(), fs::rename(&new, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_one_more_custom_section() {
        let wasm = b"\0asm\x0d\0\x01\0";
        assert_eq!(version(wasm, "17"), b"\0asm\x0d\0\x01\0\0\x0e\x0bwhelk-bench17");
    }
}
