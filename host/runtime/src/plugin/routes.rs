//! Routes of a tenant: which plugin serves which program request, before the plugin of the session is asked.
//!
//! A subsystem is found by its exact name, a command by the longest route that is a prefix of its words. Both are
//! look-ups in exact maps: client data is only compared and never becomes a path or a pattern. A shell has no route.
//!
//! Decided 2026-11-30: the words of a command are compared as sent, and as a program gets them: without quotes, and
//! without the folder of programs before the first. Refused: the words as sent alone, because `'scp' -f x` and
//! `/bin/scp -f x` run the program `scp` where clients may name programs, and so went past the route of `scp`.

use std::collections::BTreeMap;

use super::lookup::command_words;
use crate::session_types::ProgramRequest;

/// Maps program requests to names of plugins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    /// By the name of the subsystem.
    subsystems: BTreeMap<String, String>,
    /// By the first words of a command, separated by single spaces.
    commands: BTreeMap<String, String>,
    /// The most words of a command's route.
    longest: usize,
}

impl Routes {
    /// From names of subsystems and from words of commands, each with the name of a plugin. Of two with the same words
    /// the later counts.
    #[must_use]
    pub fn new(
        subsystems: impl IntoIterator<Item = (String, String)>,
        commands: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let mut routes = Self { subsystems: subsystems.into_iter().collect(), ..Self::default() };
        for (text, plugin) in commands {
            let words: Vec<&str> = words(text.as_bytes()).collect();
            routes.longest = routes.longest.max(words.len());
            routes.commands.insert(words.join(" "), plugin);
        }
        routes
    }

    /// The route of this program request and its plugin; `None` if no route matches.
    ///
    /// The words of a command are those that blanks and tabs separate, as sent, or those that a shell reads, without
    /// expansion (`command_words`): the longer route counts, and of two as long that of the words as sent. The route
    /// without words matches every other command.
    #[must_use]
    pub fn find(&self, start: &ProgramRequest<'_>) -> Option<(&str, &str)> {
        let (route, plugin) = match *start {
            ProgramRequest::Shell => None,
            ProgramRequest::Subsystem(name) => self.subsystems.get_key_value(name),
            ProgramRequest::Exec(_) if self.commands.is_empty() => None,
            ProgramRequest::Exec(command) => {
                // Looks at no more words than a route can have: a command may be long.
                let sent: Vec<&str> = words(command).take(self.longest).collect();
                let read: Vec<String> =
                    command_words(command).take_while(|word| is_word(word)).take(self.longest).collect();
                let read: Vec<&str> = read.iter().map(String::as_str).collect();
                let found = [read, sent].map(|words| self.longest_of(&words));
                let found = found.into_iter().flatten().max_by_key(|(count, _)| *count).map(|(_, found)| found);
                found.or_else(|| self.commands.get_key_value(""))
            }
        }?;
        Some((route, plugin))
    }

    /// The longest route of at least one word that begins these words, and how many words it has.
    fn longest_of(&self, words: &[&str]) -> Option<(usize, (&String, &String))> {
        (1..=words.len()).rev().find_map(|count| Some((count, self.commands.get_key_value(&words[..count].join(" "))?)))
    }

    /// Every route: `subsystem` or `exec`, what it matches, and the plugin.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &str, &str)> {
        let subsystems = self.subsystems.iter().map(|(name, plugin)| ("subsystem", name.as_str(), plugin.as_str()));
        let commands = self.commands.iter().map(|(words, plugin)| ("exec", words.as_str(), plugin.as_str()));
        subsystems.chain(commands)
    }
}

/// Whether a route can have this as one of its words.
fn is_word(word: &str) -> bool {
    !word.is_empty() && !word.contains([' ', '\t'])
}

