//! Recorders, the thread and the files together.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use whelk_runtime::{Exit, Inbox, Outbox, Output, SessionHalf, WindowSize, session_pipes};

use super::digest::RecordingKey;
use super::reader::{CastEvent, CastReader};
use super::verify::verify;
use super::*;
use crate::config::{RecordingFormat, RecordingHash};

/// Longer than anything here takes.
const LATER: Duration = Duration::from_secs(30);

/// A session that is recorded.
struct Recorded {
    recordings: Recordings,
    point: Arc<TapPoint>,
    recording: Option<SessionRecording>,
    inbox: Inbox,
    _outbox: Outbox,
    half: Option<SessionHalf>,
    wakes: Arc<AtomicUsize>,
    folder: tempfile::TempDir,
}

impl Recorded {
    fn new(config: &RecordingConfig) -> Recorded {
        let folder = tempfile::tempdir().unwrap();
        let recordings = Recordings::new(&folder.path().join("state"));
        Recorded::with(config, folder, recordings)
    }

    /// With a digest in each millisecond in which something was recorded.
    fn with_many_digests(config: &RecordingConfig) -> Recorded {
        let folder = tempfile::tempdir().unwrap();
        let recordings = Recordings::new(&folder.path().join("state"));
        let queue = Arc::new(WriteQueue::new(Handle::current()));
        let written = Arc::clone(&queue);
        let write = move || writer::run(&written, Duration::from_millis(1));
        supervise_thread("recordings", None, write).unwrap();
        assert!(recordings.queue.set(queue).is_ok());
        Recorded::with(config, folder, recordings)
    }

    fn with(config: &RecordingConfig, folder: tempfile::TempDir, recordings: Recordings) -> Recorded {
        fs::create_dir(folder.path().join("state")).unwrap();
        recordings.prepare([config].into_iter()).unwrap();
        let (inbox, outbox, half) = session_pipes(1 << 10, Arc::new(|| ()));
        let (point, wakes) = (Arc::<TapPoint>::default(), Arc::<AtomicUsize>::default());
        let count = Arc::clone(&wakes);
        point.set_wake(Arc::new(move || _ = count.fetch_add(1, Ordering::Relaxed)));
        let (user, principal) = ("../a\u{1b}", "a");
        let subject = RecordingSubject { connection: 4, channel: 0, session: 2, user, principal, tenant: "acme" };
        let recording = recordings.record(config, &subject, (&inbox, &point));
        assert!(recording.is_some());
        Recorded { recordings, point, recording, inbox, _outbox: outbox, half: Some(half), wakes, folder }
    }

    fn start(&self, command: &str) {
        self.recording.as_ref().unwrap().start(command.as_bytes(), true);
    }

    fn output(&self, text: &[u8]) {
        self.point.output(Output::Stdout, text);
    }

    async fn written(&self) {
        timeout(LATER, self.recordings.finish(LATER)).await.unwrap();
    }

    /// The only recording, once the session has ended.
    async fn end(&mut self) -> PathBuf {
        self.point.exits(&Exit::Status(0));
        self.point.end();
        self.recording = None;
        self.written().await;
        self.file()
    }

    fn casts(&self) -> PathBuf {
        self.folder.path().join("state/recordings/acme")
    }

    fn file(&self) -> PathBuf {
        let files: Vec<_> = fs::read_dir(self.casts()).unwrap().map(|entry| entry.unwrap().path()).collect();
        let [file] = &files[..] else { panic!("one recording: {files:?}") };
        file.clone()
    }

