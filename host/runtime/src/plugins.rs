//! Which plugins a session can get to: by name, and by what its client asks for.
//!
//! The runtime only asks. Who answers, from which folders and for which tenant, is the gateway's.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::happening::Happening;
use crate::plugin::Plugin;

/// What the sessions of one tenant may be served by. Asked anew each time, so that a session that changes its plugin gets the generation
/// that is current then.
pub trait Plugins: Send + Sync {
    /// The plugin that this name means now; none if there is none.
    fn plugin(&self, name: &str) -> Option<Arc<Plugin>>;
    /// The name of the plugin for this start request; none leaves it to the plugin that the session was opened with.
    fn route(&self, start: &Start<'_>) -> Option<String>;
}

/// A start request, as routes see it. RFC 4254 §6.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start<'a> {
    /// What greets a person.
    Shell,
    /// A command, octets as the client sent them.
    Exec(&'a [u8]),
    /// A protocol by its name.
    Subsystem(&'a str),
}

impl<'a> Start<'a> {
    /// None if this starts nothing.
    pub(crate) fn of(happening: &'a Happening) -> Option<Self> {
        match happening {
            Happening::Shell => Some(Self::Shell),
            Happening::Exec(command) => Some(Self::Exec(command)),
            Happening::Subsystem(name) => Some(Self::Subsystem(name)),
            Happening::Env { .. }
            | Happening::PtyReq(_)
            | Happening::WindowChange(_)
            | Happening::Signal(_)
            | Happening::Break { .. }
            | Happening::Request { .. }
            | Happening::Eof
            | Happening::Close => None,
        }
    }
}

/// Routes of a tenant: from what a client starts to the name of a plugin.
///
/// A subsystem is looked up by its exact name. A command is cut into words at blanks (space and tab), as sent: no quotes, no escapes, no
/// expansion. Of the prefixes that are its first words the longest counts. A shell has no route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    subsystems: BTreeMap<String, String>,
    /// By the words of the prefix with one space between them.
    commands: BTreeMap<Vec<u8>, String>,
    /// Words of the longest prefix.
    longest: usize,
}

impl Routes {
    /// From names of subsystems and from prefixes of commands, each to the name of a plugin. Of two prefixes with the same words the later
    /// counts; one without words is a prefix of every command.
    #[must_use]
    pub fn new(
        subsystems: impl IntoIterator<Item = (String, String)>,
        commands: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let mut routes = Self { subsystems: subsystems.into_iter().collect(), ..Self::default() };
        for (prefix, plugin) in commands {
            let words: Vec<&[u8]> = words(prefix.as_bytes()).collect();
            routes.longest = routes.longest.max(words.len());
            routes.commands.insert(words.join(&b' '), plugin);
        }
        routes
    }

    /// The plugin for this start; none if no route fits.
    #[must_use]
    pub fn find(&self, start: &Start<'_>) -> Option<&str> {
        match start {
            Start::Shell => None,
            Start::Subsystem(name) => self.subsystems.get(*name).map(String::as_str),
            Start::Exec(command) => {
                // No more is looked at than a route could have: a command may be long.
                let words: Vec<&[u8]> = words(command).take(self.longest).collect();
                (0..=words.len())
                    .rev()
                    .find_map(|count| self.commands.get(&words[..count].join(&b' ')))
                    .map(String::as_str)
            }
        }
    }

    /// The names of all plugins that something is routed to, for whoever checks that they are there. Some may come twice.
    pub fn plugins(&self) -> impl Iterator<Item = &str> {
        self.subsystems.values().chain(self.commands.values()).map(String::as_str)
    }
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty())
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
        assert_eq!(routes.find(&Start::Subsystem("sftp")), Some("files"));
        for other in ["", "SFTP", "sftp ", " sftp", "sftp2", "sft"] {
            assert_eq!(routes.find(&Start::Subsystem(other)), None, "{other:?}");
        }
        assert_eq!(routes.find(&Start::Shell), None);
    }

    #[test]
    fn of_the_commands_that_begin_alike_the_one_with_more_words_counts() {
        let routes = Routes::new([], owned(&[("git", "git"), ("git \t lfs", "lfs"), ("git-lfs", "old")]));
        let find = |command: &str| routes.find(&Start::Exec(command.as_bytes())).unwrap_or("none").to_owned();
        assert_eq!(find("git"), "git");
        assert_eq!(find("git push origin"), "git");
        assert_eq!(find("  git\t\tlfs push"), "lfs");
        assert_eq!(find("git lfsx"), "git");
        assert_eq!(find("git-lfs"), "old");
        for other in ["", " ", "gitx", "gi", "'git'", "git\nlfs", "git;lfs", "x git", "GIT"] {
            assert_eq!(find(other), "none", "{other:?}");
        }
    }

    #[test]
    fn a_prefix_without_words_is_the_route_of_every_other_command() {
        let routes = Routes::new([], owned(&[("", "rest"), ("ls", "files")]));
        assert_eq!(routes.find(&Start::Exec(b"ls -l")), Some("files"));
        assert_eq!(routes.find(&Start::Exec(b"\xff\x00 anything")), Some("rest"));
        assert_eq!(routes.find(&Start::Exec(b"")), Some("rest"));
        assert_eq!(routes.find(&Start::Shell), None);
    }

    /// Words of two letters, so that many are alike, with blanks of every kind around them.
    fn text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![Just("a"), Just("b"), Just("ab"), Just(" "), Just("\t"), Just("  "), Just("\n")];
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
            prop_assert_eq!(routes.find(&Start::Exec(command.as_bytes())), expected.as_deref());
        }

        #[test]
        fn no_command_makes_it_fail(command in prop::collection::vec(any::<u8>(), 0..200)) {
            let routes = Routes::new([], owned(&[("a", "one"), ("a b c", "three")]));
            let found = routes.find(&Start::Exec(&command));
            prop_assert!(found.is_none() || command.contains(&b'a'));
        }
    }
}
