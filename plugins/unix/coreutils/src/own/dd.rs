//! `dd`: that of uutils counts its progress in a thread, which WASI has not.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write, stdin, stdout};
use std::time::Instant;

use crate::utility::Arguments;

/// What was asked for.
struct Settings {
    input: Option<String>,
    output: Option<String>,
    input_block: usize,
    output_block: usize,
    /// Blocks that are read and written one for one, as `bs=` has it.
    one_for_one: bool,
    skip: u64,
    seek: u64,
    count: Option<u64>,
    /// The line length of `conv=block` and `unblock`.
    line: usize,
    conversions: Vec<String>,
    flags: Vec<String>,
    output_flags: Vec<String>,
    status: String,
}

/// What was done.
#[derive(Default)]
struct Counts {
    read: (u64, u64),
    written: (u64, u64),
    bytes: u64,
    truncated: u64,
}

const CONVERSIONS: &[&str] = &[
    "block",
    "unblock",
    "lcase",
    "ucase",
    "swab",
    "sync",
    "notrunc",
    "nocreat",
    "excl",
    "fsync",
    "fdatasync",
    "noerror",
    "sparse",
];
const FLAGS: &[&str] = &[
    "append",
    "fullblock",
    "count_bytes",
    "skip_bytes",
    "seek_bytes",
    "sync",
    "dsync",
    "nonblock",
    "noatime",
    "nocache",
];

pub(super) fn main(arguments: Arguments) -> i32 {
    let words: Vec<String> = arguments.skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if words.iter().any(|word| word == "--help") {
        println!("Usage: dd [OPERAND]...");
        return 0;
    }
    let settings = match Settings::parse(&words) {
        Ok(settings) => settings,
        Err(message) => {
            eprintln!("dd: {message}\nTry 'dd --help' for more information.");
            return 1;
        }
    };
    let began = Instant::now();
    let mut counts = Counts::default();
    let ended = copy(&settings, &mut counts);
    if let Err((opened, message)) = &ended {
        eprintln!("dd: {message}");
        if !opened {
            return 1;
        }
    }
    report(&settings, &counts, began);
    i32::from(ended.is_err())
}

/// A number with a unit, `2K`, `1M`, `3x512`.
fn number(text: &str) -> Option<u64> {
    text.split('x').map(factor).try_fold(1_u64, |product, factor| product.checked_mul(factor?))
}

fn factor(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let (power, base) = match &text[digits.len()..] {
        "" | "c" => (0, 1_u64),
        "w" => (1, 2),
        "b" => (1, 512),
        "kB" => (1, 1000),
        "K" | "KiB" | "k" => (1, 1024),
        "MB" => (2, 1000),
        "M" | "MiB" => (2, 1024),
        "GB" => (3, 1000),
        "G" | "GiB" => (3, 1024),
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(base.checked_pow(power)?)
}

impl Settings {
    fn parse(words: &[String]) -> Result<Self, String> {
        let mut settings = Self {
            input: None,
            output: None,
            input_block: 512,
            output_block: 512,
            one_for_one: false,
            skip: 0,
            seek: 0,
            count: None,
            line: 0,
            conversions: Vec::new(),
            flags: Vec::new(),
            output_flags: Vec::new(),
            status: String::new(),
        };
        let mut block = None;
        for word in words {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("unrecognized operand '{word}'"))?;
            let number = || number(value).ok_or_else(|| format!("invalid number: '{value}'"));
            let size = || {
                let size = number()?;
                usize::try_from(size).ok().filter(|size| *size > 0).ok_or_else(|| format!("invalid number: '{value}'"))
            };
            let listed = |known: &[&str], what: &str| {
                let words: Vec<String> = value.split(',').map(str::to_owned).collect();
                let wrong = words.iter().find(|word| !known.contains(&word.as_str()));
                wrong.map_or(Ok(words.clone()), |wrong| Err(format!("invalid {what}: '{wrong}'")))
            };
            match name {
                "if" => settings.input = Some(value.to_owned()),
                "of" => settings.output = Some(value.to_owned()),
                "bs" => block = Some(size()?),
                "ibs" => settings.input_block = size()?,
                "obs" => settings.output_block = size()?,
                "cbs" => settings.line = size()?,
                "skip" | "iseek" => settings.skip = number()?,
                "seek" | "oseek" => settings.seek = number()?,
                "count" => settings.count = Some(number()?),
                "conv" => settings.conversions.extend(listed(CONVERSIONS, "conversion")?),
                "iflag" => settings.flags.extend(listed(FLAGS, "input flag")?),
                "oflag" => settings.output_flags.extend(listed(FLAGS, "output flag")?),
                "status" if ["none", "noxfer", "progress"].contains(&value) => value.clone_into(&mut settings.status),
                "status" => return Err(format!("invalid status level: '{value}'")),
                _ => return Err(format!("unrecognized operand '{word}'")),
            }
        }
        if let Some(size) = block {
            (settings.input_block, settings.output_block) = (size, size);
            settings.one_for_one =
                !["block", "unblock", "lcase", "ucase", "swab"].iter().any(|name| settings.converts(name));
        }
        Ok(settings)
    }

    fn converts(&self, name: &str) -> bool {
        self.conversions.iter().any(|conversion| conversion == name)
    }

    fn has_flag(&self, name: &str) -> bool {
        self.flags.iter().any(|flag| flag == name)
    }
}

