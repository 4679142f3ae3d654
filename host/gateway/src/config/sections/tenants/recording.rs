//! The tables `[tenants.NAME.recording]`: which sessions of a tenant are recorded, and how.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use crate::config::reader::{Findings, Item};
use crate::config::sections::grants::size as shown_size;
use crate::config::setting::{Setting, path, text, truth};
use crate::state::strict_modes::Writers;

/// How the sessions of a tenant are recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingConfig {
    /// The format of the files.
    pub format: RecordingFormat,
    /// What their digests are made with.
    pub hash: RecordingHash,
    /// Whether input is recorded where a terminal edits and echoes lines.
    pub input: bool,
    /// Whether a session that cannot be recorded ends.
    pub required: bool,
    /// Whether digests are sealed with the key of the state folder.
    pub hmac: bool,
    /// The most bytes of one recording.
    pub size: u64,
    /// The most bytes of output of one session a second. 0: as fast as it comes.
    pub rate: u64,
    /// The folder. `None`: one that is made below the state folder.
    pub folder: Option<PathBuf>,
}

/// A version of asciicast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingFormat {
    /// The format of asciinema 2: times since the beginning.
    V2,
    /// The format of asciinema 3: times since the event before.
    V3,
}

/// A hash function for the digests of recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingHash {
    /// BLAKE3 with 256 bits, which `b3sum` shows.
    Blake3,
    /// SHA-256, which `sha256sum` shows.
    Sha256,
}

impl RecordingHash {
    /// Its name in the configuration, in recordings and in the audit.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            RecordingHash::Blake3 => "blake3",
            RecordingHash::Sha256 => "sha256",
        }
    }

    /// The function of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<RecordingHash> {
        [RecordingHash::Blake3, RecordingHash::Sha256].into_iter().find(|hash| hash.name() == name)
    }
}

impl Default for RecordingConfig {
    fn default() -> RecordingConfig {
        RecordingConfig {
            format: RecordingFormat::V2,
            hash: RecordingHash::Blake3,
            input: false,
            required: false,
            hmac: false,
            size: SIZE as u64,
            rate: RATE as u64,
            folder: None,
        }
    }
}

/// In short, for who explains a configuration.
impl fmt::Display for RecordingConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = match self.format {
            RecordingFormat::V2 => "v2",
            RecordingFormat::V3 => "v3",
        };
        write!(f, "asciicast {format}, at most {} each", shown(self.size))?;
        if self.rate > 0 {
            write!(f, ", {} of output a second", shown(self.rate))?;
        }
        if self.input {
            f.write_str(", with input")?;
        }
        if self.hash == RecordingHash::Sha256 {
            f.write_str(", with SHA-256")?;
        }
        if self.hmac {
            f.write_str(", sealed")?;
        }
        f.write_str(if self.required { ", required" } else { "" })
    }
}

