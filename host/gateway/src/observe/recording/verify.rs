//! Whether a recording is as it was written.
//!
//! | what is known | what is found |
//! |---|---|
//! | the file alone | damage; changes by somebody who does not make the digests anew; a missing end |
//! | and the key of the seals | all but the replacement by another sealed recording |
//! | and the audit | all, from the first record of the audit to the last |

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::digest::{self, DigestRecord, RecordingEnd, RecordingKey, RunningDigest};
use super::reader::CastReader;
use crate::config::RecordingHash;

/// The events of the audit about recordings begin with this.
const AUDITED: &str = "session_recording_";

/// A record of the audit about one recording.
#[derive(Deserialize)]
struct AuditedDigest {
    event: String,
    file: String,
    bytes: u64,
    digest: String,
}

/// What is checked line by line.
struct Verification<'k> {
    digest: RunningDigest,
    key: Option<&'k RecordingKey>,
    /// The numbers of bytes and the digests that the audit has, the largest number first.
    audited: Vec<(u64, String)>,
    /// How many records of the recording fit ...
    records: u64,
    /// ... and how many of the audit.
    audit_records: u64,
    end: Option<RecordingEnd>,
    problems: Vec<String>,
}

/// Verifies a recording: by itself, by the key if there is one, and by files of the audit. Returns what holds.
///
/// # Errors
/// What does not hold, or what cannot be read.
pub(crate) fn verify(file: &Path, key: Option<&RecordingKey>, audits: &[PathBuf]) -> Result<Vec<String>, Vec<String>> {
    let whole = |problem: String| vec![problem];
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (mut audited, mut is_ended) = (Vec::new(), None);
    for audit in audits {
        read_audit(audit, &name, &mut audited, &mut is_ended).map_err(whole)?;
    }
    if !audits.is_empty() && audited.is_empty() {
        let said = "the audit has no record of a recording of this name; one that was renamed has its name there";
        return Err(whole(format!("{}: {said}", file.display())));
    }
    audited.sort();
    audited.dedup();
    audited.reverse();
    let (mut reader, introduction) = CastReader::open(file).map_err(whole)?;
    let is_sealed = introduction.whelk.as_ref().is_some_and(|whelk| whelk.hmac);
    // Recordings of before there was a choice name none.
    let named = introduction.whelk.and_then(|whelk| whelk.hash).unwrap_or_else(|| "sha256".to_owned());
    let hash = RecordingHash::of_name(&named).ok_or_else(|| {
        whole(reader.wrong(&format!("names the hash {named:?}: \"blake3\" and \"sha256\" can be verified")))
    })?;
    let mut verification = Verification {
        digest: RunningDigest::new(hash),
        key,
        audited,
        records: 0,
        audit_records: 0,
        end: None,
        problems: Vec::new(),
    };
    verification.pass(&reader);
    if key.is_some() && !is_sealed {
        verification.problems.push("has no seals, although the key of the seals is given".to_owned());
    }
    while reader.next_line().map_err(whole)? {
        verification.check_line(&mut reader);
        if !verification.problems.is_empty() {
            break;
        }
        verification.pass(&reader);
    }
    let verified = verification.finish(is_ended, is_sealed, !audits.is_empty());
    let named = |lines: Vec<String>| lines.into_iter().map(|line| format!("{}: {line}", file.display())).collect();
    verified.map(named).map_err(named)
}

impl Verification<'_> {
    /// What the line that was read says of the lines before it.
    fn check_line(&mut self, reader: &mut CastReader) {
        if self.end.is_some() {
            return self.problems.push(reader.wrong("follows the closing record"));
        }
        let event = match reader.event() {
            Ok(event) => event,
            Err(problem) => return self.problems.push(problem),
        };
        let Some(event) = event.filter(|event| event.code == digest::CODE) else { return };
        let Ok(record) = serde_json::from_str::<DigestRecord>(&event.data) else {
            return self.problems.push(reader.wrong("is no record of a digest"));
        };
        if !self.digest.fits(&record) {
            return self.problems.push(reader.wrong("what precedes this line was changed"));
        }
        if let Some(key) = self.key
            && !record.hmac.is_some_and(|seal| key.has_sealed(&self.digest, &seal))
        {
            return self.problems.push(reader.wrong("the seal is not one of this key"));
        }
        self.records += 1;
        self.end = record.end;
    }

    /// The line that was read is part of the recording; compares what the audit has of it.
    fn pass(&mut self, reader: &CastReader) {
        self.digest.update(reader.line());
        while let Some((bytes, digest)) = self.audited.pop_if(|(bytes, _)| *bytes <= self.digest.bytes()) {
            if bytes < self.digest.bytes() || digest != self.digest.hex() {
                let problem = format!("the first {bytes} bytes are others than the audit has");
                return self.problems.push(problem);
            }
            self.audit_records += 1;
        }
    }

    fn finish(mut self, ended: Option<u64>, is_sealed: bool, has_audit: bool) -> Result<Vec<String>, Vec<String>> {
        let bytes = self.digest.bytes();
        if self.problems.is_empty() {
            if let Some((audited, _)) = self.audited.first() {
                self.problems.push(format!("has {bytes} bytes, and the audit has seen {audited}: the end is missing"));
            } else if ended.is_some_and(|ended| ended != bytes) {
                self.problems.push("has more than what it had at its end by the audit".to_owned());
            } else if self.end.is_none() {
                let what = "has no closing record: it was cut, or its session still goes on, or the server was killed";
                self.problems.push(what.to_owned());
            }
        }
        let (Some(end), []) = (&self.end, &self.problems[..]) else { return Err(self.problems) };
        let exit = end.exit.as_deref().unwrap_or("none");
        let reason = end.reason.as_ref().map(|reason| format!("; it ended before its session: {reason}"));
        let (lost, reason) = (end.lost, reason.unwrap_or_default());
        let mut found = vec![format!(
            "{bytes} bytes, complete, {} digests fit; exit {exit}, {lost} bytes left out{reason}",
            self.records
        )];
        match (self.key, is_sealed) {
            (Some(_), _) => found.push("the seals are of the key".to_owned()),
            (None, true) => found.push("it is sealed: --state DIR compares that with the key".to_owned()),
            (None, false) => {}
        }
        if has_audit {
            found.push(format!("{} records of the audit fit", self.audit_records));
        } else if self.key.is_none() {
            found.push(
                "this does not show who has written it: whoever changes a recording can make its digests anew. The \
                 audit (--audit FILE) or a seal show it"
                    .to_owned(),
            );
        }
        Ok(found)
    }
}

/// Collects what a file of the audit has of a recording, and how long it was at its end.
fn read_audit(
    audit: &Path,
    name: &str,
    audited: &mut Vec<(u64, String)>,
    ended: &mut Option<u64>,
) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", audit.display());
    let file = BufReader::new(File::open(audit).map_err(failed)?);
    for line in file.split(b'\n') {
        let line = line.map_err(failed)?;
        // Lines of other events are not looked at any closer, and those without a digest have none to compare.
        if !line.windows(AUDITED.len()).any(|text| text == AUDITED.as_bytes()) {
            continue;
        }
        let Ok(record) = serde_json::from_slice::<AuditedDigest>(&line) else { continue };
        let is_of_it = Path::new(&record.file).file_name().is_some_and(|file| file.to_string_lossy() == name);
        if !is_of_it || !record.event.starts_with(AUDITED) {
            continue;
        }
        if record.event.ends_with("_ended") {
            *ended = Some(record.bytes);
        }
        audited.push((record.bytes, record.digest));
    }
    Ok(())
}
