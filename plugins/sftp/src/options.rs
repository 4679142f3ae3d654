//! The options of the command line, of those of OpenSSH's sftp-server: a forced command `internal-sftp -R` must not be
//! served as if it had none.

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// `-R`: nothing may be changed.
    pub is_read_only: bool,
    /// `-d`: where relative paths begin.
    pub directory: Option<String>,
}

impl Options {
    /// Reads the words behind the program's name.
    ///
    /// `-e`, `-f`, `-l` and `-u` are accepted without effect: the host keeps the log, and files have no modes.
    ///
    /// # Errors
    ///
    /// An option that is not supported, or words that are no options. They may be there to forbid something, so the
    /// session must not go on.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let (mut options, mut words) = (Self::default(), words.into_iter());
        while let Some(word) = words.next() {
            let letters = word.strip_prefix('-').filter(|letters| !letters.is_empty());
            let letters = letters.ok_or_else(|| format!("the word {word:?} is no option: sftp takes only options"))?;
            for (index, letter) in letters.char_indices() {
                match letter {
                    'R' => options.is_read_only = true,
                    'e' => {}
                    'd' | 'f' | 'l' | 'u' => {
                        let rest = &letters[index + 1..];
                        let value = if rest.is_empty() { words.next() } else { Some(rest.to_owned()) };
                        let value = value.ok_or_else(|| format!("the option -{letter} needs a value"))?;
                        if letter == 'd' {
                            options.directory = Some(start_directory(value)?);
                        }
                        break;
                    }
                    _ => return Err(format!("the option -{letter} is not supported; -R and -d DIRECTORY are")),
                }
            }
        }
        Ok(options)
    }
}

fn start_directory(path: String) -> Result<String, String> {
    if path.contains('%') {
        return Err(format!("the directory {path:?} holds a %: tokens such as %u are not supported"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Options, String> {
        Options::parse(words.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read_as_getopt_does() {
        assert_eq!(parse(""), Ok(Options::default()));
        let read_only = Options { is_read_only: true, directory: None };
        for words in ["-R", "-eR", "-e -R", "-f AUTH -R", "-l INFO -R", "-lINFO -R", "-u 022 -R", "-Rf AUTH"] {
            assert_eq!(parse(words), Ok(read_only.clone()), "{words}");
        }
        for words in ["-R -d /drop", "-d /drop -R", "-Rd/drop"] {
            assert_eq!(parse(words), Ok(Options { directory: Some("/drop".into()), ..read_only.clone() }), "{words}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for words in ["-P write", "-p open,read", "-Q requests", "-x", "-", "--", "--read-only", "/drop", "-d", "-d %u"]
        {
            assert!(parse(words).is_err(), "{words}");
        }
    }
}
