//! Why a file of a plugin folder is not served, and when it is tried again.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;
use whelk_runtime::Error;

use crate::logging::escape;

/// How long a file that may be good soon waits until it is looked at again. It doubles with each attempt.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The same, where the compiler was killed.
const KILLED_PAUSE: Duration = Duration::from_secs(60);
/// The longest such wait, where an attempt costs no more than reading the file.
const LONGEST_PAUSE: Duration = Duration::from_secs(64);
/// The longest such wait, where each attempt may cost all the time and memory that compiling may take.
const LONGEST_COMPILE_PAUSE: Duration = Duration::from_secs(3600);

/// Why a file is not served.
pub(crate) struct Refusal {
    pub(crate) reason: String,
    kind: Kind,
    /// The bytes that were tried. None if they were never read.
    digest: Option<[u8; 32]>,
    retry: Option<Retry>,
    /// Whether the refusal was logged. Files still being written are not logged.
    told: bool,
}

/// What a refusal says of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It could not be read.
    Unread,
    /// There is no room for it now.
    NoRoom,
    /// The host failed.
    Host,
    /// It could not be found out in time whether it is a plugin.
    Unfinished,
    /// Its compiler was killed, by the OOM killer most likely: each attempt may cost another process its life.
    Killed,
    /// It is no plugin. The same bytes are not tried again.
    NoPlugin,
}

impl Kind {
    /// The pause before the second attempt.
    fn first_pause(self) -> Duration {
        if self == Kind::Killed { KILLED_PAUSE } else { FIRST_PAUSE }
    }

    /// The longest pause between attempts; none if there are no more.
    fn longest_pause(self) -> Option<Duration> {
        match self {
            Kind::NoRoom | Kind::Host => Some(LONGEST_PAUSE),
            Kind::Unfinished | Kind::Killed => Some(LONGEST_COMPILE_PAUSE),
            Kind::Unread | Kind::NoPlugin => None,
        }
    }
}

/// The file may be good in a while, without anybody touching it.
#[derive(Clone, Copy)]
struct Retry {
    at: Instant,
    pause: Duration,
}

impl Retry {
    fn after(pause: Duration) -> Retry {
        Retry { at: Instant::now() + pause, pause }
    }
}

impl Refusal {
    fn new(reason: String, kind: Kind) -> Refusal {
        let retry = kind.longest_pause().map(|_| Retry::after(kind.first_pause()));
        Refusal { reason, kind, digest: None, retry, told: false }
    }

    /// The file could not be read.
    pub(super) fn of(reason: String) -> Refusal {
        Refusal::new(reason, Kind::Unread)
    }

    /// There is no room for it now.
    pub(super) fn no_room(reason: String) -> Refusal {
        Refusal::new(reason, Kind::NoRoom)
    }

    /// By the runtime.
    pub(super) fn by(error: &Error) -> Refusal {
        let kind = match error {
            // The same bytes may do when the host is well again.
            Error::Host { .. } => Kind::Host,
            Error::Unfinished(_) => Kind::Unfinished,
            Error::Killed(_) => Kind::Killed,
            _ => Kind::NoPlugin,
        };
        Refusal::new(error.to_string(), kind)
    }

    /// The same, of these bytes.
    pub(super) fn of_bytes(self, digest: &[u8; 32]) -> Refusal {
        Refusal { digest: Some(*digest), ..self }
    }

    /// What this one is, after the one `before` it: logged once for the same reason, and tried again at growing intervals. Other bytes start
    /// anew, and so does another kind of refusal.
    pub(super) fn following(mut self, before: &Refusal) -> Refusal {
        if (self.kind, self.digest) != (before.kind, before.digest) {
            return self;
        }
        // Host errors carry a new incident number each time; log only the first.
        self.told = before.told && (self.kind == Kind::Host || self.reason == before.reason);
        if let (Some(before), Some(longest)) = (before.retry, self.kind.longest_pause()) {
            // Back off, so that a full folder is not re-read constantly.
            self.retry = Some(Retry::after(before.pause.saturating_mul(2).min(longest)));
        }
        self
    }

    /// Whether it is tried again without anybody touching the file.
    pub(super) fn is_retried(&self) -> bool {
        self.retry.is_some()
    }

