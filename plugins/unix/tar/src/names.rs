//! Which members are meant, and what they are called.

use std::collections::HashSet;

use unix_common::glob::{self, Rules};
use unix_common::report;

use crate::settings::Settings;

/// The members that the command line names.
pub(crate) struct Wanted<'a> {
    settings: &'a Settings,
    found: HashSet<usize>,
}

impl<'a> Wanted<'a> {
    pub(crate) fn new(settings: &'a Settings) -> Self {
        Self { settings, found: HashSet::new() }
    }

    /// Whether a member is one of them: named itself, or below a directory that is. All are, if none is named.
    pub(crate) fn has(&mut self, member: &str) -> bool {
        let member = member.trim_end_matches('/');
        if is_excluded(self.settings, member) {
            return false;
        }
        let operands = &self.settings.operands;
        let mut any = operands.is_empty();
        for (number, operand) in operands.iter().enumerate() {
            let name = operand.name.trim_end_matches('/');
            let below = member.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            let matches =
                self.settings.wildcards && prefixes(member).any(|part| glob::matches(name, part, Rules::default()));
            if below || matches {
                self.found.insert(number);
                any = true;
            }
        }
        any
    }

    /// Says which names no member had. Whether there were any.
    pub(crate) fn report_missing(&self) -> bool {
        let mut missing = false;
        for (number, operand) in self.settings.operands.iter().enumerate() {
            if !self.found.contains(&number) {
                report::error(&format!("{}: Not found in archive", operand.name));
                missing = true;
            }
        }
        missing
    }
}

/// The path and those of the directories above it.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at]).chain([path])
}

/// Whether a pattern of `--exclude` matches a path, a part of it from a slash on, or a directory above it.
pub(crate) fn is_excluded(settings: &Settings, path: &str) -> bool {
    settings.excluded.iter().any(|pattern| {
        prefixes(path).any(|above| {
            let suffixes = above.match_indices('/').map(|(at, _)| &above[at + 1..]).chain([above]);
            suffixes.into_iter().any(|part| glob::matches(pattern, part, Rules::default()))
        })
    })
}

/// A member's name without what leads out of the directory: slashes at its beginning. None for `..` in it.
pub(crate) fn safe(name: &str) -> Option<&str> {
    let safe = name.trim_start_matches('/');
    let leads_up = safe.split('/').any(|part| part == "..");
    (!leads_up).then_some(if safe.is_empty() { "." } else { safe })
}
