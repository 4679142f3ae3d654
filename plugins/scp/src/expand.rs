//! Paths as a shell expands them: elsewhere the command runs in one, here it does not.
//!
//! `~`, braces and patterns, as far as the command line still has them. Quotes are gone, so a path that is there is
//! taken as it is, whatever characters it has.

use glob::{MatchOptions, Pattern};

use crate::files::{Files, Kind, join};

/// Most words that the braces of one word can make. Beyond that they stay.
const WORDS: usize = 1024;

/// As a shell matches: a hidden file only with a pattern that begins with a point.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// The paths that are meant. A pattern that nothing matches stays, and is then not found.
pub fn expand_paths<F: Files>(files: &mut F, home: &str, paths: &[String]) -> Vec<String> {
    paths.iter().flat_map(|path| expand(files, home, path)).collect()
}

fn expand<F: Files>(files: &mut F, home: &str, path: &str) -> Vec<String> {
    let path = match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            let rest = rest.trim_start_matches('/');
            if rest.is_empty() { home.to_owned() } else { join(home, rest) }
        }
        _ => path.to_owned(),
    };
    if !path.contains(['*', '?', '[', '{']) || files.look(&path).is_ok() {
        return vec![path];
    }
    let mut words = Vec::new();
    if !expand_braces(&path, &mut words) {
        words = vec![path];
    }
    words.into_iter().flat_map(|word| expand_pattern(files, word)).collect()
}

/// Expands `a{b,c}d` to `abd` and `acd`. False if that makes too many words.
fn expand_braces(word: &str, words: &mut Vec<String>) -> bool {
    let mut waiting = vec![word.to_owned()];
    while let Some(word) = waiting.pop() {
        if words.len() + waiting.len() >= WORDS {
            return false;
        }
        match first_braces(&word) {
            None => words.push(word),
            Some((before, choices, after)) => {
                waiting.extend(choices.iter().rev().map(|choice| [before, choice, after].concat()));
            }
        }
    }
    true
}

/// The first pair of braces with a comma: what is before it, between its commas, and after it.
fn first_braces(word: &str) -> Option<(&str, Vec<&str>, &str)> {
    for (start, _) in word.match_indices('{') {
        let (mut depth, mut choices, mut choice) = (0, Vec::new(), start + 1);
        for (at, character) in word.bytes().enumerate().skip(start) {
            match character {
                b'{' => depth += 1,
                b',' if depth == 1 => {
                    choices.push(&word[choice..at]);
                    choice = at + 1;
                }
                b'}' if depth == 1 => {
                    choices.push(&word[choice..at]);
                    if choices.len() > 1 {
                        return Some((&word[..start], choices, &word[at + 1..]));
                    }
                    break;
                }
                b'}' => depth -= 1,
                _ => {}
            }
        }
    }
    None
}

/// The paths that match, sorted; the word itself if none does.
fn expand_pattern<F: Files>(files: &mut F, word: String) -> Vec<String> {
    let is_pattern = |part: &str| part.contains(['*', '?', '[']);
    if !is_pattern(&word) {
        return vec![word];
    }
    let mut paths = vec![if word.starts_with('/') { "/".to_owned() } else { String::new() }];
    for part in word.split('/').filter(|part| !part.is_empty()) {
        let pattern = Some(part).filter(|part| is_pattern(part)).and_then(compile);
        let Some(pattern) = pattern else {
            paths.iter_mut().for_each(|path| *path = join(path, part));
            continue;
        };
        let mut matching = Vec::new();
        for path in paths {
            let names = list(files, if path.is_empty() { "." } else { &path });
            let fitting = names.split_terminator('/').filter(|name| pattern.matches_with(name, OPTIONS));
            matching.extend(fitting.map(|name| join(&path, name)));
        }
        paths = matching;
    }
    paths.retain(|path| files.look(path).is_ok());
    paths.sort_unstable();
    if paths.is_empty() { vec![word] } else { paths }
}

/// `None` for what is no pattern after all, such as an open bracket.
fn compile(part: &str) -> Option<Pattern> {
    // Two stars mean something else to the library.
    let mut single = part.to_owned();
    while single.contains("**") {
        single = single.replace("**", "*");
    }
    Pattern::new(&single).ok()
}

/// The names in a directory; none if it is no directory or cannot be read.
fn list<F: Files>(files: &mut F, path: &str) -> String {
    match files.open(path) {
        Ok((directory, found)) if found.kind == Kind::Directory => files.list(directory).unwrap_or_default(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::native::NativeFiles;
    use std::fs;

    fn expanded(word: &str) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        fs::create_dir_all(folder.path().join("one/sub")).expect("our own folder");
        fs::create_dir_all(folder.path().join("two")).expect("our own folder");
        for name in ["a.txt", "b.txt", ".hidden.txt", "[x].c", "one/sub/c.txt", "two/c.txt", "A.md", "{a,b}.d"] {
            fs::write(folder.path().join(name), name).expect("our own folder");
        }
        let home = folder.path().to_str().expect("it is UTF-8").to_owned();
        let expanded = expand_paths(&mut NativeFiles::new(&home), &home, &[word.to_owned()]);
        expanded.into_iter().map(|path| path.replace(&home, "HOME")).collect()
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        assert_eq!(expanded("*.txt"), ["a.txt", "b.txt"]);
        assert_eq!(expanded("**.t?t"), ["a.txt", "b.txt"]);
        assert_eq!(expanded(".*.txt"), [".hidden.txt"]);
        assert_eq!(expanded("[!b].txt"), ["a.txt"]);
        assert_eq!(expanded("*/c.txt"), ["two/c.txt"]);
        assert_eq!(expanded("*/*/c.*"), ["one/sub/c.txt"]);
        assert_eq!(expanded("~/[ab].txt"), ["HOME/a.txt", "HOME/b.txt"]);
        assert_eq!(expanded("./*.md"), ["./A.md"]);
    }

    #[test]
    fn braces_make_several_words() {
        assert_eq!(expanded("{b,a,absent}.txt"), ["b.txt", "a.txt", "absent.txt"]);
        assert_eq!(expanded("{on,tw{o,?}}{e,}"), ["one", "on", "twoe", "two", "tw?e", "two"]);
        assert_eq!(expanded("{a}.txt"), ["{a}.txt"]);
        assert_eq!(expanded("{a,b"), ["{a,b"]);
        let bomb = "{a,b}".repeat(40);
        assert_eq!(expanded(&bomb), [bomb]);
    }

    #[test]
    fn what_is_there_is_taken_as_it_is_and_what_matches_nothing_stays() {
        assert_eq!(expanded("[x].c"), ["[x].c"]);
        assert_eq!(expanded("{a,b}.d"), ["{a,b}.d"]);
        assert_eq!(expanded("*.absent"), ["*.absent"]);
        assert_eq!(expanded("a[b"), ["a[b"]);
        assert_eq!(expanded("~"), ["HOME"]);
        assert_eq!(expanded("~/x y"), ["HOME/x y"]);
        assert_eq!(expanded("~other/x"), ["~other/x"]);
    }
}
