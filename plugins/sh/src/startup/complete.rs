//! What the word at the cursor can become: commands, files, variables, options of builtins.

use crate::state::{Known, SET_OPTIONS, SHOPTS};
use crate::syntax::{Parser, TextLines};
use crate::system::{FileKind, SIGNALS, System};
use std::collections::BTreeSet;
use std::rc::Rc;
use whelk_guest::editor::{Callbacks, Candidate, Completions};

/// The options of builtins.
const OPTIONS: &[(&str, &[&str])] = &[
    ("alias", &["-p"]),
    ("cd", &["-L", "-P"]),
    ("command", &["-V", "-p", "-v"]),
    ("declare", &["-A", "-F", "-a", "-f", "-g", "-i", "-l", "-n", "-p", "-r", "-t", "-u", "-x"]),
    ("disown", &["-a", "-h", "-r"]),
    ("echo", &["-E", "-e", "-n"]),
    ("export", &["-f", "-n", "-p"]),
    ("fc", &["-e", "-l", "-n", "-r", "-s"]),
    ("hash", &["-d", "-l", "-p", "-r", "-t"]),
    ("history", &["-c", "-d", "-p", "-s"]),
    ("jobs", &["-l", "-n", "-p", "-r", "-s"]),
    ("kill", &["-l", "-n", "-s"]),
    ("local", &["-A", "-a", "-i", "-l", "-n", "-r", "-u"]),
    ("mapfile", &["-C", "-O", "-c", "-d", "-n", "-s", "-t", "-u"]),
    ("printf", &["-v"]),
    ("pwd", &["-L", "-P"]),
    ("read", &["-a", "-d", "-e", "-n", "-N", "-p", "-r", "-s", "-t", "-u"]),
    ("readonly", &["-A", "-a", "-f", "-p"]),
    ("set", &["-C", "-a", "-b", "-e", "-f", "-h", "-m", "-n", "-o", "-u", "-v", "-x"]),
    ("shopt", &["-o", "-p", "-q", "-s", "-u"]),
    ("trap", &["-l", "-p"]),
    ("type", &["-P", "-a", "-f", "-p", "-t"]),
    ("typeset", &["-A", "-F", "-a", "-f", "-g", "-i", "-l", "-n", "-p", "-r", "-t", "-u", "-x"]),
    ("ulimit", &["-H", "-S", "-a", "-f", "-n", "-t", "-u", "-v"]),
    ("umask", &["-S", "-p"]),
    ("unalias", &["-a"]),
    ("unset", &["-f", "-n", "-v"]),
    ("wait", &["-n", "-p"]),
];

/// Words after which a command begins.
const BEFORE_COMMAND: &[&str] =
    &["!", "builtin", "command", "coproc", "do", "elif", "else", "exec", "if", "then", "time", "until", "while", "{"];

/// Answers the editor's questions with what is known when the line begins.
pub(super) struct Completer {
    pub(super) system: Rc<dyn System>,
    pub(super) known: Known,
}

/// The word at the cursor.
#[derive(Debug, Default, PartialEq, Eq)]
struct Typed {
    /// Where it begins.
    start: usize,
    /// Where its last part begins, after the last slash.
    part: usize,
    /// The text before that part, and the part, without quotes.
    folder: String,
    name: String,
    /// The quote that is open, and where it was opened.
    quote: Option<char>,
    quoted_from: usize,
    /// The words of the command before it.
    before: Vec<String>,
}

impl Typed {
    /// What stands for its last part when it becomes a file. A directory stays open for what is in it.
    fn file(&self, name: String, directory: bool) -> Candidate {
        let quote = self.quote.map(String::from).unwrap_or_default();
        // A quote that was opened in a part before is not replaced.
        let open = if self.quoted_from >= self.part { quote.as_str() } else { "" };
        let text = format!("{open}{}", quoted(&name, self.quote));
        if directory {
            Candidate { text: text + "/", end: String::new(), shown: name + "/" }
        } else {
            Candidate { text, end: quote + " ", shown: name }
        }
    }
}

/// Finds the word at the end of a text.
fn typed(text: &str) -> Typed {
    let mut word = Typed::default();
    let mut in_word = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, next)) = chars.next() {
        if word.quote.is_none() && (next.is_whitespace() || "|&;()<>`".contains(next)) {
            if in_word {
                let whole = std::mem::take(&mut word.folder) + &std::mem::take(&mut word.name);
                word.before.push(whole);
            }
            in_word = false;
            if "|&;()`\n".contains(next) {
                word.before.clear();
            }
            (word.start, word.part) = (at + next.len_utf8(), at + next.len_utf8());
            continue;
        }
        in_word = true;
        match (word.quote, next) {
            (None, '\'' | '"') => (word.quote, word.quoted_from) = (Some(next), at),
            (Some(quote), _) if quote == next => word.quote = None,
            (None | Some('"'), '\\') => {
                if let Some((_, escaped)) = chars.next() {
                    word.name.push(escaped);
                }
            }
            (_, '/') => {
                word.folder.push_str(&std::mem::take(&mut word.name));
                word.folder.push('/');
                word.part = at + 1;
            }
            // An assignment, whose value is a word of its own.
            (None, '=') if word.folder.is_empty() => {
                word.name.clear();
                word.part = at + 1;
            }
            _ => word.name.push(next),
        }
    }
    word
}

