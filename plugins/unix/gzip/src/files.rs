//! The files that are compressed and restored.

use std::fs::{self, File, FileTimes};
use std::io::{self, BufReader, Read, Write};
use std::time::{Duration, UNIX_EPOCH};

use flate2::bufread::{GzDecoder, MultiGzDecoder};
use flate2::{Compression, GzBuilder};
use unix_common::report;

use crate::settings::{Settings, Work};
use crate::table::{Table, ratio};

/// The exit status after an error, and after a warning.
const ERROR: u8 = 1;
const WARNING: u8 = 2;

/// Works on all files. The exit status.
pub(crate) fn run(settings: &Settings) -> u8 {
    let mut work = Files { settings, status: 0, table: Table::default() };
    if settings.files.is_empty() {
        work.standard_input();
    }
    for file in &settings.files {
        if file == "-" { work.standard_input() } else { work.operand(file) }
    }
    work.table.finish(settings.quiet);
    work.status
}

struct Files<'a> {
    settings: &'a Settings,
    status: u8,
    table: Table,
}

impl Files<'_> {
    fn warn(&mut self, message: &str) {
        if !self.settings.quiet {
            report::error_as("gzip", message);
        }
        if self.status == 0 {
            self.status = WARNING;
        }
    }

    /// An error of what is in a file: its line begins after an empty one.
    fn fail_within(&mut self, name: &str, error: &io::Error) {
        if error.raw_os_error().is_none() {
            eprintln!();
        }
        self.fail(&format!("{name}: {}", message(error)));
    }

    fn fail(&mut self, message: &str) {
        report::error_as("gzip", message);
        self.status = ERROR;
    }

    fn standard_input(&mut self) {
        let input = BufReader::with_capacity(1 << 16, io::stdin());
        let result = match self.settings.work {
            Work::Compress => {
                compress(input, io::stdout().lock(), GzBuilder::new(), self.settings.level).map(|_| false)
            }
            Work::Restore => restore(input, &mut io::stdout().lock()),
            Work::Test | Work::List => restore(input, &mut io::sink()),
        };
        match result {
            Ok(true) => self.warn("stdin: decompression OK, trailing garbage ignored"),
            Ok(false) => {}
            Err(error) => self.fail_within("stdin", &error),
        }
    }

    fn operand(&mut self, name: &str) {
        let found = fs::metadata(name).map(|found| (found, name.to_owned()));
        // A compressed file may be named without its suffix.
        let found = found.or_else(|error| {
            let with_suffix = format!("{name}{}", self.settings.suffix);
            let restores = self.settings.work != Work::Compress;
            if restores { fs::metadata(&with_suffix).map(|found| (found, with_suffix)) } else { Err(error) }
        });
        let (found, name) = match found {
            Ok(found) => found,
            Err(error) => {
                // The name that was looked for last is the one that is missing.
                let suffix = &self.settings.suffix;
                let restores = self.settings.work != Work::Compress && !name.ends_with(suffix.as_str());
                let name = if restores { format!("{name}{suffix}") } else { name.to_owned() };
                return self.fail(&format!("{name}: {}", report::words(&error)));
            }
        };
        if found.is_dir() {
            return self.directory(&name);
        }
        let is_link = fs::symlink_metadata(&name).is_ok_and(|found| found.is_symlink());
        let replaces = !self.settings.to_output && !matches!(self.settings.work, Work::List | Work::Test);
        if is_link && !self.settings.force && replaces {
            return self.fail(&format!("{name}: Too many levels of symbolic links"));
        }
        match self.settings.work {
            Work::Compress => self.compress(&name, &found),
            Work::Restore => self.restore(&name, &found),
            Work::Test => self.test(&name),
            Work::List => self.list(&name, &found),
        }
    }

    fn directory(&mut self, name: &str) {
        if !self.settings.recursive {
            return self.warn(&format!("{name} is a directory -- ignored"));
        }
        match fs::read_dir(name).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => {
                let mut names: Vec<String> =
                    entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
                names.sort();
                names.iter().for_each(|entry| self.operand(&format!("{}/{entry}", name.trim_end_matches('/'))));
            }
            Err(error) => self.fail(&format!("{name}: {}", report::words(&error))),
        }
    }

    fn compress(&mut self, name: &str, found: &fs::Metadata) {
        let settings = self.settings;
        if name.ends_with(&settings.suffix) && !settings.to_output {
            return self.warn(&format!("{name} already has {} suffix -- unchanged", settings.suffix));
        }
        let modified = found.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let seconds = modified.and_then(|since| u32::try_from(since.as_secs()).ok()).unwrap_or_default();
        let builder = if settings.name == Some(false) {
            GzBuilder::new()
        } else {
            GzBuilder::new().filename(name.rsplit('/').next().unwrap_or(name)).mtime(seconds)
        };
        let input = match File::open(name) {
            Ok(file) => BufReader::with_capacity(1 << 16, file),
            Err(error) => return self.fail(&format!("{name}: {}", report::words(&error))),
        };
        let level = settings.level;
        let target = format!("{name}{}", settings.suffix);
        let result = if settings.to_output {
            compress(input, io::stdout().lock(), builder, level)
        } else {
            let Some(output) = self.create(&target) else { return };
            compress(input, &output, builder, level).and_then(|sizes| keep_time(&output, found).map(|()| sizes))
        };
        match result {
            Ok((restored, compressed)) => self.finish(name, &target, compressed, restored),
            Err(error) => self.fail_within(name, &error),
        }
    }

    fn restore(&mut self, name: &str, found: &fs::Metadata) {
        let settings = self.settings;
        if settings.to_output {
            return self.restore_to_output(name);
        }
        let suffixes =
            [(settings.suffix.as_str(), ""), (".gz", ""), (".tgz", ".tar"), (".taz", ".tar"), ("-gz", ""), (".z", "")];
        let target = suffixes.iter().find_map(|(suffix, instead)| {
            name.strip_suffix(suffix).filter(|stem| !stem.is_empty()).map(|stem| format!("{stem}{instead}"))
        });
        let Some(mut target) = target else {
            return self.warn(&format!("{name}: unknown suffix -- ignored"));
        };
        let input = match File::open(name) {
            Ok(file) => BufReader::with_capacity(1 << 16, file),
            Err(error) => return self.fail(&format!("{name}: {}", report::words(&error))),
        };
        if settings.name == Some(true)
            && let Some(kept) = File::open(name).ok().and_then(|file| kept_name(BufReader::new(file)))
        {
            target = name.rsplit_once('/').map_or(kept.clone(), |(folder, _)| format!("{folder}/{kept}"));
        }
        let Some(mut output) = self.create(&target) else { return };
        match restore(input, &mut output).and_then(|garbage| keep_time(&output, found).map(|()| garbage)) {
            Ok(garbage) => {
                if garbage {
                    self.warn(&format!("{name}: decompression OK, trailing garbage ignored"));
                }
                let size = fs::metadata(&target).map_or(0, |found| found.len());
                self.finish(name, &target, found.len(), size);
            }
            Err(error) => {
                // What is left of it is no file.
                let _ = fs::remove_file(&target);
                self.fail_within(name, &error);
            }
        }
    }

    fn restore_to_output(&mut self, name: &str) {
        let file = match File::open(name) {
            Ok(file) => file,
            Err(error) => return self.fail(&format!("{name}: {}", report::words(&error))),
        };
        let mut input = BufReader::with_capacity(1 << 16, file);
        let mut out = io::stdout().lock();
        let result = if self.settings.force && !is_compressed(&mut input) {
            // With force a file that is not compressed is copied.
            io::copy(&mut input, &mut out).map(|_| false)
        } else {
            restore(input, &mut out)
        };
        match result.and_then(|garbage| out.flush().map(|()| garbage)) {
            Ok(true) => self.warn(&format!("{name}: decompression OK, trailing garbage ignored")),
            Ok(false) => {}
            Err(error) => self.fail_within(name, &error),
        }
    }

    fn test(&mut self, name: &str) {
        let result =
            File::open(name).and_then(|file| restore(BufReader::with_capacity(1 << 16, file), &mut io::sink()));
        match result {
            Ok(garbage) => {
                if garbage {
                    self.warn(&format!("{name}: decompression OK, trailing garbage ignored"));
                }
                if self.settings.verbose {
                    eprintln!("{name}:\t OK");
                }
            }
            Err(error) => self.fail_within(name, &error),
        }
    }

    fn list(&mut self, name: &str, found: &fs::Metadata) {
        let mut counted = Counted::default();
        let file = File::open(name).map(|file| BufReader::with_capacity(1 << 16, file));
        match file.and_then(|file| restore(file, &mut counted)) {
            Ok(_) => {
                let shown = name.strip_suffix(&self.settings.suffix).unwrap_or(name);
                self.table.add(shown, found.len(), counted.0, self.settings.quiet);
            }
            Err(error) => self.fail_within(name, &error),
        }
    }

    /// Makes the file to write, unless there is one.
    fn create(&mut self, target: &str) -> Option<File> {
        if self.settings.force {
            let _ = fs::remove_file(target);
        }
        match File::create_new(target) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.warn(&format!("{target} already exists;\tnot overwritten"));
                None
            }
            Err(error) => {
                self.fail(&format!("{target}: {}", report::words(&error)));
                None
            }
        }
    }

    /// Removes the file that was read, and says what came of it.
    fn finish(&mut self, name: &str, target: &str, compressed: u64, restored: u64) {
        let settings = self.settings;
        let keeps = settings.keep || settings.to_output;
        if !keeps && let Err(error) = fs::remove_file(name) {
            self.fail(&format!("{name}: {}", report::words(&error)));
        }
        if settings.verbose {
            let verb = if keeps { "created" } else { "replaced with" };
            let result = if settings.to_output { String::new() } else { format!(" -- {verb} {target}") };
            eprintln!("{name}:\t{:>6}{result}", ratio(compressed, restored));
        }
    }
}

