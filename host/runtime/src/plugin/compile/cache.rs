//! Compiled code on disk, so that a second start compiles nothing. Code is what will be run, so each file carries a
//! seal that only this server can make, and what does not carry it is deleted unread.
//!
//! A file is named after what was compiled and by what; its seal (HMAC-SHA256) covers that name and the code, so that a
//! file cannot be passed off as another. The folder is the owner's alone (0700). What is cached is never served from
//! the file itself: a copy is held against the seal while it is made, and mapped, so that a change of the file after
//! that changes nothing. `code_file` says where that copy is.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use hmac::{Hmac, KeyInit, Mac};
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

use crate::engine::Engine;
use crate::event::{LogEvent, emit};
use crate::plugin::compile::code_file::{CodeFile, MAPPED_FROM};
use crate::plugin::compile::{Compiled, preview1};

/// What a file begins with; the number changes when the form does.
const MAGIC: &[u8; 8] = b"whelk\0c1";
const SEAL: usize = 32;
/// How many bytes come before the code.
const HEAD: usize = MAGIC.len() + SEAL;
/// The names of whole files end like this, those of files being written do not.
const SUFFIX: &str = ".code";
/// How many bytes are read at once.
const PIECE: usize = 128 << 10;

/// The key of the seal. Whoever has it can make code that is run.
#[derive(Clone)]
pub struct CacheKey([u8; 32]);

/// The folder of compiled code.
pub struct Cache {
    folder: PathBuf,
    key: CacheKey,
    /// Tells one compiler and its settings from another, in hexadecimal.
    engine: String,
    /// Most bytes of all files.
    most: u64,
    /// Nothing is written or deleted: other processes own the folder.
    read_only: bool,
    /// Code of at least so many bytes is mapped from a file.
    mapped_from: usize,
    /// Numbers the files that are being written.
    writes: AtomicU64,
}

impl CacheKey {
    /// From bytes that nobody else can know.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }
}

impl Cache {
    /// Opens the folder, and makes it when it does not exist. What a process that was killed has left behind is
    /// removed, and what is too much.
    ///
    /// # Errors
    /// When the folder cannot be made or made private.
    pub fn open(folder: PathBuf, key: CacheKey, engine: &Engine, most: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        let cache = Self { read_only: false, ..Self::read_only(folder, key, engine, most) };
        cache.prune(true)?;
        Ok(cache)
    }

    /// The folder that another process has opened or will open: for reading. It need not exist.
    #[must_use]
    pub fn read_only(folder: PathBuf, key: CacheKey, engine: &Engine, most: u64) -> Self {
        let (engine, writes) = (fingerprint(engine), AtomicU64::new(0));
        Self { folder, key, engine, most, read_only: true, mapped_from: MAPPED_FROM, writes }
    }

