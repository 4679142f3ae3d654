//! Why a file of a plugin folder is not served, and when it is tried again.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;
use whelk_runtime::Error;

use crate::observe::escape::escape;
use crate::observe::event::{PluginEvent, emit};
use crate::state::plugin_files::Stamp;

/// The first pause before a file that may be valid soon is read again. It doubles with each attempt.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The same, if the compiler was killed.
const KILLED_PAUSE: Duration = Duration::from_secs(60);
/// The longest such pause, if an attempt costs no more than reading the file.
const LONGEST_PAUSE: Duration = Duration::from_secs(64);
/// The longest such pause, if each attempt may cost all the time and memory of a compiler.
const LONGEST_COMPILE_PAUSE: Duration = Duration::from_secs(3600);

/// Why a file is not served.
pub(crate) struct FileRefusal {
    pub(crate) reason: String,
    kind: Kind,
    /// The last attempt. `None` if the file was never read.
    tried: Option<Box<Tried>>,
    retry: Option<Retry>,
    /// Whether the refusal was logged. Files still being written are not logged.
    told: bool,
}

/// An attempt.
struct Tried {
    /// The digest of the bytes.
    digest: [u8; 32],
    /// The stamp of the file, where that matters.
    stamp: Option<Stamp>,
    touches: Touches,
}

/// The kind of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It could not be read.
    Unread,
    /// There is no room for it now.
    NoRoom,
    /// The host failed.
    Host,
    /// There was no verdict within the time limit.
    Unfinished,
    /// Its compiler was killed, probably by the OOM killer: each attempt may get another process killed.
    Killed,
    /// It is not a plugin. The same bytes are tried again only after the file was touched.
    NoPlugin,
}

impl Kind {
    /// The pause before the second attempt.
    fn first_pause(self) -> Duration {
        if self == Kind::Killed { KILLED_PAUSE } else { FIRST_PAUSE }
    }

    /// The longest pause between attempts; `None` if there are no more.
    fn longest_pause(self) -> Option<Duration> {
        match self {
            Kind::NoRoom | Kind::Host => Some(LONGEST_PAUSE),
            Kind::Unfinished | Kind::Killed => Some(LONGEST_COMPILE_PAUSE),
            Kind::Unread | Kind::NoPlugin => None,
        }
    }
}

/// When the same bytes are tried again because somebody has touched or replaced the file: at once the first time, later
/// less and less often, so that a job that touches a file every second does not occupy the compiler.
#[derive(Clone, Copy)]
struct Touches {
    /// When they were tried last.
    tried: Instant,
    /// The least time from then until a touch counts.
    pause: Duration,
}

impl Touches {
    fn none() -> Touches {
        Touches { tried: Instant::now(), pause: Duration::ZERO }
    }

    /// The state after another attempt. `touched`: it was made because of a touch.
    fn next(self, touched: bool) -> Touches {
        let now = Instant::now();
        let pause = match self.pause {
            // A file that was not touched for long starts anew.
            _ if now.duration_since(self.tried) > LONGEST_COMPILE_PAUSE => Duration::ZERO,
            pause if touched => pause.saturating_mul(2).clamp(FIRST_PAUSE, LONGEST_COMPILE_PAUSE),
            pause => pause,
        };
        Touches { tried: now, pause }
    }
}

/// The file may be valid later without a change.
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

impl FileRefusal {
    fn new(reason: String, kind: Kind) -> FileRefusal {
        let retry = kind.longest_pause().map(|_| Retry::after(kind.first_pause()));
        FileRefusal { reason, kind, tried: None, retry, told: false }
    }

    /// A file that could not be read.
    pub(super) fn unreadable(reason: String) -> FileRefusal {
        FileRefusal::new(reason, Kind::Unread)
    }

    /// A file for which there is no room now.
    pub(super) fn no_room(reason: String) -> FileRefusal {
        FileRefusal::new(reason, Kind::NoRoom)
    }

