//! What comes before the hunks for a file: its names, and what git says of it.

use unix_common::time;

use crate::body;
use crate::input::{Input, text};
use crate::settings::Form;

/// The name of a file in a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) path: String,
    /// All that follows `---` or the like: the name and the time.
    pub(crate) shown: String,
    /// There is no such file: it is `/dev/null`, or its time is the beginning of 1970.
    pub(crate) absent: bool,
}

/// What git says of a file beside its lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Git {
    /// There is a line `diff --git`.
    pub(crate) is_git: bool,
    pub(crate) created: bool,
    pub(crate) deleted: bool,
    pub(crate) renamed: bool,
    pub(crate) copied: bool,
    pub(crate) binary: bool,
}

/// What comes before the hunks for a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Header {
    /// None: there are no hunks.
    pub(crate) form: Option<Form>,
    pub(crate) old: Option<Name>,
    pub(crate) new: Option<Name>,
    pub(crate) index: Option<Name>,
    pub(crate) git: Git,
    /// The lines of the input before the hunks.
    pub(crate) lead: std::ops::Range<usize>,
    /// Lines end in carriage returns, which the header has, too.
    pub(crate) returns: bool,
}

impl Header {
    /// Reads up to the hunks of the next file. None at the end of the input.
    pub(crate) fn next(input: &mut Input, forced: Option<Form>) -> Option<Self> {
        let start = input.at;
        let mut header = Self::default();
        for at in start.. {
            let Some(line) = input.line(at) else {
                input.at = at;
                return header.is_whole().then(|| header.until(start, at));
            };
            if line.starts_with(b"diff --git ") {
                if header.is_whole() {
                    input.at = at;
                    return Some(header.until(start, at));
                }
                header = Self { git: Git { is_git: true, ..Git::default() }, ..Self::default() };
                header.git_names(&text(line));
                continue;
            }
            // The next patch, which git has not written.
            let is_next = [&b"--- "[..], b"*** ", b"Index:"].iter().any(|start| line.starts_with(start));
            if header.git.binary && is_next {
                input.at = at;
                return Some(header.until(start, at));
            }
            if let Some(form) = body::form_at(input, at, forced) {
                header.form = Some(form);
                // A context hunk begins with its line of stars.
                input.at = if form == Form::Context { at - 1 } else { at };
                let lead = input.at;
                return Some(header.until(start, lead));
            }
            header.read(line);
        }
        None
    }

    fn until(mut self, start: usize, end: usize) -> Self {
        self.lead = start..end;
        self
    }

    /// Whether something is to be done even without hunks.
    fn is_whole(&self) -> bool {
        let Git { created, deleted, renamed, copied, binary, .. } = self.git;
        created || deleted || renamed || copied || binary
    }

    fn read(&mut self, line: &[u8]) {
        let returns = line.ends_with(b"\r\n");
        let line = text(line);
        let line = line.trim_end_matches('\r');
        let name = |text: &str| Some(Name::new(text));
        if let Some(rest) = line.strip_prefix("*** ") {
            self.old = name(rest);
        } else if let Some(rest) = line.strip_prefix("--- ") {
            // The second of a context difference, or the first of a unified one: the third decides.
            self.new = name(rest);
            self.returns = returns;
        } else if let Some(rest) = line.strip_prefix("+++ ") {
            (self.old, self.new) = (self.new.take(), name(rest));
            self.returns = returns;
        } else if let Some(rest) = line.strip_prefix("Index:") {
            self.index = name(rest.trim_start());
        } else if self.git.is_git {
            self.git_line(line);
        }
    }

    fn git_line(&mut self, line: &str) {
        let name = |text: &str, prefix: &str| Some(Name::git(&format!("{prefix}{text}")));
        if line.starts_with("new file mode ") {
            self.git.created = true;
        } else if line.starts_with("deleted file mode ") {
            self.git.deleted = true;
        } else if let Some(from) = line.strip_prefix("rename from ") {
            (self.git.renamed, self.old) = (true, name(from, "a/"));
        } else if let Some(to) = line.strip_prefix("rename to ") {
            (self.git.renamed, self.new) = (true, name(to, "b/"));
        } else if let Some(from) = line.strip_prefix("copy from ") {
            (self.git.copied, self.old) = (true, name(from, "a/"));
        } else if let Some(to) = line.strip_prefix("copy to ") {
            (self.git.copied, self.new) = (true, name(to, "b/"));
        } else if line.starts_with("GIT binary patch") {
            self.git.binary = true;
        }
    }

    /// The names of `diff --git a/x b/x`: of a file that is renamed, other lines have them.
    fn git_names(&mut self, line: &str) {
        let names = line.trim_start_matches("diff --git ").trim_end_matches('\r');
        // Both are the same but for their first component, so that the space between them is in the middle.
        let middle = names.char_indices().filter(|(_, letter)| *letter == ' ').map(|(place, _)| place);
        let behind = |name: &str| name.split_once('/').map(|(_, rest)| rest.to_owned());
        let found = middle
            .map(|place| (&names[..place], &names[place + 1..]))
            .find(|(old, new)| behind(old).is_some() && behind(old) == behind(new));
        if let Some((old, new)) = found {
            (self.old, self.new) = (Some(Name::git(old)), Some(Name::git(new)));
        }
    }
}

