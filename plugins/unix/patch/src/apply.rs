//! Applies all patches of the input, one file after another.

use std::fs;
use std::io::{self, Read};

use crate::body;
use crate::error::PatchError;
use crate::header::Header;
use crate::hunk::{Hunk, Mark};
use crate::input::{self, Input};
use crate::messages::Messages;
use crate::place::Text;
use crate::reject::Rejects;
use crate::settings::{Answers, Form, Settings};
use crate::target::{self, Absent, Target};
use crate::write;
use crate::write::queue::{Change, Queue};

/// A run of the program.
pub(crate) struct Run {
    settings: Settings,
    input: Input,
    messages: Messages,
    failed: bool,
    /// The file of `-o` was begun.
    has_output: bool,
    /// What git patches make of files, until it is written.
    queue: Queue,
}

/// One file that is patched.
struct File {
    header: Header,
    target: Option<Target>,
    /// What is there.
    lines: Vec<Vec<u8>>,
    out: Vec<Vec<u8>>,
    reversed: bool,
    /// Nothing further of it is applied.
    skipped: bool,
    /// It is applied although it seems to be reversed.
    anyway: bool,
    hunks: usize,
    rejected: usize,
    done: usize,
    offset: isize,
    /// How many more lines there are by now.
    grown: isize,
    /// Something did not fit exactly.
    mismatch: bool,
    rejects: Rejects,
    absent: Absent,
}

impl Run {
    pub(crate) fn new(settings: Settings) -> Result<Self, PatchError> {
        let input = Input::read(&settings.input)?;
        let messages = Messages { to_err: settings.output.as_deref() == Some("-") };
        Ok(Self { settings, input, messages, failed: false, has_output: false, queue: Queue::default() })
    }

    /// Applies all. Whether all hunks were.
    pub(crate) fn all(mut self) -> Result<bool, PatchError> {
        let result = self.read_and_apply();
        // What was applied before an error is written, too.
        let written = self.write_queue();
        result.and(written).map(|()| !self.failed)
    }

    fn read_and_apply(&mut self) -> Result<(), PatchError> {
        let mut any = false;
        while let Some(header) = Header::next(&mut self.input, self.settings.form) {
            if self.settings.verbose {
                self.tell_of(&header, any);
            }
            any = true;
            self.one(header)?;
        }
        if self.settings.verbose && any {
            self.messages.print("done\n");
        }
        if !any && !self.input.is_empty() {
            if self.input.line(0).is_some_and(body::is_ed_command) {
                return Err(PatchError("ed scripts are not supported here; use diff -u".to_owned()));
            }
            return Err(PatchError("Only garbage was found in the patch input.".to_owned()));
        }
        Ok(())
    }

    fn write_queue(&mut self) -> Result<(), PatchError> {
        self.failed |= !self.queue.write(&self.settings, self.messages)?;
        Ok(())
    }

    /// Writes what is queued if this patch is for one of its files. Renames and copies read what was there before.
    fn write_queue_before(&mut self, header: &Header) -> Result<(), PatchError> {
        let names = target::candidates(header, &self.settings);
        let is_move = header.git.renamed || header.git.copied;
        let needs = |name: &String| self.queue.concerns(name) && !(is_move && target::status(name).is_some());
        if names.iter().any(needs) { self.write_queue() } else { Ok(()) }
    }

    /// What was found, for `--verbose`.
    fn tell_of(&self, header: &Header, further: bool) {
        let form = match header.form {
            Some(Form::Context) => "new-style context",
            Some(Form::Normal) => "normal",
            _ => "unified",
        };
        let what = if further { "The next patch looks" } else { "Looks" };
        self.messages.print(&format!("Hmm...  {what} like a {form} diff to me...\n{}", self.lead(header)));
    }

    /// The lines before the hunks.
    fn lead(&self, header: &Header) -> String {
        if header.lead.is_empty() {
            return String::new();
        }
        let lines = header.lead.clone().filter_map(|at| self.input.line(at));
        let lines: String = lines.map(|line| format!("|{}\n", input::text(line))).collect();
        let rule = "--------------------------";
        format!("The text leading up to this was:\n{rule}\n{lines}{rule}\n")
    }

