//! Expansion of paths: `~`, and for the source braces and patterns, as a shell does where the command runs in one.

use std::env;

use glob::{MatchOptions, Pattern};

use crate::files::{Files, Kind, Names, join};

/// Most words that the braces of all paths together can make.
const MAX_WORDS: usize = 1024;
/// Most bytes that these words can have together.
const MAX_BYTES: usize = 256 << 10;

/// As a shell matches: a hidden file only with a pattern that begins with a dot.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Whether the arguments have no quotes: `command`, the client's, has neither quotes nor backslashes, and its words
/// behind the first are the arguments. Other commands (quoted, forced, or run by a shell) name their files literally.
pub(crate) fn is_unquoted(command: &str, arguments: &[String]) -> bool {
    let words = command.split_ascii_whitespace().skip(1);
    !command.contains(['\'', '"', '\\']) && words.eq(arguments.iter().map(String::as_str))
}

/// The command of the client; empty if there is none.
pub(crate) fn client_command() -> String {
    env::var("SSH_ORIGINAL_COMMAND").unwrap_or_default()
}

/// The path with `~` at its beginning replaced. Nothing else of a target is expanded: it names what is to be made.
pub fn expand_home(home: &str, path: &str) -> String {
    match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            let rest = rest.trim_start_matches('/');
            if rest.is_empty() { home.to_owned() } else { join(home, rest) }
        }
        _ => path.to_owned(),
    }
}

/// What paths were expanded to.
#[derive(Debug, PartialEq, Eq)]
pub struct Expanded {
    /// The paths to send.
    pub paths: Vec<String>,
    /// Directories of which a pattern wants every name, and how many of their names are not UTF-8.
    pub unlisted: Vec<(String, u32)>,
}

/// Expands braces and patterns. A path that exists is used literally, and so is a pattern that matches nothing.
///
/// # Errors
///
/// The braces make more than 1,024 words or 256 KiB.
pub fn expand_patterns<F: Files>(files: &mut F, paths: Vec<String>) -> Result<Expanded, String> {
    let mut words = Vec::new();
    for path in paths {
        if !path.contains(['*', '?', '[', '{']) || files.look(&path).is_ok() {
            words.push((path, false));
        } else {
            expand_braces(path, &mut words)?;
        }
    }
    let mut unlisted = Vec::new();
    let expand = |(word, is_pattern)| if is_pattern { expand_pattern(files, word, &mut unlisted) } else { vec![word] };
    let paths = words.into_iter().flat_map(expand).collect();
    Ok(Expanded { paths, unlisted })
}

/// Expands `a{b,c}d` to `abd` and `acd`, and adds them to the words, which may be patterns.
fn expand_braces(word: String, words: &mut Vec<(String, bool)>) -> Result<(), String> {
    let mut bytes: usize = words.iter().map(|(word, _)| word.len()).sum();
    let mut waiting_bytes = word.len();
    let mut waiting = vec![word];
    while let Some(word) = waiting.pop() {
        waiting_bytes -= word.len();
        let Some((before, choices, after)) = first_braces(&word) else {
            bytes += word.len();
            words.push((word, true));
            continue;
        };
        let length: usize = choices.iter().map(|choice| before.len() + choice.len() + after.len()).sum();
        waiting_bytes += length;
        if words.len() + waiting.len() + choices.len() > MAX_WORDS || bytes + waiting_bytes > MAX_BYTES {
            return Err(format!(
                "the braces make more than {MAX_WORDS} paths or {} KiB: name fewer at once",
                MAX_BYTES >> 10
            ));
        }
        waiting.extend(choices.iter().rev().map(|choice| [before, choice, after].concat()));
    }
    Ok(())
}

/// The first pair of braces with a comma: what is before it, between its commas, and after it. One pass.
fn first_braces(word: &str) -> Option<(&str, Vec<&str>, &str)> {
    // Braces that are open, each with whether a comma was in it, and the first pair that was closed.
    let mut open: Vec<(usize, bool)> = Vec::new();
    let mut first: Option<(usize, usize)> = None;
    for (at, character) in word.bytes().enumerate() {
        match character {
            b'{' => open.push((at, false)),
            b',' => open.iter_mut().last().into_iter().for_each(|(_, has_comma)| *has_comma = true),
            b'}' => {
                if let Some((start, true)) = open.pop() {
                    first = first.filter(|(other, _)| *other < start).or(Some((start, at)));
                }
            }
            _ => {}
        }
    }
    let (start, end) = first?;
    let (mut depth, mut choices, mut choice) = (0, Vec::new(), start + 1);
    for (at, character) in word.bytes().enumerate().take(end).skip(start + 1) {
        match character {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                choices.push(&word[choice..at]);
                choice = at + 1;
            }
            _ => {}
        }
    }
    choices.push(&word[choice..end]);
    Some((&word[..start], choices, &word[end + 1..]))
}

/// The paths that match, sorted; the word itself if none does. A link that leads nowhere matches as well.
fn expand_pattern<F: Files>(files: &mut F, word: String, unlisted: &mut Vec<(String, u32)>) -> Vec<String> {
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
            let directory = if path.is_empty() { "." } else { &path };
            let names = list(files, directory);
            if names.unlisted > 0 && part.bytes().all(|byte| byte == b'*') {
                unlisted.push((directory.to_owned(), names.unlisted));
            }
            let fitting = names.text.split_terminator('/').filter(|name| pattern.matches_with(name, OPTIONS));
            matching.extend(fitting.map(|name| join(&path, name)));
        }
        paths = matching;
    }
    // What the host makes is there for paths that name it.
    paths.retain(|path| match files.look(path) {
        Ok(found) => !found.is_hosts,
        Err(_) => files.is_there(path),
    });
    paths.sort_unstable();
    if paths.is_empty() { vec![word] } else { paths }
}

