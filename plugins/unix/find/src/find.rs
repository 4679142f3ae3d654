//! Walks the files and evaluates the expression for each.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use unix_common::glob::{self, Rules};
use unix_common::report;

use crate::command;
use crate::compare::Mode;
use crate::expression::{Expression, Settings};
use crate::files::Found;
use crate::parse::{self, Parsed};
use crate::print;

/// Runs `find` with the words after its name. The exit status.
pub(crate) fn run(words: &[String]) -> u8 {
    let parsed = match parse::parse(words) {
        Ok(parse::Asked::Search(parsed)) => parsed,
        Ok(parse::Asked::Text(text)) => {
            print!("{text}");
            return 0;
        }
        Err(message) => {
            report::error(&message);
            return 1;
        }
    };
    let mut search = Search::new(&parsed);
    let result = search.run();
    for batch in &parsed.batches {
        let mut batch = batch.borrow_mut();
        search.flush();
        batch.run();
        search.failed |= batch.failed;
    }
    let written = parsed.sinks.iter().try_for_each(|sink| sink.flush());
    if let Err(error) = result.and(written) {
        report::error(&format!("write error: {}", report::words(&error)));
        return 1;
    }
    u8::from(search.failed)
}

/// How to go on after a file.
#[derive(Debug, Default)]
struct Outcome {
    prune: bool,
    quit: bool,
}

struct Search<'a> {
    parsed: &'a Parsed,
    settings: &'a Settings,
    failed: bool,
    /// The directories on the way to the file, with their links resolved, where links are followed.
    ancestors: Vec<PathBuf>,
}

type Flow = io::Result<ControlFlow<()>>;

impl<'a> Search<'a> {
    fn new(parsed: &'a Parsed) -> Self {
        Self { parsed, settings: &parsed.settings, failed: false, ancestors: Vec::new() }
    }