    fn one(&mut self, header: Header) -> Result<(), PatchError> {
        if header.returns && !self.settings.binary {
            self.messages.print("(Stripping trailing CRs from patch; use --binary to disable.)\n");
            self.input.strip_returns(header.lead.end);
        }
        self.write_queue_before(&header)?;
        if header.git.binary && header.form.is_none() {
            let name = target::candidates(&header, &self.settings).pop().unwrap_or_default();
            self.messages.print(&format!("File {name}: git binary diffs are not supported.\n"));
            self.failed = true;
            return Ok(());
        }
        let mut first = self.hunk(&header);
        let mut file = self.file(header, first.as_ref().ok().and_then(Option::as_ref))?;
        if !file.skipped {
            let Target { from, to } = file.target.clone().unwrap_or(Target { from: String::new(), to: String::new() });
            if !self.settings.quiet {
                self.announce(&file, &from, &to);
            }
        }
        while let Some(hunk) = first? {
            if self.input.was_cut() {
                self.messages.print("patch unexpectedly ends in middle of line\n");
            }
            self.place(&mut file, &hunk)?;
            first = self.hunk(&file.header);
        }
        self.finish(file)
    }

    fn hunk(&mut self, header: &Header) -> Result<Option<Hunk>, PatchError> {
        header.form.map_or(Ok(None), |form| body::next(&mut self.input, form))
    }

    fn announce(&self, file: &File, from: &str, to: &str) {
        let verb = if self.settings.dry_run { "checking" } else { "patching" };
        let written = self.settings.output.as_deref().unwrap_or(to);
        let how = match &file.header.git {
            _ if self.settings.output.is_some() => format!(" (read from {from})"),
            git if git.renamed => format!(" (renamed from {from})"),
            git if git.copied => format!(" (copied from {from})"),
            _ => String::new(),
        };
        let plan = if self.settings.verbose { "Using Plan A...\n" } else { "" };
        self.messages.print(&format!("{verb} file {written}{how}\n{plan}"));
    }

    /// Finds the file that a patch is for, and reads it.
    fn file(&mut self, header: Header, first: Option<&Hunk>) -> Result<File, PatchError> {
        let empty = |range: Option<crate::hunk::Range>| {
            u8::from(range.is_some_and(|range| range.first == 0 && range.count == 0))
        };
        let gone = |name: &Option<crate::header::Name>| name.as_ref().is_some_and(|name| name.absent);
        let mut absent = Absent {
            old: if gone(&header.old) || header.git.created { 2 } else { empty(first.map(|hunk| hunk.old)) },
            new: if gone(&header.new) || header.git.deleted { 2 } else { empty(first.map(|hunk| hunk.new)) },
        };
        let reversed = self.settings.reverse;
        if reversed {
            absent = absent.swapped();
        }
        let target = target::choose(&header, &self.settings, absent);
        let form = header.form.unwrap_or(Form::Unified);
        let mut file = File {
            rejects: Rejects::new(form, self.settings.reject_form),
            header,
            target,
            lines: Vec::new(),
            out: Vec::new(),
            reversed,
            skipped: false,
            anyway: false,
            hunks: 0,
            rejected: 0,
            done: 0,
            offset: 0,
            grown: 0,
            mismatch: false,
            absent,
        };
        if file.target.is_none() {
            file.target = self.ask_for_file(&file.header);
            file.skipped = file.target.is_none();
        }
        self.read(&mut file)?;
        Ok(file)
    }

    /// Nobody knows which file it is.
    fn ask_for_file(&self, header: &Header) -> Option<Target> {
        let line = header.lead.end + if header.form == Some(Form::Context) { 2 } else { 1 };
        let hint = if self.settings.strip.is_none() { "should have used" } else { "used the wrong" };
        let option = if self.settings.strip.is_none() { "the -p or --strip option" } else { "-p or --strip option" };
        let mut text = format!("can't find file to patch at input line {line}\nPerhaps you {hint} {option}?\n");
        text += &self.lead(header);
        self.messages.print(&text);
        if self.settings.answers != Answers::Ask {
            self.messages.print("No file to patch.  Skipping patch.\n");
            return None;
        }
        loop {
            let name = self.messages.ask("File to patch: ");
            if !name.is_empty() && target::status(&name).is_some() {
                return Some(Target { from: name.clone(), to: name });
            }
            if !self.messages.ask("Skip this patch? [y] ").starts_with('n') {
                self.messages.print("Skipping patch.\n");
                return None;
            }
        }
    }