/// `None` for what is no pattern after all, such as an open bracket.
fn compile(part: &str) -> Option<Pattern> {
    // A shell has `[^a]` for `[!a]` too, and two stars mean something else to the library.
    let mut single = part.replace("[^", "[!");
    while single.contains("**") {
        single = single.replace("**", "*");
    }
    Pattern::new(&single).ok()
}

/// The names in a directory; none if it is no directory or cannot be read.
fn list<F: Files>(files: &mut F, path: &str) -> Names {
    match files.open(path) {
        Ok((directory, found)) if found.kind == Kind::Directory => files.list(path, directory).unwrap_or_default(),
        _ => Names::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::native::NativeFiles;
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    fn expanded(word: &str) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        fs::create_dir_all(folder.path().join("one/sub")).expect("our own folder");
        fs::create_dir_all(folder.path().join("two")).expect("our own folder");
        for name in ["a.txt", "b.txt", ".hidden.txt", "[x].c", "one/sub/c.txt", "two/c.txt", "A.md", "{a,b}.d"] {
            fs::write(folder.path().join(name), name).expect("our own folder");
        }
        let home = folder.path().to_str().expect("it is UTF-8").to_owned();
        let paths = vec![expand_home(&home, word)];
        let expanded = expand_patterns(&mut NativeFiles::new(&home), paths).expect("they are few");
        expanded.paths.into_iter().map(|path| path.replace(&home, "HOME")).collect()
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        assert_eq!(expanded("*.txt"), ["a.txt", "b.txt"]);
        assert_eq!(expanded("**.t?t"), ["a.txt", "b.txt"]);
        assert_eq!(expanded(".*.txt"), [".hidden.txt"]);
        assert_eq!(expanded("[!b].txt"), ["a.txt"]);
        assert_eq!(expanded("[^b].txt"), ["a.txt"]);
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
        assert_eq!(expanded("{{x,y}"), ["{x", "{y"]);
        assert_eq!(expanded("x}{y{z}v,w}"), ["x}y{z}v", "x}w"]);
    }

    /// Quadratic work would take minutes here.
    #[test]
    fn braces_have_a_bound_for_all_paths_and_take_linear_time() {
        let of = |paths: &[String]| expand_patterns(&mut NativeFiles::new("/"), paths.to_vec());
        let refused = |paths: &[String]| of(paths).expect_err("it is too much").contains("more than 1024 paths");
        assert!(refused(&["{a,b}".repeat(40)]));
        assert!(refused(&["{a,b}".repeat(9), "{a,b}".repeat(9), "{a,b}".repeat(9)]));
        assert!(refused(&[format!("{{a,b}}{{a,b}}{{a,b}}{{a,b}}{}", "{".repeat(30_000))]));
        assert_eq!(of(&["{a,b}".repeat(10)]).map(|words| words.paths.len()), Ok(1024));
        let open = format!("{{a,b}}{}", "{".repeat(30_000));
        assert_eq!(of(&[open]).map(|words| words.paths.len()), Ok(2));
    }

    #[test]
    fn links_that_lead_nowhere_match_and_names_that_are_not_text_are_counted_where_all_are_wanted() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        fs::create_dir(folder.path().join("d")).expect("our own folder");
        for name in [&b"caf\xe9"[..], b"d/\xff", b"d/a\x80", b"a.txt"] {
            fs::write(folder.path().join(OsStr::from_bytes(name)), "").expect("our own folder");
        }
        symlink("nowhere", folder.path().join("d/b.txt")).expect("our own folder");
        let of = |word: &str| expand_patterns(&mut NativeFiles::new(folder.path()), vec![word.to_owned()]);
        let expanded = |paths: &[&str], unlisted: &[(&str, u32)]| {
            let unlisted = unlisted.iter().map(|(path, count)| ((*path).to_owned(), *count)).collect();
            Ok(Expanded { paths: paths.iter().map(|path| (*path).to_owned()).collect(), unlisted })
        };
        assert_eq!(of("*"), expanded(&["a.txt", "d"], &[(".", 1)]));
        assert_eq!(of("*/*"), expanded(&["d/b.txt"], &[(".", 1), ("d", 2)]));
        assert_eq!(of("[d]/*"), expanded(&["d/b.txt"], &[("d", 2)]));
        assert_eq!(of("*.txt"), expanded(&["a.txt"], &[]));
        assert_eq!(of("[d]/b.txt"), expanded(&["d/b.txt"], &[]));
        assert_eq!(of("[d]/c.txt"), expanded(&["[d]/c.txt"], &[]));
    }

    #[test]
    fn only_the_words_of_the_client_without_quotes_are_patterns() {
        let arguments = ["-f", "--", "a[1].txt"].map(str::to_owned);
        for command in ["scp -f -- a[1].txt", "/usr/bin/scp\t-f  -- a[1].txt "] {
            assert!(is_unquoted(command, &arguments), "{command}");
        }
        for command in ["scp -f -- 'a[1].txt'", "scp -f -- a\\[1].txt", "scp -f -- \"a[1].txt\"", "scp -f *", "ls", ""]
        {
            assert!(!is_unquoted(command, &arguments), "{command}");
        }
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