fn shown(bytes: u64) -> String {
    shown_size(usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// The most bytes of a recording unless the table says otherwise.
const SIZE: usize = 1 << 30;
/// The least, in which a header and a closing record have room.
const LEAST_SIZE: usize = 64 << 10;
/// The most bytes of output a second unless the table says otherwise.
const RATE: usize = 16 << 20;
/// The largest value of both.
const MOST: usize = 1 << 40;

/// Reads the table. `folder`: the base of relative paths.
pub(in crate::config) fn read(table: &Item<'_>, folder: &Path, findings: &mut Findings) -> Option<RecordingConfig> {
    let mut section = table.section(findings)?;
    let mut config = RecordingConfig::default();
    if let Some(format) = section.take("format").and_then(|item| findings.keep(&item, format(item.value))) {
        config.format = format;
    }
    if let Some(hash) = section.take("hash").and_then(|item| findings.keep(&item, hash(item.value))) {
        config.hash = hash;
    }
    let switches = [("input", &mut config.input), ("required", &mut config.required), ("hmac", &mut config.hmac)];
    for (name, switch) in switches {
        if let Some(given) = section.take(name).and_then(|item| findings.keep(&item, truth(item.value))) {
            *switch = given;
        }
    }
    let size = |item: &Item<'_>, least: usize, findings: &mut Findings| {
        findings.keep(item, usize::read_within(item.value, least, MOST)).map(|size| size as u64)
    };
    if let Some(given) = section.take("size").and_then(|item| size(&item, LEAST_SIZE, findings)) {
        config.size = given;
    }
    if let Some(item) = section.take("rate") {
        config.rate = size(&item, 0, findings).unwrap_or(config.rate);
    }
    if let Some(item) = section.take("folder") {
        let read = path(item.value, folder).and_then(|path| private(&path).map(|()| path));
        config.folder = findings.keep(&item, read);
    }
    section.finish(findings);
    Some(config)
}

fn format(value: &DeValue<'_>) -> Result<RecordingFormat, String> {
    match text(value)? {
        "v2" => Ok(RecordingFormat::V2),
        "v3" => Ok(RecordingFormat::V3),
        other => Err(format!("must be \"v2\" or \"v3\", is {other:?}")),
    }
}

fn hash(value: &DeValue<'_>) -> Result<RecordingHash, String> {
    let name = text(value)?;
    RecordingHash::of_name(name).ok_or_else(|| format!("must be \"blake3\" or \"sha256\", is {name:?}"))
}

/// Checks that a folder exists, and that nobody but the operator may change what is in it.
fn private(path: &Path) -> Result<(), String> {
    let facts = path.metadata().map_err(|error| format!("{} cannot be used: {error}", path.display()))?;
    if !facts.is_dir() {
        return Err(format!("{} is no folder", path.display()));
    }
    Writers::Operator.check(path, facts.mode(), facts.uid())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use toml::de::DeTable;

    use super::*;
    use crate::config::reader::Section;

    fn read_text(text: &str, folder: &Path) -> Result<RecordingConfig, String> {
        let text = format!("[recording]\n{text}");
        let table = DeTable::parse(&text).unwrap();
        let mut findings = Findings::new(Path::new("w.toml"), &text);
        let item = Section::top(&table).take("recording").unwrap();
        let config = read(&item, folder, &mut findings);
        let problems: Vec<String> = findings.problems.iter().map(ToString::to_string).collect();
        if problems.is_empty() { Ok(config.unwrap()) } else { Err(problems.join("; ")) }
    }

    #[test]
    fn a_table_without_settings_has_their_defaults_and_each_can_be_set() {
        let folder = tempfile::tempdir().unwrap();
        let casts = folder.path().join("casts");
        fs::create_dir(&casts).unwrap();
        fs::set_permissions(&casts, Permissions::from_mode(0o700)).unwrap();
        let plain = read_text("", folder.path()).unwrap();
        assert_eq!(plain, RecordingConfig::default());
        assert_eq!(plain.to_string(), "asciicast v2, at most 1 GiB each, 16 MiB of output a second");
        let text = "format = \"v3\"\nhash = \"sha256\"\ninput = true\nrequired = true\nhmac = true\nsize = \"1 MiB\"\n\
                    rate = \"0 B\"\nfolder = \"casts\"";
        let all = RecordingConfig {
            format: RecordingFormat::V3,
            hash: RecordingHash::Sha256,
            input: true,
            required: true,
            hmac: true,
            size: 1 << 20,
            rate: 0,
            folder: Some(casts),
        };
        assert_eq!(all.to_string(), "asciicast v3, at most 1 MiB each, with input, with SHA-256, sealed, required");
        assert_eq!(read_text(text, folder.path()), Ok(all));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        for (text, problem) in [
            ("format = \"v1\"", "w.toml:2: recording.format: must be \"v2\" or \"v3\", is \"v1\""),
            ("hash = \"md5\"", "w.toml:2: recording.hash: must be \"blake3\" or \"sha256\", is \"md5\""),
            ("required = 1", "w.toml:2: recording.required: must be true or false"),
            ("size = \"1 KiB\"", "w.toml:2: recording.size: must be from \"64 KiB\" to"),
            ("folder = \"nowhere\"", "w.toml:2: recording.folder: "),
            ("folder = \"file\"", "is no folder"),
            ("folder = \"open\"", "others may write to"),
            ("formt = \"v2\"", "there is no such setting (did you mean `format`?)"),
        ] {
            let said = read_text(text, folder.path()).unwrap_err();
            assert!(said.contains(problem), "{text}: {said}");
        }
    }
}
