//! Variables whose values the shell computes.

use super::shell::Shell;
use super::variables::Variable;

const DYNAMIC: &[&str] = &[
    "BASHPID",
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
        let frames = || self.frames.iter().rev();
        let main = || (self.read_from == "file").then(|| "main".to_owned());
        let values: Vec<String> = match name {
            "PIPESTATUS" => self.pipe_status.iter().map(ToString::to_string).collect(),
            "FUNCNAME" => {
                let last = self.frames.last()?;
                if !last.is_function && !self.frames.iter().any(|frame| frame.is_function) {
                    return None;
                }
                let names =
                    frames().map(|frame| if frame.is_function { frame.name.clone() } else { "source".to_owned() });
                names.chain(main()).collect()
            }
            "BASH_SOURCE" => {
                let script = (self.read_from == "file").then(|| self.name.clone());
                frames()
                    .map(|frame| frame.source.clone())
                    .chain(script.or_else(|| {
                        self.frames
                            .iter()
                            .any(|frame| frame.is_function)
                            .then(|| self.name.clone())
                            .filter(|_| self.read_from == "file")
                    }))
                    .collect()
            }
            "BASH_LINENO" => frames().map(|frame| frame.line.to_string()).chain(["0".to_owned()]).collect(),
            "DIRSTACK" => std::iter::once(self.cwd.clone()).chain(self.directories.iter().rev().cloned()).collect(),
            "GROUPS" => vec![self.system.identity().user.0.to_string()],
            _ => return None,
        };
        Some(Variable::indexed(values))
    }
}