    /// A file that the runtime refused.
    pub(super) fn from_error(error: &Error) -> FileRefusal {
        let kind = match error {
            // The same bytes may be accepted when the host has recovered.
            Error::Host { .. } => Kind::Host,
            Error::Unfinished(_) => Kind::Unfinished,
            Error::Killed(_) => Kind::Killed,
            _ => Kind::NoPlugin,
        };
        FileRefusal::new(error.to_string(), kind)
    }

    /// The same, about these bytes in a file with this stamp.
    pub(super) fn with_digest(self, digest: &[u8; 32], stamp: Option<Stamp>) -> FileRefusal {
        FileRefusal { tried: Some(Box::new(Tried { digest: *digest, stamp, touches: Touches::none() })), ..self }
    }

    /// Combines this refusal with the one `before` it: logged once for the same reason, and tried again at growing
    /// intervals. Other bytes or another kind of refusal start anew.
    pub(super) fn after(mut self, before: &FileRefusal) -> FileRefusal {
        if let (Some(now), Some(before)) = (&mut self.tried, &before.tried)
            && now.digest == before.digest
        {
            now.touches = before.touches.next(now.stamp != before.stamp);
        }
        if (self.kind, self.digest()) != (before.kind, before.digest()) {
            return self;
        }
        // Host errors have a new incident number each time; log only the first.
        self.told = before.told && (self.kind == Kind::Host || self.reason == before.reason);
        if let (Some(before), Some(longest)) = (before.retry, self.kind.longest_pause()) {
            // Back off, so that a full folder is not re-read constantly.
            self.retry = Some(Retry::after(before.pause.saturating_mul(2).min(longest)));
        }
        self
    }

    fn digest(&self) -> Option<&[u8; 32]> {
        self.tried.as_ref().map(|tried| &tried.digest)
    }

    /// Whether it is tried again without a touch.
    pub(super) fn is_retried(&self) -> bool {
        self.retry.is_some()
    }

    /// What a client is told that needs the program of this file, and when it may be tried again; `None`: when the file
    /// has changed. Nothing about the server's disk and limits.
    pub(super) fn for_client(&self) -> (String, Option<Instant>) {
        let reason = match self.kind {
            Kind::NoPlugin => self.reason.as_str(),
            Kind::Unread => "its file cannot be read",
            Kind::NoRoom => "there is no room for it now; try again later",
            Kind::Host => "internal error; try again later",
            Kind::Unfinished | Kind::Killed => "it could not be prepared yet; try again later",
        };
        (reason.to_owned(), self.retry.map(|retry| retry.at))
    }

    /// How long it is until then.
    pub(crate) fn retry_in(&self) -> Option<Duration> {
        self.retry.map(|retry| retry.at.saturating_duration_since(Instant::now()))
    }

