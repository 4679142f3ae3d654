//! Pathname expansion (XCU 2.6.6), with `**`.

use crate::pattern::{self, Pattern, PatternOptions};
use crate::state::Shell;
use crate::system::FileKind;

/// How deep `**` goes.
const MAX_LEVELS: usize = 100;

impl Shell {
    pub(crate) fn pattern_options(&self) -> PatternOptions {
        PatternOptions { extglob: self.is_on("extglob"), fold: self.is_on("nocasematch") }
    }

    /// The files that match a pattern, sorted.
    pub(crate) fn glob(&self, pattern: &str) -> Vec<String> {
        let components = components(pattern);
        let mut found = vec![String::new()];
        for (at, component) in components.iter().enumerate() {
            let last = at + 1 == components.len();
            found = found.iter().flat_map(|prefix| self.matching(prefix, component, last)).collect();
            if found.is_empty() {
                break;
            }
        }
        found.sort_unstable();
        found.dedup();
        self.drop_ignored(&mut found);
        found
    }

    /// Drops the names that GLOBIGNORE matches, `.` and `..`.
    fn drop_ignored(&self, found: &mut Vec<String>) {
        let Some(ignored) = self.text_of("GLOBIGNORE").filter(|ignored| !ignored.is_empty()) else { return };
        let options = PatternOptions { extglob: self.is_on("extglob"), fold: false };
        let patterns: Vec<(usize, Pattern)> = split_patterns(&ignored)
            .into_iter()
            .map(|pattern| (pattern.matches('/').count(), Pattern::new(&pattern, options)))
            .collect();
        found.retain(|name| {
            // No `*` matches a slash.
            let slashes = name.matches('/').count();
            let last = name.rsplit('/').next().unwrap_or_default();
            last != "."
                && last != ".."
                && !patterns.iter().any(|(wanted, pattern)| *wanted == slashes && pattern.matches(name))
        });
    }

    /// The paths that begin with `prefix` and go on as a component says. `last`: nothing follows it.
    fn matching(&self, prefix: &str, component: &str, last: bool) -> Vec<String> {
        let extglob = self.is_on("extglob");
        let slash = if last { "" } else { "/" };
        if component.is_empty() {
            // Slashes, at the beginning or in a row.
            let exists = last && self.system.status(&self.absolute(prefix), true).is_ok();
            return if last && !exists { Vec::new() } else { vec![format!("{prefix}{slash}")] };
        }
        if component == "**" && self.is_on("globstar") {
            return self.levels(prefix, last);
        }
        if !pattern::has_magic(component, extglob) {
            let path = format!("{prefix}{}", pattern::unescape(component));
            let status = self.system.status(&self.absolute(&path), !last);
            return if status.is_ok() { vec![format!("{path}{slash}")] } else { Vec::new() };
        }
        let options = PatternOptions { extglob, fold: self.is_on("nocaseglob") };
        let pattern = Pattern::new(component, options);
        let ignores = self.text_of("GLOBIGNORE").is_some_and(|ignored| !ignored.is_empty());
        let dots = self.is_on("dotglob") || ignores || pattern.begins_with_dot();
        let mut names = self.names_in(prefix);
        if pattern.begins_with_dot() && !self.is_on("globskipdots") {
            names.extend([".".to_owned(), "..".to_owned()]);
        }
        names.retain(|name| (dots || !name.starts_with('.')) && pattern.matches(name));
        if !last {
            names.retain(|name| self.is_directory(&format!("{prefix}{name}"), true));
        }
        names.into_iter().map(|name| format!("{prefix}{name}{slash}")).collect()
    }

    fn names_in(&self, prefix: &str) -> Vec<String> {
        let folder = if prefix.is_empty() { self.cwd.clone() } else { self.absolute(prefix) };
        self.system.names(&folder).unwrap_or_default()
    }

    fn is_directory(&self, path: &str, follow: bool) -> bool {
        self.system.status(&self.absolute(path), follow).is_ok_and(|status| status.kind == FileKind::Directory)
    }

    /// `**`: all directories below, and at the end all files too.
    fn levels(&self, prefix: &str, last: bool) -> Vec<String> {
        let mut found = vec![prefix.to_owned()];
        let mut waiting = vec![(prefix.to_owned(), 0)];
        while let Some((folder, level)) = waiting.pop() {
            for name in self.names_in(&folder) {
                if name.starts_with('.') && !self.is_on("dotglob") {
                    continue;
                }
                let path = format!("{folder}{name}");
                let is_directory = level < MAX_LEVELS && self.is_directory(&path, false);
                if last {
                    found.push(path.clone());
                }
                if is_directory {
                    if !last {
                        found.push(format!("{path}/"));
                    }
                    waiting.push((format!("{path}/"), level + 1));
                }
            }
        }
        if last {
            found.retain(|path| !path.is_empty());
        }
        found
    }
}

/// The components of a pattern, split at slashes that are not within brackets.
fn components(pattern: &str) -> Vec<String> {
    let mut components = vec![String::new()];
    let mut quoted = false;
    for character in pattern.chars() {
        if character == '/' {
            if quoted && let Some(last) = components.last_mut() {
                last.pop();
            }
            components.push(String::new());
        } else if let Some(last) = components.last_mut() {
            last.push(character);
        }
        quoted = character == '\\' && !quoted;
    }
    components
}

/// The patterns of GLOBIGNORE, between colons that are not within brackets.
fn split_patterns(text: &str) -> Vec<String> {
    let mut patterns = vec![String::new()];
    let mut chars = text.chars().peekable();
    let mut within = 0;
    while let Some(next) = chars.next() {
        match next {
            '[' if within == 0 => within = 1,
            '[' if chars.peek() == Some(&':') => within = 2,
            ']' if within > 0 => within -= 1,
            ':' if within == 0 => {
                patterns.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = patterns.last_mut() {
            last.push(next);
        }
    }
    patterns.retain(|pattern| !pattern.is_empty());
    patterns
}