/// Counts bytes.
#[derive(Debug, Default)]
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Counts what is written to another.
struct Through<W> {
    inner: W,
    written: u64,
}

impl<W: Write> Write for Through<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Compresses. How many bytes were read and written.
fn compress(mut input: impl Read, output: impl Write, builder: GzBuilder, level: u32) -> io::Result<(u64, u64)> {
    // 3 is Unix.
    let builder = builder.operating_system(3);
    let mut encoder = builder.write(Through { inner: output, written: 0 }, Compression::new(level));
    let read = io::copy(&mut input, &mut encoder)?;
    let mut through = encoder.finish()?;
    through.flush()?;
    Ok((read, through.written))
}

/// Restores all members. Whether something else follows them.
fn restore(input: impl io::BufRead, output: &mut impl Write) -> io::Result<bool> {
    let mut input = input;
    if !is_compressed(&mut input) {
        return Err(io::Error::other("not in gzip format"));
    }
    let mut decoder = MultiGzDecoder::new(input);
    let mut buffer = vec![0; 1 << 16];
    let mut restored = false;
    loop {
        match decoder.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(length) => output.write_all(&buffer[..length])?,
            // A head that is none, after the data of a member.
            Err(error) if restored && error.to_string().contains("header") => return Ok(true),
            Err(error) => return Err(error),
        }
        restored = true;
    }
}

fn is_compressed(input: &mut impl io::BufRead) -> bool {
    input.fill_buf().is_ok_and(|bytes| bytes.starts_with(&[0x1f, 0x8b]))
}

/// The name that a compressed file has kept.
fn kept_name(input: impl io::BufRead) -> Option<String> {
    let decoder = GzDecoder::new(input);
    let name = String::from_utf8(decoder.header()?.filename()?.to_vec()).ok()?;
    // It names no other folder.
    name.rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_owned)
}

/// Gives a file the time of another.
fn keep_time(file: &File, of: &fs::Metadata) -> io::Result<()> {
    let modified = of.modified().unwrap_or(UNIX_EPOCH + Duration::ZERO);
    file.set_times(FileTimes::new().set_modified(modified).set_accessed(of.accessed().unwrap_or(modified)))
}

/// An error in gzip's words.
fn message(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "unexpected end of file".to_owned(),
        io::ErrorKind::InvalidInput if error.to_string().contains("checksum") => {
            "invalid compressed data--crc error".to_owned()
        }
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            "invalid compressed data--format violated".to_owned()
        }
        _ => report::words(error),
    }
}
