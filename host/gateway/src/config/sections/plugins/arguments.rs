//! The tables `[programs.NAME]`, and `[tenants.NAME.programs.NAME]` in place of them: the arguments that a program gets
//! from a request.

use std::collections::BTreeMap;
use std::sync::Arc;

use whelk_runtime::{ArgumentTemplates, COMMAND};

use super::Visible;
use crate::config::reader::{Findings, Item};
use crate::config::setting::text;

/// The most arguments of one list.
const MOST: usize = 64;

/// What is said of programs, by their exact names.
pub(crate) type ProgramSettings = BTreeMap<String, Arc<ArgumentTemplates>>;

/// The programs that read commands themselves unless the operator says otherwise: shells.
const SHELLS: [&str; 3] = ["bash", "sh", "shell"];

/// What is said of programs without a setting: a shell gets commands as text, and is a login shell without one.
pub(crate) fn defaults() -> ProgramSettings {
    let exec = Some(["-c", COMMAND].map(str::to_owned).to_vec());
    let templates = Arc::new(ArgumentTemplates { exec, shell: vec!["-l".to_owned()] });
    SHELLS.into_iter().map(|name| (name.to_owned(), Arc::clone(&templates))).collect()
}

/// Reads such tables. What they say of a program replaces what `settings` has.
pub(in crate::config) fn read(
    item: &Item<'_>,
    visible: &Visible<'_>,
    settings: &mut ProgramSettings,
    findings: &mut Findings,
) {
    for program in item.section(findings).map(|section| section.all()).unwrap_or_default() {
        // A table of what is not there does nothing. It may be put there later.
        if let Err(what) = visible.find(&program.name) {
            findings.note(&program, format!("{what}: nothing gets these arguments until there is one"));
        }
        let Some(mut section) = program.section(findings) else { continue };
        let exec = section.take("exec").map(|item| list(&item, true, findings));
        let shell = section.take("shell").map(|item| list(&item, false, findings)).unwrap_or_default();
        section.finish(findings);
        settings.insert(program.name, Arc::new(ArgumentTemplates { exec, shell }));
    }
}

/// A list of arguments, in which the client's command may have a place.
fn list(item: &Item<'_>, with_command: bool, findings: &mut Findings) -> Vec<String> {
    let elements = item.elements(findings);
    if elements.len() > MOST {
        findings.add(&item.span, &item.key, format!("must have at most {MOST} arguments, has {}", elements.len()));
        return Vec::new();
    }
    let mut arguments: Vec<String> = Vec::new();
    for element in elements {
        let checked = text(element.value).and_then(|argument| check(argument, with_command));
        arguments.extend(findings.keep(&element, checked).map(str::to_owned));
    }
    let places: usize = arguments.iter().map(|argument| argument.matches(COMMAND).count()).sum();
    if places > 1 {
        findings.add(&item.span, &item.key, format!("must have {COMMAND} once at most, has it {places} times"));
    }
    arguments
}

fn check(argument: &str, with_command: bool) -> Result<&str, String> {
    if argument.contains('\0') {
        return Err("must have no zero byte: an argument ends there".to_owned());
    }
    if argument.contains(COMMAND) && !with_command {
        return Err(format!("has {COMMAND}, and a shell has no command: only `exec` may have it"));
    }
    let inner = argument.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let is_placeholder = |inner: &str| !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_alphabetic());
    if argument != COMMAND && inner.is_some_and(is_placeholder) {
        return Err(format!("{argument} stands for nothing: {COMMAND} is the client's command"));
    }
    Ok(argument)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_read_commands_themselves_without_a_setting() {
        let settings = defaults();
        assert_eq!(settings.keys().map(String::as_str).collect::<Vec<_>>(), SHELLS);
        for templates in settings.values() {
            assert_eq!(templates.exec.as_deref(), Some(&["-c".to_owned(), COMMAND.to_owned()][..]));
            assert_eq!(templates.shell, ["-l"]);
        }
    }
}
