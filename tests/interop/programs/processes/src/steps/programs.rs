//! What is started, and with what.

use super::{Step, saw};
use crate::Os;
use crate::start::{file, outcome, path, program, role};
use crate::system::{Result, System};

pub(super) const STEPS: &[Step] = &[
    ("arguments are as given", arguments),
    ("the first argument is any name", first_argument),
    ("arguments that are too long", too_long),
    ("the environment is as given", environment),
    ("the directory is as given", directory),
    ("what is not there", absent),
    ("what is no program", no_program),
    ("a script names its interpreter", script),
    ("a script in another directory", script_elsewhere),
    ("scripts that cannot be run", bad_scripts),
];

fn arguments() -> Result<()> {
    let words = ["argv", "", " two  words ", "\"'\\$*", "line\nend", "\u{e4}\u{1f41a}\u{301}", "\u{1}\u{7f}", "--"];
    let output = role(&words).output()?;
    saw!("{}", output.split(" | ").skip(3).collect::<Vec<_>>().join(" | "));
    let many: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    let many: Vec<&str> = ["argv"].into_iter().chain(many.iter().map(String::as_str)).collect();
    let output = role(&many).output()?;
    saw!("{} words, the last {:?}", output.split(" | ").count() - 3, output.rsplit(" | ").next());
    let long = "x".repeat(100_000);
    saw!("{} characters", role(&["argv", &long]).output()?.rsplit(" | ").next().unwrap_or_default().len());
    Ok(())
}

fn first_argument() -> Result<()> {
    let output = program(&Os::program(), &["-any name", "role", "argv"]).output()?;
    saw!("{output}");
    Ok(())
}

fn too_long() -> Result<()> {
    let long = "x".repeat(100_000);
    let words: Vec<&str> = ["exit", "0"].into_iter().chain(std::iter::repeat_n(long.as_str(), 100)).collect();
    saw!("10 MB of arguments: {}", outcome(role(&words).run()));
    let variables: Vec<(String, String)> = (0..100).map(|number| (format!("V{number}"), long.clone())).collect();
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    saw!("10 MB of environment: {}", outcome(role(&["exit", "0"]).env(&variables).run()));
    Ok(())
}

fn environment() -> Result<()> {
    saw!("none: {}", role(&["env"]).output()?);
    let some = [("B", "2"), ("A", "one two"), ("EMPTY", ""), ("lower", "x=y"), ("UMLAUT", "\u{e4}"), ("HOME", "/x")];
    saw!("{}", role(&["env"]).env(&some).output()?);
    Ok(())
}

fn directory() -> Result<()> {
    std::fs::create_dir_all("folder/deep").map_err(|error| error.to_string())?;
    file("folder/deep/mark.txt", "in the deep")?;
    file("plain.txt", "")?;
    let run = |cwd: &str| role(&["cwd", "mark.txt"]).cwd(cwd).output();
    saw!("{}", run(&path("folder/deep"))?);
    saw!("{}", run(&path("folder/../folder/deep/"))?);
    saw!("nothing: {}", outcome(run(&path("folder/absent"))));
    saw!("a file: {}", outcome(run(&path("plain.txt"))));
    Ok(())
}

fn absent() -> Result<()> {
    let run = |path: &str| outcome(program(path, &["x"]).run());
    saw!("a name: {}", run("no-such-program"));
    saw!("a path: {}", run("/no/such/program"));
    saw!("a relative path: {}", run("./no-such-program"));
    file("plain.txt", "")?;
    saw!("below a file: {}", run(&path("plain.txt/x")));
    saw!("nothing: {}", run(""));
    Ok(())
}

fn no_program() -> Result<()> {
    let run = |path: &str| outcome(program(path, &["x"]).run());
    std::fs::create_dir_all("folder").map_err(|error| error.to_string())?;
    saw!("text: {}", run(&file("text.txt", "just text\n")?));
    saw!("empty: {}", run(&file("empty", "")?));
    saw!("a directory: {}", run(&path("folder")));
    Ok(())
}

fn script() -> Result<()> {
    let own = Os::program();
    let run = |path: &str, words: &[&str]| {
        let argv: Vec<&str> = ["name"].into_iter().chain(words.iter().copied()).collect();
        program(path, &argv).output()
    };
    let shown = |output: String, path: &str| output.replace(path, "SCRIPT").replace(&own, "PROGRAM");
    let path = file("one-word", &format!("#!{own} role\n"))?;
    // The interpreter's argument, then the script's path, then what the caller gave behind the name.
    saw!("one argument: {}", shown(run(&path, &["a", "b"])?, &path));
    let path = file("none", &format!("#!{own}\nmore\n"))?;
    saw!("no argument: {}", shown(run(&path, &[])?, &path));
    let path = file("spaces", &format!("#! \t {own}   role  word \t\n"))?;
    saw!("two words are one argument: {}", shown(run(&path, &["x"])?, &path));
    let path = file("no-end-of-line", &format!("#!{own}"))?;
    saw!("no end of the line: {}", shown(run(&path, &[])?, &path));
    Ok(())
}

fn script_elsewhere() -> Result<()> {
    std::fs::create_dir_all("folder").map_err(|error| error.to_string())?;
    file("folder/script", &format!("#!{} role\n", Os::program()))?;
    let folder = path("folder");
    let run = |path: &str| program(path, &["x"]).cwd(&folder).output();
    let shown = |output: Result<String>| output.unwrap_or_else(|error| error).replace(&Os::program(), "PROGRAM");
    saw!("{}", shown(run("./script")));
    saw!("{}", shown(run("../folder/script")));
    Ok(())
}

fn bad_scripts() -> Result<()> {
    let run = |path: &str| outcome(program(path, &["x"]).run());
    saw!("no interpreter: {}", run(&file("absent-interpreter", "#!/no/such/interpreter\n")?));
    saw!("an empty line: {}", run(&file("empty-line", "#!\nx\n")?));
    let own = path("itself");
    saw!("itself: {}", run(&file("itself", &format!("#!{own}\n"))?));
    saw!("a directory: {}", run(&file("directory", "#!/dev\n")?));
    Ok(())
}
