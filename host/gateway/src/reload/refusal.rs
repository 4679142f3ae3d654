//! Why a file of a plugin folder is not served, and when it is tried again.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;
use whelk_runtime::{Error, Source};

use crate::logging::escape;

/// How long a file that may be good soon waits until it is looked at again. It doubles with each attempt.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest such wait, where an attempt costs no more than reading the file.
const LONGEST_PAUSE: Duration = Duration::from_secs(64);
/// The longest such wait, where each attempt may cost all the time and memory that compiling may take.
const LONGEST_COMPILE_PAUSE: Duration = Duration::from_secs(3600);

/// Why a file is not served.
pub(crate) struct Refusal {
    pub(crate) reason: String,
    /// The same bytes are not tried again. None if they were never read, or may be good another time.
    digest: Option<[u8; 32]>,
    retry: Option<Retry>,
    /// The operator was told. Half of what somebody is writing is not worth a word.
    told: bool,
}

/// The file may be good in a while, without anybody touching it.
#[derive(Clone, Copy)]
struct Retry {
    at: Instant,
    pause: Duration,
    longest: Duration,
}

impl Retry {
    fn after(pause: Duration, longest: Duration) -> Retry {
        let pause = pause.min(longest);
        Retry { at: Instant::now() + pause, pause, longest }
    }
}

impl Refusal {
    /// Before anything was read.
    pub(super) fn of(reason: String) -> Refusal {
        Refusal { reason, digest: None, retry: None, told: false }
    }

    /// For a while: there is no room for it now.
    pub(super) fn passing(self) -> Refusal {
        Refusal { retry: Some(Retry::after(FIRST_PAUSE, LONGEST_PAUSE)), ..self }
    }

    /// By the runtime.
    pub(super) fn by(error: &Error, source: &Source) -> Refusal {
        let refusal = Refusal::of(error.to_string());
        match error {
            // The same bytes may do when the host is well again.
            Error::Host { .. } => refusal.passing(),
            Error::Unfinished(_) => {
                Refusal { retry: Some(Retry::after(FIRST_PAUSE, LONGEST_COMPILE_PAUSE)), ..refusal }
            }
            _ => Refusal { digest: Some(*source.digest()), ..refusal },
        }
    }

    /// What this one is, after the one `before` it: told once for the same reason, and tried again at growing intervals.
    pub(super) fn following(mut self, before: &Refusal) -> Refusal {
        let is_same = before.reason == self.reason && before.digest == self.digest;
        let both_pass = before.retry.zip(self.retry);
        // Each fault of the host's has another number, and is the same news.
        self.told = before.told && (is_same || both_pass.is_some());
        if let Some((before, now)) = both_pass {
            // Whoever has no room for long must not have us read all of it all the time.
            self.retry = Some(Retry::after(before.pause.saturating_mul(2), now.longest));
        }
        self
    }

    /// Whether it is time to try again.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.retry.is_some_and(|retry| retry.at <= now)
    }

    /// Whether it is for exactly these bytes, and for good.
    pub(super) fn is_of(&self, digest: &[u8; 32]) -> bool {
        self.digest.as_ref() == Some(digest)
    }

    /// Tells the operator, once.
    pub(super) fn tell(&mut self, folder: &Path, file: &str, tenant: Option<&str>) {
        if !std::mem::replace(&mut self.told, true) {
            let path = folder.join(file).display().to_string();
            let (path, reason) = (escape(path.as_bytes()), escape(self.reason.as_bytes()));
            let retry = self.retry.map(|retry| format!("{} s", retry.pause.as_secs()));
            tracing::error!(file = %path, tenant, %reason, tried_again_after = retry, "plugin refused");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The waits before the attempts after a refusal that comes again and again, in seconds.
    fn waits(error: &Error, count: usize) -> Vec<u64> {
        let source = Source::new(vec![1]);
        let mut refusal = Refusal::by(error, &source);
        let mut waits = Vec::new();
        while waits.len() < count {
            let Some(retry) = refusal.retry else { break };
            waits.push((retry.at - Instant::now()).as_secs());
            refusal = Refusal::by(error, &source).following(&refusal);
        }
        waits
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_ran_out_of_time_is_tried_again_at_growing_intervals() {
        let unfinished = Error::Unfinished("its compiler was killed".to_owned());
        assert_eq!(waits(&unfinished, 13), [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]);
        let host = Error::Host { incident: "1".to_owned(), detail: "the disk is full".to_owned() };
        assert_eq!(waits(&host, 7), [2, 4, 8, 16, 32, 64, 64]);
        assert!(waits(&Error::Refused("it is no plugin".to_owned()), 1).is_empty());
    }

    #[test]
    fn only_bytes_that_are_no_plugin_are_never_tried_again() {
        let source = Source::new(vec![1]);
        let is_of = |error: &Error| Refusal::by(error, &source).is_of(source.digest());
        assert!(is_of(&Error::Refused("it is no plugin".to_owned())));
        assert!(!is_of(&Error::Unfinished("too slow".to_owned())));
    }
}