/// A word that is not UTF-8 ends the match.
fn words(text: &[u8]) -> impl Iterator<Item = &str> {
    let parts = text.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    parts.map_while(|word| str::from_utf8(word).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owned(routes: &[(&str, &str)]) -> Vec<(String, String)> {
        routes.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
    }

    #[test]
    fn a_subsystem_is_found_by_its_exact_name_alone() {
        let routes = Routes::new(owned(&[("sftp", "files")]), owned(&[("sftp", "command")]));
        assert_eq!(routes.find(&ProgramRequest::Subsystem("sftp")), Some(("sftp", "files")));
        for other in ["", "SFTP", "sftp ", " sftp", "sftp2", "sft", "../sftp"] {
            assert_eq!(routes.find(&ProgramRequest::Subsystem(other)), None, "{other:?}");
        }
        assert_eq!(routes.find(&ProgramRequest::Shell), None);
        assert_eq!(Routes::new(owned(&[("sftp", "files")]), []).find(&ProgramRequest::Exec(b"sftp")), None);
    }

    #[test]
    fn the_longest_route_of_whole_words_wins() {
        let given = [("git", "git"), ("git \t lfs", "lfs"), ("git lfs lock verify", "lock"), ("git-lfs", "old")];
        let routes = Routes::new([], owned(&given));
        let find = |command: &[u8]| routes.find(&ProgramRequest::Exec(command)).map(|(route, _)| route.to_owned());
        for (command, route) in [
            ("git", "git"),
            ("git push origin", "git"),
            ("git lfs pull", "git lfs"),
            ("  git \t lfs  pull ", "git lfs"),
            ("git lfs lock verify", "git lfs lock verify"),
            ("git lfs lock other", "git lfs"),
            ("git lfsx", "git"),
            ("git-lfs", "git-lfs"),
            ("'git' lfs", "git lfs"),
            ("git 'lfs' pull", "git lfs"),
            ("/bin/git push", "git"),
            ("'/usr/bin/git' \"lfs\" lock verify", "git lfs lock verify"),
            ("git\nlfs", "git lfs"),
            ("'git lfs' pull", "none"),
            ("git '' lfs", "git"),
            ("git 'lfs", "git"),
        ] {
            let route = (route != "none").then_some(route);
            assert_eq!(find(command.as_bytes()).as_deref(), route, "{command:?}");
        }
        let others = ["", " ", "gitx", "gi", "gitlfs", "git;lfs", "x git lfs", "GIT", "/sbin/git", "bin/git"];
        for other in others {
            assert_eq!(find(other.as_bytes()), None, "{other:?}");
        }
        assert_eq!(find(b"git lfs\xff pull").as_deref(), Some("git"));
        assert_eq!(find(b"\xff git"), None);
        assert_eq!(routes.find(&ProgramRequest::Exec(b"git lfs x")), Some(("git lfs", "lfs")));
    }

    #[test]
    fn the_route_without_words_takes_every_command_that_no_other_takes() {
        let routes = Routes::new([], owned(&[("", "rest"), ("ls", "files")]));
        assert_eq!(routes.find(&ProgramRequest::Exec(b"ls -l")), Some(("ls", "files")));
        for command in [&b"\xff\x00 anything"[..], b"", b"cat"] {
            assert_eq!(routes.find(&ProgramRequest::Exec(command)), Some(("", "rest")), "{command:?}");
        }
        assert_eq!(routes.find(&ProgramRequest::Shell), None);
    }

    /// Words of two letters, so that many are equal, with blanks of every kind around them.
    fn text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![Just("a"), Just("b"), Just("ab"), Just(" "), Just("\t"), Just("  ")];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn the_route_is_the_longest_list_of_words_with_which_the_command_begins(
            prefixes in prop::collection::vec(text(), 0..8),
            command in text(),
        ) {
            let split = |text: &str| -> Vec<String> {
                text.split([' ', '\t']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
            };
            let given = prefixes.iter().enumerate().map(|(at, prefix)| (prefix.clone(), at.to_string()));
            let routes = Routes::new([], given);
            let sent = split(&command);
            let fitting = prefixes.iter().enumerate().filter(|(_, prefix)| sent.starts_with(&split(prefix)));
            let expected = fitting.max_by_key(|(at, prefix)| (split(prefix).len(), *at)).map(|(at, _)| at.to_string());
            let found = routes.find(&ProgramRequest::Exec(command.as_bytes())).map(|(_, plugin)| plugin);
            prop_assert_eq!(found, expected.as_deref());
            let quoted: Vec<String> = sent.iter().map(|word| format!("'{word}'")).collect();
            let found = routes.find(&ProgramRequest::Exec(quoted.join("\n").as_bytes())).map(|(_, plugin)| plugin);
            prop_assert_eq!(found, expected.as_deref());
        }

        #[test]
        fn no_command_causes_a_panic(command in prop::collection::vec(any::<u8>(), 0..200)) {
            let routes = Routes::new([], owned(&[("a", "one"), ("a b c", "three")]));
            let found = routes.find(&ProgramRequest::Exec(&command));
            prop_assert!(found.is_none() || command.contains(&b'a'));
        }
    }
}
