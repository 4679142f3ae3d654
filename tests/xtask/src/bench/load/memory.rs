//! The memory of connections and sessions that wait, and what a server keeps of it after their end.

use super::driver::{Driver, KEX};
use crate::bench::meter::{KIB, to_float};
use crate::bench::server::{Place, Server};
use crate::step::Outcome;

const MIB: f64 = 1_048_576.0;

/// How many times sessions are started and ended.
const ROUNDS: usize = 10;

/// The memory of each of so many connections, with so many sessions, in KiB: while they wait, and what the server keeps
/// of it after they have ended; then what it keeps in percent of what it had before. `work` is what the client does.
pub(super) fn idle(place: &Place, server: &Server, work: &str, (count, sessions): (u32, u32)) -> Outcome<Vec<f64>> {
    let mut driver = Driver::start(place, server, work, (count, sessions), KEX)?;
    driver.hear("ready")?;
    let before = to_float(server.meter().anonymous()?);
    driver.go_on()?;
    driver.hear("done")?;
    let meanwhile = to_float(server.meter().anonymous()?);
    driver.end()?;
    let afterwards = to_float(server.meter().settled()?);
    let each = |memory: f64| (memory - before) / KIB / f64::from(count);
    Ok(vec![each(meanwhile), each(afterwards), percent(afterwards - before, before)])
}

/// So many connections with a session each, which have echoed and end, ten times: what the server keeps after the last
/// round, and the growth since the second one, in percent of what it had before the first; then that, and what it had
/// after each round, in MiB.
pub(super) fn rounds(place: &Place, server: &Server, count: u32) -> Outcome<Vec<f64>> {
    let base = to_float(server.meter().anonymous()?);
    let mut after = Vec::new();
    for _ in 0..ROUNDS {
        let mut driver = Driver::start(place, server, "idle", (count, 1), KEX)?;
        driver.hear("ready")?;
        driver.go_on()?;
        driver.hear("done")?;
        driver.end()?;
        after.push(to_float(server.meter().settled()?));
    }
    Ok(of_rounds(base, &after))
}

fn of_rounds(base: f64, after: &[f64]) -> Vec<f64> {
    let last = after.last().copied().unwrap_or(base);
    let second = after.get(1).copied().unwrap_or(base);
    let shares = [percent(last - base, base), percent(last - second, base)];
    shares.into_iter().chain([base].iter().chain(after).map(|bytes| bytes / MIB)).collect()
}

fn percent(part: f64, whole: f64) -> f64 {
    part * 100.0 / whole.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_that_since_the_second_round() {
        let after = [30.0, 12.0, 11.0, 13.0].map(|mib| mib * MIB);
        assert_eq!(of_rounds(10.0 * MIB, &after), [30.0, 10.0, 10.0, 30.0, 12.0, 11.0, 13.0]);
    }
}