impl Name {
    /// From what follows `---` or the like. A tab ends the name; without one the first space does, unless it is quoted.
    fn new(shown: &str) -> Self {
        let quoted = shown.strip_prefix('"').and_then(unquoted);
        let (path, rest) = match (quoted, shown.split_once('\t')) {
            (Some((path, rest)), _) => (path, rest),
            (None, Some((path, rest))) => (path.to_owned(), rest.to_owned()),
            (None, None) => {
                let (path, rest) = shown.split_once(' ').unwrap_or((shown, ""));
                (path.to_owned(), rest.to_owned())
            }
        };
        let absent = path == "/dev/null" || is_beginning(rest.trim());
        Self { path, shown: shown.to_owned(), absent }
    }

    /// Of the lines of git, which have nothing but the name.
    fn git(path: &str) -> Self {
        Self { path: path.to_owned(), shown: path.to_owned(), absent: false }
    }
}

/// The text up to the closing quote, and what follows it.
fn unquoted(text: &str) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes().enumerate();
    while let Some((place, byte)) = rest.next() {
        match byte {
            b'"' => return Some((String::from_utf8_lossy(&bytes).into_owned(), text.get(place + 1..)?.to_owned())),
            b'\\' => {
                let (_, escaped) = rest.next()?;
                bytes.push(match escaped {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'0'..=b'7' => {
                        let mut value = escaped - b'0';
                        for _ in 0..2 {
                            let (_, digit) = rest.next().filter(|(_, digit)| (b'0'..=b'7').contains(digit))?;
                            value = value.wrapping_mul(8).wrapping_add(digit - b'0');
                        }
                        value
                    }
                    other => other,
                });
            }
            other => bytes.push(other),
        }
    }
    None
}

/// Whether a time is 1970-01-01 00:00:00 UTC, by which diff(1) says that there is no such file.
fn is_beginning(time: &str) -> bool {
    if time.starts_with("Thu Jan  1 00:00:00 1970") {
        return true;
    }
    let mut words = time.split_whitespace();
    let (Some(date), Some(clock), zone) = (words.next(), words.next(), words.next().unwrap_or("+0000")) else {
        return false;
    };
    let numbers = |text: &str, separator: char| -> Option<Vec<i64>> {
        text.split(separator).map(|part| part.parse().ok()).collect()
    };
    let (clock, part) = clock.split_once('.').unwrap_or((clock, ""));
    let (Some(date), Some(clock)) = (numbers(date, '-'), numbers(clock, ':')) else { return false };
    let (&[year, month, day], &[hour, minute, second]) = (date.as_slice(), clock.as_slice()) else { return false };
    let (Ok(month), Ok(day), Ok(zone)) = (u8::try_from(month), u8::try_from(day), zone.parse::<i64>()) else {
        return false;
    };
    let east = (zone / 100 * 60 + zone % 100) * 60;
    let days = time::days_from_date(year, month, day);
    days * 86_400 + hour * 3600 + minute * 60 + second == east && part.bytes().all(|digit| digit == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_at_a_tab_a_space_or_a_quote() {
        let path = |shown: &str| Name::new(shown).path;
        assert_eq!(path("a/b c\t2001-09-09 01:46:40 +0000"), "a/b c");
        assert_eq!((path("a/b 2001"), path("a/b")), ("a/b".to_owned(), "a/b".to_owned()));
        assert_eq!(path("\"a\\tb \\303\\244\" x"), "a\tb ä");
    }

    #[test]
    fn the_beginning_of_1970_is_no_file() {
        for (time, absent) in [
            ("1970-01-01 00:00:00.000000000 +0000", true),
            ("1970-01-01 01:00:00 +0100", true),
            ("1969-12-31 16:00:00 -0800", true),
            ("Thu Jan  1 00:00:00 1970", true),
            ("1970-01-01 00:00:01 +0000", false),
            ("2001-09-09 01:46:40 +0000", false),
            ("", false),
        ] {
            assert_eq!(Name::new(&format!("x\t{time}")).absent, absent, "{time}");
        }
        assert!(Name::new("/dev/null").absent);
    }

    #[test]
    fn git_says_what_becomes_of_a_file() {
        let patch = "diff --git a/x y b/x y\nnew file mode 100644\ndiff --git a/p b/q\nrename from p\nrename to q\n";
        let mut input = Input::new(patch.as_bytes());
        let first = Header::next(&mut input, None).expect("there is one");
        assert_eq!((first.git.created, first.new.map(|name| name.path)), (true, Some("b/x y".to_owned())));
        let second = Header::next(&mut input, None).expect("there is another");
        assert_eq!((second.git.renamed, second.old.map(|name| name.path)), (true, Some("a/p".to_owned())));
        assert_eq!(Header::next(&mut input, None), None);
    }
}
