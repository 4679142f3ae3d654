//! Which files are searched, in what order.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ignore::overrides::OverrideBuilder;
use ignore::types::{Types, TypesBuilder};
use ignore::{Walk, WalkBuilder};
use unix_common::report;

use crate::settings::{Choice, Settings, Sort, numbered};

/// A file that is searched.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// As it is printed.
    pub(crate) shown: PathBuf,
    /// The command line names it: binary files count then, too.
    pub(crate) explicit: bool,
    /// It is the standard input.
    pub(crate) is_input: bool,
}

/// The types of files that are known and chosen. The error is a message.
pub(crate) fn types(settings: &Settings) -> Result<Types, String> {
    let mut types = TypesBuilder::new();
    types.add_defaults();
    for (choice, name) in &settings.types {
        match choice {
            Choice::Select => {
                types.select(name);
            }
            Choice::Negate => {
                types.negate(name);
            }
            Choice::Add => types.add_def(name).map_err(|error| error.to_string())?,
            Choice::Clear => {
                types.clear(name);
            }
        }
    }
    types.build().map_err(|error| error.to_string())
}

/// The files below the paths of the command line. The error is a message.
pub(crate) fn files(settings: &Settings) -> Result<Files, String> {
    let implicit = settings.paths.is_empty();
    let mut paths = settings.paths.iter().map(String::as_str);
    let mut builder = WalkBuilder::new(paths.next().unwrap_or("./"));
    for path in paths {
        builder.add(path);
    }
    let ignores = |kind: &str| {
        settings.unrestricted == 0 && !settings.no_ignore.iter().any(|no| *no == "no-ignore" || *no == kind)
    };
    let vcs = ignores("no-ignore-vcs");
    builder
        .max_depth(settings.max_depth)
        .max_filesize(settings.max_size)
        .follow_links(settings.follow)
        .hidden(!settings.hidden && settings.unrestricted < 2)
        .parents(ignores("no-ignore-parent"))
        .ignore(ignores("no-ignore-dot"))
        .git_global(vcs && ignores("no-ignore-global"))
        .git_ignore(vcs)
        .git_exclude(vcs && ignores("no-ignore-exclude"))
        .require_git(!settings.no_require_git)
        .types(types(settings)?)
        .threads(1);
    if ignores("no-ignore-dot") {
        builder.add_custom_ignore_filename(".rgignore");
    }
    if ignores("no-ignore-files") {
        for file in &settings.ignore_files {
            if let Some(error) = builder.add_ignore(file) {
                report::error(&error.to_string());
            }
        }
    }
    let mut globs = OverrideBuilder::new(".");
    let insensitive = settings.globs_ignore_case;
    let wrong = |error: ignore::Error| error.to_string();
    globs.case_insensitive(insensitive).map_err(wrong)?;
    for glob in &settings.globs {
        globs.add(glob).map_err(wrong)?;
    }
    globs.case_insensitive(true).map_err(wrong)?;
    for glob in &settings.case_insensitive_globs {
        globs.add(glob).map_err(wrong)?;
    }
    builder.overrides(globs.build().map_err(wrong)?);
    let reversed = settings.reversed && settings.sort == Sort::Path;
    builder.sort_by_file_name(move |one, other| if reversed { other.cmp(one) } else { one.cmp(other) });
    let files = Files { walk: builder.build(), implicit, failed: false, quiet: settings.no_messages, any: false };
    Ok(files)
}

/// The files of a search.
pub(crate) struct Files {
    walk: Walk,
    implicit: bool,
    pub(crate) failed: bool,
    quiet: bool,
    any: bool,
}

impl Files {
    /// Tells of a search of the current directory that found no file: usually a mistake.
    pub(crate) fn tell_of_none(&mut self) {
        if self.implicit && !self.any && !self.failed {
            self.failed = true;
            if !self.quiet {
                eprintln!(
                    "No files were searched, which means ripgrep probably applied a filter you didn't expect.\nCheck \
                     -g and -t; -uu searches ignored and hidden files, too."
                );
            }
        }
    }
}

impl Iterator for Files {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            let entry = match self.walk.next()? {
                Ok(entry) => entry,
                Err(error) => {
                    self.failed = true;
                    if !self.quiet {
                        eprintln!("{}", told(&error));
                    }
                    continue;
                }
            };
            if entry.is_stdin() {
                self.any = true;
                let path = entry.into_path();
                return Some(Found { shown: path.clone(), path, explicit: true, is_input: true });
            }
            let explicit = entry.depth() == 0;
            let kind = entry.file_type();
            let is_searched = if explicit { !entry.path().is_dir() } else { kind.is_some_and(|kind| kind.is_file()) };
            if is_searched {
                let path = entry.into_path();
                let shown = if self.implicit { path.strip_prefix("./").unwrap_or(&path) } else { &path };
                self.any = true;
                return Some(Found { shown: shown.to_owned(), explicit, path, is_input: false });
            }
        }
    }
}

/// All files by a time, the oldest first.
pub(crate) fn by_time(files: &mut Files, settings: &Settings) -> Vec<Found> {
    let time = |found: &Metadata| -> io::Result<SystemTime> {
        match settings.sort {
            Sort::Accessed => found.accessed(),
            Sort::Created => found.created(),
            Sort::Path | Sort::Modified => found.modified(),
        }
    };
    let mut all: Vec<(Option<SystemTime>, Found)> =
        files.map(|found| (found.path.metadata().and_then(|found| time(&found)).ok(), found)).collect();
    all.sort_by(|(one, _), (other, _)| if settings.reversed { other.cmp(one) } else { one.cmp(other) });
    all.into_iter().map(|(_, found)| found).collect()
}

/// An error of the walk: the path, and the error in Linux's words.
fn told(error: &ignore::Error) -> String {
    let path = path_of(error);
    match (path, error.io_error()) {
        // The error of the walk has one of the system inside, of which the kind is known.
        (Some(path), Some(error)) => format!("{}: {}", path.display(), numbered(&error.kind().into())),
        _ => error.to_string(),
    }
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        _ => None,
    }
}
