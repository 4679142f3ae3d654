//! A few files in memory, and the same operations on them and on a file system.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// How many files there are at most.
const FILES: u64 = 8;

/// The largest offset of a write, and the longest one, in bytes.
const FARTHEST: u64 = 200_000;
const LONGEST: u64 = 70_000;

/// What the files contain.
#[derive(Debug)]
pub(super) struct Model {
    state: u64,
    files: BTreeMap<String, Vec<u8>>,
}

impl Model {
    /// No files. The seed decides about all operations.
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed | 1, files: BTreeMap::new() }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) % below
    }

    fn index(&mut self, below: u64) -> usize {
        usize::try_from(self.random(below)).expect("files are small")
    }

    /// The next operation, in memory and in the folder.
    pub(super) fn step(&mut self, folder: &Path, number: u64) {
        let name = format!("file{}", self.random(FILES));
        let path = folder.join(&name);
        let which = self.random(16);
        let fails = |error: std::io::Error| panic!("operation {number}, {which}, {name}: {error}");
        match which {
            0..=4 => self.write(&name, &path).unwrap_or_else(fails),
            5..=9 => self.read(&name, &path, number).unwrap_or_else(fails),
            10 | 11 => self.truncate(&name, &path).unwrap_or_else(fails),
            12 => {
                let removed = fs::remove_file(&path).is_ok();
                assert_eq!(removed, self.files.remove(&name).is_some(), "operation {number}: remove {name}");
            }
            13 => {
                let to = format!("file{}", self.random(FILES));
                let renamed = fs::rename(&path, folder.join(&to)).is_ok();
                assert_eq!(renamed, self.files.contains_key(&name), "operation {number}: rename {name}");
                if let Some(bytes) = self.files.remove(&name) {
                    self.files.insert(to, bytes);
                }
            }
            14 => {
                let size = path.metadata().map(|metadata| metadata.len()).ok();
                let wanted = self.files.get(&name).map(|bytes| bytes.len() as u64);
                assert_eq!(size, wanted, "operation {number}: the size of {name}");
            }
            _ => self.append(&name, &path).unwrap_or_else(fails),
        }
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let seed = self.random(u64::MAX);
        (0..count as u64).map(|at| (seed.wrapping_add(at.wrapping_mul(0x9e37_79b9)) >> 13).to_le_bytes()[0]).collect()
    }

    /// Writes at an offset, behind the end too, and sometimes waits until it is stored.
    fn write(&mut self, name: &str, path: &Path) -> std::io::Result<()> {
        let (at, count) = (self.index(FARTHEST), self.index(LONGEST));
        let bytes = self.bytes(count);
        let mut file = File::options().write(true).create(true).truncate(false).open(path)?;
        file.seek(SeekFrom::Start(at as u64))?;
        file.write_all(&bytes)?;
        if self.random(4) == 0 {
            file.sync_all()?;
        }
        let model = self.files.entry(name.to_owned()).or_default();
        if count > 0 {
            model.resize(model.len().max(at + count), 0);
            model[at..at + count].copy_from_slice(&bytes);
        }
        Ok(())
    }

    fn append(&mut self, name: &str, path: &Path) -> std::io::Result<()> {
        let count = self.index(1_000);
        let bytes = self.bytes(count);
        File::options().append(true).create(true).open(path)?.write_all(&bytes)?;
        self.files.entry(name.to_owned()).or_default().extend(bytes);
        Ok(())
    }

    fn read(&mut self, name: &str, path: &Path, number: u64) -> std::io::Result<()> {
        let (at, count) = (self.index(FARTHEST + LONGEST), self.index(LONGEST));
        let Some(model) = self.files.get(name) else {
            assert!(!path.exists(), "operation {number}: {name} exists");
            return Ok(());
        };
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(at as u64))?;
        let mut found = Vec::new();
        file.take(count as u64).read_to_end(&mut found)?;
        let wanted = model.get(at..).map_or(&[][..], |rest| &rest[..rest.len().min(count)]);
        assert!(found == wanted, "operation {number}: {name} has other bytes from {at} on");
        Ok(())
    }

    /// Shorter or longer.
    fn truncate(&mut self, name: &str, path: &Path) -> std::io::Result<()> {
        let length = self.index(FARTHEST);
        let Some(model) = self.files.get_mut(name) else { return Ok(()) };
        File::options().write(true).open(path)?.set_len(length as u64)?;
        model.resize(length, 0);
        Ok(())
    }

    /// The folder has exactly these files.
    pub(super) fn compare(&self, folder: &Path) {
        let entries = fs::read_dir(folder).expect("it is there").filter_map(Result::ok);
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        assert_eq!(names, self.files.keys().cloned().collect::<Vec<_>>());
        for (name, bytes) in &self.files {
            let found = fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(found == *bytes, "{name} in {} is another", folder.display());
        }
    }
}
