//! The command line.

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) files: Vec<String>,
    pub(crate) read_only: bool,
    /// Commands to begin with, as behind `:`; an empty one goes to the last line.
    pub(crate) commands: Vec<String>,
}

const HELP: &str = "Usage: vi [OPTION]... [+COMMAND] [FILE]...

  -R               do not write over files unless a command ends in !; so is `view`
  -c COMMAND       carry out a command of `:` first
  +NUMBER, +, +/X  begin in this line, in the last line, at the first match
  -                read standard input
  -n, -N, -u FILE, -i FILE, -T TERM  are accepted and change nothing

ZZ or :wq saves and ends, :q! ends, i types, Escape goes back to commands, u takes back, :set all shows the options.
";

/// Reads the command line. None if all is done; the error is a message.
pub(crate) fn read(words: &[String], program: &str) -> Result<Option<Arguments>, String> {
    let mut arguments = Arguments { read_only: program == "view", ..Arguments::default() };
    let mut words = words.iter();
    let mut only_files = false;
    while let Some(word) = words.next() {
        let mut value = || words.next().cloned().ok_or_else(|| format!("option requires an argument -- {word}"));
        match word.as_str() {
            file if only_files || file == "-" || !file.starts_with(['-', '+']) => arguments.files.push(word.clone()),
            "--" => only_files = true,
            "-R" => arguments.read_only = true,
            "-c" => arguments.commands.push(value()?),
            "-u" | "-i" | "-T" => drop(value()?),
            "-n" | "-N" | "-v" => {}
            "--help" | "-h" => {
                print!("{HELP}");
                return Ok(None);
            }
            "--version" => {
                println!("vi (Whelk) {}", env!("CARGO_PKG_VERSION"));
                return Ok(None);
            }
            command if command.starts_with('+') => arguments.commands.push(command[1..].to_owned()),
            option => return Err(format!("invalid option -- '{}'", option.trim_start_matches('-'))),
        }
    }
    Ok(Some(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str], program: &str) -> Result<Option<Arguments>, String> {
        super::read(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), program)
    }

    #[test]
    fn words_are_files_options_and_commands() {
        let all = read(&["-R", "+7", "-c", "set nu", "a", "--", "-b", "+c"], "vi");
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let expected =
            Arguments { files: owned(&["a", "-b", "+c"]), read_only: true, commands: owned(&["7", "set nu"]) };
        assert_eq!(all, Ok(Some(expected)));
        assert_eq!(read(&["x"], "view").map(|found| found.map(|found| found.read_only)), Ok(Some(true)));
        assert_eq!(read(&["-c"], "vi"), Err("option requires an argument -- -c".to_owned()));
        assert_eq!(read(&["-q"], "vi"), Err("invalid option -- 'q'".to_owned()));
    }
}