/// A name as it stands in a command line.
fn quoted(name: &str, quote: Option<char>) -> String {
    let special: &str = match quote {
        Some('\'') => return name.replace('\'', "'\\''"),
        Some(_) => "\"$`\\",
        None => " \t\n\\'\"$`&;|()<>*?[]{}!#~=%",
    };
    let mut text = String::new();
    for next in name.chars() {
        if special.contains(next) {
            text.push('\\');
        }
        text.push(next);
    }
    text
}

impl Completer {
    fn absolute(&self, folder: &str) -> String {
        if let Some(rest) = folder.strip_prefix("~/") {
            format!("{}/{rest}", self.known.home.trim_end_matches('/'))
        } else if folder.starts_with('/') {
            folder.to_owned()
        } else {
            format!("{}/{folder}", self.known.cwd.trim_end_matches('/'))
        }
    }

    /// The files whose names begin as the word does.
    fn files(&self, word: &Typed, directories: bool) -> Vec<Candidate> {
        let folder = self.absolute(&word.folder);
        let mut names = self.system.names(&folder).unwrap_or_default();
        names.retain(|name| name.starts_with(&word.name) && (!name.starts_with('.') || word.name.starts_with('.')));
        names.sort();
        let is_directory = |name: &str| {
            let path = format!("{}/{name}", folder.trim_end_matches('/'));
            self.system.status(&path, true).is_ok_and(|status| status.kind == FileKind::Directory)
        };
        let fits = |name: String| {
            let directory = is_directory(&name);
            (directory || !directories).then(|| word.file(name, directory))
        };
        names.into_iter().filter_map(fits).collect()
    }

    /// Functions, aliases, builtins, and the programs along PATH.
    fn commands(&self, name: &str) -> BTreeSet<String> {
        let programs = self.known.path.split(':').filter(|folder| folder.starts_with('/'));
        let programs = programs.flat_map(|folder| self.system.names(folder).unwrap_or_default());
        let all = programs.chain(self.known.commands.iter().cloned());
        all.filter(|command| command.starts_with(name)).collect()
    }

    fn words(word: &Typed, start: usize, words: impl Iterator<Item = impl Into<String>>) -> Completions {
        let words = words.map(Into::into).filter(|text: &String| text.starts_with(&word.name));
        Completions { start, candidates: words.map(Candidate::word).collect() }
    }

    /// `$name` and `${name` at the end of the text.
    fn variables(&self, text: &str, quoted: bool) -> Option<Completions> {
        let start = text.rfind('$')? + 1;
        let braces = text[start..].starts_with('{');
        let start = start + usize::from(braces);
        let name = &text[start..];
        if !name.chars().all(|next| next == '_' || next.is_alphanumeric()) {
            return None;
        }
        let end = format!("{}{}", if braces { "}" } else { "" }, if quoted { "" } else { " " });
        let fits = self.known.variables.iter().filter(|variable| variable.starts_with(name));
        let candidate = |variable: &String| Candidate { text: variable.clone(), end: end.clone(), ..<_>::default() };
        Some(Completions { start, candidates: fits.map(candidate).collect() })
    }

    /// What an argument of some builtins can be; none where it is a file.
    fn argument(&self, word: &Typed) -> Option<Completions> {
        let command = word.before.first().map_or("", String::as_str);
        let previous = word.before.last().map_or("", String::as_str);
        if word.name.starts_with('-') && word.folder.is_empty() {
            let (_, options) = OPTIONS.iter().find(|(name, _)| *name == command)?;
            return Some(Self::words(word, word.start, options.iter().copied()));
        }
        let signals = || SIGNALS.iter().map(|(_, name)| *name);
        Some(match (command, previous) {
            ("set", "-o" | "+o") => Self::words(word, word.start, SET_OPTIONS.iter().map(|(_, name)| *name)),
            ("shopt", _) => Self::words(word, word.start, SHOPTS.iter().map(|(name, _)| *name)),
            ("kill", "-s") | ("trap", _) if word.before.len() > 1 => Self::words(word, word.start, signals()),
            ("fg" | "bg" | "disown" | "kill", _) if word.name.starts_with('%') => {
                Self::words(word, word.start, self.known.jobs.iter().map(|number| format!("%{number}")))
            }
            ("unalias", _) => Self::words(word, word.start, self.known.aliases.iter().cloned()),
            ("unset" | "export" | "readonly" | "read" | "declare" | "typeset" | "local", _) => {
                Self::words(word, word.start, self.known.variables.iter().cloned())
            }
            ("type" | "help" | "hash" | "which", _) => {
                Self::words(word, word.start, self.commands(&word.name).into_iter())
            }
            _ => return None,
        })
    }
}