    /// Waits until the session is woken, which was held back.
    async fn woken(&self) {
        let woken = async {
            while self.wakes.swap(0, Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(LATER, woken).await.unwrap();
    }
}

/// The events but the last record: codes and data.
fn events(file: &Path) -> Vec<(String, String)> {
    let (mut reader, _) = CastReader::open(file).unwrap();
    let mut events = Vec::new();
    while let Some(CastEvent { code, data, .. }) = reader.next_event().unwrap() {
        events.push((code, data));
    }
    assert_eq!(events.pop().unwrap().0, "h");
    events
}

fn event(code: &str, data: &str) -> (String, String) {
    (code.to_owned(), data.to_owned())
}

#[tokio::test]
async fn what_a_session_sends_is_in_its_recording_in_that_order() {
    for (format, hash) in [(RecordingFormat::V2, RecordingHash::Blake3), (RecordingFormat::V3, RecordingHash::Sha256)] {
        let mut recorded = Recorded::new(&RecordingConfig { format, hash, hmac: true, ..RecordingConfig::default() });
        let size = |columns| WindowSize { columns, rows: 30, ..WindowSize::default() };
        recorded.point.resized(size(90));
        recorded.start("ls -l");
        recorded.written().await;
        recorded.output("é".as_bytes().split_at(1).0);
        recorded.point.resized(size(100));
        recorded.output("é".as_bytes().split_at(1).1);
        recorded.point.output(Output::Stderr, b"\xff\x1b]52;c;eA==\x07");
        let file = recorded.end().await;
        let text = fs::read_to_string(&file).unwrap();
        let (header, _) = text.split_once('\n').unwrap();
        let header: serde_json::Value = serde_json::from_str(header).unwrap();
        assert_eq!((&header["command"], &header["whelk"]["user"]), (&"ls -l".into(), &"../a\u{1b}".into()));
        assert_eq!(header["whelk"]["hash"], hash.name());
        assert_eq!(CastReader::open(&file).unwrap().1.size(), (90, 30));
        let expected = [event("r", "100x30"), event("o", "é"), event("o", "\u{fffd}\u{1b}]52;c;eA==\u{7}")];
        assert_eq!(events(&file), expected);
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(name.contains("_acme_.._a_") && name.ends_with(".2.cast"), "{name}");
        let key = State::open(&recorded.folder.path().join("state")).unwrap().existing_recording_key().unwrap();
        let found = verify(&file, key.map(RecordingKey::new).as_ref(), &[]).unwrap().join("\n");
        assert!(found.contains("complete, 1 digests fit; exit status 0, 0 bytes left out"), "{found}");
        let other = verify(&file, Some(&RecordingKey::new([7; 32])), &[]).unwrap_err();
        assert!(other[0].contains("the seal is not one of this key"), "{other:?}");
    }
}

#[tokio::test]
async fn what_is_not_recorded_is_followed_by_what_is() {
    let mut recorded = Recorded::new(&RecordingConfig { required: true, ..RecordingConfig::default() });
    recorded.recording.as_ref().unwrap().start(b"sftp", false);
    assert_eq!(recorded.point.room(1_000), 1_000);
    recorded.output(b"files");
    recorded.start("");
    // None until the file is there, which may be by now.
    if recorded.point.room(5) == 0 {
        recorded.woken().await;
    }
    assert_eq!(recorded.point.room(5), 5);
    recorded.output(b"shell");
    assert_eq!(events(&recorded.end().await), [event("o", "shell")]);
}

#[tokio::test]
async fn a_session_that_must_be_recorded_is_held_back_and_loses_nothing() {
    let config = RecordingConfig { required: true, rate: 0, ..RecordingConfig::default() };
    let mut recorded = Recorded::new(&config);
    recorded.start("cat");
    let text: String = (0..400_000).map(|number| format!("{number} ")).collect();
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let room = recorded.point.room(rest.len().min(32 << 10));
        if room == 0 {
            recorded.woken().await;
        }
        recorded.output(&rest[..room]);
        rest = &rest[room..];
    }
    let file = recorded.end().await;
    let said: String = events(&file).into_iter().map(|(code, data)| if code == "o" { data } else { code }).collect();
    assert!(said == text, "{} bytes of {}", said.len(), text.len());
}

/// A flood without a newline, which nothing holds back.
#[tokio::test]
async fn what_comes_too_fast_is_left_out_and_counted() {
    let config = RecordingConfig { rate: 1 << 20, size: 4 << 20, ..RecordingConfig::default() };
    let mut recorded = Recorded::new(&config);
    recorded.start("flood");
    let piece = [b'x'; 32 << 10];
    (0..100 << 5).for_each(|_| recorded.output(&piece));
    let file = recorded.end().await;
    assert!(fs::metadata(&file).unwrap().len() < 4 << 20);
    let (mut shown, mut lost) = (0, 0);
    for (code, data) in events(&file) {
        match code.as_str() {
            "o" => shown += data.len(),
            "m" => lost += data.strip_suffix(" bytes are left out").unwrap().parse::<usize>().unwrap(),
            other => panic!("{other}"),
        }
    }
    assert_eq!(shown + lost, 100 << 20);
    assert!(shown > 0);
    let found = verify(&file, None, &[]).unwrap().join("\n");
    assert!(found.contains(&format!("{lost} bytes left out")), "{found}");
}

#[tokio::test]
async fn a_recording_that_is_full_or_gone_ends_a_session_that_must_be_recorded() {
    for (what, size, breaks) in
        [("is as long as `size` allows", 64 << 10, false), ("No such file or directory", 1 << 20, true)]
    {
        let config = RecordingConfig { required: true, size, rate: 0, ..RecordingConfig::default() };
        let mut recorded = Recorded::new(&config);
        recorded.start("flood");
        recorded.written().await;
        let file = recorded.file();
        if breaks {
            fs::rename(recorded.casts(), recorded.folder.path().join("elsewhere")).unwrap();
        }
        let half = recorded.half.take().unwrap();
        let ended = async {
            tokio::select! {
                () = half.until_ended() => {}
                () = async {
                    loop {
                        let room = recorded.point.room(32 << 10);
                        recorded.output(&vec![b'x'; room]);
                        tokio::task::yield_now().await;
                    }
                } => {}
            }
        };
        timeout(LATER, ended).await.unwrap();
        assert_eq!(recorded.point.room(1), 0, "{what}: nothing is sent that is not recorded");
        recorded.wakes.store(0, Ordering::Relaxed);
        drop(half);
        recorded.woken().await;
        assert_eq!(recorded.point.room(1), 1, "{what}: the client is told");
        assert!(recorded.inbox.handle().is_over());
        recorded.point.end();
        recorded.recording = None;
        recorded.written().await;
        if !breaks {
            let found = verify(&file, None, &[]).unwrap().join("\n");
            assert!(found.contains(what), "{found}");
        }
    }
}

#[tokio::test]
async fn digests_are_recorded_as_long_as_something_is() {
    let mut recorded = Recorded::with_many_digests(&RecordingConfig::default());
    recorded.start("ls");
    recorded.written().await;
    let file = recorded.file();
    for number in 1..=3 {
        recorded.output(b"more");
        let there = async {
            while fs::read_to_string(&file).unwrap().matches(", \"h\", ").count() < number {
                tokio::task::yield_now().await;
            }
        };
        timeout(LATER, there).await.unwrap();
    }
    let file = recorded.end().await;
    let found = verify(&file, None, &[]).unwrap().join("\n");
    assert!(found.contains("4 digests fit"), "{found}");
}

#[tokio::test]
async fn a_disk_that_does_not_answer_is_noticed() {
    let recorded = Recorded::new(&RecordingConfig::default());
    let recorder = &recorded.recording.as_ref().unwrap().recorder;
    // One without a thread.
    let queue = WriteQueue::new(Handle::current());
    let stuck = |longest| queue.stuck(longest).len();
    assert_eq!(stuck(Duration::ZERO), 0);
    queue.work_on(recorder);
    assert_eq!((stuck(Duration::ZERO), stuck(LATER), queue.is_idle()), (1, 0, false));
    queue.rest();
    assert_eq!((stuck(Duration::ZERO), queue.is_idle()), (0, true));
}

#[tokio::test]
async fn a_session_that_need_not_be_recorded_goes_on_without_its_recording() {
    let mut recorded = Recorded::new(&RecordingConfig::default());
    fs::write(recorded.folder.path().join("state/recordings"), "a file").unwrap();
    recorded.start("ls");
    recorded.written().await;
    recorded.output(b"seen");
    assert_eq!(recorded.point.room(10), 10);
    assert!(!recorded.inbox.handle().is_over());
    recorded.point.end();
    recorded.recording = None;
    recorded.written().await;
}

#[tokio::test]
async fn a_change_anywhere_is_found() {
    for hash in [RecordingHash::Blake3, RecordingHash::Sha256] {
        let mut recorded = Recorded::new(&RecordingConfig { hash, ..RecordingConfig::default() });
        find_every_change(&mut recorded).await;
    }
}

async fn find_every_change(recorded: &mut Recorded) {
    recorded.start("ls");
    (0..5).for_each(|number| recorded.output(format!("line {number}\n").as_bytes()));
    let file = recorded.end().await;
    let text = fs::read(&file).unwrap();
    assert!(verify(&file, None, &[]).is_ok());
    let last_line = text[..text.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for at in 0..text.len() - 1 {
        let mut changed = text.clone();
        changed[at] ^= 1;
        fs::write(&file, &changed).unwrap();
        // The last line can only be vouched for by the audit or a seal.
        assert!(verify(&file, None, &[]).is_err() || at >= last_line, "byte {at}");
    }
    for cut in 0..text.len() - 1 {
        fs::write(&file, &text[..cut]).unwrap();
        assert!(verify(&file, None, &[]).is_err(), "{cut} bytes");
    }
    fs::write(&file, [&text[..], b"[9.0, \"o\", \"more\"]\n"].concat()).unwrap();
    assert!(verify(&file, None, &[]).unwrap_err()[0].contains("follows the closing record"));
}

#[tokio::test]
async fn a_recording_that_was_made_anew_is_found_by_the_audit() {
    let mut recorded = Recorded::new(&RecordingConfig::default());
    recorded.start("ls");
    recorded.output(b"the truth");
    let file = recorded.end().await;
    let audit = recorded.folder.path().join("audit.log");
    let (text, name) = (fs::read_to_string(&file).unwrap(), file.display().to_string());
    let of = |text: &str, event: &str| {
        let mut digest = super::digest::RunningDigest::new(RecordingHash::Blake3);
        digest.update(text.as_bytes());
        let (bytes, digest) = (digest.bytes(), digest.hex());
        format!(
            "{{\"event\":\"session_recording_{event}\",\"file\":\"{name}\",\"bytes\":{bytes},\
             \"digest\":\"{digest}\"}}\n"
        )
    };
    let first = &text[..=text.find('\n').unwrap()];
    let whole = format!("{{\"event\":\"session_opened\"}}\n{}{}", of(first, "began"), of(&text, "ended"));
    fs::write(&audit, &whole).unwrap();
    let audits = [audit.clone()];
    assert!(verify(&file, None, &audits).unwrap()[1].contains("2 records of the audit fit"));
    let said = |problems: Result<Vec<String>, Vec<String>>| problems.unwrap_err().join("\n");
    // Another recording that is whole by itself, as long, longer and shorter.
    for output in [&b"the false"[..], b"the whole truth and more", b"x"] {
        let mut other = Recorded::new(&RecordingConfig::default());
        other.start("ls");
        other.output(output);
        fs::copy(other.end().await, &file).unwrap();
        assert!(verify(&file, None, &[]).is_ok());
        said(verify(&file, None, &audits));
    }
    fs::write(&file, first).unwrap();
    assert!(said(verify(&file, None, &audits)).contains("the end is missing"));
    fs::write(&file, &text).unwrap();
    assert!(verify(&file, None, &audits).is_ok());
    fs::rename(&file, file.with_extension("moved")).unwrap();
    assert!(said(verify(&file.with_extension("moved"), None, &audits)).contains("the audit has no record"));
}

#[test]
fn a_recording_that_names_no_hash_has_sha_256_and_one_that_names_another_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (file, key) = (folder.path().join("old.cast"), RecordingKey::new([1; 32]));
    let lines = "{\"version\":2,\"width\":80,\"height\":24,\"timestamp\":1700000000,\"title\":\"t\",\"whelk\":{\
                 \"connection\":\"7f-4\",\"session\":2,\"user\":\"a\",\"principal\":\"a\",\"tenant\":\"acme\",\
                 \"terminal\":false,\"hmac\":true}}\n[0.000001, \"o\", \"hi\\n\"]\n";
    // By sha256sum, and by another implementation of HMAC.
    let sha256 = "ee0454eef97dc363530fe2f721da8226c672ca84196d198872a64fdbf17b1d28";
    let hmac = "5a35d706f0b58d22251cb7a65f009308662a946d833ba69ec38f65927101042f";
    let data = format!(
        "{{\"bytes\":210,\"sha256\":\"{sha256}\",\"hmac\":\"{hmac}\",\"end\":{{\"exit\":\"status 0\",\"lost\":0}}}}"
    );
    let record = format!("[0.000002, \"h\", {}]\n", serde_json::to_string(&data).unwrap());
    let whole = format!("{lines}{record}");
    fs::write(&file, &whole).unwrap();
    let found = verify(&file, Some(&key), &[]).unwrap().join("\n");
    assert!(found.contains("complete, 1 digests fit") && found.contains("the seals are of the key"), "{found}");
    for (name, problem) in [("blake3", "what precedes this line was changed"), ("md5", "names the hash \"md5\"")] {
        fs::write(&file, whole.replace("\"hmac\":true", &format!("\"hmac\":true,\"hash\":\"{name}\""))).unwrap();
        let said = verify(&file, Some(&key), &[]).unwrap_err().join("\n");
        assert!(said.contains(problem), "{name}: {said}");
    }
}
