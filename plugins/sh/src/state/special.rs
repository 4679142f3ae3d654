//! Variables whose values the shell computes.

use super::shell::{Frame, Shell};
use super::variables::Variable;

const DYNAMIC: &[&str] = &[
    "BASHPID",
    "BASH_ARGC",
    "BASH_ARGV",
    "BASH_ARGV0",
    "BASH_COMMAND",
    "BASH_LINENO",
    "BASH_SOURCE",
    "BASH_SUBSHELL",
    "BASHOPTS",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "FUNCNAME",
    "GROUPS",
    "LINENO",
    "PIPESTATUS",
    "SECONDS",
    "SHELLOPTS",
    "SRANDOM",
    "UID",
    "BASH_ALIASES",
];

/// Those that exist only in bash.
const BASH_ONLY: &[&str] = &["EPOCHREALTIME", "EPOCHSECONDS", "SRANDOM"];

impl Shell {
    pub(crate) fn is_dynamic(&self, name: &str) -> bool {
        name.as_bytes().first().is_some_and(u8::is_ascii_uppercase)
            && DYNAMIC.contains(&name)
            && !self.plain.iter().any(|plain| plain == name)
    }

    /// The value of a variable that the shell computes.
    pub(super) fn dynamic(&self, name: &str) -> Option<Variable> {
        if !self.is_dynamic(name) {
            return None;
        }
        if BASH_ONLY.contains(&name) && self.variables.get(name).is_some() {
            return None;
        }
        let text = match name {
            "BASHPID" => self.system.identity().id.to_string(),
            "BASH_COMMAND" => self.command_text.clone(),
            "BASH_ARGV0" => self.name.clone(),
            "BASH_SUBSHELL" => self.subshell.to_string(),
            "EPOCHSECONDS" => self.system.now().as_secs().to_string(),
            "EPOCHREALTIME" => {
                let now = self.system.now();
                format!("{}.{:06}", now.as_secs(), now.subsec_micros())
            }
            "EUID" => self.system.identity().user.1.to_string(),
            "UID" => self.system.identity().user.0.to_string(),
            "PPID" => self.system.identity().parent.to_string(),
            "LINENO" => self.line.to_string(),
            "SECONDS" => {
                let base: i64 =
                    self.variables.get(name).and_then(Variable::text).and_then(|text| text.parse().ok()).unwrap_or(0);
                let passed = self.system.now().saturating_sub(self.started).as_secs();
                base.wrapping_add(passed.cast_signed()).to_string()
            }
            "SRANDOM" => self.system.random().to_string(),
            "SHELLOPTS" => self.option_names(super::options::SET_OPTIONS.iter().map(|(_, name)| *name)),
            "BASHOPTS" => self.option_names(super::options::SHOPTS.iter().map(|(name, _)| *name)),
            _ => return self.dynamic_array(name),
        };
        let mut variable = Variable::scalar(text);
        variable.readonly = ["EUID", "UID", "PPID", "SHELLOPTS", "BASHOPTS"].contains(&name);
        variable.integer = ["EUID", "UID", "PPID", "BASHPID", "SECONDS", "SRANDOM", "EPOCHSECONDS"].contains(&name);
        let kept = self.variables.get(name);
        variable.exported = kept.is_some_and(|kept| kept.exported);
        Some(variable)
    }

    fn option_names(&self, names: impl Iterator<Item = &'static str>) -> String {
        let mut on: Vec<&str> = names.filter(|name| self.is_on(name)).collect();
        on.sort_unstable();
        on.join(":")
    }

    fn dynamic_array(&self, name: &str) -> Option<Variable> {
        let values: Vec<String> = match name {
            "BASH_ALIASES" => {
                let mut elements = super::variables::Assoc::default();
                for (name, value) in self.aliases.iter() {
                    elements.insert(name.clone(), value.clone());
                }
                let value = super::variables::Value::Assoc(elements);
                return Some(Variable { value, kind: super::variables::Kind::Assoc, ..Variable::default() });
            }
            "PIPESTATUS" => self.pipe_status.iter().map(ToString::to_string).collect(),
            "FUNCNAME" => {
                if !self.frames.iter().any(|frame| frame.is_function) {
                    return None;
                }
                self.call_names()
            }
            "BASH_ARGC" => self.call_arguments().map(|arguments| arguments.len().to_string()).collect(),
            "BASH_ARGV" => self
                .call_arguments()
                .flat_map(|arguments| arguments.iter().rev().cloned().collect::<Vec<_>>())
                .collect(),
            "BASH_SOURCE" => self.call_sources(),
            "BASH_LINENO" => self.call_lines(),
            "DIRSTACK" => std::iter::once(self.cwd.clone()).chain(self.directories.iter().rev().cloned()).collect(),
            "GROUPS" => vec![self.system.identity().user.0.to_string()],
            _ => return None,
        };
        Some(Variable::indexed(values))
    }

    /// Whether the bottom of the stack of calls is listed: a script that is a file is called `main`.
    fn lists_main(&self) -> bool {
        self.read_from == "file"
    }

    /// The arguments of the calls that `extdebug` saw, the innermost first, and those of the script.
    fn call_arguments(&self) -> impl Iterator<Item = &Vec<String>> {
        let calls = self.frames.iter().rev().filter_map(|frame| frame.arguments.as_deref());
        calls.chain(std::iter::once(self.arguments.as_ref()))
    }

    /// FUNCNAME: the names of the calls, the innermost first.
    pub(crate) fn call_names(&self) -> Vec<String> {
        let name = |frame: &Frame| if frame.is_function { frame.name.clone() } else { "source".to_owned() };
        self.frames.iter().rev().map(name).chain(self.lists_main().then(|| "main".to_owned())).collect()
    }

    /// `BASH_SOURCE`: where the calls were defined.
    pub(crate) fn call_sources(&self) -> Vec<String> {
        let sources = self.frames.iter().rev().map(|frame| frame.source.clone());
        sources.chain(self.lists_main().then(|| self.name.clone())).collect()
    }

    /// `BASH_LINENO`: the lines from which the calls were made.
    pub(crate) fn call_lines(&self) -> Vec<String> {
        let lines = self.frames.iter().rev().map(|frame| frame.line.to_string());
        lines.chain(self.lists_main().then(|| "0".to_owned())).collect()
    }
}