    /// Reads the file, and sees whether it is there as the patch says.
    fn read(&mut self, file: &mut File) -> Result<(), PatchError> {
        let Some(Target { from, .. }) = file.target.clone() else { return Ok(()) };
        let found = if self.settings.follow_links { fs::metadata(&from).ok() } else { target::status(&from) };
        if from == "-" {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes).map_err(|error| PatchError::of("Can't read stdin", &error))?;
            file.lines = input::split(&bytes);
        } else if let Some(found) = found {
            if !found.is_file() {
                self.messages.print(&format!("File {from} is not a regular file -- refusing to patch\n"));
                file.skipped = true;
                return Ok(());
            }
            let bytes = fs::read(&from).map_err(|error| PatchError::of(&format!("Can't open file {from}"), &error))?;
            file.lines = input::split(&bytes);
        }
        let (is_there, is_empty) = (target::status(&from).is_some(), file.lines.is_empty());
        let seems_reversed = if is_empty { file.absent.new > 0 } else { file.absent.old > 1 };
        if seems_reversed && !(is_there && is_empty) && file.header.form.is_some() {
            let (what, but) = if is_empty { ("delete", "does not exist") } else { ("create", "already exists") };
            let reversed = if file.reversed { ", when reversed," } else { "" };
            let what = format!("The next patch{reversed} would {what} the file {from},\nwhich {but}!");
            if self.reverses(file, &what) {
                file.reversed = !file.reversed;
                file.absent = file.absent.swapped();
            } else if file.skipped {
                file.target = None;
            }
        }
        Ok(())
    }

    /// Whether a patch that seems to be reversed shall be. If not, it may be skipped.
    fn reverses(&self, file: &mut File, what: &str) -> bool {
        let messages = self.messages;
        if self.settings.forward {
            messages.print(&format!("{what}  Skipping patch.\n"));
            file.skipped = true;
            return false;
        }
        match self.settings.answers {
            Answers::Force => {
                messages.print(&format!("{what}  Applying it anyway.\n"));
                false
            }
            Answers::Batch => {
                let how = if file.reversed { "Ignoring" } else { "Assuming" };
                messages.print(&format!("{what}  {how} -R.\n"));
                true
            }
            Answers::Ask => {
                let how = if file.reversed { "Ignore" } else { "Assume" };
                if messages.ask(&format!("{what}  {how} -R? [n] ")).starts_with('y') {
                    return true;
                }
                file.anyway = true;
                if !messages.ask("Apply anyway? [n] ").starts_with('y') {
                    messages.print("Skipping patch.\n");
                    file.skipped = true;
                }
                false
            }
        }
    }

    /// Applies a hunk, or rejects it.
    fn place(&self, file: &mut File, hunk: &Hunk) -> Result<(), PatchError> {
        file.hunks += 1;
        let mut hunk = if file.reversed { hunk.reversed() } else { hunk.clone() };
        let most = self.settings.fuzz.min(hunk.prefix().max(hunk.suffix()));
        let mut fuzz = 0;
        while !file.skipped {
            if let Some(at) = self.text(file).place(&hunk, fuzz) {
                // Only an insertion is placed where its number says; lines to remove are looked for behind the last
                // hunk.
                if at <= file.done {
                    self.messages.print("misordered hunks! output would be garbled\n");
                    break;
                }
                self.apply(file, &hunk, at, fuzz);
                return Ok(());
            }
            let may_reverse = file.hunks == 1
                && !file.anyway
                && self.settings.answers != Answers::Force
                && file.reversed == self.settings.reverse;
            let other = hunk.reversed();
            if may_reverse && let Some(at) = self.text(file).place(&other, fuzz) {
                let what = if file.reversed { "Unreversed" } else { "Reversed (or previously applied)" };
                if self.reverses(file, &format!("{what} patch detected!")) {
                    file.reversed = !file.reversed;
                    file.absent = file.absent.swapped();
                    file.mismatch = true;
                    hunk = other;
                    self.apply(file, &hunk, at, fuzz);
                    return Ok(());
                }
                file.anyway = true;
                continue;
            }
            fuzz += 1;
            if fuzz > most {
                break;
            }
        }
        file.rejected += 1;
        file.mismatch = true;
        if !file.skipped && !self.settings.quiet {
            let line = hunk.guess().saturating_add_signed(file.grown);
            self.messages.print(&format!("Hunk #{} FAILED at {line}.\n", file.hunks));
        }
        file.rejects.add(&file.header, file.reversed, &hunk, file.grown);
        Ok(())
    }

    fn text<'a>(&self, file: &'a File) -> Text<'a> {
        Text { lines: &file.lines, done: file.done, offset: file.offset, ignore_space: self.settings.ignore_space }
    }

    /// Puts the new lines where the old ones are.
    fn apply(&self, file: &mut File, hunk: &Hunk, at: usize, fuzz: usize) {
        let offset = at.cast_signed() - hunk.guess().cast_signed();
        if self.settings.verbose || (!self.settings.quiet && (fuzz > 0 || offset != 0)) {
            let fuzzy = if fuzz > 0 { format!(" with fuzz {fuzz}") } else { String::new() };
            let ending = if offset == 1 { "" } else { "s" };
            let off = if offset == 0 { String::new() } else { format!(" (offset {offset} line{ending})") };
            let line = at.saturating_add_signed(file.grown);
            self.messages.print(&format!("Hunk #{} succeeded at {line}{fuzzy}{off}.\n", file.hunks));
        }
        file.mismatch |= fuzz > 0 || offset != 0;
        file.offset = offset;
        file.copy(at - 1);
        for (mark, line) in &hunk.lines {
            match mark {
                Mark::Context => file.copy(file.done + 1),
                Mark::Removed => file.done += 1,
                Mark::Added => push(&mut file.out, line.clone()),
            }
        }
        file.grown += hunk.new.count.cast_signed() - hunk.old.count.cast_signed();
    }

    /// Writes what has become of the file, and the hunks that were rejected.
    fn finish(&mut self, mut file: File) -> Result<(), PatchError> {
        file.copy(file.lines.len());
        if let Some(target) = file.target.clone().filter(|_| !file.skipped && !self.settings.dry_run) {
            self.write(&file, &target)?;
        }
        if file.rejected == 0 {
            self.failed |= file.skipped;
            return Ok(());
        }
        self.failed = true;
        let (hunks, rejected) = (file.hunks, file.rejected);
        let how = if file.skipped { "ignored" } else { "FAILED" };
        let ending = if hunks == 1 { "" } else { "s" };
        let mut text = format!("{rejected} out of {hunks} hunk{ending} {how}");
        let own =
            file.target.as_ref().map(|target| format!("{}.rej", self.settings.output.as_ref().unwrap_or(&target.to)));
        let name = own.map(|own| self.settings.rejects.clone().unwrap_or(own)).filter(|name| name != "-");
        let name = name.filter(|_| !self.settings.dry_run);
        if let Some(name) = &name {
            text += &format!(" -- saving rejects to file {name}");
        }
        self.messages.print(&format!("{text}\n"));
        match name {
            Some(name) if self.settings.rejects.is_some() => write::append(&name, &file.rejects.text),
            Some(name) => write::write(&name, &file.rejects.text, write::Options::default()),
            None => Ok(()),
        }
    }

    fn write(&mut self, file: &File, target: &Target) -> Result<(), PatchError> {
        let bytes = file.out.concat();
        if let Some(output) = &self.settings.output {
            if output == "-" {
                return write::print(&bytes);
            }
            if std::mem::replace(&mut self.has_output, true) {
                return write::append(output, &bytes);
            }
            return write::write(output, &bytes, write::Options { follow_links: true, backup: None });
        }
        let Target { from, to } = target;
        if from == "-" {
            return write::print(&bytes);
        }
        let goes = file.absent.new > 1 || (bytes.is_empty() && self.settings.remove_empty);
        if goes && !bytes.is_empty() {
            self.messages.print(&format!("Not deleting file {to} as content differs from patch\n"));
            self.failed = true;
        }
        let nothing = file.hunks > 0 && file.rejected == file.hunks;
        let backs_up = self.settings.backup || (self.settings.backup_mismatch && file.mismatch);
        if nothing {
            return if backs_up { write::back_up(to, &self.settings, true) } else { Ok(()) };
        }
        if goes && bytes.is_empty() && self.settings.verbose {
            self.messages.print(&format!("Removing file {to}\n"));
        }
        let git = &file.header.git;
        self.queue.push(Change {
            from: from.clone(),
            to: to.clone(),
            bytes: (!goes || !bytes.is_empty()).then_some(bytes),
            backs_up,
            renamed: git.renamed && from != to,
            copied: git.copied && from != to,
        });
        if git.is_git { Ok(()) } else { self.write_queue() }
    }
}

impl File {
    /// Copies the lines up to one, from 1 on.
    fn copy(&mut self, up_to: usize) {
        let lines = self.lines.get(self.done..up_to.min(self.lines.len())).unwrap_or_default();
        for line in lines {
            push(&mut self.out, line.clone());
        }
        self.done = self.done.max(up_to.min(self.lines.len()));
    }
}

/// Adds a line. One before it that has no end gets one.
fn push(lines: &mut Vec<Vec<u8>>, line: Vec<u8>) {
    if let Some(last) = lines.last_mut()
        && !last.ends_with(b"\n")
    {
        last.push(b'\n');
    }
    lines.push(line);
}
