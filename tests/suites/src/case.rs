//! A case: a run of a shell, and what of it is compared with the same run of bash.

use crate::run::Ran;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a case went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outcome {
    /// As it should.
    Passed,
    /// Otherwise.
    Failed,
    /// It says nothing about the shell, for a reason.
    #[default]
    NotApplicable,
}

/// A case of brush or just-bash.
#[derive(Debug, Clone)]
pub struct Case {
    /// `CLASS: TITLE`.
    pub name: String,
    /// What runs.
    pub start: Start,
    /// What is compared.
    pub comparison: Comparison,
    /// Whether it says anything about a shell.
    pub is_applicable: bool,
}

/// One run of a shell under the name `bash`.
#[derive(Debug, Clone)]
pub struct Start {
    /// The first arguments, which dash does not know.
    pub bash_options: Vec<String>,
    /// The other arguments.
    pub arguments: Vec<String>,
    /// The environment, beside HOME, PATH and TERM.
    pub environment: Vec<(String, Value)>,
    /// The files in its working directory.
    pub files: Vec<File>,
    /// Scripts that it calls: their names, and their text for `/bin/sh`.
    pub programs: &'static [(&'static str, &'static str)],
    /// Its standard input.
    pub input: String,
    /// How long it may take.
    pub limit: Duration,
}

/// The value of a variable.
#[derive(Debug, Clone)]
pub enum Value {
    /// This text.
    Text(String),
    /// The path of the working directory.
    Work,
    /// The path of the shell.
    Shell,
}

/// A file of a case.
#[derive(Debug, Clone)]
pub struct File {
    /// Below the working directory.
    pub path: String,
    /// Its text.
    pub text: String,
    /// Whether it has the permission to be executed.
    pub is_executable: bool,
}

/// The folders of a run.
#[derive(Debug, Clone)]
pub struct Folders {
    /// The home.
    pub home: PathBuf,
    /// The working directory, in the home.
    pub work: PathBuf,
    /// The programs, in the home.
    pub programs: PathBuf,
}

impl Folders {
    /// Those in `home`.
    pub fn new(home: &Path) -> Self {
        Self { home: home.to_owned(), work: home.join("work"), programs: home.join("programs") }
    }
}

impl Start {
    /// Writes its files and programs into new folders. `sh` is the path of the shell that runs the programs.
    pub fn write(&self, folders: &Folders, sh: &str) {
        for folder in [&folders.work, &folders.programs] {
            std::fs::create_dir_all(folder).expect("a new folder");
        }
        for file in &self.files {
            let path = folders.work.join(file.path.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a new folder");
            std::fs::write(&path, &file.text).expect("a new file");
            if file.is_executable {
                make_executable(&path);
            }
        }
        for (name, script) in self.programs {
            let path = folders.programs.join(name);
            std::fs::write(&path, format!("#!{sh}\n{script}\n")).expect("a new file");
            make_executable(&path);
        }
    }

    /// The whole environment for these folders and the shell `bash` in the folder `shells`.
    pub fn variables(&self, folders: &Folders, shells: &Path) -> Vec<(String, String)> {
        let shown = |path: &Path| path.display().to_string();
        let path = format!("{}:{}:/usr/local/bin:/usr/bin:/bin", shown(&folders.programs), shown(shells));
        let fixed = [("PATH", path), ("TERM", "linux".to_owned()), ("HOME", shown(&folders.home))];
        let own = self.environment.iter().map(|(name, value)| {
            let value = match value {
                Value::Text(text) => text.clone(),
                Value::Work => shown(&folders.work),
                Value::Shell => shown(&shells.join("bash")),
            };
            (name.clone(), value)
        });
        fixed.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(own).collect()
    }
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("our own file");
}

/// A shell, wherever it runs.
pub trait Shell: Sync {
    /// Runs it. In what it writes the paths of the home and of the shell's folder are `TEMP` and `SHELLS`.
    fn run(&self, start: &Start) -> Ran;
}

/// What is compared beside the exit status.
#[derive(Debug, Clone, Copy)]
pub struct Comparison {
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Blanks are equal, however many they are.
    pub ignores_spaces: bool,
}

impl Comparison {
    /// Whether two runs are the same.
    pub fn is_same(self, one: &Ran, other: &Ran) -> bool {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let equal =
            |one: &str, other: &str| if self.ignores_spaces { words(one) == words(other) } else { one == other };
        one.code() == other.code()
            && (!self.stdout || equal(&one.stdout, &other.stdout))
            && (!self.stderr || equal(&one.stderr, &other.stderr))
    }
}

/// How a run went beside that of bash.
pub fn outcome(case: &Case, oracle: &Ran, ran: &Ran) -> Outcome {
    if case.comparison.is_same(oracle, ran) { Outcome::Passed } else { Outcome::Failed }
}

impl Case {
    /// What bash does. `None` for a case that says nothing: that is not applicable, for which bash takes too long, or
    /// with which bash does something else each time.
    pub fn oracle(&self, bash: &dyn Shell) -> Option<Ran> {
        if !self.is_applicable {
            return None;
        }
        let oracle = bash.run(&self.start);
        let is_stable = oracle.status.is_some() && self.comparison.is_same(&oracle, &bash.run(&self.start));
        is_stable.then_some(oracle)
    }

    /// Prints what two shells did, where `SUITE_SHOW` asks for it.
    pub fn show(&self, runs: &[(&str, &Ran)]) {
        if crate::run::shows() {
            println!("=== {}\n{}\n{}", self.name, self.start.arguments.join(" "), self.start.input);
            for (name, ran) in runs {
                println!("--- {name} {:?}\n{}{}", ran.status, ran.stdout, ran.stderr);
            }
        }
    }
}
