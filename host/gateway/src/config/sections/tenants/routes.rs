//! The tables `[tenants.NAME.routes]`: which plugin serves which command, before the user's own plugin. The runtime
//! looks them up ([`Routes`]).

use whelk_runtime::Routes;

use crate::config::reader::{Findings, Item, Section};
use crate::config::sections::plugins::Visible;

/// Reads the table. The tenant must be able to see every plugin.
pub(in crate::config) fn read(mut section: Section<'_>, visible: &Visible<'_>, findings: &mut Findings) -> Routes {
    let subsystem = section.take("subsystem").map(|item| read_table(&item, subsystem_name, visible, findings));
    let exec = section.take("exec").map(|item| read_table(&item, command_words, visible, findings));
    section.finish(findings);
    Routes::new(subsystem.unwrap_or_default(), exec.unwrap_or_default())
}

fn read_table(
    item: &Item<'_>,
    check: impl Fn(&str) -> Result<(), String>,
    visible: &Visible<'_>,
    findings: &mut Findings,
) -> Vec<(String, String)> {
    let mut table = Vec::new();
    for item in item.section(findings).map(|section| section.all()).unwrap_or_default() {
        let fits = findings.keep(&item, check(&item.name));
        let plugin = visible.read(&item, findings);
        if let (Some(()), Some(plugin)) = (fits, plugin) {
            table.push((item.name.clone(), plugin.to_owned()));
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
    if words.ends_with('*') {
        Err(format!(
            "there are no patterns: a route takes every command that begins with its words: write {:?}",
            words.trim_end_matches(['*', ' '])
        ))
    } else if sound {
        Ok(())
    } else {
        Err("a route is one word or more with one blank between them, such as \"git lfs\"".to_owned())
    }
}