/// Whether both files were open, and a message.
type Failure = (bool, String);

fn reason(error: &io::Error) -> String {
    uucore::error::strip_errno(error)
}

fn copy(settings: &Settings, counts: &mut Counts) -> Result<(), Failure> {
    let (mut input, name) = open_input(settings)?;
    let mut output = open_output(settings)?;
    let limit = settings.count.unwrap_or(u64::MAX);
    let (mut blocks, mut bytes) = (0_u64, 0_u64);
    let mut converter = Converter { settings, column: 0, odd: None, blanks: 0 };
    let mut pending: Vec<u8> = Vec::new();
    let fills = settings.has_flag("fullblock");
    loop {
        let want = if settings.has_flag("count_bytes") {
            usize::try_from(limit - bytes).unwrap_or(usize::MAX).min(settings.input_block)
        } else if blocks < limit {
            settings.input_block
        } else {
            0
        };
        if want == 0 {
            break;
        }
        let mut block = vec![0; want];
        let count = read_block(&mut *input, &mut block, fills)
            .map_err(|error| (true, format!("error reading '{name}': {}", reason(&error))))?;
        if count == 0 {
            break;
        }
        let whole = count == settings.input_block;
        (if whole { &mut counts.read.0 } else { &mut counts.read.1 }).add_one();
        (blocks, bytes) = (blocks + 1, bytes + count as u64);
        block.truncate(count);
        if settings.converts("sync") && !whole {
            block.resize(settings.input_block, if settings.line > 0 { b' ' } else { 0 });
        }
        converter.convert(block, &mut pending, counts);
        let ready = if settings.one_for_one {
            pending.len()
        } else {
            pending.len() / settings.output_block * settings.output_block
        };
        write_blocks(&mut *output, pending.drain(..ready).as_slice(), settings, counts)?;
        drop(pending.drain(..0));
    }
    converter.finish(&mut pending);
    write_blocks(&mut *output, &pending, settings, counts)?;
    output.flush().map_err(|error| (true, format!("error writing: {}", reason(&error))))
}

/// Counting.
trait AddOne {
    fn add_one(&mut self);
}

impl AddOne for u64 {
    fn add_one(&mut self) {
        *self += 1;
    }
}

fn read_block(input: &mut dyn Read, block: &mut [u8], fills: bool) -> io::Result<usize> {
    let mut count = 0;
    loop {
        match input.read(&mut block[count..]) {
            Ok(0) => return Ok(count),
            Ok(read) => count += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if !fills || count == block.len() {
            return Ok(count);
        }
    }
}

fn write_blocks(output: &mut dyn Write, bytes: &[u8], settings: &Settings, counts: &mut Counts) -> Result<(), Failure> {
    for block in bytes.chunks(settings.output_block) {
        output.write_all(block).map_err(|error| {
            let name = settings.output.as_deref().unwrap_or("standard output");
            (true, format!("error writing '{name}': {}", reason(&error)))
        })?;
        let whole = block.len() == settings.output_block;
        (if whole { &mut counts.written.0 } else { &mut counts.written.1 }).add_one();
        counts.bytes += block.len() as u64;
    }
    Ok(())
}

fn open_input(settings: &Settings) -> Result<(Box<dyn Read>, String), Failure> {
    let unit = if settings.has_flag("skip_bytes") { 1 } else { settings.input_block as u64 };
    let skip = settings.skip.saturating_mul(unit);
    let Some(path) = &settings.input else {
        let mut input = stdin();
        io::copy(&mut (&mut input).take(skip), &mut io::sink())
            .map_err(|error| (false, format!("'standard input': cannot skip: {}", reason(&error))))?;
        return Ok((Box::new(input), "standard input".to_owned()));
    };
    let failed = |error: io::Error| (false, format!("failed to open '{path}': {}", reason(&error)));
    let mut file = File::open(path).map_err(failed)?;
    if skip > 0 && file.seek(SeekFrom::Start(skip)).is_err() {
        io::copy(&mut (&mut file).take(skip), &mut io::sink()).map_err(failed)?;
    }
    Ok((Box::new(file), path.clone()))
}

fn open_output(settings: &Settings) -> Result<Box<dyn Write>, Failure> {
    let is_bytes = settings.output_flags.iter().any(|flag| flag == "seek_bytes");
    let seek = settings.seek.saturating_mul(if is_bytes { 1 } else { settings.output_block as u64 });
    let Some(path) = &settings.output else { return Ok(Box::new(stdout())) };
    let appends = settings.output_flags.iter().any(|flag| flag == "append");
    let failed = |error: io::Error| (false, format!("failed to open '{path}': {}", reason(&error)));
    let mut options = OpenOptions::new();
    options.write(!appends).append(appends).create(!settings.converts("nocreat")).create_new(settings.converts("excl"));
    let mut file = options.open(path).map_err(failed)?;
    if !settings.converts("notrunc") && !appends {
        // A device has no size.
        let _ = file.set_len(seek);
    }
    if seek > 0 {
        file.seek(SeekFrom::Start(seek)).map_err(failed)?;
    }
    Ok(Box::new(file))
}

/// What `conv=` does, from block to block.
struct Converter<'a> {
    settings: &'a Settings,
    /// The column of `conv=block` and `unblock`.
    column: usize,
    /// The byte that `conv=swab` has to swap with the next one.
    odd: Option<u8>,
    /// Blanks that `conv=unblock` leaves out at the end of a line.
    blanks: usize,
}