    /// Whether it is time to try again.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.retry.is_some_and(|retry| retry.at <= now)
    }

    /// Has the file tried again from this time on, for example because a limit has changed.
    pub(super) fn set_due(&mut self, at: Instant) {
        let pause = self.retry.map_or(self.kind.first_pause(), |retry| retry.pause);
        self.retry = Some(Retry { at, pause });
    }

    /// Whether to try these bytes now, in a file with this stamp. If the file was touched too soon after the last
    /// attempt, they are tried later.
    pub(super) fn should_retry(&mut self, digest: &[u8; 32], stamp: &Stamp, now: Instant) -> bool {
        let is_cheap = matches!(self.kind, Kind::Unread | Kind::NoRoom | Kind::Host);
        let Some(tried) = self.tried.as_ref().filter(|tried| !is_cheap && tried.digest == *digest) else { return true };
        if self.is_due(now) {
            return true;
        }
        if tried.stamp.as_ref() == Some(stamp) {
            return false;
        }
        let Touches { tried, pause } = tried.touches;
        let at = tried + pause;
        if at > now {
            let earliest = self.retry.map_or(at, |retry| retry.at.min(at));
            self.retry = Some(Retry { at: earliest, pause: self.retry.map_or(pause, |retry| retry.pause) });
        }
        at <= now
    }

    /// Logs it, once.
    pub(super) fn log_once(&mut self, folder: &Path, file: &str, tenant: Option<&str>) {
        if !std::mem::replace(&mut self.told, true) {
            let path = folder.join(file).display().to_string();
            let (path, reason) = (escape(path.as_bytes()), escape(self.reason.as_bytes()));
            let retry_s = self.retry.map(|retry| retry.pause.as_secs());
            emit(PluginEvent::Refused { file: path, tenant, reason, retry_s });
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

    /// The last of this many refusals of the same bytes for the same reason, and the pauses before the attempts, in
    /// seconds.
    fn refused(error: &Error, digest: &[u8; 32], count: usize) -> (FileRefusal, Vec<u64>) {
        let mut refusal = FileRefusal::from_error(error).with_digest(digest, Some(stamp(1)));
        let mut waits = Vec::new();
        for turn in 0..count {
            if turn > 0 {
                refusal = FileRefusal::from_error(error).with_digest(digest, Some(stamp(1))).after(&refusal);
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
            let next = FileRefusal::from_error(error).with_digest(digest, Some(stamp(1))).after(&late);
            (next.told, next.retry_in().map(|wait| wait.as_secs()))
        };
        assert_eq!(next(&unfinished("it took too long"), &A), (true, Some(3600)));
        // It is as likely to fail again, but for a reason that was not logged yet.
        assert_eq!(next(&unfinished("its compiler was killed"), &A), (false, Some(3600)));
        assert_eq!(next(&unfinished("it took too long"), &B), (false, Some(2)));
        assert_eq!(next(&host("1"), &A), (false, Some(2)));
        assert_eq!(next(&Error::Refused("it is no plugin".to_owned()), &A), (false, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_repeated_host_failure_is_logged_once() {
        let (before, _) = refused(&host("1"), &A, 1);
        assert!(FileRefusal::from_error(&host("2")).with_digest(&A, Some(stamp(1))).after(&before).told);
        assert!(!FileRefusal::from_error(&host("2")).with_digest(&B, Some(stamp(1))).after(&before).told);
    }

    /// The stamp of a file after this many touches.
    fn stamp(touches: u32) -> Stamp {
        Stamp::touched(touches.into())
    }

    fn no_plugin() -> Error {
        Error::Refused("it is no plugin".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_bytes_are_tried_again_when_the_file_is_touched_and_not_otherwise() {
        for error in [no_plugin(), unfinished("too slow"), Error::Killed("out of memory".to_owned())] {
            let mut refusal = FileRefusal::from_error(&error).with_digest(&A, Some(stamp(1)));
            assert!(!refusal.should_retry(&A, &stamp(1), Instant::now()), "{error}");
            assert!(refusal.should_retry(&B, &stamp(1), Instant::now()), "{error}");
            assert!(refusal.should_retry(&A, &stamp(2), Instant::now()), "{error}");
        }
        for error in [host("1"), host("2")] {
            assert!(FileRefusal::from_error(&error).with_digest(&A, Some(stamp(1))).should_retry(
                &A,
                &stamp(1),
                Instant::now()
            ));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_touched_every_second_is_tried_less_and_less_often() {
        let mut refusal = FileRefusal::from_error(&no_plugin()).with_digest(&A, Some(stamp(0)));
        let (began, mut tried) = (Instant::now(), Vec::new());
        for second in 1..=3000 {
            tokio::time::advance(Duration::from_secs(1)).await;
            if refusal.should_retry(&A, &stamp(second), Instant::now()) {
                tried.push(began.elapsed().as_secs());
                refusal = FileRefusal::from_error(&no_plugin()).with_digest(&A, Some(stamp(second))).after(&refusal);
            }
        }
        assert_eq!(tried, [1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 2047]);
        // The last touch counts, even if no other follows.
        assert!(refusal.is_retried());
        assert!(refusal.should_retry(&A, &stamp(3000), Instant::now() + LONGEST_COMPILE_PAUSE));
        // And a file that was left alone for long is tried at once.
        tokio::time::advance(LONGEST_COMPILE_PAUSE * 2).await;
        let mut refusal = FileRefusal::from_error(&no_plugin()).with_digest(&A, Some(stamp(3001))).after(&refusal);
        assert!(refusal.should_retry(&A, &stamp(3002), Instant::now()));
    }
}