    /// Whether nothing is written.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The code of the file with this digest, if it is here and as it was left.
    pub(crate) fn load(&self, digest: &[u8; 32]) -> Option<Compiled> {
        let name = self.name(digest);
        let path = self.folder.join(&name);
        match self.read(&name, &path) {
            Ok(code) => Some(code),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.discard(digest, &error.to_string());
                None
            }
        }
    }

    /// Deletes what is here for this digest, and says why.
    pub(crate) fn discard(&self, digest: &[u8; 32], reason: &str) {
        let path = self.folder.join(self.name(digest));
        emit(LogEvent::PluginCodeDiscarded { file: &path, reason });
        if !self.read_only {
            // If it stays, it is refused again the next time, or replaced.
            let _ = fs::remove_file(path);
        }
    }

    /// The same code in a file from which it is mapped, if it is large and there can be one.
    pub(crate) fn unloaded(&self, code: &Compiled) -> Option<Compiled> {
        let bytes = code.bytes()?;
        if self.read_only || bytes.len() < self.mapped_from {
            return None;
        }
        let len = u64::try_from(bytes.len()).ok()?;
        // Without room for the file it stays in memory.
        CodeFile::create(&self.folder, len, |file| file.write_all(bytes)).ok().map(Compiled::in_file)
    }

    /// Keeps the code of the file with this digest, whole and on disk or not at all. Does nothing if the folder is only
    /// read.
    pub(crate) fn keep(&self, digest: &[u8; 32], code: &Compiled) -> io::Result<()> {
        let Some(code) = code.bytes().filter(|_| !self.read_only) else { return Ok(()) };
        let name = self.name(digest);
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!("{name}.{number}.new"));
        let written = self.write(&name, &temporary, code);
        if written.is_err() {
            // The error is told; a rest that cannot be removed goes at the next start.
            let _ = fs::remove_file(&temporary);
        }
        written?;
        self.prune(false)
    }

    fn name(&self, digest: &[u8; 32]) -> String {
        format!("{}-{}{SUFFIX}", hex(digest), self.engine)
    }

    fn read(&self, name: &str, path: &Path) -> io::Result<Compiled> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        let file = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)?;
        let facts = file.metadata()?;
        if !facts.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let len = facts.len().min(self.most).saturating_sub(HEAD as u64);
        let code = match self.copy_to_file(name, &file, len) {
            Some(code) => Compiled::in_file(code),
            None => {
                let mut code = Vec::new();
                self.copy(name, &file, &mut code)?;
                Compiled::trusted(code)
            }
        };
        if !self.read_only {
            // The oldest go first; an error costs nothing but that order.
            let _ = file.set_modified(SystemTime::now());
        }
        Ok(code)
    }

    /// Copies large code to a file from which it can be mapped. None if it is small, or if that fails for any reason.
    fn copy_to_file(&self, name: &str, file: &File, len: u64) -> Option<CodeFile> {
        if self.read_only || len < u64::try_from(self.mapped_from).unwrap_or(u64::MAX) {
            return None;
        }
        CodeFile::create(&self.folder, len, |to| self.copy(name, file, to)).ok()
    }

    /// Copies the code of a file, and holds what is copied against the file's seal. After an error the copy is worth
    /// nothing.
    fn copy(&self, name: &str, mut file: &File, to: &mut dyn Write) -> io::Result<()> {
        let mut head = [0; HEAD];
        file.seek(SeekFrom::Start(0))?;
        file.read_exact(&mut head).map_err(|_| io::Error::other("it is cut off"))?;
        let (magic, seal) = head.split_at(MAGIC.len());
        let (mut sealed, mut code, mut piece) = (self.seal(name), file.take(self.most), vec![0; PIECE]);
        loop {
            let read = match code.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => piece.get(..read).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            sealed.update(read);
            to.write_all(read)?;
        }
        if magic != MAGIC || sealed.verify_slice(seal).is_err() {
            return Err(io::Error::other("it does not carry the seal of this server"));
        }
        Ok(())
    }

    fn write(&self, name: &str, temporary: &Path, code: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
        file.write_all(MAGIC)?;
        file.write_all(&self.seal(name).chain_update(code).finalize().into_bytes())?;
        file.write_all(code)?;
        file.sync_all()?;
        fs::rename(temporary, self.folder.join(name))?;
        File::open(&self.folder)?.sync_all()
    }

    /// The seal of a file with this name. The code has to follow.
    fn seal(&self, name: &str) -> Hmac<Sha256> {
        let mut seal = Hmac::<Sha256>::new_from_slice(&self.key.0).expect("HMAC takes a key of any length");
        seal.update(MAGIC);
        // A name has no zero in it, so no other name and code make the same octets.
        seal.update(name.as_bytes());
        seal.update(&[0]);
        seal
    }

    /// Removes the files that have not been used for the longest time, until the others fit. `foreign`: also what is no
    /// file of ours, which while we run may be one that is being written.
    fn prune(&self, foreign: bool) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let facts = entry.metadata()?;
            if entry.file_name().to_str().is_some_and(|name| name.ends_with(SUFFIX)) && facts.is_file() {
                files.push((facts.modified()?, facts.len(), entry.path()));
            } else if foreign && !facts.is_dir() {
                fs::remove_file(entry.path())?;
            }
        }
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, len, _)| len).sum();
        for (_, len, path) in files {
            if bytes <= self.most {
                break;
            }
            fs::remove_file(path)?;
            bytes -= len;
        }
        Ok(())
    }
}

/// What of the compiler and of its settings makes a difference to the code, and of what makes components of core
/// modules.
fn fingerprint(engine: &Engine) -> String {
    let mut hasher = Fingerprint(Sha256::new());
    hasher.write(&preview1::fingerprint());
    engine.wasmtime().precompile_compatibility_hash().hash(&mut hasher);
    hex(&hasher.0.finalize()[..16])
}