impl Converter<'_> {
    fn convert(&mut self, mut block: Vec<u8>, output: &mut Vec<u8>, counts: &mut Counts) {
        let settings = self.settings;
        if settings.converts("swab") {
            let mut swapped = Vec::with_capacity(block.len() + 1);
            for byte in block {
                match self.odd.take() {
                    Some(first) => swapped.extend([byte, first]),
                    None => self.odd = Some(byte),
                }
            }
            block = swapped;
        }
        if settings.converts("ucase") {
            block.make_ascii_uppercase();
        } else if settings.converts("lcase") {
            block.make_ascii_lowercase();
        }
        let line = settings.line;
        if settings.converts("block") && line > 0 {
            for byte in block {
                if byte == b'\n' {
                    output.resize(output.len() + line.saturating_sub(self.column), b' ');
                    counts.truncated += u64::from(self.column > line);
                    self.column = 0;
                } else {
                    output.extend((self.column < line).then_some(byte));
                    self.column += 1;
                }
            }
        } else if settings.converts("unblock") && line > 0 {
            block.into_iter().for_each(|byte| self.unblock(byte, line, output));
        } else {
            output.append(&mut block);
        }
    }

    fn unblock(&mut self, byte: u8, line: usize, output: &mut Vec<u8>) {
        if byte == b' ' {
            self.blanks += 1;
        } else {
            output.resize(output.len() + std::mem::take(&mut self.blanks), b' ');
            output.push(byte);
        }
        self.column += 1;
        if self.column == line {
            (self.column, self.blanks) = (0, 0);
            output.push(b'\n');
        }
    }

    fn finish(&mut self, output: &mut Vec<u8>) {
        output.extend(self.odd.take());
        if self.column > 0 && self.settings.converts("block") {
            output.resize(output.len() + self.settings.line.saturating_sub(self.column), b' ');
        } else if self.column > 0 {
            output.push(b'\n');
        }
    }
}

fn report(settings: &Settings, counts: &Counts, began: Instant) {
    if settings.status == "none" {
        return;
    }
    eprintln!("{}+{} records in\n{}+{} records out", counts.read.0, counts.read.1, counts.written.0, counts.written.1);
    if counts.truncated > 0 {
        eprintln!("{} truncated record{}", counts.truncated, if counts.truncated == 1 { "" } else { "s" });
    }
    if settings.status == "noxfer" {
        return;
    }
    let (bytes, seconds) = (counts.bytes, began.elapsed().as_secs_f64().max(1e-9));
    let unit = if bytes == 1 { "byte" } else { "bytes" };
    #[expect(clippy::cast_precision_loss, reason = "it is shown with two digits")]
    let rate = bytes as f64 / seconds;
    let (rate, name) = match rate {
        rate if rate >= 1e9 => (rate / 1e9, "GB"),
        rate if rate >= 1e6 => (rate / 1e6, "MB"),
        rate => (rate / 1e3, "kB"),
    };
    let rate = if rate < 10.0 { format!("{rate:.1}") } else { format!("{rate:.0}") };
    eprintln!("{bytes} {unit} copied, {seconds:.6} s, {rate} {name}/s");
}