    /// How long it is until then.
    pub(crate) fn retry_in(&self) -> Option<Duration> {
        self.retry.map(|retry| retry.at.saturating_duration_since(Instant::now()))
    }

    /// Whether it is time to try again.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.retry.is_some_and(|retry| retry.at <= now)
    }

    /// Whether it is for exactly these bytes, and for good.
    pub(super) fn is_of(&self, digest: &[u8; 32]) -> bool {
        self.kind == Kind::NoPlugin && self.digest.as_ref() == Some(digest)
    }

    /// Tells the operator, once.
    pub(super) fn tell(&mut self, folder: &Path, file: &str, tenant: Option<&str>) {
        if !std::mem::replace(&mut self.told, true) {
            let path = folder.join(file).display().to_string();
            let (path, reason) = (escape(path.as_bytes()), escape(self.reason.as_bytes()));
            let retry_s = self.retry.map(|retry| retry.pause.as_secs());
            tracing::error!(file = %path, tenant, %reason, retry_s, "plugin refused");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [u8; 32] = [1; 32];
    const B: [u8; 32] = [2; 32];

    fn unfinished(reason: &str) -> Error {
        Error::Unfinished(reason.to_owned())
    }

    fn host(incident: &str) -> Error {
        Error::Host { incident: incident.to_owned(), detail: "the disk is full".to_owned() }
    }

    /// The last of this many refusals of the same bytes for the same reason, and the waits before the attempts after each, in seconds.
    fn refused(error: &Error, digest: &[u8; 32], count: usize) -> (Refusal, Vec<u64>) {
        let mut refusal = Refusal::by(error).of_bytes(digest);
        let mut waits = Vec::new();
        for turn in 0..count {
            if turn > 0 {
                refusal = Refusal::by(error).of_bytes(digest).following(&refusal);
            }
            waits.extend(refusal.retry_in().map(|wait| wait.as_secs()));
        }
        refusal.told = true;
        (refusal, waits)
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_ran_out_of_time_is_tried_again_at_growing_intervals() {
        let waits = |error: &Error, count| refused(error, &A, count).1;
        let unfinished = unfinished("its compiler was killed");
        assert_eq!(waits(&unfinished, 13), [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]);
        let killed = Error::Killed("out of memory".to_owned());
        assert_eq!(waits(&killed, 8), [60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(waits(&host("1"), 7), [2, 4, 8, 16, 32, 64, 64]);
        assert!(waits(&Error::Refused("it is no plugin".to_owned()), 1).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn other_bytes_and_other_kinds_of_refusals_are_logged_and_tried_again_soon() {
        let (late, _) = refused(&unfinished("it took too long"), &A, 12);
        assert_eq!(late.retry_in(), Some(LONGEST_COMPILE_PAUSE));
        let next = |error: &Error, digest: &[u8; 32]| {
            let next = Refusal::by(error).of_bytes(digest).following(&late);
            (next.told, next.retry_in().map(|wait| wait.as_secs()))
        };
        assert_eq!(next(&unfinished("it took too long"), &A), (true, Some(3600)));
        // It is as likely to fail again, but for a reason that nobody has read.
        assert_eq!(next(&unfinished("its compiler was killed"), &A), (false, Some(3600)));
        assert_eq!(next(&unfinished("it took too long"), &B), (false, Some(2)));
        assert_eq!(next(&host("1"), &A), (false, Some(2)));
        assert_eq!(next(&Error::Refused("it is no plugin".to_owned()), &A), (false, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_fails_again_with_another_incident_is_no_news() {
        let (before, _) = refused(&host("1"), &A, 1);
        assert!(Refusal::by(&host("2")).of_bytes(&A).following(&before).told);
        assert!(!Refusal::by(&host("2")).of_bytes(&B).following(&before).told);
    }

    #[test]
    fn only_bytes_that_are_no_plugin_are_never_tried_again() {
        let is_of = |error: &Error| Refusal::by(error).of_bytes(&A).is_of(&A);
        assert!(is_of(&Error::Refused("it is no plugin".to_owned())));
        assert!(!is_of(&unfinished("too slow")));
    }
}
