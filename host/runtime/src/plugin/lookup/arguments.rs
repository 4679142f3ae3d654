//! How the arguments of a program are made of its program request, where the operator says so.

/// What stands for the client's command in [`ArgumentTemplates::exec`].
pub const COMMAND: &str = "{command}";

/// The arguments of one program, after its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArgumentTemplates {
    /// For a command, which takes the place of [`COMMAND`] wherever that is. `None`: its words.
    pub exec: Option<Vec<String>>,
    /// For a shell.
    pub shell: Vec<String>,
}

impl ArgumentTemplates {
    /// The arguments for a command; `None` where its words are the arguments.
    pub(crate) fn of_command(&self, command: &str) -> Option<Vec<String>> {
        let exec = self.exec.as_ref()?;
        Some(exec.iter().map(|argument| argument.replace(COMMAND, command)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_takes_its_place_as_it_is() {
        let templates = |exec: &[&str]| ArgumentTemplates {
            exec: Some(exec.iter().map(|argument| (*argument).to_owned()).collect()),
            shell: Vec::new(),
        };
        let command = "a 'b  c' {command}";
        for (exec, expected) in [
            (&["-c", COMMAND][..], &["-c", command][..]),
            (&["run: {command};"], &["run: a 'b  c' {command};"]),
            (&["fixed"], &["fixed"]),
            (&[], &[]),
        ] {
            assert_eq!(templates(exec).of_command(command).unwrap(), expected);
        }
        assert_eq!(ArgumentTemplates::default().of_command(command), None);
    }
}