    fn run(&mut self) -> io::Result<()> {
        for start in &self.settings.paths {
            if self.visit(PathBuf::from(start), start, 0)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn flush(&self) {
        // What cannot be written is an error at the end.
        self.parsed.sinks.iter().for_each(|sink| drop(sink.flush()));
    }

    fn report_error(&mut self, path: &Path, error: &io::Error) {
        self.failed = true;
        self.flush();
        report::error(&format!("{}: {}", report::quoted(&path.to_string_lossy()), report::words(error)));
    }

    fn visit(&mut self, path: PathBuf, start: &str, depth: usize) -> Flow {
        let follow = self.settings.follow || depth == 0 && self.settings.follow_first;
        // A link that leads nowhere is itself.
        let metadata = if follow {
            fs::metadata(&path).or_else(|_| fs::symlink_metadata(&path))
        } else {
            fs::symlink_metadata(&path)
        };
        let metadata = match metadata {
            Ok(metadata) => metadata,
            Err(error) if depth > 0 && self.settings.ignore_races && error.kind() == io::ErrorKind::NotFound => {
                return Ok(ControlFlow::Continue(()));
            }
            Err(error) => {
                self.report_error(&path, &error);
                return Ok(ControlFlow::Continue(()));
            }
        };
        let is_directory = metadata.is_dir();
        let found = Found::new(path, start, depth, metadata);
        let mut outcome = Outcome::default();
        let counts = depth >= self.settings.least_depth;
        if counts && !self.settings.depth_first {
            self.evaluate(&self.parsed.expression, &found, &mut outcome)?;
        }
        if is_directory && depth < self.settings.most_depth && !outcome.quit {
            let prune = outcome.prune && !self.settings.depth_first;
            if !prune && self.walk_directory(&found, start, depth)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if counts && self.settings.depth_first {
            self.evaluate(&self.parsed.expression, &found, &mut outcome)?;
        }
        Ok(if outcome.quit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn walk_directory(&mut self, found: &Found, start: &str, depth: usize) -> Flow {
        let resolved = if self.settings.follow { fs::canonicalize(&found.path).ok() } else { None };
        if let Some(resolved) = &resolved
            && self.ancestors.contains(resolved)
        {
            self.failed = true;
            let path = report::quoted(&found.text());
            report::error(&format!("File system loop detected; {path} leads to a directory above it."));
            return Ok(ControlFlow::Continue(()));
        }
        let read = fs::read_dir(&found.path).and_then(Iterator::collect::<io::Result<VecDeque<_>>>);
        let mut names: Vec<_> = match read {
            Ok(entries) => entries.iter().map(fs::DirEntry::file_name).collect(),
            Err(error) => {
                self.report_error(&found.path, &error);
                return Ok(ControlFlow::Continue(()));
            }
        };
        names.sort();
        let pushed = resolved.map(|resolved| self.ancestors.push(resolved)).is_some();
        let text = found.text();
        for name in names {
            let name = name.to_string_lossy();
            let path = if text.ends_with('/') { format!("{text}{name}") } else { format!("{text}/{name}") };
            if self.visit(PathBuf::from(path), start, depth + 1)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if pushed {
            self.ancestors.pop();
        }
        Ok(ControlFlow::Continue(()))
    }

    fn evaluate(&mut self, expression: &Expression, found: &Found, outcome: &mut Outcome) -> io::Result<bool> {
        if outcome.quit {
            return Ok(false);
        }
        let glob = |pattern: &str, name: &str, ignore_case: bool| {
            glob::matches(pattern, name, Rules { ignore_case, ..Rules::default() })
        };
        Ok(match expression {
            Expression::Always(result) => *result,
            Expression::Not(inner) => !self.evaluate(inner, found, outcome)?,
            Expression::And(first, second) => {
                self.evaluate(first, found, outcome)? && self.evaluate(second, found, outcome)?
            }
            Expression::Or(first, second) => {
                self.evaluate(first, found, outcome)? || self.evaluate(second, found, outcome)?
            }
            Expression::List(first, second) => {
                self.evaluate(first, found, outcome)?;
                self.evaluate(second, found, outcome)?
            }
            Expression::Name { pattern, ignore_case } => glob(pattern, &found.name(), *ignore_case),
            Expression::Path { pattern, ignore_case } => glob(pattern, &found.text(), *ignore_case),
            Expression::LinkName { pattern, ignore_case } => {
                found.letter() == 'l' && found.link().is_some_and(|target| glob(pattern, target, *ignore_case))
            }
            Expression::Regex(regex) => {
                let text = found.text();
                regex.find_at(text.as_bytes(), 0) == Some((0, text.len()))
            }
            Expression::Type { letters, follows: false } => letters.contains(&found.letter()),
            Expression::Type { letters, follows: true } => letters.contains(&found.other_letter(self.settings.follow)),
            Expression::Size(size, unit) => size.holds(found.metadata.len().div_ceil(*unit)),
            Expression::Empty => match found.is_empty() {
                Ok(empty) => empty,
                Err(error) => {
                    self.report_error(&found.path, &error);
                    false
                }
            },
            Expression::Newer(stamp, than) => found.stamp(*stamp) > *than,
            Expression::Age { stamp, age, unit } => {
                let seconds = self.parsed.now.seconds - found.stamp(*stamp).seconds;
                let fraction = i64::from(self.parsed.now.nanoseconds < found.stamp(*stamp).nanoseconds);
                let units = (seconds - fraction).div_euclid(*unit);
                // Minutes are rounded up for a comparison, days down: `-mmin -1` is all of the last minute.
                let above = (seconds - fraction).rem_euclid(*unit) > 0 && *unit == 60;
                age.holds(u64::try_from(units + i64::from(above)).unwrap_or_default())
            }
            Expression::Mode(Mode::Exactly(mode)) => Found::mode() == *mode,
            Expression::Mode(Mode::All(mode)) => Found::mode() & mode == *mode,
            Expression::Mode(Mode::Any(mode)) => *mode == 0 || Found::mode() & mode != 0,
            Expression::Access { executable } => !executable || Found::mode() & 0o111 != 0,
            Expression::Same(other) => {
                // A link that is not followed is the same as itself alone.
                (self.settings.follow || found.letter() != 'l' || found.text() == *other) && found.is(other)
            }
            action => return self.act(action, found, outcome),
        })
    }

    fn act(&mut self, action: &Expression, found: &Found, outcome: &mut Outcome) -> io::Result<bool> {
        match action {
            Expression::Prune => outcome.prune = true,
            Expression::Quit => outcome.quit = true,
            Expression::Delete => return Ok(self.delete(found)),
            Expression::Print(sink, end) => {
                let mut text = found.text();
                text.push(*end);
                sink.write(text.as_bytes())?;
            }
            Expression::Format(sink, parts) => {
                let (text, flush) = print::formatted(parts, found, self.settings.follow);
                sink.write(text.as_bytes())?;
                if flush {
                    sink.flush()?;
                }
            }
            Expression::LongLine(sink) => sink.write(print::long_line(found).as_bytes())?,
            Expression::Execute { words, in_folder, asks } => {
                let (name, folder) = place(found, *in_folder);
                let words: Vec<String> = words.iter().map(|word| word.replace("{}", &name)).collect();
                self.flush();
                if *asks && !command::ask(&words)? {
                    return Ok(false);
                }
                return Ok(command::run(&words, folder.as_deref()));
            }
            Expression::Batch(batch) => {
                self.flush();
                let in_folder = batch.borrow().in_folder;
                let (name, folder) = place(found, in_folder);
                Rc::clone(batch).borrow_mut().add(name, folder);
            }
            _ => {}
        }
        Ok(true)
    }

    fn delete(&mut self, found: &Found) -> bool {
        // The directory in which the search began cannot be removed by the name `.`.
        if found.text() == "." {
            return true;
        }
        let result = if found.letter() == 'd' { fs::remove_dir(&found.path) } else { fs::remove_file(&found.path) };
        if let Err(error) = &result {
            self.failed = true;
            self.flush();
            report::error(&format!("cannot delete {}: {}", report::quoted(&found.text()), report::words(error)));
        }
        result.is_ok()
    }
}

/// How a command names a file, and where it runs.
fn place(found: &Found, in_folder: bool) -> (String, Option<PathBuf>) {
    if !in_folder {
        return (found.text(), None);
    }
    let folder = found.folder();
    let folder = if folder.is_empty() { "/".to_owned() } else { folder };
    (format!("./{}", found.name()), Some(PathBuf::from(folder)))
}