/// The standard library's own hasher is not promised to stay the same, and has 64 bits.
struct Fingerprint(Sha256);

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest.iter().take(8).fold(0, |sum, octet| sum << 8 | u64::from(*octet))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineSettings;
    use crate::limits::Limits;

    const DIGEST: [u8; 32] = [7; 32];
    const CODE: &[u8] = b"what a compiler has made";

    struct Place {
        folder: tempfile::TempDir,
        engine: Engine,
    }

    fn place() -> Place {
        let settings = EngineSettings::of(&Limits { instances: 1, memory_slot: 1 << 20, ..Limits::default() });
        Place { folder: tempfile::tempdir().unwrap(), engine: Engine::new(&settings).unwrap() }
    }

    impl Place {
        fn open(&self, secret: u8, most: u64) -> Cache {
            Cache::open(self.folder.path().join("cache"), CacheKey::new([secret; 32]), &self.engine, most).unwrap()
        }

        fn files(&self) -> Vec<PathBuf> {
            fs::read_dir(self.folder.path().join("cache")).unwrap().map(|entry| entry.unwrap().path()).collect()
        }
    }

    fn code(text: &[u8]) -> Compiled {
        Compiled::trusted(text.to_vec())
    }

    fn found(cache: &Cache, digest: [u8; 32]) -> Option<Vec<u8>> {
        cache.load(&digest).map(|code| code.into_bytes().unwrap())
    }

    #[test]
    fn what_was_kept_is_found_again_after_a_restart() {
        let place = place();
        assert_eq!(found(&place.open(1, 1 << 20), DIGEST), None);
        place.open(1, 1 << 20).keep(&DIGEST, &code(CODE)).unwrap();
        assert_eq!(found(&place.open(1, 1 << 20), DIGEST).as_deref(), Some(CODE));
        assert_eq!(found(&place.open(1, 1 << 20), [8; 32]), None);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let files = place.files();
        assert_eq!((files.len(), mode(&files[0]), mode(files[0].parent().unwrap())), (1, 0o600, 0o700));
    }

    #[test]
    fn a_file_with_any_byte_changed_or_missing_is_never_loaded_and_is_deleted() {
        let place = place();
        let cache = place.open(1, 1 << 20);
        cache.keep(&DIGEST, &code(CODE)).unwrap();
        let path = place.files().remove(0);
        let whole = fs::read(&path).unwrap();
        let flipped = (0..whole.len()).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            bytes
        });
        let cut = (0..whole.len()).map(|len| whole[..len].to_vec());
        let longer = [[whole.as_slice(), b"\0"].concat()];
        for bytes in flipped.chain(cut).chain(longer) {
            fs::write(&path, bytes).unwrap();
            assert_eq!(found(&cache, DIGEST), None);
            assert!(!path.exists());
        }
        fs::write(&path, &whole).unwrap();
        assert_eq!(found(&cache, DIGEST).as_deref(), Some(CODE));
    }

    #[test]
    fn large_code_is_copied_to_a_file_without_a_name_and_what_is_damaged_is_not() {
        let place = place();
        let cache = Cache { mapped_from: CODE.len(), ..place.open(1, 1 << 20) };
        let compiled = code(CODE);
        let unloaded = cache.unloaded(&compiled).unwrap();
        assert!(unloaded.bytes().is_none());
        assert_eq!(unloaded.into_bytes().unwrap(), CODE);
        cache.keep(&DIGEST, &compiled).unwrap();
        let loaded = cache.load(&DIGEST).unwrap();
        assert!(loaded.bytes().is_none());
        // A change of what has a name changes nothing.
        let path = place.files().remove(0);
        assert_eq!(place.files().len(), 1);
        fs::write(&path, "other").unwrap();
        assert_eq!(loaded.into_bytes().unwrap(), CODE);
        assert_eq!(found(&cache, DIGEST), None);
        assert!(!path.exists());
        // Smaller code stays in memory.
        let cache = Cache { mapped_from: CODE.len() + 1, ..cache };
        assert!(cache.unloaded(&compiled).is_none());
        cache.keep(&DIGEST, &compiled).unwrap();
        assert_eq!(cache.load(&DIGEST).unwrap().bytes(), Some(CODE));
    }

    #[test]
    fn without_a_folder_for_the_copy_code_is_read_into_memory() {
        let place = place();
        let cache = place.open(1, 1 << 20);
        cache.keep(&DIGEST, &code(CODE)).unwrap();
        let path = place.files().remove(0);
        let elsewhere = Cache { folder: place.folder.path().join("absent"), mapped_from: 0, ..cache };
        let name = elsewhere.name(&DIGEST);
        assert_eq!(elsewhere.read(&name, &path).unwrap().bytes(), Some(CODE));
        assert!(elsewhere.unloaded(&code(CODE)).is_none());
    }

    #[test]
    fn a_sealed_file_is_no_other_file_and_no_other_servers() {
        let place = place();
        let cache = place.open(1, 1 << 20);
        cache.keep(&DIGEST, &code(CODE)).unwrap();
        let path = place.files().remove(0);
        fs::copy(&path, path.with_file_name(cache.name(&[8; 32]))).unwrap();
        assert_eq!(found(&cache, [8; 32]), None, "code of another plugin");
        assert_eq!(found(&place.open(2, 1 << 20), DIGEST), None, "code with another key's seal");
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert_eq!(found(&cache, DIGEST), None, "no file");
    }

    #[test]
    fn the_files_unused_for_longest_make_room_and_what_is_foreign_goes_at_the_start() {
        let place = place();
        let each = (MAGIC.len() + SEAL + CODE.len()) as u64;
        let cache = place.open(1, 2 * each);
        let start = SystemTime::now();
        for (age, digest) in [(3, [1; 32]), (2, [2; 32])] {
            cache.keep(&digest, &code(CODE)).unwrap();
            let file = File::open(cache.folder.join(cache.name(&digest))).unwrap();
            file.set_modified(start - std::time::Duration::from_secs(age * 3600)).unwrap();
        }
        assert!(found(&cache, [1; 32]).is_some());
        cache.keep(&[3; 32], &code(CODE)).unwrap();
        let there = [[1; 32], [2; 32], [3; 32]].map(|digest| found(&cache, digest).is_some());
        assert_eq!(there, [true, false, true]);
        fs::write(cache.folder.join("half.new"), "").unwrap();
        place.open(1, 2 * each);
        assert_eq!(place.files().len(), 2);
    }
}