impl Callbacks for Completer {
    fn complete(&mut self, text: &str, cursor: usize) -> Completions {
        let text = &text[..cursor];
        let word = typed(text);
        if word.quote != Some('\'')
            && let Some(variables) = self.variables(&text[word.part.min(text.len())..], word.quote.is_some())
        {
            return Completions { start: variables.start + word.part, ..variables };
        }
        let is_assignment = |word: &String| word.split_once('=').is_some_and(|(name, _)| crate::text::is_name(name));
        let before = |word: &String| BEFORE_COMMAND.contains(&word.as_str()) || is_assignment(word);
        let redirected = text[..word.start].trim_end().ends_with(['<', '>']);
        let is_command = word.before.iter().all(before) && !redirected && word.part == word.start;
        if is_command && word.folder.is_empty() && word.quote.is_none() {
            let mut found = Self::words(&word, word.start, self.commands(&word.name).into_iter());
            found.candidates.extend(self.files(&word, true));
            return found;
        }
        if !redirected
            && word.quote.is_none()
            && let Some(found) = self.argument(&word)
        {
            return found;
        }
        let directories = ["cd", "pushd", "rmdir"].contains(&word.before.first().map_or("", String::as_str));
        Completions { start: word.part, candidates: self.files(&word, directories && !redirected) }
    }

    fn is_incomplete(&mut self, text: &str) -> bool {
        let backslashes = text.len() - text.trim_end_matches('\\').len();
        if backslashes % 2 == 1 {
            return true;
        }
        let mut lines = TextLines::new(format!("{text}\n"));
        let mut parser = Parser::new(&mut lines, 1);
        loop {
            match parser.next_command(&self.known.options) {
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(error) => return error.at_end,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> (usize, usize, String, String, Option<char>, Vec<String>) {
        let Typed { start, part, folder, name, quote, before, .. } = typed(text);
        (start, part, folder, name, quote, before)
    }

    #[test]
    fn the_word_at_the_end_is_found_with_its_quotes_and_the_words_before_it() {
        let none = Vec::new;
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let (empty, text) = (String::new, str::to_owned);
        assert_eq!(word(""), (0, 0, empty(), empty(), None, none()));
        assert_eq!(word("ec"), (0, 0, empty(), text("ec"), None, none()));
        assert_eq!(word("echo "), (5, 5, empty(), empty(), None, list(&["echo"])));
        assert_eq!(word("ls a/b\\ c/d"), (3, 10, text("a/b c/"), text("d"), None, list(&["ls"])));
        assert_eq!(word("cat 'a b/c"), (4, 9, text("a b/"), text("c"), Some('\''), list(&["cat"])));
        assert_eq!(word("a; b |c"), (6, 6, empty(), text("c"), None, none()));
        assert_eq!(word("x=/a/b"), (0, 5, text("/a/"), text("b"), None, none()));
    }

    #[test]
    fn names_are_quoted_as_the_open_quote_wants() {
        assert_eq!(quoted("a b$c'd", None), r"a\ b\$c\'d");
        assert_eq!(quoted("a b$c'd", Some('"')), r"a b\$c'd");
        assert_eq!(quoted("a b$c'd", Some('\'')), r"a b$c'\''d");
    }

    #[test]
    fn a_file_takes_the_place_of_the_last_part_with_its_quote() {
        let completed = |text: &str, directory| {
            let word = typed(text);
            let Candidate { text: file, end, .. } = word.file("two words".to_owned(), directory);
            format!("{}{file}{end}", &text[..word.part])
        };
        assert_eq!(completed("cat tw", false), r"cat two\ words ");
        assert_eq!(completed("cat \"tw", false), "cat \"two words\" ");
        assert_eq!(completed("cat 'a/tw", false), "cat 'a/two words' ");
        assert_eq!(completed("cat a/'tw", false), "cat a/'two words' ");
        assert_eq!(completed("cat a/'tw", true), "cat a/'two words/");
        assert_eq!(completed("cat 'a'/tw", true), r"cat 'a'/two\ words/");
    }

    #[test]
    fn options_are_sorted_by_builtin_and_each_builtin_is_one() {
        assert!(OPTIONS.is_sorted_by_key(|(name, _)| name));
        assert!(OPTIONS.iter().all(|(name, _)| crate::builtins::find(name).is_some()));
    }
}
