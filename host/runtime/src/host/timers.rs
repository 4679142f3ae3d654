//! `whelk:ssh/timers`. Timers are set here; the session's loop delivers them.

use std::time::Duration;

use tokio::time::Instant;

use crate::host::bindings::imports::timers::TimerError;
use crate::limits::{Limits, count};

/// A running timer.
struct Timer {
    number: u32,
    at: Instant,
    every: Option<Duration>,
}

/// All running timers: so few that a linear search finds the next one.
pub(crate) struct Timers {
    running: Vec<Timer>,
    most: usize,
    shortest: Duration,
}

impl Timers {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { running: Vec::new(), most: count(limits.timers), shortest: limits.timer }
    }

    /// When the next one expires.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.running.iter().map(|timer| timer.at).min()
    }

    /// Takes a timer that is due. A repeating one is set to its first expiration in the future: missed ones are not
    /// delivered.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<u32> {
        let due =
            self.running.iter().enumerate().filter(|(_, timer)| timer.at <= now).min_by_key(|(_, timer)| timer.at);
        let (index, _) = due?;
        let timer = &mut self.running[index];
        let number = timer.number;
        match timer.every {
            Some(every) => {
                let late = now.duration_since(timer.at).as_nanos() % every.as_nanos();
                let late = Duration::from_nanos(u64::try_from(late).unwrap_or(0));
                timer.at = now + every - late;
            }
            None => {
                self.running.swap_remove(index);
            }
        }
        Some(number)
    }

    pub(super) fn set(
        &mut self,
        now: Instant,
        number: u32,
        after: Duration,
        every: Option<Duration>,
    ) -> Result<(), TimerError> {
        if after < self.shortest || every.is_some_and(|every| every < self.shortest) {
            return Err(TimerError::TooSoon);
        }
        let timer = Timer { number, at: now + after, every };
        self.cancel(number);
        if self.running.len() == self.most {
            return Err(TimerError::TooMany);
        }
        self.running.push(timer);
        Ok(())
    }

    pub(super) fn cancel(&mut self, number: u32) {
        self.running.retain(|timer| timer.number != number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn timers() -> Timers {
        Timers::new(&Limits::default())
    }

    #[test]
    fn a_timer_expires_once_and_a_repeating_one_again_and_again() {
        let start = Instant::now();
        let mut timers = timers();
        timers.set(start, 1, ms(10), None).unwrap();
        timers.set(start, 2, ms(20), Some(ms(20))).unwrap();
        assert_eq!(timers.take_due(start + ms(9)), None);
        assert_eq!(timers.take_due(start + ms(10)), Some(1));
        assert_eq!(timers.next(), Some(start + ms(20)));
        assert_eq!(timers.take_due(start + ms(20)), Some(2));
        assert_eq!(timers.take_due(start + ms(20)), None);
        assert_eq!(timers.take_due(start + ms(40)), Some(2));
    }

    #[test]
    fn missed_expirations_are_delivered_once_and_the_period_does_not_drift() {
        let start = Instant::now();
        let mut timers = timers();
        timers.set(start, 7, ms(100), Some(ms(100))).unwrap();
        assert_eq!(timers.take_due(start + ms(450)), Some(7));
        assert_eq!(timers.take_due(start + ms(450)), None);
        assert_eq!(timers.next(), Some(start + ms(500)));
    }

    #[test]
    fn the_earliest_of_several_due_timers_is_delivered_first() {
        let start = Instant::now();
        let mut timers = timers();
        timers.set(start, 1, ms(30), None).unwrap();
        timers.set(start, 2, ms(20), None).unwrap();
        assert_eq!(timers.take_due(start + ms(50)), Some(2));
        assert_eq!(timers.take_due(start + ms(50)), Some(1));
    }

    #[test]
    fn too_many_and_too_short_timers_are_refused_and_a_running_one_may_be_set_again() {
        let start = Instant::now();
        let mut timers = timers();
        assert!(matches!(timers.set(start, 0, ms(9), None), Err(TimerError::TooSoon)));
        assert!(matches!(timers.set(start, 0, ms(10), Some(ms(9))), Err(TimerError::TooSoon)));
        for number in 0..64 {
            timers.set(start, number, ms(10), None).unwrap();
        }
        assert!(matches!(timers.set(start, 64, ms(10), None), Err(TimerError::TooMany)));
        timers.set(start, 63, ms(5000), None).unwrap();
        timers.cancel(0);
        timers.cancel(1000);
        timers.set(start, 64, ms(10), None).unwrap();
    }
}
