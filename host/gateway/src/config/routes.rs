//! The tables `[tenants.NAME.routes]`: which plugin serves which command, before the user's own plugin is asked.
//!
//! A subsystem is found by its exact name, a command by the longest route whose words it begins with. Both are look-ups in exact
//! maps: what a client sends is compared and never becomes a path or a pattern.

use std::collections::BTreeMap;

use super::plugins::Visible;
use super::reader::{Findings, Item, Section};

/// A tenant's routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// Name of a subsystem to plugin.
    subsystem: BTreeMap<String, String>,
    /// Words that a command begins with, one space between them, to plugin.
    exec: BTreeMap<String, String>,
    /// The most words that a route of `exec` has.
    longest: usize,
}

impl Routes {
    /// The plugin for a subsystem of exactly this name.
    pub fn subsystem(&self, name: &str) -> Option<&str> {
        self.subsystem.get(name).map(String::as_str)
    }

    /// The plugin for a command, and the route that leads there: the longest whose words are the first of the command. Words are
    /// what blanks and tabs part, as a shell would part them; quotes are not looked into. The route without words takes what no
    /// other does.
    pub fn exec(&self, command: &[u8]) -> Option<(&str, &str)> {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let words = command.split(blank).filter(|word| !word.is_empty());
        // A word that is no text begins no route, and neither does what follows it.
        let words: Vec<&str> = words.map_while(|word| str::from_utf8(word).ok()).take(self.longest).collect();
        (0..=words.len()).rev().find_map(|count| {
            let (route, plugin) = self.exec.get_key_value(&words[..count].join(" "))?;
            Some((route.as_str(), plugin.as_str()))
        })
    }

    /// Every route: `subsystem` or `exec`, what it looks for, and the plugin.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &str, &str)> {
        let subsystems = self.subsystem.iter().map(|(name, plugin)| ("subsystem", name.as_str(), plugin.as_str()));
        let commands = self.exec.iter().map(|(words, plugin)| ("exec", words.as_str(), plugin.as_str()));
        subsystems.chain(commands)
    }
}

/// Reads the table. Every plugin must be one that the tenant can see.
pub(super) fn read(mut section: Section<'_>, visible: &Visible<'_>, findings: &mut Findings) -> Routes {
    let subsystem = section.take("subsystem").map(|item| read_table(&item, subsystem_name, visible, findings));
    let exec = section.take("exec").map(|item| read_table(&item, command_words, visible, findings));
    section.finish(findings);
    let exec = exec.unwrap_or_default();
    let longest = exec.keys().map(|words| words.split(' ').count()).max().unwrap_or(0);
    Routes { subsystem: subsystem.unwrap_or_default(), exec, longest }
}

fn read_table(
    item: &Item<'_>,
    check: impl Fn(&str) -> Result<(), String>,
    visible: &Visible<'_>,
    findings: &mut Findings,
) -> BTreeMap<String, String> {
    let mut table = BTreeMap::new();
    for item in item.section(findings).map(|section| section.all()).unwrap_or_default() {
        let fits = findings.keep(&item, check(&item.name));
        let plugin = visible.read(&item, findings);
        if let (Some(()), Some(plugin)) = (fits, plugin) {
            table.insert(item.name.clone(), plugin.to_owned());
        }
    }
    table
}

fn subsystem_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err("the name of a subsystem is a text without control characters, such as sftp".to_owned());
    }
    Ok(())
}

fn command_words(words: &str) -> Result<(), String> {
    let sound = words.is_empty() || words.split(' ').all(|word| !word.is_empty() && !word.contains(char::is_control));
    if sound {
        Ok(())
    } else {
        Err("a route is one word or more with one blank between them, such as \"git lfs\"".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(exec: &[&str]) -> Routes {
        let exec: BTreeMap<_, _> = exec.iter().map(|words| ((*words).to_owned(), format!("for {words}"))).collect();
        let longest = exec.keys().map(|words| words.split(' ').count()).max().unwrap_or(0);
        Routes { subsystem: BTreeMap::from([("sftp".to_owned(), "files".to_owned())]), exec, longest }
    }

    #[test]
    fn the_longest_route_of_whole_words_wins() {
        let routes = routes(&["git", "git lfs", "git lfs lock verify"]);
        for (command, route) in [
            ("git", Some("git")),
            ("git clone x", Some("git")),
            ("git lfs pull", Some("git lfs")),
            ("git lfs lock verify", Some("git lfs lock verify")),
            ("git lfs lock other", Some("git lfs")),
            ("  git \t lfs  pull ", Some("git lfs")),
            ("git-upload-pack 'x'", None),
            ("gitlfs", None),
            ("GIT", None),
            ("x git lfs", None),
            ("git\nlfs", None),
            ("'git' lfs", None),
            ("", None),
            (" ", None),
        ] {
            assert_eq!(routes.exec(command.as_bytes()).map(|(route, _)| route), route, "{command:?}");
        }
        assert_eq!(routes.exec(b"git lfs\xff pull").map(|(route, _)| route), Some("git"));
        assert_eq!(routes.exec(b"\xff git"), None);
        assert_eq!(routes.exec(b"git lfs x"), Some(("git lfs", "for git lfs")));
    }

    #[test]
    fn a_route_without_words_takes_every_command_that_no_other_takes() {
        let routes = routes(&["", "git"]);
        assert_eq!(routes.exec(b"git x").map(|(route, _)| route), Some("git"));
        for command in [&b"ls"[..], b"", b"\xff"] {
            assert_eq!(routes.exec(command), Some(("", "for ")), "{command:?}");
        }
    }

    #[test]
    fn a_subsystem_is_found_by_its_exact_name_alone() {
        let routes = routes(&[]);
        assert_eq!(routes.subsystem("sftp"), Some("files"));
        for name in ["SFTP", "sftp ", "sft", "", "../sftp"] {
            assert_eq!(routes.subsystem(name), None, "{name:?}");
        }
        assert_eq!(routes.exec(b"sftp"), None);
    }
}
